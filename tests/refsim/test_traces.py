"""Voltages computed after a simulation: the bits of samples, from one look at what has happened."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings

import refsim
from refsim.results import trace
from validation.strategies import cases

GRID = np.linspace(0.0, 20.0, 81)


def tangle(n=7, n_inputs=3, size=60, delay=None, seed=0):
    """A random network and its inputs, which are not in order of time."""
    rng = np.random.default_rng(seed)
    synapses = refsim.connect(
        rng.integers(0, n + n_inputs, size),
        rng.integers(0, n, size),
        weight=rng.normal(0.4, 1.0, size),
        delay=rng.uniform(0.5, 3.0, size) if delay is None else delay,
        port=rng.integers(0, 2, size),
    )
    ports = [refsim.ExpPort(5.0), refsim.DoubleExpPort(2.0, 8.0)]
    network = refsim.Network(n, synapses, n_inputs=n_inputs, ports=ports, i_ext=1.3, t_ref=0.7)
    times = rng.uniform(0.0, 25.0, 30).round(1)
    return network, refsim.SpikeTrain(times, rng.integers(0, n_inputs, 30), n_inputs)


def sampled(network, inputs, neurons, **options):
    """Return a simulation and the voltages of neurons on the grid, read by samples."""
    samples = (np.repeat(neurons, len(GRID)), np.tile(GRID, len(neurons)))
    run = refsim.simulate(network, inputs, 20.0, samples=samples, **options)
    return run, run.voltages.reshape(len(neurons), len(GRID))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"engine": refsim.Events("sorted_array")},
        {"engine": refsim.Events(dt=0.25)},
        {"engine": refsim.Events(refsim.Lossy("single_spike"))},
        {"engine": refsim.Events(refsim.Lossy("bounded_fifo", 2, per="source"), dt=0.1)},
    ],
    ids=lambda options: "-".join(map(str, options.values())) or "plain",
)
def test_traces_are_samples_to_the_last_bit(options, monkeypatch):
    network, inputs = tangle()
    neurons = [5, 0, 5, 3]  # in no order, one of them twice
    run, voltages = sampled(network, inputs, neurons, **options)
    assert run.n_spikes > 3
    assert np.array_equal(run.trace(neurons, GRID).voltage, voltages)
    monkeypatch.setattr(trace, "_MOST_SYNAPSES", 1)  # neurons one by one
    monkeypatch.setattr(trace, "_ROOM", 1)
    assert np.array_equal(run.trace(neurons, GRID).voltage, voltages)


@given(case=cases())
@settings(deadline=None, max_examples=25)
def test_traces_together_are_those_of_each_neuron(case):
    run = refsim.simulate(case.network, case.inputs, case.duration)
    together = run.trace(step=case.duration / 20)
    for n in range(case.network.n_neurons):
        assert np.array_equal(run.trace([n], together.time).voltage[0], together.voltage[n])


@pytest.mark.parametrize("delay", [None, 1.5], ids=["spread", "equal"])
@pytest.mark.parametrize("packed", [False, np.float64, np.float32])
def test_traces_by_windows_need_no_table_of_the_event_engine(delay, packed):
    """Either form of the synapses gives the same arrivals in the same order."""
    network, inputs = tangle(delay=delay)
    if packed:
        network = network.replace(synapses=network.synapses.packed(7, 3, packed))
    run = refsim.simulate(network, inputs, 20.0, engine=refsim.Windows())
    found = run.trace(times=GRID).voltage
    assert "wiring" not in vars(network)
    by_events = dataclasses.replace(run, engine="events")
    assert np.array_equal(by_events.trace(times=GRID).voltage, found)


def test_inputs_and_spikes_are_sorted_once_for_all_traces(monkeypatch):
    network, inputs = tangle()
    run = refsim.simulate(network, inputs, 20.0)
    asked = []

    def counted(simulation, emissions=trace.emissions):
        asked.append(simulation)
        return emissions(simulation)

    monkeypatch.setattr(trace, "emissions", counted)
    run.trace(step=1.0)
    assert len(asked) == 1


def test_traces_of_nothing():
    network, inputs = tangle()
    run = refsim.simulate(network, inputs, 20.0)
    assert run.trace([], GRID).voltage.shape == (0, len(GRID))
    silent = refsim.simulate(refsim.Network(3, v0=0.5), None, 20.0)
    assert np.all(silent.trace(times=GRID).voltage[:, 0] == 0.5)
