r"""The next upward threshold crossing of a neuron without arrivals, found with certainty.

The voltage is a sum of exponentials. Consider the chain of functions

    f_0 = V - v_th,    f_1 = V',    f_2 = V'' + rate V',    f_{j+1} = f_j' + rate_j f_j  (j >= 2),

where each step removes one exponential: f_2 depends on the synaptic states alone, through a linear
functional computed once for the network, and the last member is a single exponential, which has no
root. Since e^{rate_j t} f_j is monotone wherever f_{j+1} keeps its sign, f_j has at most one root
between neighbouring roots of f_{j+1}. Going up the chain, the roots of f_1 cut the interval into
pieces where V is monotone, and a crossing is seen from the signs at the ends of a piece. (The
argument is that of Rolle's theorem, or of Descartes' rule for sums of exponentials: G. Polya and
G. Szego, Problems and Theorems in Analysis II, part V, problem 77.) Nothing is sampled, and no
tolerance decides whether there is a spike; roots are refined to the last bit.

A voltage that touches the threshold from below without exceeding it does not cross.

A search begins below the threshold, however close: what reached it before has fired. Where the
voltage is on the threshold all the same it was less than rounding below, and its first derivative
that does not vanish decides whether it crosses at once. So it is after a long silence with the
drive on the threshold, when an arrival leaves V' = 0 and V'' > 0.
"""

import math

import numpy as np

from queues.compiled.jit import kernel
from refsim.models.lif.bound import MARGIN, stays_below
from refsim.models.lif.exponentials import convolve2
from refsim.models.lif.flow import flow_excursion, flow_voltage, slope
from refsim.types import Scratch

_SOONEST = 1e-60  # membrane time constants, before which a root is now
_MOST_NEWTON = 100  # steps; from the wrong side of a flat root they halve the distance


def scratch(n_states: int) -> Scratch:
    """Return room for the search in a model of ``n_states`` synaptic states."""
    return Scratch(
        current=np.zeros(n_states),
        current_tangent=np.zeros(n_states),
        roots=np.zeros(n_states + 2),
        roots_next=np.zeros(n_states + 2),
    )


@kernel
def _member(model, n, v, x, j, dt):
    """Return member ``j`` of the chain of neuron ``n`` after ``dt``."""
    if j == 0:
        return flow_voltage(model, n, v, x, dt) - model.neurons.v_th[n]
    ports = model.ports
    total = 0.0
    if j == 1:
        # From the distance to the drive: a large drive would swallow the sign of V'.
        total = -flow_excursion(model, n, v - model.neurons.drive[n], x, dt)
    for p in range(ports.first.shape[0]):
        i = ports.first[p]
        r = ports.rate[i]
        decayed = x[i] * math.exp(-r * dt)
        last = decayed
        if ports.order[p] == 2:
            s = ports.rate[i + 1]
            last = x[i + 1] * math.exp(-s * dt) + ports.gain[p] * x[i] * convolve2(r, s, dt)
        if j == 1:
            total += last
        else:
            total += model.chain.weight[j - 2, i] * decayed
            if ports.order[p] == 2:
                total += model.chain.weight[j - 2, i + 1] * last
    return model.neurons.rate[n] * total


@kernel
def _member_rate(model, n, j):
    """Return the rate that leads from member ``j`` to the next."""
    if j == 0:
        return 0.0
    if j == 1:
        return model.neurons.rate[n]
    return model.chain.rate[j - 2]


@kernel
def _is_positive_at_first(model, n, v, x, j):
    """Return the sign of member ``j`` just after now: of the first member that does not vanish."""
    for i in range(j, x.shape[0] + 2):
        f = _member(model, n, v, x, i, 0.0)
        if f != 0.0:
            return f > 0.0
    return False


@kernel
def _root(model, n, v, x, j, low, high, rising):
    """Return the root of member ``j`` between ``low`` and ``high``, where it changes sign once.

    Newton's method, kept inside a shrinking bracket by bisection, which alone goes on if that takes
    long. It ends when a step no longer changes the last bit, or when the bracket has no number
    inside.
    """
    rate = _member_rate(model, n, j)
    t = 0.5 * (low + high)
    looks = np.int64(0)
    while low < t < high and high > _SOONEST / model.neurons.rate[n]:
        looks += 1
        f = _member(model, n, v, x, j, t)
        f_next = _member(model, n, v, x, j + 1, t)
        if f == 0.0 and f_next != 0.0:
            return t
        # Where both have underflowed it is too late.
        if f == 0.0 or (f > 0.0) == rising:
            high = t
        else:
            low = t
        derivative = f_next - rate * f
        middle = 0.5 * (low + high)
        if abs(f) >= abs(derivative) * (high - low) or looks > _MOST_NEWTON:
            t = middle
            continue
        following = t - f / derivative
        if following == t:
            return t
        t = following if low < following < high else middle
    return high


@kernel
def _shortest_scale(model, n):
    """Return half of the shortest time constant that neuron ``n`` has."""
    rate = model.neurons.rate[n]
    for i in range(model.ports.rate.shape[0]):
        rate = max(rate, model.ports.rate[i])
    return 0.5 / rate


@kernel
def _root_between(model, n, v, x, j, low, high, positive):
    """Return the root of member ``j`` between two neighbouring roots of the next one, or -1.

    ``positive`` says what it is just after ``low``. Far out a member is smaller than its rounding
    error or underflows, and its sign there says nothing. So the interval is searched from its near
    end in steps that double.
    """
    step = _shortest_scale(model, n)
    near = low
    while near < high:
        far = min(near + step, high)
        if (_member(model, n, v, x, j, far) > 0.0) != positive:
            return _root(model, n, v, x, j, near, far, not positive)
        near = far
        step = 2.0 * step
    return -1.0


@kernel
def _roots(model, n, v, x, j, edges, n_edges, roots):
    """Write the roots of member ``j`` before the horizon to ``roots`` and return their number.

    ``edges`` holds the ``n_edges`` roots of member ``j + 1`` in order, then the horizon; and so
    does ``roots`` in the end.
    """
    found = np.int64(0)
    low = 0.0
    positive = _is_positive_at_first(model, n, v, x, j)
    for k in range(n_edges + 1):
        high = edges[k]
        if k > 0:
            positive = _member(model, n, v, x, j, low) > 0.0
        root = _root_between(model, n, v, x, j, low, high, positive)
        if root >= 0.0:
            roots[found] = root
            found += 1
        low = high
    roots[found] = low
    return found


@kernel
def earliest_crossing(model, n, v, x):
    """Return a time from now before which there is no crossing, inf where there is none at all.

    This costs no exponential, and is what most arrivals need: the next one comes before that time.
    The response of the voltage to the state of a filter with rate r is at most min(1, rate/r)
    times that state, to the first state of a cascade at most gain/r times as much; so the voltage
    stays below a bound. And on its last way up from v it rises no faster than
    rate (drive - v + all that the currents can reach).
    """
    a = model.neurons.rate[n]
    drive = model.neurons.drive[n]
    v_th = model.neurons.v_th[n]
    ports = model.ports
    excitation, reach = 0.0, 0.0
    falling = True
    for p in range(ports.first.shape[0]):
        i = ports.first[p]
        last = i + ports.order[p] - 1
        current = max(x[last], 0.0)
        falling = falling and model.chain.weight[0, i] * x[i] <= 0.0
        if ports.order[p] == 2:
            current += ports.gain[p] / ports.rate[i] * max(x[i], 0.0)
            falling = falling and model.chain.weight[0, last] * x[last] <= 0.0
        reach += current
        excitation += min(1.0, a / ports.rate[last]) * current
    if stays_below(v_th, v, drive, excitation):
        return math.inf
    if falling and slope(model, n, v, x) <= 0.0:
        return math.inf
    steepest = a * (drive - v + reach + MARGIN * (abs(drive) + abs(v) + reach))
    if v >= v_th or steepest <= 0.0:
        return 0.0
    return (1.0 - 1e-9) * ((v_th - v) / steepest)


@kernel
def next_crossing(model, n, v, x, horizon, scratch):
    """Return the time from now to the first upward crossing, inf if none up to ``horizon``."""
    if earliest_crossing(model, n, v, x) > horizon:
        return math.inf
    v_th = model.neurons.v_th[n]
    rising = _is_positive_at_first(model, n, v, x, np.int64(1))
    if v >= v_th and rising:
        return 0.0
    edges = scratch.roots
    roots = scratch.roots_next
    n_edges = np.int64(0)
    edges[0] = horizon
    for j in range(x.shape[0], 0, -1):
        n_edges = _roots(model, n, v, x, j, edges, n_edges, roots)
        edges, roots = roots, edges
    low = 0.0
    f_low = v - v_th
    for k in range(n_edges + 1):
        high = edges[k]
        f_high = _member(model, n, v, x, np.int64(0), high)
        if f_low < 0.0 and f_high > 0.0:
            return _root(model, n, v, x, np.int64(0), low, high, True)
        if rising and f_high > 0.0:
            return low  # the lowest voltage is on the threshold, but for rounding
        low = high
        f_low = f_high
        rising = not rising
    return math.inf
