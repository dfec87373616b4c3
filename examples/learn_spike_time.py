"""Teach a small network to spike at given times, by exact gradients of weights and delays."""

import numpy as np
from scipy.optimize import minimize

import adjoint
import refsim

TARGETS = np.array([20.0, 30.0, 40.0])  # ms, of the first three spikes of the output
N_INPUTS, N_HIDDEN, DURATION = 4, 8, 60.0
OUTPUT = N_HIDDEN


def start() -> tuple[refsim.Network, refsim.SpikeTrain]:
    rng = np.random.default_rng(0)
    inputs, hidden = N_HIDDEN + 1 + np.arange(N_INPUTS), np.arange(N_HIDDEN)
    layers = [
        refsim.all_to_all(inputs, hidden, rng.uniform(1.0, 3.0, 32), rng.uniform(1.0, 5.0, 32)),
        refsim.all_to_all(hidden, [OUTPUT], rng.uniform(0.4, 1.2, 8), rng.uniform(1.0, 5.0, 8)),
    ]
    network = refsim.Network(N_HIDDEN + 1, layers, n_inputs=N_INPUTS, tau_m=10.0)
    return network, refsim.poisson_inputs(N_INPUTS, 80.0, DURATION, rng)


def loss(simulation: refsim.Simulation) -> tuple[float, np.ndarray]:
    """Half the squared errors; a missing spike counts as one at the end, without a gradient."""
    rows = np.flatnonzero(simulation.spikes.neuron == OUTPUT)[: len(TARGETS)]
    time = np.append(simulation.spikes.time[rows], np.full(len(TARGETS) - len(rows), DURATION))
    time_bar = np.zeros(len(simulation.spikes.time))
    time_bar[rows] = (time - TARGETS)[: len(rows)]
    return 0.5 * float(np.sum((time - TARGETS) ** 2)), time_bar


def main() -> None:
    network, inputs = start()
    size = len(network.synapses)
    evaluate = adjoint.value_and_grad(loss)

    def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
        trial = network.replace(weight=x[:size], delay=x[size:])
        value, gradient = evaluate(trial, inputs, DURATION)
        return value, np.concatenate([gradient.weight, gradient.delay])

    first = np.concatenate([network.weight, network.delay])
    bounds = [(-5.0, 5.0)] * size + [(0.1, 15.0)] * size
    found = minimize(objective, first, jac=True, method="L-BFGS-B", bounds=bounds)
    learned = network.replace(weight=found.x[:size], delay=found.x[size:])
    times = refsim.simulate(learned, inputs, DURATION).by_neuron()[OUTPUT]
    print(f"loss before {objective(first)[0]:.6g}, after {found.fun:.6g}, {found.nit} iterations")
    print(f"wanted {TARGETS}, first spikes {np.round(times[:3], 6)}")


if __name__ == "__main__":
    main()
