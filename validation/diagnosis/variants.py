"""A slow adjoint that anyone can believe, and what it becomes with a term left out.

`gradient` goes backwards through the log of `validation.diagnosis.plain`, with one rule for each
entry, as in docs/mathematics.md; flows and their derivatives by time constants are matrix
exponentials. Without a bug it is a second implementation of all gradients. With one it says what a
back end would answer that has this bug.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from adjoint.types import Parameters
from refsim.cases import gradient_sizes
from refsim.network.network import Network
from validation.comparison.backend import Answer, LossCotangents
from validation.diagnosis.plain import Arrival, Flow, Log, Release, Sample, Spike, simulate
from validation.diagnosis.plain_flow import Matrix, Vector, exponential, matrix, peak_time

BUGS = {
    "no_reset_term": "lambda_V+ V'+ is left out at spikes",
    "no_reset_term_nor_t_ref": "lambda_V+ V'+ is left out at spikes, and in dL/dt_ref",
    "reset_passes": "lambda_V passes through spikes, as if the voltage were not reset",
    "no_release_term": "lambda_V+ V'+ is left out at spikes of refractory neurons",
    "release_at_spike": "V'+ is taken at the spike and not at the end of refractoriness",
    "no_hold": "lambda_V goes on through refractoriness, where the voltage is held",
    "no_slope": "lambda_V- is not divided by V'-",
    "no_boundary_term": "dL/dt of an arrival is w lambda_x/tau, without the part that has lambda_V",
    "no_arrival_times": "nothing flows through times of arrival",
    "no_path_through_spikes": "dL/dt of an arrival does not reach the spike that it comes from",
    "constant_gain": "the factor that gives a double_exp unit peak is taken as a constant",
}


def gradient(
    log: Log, time_bar: Vector, voltage_bar: Vector, bugs: Collection[str] = ()
) -> Parameters:
    """Return the gradient of a loss by all parameters.

    Parameters
    ----------
    log : Log
        A simulation.
    time_bar : (k,) float
        Cotangents of its spikes, in the order of the log.
    voltage_bar : (V,) float
        Cotangents of its samples.
    bugs : collection of str
        Names among BUGS.
    """
    return _Backward(log, time_bar, voltage_bar, frozenset(bugs)).run()


def backend(
    network: Network, inputs: object, duration: float, cotangents: LossCotangents
) -> Answer:
    """Answer as `validation.comparison.backend` asks, by the plain simulation and its adjoint."""
    from refsim.cases import make_case

    case = make_case("asked", network, inputs, duration, cotangents.samples)  # type: ignore[arg-type]
    log = simulate(case)
    found = gradient(log, cotangents.of_spikes(log.neuron), cotangents.voltage)
    order = np.lexsort((log.neuron, log.time))
    return Answer(
        time=np.array(log.time)[order],
        neuron=np.array(log.neuron, dtype=np.int64)[order],
        gradient=dict(found.items()),
        voltages=log.voltages,
    )


class _Flows:
    """Propagators of a network and their derivatives by time constants."""

    def __init__(self, log: Log):
        self.network, self.stages = log.case.network, log.stages
        self.by_tau = {False: self._gains_by_tau(False), True: self._gains_by_tau(True)}

    def _gains_by_tau(self, constant: bool) -> list[tuple[int, int, int, float]]:
        """Return (number of tau, row, column, dA/dtau) of the couplings within cascades."""
        if constant:
            return []
        found = []
        stages = self.stages
        for first, last, gain in zip(stages.entry, stages.last, stages.gain, strict=True):
            if last == first:
                continue
            r, s = stages.rate[first - 1], stages.rate[last - 1]
            t = peak_time(r, s)
            # gain = 1/c with c the response at its peak, which does not move it to first order.
            cascade = np.array([[-r, 0.0], [1.0, -s]]) * t
            by_rate = np.zeros((2, 2, 2))
            by_rate[0, 0, 0] = by_rate[1, 1, 1] = -t
            by = _exponential_with(cascade, by_rate)[1]
            for k, place in ((0, first), (1, last)):
                slope = -gain * gain * by[k, 1, 0]
                found.append((place - 1, last, first, -slope * stages.rate[place - 1] ** 2))
        return found

    def generators(self, n: int, held: bool, constant: bool) -> tuple[Matrix, NDArray[np.float64]]:
        """Return A and dA/dp (1 + K, m, m) for p = tau_m and all tau."""
        a = matrix(self.network, self.stages, n, held)
        by = np.zeros((len(a), *a.shape))
        by[0, 0] = -a[0] / self.network.tau_m[n]
        for k, rate in enumerate(self.stages.rate):
            by[1 + k, 1 + k, 1 + k] = rate * rate
        for k, row, column, value in self.by_tau[constant]:
            by[1 + k, row, column] += value
        return a, by

    def of(self, flow: Flow, constant: bool) -> tuple[Matrix, Matrix]:
        """Return the propagator, and d(state after)/dp (1 + K, m)."""
        a, by = self.generators(flow.neuron, flow.held, constant)
        flowed, derivatives = _exponential_with(a * flow.dt, by * flow.dt)
        return flowed, derivatives @ flow.z


def _exponential_with(a: Matrix, by: NDArray[np.float64]) -> tuple[Matrix, NDArray[np.float64]]:
    """Return exp(A) and its derivatives in the directions ``by`` (d, m, m)."""
    m = len(a)
    doubled = np.zeros((len(by), 2 * m, 2 * m))
    doubled[:, :m, :m] = doubled[:, m:, m:] = a
    doubled[:, :m, m:] = by
    flowed = exponential(doubled)
    return flowed[0, :m, :m], flowed[:, :m, m:]


class _Backward:
    """The adjoint of all neurons, going back through a log."""

    def __init__(self, log: Log, time_bar: Vector, voltage_bar: Vector, bugs: frozenset[str]):
        unknown = bugs - set(BUGS)
        if unknown:
            raise ValueError(f"bugs holds {sorted(unknown)}; expected names among {list(BUGS)}")
        network = self.network = log.case.network
        self.log, self.bugs = log, bugs
        self.spike_bar = np.array(time_bar, dtype=np.float64)
        self.voltage_bar = voltage_bar
        self.adjoint = np.zeros((network.n_neurons, 1 + len(network.tau)))
        self.after = np.zeros(network.n_neurons)  # lambda_V at the release being left
        self.flows = _Flows(log)
        sizes = gradient_sizes(network, len(log.case.inputs))
        self.bar = {name: np.zeros(size) for name, size in sizes.items()}
        self.drive_bar = np.zeros(network.n_neurons)

    def run(self) -> Parameters:
        for number, entry in reversed(list(enumerate(self.log.entries))):
            if isinstance(entry, Flow):
                self.flow(number, entry)
            elif isinstance(entry, Arrival):
                self.arrive(entry)
            elif isinstance(entry, Spike):
                self.fire(entry)
            elif isinstance(entry, Release):
                self.release(entry)
            else:
                self.sample(entry)
        self.bar["v0"] += self.adjoint[:, 0]
        self.drive_bar -= self.adjoint[:, 0]
        self.bar["v_rest"] = self.drive_bar
        self.bar["i_ext"] = self.drive_bar.copy()
        return Parameters(**self.bar)

    def flow(self, number: int, flow: Flow) -> None:
        adjoint = self.adjoint[flow.neuron]
        if not adjoint.any():
            return
        if "no_hold" in self.bugs and flow.held:
            flow = flow._replace(held=False)
        constant = "constant_gain" in self.bugs
        key = (number, flow.held, constant)
        if key not in self.log.flows:
            self.log.flows[key] = self.flows.of(flow, constant)
        propagator, by = self.log.flows[key]
        self.bar["tau_m"][flow.neuron] += by[0] @ adjoint
        self.bar["tau"] += by[1:] @ adjoint
        self.adjoint[flow.neuron] = adjoint @ propagator

    def sample(self, sample: Sample) -> None:
        bar = self.voltage_bar[sample.row]
        if sample.held:
            self.bar["v_reset"][sample.neuron] += bar
        else:
            self.adjoint[sample.neuron, 0] += bar
            self.drive_bar[sample.neuron] += bar

    def arrive(self, arrival: Arrival) -> None:
        network, n, synapse = self.network, arrival.neuron, arrival.synapse
        entry = self.log.stages.entry[network.port[synapse]]
        adjoint = self.adjoint[n]
        self.bar["weight"][synapse] += adjoint[entry]
        derivative = matrix(network, self.log.stages, n, arrival.held)[:, entry]
        if "no_boundary_term" in self.bugs:
            derivative = np.where(np.arange(len(adjoint)) == entry, derivative, 0.0)
        late = -network.weight[synapse] * float(adjoint @ derivative)
        if "no_arrival_times" in self.bugs:
            return
        self.bar["delay"][synapse] += late
        kind, row = arrival.source
        if kind == "input":
            self.bar["input_times"][row] += late
        elif "no_path_through_spikes" not in self.bugs:
            self.spike_bar[row] += late

    def release(self, release: Release) -> None:
        n = release.neuron
        after = self.adjoint[n, 0]
        self.bar["v_reset"][n] += after
        self.drive_bar[n] -= after
        self.after[n] = after
        refractory = self.network.t_ref[n] > 0.0
        if "no_hold" in self.bugs and refractory:
            return  # taken at the spike
        self.adjoint[n, 0] = 0.0
        if "release_at_spike" in self.bugs:
            return
        self._move(release, -after * release.slope)

    def _move(self, at: Release | Spike, late: float) -> None:
        """Let the release be later: through the spike, and by the refractory time."""
        refractory = self.network.t_ref[at.neuron] > 0.0
        if "no_release_term" in self.bugs and refractory:
            return
        if "no_reset_term_nor_t_ref" not in self.bugs:
            self.bar["t_ref"][at.neuron] += late
        if not self.bugs & {"no_reset_term", "no_reset_term_nor_t_ref", "reset_passes"}:
            self.spike_bar[at.row] += late

    def fire(self, spike: Spike) -> None:
        n = spike.neuron
        if "no_hold" in self.bugs and self.network.t_ref[n] > 0.0:
            self._move(spike, -self.adjoint[n, 0] * spike.slope_at_reset)
        elif "release_at_spike" in self.bugs:
            self._move(spike, -self.after[n] * spike.slope_at_reset)
        q = self.spike_bar[spike.row] / (1.0 if "no_slope" in self.bugs else spike.slope)
        self.bar["v_th"][n] += q
        self.drive_bar[n] -= q
        self.adjoint[n, 0] = -q
        if "reset_passes" in self.bugs:
            self.adjoint[n, 0] += self.after[n]
        self.after[n] = 0.0
