"""The command ``refsim`` as a user meets it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from queues.compiled.jit import is_compiled
from refsim.cases import load
from validation import cli
from validation.cli import kernels
from validation.judges import suite

CASES = Path(__file__).parents[2] / "validation" / "cases"
CHAIN = str(CASES / "chain.json")
needs_compiler = pytest.mark.skipif(not is_compiled(), reason="kernels are not compiled")


def document(**changes):
    data = json.loads(Path(CHAIN).read_text())
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = data
        for parent in parents:
            place = place[parent]
        if value is KeyError:
            del place[last]
        else:
            place[last] = value
    return data


def test_validate_a_file(capsys, tmp_path):
    out = tmp_path / "table.json"
    assert cli.main(["validate", CHAIN, "--json", str(out)]) == 0
    text = capsys.readouterr().out
    assert "known values" in text
    assert "0 failed" in text
    table = json.loads(out.read_text())
    assert {row["judge"] for row in table["rows"]} >= {"known values", "duality", "identities"}
    assert all(row["verdict"] in ("pass", "skip") for row in table["rows"])
    assert all(row["min_slope"] > 0.0 for row in table["rows"])


@pytest.mark.parametrize(
    ("group", "factor"), [("weight", 1.0 + 1e-9), ("delay", -1.0), ("t_ref", 0.75)]
)
def test_validate_sees_a_wrong_gradient(group, factor, capsys, tmp_path):
    data = document()
    values = data["expected"]["gradient"][group]
    data["expected"]["gradient"][group] = [factor * float(value) for value in values]
    path = tmp_path / "wrong.json"
    path.write_text(json.dumps(data))
    assert cli.main(["validate", str(path)]) == 1
    line = next(line for line in capsys.readouterr().out.splitlines() if "known values" in line)
    assert "FAIL" in line
    assert group in line


def test_validate_sees_a_wrong_spike_time_and_a_missing_spike(capsys, tmp_path):
    data = document()
    data["expected"]["spike_times"][3] = float(data["expected"]["spike_times"][3]) + 1e-9
    path = tmp_path / "late.json"
    path.write_text(json.dumps(data))
    assert cli.main(["validate", str(path)]) == 1
    data = document()
    data["cotangent"].pop()
    for name in ("spike_times", "spike_neurons"):
        data["expected"][name].pop()
    path.write_text(json.dumps(data))
    assert cli.main(["validate", str(path)]) == 1
    assert "12 spikes, 11 in the file" in capsys.readouterr().out


def test_validate_names_derivatives_halved_at_the_end_of_a_domain(capsys, tmp_path):
    data = document()
    values = data["expected"]["gradient"]["t_ref"]
    data["expected"]["gradient"]["t_ref"] = [0.5 * float(value) for value in values]
    path = tmp_path / "half.json"
    path.write_text(json.dumps(data))
    assert cli.main(["validate", str(path)]) == 0
    assert "file holds half of the derivative from the right" in capsys.readouterr().out


def test_run_prints_spikes(capsys):
    assert cli.main(["run", CHAIN]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    expected = load(CHAIN).expected
    assert [int(neuron) for _, neuron in rows] == expected.spike_neurons.tolist()
    assert np.allclose([float(t) for t, _ in rows], expected.spike_times, rtol=4e-15, atol=0.0)


def test_run_saves_a_case_file(tmp_path):
    out = tmp_path / "out.json"
    assert cli.main(["run", str(CASES / "voltage.json"), "--out", str(out)]) == 0
    case = load(out)
    known = load(CASES / "voltage.json").expected
    assert np.allclose(case.expected.spike_times, known.spike_times, rtol=4e-15, atol=0.0)
    assert np.allclose(case.expected.voltages, known.voltages, rtol=1e-14, atol=1e-15)


def test_grad_writes_a_case_file_with_17_digits(capsys, tmp_path):
    out = tmp_path / "out.json"
    assert cli.main(["grad", CHAIN, "--out", str(out)]) == 0
    assert cli.main(["validate", str(out)]) == 0
    capsys.readouterr()
    assert cli.main(["grad", CHAIN]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads(out.read_text())
    known = load(CHAIN).expected.gradient
    for name, values in load(out).expected.gradient.items():
        assert np.max(np.abs(values - known[name])) <= 1e-13 * np.max(np.abs(known[name]))


def names_of(text):
    lines = text.splitlines()
    assert all(line.endswith(" s") for line in lines)
    return [line.rsplit(maxsplit=2)[0] for line in lines]


@pytest.mark.parametrize("jobs", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_warmup_names_what_it_compiles(jobs, capfd, monkeypatch):
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")  # in processes of its own
    if jobs == "1":
        monkeypatch.setattr(kernels, "steps", lambda _: iter([("one thing", dict)]))
    assert cli.main(["warmup", "--jobs", jobs]) == 0
    names = names_of(capfd.readouterr().out)
    if jobs == "1":
        assert names == ["one thing"]
        return
    for engine in ("event engine", "window engine", "window engine, any ports", "grid engine"):
        assert {engine, f"{engine}, gradients", f"{engine}, tangents"} < set(names)
    assert {
        "batches",
        "losses",
        "event engine, traces",
        "random synapses",
        "many synapses, delays few",
    } < set(names)


def test_warmup_fails_where_a_step_does(capfd, monkeypatch):
    monkeypatch.setattr(kernels, "chains", lambda _: {"no such chain": None})
    assert cli.main(["warmup", "--jobs", "2"]) == 1
    assert "no such chain" in capfd.readouterr().err


def test_warmup_of_all_has_every_queue():
    names = [name for chain in kernels.chains(True).values() for name, _ in chain()]
    of_queues = {name.split()[-1] for name in names if name.startswith("event engine, ")}
    assert {"calendar", "fifo_merge", "batch_heap", "ring_buffer", "pairing_heap"} < of_queues
    assert len(names) == len(set(names))


@pytest.mark.parametrize("jobs", ["0", "-1", "x"])
def test_warmup_wants_a_number_of_jobs(jobs, capsys):
    with pytest.raises(SystemExit):
        cli.main(["warmup", "--jobs", jobs])
    assert "--jobs" in capsys.readouterr().err


@needs_compiler
def test_nothing_is_left_to_compile_after_a_warmup():
    """In a process of its own, for kernels are compiled once in each."""
    code = (
        "import gc, numpy as np, refsim, adjoint\n"
        "from adjoint import losses\n"
        "from numba.core.dispatcher import Dispatcher\n"
        "from validation.cli.kernels import steps\n"
        "def compiled():\n"
        "    return sum(len(d.overloads) for d in gc.get_objects() if isinstance(d, Dispatcher))\n"
        "by_windows = refsim.Windows()\n"
        "def use(**ports):\n"
        "    synapses = refsim.random(range(10), 9, in_degree=3, weight=4.0, delay=1.0, rng=0)\n"
        "    net = refsim.Network(9, synapses, n_inputs=1, **ports)\n"
        "    inputs = refsim.SpikeTrain([1.0, 2.0], [0, 0], 1)\n"
        "    for engine in (refsim.Events(), by_windows):\n"
        "        run, pullback = adjoint.vjp(net, inputs, 20.0, engine=engine)\n"
        "        pullback(np.ones(len(run.spikes.time)), None, ('weight', 'delay'))\n"
        "        adjoint.jvp(net, inputs, 20.0, {'delay': np.ones(27)}, engine=engine)\n"
        "        run.trace(neurons=[1], step=0.5)\n"
        "    kept = refsim.simulate(net, inputs, 20.0, keep_state=True)\n"
        "    refsim.resume(kept, 30.0)\n"
        "    run, pullback = adjoint.vjp(net, inputs, 20.0, checkpoint=2)\n"
        "    pullback(np.ones(run.n_spikes))\n"
        "    refsim.simulate_batch(net, [inputs], 20.0)\n"
        "    adjoint.vjp_batch(net, [inputs], 20.0, samples=([0], [1.0]))[1]([1.0])\n"
        "    run, pullback = adjoint.vjp(net, inputs, 20.0, engine=refsim.Grid(0.1))\n"
        "    pullback(np.ones(len(run.spikes.time)))\n"
        "    refsim.simulate(net, inputs, 20.0, engine=refsim.Grid(0.1, keep_voltages=True))\n"
        "    loss = losses.VanRossum([1], [[3.0]], 2.0) + losses.VictorPurpura([1], [[3.0]], 1.0)\n"
        "    quiet = net.replace(weight=0.01)\n"
        "    losses.value_and_grad(loss + losses.KeepAlive([0]))(quiet, inputs, 20.0)\n"
        "    large = refsim.random(300, 200, in_degree=100, weight=0.1, rng=0)\n"
        "    refsim.simulate(refsim.Network(300, large, **ports), None, 5.0, engine=by_windows)\n"
        "for _, step in steps(): step()\n"
        "before = compiled()\n"
        "use(ports=refsim.ExpPort(4.0))\n"
        "use(ports=refsim.DoubleExpPort(2.0, 4.0))\n"
        "print(compiled() - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"


def test_info_says_what_is_needed_for_a_report(capsys):
    assert cli.main(["info"]) == 0
    text = capsys.readouterr().out
    for word in ("refsim", "python", "numpy", "numba", "threads", "compil"):
        assert word in text


@pytest.mark.parametrize("command", [[], ["validate"], ["run"], ["grad"], ["info"], ["warmup"]])
def test_help_everywhere(command, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main([*command, "--help"])
    assert stop.value.code == 0
    assert "usage: refsim" in capsys.readouterr().out


def test_the_command_alone_shows_its_help(capsys):
    assert cli.main([]) == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: refsim")
    assert "warmup" in text


BAD_LINES = {
    "unknown command": (["simulate"], "invalid choice: 'simulate'"),
    "unknown option": (["validate", "--fast"], "unrecognized arguments: --fast"),
    "run without a file": (["run"], "required: FILE.json"),
    "grad without a file": (["grad"], "required: FILE.json"),
    "grad of two files": (["grad", CHAIN, CHAIN], "unrecognized arguments"),
    "option without value": (["validate", "--json"], "expected one argument"),
    "info with a file": (["info", CHAIN], "unrecognized arguments"),
}


@pytest.mark.parametrize("name", BAD_LINES)
def test_wrong_arguments(name, capsys):
    line, message = BAD_LINES[name]
    with pytest.raises(SystemExit) as stop:
        cli.main(line)
    assert stop.value.code == cli.EXIT_USAGE
    assert message in capsys.readouterr().err


BAD_FILES = {
    "no such file": (None, "cannot be read: No such file"),
    "a folder": ("folder", "cannot be read: Is a directory"),
    "not JSON": ("{", "is not JSON"),
    "binary": (b"\x80\x81\x82", "is not UTF-8"),
    "a list": ("[]", "the file is a list; expected an object"),
    "other format": (document(format="snn/2"), "format is 'snn/2'; expected"),
    "no neurons": (document(neurons=KeyError), "neurons is missing"),
    "other model": (document(neurons__model="adex"), "neurons.model is 'adex'"),
    "nan": (document(duration=float("nan")), "NaN is not a JSON number"),
    "negative delay": (document(synapses__delay=[-1.0] + [1.0] * 8), "delay[0] is -1"),
    "state above threshold": (document(neurons__v0=[9.0, 0, 0, 0]), "v0[0] is 9"),
    "no duration": (document(duration=0), "duration is 0"),
    "index out of range": (document(synapses__post=[7] + [0] * 8), "post[0] is 7"),
    "cotangents of other spikes": (document(cotangent=[1.0]), "cotangent has 1 entries"),
}


@pytest.mark.parametrize("command", ["validate", "grad", "run"])
@pytest.mark.parametrize("name", BAD_FILES)
def test_wrong_files(name, command, capsys, tmp_path):
    content, message = BAD_FILES[name]
    path = tmp_path / "case.json"
    if content == "folder":
        path.mkdir()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    if name == "cotangents of other spikes" and command == "run":
        pytest.skip("a simulation needs no cotangents")
    assert cli.main([command, str(path)]) == cli.EXIT_USAGE
    error = capsys.readouterr().err
    assert error.startswith("refsim: error: ")
    assert "case.json" in error
    assert message in error
    assert "Traceback" not in error


def test_grad_needs_cotangents(capsys, tmp_path):
    path = tmp_path / "case.json"
    path.write_text(json.dumps(document(cotangent=KeyError)))
    assert cli.main(["grad", str(path)]) == cli.EXIT_USAGE
    assert "cotangent is missing" in capsys.readouterr().err


def test_a_bad_file_does_not_stop_the_others(capsys, tmp_path):
    bad = tmp_path / "bad.json"
    bad.write_text("{")
    table = tmp_path / "table.json"
    assert cli.main(["validate", str(bad), CHAIN, "--json", str(table)]) == cli.EXIT_USAGE
    shown = capsys.readouterr()
    assert "1 case: " in shown.out
    assert "bad.json: is not JSON" in shown.err
    assert json.loads(table.read_text())["rows"]


def test_a_loss_of_voltages_alone_needs_no_cotangents_of_spikes(tmp_path):
    data = json.loads((CASES / "voltage.json").read_text())
    del data["cotangent"]
    path, out = tmp_path / "case.json", tmp_path / "out.json"
    path.write_text(json.dumps(data))
    assert cli.main(["grad", str(path), "--out", str(out)]) == 0
    assert not load(out).time_bar.any()
    assert np.any(load(out).expected.gradient["v0"])
    assert max(map(len, out.read_text().splitlines())) > 100, "vectors are on one line"


@pytest.mark.parametrize("command", [["run"], ["grad"]])
def test_an_output_that_cannot_be_written(command, capsys, tmp_path):
    out = tmp_path / "no" / "folder" / "out.json"
    assert cli.main([*command, CHAIN, "--out", str(out)]) == cli.EXIT_USAGE
    assert "cannot be written" in capsys.readouterr().err


def test_runaway_activity_is_an_error_and_not_a_hang(capsys, tmp_path, monkeypatch):
    data = document(
        synapses={"pre": [0], "post": [0], "weight": [1e6], "delay": [0.0], "port": [0]},
        neurons__i_ext=[2.0] * 4,
        expected=KeyError,
    )
    path = tmp_path / "case.json"
    path.write_text(json.dumps(data))
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "0")
    assert cli.main(["run", str(path)]) == cli.EXIT_USAGE
    assert "max_spikes is 1000000" in capsys.readouterr().err


def test_the_installed_command_runs_in_a_process(tmp_path):
    program = shutil.which("refsim", path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip("refsim is not installed in this environment")
    run = subprocess.run(
        [program, "run", CHAIN], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert len(run.stdout.splitlines()) == 12
    wrong = subprocess.run(
        [program, "run", "missing.json"], capture_output=True, text=True, cwd=tmp_path
    )
    assert wrong.returncode == cli.EXIT_USAGE
    assert "Traceback" not in wrong.stderr


@pytest.mark.parametrize(
    "line", [["validate", CHAIN], ["certify", "--exec", "true {case}", "--cases", CHAIN]], ids=str
)
def test_where_json_cannot_be_written_is_said_before_the_work(line, capsys, tmp_path):
    for path in (tmp_path, tmp_path / "missing" / "out.json"):
        assert cli.main([*line, "--json", str(path)]) == cli.EXIT_USAGE
        out, err = capsys.readouterr()
        assert "cannot be written" in err
        assert "chain" not in out


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
def test_a_pipe_with_a_name_stays_one(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    line = [sys.executable, "-m", "refsim", "run", CHAIN, "--out", str(pipe)]
    with subprocess.Popen(line, stdout=subprocess.DEVNULL) as process:
        text = pipe.read_text()
    assert process.returncode == 0
    assert json.loads(text)["name"] == "chain-8"
    assert pipe.is_fifo()


def test_names_that_a_terminal_cannot_show(tmp_path):
    data = document()
    data["name"] = "\ud800 é"
    path = tmp_path / "odd.json"
    path.write_text(json.dumps(data))
    line = [sys.executable, "-m", "refsim", "validate", str(path)]
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    result = subprocess.run(line, capture_output=True, text=True, env=environment, check=False)
    assert result.returncode == 0, result.stderr
    assert "\\ud800" in result.stdout


def test_a_case_that_cannot_be_judged_does_not_stop_the_others(tmp_path, capsys):
    good = json.loads(Path(CHAIN).read_text(encoding="utf-8"))
    far, other = tmp_path / "far.json", tmp_path / "other.json"
    far.write_text(json.dumps(good | {"cotangent": [1e200, *good["cotangent"][1:]]}))
    other.write_text(json.dumps(good | {"cotangent": good["cotangent"][1:], "expected": {}}))
    assert cli.main(["validate", str(far), str(other), CHAIN]) == 2
    printed = capsys.readouterr()
    assert f"{far}: time_bar[0] is 1e+200; expected >= -1e+100 and <= 1e+100" in printed.err
    assert f"{other}: " in printed.err
    assert "1 case: " in printed.out


def test_what_was_judged_before_an_interrupt_is_kept(tmp_path, capsys, monkeypatch):
    judged = suite.run

    def run(cases, judges):
        if cases[0].name.startswith("two_ports"):
            raise KeyboardInterrupt
        yield from judged(cases, judges)

    monkeypatch.setattr(suite, "run", run)
    cases = [CHAIN, str(Path(CHAIN).with_name("two_ports.json"))]
    assert cli.main(["validate", *cases, "--json", str(tmp_path / "rows.json")]) == 130
    assert "interrupted: 1 of 2 cases were judged" in capsys.readouterr().err
    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert {row["case"] for row in rows} == {"chain-8"}
