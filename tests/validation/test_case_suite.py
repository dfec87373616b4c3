"""The case suite: made again to the last byte, and what our engines make of it."""

import json
import warnings
from decimal import Decimal

import numpy as np
import oracle_differences
import pytest

import refsim
from adjoint.check import evaluate
from refsim.cases import gradient_sizes, load
from refsim.windows.plan import obstacle
from validation import cli, tolerances
from validation.case_suite import generate as case_suite, stored
from validation.case_suite.generate import definition, definitions, stored_files
from validation.judges import jax_event as jax_judge, known_values as case_files, suite

FILES = {path.stem: path for path in stored_files()}
MADE = [each.name for each in definitions()]


def read(name):
    return json.loads(FILES[name].read_text(encoding="utf-8"))


def is_small(name):
    """Whether the oracle needs about a tenth of a second."""
    data = read(name)
    events = len(data["expected"]["spike_times"]) * data["neurons"]["n"]
    return events <= 12 and len(data["neurons"]["ports"]) == 1


SMALL = [name for name in MADE if is_small(name)]


# --- what there is ------------------------------------------------------------------------------


def test_the_suite_is_whole():
    assert len(MADE) >= 60
    assert len(set(MADE)) == len(MADE)
    assert set(FILES) == set(MADE) | set(stored.GIVEN)
    assert stored.generated_names() == set(MADE)
    assert sum(path.stat().st_size for path in FILES.values()) < 1.5e6


def test_every_file_says_what_it_is_for():
    for each in definitions():
        data = read(each.name)
        assert data["name"] == each.name
        assert data["description"] == each.description
        assert each.description.endswith((".", ")."))


@pytest.mark.parametrize("group", gradient_sizes(refsim.Network(1), 0))
def test_every_parameter_has_a_case_of_its_own(group):
    values = case_of(f"{group}_alone").expected.gradient[group]
    assert np.any(values != 0.0)


def test_features_that_must_be_there():
    data = {name: read(name) for name in FILES}
    conditioning = {name: each["conditioning"] for name, each in data.items() if name in MADE}
    kinds = {p["kind"] for each in data.values() for p in each["neurons"]["ports"]}
    assert kinds == {"exp", "double_exp"}
    assert max(each["neurons"]["n"] for each in data.values()) == 100
    assert any(not each["expected"]["spike_times"] for each in data.values())
    tied = {name for name in MADE if conditioning[name]["min_gap"] == "0.0"}
    assert {name for name in MADE if "gradient" not in data[name]["expected"]} == tied
    assert len(tied) == 3
    for slope in ("1e-2", "1e-3", "1e-4", "1e-5", "1e-6"):
        # in (v_th - v_reset)/tau_m, which is 0.1 thresholds per ms
        assert float(conditioning[f"graze_{slope}"]["min_slope"]) == pytest.approx(
            10.0 * float(slope), rel=0.06
        )


def case_of(name):
    return load(FILES[name])


# --- made again ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SMALL)
def test_small_files_are_made_again(name):
    pytest.importorskip("mpmath", reason="the oracle needs mpmath")
    text = case_suite.generated(definition(name), check=False)
    assert text == FILES[name].read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["weight_alone", "graze_1e-6", "inputs_at_time_zero"])
def test_gradients_are_compared_with_differences(name, monkeypatch):
    pytest.importorskip("mpmath", reason="the oracle needs mpmath")
    from validation.oracle import derivatives as oracle_gradient

    text = case_suite.generated(definition(name))
    assert text == FILES[name].read_text(encoding="utf-8")
    right = oracle_gradient.differentiate

    def wrong(*arguments):
        found = right(*arguments)
        found.groups["weight"][0] *= 1 + oracle_gradient.require_mpmath().mpf(10) ** -33
        return found

    monkeypatch.setattr(oracle_gradient, "differentiate", wrong)
    with pytest.raises(case_suite.GenerationError, match="differences of weight disagree"):
        case_suite.generated(definition(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", MADE)
def test_all_files_are_made_again(name):
    pytest.importorskip("mpmath", reason="the oracle needs mpmath")
    text = case_suite.generated(definition(name))
    assert text == FILES[name].read_text(encoding="utf-8")


def test_more_digits_change_no_digit():
    pytest.importorskip("mpmath", reason="the oracle needs mpmath")
    for name in ("double_exp_alone", "graze_1e-4"):
        text = case_suite.generated(definition(name), digits=80, check=False)
        assert text == FILES[name].read_text(encoding="utf-8")


@pytest.mark.parametrize("name", stored.GIVEN)
def test_the_gradient_of_the_oracle_is_that_of_given_files(name):
    """They come from central differences of another program, right to 24 digits or more."""
    mpmath = pytest.importorskip("mpmath", reason="the oracle needs mpmath")
    from validation.oracle import derivatives as oracle_gradient

    data = read(name)
    found = oracle_gradient.differentiate(data).groups
    with mpmath.workdps(60):
        for group, known in data["expected"]["gradient"].items():
            numbers = [mpmath.mpf(x) for x in known]
            scale = max(map(abs, numbers))
            pairs = zip(found[group], numbers, strict=True)
            assert all(abs(a - b) <= 1e-24 * scale for a, b in pairs), group


def test_the_gradient_of_the_oracle_is_that_of_its_differences():
    mpmath = pytest.importorskip("mpmath", reason="the oracle needs mpmath")
    from validation.oracle import derivatives as oracle_gradient

    for name in ("arrivals_while_refractory", "alpha_near_1e-6", "inputs_at_time_zero"):
        data = read(name)
        found = oracle_gradient.differentiate(data, 60).groups
        entries = {group: range(min(1, len(column))) for group, column in found.items()}
        other = oracle_differences.gradient(data, entries, 60, step="1e-22")
        with mpmath.workdps(60):
            for group, column in other.items():
                scale = max(1, *map(abs, column.values()))
                assert all(abs(found[group][i] - x) <= 1e-36 * scale for i, x in column.items())


# --- what we make of it -------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(FILES))
def test_known_values(name):
    """Without a warning where spikes do not coincide: even slopes of 1e-6 can be differentiated."""
    case = case_of(name)
    with warnings.catch_warnings():
        if not case.expected.gradient:
            warnings.simplefilter("ignore", refsim.IllConditionedWarning)
        evaluation = evaluate(case)
    judgement = case_files.judge(evaluation)
    assert judgement.verdict == "pass", judgement
    kappa = float(np.max(tolerances.slope_condition(evaluation.simulation), initial=1.0))
    if kappa < 100.0:
        assert judgement.error <= 1e-10


@pytest.mark.parametrize("name", sorted(FILES))
def test_known_spikes_by_windows(name):
    case = case_of(name)
    why_not = obstacle(case.network, case.duration)
    if why_not:
        pytest.skip(f"the window engine cannot: {why_not}")
    run = refsim.simulate(case.network, case.inputs, case.duration, engine=refsim.Windows())
    assert run.spikes.neuron.tolist() == case.expected.spike_neurons.tolist()
    allowed = 1e-12 * case.expected.spike_times + tolerances.time_rounding(run)
    assert np.all(np.abs(run.spikes.time - case.expected.spike_times) <= allowed)


PUBLISHED = {
    "jaxsnn_two_to_one": ["3.235071311574467398"],
    "jaxsnn_one_to_one": ["1.2958555090953687253"],
    "nest_constant_current": ["4.7000362924573555365"],
    "tie_of_identical_neurons": ["5.6482303423048262639", "5.6482303423048262639"],
    "no_gradient_from_the_future": ["3.3740078615161914609"],
    "feed_forward_of_three_simulators": ["8.493315055634283", "8.893327581314725"],
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_digits(name):
    for known, ours in zip(PUBLISHED[name], read(name)["expected"]["spike_times"], strict=False):
        assert abs(Decimal(known) - Decimal(ours)) <= Decimal(10) ** -(len(known) - 3)


def test_silence_and_lossless_detection():
    counts = {name: len(read(name)["expected"]["spike_times"]) for name in FILES}
    assert [counts[f"lossless_{w}"] for w in (55, 70, 90)] == [0, 1, 1]
    assert counts["jaxsnn_silent"] == counts["silent_network"] == counts["near_miss"] == 0
    assert counts["feed_forward_of_three_simulators"] == 63
    assert abs(case_of("maximum_of_an_integrator").expected.voltages[0] - 1.0) < 1e-15


# --- the command --------------------------------------------------------------------------------


def test_list_shows_all(capsys):
    assert cli.main(["cases", "list"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert [row.split()[0] for row in rows] == sorted(FILES)
    assert any("100 neurons" in row for row in rows)


def test_check_of_files(capsys, tmp_path):
    assert cli.main(["cases", "check", str(FILES["chain"]), str(FILES["alpha"])]) == 0
    assert capsys.readouterr().out.count("a case file") == 2
    data = read("chain")
    data["synapses"]["delay"][0] = -1.0
    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps(data))
    assert cli.main(["cases", "check", str(bad), str(FILES["alpha"])]) == cli.EXIT_USAGE
    shown = capsys.readouterr()
    assert "delay[0] is -1" in shown.err
    assert "alpha.json: a case file" in shown.out


def test_check_without_jsonschema_says_so(capsys, monkeypatch):
    from validation.case_suite import schema as case_schema

    monkeypatch.setattr(case_schema, "reason_of_absence", lambda: "needs jsonschema")
    assert cli.main(["cases", "check", str(FILES["chain"])]) == 0
    assert "not compared with the schema: needs jsonschema" in capsys.readouterr().out


def test_generate_one(capsys, tmp_path):
    pytest.importorskip("mpmath", reason="the oracle needs mpmath")
    folder = tmp_path / "new"
    assert cli.main(["cases", "generate", str(folder), "--only", "i_ext_alone"]) == 0
    assert [path.name for path in folder.iterdir()] == ["i_ext_alone.json"]
    assert (folder / "i_ext_alone.json").read_bytes() == FILES["i_ext_alone"].read_bytes()
    assert "[1/1] i_ext_alone" in capsys.readouterr().out


def test_generate_needs_a_known_name_and_mpmath(capsys, tmp_path, monkeypatch):
    line = ["cases", "generate", str(tmp_path), "--only"]
    assert cli.main([*line, "chain"]) == cli.EXIT_USAGE
    assert "name is 'chain'; expected one of" in capsys.readouterr().err
    monkeypatch.setitem(__import__("sys").modules, "mpmath", None)
    assert cli.main([*line, "alpha"]) == cli.EXIT_USAGE
    assert 'pip install "refsim[oracle]"' in capsys.readouterr().err


def test_validate_says_what_it_leaves_out(capsys, monkeypatch):
    chosen = [case_of("chain"), case_of("i_ext_alone")]
    monkeypatch.setattr(stored, "standard_cases", lambda: chosen)
    monkeypatch.delitem(suite.JUDGES, jax_judge.NAME)  # it compiles for each case
    assert cli.main(["validate"]) == 0
    text = capsys.readouterr().out
    assert "left out for 1 generated cases: finite differences, mpmath oracle" in text
    assert text.count("finite differences  ") == 1
    assert cli.main(["validate", "--all"]) == 0
    text = capsys.readouterr().out
    assert "left out" not in text
    assert text.count("finite differences  ") == 2
