"""Cases whose numbers others have published or agreed on; see also tests/refsim/test_literature.py.

Time constants, weights and times as there, in ms; where a published number has more digits than a
float64 it is cut to those.
"""

from __future__ import annotations

from validation.case_suite.document import Document, channel, document, exp

IN = channel(0)


def _initial_current(tau_m: float, weight: float, duration: float, v0: float = 0.0) -> Document:
    return document(
        exp(), [(0.0, 0)], [(IN, 0, weight, 0.0)], duration, tau_m=tau_m, v_th=0.6, v0=v0
    )


def jaxsnn_two_to_one() -> Document:
    """First spike of an initial current, time constants 2:1 (tests of jaxsnn)."""
    return _initial_current(10.0, 3.0, 4.0)


def jaxsnn_one_to_one() -> Document:
    """First spike of an initial current, equal time constants (tests of jaxsnn)."""
    return _initial_current(5.0, 3.0, 2.0)


def jaxsnn_silent() -> Document:
    """An initial current and voltage that just do not reach the threshold (tests of jaxsnn)."""
    return _initial_current(10.0, 1.368, 50.0, v0=0.239)


def _brief_excursion(picoampere: float) -> Document:
    weight = picoampere * 100.0 / 250.0
    v0 = 20.999019801326693
    return document(
        exp(1.0),
        [(0.0, 0)],
        [(IN, 0, weight, 0.0)],
        5.0,
        tau_m=100.0,
        v_th=21.0,
        v0=v0,
        samples=[(0, 1.0)],
    )


def lossless_55() -> Document:
    """A current of 55 pA misses the threshold (Krishnan et al. 2018; NEST)."""
    return _brief_excursion(55.0)


def lossless_70() -> Document:
    """A current of 70 pA: above threshold for a moment only (Krishnan et al. 2018; NEST)."""
    return _brief_excursion(70.0)


def lossless_90() -> Document:
    """A current of 90 pA (Krishnan et al. 2018; NEST)."""
    return _brief_excursion(90.0)


def nest_constant_current() -> Document:
    """A constant current of 1000 pA into 250 pF (NEST, test of accuracy)."""
    return document(exp(1.0), [], [], 6.0, v_th=15.0, i_ext=40.0, samples=[(0, 4.0)])


def eventax_constant_drive() -> Document:
    """The closed form of a constant drive: t = tau_m ln(i/(i - v_th)) (tests of eventax)."""
    return document(exp(), [], [], 20.0, i_ext=1.1, tau_m=8.0)


def no_gradient_from_the_future() -> Document:
    """An input after the spike has no part in its gradient (breaks eventax's EventPropAdjoint)."""
    bars = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    return document(exp(), [(1.0, 0), (12.0, 0)], [(IN, 0, 6.0, 0.0)], 30.0, spike_bars=bars)


def tie_of_identical_neurons() -> Document:
    """Two identical neurons both spike (jaxsnn and spikegd lose one or both)."""
    weights = [2.6, 2.2, 3.0]
    rows = [(channel(c), j, w, 0.0) for c, w in enumerate(weights) for j in range(2)]
    return document(exp(), [(1.0, 0), (3.0, 1), (6.5, 2)], rows, 40.0, n=2)


def feed_forward_of_three_simulators() -> Document:
    """A network on which EventProp, jaxsnn and spikegd agree; 63 spikes."""
    times = [4.527, 5.827, 6.072, 8.751, 9.779, 14.505, 16.149, 17.659, 17.942, 22.147, 22.818]
    lines = [1, 0, 2, 2, 1, 0, 2, 1, 0, 2, 1]
    inward = [[1.528, 2.261, 1.485], [1.726, 1.214, 1.645], [1.326, 1.42, 2.201]]
    outward = [[1.593, 1.879], [2.573, 2.546], [2.215, 1.958]]
    rows = [(channel(c), j, w, 0.0) for c, row in enumerate(inward) for j, w in enumerate(row)]
    rows += [(i, 3 + j, w, 0.0) for i, row in enumerate(outward) for j, w in enumerate(row)]
    inputs = [*zip(times, lines, strict=True), (26.608, 0)]
    return document(exp(), inputs, rows, 60.0, n=5)


def maximum_of_an_integrator() -> Document:
    """A leaky integrator reaches its maximum of 1 at 113.86 ms (tests of EventProp)."""
    samples = [(0, 113.86294361119891), (0, 110.0)]
    rows = [(IN, 0, 4.0, 0.0)]
    return document(exp(10.0), [(100.0, 0)], rows, 150.0, tau_m=20.0, v_th=2.0, samples=samples)


CASES = [
    *(jaxsnn_two_to_one, jaxsnn_one_to_one, jaxsnn_silent, lossless_55, lossless_70, lossless_90),
    *(nest_constant_current, eventax_constant_drive, no_gradient_from_the_future),
    *(tie_of_identical_neurons, feed_forward_of_three_simulators, maximum_of_an_integrator),
]
