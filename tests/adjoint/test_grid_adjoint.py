"""Tangents and adjoint of the time-grid engine: each against the other, and against values.

Duality ties the adjoint to the tangents. The tangents are those of the naive twin in its frozen
form, which carries no tangents: by central differences at two steps. Tables of a step are compared
with the matrix exponential.
"""

from dataclasses import replace

import numpy as np
import pytest
from grids import STEPS, schemes
from hypothesis import HealthCheck, assume, given, note, settings, strategies as st
from naive_grid import Twin

import adjoint
import refsim
from adjoint.grid import pieces as grid_pieces
from refsim import GridScheme
from refsim.grid.scheme import MEMBRANES
from validation.case_suite.zoo import balanced, equal_delays, refractory, two_ports
from validation.strategies import cases

TOLERANCE = 1e-12  # of the weight of duality; see there
usual = settings(
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def assume_bounded(case, dt, scheme):
    """Leave out surrogates under which tangents grow a hundredfold without a spike.

    Each step multiplies a tangent by 1 - (V_next - v_reset) g, with g up to 1 per unit of voltage.
    Where the reset is 33 units away, or the voltage far below it, that is -30 or 1.5, and tangents
    grow beyond 1e20 only to cancel.
    """
    if scheme.reset != "surrogate":
        return
    network = case.network
    try:
        run = refsim.simulate(
            network,
            case.inputs,
            case.duration,
            max_spikes=300,
            engine=refsim.Grid(dt, scheme=scheme, keep_voltages=True),
        )
    except refsim.SpikeLimitError:
        assume(False)
    v = run.trace().voltage
    slope = 1.0 / (scheme.steepness * np.abs(v - network.v_th[:, None]) + 1.0) ** 2
    factor = np.abs(1.0 - (v - network.v_reset[:, None]) * slope)
    assume(np.log(np.maximum(factor, 1.0)).sum(axis=1).max() < np.log(100.0))


def differentiated(case, dt, scheme):
    """Simulate a drawn case, with random cotangents; return (simulation, bars, gradient)."""
    try:
        simulation, pullback = adjoint.vjp(
            case.network,
            case.inputs,
            case.duration,
            samples=case.samples,
            max_spikes=300,
            engine=refsim.Grid(dt, scheme=scheme),
        )
    except refsim.SpikeLimitError:
        assume(False)
    rng = np.random.default_rng(len(simulation.spikes.time))
    bars = rng.normal(size=len(simulation.spikes.time)), case.voltage_bar
    try:
        return simulation, bars, pullback(*bars)
    except refsim.UndefinedGradientError:  # sensitivities that leave float64
        assume(False)


def direction_of(gradient, seed):
    """A direction that gives every entry of the gradient a share of comparable size."""
    rng = np.random.default_rng(seed)
    shares = {}
    for name, values in gradient.items():
        size = np.abs(values)
        typical = np.median(size[size > 0]) if np.any(size > 0) else 1.0
        shares[name] = rng.normal(size=len(values)) / np.maximum(size, typical)
    return shares


def duality_error(case, dt, scheme, seed=0):
    """Return |<a, J v> - <J^T a, v>| over the sum of the sizes of all that is added up.

    Both sides divide by the change of the voltage in the step of a spike, which has a relative
    rounding error of eps times voltage over change; so the weight has this factor.
    """
    simulation, bars, gradient = differentiated(case, dt, scheme)
    direction = direction_of(gradient, seed)
    again, dot = adjoint.jvp(
        case.network,
        case.inputs,
        case.duration,
        direction,
        samples=case.samples,
        engine=refsim.Grid(dt, scheme=scheme),
    )
    for ours, theirs in zip(simulation.spikes, again.spikes, strict=True):
        assert np.array_equal(ours, theirs)  # tangents change no bit of the values
    assert np.array_equal(simulation.voltages, again.voltages)
    forward = np.concatenate([bars[0] * dot.time, bars[1] * dot.voltage])
    backward = np.concatenate([values * direction[name] for name, values in gradient.items()])
    network, spikes = case.network, simulation.spikes
    size = np.abs(network.v_th) + np.abs(network.v_rest + network.i_ext) + np.abs(network.v_reset)
    condition = 1.0 + size[spikes.neuron] / (spikes.slope_before * dt)
    weight = np.abs(forward).sum() + np.abs(backward).sum()
    weight *= condition.max(initial=1.0)
    return abs(forward.sum() - backward.sum()) / weight if weight else 0.0


@settings(usual, max_examples=100)
@given(case=cases(min_spikes=1), dt=STEPS, scheme=schemes(), seed=st.integers(0, 3))
def test_duality(case, dt, scheme, seed):
    assume_bounded(case, dt, scheme)
    assert duality_error(case, dt, scheme, seed) <= TOLERANCE


@pytest.mark.parametrize("scheme", [GridScheme(), GridScheme.adseq()], ids=["default", "adseq"])
@pytest.mark.parametrize("make", [two_ports, refractory, balanced, equal_delays])
def test_duality_of_the_zoo(make, scheme):
    """Well conditioned: to 1e-13 although errors of thousands of steps add up."""
    assert duality_error(make(), 0.05, scheme) <= 1e-13


def frozen_quotients(twin, past, direction, h):
    """Central difference of times and voltages along a direction, spikes by (neuron, step)."""
    ends = []
    for sign in (1.0, -1.0):
        moved = {
            name: values + sign * h * direction[name] for name, values in twin.parameters.items()
        }
        run = twin.run(moved, past)
        keys = [(i, step) for _, i, step, _ in sorted(past.spikes)]
        times = [run.time["spike", i, step] for i, step in keys]
        ends.append(np.array(times + [run.samples[k] for k in range(len(twin.samples))]))
    return (ends[0] - ends[1]) / (2.0 * h)


@settings(usual, max_examples=30)
@given(
    case=cases(max_neurons=3, max_spikes=20, min_spikes=1),
    dt=st.sampled_from([0.25, 0.4, 0.125]),
    scheme=schemes(),
)
def test_tangents_are_those_of_the_frozen_twin(case, dt, scheme):
    """Difference quotients at h, h/2: the extrapolated one, to the distance of the better from it.

    That distance is about the error of the better one, so far above that of the extrapolated one.
    The rest is rounding, eps times voltages, times what a perturbation grows by, which is about the
    largest tangent A, over h = 1e-3/A; some 50 times that for the steps in which it adds up.
    """
    assume_bounded(case, dt, scheme)
    try:
        simulation = refsim.simulate(
            case.network,
            case.inputs,
            case.duration,
            samples=case.samples,
            max_spikes=100,
            engine=refsim.Grid(dt, scheme=scheme),
        )
    except refsim.SpikeLimitError:
        assume(False)
    twin = Twin(case, dt, scheme)
    past = twin.run()
    keys = [(i, step) for _, i, step, _ in past.spikes]
    assume(keys == list(zip(simulation.spikes.neuron, simulation.spike_step, strict=True)))
    rng = np.random.default_rng(len(keys))
    direction = {
        name: rng.normal(size=len(values)) * (np.abs(values) if name in ("tau_m", "tau") else 1.0)
        for name, values in twin.parameters.items()
    }
    dot = adjoint.jvp(
        case.network,
        case.inputs,
        case.duration,
        direction,
        samples=case.samples,
        engine=refsim.Grid(dt, scheme=scheme),
    )[1]
    found = np.concatenate([dot.time, dot.voltage])
    largest = np.abs(found).max(initial=1.0)
    assume(largest < 1e4)
    h = 1e-3 / largest  # so that no time or voltage moves by more than 1e-3
    coarse, fine = (frozen_quotients(twin, past, direction, step) for step in (h, h / 2.0))
    best = (4.0 * fine - coarse) / 3.0
    noise = 1e-11 * (1.0 + np.abs(case.network.v_rest).max()) * largest**2
    assume(np.all(np.abs(best - fine) <= 1e-3 * largest))
    note(f"{found} {best}")
    assert np.all(np.abs(found - best) <= np.abs(best - fine) + noise + 1e-7 * largest)


@pytest.mark.parametrize("membrane", MEMBRANES)
def test_every_group_has_its_own_tangent(membrane):
    """One group at a time, in networks that are smooth enough for seven digits."""
    for given_case in (two_ports(), refractory()) if membrane == "exact" else (two_ports(),):
        case = replace(given_case, duration=25.0, samples=refsim.Samples([0, 3], [9.0, 25.0]))
        voltage_bar = [1.0, -2.0]
        scheme = GridScheme(membrane)
        twin = Twin(case, 0.2, scheme)
        past = twin.run()
        gradient = adjoint.vjp(
            case.network,
            case.inputs,
            case.duration,
            samples=case.samples,
            engine=refsim.Grid(0.2, scheme=scheme),
        )[1](1.0, voltage_bar)
        bars = np.concatenate([np.ones(len(past.spikes)), voltage_bar])
        for name, values in gradient.items():
            zeros = {key: np.zeros(len(v)) for key, v in twin.parameters.items()}
            direction = zeros | {name: np.sign(values)}
            size = np.abs(values).sum()
            h = 1e-3 / size
            a, b = (frozen_quotients(twin, past, direction, k * h) @ bars for k in (1.0, 0.5))
            assert abs((4.0 * b - a) / 3.0 - size) <= 1e-7 * size, (case.name, name)


@settings(usual, max_examples=20)
@given(case=cases(min_spikes=1), dt=STEPS, scheme=schemes())
def test_the_gradient_is_linear_and_repeatable(case, dt, scheme):
    try:
        pullback = adjoint.vjp(
            case.network,
            case.inputs,
            case.duration,
            samples=case.samples,
            max_spikes=300,
            engine=refsim.Grid(dt, scheme=scheme),
        )[1]
        first, doubled = pullback(1.0, case.voltage_bar), pullback(2.0, 2.0 * case.voltage_bar)
    except (refsim.SpikeLimitError, refsim.UndefinedGradientError):
        assume(False)
    again = pullback(1.0, case.voltage_bar)
    for name, values in first.items():
        assert np.array_equal(values, getattr(again, name))
        assert np.array_equal(2.0 * values, getattr(doubled, name))
    assert list(dict(pullback(1.0, wrt="delay").items())) == ["delay"]


@pytest.mark.parametrize("scheme", [GridScheme(), GridScheme.adseq()], ids=["default", "adseq"])
@pytest.mark.parametrize("make", [two_ports, refractory, balanced])
@pytest.mark.parametrize("rows", [1, 7, 100])
def test_pieces_change_no_bit(make, scheme, rows, monkeypatch):
    """A pass that simulates again from snapshots finds what one over a whole record finds."""
    case = make()
    arguments = (case.network, case.inputs, 30.0)
    grid = refsim.Grid(0.1, scheme)
    samples = ([0, 1, 2], [3.0, 17.0, 30.0])
    whole, pullback = adjoint.vjp(*arguments, samples=samples, engine=grid)
    expected = pullback(1.0, 1.0)
    monkeypatch.setattr(grid_pieces, "_RECORDED", rows * whole.network.n_neurons * 2)
    monkeypatch.setattr(grid_pieces.math, "isqrt", lambda _: rows)
    simulation, pullback = adjoint.vjp(*arguments, samples=samples, engine=grid)
    assert np.array_equal(simulation.spikes.time, whole.spikes.time)
    assert np.array_equal(simulation.voltages, whole.voltages)
    for _ in range(2):
        for name, values in pullback(1.0, 1.0).items():
            assert np.array_equal(values, getattr(expected, name)), name


def test_pieces_know_of_releases_in_other_pieces_and_at_the_end(monkeypatch):
    """Refractoriness that ends pieces after its spike, and in the very last half step."""
    network = refsim.Network(1, i_ext=3.0, tau_m=10.0, t_ref=2.5)
    step = int(refsim.simulate(network, None, 30.0, engine=refsim.Grid(0.1)).spike_step[3])
    end = (step + 1 + 25) * 0.1
    whole, pullback = adjoint.vjp(network, None, end, samples=([0], [end]), engine=refsim.Grid(0.1))
    assert whole.n_steps == step + 26
    expected = pullback(1.0, 5.0)
    monkeypatch.setattr(grid_pieces, "_RECORDED", 14)
    monkeypatch.setattr(grid_pieces.math, "isqrt", lambda _: 7)
    pullback = adjoint.vjp(network, None, end, samples=([0], [end]), engine=refsim.Grid(0.1))[1]
    for _ in range(3):
        for name, values in pullback(1.0, 5.0).items():
            assert np.array_equal(values, getattr(expected, name)), name


@settings(usual, max_examples=20)
@given(case=cases(min_spikes=1), dt=STEPS, scheme=schemes(), share=st.integers(3, 9))
def test_a_longer_run_has_the_same_gradient(case, dt, scheme, share):
    """Samples at the end of the shorter run know of releases and arrivals in that very step."""
    steps = round(case.duration / dt * share / 10)
    duration = steps * dt
    samples = (np.arange(case.network.n_neurons), np.full(case.network.n_neurons, duration))
    gradients = []
    for end in (duration, duration + 3.0):
        try:
            simulation, pullback = adjoint.vjp(
                case.network,
                case.inputs,
                end,
                samples=samples,
                max_spikes=300,
                engine=refsim.Grid(dt, scheme=scheme),
            )
            early = simulation.spike_step < steps
            gradients.append(pullback(early.astype(float), 1.0))
        except (refsim.SpikeLimitError, refsim.UndefinedGradientError):
            assume(False)
    short, long = gradients
    for name, values in short.items():
        assert np.allclose(values, getattr(long, name), rtol=1e-12, atol=1e-300), name


def test_bad_cotangents_and_directions():
    case = two_ports()
    simulation, pullback = adjoint.vjp(case.network, case.inputs, 20.0, engine=refsim.Grid(0.1))
    count = len(simulation.spikes.time)
    with pytest.raises(refsim.InvalidValueError, match=f"expected \\({count},\\)"):
        pullback(np.ones(count + 1))
    with pytest.raises(refsim.InvalidValueError, match="voltage_bar"):
        pullback(1.0, [1.0, 2.0])
    with pytest.raises(refsim.InvalidValueError, match="wrt"):
        pullback(1.0, wrt="mass")
    with pytest.raises(refsim.InvalidTypeError, match="tangents has the key 'mass'"):
        adjoint.jvp(case.network, case.inputs, 20.0, {"mass": 1.0}, engine=refsim.Grid(0.1))
    with pytest.raises(
        refsim.InvalidValueError, match=r"adjoint_queue is 'heap', and engine is Grid"
    ):
        adjoint.vjp(case.network, case.inputs, 20.0, adjoint_queue="heap", engine=refsim.Grid(0.1))
    with pytest.raises(refsim.SpikeLimitError) as caught:
        adjoint.vjp(case.network, case.inputs, 60.0, max_spikes=3, engine=refsim.Grid(0.1))
    assert len(caught.value.partial.spikes.time) == 3
    assert "GridPullback of <GridSimulation" in repr(pullback)
