"""Files of strangers: whatever they hold, reading them ends soon, at worst in an error of ours."""

import io
import json
import os
import struct
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import refsim
from adjoint.checkpoint.snapshots import Snapshots
from refsim.cases import CaseFileError, from_dict, load
from refsim.files import arrays as array_files, json_reader, reading
from refsim.validate import shown
from validation.backends import command
from validation.backends.command import from_command
from validation.case_suite import schema as case_schema
from validation.comparison.answers import AnswerError
from validation.report.devices import tables

CHAIN = Path(__file__).parents[2] / "validation" / "cases" / "chain.json"
usual = settings(
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


BOUND = "import resource; resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))\n"
needs_limits = pytest.mark.skipif(sys.platform != "linux", reason="needs limits of memory")


def bounded(code, *arguments):
    """Run Python with two gigabytes and some minutes at most; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", BOUND + code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300.0,  # for a machine at its limit; a second on an idle one
        check=False,
        env=os.environ | {"NUMBA_DISABLE_JIT": "1", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- JSON -----------------------------------------------------------------------------------------

READ = """
import sys
from refsim.cases import CaseFileError, load
try:
    load(sys.argv[1])
except CaseFileError as error:
    print(error)
"""


@needs_limits
def test_a_long_string_that_is_no_number_is_refused_at_once(tmp_path):
    """Each digit more took a step more for each digit before it, and there are a million."""
    case = json.loads(CHAIN.read_text())
    case["expected"]["spike_times"][0] = "1" * 1_000_000 + "x"
    path = tmp_path / "case.json"
    path.write_text(json.dumps(case))
    assert "expected.spike_times[0] is '111" in bounded(READ, path)
    pytest.importorskip("jsonschema")
    assert any("spike_times[0]" in problem for problem in case_schema.problems(path))


@needs_limits
def test_a_name_given_twice_is_found_at_once_among_many(tmp_path):
    members = "".join(f'"{i}": 0, ' for i in range(300_000))
    path = tmp_path / "case.json"
    path.write_text("{" + members + '"299999": 0}')
    assert "'299999' is given twice" in bounded(READ, path)


@needs_limits
def test_what_does_not_end_is_refused():
    if not Path("/dev/zero").is_char_device():
        pytest.skip("there is no device without end")
    assert bounded(READ, "/dev/zero").startswith("/dev/zero: is too long; expected at most")


def test_lists_take_more_memory_than_text(tmp_path, monkeypatch):
    monkeypatch.setattr(json_reader, "MOST_CONTAINERS", 100)
    with pytest.raises(json_reader.JsonError, match="too many lists and objects"):
        json_reader.parse("[" + "[]," * 100 + "0]")
    assert len(json_reader.parse("[" + "[]," * 99 + "0]")) == 100
    monkeypatch.setattr(json_reader, "MOST_BYTES", 10)
    with pytest.raises(json_reader.JsonError, match="too long"):
        json_reader.parse(" " * 11)


def test_values_and_members_take_more_memory_than_text(monkeypatch):
    monkeypatch.setattr(json_reader, "MOST_VALUES", 100)
    assert len(json_reader.parse("[" + "0," * 99 + "0]")) == 100
    with pytest.raises(json_reader.JsonError, match="too many values; expected at most 100"):
        json_reader.parse("[" + "0," * 100 + "0]")
    monkeypatch.setattr(json_reader, "MOST_MEMBERS", 3)
    assert len(json_reader.parse('{"a": 0, "b": {"c": 1}}')) == 2
    with pytest.raises(json_reader.JsonError, match="too many members; expected at most 3"):
        json_reader.parse('{"a": 0, "b": {"c": 1, "d": 2}}')


def test_a_file_that_is_too_long_is_not_read(tmp_path):
    path = tmp_path / "long.json"
    with path.open("wb") as file:
        file.truncate(reading.MOST_BYTES + 1)
    with pytest.raises(
        CaseFileError, match=r"long.json: is too long; expected at most 268,435,456"
    ):
        load(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
def test_pipes_are_read_and_waited_for_a_while(tmp_path, monkeypatch):
    pipe = tmp_path / "case.json"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(CHAIN.read_text(),))
    writer.start()
    assert load(pipe).name == "chain-8"
    writer.join()
    monkeypatch.setattr(reading, "SILENCE", 0.1)
    with pytest.raises(CaseFileError, match="it has given nothing more"):
        load(pipe)
    with pytest.raises(reading.ReadingError, match="is no file"):
        reading.read_bytes(pipe, only_file=True)


def test_channels_that_take_memory_alone_are_not_too_many():
    """A network has numbers for each channel, and a file that has none of them can ask for many."""
    case = json.loads(CHAIN.read_text())
    case["inputs"]["n"] = 100_000_000
    with pytest.raises(CaseFileError, match=r"inputs.n is 100000000; expected at most 10,000,000"):
        from_dict(case)


def test_messages_do_not_look_at_all_that_is_wrong():
    class Entry:
        looks = 0

        def __repr__(self):
            Entry.looks += 1
            return "entry"

    many = [Entry() for _ in range(1000)]
    for value, begin in ((many, "[entry, entry"), ([{"a": many}], "[{'a': [entry, ")):
        assert shown(value).startswith(begin)
        assert shown(value).endswith("...")
    assert Entry.looks < 300
    short = [[], {}, [1, "a", None], {"b": [2.0], 3: (4,)}]
    assert shown(short) == repr(short)
    assert shown("x" * 1000) == "'" + "x" * 56 + "..."


def test_a_table_of_names_is_not_too_wide():
    """Each row of a record may have a name of its own, and each name is a column of all rows."""
    rows = [{f"column {i}": i} for i in range(2000)]
    with pytest.raises(refsim.InvalidValueError, match=r"2000 rows and 2000 columns"):
        tables({"figures": rows})


def test_numbers_without_end_are_not_in_messages():
    case = json.loads(CHAIN.read_text())
    case["expected"]["gradient"] = {"\x1b[31m" * 1000: [1.0]}
    with pytest.raises(CaseFileError) as caught:
        from_dict(case)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 300


@usual
@given(data=st.data())
def test_mutated_case_files_are_cases_or_errors_of_ours(data, tmp_path):
    path = tmp_path / "case.json"
    path.write_bytes(mutated(CHAIN.read_bytes(), data))
    try:
        load(path)
    except refsim.RefsimError:
        return


@usual
@given(data=st.data())
def test_mutated_answers_are_answers_or_errors_of_ours(data):
    case = load(CHAIN)
    text = json.dumps({"expected": json.loads(CHAIN.read_text())["expected"]}).encode()
    try:
        command._answer(case, mutated(text, data).decode("utf-8", errors="replace"))
    except AnswerError:
        return


def mutated(content, data):
    """Return bytes some of which are others, or are missing, or come twice."""
    changed = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(changed)))
        size = data.draw(st.sampled_from([0, 1, 2, 8, 100, len(changed)]))
        part = changed[at : at + size]
        other = st.sampled_from(
            [b"", part * 2, b"1e999", b'"', b"[", b"{", b"\xff", b"-", b"\0" * 4]
        )
        changed[at : at + size] = data.draw(st.one_of(other, st.binary(max_size=8)))
    return bytes(changed)


# --- Answers of programs --------------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="needs links, pipes and a shell")
@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("ln -s /dev/zero $1", "is no file"),
        ("mkfifo $1", "is no file"),
        ("mkdir $1", "Is a directory"),
        ("ln -s $1 $1", "cannot be read"),
        ('printf "\\377" > $1', "is not UTF-8"),
        ("truncate -s 300M $1", "bytes of output"),
    ],
)
def test_an_answer_has_to_be_a_file(program, message):
    case = load(CHAIN)
    backend = from_command(f"sh -c '{program}' {{case}} {{case}} {{out}}".replace("$1", "$2"))
    with pytest.raises(AnswerError, match=message):
        backend(case.network, case.inputs, case.duration, cotangents(case))


def cotangents(case):
    from validation.comparison.backend import LossCotangents

    return LossCotangents.of(case, np.zeros(len(case.time_bar), np.int64))


def test_an_answer_has_a_bounded_number_of_spikes(monkeypatch):
    monkeypatch.setattr(command, "MOST_SPIKES", 1)
    text = json.dumps({"expected": {"spike_times": [1.0, 2.0], "spike_neurons": [0, 0]}})
    with pytest.raises(AnswerError, match="has 2 spikes; expected at most 1"):
        command._answer(load(CHAIN), text)


# --- Archives of arrays ---------------------------------------------------------------------------


def state_file(path):
    network = refsim.Network(3, refsim.connect([0, 1, 2], [1, 2, 0], 0.5, 1.0), i_ext=2.0)
    refsim.save_state(
        refsim.simulate(network, None, 5.0, samples=([1], [3.0]), keep_state=True), path
    )
    return network


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("state") / "state.npz"
    return state_file(path), path


def header(text, version=b"\x01\x00"):
    filled = text.encode("latin1").ljust(117) + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H", len(filled)) + filled


def declared(descr="'<f8'", order="False", shape="(3,)"):
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"


ARRAYS = {
    "a division by zero in a type": header(declared("'<M8[25s/0]'")),
    "dates": header(declared("'<M8[s]'")),
    "objects": header(declared("'|O'")),
    "records": header(declared("[('a', '<f8')]")),
    "no type": header(declared("'<f3'")),
    "other order of bytes": header(declared("'>f8'" if sys.byteorder == "little" else "'<f8'")),
    "negative extent": header(declared(shape="(-3,)")),
    "too much data declared": header(declared(shape="(1000000000000,)")),
    "nothing, but wide": header(declared(shape="(0, 9999999999999999999, 9999999999999999999)")),
    "many dimensions": header(declared(shape="(3," + " 1," * 4 + ")")),
    "brackets": header("(" * 117),
    "unclosed text": header("'" + "\\" * 80),
    "indented": header("  if 1:\n   2\n 3"),
    "no header": b"",
    "half a header": b"\x93NUMPY\x01",
    "long header": b"\x93NUMPY\x01\x00\xff\xff" + b" " * 65535,
    "version 2": header(declared(), b"\x02\x00"),
    "version 9": header(declared(), b"\x09\x00"),
}


def rewritten(path, name, content, **options):
    """Write the archive at a path anew, with other bytes as the array of a name."""
    with zipfile.ZipFile(path) as archive:
        members = {each: archive.read(each) for each in archive.namelist()}
    with zipfile.ZipFile(path, "w", **options) as archive:
        for each, data in (members | {f"{name}.npy": content}).items():
            archive.writestr(each, data)


@pytest.mark.parametrize("kind", ARRAYS)
@pytest.mark.parametrize("name", ["format", "voltages"])
def test_a_state_with_an_array_that_is_none(saved, tmp_path, kind, name):
    network, path = saved
    copy = tmp_path / "state.npz"
    copy.write_bytes(path.read_bytes())
    rewritten(copy, name, ARRAYS[kind] + 24 * b"\0")
    with pytest.raises(refsim.InvalidValueError, match=rf"holds no saved state \({name}"):
        refsim.resume(refsim.load_state(network, copy), 10.0)


def test_packed_arrays_are_refused_before_they_are_unpacked(saved, tmp_path):
    """A few megabytes may unpack to as many gigabytes."""
    network, path = saved
    copy = tmp_path / "state.npz"
    copy.write_bytes(path.read_bytes())
    rewritten(copy, "voltages", bytes(10**6), compression=zipfile.ZIP_DEFLATED)
    assert copy.stat().st_size < 10**5
    with pytest.raises(refsim.InvalidValueError, match=r"is packed|larger than the file"):
        refsim.resume(refsim.load_state(network, copy), 10.0)


def test_arrays_that_share_their_bytes_are_refused(saved, tmp_path):
    """A list of members may name the same data a thousand times."""
    _, path = saved
    content = path.read_bytes()
    end = content.rindex(b"PK\x05\x06")
    count, size, begin = struct.unpack("<HII", content[end + 10 : end + 20])
    listed = content[begin : begin + size]
    for times in (40, 1_000_000 // size + 1):
        tail = struct.pack(
            "<HHHHIIH", 0, 0, *2 * [min(times * count, 65535)], times * size, begin, 0
        )
        copy = tmp_path / f"{times}.npz"
        copy.write_bytes(content[:begin] + times * listed + b"PK\x05\x06" + tail)
        wanted = "larger than the file|has \\d+ members|too long a list of members"
        with pytest.raises(array_files.ArrayFileError, match=wanted):
            array_files.read_arrays(copy)


def test_arrays_of_an_archive_come_back(tmp_path):
    given = {
        "floats": np.arange(6.0).reshape(2, 3),
        "columns": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "text": np.array("some text"),
        "truths": np.array([True, False]),
        "nothing": np.zeros((0, 5), np.float32),
        "number": np.array(7),
        "bytes": np.arange(5, dtype=np.uint8),
    }
    np.savez(tmp_path / "all.npz", **given)
    found = array_files.read_arrays(tmp_path / "all.npz")
    assert found.keys() == given.keys()
    for name, array in given.items():
        assert found[name].dtype == array.dtype
        assert np.array_equal(found[name], array), name


@pytest.mark.parametrize(
    "array", [np.array([b"bytes"]), np.array([1j]), np.zeros((1, 1, 1, 1, 1))], ids=str
)
def test_arrays_that_we_do_not_write(tmp_path, array):
    np.savez(tmp_path / "odd.npz", array)
    with pytest.raises(array_files.ArrayFileError):
        array_files.read_arrays(tmp_path / "odd.npz")


def test_truths_and_texts_that_are_none(tmp_path):
    for descr, content in (("'|b1'", b"\0\1\2"), ("'<U1'", struct.pack("<III", 97, 97, 0x110000))):
        with zipfile.ZipFile(tmp_path / "odd.npz", "w") as archive:
            archive.writestr("x.npy", header(declared(descr)) + content)
        with pytest.raises(array_files.ArrayFileError):
            array_files.read_arrays(tmp_path / "odd.npz")


@pytest.mark.parametrize("name", ["/dev/zero", "/dev/null", "/", "/nowhere", "x" * 300], ids=str)
def test_no_state_is_at_odd_places(saved, name):
    with pytest.raises(refsim.InvalidValueError, match="holds no saved state"):
        refsim.resume(refsim.load_state(saved[0], name), 10.0)


@usual
@given(data=st.data())
def test_mutated_archives_are_arrays_or_errors_of_ours(saved, data, tmp_path):
    path = tmp_path / "state.npz"
    path.write_bytes(mutated(saved[1].read_bytes(), data))
    try:
        array_files.read_arrays(path)
    except array_files.ArrayFileError:
        return


@usual
@given(data=st.data())
def test_mutated_arrays_of_a_state_are_a_state_or_errors_of_ours(saved, data, tmp_path):
    """With sums that are right, so that the numbers themselves are looked at."""
    network, path = saved
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as archive:
        name = data.draw(st.sampled_from(archive.namelist())).removesuffix(".npy")
        content = archive.read(f"{name}.npy")
    copy = tmp_path / "state.npz"
    copy.write_bytes(path.read_bytes())
    rewritten(copy, name, mutated(content, data))
    try:
        refsim.resume(refsim.load_state(network, copy), 5.5, max_spikes=1000)
    except (refsim.InvalidValueError, refsim.InvalidTypeError, refsim.SpikeLimitError):
        return


def test_a_snapshot_that_is_a_device(tmp_path):
    snapshots = Snapshots(tmp_path)
    snapshots._path(snapshots._folder, 0).symlink_to("/dev/zero")
    with pytest.raises(refsim.OutputError, match="cannot be read back: is no file"):
        snapshots.get(0)
