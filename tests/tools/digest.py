"""Print a digest of spikes, tape, voltages, gradients and tangents of a set of cases.

Run as a program under different settings of Numba: every run must print the same.
"""

import hashlib
import sys

import numpy as np

import adjoint
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


if __name__ == "__main__":
    for chosen in [*given_cases(), *zoo()]:
        if len(sys.argv) == 1 or chosen.name in sys.argv[1:]:
            print(chosen.name, digest_of(chosen))
