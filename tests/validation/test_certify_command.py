"""Programs as back ends, and the command ``refsim certify``."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from certify_tools import ours
from signals import obeying

import refsim
from refsim.cases import make_case, save
from validation import certify, cli
from validation.backends.command import from_command
from validation.case_suite.stored import given_cases
from validation.cli.exit_codes import EXIT_INCONCLUSIVE

HERE = Path(__file__).parents[1] / "tools"
CASE = given_cases()[0]
CHAIN = str(HERE.parents[1] / "validation" / "cases" / "chain.json")
PROGRAM = shlex.join([sys.executable, str(HERE / "program.py")])


@pytest.fixture(autouse=True)
def interpreted(monkeypatch):
    """Programs are quick to start and small."""
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), str(HERE.parents[1]), *sys.path]))


def judged(how, out="{out}", **options):
    backend = from_command(f"{PROGRAM} {{case}} {out} {how}", **options)
    return certify(backend, [CASE]).cases[0]


def test_a_correct_program_passes():
    verdict = judged("well")
    assert verdict.verdict == "pass", verdict.note
    assert all(row.verdict == "pass" for row in verdict.groups)


def test_an_answer_can_be_printed():
    assert judged("well", out="-").verdict == "pass"


def test_a_program_may_offer_some_groups():
    verdict = judged("partial")
    assert verdict.verdict == "pass"
    offered = [row.group for row in verdict.groups if row.verdict == "pass"]
    assert offered == ["spike_times", "weight"]


def test_a_spike_that_a_program_drops_is_found():
    verdict = judged("dropped")
    assert verdict.verdict == "fail"
    assert verdict.cause.name == "spike dropped"
    assert verdict.first_difference.kind == "missing"


@pytest.mark.parametrize(
    ("how", "note"),
    [
        ("fail", "exit code 1: the array is too short"),
        ("silent", "has written no file {out}"),
        ("garbage", "the answer is not JSON"),
        ("nan", "NaN is not a JSON number"),
        ("short", "expected.gradient.weight has 8 entries; expected 9"),
    ],
)
def test_a_program_that_fails_is_a_verdict_with_a_note(how, note):
    verdict = judged(how)
    assert verdict.verdict == "fail"
    assert note in verdict.note


def test_a_program_can_say_that_it_has_no_words_for_a_case():
    verdict = judged("skip")
    assert (verdict.verdict, verdict.note) == ("skip", "no ports of this kind")


def test_a_program_that_does_not_end_is_stopped():
    started = time.perf_counter()
    verdict = judged("sleep", timeout=2.0)
    assert "stopped after 2 s" in verdict.note
    assert time.perf_counter() - started < 30.0


def test_a_program_that_crashes_is_a_verdict():
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    command = f"{shlex.join([sys.executable, '-c', code])} {{case}} {{out}}"
    assert "ended by SIGKILL" in certify(from_command(command), [CASE]).cases[0].note


def test_the_step_goes_to_the_program():
    command = f"{PROGRAM} {{case}} {{out}} well {{dt}}"
    assert "no time steps are given" in certify(from_command(command), [CASE]).cases[0].note
    verdict = certify(from_command(command), [CASE], steps=[0.5, 0.25]).cases[0]
    assert verdict.verdict == "pass", verdict.note
    assert [step.dt for step in verdict.steps] == [0.5, 0.25]
    without = certify(from_command(f"{PROGRAM} {{case}} {{out}} well"), [CASE], steps=[0.5])
    assert "no {dt}" in without.cases[0].note


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("", "expected a program and {case}"),
        ("prog", "expected a program and {case}"),
        ("no-such-program-here {case}", "expected a program that can be run"),
        ("prog '{case}", "expected words as a shell has them"),
    ],
)
def test_commands_that_cannot_be_run_are_named(command, message):
    with pytest.raises(refsim.InvalidValueError, match=message):
        from_command(command)


# --- refsim certify -------------------------------------------------------------------------------


def test_the_command_certifies_a_program(capsys, tmp_path):
    table = tmp_path / "verdicts.json"
    arguments = ["certify", "--exec", f"{PROGRAM} {{case}} {{out}} well", "--cases", CHAIN]
    assert cli.main([*arguments, "--json", str(table), "--name", "mine"]) == 0
    text = capsys.readouterr().out
    assert "mine: 1 cases passed, 0 failed, 0 skipped" in text
    document = json.loads(table.read_text())
    assert (document["format"], document["verdict"]) == ("refsim-certificate/2", "pass")
    assert document["cases"][0]["groups"][0]["group"] == "spike_times"


def test_the_command_certifies_a_function_and_names_the_cause(capsys, tmp_path, monkeypatch):
    (tmp_path / "my_simulator.py").write_text(
        "from certify_tools import ours, spoiled, times\nbackend = spoiled(times(-1.0, 'delay'))\n"
    )
    save(CASE, tmp_path / "case.json")
    monkeypatch.chdir(tmp_path)
    table = tmp_path / "out.json"
    arguments = ["--cases", str(tmp_path), "--json", str(table), "--groups", "delay,weight"]
    table.unlink(missing_ok=True)
    assert cli.main(["certify", "--backend", "my_simulator:backend", *arguments]) == 1
    text = capsys.readouterr().out
    assert "FAIL" in text
    assert "wrong sign: delay has the opposite sign" in text
    assert json.loads(table.read_text())["cases"][0]["cause"]["name"] == "wrong sign"


def test_the_command_writes_a_report(capsys, tmp_path):
    arguments = ["certify", "--backend", "certify_tools:ours", "--cases", CHAIN, "--report"]
    assert cli.main([*arguments, str(tmp_path / "deep" / "report")]) == 0
    assert "report: " in capsys.readouterr().out
    document = json.loads((tmp_path / "deep" / "report" / "report.json").read_text())
    assert [each["verdict"] for each in document["certificates"]] == ["pass"]
    (tmp_path / "file").write_text("")
    assert cli.main([*arguments, str(tmp_path / "file")]) == cli.EXIT_USAGE
    captured = capsys.readouterr()
    assert "cannot be made" in captured.err
    assert captured.out == ""  # before any case is judged


def test_the_command_judges_steps_and_float32(capsys):
    steps = ["--backend", "grid_example:backend", "--cases", CHAIN, "--steps", "0.05,0.025,0.0125"]
    assert cli.main(["certify", *steps]) == 0
    single = "certify_tools:in_single"
    assert cli.main(["certify", "--backend", single, "--cases", CHAIN]) == 1
    assert "float32: " in capsys.readouterr().out
    assert cli.main(["certify", "--backend", single, "--cases", CHAIN, "--float32"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--backend", "nothing"], "expected 'module:function'"),
        (["--backend", "no_such_module:f"], "expected a module that can be imported"),
        (["--backend", "certify_tools:nothing"], "expected certify_tools to have 'nothing'"),
        (["--backend", "certify_tools:np"], "expected a function"),
        (["--exec", "no-such-program {case}"], "expected a program that can be run"),
        (["--backend", "certify_tools:ours", "--cases", "nothing.json"], "cannot be read"),
        (["--backend", "certify_tools:ours", "--cases", str(HERE)], "has no case file"),
        (["--backend", "certify_tools:ours", "--rtol", "-1"], "rtol is -1"),
        (["--backend", "certify_tools:ours", "--steps", "0.1,0.1"], "steps[1] is 0.1, as steps[0]"),
    ],
)
def test_wrong_arguments_of_the_command(arguments, message, capsys):
    assert cli.main(["certify", *arguments]) == cli.EXIT_USAGE
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.out == ""


def test_a_folder_that_holds_other_json_is_refused_by_the_name_of_the_file(capsys, tmp_path):
    save(CASE, tmp_path / "a.json")
    (tmp_path / "verdicts.json").write_text('{"format": "refsim-certificate/1"}')
    report = tmp_path / "report"
    line = ["certify", "--backend", "certify_tools:ours", "--cases", str(tmp_path)]
    assert cli.main([*line, "--report", str(report)]) == cli.EXIT_USAGE
    printed = capsys.readouterr()
    assert "verdicts.json: format is 'refsim-certificate/1'" in printed.err
    assert printed.out == ""
    assert not report.exists()


@pytest.mark.parametrize("arguments", [[], ["--backend", "a:b", "--steps", "fine"]])
def test_arguments_that_cannot_be_parsed(arguments, capsys):
    with pytest.raises(SystemExit) as error:
        cli.main(["certify", *arguments])
    assert error.value.code == cli.EXIT_USAGE


@pytest.mark.parametrize(
    "line",
    [
        ["certify", "--backend", "certify_tools:ours", "--json", ""],
        ["certify", "--backend", "certify_tools:ours", "--report", ""],
        ["certify", "--backend", "certify_tools:ours", "--name", ""],
        ["certify", "--backend", "certify_tools:ours", "--cases", ""],
        ["validate", CHAIN, "--json", ""],
        ["validate", CHAIN, "--report="],
        ["run", CHAIN, "--out", ""],
        ["grad", CHAIN, "--out", ""],
    ],
    ids=lambda line: f"{line[0]} {line[-2]}",
)
def test_empty_names_are_refused(line, capsys):
    """As a shell makes them of variables that are not set."""
    with pytest.raises(SystemExit) as error:
        cli.main(line)
    assert error.value.code == cli.EXIT_USAGE
    printed = capsys.readouterr()
    assert "it is empty; expected a name" in printed.err
    assert printed.out == ""


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["--exec", "true {case}", "--steps", "0.1"], "expected {dt} in the program"),
        (["--exec", "true {case} {dt}"], "expected {dt} in the program"),
        (["--exec", "true {case} {outt}"], "command has {outt}; expected {case}, {out} or {dt}"),
    ],
    ids=["no dt", "no steps", "misspelt"],
)
def test_names_of_a_command(line, message, capsys):
    assert cli.main(["certify", *line, "--cases", "chain"]) == cli.EXIT_USAGE
    assert message in capsys.readouterr().err


def test_a_program_that_prints_nothing(capsys):
    assert cli.main(["certify", "--exec", "true {case}", "--cases", "chain"]) == 1
    assert "the program has written nothing" in capsys.readouterr().out


def test_nothing_judged_is_no_success(capsys):
    line = ["certify", "--exec", "sh -c 'exit 77' {case}", "--cases", "chain", "driven"]
    assert cli.main(line) == EXIT_INCONCLUSIVE
    assert "nothing was judged" in capsys.readouterr().err


def test_a_case_that_is_wrong_in_itself_is_an_error_after_the_others(capsys, tmp_path):
    case = given_cases()[0]
    save(make_case("short", case.network, case.inputs, 60.0, time_bar=[1.0]), tmp_path / "a.json")
    line = ["certify", "--backend", "certify_tools:ours", "--cases", str(tmp_path), "driven"]
    assert cli.main(line) == cli.EXIT_USAGE
    text = capsys.readouterr().out
    assert "there is no reference: cotangent has 1 entries" in text
    assert "1 cases passed, 0 failed, 1 skipped" in text


@pytest.mark.skipif(os.name != "posix", reason="needs a shell and setsid")
def test_a_process_left_behind_does_not_hold_the_command():
    backend = from_command("sh -c 'setsid sleep 20 & sleep 1000' {case}", timeout=0.5)
    started = time.monotonic()
    (case,) = certify(backend, ["driven"]).cases
    assert time.monotonic() - started < 10.0
    assert "stopped after 0.5 s" in case.note


def test_output_without_end_is_stopped(monkeypatch):
    monkeypatch.setattr("validation.backends.command.MOST_OUTPUT", 10_000_000)
    (case,) = certify(from_command("yes {case}", timeout=60.0), ["driven"]).cases
    assert "stopped after 10,000,000 bytes of output" in case.note


def test_a_module_that_exits_is_no_success(capsys, tmp_path, monkeypatch):
    (tmp_path / "leaves.py").write_text("import sys\nsys.exit(0)\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert cli.main(["certify", "--backend", "leaves:f", "--cases", "driven"]) == cli.EXIT_USAGE
    assert "expected a module that can be imported: SystemExit" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent as on Unix")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_verdicts_before_a_signal_are_kept_and_no_program_is_left(number, tmp_path):
    """The second case takes a minute; its program has written down who it is."""
    slow = tmp_path / "slow.py"
    slow.write_text(
        "import os, sys, time, runpy\n"
        f"marks = {str(tmp_path)!r}\n"
        "if os.path.exists(marks + '/first'):\n"
        "    open(marks + '/pid', 'w').write(str(os.getpid()))\n"
        "    time.sleep(60)\n"
        "open(marks + '/first', 'w').close()\n"
        f"sys.argv[0] = {str(HERE / 'program.py')!r}\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    command = f"{shlex.join([sys.executable, str(slow)])} {{case}} {{out}} well"
    with obeying(number):
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "refsim", "certify", "--exec", command),
                *("--cases", "chain", "refractory", "--json", str(tmp_path / "out.json")),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    end = time.monotonic() + 120.0
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert time.monotonic() < end
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(number)
    printed, complaints = process.communicate(timeout=60.0)
    assert process.returncode == 130
    assert "1 cases passed" in printed
    assert complaints == "refsim: interrupted: 1 of 2 cases were judged\n"
    verdicts = json.loads((tmp_path / "out.json").read_text())["cases"]
    assert [case["verdict"] for case in verdicts] == ["pass"]
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_cases_are_found_by_the_names_that_tables_give_them():
    for name in ("chain", "chain-8"):
        assert [case.case.name for case in certify(ours, [name]).cases] == ["chain-8"]


def test_a_program_is_called_by_its_words():
    assert from_command(f"{sys.executable} /some/prog.py {{case}} --out={{out}}").name == (
        f"{Path(sys.executable).name} prog.py"
    )
