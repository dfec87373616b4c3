"""A slow twin of the simulation that anyone can believe: matrix exponentials and a full log.

Between events the state z = (V - b, synaptic states) of a neuron obeys z' = A z, and flows by
a matrix exponential. Threshold crossings are looked for on a fine grid, at the maxima between
its points, and finished by Brent's method. Nothing of the engines, their closed forms or their
kernels is used. Every flow, arrival, spike, release and sample is logged, and
`validation.diagnosis.variants` goes through the log backwards.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq

from refsim.cases import Case
from validation.diagnosis.plain_flow import Matrix, Stages, Vector, exponential, matrix, stages_of

GRID = 4  # points in the shortest time constant
_RELEASE, _INPUT, _ARRIVAL, _SAMPLE = range(4)  # rank among events of equal time


class Flow(NamedTuple):
    """A neuron flows for ``dt`` from the state ``z``."""

    neuron: int
    dt: float
    z: Vector
    held: bool


class Arrival(NamedTuple):
    """A spike arrives."""

    neuron: int
    synapse: int
    source: tuple[str, int]  # ("spike", row) or ("input", row)
    held: bool


class Spike(NamedTuple):
    """A neuron crosses its threshold."""

    neuron: int
    row: int  # in order of time
    slope: float  # dV/dt before
    slope_at_reset: float  # dV/dt after, if it were not held


class Release(NamedTuple):
    """A neuron is held no longer."""

    neuron: int
    row: int  # of its spike
    slope: float  # dV/dt after


class Sample(NamedTuple):
    """A voltage is read."""

    neuron: int
    row: int
    held: bool


Entry = Flow | Arrival | Spike | Release | Sample


@dataclass
class Log:
    """What happened, in order."""

    case: Case
    stages: Stages
    entries: list[Entry] = field(default_factory=list)
    time: list[float] = field(default_factory=list)  # of spikes
    neuron: list[int] = field(default_factory=list)
    voltages: Vector = field(default_factory=lambda: np.zeros(0))
    # What `validation.diagnosis.variants` has computed of flows, by their number and kind.
    flows: dict[tuple, tuple[Matrix, Matrix]] = field(default_factory=dict)


class _Cell:
    """One neuron, at its own last event."""

    def __init__(self, log: Log, n: int):
        network = log.case.network
        self.n, self.log = n, log
        self.free, self.still = (matrix(network, log.stages, n, held) for held in (False, True))
        self.drive = network.v_rest[n] + network.i_ext[n]
        self.height = network.v_th[n] - self.drive
        self.reset = network.v_reset[n] - self.drive
        self.z = np.zeros(len(self.free))
        self.z[0] = network.v0[n] - self.drive
        self.time, self.held = 0.0, False
        self.crossing = np.inf
        self.mesh = 1.0 / (GRID * max(1.0 / network.tau_m[n], *log.stages.rate))

    def advance(self, time: float) -> None:
        """Flow to ``time``."""
        dt = time - self.time
        if dt > 0.0:
            self.log.entries.append(Flow(self.n, dt, self.z.copy(), self.held))
            self.z = exponential((self.still if self.held else self.free) * dt) @ self.z
        self.time = time

    def slope(self) -> float:
        """Return dV/dt, were the neuron free."""
        return float(self.free[0] @ self.z)

    def predict(self, end: float) -> None:
        """Find the first crossing up to ``end``."""
        self.crossing = np.inf
        span = end - self.time
        if self.held or span <= 0.0:
            return
        count = max(8, int(np.ceil(span / self.mesh)))
        step = span / count
        flow = exponential(self.free * step)
        z = self.z
        for k in range(count):
            following = flow @ z
            within = self._within(z, following, step)
            if within is not None:
                self.crossing = min(self.time + k * step + within, end)
                return
            z = following

    def _slope_after(self, t: float, z: Vector) -> float:
        # Products in the order of `_within`, so that both see the same sign at the end of a step.
        return float(self.free[0] @ (exponential(self.free * t) @ z))

    def _within(self, z: Vector, following: Vector, step: float) -> float | None:
        """Return when the voltage crosses between two points of the grid, None if it does not."""
        top = step
        if following[0] <= self.height:
            if not (self.free[0] @ z > 0.0 > self.free[0] @ following):
                return None
            top = brentq(self._slope_after, 0.0, step, args=(z,), xtol=1e-14)
            if (exponential(self.free * top) @ z)[0] <= self.height:
                return None
        if z[0] >= self.height:
            return 0.0

        def above(t: float) -> float:
            return float((exponential(self.free * t) @ z)[0] - self.height)

        return brentq(above, 0.0, top, xtol=1e-300, rtol=4 * np.finfo(float).eps)


class _Simulation:
    """All neurons and one heap of pending events (time, rank, order, what)."""

    def __init__(self, case: Case):
        self.case = case
        self.log = Log(case, stages_of(case.network), voltages=np.zeros(len(case.samples)))
        self.cells = [_Cell(self.log, n) for n in range(case.network.n_neurons)]
        self.outgoing: dict[int, list[int]] = {}
        for synapse, source in enumerate(case.network.pre):
            self.outgoing.setdefault(int(source), []).append(synapse)
        self.pending: list[tuple[float, int, int, tuple]] = []
        self.order = 0
        for row, time in enumerate(case.inputs.times):
            self.push(time, _INPUT, (row,))
        for row, time in enumerate(case.samples.times):
            self.push(time, _SAMPLE, (row,))

    def push(self, time: float, rank: int, what: tuple) -> None:
        if time <= self.case.duration:
            heapq.heappush(self.pending, (float(time), rank, self.order, what))
            self.order += 1

    def emit(self, time: float, source: int, origin: tuple[str, int]) -> None:
        for synapse in self.outgoing.get(source, []):
            self.push(time + self.case.network.delay[synapse], _ARRIVAL, (synapse, origin))

    def predict(self, cell: _Cell) -> None:
        """Look for a crossing up to the next arrival that is known."""
        post = self.case.network.post
        due = [
            time
            for time, rank, _, what in self.pending
            if rank == _ARRIVAL and post[what[0]] == cell.n
        ]
        cell.predict(min(due, default=self.case.duration))

    def fire(self, cell: _Cell) -> None:
        network, log = self.case.network, self.log
        row = len(log.time)
        cell.advance(cell.crossing)
        slope = cell.slope()
        cell.z[0] = cell.reset
        log.entries.append(Spike(cell.n, row, slope, cell.slope()))
        log.time.append(cell.time)
        log.neuron.append(cell.n)
        cell.held = True
        if network.t_ref[cell.n] == 0.0:
            self.release(cell, row)
        else:
            self.push(cell.time + network.t_ref[cell.n], _RELEASE, (cell.n, row))
        self.emit(cell.time, cell.n, ("spike", row))

    def release(self, cell: _Cell, row: int) -> None:
        cell.held = False
        self.log.entries.append(Release(cell.n, row, cell.slope()))

    def handle(self, time: float, rank: int, what: tuple) -> _Cell | None:
        """Let an event happen, and return the neuron whose crossing has to be predicted anew."""
        network, log = self.case.network, self.log
        if rank == _INPUT:
            source = network.n_neurons + int(self.case.inputs.sources[what[0]])
            self.emit(time, source, ("input", what[0]))
            return None
        if rank == _SAMPLE:
            cell = self.cells[self.case.samples.neurons[what[0]]]
            cell.advance(time)
            log.voltages[what[0]] = cell.z[0] + cell.drive
            log.entries.append(Sample(cell.n, what[0], cell.held))
            return None
        if rank == _RELEASE:
            cell = self.cells[what[0]]
            cell.advance(time)
            self.release(cell, what[1])
            return cell
        synapse, origin = what
        cell = self.cells[network.post[synapse]]
        cell.advance(time)
        cell.z[log.stages.entry[network.port[synapse]]] += network.weight[synapse]
        log.entries.append(Arrival(cell.n, synapse, origin, cell.held))
        return cell

    def run(self) -> Log:
        for cell in self.cells:
            self.predict(cell)
        while True:
            first = min(self.cells, key=lambda cell: (cell.crossing, cell.n))
            due = self.pending[0][0] if self.pending else np.inf
            if min(first.crossing, due) > self.case.duration:
                break
            if first.crossing <= due:
                self.fire(first)
                self.predict(first)
                continue
            time, rank, _, what = heapq.heappop(self.pending)
            touched = self.handle(time, rank, what)
            if touched is not None:
                self.predict(touched)
        for cell in self.cells:
            cell.advance(self.case.duration)
        return self.log


def simulate(case: Case) -> Log:
    """Simulate a case, and log all that happens."""
    return _Simulation(case).run()
