"""Other simulators as they are, and how far they are from ours.

`PEERS` lists the back ends of `validation.backends` that drive a package of somebody else, with the
version that docs/peers.md is about; `measure` compares one with the exact gradient of a case.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import adjoint
from adjoint.types import Parameters
from refsim.cases import Case
from refsim.errors import IllConditionedWarning, InvalidValueError, MissingExtraError
from refsim.results.simulation import Simulation
from validation.comparison.answers import AnswerError, CheckedAnswer, checked_answer
from validation.comparison.backend import Answer, LossCotangents, NotExpressibleError, nth_of_neuron
from validation.comparison.comparison import OUTPUTS
from validation.peers.adseq import adseq_snn
from validation.peers.eventax import eventax_backend
from validation.peers.exact_event_adjoint import exact_event_adjoint_backend
from validation.peers.jaxsnn import jaxsnn_backend
from validation.peers.nest import nest_precise

_NOTICEABLE = 1e-3  # of the largest entry of a group: smaller ones are not asked for their sign


class Peer(NamedTuple):
    """A back end that drives a package of somebody else."""

    name: str
    extra: str
    distribution: str
    measured: str  # the version that was measured
    function: Callable[..., Answer]
    steps: tuple[float, ...] = ()  # ms, the time steps to measure, from long to short
    slow: bool = False  # compiles for half a minute for each network

    @property
    def installed(self) -> str | None:
        """Return the version that is installed, or None where something is missing."""
        try:
            for name in _NEEDS.get(self.distribution, ()):
                version(name)
            return version(self.distribution)
        except PackageNotFoundError:
            return None


# What a distribution does not ask for itself, and its adapter needs.
_NEEDS = {"adseq": ("flax",)}
_ADSEQ = ("adseq", "adseq", "0.9.4")
_EVENTAX = ("eventax", "eventax", "0.1.0")
_NEST = ("nest", "nest-simulator", "3.10.0")
_JAXSNN = ("jaxsnn", "jaxsnn", "0.3.0")
_HALVED = (0.1, 0.05)
_TENTHS = (0.1, 0.01, 0.001)

PEERS = (
    Peer("adseq", *_ADSEQ, adseq_snn, _HALVED),
    Peer("adseq, constant gate", *_ADSEQ, partial(adseq_snn, reset="constant"), _HALVED),
    Peer(
        "adseq, constant gate, Ring",
        *_ADSEQ,
        partial(adseq_snn, reset="constant", queue="Ring", capacity=None),
        _HALVED,
    ),
    Peer("eventax, checkpoint", *_EVENTAX, eventax_backend, (0.05,), slow=True),
    Peer(
        "eventax, EventProp",
        *_EVENTAX,
        partial(eventax_backend, adjoint="eventprop"),
        (0.05,),
        slow=True,
    ),
    Peer("NEST iaf_psc_exp_ps", *_NEST, nest_precise, _TENTHS),
    Peer(
        "NEST iaf_psc_exp_ps_lossless",
        *_NEST,
        partial(nest_precise, model="iaf_psc_exp_ps_lossless"),
        _TENTHS,
    ),
    Peer(
        "exact-event-adjoint",
        *("exact-event-adjoint", "exact-event-adjoint", "0.2.0"),
        exact_event_adjoint_backend,
    ),
    Peer("jaxsnn, EventProp", *_JAXSNN, jaxsnn_backend),
    Peer("jaxsnn, analytical", *_JAXSNN, partial(jaxsnn_backend, method="analytical")),
)


def available_peers() -> tuple[dict[str, Peer], dict[str, str]]:
    """Return the peers that are installed, and why the others are absent."""
    present = {peer.name: peer for peer in PEERS if peer.installed}
    absent = {
        peer.name: f'{peer.distribution} is not installed: pip install "refsim[{peer.extra}]"'
        for peer in PEERS
        if not peer.installed
    }
    return present, absent


class Reference(NamedTuple):
    """The exact answer for a case."""

    simulation: Simulation
    cotangents: LossCotangents
    gradient: Parameters


def reference(case: Case) -> Reference:
    """Return the exact answer; a case that is nearly ill-conditioned is one on purpose."""
    if case.time_bar is None:
        raise InvalidValueError(f"case {case.name!r} has no cotangents; expected time_bar")
    with warnings.catch_warnings(action="ignore", category=IllConditionedWarning):
        simulation, pullback = adjoint.vjp(
            case.network, case.inputs, case.duration, samples=case.samples
        )
    neuron = simulation.spikes.neuron.astype(np.int64)
    gradient = pullback(case.time_bar, case.voltage_bar)
    return Reference(simulation, LossCotangents.of(case, neuron), gradient)


@dataclass(frozen=True, eq=False)
class Measurement:
    """How far a back end is from the exact answer for a case."""

    outcome: str  # "measured", "refused" (cannot be expressed) or "failed" (an error)
    note: str = ""  # why it refused or failed
    spikes: int = 0
    missing: int = 0  # spikes of the reference that it does not have
    extra: int = 0
    time_error: float = np.nan  # ms, largest of the spikes that both have
    voltage_error: float = np.nan
    error: dict[str, float] = field(default_factory=dict)  # by group, nan if it cannot be read
    wrong_sign: dict[str, int] = field(default_factory=dict)  # by group, of noticeable entries
    seconds: float = 0.0  # of process time


def measure(
    function: Callable[..., Answer], case: Case, exact: Reference, **options: Any
) -> Measurement:
    """Compare a back end with the exact answer.

    Parameters
    ----------
    function
        A back end, as of `validation.comparison.backend.Backend`.
    case, exact
        A case with cotangents, and what `reference` returns for it.
    **options
        Handed on to the back end, as ``dt``.
    """
    begin = time.process_time()
    try:
        given = function(case.network, case.inputs, case.duration, exact.cotangents, **options)
        answer = checked_answer(given, case)
        if "gradient" in answer.problems:
            raise AnswerError(answer.problems["gradient"])
    except NotExpressibleError as error:
        return Measurement("refused", str(error))
    except MissingExtraError:
        raise
    except Exception as error:  # packages of others raise what they like
        first = (str(error).strip() or "no message").splitlines()[0]
        return Measurement("failed", f"{type(error).__name__}: {first}")
    seconds = time.process_time() - begin
    return replace(_compared(answer, exact), seconds=seconds)


def _compared(answer: CheckedAnswer, exact: Reference) -> Measurement:
    ours = exact.simulation.spikes
    theirs = _by_number(answer.time, answer.neuron)
    known = _by_number(ours.time, ours.neuron)
    both = known.keys() & theirs.keys()
    moved = [abs(known[key] - theirs[key]) for key in both]
    voltages = np.nan
    if answer.voltages is not None and len(exact.cotangents.samples):
        voltages = float(np.abs(answer.voltages - exact.simulation.voltages).max())
    groups = {
        name: (values, getattr(exact.gradient, name)) for name, values in answer.gradient.items()
    }
    unreadable = dict.fromkeys(answer.problems.keys() - set(OUTPUTS), np.nan)
    return Measurement(
        "measured",
        spikes=len(theirs),
        missing=len(known) - len(both),
        extra=len(theirs) - len(both),
        time_error=max(moved, default=np.nan),
        voltage_error=voltages,
        error={name: group_error(*pair) for name, pair in groups.items()} | unreadable,
        wrong_sign={name: _wrong_signs(*pair) for name, pair in groups.items()},
    )


def _by_number(
    times: NDArray[np.float64], neurons: NDArray[np.int64]
) -> dict[tuple[int, int], float]:
    """Return spike times by (neuron, number among its spikes)."""
    nth = nth_of_neuron(neurons)
    pairs = zip(neurons.tolist(), nth.tolist(), strict=True)
    return dict(zip(pairs, times.tolist(), strict=True))


def group_error(found: NDArray[np.float64], exact: NDArray[np.float64]) -> float:
    """Return the largest difference, relative to the largest entry of the exact gradient."""
    if not exact.size:
        return 0.0
    scale = float(np.abs(exact).max())
    return float(np.abs(found - exact).max()) / (scale if scale > 0.0 else 1.0)


def _wrong_signs(found: NDArray[np.float64], exact: NDArray[np.float64]) -> int:
    if not exact.size:
        return 0
    noticeable = np.abs(exact) > _NOTICEABLE * np.abs(exact).max()
    return int(np.sum(noticeable & (found * exact < 0.0)))
