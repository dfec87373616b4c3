"""The time-grid engine as a program: Ctrl-C, compiled and interpreted lanes, and its back end."""

import hashlib
import os
import subprocess
import sys

import numba
import numpy as np
import pytest
from signals import interrupted

import adjoint
import refsim
from refsim import GridScheme
from refsim.cases import make_case
from validation.backends import refsim_grid
from validation.case_suite.zoo import double_exponential, two_ports
from validation.comparison.backend import LossCotangents

FORWARD = """
import numpy as np
from refsim import Grid, Network, SimulationInterrupted, simulate

network = Network(100, i_ext=3.0)
simulate(network, None, 1.0, engine=Grid(0.1))
print("ready", flush=True)
try:
    simulate(
        network, None, 1e8, engine=Grid(0.1), max_spikes=10**12, samples=([0, 1], [0.3, 1e8])
    )
except SimulationInterrupted as error:
    run = error.partial
    assert 0 < run.duration < 1e8
    assert np.all(run.spikes.time <= run.duration)
    assert np.isnan(run.voltages).tolist() == [False, True]
    assert "the attribute partial holds" in str(error)
    print("partial", flush=True)
"""

BACKWARD = """
import adjoint
from refsim import Grid, Network

network = Network(100, i_ext=3.0)
pullback = adjoint.vjp(network, None, 30.0, engine=Grid(0.1))[1]
expected = pullback(1.0)
print("ready", flush=True)
try:
    while True:
        pullback(1.0)
except KeyboardInterrupt:
    assert (pullback(1.0).tau_m == expected.tau_m).all()
    print("interrupted", flush=True)
"""

SCHEMES = [
    GridScheme(),
    GridScheme("exponential", "start", hold=True, reset="none"),
    GridScheme("euler", "end", "current", latency=2),
    GridScheme.adseq(steepness=3.0),
    GridScheme(reset="surrogate"),
]


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT is sent as on Unix")
@pytest.mark.parametrize(
    ("script", "word"), [(FORWARD, "partial"), (BACKWARD, "interrupted")], ids=["forward", "back"]
)
def test_ctrl_c(script, word):
    output, errors, code, seconds = interrupted(script, interpreted=False)
    assert errors == ""
    assert output.split() == ["ready", word]
    assert code == 0
    assert seconds < 20.0  # half a second on an idle machine


def digest():
    """Return a digest of spikes, voltages, gradients and tangents of some networks and rules."""
    total = hashlib.sha256()
    for case in (two_ports(), double_exponential()):
        for scheme in SCHEMES:
            arguments = (case.network, case.inputs, 30.0)
            grid = refsim.Grid(0.1, scheme)
            samples = ([0, 3, 6], [7.0, 19.0, 30.0])
            run, pullback = adjoint.vjp(*arguments, samples=samples, engine=grid)
            gradient = pullback(1.0, 1.0)
            direction = {name: np.ones(len(values)) for name, values in gradient.items()}
            dot = adjoint.jvp(*arguments, direction, samples=samples, engine=grid)[1]
            found = [*run.spikes, run.voltages, *dot, *(values for _, values in gradient.items())]
            for array in found:
                total.update(np.ascontiguousarray(array, dtype=np.float64).tobytes())
    return total.hexdigest()


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="needs the compiler")
def test_compiled_and_interpreted_runs_agree_to_the_last_bit():
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    code = "import test_grid_runs; print(test_grid_runs.digest())"
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == digest()


def cotangents_of(case):
    simulation = refsim.simulate(case.network, case.inputs, case.duration)
    return LossCotangents.of(case, simulation.spikes.neuron)


def test_the_back_end_answers_with_the_gradient_of_the_loss():
    """The exact one, but for the error of the step; cotangents differ from spike to spike."""
    given = two_ports()
    samples = ([0, 1], [5.0, 12.0])
    exact, vjp = adjoint.vjp(given.network, given.inputs, 20.0, samples=samples)
    bars = np.linspace(1.0, 2.0, len(exact.spikes.time))
    case = make_case("part", given.network, given.inputs, 20.0, samples, bars, [1.0, -2.0])
    expected = dict(vjp(bars, case.voltage_bar).items())
    for dt in (0.01, 0.001):
        answer = refsim_grid.backend(
            case.network, case.inputs, case.duration, cotangents_of(case), dt=dt
        )
        assert sorted(answer.neuron) == sorted(exact.spikes.neuron)
        assert np.abs(answer.voltages - exact.voltages).max() < dt
        assert set(answer.gradient) == set(expected)
        for name, values in expected.items():
            error = np.abs(answer.gradient[name] - values).max()
            assert error < 2.0 * dt * np.abs(values).max(), name


def test_a_spike_that_the_reference_does_not_have_has_no_cotangent():
    case = two_ports()
    cotangents = cotangents_of(case)
    answer = refsim_grid.backend(
        case.network, case.inputs, case.duration, cotangents, dt=0.5,
        scheme=GridScheme("euler", hold=True),
    )  # fmt: skip
    assert len(answer.time) != len(cotangents.time)
    assert np.isfinite(answer.gradient["weight"]).all()
