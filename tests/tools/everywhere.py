"""Simulation by every engine at once: what the event engine finds, the others have to find too.

Batches give the same bits, windows the same to rounding. Windows are left out where an option
chooses the engine, where a network does not suit them, and where spikes hang on rounding.
"""

import warnings

import numpy as np

import adjoint
import refsim
from refsim.windows.plan import obstacle, window_tables
from validation import tolerances

_OF_EVENTS = ("engine", "queue", "dt", "keep_state", "progress")
_MOST_WINDOWS = 1e6  # so that a test stays short
_FLATTEST = 1e-5  # slope, against the way from reset to threshold in a membrane time constant


def _outcome(function):
    """Return what a simulation has found, or the partial result at its limit of spikes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", refsim.IllConditionedWarning)
        try:
            return function(), False
        except refsim.SpikeLimitError as error:
            return error.partial, True


def _hangs_on_rounding(run):
    """Return whether another rounding may give other spikes."""
    scale = (run.network.v_th - run.network.v_reset) / run.network.tau_m
    is_flat = run.spikes.slope_before < _FLATTEST * scale[run.spikes.neuron]
    is_at_the_end = run.spikes.time > (1.0 - 1e-13) * run.duration
    return run.conditioning.has_ties or bool((is_flat | is_at_the_end).any())


def _check_batch(network, inputs, duration, samples, limit, found, is_cut):
    one = None if inputs is None else [inputs]
    read = None if samples is None else [samples]
    options = {} if limit is None else {"max_spikes": limit}
    batch, cut_too = _outcome(
        lambda: refsim.simulate_batch(
            network,
            one or [refsim.SpikeTrain.empty(network.n_inputs)],
            duration,
            samples=read,
            **options,
        )
    )
    assert cut_too == is_cut
    assert batch[0].spikes.time.tolist() == found.spikes.time.tolist()
    assert batch[0].spikes.neuron.tolist() == found.spikes.neuron.tolist()
    np.testing.assert_array_equal(batch[0].voltages, found.voltages)


def _check_windows(network, inputs, duration, samples, limit, found, is_cut):
    options = {} if limit is None else {"max_spikes": limit}
    other, cut_too = _outcome(
        lambda: refsim.simulate(
            network, inputs, duration, samples=samples, **options, engine=refsim.Windows()
        )
    )
    assert cut_too == is_cut
    assert other.spikes.neuron.tolist() == found.spikes.neuron.tolist()
    time, rounding = found.spikes.time, tolerances.time_rounding(found)
    rounding = 16.0 * (rounding + tolerances.EPS * time) * (1.0 + np.arange(len(time)))
    assert np.all(np.abs(other.spikes.time - time) <= rounding)


def check_everywhere(network, inputs, duration, found, is_cut=False, samples=None, limit=None):
    """Check that batches and windows give what the event engine has ``found``."""
    inputs = inputs if network.n_inputs else None
    _check_batch(network, inputs, duration, samples, limit, found, is_cut)
    suits = obstacle(network, duration) is None and not _hangs_on_rounding(found)
    if suits and duration / window_tables(network).length < _MOST_WINDOWS:
        _check_windows(network, inputs, duration, samples, limit, found, is_cut)


def simulate(network, inputs=None, duration=None, **options):
    """Do what :func:`refsim.simulate` does, and check the other engines."""
    found, is_cut = _outcome(lambda: refsim.simulate(network, inputs, duration, **options))
    if not any(name in options for name in _OF_EVENTS):
        samples, limit = options.get("samples"), options.get("max_spikes")
        check_everywhere(network, inputs, duration, found, is_cut, samples, limit)
    if is_cut:
        return refsim.simulate(network, inputs, duration, **options)  # raises
    return found


def vjp(network, inputs=None, duration=None, **options):
    """Do what :func:`adjoint.vjp` does, and check the spikes of the other engines."""
    simulation, pullback = adjoint.vjp(network, inputs, duration, **options)
    if not any(name in options for name in _OF_EVENTS):
        samples, limit = options.get("samples"), options.get("max_spikes")
        check_everywhere(network, inputs, duration, simulation, False, samples, limit)
    return simulation, pullback
