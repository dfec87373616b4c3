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


class Exact:
    """Spikes under way: each arrives at each synapse after its delay. Others are subclasses.

    ``number`` counts emissions from 0; ``offsets`` of (number, synapse) are added to arrivals.
    """

    def __init__(self, offsets=None):
        self.offsets = offsets or {}

    def start(self, case):
        self.delay = [float(d) for d in case["synapses"]["delay"]]
        self.pre = case["synapses"]["pre"]

    def due(self, number, time, synapse):
        return time + self.delay[synapse] + self.offsets.get((number, synapse), 0.0)

    def emit(self, number, time, source):
        """Yield (time of arrival, synapse) of a spike."""
        for synapse in range(len(self.pre)):
            if self.pre[synapse] == source:
                yield self.due(number, time, synapse), synapse

    def passes(self, number, synapse, time):
        """Return whether a spike that is due at a synapse is there."""
        return True


class Grid(Exact):
    """Arrivals at multiples of dt, but not before the spike."""

    def __init__(self, dt):
        super().__init__()
        self.dt = dt

    def due(self, number, time, synapse):
        step = round((time + self.delay[synapse]) / self.dt)
        while step * self.dt < time:
            step += 1
        self.offsets[number, synapse] = step * self.dt - (time + self.delay[synapse])
        return step * self.dt


class Dropping(Grid):
    """Bounded queues of synapses or sources, as dictionaries that anyone can believe."""

    def __init__(self, structure, capacity, per, dt=None):
        super().__init__(dt)
        self.structure, self.capacity, self.per = structure, capacity, per
        self.lost, self.arrived = set(), set()  # of (number, synapse)
        self.held, self.last, self.emitted = {}, {}, {}

    def due(self, number, time, synapse):
        rule = Grid if self.dt else Exact
        return rule.due(self, number, time, synapse)

    def emit(self, number, time, source):
        self.emitted[number] = (time, source)
        arrivals = list(super().emit(number, time, source))
        if not arrivals:
            return arrivals
        self.last[number] = max(arrivals, key=lambda pair: (self.delay[pair[1]], pair[1]))
        owners = (
            {("source", source): (self.last[number][0], [s for _, s in arrivals])}
            if self.per == "source"
            else {("synapse", s): (due, [s]) for due, s in arrivals}
        )
        for owner, (due, synapses) in owners.items():
            gone = self.offer(self.held.setdefault(owner, []), number, due)
            if gone is not None:
                self.lost |= {(gone, s) for s in synapses} - self.arrived
        return arrivals

    def offer(self, queue, number, due):
        """Put (number, due) into a queue and return the number that is lost for it."""
        if self.structure == "null":
            return number
        if self.structure in ("lossy_ring", "bit_array"):
            slot = round(due / self.dt) % self.capacity
            for entry in queue:
                if round(entry[1] / self.dt) % self.capacity == slot:
                    if self.structure == "bit_array":
                        return number
                    queue.remove(entry)
                    queue.append((number, due))
                    return entry[0]
            queue.append((number, due))
            return None
        if len(queue) < (self.capacity or 1):
            queue.append((number, due))
            return None
        if self.structure == "single_spike":
            gone = queue.pop()[0]
            queue.append((number, due))
            return gone
        return number

    def passes(self, number, synapse, time):
        if (number, synapse) in self.lost:
            return False
        self.arrived.add((number, synapse))
        owner = ("source", self.pre[synapse]) if self.per == "source" else ("synapse", synapse)
        if self.per == "synapse" or synapse == self.last[number][1]:
            self.held[owner] = [entry for entry in self.held[owner] if entry[0] != number]
        return True


def dense_spikes(case, points=100_000, transit=None):
    """Return the spikes of a ``snn-gradient-case/1`` dictionary: times (float64, ms), neurons."""
    transit = transit or Exact()
    transit.start(case)
    numbers = itertools.count()
    neurons, synapses, inputs = case["neurons"], case["synapses"], case["inputs"]
    duration, n = float(case["duration"]), neurons["n"]
    currents = [current for port in neurons["ports"] for current in port_currents(port)]
    cells = [Cell(neurons, i, currents) for i in range(n)]
    order = itertools.count()
    pending = []
    for time, source in zip(inputs["times"], inputs["sources"], strict=True):
        heapq.heappush(pending, (float(time), INPUT, next(order), n + source))

    def emit(time, source):
        number = next(numbers)
        for due, synapse in transit.emit(number, time, source):
            heapq.heappush(pending, (due, ARRIVAL, next(order), (number, synapse)))

    def predict(cell):
        due = [e[0] for e in pending if e[1] == ARRIVAL and synapses["post"][e[3][1]] == cell.index]
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
            if rank == ARRIVAL:
                number, index = index
                if not transit.passes(number, index, time):
                    predict(cells[synapses["post"][index]])  # which looked no further than this
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
