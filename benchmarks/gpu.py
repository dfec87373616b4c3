"""Samples per second of the event engine on a CUDA device, and nanoseconds of its bounded queues.

Motivation: a device has thousands of threads and slow ones. One thread a sample needs no barrier,
but threads of a warp that are at different events wait for each other. How many samples must a
batch have, and what is gained over the cores of the host? And how long do the bounded queues of
"EventQueues" take where each thread owns one?

Workloads: Yin-Yang classifiers with 5 inputs, 30 hidden and 3 output neurons, every delay its own,
for 60 ms, loss the sum of the spike times; and queues that are pushed to in three of ten steps and
polled in all. Times "of the kernel" leave out what the host does before and after.

Without a device the script says so and ends well. With one it leaves a record in
validation/device_records, which reports of refsim show; docs/gpu.md has its format.
"""

from __future__ import annotations

import statistics
import sys
import time

import numpy as np
from common import figure, leave_record, machine, options, show_machine

import adjoint
import queues
import refsim
from queues.bounded import dispatch as bounded_dispatch
from validation import certify
from validation.backends.cuda import event as cuda_event, target as cuda_target
from validation.case_suite.yinyang import to_spikes, yin_yang

DURATION = 60.0
REPEATS = 3  # of queues
STRUCTURES = {"single_spike": None, "bounded_fifo": 8, "bounded_heap": 8, "lossy_ring": 16}


def classifier(seed=0, hidden=30):
    """Return a network of 5 inputs, hidden neurons and 3 outputs."""
    rng = np.random.default_rng(seed)
    n = hidden + 3
    inputs, inner, outputs = n + np.arange(5), np.arange(hidden), np.arange(hidden, n)
    layers = [(inputs, inner, rng.normal(2.2, 1.0, (5, hidden)))]
    layers.append((inner, outputs, rng.normal(0.48, 0.48, (hidden, 3))))
    synapses = [
        refsim.all_to_all(pre, post, weight, rng.uniform(0.5, 4.0, weight.shape))
        for pre, post, weight in layers
    ]
    return refsim.Network(n, synapses, n_inputs=5, ports=refsim.ExpPort(5.0), tau_m=20.0)


def seconds(function, repeats):
    """Return the median time of a call, without the first, which may compile."""
    function()
    taken = []
    for _ in range(repeats):
        started = time.perf_counter()
        function()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def agreement(network, trains):
    """Return how far the device is from the CPU; unequal patterns of spikes end the script."""
    ours, pull_ours = cuda_event.vjp_batch(network, trains, DURATION)
    theirs, pull_theirs = adjoint.vjp_batch(network, trains, DURATION)
    if not np.array_equal(ours.spikes.neuron, theirs.spikes.neuron):
        sys.exit("the device has other spikes than the CPU; nothing is measured")
    one, other = (pull([1.0] * len(trains)) for pull in (pull_ours, pull_theirs))
    worst = max(
        np.abs(getattr(one, name) - values).max() / max(np.abs(values).max(), 1e-300)
        for name, values in other.items()
    )
    apart = np.abs(ours.spikes.time - theirs.spikes.time).max(initial=0.0)
    note = f"{len(trains)} samples, {len(ours.spikes.time)} spikes, against refsim on the CPU"
    yield figure("largest difference of spike times", apart, "ms", note)
    yield figure("largest difference of the gradient", worst, "", "relative to its group")


def certification():
    """Return what `certify` says of the device, for the cases of the standard suite."""
    certificate = certify(cuda_event.backend)
    said = [case.verdict for case in certificate.cases]
    note = f"of {len(said)}, {said.count('fail')} failed, {said.count('skip')} skipped"
    yield figure("cases certified", said.count("pass"), "", note)
    worst = max(
        (group.error / group.tolerance, case.name, group.group)
        for case in certificate.cases
        for group in case.groups
        if group.verdict != "skip"
    )
    yield figure("largest error by its tolerance", worst[0], "", f"{worst[2]} of {worst[1]}")


def forward_kernel(network, trains):
    """Return a function that runs the kernel alone."""
    from numba import cuda

    from validation.backends.cuda.passes import ForwardPass

    run = cuda_event.prepared(network, trains, DURATION)
    forward = ForwardPass(run.template, run.problem, run.arrays, run.memory)
    rows = forward.rows(len(trains), run.room)
    which = cuda.to_device(np.arange(len(trains)))
    status = cuda.device_array(len(trains), np.int64)

    def call():
        forward.start(rows, which, status)
        cuda.synchronize()

    return call


def event_engine(network, trains, repeats, with_cpu):
    """Measure a batch on the device, and on the CPU too if asked for."""
    size = len(trains)

    def forward():
        cuda_event.simulate_batch(network, trains, DURATION)

    def both(vjp_batch):
        vjp_batch(network, trains, DURATION)[1]([1.0] * size)

    rows = {
        "forward": seconds(forward, repeats),
        "forward, kernel": seconds(forward_kernel(network, trains), repeats),
        "forward and backward": seconds(lambda: both(cuda_event.vjp_batch), repeats),
    }
    pullback = cuda_event.vjp_batch(network, trains, DURATION)[1]
    rows["backward"] = seconds(lambda: pullback([1.0] * size), repeats)
    if with_cpu:
        rows["forward and backward, CPU"] = seconds(lambda: both(adjoint.vjp_batch), repeats)
    for name, taken in rows.items():
        yield figure(f"{name}, batch of {size}", size / taken, "samples/s")


def queue_steps(structure, capacity, n, steps):
    """Measure queues on the device and on the CPU."""
    from numba import cuda

    from validation.backends.cuda import queues as cuda_queues

    rng = np.random.default_rng(0)
    now = np.arange(float(steps))
    times = now[:, None] + rng.integers(0, 12, (steps, n))
    times[rng.random((steps, n)) > 0.3] = np.nan
    on_device = [cuda.to_device(array) for array in (times, now)]
    out = [cuda.device_array((steps, n), np.int64) for _ in range(2)]
    empty = bounded_dispatch.empty(structure, n, capacity or 1)
    arrays = [cuda_target.to_device(empty) for _ in range(REPEATS + 1)]  # each is played once
    batches = [queues.Batch(structure, n, capacity) for _ in range(REPEATS + 1)]
    for batch in batches:
        batch.clear()  # memory is touched here, and not while the clock runs

    def device():
        cuda_queues.launch(arrays.pop(), *on_device, *out)
        cuda.synchronize()

    def cpu():
        batch = batches.pop()
        for step in range(steps):
            pushed = np.flatnonzero(~np.isnan(times[step]))
            batch.push(pushed, times[step, pushed])
            batch.pop_due(step)

    size = "" if capacity is None else f" of {capacity}"
    for name, function in (("kernel", device), ("CPU", cpu)):
        taken = 1e9 * seconds(function, REPEATS) / (n * steps)
        note = f"{n} queues, {steps} steps; a queue and step"
        yield figure(f"{structure}{size}, {name}", taken, "ns", note)


def figures(sizes, n_queues, steps, repeats, most_on_cpu=4096):
    """Measure everything."""
    network = classifier()
    values, _ = yin_yang(max(sizes), 1)
    trains = [to_spikes(row) for row in values]
    found = [*certification(), *agreement(network, trains[:256])]
    for size in sizes:
        found += event_engine(network, trains[:size], repeats, size <= most_on_cpu)
    for structure, capacity in STRUCTURES.items():
        found += queue_steps(structure, capacity, n_queues, steps)
    return found


def main():
    arguments = options(__doc__).parse_args()
    why_not = cuda_event.cuda_reason_of_absence()
    if cuda_target.is_simulated():
        why_not = "the simulator of numba.cuda is no device, and its speed says nothing"
    if why_not is not None:
        print(f"nothing is measured: {why_not}")
        return
    name = cuda_target.device_name()
    print(name)
    show_machine(machine("numba-cuda"))
    if arguments.quick:
        found = figures((256, 4096), 2**16, 32, 3)
    else:
        found = figures((256, 1024, 4096, 16384, 65536), 2**20, 32, 5)
    leave_record(
        "events and queues", name, machine("numba-cuda", "cuda-toolkit"), found, arguments.json
    )


if __name__ == "__main__":
    main()
