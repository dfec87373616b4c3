"""Batches: each sample is what it is alone, to the last bit, and gradients are ordered sums."""

import pickle
import sys
import threading
import time
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings, strategies as st
from signals import interrupted

import adjoint
import refsim
from refsim import ExpPort, InvalidTypeError, InvalidValueError, Network, SpikeTrain, connect
from refsim.batch import events as event_batch
from refsim.events import run as event_run
from refsim.threads import share_out
from validation.case_suite.yinyang import to_spikes, yin_yang, yin_yang_network
from validation.strategies import DURATION, cases, spike_trains

usual = settings(
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
LEAST = 150  # spikes of a sample, or it is not compared
THREADS = [1, 2, 3]


@st.composite
def batches(draw):
    """Draw a network, inputs and voltage samples of a few samples, and cotangents of each."""
    case = draw(cases(max_spikes=LEAST))
    trains = draw(st.lists(spike_trains(case.network.n_inputs), max_size=4))
    trains.insert(draw(st.integers(0, len(trains))), case.inputs)
    shared = draw(st.booleans())
    reads = [case.samples if shared or draw(st.booleans()) else None for _ in trains]
    return case.network, trains, reads, draw(st.integers(0, 2**32 - 1))


def each_alone(network, trains, reads, seed):
    """Return simulation, pullback and random cotangents of each sample."""
    rng = np.random.default_rng(seed)
    alone = []
    for train, read in zip(trains, reads, strict=True):
        try:
            run, vjp = adjoint.vjp(network, train, DURATION, samples=read, max_spikes=LEAST)
        except refsim.SpikeLimitError:
            assume(False)
        sizes = len(run.spikes.time), len(run.voltages)
        alone.append((run, vjp, *(rng.normal(size=k) for k in sizes)))
    return alone


def same_bits(one, other):
    """Return whether two results, or parts of them, are equal to the last bit."""
    if isinstance(one, refsim.Simulation | adjoint.Parameters):
        return same_bits(tuple(vars(one).values()), tuple(vars(other).values()))
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same_bits, one, other))
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=True)
    return one is other or one == other or vars(one).keys() == vars(other).keys()


@pytest.mark.filterwarnings("ignore::refsim.IllConditionedWarning")
@usual
@given(drawn=batches(), threads=st.sampled_from(THREADS))
def test_each_sample_is_what_it_is_alone(drawn, threads):
    network, trains, reads, _ = drawn
    alone = [run for run, *_ in each_alone(*drawn)]
    batch = refsim.simulate_batch(network, trains, DURATION, samples=reads, threads=threads)
    assert len(batch) == len(alone)
    assert all(map(same_bits, batch, alone))
    assert same_bits(batch.spikes.time, np.concatenate([run.spikes.time for run in alone]))
    assert batch.counts.arrivals == sum(run.counts.arrivals for run in alone)


@pytest.mark.filterwarnings("ignore::refsim.IllConditionedWarning")
@usual
@given(drawn=batches(), threads=st.sampled_from(THREADS))
def test_gradients_are_those_of_each_sample(drawn, threads):
    """A batch this small is added up sample by sample.

    Rates are turned to time constants behind the sum, which costs their gradients a rounding.
    """
    network, trains, reads, _ = drawn
    alone = each_alone(*drawn)
    try:
        gradients = [vjp(*bars) for _, vjp, *bars in alone]
    except refsim.UndefinedGradientError:
        assume(False)
    _, pullback = adjoint.vjp_batch(network, trains, DURATION, samples=reads, threads=threads)
    bars = [list(column) for column in zip(*(row[2:] for row in alone), strict=True)]
    assert all(map(same_bits, pullback(*bars, reduce=None), gradients))
    total = pullback(*map(np.concatenate, bars))
    for name, values in total.items():
        parts = [getattr(gradient, name) for gradient in gradients]
        if name == "input_times":
            assert np.array_equal(values, np.concatenate(parts))
        elif name in ("tau_m", "tau"):
            rounding = 1e-15 * len(parts) * sum(map(np.abs, parts))
            assert np.all(np.abs(values - sum(parts)) <= 4.0 * rounding)
        else:
            assert np.array_equal(values, sum(parts[1:], parts[0]))


@pytest.fixture(scope="module")
def yin_yang_batch():
    network = yin_yang_network(3)
    values, _ = yin_yang(150, 4)
    return network, [to_spikes(row) for row in values]


def gradient_bits(pullback, batch, **options):
    found = pullback(np.sin(batch.spikes.time), **options)
    return [values for _, values in found.items()]


def test_threads_change_no_bit(yin_yang_batch):
    network, inputs = yin_yang_batch
    inputs = inputs[:12]
    found = []
    for threads in (*THREADS, None):
        batch, pullback = adjoint.vjp_batch(network, inputs, 60.0, threads=threads)
        found.append([*batch.spikes, *gradient_bits(pullback, batch)])
    for other in found[1:]:
        assert all(map(np.array_equal, found[0], other))


@pytest.mark.parametrize("queue", ["heap", "sorted_array"])
def test_arrays_that_grow_change_no_bit(monkeypatch, yin_yang_batch, queue):
    """With room for one row to begin with, each of them grows at all moments."""
    network, inputs = yin_yang_batch
    options = {"engine": refsim.Events(queue), "samples": ([120, 0], [30.0, 20.0])}
    roomy = refsim.simulate_batch(network, inputs[:3], 60.0, threads=1, **options)
    monkeypatch.setattr(event_run, "_ROOM", 1)
    grown = refsim.simulate_batch(network, inputs[:3], 60.0, threads=1, **options)
    assert all(map(same_bits, grown, roomy))
    for train, run in zip(inputs, roomy, strict=False):
        assert same_bits(refsim.simulate(network, train, 60.0, **options), run)


@pytest.mark.parametrize("adjoint_queue", ["auto", "sorted_pass"])
def test_the_order_of_a_large_sum_is_that_of_groups(adjoint_queue):
    """150 samples are 50 groups of three, which is the least that gives 64 groups at most."""
    network = Network(3, connect([3, 3, 4], [0, 1, 2], [9.0, 7.0, 8.0], 1.5), n_inputs=2)
    rng = np.random.default_rng(0)
    inputs = [refsim.poisson_inputs(2, 200.0, 30.0, rng) for _ in range(150)]
    options = {"adjoint_queue": adjoint_queue, "threads": 2}
    batch, pullback = adjoint.vjp_batch(network, inputs, 40.0, **options)
    bars = [rng.normal(size=len(run.spikes.time)) for run in batch]
    each = [gradient.weight for gradient in pullback(bars, reduce=None)]
    groups = [(each[i] + each[i + 1]) + each[i + 2] for i in range(0, 150, 3)]
    assert np.array_equal(pullback(bars).weight, sum(groups[1:], groups[0]))
    assert not np.array_equal(pullback(bars).weight, sum(each[1:], each[0]))
    assert np.array_equal(pullback(bars, reduce="mean").weight, pullback(bars).weight / 150)
    assert np.array_equal(pullback(bars, reduce="mean").v_th, pullback(bars).v_th / 150)


def test_finite_differences_of_a_loss_of_a_batch(yin_yang_batch):
    network, inputs = yin_yang_batch
    inputs = inputs[:3]
    reads = [([120, 122], [20.0 + i, 30.0]) for i in range(3)]

    def loss(run, i):
        weight = 1.0 + 0.1 * i
        value = weight * np.sum(np.sin(run.spikes.time)) + np.sum(run.voltages**2)
        return float(value), (weight * np.cos(run.spikes.time), 2.0 * run.voltages)

    evaluate = adjoint.value_and_grad_batch(loss)
    options = {"samples": reads, "threads": 2}
    _, gradient = evaluate(network, inputs, 60.0, **options)
    rng = np.random.default_rng(1)
    for name in ("weight", "delay", "tau_m", "v_th", "tau"):
        direction = rng.normal(size=len(getattr(gradient, name)))
        moved = []
        for step in (1e-6, -1e-6):
            other = network.replace(**{name: getattr(network, name) + step * direction})
            moved.append(evaluate(other, inputs, 60.0, **options)[0])
        # The truncation is some step**2, 1e-12; rounding 1e-16/step of values of some hundreds.
        slope = (moved[0] - moved[1]) / 2e-6
        assert np.dot(getattr(gradient, name), direction) == pytest.approx(slope, rel=1e-5)


def test_value_and_grad_hands_on_aux_and_takes_means(yin_yang_batch):
    network, inputs = yin_yang_batch

    def loss(run, i):
        return float(i), np.ones(len(run.spikes.time)), run.counts.spikes

    (value, spikes), gradient = adjoint.value_and_grad_batch(loss, has_aux=True, reduce="mean")(
        network, inputs[:5], 60.0
    )
    assert value == 2.0
    assert spikes == [run.counts.spikes for run in refsim.simulate_batch(network, inputs[:5], 60.0)]
    _, pullback = adjoint.vjp_batch(network, inputs[:5], 60.0)
    assert same_bits(gradient, pullback([1.0] * 5, reduce="mean"))


def assert_wanted_alone(pullback, bars):
    """Compare with the gradient by all parameters, to the last bit."""
    whole = pullback(bars)
    for wrt in ("weight", ["delay", "input_times"], ("tau_m", "v0")):
        for full, found in (
            (whole, pullback(bars, wrt=wrt)),
            (pullback(bars, reduce=None)[2], pullback(bars, reduce=None, wrt=wrt)[2]),
        ):
            names = [wrt] if isinstance(wrt, str) else list(wrt)
            assert [name for name, _ in found.items()] == [
                name for name, _ in full.items() if name in names
            ]
            for name in names:
                assert np.array_equal(getattr(found, name), getattr(full, name)), name
    with pytest.raises(refsim.InvalidValueError, match="wrt"):
        pullback(bars, wrt="weights")


def test_a_batch_gives_the_gradients_that_are_wanted(yin_yang_batch):
    network, inputs = yin_yang_batch
    batch, pullback = adjoint.vjp_batch(network, inputs[:5], 60.0)
    assert_wanted_alone(pullback, [np.cos(run.spikes.time) for run in batch])

    def loss(run, i):
        return 1.0, np.ones(run.n_spikes)

    _, grad = adjoint.value_and_grad_batch(loss, wrt="delay")(network, inputs[:5], 60.0)
    assert grad.weight is None
    assert np.array_equal(grad.delay, pullback([1.0] * 5).delay)


@pytest.mark.filterwarnings("ignore::refsim.IllConditionedWarning")
@pytest.mark.parametrize(
    "options",
    [
        {"adjoint_queue": "sorted_pass"},
        {"engine": refsim.Windows()},
        {"adjoint_queue": adjoint.Keep(1)},
    ],
    ids=lambda options: next(iter(options)) + " " + str(next(iter(options.values())))[:6],
)
def test_what_has_no_kernel_for_batches_runs_sample_by_sample(yin_yang_batch, options):
    network, inputs = yin_yang_batch
    inputs = inputs[:7]
    bars, gradients, dropped = [], [], 0
    for train in inputs:
        run, vjp = adjoint.vjp(network, train, 60.0, **options)
        bars.append(np.cos(run.spikes.time))
        gradients.append(vjp(bars[-1]))
        dropped += vjp.dropped
    batch, pullback = adjoint.vjp_batch(network, inputs, 60.0, threads=3, **options)
    assert batch.engine == ("windows" if "engine" in options else "events")
    assert all(map(same_bits, pullback(bars, reduce=None), gradients))
    assert pullback.dropped == dropped
    assert_wanted_alone(pullback, bars)
    total = pullback(bars).delay
    assert np.array_equal(total, sum((g.delay for g in gradients[1:]), gradients[0].delay))
    assert np.array_equal(
        pullback(bars).input_times, np.concatenate([g.input_times for g in gradients])
    )


def test_lossy_queues_and_grids(yin_yang_batch):
    network, inputs = yin_yang_batch
    lossy = refsim.Lossy("single_spike", per="synapse")
    for queue in (lossy, "auto"):
        batch = refsim.simulate_batch(
            network, inputs[:4], 60.0, threads=2, engine=refsim.Events(queue, dt=0.5)
        )
        for run, train in zip(batch, inputs, strict=False):
            alone = refsim.simulate(network, train, 60.0, engine=refsim.Events(queue, dt=0.5))
            assert same_bits(run.spikes, alone.spikes)
            assert same_bits(run.dropped, alone.dropped)


def test_flat_arrays_and_first_spikes(yin_yang_batch):
    network, inputs = yin_yang_batch
    batch = refsim.simulate_batch(network, [*inputs[:3], None], 60.0, samples=([3, 4], [9.0, 8.0]))
    first = batch.first_spikes([120, 121, 122, 0])
    assert first.shape == (4, 4)
    for i, run in enumerate(batch):
        rows = slice(*batch.spike_start[i : i + 2])
        assert np.array_equal(batch.spikes.time[rows], run.spikes.time)
        assert np.all(batch.sample_of_spike[rows] == i)
        assert np.array_equal(batch.voltages[slice(*batch.voltage_start[i : i + 2])], run.voltages)
        for row, neuron in zip(first[i], (120, 121, 122, 0), strict=True):
            times = run.by_neuron()[neuron]
            assert (batch.spikes.time[row] == times[0]) if len(times) else row == -1
    assert np.all(first[3] == -1)
    assert len(batch[3].spikes.time) == 0
    assert same_bits(batch[-2], batch[2])
    assert [same_bits(*pair) for pair in zip(batch[1:], list(batch)[1:], strict=True)] == [True] * 3
    with pytest.raises(IndexError, match="index is 4; there are 4 samples"):
        batch[4]
    with pytest.raises(ValueError, match="read-only"):
        batch.spikes.time[0] = 1.0
    again = pickle.loads(pickle.dumps(batch))
    assert same_bits(again[1].spikes, batch[1].spikes)
    assert not again.spikes.time.flags.writeable
    assert repr(batch).startswith("<BatchResult: 4 samples, ")


def pair(**changes):
    return Network(2, connect([2, 0], [0, 1], [50.0, 5.0], 1.0), n_inputs=1).replace(**changes)


TRAIN = SpikeTrain([1.0], [0], 1)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"inputs": TRAIN}, InvalidTypeError, "inputs is .*; expected a sequence of SpikeTrain"),
        ({"inputs": []}, InvalidValueError, "inputs is empty; expected at least one SpikeTrain"),
        ({"inputs": [TRAIN, 5]}, InvalidTypeError, r"inputs\[1\] is a int; expected SpikeTrain"),
        (
            {"inputs": [TRAIN, None, SpikeTrain([], [], 3)]},
            InvalidValueError,
            r"inputs\[2\] has 3 channels; expected the 1 of the network",
        ),
        ({"threads": 0}, InvalidValueError, "threads is 0; expected"),
        ({"threads": 1.5}, InvalidTypeError, "threads is 1.5; expected"),
        ({"samples": [None]}, InvalidValueError, "samples is a list of 1; expected one for each"),
        (
            {"samples": [None, ([0], [99.0])]},
            InvalidValueError,
            r"samples\[1\].times\[0\] is 99.0; expected",
        ),
        ({"samples": [None, "text"]}, InvalidTypeError, r"samples\[1\] is a str; expected"),
        ({"duration": None}, InvalidTypeError, "duration is None; expected real numbers"),
        ({"network": None}, InvalidTypeError, "network is a NoneType"),
        ({"engine": "event"}, InvalidValueError, "engine is 'event'; expected 'auto' or "),
    ],
)
def test_bad_arguments_name_the_sample(changes, error, message):
    given_ = {"network": pair(), "inputs": [TRAIN, TRAIN], "duration": 10.0}
    for function in (refsim.simulate_batch, adjoint.vjp_batch):
        with pytest.raises(error, match=message):
            function(**(given_ | changes))


def test_bad_cotangents_name_the_sample():
    batch, pullback = adjoint.vjp_batch(pair(), [TRAIN, TRAIN], 10.0)
    sizes = np.diff(batch.spike_start)
    with pytest.raises(InvalidValueError, match=r"time_bars\[1\] has shape \(9,\); expected"):
        pullback([None, np.ones(9)])
    with pytest.raises(InvalidValueError, match="time_bars has 3 members; expected one for each"):
        pullback([None] * 3)
    with pytest.raises(InvalidValueError, match=rf"time_bars has shape .*\({sizes.sum()},\)"):
        pullback(np.ones(sizes.sum() + 1))
    with pytest.raises(InvalidValueError, match=r"voltage_bars\[0\] has shape"):
        pullback(None, [np.ones(1), None])
    with pytest.raises(InvalidValueError, match=r"time_bars\[1\]\[0\] is nan"):
        pullback([None, np.full(sizes[1], np.nan)])
    with pytest.raises(InvalidValueError, match="reduce is 'max'; expected one of 'sum', 'mean'"):
        pullback(None, reduce="max")
    for reduce in (None, "max", np.ones(2)):
        with pytest.raises(InvalidValueError, match="reduce is"):
            adjoint.value_and_grad_batch(lambda run, i: (0.0, None), reduce=reduce)
    with pytest.raises(InvalidTypeError, match="loss is a int"):
        adjoint.value_and_grad_batch(3)


@pytest.mark.parametrize("engine", [refsim.Events(), refsim.Windows()])
@pytest.mark.parametrize("threads", THREADS)
def test_a_spike_limit_names_a_sample_and_keeps_the_others(threads, engine):
    """The sample with an input runs away: its neurons excite each other."""
    excited = Network(2, connect([2, 0, 1], [0, 1, 0], [80.0, 80.0, 80.0], 0.1), n_inputs=1)
    inputs = [None] * 5 + [TRAIN] + [None] * 5
    with pytest.raises(refsim.SpikeLimitError, match=r"was reached with inputs\[5\]") as caught:
        refsim.simulate_batch(excited, inputs, 1e3, max_spikes=200, threads=threads, engine=engine)
    partial = caught.value.partial
    assert len(partial) == len(inputs)
    with pytest.raises(refsim.SpikeLimitError) as alone:
        refsim.simulate(excited, TRAIN, 1e3, max_spikes=200, engine=engine)
    assert same_bits(partial[5].spikes, alone.value.partial.spikes)
    assert partial.durations[5] == partial[5].spikes.time[-1] < 1e3
    assert set(np.delete(partial.durations, 5)) <= {0.0, 1e3}
    assert threads > 1 or list(partial.durations) == [1e3] * 5 + [partial[5].duration] + [0.0] * 5
    assert all(len(run.spikes.time) == 0 for run in partial[:5] + partial[6:])


@pytest.mark.filterwarnings("ignore:(overflow|invalid value|divide by zero) encountered")
def test_an_undefined_gradient_names_the_sample():
    """Slopes are made tiny, and zero, behind the back of the simulation.

    Of the samples, the first is silent and two spike by themselves, so that inputs say nothing.
    """
    network = Network(1, connect(1, 0, -1e3, 0.0), n_inputs=1, ports=ExpPort(1e3), i_ext=2.0)
    batch, pullback = adjoint.vjp_batch(network, [SpikeTrain([0.0], [0], 1), None, None], 20.0)
    assert list(np.diff(batch.spike_start)) == [0, 1, 1]
    huge = [None, 1e100, None]
    assert np.isfinite(pullback(huge).v_th).all()
    pullback._problem.tape.slope_before[0] = 1e-300
    with pytest.raises(refsim.UndefinedGradientError, match=r"inputs\[1\]: gradient\.\w+\[0\] is"):
        pullback(huge)
    pullback._problem.tape.slope_before[1] = 0.0
    with pytest.raises(refsim.UndefinedGradientError, match=r"inputs\[2\]: neuron 0 touches its"):
        pullback([1.0] * 3)


def test_ties_are_told_once():
    tied = Network(1, connect(1, 0, delay=1.0), n_inputs=1, i_ext=2.0, t_ref=[1.0], v0=[0.0])
    crossing = refsim.simulate(tied, None, 20.0).spikes.time[0]
    tie = SpikeTrain([crossing], [0], 1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        batch, _ = adjoint.vjp_batch(tied, [None, tie, tie], 20.0)
    assert [str(one.message)[:20] for one in caught] == ["inputs[1] and 1 more"]
    assert caught[0].filename == __file__
    assert list(batch.has_ties) == [False, True, True]


class BrokenError(RuntimeError):
    pass


@pytest.mark.parametrize("in_helper", [False, True])
def test_an_exception_in_any_thread_stops_the_others_and_is_raised(in_helper):
    main = threading.current_thread()
    begun = threading.Barrier(3)
    ended = []

    def body(tasks):
        begun.wait(60.0)
        is_main = threading.current_thread() is main
        if is_main != in_helper:
            raise BrokenError
        while not tasks.stopped:
            pass
        ended.append(next(tasks, "none"))

    with pytest.raises(BrokenError):
        share_out(100, 3, body)
    assert set(ended) <= {"none"}
    assert threading.active_count() == 1 or all(
        not thread.daemon or thread.name.startswith("pytest") for thread in threading.enumerate()
    )


def test_a_helper_is_waited_for_whose_start_is_interrupted(monkeypatch):
    """Ctrl-C while a thread starts leaves one that runs, and that nothing says it has begun."""
    ended = []
    start = threading.Thread.start

    def interrupted_start(self):
        start(self)
        raise KeyboardInterrupt

    def body(tasks):
        while not tasks.stopped:
            time.sleep(0.01)
        time.sleep(0.2)
        ended.append(True)

    monkeypatch.setattr(threading.Thread, "start", interrupted_start)
    with pytest.raises(KeyboardInterrupt):
        share_out(2, 2, body)
    assert ended == [True]


def test_ctrl_c_while_spikes_are_copied_leaves_a_sound_partial(monkeypatch, yin_yang_batch):
    network, inputs = yin_yang_batch
    copies = event_batch._Worker.columns
    calls = []

    def interrupted_once(self, *rows):
        calls.append(rows)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return copies(self, *rows)

    monkeypatch.setattr(event_batch._Worker, "columns", interrupted_once)
    monkeypatch.setattr(event_batch.EventBatch, "most_at_once", 2)
    with pytest.raises(refsim.SimulationInterrupted, match="after 2 of 6 samples") as caught:
        refsim.simulate_batch(network, inputs[:6], 60.0, threads=1)
    partial = caught.value.partial
    assert list(partial.durations) == [60.0] * 2 + [0.0] * 4
    assert len(partial.spikes.time) == partial.spike_start[-1] == partial.counts.spikes
    assert same_bits(partial[1].spikes, refsim.simulate(network, inputs[1], 60.0).spikes)


def test_tasks_are_shared_out_once():
    seen = []
    share_out(1000, 4, lambda tasks: seen.extend(tasks))
    assert sorted(seen) == list(range(1000))
    share_out(0, 4, lambda tasks: seen.extend(tasks))
    assert len(seen) == 1000


def test_floating_point_errors_are_handled_as_in_the_caller():
    handling = []
    with np.errstate(all="raise"):
        share_out(8, 4, lambda tasks: handling.extend(np.geterr()["over"] for _ in tasks))
    assert set(handling) == {"raise"}


LONG = """
import numpy as np
from refsim import Network, SimulationInterrupted, SpikeTrain, connect, simulate_batch

excited = Network(2, connect([2, 0, 1], [0, 1, 0], 80.0, 0.1), n_inputs=1)
endless = SpikeTrain([1.0], [0], 1)
simulate_batch(excited, [None, endless], 2.0)
print("ready", flush=True)
try:
    simulate_batch(
        excited, [None] * 3 + [endless] * 3, 1e9, max_spikes=10**12, threads={threads}
    )
except SimulationInterrupted as error:
    batch = error.partial
    assert len(batch) == 6
    assert list(batch.durations[:3]) == [1e9] * 3
    assert np.all(batch.durations[3:] < 1e9)
    assert "interrupted after 3 of 6 samples; the attribute partial holds" in str(error)
    for run in batch:
        assert run.counts.spikes == len(run.spikes.time)
    print("partial", flush=True)
"""


def of_three():
    rng = np.random.default_rng(5)
    size = 60
    synapses = connect(
        rng.integers(0, 12, size),
        rng.integers(0, 8, size),
        weight=rng.normal(1.5, 1.0, size),
        delay=rng.uniform(0.5, 3.0, size),
    )
    network = Network(8, synapses, n_inputs=4, ports=ExpPort(5.0), i_ext=0.8, t_ref=0.5)
    return network, [refsim.poisson_inputs(4, 100.0, 40.0, seed) for seed in range(3)]


WAYS = {
    "at once": {},
    "one by one": {"engine": refsim.Windows()},
    "sorted": {"adjoint_queue": "sorted_pass"},
}


@pytest.mark.parametrize("way", WAYS)
def test_one_number_stands_for_all_cotangents(way):
    network, trains = of_three()
    samples = ([0, 1], [10.0, 20.0])
    batch, pullback = adjoint.vjp_batch(network, trains, 40.0, samples=samples, **WAYS[way])
    ones, twos = np.ones(len(batch.spikes.time)), np.full(len(batch.voltages), 2.0)
    assert len(ones) > 20
    for one, two in ((1.0, 2.0), (np.float32(1.0), np.array(2)), (1, np.int64(2))):
        assert_equal_gradients(pullback(one, two), pullback(ones, twos))
    for name, wrong in (("time_bars", True), ("time_bars", np.nan), ("voltage_bars", 1j)):
        with pytest.raises((InvalidValueError, InvalidTypeError), match=name):
            pullback(**{name: wrong})


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("threads", [1, 2])
def test_pullbacks_of_batches_can_be_pickled(way, threads):
    network, trains = of_three()
    _, pullback = adjoint.vjp_batch(network, trains, 40.0, threads=threads, **WAYS[way])
    again = pickle.loads(pickle.dumps(pullback))
    assert repr(again) == repr(pullback)
    for reduce in ("mean", None):
        pairs = pullback(1.0, reduce=reduce), again(1.0, reduce=reduce)
        for found, expected in zip(*(p if reduce is None else [p] for p in pairs), strict=True):
            assert_equal_gradients(found, expected)


def assert_equal_gradients(found, expected):
    for name, values in expected.items():
        assert np.array_equal(getattr(found, name), values), name


BACK = """
import adjoint
from refsim import Network, connect

network = Network(2, connect([0, 1], [1, 0], 0.1, 1.0), v_rest=1e3, v_reset=0.0, v0=0.0, t_ref=0.01)
pullback = adjoint.vjp_batch(network, [None] * 7, 5.0, threads={threads})[1]
pullback()
print("ready", flush=True)
try:
    while True:
        pullback([1.0] * 7)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT is sent as on Unix")
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("interpreted", [False, True], ids=["compiled", "interpreted"])
@pytest.mark.parametrize(
    ("script", "word"), [(LONG, "partial"), (BACK, "interrupted")], ids=["forward", "back"]
)
def test_ctrl_c_ends_all_threads_and_keeps_finished_samples(script, word, threads, interpreted):
    script = script.replace("{threads}", str(threads))
    output, errors, code, seconds = interrupted(script, interpreted)
    assert errors == ""
    assert output.split() == ["ready", word]
    assert code == 0
    assert seconds < 20.0  # half a second on an idle machine
