"""Checks of a gradient by every judge that is installed.

A judge is a function from an Evaluation (a case, and what we say about it) to a Judgement. The
judges of refsim live in ``validation``, above this package, and are found through the entry point
group ``refsim.judges``; other distributions can add theirs in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import entry_points
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adjoint.api import vjp
from adjoint.pullback import Pullback
from adjoint.types import Parameters
from refsim.cases import Case, make_case
from refsim.errors import InvalidValueError, RefsimError
from refsim.inputs import Samples, SpikeTrain
from refsim.network import Network
from refsim.simulation import Simulation

JUDGES = "refsim.judges"


class GradientCheckError(RefsimError, AssertionError):
    """A judge rejects a gradient.

    Attributes
    ----------
    judgements : list of Judgement
        What every judge said.
    """

    def __init__(self, message: str, judgements: list[Judgement]):
        super().__init__(message)
        self.judgements = judgements


class SpikeCountError(InvalidValueError):
    """A case has cotangents for another number of spikes than there are."""


class Judgement(NamedTuple):
    """What one judge says about one case."""

    case: str
    judge: str
    verdict: str  # "pass", "fail" or "skip"
    error: float  # largest relative error, nan where there is none
    tolerance: float
    group: str  # what the largest error belongs to
    note: str = ""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A case with our spikes and gradient.

    Attributes
    ----------
    case : Case
        The case, with cotangents for every spike.
    simulation : Simulation
        Our result.
    pullback : Pullback
        Our vector-Jacobian product.
    """

    case: Case
    simulation: Simulation
    pullback: Pullback

    @property
    def time_bar(self) -> NDArray[np.float64]:
        """(k,) cotangents of the spike times."""
        assert self.case.time_bar is not None
        return self.case.time_bar

    @cached_property
    def gradient(self) -> Parameters:
        """Our gradient of the loss of the case."""
        return self.pullback(self.time_bar, self.case.voltage_bar)

    @cached_property
    def spike_bar(self) -> NDArray[np.float64]:
        """(k,) total dL/d(spike time), including what a spike causes later."""
        return self.pullback.spike_cotangents(self.time_bar, self.case.voltage_bar)


Judge = Callable[[Evaluation], Judgement]


def evaluate(case: Case, seed: int = 0) -> Evaluation:
    """Simulate a case; random cotangents stand in where it has none.

    Raises
    ------
    SpikeCountError
        If the case has cotangents for another number of spikes than the simulation gives.
    """
    simulation, pullback = vjp(case.network, case.inputs, case.duration, samples=case.samples)
    n_spikes = len(simulation.spikes.time)
    time_bar = case.time_bar
    if time_bar is None:
        time_bar = np.random.default_rng(seed).normal(size=n_spikes)
    elif len(time_bar) != n_spikes:
        raise SpikeCountError(
            f"cotangent has {len(time_bar)} entries; expected one for each of the {n_spikes} "
            "spikes that the simulation gives"
        )
    return Evaluation(Case(**{**case.__dict__, "time_bar": time_bar}), simulation, pullback)


def installed_judges() -> dict[str, Judge]:
    """Return the judges found through entry points, by name."""
    found = sorted(entry_points(group=JUDGES), key=lambda point: point.name)
    return {point.name: point.load() for point in found}


def check_grads(
    network: Network,
    inputs: SpikeTrain | None = None,
    duration: float | None = None,
    *,
    samples: Samples | tuple[Any, Any] | None = None,
    time_bar: ArrayLike | None = None,
    voltage_bar: ArrayLike | None = None,
    judges: Sequence[Judge] | None = None,
    seed: int = 0,
) -> list[Judgement]:
    """Check the gradient of a network by all judges.

    Parameters
    ----------
    network, inputs, duration, samples
        As for :func:`refsim.simulate`.
    time_bar, voltage_bar : array_like, optional
        Cotangents of the loss; random ones if not given.
    judges : sequence of Judge, optional
        Judges to ask; all that are installed by default.
    seed : int
        Source of random cotangents.

    Returns
    -------
    list of Judgement
        What every judge says.

    Raises
    ------
    GradientCheckError
        If a judge says "fail"; the message names the judge, the parameter and the error.
    """
    from refsim.engine import checked_network
    from refsim.validate import LONGEST, scalar

    duration = scalar("duration", duration, 0.0, LONGEST, strict=True)
    if voltage_bar is None and samples is not None:
        size = len(make_case("", checked_network(network), inputs, duration, samples).samples)
        voltage_bar = np.random.default_rng(seed + 1).normal(size=size)
    case = make_case(
        "network", checked_network(network), inputs, duration, samples, time_bar, voltage_bar
    )
    asked = list(installed_judges().values()) if judges is None else list(judges)
    if not asked:
        raise InvalidValueError(
            "judges is empty and none is installed; expected refsim to be installed with pip, "
            "or judges to be given"
        )
    evaluation = evaluate(case, seed)
    judgements = [judge(evaluation) for judge in asked]
    failures = [j for j in judgements if j.verdict == "fail"]
    if failures:
        lines = [
            f"{j.judge}: {j.group} is off by {j.error:.2g}, tolerance {j.tolerance:.2g} {j.note}"
            for j in failures
        ]
        raise GradientCheckError("the gradient is rejected\n" + "\n".join(lines), judgements)
    return judgements
