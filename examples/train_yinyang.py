"""Train a network on the Yin-Yang data set, by exact gradients of weights and delays.

Each class has an output neuron, and the first one to spike wins. The loss is the cross entropy of
J. Goeltz et al., Nature Machine Intelligence 3, 2021, in the times of first spikes; the optimiser
is Adam. The default takes half a minute on two cores, and reaches an accuracy of 0.87.
"""

import argparse

import numpy as np

import refsim
from adjoint import losses
from validation.case_suite.yinyang import N_HIDDEN, N_OUTPUTS, to_spikes, yin_yang, yin_yang_network

DURATION, SCALE = 60.0, 2.0  # ms
OUTPUTS = N_HIDDEN + np.arange(N_OUTPUTS)
FIRST = losses.SpikeTime(OUTPUTS)  # a silent output counts as one that spikes at the end
RATES = {"weight": 0.004, "delay": 0.05}  # of learning


def draw(size: int, seed: int) -> tuple[list[refsim.SpikeTrain], np.ndarray]:
    values, labels = yin_yang(size, seed)
    return [to_spikes(row) for row in values], labels


def accuracy(network: refsim.Network, inputs: list[refsim.SpikeTrain], labels: np.ndarray) -> float:
    time = FIRST(refsim.simulate_batch(network, inputs, DURATION))
    return float(np.mean(np.argmin(time, axis=1) == labels))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--batch", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    network = yin_yang_network(given.seed)
    test = draw(500, given.seed + 10**6)
    print(f"accuracy before {accuracy(network, *test):.3f}")
    mean = dict.fromkeys(RATES, 0.0)
    square = dict.fromkeys(RATES, 0.0)
    for step in range(1, given.steps + 1):
        inputs, labels = draw(given.batch, given.seed + step)
        loss = losses.CrossEntropy(FIRST, labels, SCALE)
        value, gradient = losses.value_and_grad(loss, tuple(RATES), "mean")(
            network, inputs, DURATION
        )
        changed = {}
        for name, rate in RATES.items():
            bar = getattr(gradient, name)
            mean[name] = 0.9 * mean[name] + 0.1 * bar
            square[name] = 0.99 * square[name] + 0.01 * bar * bar
            size = np.sqrt(square[name] / (1.0 - 0.99**step)) + 1e-8
            changed[name] = getattr(network, name) - rate * mean[name] / (1.0 - 0.9**step) / size
        network = network.replace(weight=changed["weight"], delay=np.maximum(changed["delay"], 0.1))
        if step % 10 == 0:
            print(f"step {step}: loss {value:.4f}, accuracy {accuracy(network, *test):.3f}")


if __name__ == "__main__":
    main()
