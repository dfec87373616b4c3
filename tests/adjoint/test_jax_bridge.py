"""Simulations as functions of JAX: every loss, transforms, an optimiser, what is refused."""

import subprocess
import sys

import numpy as np
import pytest
from loss_cases import DURATION, LABELS, OUTPUTS, everything, of_voltages
from quotients import layers, slope_along, values_of

import refsim
from adjoint import losses
from adjoint.losses import CrossEntropy, SpikeTime, SpikeTimes, Voltage, without_threshold

jax = pytest.importorskip("jax")
bridge = pytest.importorskip("adjoint.jax")
jnp = jax.numpy

FIRST = CrossEntropy(SpikeTime(OUTPUTS), 1, 2.0)


@pytest.fixture(autouse=True)
def in_double_precision():
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


def given(names, network, inputs):
    return {name: jnp.asarray(values_of(name, network, inputs)) for name in names}


@pytest.mark.parametrize("loss", [*everything(), *of_voltages()], ids=lambda loss: repr(loss)[:50])
def test_gradients_of_every_loss_are_those_of_quotients(loss):
    """Through JAX all the way, of a batch; and those of the NumPy side but for rounding."""
    network, inputs = layers()
    if "Voltage" in repr(loss) or "KeepAlive" in repr(loss):
        network = without_threshold(network, OUTPUTS)
    names = ("weight", "tau_m", "input_times")
    function = bridge.function(network, inputs, DURATION, loss, names)
    point = given(names, network, inputs)
    value, found = jax.value_and_grad(lambda point: function(point).sum())(point)
    total, gradient = losses.value_and_grad(loss, wrt=names)(network, inputs, DURATION)
    assert float(value) == pytest.approx(total, rel=1e-14)
    for name in names:
        np.testing.assert_allclose(found[name], getattr(gradient, name), rtol=1e-12, atol=1e-13)
    ours = np.asarray(found["weight"])
    direction = ours / np.abs(ours).max()

    def along(x):
        return float(function(point | {"weight": jnp.asarray(x)}).sum())

    quotient = slope_along(along, network.weight, direction, 1e-3)
    assert ours @ direction == pytest.approx(quotient, rel=1e-9)


def test_check_grads():
    """JAX's own judge, backwards and forwards, of several readouts and parameters."""
    from jax.test_util import check_grads

    network, inputs = layers()
    names = ("weight", "delay", "v_th", "input_times")
    readouts = [SpikeTimes(OUTPUTS, 2), Voltage([0, 4], 9.0), FIRST]
    function = bridge.function(network, inputs[0], DURATION, readouts, names)
    point = given(names, network, inputs[:1])
    assert [one.shape for one in function(point)] == [(3, 2), (2,), ()]
    check_grads(function, (point,), 1, modes=("fwd", "rev"), eps=1e-5, rtol=1e-6)


def test_transforms_agree():
    """grad, jvp, vmap and jit, each inside another, to the last bit where nothing is summed."""
    network, inputs = layers()
    names = ("weight", "delay")
    function = bridge.function(network, inputs[0], DURATION, FIRST, names)
    point = given(names, network, inputs[:1])
    _, known = losses.value_and_grad(FIRST, wrt=names)(network, inputs[0], DURATION)
    plain = jax.grad(function)(point)
    compiled = jax.jit(jax.grad(function))(point)
    for name in names:
        np.testing.assert_array_equal(plain[name], getattr(known, name))
        np.testing.assert_array_equal(plain[name], compiled[name])
    way = jax.tree.map(lambda x: jnp.linspace(-1.0, 1.0, len(x)), point)
    _, dot = jax.jvp(function, (point,), (way,))
    expected = sum(float(plain[name] @ way[name]) for name in names)
    assert float(dot) == pytest.approx(expected, rel=1e-11)
    several = jax.tree.map(lambda x: jnp.stack([x, 1.001 * x, 0.999 * x]), point)
    rows = [jax.tree.map(lambda x, i=i: x[i], several) for i in range(3)]
    each = jnp.stack([function(row) for row in rows])
    np.testing.assert_array_equal(jax.vmap(function)(several), each)
    one_by_one = jnp.stack([jax.grad(function)(row)["delay"] for row in rows])
    for batched in (
        jax.vmap(jax.grad(function)),
        jax.jit(jax.vmap(jax.grad(function))),
        jax.grad(lambda several: jax.vmap(function)(several).sum()),
    ):
        np.testing.assert_array_equal(batched(several)["delay"], one_by_one)


def test_an_axis_of_some_parameters():
    """What is shared by a batched axis gets the sum of the gradients."""
    network, inputs = layers()
    function = bridge.function(network, inputs[0], DURATION, FIRST, ("weight", "delay"))
    weight, delay = jnp.asarray(network.weight), jnp.asarray(network.delay)
    several = jnp.stack([weight, 1.001 * weight], axis=1)

    def total(delay):
        one = jax.vmap(lambda w: function({"weight": w, "delay": delay}), in_axes=1)
        return one(several).sum()

    def alone(i):
        return jax.grad(lambda d: function({"weight": several[:, i], "delay": d}))(delay)

    np.testing.assert_allclose(jax.grad(total)(delay), alone(0) + alone(1), rtol=1e-13, atol=1e-16)


def test_jacobians():
    network, inputs = layers()
    function = bridge.function(network, inputs[0], DURATION, SpikeTime(OUTPUTS))
    point = {"weight": jnp.asarray(network.weight)}
    back, forth = jax.jacrev(function)(point)["weight"], jax.jacfwd(function)(point)["weight"]
    assert back.shape == (3, 21)
    np.testing.assert_allclose(back, forth, rtol=1e-10, atol=1e-13)
    nested = jax.vmap(jax.vmap(function))({"weight": jnp.ones((2, 3, 1)) * point["weight"]})
    np.testing.assert_array_equal(nested, jnp.broadcast_to(function(point), (2, 3, 3)))


def test_one_sample_a_row_of_input_times():
    """What vmap makes of input times is what a batch is."""
    network, inputs = layers()
    names = ("weight", "input_times")
    function = bridge.function(network, inputs[0], DURATION, FIRST, names)
    weight = jnp.asarray(network.weight)
    times = jnp.stack([jnp.asarray(one.times) for one in inputs])

    def one(weight, row):
        return function({"weight": weight, "input_times": row})

    def total(weight, times):
        return jax.vmap(one, in_axes=(None, 0))(weight, times).sum()

    value, (by_weight, by_times) = jax.value_and_grad(total, argnums=(0, 1))(weight, times)
    known, gradient = losses.value_and_grad(FIRST, wrt=names)(network, inputs, DURATION)
    assert float(value) == pytest.approx(known, rel=1e-14)
    np.testing.assert_allclose(by_weight, gradient.weight, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(by_times.ravel(), gradient.input_times, rtol=1e-12, atol=1e-15)


def test_tangents_of_a_batch():
    network, inputs = layers()
    loss = CrossEntropy(SpikeTime(OUTPUTS), LABELS, 2.0)
    names = ("delay", "input_times")
    function = bridge.function(network, inputs, DURATION, loss, names)
    point = given(names, network, inputs)
    rng = np.random.default_rng(0)
    way = {name: jnp.asarray(rng.normal(size=len(one))) for name, one in point.items()}
    _, dot = jax.jvp(function, (point,), (way,))
    gradient = jax.grad(lambda point: function(point).sum())(point)
    assert dot.shape == (4,)
    expected = sum(float(gradient[name] @ way[name]) for name in names)
    assert float(dot.sum()) == pytest.approx(expected, rel=1e-10)


def test_an_optimiser_of_optax():
    optax = pytest.importorskip("optax")
    network, inputs = layers()
    loss = CrossEntropy(SpikeTime(OUTPUTS), LABELS, 2.0)
    function = bridge.function(network, inputs, DURATION, loss, ("weight", "delay"))
    point = given(("weight", "delay"), network, inputs)
    step = jax.jit(jax.value_and_grad(lambda point: function(point).mean()))
    optimiser = optax.adam(0.05)
    state, values = optimiser.init(point), []
    for _ in range(40):
        value, gradient = step(point)
        change, state = optimiser.update(gradient, state)
        point = optax.apply_updates(point, change)
        point["delay"] = jnp.maximum(point["delay"], 0.1)
        values.append(float(value))
    assert values[-1] < 0.85 * values[0]


def test_single_precision():
    """Arrays are float32, and the simulation is float64 with the parameters that these hold."""
    network, inputs = layers()
    jax.config.update("jax_enable_x64", False)
    with pytest.raises(refsim.InvalidValueError, match="single is False and JAX has its 64-bit"):
        bridge.function(network, inputs[0], DURATION, FIRST)
    function = bridge.function(network, inputs[0], DURATION, FIRST, single=True)
    weight = jnp.asarray(network.weight)
    value, gradient = jax.jit(jax.value_and_grad(function))({"weight": weight})
    assert value.dtype == gradient["weight"].dtype == jnp.float32
    rounded = network.replace(weight=np.asarray(weight))
    known, exact = losses.value_and_grad(FIRST)(rounded, inputs[0], DURATION)
    assert float(value) == np.float32(known)
    np.testing.assert_array_equal(gradient["weight"], exact.weight.astype(np.float32))


def test_large_arrays_go_through_compiled_functions():
    """A callback that waits for arrays which wait for it would hang here."""
    synapses = refsim.random(range(1000), 1000, in_degree=300, weight=0.01, delay=1.5, rng=1)
    network = refsim.Network(1000, synapses, i_ext=1.2)
    function = bridge.function(network, None, 30.0, SpikeTime(np.arange(1000)))
    step = jax.jit(jax.grad(lambda point: function(point).sum()))
    for i in range(3):
        gradient = step({"weight": (1.0 + 1e-6 * i) * jnp.asarray(network.weight)})
    assert gradient["weight"].shape == (300_000,)


def test_what_is_refused():
    network, inputs = layers()
    function = bridge.function(network, inputs[0], DURATION, FIRST)
    weight = jnp.asarray(network.weight)
    with pytest.raises(refsim.InvalidTypeError, match="parameters given are delay; expected a map"):
        function({"delay": weight})
    with pytest.raises(refsim.InvalidTypeError, match="parameters given are list"):
        function([weight])
    with pytest.raises(refsim.InvalidValueError, match=r"weight has shape \(20,\); expected \(21,"):
        function({"weight": weight[1:]})
    with pytest.raises(refsim.InvalidValueError, match="expected each once"):
        bridge.function(network, inputs[0], DURATION, FIRST, ["weight", "weight"])
    compiled = jax.jit(bridge.function(network, inputs[0], DURATION, FIRST, "v_th"))
    with pytest.raises(Exception, match=r"v_reset\[0\] is 0; expected a voltage below v_th"):
        compiled({"v_th": -jnp.ones(6)}).block_until_ready()
    with pytest.raises(refsim.InvalidValueError, match=r"wrt\[0\] is 'wait'"):
        bridge.function(network, inputs[0], DURATION, FIRST, "wait")
    for second in (
        jax.hessian,
        lambda f: jax.jacrev(jax.jacfwd(f)),
        lambda f: jax.grad(lambda p: jax.grad(f)(p)["weight"].sum()),
    ):
        with pytest.raises((refsim.UndefinedGradientError, ValueError)):
            second(function)({"weight": weight})


def test_without_jax_there_is_a_hint():
    code = "import sys; sys.modules['jax'] = None; import adjoint; adjoint.jax"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "MissingExtraError" in done.stderr
    assert 'pip install "refsim[jax]"' in done.stderr
