"""The zoo of networks: their conditioning, and forward against reverse mode on each."""

import numpy as np
import pytest

import adjoint
import refsim
from validation.case_suite.zoo import zoo

CASES = {case.name: case for case in zoo()}
each = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def simulate(case, **options):
    options = {"samples": case.samples} | options
    return refsim.simulate(case.network, case.inputs, case.duration, **options)


def test_names_are_unique():
    assert len(CASES) == len(zoo()) == 10


@each
def test_run_is_far_from_a_change_of_its_pattern(case):
    simulation = simulate(case)
    assert 10 <= len(simulation.spikes.time) <= 300
    network, neuron = case.network, simulation.spikes.neuron
    unit = ((network.v_th - network.v_reset) / network.tau_m)[neuron]
    assert np.min(simulation.spikes.slope_before / unit) > 0.1
    assert simulation.conditioning.min_gap > 1e-3
    assert simulation.conditioning.min_release_gap > 1e-3
    assert np.mean(np.bincount(neuron, minlength=network.n_neurons) > 0) > 0.9


@each
def test_cotangents_are_complete(case):
    simulation = simulate(case)
    assert len(case.time_bar) == len(simulation.spikes.time)
    assert len(case.voltage_bar) == len(case.samples) >= 10
    assert np.all(case.time_bar != 0.0)
    assert np.all(case.voltage_bar != 0.0)


@each
def test_every_group_of_parameters_matters(case):
    _, pullback = adjoint.vjp(case.network, case.inputs, case.duration, samples=case.samples)
    gradient = pullback(case.time_bar, case.voltage_bar)
    for name, values in gradient.items():
        assert np.all(np.isfinite(values)), name
        assert np.any(values != 0.0) or not len(values), name


@each
def test_forward_and_reverse_mode_agree(case):
    arguments = (case.network, case.inputs, case.duration)
    _, pullback = adjoint.vjp(*arguments, samples=case.samples)
    gradient = pullback(case.time_bar, case.voltage_bar)
    rng = np.random.default_rng(23)
    direction = {name: rng.standard_normal(len(row)) for name, row in gradient.items()}
    _, tangents = adjoint.jvp(*arguments, direction, samples=case.samples)
    forward = np.concatenate([tangents.time * case.time_bar, tangents.voltage * case.voltage_bar])
    backward = np.concatenate([direction[name] * row for name, row in gradient.items()])
    scale = np.abs(forward).sum() + np.abs(backward).sum()
    assert abs(forward.sum() - backward.sum()) < 1e-12 * scale


def test_equal_delays_take_the_fifo_and_the_heap_agrees():
    case = CASES["equal delays"]
    fast, slow = simulate(case), simulate(case, engine=refsim.Events("heap"))
    assert fast.queue == "fifo"
    np.testing.assert_array_equal(fast.spikes.time, slow.spikes.time)
    np.testing.assert_array_equal(fast.voltages, slow.voltages)


def test_balanced_network_has_its_populations():
    network = CASES["balanced"].network
    of_neurons = network.pre < 100
    assert network.n_neurons == 100
    assert np.all(network.weight[of_neurons & (network.pre < 80)] > 0.0)
    assert np.all(network.weight[of_neurons & (network.pre >= 80)] < 0.0)
    assert len(np.unique(network.delay)) == len(network.synapses)


def test_special_features_are_there():
    refractory = CASES["refractory"].network
    assert refractory.t_ref.min() >= 1.0
    assert len(CASES["constant current"].inputs) == 0
    taus = CASES["equal time constants"].network
    assert taus.tau.tolist() == [8.0, 5.0, 5.0]
    assert {5.0, 8.0} < set(taus.tau_m)
    assert len(CASES["two ports"].network.ports) == 2
