"""Training: layers, encoders, steps, and what is kept of them."""

import numpy as np
import pytest

import adjoint
import refsim
from adjoint import losses, training
from adjoint.training import Active, Adam, Conv2d, Dense, FirstSpike, Sequential, Within, fit
from adjoint.training.initial import peak_of
from adjoint.training.optimizer import RANGES, Cosine, Exponential, Logarithmic

TIMES = np.array([[0.0, 0.0], [0.0, 6.0], [6.0, 0.0], [6.0, 6.0]])
LABELS = np.array([0, 1, 1, 0])


def xor():
    """Return the inputs of temporal XOR: early or late, and a bias spike."""
    return [refsim.SpikeTrain([*pair, 0.0], [0, 1, 2], 3) for pair in TIMES]


def small(rng=0, hidden=12):
    return Sequential(
        Dense(3, hidden, weight=Active(1.8, 0.5), delay=training.Uniform(0.0, 2.0)),
        Dense(hidden, 2, weight=Active(4.0, 0.6)),
    ).build(rng)


def trained(epochs, model=None, **options):
    given = {"batch": 4, "adam": Adam(2e-2), "rng": 3, "wrt": ("weight", "delay")}
    return fit(
        small() if model is None else model,
        xor(),
        LABELS,
        40.0,
        FirstSpike(1.0),
        epochs=epochs,
        **(given | options),
    )


# --- layers -------------------------------------------------------------------


def test_layers_are_compiled_to_one_network():
    model = Sequential(
        Dense(2, 3, weight=np.arange(6.0), delay=0.5, tau_m=10.0),
        Dense(3, 2, weight=1.0, v_th=[1.0, 2.0], recurrent=True, recurrent_weight=-1.0),
    ).build(0)
    net = model.network
    assert (net.n_neurons, net.n_inputs, len(net.weight)) == (5, 2, 6 + 6 + 4)
    assert net.pre.tolist() == [5] * 3 + [6] * 3 + [0, 0, 1, 1, 2, 2] + [3, 3, 4, 4]
    assert net.post.tolist() == [0, 1, 2] * 2 + [3, 4] * 3 + [3, 4] * 2
    assert net.weight.tolist() == [0, 1, 2, 3, 4, 5] + [1] * 6 + [-1] * 4
    assert net.delay.tolist() == [0.5] * 6 + [0.0] * 6 + [1.0] * 4
    assert net.tau_m.tolist() == [10] * 3 + [20] * 2
    assert net.v_th.tolist() == [1, 1, 1, 1, 2]
    assert [layer.tolist() for layer in model.layers] == [[0, 1, 2], [3, 4]]
    assert (model.outputs.tolist(), model.hidden.tolist()) == ([3, 4], [0, 1, 2])


def test_a_convolution_is_the_sum_over_its_kernel():
    """Linear responses: peaks of voltages are those of the correlation with the kernel."""
    rng = np.random.default_rng(0)
    kernel = rng.normal(0.05, 0.05, (2, 2, 1, 3))  # row, column, in, out
    model = Sequential(
        Conv2d(1, 3, weight=kernel.ravel(), shape=(4, 5), kernel=2, stride=1, v_th=1e3)
    ).build(0)
    assert model.network.n_neurons == 3 * 4 * 3
    assert len(model.parameters("weight")["weight"]) == kernel.size
    picture = rng.random((4, 5)) < 0.5
    channels = np.flatnonzero(picture.ravel())
    train = refsim.SpikeTrain(np.zeros(len(channels)), channels, 20)
    neurons = np.arange(36)
    run = refsim.simulate(model.network, train, 5.0, samples=(neurons, np.full(36, 4.0)))
    one = refsim.SpikeTrain([0.0], [0], 1)
    alone = refsim.Network(1, refsim.connect(1, 0, 1.0, 0.0), n_inputs=1, v_th=1e3)
    unit = refsim.simulate(alone, one, 5.0, samples=([0], [4.0])).voltages[0]
    patches = np.lib.stride_tricks.sliding_window_view(picture, (2, 2))
    expected = np.einsum("yxij,ijab->yxb", patches, kernel).ravel() * unit
    np.testing.assert_allclose(run.voltages, expected, rtol=1e-12, atol=1e-15)


def test_shared_weights_share_a_gradient():
    model = Sequential(Conv2d(1, 1, weight=3.0, shape=(3, 3), kernel=2, tau_m=10.0)).build(0)
    train = refsim.SpikeTrain(np.linspace(0.0, 3.0, 9), np.arange(9), 9)
    run, pullback = adjoint.vjp(model.network, train, 30.0)
    assert run.n_spikes > 4
    found = model.gradient(pullback(1.0), "weight")["weight"]

    def total(weight):
        moved = model.with_parameters({"weight": weight}).network
        return refsim.simulate(moved, train, 30.0).spikes.time.sum()

    weight = model.parameters("weight")["weight"]
    for i in range(4):
        h = 1e-3 * np.eye(4)[i]
        rough, fine = (
            (total(weight + s * h) - total(weight - s * h)) / (2e-3 * s) for s in (1.0, 0.5)
        )
        assert found[i] == pytest.approx((4.0 * fine - rough) / 3.0, rel=1e-7)


def test_parameters_go_and_come_back():
    model = small()
    names = ("weight", "delay", "tau_m", "tau", "v_th")
    values = model.parameters(names)
    again = model.with_parameters(values)
    for name, value in again.parameters(names).items():
        np.testing.assert_array_equal(value, values[name])
    moved = model.with_parameters({"tau": [7.0]}).network
    assert moved.ports == (refsim.ExpPort(7.0),)


@pytest.mark.parametrize("port", [refsim.ExpPort(5.0), refsim.ExpPort(20.0)])
def test_the_peak_of_a_response(port):
    """For rates a and r it is (a/r)^(r/(r - a)), and 1/e where they are equal."""
    r, a = 1.0 / port.tau, 1.0 / 20.0
    expected = (a / r) ** (r / (r - a)) if r != a else np.exp(-1.0)
    assert peak_of(20.0, port) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("sizes", [(3, 10), (40, 10), (400, 10)])
def test_active_weights_make_neurons_spike_whatever_their_number(sizes):
    model = Sequential(Dense(*sizes, tau_m=15.0, v_rest=-1.0, v_th=2.0)).build(1)
    train = refsim.SpikeTrain(np.zeros(sizes[0]), np.arange(sizes[0]), sizes[0])
    run = refsim.simulate(model.network, train, 50.0)
    assert 10 <= run.n_spikes <= 40


def test_wrong_layers():
    with pytest.raises(refsim.InvalidValueError, match=r"layers\[1\] hears 4 members; expected"):
        Sequential(Dense(2, 3), Dense(4, 1))
    with pytest.raises(refsim.InvalidTypeError, match=r"layers\[0\] is 3"):
        Sequential(3)
    with pytest.raises(refsim.InvalidValueError, match="there are no layers"):
        Sequential()
    with pytest.raises(refsim.InvalidValueError, match="kernel is 4 for a shape of"):
        Conv2d(1, 1, shape=(3, 9), kernel=4)
    with pytest.raises(refsim.InvalidValueError, match="port is 1; expected one of the 1"):
        Sequential(Dense(1, 1, port=1)).build(0)
    with pytest.raises(refsim.InvalidValueError, match="weight has shape"):
        Sequential(Dense(2, 2, weight=np.ones(3))).build(0)
    with pytest.raises(refsim.InvalidValueError, match="wrt names input_times"):
        small().parameters("input_times")


# --- encoders -----------------------------------------------------------------


def test_latencies():
    (train,) = training.Latency(2.0, 10.0, bias=0.5)([[0.0, 1.0, 0.25]])
    assert train.times.tolist() == [2.0, 10.0, 4.0, 0.5]
    assert train.n_inputs == 4
    (train,) = training.Latency(2.0, 10.0, bias=None, largest_first=True)([[0.0, 1.0, 0.25]])
    assert train.times.tolist() == [2.0, 8.0]
    assert train.sources.tolist() == [1, 2]


def test_populations():
    encode = training.Population(size=4, late=10.0, width=0.25, reach=1.1)
    (train,) = encode([[0.125, 1.0]])
    assert train.n_inputs == encode.channels(2) == 8
    assert train.sources.tolist() == [0, 1, 7]
    near = 10.0 * (1.0 - np.exp(-0.125))
    np.testing.assert_allclose(train.times, [0.0, 10.0 * (1.0 - np.exp(-0.5)), near], rtol=1e-12)


def test_poisson_rates():
    encode = training.Poisson(10.0, 1000.0, 1000.0, rng=0)
    first, second = encode([[0.0, 1.0], [0.5, 0.0]])
    counts = np.bincount(first.sources, minlength=2), np.bincount(second.sources, minlength=2)
    expected = np.array([[10, 1000], [505, 10]])
    assert np.all(np.abs(counts - expected) < 5.0 * np.sqrt(expected))
    again = encode([[0.0, 1.0], [0.5, 0.0]])
    np.testing.assert_array_equal(again[1].times, second.times)


@pytest.mark.parametrize("value", [-0.1, 1.1, np.nan])
def test_values_that_no_encoder_takes(value):
    with pytest.raises(refsim.InvalidValueError, match=r"values\[1, 0\] is"):
        training.Latency()([[0.0], [value]])
    with pytest.raises(refsim.InvalidValueError, match="expected \\(samples, features\\)"):
        training.Latency()([0.0, 1.0])


# --- steps --------------------------------------------------------------------


def test_a_step_of_adam_is_that_of_the_paper():
    adam = Adam(0.1)
    state = adam.begin(np.zeros(2))
    value, mean, square = np.zeros(2), 0.0, 0.0
    for t, gradient in enumerate(np.random.default_rng(0).normal(size=(5, 2)), 1):
        move, state = adam.step(state, gradient, 0.1)
        value = value + move
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        step = 0.1 * (mean / (1 - 0.9**t)) / (np.sqrt(square / (1 - 0.999**t)) + 1e-8)
        np.testing.assert_allclose(move, -step, rtol=1e-12)


def test_schedules():
    assert [Cosine()(x) for x in (0.0, 0.5)] == [1.0, pytest.approx(0.5)]
    assert Cosine(0.1)(1.0) == pytest.approx(0.1)
    assert [Exponential(0.01)(x) for x in (0.0, 0.5, 1.0)] == pytest.approx([1.0, 0.1, 0.01])


@pytest.mark.parametrize("limits", [Within(0.0, 5.0), Logarithmic(1e-2, 50.0)])
def test_ranges(limits):
    value = np.array([0.5, 2.0, 4.0])
    np.testing.assert_allclose(limits.value(limits.free(value)), value, rtol=1e-15)
    far = limits.value(limits.free(value) + np.array([-1e3, 0.0, 1e3]))
    low, high = (0.0, 5.0) if isinstance(limits, Within) else (1e-2, 50.0)
    assert (far[0], far[2]) == (low, high)
    h = 1e-6
    slope = (limits.value(limits.free(value) + h) - limits.value(limits.free(value) - h)) / (2 * h)
    np.testing.assert_allclose(limits.pull(np.ones(3), value), slope, rtol=1e-8)


def test_the_first_step_goes_down_the_gradient():
    model = small()
    loss = losses.CrossEntropy(losses.SpikeTime(model.outputs), LABELS, 1.0)
    _, gradient = losses.value_and_grad(loss, wrt="weight", reduce="mean")(
        model.network, xor(), 40.0
    )
    done = fit(model, xor(), LABELS, 40.0, FirstSpike(1.0, early=0.0), epochs=1, batch=4,
               adam=Adam(1e-3), rng=0)  # fmt: skip
    moved = done.last.network.weight - model.network.weight
    large = np.abs(gradient.weight) > 1e-6
    np.testing.assert_allclose(moved[large], -1e-3 * np.sign(gradient.weight[large]), rtol=1e-2)


# --- the loop -----------------------------------------------------------------


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 20))]
)
def test_temporal_xor_is_learnt(seed):
    done = trained(150, small(seed), patience=None)
    answers = training.answers_of(done.model, FirstSpike(1.0), xor(), 40.0)
    assert answers.tolist() == LABELS.tolist()
    assert done.history.best(done.best_epoch) == 1.0


def test_seeds_and_threads_give_the_same_bits():
    one, two = trained(4, threads=1), trained(4, threads=2)
    np.testing.assert_array_equal(one.last.network.weight, two.last.network.weight)
    assert one.history.loss == two.history.loss


def test_an_interrupted_training_goes_on_to_the_last_bit(tmp_path):
    whole = trained(6)
    path = tmp_path / "training.npz"
    trained(2, schedule=None, checkpoint=path)
    rest = trained(6, checkpoint=path)
    for name in ("weight", "delay"):
        np.testing.assert_array_equal(
            getattr(rest.last.network, name), getattr(whole.last.network, name)
        )
    for name, row in vars(whole.history).items():
        np.testing.assert_array_equal(getattr(rest.history, name), row)
    assert rest.best_epoch == whole.best_epoch
    with pytest.raises(refsim.InvalidValueError, match="holds no state of this training: it train"):
        trained(6, checkpoint=path, wrt="weight")
    with pytest.raises(refsim.InvalidValueError, match="it is of another objective, targets"):
        trained(6, checkpoint=path, batch=2)
    with np.load(path) as file:
        arrays = dict(file)
    for name, wrong in [("best_epoch", -4), ("history_loss", np.zeros(2)), ("best_score", np.nan)]:
        np.savez(path, **(arrays | {name: wrong}))
        with pytest.raises(refsim.InvalidValueError, match="its history has"):
            trained(6, checkpoint=path)
    path.write_bytes(b"PK")
    with pytest.raises(refsim.InvalidValueError, match="holds no state of this training"):
        trained(6, checkpoint=path)


def test_ctrl_c_keeps_the_best(monkeypatch):
    calls = []

    class Stopping(FirstSpike):
        def answers(self, values):
            calls.append(1)
            if len(calls) == 4:
                raise KeyboardInterrupt
            return super().answers(values)

    with pytest.raises(KeyboardInterrupt) as caught:
        fit(small(), xor(), LABELS, 40.0, Stopping(1.0), epochs=9, batch=4, rng=0)
    partial = caught.value.partial
    assert len(partial.history.loss) == 3
    assert partial.reason == "it was interrupted"
    assert 1 <= partial.best_epoch <= 3
    assert "3 of 9 epochs" in str(caught.value)


def test_it_stops_where_nothing_gets_better():
    done = trained(50, adam=Adam(0.0), patience=3)
    assert len(done.history.loss) == 4
    assert done.reason == "no better score in 3 epochs"


def test_the_validation_set_chooses():
    done = trained(5, validation=(xor(), 1 - LABELS))
    assert not np.isnan(done.history.held_out).any()
    assert done.best_epoch == 1 + int(np.argmax(done.history.held_out))


def test_silent_neurons_are_helped_only_if_asked():
    silent = small().with_parameters({"weight": np.zeros(60)})
    with pytest.warns(losses.NoGradientWarning):
        plain = trained(1, silent)
    assert not plain.last.network.weight.any()
    assert plain.history.helped == [0]
    rule = losses.WeightIncrease(np.arange(14), 0.1)
    with pytest.warns(losses.NoGradientWarning):
        helped = trained(1, silent, silent=rule)
    assert helped.history.helped == [14]
    np.testing.assert_allclose(helped.last.network.weight, 0.1)


def test_a_regularizer_is_added():
    plain, with_it = trained(1), trained(1, regularizer=lambda m: losses.LateSpikes(m.hidden, 10.0))
    assert with_it.history.loss[0] > plain.history.loss[0]


def test_times_are_learnt():
    """Spikes at given times, by weights and time constants."""
    model = Sequential(Dense(3, 2, weight=Active(2.5, 0.2))).build(0)
    wanted = np.array([[4.0, 5.0], [5.0, 7.0], [6.0, 6.0], [8.0, 9.0]])
    done = fit(model, xor(), wanted, 40.0, training.SpikeAt(), wrt=("weight", "tau_m", "tau"),
               epochs=200, batch=4, adam=Adam(3e-2), schedule=Cosine(), rng=0)  # fmt: skip
    assert done.history.loss[-1] < 0.2 * done.history.loss[0]
    assert np.all(done.model.network.tau_m > 0.0)


def test_bad_arguments():
    for options, message in [
        ({"epochs": 0}, "epochs is 0"),
        ({"batch": 0}, "batch is 0"),
        ({"wrt": "mass"}, "wrt"),
        ({"adam": Adam({"weight": 0.1})}, "rate has no entry 'delay'"),
        ({"validation": 3}, "validation is 3"),
        ({"validation": (xor(), [1])}, r"validation\[1\] has shape"),
        ({"patience": 0}, "patience is 0"),
        ({"progress": 1}, "progress is 1"),
        ({"wrt": ()}, "wrt is empty"),
        ({"model": 3}, "model is 3; expected a Model"),
        ({"adam": 0.01}, "adam is 0.01; expected Adam"),
        ({"adam": Adam}, "adam is <class"),
        ({"schedule": Cosine}, "schedule is <class"),
        ({"ranges": {"wieght": Within()}}, "ranges has 'wieght'; expected names among weight"),
        ({"ranges": {"weight": (0, 1)}}, r"ranges\['weight'\] is \(0, 1\); expected Within"),
        ({"regularizer": 5}, "regularizer is 5"),
        ({"silent": 5}, "silent is 5; expected WeightIncrease"),
        ({"foo": 1}, "fit got 'foo'; expected options engine, threads"),
    ]:
        with pytest.raises(refsim.RefsimError, match=message):
            trained(**({"epochs": 1} | options))
    for objective in (None, FirstSpike, losses.SpikeTime([0])):
        with pytest.raises(refsim.InvalidTypeError, match=r"objective is .* expected as Fi"):
            fit(small(), xor(), LABELS, 40.0, objective)
    with pytest.raises(refsim.InvalidValueError, match=r"delay\[0\] is -1.0; expected"):
        Sequential(Dense(2, 2, delay=-1.0)).build(0)
    with pytest.raises(refsim.InvalidTypeError, match="recurrent is 'no'"):
        Dense(2, 2, recurrent="no")
    with pytest.raises(refsim.InvalidValueError, match="targets has shape"):
        fit(small(), xor(), [0, 1], 40.0, FirstSpike())
    with pytest.raises(refsim.InvalidValueError, match="inputs is empty"):
        fit(small(), [], [], 40.0, FirstSpike())
    assert set(RANGES) == set(small().parameters(list(RANGES)))
