"""The table of what each engine can do, beside what they do."""

from pathlib import Path

import numpy as np
import pytest

import adjoint
import refsim
from refsim import Events, Grid, Layers, Windows
from refsim.features import ENGINES, FEATURES, NO, check, table

GUIDE = Path(__file__).parents[2] / "docs" / "guide.md"
NETWORK = refsim.Network(2, refsim.connect([2, 0], [0, 1], [50.0, 5.0], 1.0), n_inputs=1)
INPUTS = refsim.SpikeTrain([1.0, 2.0], [0, 0], 1)
GIVEN = NETWORK, INPUTS, 20.0
CHOICES = {
    "Events": Events(),
    "Windows": Windows(),
    "Layers": Layers(),
    "Grid": Grid(0.1, keep_voltages=True),
}


def gone_on(engine):
    run = refsim.simulate(*GIVEN, engine=engine, keep_state=True)
    return refsim.resume(run, 30.0, network=NETWORK.replace(i_ext=0.5))


TRIED = {
    "exact spike times": lambda engine: refsim.simulate(*GIVEN, engine=engine).spikes.time,
    "samples": lambda engine: refsim.simulate(*GIVEN, engine=engine, samples=([0], [3.0])),
    "trace": lambda engine: refsim.simulate(*GIVEN, engine=engine).trace([0]),
    "vjp": lambda engine: adjoint.vjp(*GIVEN, engine=engine)[1](1.0),
    "jvp": lambda engine: adjoint.jvp(*GIVEN, {"weight": 1.0}, engine=engine),
    "batches": lambda engine: adjoint.vjp_batch(NETWORK, [INPUTS], 20.0, engine=engine)[1](1.0),
    "adjoint_queue": lambda engine: adjoint.vjp(*GIVEN, engine=engine, adjoint_queue="heap"),
    "keep_state": lambda engine: refsim.simulate(*GIVEN, engine=engine, keep_state=True),
    "going on with another network": gone_on,
    "checkpoint": lambda engine: adjoint.vjp(*GIVEN, engine=engine, checkpoint=2),
}


def test_the_guide_has_the_table():
    assert table() in GUIDE.read_text(encoding="utf-8")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", TRIED)
def test_engines_do_what_the_table_says(name, engine):
    (feature,) = [feature for feature in FEATURES if feature.name == name]
    if engine in feature.offered_by():
        TRIED[name](CHOICES[engine])
    else:
        with pytest.raises(refsim.InvalidValueError):
            TRIED[name](CHOICES[engine])


def test_what_is_not_offered_is_an_argument_of_no_engine():
    """Options are those of the object of an engine; those of others are no options of it."""
    fields = {engine: set(type(CHOICES[engine]).__dataclass_fields__) for engine in ENGINES}
    assert fields == {
        "Events": {"queue", "dt"},
        "Windows": {"threads"},
        "Layers": set(),
        "Grid": {"dt", "scheme", "keep_voltages"},
    }


def test_an_error_names_the_engines_that_can():
    with pytest.raises(refsim.InvalidValueError, match=r"x is 1, and .* expected Windows\(...\)"):
        check("checkpoint", "Events", "x is 1")
    check("checkpoint", "Windows", "x is 1")
    assert all(feature.offered_by() and len(feature) == 1 + len(ENGINES) for feature in FEATURES)
    assert NO not in (feature.events for feature in FEATURES if feature.name == "vjp")


@pytest.mark.parametrize("engine", CHOICES.values(), ids=ENGINES)
def test_results_have_one_face(engine):
    run = refsim.simulate(*GIVEN, engine=engine, samples=([1, 0], [3.0, 1.0]))
    assert isinstance(run, refsim.Result)
    assert run.n_spikes == run.counts.spikes == len(run.spikes.time) > 0
    assert [len(times) for times in run.by_neuron()] == (run.rates() * 0.02).round().tolist()
    assert run.voltages.shape == (2,)
    assert run.to_numpy().dtype.names == run.spikes._fields
    assert run.engine == type(engine).__name__.lower()
    assert run.engine_reason == "it was asked for"
    k = run.conditioning.min_slope_spike
    assert run.conditioning.min_slope == run.spikes.slope_before[k]
    assert run.counts.inputs == 2
    trace = run.trace([1])
    assert trace.voltage.shape == (1, len(trace.time))


def test_voltages_are_kept_beside_a_gradient():
    kept = Grid(0.1, keep_voltages=True)
    plain = refsim.simulate(*GIVEN, engine=kept).trace().voltage
    run, _ = adjoint.vjp(*GIVEN, engine=kept)
    np.testing.assert_array_equal(run.trace().voltage, plain)
    assert adjoint.vjp(*GIVEN, engine=Grid(0.1))[0].kept is None


def test_batches_on_a_grid_are_its_single_runs():
    trains = [INPUTS, None, refsim.SpikeTrain([0.5, 7.0], [0, 0], 1)]
    grid = Grid(0.1)
    batch, pullback = adjoint.vjp_batch(NETWORK, trains, 20.0, engine=grid, threads=2)
    total = 0.0
    for one, train in zip(batch, trains, strict=True):
        run, alone = adjoint.vjp(NETWORK, train, 20.0, engine=grid)
        np.testing.assert_array_equal(one.spikes.time, run.spikes.time)
        np.testing.assert_array_equal(one.spike_step, run.spike_step)
        total = total + alone(1.0).weight
    assert batch.spikes.time.size == batch.counts.spikes
    np.testing.assert_array_equal(pullback(1.0).weight, total)
