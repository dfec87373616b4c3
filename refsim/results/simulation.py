"""The result of a simulation."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from queues.summary import summary
from refsim.errors import InvalidValueError
from refsim.results.result import Result, Trace
from refsim.transit.lossy import Losses, NoLosses
from refsim.types import KeptState
from refsim.validate import LONGEST, as_array, freeze_all, indices, scalar, vector

_MOST_VOLTAGES = 1e9  # of a trace on the default grid, 8 GB


class Dropped(NamedTuple):
    """Synaptic events that bounded queues have lost, by order of emission of their spike."""

    source: NDArray[np.int64]  # (k,) neuron, or n_neurons + input channel
    emitted: NDArray[np.float64]  # (k,) ms, time of the spike
    synapse: NDArray[np.int64]  # (k,) number of the synapse in the network
    arrival: NDArray[np.float64]  # (k,) ms, when it would have arrived, be it after the end

    def __repr__(self) -> str:
        return summary(self)


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Simulation(Result):
    """An exact simulation, and what the adjoint needs of it; see :class:`Result` for the rest.

    Attributes
    ----------
    queue : str
        Structure of the event queue, such as "heap" or "fifo"; "none" in the window engine.
    losses : NoLosses or Losses
        Bounded queues, as the kernels leave them; see ``dropped``.
    origin : (e,) int
        Source of each emission in order: a row of spikes, or -1 - i for the i-th input spike in
        order of time.
    state : WindowState, EventState or None
        State at the end, or before the last window, if it was to be kept: what
        :func:`refsim.resume` begins from.
    """

    queue: str
    losses: NoLosses | Losses
    origin: NDArray[np.int64] = field(repr=False)
    state: KeptState | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        freeze_all((self.origin, self.losses, self.state or ()))

    @cached_property
    def dropped(self) -> Dropped:
        """Synaptic events that bounded queues have lost."""
        from refsim.results.trace import dropped

        return Dropped(*dropped(self))

    def __repr__(self) -> str:
        lost = "" if isinstance(self.losses, NoLosses) else f", {self.counts.dropped} dropped"
        when = f"{self.begin:g} to {self.duration:g}" if self.begin else f"{self.duration:g}"
        return (
            f"<Simulation: {self.n_spikes} spikes of {self.network.n_neurons} neurons in "
            f"{when} ms, {self.counts.arrivals} arrivals, "
            f"{self.queue if self.engine == 'events' else self.engine}{lost}>"
        )

    @property
    def drop_rate(self) -> float:
        """Fraction of the synaptic events of all emissions, also after the end, that were lost."""
        offered = 0 if isinstance(self.losses, NoLosses) else int(self.losses.used[0])
        return self.counts.dropped / offered if offered else 0.0

    def trace(
        self, neurons: ArrayLike | None = None, times: ArrayLike | None = None, step: float = 0.1
    ) -> Trace:
        """Compute voltages on a dense grid from the events, after the simulation.

        Parameters
        ----------
        neurons : (m,) int, optional
            Neurons wanted, all by default.
        times : (k,) float, optional
            Times in ms in ascending order; every ``step`` from 0 to the end by default.
        step : float
            Time in ms between the default times.

        Returns
        -------
        Trace
            Times (k,) and voltages (m, k), the same to the last bit as samples there.
        """
        from refsim.results.trace import replay

        if self.begin > 0.0:
            raise InvalidValueError(
                f"this simulation begins at {self.begin:g} ms, and what was before is forgotten; "
                "expected one from time 0 on, or samples"
            )
        n = self.network.n_neurons
        wanted = np.arange(n) if neurons is None else as_array("neurons", neurons, "integers")
        wanted = indices("neurons", np.atleast_1d(wanted), None, n)
        grid = self._grid(step, len(wanted)) if times is None else self._ascending(times)
        return Trace(grid, wanted, replay(self, wanted, grid))

    def _grid(self, step: Any, n_wanted: int) -> NDArray[np.float64]:
        """Return the times every ``step`` up to the end."""
        step = scalar("step", step, 0.0, LONGEST, strict=True)
        steps = self.duration / step
        if steps * n_wanted > _MOST_VOLTAGES:
            raise InvalidValueError(
                f"step is {step} for {self.duration:g} ms of {n_wanted} neurons; expected one "
                f"that gives at most {_MOST_VOLTAGES:g} voltages"
            )
        return np.minimum(np.arange(int(np.floor(steps + 1e-9)) + 1) * step, self.duration)

    def _ascending(self, times: Any) -> NDArray[np.float64]:
        """Return ``times``, which must be within the simulation and ascend."""
        grid = vector("times", times, None, 0.0, self.duration)
        descents = np.flatnonzero(np.diff(grid) < 0)
        if descents.size:
            i = int(descents[0])
            raise InvalidValueError(
                f"times[{i + 1}] is {grid[i + 1]} after {grid[i]}; expected ascending times"
            )
        return grid
