"""The run of a batch: what all kinds have in common, and the kind that runs each sample alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

from refsim.errors import (
    InvalidTypeError,
    InvalidValueError,
    SimulationInterrupted,
    SpikeLimitError,
)
from refsim.network.inputs import Samples, SpikeTrain, checked_inputs, checked_samples
from refsim.question import Question
from refsim.results.batch import BatchResult, joined
from refsim.results.outcome import EngineRun
from refsim.results.simulation import Simulation
from refsim.threads import Tasks, share_out
from refsim.validate import checked_threads, members


def checked_each(name: str, given: list[Any], check: Callable[[Any], Any]) -> tuple[Any, ...]:
    """Return each member, checked; errors name it ``name[i]`` where the check says ``name``."""
    try:
        return tuple(map(check, given))
    except (InvalidTypeError, InvalidValueError):
        pass  # with which of them, the following says
    checked = []
    for i, member in enumerate(given):
        try:
            checked.append(check(member))
        except (InvalidTypeError, InvalidValueError) as error:
            message = str(error).replace(name, f"{name}[{i}]", 1)
            raise type(error)(message) from None
    return tuple(checked)


class BatchRun:
    """What a batch is given, and the ways in which it may end.

    Attributes
    ----------
    question : Question
        What is asked of each sample, but for its inputs and voltages.
    limited : list of int
        Samples that have reached the limit of spikes.
    """

    def __init__(self, question: Question, inputs: Any, samples: Any, threads: Any):
        self.question = question
        network = question.network
        given = members("inputs", inputs, "SpikeTrain, one for each sample")
        if not given:
            raise InvalidValueError("inputs is empty; expected at least one SpikeTrain")
        self.inputs: tuple[SpikeTrain, ...] = checked_each(
            "inputs", given, partial(checked_inputs, n_inputs=network.n_inputs)
        )
        self.samples = self._checked_samples(samples)
        self.threads = checked_threads(threads)
        self.limited: list[int] = []

    def __len__(self) -> int:
        return len(self.inputs)

    def _checked_samples(self, samples: Any) -> tuple[Samples, ...]:
        n, end = self.question.network.n_neurons, self.question.duration
        if not isinstance(samples, list):
            return (checked_samples(samples, n, end),) * len(self)
        if len(samples) != len(self):
            raise InvalidValueError(
                f"samples is a list of {len(samples)}; expected one for each of the {len(self)} "
                "inputs"
            )
        return checked_each("samples", samples, lambda one: checked_samples(one, n, end))

    def execute(self) -> BatchResult:
        """Simulate all samples and return the result."""
        try:
            self._simulate()
        except KeyboardInterrupt:
            self._fail(SimulationInterrupted, "interrupted")
        if self.limited:
            self._fail(
                SpikeLimitError,
                f"max_spikes is {self.question.max_spikes} and was reached with "
                f"inputs[{min(self.limited)}]; expected fewer spikes of a sample. If this activity "
                "is meant, raise max_spikes. It stopped the batch",
            )
        return self.result()

    def _fail(self, error: Callable[[str, BatchResult], BaseException], reason: str) -> NoReturn:
        partial = self.result()
        done = int((partial.durations == self.question.duration).sum())
        raise error(
            f"{reason} after {done} of {len(self)} samples; the attribute partial holds what was "
            "simulated",
            partial,
        ) from None

    def _simulate(self) -> None:
        raise NotImplementedError

    def result(self) -> BatchResult:
        """Return what has been simulated."""
        raise NotImplementedError


class SingleRuns(BatchRun):
    """A batch of which each sample is a run of its own, for all engines and queues.

    Attributes
    ----------
    finished : callable
        Called with the number, the run and the result of each sample that is done.
    """

    def __init__(self, question: Question, inputs: Any, samples: Any, threads: Any, run: Any):
        super().__init__(question, inputs, samples, threads)
        self._run: Callable[[SpikeTrain, Samples, int], EngineRun] = run
        self._own_threads = max(1, self.threads // len(self))  # of a window engine
        self._simulations: list[Any] = [None] * len(self)
        self.finished: Callable[[int, EngineRun, Simulation], None] = lambda *_: None

    def _simulate(self) -> None:
        share_out(len(self), self.threads, self._simulate_tasks)

    def _simulate_tasks(self, tasks: Tasks) -> None:
        for i in tasks:
            run = self._run(self.inputs[i], self.samples[i], self._own_threads)
            run.question.is_stopped = lambda: tasks.stopped
            try:
                self._simulations[i] = simulation = run.execute()
                run.question.is_stopped = bool  # what a pullback holds has no tasks any more
            except SpikeLimitError as error:
                self._simulations[i] = error.partial
                self.limited.append(i)
                tasks.stop()
            except SimulationInterrupted as error:
                self._simulations[i] = error.partial
                if not tasks.stopped:
                    raise
            else:
                self.finished(i, run, simulation)

    def result(self) -> BatchResult:
        """Return what has been simulated."""
        for i, done in enumerate(self._simulations):
            if done is None:
                self._simulations[i] = self._run(self.inputs[i], self.samples[i], 1).result(0.0)
        return joined(self._simulations)
