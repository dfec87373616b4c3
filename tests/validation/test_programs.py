"""Programs under certification end with all that they have started, and leave nothing behind."""

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from refsim.cases import load
from refsim.files.output import OutputError
from validation.backends import programs
from validation.backends.command import from_command
from validation.comparison.answers import AnswerError
from validation.comparison.backend import LossCotangents

HERE = Path(__file__).parents[1] / "tools"
CHAIN = HERE.parents[1] / "validation" / "cases" / "chain.json"
pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs signals and a shell")
linux = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs Linux")


def is_running(number):
    """Return whether a process is there; one that has ended and is not waited for is not."""
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{number}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


def awaited(wanted, seconds=60.0):
    """Wait for something; a moment on an idle machine."""
    end = time.monotonic() + seconds
    while not wanted():
        assert time.monotonic() < end
        time.sleep(0.02)


def asked(script, **options):
    """Ask a shell script for an answer to a case."""
    backend = from_command(f"sh -c {shlex.quote(script)} sh {{case}}", **options)
    case = load(CHAIN)
    return backend(
        case.network,
        case.inputs,
        case.duration,
        LossCotangents.of(case, np.zeros(len(case.time_bar), np.int64)),
    )


def started(mark, ways):
    """Return a script that starts a process in each way, which write their numbers."""
    sleep = f'sh -c "echo \\$\\$ >> {mark}; exec sleep 1000"'
    return "; ".join(f"{way} {sleep} &" for way in ways).replace("&;", "&")


@linux
@pytest.mark.parametrize("rest", ["exit 0", "exit 3", "exec sleep 1000"])
def test_no_child_outlives_its_program(tmp_path, rest):
    """Whether it is in the group of the program, in a session of its own, or nobody's child."""
    mark = tmp_path / "numbers"
    ways = ["", "setsid", "nohup", "(setsid"]
    script = started(mark, ways[:3]) + f" until test $(wc -l < {mark}) -eq 3; do :; done; {rest}"
    mark.touch()
    with pytest.raises(AnswerError):
        asked(script, timeout=20.0 if rest.startswith("exit") else 2.0)
    numbers = [int(line) for line in mark.read_text().split()]
    assert len(numbers) == 3
    awaited(lambda: not any(map(is_running, numbers)))


def certifying(tmp_path, folder):
    """Start a certification whose program waits; return it and the numbers of all processes."""
    mark = tmp_path / "numbers"
    mark.touch()
    script = started(mark, ["setsid", ""]) + f" echo $$ >> {mark}; sleep 1000"
    command = f"sh -c {shlex.quote(script)} sh {{case}}"
    code = (
        "import signal, sys\n"
        "for number in (signal.SIGTERM, signal.SIGHUP): signal.signal(number, signal.SIG_DFL)\n"
        "from validation.cli import main\n"
        "sys.exit(main(['certify', '--cases', 'chain', '--exec', sys.argv[1]]))\n"
    )
    folder.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", code, command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(folder), "NUMBA_DISABLE_JIT": "1"},
        start_new_session=True,
    )
    awaited(lambda: len(mark.read_text().split()) == 3 or process.poll() is not None)
    assert process.poll() is None, process.communicate()
    return process, [int(line) for line in mark.read_text().split()]


@linux
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL], ids=str)
def test_a_killed_certification_leaves_no_program_and_no_folder(tmp_path, number):
    folder = tmp_path / "temporary"
    process, numbers = certifying(tmp_path, folder)
    assert list(folder.iterdir()) != []
    process.send_signal(number)
    _, complaints = process.communicate(timeout=120.0)
    if number != signal.SIGKILL:
        assert process.returncode == 130
        assert complaints == "refsim: interrupted: 0 of 1 cases were judged\n"
    awaited(lambda: not any(map(is_running, numbers)) and list(folder.iterdir()) == [])


def test_the_end_of_long_complaints_is_kept():
    with pytest.raises(AnswerError) as caught:
        asked("yes | head -c 1000000 >&2; echo the end >&2; exit 3")
    assert str(caught.value).startswith("the program ended with exit code 3: ...")
    assert str(caught.value).endswith("y y the end")


def test_output_that_comes_at_once_is_bounded_too(monkeypatch):
    monkeypatch.setattr("validation.backends.command.MOST_OUTPUT", 1000)
    with pytest.raises(AnswerError, match="stopped after 1,000 bytes of output"):
        asked("head -c 1001 /dev/zero")


def test_a_program_that_is_none(tmp_path):
    path = tmp_path / "program"
    path.write_text("\x7fELF and no more")
    path.chmod(0o700)
    case = load(CHAIN)
    backend = from_command(f"{path} {{case}}")
    with pytest.raises(AnswerError, match="the program cannot be run: Exec format error"):
        backend(
            case.network,
            case.inputs,
            case.duration,
            LossCotangents.of(case, np.zeros(len(case.time_bar), np.int64)),
        )


def test_where_there_is_no_temporary_folder_it_is_said_before_the_work(monkeypatch):
    def none():
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(programs.tempfile, "gettempdir", none)
    with pytest.raises(OutputError, match="there is no temporary folder: No usable"):
        from_command("true {case}")
