r"""The leaky integrate-and-fire neuron in closed form: flow, slope, events, and their tangents.

    V' = rate (drive - V + sum of the port currents)

where voltages are distances from the datum of the neuron (see datum.py). Over a time t without
arrivals, V becomes V e^{-rate t} + drive (1 - e^{-rate t}) + what the currents add: neither a drive
far beyond V nor a V close to the drive loses digits so.

A port is a filter x' = -r x, or a cascade x' = -r x, y' = -s y + gain x whose last stage is the
current. With gain = r exp(log1p(z)/z), z = r/s - 1, the cascade answers a unit arrival with the
difference of exponentials of unit peak, (e^{-st} - e^{-rt})/q, and has no singularity at r = s,
where it is the alpha function.

Arrivals, spikes and releases are rules that all engines call, on states of their own layout; their
adjoints (``_vjp``) are in `refsim.models.lif.adjoint`. Engines that take all arrivals of a window
at once have the rule of an arrival, and the flow up to the end of the window, in one:
tests/adjoint/test_rules.py holds those against the rules here.

Functions act on one neuron: ``v`` is its voltage, ``x`` the row of its synaptic states.
Tangents (suffix ``_jvp``) are taken at fixed time, as in E. Hairer, S. P. Norsett and G. Wanner,
Solving Ordinary Differential Equations I, section I.14.
"""

import math

import numpy as np

from queues.compiled.jit import inner_kernel, kernel
from refsim.models.lif.exponentials import convolve2, convolve3, convolve4


@kernel
def slope(model, n, v, x):
    """Return dV/dt of neuron ``n`` at voltage ``v``."""
    total = model.neurons.drive[n] - v
    ports = model.ports
    for p in range(ports.first.shape[0]):
        total += x[ports.first[p] + ports.order[p] - 1]
    return model.neurons.rate[n] * total


@kernel
def flow_lift(model, n, x, dt):
    """Return what the currents add to the voltage in ``dt``."""
    a = model.neurons.rate[n]
    ports = model.ports
    lift = 0.0
    for p in range(ports.first.shape[0]):
        i = ports.first[p]
        r = ports.rate[i]
        if ports.order[p] == 1:
            lift += a * x[i] * convolve2(a, r, dt)
        else:
            s = ports.rate[i + 1]
            lift += a * x[i + 1] * convolve2(a, s, dt)
            lift += a * ports.gain[p] * x[i] * convolve3(a, r, s, dt)
    return lift


@kernel
def flow_excursion(model, n, u, x, dt):
    """Return the distance of the voltage from the drive after ``dt``; it is ``u`` now."""
    return u * math.exp(-model.neurons.rate[n] * dt) + flow_lift(model, n, x, dt)


@kernel
def flow_voltage(model, n, v, x, dt):
    """Return the voltage after ``dt`` without arrivals."""
    a = model.neurons.rate[n]
    drive = model.neurons.drive[n]
    after = v * math.exp(-a * dt) + flow_lift(model, n, x, dt)
    if drive != 0.0:
        after -= drive * math.expm1(-a * dt)
    return after


@kernel
def flow_current(model, x, dt):
    """Advance the synaptic states by ``dt`` in place."""
    ports = model.ports
    for p in range(ports.first.shape[0]):
        i = ports.first[p]
        r = ports.rate[i]
        if ports.order[p] == 2:
            s = ports.rate[i + 1]
            x[i + 1] = x[i + 1] * math.exp(-s * dt) + ports.gain[p] * x[i] * convolve2(r, s, dt)
        x[i] = x[i] * math.exp(-r * dt)


@kernel
def flow_voltage_jvp(model, dot, n, v, v_dot, x, x_dot, dt):
    """Return the tangent of the voltage after ``dt``."""
    a = model.neurons.rate[n]
    a_dot = dot.neurons.rate[n]
    drive = model.neurons.drive[n]
    drive_dot = dot.neurons.drive[n]
    ports = model.ports
    decay = math.exp(-a * dt)
    out = drive_dot + (v_dot - drive_dot) * decay - a_dot * dt * (v - drive) * decay
    for p in range(ports.first.shape[0]):
        i = ports.first[p]
        r = ports.rate[i]
        r_dot = dot.ports.rate[i]
        scaled = a_dot * x[i] + a * x_dot[i]
        if ports.order[p] == 1:
            out += scaled * convolve2(a, r, dt)
            if a_dot != 0.0 or r_dot != 0.0:
                repeated = a_dot * convolve3(a, a, r, dt) + r_dot * convolve3(a, r, r, dt)
                out -= a * x[i] * repeated
        else:
            out += _cascade_jvp(model, dot, n, p, x, x_dot, dt)
    return out


@kernel
def _cascade_jvp(model, dot, n, p, x, x_dot, dt):
    """Return the part of port ``p``, a cascade of two, in the tangent of the voltage."""
    i = model.ports.first[p]
    a = model.neurons.rate[n]
    a_dot = dot.neurons.rate[n]
    r = model.ports.rate[i]
    r_dot = dot.ports.rate[i]
    s = model.ports.rate[i + 1]
    s_dot = dot.ports.rate[i + 1]
    gain = model.ports.gain[p]
    gain_dot = dot.ports.gain[p]
    scaled = a_dot * gain * x[i] + a * gain_dot * x[i] + a * gain * x_dot[i]
    out = (a_dot * x[i + 1] + a * x_dot[i + 1]) * convolve2(a, s, dt)
    out += scaled * convolve3(a, r, s, dt)
    if a_dot != 0.0 or r_dot != 0.0 or s_dot != 0.0:
        repeated = a_dot * convolve3(a, a, s, dt) + s_dot * convolve3(a, s, s, dt)
        out -= a * x[i + 1] * repeated
        repeated = a_dot * convolve4(a, a, r, s, dt)
        repeated += r_dot * convolve4(a, r, r, s, dt)
        repeated += s_dot * convolve4(a, r, s, s, dt)
        out -= a * gain * x[i] * repeated
    return out


@kernel
def flow_current_jvp(model, dot, x, x_dot, dt):
    """Advance the tangents of the synaptic states by ``dt`` in place; ``x`` is not changed."""
    ports = model.ports
    for p in range(ports.first.shape[0]):
        i = ports.first[p]
        r = ports.rate[i]
        r_dot = dot.ports.rate[i]
        if ports.order[p] == 2:
            s = ports.rate[i + 1]
            s_dot = dot.ports.rate[i + 1]
            gain = ports.gain[p]
            y = (x_dot[i + 1] - s_dot * dt * x[i + 1]) * math.exp(-s * dt)
            y += (dot.ports.gain[p] * x[i] + gain * x_dot[i]) * convolve2(r, s, dt)
            if r_dot != 0.0 or s_dot != 0.0:
                repeated = r_dot * convolve3(r, r, s, dt) + s_dot * convolve3(r, s, s, dt)
                y -= gain * x[i] * repeated
            x_dot[i + 1] = y
        x_dot[i] = (x_dot[i] - r_dot * dt * x[i]) * math.exp(-r * dt)


# What happens at one time --------------------------------------------------------------------


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


# Parameters --------------------------------------------------------------------------------------


def log_ratio(r: float, s: float) -> float:
    """Return log(r/s) without loss where the two are close."""
    z = (r - s) / s
    return math.log1p(z) if abs(z) < 0.5 else math.log(r / s)


def cascade_gain(r: float, s: float) -> float:
    """Return the gain of a cascade of rates ``r``, ``s`` that gives a response of unit peak."""
    z = (r - s) / s
    return r * math.exp(log_ratio(r, s) / z if z != 0.0 else 1.0)


def cascade_gain_derivatives(r: float, s: float) -> tuple[float, float]:
    """Return the derivatives of :func:`cascade_gain` by ``r`` and by ``s``.

    With u = log1p(z)/z, gain = r e^u; du/dz = (1/(1 + z) - u)/z cancels for small z and takes
    its series there: u = sum (-z)^k/(k + 1).
    """
    z = (r - s) / s
    if abs(z) < 0.2:
        u_prime = float(sum(-k * (-z) ** (k - 1) / (k + 1) for k in range(1, 27)))
    else:
        u_prime = (s / r - log_ratio(r, s) / z) / z
    gain = cascade_gain(r, s)
    return gain / r + gain * u_prime / s, -gain * u_prime * r / (s * s)


def chain_arrays(order: np.ndarray, rate: np.ndarray, gain: np.ndarray) -> tuple:
    """Return weights (K, K) and rates (K,) of the chain of functions; see crossing.py."""
    k = len(rate)
    transposed = np.diag(-rate)
    drive = np.zeros(k)
    elimination = []
    i = 0
    for p, stages in enumerate(order):
        drive[i + stages - 1] = 1.0
        if stages == 2:
            transposed[i, i + 1] = gain[p]
        elimination += list(rate[i : i + stages])[::-1]
        i += stages
    weight = np.zeros((k, k))
    member = transposed @ drive
    for j in range(k):
        weight[j] = member
        member = transposed @ member + elimination[j] * member
    return weight, np.array(elimination)
