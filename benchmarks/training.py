"""What a step of training a feed-forward network takes: layers against events.

Motivation: classifiers are trained by many gradients of short simulations, forwards and backwards,
of networks whose synapses form no cycle. The engine of acyclic networks takes them layer by layer.
Results are kept in benchmarks/README.md.

Workloads: 5 inputs (four values within 30 ms, and a spike at 0), full layers of 120 or 200 hidden
and 3 output neurons, tau_m 20, tau_syn 5, no delays, or a delay of its own for each synapse; random
weights that give as many spikes as those of three networks of EventProp C++ (T. C. Wunderlich and
C. Pehle, Scientific Reports 11 (2021) 12829), in batches of 100 and 500. The loss is a sum of spike
times with different signs. Each way is timed in turn, in time of the processor, one thread.

EventProp C++ itself is not run here. Its figures were measured on another machine, beside the event
engine of that time on the same networks: about 0.4 of the time that this took. What is said of it
takes the event engine of this run as the measure of both.
"""

from __future__ import annotations

import statistics
import sys
import time
from functools import partial

import numpy as np
from common import machine, options, show_machine, write_json

from adjoint.batch.events import EventPullback
from adjoint.batch.layers import LayersPullback
from refsim import ExpPort, Network, SpikeTrain, all_to_all
from refsim.batch.layers import LayersBatch
from refsim.batch.simulate import batch_run
from refsim.question import Question
from validation.case_suite.yinyang import yin_yang

DURATION = 100.0  # ms
# Hidden neurons, mean and deviation of both layers of weights, and what was kept of November 2026,
# us a sample of a batch of 500: EventProp C++, and the event engine beside it, by weights alone.
NETS = {
    "as 120_figure2_5": (120, 1.5, 0.78, 0.9, 0.2, 131.0, 314.0),
    "as 120_yinyang_5": (120, 1.97, 1.02, 0.38, 0.2, 218.0, 514.0),
    "as 200_trained_5": (200, 1.32, 0.69, 0.35, 0.3, 115.0, 362.0),
}


def network_of(hidden, mean_1, deviation_1, mean_2, deviation_2, longest):
    """Return a network; delays are between 0 and ``longest`` ms, each synapse with its own."""
    rng = np.random.default_rng(5)
    first, last = hidden + 3, hidden + 8
    weight = rng.normal(mean_1, deviation_1, 5 * hidden)
    inner = all_to_all(range(first, last), range(hidden), weight, 0.0)
    weight = rng.normal(mean_2, deviation_2, 3 * hidden)
    outer = all_to_all(range(hidden), range(hidden, first), weight, 0.0)
    network = Network(first, [inner, outer], n_inputs=5, ports=ExpPort(5.0))
    if longest == 0.0:
        return network
    return network.replace(delay=rng.uniform(0.0, longest, len(network.weight)))


def trains_of(size):
    values, _ = yin_yang(size, 1)
    return [SpikeTrain(np.append(30.0 * row, 0.0), range(5), 5) for row in values]


def by_layers(network, trains, wrt):
    """Return the times of a forward and a backward pass, and the batch."""
    network = network.replace(weight=network.weight)  # as in training, nothing is laid out yet
    start = time.process_time()
    run = LayersBatch(Question(network, None, DURATION), trains, None, 1)
    batch = run.execute()
    middle = time.process_time()
    bars = np.resize([1.0, -0.5, 0.3], len(batch.spikes.time))
    begun = time.process_time()
    LayersPullback(run, batch)(bars, wrt=wrt)
    return middle - start, time.process_time() - begun, batch


def by_events(network, trains, wrt):
    network = network.replace(weight=network.weight)
    start = time.process_time()
    run = batch_run(network, trains, DURATION, None, "auto", None, "event", 10**6, 1)
    batch = run.execute()
    middle = time.process_time()
    bars = np.resize([1.0, -0.5, 0.3], len(batch.spikes.time))
    begun = time.process_time()
    EventPullback(run, batch, "heap")(bars, wrt=wrt)
    return middle - start, time.process_time() - begun, batch


WAYS = {
    "layers, weights": (by_layers, 0.0, ["weight"]),
    "layers, all parameters": (by_layers, 0.0, None),
    "events, weights": (by_events, 0.0, ["weight"]),
    "layers, weights and delays": (by_layers, 3.0, ["weight", "delay"]),
    "events, weights and delays": (by_events, 3.0, ["weight", "delay"]),
}


def measure(name, size, repeats):
    """Time all ways in turn; return a row of medians in us a sample."""
    *shape, kept, kept_events = NETS[name]
    trains = trains_of(size)
    ways = {
        way: partial(function, network_of(*shape, longest), trains, wrt)
        for way, (function, longest, wrt) in WAYS.items()
    }
    taken = {way: [] for way in ways}
    for repeat in range(repeats + 1):
        for way, run in ways.items():
            *seconds, batch = run()
            if repeat:  # the first one may compile
                taken[way].append(seconds)
            elif way == "layers, weights":
                counts = batch.counts
    medians = {
        way: [1e6 * statistics.median(part) / size for part in zip(*rows, strict=True)]
        for way, rows in taken.items()
    }
    expected = sum(medians["events, weights"]) * kept / kept_events
    return {
        "net": name,
        "batch": size,
        "spikes": counts.spikes / size,
        "arrivals": counts.arrivals / size,
        "us": medians,
        "eventprop_us": expected,
        "eventprop_over": {way: expected / sum(parts) for way, parts in medians.items()},
    }


def main():
    arguments = options(__doc__).parse_args()
    found = machine()
    show_machine(found)
    rows = []
    nets = list(NETS)[:1] if arguments.quick else NETS
    for name in nets:
        for size in (100, 500):
            row = measure(name, size, 3 if arguments.quick else 9)
            rows.append(row)
            print(
                f"{name}, batch of {size}: {row['spikes']:.0f} spikes and {row['arrivals']:.0f} "
                f"arrivals a sample; EventProp C++ would take about {row['eventprop_us']:.0f} us"
            )
            for way, (forward, backward) in row["us"].items():
                print(
                    f"  {way:<28} {forward:7.1f} + {backward:6.1f} us, "
                    f"{1e6 / (forward + backward):8.0f} a second of a processor; EventProp C++ / "
                    f"this: {row['eventprop_over'][way]:.2f}",
                    flush=True,
                )
    write_json(arguments.json, {"machine": found, "rows": rows})


if __name__ == "__main__":
    sys.exit(main())
