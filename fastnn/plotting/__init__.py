"""Pictures. Only this room imports matplotlib, and only when something is drawn.

- `LossCurveDisplay`, `NetworkDisplay`, `HiddenUnitsDisplay`, `ActivationDisplay`: displays in
  scikit-learn's manner, of a `Network` or an estimator; `LearningRateDisplay`, of what
  `fastnn.find_learning_rate` found.
- `FeatureSlice`: a model of many features as one of two, for scikit-learn's
  `DecisionBoundaryDisplay`, which takes a `Network` as it is.
- `LivePlot`, a callback that draws while a network trains, and `animate`, which makes a GIF or an
  HTML page of what a `fastnn.callbacks.Recorder` kept.
- `set_language("es")`: labels in Spanish.
- `style`: the colours that all of them share, such as ``style.COLORS`` for lines of your own.

Colours of text and backgrounds are those of the style in use, so dark styles work.
"""

from typing import TYPE_CHECKING

from fastnn.data import checks
from fastnn.plotting.boundary import FeatureSlice
from fastnn.plotting.displays import (
    ActivationDisplay,
    HiddenUnitsDisplay,
    LearningRateDisplay,
    LossCurveDisplay,
    NetworkDisplay,
)
from fastnn.plotting.training import LivePlot, animate, training_picture
from fastnn.plotting.words import set_language

__all__ = [
    "ActivationDisplay",
    "FeatureSlice",
    "HiddenUnitsDisplay",
    "LearningRateDisplay",
    "LivePlot",
    "LossCurveDisplay",
    "NetworkDisplay",
    "animate",
    "set_language",
    "training_picture",
]

if not TYPE_CHECKING:  # checkers would let any name be read

    def __getattr__(name):
        raise checks.no_attribute(__name__, name, __all__)
