"""A back end with a time step, of first order: what somebody brings to be certified.

State advances by matrix exponentials from step to step; arrivals are rounded to steps, crossings
are interpolated, and the adjoint goes back over the same steps by the textbook's rules.
"""

from collections import defaultdict

import numpy as np
from scipy.linalg import expm

from refsim import DoubleExpPort
from validation.comparison.backend import Answer


def matrices(network):
    """Return A (n, m, m) of all neurons, and where each port begins and ends."""
    tau, ends = network.tau, np.cumsum([len(port.time_constants) for port in network.ports])
    first = [
        end - len(port.time_constants) + 1 for port, end in zip(network.ports, ends, strict=True)
    ]
    a = np.zeros((network.n_neurons, len(tau) + 1, len(tau) + 1))
    a[:, np.arange(1, len(tau) + 1), np.arange(1, len(tau) + 1)] = -1 / tau
    a[:, 0, 0] = -1 / network.tau_m
    for port, begin, end in zip(network.ports, first, ends, strict=True):
        a[:, 0, end] = 1 / network.tau_m
        if isinstance(port, DoubleExpPort):
            a[:, end, begin] = peak_factor(*port.time_constants)
    return a, np.array(first), ends


def peak_factor(rise, decay):
    """Return the coupling of a cascade whose response to 1 peaks at 1."""
    z = (decay - rise) / rise
    ratio = 1.0 if z == 0.0 else np.log1p(z) / z
    return np.exp(ratio * decay / rise) / decay


class Grid:
    """Simulates with a step of ``dt`` and remembers every step."""

    def __init__(self, network, inputs, duration, samples, dt, delay_steps=0):
        self.network, self.inputs, self.dt = network, inputs, dt
        self.steps = int(np.ceil(duration / dt - 1e-9))
        self.a, self.first, self.last = matrices(network)
        self.flow = expm(self.a * dt)
        still = self.a.copy()
        still[:, 0] = 0.0
        self.still_flow = expm(still * dt)
        self.arrivals = defaultdict(list)  # step: (synapse, spike row or -1 - input row)
        self.spikes = []  # (time, neuron, step, slope before)
        self.releases = defaultdict(list)  # step: (neuron, spike row)
        self.sampled = defaultdict(list)
        self.extra = delay_steps
        for i, t in enumerate(samples.times):
            self.sampled[min(round(t / dt), self.steps)].append((i, samples.neurons[i]))
        for i, (t, channel) in enumerate(zip(inputs.times, inputs.sources, strict=True)):
            self.emit(t, network.n_neurons + channel, -1 - i, 0)
        self.voltages = np.zeros(len(samples))

    def emit(self, t, source, row, earliest):
        for synapse in np.flatnonzero(self.network.pre == source):
            step = max(round((t + self.network.delay[synapse]) / self.dt), earliest) + self.extra
            self.arrivals[step].append((synapse, row))

    def run(self):
        net, drive = self.network, self.network.v_rest + self.network.i_ext
        z = np.zeros(self.a.shape[:2])
        z[:, 0] = net.v0 - drive
        held = np.zeros(net.n_neurons, dtype=bool)
        self.states, self.held, self.slope_after = [], [], {}
        entry = self.first[net.port] if len(net.port) else []
        for step in range(self.steps + 1):
            for n, row in self.releases[step]:
                held[n] = False
                self.slope_after[row] = self.a[n, 0] @ z[n]
            for synapse, _ in self.arrivals[step]:
                z[net.post[synapse], entry[synapse]] += net.weight[synapse]
            for i, n in self.sampled[step]:
                self.voltages[i] = z[n, 0] + drive[n]
            self.states.append(z.copy())
            self.held.append(held.copy())
            if step == self.steps:
                break
            flow = np.where(held[:, None, None], self.still_flow, self.flow)
            following = np.einsum("nij,nj->ni", flow, z)
            height = net.v_th - drive
            for n in np.flatnonzero(~held & (z[:, 0] < height) & (following[:, 0] >= height)):
                theta = (height[n] - z[n, 0]) / (following[n, 0] - z[n, 0])
                t = (step + theta) * self.dt
                slope = (following[n, 0] - z[n, 0]) / self.dt
                row = len(self.spikes)
                self.spikes.append((t, int(n), step, slope))
                following[n, 0] = net.v_reset[n] - drive[n]
                held[n] = True
                self.releases[step + 1 + round(net.t_ref[n] / self.dt)].append((n, row))
                self.emit(t, n, row, step + 1)
            z = following
        return self

    def gradient(self, time_bar, voltage_bar, reset_term=1.0, passes=0.0):
        net, dt = self.network, self.dt
        adjoint = np.zeros(self.a.shape[:2])
        spike_bar = np.array(time_bar, dtype=float)
        n = net.n_neurons
        after = np.zeros(n)
        bar = {name: np.zeros(n) for name in ("tau_m", "v_th", "v_reset", "v0", "t_ref")}
        bar |= {name: np.zeros(len(net.pre)) for name in ("weight", "delay")}
        bar |= {"input_times": np.zeros(len(self.inputs)), "tau": np.zeros(len(net.tau))}
        drive = np.zeros(n)
        spikes_of = defaultdict(list)
        for row, (_, _, step, _) in enumerate(self.spikes):
            spikes_of[step].append(row)
        for step in range(self.steps, -1, -1):
            z, held = self.states[step], self.held[step]
            if step < self.steps:
                for row in reversed(spikes_of[step]):
                    _, i, _, slope = self.spikes[row]
                    q = spike_bar[row] / slope
                    bar["v_th"][i] += q
                    drive[i] -= q
                    adjoint[i, 0] = passes * after[i] - q
                by = np.where(held, 0.0, -np.einsum("nj,nj->n", self.a[:, 0], z) / net.tau_m)
                bar["tau_m"] += dt * adjoint[:, 0] * by
                bar["tau"] += dt * ((adjoint * z)[:, 1:].sum(axis=0)) / net.tau**2
                flow = np.where(held[:, None, None], self.still_flow, self.flow)
                adjoint = np.einsum("nij,ni->nj", flow, adjoint)
            for i, m in self.sampled[step]:
                if held[m]:
                    bar["v_reset"][m] += voltage_bar[i]
                else:
                    adjoint[m, 0] += voltage_bar[i]
                    drive[m] += voltage_bar[i]
            for synapse, row in reversed(self.arrivals[step]):
                m, w = net.post[synapse], net.weight[synapse]
                place = self.first[net.port[synapse]]
                bar["weight"][synapse] += adjoint[m, place]
                by = self.a[m, :, place] * ~(held[m] & (np.arange(len(net.tau) + 1) == 0))
                late = -w * adjoint[m] @ by
                bar["delay"][synapse] += late
                if row < 0:
                    bar["input_times"][-1 - row] += late
                else:
                    spike_bar[row] += late
            for m, row in self.releases[step]:
                after[m] = adjoint[m, 0]
                bar["v_reset"][m] += after[m]
                drive[m] -= after[m]
                late = -after[m] * self.slope_after[row]
                bar["t_ref"][m] += late
                spike_bar[row] += reset_term * late
                adjoint[m, 0] = 0.0
        bar["v0"] += adjoint[:, 0]
        drive -= adjoint[:, 0]
        return bar | {"v_rest": drive, "i_ext": drive.copy()}


def backend(network, inputs, duration, cotangents, dt, delay_steps=0, **bug):
    """Answer as validation.comparison.backend asks; no dL/dtau where a port is a double_exp."""
    grid = Grid(network, inputs, duration, cotangents.samples, dt, delay_steps).run()
    inside = [row for row, spike in enumerate(grid.spikes) if spike[0] <= duration]
    time = np.array([grid.spikes[row][0] for row in inside])
    neuron = np.array([grid.spikes[row][1] for row in inside], dtype=np.int64)
    order = np.lexsort((neuron, time))
    time_bar = np.zeros(len(grid.spikes))
    time_bar[np.array(inside, dtype=int)[order]] = cotangents.of_spikes(neuron[order])
    gradient = grid.gradient(time_bar, cotangents.voltage, **bug)
    if any(isinstance(port, DoubleExpPort) for port in network.ports):
        del gradient["tau"]  # its part in the normalisation of the port is not followed
    return Answer(time[order], neuron[order], gradient, grid.voltages)
