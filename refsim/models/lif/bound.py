r"""What a voltage certainly does not exceed: on this rests that no spike is missed.

Without arrivals the voltage goes from v towards its drive, and each synaptic state adds a response
to it: the state times the lift of a unit, which rises to a peak, the *reach*, and falls. So

* for ever the voltage stays below max(v, drive) + sum of max(state, 0) reach;
* for a time in which responses only rise, a window, below max(v, v_end) + sum of max(state, 0)
  lift, where v_end and the lifts are those of its end. Arrivals of the window add at most what
  excites at its end.

A response has one maximum, and V' one change of sign more than there are states that act. With one
state V is below the higher of its two ends but where it rises first and then falls.

Every engine asks one of these questions, in whatever layout its arrays have, and answers it by the
functions of this file; tests/refsim/test_bounds.py holds all of them against mpmath.
"""

from queues.compiled.jit import inner_kernel

# What is compared with a threshold is a sum of products. Each of m terms is rounded by some units
# u = 2^-53 (a response by less than ten), and each addition by u of a partial sum, of which none is
# larger than the sum of the sizes: the error is below (m + 10) u of that size. This is 900 u: for
# hundreds of states, or arrivals of one window at one neuron of which each is not ten times off.
MARGIN = 1e-13


@inner_kernel
def excited(lift, state):
    """Return what a state adds to the voltage at most, if a unit adds ``lift``."""
    return lift * (state if state > 0.0 else 0.0)


@inner_kernel
def stays_below(v_th, v, drive, excitation):
    """Return whether a voltage ``v`` certainly stays below threshold, whenever it is looked at.

    ``excitation`` is the sum of what `excited` returns for the reach of each state.
    """
    highest = (v if v > drive else drive) + excitation
    return highest + MARGIN * (abs(highest) + abs(v) + abs(drive)) < v_th


@inner_kernel
def may_reach(v_th, v, drive, highest, exciting, inhibiting):
    """Return whether a voltage may reach its threshold in a window.

    Without arrivals it stays below ``highest``; they add two sums, of one sign each, by the end.
    """
    size = abs(drive) + abs(v) + abs(highest) + (exciting - inhibiting)
    return highest + exciting + MARGIN * size >= v_th


@inner_kernel
def has_summit(v, drive, x, v_end, x_end):
    """Return whether a voltage with one state, which becomes ``x_end``, rises and then falls."""
    # Without a branch, which could not be foretold; and so in what follows.
    return (drive - v + x > 0.0) & (drive - v_end + x_end < 0.0)


@inner_kernel
def highest_with_one_state(v, drive, x, v_end, x_end, unaided, lift):
    """Return a bound of the voltage up to the end of a window without arrivals.

    At the end it is ``v_end``, of which ``lift`` by the state: without it, it would be ``unaided``.
    """
    summit = (unaided if unaided > v else v) + (lift if lift > 0.0 else 0.0)
    end = v_end if v_end > v else v
    return summit if has_summit(v, drive, x, v_end, x_end) else end


@inner_kernel
def stays_below_its_tangent(below, below_end, slope, dt):
    """Return whether a voltage with one state, ``below`` its threshold, stays so for ``dt``.

    On its way up to a summit it only becomes flatter. There is no margin: the search for a crossing
    rounds the same numbers.
    """
    is_below = (below < 0.0) & (below_end < 0.0)
    return is_below & ((slope <= 0.0) | (below + slope * dt < 0.0))
