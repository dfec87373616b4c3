"""Identities that any correct gradient satisfies to rounding, without a finite difference.

* Time: multiplying all times by a factor multiplies the spike times by it, so
  sum tau dL/dtau + sum d dL/dd + sum t_in dL/dt_in + sum t_ref dL/dt_ref = sum a_k t_k.
* Voltage: multiplying all voltages by a factor multiplies the sampled ones by it, so
  sum x dL/dx over weight, v_th, v_reset, v_rest, i_ext and v0 = sum u_i V_i.
* Shift: moving all inputs by h is moving the spikes by h, with a neuron that has already run
  for h, so sum dL/dt_in = sum a_k + sum dL/dv0 (v_rest + i_ext - v0)/tau_m.

Those of time are taken for the spike times alone: sample times are not parameters.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from adjoint.check import Evaluation, Judgement
from adjoint.types import Parameters
from refsim.cases import Case
from refsim.network.parameters import IN_MS, VOLTAGES
from validation.perturbation import value_of
from validation.tolerances import slope_condition

TOLERANCE = 1e-12

Terms = NDArray[np.float64]


def _scaling_terms(case: Case, gradient: Parameters, names: Sequence[str]) -> Terms:
    return np.concatenate([value_of(case, name) * getattr(gradient, name) for name in names])


def _shift_terms(case: Case, gradient: Parameters) -> Terms:
    network = case.network
    initial_slope = (network.v_rest + network.i_ext - network.v0) / network.tau_m
    return np.concatenate([gradient.input_times, -gradient.v0 * initial_slope])


def judge(evaluation: Evaluation) -> Judgement:
    """Check the three identities, relative to the size of what is added up."""
    case, simulation = evaluation.case, evaluation.simulation
    time = simulation.spikes.time
    of_times = evaluation.pullback(evaluation.time_bar)
    kappa = slope_condition(simulation)
    times_bar = np.abs(evaluation.pullback.spike_cotangents(evaluation.time_bar))
    through = float((kappa * times_bar * time).sum())
    through_shift = float((kappa * times_bar).sum())
    through_voltage = float((kappa * np.abs(evaluation.spike_bar) * time).sum())
    checks = {
        "time scaling": (
            _scaling_terms(case, of_times, IN_MS),
            evaluation.time_bar * time,
            through,
        ),
        "voltage scaling": (
            _scaling_terms(case, evaluation.gradient, VOLTAGES),
            case.voltage_bar * simulation.voltages,
            through_voltage,
        ),
        "time shift": (_shift_terms(case, of_times), evaluation.time_bar, through_shift),
    }
    errors = {}
    for name, (terms, known, spikes) in checks.items():
        weight = float(np.abs(terms).sum() + np.abs(known).sum()) + spikes
        difference = abs(float(terms.sum() - known.sum()))
        errors[name] = difference / weight if weight > 0.0 else difference
    worst = max(errors, key=lambda name: errors[name])
    verdict = "pass" if errors[worst] <= TOLERANCE else "fail"
    return Judgement(case.name, "identities", verdict, errors[worst], TOLERANCE, worst)
