"""The arrays of a thread that takes full layers back."""

from __future__ import annotations

import numpy as np

from adjoint.layers.dense.loop import BackRoom, DenseBack, DenseBars, run_dense_back
from adjoint.layers.loop import BackCursor
from refsim.layers.dense.layout import Dense
from refsim.layers.dense.types import empty_arrivals, empty_emissions


class DenseBackWorker:
    """The arrays of one thread, and the loop over the samples of a task."""

    def __init__(self, dense: Dense, back: DenseBack, bars: DenseBars):
        self._dense, self._back, self._bars = dense, back, bars
        emissions = int((np.diff(back.input_start) + np.diff(back.spike_start)).max())
        lines = int(np.diff(dense.groups.first, axis=1).max(initial=1))
        places = int(dense.groups.start[-1])
        self._room = BackRoom(
            m=np.zeros(places),
            q=np.zeros(places),
            by_time=np.zeros(places),
            last=np.zeros(len(dense.groups.size), dtype=np.int64),
            before=np.zeros(emissions, dtype=np.int64),
            row=np.zeros(emissions, dtype=np.int64),
            known=np.zeros(int(dense.groups.level[-1]) + 1, dtype=np.int64),
            arrivals=empty_arrivals(emissions * lines + 1),
            emissions=empty_emissions(emissions),
        )
        self._cursor = BackCursor(*np.zeros((5, 1), dtype=np.int64))

    def begin(self, first: int, stop: int) -> None:
        """Go to the samples of a task."""
        for counter in self._cursor:
            counter[0] = 0
        self._cursor.sample[0] = first
        self._cursor.stop[0] = stop

    def go_on(self) -> int:
        """Go back for a while and return a status."""
        return run_dense_back(*self._dense, self._back, self._bars, self._room, self._cursor)
