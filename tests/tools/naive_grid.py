"""The naive twin of the time-grid engine: dictionaries and loops, by the text of docs/grid.md.

It simulates values only. To know tangents without any algebra of tangents, it can be *frozen*: run
again with other parameters, but with the spikes, the steps of arrivals and releases, and the
distances of times from the grid of a run before. What passes through the rounding is then a value:
an arrival that is x later than before finds the state that it would have left, moved back by x
along a straight line. The derivative of the frozen run is the tangent, by any difference quotient.
Of the packages only the shape of a case is used.
"""

import math
from collections import defaultdict

import numpy as np
from scipy.linalg import expm


def gain(r, s):
    """Gain of a cascade of rates r, s whose response has a peak of 1."""
    z = (r - s) / s
    return r * math.exp(math.log1p(z) / z if z else 1.0)


def rounded(x):
    """Half to even."""
    return int(np.rint(x))


class Past:
    """What a run has done, by the keys that a frozen run looks it up with."""

    def __init__(self):
        self.time = {}  # emission -> time; ("input", i) or ("spike", neuron, step)
        self.step = {}  # (emission, synapse) -> step of arrival
        self.voltages = {}  # (neuron, step) -> V and V_next of the flow
        self.spikes = []  # (time, neuron, step, V_next - V)
        self.samples = {}
        self.margin = math.inf  # of V_next to the threshold


class Twin:
    def __init__(self, case, dt, scheme):
        network = case.network
        self.n, self.dt, self.scheme = network.n_neurons, dt, scheme
        self.pre, self.post, self.port = (
            [int(i) for i in getattr(network, name)] for name in ("pre", "post", "port")
        )
        self.sizes = [len(port.time_constants) for port in network.ports]
        self.firsts = [sum(self.sizes[:p]) for p in range(len(self.sizes))]
        self.sources = [self.n + int(c) for c in case.inputs.sources]
        self.duration = case.duration
        self.samples = list(zip(case.samples.neurons, case.samples.times, strict=True))
        self.steps = max(math.ceil(case.duration / dt - 1e-9), 1)
        names = ("weight", "delay", "tau_m", "tau", "v_th", "v_reset", "v_rest", "i_ext", "t_ref")
        self.parameters = {name: np.array(getattr(network, name)) for name in (*names, "v0")}
        self.parameters["input_times"] = np.array(case.inputs.times)

    def matrix(self, p, i):
        """The step of (V - b, filters) of neuron i without spikes."""
        dt, membrane = self.dt, self.scheme.membrane
        size = 1 + sum(self.sizes)
        a = np.zeros((size, size))
        rate = 1.0 / p["tau_m"][i]
        a[0, 0] = -rate
        for first, stages in zip(self.firsts, self.sizes, strict=True):
            r = 1.0 / p["tau"][first : first + stages]
            for k in range(stages):
                a[1 + first + k, 1 + first + k] = -r[k]
            if stages == 2:
                a[2 + first, 1 + first] = gain(*r)
            a[0, first + stages] = rate
        if membrane == "euler":
            return np.eye(size) + dt * a
        exact = expm(a * dt)
        if membrane != "exact":
            beta = math.exp(-dt * rate)
            exact[0, 1:] = a[0, 1:] / rate
            exact[0, 1:] *= 1.0 - beta if membrane == "exponential" else dt * rate
        return exact

    def run(self, parameters=None, frozen=None):
        """Simulate; ``frozen`` is the Past of a run to follow."""
        return _Run(self, parameters or self.parameters, frozen).past


class _Run:
    def __init__(self, twin, p, frozen):
        self.twin, self.p, self.frozen, self.past = twin, p, frozen, Past()
        self.scheme, self.dt = twin.scheme, twin.dt
        self.matrices = [twin.matrix(p, i) for i in range(twin.n)]
        self.b = p["v_rest"] + p["i_ext"]
        self.v = list(map(float, p["v0"]))
        self.x = np.zeros((twin.n, sum(twin.sizes)))
        self.spike = {}  # neuron -> step of its last spike
        self.release = {}  # neuron that is not free -> step in which it is again
        self.calendar = defaultdict(list)
        for i, time in enumerate(p["input_times"]):
            self.emit(("input", i), float(time), twin.sources[i], -math.inf)
        for step in range(twin.steps + 1):
            self.begin(step)
            if step < twin.steps:
                for i in range(twin.n):
                    self.flow(i, step)
        self.past.spikes = sorted(
            s for s in self.past.spikes if s[0] <= twin.duration + 1e-9 * self.dt
        )

    def moved(self, emission):
        """How much later a spike is than in the run that is followed."""
        return self.past.time[emission] - self.frozen.time[emission] if self.frozen else 0.0

    def emit(self, emission, time, source, earliest):
        self.past.time[emission] = time
        for s in range(len(self.twin.pre)):
            if self.twin.pre[s] == source:
                if self.frozen:
                    step = self.frozen.step[emission, s]
                else:
                    step = rounded((time + self.p["delay"][s]) / self.dt) + self.scheme.latency
                    step = max(step, earliest)
                self.past.step[emission, s] = step
                self.calendar[step].append((emission, s))

    def current(self, i):
        ends = [f + k - 1 for f, k in zip(self.twin.firsts, self.twin.sizes, strict=True)]
        return sum(self.x[i, end] for end in ends)

    def begin(self, step):
        twin, p = self.twin, self.p
        for i in [i for i, release in self.release.items() if release == step]:
            del self.release[i]
            if self.scheme.reset == "exact" and self.frozen:
                slope = (self.b[i] - p["v_reset"][i] + self.current(i)) / p["tau_m"][i]
                late = self.moved(("spike", i, self.spike[i])) + p["t_ref"][i]
                self.v[i] = p["v_reset"][i] - slope * (late - twin.parameters["t_ref"][i])
        for emission, s in self.calendar[step]:
            self.receive(emission, s)
        for k, (i, time) in enumerate(twin.samples):
            if rounded(time / self.dt) == step:
                self.past.samples[k] = self.v[i]

    def receive(self, emission, s):
        p, i = self.p, self.twin.post[s]
        first, weight = self.twin.firsts[self.twin.port[s]], p["weight"][s]
        late = weight * (self.moved(emission) + p["delay"][s] - self.twin.parameters["delay"][s])
        r = 1.0 / p["tau"][first]
        self.x[i, first] += weight + r * late
        if self.twin.sizes[self.twin.port[s]] == 2:
            self.x[i, first + 1] -= gain(r, 1.0 / p["tau"][first + 1]) * late
        elif self.scheme.receive == "full" and i not in self.release:
            self.v[i] -= late / p["tau_m"][i]

    def flow(self, i, step):
        """Take neuron i through a step, and over the threshold."""
        p, scheme = self.p, self.scheme
        v = self.v[i]
        after = self.matrices[i] @ np.concatenate([[v - self.b[i]], self.x[i]])
        v_next = self.b[i] + after[0]
        self.x[i] = after[1:]
        self.past.voltages[i, step] = (v, v_next)
        if i in self.release:
            if scheme.hold and step == self.spike[i] + 1:
                self.v[i] = p["v_reset"][i] - self.softened(i, step, v, v_next, 0)
            return
        self.past.margin = min(self.past.margin, abs(v_next - p["v_th"][i]))
        crosses = v_next >= p["v_th"][i]
        if self.frozen:
            crosses = ("spike", i, step) in self.frozen.time
        if crosses:
            self.fire(i, step, v, v_next)
        soft = self.softened(i, step, v, v_next, 0 if scheme.hold else 1)
        self.v[i] = (p["v_reset"][i] if crosses and not scheme.hold else v_next) - soft

    def softened(self, i, step, v, v_next, looks_at):
        """(V_next - v_reset) times what the soft step has changed; it looks at V or at V_next."""
        if self.scheme.reset != "surrogate" or not self.frozen:
            return 0.0
        before = self.frozen.voltages[i, step][looks_at] - self.twin.parameters["v_th"][i]
        now = (v, v_next)[looks_at] - self.p["v_th"][i]
        slope = 1.0 / (self.scheme.steepness * abs(before) + 1.0) ** 2
        return (v_next - self.p["v_reset"][i]) * slope * (now - before)

    def fire(self, i, step, v, v_next):
        p, dt, emission = self.p, self.dt, ("spike", i, step)
        theta = (p["v_th"][i] - v) / (v_next - v)
        if self.scheme.spike_time == "linear":
            time = step * dt + dt * theta
        elif self.frozen:
            v0, v0_next = self.frozen.voltages[i, step]
            short = (p["v_th"][i] - v) - (self.twin.parameters["v_th"][i] - v0)
            time = self.frozen.time[emission] + short / ((v0_next - v0) / dt)
        else:
            time = (step + (self.scheme.spike_time == "end")) * dt
        self.past.spikes.append((time, i, step, v_next - v))
        self.spike[i] = step
        refractory = rounded(self.twin.parameters["t_ref"][i] / dt)
        self.release[i] = step + 1 + self.scheme.hold + refractory
        self.emit(emission, time, i, step + 1)
