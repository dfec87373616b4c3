"""Every public object can be copied, pickled and sent to other processes, and is exported."""

import copy
import inspect
import pickle
from functools import cache

import numpy as np
import pytest

import adjoint
import queues
import refsim
from refsim import Events, Grid, Lossy, Windows
from validation.case_suite.zoo import recurrent

NETWORK = refsim.Network(2, refsim.connect([2, 0], [0, 1], [50.0, 5.0], 1.0), n_inputs=1)
INPUTS = refsim.SpikeTrain([1.0, 2.0], [0, 0], 1)
GIVEN = NETWORK, INPUTS, 20.0


def squares(run, *_):
    """A loss; pickle finds functions of modules only."""
    return float(np.sum(run.spikes.time**2)), 2.0 * run.spikes.time


@cache
def differentiated(**options):
    """Return a result and its pullback."""
    return adjoint.vjp(*GIVEN, samples=([0], [3.3]), **options)


@cache
def batch(engine):
    """Return a batch and its pullback."""
    return adjoint.vjp_batch(NETWORK, [INPUTS, None], 20.0, engine=engine)


@cache
def judgements():
    """Return what judges say."""
    return adjoint.check_grads(*GIVEN, samples=([0], [3.3]))


KEPT = Grid(0.1, keep_voltages=True)
# What users hold in their hands, made when it is asked for.
MAKERS = {
    "network": lambda: NETWORK,
    "synapses": lambda: NETWORK.synapses,
    "packed synapses": lambda: NETWORK.synapses.packed(2, 1),
    "inputs": lambda: INPUTS,
    "samples": lambda: differentiated()[0].samples,
    "run": lambda: differentiated()[0],
    "spikes": lambda: differentiated()[0].spikes,
    "trace": lambda: differentiated()[0].trace([0]),
    "counts": lambda: differentiated()[0].counts,
    "conditioning": lambda: differentiated()[0].conditioning,
    "run that can go on": lambda: refsim.simulate(*GIVEN, keep_state=True),
    "run that drops": lambda: refsim.simulate(*GIVEN, engine=Events(Lossy("single_spike"))),
    "run on a grid": lambda: differentiated(engine=KEPT)[0],
    "pullback": lambda: differentiated()[1],
    "pullback by windows": lambda: differentiated(engine=Windows())[1],
    "pullback on a grid": lambda: differentiated(engine=KEPT)[1],
    "checkpointed": lambda: differentiated(checkpoint=2)[0],
    "pullback in pieces": lambda: differentiated(checkpoint=2)[1],
    "piece": lambda: next(differentiated(checkpoint=2)[0].pieces()),
    "gradient": lambda: differentiated()[1](1.0),
    "tangents": lambda: adjoint.jvp(*GIVEN, {"weight": 1.0})[1],
    "cotangents": lambda: adjoint.Cotangents(np.ones(3), None),
    "checkpoint": lambda: adjoint.Checkpoint(3),
    "keep": lambda: adjoint.Keep(1),
    "judgements": judgements,
    "value_and_grad": lambda: adjoint.value_and_grad(squares),
    "value_and_grad_batch": lambda: adjoint.value_and_grad_batch(squares),
    "case": recurrent,
    "events": lambda: Events("heap"),
    "windows": lambda: Windows(2),
    "grid": lambda: Grid(0.1),
    "lossy": lambda: Lossy("single_spike"),
    "ports": lambda: NETWORK.ports,
    "port": lambda: refsim.DoubleExpPort(1.0, 5.0),
    "batch": lambda: batch(Events())[0],
    "batch by windows": lambda: batch(Windows())[0],
    "batch on a grid": lambda: batch(Grid(0.1))[0],
    "pullback of a batch": lambda: batch(Events())[1],
    "pullback of a batch by windows": lambda: batch(Windows())[1],
    "pullback of a batch on a grid": lambda: batch(Grid(0.1))[1],
}


def parts(value):
    """Return the arrays and numbers of an object, to be compared to the last bit."""
    if isinstance(value, np.ndarray):
        return [value]
    if isinstance(value, dict):
        return [part for item in value.values() for part in parts(item)]
    if isinstance(value, list | tuple):
        return [part for item in value for part in parts(item)]
    if type(value).__module__.split(".")[0] in ("refsim", "adjoint", "validation"):
        return parts(value.__reduce_ex__(4)[2])
    return [value] if isinstance(value, int | float | str) else []


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))],
    ids=["copy", "deepcopy", "pickle"],
)
def test_a_copy_is_the_same_to_the_last_bit(name, copied):
    given = MAKERS[name]()
    again = copied(given)
    assert type(again) is type(given)
    for ours, theirs in zip(parts(given), parts(again), strict=True):
        np.testing.assert_array_equal(theirs, ours)


@pytest.mark.parametrize("name", [name for name in MAKERS if name.startswith("pullback")])
def test_a_pullback_works_in_another_process(name):
    pullback = MAKERS[name]()
    again = pickle.loads(pickle.dumps(pullback))
    for (_, ours), (_, theirs) in zip(pullback(1.0).items(), again(1.0).items(), strict=True):
        np.testing.assert_array_equal(theirs, ours)


def test_joblib_takes_a_function_of_the_library():
    joblib = pytest.importorskip("joblib")
    objective = adjoint.value_and_grad(squares)
    networks = [NETWORK.replace(weight=scale * NETWORK.weight) for scale in (1.0, 1.1)]
    found = joblib.Parallel(n_jobs=2)(
        joblib.delayed(objective)(network, INPUTS, 20.0) for network in networks
    )
    for (value, gradient), network in zip(found, networks, strict=True):
        expected, exact = objective(network, INPUTS, 20.0)
        assert value == expected
        np.testing.assert_array_equal(gradient.weight, exact.weight)


def test_what_is_returned_is_exported():
    exported = {name: getattr(package, name) for package in (refsim, adjoint, queues)
                for name in package.__all__}  # fmt: skip
    kinds = {kind for kind in exported.values() if inspect.isclass(kind)}
    kinds = kinds - {queues.EventQueue} | {refsim.cases.Case}  # a protocol is none
    for name, make in MAKERS.items():
        value = make()
        if type(value).__module__.split(".")[0] in ("refsim", "adjoint"):
            assert any(isinstance(value, kind) for kind in kinds), name
