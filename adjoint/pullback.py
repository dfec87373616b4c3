"""The vector-Jacobian product of a finished simulation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adjoint.events.keep import Keep
from adjoint.events.run import SORTED_PASS, EventPass
from adjoint.layers.run import LayersPass
from adjoint.layout import gradient
from adjoint.names import AdjointQueue, Wrt
from adjoint.types import Outcome, Parameters
from adjoint.windows.run import WindowPass, number_of_windows
from queues.exact.dispatch import STRUCTURES
from refsim.errors import InvalidValueError, UndefinedGradientError
from refsim.events.options import choose_queue
from refsim.names import QueueChoice
from refsim.network.network import Network
from refsim.network.parameters import NAMES, TIME_CONSTANTS
from refsim.question import Question
from refsim.results.result import Spikes
from refsim.results.simulation import Simulation
from refsim.types import Tape
from refsim.validate import choice, members, shown, vector


class Pullback:
    """Vector-Jacobian product of a finished simulation; made by :func:`vjp`.

    Attributes
    ----------
    dropped : int
        Number of cotangents that the last call dropped; 0 but for a lossy backward pass.
    by_windows : bool
        Whether the backward pass goes by windows, or event by event.
    """

    def __init__(
        self,
        question: Question,
        simulation: Simulation,
        adjoint_queue: AdjointQueue | Keep = "auto",
    ):
        self._question = question
        self._simulation = simulation
        queue = choose_adjoint_queue(adjoint_queue, question.network)
        self.by_windows = (
            simulation.engine == "windows"
            and adjoint_queue == "auto"
            and number_of_windows(question.network, question.duration) > 0
        )
        self._pass: WindowPass | LayersPass | EventPass
        if self.by_windows:
            self._pass = WindowPass(question, simulation.spikes)
        elif simulation.engine == "layers":
            self._pass = LayersPass(question, simulation)
        else:
            keep = adjoint_queue if isinstance(adjoint_queue, Keep) else None
            self._pass = EventPass(question, simulation, queue, keep)
        self.dropped = 0

    def __repr__(self) -> str:
        return f"<Pullback of {self._simulation!r}>"

    def __call__(
        self,
        time_bar: ArrayLike | None = None,
        voltage_bar: ArrayLike | None = None,
        wrt: Wrt | None = None,
    ) -> Parameters:
        """Return the gradient of a loss with these cotangents of spike times and voltages.

        Parameters
        ----------
        time_bar : (k,) float, optional
            dL/d(spike time), spikes sorted by (time, neuron).
        voltage_bar : (V,) float, optional
            dL/d(sampled voltage), in the order of the samples.
        wrt : str or sequence of str, optional
            Names of the parameters wanted, all of them by default; the others are None in the
            result. By windows, gradients by time constants take about as long as all others
            together, and those by delays a part of the rest.
        """
        wanted = checked_names(wrt)
        return finished(
            self._question, self._backward(time_bar, voltage_bar, *parts_of(wanted)), wanted
        )

    def spike_cotangents(
        self, time_bar: ArrayLike | None = None, voltage_bar: ArrayLike | None = None
    ) -> NDArray[np.float64]:
        """Return the total dL/d(spike time) (k,): direct, and through all that the spike causes.

        The effect on the neuron's own later spikes through its reset is not part of it.
        """
        return self._backward(time_bar, voltage_bar, False, False).spike_bar

    def _backward(
        self,
        time_bar: ArrayLike | None,
        voltage_bar: ArrayLike | None,
        with_delays: bool,
        with_rates: bool,
    ) -> Outcome:
        spikes = self._simulation.spikes
        n_spikes, n_samples = len(spikes.time), len(self._simulation.samples)
        spike_bar = vector("time_bar", 0.0 if time_bar is None else time_bar, n_spikes)
        sample_bar = vector("voltage_bar", 0.0 if voltage_bar is None else voltage_bar, n_samples)
        sorted_bar = sample_bar[self._question.sample_order]
        found = self._pass(spike_bar.copy(), sorted_bar, with_delays, with_rates)
        self.dropped = found.dropped
        check_slopes(spikes, found.spike_bar)
        return found


def parts_of(wanted: set[str]) -> tuple[bool, bool]:
    """Return whether a pass has to give gradients by delays, and by time constants."""
    return "delay" in wanted, not wanted.isdisjoint(TIME_CONSTANTS)


def finished(question: Question, found: Outcome, wanted: set[str]) -> Parameters:
    """Return what a pass has found as a gradient by the parameters wanted."""
    input_bar = np.zeros(len(question.inputs))
    input_bar[question.input_order] = found.input_bar
    result = gradient(question.network, found, input_bar).only(wanted)
    unknown = wanted
    if found.bound < np.finfo(float).max:  # to look at each takes a tenth of a pass by windows
        unknown = wanted - {"weight", "delay"}
    check_finite("gradient", result.only(unknown).items())
    return result


def checked_names(wrt: Any) -> set[str]:
    """Return names of parameters; None stands for all."""
    if wrt is None:
        return set(NAMES)
    names = [wrt] if isinstance(wrt, str) else members("wrt", wrt, "names of parameters")
    for i, name in enumerate(names):
        if name not in NAMES:
            raise InvalidValueError(
                f"wrt[{i}] is {shown(name)}; expected names among {', '.join(NAMES)}"
            )
    return set(names)


def choose_adjoint_queue(adjoint_queue: AdjointQueue | Keep, network: Network) -> str:
    """Return the name of an exact structure without lanes, or that of the sorted pass."""
    if isinstance(adjoint_queue, Keep):
        adjoint_queue = "auto"
    names = [
        name
        for name, structure in STRUCTURES.items()
        if not (structure.in_lanes or structure.in_steps)
    ]
    choice("adjoint_queue", adjoint_queue, ("auto", SORTED_PASS, *names))
    if adjoint_queue == SORTED_PASS:
        return SORTED_PASS
    return choose_queue(cast(QueueChoice, adjoint_queue), network, "adjoint_queue")


def check_slopes(tape: Tape | Spikes, spike_bar: NDArray[np.float64]) -> None:
    """Refuse a gradient through a spike whose slope is not positive in floating point."""
    flat = np.flatnonzero((tape.slope_before <= 0.0) & (spike_bar != 0.0))
    if flat.size:
        k = int(flat[0])
        raise UndefinedGradientError(
            f"neuron {tape.neuron[k]} touches its threshold at {tape.time[k]:.17g} ms with "
            f"dV/dt = {tape.slope_before[k]:.3g}; expected a crossing with positive slope. "
            "The gradient through this spike does not exist"
        )


def check_finite(kind: str, groups: Iterable[tuple[str, NDArray[np.float64]]]) -> None:
    """Refuse derivatives that have grown out of float64, as they do over long chaotic runs."""
    for name, values in groups:
        with np.errstate(over="ignore", invalid="ignore"):
            if np.isfinite(values.sum()):  # then all are; this takes a third of the time
                continue
        bad = np.flatnonzero(~np.isfinite(values))
        if bad.size:
            i = int(bad[0])
            raise UndefinedGradientError(
                f"{kind}.{name}[{i}] is {values[i]}; expected a number in the range of float64. "
                "Sensitivities grow with every spike of unstable activity: simulate a shorter time"
            )
