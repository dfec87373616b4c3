"""Voltage samples at the very time of an event: what they read, their derivatives, what is told.

One rule for all engines: the sample reads the state after all events of that time, and its
derivatives are those of V(s + 0), with these events counted as before it.
"""

import warnings
from dataclasses import replace

import numpy as np
import oracle_differences
import pytest
from hypothesis import HealthCheck, given, settings

import adjoint
import refsim
from adjoint.check import GradientCheckError, check_grads, evaluate
from refsim import DoubleExpPort, ExpPort, IllConditionedWarning, SpikeTrain, connect
from refsim.cases import make_case, to_dict
from validation.arrivals import arrivals
from validation.judges import finite_differences
from validation.perturbation import events_before_samples
from validation.strategies import cases

ENGINES = {
    "event": {"engine": refsim.Events()},
    "sorted pass": {"engine": refsim.Events(), "adjoint_queue": "sorted_pass"},
    "fifo merge": {"engine": refsim.Events("fifo_merge")},
    "window": {"engine": refsim.Windows()},
    "two threads": {"engine": refsim.Windows(threads=2)},
    "checkpoint": {"checkpoint": 3},
    "batch": {},
}
BY_WINDOWS = ("window", "two threads", "checkpoint")
FORWARDS = [
    {"engine": refsim.Events()},
    {"engine": refsim.Windows()},
    {"engine": refsim.Events(dt=0.1)},
]

ties = pytest.mark.filterwarnings("ignore:.*(a voltage is sampled|an arrival coincides)")
engines = pytest.mark.parametrize("engine", ENGINES)


def pulled(engine, network, inputs, duration, samples, bar):
    """Return the result of an engine and the gradient of its sampled voltages times ``bar``."""
    if engine == "batch":
        trains = [None, inputs]
        batch, pullback = adjoint.vjp_batch(network, trains, duration, samples=samples)
        return batch[1], pullback(None, [0.0, bar], reduce=None)[1]
    run, pullback = adjoint.vjp(network, inputs, duration, samples=samples, **ENGINES[engine])
    return run, pullback(None, bar)


def conditioning(engine, network, inputs, duration, samples):
    """Return the conditioning of an engine; whether it warns is a question of its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IllConditionedWarning)
        return pulled(engine, network, inputs, duration, samples, 0.0)[0].conditioning


def driven(t_ref=0.0, port=None, weight=0.3, delay=0.5, **parameters):
    """Return a neuron that first spikes at 10 log 2 ms, with V' = 0.1, and leaves with V' = 0.25.

    An input reaches it over a synapse.
    """
    return refsim.Network(
        1,
        connect(1, 0, weight, delay),
        n_inputs=1,
        ports=port or ExpPort(5.0),
        tau_m=10.0,
        i_ext=2.0,
        v_reset=-0.5,
        t_ref=t_ref,
        **parameters,
    )


def first_spike(engine, network):
    """Return the first spike of an engine, to the last bit; windows with samples have their own."""
    guess = 10.0 * np.log(2.0)
    options = {"engine": refsim.Windows()} if engine in BY_WINDOWS else {}
    run = refsim.simulate(network, None, 20.0, samples=([0], [guess]), **options)
    return float(run.spikes.time[0])


def entries(gradient):
    """Return what a gradient has beside zeros."""
    return {
        f"{name}[{i}]": value
        for name, values in gradient.items()
        for i, value in enumerate(values)
        if value != 0.0
    }


# --- the rule -----------------------------------------------------------------------------------


@ties
@engines
def test_at_a_spike_the_voltage_is_held(engine):
    """Whatever moves the spike to an earlier time, V stays v_reset."""
    network = driven(t_ref=1.0)
    at = first_spike(engine, network)
    run, gradient = pulled(engine, network, None, 20.0, ([0], [at]), [1.0])
    assert run.voltages[0] == -0.5
    assert entries(gradient) == {"v_reset[0]": 1.0}


@ties
@engines
@pytest.mark.parametrize("t_ref", [0.0, 1.0])
def test_at_a_release_the_voltage_leaves(engine, t_ref):
    """V = v_reset + V'+ (s - t - t_ref) from the release on, which is the spike for t_ref = 0."""
    network = driven(t_ref)
    at = first_spike(engine, network) + t_ref
    run, gradient = pulled(engine, network, None, 20.0, ([0], [at]), [1.0])
    assert run.voltages[0] == pytest.approx(-0.5, abs=1e-15)
    # dt/dv_th = 1/V'-, dt/db = tau_m (1/b - 1/(b - v_th)), dt/dtau_m = log 2, all times -V'+.
    expected = {
        "v_reset[0]": 1.0,
        "i_ext[0]": 1.25,
        "v_rest[0]": 1.25,
        "v0[0]": 1.25,
        "v_th[0]": -2.5,
        "t_ref[0]": -0.25,
        "tau_m[0]": -0.25 * np.log(2.0),
    }
    assert entries(gradient) == pytest.approx(expected, rel=1e-13)


@ties
@engines
@pytest.mark.parametrize("port", [ExpPort(5.0), DoubleExpPort(2.0, 5.0)], ids=["exp", "double"])
def test_at_an_arrival(engine, port):
    """An exponential current jumps, and with it V': dV/d(arrival) = -w/tau_m. No other does."""
    network, inputs = driven(port=port), SpikeTrain([3.0], [0], 1)
    run, gradient = pulled(engine, network, inputs, 20.0, ([0], [3.5]), [1.0])
    decay = np.exp(-0.35)
    assert run.voltages[0] == pytest.approx(2.0 - 2.0 * decay, rel=1e-14)
    expected = {
        "i_ext[0]": 1.0 - decay,
        "v_rest[0]": 1.0 - decay,
        "v0[0]": decay,
        "tau_m[0]": -0.07 * decay,
    }
    if isinstance(port, ExpPort):
        expected |= {"delay[0]": -0.03, "input_times[0]": -0.03}
    found = {name: value for name, value in entries(gradient).items() if abs(value) > 1e-15}
    assert found == pytest.approx(expected, rel=1e-13)


@ties
@engines
def test_an_arrival_while_the_voltage_is_held_does_nothing(engine):
    network = driven(t_ref=4.0)
    inputs = SpikeTrain([7.5], [0], 1)
    run, gradient = pulled(engine, network, inputs, 20.0, ([0], [8.0]), [1.0])
    assert run.voltages[0] == -0.5
    assert entries(gradient) == {"v_reset[0]": 1.0}


def pair(port, t_ref, i_ext=1.6):
    """Return two neurons that drive each other, with delays and inputs of few digits."""
    rows = [(0, 1, 2.0, 0.5), (1, 0, 1.5, 1.25), (2, 0, 2.5, 0.75), (2, 1, 3.0, 0.25)]
    pre, post, weight, delay = zip(*rows, strict=True)
    return refsim.Network(
        2,
        connect(pre, post, weight, delay),
        n_inputs=1,
        ports=port,
        tau_m=[8.0, 12.0],
        i_ext=i_ext,
        v_reset=[-0.25, 0.125],
        t_ref=t_ref,
    )


def moment_of(run, n, kind):
    """Return the time of an event of neuron ``n`` that is free then, and has no other soon."""
    own = run.spikes.time[run.spikes.neuron == n]
    release, events = own + run.network.t_ref[n], arrivals(run)
    times = {"spike": own, "release": release, "arrival": events.time[events.neuron == n]}
    others = np.sort(np.concatenate(list(times.values())))
    for time in np.sort(times[kind])[1:]:
        is_held = np.any((own < time) & (time < release))
        following = others[np.searchsorted(others, time + 1e-9)]
        if following - time > 0.2 and not is_held:
            return float(time)
    raise AssertionError("no such event")


def from_the_right(network, inputs, samples, name, i):
    """Return dV(s + 0) by one entry: differences at s + e for a moved network, e to 0.

    V is analytic for some time after s, so that Neville's scheme in e converges fast.
    """
    n, s = samples[0][0], samples[1][0]
    values = inputs.times if name == "input_times" else getattr(network, name)
    h = 1e-6 * max(1.0, abs(values[i]))

    def voltages(move, times):
        moved = values.copy()
        moved[i] += move
        there, train = network, SpikeTrain(inputs.times, inputs.sources, 1)
        if name == "input_times":
            train = SpikeTrain(moved, inputs.sources, 1)
        else:
            there = network.replace(**{name: moved})
        samples = (np.full(len(times), n), times)
        return refsim.simulate(there, train, 40.0, samples=samples, engine=refsim.Events()).voltages

    steps = 0.1 * 2.0 ** -np.arange(5)
    row = (voltages(h, s + steps) - voltages(-h, s + steps)) / (2.0 * h)
    for j in range(1, len(steps)):
        row = row[1:] + (row[1:] - row[:-1]) / (2.0**j - 1.0)
    return row[-1]


PORTS = {"exp": ExpPort(4.0), "double": DoubleExpPort(1.5, 4.0)}


@ties
@pytest.mark.parametrize("engine", ["event", "window"])
@pytest.mark.parametrize("kind", ["spike", "release", "arrival"])
@pytest.mark.parametrize("port", PORTS)
def test_derivatives_are_those_of_differences_from_the_right(engine, kind, port):
    network = pair(PORTS[port], t_ref=[0.75, 1.5])
    inputs = SpikeTrain([1.0, 9.0, 14.0], [0, 0, 0], 1)
    for n in range(2):
        # Windows with samples have spikes of their own, to rounding: the fixed point is there.
        at = 0.0
        for _ in range(3):
            options = {"samples": ([n], [at]), **ENGINES[engine]}
            at = moment_of(refsim.simulate(network, inputs, 40.0, **options), n, kind)
        run, gradient = pulled(engine, network, inputs, 40.0, ([n], [at]), [1.0])
        assert run.conditioning.has_ties == (kind != "arrival" or port == "exp")
        size = max(np.abs(values).max() for _, values in gradient.items())
        for name, values in gradient.items():
            for i, ours in enumerate(values):
                if name in ("t_ref", "v_reset") or i < 2:  # of long groups, a part
                    known = from_the_right(network, inputs, ([n], [at]), name, i)
                    assert ours == pytest.approx(known, abs=1e-6 * size), (n, name, i)


def on_a_raster(rng, duration=15.0):
    """Return a network all of whose given times are multiples of 0.1, sampled at all of these."""
    n, size = 5, 16
    synapses = refsim.Synapses(
        pre=np.concatenate([rng.integers(0, n, size), rng.integers(n, n + 2, 6)]),
        post=rng.integers(0, n, size + 6),
        weight=np.concatenate([rng.normal(0.3, 1.0, size), rng.uniform(1.0, 4.0, 6)]),
        delay=rng.integers(2, 20, size + 6) / 10.0,
    )
    network = refsim.Network(
        n, synapses, 2, ports=ExpPort(4.0), tau_m=10.0, i_ext=1.1, t_ref=rng.integers(0, 9, n) / 10
    )
    inputs = SpikeTrain(rng.integers(0, 100, 20) / 10.0, rng.integers(0, 2, 20), 2)
    times = np.arange(0.0, duration, 0.1)
    return network, inputs, duration, (np.repeat(np.arange(n), len(times)), np.tile(times, n))


@ties
@engines
@pytest.mark.parametrize("forwards", FORWARDS, ids=str)
def test_duality_where_a_raster_of_samples_meets_a_raster_of_events(engine, forwards):
    network, inputs, duration, samples = on_a_raster(np.random.default_rng(3))
    on_grid = forwards["engine"] == refsim.Events(dt=0.1)
    if on_grid and engine in (*BY_WINDOWS, "batch"):
        pytest.skip("arrivals on a grid belong to the event engine")
    rng = np.random.default_rng(4)
    bar = rng.normal(size=len(samples[0]))
    options = dict(ENGINES[engine])
    if on_grid:
        options["engine"] = replace(options["engine"], dt=0.1)
        run, pullback = adjoint.vjp(network, inputs, duration, samples=samples, **options)
        gradient = pullback(None, bar)
    else:
        run, gradient = pulled(engine, network, inputs, duration, samples, bar)
    assert run.conditioning.min_sample_gap == 0.0
    direction = {name: rng.normal(size=len(values)) for name, values in gradient.items()}
    _, dot = adjoint.jvp(network, inputs, duration, direction, samples=samples, **forwards)
    terms = np.concatenate([values * direction[name] for name, values in gradient.items()])
    forward = bar * dot.voltage
    size = np.abs(terms).sum() + np.abs(forward).sum()
    assert abs(terms.sum() - forward.sum()) < 1e-11 * size
    times = samples[1][: len(samples[1]) // 5]
    if engine == "event":
        assert np.array_equal(run.trace(times=times).voltage.ravel(), run.voltages)


@ties
@pytest.mark.parametrize("engine", ["event", "batch"])
def test_all_at_one_instant(engine):
    """A crossing, its release, an arrival and samples: each sample comes after all of them."""
    network = driven(delay=0.0, weight=0.4)
    at = first_spike(engine, network)
    inputs = SpikeTrain([at], [0], 1)
    run, gradient = pulled(engine, network, inputs, 20.0, ([0, 0], [at, at]), [1.0, -0.5])
    assert run.spikes.time[0] == at
    assert run.voltages.tolist() == [-0.5, -0.5]
    expected = {"v_reset[0]": 0.5, "t_ref[0]": -0.125, "input_times[0]": -0.02, "delay[0]": -0.02}
    found = entries(gradient)
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-13)
    assert run.conditioning.min_gap == run.conditioning.min_sample_gap == 0.0


@pytest.mark.parametrize("dt", [0.1, 0.25])
def test_on_a_time_grid_samples_come_after_the_deliveries_of_their_step(dt):
    """The rule of the grid, whose ties are no accidents: there is no warning."""
    network, inputs = driven(), SpikeTrain([3.0], [0], 1)
    run, pullback = adjoint.vjp(network, inputs, 20.0, samples=([0], [3.5]), engine=refsim.Grid(dt))
    gradient = pullback(None, [1.0])
    assert gradient.delay[0] == pytest.approx(-0.03, rel=1e-13)
    assert gradient.weight[0] == 0.0
    direction = {"delay": [1.0]}
    _, dot = adjoint.jvp(
        network, inputs, 20.0, direction, samples=([0], [3.5]), engine=refsim.Grid(dt)
    )
    assert dot.voltage[0] == gradient.delay[0]
    step = round(first_spike("event", network) / dt - 0.5) + 1  # the one after the crossing
    run, pullback = adjoint.vjp(
        driven(), None, 20.0, samples=([0], [step * dt]), engine=refsim.Grid(dt)
    )
    assert run.spike_step[0] == step - 1
    assert run.voltages[0] == -0.5
    gradient = pullback(None, [1.0])
    assert gradient.v_reset[0] == 1.0
    assert gradient.t_ref[0] == pytest.approx(-0.25, rel=1e-13)  # released in that very step


# --- what is told -------------------------------------------------------------------------------


@engines
@pytest.mark.parametrize(("late", "gap"), [(0.0, 0.0), (0.125, 0.125), (-0.125, 0.125)])
@pytest.mark.parametrize("kind", ["spike", "release", "arrival"])
def test_the_gap_to_an_event_of_the_neuron(engine, kind, late, gap):
    network, inputs = driven(t_ref=1.5), SpikeTrain([2.5], [0], 1)
    if kind == "arrival":
        at = 3.0
    else:
        inputs, at = None, first_spike(engine, network) + (1.5 if kind == "release" else 0.0)
    told = conditioning(engine, network, inputs, 20.0, ([0], [at + late]))
    assert told.min_sample_gap == pytest.approx(gap, abs=1e-14 if late else 0.0)
    assert told.has_ties == (gap == 0.0)


@engines
def test_what_does_not_matter_to_a_sample_has_no_gap(engine):
    """Arrivals at another neuron, at a double exponential port, and while the voltage is held."""
    inputs = SpikeTrain([3.0], [0], 1)
    double = driven(port=DoubleExpPort(2.0, 5.0))
    assert conditioning(engine, double, inputs, 5.0, ([0], [3.5])).min_sample_gap == np.inf
    two = refsim.Network(2, connect([2, 2], [0, 1], 0.1, [0.5, 0.75]), n_inputs=1)
    found = conditioning(engine, two, inputs, 5.0, ([0, 1], [3.625, 3.375]))
    assert found.min_sample_gap == 0.125
    held = driven(t_ref=4.0)
    release = first_spike(engine, held) + 4.0
    found = conditioning(engine, held, SpikeTrain([7.5], [0], 1), 20.0, ([0], [8.0]))
    assert found.min_sample_gap == pytest.approx(8.0 - (release - 4.0), rel=1e-12)


def naive_gap(run):
    """Return the shortest time between samples and events by looking at all pairs."""
    network, spikes, samples, events = run.network, run.spikes, run.samples, arrivals(run)
    one = network.model.ports.order[network.port[events.synapse]] == 1
    before = events_before_samples(run)
    gaps = []
    for i, (n, s) in enumerate(zip(samples.neurons, samples.times, strict=True)):
        own = spikes.time[spikes.neuron == n]
        gaps += [abs(s - own), abs(s - (own + network.t_ref[n]))]
        if before[0, i] == before[1, i]:
            at = events.time[one & (events.neuron == n) & (events.time <= run.duration)]
            free = [not np.any((own <= t) & (t < own + network.t_ref[n])) for t in at]
            gaps.append(abs(s - at[np.array(free, dtype=bool)]))
    return min((float(gap.min()) for gap in gaps if gap.size), default=np.inf)


COMMON = settings(
    deadline=None, derandomize=True, max_examples=60, suppress_health_check=list(HealthCheck)
)


@COMMON
@given(case=cases(max_spikes=30))
def test_the_gap_is_that_of_all_pairs(case):
    run = refsim.simulate(case.network, case.inputs, case.duration, samples=case.samples)
    assert run.conditioning.min_sample_gap == naive_gap(run)
    options = {"samples": [None, case.samples]}
    batch = refsim.simulate_batch(case.network, [case.inputs] * 2, case.duration, **options)
    assert batch[1].conditioning == run.conditioning
    assert batch[0].conditioning.min_sample_gap == np.inf


def test_a_raster_meets_all_engines_alike():
    network, inputs, duration, samples = on_a_raster(np.random.default_rng(8))
    found = {e: conditioning(e, network, inputs, duration, samples) for e in ENGINES}
    assert {told.min_sample_gap for told in found.values()} == {0.0}
    assert found["checkpoint"] == found["window"] == found["two threads"]


def test_a_run_that_goes_on_remembers_its_gaps():
    network, inputs = driven(), SpikeTrain([3.0], [0], 1)
    options = {"engine": refsim.Windows(), "keep_state": True}
    run = refsim.simulate(network, inputs, 5.0, samples=([0], [3.5]), **options)
    on = refsim.resume(run, 15.0, samples=([0], [14.0]))
    assert run.conditioning.min_sample_gap == on.conditioning.min_sample_gap == 0.0


def warned(call, *arguments, **options):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call(*arguments, **options)
    return [str(one.message) for one in caught], [one.filename for one in caught]


SAID = "a voltage is sampled at the very time of a spike, a release or an arrival of its neuron"


@engines
def test_one_warning_where_gradients_are_asked_for(engine):
    network, inputs, duration, samples = on_a_raster(np.random.default_rng(5))
    call, options = adjoint.vjp, ENGINES[engine]
    if engine == "batch":
        call, inputs = adjoint.vjp_batch, [None, inputs]
    said, places = warned(call, network, inputs, duration, samples=samples, **options)
    assert len(said) == 1
    assert SAID in said[0]
    assert places == [__file__]


@pytest.mark.parametrize("engine", [refsim.Events(), refsim.Windows()])
def test_tangents_warn_and_simulations_do_not(engine):
    network, inputs, duration, samples = on_a_raster(np.random.default_rng(5))
    options = {"samples": samples, "engine": engine}
    said, places = warned(adjoint.jvp, network, inputs, duration, {}, **options)
    assert [SAID in one for one in said] == [True]
    assert places == [__file__]
    assert warned(refsim.simulate, network, inputs, duration, **options) == ([], [])


def test_ties_of_both_kinds_are_one_warning():
    network = driven(delay=0.0)
    at = first_spike("event", network)
    said, _ = warned(adjoint.vjp, network, SpikeTrain([at], [0], 1), 20.0, samples=([0], [at]))
    assert len(said) == 1
    assert said[0].startswith("an arrival coincides")
    assert f"; {SAID}" in said[0]


def test_the_picture_of_a_sensitivity_does_not_warn_of_its_own_samples():
    pytest.importorskip("matplotlib").use("Agg")
    from adjoint.plot import sensitivity

    ax = sensitivity(driven(t_ref=1.0), SpikeTrain([3.0], [0], 1), 20.0, 0, "i_ext")
    ax.figure.clear()


# --- a neuron's own arrivals --------------------------------------------------------------------


def autapse(t_ref, delay=0.0):
    return refsim.Network(
        1, connect(0, 0, -0.3, delay), ports=ExpPort(5.0), tau_m=10.0, i_ext=2.0, t_ref=t_ref
    )


@pytest.mark.parametrize("engine", ["event", "sorted pass", "fifo merge", "batch"])
def test_what_a_spike_sends_itself_is_no_tie(engine):
    """It neither precedes nor follows the spike by any time, and the gradient has one value."""
    run, _ = pulled(engine, autapse(1.0), None, 50.0, None, [])
    assert run.conditioning.min_release_gap == 1.0
    interval = np.diff(run.spikes.time).min()
    assert run.conditioning.min_gap == pytest.approx(interval, rel=1e-12)
    assert not run.conditioning.has_ties


@pytest.mark.parametrize("engine", ["event", "batch"])
def test_at_the_release_it_is_one(engine):
    """Where t_ref is zero, or the delay, a longer t_ref would put the release behind it."""
    with pytest.warns(IllConditionedWarning, match="an arrival coincides"):
        run, _ = pulled(engine, autapse(0.0), None, 50.0, None, [])
    assert run.conditioning.min_release_gap == 0.0
    assert run.conditioning.min_gap > 1.0


def test_windows_compare_own_arrivals_with_releases():
    run = refsim.simulate(autapse(1.0, 1.0), None, 50.0, engine=refsim.Windows())
    assert run.conditioning.min_gap == np.inf
    assert run.conditioning.min_release_gap < 1e-14


def test_judges_see_no_tie_in_it():
    from validation.strategies.margins import Setting, hazards, improved

    report = check_grads(autapse(1.0), None, 50.0)
    installed = [said for said in report if "needs " not in said.note]
    assert {said.verdict for said in installed} == {"pass"}
    assert len(installed) >= 3
    notes = {said.judge: said.note for said in report}
    assert not notes.get("mpmath oracle")
    setting = Setting(autapse(1.0), SpikeTrain([], [], 0), 50.0)
    assert hazards(refsim.simulate(*vars(setting).values())) == []
    assert improved(setting, 100).network.delay[0] == 0.0
    assert hazards(refsim.simulate(autapse(0.0), None, 50.0))


def test_the_oracle_has_a_gradient_of_it():
    pytest.importorskip("mpmath", reason="the oracle needs mpmath")
    from validation.oracle.derivatives import differentiate

    evaluation = evaluate(make_case("autapse", autapse(1.0), None, 20.0, None, [1.0, -2.0], []))
    found = differentiate(to_dict(evaluation.case), 30)
    assert float(found.min_gap) == 1.0
    for name, values in evaluation.gradient.items():
        known = [float(x) for x in found.groups[name]]
        assert values == pytest.approx(known, rel=1e-11, abs=1e-12), name


# --- judges -------------------------------------------------------------------------------------


def tied_at(kind, t_ref=1.0):
    """Return network, inputs, duration and samples of which one lies at an event."""
    network = driven(t_ref)
    if kind == "arrival":
        return network, SpikeTrain([3.0], [0], 1), 20.0, ([0], [3.5])
    at = first_spike("event", network) + (t_ref if kind == "release" else 0.0)
    return network, SpikeTrain([15.0], [0], 1), 20.0, ([0], [at])


@ties
@pytest.mark.parametrize("t_ref", [0.0, 1.0])
@pytest.mark.parametrize("kind", ["spike", "release", "arrival"])
def test_no_judge_rejects_a_right_gradient(kind, t_ref):
    network, inputs, duration, samples = tied_at(kind, t_ref)
    report = check_grads(network, inputs, duration, samples=samples, voltage_bar=[10.0])
    said = {j.judge: j for j in report}
    assert said["duality"].verdict == said["identities"].verdict == "pass"
    assert said["finite differences"].verdict == "pass"


@ties
@pytest.mark.parametrize("judge", ["finite_differences", "duality", "high_precision"])
def test_a_derivative_from_the_left_is_rejected(judge, monkeypatch):
    if judge == "high_precision":
        pytest.importorskip("mpmath", reason="the oracle needs mpmath")
    network, inputs, duration, samples = tied_at("arrival")
    right = adjoint.pullback.Pullback.__call__

    def left(self, *cotangents):
        gradient = right(self, *cotangents)
        gradient.delay[:] = 0.0
        return gradient

    case = make_case("left", network, inputs, duration, samples, [0.0] * 2, [1.0])
    judged = __import__(f"validation.judges.{judge}", fromlist=["judge"]).judge
    assert judged(evaluate(case)).verdict == "pass"
    monkeypatch.setattr(adjoint.pullback.Pullback, "__call__", left)
    assert judged(evaluate(case)).verdict == "fail"


@ties
def test_differences_go_to_the_side_that_keeps_the_order():
    """An input that comes later passes the sample; one that comes earlier does not."""
    network, inputs, duration, samples = tied_at("arrival")
    evaluation = evaluate(make_case("a", network, inputs, duration, samples, [0.0] * 2, [1.0]))
    for name in ("delay", "input_times"):
        difference, _, own = finite_differences.compare(
            evaluation, name, np.array([5.0]), 1e-5, 1e-16
        )
        assert difference < 1e-9 + own
    # One that can go neither way is left out.
    both = connect([1, 1], [0, 0], 0.3, 0.5)
    case = make_case("b", network.replace(synapses=both), inputs, duration, samples, None, [1.0])
    with pytest.raises(finite_differences.PatternChangedError, match="no step keeps"):
        finite_differences.compare(evaluate(case), "delay", np.array([5.0, -5.0]), 1e-5, 1e-16)


def test_rounding_that_puts_a_sample_on_the_other_side_is_told():
    """0.1 + 0.2 is 0.3 for the oracle, and more than that in floating point."""
    pytest.importorskip("mpmath", reason="the oracle needs mpmath")
    network = driven(delay=0.2)
    report = check_grads(network, SpikeTrain([0.1], [0], 1), 10.0, samples=([0], [0.3]))
    said = {j.judge: j for j in report}["mpmath oracle"]
    assert said.verdict == "pass"
    assert said.note.endswith("by rounding a sample is on the other side of an event of its neuron")


def decimal_tie(delay):
    """Return a case with an arrival at 0.1 + delay and a sample at 0.3, as exact decimals."""
    case = make_case(
        "decimal", driven(delay=delay), SpikeTrain([0.1], [0], 1), 5.0, ([0], [0.3]), [], [1.0]
    )
    return to_dict(case)


def test_the_oracle_counts_an_event_before_a_sample_of_its_time():
    """In exact decimals, by the rule and by differences, which go to one side."""
    pytest.importorskip("mpmath", reason="the oracle needs mpmath")
    from validation.oracle import check as oracle_check
    from validation.oracle.derivatives import differentiate

    for delay, expected in ((0.2, -0.03), (0.25, 0.0)):
        data = decimal_tie(delay)
        found = differentiate(data, 40)
        assert found.run.before == [(0, 0, int(delay == 0.2))]
        by_rule = {name: float(found.groups[name][0]) for name in ("delay", "input_times")}
        chosen = {"delay": [0], "input_times": [0]}
        by_difference = oracle_differences.gradient(data, chosen, 40)
        for name, value in by_rule.items():
            assert value == pytest.approx(expected, rel=1e-14)
            assert float(by_difference[name][0]) == pytest.approx(expected, rel=1e-14)
        errors = oracle_check.disagreement(data, found.groups)
        assert max(errors.values()) < 1e-30


@ties
def test_certification_says_why_it_does_not_decide():
    """A back end with the derivative from the left is excused, by the tie."""
    from validation.certification import certify as certification
    from validation.comparison.backend import Answer

    network, inputs, duration, samples = tied_at("arrival")
    case = make_case("tie", network, inputs, duration, samples, [0.0] * 2, [1.0])

    def from_the_left(network, inputs, duration, cotangents):
        run, pullback = adjoint.vjp(network, inputs, duration, samples=cotangents.samples)
        gradient = dict(pullback(None, cotangents.voltage).items())
        gradient["delay"] = np.zeros(1)
        return Answer(run.spikes.time, run.spikes.neuron, gradient, run.voltages)

    verdict = certification.certify(from_the_left, [case]).cases[0]
    assert verdict.verdict == "skip"
    assert "one-sided" in verdict.note
    away = replace(case, samples=refsim.Samples([0], [3.75]))
    assert certification.certify(from_the_left, [away]).cases[0].verdict == "fail"


@ties
def test_a_wrong_gradient_at_a_tie_is_an_error_of_check_grads(monkeypatch):
    network, inputs, duration, samples = tied_at("release")
    right = adjoint.pullback.Pullback.__call__

    def wrong(self, *cotangents):
        gradient = right(self, *cotangents)
        gradient.v_th[:] *= 1.0 + 1e-6
        return gradient

    monkeypatch.setattr(adjoint.pullback.Pullback, "__call__", wrong)
    with pytest.raises(GradientCheckError):
        check_grads(network, inputs, duration, samples=samples)
