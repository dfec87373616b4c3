"""The plain twin and its adjoint, by which bugs are recognised: another way to the same numbers."""

import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import refsim
from adjoint.check import evaluate
from refsim.cases import make_case
from refsim.models.lif.flow import cascade_gain, cascade_gain_derivatives
from validation.case_suite.stored import given_cases
from validation.comparison.backend import LossCotangents
from validation.diagnosis import plain, variants
from validation.diagnosis.plain_flow import exponential, peak_gain
from validation.strategies import cases


def evaluated(case):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", refsim.IllConditionedWarning)
        return evaluate(case)


def gradients(evaluation, bugs=()):
    """Return the gradient of the twin, and that of the reference."""
    log = plain.simulate(evaluation.case)
    spikes = evaluation.simulation.spikes
    assert sorted(log.neuron) == sorted(spikes.neuron)
    asked = LossCotangents.of(evaluation.case, spikes.neuron)
    found = variants.gradient(log, asked.of_spikes(log.neuron), asked.voltage, bugs)
    return dict(found.items()), dict(evaluation.gradient.items())


def size(gradient):
    return max(float(np.max(np.abs(values), initial=0.0)) for values in gradient.values())


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(cases(max_spikes=40))
def test_spikes_and_voltages_are_those_of_the_engine(case):
    evaluation = evaluated(case)
    spikes = evaluation.simulation.spikes
    log = plain.simulate(evaluation.case)
    rows = np.lexsort((log.neuron, log.time))
    if np.array_equal(np.array(log.neuron)[rows], spikes.neuron):
        slope = np.min(spikes.slope_before, initial=np.inf)
        tolerance = 1e-11 * (1.0 + 1.0 / slope) * case.duration
        np.testing.assert_allclose(np.array(log.time)[rows], spikes.time, rtol=0.0, atol=tolerance)
        voltages = evaluation.simulation.voltages
        largest = np.max(np.abs(voltages), initial=1.0)
        np.testing.assert_allclose(log.voltages, voltages, rtol=0.0, atol=tolerance * largest)
    else:  # rounding may swap spikes of equal times
        assert sorted(log.neuron) == sorted(spikes.neuron)


@pytest.mark.parametrize("case", given_cases(), ids=lambda case: case.name)
def test_without_a_bug_it_is_the_gradient(case):
    found, reference = gradients(evaluated(case))
    for group, values in reference.items():
        np.testing.assert_allclose(
            found[group], values, rtol=0.0, atol=1e-11 * np.max(np.abs(values)), err_msg=group
        )


@pytest.mark.parametrize("bug", variants.BUGS)
def test_with_a_bug_it_is_another(bug):
    """Half of the neurons are refractory, and a port is a double_exp."""
    given = next(case for case in given_cases() if case.name.startswith("double_exp"))
    t_ref = 1.5 * (np.arange(given.network.n_neurons) % 2)
    network = given.network.replace(t_ref=t_ref)
    case = make_case("half", network, given.inputs, given.duration)
    found, reference = gradients(evaluated(case), [bug])
    difference = {group: found[group] - values for group, values in reference.items()}
    assert size(difference) > 1e-3 * size(reference)


def test_unknown_bugs_are_named():
    log = plain.simulate(given_cases()[0])
    with pytest.raises(ValueError, match="no_such_bug"):
        variants.gradient(log, np.zeros(len(log.time)), np.zeros(0), ["no_such_bug"])


@pytest.mark.parametrize("gap", [0.0, 1e-16, 1e-12, 1e-6, 0.1, 3.0])
def test_exponentials_keep_all_digits_of_nearly_equal_rates(gap):
    """SciPy's expm loses them all at a gap of one unit in the last place."""
    mpmath = pytest.importorskip("mpmath", reason="needs mpmath")
    r, s, t = 0.16210083, 0.16210083 * (1.0 + gap), 2.239
    found = exponential(np.array([[-r, 0.0], [0.44, -s]]) * t)
    with mpmath.workdps(50):
        exact = mpmath.expm(mpmath.matrix([[-r, 0], [0.44, -s]]) * t)
        known = np.array([[float(exact[i, j]) for j in range(2)] for i in range(2)])
    np.testing.assert_allclose(found, known, rtol=1e-14)


@pytest.mark.parametrize(("rise", "decay"), [(1.0, 5.0), (5.0, 1.0), (4.0, 4.0), (4.0, 4.0 + 1e-9)])
def test_the_gain_of_a_double_exp_and_its_derivatives(rise, decay):
    r, s = 1.0 / rise, 1.0 / decay
    assert peak_gain(r, s) == pytest.approx(cascade_gain(r, s), rel=1e-14)
    network = refsim.Network(1, ports=refsim.DoubleExpPort(rise, decay))
    case = make_case("port", network, None, 1.0)
    flows = variants._Flows(plain.simulate(case))
    (_, _, _, by_rise), (_, _, _, by_decay) = flows.by_tau[False]
    of_r, of_s = cascade_gain_derivatives(r, s)
    assert by_rise == pytest.approx(-of_r * r * r, rel=1e-12)
    assert by_decay == pytest.approx(-of_s * s * s, rel=1e-12)
