"""What users see of an object that they print: one short line, however many numbers it holds."""

import dataclasses
from typing import get_args

import numpy as np
import pytest
from certify_tools import ours, spoiled, times

import adjoint
import queues
import refsim
from adjoint.check import evaluate
from adjoint.names import AdjointQueue, ParameterName
from adjoint.pullback import SORTED_PASS
from queues import names as queue_names
from queues.bounded.dispatch import BOUNDED
from queues.exact.dispatch import STRUCTURES
from queues.study import streams
from queues.summary import shortly, summary
from queues.testing.models import SEMANTICS
from refsim import names
from refsim.cases import make_case
from refsim.grid import scheme as grid_scheme
from validation import certify
from validation.arrivals import arrivals
from validation.comparison.backend import LossCotangents
from validation.comparison.judging import PRECISIONS
from validation.names import PrecisionName
from validation.report.contents import Report

N = 50


@pytest.fixture(scope="module")
def objects():
    """Everything that users are handed, of sizes whose arrays would fill a screen."""
    synapses = refsim.random(range(N, N + 20), N, in_degree=4, weight=4.0, delay=1.5, rng=3)
    network = refsim.Network(N, synapses, n_inputs=20, t_ref=1.0, i_ext=0.9)
    inputs = refsim.poisson_inputs(20, rate=100.0, duration=60.0, rng=0)
    samples = refsim.Samples(np.arange(N), np.linspace(1.0, 50.0, N))
    run, pullback = adjoint.vjp(network, inputs, 60.0, samples=samples)
    gradient = pullback(1.0)
    _, tangents = adjoint.jvp(network, inputs, 60.0, {"tau_m": 1.0}, samples=samples)
    batch, batch_pullback = adjoint.vjp_batch(network, [inputs, inputs], 60.0)
    case = make_case("lively", network, inputs, 60.0, samples, np.ones(run.n_spikes))
    evaluation = evaluate(case)
    dropping = refsim.simulate(
        network, inputs, 60.0, engine=refsim.Events(refsim.Lossy("single_spike"))
    )
    grid = refsim.simulate(network, inputs, 60.0, engine=refsim.Grid(0.1, keep_voltages=True))
    certificate = certify(spoiled(times(-1.0, "weight")), [case])
    verdict = certificate.cases[0]
    bars = LossCotangents.of(evaluation.case, run.spikes.neuron)
    pushed = queues.Batch("single_spike", 100)
    pushed.push(np.arange(100), np.ones(100))
    many = streams.Streams(np.arange(101), np.arange(100), np.arange(100) + 5)
    kept = refsim.simulate(network, inputs, 60.0, keep_state=True, engine=refsim.Windows())
    recorder = queues.Recorder(queues.BinaryHeap())
    for time in range(100):
        recorder.push(time)
    everything = [
        synapses, synapses.packed(N, 20), network, inputs, samples, run, run.spikes, run.counts,
        run.conditioning, run.trace(), dropping, dropping.dropped, pullback, gradient, tangents,
        adjoint.Cotangents(np.ones(1000), np.ones(1000)), batch, batch.spikes, batch_pullback, case,
        evaluation, case.expected, grid, grid.spikes, grid.trace, verdict, *verdict.groups, bars,
        ours(network, inputs, 60.0, bars), Report((certificate,)), arrivals(run), pushed,
        pushed.pop_due(2.0), recorder, recorder.log, many,
        streams.run_streams("single_spike", many, 200), kept.state,
    ]  # fmt: skip
    return {f"{type(one).__name__} {i}": one for i, one in enumerate(everything)}


def test_objects_print_a_line(objects):
    """With every array that they hold, there is no line that a notebook would cut."""
    for name, one in objects.items():
        text = repr(one)
        assert len(text) < 400, f"{name}: {text}"
        assert "\n" not in text, f"{name}: {text}"
        assert "array(" not in text, f"{name}: {text}"
        assert type(one).__name__.strip("_") in text or text.startswith("<"), text


def test_objects_say_how_many_and_how_much(objects):
    texts = {name.partition(" ")[0]: repr(one) for name, one in objects.items()}
    assert texts["Synapses"] == (
        "<Synapses: 200, pre 50 to 69, post 0 to 49, weight 4, delay 1.5, port 0>"
    )
    assert texts["SpikeTrain"].startswith("<SpikeTrain: 127 spikes of 20 channels, ")
    assert texts["Samples"] == "<Samples: 50, neurons 0 to 49, 1 to 50 ms>"
    assert texts["Trace"] == "<Trace: 50 neurons at 601 times, 0 to 60 ms>"
    assert texts["Tangents"].startswith("<Tangents: time (")
    assert texts["Case"].startswith("<Case 'lively': <Network: 50 neurons, ")
    assert texts["CaseVerdict"].startswith("<CaseVerdict 'lively': fail, ")
    assert "wrong sign" in texts["CaseVerdict"]


def test_a_verdict_has_the_name_of_its_case(objects):
    verdict = next(one for name, one in objects.items() if name.startswith("CaseVerdict"))
    assert verdict.name == verdict.case.name == "lively"


def test_empty_objects_print_too():
    nothing = refsim.connect([], [])
    assert repr(nothing) == "<Synapses: none>"
    assert repr(refsim.SpikeTrain.empty(3)) == "<SpikeTrain: 0 spikes of 3 channels>"
    assert repr(refsim.Samples([], [])) == "<Samples: none>"
    run = refsim.simulate(refsim.Network(1), None, 1.0)
    assert repr(run.trace(times=[])) == "<Trace: 1 neurons at 0 times>"
    assert repr(run.dropped) == "<Dropped: source (0,), emitted (0,), synapse (0,), arrival (0,)>"
    assert repr(adjoint.Cotangents()) == "<Cotangents>"


def test_a_summary_shows_few_numbers_and_no_long_text():
    @dataclasses.dataclass(repr=False)
    class Thing:
        few: object
        many: object = None

    assert summary(Thing(np.array([1.0, 2.5]))) == "<Thing: few [1, 2.5]>"
    assert summary(Thing([1, 2], {"a": 1}), "'x'") == "<Thing 'x': few [1, 2], many of a>"
    assert summary(Thing((), {})) == "<Thing: few (0,), many of nothing>"
    assert shortly(np.array([np.nan] * 9)) == "(9,) nan to nan"
    assert shortly(np.arange(12.0).reshape(3, 4)) == "(3, 4) 0 to 11"
    assert shortly(["a", "b"]) == "of 2"
    assert len(shortly("x" * 1000)) == 40
    assert shortly(np.float64(0.5)) == "0.5"
    assert shortly(frozenset(range(1000))) == "a frozenset"


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (names.QueueChoice, ("auto", *STRUCTURES)),
        (queue_names.BoundedName, BOUNDED),
        (queue_names.SemanticsName, tuple(SEMANTICS)),
        (
            AdjointQueue,
            (
                "auto",
                SORTED_PASS,
                *(k for k, kind in STRUCTURES.items() if not (kind.in_lanes or kind.in_steps)),
            ),
        ),
        (ParameterName, tuple(field.name for field in dataclasses.fields(adjoint.Parameters))),
        (names.Membrane, grid_scheme.MEMBRANES),
        (names.SpikeTimeRule, grid_scheme.SPIKE_TIMES),
        (names.Receive, grid_scheme.RECEIVES),
        (names.Reset, grid_scheme.RESETS),
        (PrecisionName, tuple(PRECISIONS)),
    ],
    ids=str,
)
def test_types_of_names_hold_what_functions_take(kind, options):
    found = [name for part in get_args(kind) for name in get_args(part) or (part,)]
    assert sorted(found) == sorted(options)
