"""The Yin-Yang data set against its geometry, and the gradient cases made of it."""

import numpy as np
import pytest

import adjoint
import refsim
from validation.case_suite import yinyang
from validation.case_suite.yinyang import DOT, YANG, YIN, classify, to_spikes, yin_yang

SAMPLES = range(5)


def test_shape_range_and_mirror_columns():
    values, labels = yin_yang(2000, rng=3)
    assert values.shape == (2000, 4)
    assert labels.shape == (2000,)
    assert values.min() >= 0.0
    assert values.max() <= 1.0
    np.testing.assert_array_equal(values[:, 2:], 1.0 - values[:, :2])


def test_classes_are_balanced():
    size = 9000
    counts = np.bincount(yin_yang(size, rng=0)[1], minlength=3)
    # Four standard deviations of a binomial count with probability 1/3.
    assert np.all(np.abs(counts - size / 3) < 4.0 * np.sqrt(size * 2 / 9))


def test_all_samples_lie_in_the_disc_and_have_their_class():
    values, labels = yin_yang(2000, rng=4)
    np.testing.assert_array_equal(classify(values[:, 0], values[:, 1]), labels)
    assert np.all(np.hypot(values[:, 0] - 0.5, values[:, 1] - 0.5) <= 0.5)
    dots = values[labels == DOT]
    near = np.minimum(
        np.hypot(dots[:, 0] - 0.25, dots[:, 1] - 0.5), np.hypot(dots[:, 0] - 0.75, dots[:, 1] - 0.5)
    )
    assert near.max() < 0.1


def test_half_turn_exchanges_yin_and_yang():
    x, y = np.random.default_rng(5).uniform(0.0, 1.0, (2, 5000))
    turned = classify(1.0 - x, 1.0 - y)
    expected = np.array([YANG, YIN, DOT, -1])[classify(x, y)]
    np.testing.assert_array_equal(turned, expected)


def test_areas_are_those_of_the_figure():
    step = 1.0 / 1000
    grid = np.arange(step / 2, 1.0, step)
    label = classify(*np.meshgrid(grid, grid))
    area = {name: np.mean(label == name) for name in (YIN, YANG, DOT)}
    dots = 2.0 * np.pi * 0.1**2
    half = (np.pi * 0.5**2 - dots) / 2.0
    assert area[DOT] == pytest.approx(dots, abs=1e-3)
    assert area[YIN] == pytest.approx(half, abs=1e-3)
    assert area[YANG] == pytest.approx(half, abs=1e-3)


@pytest.mark.parametrize(
    ("x", "y", "label"),
    [
        (0.5, 0.9, YIN),
        (0.5, 0.1, YANG),
        (0.25, 0.35, YIN),  # the lower part of the left lobe
        (0.75, 0.65, YANG),  # the upper part of the right lobe
        (0.25, 0.5, DOT),
        (0.75, 0.5, DOT),
        (0.02, 0.02, -1),
    ],
)
def test_known_points(x, y, label):
    assert classify(x, y) == label


def test_the_seed_decides():
    a, b, c = (yin_yang(50, rng=seed) for seed in (7, 7, 8))
    np.testing.assert_array_equal(a[0], b[0])
    np.testing.assert_array_equal(a[1], b[1])
    assert not np.array_equal(a[0], c[0])


def test_no_samples():
    values, labels = yin_yang(0, rng=0)
    assert values.shape == (0, 4)
    assert labels.shape == (0,)


def test_spikes_encode_the_values():
    train = to_spikes([0.0, 0.5, 1.0, 0.5], t_early=10.0, t_late=40.0, t_bias=20.0)
    np.testing.assert_array_equal(train.times, [10.0, 25.0, 40.0, 25.0, 20.0])
    np.testing.assert_array_equal(train.sources, np.arange(5))
    assert train.n_inputs == 5


def test_spikes_refuse_values_outside_the_unit_interval():
    with pytest.raises(refsim.InvalidValueError, match="values_row"):
        to_spikes([0.0, 0.5, 1.1, 0.5])


def first_spike_simulation(drive):
    """Unconnected neurons under constant drive, whose first spike is tau log(b/(b - 1))."""
    drive = np.asarray(drive)
    network = refsim.Network(len(drive), i_ext=drive, tau_m=10.0)
    return refsim.simulate(network, None, 40.0)


def test_loss_is_the_cross_entropy_of_first_spikes():
    drive = np.array([1.5, 2.0, 1.7, 0.5])  # the last one is silent
    simulation = first_spike_simulation(drive)
    first = 10.0 * np.log(drive[:3] / (drive[:3] - 1.0))
    weight = np.exp(-first / 3.0)
    loss, time_bar = yinyang.first_spike_loss(simulation, [0, 1, 2, 3], 2, scale=3.0)
    assert loss == pytest.approx(-np.log(weight[2] / weight.sum()), rel=1e-12)
    used = np.flatnonzero(time_bar)
    np.testing.assert_array_equal(np.sort(simulation.spikes.neuron[used]), [0, 1, 2])
    np.testing.assert_allclose(np.sort(simulation.spikes.time[used]), np.sort(first), rtol=1e-12)
    # A common shift of all spikes changes nothing.
    assert abs(time_bar.sum()) < 1e-15


def test_loss_derivative_by_order_of_convergence():
    simulation = first_spike_simulation([1.5, 2.0, 1.7])
    time_bar = yinyang.first_spike_loss(simulation, [0, 1, 2], 0)[1]
    direction = np.random.default_rng(2).standard_normal(len(time_bar))

    def loss(h):
        moved = simulation.spikes._replace(time=simulation.spikes.time + h * direction)
        view = type("View", (), {"spikes": moved})()
        return yinyang.first_spike_loss(view, [0, 1, 2], 0)[0]

    steps = 0.1 * 0.5 ** np.arange(5)
    rest = [abs(loss(h) - loss(0.0) - h * (time_bar @ direction)) for h in steps]
    orders = np.log2(np.array(rest[:-1]) / rest[1:])
    assert orders[-1] == pytest.approx(2.0, abs=0.05)


def test_silent_label_is_refused():
    simulation = first_spike_simulation([1.5, 0.5])
    with pytest.raises(refsim.InvalidValueError, match="neuron 1 of label 1 is silent"):
        yinyang.first_spike_loss(simulation, [0, 1], 1)


@pytest.mark.parametrize("sample", SAMPLES)
def test_case_is_active_and_well_conditioned(sample):
    case = yinyang.yin_yang_case(sample=sample)
    simulation = refsim.simulate(case.network, case.inputs, case.duration)
    counts = np.bincount(simulation.spikes.neuron, minlength=123)
    assert np.mean(counts[:120] > 0) > 0.8
    assert np.sum(counts[:120] > 1) > 20
    assert counts[120:].min() >= 3
    slope = simulation.spikes.slope_before * (case.network.tau_m / case.network.v_th)[0]
    assert slope.min() > 0.05
    assert simulation.conditioning.min_gap > 0.004
    assert len(case.time_bar) == len(simulation.spikes.time)
    assert np.all(case.time_bar != 0.0)


def test_network_has_the_size_and_constants_of_the_paper():
    network = yinyang.yin_yang_network(rng=0)
    assert (network.n_inputs, network.n_neurons) == (5, 123)
    assert len(network.synapses) == 5 * 120 + 120 * 3
    assert set(network.tau_m) == {20.0}
    assert list(network.tau) == [5.0]
    assert len(set(network.delay)) == len(network.synapses)


def test_forward_and_reverse_mode_agree():
    case = yinyang.yin_yang_case(sample=1)
    _, pullback = adjoint.vjp(case.network, case.inputs, case.duration)
    gradient = pullback(case.time_bar)
    rng = np.random.default_rng(11)
    direction = {name: rng.standard_normal(len(row)) for name, row in gradient.items()}
    _, tangents = adjoint.jvp(case.network, case.inputs, case.duration, direction)
    forward = tangents.time * case.time_bar
    backward = np.concatenate([direction[name] * row for name, row in gradient.items()])
    scale = np.abs(forward).sum() + np.abs(backward).sum()
    assert abs(forward.sum() - backward.sum()) < 1e-12 * scale
