"""The state of a training between two epochs, in memory and in a file."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adjoint.training.optimizer import AdamState
from refsim.errors import InvalidValueError
from refsim.files.arrays import ArrayFileError, read_arrays, write_arrays

Array = NDArray[Any]

_KIND = "refsim-training/1"


@dataclass
class History:
    """Figures of each epoch.

    Attributes
    ----------
    loss : list of float
        Mean loss of the samples, each as it was met.
    score : list of float
        Score of the samples, each as it was met.
    held_out : list of float
        Score of the validation set after the epoch; nan without one.
    helped : list of int
        How often a silent neuron had its weights increased.
    """

    loss: list[float] = field(default_factory=list)
    score: list[float] = field(default_factory=list)
    held_out: list[float] = field(default_factory=list)
    helped: list[int] = field(default_factory=list)

    def __repr__(self) -> str:
        last = (
            f", last loss {self.loss[-1]:.4g}, score {self.decisive(-1):.4g}" if self.loss else ""
        )
        return f"<History: {len(self.loss)} epochs{last}>"

    def add(self, loss: float, score: float, held_out: float, helped: int) -> None:
        """Note an epoch."""
        self.loss.append(loss)
        self.score.append(score)
        self.held_out.append(held_out)
        self.helped.append(helped)

    def decisive(self, epoch: int) -> float:
        """Return the score by which models are chosen."""
        held = self.held_out[epoch]
        return self.score[epoch] if np.isnan(held) else held

    def best(self, epoch: int) -> float:
        """Return the score of an epoch, counted from 1."""
        return self.decisive(epoch - 1)


@dataclass
class TrainingState:
    """What training goes on from.

    Attributes
    ----------
    now, best : dict of arrays
        Parameters after the last epoch, and those of the best one.
    adam : dict of AdamState
        The optimiser's memory of each parameter.
    history : History
        Figures of the epochs so far.
    best_score, best_epoch
        Score of the best epoch and its number, counted from 1.
    """

    now: dict[str, Array]
    best: dict[str, Array]
    adam: dict[str, AdamState]
    history: History
    best_score: float = -np.inf
    best_epoch: int = 0
    of: str = ""  # digest of what is trained for


def save_training(path: Path, state: TrainingState, source: np.random.Generator) -> None:
    """Write a state, whole or not at all."""
    arrays: dict[str, Any] = {
        "rng": json.dumps(source.bit_generator.state, default=np.ndarray.tolist),
        "best_score": state.best_score,
        "best_epoch": state.best_epoch,
        "of": state.of,
        "adam_step": np.array([memory.step for memory in state.adam.values()]),
        "names": np.array(list(state.now)),
    }
    arrays |= {f"history_{name}": np.array(row, float) for name, row in vars(state.history).items()}
    for name, memory in state.adam.items():
        arrays |= {f"now_{name}": state.now[name], f"best_{name}": state.best[name]}
        arrays |= {f"mean_{name}": memory.mean, f"square_{name}": memory.square}
    write_arrays(path, _KIND, **arrays)


def load_training(
    path: Path, begun: TrainingState, source: np.random.Generator
) -> tuple[TrainingState, np.random.Generator]:
    """Read a state of the training whose beginning is given, and its source of randomness.

    Raises
    ------
    InvalidValueError
        If the file holds no state, or one of other parameters.
    """
    try:
        arrays = read_arrays(path, _KIND)
        if [str(name) for name in arrays["names"]] != list(begun.now):
            raise ValueError(f"it trains {', '.join(arrays['names'])}")
        if str(arrays["of"]) != begun.of:
            raise ValueError("it is of another objective, targets, duration or batches")
        now, best, adam = {}, {}, {}
        for step, (name, value) in zip(arrays["adam_step"], begun.now.items(), strict=True):
            now[name], best[name], mean, square = (
                _checked(f"{kind}_{name}", arrays, value.shape)
                for kind in ("now", "best", "mean", "square")
            )
            adam[name] = AdamState(int(step), mean, square)
        rows = {name: np.atleast_1d(arrays[f"history_{name}"]).tolist() for name in vars(History())}
        epochs, best_epoch = len(rows["loss"]), int(arrays["best_epoch"])
        if any(len(row) != epochs for row in rows.values()) or not 0 <= best_epoch <= epochs:
            raise ValueError(f"its history has {epochs} epochs, the best being {best_epoch}")
        if not np.isfinite([*rows["loss"], *rows["score"]]).all() or np.isnan(arrays["best_score"]):
            raise ValueError("its history has numbers that are not finite")
        rows["helped"] = [int(count) for count in rows["helped"]]
        source.bit_generator.state = json.loads(str(arrays["rng"]))
        return (
            TrainingState(
                now=now,
                best=best,
                adam=adam,
                history=History(**rows),
                best_score=float(arrays["best_score"]),
                best_epoch=best_epoch,
                of=begun.of,
            ),
            source,
        )
    except (ArrayFileError, KeyError, TypeError, ValueError) as error:
        raise InvalidValueError(
            f"checkpoint is {str(path)!r}, which holds no state of this training: {error}"
        ) from None


def _checked(name: str, arrays: Any, shape: tuple[int, ...]) -> Array:
    array = np.asarray(arrays[name], dtype=np.float64)
    if array.shape != shape or not np.isfinite(array).all():
        raise ValueError(f"{name} has shape {array.shape}; expected {shape}, and finite numbers")
    return array
