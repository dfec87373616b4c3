"""The oracle against stored 30-digit cases, closed forms from the literature, and brute force."""

import importlib.resources
import json
import sys
from fractions import Fraction

import numpy as np
import oracle_differences
import pytest
from naive import dense_spikes

mpmath = pytest.importorskip("mpmath", reason="the oracle needs mpmath")

from refsim.network.parameters import PARAMETERS  # noqa: E402
from validation import oracle  # noqa: E402

CASES = importlib.resources.files("validation.cases")
NAMES = ["chain", "double_exp", "driven", "equal_tau", "refractory", "two_ports", "voltage"]


def load(name):
    return json.loads((CASES / f"{name}.json").read_text(encoding="utf-8"))


def distance(a, b, digits=60):
    """Return the largest absolute difference of numbers given as mpf or decimal strings."""
    with mpmath.workdps(digits):
        pairs = zip(a, b, strict=True)
        return float(max((abs(mpmath.mpf(x) - mpmath.mpf(y)) for x, y in pairs), default=0))


def build(ports, times, duration, weight=(), n=1, cotangent=(), samples=(), **neuron):
    """One input channel whose spikes reach each of n equal neurons over one synapse, delay 0."""
    defaults = {"tau_m": 10, "v_th": 1, "v_reset": 0, "v_rest": 0, "i_ext": 0, "t_ref": 0, "v0": 0}
    return {
        "neurons": {
            "n": n,
            "ports": ports,
            **{name: [value] * n for name, value in (defaults | neuron).items()},
        },
        "synapses": {
            "pre": [n] * n if weight else [],
            "post": list(range(n)) if weight else [],
            "port": [0] * n if weight else [],
            "weight": list(weight) * n,
            "delay": [0] * n if weight else [],
        },
        "inputs": {"n": 1, "times": list(times), "sources": [0] * len(times)},
        "duration": duration,
        "voltage_samples": [{"neuron": 0, "time": t, "cotangent": c} for t, c in samples],
        "cotangent": list(cotangent),
    }


def exp_port(tau):
    return [{"kind": "exp", "tau": tau}]


def double_exp(rise, decay):
    return [{"kind": "double_exp", "tau_rise": rise, "tau_decay": decay}]


# --- stored cases -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_spikes_and_voltages_of_stored_case(name):
    case = load(name)
    run = oracle.simulate(case)
    assert run.spike_neurons == case["expected"]["spike_neurons"]
    assert distance(run.spike_times, case["expected"]["spike_times"]) < 1e-28
    assert distance(run.voltages, case["expected"].get("voltages", [])) < 1e-28
    assert all(slope > 0 for slope in run.slopes)


def check_stored_gradient(name, only_largest):
    case = load(name)
    with mpmath.workdps(60):
        known = case["expected"]["gradient"]
        stored = {group: [mpmath.mpf(x) for x in known[group]] for group in PARAMETERS}
        sizes = {group: [abs(x) for x in column] for group, column in stored.items()}
        entries = {
            group: [size.index(max(size))] if only_largest else range(len(size))
            for group, size in sizes.items()
        }
        found = oracle_differences.gradient(case, entries, digits=50)
        for group, column in stored.items():
            for index in entries[group]:
                error = abs(found[group][index] - column[index])
                assert error <= 1e-24 * max(sizes[group]), (group, index)


@pytest.mark.parametrize("name", NAMES)
def test_largest_gradients_of_stored_case(name):
    check_stored_gradient(name, only_largest=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_all_gradients_of_stored_case(name):
    check_stored_gradient(name, only_largest=False)


# --- closed forms and published values ----------------------------------------------------------


@pytest.mark.parametrize(
    ("tau_m", "time", "slope"),
    [
        ("10", "3.235071311574467398", "-6.180339887498948482"),
        ("5", "1.2958555090953687253", "-1.7491967609218358355"),
    ],
)
def test_first_spike_of_initial_current(tau_m, time, slope):
    """Time constants 2:1 and 1:1, as solved in closed form by jaxsnn."""
    case = build(exp_port(5), [0], 4, weight=[3], tau_m=tau_m, v_th="0.6", cotangent=[1, 0])
    case["cotangent"] = case["cotangent"][: len(oracle.simulate(case).spike_times)]
    assert distance(oracle.simulate(case).spike_times[:1], [time]) < 1e-17
    with mpmath.workdps(50):
        by_scale = 3 * oracle_differences.gradient(case, {"weight": [0]})["weight"][0]
    assert distance([by_scale], [slope]) < 1e-17


def test_first_spike_at_golden_ratio():
    """Time constants 2:1 make the crossing a quadratic in ``e^{-t/10}``."""
    case = build(exp_port(5), [0], 4, weight=[3], v_th="0.6")
    with mpmath.workdps(60):
        x = (1 + mpmath.sqrt(1 - 4 * mpmath.mpf("0.6") / 3)) / 2
        exact = -10 * mpmath.log(x)
    assert distance(oracle.simulate(case).spike_times, [exact]) < 1e-48


@pytest.mark.parametrize(("tau_m", "weight", "v0"), [(10, 2, 0), (5, 1, 0), (10, "1.368", "0.239")])
def test_no_spike_below_threshold(tau_m, weight, v0):
    case = build(exp_port(5), [0], 100, weight=[weight], tau_m=tau_m, v_th="0.6", v0=v0)
    assert oracle.simulate(case).spike_times == []
    assert dense_spikes(case)[0].size == 0


@pytest.mark.parametrize(
    ("picoampere", "time"),
    [(55, None), (70, "4.0144154599123257472"), (90, "4.0065863856661800508")],
)
def test_lossless_spike_detection(picoampere, time):
    """A brief excursion above threshold: Krishnan et al. 2018, and the tests of NEST."""
    weight = Fraction(picoampere * 100, 250)
    case = build(
        exp_port(1), [0], 5, weight=[weight], tau_m=100, v_th=21, v0="20.999019801326693245"
    )
    with mpmath.workdps(50):
        times = [4 + t for t in oracle.simulate(case).spike_times]
    assert len(times) == (0 if time is None else 1)
    assert distance(times, [] if time is None else [time]) < 1e-17
    np.testing.assert_allclose(
        4 + dense_spikes(case)[0], [float(t) for t in times], rtol=0.0, atol=1e-12
    )


def test_constant_current_of_nest():
    case = build(exp_port(1), [], 6, v_th=15, i_ext=40)
    assert distance(oracle.simulate(case).spike_times, ["4.7000362924573555365"]) < 1e-19
    free = build(exp_port(1), [], 500, v_th=1000, i_ext=40, samples=[(5, 0), (500, 0)])
    with mpmath.workdps(60):
        exact = [40 * (1 - mpmath.exp(-mpmath.mpf(t) / 10)) for t in (5, 500)]
    assert distance(oracle.simulate(free).voltages, exact) < 1e-48


def test_constant_drive_and_its_derivatives():
    """Period ``tau_m ln(i/(i - v_th))``, as in eventax; a spike resets exactly to ``v_reset``."""
    case = build(exp_port(1), [], 40, i_ext="1.5", cotangent=[0, 1, 0])
    run = oracle.simulate(case)
    groups = ("i_ext", "tau_m", "t_ref")
    found = oracle_differences.gradient(case, {group: [0] for group in groups})
    with mpmath.workdps(60):
        i = mpmath.mpf("1.5")
        period = 10 * mpmath.log(i / (i - 1))
        assert distance(run.spike_times, [period, 2 * period, 3 * period]) < 1e-48
        exact = [20 * (1 / i - 1 / (i - 1)), 2 * period / 10, 1]
    # for the refractory time of zero this is the derivative from the right
    assert distance([found[group][0] for group in groups], exact) < 1e-28


def test_no_gradient_from_the_future():
    case = build(exp_port(5), [1, 12], 40, weight=[6], cotangent=[1])
    run = oracle.simulate({**case, "duration": 11})
    assert distance(run.spike_times, ["3.3740078615161914609"]) < 1e-18
    count = len(oracle.simulate(case).spike_times)
    case["cotangent"] = [1] + [0] * (count - 1)
    found = oracle_differences.gradient(case, {"weight": [0], "input_times": [0, 1], "delay": [0]})
    assert distance([found["weight"][0]], ["-0.61004233964073107794"]) < 1e-18
    assert distance(found["input_times"].values(), [1, 0]) < 1e-28
    assert distance(found["delay"].values(), [1]) < 1e-28  # one-sided at zero


def tie_case(n):
    case = build(exp_port(5), ["1.0", "3.0", "6.5"], 40, weight=[0], n=n)
    # one synapse and input channel for each weight
    weights = ["2.6", "2.2", "3.0"]
    case["synapses"] = {
        "pre": [n + k for k in range(3) for _ in range(n)],
        "post": list(range(n)) * 3,
        "port": [0] * 3 * n,
        "weight": [w for w in weights for _ in range(n)],
        "delay": [0] * 3 * n,
    }
    case["inputs"] = {"n": 3, "times": ["1.0", "3.0", "6.5"], "sources": [0, 1, 2]}
    return case


def test_identical_neurons_both_spike():
    case = tie_case(2)
    run = oracle.simulate(case)
    times = ["5.6482303423048262639", "9.0516747529399200357"]
    assert run.spike_neurons == [0, 1, 0, 1]
    assert distance(run.spike_times, [times[0]] * 2 + [times[1]] * 2) < 1e-18
    found_times, found_neurons = dense_spikes(case)
    assert found_neurons.tolist() == [0, 1, 0, 1]
    np.testing.assert_allclose(
        found_times, [float(t) for t in run.spike_times], rtol=0.0, atol=1e-13
    )


def test_gradient_matches_spikes_that_swap_order():
    alone, pair = tie_case(1), tie_case(2)
    alone["cotangent"], pair["cotangent"] = [1, 2], [0, 1, 0, 2]
    one = oracle_differences.gradient(alone, {"v_th": [0]})["v_th"][0]
    two = oracle_differences.gradient(pair, {"v_th": [0, 1]})["v_th"]
    assert distance([0, one], two.values()) < 1e-28


# --- equal time constants -----------------------------------------------------------------------


def test_alpha_current_has_unit_peak_when_all_time_constants_are_equal():
    case = build(
        double_exp(4, 4), [0], 30, weight=["0.9"], tau_m=4, samples=[(t, 1) for t in (1, 7, 30)]
    )
    with mpmath.workdps(70):
        scaled = [mpmath.mpf(t) / 4 for t in (1, 7, 30)]
        exact = [mpmath.mpf("0.9") * mpmath.e * x**2 / 2 * mpmath.exp(-x) for x in scaled]
    assert distance(oracle.simulate(case).voltages, exact) < 1e-48


@pytest.mark.parametrize("gap", ["1e-8", "1e-20", "1e-40"])
def test_alpha_is_the_limit_of_the_double_exponential(gap):
    def spikes(decay):
        port = double_exp("2.5", decay)
        return oracle.simulate(build(port, [0, 3], 12, weight=[8])).spike_times

    near = Fraction("2.5") + Fraction(gap)
    assert len(spikes("2.5")) > 1
    assert 0 < distance(spikes("2.5"), spikes(near)) < 20 * float(gap)


def test_rise_and_decay_are_interchangeable_at_the_alpha_limit():
    case = build(double_exp("2.5", "2.5"), [0], 10, weight=[8], tau_m="2.5")
    case["cotangent"] = [1 + k for k in range(len(oracle.simulate(case).spike_times))]
    rise, decay = oracle_differences.gradient(case, {"tau": [0, 1]}, digits=36)["tau"].values()
    assert abs(rise) > 0.1
    assert distance([rise], [decay]) < 1e-20


def test_dense_twin_takes_the_alpha_limit():
    case = build(double_exp("2.5", "2.5"), [0, 3], 30, weight=[4], tau_m="2.5")
    expected = [float(t) for t in oracle.simulate(case).spike_times]
    np.testing.assert_allclose(dense_spikes(case)[0], expected, rtol=0.0, atol=1e-8)


# --- semantics ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("margin", "count"), [("0", 0), ("1e-60", 0), ("1e-40", 1), ("-1e-40", 0)])
def test_touching_the_threshold_from_below_is_no_spike(margin, count):
    """Equal time constants of 1 ms: ``V = t e^{-t}`` has its maximum ``1/e`` at 1 ms."""
    with mpmath.workdps(90):
        threshold = mpmath.nstr(mpmath.exp(-1) - mpmath.mpf(margin), 80)
    case = build(exp_port(1), [0], 20, weight=[1], tau_m=1, v_th=threshold)
    assert len(oracle.simulate(case).spike_times) == count


def test_held_neuron_samples_at_reset_while_currents_go_on():
    case = build(
        exp_port(5), [0], 40, weight=[20], v_reset="-0.1", t_ref=3, samples=[(1, 0), (2, 0), (6, 0)]
    )
    run = oracle.simulate(case)
    assert run.spike_times[0] < 1
    assert run.spike_times[1] > run.spike_times[0] + 3
    assert distance(run.voltages[:2], ["-0.1", "-0.1"]) < 1e-48
    times, neurons = dense_spikes(case)
    assert neurons.tolist() == run.spike_neurons
    np.testing.assert_allclose(times, [float(t) for t in run.spike_times], rtol=0.0, atol=1e-12)


def test_zero_delay_reaches_neurons_that_spike_at_the_same_time():
    case = tie_case(2)
    for name, values in {"pre": [0, 1], "post": [1, 0], "port": [0, 0]}.items():
        case["synapses"][name] += values
    case["synapses"]["weight"] += ["-50", "-50"]
    case["synapses"]["delay"] += [0, 0]
    assert oracle.simulate(case).spike_neurons == [0, 1]
    assert dense_spikes(case)[1].tolist() == [0, 1]


def test_changed_pattern_is_an_error():
    case = build(exp_port(5), [0], 40, weight=[3], v_th="0.6")
    case["cotangent"] = [1] * len(oracle.simulate(case).spike_times)
    with pytest.raises(oracle_differences.PatternChangedError, match=r"weight\[0\]"):
        oracle_differences.gradient(case, {"weight": [0]}, step="0.3")


def test_numbers_are_exact_decimals():
    numeric = build(exp_port(0.1), [0.3], 4, weight=[70.7], v_th=0.6)
    texts = build(exp_port("0.1"), ["0.3"], 4, weight=["70.7"], v_th="0.6")
    run = oracle.simulate(numeric)
    assert run.spike_times
    assert run == oracle.simulate(texts)


def test_more_digits_change_no_digit():
    case = load("refractory")
    coarse, fine = oracle.simulate(case, digits=30), oracle.simulate(case, digits=80)
    assert distance(coarse.spike_times, fine.spike_times) < 1e-29


def test_loss_weighs_spikes_and_samples():
    case = load("voltage")
    run = oracle.simulate(case)
    with mpmath.workdps(40):
        spikes = sum(mpmath.mpf(str(c)) * t for c, t in zip(case["cotangent"], run[0], strict=True))
        samples = case["voltage_samples"]
        cotangents = [mpmath.mpf(str(sample["cotangent"])) for sample in samples]
        voltages = sum(c * v for c, v in zip(cotangents, run.voltages, strict=True))
        assert distance([oracle_differences.loss(case, run)], [spikes + voltages]) < 1e-37
    with pytest.raises(ValueError, match="10 cotangents for 11 spikes"):
        oracle_differences.loss({**case, "cotangent": case["cotangent"][:-1]}, run)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"v0": 1}, "below v_th"),
        ({"v_reset": 2}, "below v_th"),
        ({"tau_m": 0}, "positive"),
        ({"t_ref": -1}, "negative"),
    ],
)
def test_meaningless_cases_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        oracle.simulate(build(exp_port(5), [0], 10, weight=[1], **changes))


def test_missing_mpmath_is_explained(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpmath", None)
    with pytest.raises(ImportError, match=r"refsim\[oracle\]"):
        oracle.simulate(load("chain"))


# --- brute force --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_dense_twin_finds_the_same_spikes(name):
    case = load(name)
    times, neurons = dense_spikes(case)
    assert neurons.tolist() == case["expected"]["spike_neurons"]
    expected = [float(t) for t in case["expected"]["spike_times"]]
    np.testing.assert_allclose(times, expected, rtol=0.0, atol=1e-12)
