"""Displays of networks in scikit-learn's manner: `from_estimator`, `plot(ax=)`, `ax_`, `figure_`.

Each takes a `fastnn.Network` or an MLPClassifier or MLPRegressor, fastnn's or scikit-learn's;
`from_network` and `from_estimator` are the same function. (`LearningRateDisplay` takes what
`find_learning_rate` found.) A display keeps what it draws, so that
`plot` can draw it again. One file has one display; models.py is what they share.
"""

from fastnn.plotting.displays.activation import ActivationDisplay
from fastnn.plotting.displays.hidden_units import HiddenUnitsDisplay
from fastnn.plotting.displays.learning_rate import LearningRateDisplay
from fastnn.plotting.displays.loss_curve import LossCurveDisplay
from fastnn.plotting.displays.structure import NetworkDisplay

__all__ = [
    "ActivationDisplay",
    "HiddenUnitsDisplay",
    "LearningRateDisplay",
    "LossCurveDisplay",
    "NetworkDisplay",
]
