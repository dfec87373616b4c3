"""What is made stays as it was made: no aliases, equal copies, files whole or not at all."""

import copy
import multiprocessing
import os
import pickle

import numpy as np
import pytest

from refsim import (
    DoubleExpPort,
    ExpPort,
    InvalidTypeError,
    Network,
    Samples,
    SimulationInterrupted,
    SpikeLimitError,
    SpikeTrain,
    Synapses,
    simulate,
)
from refsim.cases import load, make_case, save
from refsim.files.output import OutputError, write_whole

NEURONS = ("tau_m", "v_rest", "v_th", "v_reset", "i_ext", "t_ref", "v0")


def given_arrays():
    return {
        "pre": np.array([2, 0]),
        "post": np.array([0, 1]),
        "weight": np.array([50.0, 5.0]),
        "delay": np.array([1.0, 2.0]),
        "port": np.array([0, 1]),
        "tau_m": np.array([20.0, 10.0]),
        "v_rest": np.array([0.0, 0.1]),
        "v_th": np.array([1.0, 1.5]),
        "v_reset": np.array([0.0, 0.0]),
        "i_ext": np.array([0.0, 0.0]),
        "t_ref": np.array([2.0, 2.0]),
        "v0": np.array([0.0, 0.0]),
    }


def made_from(arrays):
    synapses = Synapses(*(arrays[name] for name in ("pre", "post", "weight", "delay", "port")))
    neurons = {name: arrays[name] for name in NEURONS}
    return Network(2, synapses, 1, [ExpPort(5.0), DoubleExpPort(1.0, 4.0)], **neurons)


def finished():
    inputs = SpikeTrain([1.0, 3.0], [0, 0], 1)
    return simulate(made_from(given_arrays()), inputs, 30.0, samples=([0, 1], [2.5, 9.0]))


def arrays_of(simulation):
    """Return every array that a simulation holds, by name."""
    network = simulation.network
    found = {name: getattr(network, name) for name in given_arrays()}
    found |= {f"synapses.{name}": value for name, value in vars(network.synapses).items()}
    found |= {f"inputs.{name}": getattr(simulation.inputs, name) for name in ("times", "sources")}
    found |= {f"samples.{name}": value for name, value in vars(simulation.samples).items()}
    found |= {f"spikes.{name}": value for name, value in simulation.spikes._asdict().items()}
    return found | {"voltages": simulation.voltages, "origin": simulation.origin}


def test_arrays_given_are_copied():
    arrays = given_arrays()
    network = made_from(arrays)
    before = {name: getattr(network, name).copy() for name in arrays}
    for array in arrays.values():
        array += 1
    for name, value in before.items():
        assert np.array_equal(getattr(network, name), value), name
        assert not np.shares_memory(getattr(network, name), arrays[name])


@pytest.mark.parametrize("kind", [Samples, SpikeTrain])
def test_times_given_are_copied(kind):
    times, numbers = np.array([1.0, 2.0]), np.array([0, 0])
    made = kind(numbers, times) if kind is Samples else kind(times, numbers, 1)
    times[:] = 9.0
    numbers[:] = 9
    assert made.times.tolist() == [1.0, 2.0]
    held = made.neurons if kind is Samples else made.sources
    assert held.tolist() == [0, 0]


@pytest.mark.parametrize(
    "copied",
    [
        lambda run: run,
        copy.copy,
        copy.deepcopy,
        lambda run: pickle.loads(pickle.dumps(run)),
        lambda run: pickle.loads(pickle.dumps(run, protocol=2)),
    ],
    ids=["itself", "copy", "deepcopy", "pickle", "old pickle"],
)
def test_copies_are_equal_and_read_only(copied):
    run = finished()
    other = copied(run)
    for name, array in arrays_of(other).items():
        assert np.array_equal(array, arrays_of(run)[name], equal_nan=True), name
        assert not array.flags.writeable, name
        with pytest.raises(ValueError, match="read-only"):
            array[:] = 0
    again = simulate(other.network, other.inputs, other.duration, samples=other.samples)
    assert np.array_equal(again.spikes.time, run.spikes.time)
    assert np.array_equal(other.trace().voltage, run.trace().voltage)


def test_attributes_cannot_be_set():
    run = finished()
    for thing, name in [
        (run, "duration"),
        (run.network, "v_th"),
        (run.network.synapses, "weight"),
        (run.inputs, "times"),
        (run.samples, "times"),
        (run.network.ports[0], "tau"),
    ]:
        with pytest.raises(AttributeError, match="cannot assign"):
            setattr(thing, name, 1.0)


def test_replace_leaves_the_network_alone():
    network = made_from(given_arrays())
    other = network.replace(weight=[1.0, 2.0], tau=[3.0, 4.0, 5.0], v_th=2.0)
    assert network.weight.tolist() == [50.0, 5.0]
    assert network.tau.tolist() == [5.0, 1.0, 4.0]
    assert (other.weight.tolist(), other.tau.tolist()) == ([1.0, 2.0], [3.0, 4.0, 5.0])
    assert [type(port) for port in other.ports] == [ExpPort, DoubleExpPort]
    for name in ("wieght", "n", "model", "wiring", "synapse"):
        with pytest.raises(InvalidTypeError, match=f"replace got {name} = 1; expected names among"):
            network.replace(**{name: 1})


@pytest.mark.parametrize("kind", [SpikeLimitError, SimulationInterrupted])
def test_errors_cross_process_boundaries(kind):
    """An error that cannot be unpickled leaves a pool of workers waiting for ever."""
    error = pickle.loads(pickle.dumps(kind("stopped", finished())))
    assert str(error) == "stopped"
    assert error.partial.counts == finished().counts


def reach_limit(_):
    network = Network(1, v_rest=2.0, v_reset=0.0, v0=0.0)
    return simulate(network, None, 1e6, max_spikes=3)


def test_a_pool_of_workers_reports_a_limit():
    with (
        multiprocessing.get_context("spawn").Pool(1) as pool,
        pytest.raises(SpikeLimitError, match="max_spikes is 3") as caught,
    ):
        pool.apply_async(reach_limit, (0,)).get(timeout=300)
    assert len(caught.value.partial.spikes.time) == 3


def small_case(name="small"):
    run = finished()
    return make_case(name, run.network, run.inputs, 30.0, run.samples, voltage_bar=[1.0, 2.0])


def test_a_case_survives_the_way_to_a_file_and_back(tmp_path):
    file = tmp_path / "case.json"
    case = small_case()
    known = {"voltages": [0.1, 1 / 3], "spike_times": [1e-300], "spike_neurons": [1]}
    save(case, file, {"expected": known | {"gradient": {"tau": [1.0, 2.0, 1 / 3]}}})
    first = load(file)
    save(first, file)
    second = load(file)
    for read in (first, second):
        assert read.expected.voltages.tolist() == [0.1, 1 / 3]
        assert read.expected.spike_times.tolist() == [1e-300]
        assert read.expected.spike_neurons.tolist() == [1]
        assert read.expected.gradient["tau"].tolist() == [1.0, 2.0, 1 / 3]
        for name in given_arrays():
            assert np.array_equal(getattr(read.network, name), getattr(case.network, name))
        assert read.network.ports == case.network.ports
        assert read.voltage_bar.tolist() == [1.0, 2.0]
        assert np.array_equal(read.samples.times, case.samples.times)


class DiskFullError(OSError):
    pass


@pytest.mark.parametrize("failure", [DiskFullError(28, "No space left"), KeyboardInterrupt()])
def test_a_write_that_fails_half_way_leaves_the_old_file(tmp_path, failure):
    file = tmp_path / "case.json"
    save(small_case("old"), file)
    before = file.read_bytes()

    def write(stream):
        stream.write("{" * 100_000)
        stream.flush()
        raise failure

    expected = OutputError if isinstance(failure, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        write_whole(file, write)
    assert file.read_bytes() == before
    assert os.listdir(tmp_path) == ["case.json"]


def test_a_save_that_is_refused_leaves_the_old_file(tmp_path):
    file = tmp_path / "case.json"
    save(small_case("old"), file)
    before = file.read_bytes()
    with pytest.raises(ValueError, match="extra is"):
        save(small_case("new"), file, {"a": object()})
    with pytest.raises(OutputError, match="cannot be written"):
        save(small_case("new"), tmp_path)
    assert file.read_bytes() == before
    assert os.listdir(tmp_path) == ["case.json"]
