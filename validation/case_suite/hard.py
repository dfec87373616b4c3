"""Cases that are numerically hard: equal and nearly equal time constants, grazing, coincidences."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from validation.case_suite.document import Document, channel, document, double_exp, exp

IN, IN2, IN3 = channel(0), channel(1), channel(2)
NEAR = {"1e-3": 0.001, "1e-6": 1e-6, "1e-9": 1e-9, "1e-12": 1e-12}
# With time constants of 10 and 5 ms an initial current of 4 W makes V = 4 W x (1 - x) with
# x = e^{-t/10}, whose summit is W. A threshold of W - 1 is crossed with a slope of 0.2 sqrt(W), or
# of 0.2/sqrt(W) in thresholds per ms. All these numbers are integers, exact in any arithmetic.
SUMMITS = {"1e-2": 400, "1e-3": 40_000, "1e-4": 4_000_000, "1e-5": 4 * 10**8, "1e-6": 4 * 10**10}


def _membrane_and_current(near: float) -> Document:
    inputs = [(1.0, 0), (2.5, 0), (8.0, 0)]
    tau = round(8.0 * (1.0 + near), 13)
    rows = [(IN, 0, 3.5, 0.5), (0, 1, 3.25, 1.0)]
    return document(exp(tau), inputs, rows, 40.0, n=2, tau_m=8.0, samples=[(1, 30.0)])


def tau_equal() -> Document:
    """The time constants of membrane and current are equal."""
    return _membrane_and_current(0.0)


def tau_near(distance: str) -> Document:
    """The time constants of membrane and current differ by a relative {}."""
    return _membrane_and_current(NEAR[distance])


def _rise_and_decay(near: float) -> Document:
    inputs = [(1.0, 0), (2.5, 0), (8.0, 0)]
    port = double_exp(4.0, round(4.0 * (1.0 + near), 13))
    rows = [(IN, 0, 1.6, 0.5), (0, 1, 2.5, 1.0)]
    return document(port, inputs, rows, 40.0, n=2, samples=[(1, 30.0)])


def alpha() -> Document:
    """Rise and decay are equal: an alpha function."""
    return _rise_and_decay(0.0)


def alpha_near(distance: str) -> Document:
    """Rise and decay differ by a relative {}."""
    return _rise_and_decay(NEAR[distance])


def all_equal() -> Document:
    """Membrane, rise and decay are all equal, and so is an exponential port."""
    rows = [(IN, 0, 2.25, 0.5, 0), (IN, 0, 0.5, 0.75, 1), (0, 1, 3.25, 1.0, 1)]
    inputs = [(1.0, 0), (2.5, 0), (8.0, 0)]
    return document([double_exp(6.0, 6.0), exp(6.0)], inputs, rows, 40.0, n=2, tau_m=6.0)


def all_near() -> Document:
    """Membrane, rise and decay differ by relative 1e-6 and 1e-9, two membranes by 1e-4."""
    rows = [(IN, 0, 2.25, 0.5, 0), (IN, 0, 0.5, 0.75, 1), (0, 1, 3.25, 1.0, 1)]
    inputs = [(1.0, 0), (2.5, 0), (8.0, 0)]
    ports = [double_exp(6.000006, 6.000000006), exp(6.0)]
    return document(ports, inputs, rows, 40.0, n=2, tau_m=[6.0, 6.0006])


def time_constants_far_apart() -> Document:
    """Time constants from 0.01 ms to 1 s at one neuron."""
    rows = [(IN, 0, 60.0, 0.5, 0), (IN, 0, 0.75, 0.5, 1)]
    inputs = [(1.0, 0), (2.0, 0), (3.5, 0), (9.0, 0)]
    ports = [exp(0.01), double_exp(0.125, 1000.0)]
    return document(ports, inputs, rows, 20.0, samples=[(0, 15.0)], tau_m=12.0)


def graze(slope: str) -> Document:
    """A crossing with a slope of {} thresholds per ms, just below the summit."""
    w = SUMMITS[slope]
    return document(exp(), [(0.0, 0)], [(IN, 0, 4 * w, 0.0)], 7.5, v_th=w - 1)


def near_miss() -> Document:
    """A summit that stays below threshold by a relative 2.5e-11: no spike."""
    w = SUMMITS["1e-6"]
    samples = [(0, 7.0), (0, 20.0)]
    return document(exp(), [(0.0, 0)], [(IN, 0, 4 * w, 0.0)], 30.0, v_th=w + 1, samples=samples)


def graze_handed_on() -> Document:
    """A crossing with slope 1e-3 drives two more neurons, whose spikes inherit its uncertainty."""
    w = SUMMITS["1e-3"]
    rows = [(IN, 0, 4 * w, 0.0), (0, 1, 6 * w, 1.0), (0, 2, 7 * w, 0.5), (1, 2, 3 * w, 0.25)]
    return document(exp(), [(0.0, 0)], rows, 18.0, n=3, v_th=w - 1)


def graze_after_a_reset() -> Document:
    """The second spike grazes: what is left of the current is hardly enough."""
    return document(exp(), [(1.0, 0)], [(IN, 0, 7.1516, 0.5)], 20.0, v_reset=-0.5)


def graze_double_exp() -> Document:
    """A double exponential response crosses just below its summit."""
    return document(double_exp(2.0, 8.0), [(1.0, 0)], [(IN, 0, 1.984123, 0.5)], 30.0)


def burst() -> Document:
    """One strong input makes a burst of spikes, from less than 0.2 ms to more than 3 ms apart."""
    return document(exp(), [(1.0, 0)], [(IN, 0, 60.0, 0.5)], 30.0)


def burst_refractory() -> Document:
    """A burst that refractoriness of 1 ms spreads out."""
    return document(exp(), [(1.0, 0)], [(IN, 0, 60.0, 0.5)], 30.0, t_ref=1.0)


def bursts_answered() -> Document:
    """Two neurons answer each other's bursts with inhibition, without delay."""
    rows = [(IN, 0, 30.0, 0.5), (IN, 1, 24.0, 1.0), (0, 1, -1.5, 0.0), (1, 0, -2.0, 0.0)]
    return document(exp(), [(1.0, 0), (12.0, 0)], rows, 30.0, n=2)


def simultaneous_inputs() -> Document:
    """Input spikes of three channels at one time, over equal and other delays and ports."""
    rows = [(IN, 0, 2.0, 0.5, 0), (IN2, 0, 1.5, 0.5, 0), (IN3, 0, 1.0, 0.5, 1), (IN, 1, 4.5, 0.75)]
    inputs = [(2.0, 0), (2.0, 1), (2.0, 2), (2.0, 0), (7.0, 2), (7.0, 1)]
    return document([exp(), double_exp(1.0, 4.0)], inputs, rows, 30.0, n=2, samples=[(0, 25.0)])


def inputs_at_time_zero() -> Document:
    """Input spikes at time 0, over delays of 0 and of 1 ms; derivatives from the right."""
    rows = [(IN, 0, 3.0, 0.0), (IN2, 0, 2.0, 0.0), (IN, 1, 6.0, 1.0)]
    inputs = [(0.0, 0), (0.0, 1), (5.0, 0)]
    return document(exp(), inputs, rows, 25.0, n=2, v0=[0.25, 0.0])


def same_moment_from_two_sources() -> Document:
    """Arrivals from different channels, over different delays, at the same moment."""
    rows = [(IN, 0, 2.5, 2.5), (IN2, 0, 3.0, 1.0), (IN, 1, 5.0, 0.5)]
    return document(exp(), [(1.0, 0), (2.5, 1), (9.0, 0), (10.5, 1)], rows, 25.0, n=2)


def twins() -> Document:
    """Two equal neurons spike at the same times and drive a third over equal delays."""
    rows = [(IN, i, 6.0, 0.5) for i in range(2)] + [(i, 2, 4.0, 1.5) for i in range(2)]
    return document(exp(), [(1.0, 0), (4.0, 0)], rows, 30.0, n=3)


def twins_out_of_order() -> Document:
    """Equal neurons 0 and 2 and, in between, an unlike one: ties are broken by number."""
    rows = [(IN, i, 6.0, 0.5) for i in range(3)] + [(2, 1, 2.0, 1.0), (0, 1, -1.0, 1.0)]
    return document(exp(), [(1.0, 0), (4.0, 0)], rows, 30.0, n=3, v_th=[1.0, 1.25, 1.0])


def twins_inhibit_at_once() -> Document:
    """Equal neurons inhibit each other without delay: both spike first. Spikes only."""
    rows = [(IN, i, 6.0, 0.5) for i in range(2)] + [(0, 1, -3.0, 0.0), (1, 0, -3.0, 0.0)]
    return document(exp(), [(1.0, 0), (8.0, 0)], rows, 30.0, n=2)


def arrival_at_the_release() -> Document:
    """Equal neurons excite each other after just their refractory time. Spikes only."""
    rows = [(IN, i, 6.0, 0.5) for i in range(2)] + [(0, 1, 4.0, 2.0), (1, 0, 4.0, 2.0)]
    return document(exp(), [(1.0, 0)], rows, 12.0, n=2, t_ref=2.0)


def autapse_without_delay() -> Document:
    """A neuron inhibits itself without delay: the arrival comes after the reset. Spikes only."""
    rows = [(IN, 0, 12.0, 0.5), (0, 0, -1.5, 0.0)]
    return document(exp(), [(1.0, 0), (8.0, 0)], rows, 30.0)


def order_of_equal_arrivals() -> Document:
    """Of ten arrivals at one time that excite and inhibit, none makes a spike on its own."""
    rows = [(channel(k), 0, 30.0 if k % 2 else -29.0, 1.0) for k in range(10)]
    inputs = [(3.0, k) for k in range(10)]
    return document(exp(), inputs, rows, 20.0, samples=[(0, 10.0)])


FAMILIES: list[tuple[Callable[[str], Document], Iterable[str]]] = [
    (tau_near, NEAR),
    (alpha_near, NEAR),
    (graze, SUMMITS),
]
CASES = [
    *(tau_equal, alpha, all_equal, all_near, time_constants_far_apart, near_miss),
    *(graze_handed_on, graze_after_a_reset, graze_double_exp, burst, burst_refractory),
    *(bursts_answered, simultaneous_inputs, inputs_at_time_zero, same_moment_from_two_sources),
    *(twins, twins_out_of_order, twins_inhibit_at_once, arrival_at_the_release),
    *(autapse_without_delay, order_of_equal_arrivals),
]


def members() -> list[tuple[str, partial[Document], str]]:
    """Return (name, builder, description) of the members of families."""
    return [
        (f"{family.__name__}_{key}", partial(family, key), str(family.__doc__).format(key))
        for family, keys in FAMILIES
        for key in keys
    ]
