"""The queue experiments of the EventQueues paper on this CPU, ours beside adseq on JAX.

Motivation: the paper (arXiv 2512.05906) compares queue structures by their time per step and by
what bounded ones lose. This repeats its experiments with both packages on the same streams of
events, in one process, and prints its published figures beside them. Results are kept in
benchmarks/README.md.

* sizes: Poisson streams with a mean interval of 400 steps and a delay of 80, by number of queues;
* capacities: 10,000 queues, mean interval 10, delay 5, by capacity;
* drops: a raster with rate 0.1 a step, polled before pushed, by delay and capacity;
* gradients: networks whose synapses drop spikes, or drop cotangents on the way back, by drop rate
  (ours only).

`study_streams.py` and `study_gradients.py` say how.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import common
import study_pictures
from study_gradients import gradients
from study_streams import BATCHED, CAPACITY, capacities, drops, sizes

import refsim
from refsim.errors import MissingExtraError
from validation.queue_study.adseq import packages

PUBLISHED = Path(__file__).with_name("published_event_queues.json")


def show(title, rows, columns):
    """Print the rows of an experiment as they come, and return them."""
    print(f"\n{title}\n" + " ".join(f"{head:>12}" for head, _, _ in columns))
    kept = []
    for row in rows:
        kept.append(row)
        cells = ["-" if row[key] is None else format(row[key], form) for _, key, form in columns]
        print(" ".join(f"{cell:>12}" for cell in cells), flush=True)
    return kept


TIMES = [
    ("type", "type", ""),
    ("capacity", "capacity", "d"),
    ("queues", "queues", ",d"),
    ("refsim ns", "refsim_ns", ".3f"),
    ("adseq ns", "adseq_ns", ".3f"),
    ("ratio", "ratio", ".1f"),
    ("refsim/event", "refsim_ns_per_event", ".0f"),
    ("same", "same", ""),
]
DROPS = [
    ("type", "type", ""),
    ("capacity", "capacity", "d"),
    ("d lambda", "d_lambda", ".1f"),
    ("refsim", "refsim", ".4f"),
    ("adseq", "adseq", ".4f"),
    ("closed form", "closed_form", ".4f"),
    ("same", "same", ""),
]

GRADIENTS = [
    ("network", "network", ""),
    ("lost", "lost", ""),
    ("structure", "structure", ""),
    ("capacity", "capacity", "d"),
    ("d lambda", "d_lambda", ".1f"),
    ("dropped", "dropped", ".4f"),
    ("err. weight", "weight_error", ".4f"),
    ("err. delay", "delay_error", ".4f"),
    ("spikes", "spikes", ",d"),
    ("of lossless", "spikes_lossless", ",d"),
]


def ns_per_queue_step(published, n):
    return f"{1e3 * published / n:.3f}" if published is not None else "-"


def show_published(rows):
    """Print the published times next to ours, all in ns per queue and step."""
    published = json.loads(PUBLISHED.read_text())["sizes"]
    devices = [key for key in published if key not in ("workload", "queues")]
    print(f"\npublished, {published['workload']}; ns per queue and step")
    heads = ["type", "queues", *devices, "adseq here", "refsim here"]
    print(" ".join(f"{head:>14}" for head in heads))
    here = {(row["type"], row["queues"]): row for row in rows}
    for name in BATCHED:
        full = f"{name}[{CAPACITY[name]}]" if name in CAPACITY else name
        for k, n in enumerate(published["queues"]):
            row = here.get((name, 1_000_000 if n == 900_000 else n))
            cells = [full, f"{n:,}"]
            cells += [ns_per_queue_step(published[device][full][k], n) for device in devices]
            cells += [f"{row[key]:.3f}" if row else "-" for key in ("adseq_ns", "refsim_ns")]
            print(" ".join(f"{cell:>14}" for cell in cells))


def main():
    parser = common.options(__doc__)
    parser.add_argument("--out", metavar="FOLDER", help="also draw pictures into this folder")
    arguments = parser.parse_args()
    try:
        packages()
    except MissingExtraError as error:
        sys.exit(str(error))
    found = {"machine": common.machine("jax", "jaxlib", "adseq")}
    common.show_machine(found["machine"])
    found["sizes"] = show("by number of queues", sizes(arguments.quick), TIMES)
    show_published(found["sizes"])
    found["capacities"] = show("by capacity", capacities(arguments.quick), TIMES)
    found["drops"] = show("drops", drops(arguments.quick), DROPS)
    if not arguments.quick:  # their kernels alone take longer to compile than it may
        warnings.simplefilter("ignore", refsim.IllConditionedWarning)  # grids are full of ties
        found["gradients"] = show("gradients", gradients(), GRADIENTS)
    if arguments.out:
        folder = Path(arguments.out)
        folder.mkdir(parents=True, exist_ok=True)
        study_pictures.draw_sizes(found["sizes"], folder)
        study_pictures.draw_capacities(found["capacities"], folder)
        study_pictures.draw_drops(found["drops"], folder)
        if "gradients" in found:
            study_pictures.draw_gradients(found["gradients"], folder)
    common.write_json(arguments.json, found)


if __name__ == "__main__":
    sys.exit(main())
