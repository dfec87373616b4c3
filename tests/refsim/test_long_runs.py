"""Simulations that go on from a state, run in threads, show their progress or write to files."""

import _thread
import contextlib
import signal
import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from networks import assert_same, balanced, with_delays
from signals import handled

import refsim
from refsim.long import continuation
from refsim.network import rows
from refsim.question import Question
from refsim.windows import room, run as window_engine
from refsim.windows.plan import obstacle
from refsim.windows.run import WindowRun
from refsim.windows.types import TALLY
from validation.strategies import cases, decimals

usual = settings(
    deadline=None,
    max_examples=30,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
h5py = pytest.importorskip("h5py")


@usual
@given(case=cases(), least=decimals(0.05, 3.0), share=decimals(0.0, 1.0))
def test_a_continued_run_is_that_of_one_go(case, least, share):
    case = with_delays(case, least)
    assume(obstacle(case.network, case.duration) is None)
    options = {"engine": refsim.Windows(), "max_spikes": 300}
    early = share * case.duration
    assume(0.0 < early < case.duration)
    is_early = case.samples.times <= early
    parts = [
        (case.samples.neurons[part], case.samples.times[part]) for part in (is_early, ~is_early)
    ]
    try:
        whole = refsim.simulate(
            case.network, case.inputs, case.duration, samples=case.samples, **options
        )
        begun = refsim.simulate(
            case.network, case.inputs, early, samples=parts[0], keep_state=True, **options
        )
    except refsim.SpikeLimitError:
        assume(False)
    done = refsim.resume(begun, case.duration, samples=parts[1])
    order = np.argsort(~is_early, kind="stable")
    assert np.array_equal(done.voltages, whole.voltages[order])
    for a, b in zip(done.spikes, whole.spikes, strict=True):
        assert np.array_equal(a, b)
    assert done.counts == whole.counts


@pytest.mark.parametrize("delay", [1.5, np.linspace(0.5, 5.0, 16_000)], ids=["equal", "spread"])
def test_a_saved_state_goes_on(tmp_path, delay):
    network = balanced(delay=delay)
    whole = refsim.simulate(network, None, 30.0, engine=refsim.Windows())
    begun = refsim.simulate(network, None, 12.3, keep_state=True)
    assert begun.engine_reason == "a state is kept"
    refsim.save_state(begun, tmp_path / "state.npz")
    rest = refsim.resume(refsim.load_state(network, tmp_path / "state.npz"), 30.0)
    assert rest.counts == whole.counts
    assert rest.begin == begun.duration
    assert np.array_equal(rest.spikes.time, whole.spikes.time[begun.n_spikes :])
    assert np.array_equal(rest.spikes.neuron, whole.spikes.neuron[begun.n_spikes :])
    assert_same(refsim.resume(refsim.resume(refsim.resume(begun, 20.0), 21.0), 30.0), whole)
    with pytest.raises(refsim.InvalidValueError, match="the state of another network"):
        refsim.resume(refsim.load_state(network.replace(t_ref=1.0), tmp_path / "state.npz"), 30.0)
    (tmp_path / "other.npz").write_text("no archive")
    with pytest.raises(refsim.InvalidValueError, match="which holds no saved state"):
        refsim.resume(refsim.load_state(network, tmp_path / "other.npz"), 30.0)


def test_further_inputs():
    network = refsim.Network(
        2, refsim.connect([2, 0], [0, 1], 60.0, 1.0), 1, refsim.ExpPort(5.0), tau_m=10.0
    )
    train = refsim.SpikeTrain([1.0, 9.0], [0, 0], 1)
    begun = refsim.simulate(network, train, 5.0, keep_state=True)
    more = refsim.SpikeTrain([12.0, 7.0], [0, 0], 1)
    done = refsim.resume(begun, 20.0, more)
    together = refsim.SpikeTrain([1.0, 9.0, 12.0, 7.0], [0, 0, 0, 0], 1)
    assert_same(done, refsim.simulate(network, together, 20.0, engine=refsim.Windows()))
    with pytest.raises(refsim.InvalidValueError, match=r"inputs.times\[1\] is 4 ms"):
        refsim.resume(begun, 20.0, refsim.SpikeTrain([6.0, 4.0], [0, 0], 1))
    with pytest.raises(refsim.InvalidValueError, match=r"samples.times\[0\] is 5 ms"):
        refsim.resume(begun, 20.0, samples=([0], [5.0]))
    with pytest.raises(refsim.InvalidValueError, match="expected a later end than 5 ms"):
        refsim.resume(begun, 5.0)
    with pytest.raises(refsim.InvalidTypeError, match="engine"):
        refsim.resume(begun, 6.0, engine=refsim.Events())


def test_a_limit_below_the_spikes_so_far_is_refused(monkeypatch):
    network = balanced()
    whole = refsim.simulate(network, None, 20.0, engine=refsim.Windows())
    begun = refsim.simulate(network, None, 10.0, keep_state=True)
    assert 100 < begun.n_spikes < whole.n_spikes - 1
    with pytest.raises(refsim.InvalidValueError, match="max_spikes is 100, and there are"):
        refsim.resume(begun, 20.0, max_spikes=100)
    with pytest.raises(refsim.SpikeLimitError) as caught:
        refsim.resume(begun, 20.0, max_spikes=begun.n_spikes + 1)
    assert np.array_equal(caught.value.partial.spikes.time, whole.spikes.time[: begun.n_spikes + 1])
    with pytest.raises(refsim.SpikeLimitError):
        refsim.resume(begun, 20.0, max_spikes=begun.n_spikes)
    # By default the limit grows with what there is.
    monkeypatch.setattr(continuation, "MAX_SPIKES", whole.n_spikes - begun.n_spikes)
    assert_same(refsim.resume(begun, 20.0), whole)
    monkeypatch.setattr(continuation, "MAX_SPIKES", whole.n_spikes - begun.n_spikes - 1)
    with pytest.raises(refsim.SpikeLimitError):
        refsim.resume(begun, 20.0)


def interrupted(run, looks):
    """Return what is left of a run that is stopped at its look number ``looks``, or None."""
    left = iter(range(looks))
    run.question.is_stopped = lambda: next(left, None) is None
    try:
        run.execute()
    except refsim.SimulationInterrupted as stop:
        return stop.partial
    return None


@pytest.mark.parametrize("end", [20.0, 20.3])
def test_an_interrupted_run_keeps_a_state_wherever_it_was(monkeypatch, end):
    """Also while room runs out, which it does within windows, and in the last, shorter window."""
    network, samples = balanced(), ([3, 5, 7], [1.0, 12.0, 19.9])
    whole = refsim.simulate(network, None, 40.0, samples=samples, engine=refsim.Windows())
    phases = set()
    finish = WindowRun.finish_turn

    def watched(self):
        phases.add(int(self.work.counts[0].phase))
        return finish(self)

    monkeypatch.setattr(WindowRun, "finish_turn", watched)
    for looks in range(200):
        with monkeypatch.context() as patch:
            patch.setattr(room, "ROOM", 1)
            patch.setattr(window_engine, "_SHARE", 2000)
            run = WindowRun(Question(network, None, end, samples, keep_state=True))
            partial = interrupted(run, looks)
        if partial is None:
            break
        known = whole.spikes.time <= partial.duration
        assert np.array_equal(partial.spikes.time, whole.spikes.time[known])
        assert_same(refsim.resume(partial, 40.0), whole)
    assert looks > 10
    assert phases == {0, 1, 2}


def test_a_state_has_to_be_asked_for():
    network = refsim.Network(1, refsim.connect(0, 0, 1.0, 0.0))
    with pytest.raises(refsim.InvalidValueError, match="kept no state"):
        refsim.resume(refsim.simulate(network, None, 1.0), 2.0)
    with pytest.raises(refsim.InvalidTypeError, match="keep_state is 1"):
        refsim.simulate(network, None, 1.0, keep_state=1)


def in_blocks(monkeypatch, **changes):
    """Return a balanced network whose targets are in eight blocks."""
    monkeypatch.setattr(rows, "_ROW", 1)
    network = balanced(**changes)
    assert len(network.rows[0].edge) == 9
    return network


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"delay": np.linspace(0.5, 5.0, 16_000)},
        {"tau_m": np.linspace(10.0, 20.0, 400)},
        {"i_ext": 5.0, "ports": refsim.DoubleExpPort(1.0, 3.0)},
    ],
    ids=["equal", "spread", "many-tau", "quiet"],
)
def test_threads_change_no_bit(monkeypatch, changes):
    network = in_blocks(monkeypatch, **changes)
    samples = ([1, 399], [7.0, 7.0])
    runs = [
        refsim.simulate(
            network, None, 30.0, samples=samples, engine=refsim.Windows(threads=threads)
        )
        for threads in (1, 2, 3, 8)
    ]
    for run in runs[1:]:
        assert_same(run, runs[0])
    event_run = refsim.simulate(network, None, 30.0, samples=samples, engine=refsim.Events())
    np.testing.assert_allclose(runs[0].spikes.time, event_run.spikes.time, rtol=0, atol=1e-9)


def test_threads_whose_room_runs_out(monkeypatch):
    network = in_blocks(monkeypatch)
    plain = refsim.simulate(network, None, 20.0, engine=refsim.Windows(threads=3))
    monkeypatch.setattr(room, "ROOM", 1)
    monkeypatch.setattr(window_engine, "_SHARE", 3000)
    assert_same(refsim.simulate(network, None, 20.0, engine=refsim.Windows(threads=3)), plain)


@pytest.mark.parametrize("threads", [0, 1.5, True, "2", 10_000])
def test_bad_numbers_of_threads(threads):
    with pytest.raises((refsim.InvalidValueError, refsim.InvalidTypeError), match="threads is"):
        refsim.simulate(balanced(), None, 1.0, engine=refsim.Windows(threads=threads))


def test_simulations_side_by_side(monkeypatch):
    """Kernels release the interpreter lock, and share nothing."""
    network = in_blocks(monkeypatch)
    alone = refsim.simulate(network, None, 20.0, engine=refsim.Windows(threads=2))
    results = [None] * 3

    def run(i):
        results[i] = refsim.simulate(network, None, 20.0, engine=refsim.Windows(threads=2))

    workers = [threading.Thread(target=run, args=(i,)) for i in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for result in results:
        assert_same(result, alone)


def test_recordings(tmp_path):
    network = balanced()
    whole = refsim.simulate(network, None, 30.0, engine=refsim.Windows())
    done = refsim.record(network, None, 30.0, tmp_path / "folder", piece=7.0)
    assert (done.n_spikes, done.duration, done.pieces) == (len(whole.spikes.time), 30.0, 5)
    parts = [np.load(path) for path in sorted((tmp_path / "folder").iterdir())]
    assert np.array_equal(np.concatenate([part["time"] for part in parts]), whole.spikes.time)
    done = refsim.record(network, None, 30.0, tmp_path / "spikes.h5", piece=4.0)
    with h5py.File(done.path) as file:
        assert np.array_equal(file["time"][:], whole.spikes.time)
        assert np.array_equal(file["neuron"][:], whole.spikes.neuron)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "spikes.h5"]
    with pytest.raises(refsim.InvalidValueError, match="which exists"):
        refsim.record(network, None, 30.0, tmp_path / "spikes.h5")
    with pytest.raises(refsim.InvalidValueError, match="for a file"):
        refsim.record(network, None, 30.0, tmp_path / "spikes.npz")
    with pytest.raises(refsim.InvalidValueError, match="piece is 0"):
        refsim.record(network, None, 30.0, tmp_path / "other.h5", piece=0.0)
    with pytest.raises(OSError, match="cannot be"):
        refsim.record(network, None, 30.0, tmp_path / "nowhere" / "other.h5")


def test_a_recording_of_too_many_spikes_is_kept(tmp_path):
    network = balanced()
    whole = refsim.simulate(network, None, 30.0, engine=refsim.Windows())
    limit = whole.n_spikes // 2
    with pytest.raises(refsim.SpikeLimitError, match=f"max_spikes is {limit}") as caught:
        refsim.record(network, None, 30.0, tmp_path / "spikes.h5", piece=4.0, max_spikes=limit)
    partial = caught.value.partial
    with h5py.File(partial.path) as file:
        assert np.array_equal(file["time"][:], whole.spikes.time[:limit])
    assert (partial.n_spikes, partial.duration) == (limit, whole.spikes.time[limit - 1])


def test_an_interrupted_recording_is_kept(tmp_path):
    network = balanced()
    timer = threading.Timer(1.0, _thread.interrupt_main)
    refsim.simulate(network, None, 1.0, engine=refsim.Windows())  # compiles
    with handled(signal.SIGINT, signal.default_int_handler):  # it may be ignored, by inheritance
        timer.start()
        with pytest.raises(refsim.SimulationInterrupted) as caught:
            refsim.record(network, None, 1e7, tmp_path / "spikes.h5", piece=5.0)
    partial = caught.value.partial
    assert 0.0 < partial.duration < 1e7
    with h5py.File(tmp_path / "spikes.h5") as file:
        assert len(file["time"]) == partial.n_spikes > 0


def test_a_progress_bar(capsys):
    pytest.importorskip("tqdm")
    refsim.simulate(balanced(), None, 5.0, progress=True, engine=refsim.Windows())
    refsim.simulate(balanced(), None, 5.0, progress=True, engine=refsim.Events())
    assert capsys.readouterr().err.count("/0.005 s simulated") > 1


def test_the_digest_of_a_network_is_that_of_its_parameters():
    network = balanced()
    assert continuation.network_digest(network) == continuation.network_digest(balanced())
    for changes in ({"t_ref": 1.9}, {"tau": [2.1]}, {"weight": 1.0}, {"v0": 0.1}):
        other = network.replace(**changes)
        assert continuation.network_digest(network) != continuation.network_digest(other)


def changed(arrays, name, change):
    return arrays | {name: change(arrays[name].copy())}


def put(index, value):
    def change(array):
        array[index] = value
        return array

    return change


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("state_counts", lambda a: a[:5]),
        ("state_counts", put(0, -1)),
        ("state_counts", put(2, 10**6)),
        ("state_v", lambda a: a[:1]),
        ("state_v", put(0, np.nan)),
        ("state_x", lambda a: a.astype(np.float32)),
        ("state_tally", lambda a: a[:, :5]),
        ("state_tally", put((0, TALLY.names.index("awake")), 10**6)),
        ("state_reached", put(0, 10**6)),
        ("state_last_spike", put(0, 10**6)),
        ("state_source", put(0, 10**9)),
        ("state_number", put(0, 10**9)),
        ("state_end", put((0, 0), 10**9)),
        ("state_end", lambda a: a[:, 1:]),
        ("state_time", put(0, np.inf)),
        ("counts", lambda a: a[1:]),
        ("counts", lambda a: a - 10**6),
        ("counts", lambda a: a.astype(np.float64)),
        ("engine", lambda a: np.array("event")),
        ("queue", lambda a: np.array("heap")),
        ("input_times", lambda a: np.zeros(1)),
        ("duration", lambda a: np.zeros(3)),
        ("sample_neurons", lambda a: np.array([400])),
        ("sample_times", lambda a: np.array([1.0])),
        ("format", lambda a: np.array("refsim-state/0")),
    ],
)
def test_a_file_that_holds_no_state_is_refused(tmp_path, name, change):
    network = balanced(delay=np.linspace(0.5, 5.0, 16_000))
    begun = refsim.simulate(network, None, 10.0, samples=([1], [3.0]), keep_state=True)
    refsim.save_state(begun, tmp_path / "state.npz")
    arrays = dict(np.load(tmp_path / "state.npz"))
    np.savez(tmp_path / "changed.npz", **changed(arrays, name, change))
    with pytest.raises(refsim.InvalidValueError, match=r"holds no saved state .*save_state"):
        refsim.resume(refsim.load_state(network, tmp_path / "changed.npz"), 20.0)


@pytest.mark.parametrize("kind", ["empty", "npy", "cut", "text"])
def test_a_file_of_another_kind_is_no_state(tmp_path, kind):
    network, path = balanced(), tmp_path / "state.npz"
    refsim.save_state(refsim.simulate(network, None, 5.0, keep_state=True), path)
    whole = path.read_bytes()
    if kind == "npy":
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    else:
        path.write_bytes({"empty": b"", "cut": whole[:-200], "text": b"PK"}[kind])
    with pytest.raises(refsim.InvalidValueError, match="holds no saved state"):
        refsim.resume(refsim.load_state(network, path), 20.0)
    for byte in range(0, len(whole), len(whole) // 40):
        flipped = bytearray(whole)
        flipped[byte] ^= 4
        path.write_bytes(bytes(flipped))
        with contextlib.suppress(refsim.InvalidValueError):
            refsim.resume(refsim.load_state(network, path), 6.0)
