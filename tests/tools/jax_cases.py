"""Cases for the JAX back ends, and how far they may be from refsim by rounding."""

import warnings

import numpy as np
from hypothesis import HealthCheck, assume, settings

import refsim
from adjoint.check import evaluate
from validation.tolerances import EPS, slope_condition

usual = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
# Groups in the unit of the voltage; the others are times.
VOLTAGES = ("weight", "v_th", "v_reset", "v_rest", "i_ext", "v0")


def evaluated(case, least_slope=1e-4):
    """Evaluate a case whose spikes do not depend on rounding."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", refsim.IllConditionedWarning)
        try:
            evaluation = evaluate(case)
        except refsim.IllConditionedWarning:
            assume(False)
    network, spikes = case.network, evaluation.simulation.spikes
    scale = ((network.v_th - network.v_reset) / network.tau_m)[spikes.neuron]
    assume(np.all(spikes.slope_before > least_slope * scale))
    return evaluation


def rounding_floor(evaluation, group):
    """Return the rounding error of an entry of a gradient to which its terms may cancel.

    A spike with the total cotangent b and the slope V' passes b/V' on to voltages, and b times a
    ratio of slopes, at most its condition, to times. Its relative error is the condition times
    eps (`validation.tolerances`), times the few dozen operations between two spikes. What a
    voltage sample passes on has no division in it.
    """
    spikes, kappa = evaluation.simulation.spikes, slope_condition(evaluation.simulation)
    passed = np.abs(evaluation.spike_bar) * kappa
    passed = passed / spikes.slope_before if group in VOLTAGES else passed * kappa
    return 64.0 * EPS * (passed.sum() + np.abs(evaluation.case.voltage_bar).sum())


def gradient_errors(evaluation, gradient):
    """Return (group, error beyond rounding, relative to the largest entry) for all groups."""
    found = {}
    for group, expected in evaluation.gradient.items():
        values = np.asarray(gradient[group])
        assert values.shape == expected.shape, group
        error = np.max(np.abs(values - expected), initial=0.0)
        beyond = max(error - rounding_floor(evaluation, group), 0.0)
        largest = np.max(np.abs(expected), initial=0.0)
        found[group] = beyond / largest if largest else beyond
    return found
