"""Neurons that decide by small distances: drives at the threshold, silences, currents that cancel.

Nothing here is ill-conditioned in the given numbers: whether such a neuron fires, and when, follows
from distances that these determine to all digits. A simulator that holds V in float64 loses them.
"""

from __future__ import annotations

import math

import numpy as np

from refsim.cases import Case, make_case
from refsim.network.connect import connect
from refsim.network.inputs import SpikeTrain
from refsim.network.network import Network
from refsim.network.ports import DoubleExpPort, ExpPort, Port
from refsim.network.synapses import Synapses
from refsim.validate import integer
from validation.strategies.network import DrawFn, SearchStrategy, decimals, st

__all__ = ["near_threshold"]

# Excess of the drive over the threshold, as a share of the distance from rest to threshold.
_BESIDE = [0.0, 1e-15, 1e-14, 1e-12, 1e-10, 1e-8, 1e-6, 1e-3]
_FAR_BEYOND = [1e3, 1e5, 1e7, 1e9]
_SILENCES = [0.0, 1.0, 10.0, 40.0, 200.0, 1000.0]  # time constants of the membrane
_MOST_SILENCE = 30_000.0  # ms
_LONG = [200.0, 1e3, 1e5, 1e9]  # ms, of membranes beside which windows are short
_APART = 0.02  # relative distance of all time constants, where the closed form is a sum
_FEW = 8  # spikes that a drive far beyond the threshold causes


def near_threshold(max_neurons: int = 2, max_arrivals: int = 4) -> SearchStrategy[Case]:
    """Return a strategy for cases of neurons next to the threshold, without recurrence.

    Drives lie at the threshold, one unit in the last place beside it, 1e-15 to 1e-3 beside it, well
    below, or up to 1e9 times as far beyond it as it is from rest. Arrivals come after silences of
    up to 1000 time constants; some come at two ports at once, and cancel.

    Parameters
    ----------
    max_neurons : int
        Most neurons; one more does nothing, but a synapse to it decides how long windows are.
    max_arrivals : int
        Most arrivals at a neuron.

    Returns
    -------
    SearchStrategy of Case
        Without samples; cotangents are 1.
    """
    integer("max_neurons", max_neurons, 1)
    integer("max_arrivals", max_arrivals, 0)
    return _near_threshold(max_neurons, max_arrivals)


@st.composite
def _ports(draw: DrawFn) -> list[Port]:
    """Draw one or two ports, whose time constants are apart."""
    chosen: list[Port] = []
    for k in range(draw(st.integers(1, 2))):
        low = 1.0 + 6.0 * k
        rise = draw(decimals(low, low + 1.0))
        if draw(st.booleans()):
            chosen.append(ExpPort(rise))
        else:
            decay = draw(decimals(low + 2.0, low + 4.0))
            chosen.append(DoubleExpPort(*draw(st.permutations([rise, decay]))))
    return chosen


def _apart(tau: float, ports: list[Port]) -> float:
    """Return a time constant that is apart from those of the ports."""
    for known in sorted(t for port in ports for t in port.time_constants):
        if abs(tau - known) < _APART * known:
            tau = known * (1.0 + 1.5 * _APART)
    return tau


@st.composite
def _neuron(draw: DrawFn, ports: list[Port]) -> tuple[dict[str, float], float]:
    """Draw the parameters of a neuron, and for how long it should be simulated in ms."""
    rest, v_th = draw(st.sampled_from([(0.0, 1.0), (-65.0, -50.0), (-65.1, -49.8), (0.0, 1e-3)]))
    tau_m = draw(decimals(1.0, 30.0) | st.sampled_from(_LONG))
    own = {"tau_m": _apart(tau_m, ports), "v_rest": rest, "v_th": v_th}
    own["t_ref"] = draw(st.sampled_from([0.0, 0.0, 2.0]))
    own["v_reset"] = draw(st.sampled_from([rest, rest, rest - 0.5, rest + 0.6 * (v_th - rest)]))
    own["v0"] = draw(st.sampled_from([rest, rest, v_th - 1e-9 * (v_th - rest)]))
    gap = v_th - rest
    way = draw(st.sampled_from(["at", "ulp", "beside", "beside", "beyond", "below"]))
    duration = draw(st.sampled_from(_SILENCES)) * own["tau_m"]
    if way == "at":
        own["i_ext"] = gap
    elif way == "ulp":
        own["i_ext"] = math.nextafter(gap, draw(st.sampled_from([-math.inf, math.inf])))
    elif way == "beside":
        sign = draw(st.sampled_from([1.0, -1.0]))
        own["i_ext"] = gap * (1.0 + sign * draw(st.sampled_from(_BESIDE)))
    elif way == "beyond":
        drive = draw(st.sampled_from(_FAR_BEYOND))
        own["i_ext"] = gap * drive
        share = (v_th - min(own["v_reset"], rest)) / gap
        duration = draw(st.integers(1, _FEW)) * (own["t_ref"] + own["tau_m"] * share / drive)
    else:
        own["i_ext"] = gap * draw(st.sampled_from([0.0, 0.9, -5.0, -1e4, -1e9]))
    if way in ("ulp", "beside"):
        duration = min(duration, 200.0 * own["tau_m"])  # which keeps spikes few
    return own, min(duration, _MOST_SILENCE)


def _response(tau_m: float, port: Port) -> float:
    """Return the peak of the voltage after an arrival of weight 1, to about a half."""
    longest = max(port.time_constants)
    return 0.5 * longest / (longest + tau_m)


@st.composite
def _arrivals(
    draw: DrawFn, n: int, own: dict[str, float], ports: list[Port], silence: float, most: int
) -> list[tuple[float, int, int, float]]:
    """Draw (time, neuron, port, weight) of arrivals from the end of a silence on."""
    rows = []
    time = silence * draw(st.sampled_from([1.0, 1.0, 0.3]))
    for _ in range(draw(st.integers(0, most))):
        p = draw(st.integers(0, len(ports) - 1))
        size = draw(st.sampled_from([0.05, 0.8, 2.0, 5.0])) * draw(
            st.sampled_from([1.0, 1.0, -1.0])
        )
        weight = size * (own["v_th"] - own["v_rest"]) / _response(own["tau_m"], ports[p])
        rows.append((time, n, p, weight))
        if len(ports) == 2 and draw(st.integers(0, 2)) == 0:
            rows.append((time, n, 1 - p, -weight))
        time += draw(st.sampled_from([0.0, 0.5, 3.0, 10.0]))
    return rows


@st.composite
def _near_threshold(draw: DrawFn, max_neurons: int, max_arrivals: int) -> Case:
    ports = draw(_ports())
    n = draw(st.integers(1, max_neurons))
    drawn = [draw(_neuron(ports)) for _ in range(n)]
    silence = min(duration for _, duration in drawn)
    rows = [
        row
        for i, (own, _) in enumerate(drawn)
        for row in draw(_arrivals(i, own, ports, silence, max_arrivals))
    ]
    idle = {"tau_m": drawn[0][0]["tau_m"], "v_rest": 0.0, "v_th": 1.0, "v_reset": 0.0}
    idle |= {"v0": 0.0, "i_ext": 0.0, "t_ref": 0.0}
    columns = [*(own for own, _ in drawn), idle]
    parameters = {name: np.array([own[name] for own in columns]) for name in idle}
    delay = draw(st.sampled_from([0.05, 0.5, 4.0]))
    joined = [connect(0, n, weight=0.0, delay=delay)]
    if rows:
        targets, of_ports = [row[1] for row in rows], [row[2] for row in rows]
        channels = np.arange(len(rows)) + n + 1
        weights = [row[3] for row in rows]
        joined.append(Synapses(channels, targets, weights, np.full(len(rows), delay), of_ports))
    network = Network(n + 1, joined, n_inputs=len(rows), ports=ports, **parameters)
    inputs = SpikeTrain([row[0] for row in rows], np.arange(len(rows)), len(rows))
    last = max([silence, *(row[0] for row in rows)])
    longest = max(tau for port in ports for tau in port.time_constants)
    is_short = any(own["i_ext"] > 100.0 * (own["v_th"] - own["v_rest"]) for own, _ in drawn)
    duration = silence if is_short else last + delay + 4.0 * longest
    return make_case("near threshold", network, inputs, max(duration, 1e-9))
