"""What losses and the bridges to PyTorch and JAX cost beside a simulation and its pullback.

Motivation: a bridge copies parameters into a network, simulates, and hands numbers over twice; JAX
calls it from compiled code. None of that should be seen beside the simulation.

Workloads: the gradient by all weights of the cross entropy of first spikes, of batches of the
Yin-Yang network (5 inputs, 120 hidden and 3 output neurons, 60 ms), and of one run of 15 neurons,
where what does not grow with the network shows. Ways: a loss in plain NumPy on what `vjp` or
`vjp_batch` returns; the same by `adjoint.losses`; PyTorch; JAX, compiled. Medians of runs in turn.
"""

from __future__ import annotations

import statistics
import sys
import time

import numpy as np
from common import machine, options, show_machine, write_json

import adjoint
import refsim
from adjoint import losses
from adjoint.losses import CrossEntropy, SpikeTime
from refsim.errors import MissingExtraError
from validation.case_suite.yinyang import to_spikes, yin_yang, yin_yang_network

DURATION, SCALE = 60.0, 2.0


def workloads(size):
    """Yield name, network, inputs, outputs and labels."""
    values, labels = yin_yang(size, 1)
    inputs = [to_spikes(row) for row in values]
    network = yin_yang_network(0)
    yield f"Yin-Yang, {size} samples", network, inputs, [120, 121, 122], labels
    hidden = refsim.all_to_all([15, 16, 17, 18, 19], range(12), network.weight[:60], 1.0)
    out = refsim.all_to_all(range(12), range(12, 15), 1.0, 1.0)
    tiny = refsim.Network(15, [hidden, out], n_inputs=5, ports=refsim.ExpPort(5.0))
    yield "15 neurons, one run", tiny, inputs[0], [12, 13, 14], int(labels[0])


def by_hand(network, inputs, outputs, labels):
    """Return a function that evaluates value and gradient without any of what is measured."""
    is_batch = isinstance(inputs, list)
    labels = np.atleast_1d(labels)
    wanted = np.eye(len(outputs))[labels]

    simulated = adjoint.vjp_batch if is_batch else adjoint.vjp

    def evaluate():
        # A step of training has other weights each time, which are laid out anew for the kernels.
        run, pullback = simulated(network.replace(weight=network.weight), inputs, DURATION)
        if is_batch:
            rows = run.first_spikes(outputs)
        else:
            found = [np.flatnonzero(run.spikes.neuron == n)[:1] for n in outputs]
            rows = np.array([[row[0] if len(row) else -1 for row in found]])
        first = np.append(run.spikes.time, DURATION)[rows]
        odds = np.exp(-(first - first.min(axis=1, keepdims=True)) / SCALE)
        share = odds / odds.sum(axis=1, keepdims=True)
        time_bar = np.zeros(len(run.spikes.time) + 1)
        time_bar[rows] = (wanted - share) / SCALE
        value = -np.log(share[wanted == 1.0]).sum()
        return value, pullback(time_bar[:-1], wrt="weight").weight

    return evaluate


def by_torch(network, inputs, loss):
    try:
        import adjoint.torch
    except MissingExtraError as error:
        print(error)
        return None
    module = adjoint.torch.Simulator(network, DURATION, loss)

    def evaluate():
        module.zero_grad()
        value = module(inputs).sum()
        value.backward()
        return value.item(), module.weight.grad.numpy()

    return evaluate


def by_jax(network, inputs, loss):
    try:
        import jax

        import adjoint.jax
    except MissingExtraError as error:
        print(error)
        return None
    jax.config.update("jax_enable_x64", True)
    function = adjoint.jax.function(network, inputs, DURATION, loss)
    step = jax.jit(jax.value_and_grad(lambda weight: function({"weight": weight}).sum()))
    weights = [jax.numpy.asarray(network.weight) * (1.0 + 1e-15 * i) for i in range(8)]
    count = 0

    def evaluate():
        nonlocal count
        count += 1  # other weights each time, for what was simulated is kept
        value, gradient = step(weights[count % len(weights)])
        return float(value), np.asarray(gradient)

    return evaluate


def measure(name, network, inputs, outputs, labels, repeats):
    """Time all ways in turn; return a row of medians in ms."""
    loss = CrossEntropy(SpikeTime(outputs), labels, SCALE)
    of_losses = losses.value_and_grad(loss, wrt="weight")

    def by_losses():
        value, gradient = of_losses(network.replace(weight=network.weight), inputs, DURATION)
        return value, gradient.weight

    ways = {
        "by hand": by_hand(network, inputs, outputs, labels),
        "losses": by_losses,
        "torch": by_torch(network, inputs, loss),
        "jax": by_jax(network, inputs, loss),
    }
    ways = {way: evaluate for way, evaluate in ways.items() if evaluate is not None}
    known, gradient = ways["by hand"]()
    for way, evaluate in ways.items():
        value, found = evaluate()
        assert abs(value - known) <= 1e-9 * abs(known), way
        assert np.abs(found - gradient).max() <= 1e-6 * np.abs(gradient).max(), way
    taken = {way: [] for way in ways}
    for _ in range(repeats):
        for way, evaluate in ways.items():
            started = time.perf_counter(), time.process_time()
            evaluate()
            taken[way].append((time.perf_counter() - started[0], time.process_time() - started[1]))
    row = {"workload": name}
    for way, seconds in taken.items():
        wall, cpu = (1e3 * statistics.median(column) for column in zip(*seconds, strict=True))
        row[way] = {"ms": wall, "processor_ms": cpu}
        print(f"{name:<24} {way:<8} {wall:10.3f} ms, {cpu:10.3f} of a processor", flush=True)
    return row


def main():
    given = options(__doc__).parse_args()
    found = machine("torch", "jax")
    show_machine(found)
    rows = [
        measure(
            *workload, repeats=(5 if "samples" in workload[0] else 50) * (1 if given.quick else 5)
        )
        for workload in workloads(50 if given.quick else 300)
    ]
    write_json(given.json, {"machine": found, "rows": rows})


if __name__ == "__main__":
    sys.exit(main())
