"""Functions of JAX and PyTorch, which their own framework differentiates.

The example simulates exactly what has a closed form: neurons that only inputs reach, over synapses
whose time constant is that of the membrane, up to their first spike.
"""

import numpy as np
import pytest

import refsim
from refsim.cases import make_case
from validation import certify
from validation.backends.frameworks import from_jax, from_torch

TAU = 6.0


def one_spike_case():
    """Each of three neurons is charged by two inputs, and spikes once before the end."""
    synapses = refsim.connect(
        [3, 3, 3, 4, 4, 4],
        [0, 1, 2, 0, 1, 2],
        weight=[4.0, 5.0, 6.0] * 2,
        delay=[0.5, 1.0, 1.5] * 2,
    )
    network = refsim.Network(
        3, synapses, n_inputs=2, ports=refsim.ExpPort(TAU), tau_m=TAU, v_th=1.1, t_ref=30.0
    )
    inputs = refsim.SpikeTrain([1.0, 2.0], [0, 1], 2)
    return make_case("one spike", network, inputs, 20.0, ([0, 2], [1.7, 3.2]), voltage_bar=[1, -2])


def voltage(lib, p, arrival, weight, post, n, t):
    """V of neuron n: w e^{-s/tau} is w s/tau e^{-s/tau} after a membrane of the same tau."""
    s = lib.relu(t - arrival)
    tau = p["tau"][0]  # that of the membrane is the same number: its derivative is not asked for
    each = weight * s / tau * lib.exp(-s / tau)
    return lib.total(each * lib.mask(post == n))


NEAR = [3.02, 3.29, 3.65]  # ms, where Newton's method begins


def spike_times(lib, p, structure):
    """Newton's method without a graph, and one step with it, which has the exact derivative."""
    of_input = np.array([int(np.flatnonzero(structure.sources == k - 3)[0]) for k in structure.pre])
    arrival = p["input_times"][of_input] + p["delay"]

    def above(n, t):
        return voltage(lib, p, arrival, p["weight"], structure.post, n, t) - p["v_th"][n]

    times = []
    for n in range(structure.n_neurons):
        t, h = lib.constant(NEAR[n]), 1e-5
        for _ in range(2):
            slope = (lib.constant(above(n, t + h)) - lib.constant(above(n, t - h))) / (2 * h)
            t = lib.constant(t - lib.constant(above(n, t)) / slope)
        times.append(t - above(n, t) / lib.slope(lambda x, n=n: above(n, x), t))
    sampled = zip(structure.samples.neurons, structure.samples.times, strict=True)
    voltages = [
        voltage(lib, p, arrival, p["weight"], structure.post, n, float(t)) for n, t in sampled
    ]
    return lib.stack(times), np.arange(structure.n_neurons), lib.stack(voltages)


class Jax:
    def __init__(self):
        jax = pytest.importorskip("jax", reason="needs jax")
        self.jax, self.exp, self.stack = jax, jax.numpy.exp, jax.numpy.stack
        self.total, self.relu, self.mask = jax.numpy.sum, jax.nn.relu, jax.numpy.asarray

    def constant(self, x):
        return self.jax.lax.stop_gradient(self.jax.numpy.asarray(x))

    def slope(self, f, t):
        return self.constant(self.jax.grad(f)(t))


class Torch:
    def __init__(self):
        torch = pytest.importorskip("torch", reason="needs torch")
        self.torch, self.exp, self.stack = torch, torch.exp, torch.stack
        self.total, self.relu, self.mask = torch.sum, torch.relu, torch.as_tensor

    def constant(self, x):
        return self.torch.as_tensor(x, dtype=self.torch.float64).detach()

    def slope(self, f, t):
        t = t.clone().requires_grad_(True)
        return self.torch.autograd.grad(f(t), t)[0].detach()


LIBRARIES = {"jax": (Jax, from_jax), "torch": (Torch, from_torch)}
# The example does not know the others: they are None or zero.
KNOWN = ("weight", "delay", "v_th", "input_times")


@pytest.fixture(params=LIBRARIES)
def framework(request):
    make, adapt = LIBRARIES[request.param]
    return make(), adapt


def judged(framework, function):
    library, adapt = framework
    backend = adapt(lambda p, structure: function(library, p, structure))
    return certify(backend, [one_spike_case()]).cases[0]


def test_a_function_is_differentiated_by_its_framework(framework):
    rows = {row.group: row for row in judged(framework, spike_times).groups}
    for group in ("spike_times", "voltages", *KNOWN):
        assert rows[group].verdict == "pass", rows[group]
    assert np.any(rows["weight"].reference)


def test_what_is_lost_in_the_graph_is_found(framework):
    def lossy(library, p, structure):
        return spike_times(library, {**p, "delay": library.constant(p["delay"])}, structure)

    row = next(row for row in judged(framework, lossy).groups if row.group == "delay")
    assert row.verdict == "fail"
    assert not row.answer.any()


def test_spikes_come_in_any_order_and_fillers_are_none(framework):
    def padded(library, p, structure):
        times, _, voltages = spike_times(library, p, structure)
        nothing = library.constant(np.inf)
        mixed = library.stack([times[2], nothing, times[0], times[1], times[1]])
        return mixed, np.array([2, 0, 0, 1, -1]), voltages

    rows = {row.group: row for row in judged(framework, padded).groups}
    assert all(rows[group].verdict == "pass" for group in ("spike_times", *KNOWN))


@pytest.mark.parametrize(
    ("outputs", "note"),
    [
        (lambda times, neurons: times, "expected (times, neurons, voltages)"),
        (lambda times, neurons: (times, neurons[:2]), "expected (k,) twice"),
    ],
)
def test_wrong_outputs_are_named(framework, outputs, note):
    def wrong(library, p, structure):
        return outputs(*spike_times(library, p, structure)[:2])

    verdict = judged(framework, wrong)
    assert verdict.verdict == "fail"
    assert note in verdict.note


def test_outputs_without_a_graph_are_named():
    library = Torch()
    verdict = judged((library, from_torch), lambda lib, p, s: (library.torch.ones(3), np.arange(3)))
    assert "neither spike times nor voltages depend on any parameter" in verdict.note


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_framework_that_is_missing_is_named(name, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, name, None)
    with pytest.raises(refsim.MissingExtraError, match=rf"refsim\[{name}\]"):
        LIBRARIES[name][1](print)


def test_functions_are_checked():
    Jax()
    with pytest.raises(refsim.InvalidTypeError, match="function is 3"):
        from_jax(3)
    with pytest.raises(refsim.InvalidValueError, match="precision is 'float16'"):
        from_jax(print, precision="float16")
