"""What happens at one time: arrivals, spikes and releases of a neuron, with their tangents.

All engines call these rules on states of their own layout. Their adjoints (``_vjp``) are in
`refsim.models.lif.adjoint`. Engines that take all arrivals of a window at once have the rule of an
arrival and the flow up to the end of the window in one; tests/adjoint/test_rules.py holds those
against the rules here.
"""

from queues.compiled.jit import inner_kernel, kernel


@kernel
def arrive(model, p, weight, x):
    """Let a spike arrive at port ``p``."""
    x[model.ports.first[p]] += weight


@kernel
def arrive_jvp(model, n, p, weight, weight_dot, t_dot, x_dot):
    """Change the tangents ``x_dot`` by an arrival; return what that of a free voltage loses.

    A later arrival by ``t_dot`` leaves the state short of what the new spike would have done in
    that time: it has not decayed, and not acted on the next stage, or else on the voltage.
    """
    i = model.ports.first[p]
    late = weight * t_dot
    x_dot[i] += weight_dot + model.ports.rate[i] * late
    if model.ports.order[p] == 2:
        x_dot[i + 1] -= model.ports.gain[p] * late
        return 0.0
    return model.neurons.rate[n] * late


@inner_kernel
def fire(model, n, t):
    """Return the voltage after a spike at ``t``, and the end of refractoriness."""
    return model.neurons.v_reset[n], t + model.neurons.t_ref[n]


@inner_kernel
def later_by(short, slope):
    """Return by how much a crossing with this slope comes later if the voltage is ``short`` of it.

    It is a factor, and so its own transpose: tangents and adjoints of spike times pass by it. Where
    nothing passes, a crossing without slope does no harm.
    """
    return short / slope if short != 0.0 else 0.0


@inner_kernel
def release_jvp(dot, n, slope, release_dot):
    """Return the tangent of the voltage of neuron ``n`` that leaves its reset with a slope.

    ``dot`` has the tangents of the neurons' parameters, ``release_dot`` is that of the time.
    """
    return dot.v_reset[n] - slope * release_dot
