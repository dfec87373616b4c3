"""What the command line prints: nothing that acts on a terminal, and one line for what fails."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from validation import cli
from validation.printable import printable

CHAIN = Path(__file__).parents[2] / "validation" / "cases" / "chain.json"
EVIL = "\x1b]0;mine\x07\x1b[2J\r\u202e\x9b31mname\nFAIL"
COMMAND = [sys.executable, "-m", "refsim"]
ENVIRONMENT = os.environ | {"NUMBA_DISABLE_JIT": "1", "NO_COLOR": "1"}
ENVIRONMENT.pop("PYTHONUNBUFFERED", None)  # what waits in a buffer is written once more at exit


def is_plain(text):
    return all(line == printable(line) for line in text.splitlines())


@pytest.fixture
def evil(tmp_path):
    """Return a file whose name, and that of its case, would clear the screen."""
    case = json.loads(CHAIN.read_text())
    case["name"] = EVIL
    path = tmp_path / f"{EVIL.replace('/', '')}.json"
    try:
        path.write_text(json.dumps(case))
    except OSError:
        pytest.skip("the file system has no such names")
    return path


def test_names_of_cases_and_files_do_nothing(evil, capsys):
    for line in (
        ["validate", str(evil)],
        ["certify", "--backend", "certify_tools:ours", "--cases", str(evil), "--name", EVIL],
        ["cases", "check", str(evil)],
    ):
        assert cli.main(line) == 0, line
        printed, complaints = capsys.readouterr()
        assert "\\x1b" in printed
        assert is_plain(printed), printed
        assert is_plain(complaints)


def test_errors_are_one_line_that_does_nothing(evil, capsys):
    evil.write_text("{")
    program = ["certify", "--exec", f"{EVIL} {{case}}"]
    for line in (["run", str(evil)], ["grad", str(evil)], program):
        assert cli.main(line) == cli.EXIT_USAGE
        complaints = capsys.readouterr().err
        assert complaints.startswith("refsim: error: ")
        assert complaints.count("\n") == 1
        assert is_plain(complaints)
    with pytest.raises(SystemExit):
        cli.main(["run", str(evil), EVIL])
    assert is_plain(capsys.readouterr().err)


@pytest.mark.skipif(os.name != "posix", reason="needs a shell")
def test_what_a_program_says_does_nothing(capsys):
    program = "sh -c 'printf \"\\033[31mred\" >&2; exit 3' {case}"
    assert cli.main(["certify", "--exec", program, "--cases", "chain"]) == 1
    printed = capsys.readouterr().out
    assert "exit code 3: \\x1b[31mred" in printed
    assert is_plain(printed)


LINES = [["run", str(CHAIN)], ["grad", str(CHAIN)], ["info"], ["--help"], ["cases", "list"]]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("unbuffered", [[], ["-u"]], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize("line", LINES, ids=lambda line: line[0])
def test_output_without_room_is_one_line_and_no_success(line, unbuffered):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, *unbuffered, *COMMAND[1:], *line],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env=ENVIRONMENT,
        )
    wanted = "refsim: error: standard output cannot be written: No space left on device\n"
    assert (done.returncode, done.stderr) == (cli.EXIT_USAGE, wanted)


@pytest.mark.skipif(os.name != "posix", reason="needs pipes")
@pytest.mark.parametrize("line", LINES, ids=lambda line: line[0])
def test_a_reader_that_has_gone_is_no_success_and_no_words(line):
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [*COMMAND, *line],
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env=ENVIRONMENT,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.skipif(os.name != "posix", reason="needs a shell")
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "2>/dev/full"])
def test_streams_that_are_closed(closed):
    for line, code in ((["run", str(CHAIN)], 0), (["run", "missing.json"], 2)):
        done = subprocess.run(
            ["sh", "-c", f'exec "$@" {closed}', "sh", *COMMAND, *line],
            capture_output=True,
            text=True,
            check=False,
            env=ENVIRONMENT,
        )
        assert done.returncode == code
        assert "Traceback" not in done.stderr
        assert "Exception ignored" not in done.stderr


LONG = "x" * 300


@pytest.mark.parametrize(
    "line",
    [
        ["run", str(CHAIN), "--out", LONG],
        ["grad", str(CHAIN), "--out", LONG],
        ["run", LONG],
        ["validate", str(CHAIN), "--json", LONG],
        ["validate", str(CHAIN), "--report", LONG],
        ["certify", "--backend", "certify_tools:ours", "--cases", LONG],
        ["cases", "check", LONG],
        ["cases", "generate", LONG, "--only", "chain"],
        ["run", "\udcff.json"],
        ["run", str(CHAIN), "--out", "\ud800.json"],
        ["certify", "--backend", "certify_tools:ours", "--cases", "\ud800"],
    ],
    ids=ascii,
)
def test_names_that_no_file_can_have(line, capsys):
    assert cli.main(line) == cli.EXIT_USAGE
    complaints = capsys.readouterr().err
    assert complaints.startswith("refsim: error: ")
    assert complaints.count("\n") == 1
    assert is_plain(complaints)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("command", ["run", "grad"])
def test_a_file_without_room_is_one_line(command, capsys):
    assert cli.main([command, str(CHAIN), "--out", "/dev/full"]) == cli.EXIT_USAGE
    wanted = "refsim: error: /dev/full: cannot be written: No space left on device\n"
    assert capsys.readouterr().err == wanted
