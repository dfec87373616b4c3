"""Training by exact gradients: layers, encoders, objectives, and the loop."""

from adjoint.training.architecture import Conv2d, Dense, Model, Sequential
from adjoint.training.calibrate import calibrated
from adjoint.training.encoders import Latency, Poisson, Population
from adjoint.training.fit import Trained, TrainingInterrupted, answers_of, fit
from adjoint.training.initial import Active, Balanced, Normal, Uniform
from adjoint.training.objectives import FirstSpike, HighestVoltage, Objective, SpikeAt
from adjoint.training.optimizer import (
    RANGES,
    Adam,
    Constant,
    Cosine,
    Exponential,
    Logarithmic,
    Within,
)
from adjoint.training.state import History

__all__ = [
    "RANGES",
    "Active",
    "Adam",
    "Balanced",
    "Constant",
    "Conv2d",
    "Cosine",
    "Dense",
    "Exponential",
    "FirstSpike",
    "HighestVoltage",
    "History",
    "Latency",
    "Logarithmic",
    "Model",
    "Normal",
    "Objective",
    "Poisson",
    "Population",
    "Sequential",
    "SpikeAt",
    "Trained",
    "TrainingInterrupted",
    "Uniform",
    "Within",
    "answers_of",
    "calibrated",
    "fit",
]
