"""Simulators of others: the adapters are right, and what is wrong in the versions that we measured.

What a package gets wrong is asserted too, so that a release that repairs it is noticed.
"""

import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import refsim
from refsim.errors import InvalidValueError, MissingExtraError
from validation import peers
from validation.backends.optional import modules
from validation.case_suite import zoo
from validation.case_suite.stored import given_cases
from validation.comparison.backend import Answer, NotExpressibleError
from validation.peers import PEERS, available_peers, measure, reference
from validation.peers.adseq import adseq_snn
from validation.peers.cases import (
    causality,
    chain_double_exponential,
    chain_exponential,
    feed_forward,
    feed_forward_ratio,
    feed_forward_reset,
    identical_neurons,
    near_threshold,
    peer_cases,
    recurrent_delays,
    resets,
)
from validation.peers.eventax import eventax_backend
from validation.peers.exact_event_adjoint import exact_event_adjoint_backend
from validation.peers.jaxsnn import jaxsnn_backend
from validation.peers.nest import MODELS, nest_precise, on_grid

PRESENT = {peer.distribution for peer in available_peers()[0].values()}


def needs(distribution):
    (extra,) = {peer.extra for peer in PEERS if peer.distribution == distribution}
    return pytest.mark.skipif(
        distribution not in PRESENT,
        reason=f'{distribution} is not installed: pip install "refsim[{extra}]"',
    )


needs_adseq = needs("adseq")
needs_eventax = needs("eventax")
needs_exact_event_adjoint = needs("exact-event-adjoint")
needs_jaxsnn = needs("jaxsnn")
needs_nest = needs("nest-simulator")
BACKENDS = {
    "adseq": adseq_snn,
    "eventax": eventax_backend,
    "exact-event-adjoint": exact_event_adjoint_backend,
    "jaxsnn": jaxsnn_backend,
    "nest": nest_precise,
}


def measured(function, case, **options):
    found = measure(function, case, reference(case), **options)
    assert found.outcome == "measured", found.note
    return found


def refusal(function, case, **changes):
    """Return why a case with a changed network is refused."""
    changed = replace(case, network=case.network.replace(**changes))
    with pytest.raises(NotExpressibleError) as error:
        function(changed.network, changed.inputs, changed.duration, reference(case).cotangents)
    return str(error.value)


# --- the list and the measurement, without any package ------------------------------------------


def test_absent_packages_are_named_with_their_extra(monkeypatch):
    def missing(name):
        raise peers.PackageNotFoundError(name)

    monkeypatch.setattr(peers, "version", missing)
    present, absent = available_peers()
    assert not present
    assert set(absent) == {peer.name for peer in PEERS}
    assert absent["eventax, EventProp"] == (
        'eventax is not installed: pip install "refsim[eventax]"'
    )


@pytest.mark.parametrize("extra", BACKENDS)
def test_a_missing_package_is_an_error_that_names_the_extra(extra, monkeypatch):
    module = {"exact-event-adjoint": "exact_event_adjoint"}.get(extra, extra)
    for name in [name for name in sys.modules if name.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    case = causality()
    with pytest.raises(MissingExtraError, match=rf'pip install "refsim\[{extra}\]"'):
        BACKENDS[extra](case.network, case.inputs, 30.0, reference(case).cotangents)


def test_packages_are_imported_on_first_use():
    code = "import validation.peers, sys; print({'jax', 'torch', 'nest'} & set(sys.modules))"
    root = Path(__file__).parents[2]
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root)
    assert result.stdout.strip() == "set()", result.stderr


def test_cases_are_far_from_a_change_of_the_spike_pattern():
    for case in peer_cases():
        found = reference(case).simulation
        assert len(found.spikes.time) > 0
        assert found.conditioning.min_gap > 1e-3
        if "above threshold" not in case.name:
            assert found.conditioning.min_slope > 0.02, case.name


def exact_answer(exact, **changes):
    spikes = exact.simulation.spikes
    gradient = dict(exact.gradient.items())
    return Answer(spikes.time, spikes.neuron, gradient, exact.simulation.voltages)._replace(
        **changes
    )


def test_a_perfect_answer_has_no_error():
    for case in (recurrent_delays(), given_cases()[-1]):
        exact = reference(case)
        found = measure(lambda *_, exact=exact: exact_answer(exact), case, exact)
        assert (found.missing, found.extra, found.time_error) == (0, 0, 0.0)
        assert set(found.error.values()) == {0.0}
        assert set(found.wrong_sign.values()) == {0}


def test_errors_are_measured():
    case = recurrent_delays()
    exact = reference(case)
    spikes = exact.simulation.spikes
    gradient = {"weight": -exact.gradient.weight, "delay": 1.5 * exact.gradient.delay}
    answer = exact_answer(
        exact, time=spikes.time[:-1] + 0.25, neuron=spikes.neuron[:-1], gradient=gradient
    )
    found = measure(lambda *_: answer, case, exact)
    assert (found.missing, found.extra) == (1, 0)
    np.testing.assert_allclose(found.time_error, 0.25, rtol=1e-12)
    assert found.error == pytest.approx({"weight": 2.0, "delay": 0.5}, rel=1e-14)
    assert found.wrong_sign["weight"] > 5
    assert found.wrong_sign["delay"] == 0


def test_refusals_and_failures_are_told_apart():
    case = causality()
    exact = reference(case)

    def refusing(*_):
        raise NotExpressibleError("no delays")

    def failing(*_):
        raise RuntimeError("overflow\nand more")

    found = measure(refusing, case, exact)
    assert (found.outcome, found.note) == ("refused", "no delays")
    found = measure(failing, case, exact)
    assert (found.outcome, found.note) == ("failed", "RuntimeError: overflow")


def test_a_case_without_cotangents_is_refused():
    with pytest.raises(InvalidValueError, match="'causality' has no cotangents"):
        reference(replace(causality(), time_bar=None))


# --- NEST ---------------------------------------------------------------------------------------


@needs_nest
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("dt", [0.1, 0.01])
def test_nest_has_our_spikes_where_its_delays_do_not_round(model, dt):
    """The largest difference seen is 2e-12 ms, of sums of up to 6,000 steps."""
    checked = 0
    for case in [*given_cases(), *zoo.zoo(), *(zoo.recurrent(seed) for seed in range(20, 30))]:
        rounded = replace(case, network=on_grid(case.network, dt))
        ours = refsim.simulate(rounded.network, rounded.inputs, rounded.duration).spikes
        try:
            answer = nest_precise(
                *(rounded.network, rounded.inputs, rounded.duration, None), dt=dt, model=model
            )
        except NotExpressibleError:
            continue
        assert answer.neuron.tolist() == ours.neuron.tolist(), case.name
        np.testing.assert_allclose(answer.time, ours.time, rtol=0, atol=1e-10, err_msg=case.name)
        checked += len(ours.time)
    assert checked > 1000


@needs_nest
@pytest.mark.parametrize("model", MODELS)
def test_nest_has_the_closed_form_of_a_constant_current(model):
    """tau_m ln(40 / 25) of its own test of accuracy, whose tolerance is 1e-13."""
    network = refsim.Network(1, tau_m=10.0, v_th=15.0, i_ext=40.0)
    answer = nest_precise(network, refsim.SpikeTrain.empty(), 6.0, None, model=model)
    np.testing.assert_allclose(answer.time, [10.0 * np.log(1.6)], rtol=1e-13)


@needs_nest
def test_nest_rounds_delays_and_refractory_times():
    """Each of 3 stages has up to half a step of rounding, and the last spike gathers them."""
    case = chain_exponential()
    odd = replace(case, network=case.network.replace(delay=[1.04, 2.04, 1.54]))
    assert 0.11 < measured(nest_precise, odd, dt=0.1).time_error < 0.13
    assert measured(nest_precise, odd, dt=0.01).time_error < 1e-12
    assert on_grid(odd.network, 0.1).t_ref.tolist() == [0.1] * 3


@needs_nest
def test_nest_refuses_by_name():
    case = causality()
    two = (refsim.ExpPort(5.0), refsim.ExpPort(2.0))
    assert "one exponential current" in refusal(nest_precise, case, ports=two)
    assert "one exponential" in refusal(nest_precise, case, ports=refsim.DoubleExpPort(1.0, 5.0))
    lossless = partial(nest_precise, model=MODELS[1])
    assert "refuses equal time constants" in refusal(lossless, case, tau_m=5.0)
    early = replace(case, inputs=refsim.SpikeTrain([0.0], [0], 1))
    with pytest.raises(NotExpressibleError, match="is at time 0"):
        nest_precise(early.network, early.inputs, 30.0, None)
    with pytest.raises(InvalidValueError, match="model is 'iaf'; expected one of"):
        nest_precise(case.network, case.inputs, 30.0, None, model="iaf")
    with pytest.raises(InvalidValueError, match="dt is 0; expected at least"):
        nest_precise(case.network, case.inputs, 30.0, None, dt=0)


@needs_nest
def test_nest_prints_nothing(capfd):
    nest_precise(causality().network, causality().inputs, 30.0, None)
    assert capfd.readouterr().out == ""


def grazing(input_time):
    """One neuron whose voltage peaks 1e-5 above the threshold, for 0.05 ms."""
    peak = 0.2**1.25  # of the response to a weight of 1
    synapses = refsim.connect([1], [0], (1.0 + 1e-5) / peak, 1.0)
    network = refsim.Network(1, synapses, n_inputs=1, ports=refsim.ExpPort(2.0), tau_m=10.0)
    inputs = refsim.SpikeTrain([input_time], [0], 1)
    return refsim.cases.make_case("grazing", network, inputs, 20.0, time_bar=[1.0])


@needs_nest
def test_nest_misses_a_peak_between_steps_unless_lossless():
    plain, lossless = (partial(nest_precise, model=model) for model in MODELS)
    assert measured(plain, grazing(1.0)).missing == 1
    found = measured(lossless, grazing(1.0))
    assert (found.missing, found.extra) == (0, 0)
    assert found.time_error < 1e-9


@needs_nest
def test_nest_lossless_stops_at_some_peaks_near_the_threshold():
    """Of twenty neurons, all of which spike and the plain model of which loses some."""
    case = near_threshold(1e-5)
    assert 0 < measured(nest_precise, case).missing < 20
    found = measure(partial(nest_precise, model=MODELS[1]), case, reference(case))
    assert found.outcome == "failed"
    assert "numerical instability" in found.note


@needs_nest
def test_nest_lossless_without_refractoriness_is_silent_after_a_spike():
    """Driven by a current, without synapses: its own refractory time of 0."""
    (nest,) = modules("nest", "nest")
    counts = []
    for t_ref in (0.0, 0.1):
        nest.ResetKernel()
        nest.verbosity = nest.VerbosityLevel.ERROR
        neuron = nest.Create(MODELS[1], params={"t_ref": t_ref, "I_e": 1000.0})
        recorder = nest.Create("spike_recorder")
        nest.Connect(neuron, recorder)
        nest.Simulate(50.0)
        counts.append(len(recorder.events["times"]))
    assert counts == [1, 10]


# --- exact-event-adjoint ------------------------------------------------------------------------


@needs_exact_event_adjoint
def test_exact_event_adjoint_is_right_away_from_the_threshold():
    """Its Newton iteration stops at a residual of 1e-9."""
    for case in (causality(), feed_forward_reset(), feed_forward_ratio(), chain_exponential()):
        found = measured(exact_event_adjoint_backend, case)
        assert (found.missing, found.extra) == (0, 0)
        assert found.time_error < 1e-7
        assert max(found.error.values()) < 1e-7, case.name


@needs_exact_event_adjoint
def test_exact_event_adjoint_with_different_neurons():
    case = feed_forward_reset()
    network = case.network.replace(
        tau_m=[10.0, 9.0, 12.0, 11.0, 8.0],
        v_th=[1.0, 0.9, 1.1, 1.2, 0.8],
        v_rest=0.1,
        v0=0.1,
        delay=np.linspace(0.2, 3.0, len(case.network.synapses)),
    )
    spikes = refsim.simulate(network, case.inputs, case.duration).spikes
    bar = np.random.default_rng(0).normal(size=len(spikes.time))
    found = measured(exact_event_adjoint_backend, replace(case, network=network, time_bar=bar))
    assert (found.missing, found.extra) == (0, 0)
    assert max(found.error.values()) < 1e-6


@needs_exact_event_adjoint
def test_exact_event_adjoint_reports_neurons_silent_near_the_threshold():
    """It looks at inputs, and at the peak of each response alone; the peak of a sum is between."""
    found = measured(exact_event_adjoint_backend, near_threshold(0.01))
    assert found.spikes + found.missing == 20
    assert found.missing > 3
    assert measured(exact_event_adjoint_backend, near_threshold(1e-5)).missing == 20


@needs_exact_event_adjoint
def test_exact_event_adjoint_refuses_by_name():
    refused = partial(refusal, exact_event_adjoint_backend)
    case = causality()
    assert "divides by tau_m - tau_s" in refused(case, tau_m=5.0)
    assert "refractory" in refused(case, t_ref=1.0)
    assert "start at rest, without current" in refused(case, i_ext=0.1)
    assert "recurrence" in refused(recurrent_delays(), i_ext=0.0, v0=0.05)
    with pytest.raises(InvalidValueError, match="more as max_spikes="):
        exact_event_adjoint_backend(
            *(case.network, case.inputs, 30.0, reference(case).cotangents), max_spikes=2
        )


# --- jaxsnn -------------------------------------------------------------------------------------


@needs_jaxsnn
@pytest.mark.parametrize("method", ["eventprop", "analytical"])
def test_jaxsnn_is_exact_at_its_ratios(method):
    """Also where input spikes are in another order, and voltages are counted from elsewhere."""
    case = feed_forward()
    order = np.random.default_rng(0).permutation(len(case.inputs))
    shuffled = refsim.SpikeTrain(case.inputs.times[order], case.inputs.sources[order], 3)
    shifted = case.network.replace(v_rest=0.2, v0=0.2, v_th=1.2, v_reset=0.2)
    moved = replace(case, inputs=shuffled, network=shifted)
    found = measured(jaxsnn_backend, moved, method=method)
    assert (found.missing, found.extra) == (0, 0)
    assert found.time_error < 1e-12
    assert max(found.error.values()) < 1e-12


@needs_jaxsnn
def test_jaxsnn_eventprop_is_wrong_for_a_reset_that_is_not_rest():
    found = measured(jaxsnn_backend, feed_forward_reset())
    assert found.time_error < 1e-12
    assert 0.05 < found.error["weight"] < 0.5
    assert 0.05 < found.error["input_times"] < 0.5


@needs_jaxsnn
@pytest.mark.slow
def test_jaxsnn_analytical_is_right_for_a_reset_that_is_not_rest():
    found = measured(jaxsnn_backend, feed_forward_reset(), method="analytical")
    assert max(found.error.values()) < 1e-12


@needs_jaxsnn
def test_jaxsnn_rounds_the_ratio_of_time_constants():
    found = measured(jaxsnn_backend, feed_forward_ratio())
    assert found.time_error > 1.0
    assert min(found.error.values()) > 0.1


@needs_jaxsnn
def test_jaxsnn_loses_spikes_of_identical_neurons():
    found = measured(jaxsnn_backend, identical_neurons())
    assert (found.spikes, found.missing) == (2, 2)


@needs_jaxsnn
@pytest.mark.slow
def test_jaxsnn_loses_spikes_beyond_its_steps():
    found = measured(jaxsnn_backend, feed_forward(), events=40)
    assert found.missing > 30


@needs_jaxsnn
def test_jaxsnn_refuses_by_name():
    refused = partial(refusal, jaxsnn_backend)
    case = feed_forward()
    assert "one v_th" in refused(case, v_th=[1.0, 1.0, 1.0, 1.0, 1.1])
    assert "refractory" in refused(case, t_ref=1.0)
    assert "one delay" in refused(case, delay=np.linspace(0.0, 1.0, len(case.network.synapses)))
    assert "without current" in refused(case, i_ext=0.1)
    doubled = [case.network.synapses, case.network.synapses]
    assert "at most from a source" in refused(case, synapses=doubled)


# --- adseq --------------------------------------------------------------------------------------


def silent_case():
    """Two neurons that do not spike; all times are multiples of 0.04 ms."""
    synapses = refsim.Synapses([2, 2, 3], [0, 1, 1], [2.0, -1.0, 3.0], [1.04, 0.52, 2.12])
    network = refsim.Network(
        2,
        synapses,
        n_inputs=2,
        ports=refsim.DoubleExpPort(1.0, 5.0),
        tau_m=[10.0, 14.0],
        v_rest=[0.1, -0.2],
        v_th=[3.0, 4.0],
        v_reset=[-1.0, 0.5],
        i_ext=[0.3, 0.2],
        v0=[0.4, -0.1],
    )
    inputs = refsim.SpikeTrain([1.0, 3.0, 4.4], [0, 1, 0], 2)
    samples = ([0, 1, 1], [9.0, 6.0, 12.0])
    return refsim.cases.make_case(
        "silent", network, inputs, 15.0, samples, time_bar=[], voltage_bar=[1.0, -0.7, 0.4]
    )


@needs_adseq
def test_adseq_converges_where_nothing_spikes():
    """First order, in voltages and in the derivatives by all that it is asked."""
    coarse, fine = (
        measured(adseq_snn, silent_case(), dt=dt, reset="constant") for dt in (0.04, 0.02)
    )
    assert fine.voltage_error < 0.02
    assert 0.4 < fine.voltage_error / coarse.voltage_error < 0.6
    for name, error in fine.error.items():
        assert error < 0.05, name
        assert error < 0.7 * coarse.error[name] or error < 1e-4, name


@needs_adseq
@pytest.mark.slow
def test_adseq_converges_along_a_chain_if_currents_start_from_zero():
    """First order: 21 % and 11 % for delays, since errors of stages multiply."""
    case = chain_double_exponential()
    coarse, fine = (measured(adseq_snn, case, dt=dt, reset="constant") for dt in (0.05, 0.025))
    assert 0.35 < fine.time_error / coarse.time_error < 0.65
    assert 0.35 < fine.error["delay"] / coarse.error["delay"] < 0.65
    assert fine.error["delay"] < 0.3


@needs_adseq
def test_adseq_has_the_wrong_sign_behind_a_jump_of_the_current():
    """Exact is 1 for each of the delays. With Ring nothing leaks, and the jump alone is missing."""
    case = chain_exponential()
    options = {"dt": 0.05, "reset": "constant", "queue": "Ring", "capacity": None}
    answer = adseq_snn(
        case.network, case.inputs, case.duration, reference(case).cotangents, **options
    )
    np.testing.assert_allclose(answer.gradient["delay"], [-2.29, 1.74, -1.32], rtol=0.0, atol=0.02)


@needs_adseq
def test_adseq_leaks_tangents_while_an_event_waits():
    """Of the last delay, of which exact is 1; inversely proportional to the step."""
    case = chain_exponential()
    coarse, fine = (
        adseq_snn(
            *(case.network, case.inputs, case.duration, reference(case).cotangents),
            dt=dt,
            reset="constant",
        ).gradient["delay"][-1]
        for dt in (0.1, 0.05)
    )
    assert -25.0 < coarse < -22.0
    assert 1.9 < fine / coarse < 2.2


@needs_adseq
def test_adseq_loses_derivatives_in_its_membrane():
    """The surrogate acts in every step, below threshold too: finer steps leave less."""
    case = chain_double_exponential()
    answer = adseq_snn(case.network, case.inputs, case.duration, reference(case).cotangents, dt=0.1)
    assert np.abs(answer.gradient["delay"]).max() < 0.1  # and exact is 1
    assert abs(answer.gradient["delay"][0]) < 1e-3


@needs_adseq
def test_adseq_refuses_by_name():
    case = resets()
    assert "refractory" in refusal(adseq_snn, case, t_ref=1.0)
    assert "equal" in refusal(adseq_snn, case, ports=refsim.DoubleExpPort(2.0, 2.0))
    with pytest.raises(InvalidValueError, match="reset is 'none'; expected 'surrogate'"):
        adseq_snn(case.network, case.inputs, 20.0, reference(case).cotangents, reset="none")


# --- eventax: each run compiles for half a minute -----------------------------------------------


@needs_eventax
@pytest.mark.slow
@pytest.mark.parametrize("adjoint", ["checkpoint", "eventprop"])
def test_eventax_and_an_input_of_the_future(adjoint):
    """EventProp gives it the derivative -1 of an earlier spike, and has the rest right."""
    case = causality()
    exact = reference(case)
    answer = eventax_backend(
        case.network, case.inputs, case.duration, exact.cotangents, adjoint=adjoint
    )
    np.testing.assert_allclose(answer.time, exact.simulation.spikes.time, rtol=0.0, atol=1e-10)
    np.testing.assert_allclose(answer.gradient["weight"], exact.gradient.weight, rtol=1e-9)
    of_future = 0.0 if adjoint == "checkpoint" else -1.0
    np.testing.assert_allclose(
        answer.gradient["input_times"], [1.0, of_future], rtol=0.0, atol=1e-9
    )


def with_samples(case):
    samples = refsim.Samples([0, 1, 2], [12.0, 9.2, 5.0])
    return replace(case, samples=samples, voltage_bar=np.array([0.5, -1.0, 2.0]))


@needs_eventax
@pytest.mark.slow
def test_eventax_checkpoints_are_right():
    """Its solver has the order 5 and steps of 0.05 ms, its root finder a tolerance of 1e-12."""
    found = measured(eventax_backend, with_samples(recurrent_delays()))
    assert (found.missing, found.extra) == (0, 0)
    assert found.time_error < 1e-10
    assert found.voltage_error < 1e-10
    assert max(found.error.values()) < 1e-8


@needs_eventax
@pytest.mark.slow
def test_eventax_shares_gradients_of_spikes_at_the_same_time():
    """Of two neurons without a synapse between them; sums over both are right."""
    case = identical_neurons()
    exact = reference(case)
    answer = eventax_backend(case.network, case.inputs, case.duration, exact.cotangents)
    np.testing.assert_allclose(answer.time, exact.simulation.spikes.time, rtol=0.0, atol=1e-10)
    assert peers.group_error(answer.gradient["i_ext"], exact.gradient.i_ext) > 0.1
    np.testing.assert_allclose(
        answer.gradient["i_ext"].sum(), exact.gradient.i_ext.sum(), rtol=1e-8
    )


@needs_eventax
@pytest.mark.slow
def test_eventax_eventprop_is_wrong_with_delays():
    found = measured(eventax_backend, recurrent_delays(), adjoint="eventprop")
    assert found.time_error < 1e-10
    assert found.error["weight"] > 0.1
    assert found.error["delay"] > 0.5
    assert found.error["input_times"] > 0.5


@needs_eventax
def test_eventax_cannot_make_its_plif():
    jax, plif = modules("eventax", "jax", "eventax.neuron_models.plif")
    with pytest.raises(TypeError, match="positive_weights"):
        plif.PLIF(
            key=jax.random.PRNGKey(0),
            n_neurons=1,
            in_size=1,
            wmask=np.ones((2, 1)),
            thresh=1.0,
            init_weights=np.zeros((2, 1)),
            init_bias=0.0,
            init_tmem=10.0,
            init_tsyn=5.0,
        )


@needs_eventax
def test_eventax_refuses_by_name():
    refused = partial(refusal, eventax_backend)
    case = causality()
    assert "one exponential current" in refused(case, ports=refsim.DoubleExpPort(1.0, 5.0))
    assert "not an event" in refused(case, t_ref=1.0)
    assert "at most" in refused(case, synapses=[case.network.synapses] * 2)
    with pytest.raises(InvalidValueError, match="adjoint is 'none'; expected one of"):
        eventax_backend(case.network, case.inputs, 30.0, None, adjoint="none")


@pytest.mark.parametrize(
    ("answer", "outcome", "note"),
    [
        (None, "failed", "AnswerError"),
        (Answer(np.array([1.0, 2.0]), np.array([0]), {}), "failed", "spike times have shape"),
        (Answer(np.array(["x"]), np.array([0]), {}), "failed", "real numbers"),
        (Answer(np.zeros(0), np.zeros(0, int), {"colour": 1.0}), "failed", "is not a group"),
        (Answer(np.zeros(0), np.zeros(0, int), {"weight": [np.nan]}), "measured", ""),
    ],
)
def test_answers_that_cannot_be_read_are_failures(answer, outcome, note):
    case = given_cases()[0]
    found = measure(lambda *asked: answer, case, reference(case))
    assert found.outcome == outcome
    assert note in found.note
    if outcome == "measured":
        assert found.missing == len(case.time_bar)
        assert np.isnan(found.error["weight"])
