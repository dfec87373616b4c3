"""Losses of spikes: their values, their gradients against quotients, batches, sums, checks."""

import copy
import pickle
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings, strategies as st
from loss_cases import DURATION, LABELS, OUTPUTS, everything, of_all, of_batches
from quotients import assert_slope, layers, slope_along, values_of, with_values

import adjoint
import refsim
from adjoint import losses
from adjoint.losses import (
    Band,
    CrossEntropy,
    EarlyLabel,
    EarlySpikes,
    EndOfTrial,
    EqualPull,
    IntervalRate,
    LateSpikes,
    Margin,
    MeanSquare,
    NoGradientWarning,
    SpikeCount,
    SpikeTime,
    SpikeTimes,
    VanRossum,
    VictorPurpura,
)
from validation.case_suite.yinyang import first_spike_loss

STEP, TOLERANCE = 1e-3, 1e-9  # quotients of this step have ten digits or more here


def gradient_and_value(loss, name):
    """Return x, the loss as a function of one parameter, and its gradient by two ways."""
    network, inputs = layers()
    _, gradient = losses.value_and_grad(loss, wrt=name)(network, inputs, DURATION)

    def value(x):
        changed, trains_of = with_values(name, x, network, inputs)
        return loss(refsim.simulate_batch(changed, trains_of, DURATION))[0]

    return values_of(name, network, inputs), value, getattr(gradient, name)


@pytest.mark.parametrize("name", ["weight", "delay", "tau_m", "input_times"])
@pytest.mark.parametrize("loss", everything(), ids=lambda loss: repr(loss)[:40])
def test_gradients_are_those_of_quotients(loss, name):
    x, value, gradient = gradient_and_value(loss, name)
    assert_slope(value, x, gradient, STEP, TOLERANCE)


@pytest.mark.parametrize("loss", of_batches(), ids=lambda loss: repr(loss)[:40])
def test_a_batch_is_its_samples(loss):
    """In one go, one by one, and as means; the quickest way is no other loss."""
    network, inputs = layers()
    batch, pullback = adjoint.vjp_batch(network, inputs, DURATION)
    total, bars = loss(batch)
    each, _ = loss(batch, reduce=None)
    mean, mean_bars = loss(batch, reduce="mean")
    assert total == pytest.approx(each.sum(), rel=1e-15)
    assert mean == pytest.approx(total / 4, rel=1e-15)
    np.testing.assert_allclose(4.0 * mean_bars.time, bars.time, rtol=1e-15)
    for i, run in enumerate(batch):
        value, cotangents = loss(run, i)
        assert value == each[i]
        rows = slice(batch.spike_start[i], batch.spike_start[i + 1])
        assert np.array_equal(cotangents.time, bars.time[rows])
    value, one_by_one = adjoint.value_and_grad_batch(loss)(network, inputs, DURATION)
    assert value == pytest.approx(total, rel=1e-15)
    np.testing.assert_allclose(one_by_one.weight, pullback(bars.time).weight, rtol=1e-14)


@pytest.mark.parametrize("loss", of_all(), ids=lambda loss: repr(loss)[:40])
def test_a_loss_of_one_run(loss):
    network, inputs = layers()
    value, gradient = adjoint.value_and_grad(loss)(network, inputs[1], DURATION)
    ours = losses.value_and_grad(loss)(network, inputs[1], DURATION)
    assert ours[0] == value
    assert np.array_equal(ours[1].weight, gradient.weight)


def test_cross_entropy_is_that_of_yin_yang():
    """Another implementation, of one run."""
    network, inputs = layers()
    run = refsim.simulate(network, inputs[0], DURATION)
    value, bars = CrossEntropy(SpikeTime(OUTPUTS), 1, 2.0)(run)
    known, time_bar = first_spike_loss(run, OUTPUTS, 1, 2.0)
    assert value == pytest.approx(known, rel=1e-14)
    np.testing.assert_allclose(bars.time, time_bar, rtol=1e-13, atol=1e-16)


def test_values_written_out():
    """Each formula as its docstring has it, in plain Python."""
    network, inputs = layers()
    run = refsim.simulate(network, inputs[2], DURATION)
    times = [run.by_neuron()[n] for n in OUTPUTS]
    first = np.array([t[0] for t in times])
    assert Margin(SpikeTime(OUTPUTS), 1, 5.0)(run)[0] == pytest.approx(
        sum(max(0.0, 5.0 - (first[j] - first[1])) for j in (0, 2)), rel=1e-15
    )
    assert EarlyLabel(SpikeTime(OUTPUTS), 1, 10.0)(run)[0] == pytest.approx(
        np.exp(first[1] / 10.0) - 1.0, rel=1e-14
    )
    assert MeanSquare(SpikeTimes(OUTPUTS, 2), 4.0)(run)[0] == pytest.approx(
        np.mean([(t - 4.0) ** 2 for row in times for t in row[:2]]), rel=1e-14
    )
    rates = np.array([1000.0 / np.mean(np.diff(row)) for row in times])
    np.testing.assert_allclose(IntervalRate(OUTPUTS)(run), rates, rtol=1e-13)
    assert Band(IntervalRate(OUTPUTS), 300.0, 310.0)(run)[0] == pytest.approx(
        sum(max(0.0, 300.0 - r) ** 2 + max(0.0, r - 310.0) ** 2 for r in rates), rel=1e-12
    )
    together = np.concatenate(times)
    assert LateSpikes(OUTPUTS, 10.0)(run)[0] == pytest.approx(
        np.sum(np.maximum(together - 10.0, 0.0) ** 2), rel=1e-14
    )
    assert EarlySpikes(OUTPUTS, 10.0)(run)[0] == pytest.approx(
        np.sum(np.maximum(10.0 - together, 0.0) ** 2), rel=1e-14
    )


sorted_times = st.lists(st.integers(0, 40), max_size=6).map(lambda k: np.sort(k) / 2.0)


def one_neuron(times):
    """Return a run of one neuron that fires at these times, which no network has to explain."""
    run = refsim.simulate(refsim.Network(1), None, 100.0)
    count = len(times)
    spikes = refsim.Spikes(
        np.asarray(times, float), np.zeros(count, int), np.ones(count), np.ones(count)
    )
    changed = copy.copy(run)
    object.__setattr__(changed, "spikes", spikes)
    return changed


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(times=sorted_times, wanted=sorted_times)
def test_van_rossum_is_half_of_a_double_sum(times, wanted):
    """All pairs, ties among them."""
    value, bars = _quiet(VanRossum([0], [wanted], 3.0), one_neuron(times))
    everyone = np.concatenate([times, wanted])
    sign = np.repeat([1.0, -1.0], [len(times), len(wanted)])
    apart = everyone[:, None] - everyone
    near = sign[:, None] * sign * np.exp(-np.abs(apart) / 3.0)
    assert value == pytest.approx(0.5 * near.sum(), rel=1e-13, abs=1e-14)
    slope = -(near * np.sign(apart)).sum(axis=1)[: len(times)] / 3.0
    np.testing.assert_allclose(bars.time, slope, rtol=1e-12, atol=1e-14)


def cheapest(a, b, cost):
    """Return the distance of Victor and Purpura by its definition, and all ways that have it."""
    if not len(a) or not len(b):
        return float(len(a) + len(b))
    return min(
        cheapest(a[:-1], b, cost) + 1.0,
        cheapest(a, b[:-1], cost) + 1.0,
        cheapest(a[:-1], b[:-1], cost) + cost * abs(a[-1] - b[-1]),
    )


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(times=sorted_times, wanted=sorted_times, cost=st.sampled_from([0.0, 0.1, 0.7, 5.0]))
def test_victor_purpura_by_recursion(times, wanted, cost):
    value, bars = _quiet(VictorPurpura([0], [wanted], cost), one_neuron(times))
    assert value == pytest.approx(cheapest(list(times), list(wanted), cost), rel=1e-14)
    assert set(np.abs(bars.time)) <= {0.0, cost}


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(wanted=sorted_times, seed=st.integers(0, 1000))
def test_distances_away_from_kinks(wanted, seed):
    """Spikes off the grid of half a ms on which the wanted ones are."""
    rng = np.random.default_rng(seed)
    times = np.sort(rng.integers(0, 40, 5) / 2.0 + rng.uniform(0.05, 0.2, 5))
    way = rng.uniform(-1.0, 1.0, 5)

    def slopes(loss, step):
        def value(t):
            return _quiet(loss, one_neuron(t))[0]

        return slope_along(value, times, way, step), _quiet(loss, one_neuron(times))[1].time @ way

    found, ours = slopes(VanRossum([0], [wanted], 3.0), 1e-3)
    assert found == pytest.approx(ours, rel=1e-9, abs=1e-10)
    loss = VictorPurpura([0], [wanted], 0.3)
    found, ours = slopes(loss, 1e-3)
    # It is piecewise linear, and where two ways cost the same it has a kink: quotients differ.
    assume(abs(found - slopes(loss, 2e-3)[0]) < 1e-9)
    assert found == pytest.approx(ours, rel=1e-9, abs=1e-10)


def _quiet(loss, run):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoGradientWarning)
        return loss(run)


@pytest.mark.parametrize(
    ("pseudo", "stand_in"),
    [
        (EndOfTrial(3.0), lambda t: 1.0 / (1.0 + np.exp(-(DURATION - t) / 3.0))),
        (EqualPull(0.2), lambda t: -0.2 * t),
    ],
    ids=["EndOfTrial", "EqualPull"],
)
def test_counts_have_the_gradient_that_is_named(pseudo, stand_in):
    """The value is the number of spikes; the gradient is that of another function, written here."""
    network, inputs = layers()
    batch, pullback = adjoint.vjp_batch(network, inputs, DURATION)
    loss = CrossEntropy(SpikeCount(OUTPUTS, pseudo), LABELS, 2.0)
    counts = np.array([np.bincount(run.spikes.neuron, minlength=6)[3:] for run in batch])
    assert np.array_equal(SpikeCount(OUTPUTS, pseudo)(batch), counts)
    value, bars = loss(batch)
    odds = np.exp((counts - counts.max(axis=1, keepdims=True)) / 2.0)
    share = odds / odds.sum(axis=1, keepdims=True)
    assert value == pytest.approx(-np.log(share[np.arange(4), LABELS]).sum(), rel=1e-14)
    weight = (share - np.eye(3)[LABELS]) / 2.0

    def stand(x):
        runs = refsim.simulate_batch(network.replace(weight=x), inputs, DURATION)
        return sum(
            weight[i, j] * stand_in(run.by_neuron()[n]).sum()
            for i, run in enumerate(runs)
            for j, n in enumerate(OUTPUTS)
        )

    assert_slope(stand, network.weight, pullback(bars.time).weight, STEP, TOLERANCE)


def test_a_count_by_itself_has_no_gradient():
    network, inputs = layers()
    batch = refsim.simulate_batch(network, inputs, DURATION)
    with pytest.warns(NoGradientWarning, match="nothing that <MeanSquare"):
        _, bars = MeanSquare(SpikeCount(OUTPUTS, None), 3.0)(batch)
    assert not bars.time.any()


def silent():
    """Return a network whose outputs do not spike but for one in one sample."""
    network, inputs = layers()
    weight = np.array(network.weight)
    weight[12:] *= 0.05
    return network.replace(weight=weight), inputs


def test_silent_outputs_have_a_stated_value():
    network, inputs = silent()
    batch = refsim.simulate_batch(network, inputs, DURATION)
    assert np.array_equal(SpikeTime(OUTPUTS)(batch), np.full((4, 3), DURATION))
    assert np.array_equal(SpikeTimes(OUTPUTS, 2, late=99.0)(batch), np.full((4, 3, 2), 99.0))
    assert np.array_equal(IntervalRate(OUTPUTS)(batch), np.zeros((4, 3)))
    with pytest.warns(NoGradientWarning, match=r"in any of the 4 samples.*KeepAlive.*WeightIncr"):
        value, bars = CrossEntropy(SpikeTime(OUTPUTS), LABELS)(batch)
    assert value == pytest.approx(4.0 * np.log(3.0), rel=1e-15)
    assert not bars.time.any()
    with pytest.warns(NoGradientWarning, match="in the run"):
        LateSpikes(OUTPUTS, 1.0)(batch[0])


def test_no_warning_where_something_has_a_gradient():
    network, inputs = silent()
    batch = refsim.simulate_batch(network, inputs, DURATION)
    loss = CrossEntropy(SpikeTime(OUTPUTS), LABELS) + EarlySpikes([0], 20.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loss(batch)
        VanRossum(OUTPUTS, [[], [], []], 3.0)(batch)  # nothing is wanted, and nothing is there


def test_missing_spikes_take_no_gradient_from_others():
    """A neuron with one spike where two are read: the stated value of the second is constant."""
    run = one_neuron([4.0])
    value, bars = MeanSquare(SpikeTimes([0], 2, late=50.0), [[3.0, 40.0]])(run)
    assert value == pytest.approx((1.0 + 100.0) / 2.0, rel=1e-15)
    assert bars.time == pytest.approx([1.0], rel=1e-15)


@pytest.mark.parametrize("loss", everything(), ids=lambda loss: repr(loss)[:40])
def test_losses_print_pickle_and_stay(loss):
    network, inputs = layers()
    batch = refsim.simulate_batch(network, inputs, DURATION)
    again = pickle.loads(pickle.dumps(loss))
    assert repr(again) == repr(loss)
    assert "\n" not in repr(loss)
    assert "array(" not in repr(loss)
    assert again(batch)[0] == copy.deepcopy(loss)(batch)[0] == loss(batch)[0]
    assert not hasattr(loss, "parts") or len(loss.parts) == 3


def test_sums():
    network, inputs = layers()
    batch = refsim.simulate_batch(network, inputs, DURATION)
    a, b = of_batches()[0], of_all()[4]
    value_a, bars_a = a(batch)
    value_b, bars_b = b(batch)
    value, bars = (a + 0.25 * b)(batch)
    assert value == pytest.approx(value_a + 0.25 * value_b, rel=1e-15)
    np.testing.assert_allclose(bars.time, bars_a.time + 0.25 * bars_b.time, rtol=1e-15)
    assert (2.0 * (a - b))(batch)[0] == pytest.approx(2.0 * (value_a - value_b), rel=1e-14)
    assert (-a)(batch)[0] == -value_a
    with pytest.raises(TypeError):
        a + 1.0
    with pytest.raises(TypeError):
        a * "2"
    with pytest.raises(refsim.InvalidValueError, match="factor is nan"):
        float("nan") * a


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: SpikeTime([]), refsim.InvalidValueError, "neurons is empty"),
        (lambda: SpikeTime([1, 2, 1]), refsim.InvalidValueError, "neurons has 1 more than once"),
        (lambda: SpikeTime([0.5]), refsim.InvalidTypeError, "expected integers"),
        (lambda: SpikeTime(0, k=0), refsim.InvalidValueError, "k is 0"),
        (lambda: SpikeTime(0, late=-1.0), refsim.InvalidValueError, "late is -1"),
        (lambda: SpikeTimes(0, count=1.5), refsim.InvalidTypeError, "count is 1.5"),
        (lambda: CrossEntropy(0, 1), refsim.InvalidTypeError, "of is a int; expected a readout"),
        (lambda: CrossEntropy(SpikeTime([0, 1]), 2), refsim.InvalidValueError, "labels is 2"),
        (lambda: CrossEntropy(SpikeTime([0]), 0.0), refsim.InvalidTypeError, "dtype float64"),
        (lambda: CrossEntropy(SpikeTime([0]), [[0]]), refsim.InvalidValueError, r"\(1, 1\)"),
        (lambda: CrossEntropy(SpikeTime([0]), 0, 0.0), refsim.InvalidValueError, "scale is 0"),
        (lambda: CrossEntropy(SpikeTimes([0], 1), 0), refsim.InvalidValueError, "of has the shape"),
        (lambda: Margin(SpikeTime([0]), 0, -1.0), refsim.InvalidValueError, "margin is -1"),
        (lambda: MeanSquare(SpikeTime([0, 1]), [1.0]), refsim.InvalidValueError, "targets has sha"),
        (lambda: MeanSquare(SpikeTime([0]), [np.nan]), refsim.InvalidValueError, "targets holds"),
        (lambda: MeanSquare(SpikeTime([0]), ["a"]), refsim.InvalidTypeError, "targets"),
        (lambda: Band(SpikeTime([0])), refsim.InvalidValueError, "low and high are None"),
        (lambda: Band(SpikeTime([0]), 2.0, 1.0), refsim.InvalidValueError, "high is 1"),
        (lambda: VanRossum([0, 1], [[1.0]], 3.0), refsim.InvalidValueError, "targets has 1 trains"),
        (lambda: VanRossum([0], [[-1.0]], 3.0), refsim.InvalidValueError, r"trains\[0\]\[0\] is"),
        (lambda: VanRossum([0], 5.0, 3.0), refsim.InvalidTypeError, "targets is 5.0"),
        (lambda: VanRossum([0], [[]], 0.0), refsim.InvalidValueError, "tau is 0"),
        (lambda: VictorPurpura([0], [[]], -1.0), refsim.InvalidValueError, "cost is -1"),
        (lambda: SpikeCount([0], "surrogate"), refsim.InvalidTypeError, "pseudo is a str"),
        (lambda: EndOfTrial(0.0), refsim.InvalidValueError, "scale is 0"),
        (lambda: losses.value_and_grad(len), refsim.InvalidTypeError, "loss is a builtin"),
    ],
)
def test_what_is_refused(make, error, says):
    with pytest.raises(error, match=says):
        make()


def test_what_is_refused_of_runs():
    network, inputs = layers()
    batch = refsim.simulate_batch(network, inputs[:2], DURATION)
    loss = CrossEntropy(SpikeTime(OUTPUTS), LABELS)
    with pytest.raises(refsim.InvalidValueError, match="labels is for 4 samples; expected 2"):
        loss(batch)
    with pytest.raises(refsim.InvalidValueError, match="labels is for 4 samples; expected 1"):
        loss(batch[0])
    with pytest.raises(refsim.InvalidValueError, match="number is 4, and labels is for 4 samples"):
        loss(batch[0], 4)
    with pytest.raises(refsim.InvalidValueError, match=r"neurons\[0\] is 9"):
        CrossEntropy(SpikeTime([9, 1]), 0)(batch)
    with pytest.raises(refsim.InvalidTypeError, match="a loss was called with a list"):
        loss([batch[0]])
    with pytest.raises(refsim.InvalidValueError, match="reduce is 'max'"):
        CrossEntropy(SpikeTime(OUTPUTS), 0)(batch, reduce="max")
    evaluate = losses.value_and_grad(CrossEntropy(SpikeTime(OUTPUTS), 0))
    with pytest.raises(refsim.InvalidTypeError, match="samples is given"):
        evaluate(network, inputs, DURATION, samples=([0], [1.0]))
    with pytest.raises(refsim.InvalidTypeError, match="checkpoint is given"):
        evaluate(network, inputs, DURATION, checkpoint=3)


def test_options_are_handed_on():
    network, inputs = layers()
    loss = CrossEntropy(SpikeTime(OUTPUTS), LABELS, 2.0)
    plain = losses.value_and_grad(loss, wrt="weight")(network, inputs, DURATION)
    windows = losses.value_and_grad(loss, wrt="weight")(
        network, inputs, DURATION, engine=refsim.Windows()
    )
    assert plain[0] == pytest.approx(windows[0], rel=1e-13)
    np.testing.assert_allclose(plain[1].weight, windows[1].weight, rtol=1e-10, atol=1e-14)
    assert plain[1].delay is None
