"""What windows without events do to neurons, in tables."""

from __future__ import annotations

import math

import numpy as np

from queues.compiled.jit import kernel
from refsim.models import lif as neuron
from refsim.models.lif.exponentials import convolve2
from refsim.models.lif.response import MOST_CLASSES
from refsim.types import Float, Model
from refsim.windows.types import Propagator

_MOST_WINDOWS = 255  # over which a sleeping neuron is advanced by a table


def propagator(model: Model, length: float) -> Propagator:
    """Return what 0, 1, 2, ... windows of ``length`` ms do to a neuron of each class."""
    rate, members, kind = np.unique(model.neurons.rate, return_index=True, return_inverse=True)
    size = 1 + (_MOST_WINDOWS if len(rate) <= MOST_CLASSES else 1)
    n_states = len(model.ports.rate)
    table = Propagator(
        kind=kind.astype(np.int64),
        decay=np.zeros((len(rate), size)),
        leak=np.zeros((len(rate), size)),
        lift=np.zeros((len(rate), size, n_states)),
        fade=np.zeros((size, n_states)),
        loss=-np.expm1(-model.ports.rate * length),
        feed=np.zeros((size, n_states)),
        reach=_reach(model, rate),
    )
    _fill(model, members.astype(np.int64), length, table, np.zeros(n_states))
    return table


def _reach(model: Model, rate: Float) -> Float:
    """Return a bound of the voltage for a state of 1, by class."""
    ports = model.ports
    last = np.arange(len(ports.rate))
    factor = np.ones(len(ports.rate))
    for p in np.flatnonzero(ports.order == 2):
        i = ports.first[p]
        last[i] = i + 1
        factor[i] = ports.gain[p] / ports.rate[i]
    return factor * np.minimum(1.0, rate[:, None] / ports.rate[last])


@kernel
def _fill(model, members, length, table, x):
    """Write the tables; ``members`` has a neuron of each class, ``x`` is a state of zeros."""
    for m in range(table.fade.shape[0]):
        dt = m * length
        for c in range(members.shape[0]):
            table.decay[c, m] = neuron.flow_excursion(model, members[c], 1.0, x, dt)
            table.leak[c, m] = -math.expm1(-model.neurons.rate[members[c]] * dt)
            for k in range(x.shape[0]):
                x[k] = 1.0
                table.lift[c, m, k] = neuron.flow_excursion(model, members[c], 0.0, x, dt)
                x[k] = 0.0
        for p in range(model.ports.first.shape[0]):
            i = model.ports.first[p]
            for k in range(i, i + model.ports.order[p]):
                table.fade[m, k] = math.exp(-model.ports.rate[k] * dt)
            if model.ports.order[p] == 2 and m > 0:
                r, s = model.ports.rate[i], model.ports.rate[i + 1]
                table.feed[m, i] = model.ports.gain[p] * convolve2(r, s, dt)
