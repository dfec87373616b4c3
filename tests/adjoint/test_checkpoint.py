"""Gradients from snapshots are those from the tape, to the last bit."""

import itertools
import pickle
import threading
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from networks import balanced

import adjoint
import refsim
from adjoint.checkpoint.pullback import vjp_in_pieces
from adjoint.checkpoint.schedule import first_descent, split
from queues.compiled.jit import is_compiled
from refsim.question import Question
from refsim.windows.run import WindowRun


def active(n=60, seed=0, t_ref=2.0, delay=(1.0, 4.0), i_ext=None, n_inputs=5, duration=60.0):
    """Return a network that is active in bursts, with its inputs and samples."""
    rng = np.random.default_rng(seed)
    size = n * 12
    low, high = delay
    synapses = refsim.Synapses(
        pre=np.concatenate([rng.integers(0, n, size), n + rng.integers(0, n_inputs, 4 * n)]),
        post=rng.integers(0, n, size + 4 * n),
        weight=np.concatenate([rng.normal(-0.4, 0.6, size), rng.uniform(3, 7, 4 * n)]),
        delay=np.concatenate([rng.uniform(low, high, size), rng.uniform(0.0, high, 4 * n)]),
    )
    network = refsim.Network(
        n,
        synapses,
        n_inputs,
        tau_m=rng.uniform(8.0, 12.0, n),
        v_reset=rng.uniform(-0.2, 0.3, n),
        t_ref=rng.uniform(0.0, 2.0 * t_ref, n),
        i_ext=0.0 if i_ext is None else i_ext,
        v0=rng.uniform(0.0, 0.9, n),
    )
    early, late = rng.uniform(0.0, 0.25, 40), rng.uniform(0.65, 0.97, 30)
    times = duration * np.sort(np.concatenate([early, late]))
    inputs = refsim.SpikeTrain(times, rng.integers(0, n_inputs, len(times)), n_inputs)
    samples = (rng.integers(0, n, 20), rng.uniform(0.0, duration, 20))
    return network, inputs, duration, samples


def bars_of(simulation, seed=1):
    rng = np.random.default_rng(seed)
    n_spikes = simulation.counts.spikes
    return rng.normal(size=n_spikes), rng.normal(size=len(simulation.samples))


def assert_equal(found, expected):
    for name, values in expected.items():
        np.testing.assert_array_equal(getattr(found, name), values, err_msg=name)


def judge(network, inputs, duration, samples, checkpoint, wrt=None, threads=1):
    """Compare with the gradient from the tape; return the checkpointed simulation."""
    options = {"samples": samples, "engine": refsim.Windows(threads)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", refsim.IllConditionedWarning)
        plain, pullback = adjoint.vjp(network, inputs, duration, **options)
        kept, piecewise = adjoint.vjp(network, inputs, duration, checkpoint=checkpoint, **options)
    time_bar, voltage_bar = bars_of(plain)
    assert kept.n_spikes == len(plain.spikes.time)
    np.testing.assert_array_equal(kept.voltages, plain.voltages)
    assert kept.counts == plain.counts
    assert kept.conditioning == plain.conditioning
    expected = pullback(time_bar, voltage_bar, wrt)
    assert_equal(piecewise(time_bar, voltage_bar, wrt), expected)
    # Once more: snapshots may have moved.
    assert_equal(piecewise(time_bar, voltage_bar, wrt), expected)
    return kept


@pytest.mark.parametrize(
    "checkpoint",
    [
        1,
        3,
        7,
        adjoint.Checkpoint(snapshots=1, pieces=6),
        adjoint.Checkpoint(snapshots=3, pieces=40),
        adjoint.Checkpoint(memory=130_000),
    ],
    ids=str,
)
@pytest.mark.parametrize("t_ref", [0.0, 2.0, 30.0])
def test_equals_the_tape(checkpoint, t_ref):
    kept = judge(*active(t_ref=t_ref), checkpoint)
    assert kept.n_spikes > 50


@pytest.mark.parametrize("delay", [(2.0, 2.0), (1.0, 25.0)])
def test_one_delay_and_long_delays(delay):
    judge(*active(delay=delay), 5)


def test_weights_alone_and_threads():
    for threads in (1, 2):
        judge(*active(n=300), 4, wrt=["weight"], threads=threads)


def test_many_blocks():
    network, inputs, duration, samples = active(n=700, duration=40.0)
    judge(network, inputs, duration, samples, adjoint.Checkpoint(snapshots=2, pieces=9))


def test_neurons_that_fire_unaided_and_silence():
    judge(*active(i_ext=1.05), 6)
    network, _, duration, _ = active()
    judge(network.replace(v0=0.0), None, duration, None, 6)


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 1000),
    n=st.integers(1, 30),
    t_ref=st.sampled_from([0.0, 1.0, 5.0, 60.0]),
    snapshots=st.integers(1, 6),
    more=st.integers(0, 20),
    high=st.sampled_from([1.0, 3.0, 30.0]),
)
def test_any_schedule(seed, n, t_ref, snapshots, more, high):
    plan = adjoint.Checkpoint(snapshots=snapshots, pieces=snapshots + more)
    case = active(n=n, seed=seed, t_ref=t_ref, delay=(1.0, high), duration=50.0)
    judge(*case, plan)


def test_files(tmp_path):
    plan = adjoint.Checkpoint(snapshots=4, directory=tmp_path)
    network, inputs, duration, samples = active()
    kept = judge(network, inputs, duration, samples, plan)
    assert len(list(tmp_path.glob("*/*.npz"))) == 4
    del kept
    simulation, pullback = adjoint.vjp(network, inputs, duration, checkpoint=plan)
    for path in tmp_path.glob("*/*.npz"):
        path.write_bytes(b"")
    with pytest.raises(refsim.RefsimError, match="cannot be read back"):
        pullback(np.ones(simulation.n_spikes))
    del simulation, pullback
    assert not list(tmp_path.iterdir())


def test_loss_of_pieces():
    network, inputs, duration, samples = active()

    def loss(part):
        spikes = part.spikes
        value = float((spikes.time**2).sum() + part.voltages.sum())
        return value, adjoint.Cotangents(2.0 * spikes.time, np.ones(len(part.voltages)))

    plain = adjoint.value_and_grad(loss, wrt=["weight", "tau_m"])
    expected, gradient = plain(network, inputs, duration, samples=samples, engine=refsim.Windows())
    found, pieces = plain(network, inputs, duration, samples=samples, checkpoint=4)
    assert found == pytest.approx(expected, rel=1e-14)  # sums in another order
    assert_equal(pieces, gradient)


def test_pieces_are_the_simulation():
    network, inputs, duration, samples = active()
    whole = refsim.simulate(network, inputs, duration, samples=samples, engine=refsim.Windows())
    kept, _ = adjoint.vjp(network, inputs, duration, samples=samples, checkpoint=5)
    pieces = list(kept.pieces())
    assert len(pieces) == 5
    for name in ("time", "neuron", "slope_before"):
        joined = np.concatenate([getattr(piece.spikes, name) for piece in pieces])
        np.testing.assert_array_equal(joined, getattr(whole.spikes, name))
    assert [piece.first_spike for piece in pieces] == list(
        np.cumsum([0, *(len(piece.spikes.time) for piece in pieces)])[:-1]
    )
    number = np.concatenate([piece.sample_number for piece in pieces])
    assert sorted(number) == list(range(len(whole.samples)))
    for before, after in itertools.pairwise(pieces):
        assert before.end == after.begin
    assert "pieces" in repr(kept)
    assert "ms" in repr(pieces[0])


def cost(pieces, free, known={}):  # noqa: B006
    """Return the fewest pieces that are run without a tape, by trying all ways."""
    if pieces == 1:
        return 0
    if free == 0:
        return pieces * (pieces - 1) // 2
    if (pieces, free) not in known:
        known[pieces, free] = min(
            m + cost(pieces - m, free - 1) + cost(m, free) for m in range(1, pieces)
        )
    return known[pieces, free]


def test_schedule_is_optimal():
    for pieces in range(2, 60):
        for free in range(1, 7):
            m = split(pieces, free)
            assert 1 <= m < pieces
            assert m + cost(pieces - m, free - 1) + cost(m, free) == cost(pieces, free)
    assert first_descent(10, 1) == [0]
    assert first_descent(5, 5) == [0, 1, 2, 3, 4]
    assert first_descent(1, 5) == [0]


@pytest.mark.parametrize(("snapshots", "pieces"), [(1, 8), (2, 8), (3, 10), (4, 25), (6, 6)])
def test_runs_as_often_as_the_schedule_says(snapshots, pieces):
    network, inputs, duration, _ = active(i_ext=1.05)
    plan = adjoint.Checkpoint(snapshots=snapshots, pieces=pieces)
    kept, pullback = adjoint.vjp(network, inputs, duration, checkpoint=plan)
    pullback(np.ones(kept.n_spikes), wrt="weight")
    # The first descent is the first run, and the last piece's tape is kept from it.
    extra = cost(pieces, snapshots - 1) - (pieces - 1)
    assert kept.repeated == (pieces - 1) + extra
    assert kept.n_snapshots <= snapshots


@pytest.mark.skipif(not is_compiled(), reason="half a million arrivals")
def test_memory_keeps_to_its_budget():
    n = 400
    ring = np.arange(n)
    synapses = refsim.Synapses(np.tile(ring, 20), np.repeat(ring, 20), 0.0, 2.0)
    network = refsim.Network(n, synapses, i_ext=1.2)
    budget = 400_000
    wrt = ["weight"]
    adjoint.vjp(network, None, 20.0, checkpoint=2)[1](None, wrt=wrt)

    def peak(**options):
        tracemalloc.start()
        simulation, pullback = adjoint.vjp(
            network, None, 3000.0, max_spikes=10**7, **options, engine=refsim.Windows()
        )
        gradient = pullback(
            (lambda piece: np.ones(len(piece.spikes.time)))
            if options
            else np.ones(simulation.counts.spikes),
            wrt=wrt,
        )
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most, gradient, simulation

    plain, expected, _ = peak()
    most, gradient, kept = peak(checkpoint=adjoint.Checkpoint(memory=budget))
    assert_equal(gradient, expected)
    work = 120 * n + 64 * len(network.synapses) + 4_000_000  # arrays that any run has
    assert most < budget + work
    assert plain > 200 * kept.n_spikes


def test_interrupted_pullback_can_be_called_again(monkeypatch):
    network, inputs, duration, _ = active()
    _, plain = adjoint.vjp(network, inputs, duration, engine=refsim.Windows())
    plan = adjoint.Checkpoint(snapshots=3, pieces=9)
    kept, pullback = adjoint.vjp(network, inputs, duration, checkpoint=plan)
    bar = np.ones(kept.n_spikes)
    expected = plain(bar)
    advance, left = WindowRun.advance, 0

    def interrupted(self, stop):
        nonlocal left
        left -= 1
        status = advance(self, stop)
        if left == 0:
            raise KeyboardInterrupt
        return status

    monkeypatch.setattr(WindowRun, "advance", interrupted)
    for number in (1, 2, 5):
        left = number
        with pytest.raises(KeyboardInterrupt):
            pullback(bar)
        assert_equal(pullback(bar), expected)

    def failing(piece):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        pullback(failing)
    assert_equal(pullback(bar), expected)


def test_interrupted_simulation_counts_what_was_done(monkeypatch):
    network, inputs, duration, _ = active()
    advance, calls = WindowRun.advance, 0

    def interrupted(self, stop):
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return advance(self, stop)

    monkeypatch.setattr(WindowRun, "advance", interrupted)
    with pytest.raises(refsim.SimulationInterrupted) as caught:
        adjoint.vjp(network, inputs, duration, checkpoint=5)
    assert 0.0 < caught.value.partial.duration < duration
    assert caught.value.partial.n_spikes > 0


def test_limit_and_errors(tmp_path):
    network, inputs, duration, samples = active(i_ext=1.05)
    with pytest.raises(refsim.SpikeLimitError, match="max_spikes is 20") as caught:
        adjoint.vjp(network, inputs, duration, checkpoint=4, max_spikes=20)
    assert caught.value.partial.n_spikes == 20
    vjp = adjoint.vjp
    for wrong, expected in [
        (0, "checkpoint is 0; expected"),
        (-3, "checkpoint is -3; expected"),
        (True, "checkpoint is True"),
        (2.5, "checkpoint is 2.5"),
        ("many", "checkpoint is 'many'"),
    ]:
        with pytest.raises((refsim.InvalidValueError, refsim.InvalidTypeError), match=expected):
            vjp(network, inputs, duration, checkpoint=wrong)
    for options, expected in [
        ({}, "one of snapshots and memory"),
        ({"snapshots": 2, "memory": 10}, "one of snapshots and memory"),
        ({"snapshots": 0}, "snapshots is 0"),
        ({"snapshots": 3, "pieces": 2}, "pieces is 2"),
        ({"memory": 10**6, "pieces": 2}, "pieces go with snapshots"),
        ({"memory": -1}, "memory is -1"),
        ({"snapshots": 2, "directory": tmp_path / "no"}, "expected an existing folder"),
    ]:
        with pytest.raises((refsim.InvalidValueError, refsim.InvalidTypeError), match=expected):
            adjoint.Checkpoint(**options)
    with pytest.raises(refsim.InvalidValueError, match="memory is 100 bytes; expected at least"):
        vjp(network, inputs, duration, checkpoint=adjoint.Checkpoint(memory=100))
    with pytest.raises(
        refsim.InvalidValueError,
        match=r"checkpoint is given, and engine is Events\(...\), which cannot",
    ):
        vjp(network, inputs, duration, checkpoint=2, engine=refsim.Events())
    with pytest.raises(refsim.InvalidValueError, match="adjoint_queue is 'heap'"):
        vjp(network, inputs, duration, checkpoint=2, adjoint_queue="heap")
    at_once = network.replace(delay=0.0)
    for other, options, expected in [
        (at_once, {}, "a delay between neurons is 0"),
        (network, {"engine": refsim.Events("heap")}, r"engine is Events\(...\), which cannot"),
        (network, {"engine": refsim.Grid(0.1)}, r"engine is Grid\(...\), which cannot do that"),
    ]:
        with pytest.raises(refsim.InvalidValueError, match=f"checkpoint is given, and {expected}"):
            vjp(other, inputs, duration, checkpoint=2, **options)
    with pytest.raises(refsim.InvalidTypeError, match="duration is None"):
        vjp(network, inputs, None, checkpoint=2)
    with pytest.raises(refsim.InvalidTypeError, match="network is a int"):
        vjp(3, inputs, duration, checkpoint=2)
    _, pullback = vjp(network, inputs, duration, samples=samples, checkpoint=2)
    with pytest.raises(refsim.InvalidValueError, match="time_bar"):
        pullback(np.ones(3))
    with pytest.raises(refsim.InvalidValueError, match="voltage_bar is given and time_bar is a"):
        pullback(lambda piece: None, np.ones(20))
    with pytest.raises(refsim.InvalidValueError, match=r"dL/d\(time\) of a piece"):
        pullback(lambda piece: np.ones(len(piece.spikes.time) + 1))
    with pytest.raises(refsim.InvalidValueError, match=r"wrt\[0\]"):
        pullback(wrt="mass")


@pytest.mark.parametrize(
    "plan", [adjoint.Checkpoint(3, pieces=12), adjoint.Checkpoint(memory=200_000)]
)
def test_what_an_interrupted_run_keeps_are_its_own_pieces(plan):
    """They end where it was stopped, and no later piece is simulated to look at them."""
    network = balanced()
    samples = ([3, 5, 7], [1.0, 12.0, 19.9])
    whole = refsim.simulate(network, None, 40.0, samples=samples, engine=refsim.Windows())
    for looks in range(1, 200):
        question = Question(network, None, 40.0, samples)
        left = iter(range(looks))
        question.is_stopped = lambda left=left: next(left, None) is None
        try:
            vjp_in_pieces(question, plan, refsim.Windows())
            break
        except refsim.SimulationInterrupted as stop:
            partial = stop.partial
        question.is_stopped = bool
        pieces = list(partial.pieces())
        time = np.concatenate([np.zeros(0), *(piece.spikes.time for piece in pieces)])
        assert np.array_equal(time, whole.spikes.time[: partial.n_spikes])
        assert np.all(whole.spikes.time[partial.n_spikes :] >= partial.duration)
        assert [piece.end for piece in pieces[-1:]] in ([], [partial.duration])
        read = np.concatenate([np.zeros(0, int), *(piece.sample_number for piece in pieces)])
        assert sorted(read) == [i for i, t in enumerate(samples[1]) if t < partial.duration]
        for piece in pieces:
            assert np.array_equal(piece.voltages, whole.voltages[piece.sample_number])
    assert 10 < looks < 200
    assert len(pieces) > 3


def test_a_copy_of_a_checkpointed_run_gives_the_same_gradient():
    kept, pullback = adjoint.vjp(balanced(), None, 20.0, checkpoint=3)
    copied, copy_of_pullback = pickle.loads(pickle.dumps((kept, pullback)))
    bar = np.ones(kept.n_spikes)
    assert np.array_equal(copy_of_pullback(bar).weight, pullback(bar).weight)
    assert sum(len(piece.spikes.time) for piece in copied.pieces()) == kept.n_spikes


def test_threads_take_turns_at_one_pullback():
    network = balanced()
    kept, pullback = adjoint.vjp(network, None, 20.0, checkpoint=adjoint.Checkpoint(3, pieces=9))
    bars = [np.random.default_rng(i).normal(size=kept.n_spikes) for i in range(2)]
    expected = [pullback(bar, wrt="v0").v0 for bar in bars]
    found = [[], []]

    def work(i):
        for _ in range(5):
            found[i].append(pullback(bars[i], wrt="v0").v0)
            found[i].append(sum(len(piece.spikes.time) for piece in kept.pieces()))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in range(2):
        assert found[i][1::2] == 5 * [kept.n_spikes]
        assert all(np.array_equal(v0, expected[i]) for v0 in found[i][::2])


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no folder that nobody can write to")
def test_a_folder_that_takes_no_snapshots():
    plan = adjoint.Checkpoint(2, directory="/proc/self")
    with pytest.raises(refsim.OutputError, match="no snapshots can be kept"):
        adjoint.vjp(balanced(), None, 20.0, checkpoint=plan)
