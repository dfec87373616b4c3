"""Where a voltage turns between two events, found with the certainty of a crossing."""

import numpy as np

from queues.compiled.jit import kernel
from refsim.models.lif.crossing import _roots


@kernel
def turning_points(model, n, v, x, horizon, scratch):
    """Return how often V' vanishes within ``horizon`` from now, and the times, in order.

    See `refsim.models.lif.crossing`: they are the roots of f_1. The array is one of ``scratch``.
    """
    edges = scratch.roots
    roots = scratch.roots_next
    found = np.int64(0)
    edges[0] = horizon
    for j in range(x.shape[0], 0, -1):
        found = _roots(model, n, v, x, j, edges, found, roots)
        edges, roots = roots, edges
    return found, edges
