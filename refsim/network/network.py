"""Networks of LIF neurons: immutable, validated, and laid out for the kernels on first use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from refsim.errors import InvalidTypeError, InvalidValueError
from refsim.models.lif.datum import Datum, above, datum_of, level_of
from refsim.network.parameters import OF_NEURONS, PARAMETERS
from refsim.network.ports import DoubleExpPort, ExpPort, Port
from refsim.network.synapses import Synapses, check_sources
from refsim.types import ChainArrays, Model, NeuronArrays, PortArrays, Rows, Wiring
from refsim.validate import MOST, ReadOnlyArrays, check_indices, integer, shown, vector

if TYPE_CHECKING:
    from refsim.network.synapses import PackedSynapses

AnySynapses: TypeAlias = "Synapses | PackedSynapses | Sequence[Synapses]"

_MOST_DIGITS = 200  # of the product of the rates of all ports
_SYNAPSE_FIELDS = tuple(field.name for field in fields(Synapses))
_DEFAULT_PORT = ExpPort(5.0)


@dataclass(frozen=True, eq=False, init=False)
class Network(ReadOnlyArrays):
    """A network of leaky integrate-and-fire neurons with delayed synapses.

    Between spikes, tau_m V' = -(V - v_rest) + i_ext + sum of the port currents. When V crosses
    ``v_th`` from below the neuron spikes, and V is held at ``v_reset`` for ``t_ref``.

    Parameters
    ----------
    n_neurons : int
        Number of neurons n, at least one.
    synapses : Synapses, sequence of Synapses, or PackedSynapses
        Synapses from neurons (sources 0 to n - 1) and input channels (n to n + n_inputs - 1).
    n_inputs : int
        Number of input channels.
    ports : sequence of ExpPort and DoubleExpPort
        Ports that every neuron has, at least one.
    tau_m : (n,) float
        Membrane time constants in ms. Each parameter of the neurons may also be one number.
    v_rest, v_th : (n,) float
        Resting potential and threshold, in the unit of the voltage.
    v_reset, v0 : (n,) float, optional
        Voltage after a spike and at time 0, both below ``v_th``; ``v_rest`` if not given.
    i_ext : (n,) float
        Constant current, in the unit of the voltage.
    t_ref : (n,) float
        Refractory time in ms.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        If a parameter is outside its domain; the message names it.
    """

    n_neurons: int
    synapses: Synapses | PackedSynapses
    n_inputs: int
    ports: tuple[Port, ...]
    tau_m: NDArray[np.float64]
    v_rest: NDArray[np.float64]
    v_th: NDArray[np.float64]
    v_reset: NDArray[np.float64]
    i_ext: NDArray[np.float64]
    t_ref: NDArray[np.float64]
    v0: NDArray[np.float64]

    def __init__(
        self,
        n_neurons: int,
        synapses: AnySynapses = (),
        n_inputs: int = 0,
        ports: Port | Sequence[Port] = _DEFAULT_PORT,
        tau_m: ArrayLike = 20.0,
        v_rest: ArrayLike = 0.0,
        v_th: ArrayLike = 1.0,
        v_reset: ArrayLike | None = None,
        i_ext: ArrayLike = 0.0,
        t_ref: ArrayLike = 0.0,
        v0: ArrayLike | None = None,
    ):
        given = locals()
        n = integer("n_neurons", n_neurons, 1, MOST)
        checked: dict[str, Any] = {
            "n_neurons": n,
            "n_inputs": integer("n_inputs", n_inputs, 0, MOST),
            "ports": _checked_ports(ports),
            **_checked_neurons(n, given),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "synapses", self._checked_synapses(synapses))

    def _checked_synapses(self, synapses: AnySynapses) -> Synapses | PackedSynapses:
        joined = _joined_synapses(synapses)
        if isinstance(joined, Synapses):
            check_sources(joined.pre, self.n_neurons, self.n_inputs)
            check_indices("post", joined.post, self.n_neurons)
        elif (joined.n_neurons, joined.n_inputs) != (self.n_neurons, self.n_inputs):
            raise InvalidValueError(
                f"synapses are packed for {joined.n_neurons} neurons and {joined.n_inputs} "
                f"inputs; expected {self.n_neurons} and {self.n_inputs}, as in the network"
            )
        check_indices("port", joined.port, len(self.ports))
        return joined

    def __repr__(self) -> str:
        ports = ", ".join(repr(port) for port in self.ports)
        return (
            f"<Network: {self.n_neurons} neurons, {self.n_inputs} inputs, "
            f"{len(self.synapses)} synapses, ports {ports}>"
        )

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def pre(self) -> NDArray[np.integer]:
        """(S,) source of each synapse."""
        return self.synapses.pre

    @property
    def post(self) -> NDArray[np.integer]:
        """(S,) target of each synapse."""
        return self.synapses.post

    @property
    def weight(self) -> NDArray[np.float64]:
        """(S,) weight of each synapse."""
        return self.synapses.weight

    @property
    def delay(self) -> NDArray[np.float64]:
        """(S,) delay of each synapse in ms."""
        return self.synapses.delay

    @property
    def port(self) -> NDArray[np.integer]:
        """(S,) port of each synapse."""
        return self.synapses.port

    @property
    def tau(self) -> NDArray[np.float64]:
        """(K,) time constants of the ports in ms; a double_exp gives rise, then decay."""
        return np.array([tau for port in self.ports for tau in port.time_constants])

    def replace(self, **changes: Any) -> Network:
        """Return a network with some parameters changed.

        Any argument of the constructor can be given, and ``pre``, ``post``, ``weight``, ``delay``,
        ``port`` of the synapses, and ``tau`` with the time constants of all ports. Packed synapses
        whose ``pre``, ``post`` or ``delay`` change are sorted anew, and get another order.
        """
        of_synapses = {name: changes.pop(name) for name in _SYNAPSE_FIELDS if name in changes}
        if of_synapses:
            base = _joined_synapses(changes.pop("synapses", self.synapses))
            changes["synapses"] = base.changed(of_synapses)
        if "tau" in changes:
            ports = _checked_ports(changes.pop("ports", self.ports))
            changes["ports"] = _ports_with(ports, changes.pop("tau"))
        known = [field.name for field in fields(self)]
        for name, value in changes.items():
            if name not in known:
                names = ", ".join([*known, *_SYNAPSE_FIELDS, "tau"])
                raise InvalidTypeError(
                    f"replace got {name} = {shown(value)}; expected names among {names}"
                )
        return replace(self, **changes)

    @cached_property
    def datum(self) -> Datum:
        """Voltage of each neuron from which kernels measure voltages."""
        return datum_of(self.v_rest, self.i_ext, self.v_th, self.v_reset)

    @cached_property
    def model(self) -> Model:
        """Parameters of neurons and ports as the kernels take them."""
        from refsim.models.lif.flow import cascade_gain, chain_arrays

        neurons = NeuronArrays(
            rate=1.0 / self.tau_m,
            drive=above(self.datum, self.v_rest, self.i_ext),
            v_th=level_of(self.datum, self.v_th, self.v_reset),
            v_reset=above(self.datum, self.v_reset),
            t_ref=self.t_ref,
        )
        order = np.array([len(port.time_constants) for port in self.ports])
        rate = 1.0 / self.tau
        first = np.concatenate([[0], np.cumsum(order)[:-1]])
        gain = np.array(
            [
                cascade_gain(rate[i], rate[i + 1]) if stages == 2 else 0.0
                for i, stages in zip(first, order, strict=True)
            ]
        )
        weights, rates = chain_arrays(order, rate, gain)
        ports = PortArrays(first=first, order=order, rate=rate, gain=gain)
        return Model(neurons=neurons, ports=ports, chain=ChainArrays(weight=weights, rate=rates))

    @cached_property
    def rows(self) -> tuple[Rows, NDArray[np.int32]]:
        """Synapses in compact form, and the number of each as given.

        Packed synapses are in this order, and their numbers are left out.
        """
        from refsim.network.rows import pack

        if not isinstance(self.synapses, Synapses):
            return self.synapses.rows, np.zeros(0, np.int32)
        return pack(self.n_neurons, self.n_neurons + self.n_inputs, self.synapses)

    @cached_property
    def shortest_delay(self) -> float:
        """Shortest delay between neurons in ms, inf if there is none."""
        from refsim.network.rows import shortest_delay

        return shortest_delay(self.rows[0], self.n_neurons)

    @cached_property
    def wiring(self) -> Wiring:
        """Synapses sorted by source, delay and number, as the event engine takes them."""
        from refsim.network.rows import wire

        if not isinstance(self.synapses, Synapses):
            return self.synapses.wiring()
        return wire(self.n_neurons, self.n_neurons + self.n_inputs, self.synapses)

    @cached_property
    def has_equal_delays(self) -> bool:
        """Whether all synapses have the same delay, so that arrivals keep the order of spikes."""
        return len(self.synapses) == 0 or bool(self.delay.min() == self.delay.max())


def _joined_synapses(given: Any) -> Synapses | PackedSynapses:
    if isinstance(given, Synapses):
        return given
    if isinstance(given, list | tuple):
        return Synapses.concatenate(given)
    if hasattr(given, "rows"):  # or else there is no need to load the kernels that pack
        from refsim.network.synapses import PackedSynapses

        if isinstance(given, PackedSynapses):
            return given
    raise InvalidTypeError(
        f"synapses is a {type(given).__name__}; expected Synapses, or a list of them (from_matrix "
        "takes arrays and SciPy sparse matrices)"
    )


def _checked_ports(ports: Any) -> tuple[Port, ...]:
    given = (ports,) if isinstance(ports, ExpPort | DoubleExpPort) else ports
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise InvalidTypeError(
            f"ports is a {type(ports).__name__}; expected a sequence of ExpPort and DoubleExpPort"
        )
    for i, port in enumerate(given):
        if not isinstance(port, ExpPort | DoubleExpPort):
            raise InvalidTypeError(
                f"ports[{i}] is a {type(port).__name__}; expected ExpPort or DoubleExpPort"
            )
    if not given:
        raise InvalidValueError("ports is empty; expected at least one port")
    _check_products([tau for port in given for tau in port.time_constants])
    return tuple(given)


def _check_products(tau: Sequence[float]) -> None:
    """Keep products of all rates, which isolate threshold crossings, within float64."""
    digits = len(tau) * float(np.abs(np.log10(tau)).max())
    if digits > _MOST_DIGITS:
        raise InvalidValueError(
            f"ports have {len(tau)} time constants from {min(tau):g} to {max(tau):g} ms; expected "
            f"products of so many within 1e{_MOST_DIGITS} either way: fewer ports, or a unit of "
            "time in which they are nearer to 1"
        )


def _ports_with(ports: Sequence[Port], tau: Any) -> tuple[Port, ...]:
    sizes = [len(port.time_constants) for port in ports]
    values = vector("tau", tau, sum(sizes), *PARAMETERS["tau"].domain)
    parts = np.split(values, np.cumsum(sizes)[:-1])
    return tuple(type(port)(*map(float, part)) for port, part in zip(ports, parts, strict=True))


def _checked_neurons(n: int, given: dict[str, Any]) -> dict[str, NDArray[np.float64]]:
    """Return the parameters of neurons by name, those that are None as others by default."""
    rows = [PARAMETERS[name] for name in OF_NEURONS]
    checked = {
        row.name: vector(row.name, given[row.name], n, *row.domain)
        for row in rows
        if given[row.name] is not None or not isinstance(row.default, str)
    }
    checked |= {row.name: checked[str(row.default)] for row in rows if row.name not in checked}
    for name, below in ((row.name, row.below) for row in rows if row.below):
        bad = np.flatnonzero(checked[name] >= checked[below])
        if bad.size:
            i = int(bad[0])
            raise InvalidValueError(
                f"{name}[{i}] is {checked[name][i]:.17g}; expected a voltage below "
                f"{below}[{i}] = {checked[below][i]:.17g}"
            )
    return checked
