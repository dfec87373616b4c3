"""Checks of a gradient by every judge that is installed.

A judge is a function from an Evaluation (a case, and what we say about it) to a Judgement. The
judges of refsim live in ``validation``, above this package, and are found through the entry point
group ``refsim.judges``; other distributions can add theirs in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
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
from refsim.neighbours import loaded
from refsim.network.inputs import Samples, SpikeTrain, checked_samples
from refsim.network.network import Network
from refsim.question import checked_duration, checked_network
from refsim.results.simulation import Simulation

JUDGES = "refsim.judges"


class GradientCheckError(RefsimError, AssertionError):
    """A judge rejects a gradient.

    Attributes
    ----------
    judgements : Judgements
        What every judge said.
    """

    def __init__(self, message: str, judgements: Judgements):
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


@dataclass(frozen=True, eq=False, repr=False)
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

    def __repr__(self) -> str:
        return f"<Evaluation of {self.case!r}: {self.simulation!r}>"

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


def evaluate(case: Case, seed: int = 0, default_bar: float | None = None) -> Evaluation:
    """Simulate a case; where it has no cotangents of spike times, random ones stand in.

    Parameters
    ----------
    case : Case
        The case.
    seed : int
        Source of random cotangents.
    default_bar : float, optional
        What stands in instead, for every spike.

    Raises
    ------
    SpikeCountError
        If the case has cotangents for another number of spikes than the simulation gives.
    """
    simulation, pullback = vjp(case.network, case.inputs, case.duration, samples=case.samples)
    n_spikes = len(simulation.spikes.time)
    time_bar = case.time_bar
    if time_bar is None:
        drawn = np.random.default_rng(seed).normal(size=n_spikes)
        time_bar = drawn if default_bar is None else np.full(n_spikes, default_bar)
    elif len(time_bar) != n_spikes:
        raise SpikeCountError(
            f"cotangent has {len(time_bar)} entries; expected one for each of the {n_spikes} "
            "spikes that the simulation gives"
        )
    return Evaluation(replace(case, time_bar=time_bar), simulation, pullback)


class Judgements(list[Judgement]):
    """Judgements that print as a table."""

    def __repr__(self) -> str:
        rows = [("judge", "verdict", "error", "tolerance", "worst in", "note")]
        rows += [
            (j.judge, j.verdict, f"{j.error:.1e}", f"{j.tolerance:.1e}", j.group, j.note)
            for j in self
        ]
        widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
        padded = ("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in rows)
        return "\n".join(line.rstrip() for line in padded)


def installed_judges() -> dict[str, Judge]:
    """Return the judges found through entry points, by name."""
    found = sorted(entry_points(group=JUDGES), key=lambda point: point.name)
    return {point.name: loaded(point) for point in found}


def _asked(judges: Sequence[Judge | str] | None) -> list[Judge]:
    installed = installed_judges()
    if judges is None:
        judges = list(installed)
    if not judges:
        raise InvalidValueError(
            "judges is empty and none is installed; expected refsim to be installed with pip, "
            "or judges to be given"
        )
    asked: list[Judge] = []
    for i, judge in enumerate(judges):
        if not isinstance(judge, str):
            asked.append(judge)
        elif judge in installed:
            asked.append(installed[judge])
        else:
            raise InvalidValueError(
                f"judges[{i}] is {judge!r}; expected a function, or a name among "
                f"{', '.join(installed)}"
            )
    return asked


def check_grads(
    network: Network,
    inputs: SpikeTrain | None = None,
    duration: float | None = None,
    *,
    samples: Samples | tuple[Any, Any] | None = None,
    time_bar: ArrayLike | None = None,
    voltage_bar: ArrayLike | None = None,
    judges: Sequence[Judge | str] | None = None,
    seed: int = 0,
) -> Judgements:
    """Check the gradient of a network by all judges.

    Parameters
    ----------
    network, inputs, duration, samples
        As for :func:`refsim.simulate`.
    time_bar, voltage_bar : array_like, optional
        Cotangents of the loss; random ones if not given.
    judges : sequence of Judge or str, optional
        Judges to ask, as functions or by the names of installed ones; all of these by default.
    seed : int
        Source of random cotangents.

    Returns
    -------
    Judgements
        A list of what every judge says, which prints as a table.

    Raises
    ------
    GradientCheckError
        If a judge says "fail"; the message names the judge, the parameter and the error.
    """
    end = checked_duration(duration)
    if voltage_bar is None:
        size = len(checked_samples(samples, checked_network(network).n_neurons, end))
        voltage_bar = np.random.default_rng(seed + 1).normal(size=size)
    case = make_case("network", network, inputs, end, samples, time_bar, voltage_bar)
    asked = _asked(judges)
    evaluation = evaluate(case, seed)
    report = Judgements(judge(evaluation) for judge in asked)
    if any(j.verdict == "fail" for j in report):
        raise GradientCheckError(f"the gradient is rejected\n{report!r}", report)
    return report
