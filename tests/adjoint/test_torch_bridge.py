"""Simulations as functions of PyTorch: every loss, transforms, a module, what is refused."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
from loss_cases import DURATION, LABELS, OUTPUTS, everything, of_voltages
from quotients import layers, slope_along, values_of

import refsim
from adjoint import losses
from adjoint.losses import CrossEntropy, SpikeTime, SpikeTimes, Voltage, without_threshold

torch = pytest.importorskip("torch")
bridge = pytest.importorskip("adjoint.torch")

# Of PyTorch's own, when it first differentiates forwards.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")

FIRST = CrossEntropy(SpikeTime(OUTPUTS), 1, 2.0)


def tensor(values, **options):
    return torch.tensor(np.array(values), **options)


@pytest.mark.parametrize("loss", [*everything(), *of_voltages()], ids=lambda loss: repr(loss)[:50])
def test_gradients_of_every_loss_are_those_of_quotients(loss):
    """Through PyTorch all the way, of a batch; and those of the NumPy side but for rounding."""
    network, inputs = layers()
    if "Voltage" in repr(loss) or "KeepAlive" in repr(loss):
        network = without_threshold(network, OUTPUTS)
    names = ("weight", "tau_m", "input_times")
    given = {n: tensor(values_of(n, network, inputs), requires_grad=True) for n in names}
    value = bridge.simulate(network, inputs, DURATION, loss, given)
    value.sum().backward()
    total, gradient = losses.value_and_grad(loss, wrt=names)(network, inputs, DURATION)
    assert value.sum().item() == pytest.approx(total, rel=1e-14)
    for name in names:
        np.testing.assert_allclose(
            given[name].grad, getattr(gradient, name), rtol=1e-12, atol=1e-13
        )

    def along(x):
        with torch.no_grad():
            only = {"weight": torch.from_numpy(x)}
            return bridge.simulate(network, inputs, DURATION, loss, only).sum().item()

    ours = given["weight"].grad.numpy()
    direction = ours / np.abs(ours).max()
    found = slope_along(along, network.weight, direction, 1e-3)
    assert ours @ direction == pytest.approx(found, rel=1e-9)


def test_gradcheck():
    """PyTorch's own judge, backwards and forwards, of several readouts and parameters."""
    network, inputs = layers()
    readouts = [SpikeTimes(OUTPUTS, 2), Voltage([0, 4], 9.0), FIRST]
    names = ("weight", "delay", "v_th", "input_times")
    given = [tensor(values_of(name, network, inputs[:1]), requires_grad=True) for name in names]

    def outputs(*tensors):
        named = dict(zip(names, tensors, strict=True))
        return bridge.simulate(network, inputs[0], DURATION, readouts, named)

    assert [one.shape for one in outputs(*given)] == [(3, 2), (2,), ()]
    assert torch.autograd.gradcheck(outputs, given, eps=1e-5, atol=1e-6, check_forward_ad=True)


def test_torch_func():
    """grad, vmap, jvp, jacrev and jacfwd, each inside another."""
    network, inputs = layers()
    weight = tensor(network.weight)

    def loss(w):
        return bridge.simulate(network, inputs[0], DURATION, FIRST, {"weight": w})

    _, known = losses.value_and_grad(FIRST, wrt="weight")(network, inputs[0], DURATION)
    gradient = torch.func.grad(loss)(weight)
    np.testing.assert_allclose(gradient, known.weight, rtol=1e-14, atol=1e-16)
    way = torch.linspace(-1.0, 1.0, len(weight), dtype=torch.float64)
    _, dot = torch.func.jvp(loss, (weight,), (way,))
    assert dot.item() == pytest.approx((gradient @ way).item(), rel=1e-11)
    several = torch.stack([weight, 1.001 * weight, 0.999 * weight])
    each = torch.stack([loss(one) for one in several])
    assert torch.equal(torch.func.vmap(loss)(several), each)
    batched = torch.func.vmap(torch.func.grad(loss))(several)
    one_by_one = torch.stack([torch.func.grad(loss)(one) for one in several])
    assert torch.equal(batched, one_by_one)
    along_columns = torch.func.vmap(loss, in_dims=1)(several.T)
    assert torch.equal(along_columns, each)

    def times(w):
        return bridge.simulate(network, inputs[0], DURATION, SpikeTime(OUTPUTS), {"weight": w})

    back, forth = torch.func.jacrev(times)(weight), torch.func.jacfwd(times)(weight)
    assert back.shape == (3, len(weight))
    np.testing.assert_allclose(back, forth, rtol=1e-10, atol=1e-13)


def test_tangents_of_a_batch():
    network, inputs = layers()
    loss = CrossEntropy(SpikeTime(OUTPUTS), LABELS, 2.0)
    names = ("delay", "input_times")
    given = {name: tensor(values_of(name, network, inputs)) for name in names}
    rng = np.random.default_rng(0)
    ways = {name: tensor(rng.normal(size=len(one))) for name, one in given.items()}

    def value(given):
        return bridge.simulate(network, inputs, DURATION, loss, given)

    _, dot = torch.func.jvp(value, (given,), (ways,))
    gradient = torch.func.grad(lambda given: value(given).sum())(given)
    expected = sum((gradient[name] @ ways[name]).item() for name in names)
    assert dot.shape == (4,)
    assert dot.sum().item() == pytest.approx(expected, rel=1e-10)


def test_only_what_needs_a_gradient_is_differentiated():
    network, inputs = layers()
    weight, delay = tensor(network.weight, requires_grad=True), tensor(network.delay)
    given = {"delay": delay, "weight": weight}
    bridge.simulate(network, inputs[0], DURATION, FIRST, given).backward()
    assert delay.grad is None
    assert weight.grad.abs().max() > 0.0


def test_single_precision_goes_in_and_comes_back():
    """The simulation is that of the parameters as float32 has them, in float64."""
    network, inputs = layers()
    weight = tensor(network.weight, dtype=torch.float32, requires_grad=True)
    value = bridge.simulate(network, inputs[0], DURATION, FIRST, {"weight": weight})
    value.backward()
    rounded = network.replace(weight=weight.detach().numpy())
    known, gradient = losses.value_and_grad(FIRST)(rounded, inputs[0], DURATION)
    assert value.dtype == torch.float64
    assert value.item() == known
    assert weight.grad.dtype == torch.float32
    np.testing.assert_array_equal(weight.grad, gradient.weight.astype(np.float32))


def test_parameters_are_not_copied_on_the_way_in():
    weight = torch.ones(5, dtype=torch.float64)
    assert np.shares_memory(bridge._array(weight), weight.numpy())
    with pytest.raises(refsim.InvalidTypeError, match="a parameter is a list; expected a tensor"):
        bridge._array([1.0])


def test_a_module_learns():
    """Weights and delays by Adam, with labels of the batch at each call."""
    network, inputs = layers()
    torch.manual_seed(0)
    module = bridge.Simulator(network, DURATION, parameters=("weight", "delay"))
    assert dict(module.named_parameters()).keys() == {"weight", "delay"}
    loss = CrossEntropy(SpikeTime(OUTPUTS), LABELS, 2.0)
    optimiser = torch.optim.Adam(module.parameters(), lr=0.05)
    values = []
    for _ in range(40):
        optimiser.zero_grad()
        value = module(inputs, loss).mean()
        value.backward()
        optimiser.step()
        with torch.no_grad():
            module.delay.clamp_(min=0.1)
        values.append(value.item())
    assert values[-1] < 0.85 * values[0]
    trained = module.to_network()
    found = loss(refsim.simulate_batch(trained, inputs, DURATION), reduce="mean")[0]
    assert found == pytest.approx(module(inputs, loss).mean().item(), rel=1e-15)
    assert "duration=30" in repr(module)


def test_a_module_is_saved_and_loaded():
    network, inputs = layers()
    module = bridge.Simulator(network, DURATION, SpikeTime(OUTPUTS), "weight")
    other = bridge.Simulator(network.replace(weight=1.0), DURATION, SpikeTime(OUTPUTS), "weight")
    other.load_state_dict(module.state_dict())
    assert torch.equal(other(inputs), module(inputs))
    assert torch.equal(pickle.loads(pickle.dumps(module))(inputs), module(inputs))
    times = tensor(inputs[0].times, requires_grad=True)
    module(inputs[0], input_times=times).sum().backward()
    assert times.grad.abs().max() > 0.0


def test_a_layer_before_and_a_loss_behind():
    """Times of inputs come from a layer of PyTorch, and the loss is PyTorch's."""
    network, inputs = layers()
    torch.manual_seed(0)
    encode = torch.nn.Linear(2, 8, dtype=torch.float64)
    labels = torch.tensor([1])

    def value(x):
        times = 15.0 * torch.sigmoid(encode(x))
        first = bridge.simulate(
            network, inputs[0], DURATION, SpikeTime(OUTPUTS), {"input_times": times}
        )
        return torch.nn.functional.cross_entropy(-first[None] / 2.0, labels)

    x = torch.tensor([0.3, -0.2], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(value, (x,), eps=1e-6, atol=1e-7)


def test_what_is_refused():
    network, inputs = layers()
    weight = tensor(network.weight, requires_grad=True)
    simulate = bridge.simulate
    with pytest.raises(refsim.InvalidTypeError, match="parameters is a dict of 0"):
        simulate(network, inputs[0], DURATION, FIRST, {})
    with pytest.raises(refsim.InvalidValueError, match=r"wrt\[0\] is 'wait'"):
        simulate(network, inputs[0], DURATION, FIRST, {"wait": weight})
    with pytest.raises(refsim.InvalidValueError, match=r"weight has shape \(20,\); expected \(21,"):
        simulate(network, inputs[0], DURATION, FIRST, {"weight": weight[1:]})
    with pytest.raises(refsim.InvalidTypeError, match=r"outputs\[1\] is a int"):
        simulate(network, inputs[0], DURATION, [FIRST, 1], {"weight": weight})
    with pytest.raises(refsim.InvalidValueError, match="outputs is empty"):
        simulate(network, inputs[0], DURATION, [], {"weight": weight})
    with pytest.raises(refsim.InvalidValueError, match=r"parameters\[0\] is 'input_times'"):
        bridge.Simulator(network, DURATION, FIRST, ["input_times"])
    with pytest.raises(refsim.InvalidTypeError, match="outputs is None"):
        bridge.Simulator(network, DURATION)(inputs)
    value = simulate(network, inputs[0], DURATION, FIRST, {"weight": weight})
    (gradient,) = torch.autograd.grad(value, weight, create_graph=True)
    with pytest.raises(refsim.UndefinedGradientError, match="second derivative"):
        gradient.sum().backward()


def test_silence_is_warned_of():
    network, inputs = layers(v_th=50.0)
    weight = tensor(network.weight, requires_grad=True)
    with pytest.warns(losses.NoGradientWarning, match="KeepAlive"):
        bridge.simulate(network, inputs, DURATION, FIRST, {"weight": weight})


def test_without_torch_there_is_a_hint():
    code = "import sys; sys.modules['torch'] = None; import adjoint; adjoint.torch"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "MissingExtraError" in done.stderr
    assert 'pip install "refsim[torch]"' in done.stderr
