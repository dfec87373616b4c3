"""The naive twin of the forward engines: brute force in double precision, for anyone to believe.

Between two events of a neuron (arrival, spike, release) its closed-form voltage is evaluated on a
dense grid; the first grid point above threshold brackets the crossing, and bisection finishes it.
There is no theory of roots here, so an excursion above threshold that fits between two grid points
is lost. Nothing of the packages is imported.
"""

import heapq
import itertools

import numpy as np

RELEASE, INPUT, ARRIVAL = range(3)  # rank among events of equal time, after crossings


def dense_spikes(case, points=100_000):
    """Return the spikes of a ``snn-gradient-case/1`` dictionary: times (float64, ms), neurons."""
    neurons, synapses, inputs = case["neurons"], case["synapses"], case["inputs"]
    duration, n = float(case["duration"]), neurons["n"]
    currents = [current for port in neurons["ports"] for current in port_currents(port)]
    cells = [Cell(neurons, i, currents) for i in range(n)]
    order = itertools.count()
    pending = []
    for time, source in zip(inputs["times"], inputs["sources"], strict=True):
        heapq.heappush(pending, (float(time), INPUT, next(order), n + source))

    def emit(time, source):
        for synapse, pre in enumerate(synapses["pre"]):
            if pre == source:
                due = time + float(synapses["delay"][synapse])
                heapq.heappush(pending, (due, ARRIVAL, next(order), synapse))

    def predict(cell):
        due = [e[0] for e in pending if e[1] == ARRIVAL and synapses["post"][e[3]] == cell.index]
        cell.predict(min([duration, *due]), points)

    spikes = []
    for cell in cells:
        predict(cell)
    while True:
        cell = min(cells, key=lambda cell: (cell.crossing, cell.index))
        next_event = pending[0][0] if pending else np.inf
        if min(cell.crossing, next_event) > duration:
            break
        if cell.crossing <= next_event:
            time = cell.crossing
            spikes.append((time, cell.index))
            cell.advance(time)
            cell.v = cell.v_reset
            cell.held = cell.t_ref > 0
            if cell.held:
                heapq.heappush(pending, (time + cell.t_ref, RELEASE, next(order), cell.index))
            emit(time, cell.index)
        else:
            time, rank, _, index = heapq.heappop(pending)
            if rank == INPUT:
                emit(time, index)
                continue
            cell = cells[index if rank == RELEASE else synapses["post"][index]]
            cell.advance(time)
            if rank == RELEASE:
                cell.held = False
            else:
                cell.receive(synapses["port"][index], float(synapses["weight"][index]))
        predict(cell)
    spikes.sort()
    return np.array([t for t, _ in spikes]), np.array([i for _, i in spikes], dtype=np.int64)


def port_currents(port):
    """Return (tau, c) for every exponential current of a port."""
    if port["kind"] == "exp":
        return [(float(port["tau"]), 1.0)]
    rise, decay = float(port["tau_rise"]), float(port["tau_decay"])
    if abs(decay - rise) < 1e-5 * decay:
        # Symmetric about the mean: the alpha function to 1e-10, before cancellation takes over.
        mean = 0.5 * (rise + decay)
        rise, decay = mean * (1 - 1e-5), mean * (1 + 1e-5)
    peak = rise * decay / (decay - rise) * np.log(decay / rise)
    q = np.exp(-peak / decay) - np.exp(-peak / rise)
    return [(rise, -1 / q), (decay, 1 / q)]


class Cell:
    """One neuron: its state at its own last event, and the closed form from there."""

    def __init__(self, neurons, index, currents):
        def own(name):
            return float(neurons[name][index])

        self.index = index
        self.tau_m, self.v_th, self.v_reset = own("tau_m"), own("v_th"), own("v_reset")
        self.drive, self.t_ref = own("v_rest") + own("i_ext"), own("t_ref")
        self.tau = np.array([tau for tau, _ in currents])
        self.c = np.array([c for _, c in currents])
        sizes = [1 if port["kind"] == "exp" else 2 for port in neurons["ports"]]
        ends = np.cumsum(sizes)
        self.slices = [slice(end - size, end) for size, end in zip(sizes, ends, strict=True)]
        self.time, self.v, self.current = 0.0, own("v0"), np.zeros(len(currents))
        self.held, self.crossing = False, np.inf

    def voltage(self, time):
        """Evaluate the closed form at one or many times after the last event."""
        d = np.asarray(time, dtype=np.float64) - self.time
        decay = np.exp(-d / self.tau_m)
        v = self.drive + (self.v - self.drive) * decay
        for tau, c, current in zip(self.tau, self.c, self.current, strict=True):
            if current == 0.0:
                continue
            rate = 1 / self.tau_m - 1 / tau
            # c I (d / tau_m) e^(-d/tau_m) phi1(d rate); written so that nothing overflows
            if rate > 0:
                gain = np.exp(-d / tau) * -np.expm1(-d * rate) / rate
            elif rate < 0:
                gain = decay * np.expm1(d * rate) / rate
            else:
                gain = decay * d
            v = v + c * current * gain / self.tau_m
        return v

    def advance(self, time):
        if not self.held:
            self.v = float(self.voltage(time))
        self.current = self.current * np.exp(-(time - self.time) / self.tau)
        self.time = time

    def receive(self, port, weight):
        self.current[self.slices[port]] += weight

    def predict(self, end, points):
        """Set `crossing` to the first one in (time, end], or to infinity."""
        self.crossing = np.inf
        if self.held or end <= self.time:
            return
        grid = np.linspace(self.time, end, points)
        above = self.voltage(grid) > self.v_th
        above[0] = False  # at the start a neuron is below, or at the threshold up to rounding
        if not above.any():
            return
        first = int(np.argmax(above))
        low, high = grid[first - 1], grid[first]
        while low < (middle := 0.5 * (low + high)) < high:
            low, high = (low, middle) if self.voltage(middle) > self.v_th else (middle, high)
        self.crossing = float(high)
