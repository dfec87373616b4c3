"""The time-grid engine forwards: against its naive twin, and what must hold whatever the scheme."""

import numpy as np
import pytest
from grids import STEPS, schemes
from hypothesis import HealthCheck, assume, given, settings, strategies as st
from naive_grid import Twin

import refsim
from refsim import GridScheme
from refsim.grid.scheme import SPIKE_TIMES
from validation.case_suite.zoo import two_ports
from validation.strategies import cases, decimals

usual = settings(
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def simulated(case, dt, scheme, keep_voltages=False, **options):
    """Simulate a drawn case, whose runaway activity is of no interest."""
    try:
        return refsim.simulate(
            case.network,
            case.inputs,
            case.duration,
            samples=case.samples,
            max_spikes=300,
            **options,
            engine=refsim.Grid(dt, scheme, keep_voltages),
        )
    except refsim.SpikeLimitError:
        assume(False)


def scale_of(case):
    """Size of what is added up in a voltage."""
    network = case.network
    largest = max(np.abs(getattr(network, name)).max() for name in ("v_th", "v_reset", "v0"))
    return largest + np.abs(network.v_rest).max() + np.abs(network.weight).sum()


@usual
@given(case=cases(), dt=STEPS, scheme=schemes())
def test_agrees_with_the_naive_twin(case, dt, scheme):
    """Spikes in the same steps; voltages to 1e-12 of what is added up.

    A time is off by dt times that error over the change of the voltage in its step. Runs in which
    the voltage comes nearer to the threshold than its error are left out.
    """
    run = simulated(case, dt, scheme)
    past = Twin(case, dt, scheme).run()
    error = 1e-12 * scale_of(case)
    assume(past.margin > error)
    rows = sorted(zip(run.spikes.neuron, run.spike_step, run.spikes.time, strict=True))
    expected = sorted((i, step, time, change) for time, i, step, change in past.spikes)
    assert [row[:2] for row in rows] == [row[:2] for row in expected]
    for (*_, time), (*_, expected_time, change) in zip(rows, expected, strict=True):
        assert abs(time - expected_time) <= dt * error / change + 1e-14 * (1.0 + time)
    for k, voltage in past.samples.items():
        assert abs(run.voltages[k] - voltage) <= error
    assert len(past.samples) == len(run.voltages)


@usual
@given(case=cases(), dt=STEPS, scheme=schemes())
def test_spikes_are_sorted_and_in_their_steps(case, dt, scheme):
    run = simulated(case, dt, scheme)
    spikes, step = run.spikes, run.spike_step
    assert np.all(np.diff(spikes.time) >= 0.0)
    same = np.flatnonzero(np.diff(spikes.time) == 0.0)
    assert np.all(np.diff(spikes.neuron)[same] > 0)
    assert np.all(spikes.time >= step * dt)
    assert np.all(spikes.time <= np.minimum((step + 1) * dt, case.duration + 1e-9 * dt))
    assert np.all(spikes.slope_before > 0.0)


@usual
@given(case=cases(), dt=STEPS, scheme=schemes(), share=st.integers(1, 9))
def test_a_longer_run_changes_nothing_before(case, dt, scheme, share):
    """To the last bit, voltages and spikes; also where the shorter run ends within a step."""
    run = simulated(case, dt, scheme)
    duration = case.duration * share / 10 + 0.3 * dt
    early = case.samples.times <= duration
    samples = (case.samples.neurons[early], case.samples.times[early])
    short = refsim.simulate(
        case.network, case.inputs, duration, samples=samples, engine=refsim.Grid(dt, scheme=scheme)
    )
    kept = run.spikes.time <= short.duration + 1e-9 * dt
    for ours, theirs in zip(run.spikes[:3], short.spikes[:3], strict=True):
        assert np.array_equal(ours[kept], theirs)
    assert np.array_equal(run.spike_step[kept], short.spike_step)
    released = short.spikes.slope_after != 0.0  # before the shorter run ends
    assert np.array_equal(
        run.spikes.slope_after[kept][released], short.spikes.slope_after[released]
    )
    assert np.array_equal(run.voltages[early], short.voltages)


@usual
@given(case=cases(), dt=STEPS, scheme=schemes())
def test_samples_are_the_voltages_of_the_trace(case, dt, scheme):
    run = simulated(case, dt, scheme, keep_voltages=True)
    assert run.trace().voltage.shape == (case.network.n_neurons, run.n_steps + 1)
    assert np.array_equal(run.trace().time, np.arange(run.n_steps + 1) * dt)
    step = np.rint(case.samples.times / dt).astype(int)
    assert np.array_equal(run.voltages, run.trace().voltage[case.samples.neurons, step])
    assert not run.kept.voltage.flags.writeable


@usual
@given(case=cases(), dt=STEPS, seed=st.integers(0, 9))
def test_the_order_of_synapses_and_inputs_does_not_matter(case, dt, seed):
    rng = np.random.default_rng(seed)
    network, inputs = case.network, case.inputs
    run = simulated(case, dt, GridScheme())
    assume(Twin(case, dt, GridScheme()).run().margin > 1e-12 * scale_of(case))
    rows = rng.permutation(len(network.synapses))
    columns = [getattr(network, c)[rows] for c in ("pre", "post", "weight", "delay", "port")]
    given_rows = rng.permutation(len(inputs))
    again = refsim.simulate(
        network.replace(synapses=refsim.Synapses(*columns)),
        refsim.SpikeTrain(inputs.times[given_rows], inputs.sources[given_rows], inputs.n_inputs),
        case.duration,
        engine=refsim.Grid(dt),
    )
    assert np.array_equal(run.spike_step, again.spike_step)
    assert np.array_equal(run.spikes.neuron, again.spikes.neuron)
    assert run.counts.arrivals == again.counts.arrivals


def chain(delay, **parameters):
    """An input channel drives one neuron."""
    synapses = refsim.connect([1], [0], [8.0], delay)
    return refsim.Network(1, synapses, n_inputs=1, ports=refsim.ExpPort(5.0), **parameters)


@given(steps=st.integers(0, 40), time=decimals(0.0, 5.0), latency=st.integers(0, 3))
def test_delays_of_whole_steps_and_latency(steps, time, latency):
    """A delay of so many steps moves the trace by so many steps, to the last bit."""
    dt = 0.125
    inputs = refsim.SpikeTrain([time], [0], 1)

    def trace(delay, **rules):
        return (
            refsim.simulate(
                chain(delay),
                inputs,
                20.0,
                engine=refsim.Grid(dt, scheme=GridScheme(**rules), keep_voltages=True),
            )
            .trace()
            .voltage[0]
        )

    moved = trace(steps * dt, latency=latency)
    ahead = steps + latency
    assert np.array_equal(moved[ahead:], trace(0.0)[: len(moved) - ahead])
    assert np.all(moved[:ahead] == 0.0)


@pytest.mark.parametrize("spike_time", SPIKE_TIMES)
@pytest.mark.parametrize("delay", [0.0, 0.04])
def test_a_spike_acts_in_the_step_after_it_at_the_earliest(spike_time, delay):
    """A delay below a step rounds to the step of the spike, which is over."""
    network = refsim.Network(2, refsim.connect([0], [1], [1.0], delay), i_ext=[3.0, 0.0])
    scheme = GridScheme(spike_time=spike_time)
    run = refsim.simulate(
        network, None, 10.0, engine=refsim.Grid(0.1, scheme=scheme, keep_voltages=True)
    )
    assert run.counts.arrivals == 1
    step = run.spike_step[0]
    late = int(spike_time == "linear" and run.spikes.time[0] + delay > (step + 1.5) * 0.1)
    assert np.all(run.trace().voltage[1, : step + 2 + late] == 0.0)
    assert run.trace().voltage[1, step + 2 + late] > 0.0


def test_the_last_step_keeps_its_spikes_although_times_are_rounded():
    """3 * 0.1 is above 0.3: the spike at the end of the third step is one at the end of the run."""
    network = refsim.Network(1, tau_m=1.0, i_ext=1.0 / (1.0 - np.exp(-0.25)))
    run = refsim.simulate(
        network, None, 0.3, engine=refsim.Grid(0.1, scheme=GridScheme(spike_time="end"))
    )
    assert run.n_steps == 3
    assert run.spike_step.tolist() == [2]
    assert run.spikes.time[0] == 3 * 0.1 > 0.3


def test_hold_keeps_the_voltage_above_threshold_for_one_step():
    network = refsim.Network(1, tau_m=10.0, i_ext=3.0, t_ref=0.3)
    held = refsim.simulate(
        network,
        None,
        10.0,
        engine=refsim.Grid(0.1, scheme=GridScheme(hold=True), keep_voltages=True),
    )
    plain = refsim.simulate(network, None, 10.0, engine=refsim.Grid(0.1, keep_voltages=True))
    step = held.spike_step[0]
    assert step == plain.spike_step[0]
    assert held.trace().voltage[0, step + 1] >= 1.0 > held.trace().voltage[0, step]
    assert np.all(held.trace().voltage[0, step + 2 : step + 6] == 0.0)
    assert held.trace().voltage[0, step + 6] > 0.0
    assert np.all(plain.trace().voltage[0, step + 1 : step + 5] == 0.0)
    assert plain.trace().voltage[0, step + 5] > 0.0


def test_runaway_activity_stops_with_a_partial_result():
    network = refsim.Network(3, i_ext=[50.0, 60.0, 70.0])
    whole = refsim.simulate(network, None, 20.0, max_spikes=10_000, engine=refsim.Grid(0.1))
    with pytest.raises(refsim.SpikeLimitError, match="max_spikes is 20") as caught:
        refsim.simulate(
            network,
            None,
            20.0,
            samples=([0, 1], [0.5, 20.0]),
            max_spikes=20,
            engine=refsim.Grid(0.1),
        )
    partial = caught.value.partial
    assert np.array_equal(partial.spikes.time, whole.spikes.time[:20])
    assert partial.duration == partial.spikes.time[-1]
    assert not np.isnan(partial.voltages[0])
    assert np.isnan(partial.voltages[1])
    count = len(whole.spikes.time)
    assert (
        len(
            refsim.simulate(
                network, None, 20.0, max_spikes=count, engine=refsim.Grid(0.1)
            ).spikes.time
        )
        == count
    )


def test_long_delays_short_runs_and_many_spikes_find_room():
    synapses = refsim.connect([0, 0, 0], [1, 1, 1], [9.0, 9.0, 9.0], [1e9, 30.0, 0.05])
    network = refsim.Network(2, synapses, i_ext=[300.0, 0.0])
    run = refsim.simulate(network, None, 60.0, engine=refsim.Grid(0.05))
    assert len(run.spikes.time) > 600
    assert run.spikes.neuron.max() == 1


BAD = [
    ({"dt": None}, TypeError, "dt is None; expected real numbers"),
    ({"dt": 0.0}, ValueError, "dt is 0.0; expected > 0"),
    ({"dt": -0.1}, ValueError, "dt is -0.1"),
    ({"dt": np.nan}, ValueError, "dt is nan; expected a finite number"),
    ({"dt": np.inf}, ValueError, "dt is inf; expected a finite number"),
    ({"dt": "x"}, TypeError, "dt is 'x'"),
    ({"dt": [0.1, 0.2]}, ValueError, r"dt has shape \(2,\)"),
    ({"dt": 1e-300}, ValueError, "expected a step"),
    ({"dt": 1e-9}, ValueError, "expected a step that gives at most 1e"),
    ({"duration": None}, TypeError, "duration is None"),
    ({"duration": 0.0}, ValueError, "duration is 0.0"),
    ({"scheme": "euler"}, TypeError, "scheme is 'euler'; expected GridScheme"),
    ({"scheme": GridScheme("euler"), "dt": 3.0}, ValueError, "time constant of 1.5 ms"),
    ({"samples": ([0], [21.0])}, ValueError, "samples"),
    ({"samples": ([9], [1.0])}, ValueError, "samples"),
    ({"inputs": [1.0]}, TypeError, "inputs is a list"),
    ({"max_spikes": 0}, ValueError, "max_spikes is 0"),
    ({"keep_voltages": 1}, TypeError, "keep_voltages is 1; expected True or False"),
    ({"network": None}, TypeError, "network is a NoneType"),
]


@pytest.mark.parametrize(("changes", "error", "message"), BAD, ids=lambda value: str(value)[:40])
def test_bad_input(changes, error, message):
    case = two_ports()
    options = {"network": case.network, "inputs": case.inputs, "duration": 20.0}
    rules = {"dt": 0.1} | {k: changes[k] for k in ("dt", "scheme", "keep_voltages") if k in changes}
    changes = {k: value for k, value in changes.items() if k not in rules}
    with pytest.raises(error, match=message) as caught:
        refsim.simulate(**(options | changes), engine=refsim.Grid(**rules))
    assert isinstance(caught.value, refsim.RefsimError)


def test_delays_of_too_many_steps_are_refused():
    with pytest.raises(refsim.InvalidValueError, match="delays up to 1e\\+06 ms"):
        refsim.simulate(chain(1e6), None, 1e6, engine=refsim.Grid(1e-2))


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"membrane": "Euler"}, "membrane is 'Euler'; expected one of 'exact', 'exponential'"),
        ({"spike_time": None}, "spike_time is None"),
        ({"receive": 1}, "receive is 1"),
        ({"reset": "hard"}, "reset is 'hard'"),
        ({"steepness": 0.0}, "steepness is 0.0"),
        ({"steepness": np.nan}, "steepness is nan"),
        ({"hold": 1}, "hold is 1; expected True or False"),
        ({"latency": -1}, "latency is -1"),
        ({"latency": 0.5}, "latency is 0.5"),
    ],
)
def test_bad_rules(rules, message):
    with pytest.raises(refsim.RefsimError, match=message):
        GridScheme(**rules)


def test_presets():
    assert GridScheme() == GridScheme("exact", "linear", "full", "exact", 1.0, False, 0)
    adseq = GridScheme.adseq(reset="none")
    assert (adseq.membrane, adseq.spike_time, adseq.receive) == ("euler_current", "end", "current")
    assert (adseq.reset, adseq.hold, adseq.latency) == ("none", True, 1)


def test_results_are_read_only_and_print():
    case = two_ports()
    run = refsim.simulate(
        case.network, case.inputs, 20.0, samples=([0], [1.0]), engine=refsim.Grid(0.1)
    )
    for array in (*run.spikes, run.voltages):
        assert not array.flags.writeable
    assert "steps of 0.1 ms" in repr(run)
    assert run.n_spikes == run.counts.spikes == len(run.spikes.time)
    assert np.array_equal(run.rates() * 0.02, list(map(len, run.by_neuron())))
    assert (run.engine, run.engine_reason) == ("grid", "it was asked for")
    with pytest.raises(refsim.InvalidValueError, match=r"engine=Grid\(dt, keep_voltages=True\)"):
        run.trace()
    assert sum(map(len, run.by_neuron())) == len(run.spikes.time)
