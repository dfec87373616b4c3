"""The result of a simulation on a time grid."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from refsim.errors import InvalidValueError
from refsim.grid.scheme import GridScheme
from refsim.results.result import Result, Trace
from refsim.validate import as_array, freeze_all, indices


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class GridSimulation(Result):
    """A simulation on a time grid; see :class:`refsim.Result` for the rest.

    Voltages are those at the steps nearest to the samples.

    Attributes
    ----------
    scheme : GridScheme
        The rules of the steps.
    n_steps : int
        Number of steps.
    spike_step : (k,) int
        Step in which the voltage crosses, for each spike. Its ``slope_before`` is the change of the
        voltage in this step, over dt.
    kept : Trace or None
        Voltages of all neurons at the beginning of each step, if they were to be kept.
    """

    scheme: GridScheme
    n_steps: int
    spike_step: NDArray[np.int64] = field(repr=False)
    kept: Trace | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        freeze_all((self.spike_step, self.kept or ()))

    def __repr__(self) -> str:
        return (
            f"<GridSimulation: {self.n_spikes} spikes of {self.network.n_neurons} neurons "
            f"in {self.duration:g} ms, {self.n_steps} steps of {self.dt:g} ms, "
            f"{self.counts.arrivals} arrivals>"
        )

    def trace(self, neurons: ArrayLike | None = None) -> Trace:
        """Return the voltages at the beginning of each step, where they were kept.

        Parameters
        ----------
        neurons : (m,) int, optional
            Neurons wanted, all by default.

        Raises
        ------
        InvalidValueError
            If the simulation was not one with ``Grid(dt, keep_voltages=True)``.
        """
        if self.kept is None:
            raise InvalidValueError(
                "voltages of steps were not kept; expected engine=Grid(dt, keep_voltages=True), or "
                "samples"
            )
        n = self.network.n_neurons
        wanted = np.arange(n) if neurons is None else as_array("neurons", neurons, "integers")
        wanted = indices("neurons", np.atleast_1d(wanted), None, n)
        return Trace(self.kept.time, wanted, self.kept.voltage[wanted])
