"""Files that are written: whole or not at all, where links lead to, and as far as the room goes."""

import os
import pickle
import signal
import stat
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import refsim
from refsim.cases import load, save
from refsim.files import output as files
from refsim.files.output import OutputError, check_writable, write_whole
from refsim.long import recording

CHAIN = Path(__file__).parents[2] / "validation" / "cases" / "chain.json"
posix = pytest.mark.skipif(os.name != "posix", reason="needs links and devices")


def put(text):
    return lambda stream: stream.write(text)


@posix
def test_a_link_stays_and_leads_to_the_new_file(tmp_path):
    target, link, hanging = (tmp_path / name for name in ("target", "link", "hanging"))
    target.write_text("old")
    link.symlink_to("target")
    hanging.symlink_to("link-to-come")
    for path in (link, hanging):
        write_whole(path, put("new"))
        assert path.is_symlink()
        assert path.read_text() == "new"
    assert target.read_text() == "new"
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"target", "link", "hanging", "link-to-come"}
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    for act in (lambda: write_whole(loop, put("new")), lambda: check_writable(loop)):
        with pytest.raises(OutputError, match="cannot be written: Too many levels"):
            act()
    assert loop.is_symlink()


@posix
def test_states_and_cases_are_written_through_links(tmp_path):
    network = refsim.Network(1, refsim.connect(0, 0, 0.1, 1.0), i_ext=2.0)
    run = refsim.simulate(network, None, 5.0, keep_state=True)
    for name, act in (
        ("a.npz", partial(refsim.save_state, run)),
        ("a.json", lambda p: save(load(CHAIN), p)),
    ):
        link = tmp_path / f"link-{name}"
        link.symlink_to(name)
        act(link)
        assert link.is_symlink()
        assert (tmp_path / name).stat().st_size > 100


@posix
def test_a_file_keeps_its_mode_and_a_new_one_has_the_usual(tmp_path):
    private, new, plain = (tmp_path / name for name in ("private", "new", "plain"))
    private.touch(0o600)
    plain.touch()
    for path in (private, new):
        write_whole(path, put("text"))
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert new.stat().st_mode == plain.stat().st_mode


def test_names_may_be_as_long_as_the_system_has_them(tmp_path):
    write_whole(tmp_path / ("x" * 255), put("text"))
    for act in (lambda p: write_whole(p, put("text")), check_writable, files.made_folder):
        with pytest.raises(OutputError, match="name too long"):
            act(tmp_path / ("x" * 300))
    with pytest.raises(OutputError, match="name too long"):
        refsim.record(refsim.Network(1), None, 1.0, tmp_path / ("x" * 300))
    with pytest.raises(refsim.InvalidValueError, match="characters that names of files can have"):
        write_whole(tmp_path / "\ud800", put("text"))


@posix
@pytest.mark.parametrize("binary", [False, True])
def test_a_full_device_is_an_error_of_ours(binary):
    if not Path("/dev/full").is_char_device():
        pytest.skip("there is no device that is always full")
    with pytest.raises(OutputError, match="/dev/full: cannot be written: No space left"):
        write_whole("/dev/full", put(b"text" if binary else "text"), binary)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs an alarm")
def test_an_alarm_inside_a_write_stays_what_it_is(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def late(*_):
        raise TimeoutError("this takes too long")

    def write(stream):
        stream.write("new")
        signal.raise_signal(signal.SIGALRM)

    before = signal.signal(signal.SIGALRM, late)
    try:
        with pytest.raises(TimeoutError, match="this takes too long"):
            write_whole(path, write)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert [each.read_text() for each in tmp_path.iterdir()] == ["old"]


def test_an_error_without_a_number_says_what_it_says(tmp_path):
    def write(stream):
        raise OSError("8 requested and 4 written")

    with pytest.raises(OutputError, match="cannot be written: 8 requested and 4 written"):
        write_whole(tmp_path / "file", write)
    with pytest.raises(OutputError, match=r"cannot be written: .* surrogates not allowed"):
        write_whole(tmp_path / "file", put("\ud800"))
    assert list(tmp_path.iterdir()) == []


# --- Recordings without room ----------------------------------------------------------------------

RECORD = """
import resource, sys
import refsim
where, room = sys.argv[1], int(sys.argv[2])
network = refsim.Network(300, i_ext=2.0)
resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
try:
    refsim.record(network, None, 200.0, where, piece=10.0)
except refsim.OutputError as error:
    assert "cannot be written: File too large" in str(error), error
    print(*error.partial[1:])
"""


def recorded(where, room):
    """Record into a file, or files, of a bounded size, as a full disk has it; read the outcome."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", RECORD, str(where), str(room)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"},
    )
    assert (done.returncode, done.stderr) == (0, "")  # no segmentation fault as the process ends
    n_spikes, duration, pieces = done.stdout.split()
    return int(n_spikes), float(duration), int(pieces)


@posix
def test_a_recording_to_hdf5_ends_with_the_last_piece_that_has_room(tmp_path):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "spikes.h5"
    n_spikes, duration, pieces = recorded(path, 100_000)
    assert 0 < n_spikes < 4200
    assert (duration, pieces) == (10.0 * pieces, pieces)
    with h5py.File(path) as file:
        time, neuron = file["time"][:], file["neuron"][:]
    assert len(time) == len(neuron) == n_spikes
    whole = refsim.simulate(refsim.Network(300, i_ext=2.0), None, duration, engine=refsim.Windows())
    assert np.array_equal(time, whole.spikes.time[:n_spikes])
    assert [each.name for each in tmp_path.iterdir()] == ["spikes.h5"]


@posix
def test_a_recording_to_a_folder_ends_with_the_last_piece_that_has_room(tmp_path):
    folder = tmp_path / "spikes"
    n_spikes, duration, pieces = recorded(folder, 4000)
    assert 0 < pieces < 20
    assert duration == 10.0 * pieces
    parts = [np.load(path) for path in sorted(folder.iterdir())]
    assert len(parts) == pieces
    assert sum(len(part["time"]) for part in parts) == n_spikes


@posix
def test_a_recording_without_any_room_says_so_and_leaves_nothing(tmp_path):
    pytest.importorskip("h5py")
    assert recorded(tmp_path / "spikes.h5", 1000) == (0, 0.0, 0)
    assert list(tmp_path.iterdir()) == []


def test_what_hdf5_must_not_see_is_told_afterwards(tmp_path, monkeypatch):
    """A disk that fails although it had promised room."""
    h5py = pytest.importorskip("h5py")
    assert h5py

    def fails(self, data):
        self.failure = OSError(5, "Input/output error")
        return len(data)

    monkeypatch.setattr("refsim.files.hdf5.RoomFile.write", fails)
    with pytest.raises(OutputError, match="Input/output error") as caught:
        refsim.record(refsim.Network(2, i_ext=2.0), None, 50.0, tmp_path / "spikes.h5")
    assert caught.value.partial == (tmp_path / "spikes.h5", 0, 0.0, 0)
    assert pickle.loads(pickle.dumps(caught.value)).partial == caught.value.partial
    assert list(tmp_path.iterdir()) == []


def test_room_is_taken_where_the_system_cannot_promise_it(tmp_path, monkeypatch):
    h5py = pytest.importorskip("h5py")
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    done = refsim.record(refsim.Network(2, i_ext=2.0), None, 50.0, tmp_path / "spikes.h5")
    with h5py.File(done.path) as file:
        assert len(file["time"]) == done.n_spikes > 0


def test_a_recording_is_no_file_that_is_there(tmp_path):
    (tmp_path / "link.h5").symlink_to("nowhere")
    with pytest.raises(refsim.InvalidValueError, match="which exists"):
        refsim.record(refsim.Network(1), None, 1.0, tmp_path / "link.h5")


# --- Steps without end ----------------------------------------------------------------------------


@pytest.mark.parametrize("piece", [1e-300, 5e-324, 1e-9])
def test_pieces_are_not_too_many(tmp_path, piece):
    for name, most in (("spikes", "1,000,000"), ("spikes.h5", "100,000,000")):
        with pytest.raises(refsim.InvalidValueError, match=rf"piece is .* {most} pieces"):
            refsim.record(refsim.Network(1), None, 10.0, tmp_path / name, piece=piece)
    assert list(tmp_path.iterdir()) == []


def test_a_piece_whose_spikes_memory_has_no_room_for(tmp_path, monkeypatch):
    """Neurons that spike more often than time can tell would fill it before the piece ends."""
    monkeypatch.setattr(recording, "memory", lambda: 100 * recording._BYTES_PER_SPIKE)
    network = refsim.Network(1, i_ext=1e6, tau_m=1e3)
    with pytest.raises(refsim.SpikeLimitError, match=r"a piece of 10 ms has more spikes") as caught:
        refsim.record(network, None, 20.0, tmp_path / "spikes", piece=10.0)
    assert caught.value.partial.n_spikes == 100


@pytest.mark.parametrize("number", [1_000_001, 10**12, 2**62])
def test_snapshots_and_pieces_are_not_too_many(number):
    import adjoint

    network = refsim.Network(1, refsim.connect(0, 0, 0.1, 1.0), i_ext=2.0)
    with pytest.raises(refsim.InvalidValueError, match="expected an integer in"):
        adjoint.vjp(network, None, 10.0, checkpoint=number)
    with pytest.raises(refsim.InvalidValueError, match="expected an integer in"):
        adjoint.Checkpoint(2, pieces=number)


def test_points_of_a_picture_are_not_too_many():
    pytest.importorskip("matplotlib")
    from refsim import plot

    run = refsim.simulate(refsim.Network(1, i_ext=2.0), None, 10.0)
    for step in (1e-300, 1e-9):
        with pytest.raises(refsim.InvalidValueError, match=r"step is .* at most 10,000,000 points"):
            plot.traces(run, [0], step=step)
