"""What is asked of a simulation: its checks, the same for all engines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from refsim.errors import (
    InvalidTypeError,
    InvalidValueError,
    SimulationInterrupted,
    SpikeLimitError,
)
from refsim.network.inputs import Samples, SpikeTrain, checked_inputs, checked_samples
from refsim.network.network import Network
from refsim.progress import no_progress, no_report, progress_bar
from refsim.types import InputArrays, SampleArrays
from refsim.validate import LONGEST, boolean, checked_threads, integer, scalar

MAX_SPIKES = 1_000_000
_MOST_STEPS = 2.0**50  # the multiples of a step up to here are distinct, and so are their halves


def checked_network(network: Any) -> Network:
    """Return ``network``, which must be one."""
    if not isinstance(network, Network):
        raise InvalidTypeError(f"network is a {type(network).__name__}; expected Network")
    return network


def checked_duration(duration: Any) -> float:
    """Return ``duration``, a time in ms."""
    return scalar("duration", duration, 0.0, LONGEST, strict=True)


def checked_dt(dt: Any, network: Network, duration: float) -> float:
    """Return the step of the grid of arrivals, or 0.0 for none."""
    if dt is None:
        return 0.0
    step = scalar("dt", dt, 0.0, LONGEST, strict=True)
    longest = duration + float(network.delay.max(initial=0.0))
    if longest / step > _MOST_STEPS:
        raise InvalidValueError(
            f"dt is {step:g} ms, and the last arrivals may come at {longest:g} ms; expected a step "
            f"that gives at most {_MOST_STEPS:g} steps"
        )
    return step


class Question:
    """What is asked of a simulation, checked once, and in order of time.

    Attributes
    ----------
    network, inputs, duration, samples, max_spikes, keep_state
        As for :func:`refsim.simulate`.
    input_order, sample_order : (k,) and (V,) int
        Input spikes up to the end, and samples, in order of time.
    input_arrays, sample_arrays : InputArrays, SampleArrays
        These as kernels take them, without voltages and tangents.
    threads : int
        Most threads of an engine that has several, both ways.
    progress : callable
        Opens the progress bar, whose ``report`` engines call with the time that they have reached.
    is_stopped : callable
        Whether another thread asks for an end.
    """

    def __init__(
        self,
        network: Any,
        inputs: Any,
        duration: Any,
        samples: Any = None,
        max_spikes: Any = MAX_SPIKES,
        keep_state: Any = False,
        progress: Any = False,
    ):
        self.network = checked_network(network)
        self.inputs: SpikeTrain = checked_inputs(inputs, self.network.n_inputs)
        self.duration = checked_duration(duration)
        self.samples: Samples = checked_samples(samples, self.network.n_neurons, self.duration)
        self.max_spikes = integer("max_spikes", max_spikes, 1)
        self.keep_state = boolean("keep_state", keep_state)
        self.threads = checked_threads(None)
        self.progress = progress_bar if boolean("progress", progress) else no_progress
        self.report: Callable[[float], None] = no_report
        self.is_stopped: Callable[[], bool] = bool  # never, but where other threads can ask for it
        self._sort()

    def _sort(self) -> None:
        order = np.argsort(self.inputs.times, kind="stable")
        self.input_order = order[self.inputs.times[order] <= self.duration]
        self.sample_order = np.argsort(self.samples.times, kind="stable")
        nothing = np.zeros(0)
        self.input_arrays = InputArrays(
            time=self.inputs.times[self.input_order],
            source=self.network.n_neurons + self.inputs.sources[self.input_order],
            tangent=nothing,
        )
        self.sample_arrays = SampleArrays(
            time=self.samples.times[self.sample_order],
            neuron=self.samples.neurons[self.sample_order],
            voltage=nothing,
            tangent=nothing,
        )

    def samples_to_read(self) -> SampleArrays:
        """Return samples in order of time with room for their voltages."""
        return self.sample_arrays._replace(voltage=np.full(len(self.samples), np.nan))

    def interrupted(self, partial: Any, does: str) -> SimulationInterrupted:
        """Return the error of a run that Ctrl-C has stopped; ``partial`` holds or counts spikes."""
        return SimulationInterrupted(
            f"interrupted at {partial.duration:g} of {self.duration:g} ms; "
            f"the attribute partial {does} what was simulated",
            partial,
        )

    def has_too_many_spikes(self, partial: Any, does: str) -> SpikeLimitError:
        """Return the error of a run that has come to its limit; see ``interrupted``."""
        return SpikeLimitError(
            f"max_spikes is {self.max_spikes} and was reached at {partial.duration:.6g} of "
            f"{self.duration:g} ms; expected fewer spikes. If this activity is meant, raise "
            f"max_spikes; the attribute partial {does} the spikes so far",
            partial,
        )
