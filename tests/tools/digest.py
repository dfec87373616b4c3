"""Print a digest of spikes, tape, voltages, gradients and tangents of a set of cases.

Run as a program under different settings of Numba: every run must print the same.
"""

import hashlib
import sys

import numpy as np

import adjoint
from adjoint.batch.layers import LayersPullback
from refsim import ExpPort, Network, SpikeTrain, all_to_all
from refsim.batch.layers import LayersBatch
from refsim.question import Question
from validation.case_suite.stored import given_cases
from validation.case_suite.zoo import zoo


def digest_of(case):
    """Return a digest of everything that we compute of a case."""
    arguments = (case.network, case.inputs, case.duration)
    simulation, pullback = adjoint.vjp(*arguments, samples=case.samples)
    gradient = pullback(case.time_bar, case.voltage_bar)
    rng = np.random.default_rng(0)
    direction = {name: rng.normal(size=len(values)) for name, values in gradient.items()}
    _, dot = adjoint.jvp(*arguments, direction, samples=case.samples)
    trace = simulation.trace(neurons=[0], step=1.0)
    arrays = [*simulation.spikes, simulation.voltages, simulation.conditioning, trace.voltage]
    arrays += [values for _, values in gradient.items()]
    arrays += [dot.time, dot.voltage]
    total = hashlib.sha256()
    for array in arrays:
        total.update(np.ascontiguousarray(array, dtype=np.float64).tobytes())
    return total.hexdigest()[:24]


def layered():
    """Yield names and networks of two layers: full ones, with delays of their own, refractory."""
    rng = np.random.default_rng(3)
    inner = all_to_all(range(23, 28), range(20), rng.normal(2.0, 1.0, 100), 0.0)
    outer = all_to_all(range(20), range(20, 23), rng.normal(1.5, 0.5, 60), 0.0)
    network = Network(23, [inner, outer], n_inputs=5, ports=ExpPort(5.0))
    yield "full layers", network
    yield "own delays", network.replace(delay=rng.uniform(0.0, 3.0, 160))
    yield "faster membranes", network.replace(tau_m=np.full(23, 3.0), v_reset=np.full(23, -0.5))
    yield "refractory", network.replace(t_ref=np.full(23, 1.0))


def digest_of_layers(network):
    """Return a digest of what the engine of acyclic networks finds, and of its gradients."""
    rng = np.random.default_rng(4)
    trains = [SpikeTrain(rng.uniform(0.0, 30.0, 9), rng.integers(0, 5, 9), 5) for _ in range(3)]
    run = LayersBatch(Question(network, None, 60.0), trains, None, 1)
    batch = run.execute()
    bars = rng.normal(size=len(batch.spikes.time))
    total = hashlib.sha256()
    for array in [*batch.spikes, batch.gaps, batch.origin]:
        total.update(np.ascontiguousarray(array, dtype=np.float64).tobytes())
    for wrt in (["weight"], ["weight", "delay", "input_times"], None):
        total.update(LayersPullback(run, batch)(bars, wrt=wrt).ravel().tobytes())
    return total.hexdigest()[:24]


if __name__ == "__main__":
    for chosen in [*given_cases(), *zoo()]:
        if len(sys.argv) == 1 or chosen.name in sys.argv[1:]:
            print(chosen.name, digest_of(chosen))
    for name, chosen in layered():
        if len(sys.argv) == 1 or name in sys.argv[1:]:
            print(name, digest_of_layers(chosen))
