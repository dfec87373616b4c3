"""A simulation as a function of arrays, as other libraries for derivatives take it.

Such libraries want functions from arrays to arrays whose shapes are known. The number of spikes is
not, but what readouts read off a run has the shapes that they say.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adjoint.api import jvp
from adjoint.losses.base import Loss, Reading, Readout, added, warn_of_silence
from adjoint.losses.evaluate import forward_options, is_batch, pulled_back, samples_for
from adjoint.losses.runs import Runs
from adjoint.pullback import checked_names
from refsim.cases import gradient_sizes
from refsim.errors import InvalidTypeError, InvalidValueError
from refsim.network.inputs import Samples, SpikeTrain, checked_inputs
from refsim.network.network import Network
from refsim.question import checked_duration, checked_network
from refsim.validate import members

Array = NDArray[np.float64]
Outputs = Readout | Sequence[Readout]

_KEPT = 4  # outcomes, of evaluations whose derivative may be asked for


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one evaluation has found, and the way back."""

    values: tuple[Array, ...]  # of each output, (*shape) or (B, *shape)
    readings: tuple[Reading, ...]
    runs: Runs
    pullback: Any


class Program:
    """A network, its inputs and what is read off, as a function of some of the parameters.

    Parameters
    ----------
    network : Network
        The network; parameters that are not varied are its own.
    inputs : SpikeTrain, None, or sequence of these
        Input spikes; a sequence is a batch.
    duration : float
        End of the simulation in ms.
    outputs : Readout or sequence of Readout
        What is read off, losses included.
    names : sequence of str
        Names of the parameters that are varied.
    options
        As for :func:`vjp`, but for ``samples``.
    """

    def __init__(
        self,
        network: Network,
        inputs: Any,
        duration: float,
        outputs: Outputs,
        names: Sequence[str],
        options: Mapping[str, Any],
    ):
        self.network = checked_network(network)
        self.duration = checked_duration(duration)
        self.is_single = isinstance(outputs, Readout)
        self.readouts = checked_readouts(outputs)
        self.is_batch = is_batch(inputs)
        given = members("inputs", inputs, "SpikeTrain") if self.is_batch else [inputs]
        self.inputs = [checked_inputs(one, network.n_inputs) for one in given]
        if len(checked_names(list(names))) < len(names):
            raise InvalidValueError(f"names of parameters are {names}; expected each once")
        self.names = tuple(names)
        self.options = dict(options)
        self._kept: deque[tuple[list[Array], Outcome]] = deque(maxlen=_KEPT)
        self._lock = Lock()
        self._rows: Program | None = None

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Shape of each output."""
        batch = (len(self.inputs),) if self.is_batch else ()
        return [(*batch, *one.shape) for one in self.readouts]

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Size of each parameter that is varied."""
        sizes = gradient_sizes(self.network, sum(map(len, self.inputs)))
        return {name: sizes[name] for name in self.names}

    def _question(self, arrays: Sequence[Array]) -> tuple[Network, Any]:
        """Return the network and inputs with these parameters."""
        given = dict(zip(self.names, arrays, strict=True))
        for name, size in self.sizes.items():
            if np.shape(given[name]) != (size,):
                raise InvalidValueError(
                    f"{name} has shape {np.shape(given[name])}; expected ({size},)"
                )
        inputs = self.inputs
        times = given.pop("input_times", None)
        if times is not None:
            ends = np.cumsum([len(one) for one in inputs])[:-1]
            pairs = zip(inputs, np.split(times, ends), strict=True)
            inputs = [SpikeTrain(part, one.sources, one.n_inputs) for one, part in pairs]
        network = self.network.replace(**given) if given else self.network
        return network, inputs if self.is_batch else inputs[0]

    def run(self, arrays: Sequence[Array]) -> Outcome:
        """Simulate with these parameters, in the order of the names, or find what was simulated.

        Libraries ask for the derivative after the value, and cannot hand over what was found.
        """
        with self._lock:  # whoever asks for value and derivative at once waits for one simulation
            for known, outcome in self._kept:
                if all(map(np.array_equal, known, arrays)):
                    return outcome
            outcome = self._run(arrays)
            self._kept.append(([np.array(one) for one in arrays], outcome))
            return outcome

    def _run(self, arrays: Sequence[Array]) -> Outcome:
        network, inputs = self._question(arrays)
        result, pullback = pulled_back(
            self.readouts, network, inputs, self.duration, **self.options
        )
        runs = Runs.of(result)
        readings = tuple(one.read(runs) for one in self.readouts)
        for one, reading in zip(self.readouts, readings, strict=True):
            if isinstance(one, Loss) and not reading.is_there.any():
                warn_of_silence(one, runs.size, stacklevel=1)
        pairs = zip(readings, self.shapes, strict=True)
        values = tuple(reading.value.reshape(shape) for reading, shape in pairs)
        return Outcome(values, readings, runs, pullback)

    def back(
        self,
        arrays: Sequence[Array],
        bars: Sequence[Array],
        wanted: Sequence[str],
        each: bool = False,
    ) -> list[Array]:
        """Return the gradient by the parameters that are wanted, given cotangents of outputs.

        With ``each``, that of each sample of a batch, a row of each array.
        """
        outcome = self.run(arrays)
        pairs = zip(outcome.readings, bars, strict=True)
        parts = [reading.back(np.reshape(bar, reading.value.shape)) for reading, bar in pairs]
        total = added(parts, outcome.runs)
        if each:
            one_by_one = outcome.pullback(total.time, total.voltage, None, list(wanted))
            return [np.stack([getattr(one, name) for one in one_by_one]) for name in wanted]
        found = outcome.pullback(total.time, total.voltage, wrt=list(wanted))
        return [getattr(found, name) for name in wanted]

    def rows(self, size: int) -> Program:
        """Return the batch of as many samples as ``size`` that differ in their input times."""
        with self._lock:
            if self._rows is None or len(self._rows.inputs) != size:
                outputs = self.readouts[0] if self.is_single else self.readouts
                trains = self.inputs * size
                self._rows = Program(
                    self.network, trains, self.duration, outputs, self.names, self.options
                )
            return self._rows

    def push(self, arrays: Sequence[Array], tangents: Sequence[Array]) -> list[Array]:
        """Return the tangents of all outputs along a direction of the parameters.

        What a readout reads off a run is differentiated by its way back, a number at a time.
        """
        network, inputs = self._question(arrays)
        direction = dict(zip(self.names, tangents, strict=True))
        forward = forward_options(self.options)
        samples = samples_for(self.readouts, network, inputs, self.duration, **self.options)
        trains = inputs if self.is_batch else [inputs]
        times = direction.pop("input_times", None)
        ends = np.cumsum([len(one) for one in trains])[:-1]
        parts = [None] * len(trains) if times is None else np.split(times, ends)
        found: list[list[Array]] = []
        for i, (one, part) in enumerate(zip(trains, parts, strict=True)):
            along = direction if part is None else direction | {"input_times": part}
            read = samples[i] if isinstance(samples, list) else samples
            run, dot = jvp(network, one, self.duration, along, samples=Samples(*read), **forward)
            runs = Runs.of(run, i if self.is_batch else None)
            found.append([_pushed(readout.read(runs), dot) for readout in self.readouts])
        columns = zip(*found, strict=True)
        pairs = zip(columns, self.shapes, strict=True)
        return [np.stack(column).reshape(shape) for column, shape in pairs]


def _pushed(reading: Reading, dot: Any) -> Array:
    """Return the tangent of what was read off a run, given those of spike times and voltages."""
    size = reading.value.size
    out = np.zeros(size)
    for j in range(size):
        one = np.zeros(size)
        one[j] = 1.0
        bars = reading.back(one.reshape(reading.value.shape))
        for bar, tangent in zip(bars, dot, strict=True):
            if bar is not None:
                out[j] += float(np.dot(bar, tangent))
    return out


def checked_readouts(outputs: Any) -> list[Readout]:
    """Return the readouts among which losses may be."""
    if isinstance(outputs, Readout):
        return [outputs]
    found = members("outputs", outputs, "readouts")
    for i, one in enumerate(found):
        if not isinstance(one, Readout):
            raise InvalidTypeError(
                f"outputs[{i}] is a {type(one).__name__}; expected a readout or a loss of "
                "adjoint.losses"
            )
    if not found:
        raise InvalidValueError("outputs is empty; expected one readout at least")
    return found
