"""Data, and what a network makes of it, in one axes that is drawn again and again.

Over one feature every output is a curve. Over two features one output shades the plane, and
outputs that are probabilities mix the colours of their classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastnn.catalog.activations import ACTIVATIONS, BY_NAME
from fastnn.data import checks
from fastnn.network import Network
from fastnn.plotting import style
from fastnn.plotting.boundary import Plane
from fastnn.plotting.words import say

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.contour import ContourSet
    from matplotlib.typing import ColorType

# More points would cover each other and the prediction.
MAX_POINTS = 2000

# The share of its class's colour that the plane has where the network is sure.
FIELD = 0.6

# Points of a curve.
CURVE = 400

# activations whose values are probabilities
PROBABILITIES = [row.name for row in ACTIVATIONS if (row.low, row.high) == (0, 1)]


def dense_rows(X: Any, y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """X and y; of a sparse X, which an estimator's may be, as many rows as are drawn."""
    if not hasattr(X, "tocsr"):
        return checks.numeric_array("X", X), y
    X, y = _some(X.tocsr(), y)
    return X.toarray(), y


def _some(X: Any, y: NDArray[Any]) -> tuple[Any, NDArray[Any]]:
    """Evenly spaced rows, MAX_POINTS at most."""
    every = slice(None, None, -(-len(y) // MAX_POINTS))
    return X[every], y[every]


def _scatter(ax: Axes, where: NDArray[Any], color: ColorType, label: str | None = None) -> None:
    ax.scatter(
        where[:, 0], where[:, 1], s=18, color=style.mixed(color, style.text_color(), 0.72),
        linewidths=0.5, edgecolors=style.axes_background(ax), label=label,
    )  # fmt: skip


def _colors(n: int) -> list[str]:
    return [style.CLASS_COLORS[i % len(style.CLASS_COLORS)] for i in range(n)]


def _legend(ax: Axes, place: Any = "upper right") -> None:
    ax.legend(loc=place, framealpha=0.85, fontsize="small")


class Curves:
    """The outputs of a network of one feature, over its data.

    Attributes
    ----------
    lines : list of matplotlib Line2D
        One for each output.
    """

    def __init__(self, ax: Axes, net: Network, X: NDArray[Any], y: NDArray[Any]) -> None:
        n_outputs, row = net.layer_units[-1], BY_NAME[net.activations[-1]]
        low, high = float(X.min()), float(X.max())
        margin = 0.1 * ((high - low) or 1.0)
        self.x = np.linspace(low - margin, high + margin, CURVE)
        bottom, top = float(y.min()), float(y.max())
        room = 0.15 * ((top - bottom) or 1.0)
        x, y = _some(X[:, 0], y)
        self.lines = []
        one_class_each = not row.elementwise
        for k, color in enumerate(_colors(n_outputs)):
            # for probabilities that exclude each other a point belongs to one class, at its 1
            rows = y.argmax(axis=1) == k if one_class_each else slice(None)
            _scatter(ax, np.column_stack([x[rows], y[rows, k]]), color)
            line_color = color if n_outputs > 1 else style.BLUE
            label = say("class {}" if one_class_each else "output {}", k)
            self.lines += ax.plot([], [], color=line_color, linewidth=2.2, label=label)
        ax.set(
            xlabel="$x_{0}$", ylabel=say("y, and prediction"), xlim=(self.x[0], self.x[-1]),
            ylim=(bottom - room, top + room),
        )  # fmt: skip
        if n_outputs > 1:  # not over the points of classes, which are at 1
            _legend(ax, "center right" if one_class_each else "upper right")

    def update(self, net: Network) -> None:
        """Draw the curves of now."""
        values = net.predict(self.x[:, None])
        for line, output in zip(self.lines, values.T, strict=True):
            line.set_data(self.x, output)


class _OverPlane:
    """What predictions over the plane of two features share.

    Attributes
    ----------
    plane : Plane
    image : matplotlib AxesImage
    """

    def __init__(
        self, ax: Axes, net: Network, X: NDArray[Any], y: NDArray[Any], plane: Plane
    ) -> None:
        self.ax, self.plane = ax, plane
        self._background, self._ink = style.axes_background(ax), style.text_color()
        X, y = _some(X[:, plane.features], y)
        image = {
            "origin": "lower", "extent": plane.extent, "interpolation": "bilinear",
            "aspect": "auto", "zorder": 0,
        }  # fmt: skip
        self._draw(net, X, y, image)
        ax.set(
            xlabel=plane.label(0), ylabel=plane.label(1), xlim=plane.extent[:2],
            ylim=plane.extent[2:],
        )  # fmt: skip

    def _draw(self, net: Network, X: NDArray[Any], y: NDArray[Any], image: dict[str, Any]) -> None:
        raise NotImplementedError


class ValuePlane(_OverPlane):
    """One output: shades from its lowest to its highest value, points in the shade of their y.

    Targets of two values are classes, and the boundary is halfway between.

    Attributes
    ----------
    boundary : matplotlib ContourSet or None
    """

    boundary: ContourSet | None = None

    def _draw(self, net: Network, X: NDArray[Any], y: NDArray[Any], image: dict[str, Any]) -> None:
        values, row = np.unique(y), BY_NAME[net.activations[-1]]
        low, high = row.low, row.high
        if not np.isfinite([low, high]).all():
            low, high = float(values[0]), float(values[-1])
        if low == high:
            high += 1.0
        two_classes = len(values) <= 2
        self._level = (low + high) / 2 if two_classes else None
        # what a regression predicts has the colours of its points
        field = (FIELD, 15) if two_classes else ()
        colors = style.diverging(self._background, *field)
        self.image = self.ax.imshow(
            np.zeros((2, 2)), cmap=colors, vmin=low, vmax=high, interpolation_stage="data", **image
        )
        if self._level is not None:
            for value in values:
                color = style.CLASS_COLORS[int(value > self._level)]
                _scatter(self.ax, X[y[:, 0] == value], color, say("class {}", f"{value:g}"))
            _legend(self.ax)
        else:
            self.ax.scatter(
                X[:, 0], X[:, 1], c=y[:, 0], cmap=colors, vmin=low, vmax=high, s=16,
                edgecolors=self._ink, linewidths=0.4,
            )  # fmt: skip
        label = say("prediction" if two_classes else "y, and prediction")
        self.ax.figure.colorbar(self.image, ax=self.ax, label=label, pad=0.02)

    def update(self, net: Network) -> None:
        """Draw the prediction of now."""
        field = self.plane.field(net.predict(self.plane.points))[..., 0]
        self.image.set_data(field)
        if self.boundary is not None:
            self.boundary.remove()
            self.boundary = None
        if self._level is not None and field.min() < self._level < field.max():
            self.boundary = self.ax.contour(
                self.plane.x0, self.plane.x1, field, levels=[self._level], colors=[self._ink],
                linewidths=1.3,
            )  # fmt: skip


class ClassPlane(_OverPlane):
    """Probabilities: a mixture of the classes' colours, points in that of their class.

    Attributes
    ----------
    colors : ndarray, (n_classes, 3)
        Of the plane where the network is sure.
    """

    def _draw(self, net: Network, X: NDArray[Any], y: NDArray[Any], image: dict[str, Any]) -> None:
        colors = _colors(y.shape[1])
        self.colors = np.array([style.mixed(c, self._background, FIELD) for c in colors])
        self.image = self.ax.imshow(np.zeros((2, 2, 3)), **image)
        for i, color in enumerate(colors):
            _scatter(self.ax, X[y.argmax(axis=1) == i], color, say("class {}", i))
        _legend(self.ax)

    def update(self, net: Network) -> None:
        """Draw the prediction of now."""
        field = self.plane.field(net.predict(self.plane.points))
        shares = field / np.maximum(field.sum(axis=-1, keepdims=True), 1e-12)
        # the less sure of a class, the nearer to the background
        sure = shares.max(axis=-1, keepdims=True)
        mixture = (shares**2 / (shares**2).sum(axis=-1, keepdims=True)) @ self.colors
        background = np.array(style.mixed(self._background, self._background, 1))
        self.image.set_data(np.clip(sure * mixture + (1 - sure) * background, 0, 1))


def draw_prediction(
    ax: Axes,
    net: Network,
    X: NDArray[Any],
    y: NDArray[Any],
    features: Sequence[int] | None,
    resolution: int,
) -> Curves | ValuePlane | ClassPlane:
    """Draw the data, and prepare for a network's prediction.

    Raises
    ------
    TypeError, ValueError
        If there is no curve, plane or boundary that could be drawn.
    """
    n_features, n_outputs = net.layer_units[0], net.layer_units[-1]
    if n_features == 1 and features is None:
        return Curves(ax, net, X, y)
    if n_outputs > 1 and net.activations[-1] not in PROBABILITIES:
        raise ValueError(
            "over two features a picture is of one output, or of several that are probabilities "
            f"({' or '.join(PROBABILITIES)}); this network has {n_outputs} "
            f"{net.activations[-1]} outputs"
        )
    plane = Plane(n_features, X, features, resolution)
    return (ClassPlane if n_outputs > 1 else ValuePlane)(ax, net, X, y, plane)
