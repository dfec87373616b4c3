"""A spiking classifier for scikit-learn: in pipelines, searches and cross validation.

Features are scaled to [0, 1] by their extremes in the training set, and become spikes by an
encoder; the network is trained by exact gradients (:func:`adjoint.training.fit`). Outputs that are
silent in a whole batch have their weights increased; ``history_.helped`` says how often.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adjoint.losses import WeightIncrease
from adjoint.training import (
    Active,
    Adam,
    Cosine,
    Dense,
    FirstSpike,
    Latency,
    Model,
    Sequential,
    answers_of,
    calibrated,
    fit,
)
from adjoint.training.fit import readings_of
from refsim.errors import MissingExtraError
from refsim.validate import shown

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, check_random_state, validate_data
except ImportError:
    raise MissingExtraError(
        "adjoint.sklearn needs scikit-learn 1.6 or later, which is not installed: "
        "pip install 'refsim[sklearn]'"
    ) from None

Array = NDArray[Any]

_TRIED = 64  # samples that weights are calibrated with


def _step_of(model: Model) -> float:
    """Return by how much weights onto silent outputs grow: a twentieth of what they are."""
    onto = np.isin(model.network.post, model.outputs)
    return 0.05 * float(np.abs(model.network.weight[onto]).mean())


class SpikingClassifier(ClassifierMixin, BaseEstimator):
    """Classes by the output neuron that spikes first.

    Parameters
    ----------
    hidden : sequence of int
        Neurons of each hidden layer.
    encoder : callable, optional
        Encoder of rows in [0, 1], as in :mod:`adjoint.training`; by default one spike a feature
        within the first half of the trial, and a bias spike.
    duration : float
        Length of a trial in ms.
    tau_m : float
        Membrane time constant in ms.
    activity : float
        Spikes of a hidden neuron in a trial before training, on average; see
        :func:`adjoint.training.calibrated`.
    train_delays : bool
        Whether delays are trained beside weights.
    epochs, batch : int
        How often all samples are seen, and how many at once.
    learning_rate : float
        Learning rate of Adam, which falls like a cosine.
    scale : float
        Difference of spike times in ms that counts.
    engine, threads
        As for :func:`refsim.simulate_batch`.
    random_state : int, RandomState or None
        Source of randomness.
    progress : bool
        Whether to show a progress bar; needs tqdm.

    Attributes
    ----------
    classes_ : array
        Labels.
    model_ : Model
        The trained network.
    history_ : History
        Loss and accuracy of each epoch.
    """

    def __init__(
        self,
        hidden: Sequence[int] = (100,),
        *,
        encoder: Any = None,
        duration: float = 60.0,
        tau_m: float = 20.0,
        activity: float = 1.5,
        train_delays: bool = False,
        epochs: int = 60,
        batch: int = 32,
        learning_rate: float = 2e-2,
        scale: float = 0.5,
        engine: Any = "auto",
        threads: int | None = None,
        random_state: Any = None,
        progress: bool = False,
    ):
        self.hidden = hidden
        self.encoder = encoder
        self.duration = duration
        self.tau_m = tau_m
        self.activity = activity
        self.train_delays = train_delays
        self.epochs = epochs
        self.batch = batch
        self.learning_rate = learning_rate
        self.scale = scale
        self.engine = engine
        self.threads = threads
        self.random_state = random_state
        self.progress = progress

    def fit(self, X: ArrayLike, y: ArrayLike) -> SpikingClassifier:
        """Train on samples (N, features) and their labels (N,)."""
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"y has one class, {shown(self.classes_[0])}; expected samples of two or more"
            )
        self._fit(X, labels, len(self.classes_))
        return self

    def predict(self, X: ArrayLike) -> Array:
        """Return the label of each sample."""
        given = self._encoded(self._checked(X))
        found = answers_of(
            self.model_, FirstSpike(self.scale), given, self.duration, **self._options()
        )
        return np.asarray(self.classes_[found])

    def predict_proba(self, X: ArrayLike) -> Array:
        """Return the odds of each class, by a softmax of the times of first spikes."""
        given = self._encoded(self._checked(X))
        times = readings_of(
            self.model_, FirstSpike(self.scale), given, self.duration, **self._options()
        )
        odds = np.exp((times.min(axis=1, keepdims=True) - times) / self.scale)
        return np.asarray(odds / odds.sum(axis=1, keepdims=True))

    def _fit(self, values: Any, targets: Array, n_outputs: int) -> None:
        self.low_, high = values.min(axis=0), values.max(axis=0)
        self.span_ = np.where(high > self.low_, high - self.low_, 1.0)
        rng = np.random.default_rng(check_random_state(self.random_state).randint(2**31))
        given = self._encoded(values)
        model = self._begun(self._encoder().channels(values.shape[1]), n_outputs, given, rng)
        trained = fit(
            model,
            given,
            targets,
            self.duration,
            FirstSpike(self.scale),
            wrt=("weight", "delay") if self.train_delays else ("weight",),
            epochs=self.epochs,
            batch=self.batch,
            adam=Adam(self.learning_rate),
            schedule=Cosine(),
            silent=WeightIncrease(model.outputs, _step_of(model), 0.9),
            rng=rng,
            progress=self.progress,
            **self._options(),
        )
        self.model_: Model = trained.model
        self.history_ = trained.history
        self.n_iter_ = len(trained.history.loss)

    def _begun(
        self, n_inputs: int, n_outputs: int, given: list[Any], rng: np.random.Generator
    ) -> Model:
        """Return a network all of whose layers are active, before it is trained."""
        sizes = [n_inputs, *self.hidden, n_outputs]
        layers = [
            Dense(a, b, weight=Active(2.0, 0.6), tau_m=self.tau_m) for a, b in pairwise(sizes)
        ]
        model = Sequential(*layers).build(rng)
        activity = [self.activity] * len(self.hidden) + [2.0]
        return calibrated(model, given[:_TRIED], self.duration, activity, **self._options())

    def _encoder(self) -> Any:
        return Latency(0.0, 0.5 * self.duration) if self.encoder is None else self.encoder

    def _options(self) -> dict[str, Any]:
        return {"engine": self.engine, "threads": self.threads}

    def _encoded(self, values: Array) -> list[Any]:
        shares = np.clip((values - self.low_) / self.span_, 0.0, 1.0)
        return list(self._encoder()(shares))

    def _checked(self, X: ArrayLike) -> Array:
        check_is_fitted(self)
        return np.asarray(validate_data(self, X, reset=False, dtype=np.float64))
