"""What a time step does to spikes and gradients: the order of errors, and what never converges.

Errors in one run are as good as random, since times are rounded: each is a distance to a grid. So
they are averaged over steps of nearly the same length. The order is the slope of a line through the
logarithms over four halvings.
"""

import numpy as np
import pytest

import adjoint
import refsim
from refsim import GridScheme
from refsim.grid.scheme import MEMBRANES
from validation.comparison.backend import nth_of_neuron

JITTER = 1.0 + np.arange(24) / 96.0  # steps of nearly the same length


def smooth_case():
    """Three neurons in a row, with every kind of port, refractoriness and 14 spikes."""
    synapses = refsim.connect(
        [3, 3, 0, 0, 1, 1],
        [0, 0, 1, 1, 2, 2],
        [3.7, 1.2, 4.4, 1.0, 3.8, -1.3],
        [0.7, 2.3, 1.1, 3.7, 0.4, 2.9],
        [0, 1, 0, 1, 0, 0],
    )
    network = refsim.Network(
        3,
        synapses,
        n_inputs=1,
        ports=(refsim.ExpPort(4.0), refsim.DoubleExpPort(1.5, 6.0)),
        tau_m=[9.0, 12.0, 10.0],
        v_reset=[-0.2, 0.1, -0.4],
        i_ext=[0.1, 0.0, 0.2],
        t_ref=[1.3, 0.0, 2.1],
        v0=[0.3, 0.1, -0.1],
    )
    inputs = refsim.SpikeTrain([1.37, 13.11, 26.9], [0, 0, 0], 1)
    samples = ([0, 1, 2, 0], [7.7, 15.3, 30.3, 27.9])
    return network, inputs, 40.0, samples


@pytest.fixture(scope="module")
def exact():
    """Spikes and voltages without a time step, cotangents, and the gradient."""
    network, inputs, duration, samples = smooth_case()
    simulation, pullback = adjoint.vjp(network, inputs, duration, samples=samples)
    rng = np.random.default_rng(0)
    bars = rng.uniform(0.5, 1.5, len(simulation.spikes.time)), rng.uniform(0.5, 1.5, 4)
    return simulation, bars, pullback(*bars)


def errors_at(dt, scheme, exact):
    """Return the errors of one run by group, relative to the largest entry, or None.

    None stands for a run with other numbers of spikes.
    """
    reference, bars, expected = exact
    network, inputs, duration, samples = smooth_case()
    run, pullback = adjoint.vjp(
        network, inputs, duration, samples=samples, engine=refsim.Grid(dt, scheme=scheme)
    )
    counts = [np.bincount(r.spikes.neuron, minlength=3) for r in (run, reference)]
    if not np.array_equal(*counts):
        return None
    keys = [np.lexsort((nth_of_neuron(r.spikes.neuron), r.spikes.neuron)) for r in (run, reference)]
    time_bar = np.zeros(len(bars[0]))
    time_bar[keys[0]] = bars[0][keys[1]]
    gradient = pullback(time_bar, bars[1])
    found = {
        "spike times": np.sqrt(
            np.mean((run.spikes.time[keys[0]] - reference.spikes.time[keys[1]]) ** 2)
        )
    }
    found["voltages"] = np.sqrt(np.mean((run.voltages - reference.voltages) ** 2))
    for name, values in expected.items():
        found[name] = np.abs(getattr(gradient, name) - values).max() / np.abs(values).max()
    return found


def mean_errors(dt, scheme, exact):
    """Root mean squares of the errors by group, over steps of about this length."""
    found = [errors_at(dt * jitter, scheme, exact) for jitter in JITTER]
    assert None not in found
    return {name: np.sqrt(np.mean([e[name] ** 2 for e in found])) for name in found[0]}


def orders(scheme, exact, dt=0.01):
    """Order of convergence by group, and the errors at the shortest step."""
    steps = [mean_errors(dt / 2.0**k, scheme, exact) for k in range(5)]
    slopes = {
        name: -np.polyfit(range(5), [np.log2(errors[name]) for errors in steps], 1)[0]
        for name in steps[0]
    }
    return slopes, steps[-1]


CONVERGENT = [
    *(GridScheme(membrane) for membrane in MEMBRANES),
    GridScheme(spike_time="start"),
    GridScheme(spike_time="end"),
    GridScheme(hold=True),
    GridScheme(latency=1),
    GridScheme("euler_current", "end", hold=True, latency=1),
]
DEFECTIVE = [
    GridScheme(receive="current"),
    GridScheme(reset="surrogate"),
    GridScheme(reset="surrogate", steepness=100.0),
    GridScheme(reset="none"),
    GridScheme.adseq(),
    GridScheme.adseq(reset="exact"),
]


def label(scheme):
    changed = [v for k, v in vars(scheme).items() if v != getattr(GridScheme(), k)]
    return "-".join(map(str, changed)) or "default"


@pytest.mark.parametrize("scheme", CONVERGENT, ids=label)
def test_spikes_and_gradients_converge_at_first_order(scheme, exact):
    """Orders seen are 0.9 to 1.1: an average of 24 random errors is off by some 15 percent."""
    slopes, errors = orders(scheme, exact)
    assert all(0.85 < slope < 1.15 for slope in slopes.values()), slopes
    assert max(errors.values()) < 0.01


@pytest.mark.parametrize("scheme", DEFECTIVE, ids=label)
def test_gradients_of_defective_rules_do_not_converge(scheme, exact):
    """Spikes do, gradients by every group are wrong by more than a tenth at any step."""
    slopes, errors = orders(scheme, exact)
    for name in exact[2].__dict__:
        assert errors[name] > 0.1, name
        assert abs(slopes[name]) < 0.1, name
    assert 0.85 < slopes["spike times"] < 1.15


def by_delay(receive, dt, port=None, after=1.0):
    """Return dV/d(delay) some ms after an arrival at 3.1 ms, beside the exact one."""
    network = refsim.Network(
        1,
        refsim.connect([1], [0], [1.0], 2.1),
        n_inputs=1,
        ports=port or refsim.ExpPort(2.0),
        tau_m=10.0,
    )
    inputs, samples = refsim.SpikeTrain([1.0], [0], 1), ([0], [3.1 + after])
    scheme = GridScheme(receive=receive)
    on_grid = adjoint.vjp(
        network, inputs, 20.0, samples=samples, engine=refsim.Grid(dt, scheme=scheme)
    )[1]
    without = adjoint.vjp(network, inputs, 20.0, samples=samples)[1]
    return on_grid(voltage_bar=1.0).delay[0], without(voltage_bar=1.0).delay[0]


@pytest.mark.parametrize("dt", [0.1, 0.01, 0.001])
def test_what_receive_forgets_has_the_wrong_sign_and_stays(dt):
    """dV/d(delay) lacks -w/tau_m e^(-x/tau_m); here arrival and sample lie on the grid."""
    full, exact = by_delay("full", dt)
    assert abs(full - exact) < 1e-12
    wrong, _ = by_delay("current", dt)
    assert exact < 0.0 < wrong
    assert abs(wrong - exact - np.exp(-0.1) / 10.0) < 1e-12


def test_a_kernel_that_begins_at_zero_forgets_nothing():
    port = refsim.DoubleExpPort(0.5, 2.0)
    full, exact = by_delay("full", 0.1, port)
    assert full == by_delay("current", 0.1, port)[0]
    assert abs(full - exact) < 1e-12


def test_a_chain_passes_a_delay_on_with_derivative_one_only_if_all_is_received():
    synapses = refsim.connect([2, 0], [0, 1], [8.0, 8.0], [1.0, 2.0])
    network = refsim.Network(2, synapses, n_inputs=1, ports=refsim.ExpPort(2.0), tau_m=10.0)
    inputs = refsim.SpikeTrain([1.0], [0], 1)

    def derivative(receive):
        run, pullback = adjoint.vjp(
            network, inputs, 15.0, engine=refsim.Grid(0.001, scheme=GridScheme(receive=receive))
        )
        return pullback((run.spikes.neuron == 1).astype(float)).delay

    assert (np.abs(derivative("full") - 1.0) < 0.01).all()
    assert derivative("current")[1] < -0.5
