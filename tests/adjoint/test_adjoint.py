"""Gradients of random networks: duality, identities, finite differences and the oracle agree."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings

import adjoint
import refsim
from adjoint.check import evaluate
from refsim.cases import Case, gradient_sizes
from refsim.results.trace import emissions
from validation.case_suite.stored import given_cases
from validation.judges import duality, finite_differences, high_precision, identities
from validation.strategies import cases

usual = settings(
    deadline=None,
    max_examples=80,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
# Spikes that graze more than this are left to tests of their own: a gradient there is finite, and
# no difference quotient can reach it.
LEAST_SLOPE = 1e-4


def samples_meet_arrivals(simulation):
    """Return whether a voltage is read next to an arrival, where its derivative jumps."""
    wiring, samples = simulation.network.wiring, simulation.samples
    for time, source in zip(*emissions(simulation), strict=True):
        rows = slice(wiring.start[source], wiring.start[source + 1])
        arrivals = time + wiring.delay[rows]
        for neuron, at in zip(samples.neurons, samples.times, strict=True):
            if np.any((wiring.post[rows] == neuron) & (np.abs(arrivals - at) < 1e-3)):
                return True
    return False


def evaluated(case):
    """Evaluate a case that is well enough conditioned for a comparison."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", refsim.IllConditionedWarning)
        try:
            evaluation = evaluate(case)
        except refsim.IllConditionedWarning:
            assume(False)
    assume(not samples_meet_arrivals(evaluation.simulation))
    network, spikes = case.network, evaluation.simulation.spikes
    scale = ((network.v_th - network.v_reset) / network.tau_m)[spikes.neuron]
    assume(np.all(spikes.slope_before > LEAST_SLOPE * scale))
    return evaluation


@usual
@given(case=cases())
def test_duality(case):
    judgement = duality.judge(evaluated(case))
    assert judgement.verdict == "pass", judgement


@usual
@given(case=cases())
def test_identities(case):
    judgement = identities.judge(evaluated(case))
    assert judgement.verdict == "pass", judgement


@settings(usual, max_examples=25)
@given(case=cases(max_neurons=4, max_spikes=40, min_spikes=1))
def test_finite_differences(case):
    judgement = finite_differences.judge(evaluated(case), entries=1)
    assert judgement.verdict != "fail", judgement


@settings(usual, max_examples=15)
@given(case=cases(max_neurons=3, max_spikes=25, min_spikes=1))
def test_oracle(case):
    pytest.importorskip("mpmath")
    judgement = high_precision.judge(evaluated(case))
    assert judgement.verdict != "fail", judgement


@settings(usual, max_examples=40)
@given(case=cases())
def test_tangents_and_samples_change_no_bit_of_the_spikes(case):
    arguments = (case.network, case.inputs, case.duration)
    plain = refsim.simulate(*arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", refsim.IllConditionedWarning)
        tangents = {"weight": np.ones(len(case.network.weight)), "tau_m": 1.0}
        carried, _ = adjoint.jvp(*arguments, tangents, samples=case.samples)
    for a, b in zip(plain.spikes, carried.spikes, strict=True):
        assert np.array_equal(a, b)


@settings(usual, max_examples=40)
@given(case=cases())
def test_the_gradient_is_linear_and_repeatable(case):
    evaluation = evaluated(case)
    pullback = evaluation.pullback
    again = pullback(case.time_bar, case.voltage_bar)
    doubled = pullback(2.0 * case.time_bar, 2.0 * case.voltage_bar)
    for name, values in evaluation.gradient.items():
        assert np.array_equal(values, getattr(again, name))
        assert np.array_equal(2.0 * values, getattr(doubled, name))


@pytest.mark.parametrize("case", given_cases(), ids=lambda case: case.name)
def test_stored_cases(case):
    """Values known to 30 digits: 1e-14 where well conditioned, and never worse than 1e-12."""
    evaluation = evaluate(case)
    spikes = evaluation.simulation.spikes
    assert np.array_equal(spikes.neuron, case.expected.spike_neurons)
    assert np.max(np.abs(spikes.time / case.expected.spike_times - 1.0)) < 4e-15
    for name, values in case.expected.gradient.items():
        difference = np.max(np.abs(getattr(evaluation.gradient, name) - values))
        assert difference <= 1e-12 * np.max(np.abs(values)), name


def two_neurons():
    synapses = refsim.connect([2, 0, 1], [0, 1, 0], [6.0, 5.0, -1.0], [0.0, 1.5, 0.7])
    network = refsim.Network(
        2, synapses, n_inputs=1, ports=(refsim.ExpPort(5.0),), tau_m=10.0, t_ref=1.0
    )
    return network, refsim.SpikeTrain([1.0, 6.0, 11.0], [0, 0, 0], 1)


def test_gradients_have_the_layout_of_the_network():
    network, inputs = two_neurons()
    simulation, pullback = adjoint.vjp(network, inputs, 30.0)
    gradient = pullback(np.ones(len(simulation.spikes.time)))
    sizes = gradient_sizes(network, len(inputs))
    assert {name: len(values) for name, values in gradient.items()} == sizes


def test_value_and_grad():
    network, inputs = two_neurons()

    def squares(simulation):
        time = simulation.spikes.time
        return float(np.dot(time, time)), 2.0 * time

    value, gradient = adjoint.value_and_grad(squares)(network, inputs, 30.0)
    simulation, pullback = adjoint.vjp(network, inputs, 30.0)
    assert value == squares(simulation)[0]
    assert np.array_equal(gradient.weight, pullback(2.0 * simulation.spikes.time).weight)

    def with_voltages(simulation):
        return float(simulation.voltages.sum()), adjoint.Cotangents(voltage=np.ones(1))

    _, gradient = adjoint.value_and_grad(with_voltages)(network, inputs, 30.0, samples=([0], [0.5]))
    assert gradient.v0[0] == pytest.approx(np.exp(-0.05), rel=1e-15)


def test_value_and_grad_hands_on_what_the_loss_adds():
    network, inputs = two_neurons()

    def loss(simulation):
        return 0.0, np.zeros(len(simulation.spikes.time)), simulation

    (value, simulation), gradient = adjoint.value_and_grad(loss, has_aux=True)(
        network, inputs, 30.0
    )
    assert value == 0.0
    assert isinstance(simulation, refsim.Simulation)
    assert not gradient.weight.any()
    with pytest.raises(refsim.InvalidValueError, match=r"value of the loss has shape \(3,\)"):
        adjoint.value_and_grad(lambda s: (np.ones(3), None))(network, inputs, 30.0)


def test_results_print_briefly():
    network, inputs = two_neurons()
    simulation, pullback = adjoint.vjp(network, inputs, 30.0)
    gradient = pullback(1.0)
    for thing in (simulation, simulation.spikes, pullback, gradient, network):
        assert len(repr(thing)) < 250


def test_the_delay_of_a_chain_moves_all_later_spikes_by_one():
    """d t_k/d delay = 1 along a feed-forward chain: a boundary term that others lose."""
    n = 5
    synapses = refsim.connect([n, *range(n - 1)], range(n), 9.0, 1.25)
    network = refsim.Network(n, synapses, n_inputs=1, ports=(refsim.ExpPort(2.0),), tau_m=10.0)
    simulation, pullback = adjoint.vjp(network, refsim.SpikeTrain([1.0], [0], 1), 50.0)
    last = simulation.spikes.neuron == n - 1
    first_of_last = np.where(np.arange(len(last)) == np.flatnonzero(last)[0], 1.0, 0.0)
    gradient = pullback(first_of_last)
    assert gradient.delay == pytest.approx(np.ones(n), rel=1e-13)
    assert gradient.input_times == pytest.approx([1.0], rel=1e-13)


def test_a_grazing_spike_is_reported():
    """One arrival whose response exceeds the threshold by 1e-14 of it."""
    # For tau_m = 2 tau the response to a unit weight peaks at 1/4.
    network = refsim.Network(
        1,
        refsim.connect([1], [0], 4.0 * (1.0 + 1e-14), 0.0),
        n_inputs=1,
        ports=(refsim.ExpPort(5.0),),
        tau_m=10.0,
    )
    inputs = refsim.SpikeTrain([0.0], [0], 1)
    with pytest.warns(refsim.IllConditionedWarning, match="neuron 0 grazes its threshold"):
        simulation, _ = adjoint.vjp(network, inputs, 30.0)
    assert 0.0 < simulation.conditioning.min_slope < 1e-6


def test_check_grads_runs_the_judges_and_reports():
    network, inputs = two_neurons()
    judges = [duality.judge, identities.judge, finite_differences.judge]
    judgements = adjoint.check_grads(network, inputs, 30.0, samples=([0], [3.0]), judges=judges)
    assert [j.verdict for j in judgements] == ["pass"] * 3
    assert repr(judgements).splitlines()[0].split() == [
        *("judge", "verdict", "error", "tolerance", "worst", "in", "note")
    ]


def test_check_grads_takes_judges_by_name():
    network, inputs = two_neurons()
    assert "duality" in adjoint.check.installed_judges(), "install refsim with pip"
    report = adjoint.check_grads(network, inputs, 30.0, judges=["duality"])
    assert [j.judge for j in report] == ["duality"]
    with pytest.raises(refsim.InvalidValueError, match=r"judges\[0\] is 'duel'; expected"):
        adjoint.check_grads(network, inputs, 30.0, judges=["duel"])


def answering(evaluation, gradient):
    """Return an evaluation whose pullback answers with a gradient of ours."""

    class Answer:
        spike_cotangents = staticmethod(evaluation.pullback.spike_cotangents)

        def __call__(self, *cotangents):
            return gradient

    return replace(evaluation, pullback=Answer())


@pytest.mark.parametrize("unit", [2.0**-300, 2.0**300])
@pytest.mark.parametrize("judge", [duality, identities, finite_differences, high_precision])
def test_judges_do_not_depend_on_the_unit_of_the_loss(judge, unit):
    """A loss in tiny units hides no wrong gradient, and one in huge units makes none wrong."""
    if judge is high_precision:
        pytest.importorskip("mpmath")
    case = given_cases()[0]
    evaluation = evaluate(replace(case, time_bar=unit * case.time_bar))
    assert judge.judge(evaluation).verdict == "pass"
    wrong = replace(evaluation.gradient, delay=-evaluation.gradient.delay)
    assert judge.judge(answering(evaluation, wrong)).verdict == "fail"


def early_sample():
    """Arrivals of 26 mV/ms move a voltage of -65 mV by a few ulps in a thousandth of a ms."""
    synapses = refsim.Synapses([1], [0], weight=5.21, delay=0.0)
    levels = {"v_rest": -65.0, "v_th": -64.0, "v_reset": -65.0, "v0": -65.0}
    network = refsim.Network(
        1, synapses, n_inputs=1, ports=refsim.ExpPort(0.5), tau_m=10.0, **levels
    )
    inputs = refsim.SpikeTrain(np.zeros(5), np.zeros(5, np.int64), 1)
    samples = refsim.Samples([0], [0.001])
    bars = {"time_bar": np.zeros(1), "voltage_bar": np.array([0.001])}
    return evaluate(Case("early sample", network, inputs, 40.0, samples, **bars))


def test_quotients_of_few_ulps_prove_nothing():
    """By tau the loss changes by less than the rounding of the voltages, which is left out."""
    judgement = finite_differences.judge(early_sample(), entries=1)
    assert judgement.verdict == "pass", judgement
    assert "rounding (tau," in judgement.note


@pytest.mark.parametrize("group", ["weight", "tau_m", "input_times"])
def test_a_gradient_of_zero_is_seen_next_to_rounding(group):
    evaluation = early_sample()
    none = replace(evaluation.gradient, **{group: 0.0 * getattr(evaluation.gradient, group)})
    judgement = finite_differences.judge(answering(evaluation, none), entries=1)
    assert (judgement.verdict, judgement.group) == ("fail", group)


def test_check_grads_rejects_a_wrong_gradient(monkeypatch):
    """A planted sign: every judge must see it."""
    network, inputs = two_neurons()
    right = adjoint.pullback.Pullback.__call__

    def wrong(self, *cotangents):
        gradient = right(self, *cotangents)
        gradient.delay[:] *= -1.0
        return gradient

    monkeypatch.setattr(adjoint.pullback.Pullback, "__call__", wrong)
    for judge in (duality.judge, identities.judge, finite_differences.judge, high_precision.judge):
        with pytest.raises(adjoint.GradientCheckError, match="rejected") as caught:
            adjoint.check_grads(network, inputs, 30.0, judges=[judge])
        assert caught.value.judgements[0].verdict == "fail"
