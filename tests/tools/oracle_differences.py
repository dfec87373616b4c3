"""Gradients of the oracle by central differences, entry by entry: nothing of an adjoint is used."""

from fractions import Fraction

from refsim.network.parameters import BOUNDED, NAMES
from validation.oracle.check import PatternChangedError, matched, weighed_loss
from validation.oracle.events import run_model
from validation.oracle.model import GUARD, check_model, read_model, real, require_mpmath


def loss(case, run):
    """Cotangents times spike times plus sample cotangents times voltages."""
    return weighed_loss(case, run.spike_times, run.voltages, run.digits)


def gradient(case, entries=None, digits=50, step=None):
    """Differentiate `loss` by central differences at high precision.

    Parameters
    ----------
    case : mapping
        As for `simulate`, with ``cotangent`` and, where it has samples, theirs.
    entries : mapping of str to iterable of int, optional
        The entries wanted, by group; all by default.
    digits : int
        Digits of each simulation. The gradient is good to about two thirds as many.
    step : number or str, optional
        Step relative to ``max(1, |x|)``; ``10^-(digits/3)`` by default, where truncation and
        rounding balance.

    Returns
    -------
    dict
        By group, a list of all derivatives, or with `entries` a dictionary of index to derivative.
        ``tau`` counts the time constants of the ports in order, rise before decay.

    Raises
    ------
    PatternChangedError
        If a neuron spikes more or less often after a step, or an event passes a sample of its
        neuron whichever way the step goes.

    Notes
    -----
    A delay, a refractory time or an input time of zero cannot be made smaller. Its derivative is
    the one from the right, ``(-3 L(0) + 4 L(h) - L(2h)) / 2h``, also of second order. So it is
    where a sample coincides with an event of its neuron, with a step of the sign that leaves the
    event before the sample.
    """
    mp = require_mpmath()
    model = read_model(case)
    base = run_model(model, digits)
    relative = Fraction(1, 10 ** (digits // 3)) if step is None else Fraction(str(step))
    wanted = {group: range(len(model.values[group])) for group in NAMES}
    chosen = wanted if entries is None else entries

    def shifted_loss(group, index, shift):
        run = run_model(shifted(model, group, index, shift), digits)
        return weighed_loss(case, matched(base, run, f"{group}[{index}]"), run.voltages, digits)

    def to_one_side(group, index, h):
        once, twice = (shifted_loss(group, index, k * h) for k in (1, 2))
        return (4 * once - twice - 3 * loss(case, base)) / (2 * real(h))

    def central(group, index, h):
        right, left = (shifted_loss(group, index, k * h) for k in (1, -1))
        return (right - left) / (2 * real(h))

    def derivative(group, index):
        value = model.values[group][index]
        h = relative * max(Fraction(1), abs(value))
        if group in BOUNDED and value < h:
            return to_one_side(group, index, h)
        try:
            return central(group, index, h)
        except PatternChangedError:
            if len(base.before) == 0:
                raise
        try:
            return to_one_side(group, index, h)
        except PatternChangedError:
            return to_one_side(group, index, -h)

    with mp.workdps(digits + GUARD):
        table = {group: {i: derivative(group, i) for i in chosen[group]} for group in chosen}
    if entries is not None:
        return dict(table)
    return {group: list(column.values()) for group, column in table.items()}


def shifted(model, group, index, shift):
    """Copy a model with one number changed."""
    column = list(model.values[group])
    column[index] += shift
    changed = model._replace(values={**model.values, group: column})
    check_model(changed)
    return changed
