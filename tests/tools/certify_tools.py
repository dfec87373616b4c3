"""Back ends to be certified: a correct one, and what can be done to its answers."""

import warnings

import numpy as np

import adjoint
from refsim.errors import IllConditionedWarning
from validation.comparison.backend import Answer


def ours(network, inputs, duration, cotangents):
    """Answer by the engine itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IllConditionedWarning)
        run, pullback = adjoint.vjp(network, inputs, duration, samples=cotangents.samples)
    gradient = pullback(cotangents.of_spikes(run.spikes.neuron), cotangents.voltage)
    return Answer(run.spikes.time, run.spikes.neuron, dict(gradient.items()), run.voltages)


def spoiled(change, backend=ours):
    """Return a back end whose answers have been changed by ``change(answer, network)``."""

    def changed(network, inputs, duration, cotangents, **keywords):
        return change(backend(network, inputs, duration, cotangents, **keywords), network)

    return changed


def with_groups(change, groups=None):
    """Return a change of some groups of the gradient by ``change(values, network)``."""

    def changed(answer, network):
        chosen = answer.gradient if groups is None else groups
        new = {group: change(answer.gradient[group], network) for group in chosen}
        return answer._replace(gradient={**answer.gradient, **new})

    return changed


def times(factor, *groups):
    return with_groups(lambda values, network: factor * values, groups or None)


def in_float32(answer, network):
    def single(values):
        return np.asarray(values, np.float32)

    gradient = {group: single(values) for group, values in answer.gradient.items()}
    return Answer(single(answer.time), answer.neuron, gradient, single(answer.voltages))


def one_dropped(answer, network):
    middle = len(answer.time) // 2
    return answer._replace(
        time=np.delete(answer.time, middle), neuron=np.delete(answer.neuron, middle)
    )


def one_added(answer, network):
    middle = len(answer.time) // 2
    time = answer.time[middle] + 0.25 * (answer.time[middle + 1] - answer.time[middle])
    return answer._replace(
        time=np.insert(answer.time, middle + 1, time),
        neuron=np.insert(answer.neuron, middle + 1, answer.neuron[middle]),
    )


def renumbered(answer, network):
    n = network.n_neurons
    return answer._replace(neuron=(answer.neuron + 1) % n)


def by_neuron(answer, network):
    order = np.argsort(answer.neuron, kind="stable")
    return answer._replace(time=answer.time[order], neuron=answer.neuron[order])


def late(answer, network):
    return answer._replace(time=answer.time + 0.1)


in_single = spoiled(in_float32)
