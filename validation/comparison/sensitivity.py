"""How far an answer moves when every number of a case is moved a little.

A computation in floating point answers, at best, for a case whose numbers are off by some units in
the last place. So all parameters, cotangents and sample times are moved at random by a relative
step, some times over, and the change of every group of outputs is measured. Per unit of the step
this is a condition number: multiplied by eps and by the number of roundings that stand in a row, it
bounds what rounding may do to a correct answer, through chains of spikes and cancelling sums alike.

Where a step changes the pattern of spikes, or the order of a spike, a release, a sample and an
arrival at one neuron, outputs jump. A correct answer may then lie on the other side of the jump.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from adjoint.api import vjp
from adjoint.check import Evaluation
from refsim.cases import Case
from refsim.errors import RefsimError
from refsim.network.inputs import Samples, SpikeTrain
from refsim.network.parameters import BOUNDED, TIME_CONSTANTS
from refsim.results.simulation import Simulation
from refsim.validate import LARGEST, LONGEST, SHORTEST_TAU
from validation.arrivals import arrivals
from validation.comparison.grid_reference import GridEvaluation
from validation.perturbation import value_of

Vector = NDArray[np.float64]

DRAWS = 4
TIMES = (0.0, LONGEST)
# Ranks of events of equal time, as in docs/mathematics.md.
SPIKE, RELEASE, ARRIVAL, SAMPLE = range(4)


class Sensitivity(NamedTuple):
    """Changes of outputs, in their own units, by group."""

    step: float  # relative size of the moves
    smooth: dict[str, float]  # largest change by moves that keep all orders, per unit of the step
    jump: dict[str, float]  # largest change by moves that do not
    unstable: frozenset[int]  # neurons of which a move has changed the number of spikes
    order_changes: bool  # whether a move has changed the order of events at a neuron


def sensitivity(
    evaluation: Evaluation, step: float, draws: int = DRAWS, late: float = 0.0
) -> Sensitivity:
    """Measure changes of all outputs of a case by random moves.

    Parameters
    ----------
    evaluation : Evaluation
        The reference.
    step : float
        Relative size of the moves.
    draws : int
        Number of moves.
    late : float
        Times (of inputs and samples, delays and refractory times) are moved by up to so many ms in
        place of their relative moves; once all of them later, and once all of them earlier.
    """
    base = _outputs(evaluation)
    pattern = _pattern(evaluation)
    smooth = dict.fromkeys(base, 0.0)
    jump = dict.fromkeys(base, 0.0)
    unstable: set[int] = set()
    order_changes = False
    for draw in range(draws):
        together = {0: 1.0, 1: -1.0}.get(draw) if late else None
        # Pairs to and fro: whatever lies at the edge of a change is beyond it in one of the two.
        rng = np.random.default_rng((7, draw // 2))
        sign = -1.0 if draw % 2 else 1.0
        move = Move(sign * step, sign * late, None if together is None else 1.0)
        moved = _evaluated_nearby(evaluation, move, rng)
        if not isinstance(moved, Evaluation):
            unstable |= moved
            continue
        same = np.array_equal(_pattern(moved), pattern)
        order_changes |= not same
        for group, values in _outputs(moved).items():
            change = float(np.max(np.abs(values - base[group]), initial=0.0))
            if same:
                smooth[group] = max(smooth[group], change / step)
            else:
                jump[group] = max(jump[group], change)
    return Sensitivity(step, smooth, jump, frozenset(unstable), order_changes)


def _outputs(evaluation: Evaluation) -> dict[str, Vector]:
    """Return all outputs by group, spikes by neuron."""
    spikes = evaluation.simulation.spikes
    times = spikes.time[np.argsort(spikes.neuron, kind="stable")]
    outputs = {"spike_times": times, "voltages": evaluation.simulation.voltages}
    return outputs | dict(evaluation.gradient.items())


class Move(NamedTuple):
    """How numbers are moved."""

    step: float  # relative
    late: float  # ms, of times
    together: float | None  # the part of ``late`` by which all times move; at random if None

    def near(
        self,
        values: Vector,
        rng: np.random.Generator,
        domain: tuple[float, float] = (-LARGEST, LARGEST),
    ) -> Vector:
        """Return numbers moved up or down, as far as there are such numbers."""
        signs = rng.choice([-1.0, 1.0], np.shape(values))
        return np.clip(values * (1.0 + self.step * signs), *domain)

    def near_times(self, values: Vector, rng: np.random.Generator) -> Vector:
        """Return times moved to and fro."""
        if not self.late:
            return self.near(values, rng, TIMES)
        by = rng.uniform(-1.0, 1.0, np.shape(values)) if self.together is None else self.together
        return np.clip(values + self.late * by, *TIMES)


def _moved(evaluation: Evaluation, move: Move, rng: np.random.Generator) -> Case:
    """Return the case with every number moved; cotangents stay with their spikes."""
    case = evaluation.case
    changes = {}
    for name, _ in evaluation.gradient.items():
        values = value_of(case, name)
        if name in BOUNDED:
            changes[name] = move.near_times(values, rng)
        elif name in TIME_CONSTANTS:
            changes[name] = move.near(values, rng, (SHORTEST_TAU, LONGEST))
        else:
            changes[name] = move.near(values, rng)
    inputs = SpikeTrain(changes.pop("input_times"), case.inputs.sources, case.inputs.n_inputs)
    times = np.minimum(move.near_times(case.samples.times, rng), case.duration)
    return replace(
        case,
        network=case.network.replace(**changes),
        inputs=inputs,
        samples=Samples(case.samples.neurons, times),
        time_bar=move.near(evaluation.time_bar, rng),
        voltage_bar=move.near(case.voltage_bar, rng),
    )


def _evaluated_nearby(
    evaluation: Evaluation, move: Move, rng: np.random.Generator
) -> Evaluation | set[int]:
    """Evaluate a moved case, or return neurons that spike more or less often there."""
    everyone = set(range(evaluation.case.network.n_neurons))
    try:
        case = _moved(evaluation, move, rng)
        simulation, pullback = _simulated(evaluation, case)
        before, after = evaluation.simulation.spikes.neuron, simulation.spikes.neuron
        changed = neurons_that_differ(before, after, len(everyone))
        if changed:
            return changed
        # Moved spikes may swap places; each keeps its cotangent.
        assert case.time_bar is not None
        time_bar = np.empty(len(after))
        time_bar[np.argsort(after, kind="stable")] = case.time_bar[
            np.argsort(before, kind="stable")
        ]
        moved = replace(
            evaluation,
            case=replace(case, time_bar=time_bar),
            simulation=simulation,
            pullback=pullback,
        )
        _ = moved.gradient
    except RefsimError:  # no spikes, or no gradient
        return everyone
    return moved


def _simulated(evaluation: Evaluation, case: Case) -> tuple[Any, Any]:
    """Simulate a case as the evaluated one was."""
    if isinstance(evaluation, GridEvaluation):
        return evaluation.nearby(case)
    return vjp(case.network, case.inputs, case.duration, samples=case.samples)


def _pattern(evaluation: Evaluation) -> NDArray[np.int64]:
    """Return what moves that matter little leave alone."""
    if isinstance(evaluation, GridEvaluation):
        return evaluation.pattern()
    return events_by_neuron(evaluation.simulation)


def neurons_that_differ(
    first: NDArray[np.int64], second: NDArray[np.int64], n_neurons: int
) -> set[int]:
    """Return neurons that have another number of spikes in the second than in the first."""
    counts = [np.bincount(neurons, minlength=n_neurons) for neurons in (first, second)]
    return set(np.flatnonzero(counts[0] != counts[1]).tolist())


def events_by_neuron(simulation: Simulation) -> NDArray[np.int64]:
    """Return (neuron, kind) of all events at neurons, sorted by neuron, time and kind."""
    spikes, samples, events = simulation.spikes, simulation.samples, arrivals(simulation)
    columns = [
        (SPIKE, spikes.time, spikes.neuron),
        (RELEASE, spikes.time + simulation.network.t_ref[spikes.neuron], spikes.neuron),
        (ARRIVAL, events.time, events.neuron),
        (SAMPLE, samples.times, samples.neurons),
    ]
    kind = np.concatenate([np.full(len(times), code) for code, times, _ in columns])
    moment = np.concatenate([times for _, times, _ in columns])
    neuron = np.concatenate([neurons for _, _, neurons in columns])
    order = np.lexsort((kind, moment, neuron))
    return np.stack([neuron[order], kind[order]])
