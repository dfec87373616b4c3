"""The loop of training: batches, steps, epochs, and what is kept of them."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adjoint.losses import Loss, WeightIncrease
from adjoint.losses.evaluate import pulled_back, samples_for
from adjoint.names import Wrt
from adjoint.training.architecture import Model, checked_trainable
from adjoint.training.objectives import Objective
from adjoint.training.optimizer import RANGES, Adam, Constant, Range, Schedule
from adjoint.training.state import History, TrainingState, load_training, save_training
from refsim.batch.simulate import simulate_batch
from refsim.errors import (
    IllConditionedWarning,
    InvalidTypeError,
    InvalidValueError,
    KeepsPartial,
    MissingExtraError,
)
from refsim.files.output import checked_path
from refsim.layers.options import Layers
from refsim.layers.plan import has_cycles
from refsim.network.inputs import SpikeTrain
from refsim.validate import boolean, generator, integer, members, shown

Array = NDArray[Any]

_OF_OBJECTIVES = ("readout", "loss", "answers", "score")
_OPTIONS = ("engine", "threads", "max_spikes")


class TrainingInterrupted(KeepsPartial, KeyboardInterrupt):
    """A training was stopped from the keyboard.

    Attributes
    ----------
    partial : Trained
        The best model so far.
    """


@dataclass(frozen=True, repr=False)
class Trained:
    """What training has come to.

    Attributes
    ----------
    model : Model
        The best one by its score on the validation set, or on the training batches without one.
    last : Model
        The one of the last epoch.
    history : History
        Figures of each epoch.
    best_epoch : int
        The epoch of ``model``, counted from 1; 0 before the first.
    reason : str
        Why training ended.
    """

    model: Model
    last: Model
    history: History
    best_epoch: int
    reason: str

    def __repr__(self) -> str:
        n = len(self.history.loss)
        best = f", best {self.history.best(self.best_epoch):.4g} in epoch {self.best_epoch}"
        return f"<Trained: {n} epochs{best if self.best_epoch else ''}; {self.reason}>"


@dataclass
class _Training:
    """A training at work."""

    objective: Objective
    duration: float
    wrt: list[str]
    adam: Adam
    schedule: Schedule
    ranges: Mapping[str, Range]
    regularizer: Callable[[Model], Loss] | None
    silent: WeightIncrease | None
    options: dict[str, Any] = field(default_factory=dict)

    def step(
        self, model: Model, state: TrainingState, inputs: list[Any], targets: Array, done: float
    ) -> tuple[Model, float, Array, int]:
        """Take one step; return the model, the mean loss, answers, and neurons that were helped."""
        loss = self.objective.loss(model.outputs, targets)
        if self.regularizer is not None:
            loss = loss + self.regularizer(model)
        result, pullback = pulled_back([loss], model.network, inputs, self.duration, **self.options)
        value, bars = loss(result, reduce="mean")
        gradient = model.gradient(pullback(bars.time, bars.voltage, wrt=self.wrt), self.wrt)
        answers = self.objective.answers(self.objective.readout(model.outputs)(result))
        now, changed = model.parameters(self.wrt), {}
        for name in self.wrt:
            limits = self.ranges[name]
            bar = limits.pull(gradient[name], now[name])
            rate = self.adam.rate_of(name) * self.schedule(done)
            move, state.adam[name] = self.adam.step(state.adam[name], bar, rate)
            changed[name] = limits.value(limits.free(now[name]) + move)
        helped = 0
        if self.silent is not None and "weight" in changed:
            raised = self.silent(result)
            helped = len(raised.neurons)
            if helped:
                once = np.zeros(len(changed["weight"]))
                once[model.tied] = raised.weight
                changed["weight"] = changed["weight"] + once
        return model.with_parameters(changed), value, answers, helped

    def score(self, model: Model, inputs: list[Any], targets: Array) -> float:
        """Return the score of a model."""
        answers = answers_of(model, self.objective, inputs, self.duration, **self.options)
        return self.objective.score(answers, targets)


def with_engine(model: Model, options: dict[str, Any]) -> dict[str, Any]:
    """Return options with the engine of acyclic networks, where "auto" may be it."""
    engine = options.get("engine", "auto")
    if isinstance(engine, str) and engine == "auto" and not has_cycles(model.network):
        engine = Layers()
    return options | {"engine": engine}


def answers_of(
    model: Model, objective: Objective, inputs: Sequence[Any], duration: float, **options: Any
) -> Array:
    """Return what the outputs of a model say of each sample.

    Parameters
    ----------
    model, objective
        As for :func:`fit`.
    inputs : sequence of SpikeTrain
        Input spikes of each sample.
    duration : float
        Length of a trial in ms.
    **options
        As for :func:`refsim.simulate_batch`.
    """
    return objective.answers(readings_of(model, objective, inputs, duration, **options))


def readings_of(
    model: Model, objective: Objective, inputs: Sequence[Any], duration: float, **options: Any
) -> Array:
    """Return what is read of the outputs of each sample; arguments as of `answers_of`."""
    options = with_engine(model, options)
    readout = objective.readout(model.outputs)
    samples = samples_for([readout], model.network, inputs, duration, **options)
    batch = simulate_batch(model.network, inputs, duration, samples=samples, **options)
    return np.asarray(readout(batch))


def fit(
    model: Model,
    inputs: Sequence[SpikeTrain],
    targets: ArrayLike,
    duration: float,
    objective: Objective,
    *,
    wrt: Wrt = "weight",
    epochs: int = 50,
    batch: int = 32,
    adam: Adam | None = None,
    schedule: Schedule | None = None,
    ranges: Mapping[str, Range] | None = None,
    validation: tuple[Sequence[SpikeTrain], ArrayLike] | None = None,
    patience: int | None = None,
    regularizer: Callable[[Model], Loss] | None = None,
    silent: WeightIncrease | None = None,
    rng: int | np.random.Generator | None = None,
    checkpoint: Any = None,
    progress: bool = False,
    **options: Any,
) -> Trained:
    """Train a model on samples and their targets, by exact gradients.

    Parameters
    ----------
    model : Model
        A model as :meth:`Sequential.build` makes it.
    inputs : sequence of SpikeTrain
        Input spikes of each sample.
    targets : (N, ...) array
        What is wanted of each sample: its class, or what the objective takes.
    duration : float
        Length of a trial in ms.
    objective : Objective
        What is minimised, such as :class:`FirstSpike`.
    wrt : str or sequence of str
        Names of the parameters that are trained.
    epochs, batch : int
        How often all samples are seen, and how many at once.
    adam : Adam, optional
        The optimiser.
    schedule : callable, optional
        Factor of the learning rate; constant by default.
    ranges : mapping of names to ranges, optional
        Where parameters may lie; see ``RANGES`` for the others.
    validation : (inputs, targets), optional
        Samples that choose the best model.
    patience : int, optional
        Epochs without a better score after which training ends.
    regularizer : callable, optional
        Takes the model, and returns a loss that is added.
    silent : WeightIncrease, optional
        Rule that increases weights onto silent neurons after a step; the history says how often.
    rng : int or numpy.random.Generator, optional
        Source of the order of samples.
    checkpoint : path, optional
        File to which the state of the training is written after each epoch. If it exists, training
        goes on from there, to the last bit as if it had never stopped; it has to be one of the
        same objective, targets, duration and batches.
    progress : bool
        Whether to show a progress bar with loss and score; needs tqdm.
    **options
        ``engine``, ``threads`` and ``max_spikes``, as for :func:`refsim.simulate_batch`; "auto" is
        :class:`refsim.Layers` for networks without cycles.

    Returns
    -------
    Trained

    Raises
    ------
    InvalidValueError, InvalidTypeError
        If an argument is outside its domain.
    TrainingInterrupted
        On Ctrl-C; a KeyboardInterrupt whose ``partial`` is what there is.

    Warns
    -----
    NoGradientWarning
        If nothing that the loss reads is there in a batch.
    """
    data = _checked_data("inputs", inputs, "targets", targets)
    held_out = None if validation is None else _checked_validation(validation)
    names = checked_trainable(wrt)
    _check_kinds(model, objective, adam, schedule, ranges, regularizer, silent, options)
    options = with_engine(model, options)
    work = _Training(
        objective=objective,
        duration=duration,
        wrt=names,
        adam=Adam() if adam is None else adam,
        schedule=Constant() if schedule is None else schedule,
        ranges={**RANGES, **(ranges or {})},
        regularizer=regularizer,
        silent=silent,
        options=options,
    )
    most = integer("epochs", epochs, 1)
    size = integer("batch", batch, 1)
    wait = None if patience is None else integer("patience", patience, 1)
    for name in names:
        work.adam.rate_of(name)
    path = None if checkpoint is None else checked_path(checkpoint)
    about = (repr(work.objective), str(duration), str(size), *map(str, data[1].shape))
    known = hashlib.sha256("|".join(about).encode() + data[1].tobytes()).hexdigest()
    state, source = _begin(model, work, generator(rng), path, known)
    now = model.with_parameters(state.now)
    reason = f"{most} epochs are over"
    try:
        with _bar(boolean("progress", progress), most) as show:
            while len(state.history.loss) < most:
                now = _epoch(work, now, state, source, data, size, most, held_out)
                if path is not None:
                    save_training(path, state, source)
                show(state.history)
                if wait is not None and len(state.history.loss) - state.best_epoch >= wait:
                    reason = f"no better score in {wait} epochs"
                    break
    except KeyboardInterrupt:
        partial = _trained(model, state, "it was interrupted")
        raise TrainingInterrupted(
            f"interrupted after {len(state.history.loss)} of {most} epochs; the attribute partial "
            "holds the best model so far",
            partial,
        ) from None
    return _trained(model, state, reason)


def _check_kinds(
    model: Any,
    objective: Any,
    adam: Any,
    schedule: Any,
    ranges: Any,
    regularizer: Any,
    silent: Any,
    options: dict[str, Any],
) -> None:
    """Raise if an argument is not of the kind that it should be."""
    known = all(callable(getattr(objective, name, None)) for name in _OF_OBJECTIVES)
    for name, value, is_right, expected in (
        ("model", model, isinstance(model, Model), "a Model, as Sequential(...).build() makes it"),
        ("objective", objective, known and not isinstance(objective, type), "as FirstSpike()"),
        ("adam", adam, adam is None or isinstance(adam, Adam), "Adam(...) or None"),
        ("schedule", schedule, _is_function(schedule), "a function such as Cosine()"),
        ("regularizer", regularizer, _is_function(regularizer), "a function of the model"),
        ("silent", silent, silent is None or isinstance(silent, WeightIncrease), "WeightIncrease"),
        ("ranges", ranges, ranges is None or isinstance(ranges, Mapping), "a mapping of names"),
    ):
        if not is_right:
            raise InvalidTypeError(f"{name} is {shown(value)}; expected {expected}")
    for name, limits in (ranges or {}).items():
        if name not in RANGES:
            known_names = ", ".join(RANGES)
            raise InvalidValueError(f"ranges has {shown(name)}; expected names among {known_names}")
        if isinstance(limits, type) or not hasattr(limits, "pull"):
            raise InvalidTypeError(
                f"ranges[{name!r}] is {shown(limits)}; expected Within(...) or Logarithmic(...)"
            )
    for name in options:
        if name not in _OPTIONS:
            raise InvalidTypeError(f"fit got {name!r}; expected options {', '.join(_OPTIONS)}")


def _is_function(value: Any) -> bool:
    return value is None or (callable(value) and not isinstance(value, type))


def _epoch(
    work: _Training,
    model: Model,
    state: TrainingState,
    source: np.random.Generator,
    data: tuple[list[Any], Array],
    size: int,
    epochs: int,
    held_out: tuple[list[Any], Array] | None,
) -> Model:
    """Go once through the samples; return the model, and note all in the state at the end."""
    inputs, targets = data
    order = source.permutation(len(inputs))
    starts = range(0, len(order), size)
    losses, scores, helped = 0.0, 0.0, 0
    done = len(state.history.loss)
    before = dict(state.adam)
    try:
        for k, start in enumerate(starts):
            rows = order[start : start + size]
            share = (done + k / len(starts)) / epochs
            with _without_conditioning():
                model, loss, answers, raised = work.step(
                    model, state, [inputs[i] for i in rows], targets[rows], share
                )
            losses += loss * len(rows)
            scores += work.objective.score(answers, targets[rows]) * len(rows)
            helped += raised
    except BaseException:
        state.adam.update(before)  # the state is that of the last whole epoch
        raise
    score = scores / len(inputs)
    held = np.nan if held_out is None else work.score(model, *held_out)
    state.history.add(losses / len(inputs), score, held, helped)
    state.now = model.parameters(work.wrt)
    if state.history.decisive(-1) > state.best_score:
        state.best_score = state.history.decisive(-1)
        state.best, state.best_epoch = state.now, done + 1
    return model


def _begin(
    model: Model, work: _Training, source: np.random.Generator, path: Path | None, known: str
) -> tuple[TrainingState, np.random.Generator]:
    """Return the state at the beginning, or that of a file, and the source of randomness."""
    now = model.parameters(work.wrt)
    adam = {name: work.adam.begin(value) for name, value in now.items()}
    state = TrainingState(now=now, best=now, adam=adam, history=History(), of=known)
    if path is not None and path.exists():
        return load_training(path, state, source)
    return state, source


def _trained(model: Model, state: TrainingState, reason: str) -> Trained:
    return Trained(
        model=model.with_parameters(state.best),
        last=model.with_parameters(state.now),
        history=state.history,
        best_epoch=state.best_epoch,
        reason=reason,
    )


def _checked_data(name: str, inputs: Any, of: str, targets: Any) -> tuple[list[Any], Array]:
    """Return samples and as many targets."""
    given = members(name, inputs, "SpikeTrain, one for each sample")
    wanted = np.asarray(targets)
    if not given:
        raise InvalidValueError(f"{name} is empty; expected at least one SpikeTrain")
    if wanted.ndim == 0 or len(wanted) != len(given):
        raise InvalidValueError(
            f"{of} has shape {wanted.shape}; expected one row for each of the {len(given)} {name}"
        )
    return given, wanted


def _checked_validation(validation: Any) -> tuple[list[Any], Array]:
    if not isinstance(validation, tuple) or len(validation) != 2:
        raise InvalidTypeError(f"validation is {shown(validation)}; expected (inputs, targets)")
    inputs, targets = validation
    return _checked_data("validation[0]", inputs, "validation[1]", targets)


@contextmanager
def _without_conditioning() -> Iterator[None]:
    """Leave out warnings of spikes that graze: of many samples some always do."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IllConditionedWarning)
        yield


@contextmanager
def _bar(wanted: bool, epochs: int) -> Iterator[Callable[[History], None]]:
    """Show a bar of epochs with loss and score, if it is wanted."""
    if not wanted:
        yield lambda history: None
        return
    try:
        from tqdm import tqdm
    except ImportError:
        raise MissingExtraError(
            "progress needs tqdm, which is not installed: pip install 'refsim[progress]'"
        ) from None
    with tqdm(total=epochs, unit="epoch") as bar:

        def show(history: History) -> None:
            bar.update(len(history.loss) - bar.n)
            bar.set_postfix(loss=history.loss[-1], score=history.decisive(-1))

        yield show
