"""Checks of the kernels of CUDA, for the simulator and for a device alike.

Run by `test_cuda.py` in a process of its own, since Numba reads where kernels run when it is first
imported. In the simulator results are those of the CPU to the last bit: the same functions run in
plain Python. A device has another library of exponentials, and fuses multiplications with
additions; there they agree to rounding, where cases are well conditioned.
"""

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings, strategies as st
from naive_queues import NAIVE

import adjoint
import refsim
from validation.backends.cuda import event as cuda_event, queues as cuda_queues
from validation.backends.cuda.target import is_simulated
from validation.case_suite.stored import given_cases
from validation.comparison.backend import LossCotangents
from validation.strategies import DURATION, cases, spike_trains

usual = settings(
    deadline=None,
    max_examples=12 if is_simulated() else 100,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
LEAST = 60  # spikes of a sample, or it is not compared
# Rounding of a spike time relative to its size, and of gradients relative to the largest of a
# group: the stored cases cross with slopes that lose a digit or two, and a device's exponential
# errs by one unit in the last place.
TIME, GRADIENT = 1e-12, 1e-10
FAR = 1e-2  # ms, or share of the steepest slope: how far drawn cases are from another pattern
ignore_ties = pytest.mark.filterwarnings("ignore::refsim.IllConditionedWarning")


def test_kernels_can_be_run_here():
    assert cuda_event.cuda_reason_of_absence() is None


def close(ours, theirs, tolerance):
    assert ours.shape == theirs.shape
    scale = np.abs(theirs).max(initial=0.0)
    np.testing.assert_allclose(ours, theirs, rtol=0.0, atol=tolerance * scale)


def agree(ours, theirs, tolerance):
    """Assert that results are equal to the last bit, or on a device close."""
    if is_simulated():
        assert np.array_equal(ours, theirs, equal_nan=True)
    else:
        close(ours, theirs, tolerance)


def agree_all(ours, theirs):
    """Assert that two gradients agree."""
    for name, values in theirs.items():
        agree(getattr(ours, name), values, GRADIENT)


def agree_batches(ours, theirs):
    """Assert that two results of batches agree."""
    assert np.array_equal(ours.spikes.neuron, theirs.spikes.neuron)
    assert np.array_equal(ours.spike_start, theirs.spike_start)
    agree(ours.spikes.time, theirs.spikes.time, TIME)
    agree(ours.spikes.slope_before, theirs.spikes.slope_before, GRADIENT)
    agree(ours.spikes.slope_after, theirs.spikes.slope_after, GRADIENT)
    agree(ours.voltages, theirs.voltages, GRADIENT)
    assert np.array_equal(ours.durations, theirs.durations)
    assert np.array_equal(ours.origin, theirs.origin)
    assert ours.counts.arrivals == theirs.counts.arrivals
    assert ours.engine == "cuda"
    if is_simulated():
        assert np.array_equal(ours.gaps, theirs.gaps)
        assert ours.counts == theirs.counts


@pytest.mark.parametrize("case", given_cases(), ids=lambda case: case.name)
def test_given_cases_have_their_known_values(case):
    """Values to 30 digits, from a simulation that shares no code with ours."""
    known = case.expected
    reference = refsim.simulate(case.network, case.inputs, case.duration)
    answer = cuda_event.backend(
        case.network, case.inputs, case.duration, LossCotangents.of(case, reference.spikes.neuron)
    )
    assert np.array_equal(answer.neuron, known.spike_neurons)
    close(answer.time, known.spike_times, TIME)
    if known.voltages is not None:
        close(answer.voltages, known.voltages, GRADIENT)
    assert answer.gradient.keys() >= known.gradient.keys()
    for name, values in known.gradient.items():
        close(answer.gradient[name], values, GRADIENT)


@st.composite
def batches(draw):
    """Draw a network, inputs and samples of a few simulations, and how they are computed."""
    case = draw(cases(max_neurons=4, max_inputs=2, max_spikes=LEAST))
    trains = draw(st.lists(spike_trains(case.network.n_inputs, max_spikes=8), max_size=2))
    trains.insert(draw(st.integers(0, len(trains))), case.inputs)
    reads = [case.samples if draw(st.booleans()) else None for _ in trains]
    queues = ["auto", "heap", "sorted_array"]
    options = {
        "adjoint_queue": draw(st.sampled_from(queues)),
        "engine": refsim.Events(
            draw(st.sampled_from(queues)), draw(st.sampled_from([None, None, 0.5]))
        ),
    }
    return case.network, trains, reads, options, draw(st.integers(1, 64))


def is_far_from_change(batch):
    """Return whether rounding cannot change the pattern of spikes, nor grow beyond tolerance."""
    if is_simulated():
        return True
    network, spikes = batch.network, batch.spikes
    steepest = ((network.v_th - network.v_reset) / network.tau_m)[spikes.neuron]
    return bool((batch.gaps > FAR).all() and (spikes.slope_before > FAR * steepest).all())


@ignore_ties
@usual
@given(drawn=batches(), seed=st.integers(0, 2**32 - 1))
def test_drawn_batches_are_those_of_the_cpu(drawn, seed):
    network, trains, reads, options, room = drawn
    rng = np.random.default_rng(seed)
    try:
        theirs, pull_theirs = adjoint.vjp_batch(
            network, trains, DURATION, samples=reads, max_spikes=LEAST, **options
        )
        assume(is_far_from_change(theirs))
        bars = rng.normal(size=len(theirs.spikes.time)), rng.normal(size=len(theirs.voltages))
        each = pull_theirs(*bars, reduce=None)
        total = pull_theirs(*bars)
    except (refsim.SpikeLimitError, refsim.UndefinedGradientError):
        assume(False)
    ours, pull_ours = cuda_event.vjp_batch(
        network, trains, DURATION, samples=reads, max_spikes=LEAST, room=room, **options
    )
    agree_batches(ours, theirs)
    for one, other in zip(pull_ours(*bars, reduce=None), each, strict=True):
        agree_all(one, other)
    agree_all(pull_ours(*bars), total)


def many(size=40, most=8):
    """Return a small network, inputs of many samples, and an end."""
    synapses = [
        refsim.all_to_all([2], [0, 1], [[2.5, 1.5]], 1.0),
        refsim.connect([0], [1], 2.0, 1.5),
    ]
    network = refsim.Network(2, synapses, n_inputs=1, ports=refsim.ExpPort(5.0), tau_m=10.0)
    rng = np.random.default_rng(1)
    trains = [
        refsim.SpikeTrain(rng.uniform(0.0, 1.5 * most, k), [0] * k, 1)
        for k in rng.integers(0, most + 1, size)
    ]
    return network, trains, 20.0


def test_sums_of_groups_that_lie_in_two_launches():
    """Groups of three samples, and launches of 32: the order of a sum does not depend on it."""
    network, trains, end = many(140, 3)
    _, pull_theirs = adjoint.vjp_batch(network, trains, end)
    ours, pull_ours = cuda_event.vjp_batch(network, trains, end, memory=1)
    assert ours.counts.spikes > 100
    bars = np.cos(np.arange(ours.counts.spikes))
    agree_all(pull_ours(bars), pull_theirs(bars))


@pytest.mark.parametrize("memory", [1, 2**30], ids=["parts", "whole"])
@pytest.mark.parametrize("reduce", ["sum", "mean", None])
def test_neither_parts_nor_room_change_a_bit(memory, reduce):
    """With one byte of memory a launch takes one warp; with room for one spike most overflow."""
    network, trains, end = many()
    theirs, pull_theirs = adjoint.vjp_batch(network, trains, end)
    ours, pull_ours = cuda_event.vjp_batch(network, trains, end, room=1, memory=memory)
    assert np.diff(ours.spike_start).max() >= 4
    agree_batches(ours, theirs)
    bars = [np.cos(np.arange(run.counts.spikes)) for run in theirs]
    one, other = pull_ours(bars, reduce=reduce), pull_theirs(bars, reduce=reduce)
    pairs = [(one, other)] if reduce else zip(one, other, strict=True)
    for pair in pairs:
        agree_all(*pair)
    again = pull_ours(bars, reduce=reduce)
    for name, values in (again if reduce else again[0]).items():
        assert np.array_equal(values, getattr(one if reduce else one[0], name)), "not repeatable"


@ignore_ties
def test_samples_at_the_time_of_events():
    """Samples, inputs and delays on multiples of 1/8, and samples at a spike and its release.

    A device has spikes of its own, to rounding, so that these are a little later there.
    """
    synapses = refsim.connect([1, 0], [0, 0], [0.3, -0.2], [0.5, 0.0])
    network = refsim.Network(
        1, synapses, n_inputs=1, ports=refsim.ExpPort(5.0), tau_m=10.0, i_ext=2.0, t_ref=1.0
    )
    trains = [refsim.SpikeTrain([1.0, 3.0], [0, 0], 1), None]
    spike = refsim.simulate(network, None, 20.0).spikes.time[0]
    late = 0.0 if is_simulated() else 1e-3
    samples = [([0] * 40, np.arange(40) / 8.0), ([0, 0], [spike + late, spike + 1.0 + late])]
    theirs, pull_theirs = adjoint.vjp_batch(network, trains, 20.0, samples=samples)
    ours, pull_ours = cuda_event.vjp_batch(network, trains, 20.0, samples=samples)
    agree_batches(ours, theirs)
    bars = np.cos(np.arange(ours.counts.spikes)), np.sin(np.arange(42))
    agree_all(pull_ours(*bars), pull_theirs(*bars))
    assert ours.gaps[0, 2] == 0.0
    assert ours[0].conditioning.min_gap > 0.0
    assert ours.has_ties.tolist() == [True, is_simulated()]


def test_voltages_on_the_threshold_and_drives_far_beyond_it():
    """Spikes after a silence with the drive on the threshold, and a ramp of V' = 1."""
    port = refsim.DoubleExpPort(2.0, 8.0)
    synapses = refsim.connect(1, 0, weight=5.0, delay=1.0)
    settled = refsim.Network(1, synapses, n_inputs=1, ports=port, tau_m=10.0, i_ext=1.0)
    ramp = refsim.Network(1, tau_m=1e9, i_ext=1e9, v_th=1e-3)
    silences = [refsim.SpikeTrain([t], [0], 1) for t in (50.0, 500.0, 20_000.0)]
    for network, inputs, duration, counts in (
        (settled, silences[:2], 540.0, (9, 8)),
        (settled, silences[2:], 20_040.0, (8,)),
        (ramp, [None], 0.0025, (2,)),
    ):
        batch = cuda_event.simulate_batch(network, inputs, duration)
        assert tuple(np.diff(batch.spike_start)) == counts
        expected = refsim.simulate_batch(network, inputs, duration, engine=refsim.Events())
        agree(batch.spikes.time, expected.spikes.time, TIME)


def test_a_network_without_synapses_or_spikes():
    network = refsim.Network(1, i_ext=2.0)
    ours, pullback = cuda_event.vjp_batch(network, [None], 40.0)
    theirs, pull_theirs = adjoint.vjp_batch(network, [None], 40.0)
    agree_batches(ours, theirs)
    agree_all(pullback([1.0]), pull_theirs([1.0]))
    silent, pullback = cuda_event.vjp_batch(refsim.Network(1), [None, None], 5.0)
    assert silent.counts.spikes == 0
    assert not np.any(pullback().tau_m)


def test_the_limit_of_spikes_is_an_error_that_holds_what_there_is():
    network = refsim.Network(1, i_ext=50.0)
    with pytest.raises(refsim.SpikeLimitError, match=r"inputs\[0\]") as ours:
        cuda_event.simulate_batch(network, [None], 100.0, max_spikes=5, room=2)
    with pytest.raises(refsim.SpikeLimitError) as theirs:
        refsim.simulate_batch(network, [None], 100.0, max_spikes=5)
    agree(ours.value.partial[0].spikes.time, theirs.value.partial[0].spikes.time, TIME)
    agree(ours.value.partial.durations, theirs.value.partial.durations, TIME)


def test_what_found_no_room_before_the_limit_is_left_out():
    """Ten arrivals under way do not fit, in the launch in which another sample meets the limit."""
    network = refsim.Network(1, refsim.connect(1, 0, 1.0, 60.0), n_inputs=1, i_ext=2.0)
    trains = [refsim.SpikeTrain([0.5] * 10, [0] * 10, 1), None]
    with pytest.raises(refsim.SpikeLimitError, match=r"inputs\[1\].*after 0 of 2") as raised:
        cuda_event.simulate_batch(network, trains, 100.0, max_spikes=2, room=4)
    partial = raised.value.partial
    assert partial.spike_start.tolist() == [0, 0, 2]
    assert partial.durations[0] == 0.0
    assert partial[0].counts.inputs == 0


@pytest.mark.filterwarnings("ignore:(overflow|invalid value|divide by zero) encountered")
def test_gradients_that_do_not_exist_are_refused():
    """Slopes are made tiny, and zero, behind the back of the simulation."""
    network = refsim.Network(1, i_ext=2.0)
    _, pullback = cuda_event.vjp_batch(network, [None, None], 20.0)
    huge = [1e100, None]
    assert np.isfinite(pullback(huge).v_th).all()
    on_host = pullback._problem.tape.slope_before
    on_device = pullback._pass._problem.tape.slope_before
    on_host[0] = 1e-300
    on_device.copy_to_device(on_host)
    with pytest.raises(refsim.UndefinedGradientError, match=r"inputs\[0\]: gradient\.\w+\[0\] is"):
        pullback(huge)
    on_host[0] = 0.0
    on_device.copy_to_device(on_host)
    with pytest.raises(refsim.UndefinedGradientError, match=r"inputs\[0\]: neuron 0 touches its"):
        pullback(huge)


@pytest.mark.parametrize("queue", ["calendar", "single_spike", refsim.Lossy("single_spike")])
def test_other_queues_are_refused_by_name(queue):
    with pytest.raises(refsim.InvalidValueError, match="queue is"):
        cuda_event.simulate_batch(refsim.Network(1), [None], 1.0, engine=refsim.Events(queue))


@st.composite
def plays(draw):
    """Draw whole times of pushes in each step of a few queues, nan for none."""
    steps, n = draw(st.integers(1, 12)), draw(st.integers(1, 4))
    rows = st.lists(st.sampled_from([None, 0, 1, 1, 2, 3, 5]), min_size=n, max_size=n)
    ahead = draw(st.lists(rows, min_size=steps, max_size=steps))
    return np.array(
        [[np.nan if k is None else step + k for k in row] for step, row in enumerate(ahead)],
        dtype=np.float64,
    )


def played(structure, capacity, time):
    """Play one queue on its model; return the pushes lost and found in each step."""
    queue = NAIVE[structure](capacity)
    held, lost, found = set(), [], []
    for step, t in enumerate(time):
        gone = -1
        if not np.isnan(t):
            queue.push(t, step)
            left = (held | {step}) - {k for _, k in queue.held}
            gone = left.pop() if left else -1
        due = queue.poll(step)
        lost.append(gone)
        found.append(due[0][1] if due else -1)
        held = {k for _, k in queue.held}
    return lost, found


@pytest.mark.parametrize("structure", cuda_queues.STRUCTURES)
@usual
@given(time=plays(), capacity=st.integers(1, 3))
def test_queues_are_those_of_their_models(structure, time, capacity):
    one = structure in ("null", "single_spike", "single_spike_keep")
    ours = cuda_queues.play(structure, None if one else capacity, time, np.arange(len(time)))
    for q in range(time.shape[1]):
        lost, found = played(structure, 1 if one else capacity, time[:, q])
        assert ours.lost[:, q].tolist() == lost
        assert ours.found[:, q].tolist() == found
        assert ours.dropped[q] == sum(k >= 0 for k in lost)
