"""Parameters as vectors: arithmetic, mappings, one long vector, and trees of JAX."""

import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import adjoint
import refsim
from adjoint import Parameters
from validation.strategies import cases

NAMES = tuple(Parameters.__dataclass_fields__)
numbers = st.floats(-1e6, 1e6).filter(lambda x: x == 0.0 or abs(x) > 1e-6)


def chain():
    synapses = refsim.connect([2, 0], [0, 1], weight=[3.0, 4.0], delay=[1.0, 0.5])
    return refsim.Network(2, synapses, 1, refsim.ExpPort(5.0), tau_m=[10.0, 12.0], t_ref=2.0)


def drive():
    return refsim.SpikeTrain([0.5, 1.0, 7.0], [0, 0, 0], 1)


def gradient(wrt=None, network=None):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", refsim.IllConditionedWarning)
        run, pullback = adjoint.vjp(network or chain(), drive(), 30.0)
        return pullback(np.arange(1.0, 1.0 + len(run.spikes.time)), wrt=wrt)


@st.composite
def two_of_one_network(draw):
    """Draw two vectors of parameters of a network, and lay them out."""
    case = draw(cases(max_spikes=20))
    like = Parameters.of(case.network, case.inputs)
    seed = draw(st.integers(0, 2**32))
    rng = np.random.default_rng(seed)
    return like, *(like.unravel(rng.normal(size=len(like.ravel()))) for _ in range(2))


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(drawn=two_of_one_network(), factor=numbers)
def test_arithmetic_is_that_of_long_vectors(drawn, factor):
    like, a, b = drawn
    x, y = a.ravel(), b.ravel()
    for found, expected in [
        (a + b, x + y), (a - b, x - y), (-a, -x),
        (factor * a, factor * x), (a * factor, factor * x),
        (np.float64(factor) * a, factor * x), (a / (factor or 1.0), x / (factor or 1.0)),
        (np.array(factor) * a, factor * x),
    ]:  # fmt: skip
        assert isinstance(found, Parameters)
        assert found.ravel().tolist() == expected.tolist()
        assert list(found) == list(like)
    assert like.unravel(like.ravel()).ravel().tolist() == like.ravel().tolist()
    assert a.dot(b) == pytest.approx(x @ y, rel=1e-12, abs=1e-12 * np.abs(x * y).sum())


def test_a_step_of_gradient_descent_is_one_line():
    network, grad = chain(), gradient()
    moved = (Parameters.of(network) - 1e-3 * grad).to_network(network)
    for name in NAMES[:-1]:
        before, slope = getattr(network, name), getattr(grad, name)
        assert getattr(moved, name).tolist() == (before - 1e-3 * slope).tolist(), name
    inputs = (Parameters.of(network, drive()) - 1e-3 * grad).to_inputs(drive())
    assert inputs.times.tolist() == (drive().times - 1e-3 * grad.input_times).tolist()
    assert inputs.sources.tolist() == drive().sources.tolist()


def test_what_was_not_asked_for_does_not_change():
    network, part = chain(), gradient(wrt=("weight", "delay"))
    assert list(part) == ["weight", "delay"]
    assert len(part) == 2
    moved = (Parameters.of(network) - 1e-3 * part).to_network(network)
    assert moved.weight.tolist() == (network.weight - 1e-3 * part.weight).tolist()
    assert moved.tau_m.tolist() == network.tau_m.tolist()
    assert Parameters.of(network).input_times is None
    assert (2.0 * part).tau_m is None
    assert (part + gradient(wrt="tau")).tau.tolist() == gradient(wrt="tau").tau.tolist()
    assert Parameters.of(network).to_inputs(drive()) is not None
    only = -gradient(wrt="tau")
    assert (part - gradient(wrt="tau")).tau.tolist() == only.tau.tolist()


def test_they_are_a_mapping():
    grad = gradient(wrt=("weight", "v_th"))
    assert dict(grad).keys() == {"weight", "v_th"}
    assert grad["v_th"] is grad.v_th
    assert list(grad.keys()) == list(grad)
    for name in ("tau", "mass", "items"):
        with pytest.raises(KeyError, match="expected a name among weight, v_th"):
            grad[name]


def test_what_does_not_fit_is_said():
    grad = gradient()
    alone = refsim.Network(1, i_ext=2.0)
    with pytest.raises(refsim.InvalidValueError, match=r"tau_m has the shapes \(2,\) and \(1,\)"):
        grad.only(["tau_m"]) + Parameters.of(alone).only(["tau_m"])
    with pytest.raises(refsim.InvalidValueError, match="vector has shape"):
        grad.unravel(np.zeros(3))
    for wrong in ("2", [1.0], np.ones(2), None, grad):
        with pytest.raises(TypeError):
            grad * wrong
        with pytest.raises(TypeError):
            wrong / grad
    with pytest.raises(TypeError):
        grad + 1.0


def test_nothing_is_a_vector_of_nothing():
    nothing = gradient().only([])
    assert nothing.ravel().shape == (0,)
    assert list(nothing.unravel([])) == []
    assert len(nothing + nothing) == 0


def test_descent_reaches_a_spike_time():
    """Ten lines of training: weights alone move the first spike to where it should be."""
    network, target = chain(), 3.8

    def loss(run):
        error = run.spikes.time[0] - target
        bar = np.zeros(len(run.spikes.time))
        bar[0] = error
        return 0.5 * error**2, bar

    evaluate = adjoint.value_and_grad(loss, wrt="weight")
    first, _ = evaluate(network, drive(), 30.0)
    for _ in range(30):
        value, grad = evaluate(network, drive(), 30.0)
        step = value / grad.dot(grad)  # half of Newton's for a zero of the error
        network = (Parameters.of(network) - step * grad).to_network(network)
    assert value < 1e-6 * first


def test_they_are_a_tree_for_jax():
    jax = pytest.importorskip("jax", reason="needs the extra jax")
    grad = gradient(wrt=("weight", "v0"))
    leaves = jax.tree_util.tree_leaves(grad)
    assert [leaf.tolist() for leaf in leaves] == [grad.weight.tolist(), grad.v0.tolist()]
    doubled = jax.tree_util.tree_map(lambda x: 2.0 * x, grad)
    assert isinstance(doubled, Parameters)
    assert doubled.ravel().tolist() == (2.0 * grad).ravel().tolist()
    assert doubled.delay is None
    paths = [path for path, _ in jax.tree_util.tree_flatten_with_path(grad)[0]]
    assert [jax.tree_util.keystr(path) for path in paths] == [".weight", ".v0"]
    both = jax.tree_util.tree_map(lambda a, b: a + b, grad, doubled)
    assert both.ravel() == pytest.approx(3.0 * grad.ravel(), rel=1e-15)
