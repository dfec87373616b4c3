"""Acyclic networks neuron by neuron and layer by layer find what the event engine finds."""

import warnings

import acyclic
import numpy as np
import pytest
from acyclic import MOST, both, without_cycles
from hypothesis import HealthCheck, assume, example, given, settings, strategies as st

import refsim
from refsim import ExpPort, Network, SpikeLimitError, SpikeTrain, Synapses
from refsim.batch.layers import LayersBatch
from refsim.layers.dense.layout import dense_of, why_not_dense
from refsim.layers.plan import obstacle, plan_of
from refsim.layers.run import LayersRun
from refsim.question import Question
from validation import tolerances
from validation.case_suite import zoo
from validation.strategies import DURATION, cases

usual = settings(
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
THREADS = [1, 2, 3]


def assert_same(found, expected):
    """Compare simulations, whose spikes may differ by the rounding of a few operations."""
    assert found.spikes.neuron.tolist() == expected.spikes.neuron.tolist()
    time = expected.spikes.time
    rounding = tolerances.time_rounding(expected) + tolerances.EPS * time
    allowed = 16.0 * rounding * (1.0 + np.arange(len(time)))
    assert np.all(np.abs(found.spikes.time - time) <= allowed)
    assert found.counts.arrivals == expected.counts.arrivals
    assert found.counts.inputs == expected.counts.inputs
    np.testing.assert_array_equal(found.origin, expected.origin)


def hangs_on_rounding(run):
    """Return whether another rounding may give other spikes."""
    scale = (run.network.v_th - run.network.v_reset) / run.network.tau_m
    is_flat = run.spikes.slope_before < 1e-5 * scale[run.spikes.neuron]
    is_late = run.spikes.time > (1.0 - 1e-13) * run.duration
    return run.conditioning.has_ties or bool((is_flat | is_late).any())


@usual
@given(cases(max_spikes=MOST))
def test_neurons_one_by_one_find_the_spikes_of_the_event_engine(case):
    network = without_cycles(case.network)
    try:
        _, expected, found = both(network, case.inputs, case.duration, case.samples)
    except SpikeLimitError:
        assume(False)
    assume(not hangs_on_rounding(expected))
    assert_same(found, expected)
    scale = np.abs(expected.voltages).max(initial=1.0)
    allowed = 1e3 * tolerances.voltage_rounding(expected) * scale
    np.testing.assert_allclose(found.voltages, expected.voltages, rtol=0, atol=allowed)


@usual
@given(acyclic.layered())
def test_layers_find_the_spikes_of_the_event_engine(drawn):
    network, inputs = drawn
    try:
        _, expected, found = both(network, inputs, DURATION)
    except SpikeLimitError:
        assume(False)
    assume(not hangs_on_rounding(expected))
    assert_same(found, expected)
    before, after = expected.spikes.slope_before, expected.spikes.slope_after
    grown = 1e3 * tolerances.gradient_rounding(expected)
    np.testing.assert_allclose(found.spikes.slope_before, before, rtol=grown)
    np.testing.assert_allclose(found.spikes.slope_after, after, rtol=grown, atol=grown)
    for ours, theirs in zip(found.conditioning[2:4], expected.conditioning[2:4], strict=True):
        assert ours == theirs or abs(ours - theirs) <= 1e-9


def layered(tau_m=20.0, size=40, seed=3, **options):
    """Return a network of two full layers that are active."""
    rng = np.random.default_rng(seed)
    pre = np.concatenate([np.repeat(size + 3 + np.arange(5), size), np.repeat(np.arange(size), 3)])
    post = np.concatenate([np.tile(np.arange(size), 5), np.tile(size + np.arange(3), size)])
    weight = np.concatenate([rng.normal(1.5, 1.0, 5 * size), rng.normal(0.6, 0.3, 3 * size)])
    synapses = Synapses(pre, post, weight, options.pop("delay", 0.0))
    return Network(size + 3, synapses, n_inputs=5, tau_m=tau_m, **options)


def trains(count, seed=4):
    """Return inputs of some samples, of which one is silent."""
    rng = np.random.default_rng(seed)
    sizes = [5 * k for k in range(count)]
    return [SpikeTrain(rng.uniform(0, 30, k), rng.integers(0, 5, k), 5) for k in sizes]


def test_the_networks_of_these_tests_are_taken_in_vectors():
    network = layered()
    assert dense_of(network, plan_of(network)) is not None


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"t_ref": 1.0}, "refractory"),
        ({"i_ext": 1.5}, "above the threshold"),
        ({"tau_m": 5.1}, "close"),
        ({"ports": [ExpPort(5.0), ExpPort(2.0)]}, "several ports"),
    ],
)
def test_other_networks_are_taken_one_by_one(options, why):
    network = layered(**options)
    assert why in why_not_dense(network)
    _, expected, found = both(network, trains(4)[3], DURATION, most=100_000)
    assert_same(found, expected)


@pytest.mark.parametrize("way", ["missing", "own delays", "twice", "two membranes"])
def test_layers_that_are_not_full_have_groups_of_one(way):
    network = layered()
    columns = [network.pre, network.post, network.weight, network.delay]
    if way == "missing":
        network = network.replace(synapses=Synapses(*(column[1:] for column in columns)))
    elif way == "twice":
        again = (np.append(column, column[3]) for column in columns)
        network = network.replace(synapses=Synapses(*again))
    else:
        delay = np.random.default_rng(0).uniform(0.0, 4.0, len(network.weight))
        network = network.replace(delay=delay)
    if way == "two membranes":
        network = network.replace(tau_m=np.resize([20.0, 7.0], 43))
    dense = dense_of(network, plan_of(network))
    assert dense is not None
    assert (dense.groups.size == 1).all()
    _, expected, found = both(network, trains(4)[3], DURATION, most=100_000)
    assert_same(found, expected)


def test_layers_of_two_membranes_are_two_groups_each():
    network = layered().replace(tau_m=np.resize([20.0, 7.0], 43))
    dense = dense_of(network, plan_of(network))
    assert dense is not None
    assert sorted(dense.groups.size) == [1, 2, 20, 20]
    _, expected, found = both(network, trains(4)[3], DURATION, most=100_000)
    assert_same(found, expected)


@pytest.mark.parametrize("tau_m", [20.0, 3.0])
def test_times_far_apart_have_references_of_their_own(tau_m):
    """Exponentials from the beginning on would overflow."""
    times = np.concatenate([start + np.arange(5.0) for start in (0.0, 700.0, 5e3, 5e5)])
    inputs = SpikeTrain(times, np.tile(np.arange(5), 4), 5)
    _, expected, found = both(layered(tau_m), inputs, 1e6, most=100_000)
    assert expected.n_spikes > 100
    assert_same(found, expected)


def test_arrivals_at_one_time_come_before_what_they_cause():
    inputs = SpikeTrain([2.0, 2.0, 2.0, 0.0], [0, 1, 2, 3], 5)
    network = layered().replace(weight=np.full(5 * 40 + 3 * 40, 12.0))
    _, expected, found = both(network, inputs, DURATION, most=100_000)
    assert_same(found, expected)
    assert found.spikes.time.min() > 0.0


@usual
@given(acyclic.layered(), st.sampled_from(THREADS))
def test_samples_of_a_batch_are_what_they_are_alone(drawn, threads):
    network, inputs = drawn
    others = [inputs, SpikeTrain.empty(network.n_inputs), inputs]
    try:
        alone = [
            LayersRun(Question(network, one, DURATION, max_spikes=MOST)).execute() for one in others
        ]
    except SpikeLimitError:
        assume(False)
    batch = LayersBatch(Question(network, None, DURATION), others, None, threads).execute()
    for one, other in zip(batch, alone, strict=True):
        for ours, theirs in zip(one.spikes, other.spikes, strict=True):
            np.testing.assert_array_equal(ours, theirs)
        assert one.counts == other.counts
        assert one.conditioning == other.conditioning
        np.testing.assert_array_equal(one.origin, other.origin)


@pytest.mark.parametrize("read", [None, refsim.Samples([41, 3], [20.0, 11.0])])
def test_bits_of_a_batch_do_not_depend_on_threads(read):
    results = [
        LayersBatch(Question(layered(), None, DURATION), trains(9), read, threads).execute()
        for threads in THREADS
    ]
    for other in results[1:]:
        for ours, theirs in zip(results[0].spikes, other.spikes, strict=True):
            np.testing.assert_array_equal(ours, theirs)
        np.testing.assert_array_equal(results[0].voltages, other.voltages)
        np.testing.assert_array_equal(results[0].gaps, other.gaps)


def test_room_grows_with_what_a_sample_does():
    network = layered(size=300)
    train = SpikeTrain(np.linspace(0.0, 90.0, 400), np.arange(400) % 5, 5)
    _, expected, found = both(
        network.replace(weight=network.weight * 0.3), train, 100.0, most=100_000
    )
    assert expected.n_spikes > 600
    assert_same(found, expected)


@pytest.mark.parametrize("t_ref", [0.0, 1.0])
def test_the_limit_of_spikes_is_an_error(t_ref):
    network, train = layered(t_ref=t_ref), trains(6)[5]
    with pytest.raises(SpikeLimitError, match="max_spikes is 10") as caught:
        LayersRun(Question(network, train, DURATION, max_spikes=10)).execute()
    assert caught.value.partial.n_spikes <= 10
    question = Question(network, None, DURATION, max_spikes=10)
    with pytest.raises(SpikeLimitError, match=r"inputs\[1\]"):
        LayersBatch(question, [None, train], None, 1).execute()


def test_the_limit_of_spikes_comes_before_their_memory():
    """A billion spikes would not fit."""
    network = layered().replace(weight=np.full(320, 1e9))
    with pytest.raises(SpikeLimitError, match="max_spikes is 1000"):
        LayersRun(Question(network, trains(4)[3], 1e6, max_spikes=1000)).execute()


@pytest.mark.parametrize(
    ("pre", "post", "text"),
    [
        ([0, 1, 2], [1, 2, 0], "cycle"),
        ([1], [1], "neuron 1 has a synapse to itself"),
        ([0, 1, 2, 3], [1, 2, 1, 0], "1 -> 2 -> 1|2 -> 1 -> 2"),
    ],
)
def test_a_cycle_is_named(pre, post, text):
    network = Network(4, Synapses(pre, post, 1.0, 1.0))
    why_not = obstacle(network, 1.0)
    assert why_not is not None
    assert any(part in why_not for part in text.split("|"))
    with pytest.raises(refsim.InvalidValueError, match=r"engine is Layers\(\)"):
        LayersRun(Question(network, None, 1.0))


def test_at_the_limit_of_spikes_nothing_is_known():
    network = Network(1, i_ext=2.0)
    with pytest.raises(
        SpikeLimitError, match="the attribute partial has none of the spikes"
    ) as end:
        refsim.simulate(network, None, 100.0, engine=refsim.Layers(), max_spikes=2)
    assert end.value.partial.n_spikes == 0


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12))
@example([(0, 1), (1, 2), (0, 2)])
def test_every_source_comes_before_its_targets(pairs):
    network = Network(6, Synapses([a for a, _ in pairs], [b for _, b in pairs], 1.0, 1.0))
    if obstacle(network, 1.0) is None:
        place = np.argsort(plan_of(network).order)
        assert all(place[a] < place[b] for a, b in pairs)
    else:
        assert any(_reaches(pairs, b, a) for a, b in pairs)


def _reaches(pairs, start, goal):
    seen, frontier = {start}, [start]
    while frontier:
        at = frontier.pop()
        new = {b for a, b in pairs if a == at} - seen
        seen |= new
        frontier += new
    return goal in seen


@pytest.mark.parametrize("case", zoo.zoo(), ids=lambda case: case.name)
def test_the_zoo(case):
    network = without_cycles(case.network)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", refsim.IllConditionedWarning)
        _, expected, found = both(network, case.inputs, case.duration, case.samples)
    if not hangs_on_rounding(expected):
        assert_same(found, expected)
