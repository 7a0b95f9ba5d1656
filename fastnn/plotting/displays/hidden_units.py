"""HiddenUnitsDisplay: what the units of a layer respond to."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn.catalog import activations
from fastnn.data import checks
from fastnn.network import Network
from fastnn.plotting import style
from fastnn.plotting.boundary import Plane
from fastnn.plotting.displays.models import largest, network_of, sub_axes
from fastnn.plotting.words import say

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage


class HiddenUnitsDisplay:
    """The units of a layer: the activation of each over a plane, or its coefs as an image.

    Parameters
    ----------
    images : ndarray, (n_units, height, width)
        One for each unit, row after row from the bottom (planes) or the top (images).
    units : sequence of int
        The number of each unit in its layer.
    scale : pair of float
        The values of the first and the last colour.
    extent : tuple of float, optional
        Left, right, bottom, top of a plane; None for images.
    labels : pair of str, optional
        The names of the plane's axes.
    value : str
        What the colours show.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The place that the units' axes share.
    axes_ : ndarray of matplotlib Axes, (n_rows, n_columns)
        One for each unit; the rest are switched off.
    figure_ : matplotlib Figure
    images_ : list of matplotlib AxesImage
        One for each unit.

    Examples
    --------
    >>> from fastnn import Network
    >>> from fastnn.plotting import HiddenUnitsDisplay
    >>> X, y = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0, 1, 1, 0]
    >>> net = Network([2, 3, 1], "tanh", random_state=0).fit(X, y)
    >>> display = HiddenUnitsDisplay.from_network(net, X, layer=0)
    >>> len(display.images_)
    3
    >>> display = display.plot(colorbar=False)  # once more, in a figure of its own
    """

    ax_: Axes
    axes_: NDArray[Any]
    figure_: Figure
    images_: list[AxesImage]

    def __init__(
        self,
        *,
        images: ArrayLike,
        units: Iterable[int],
        scale: tuple[float, float],
        extent: tuple[float, ...] | None = None,
        labels: Sequence[str] = ("", ""),
        value: str = "activation",
    ) -> None:
        self.images, self.units, self.scale = np.asarray(images), list(units), scale
        self.extent, self.labels, self.value = extent, labels, value

    @classmethod
    def from_estimator(
        cls,
        model: Any,
        X: ArrayLike | None = None,
        *,
        layer: int = 0,
        units: Iterable[int] | None = None,
        features: Sequence[int] | None = None,
        image_shape: Sequence[int] | None = None,
        grid_resolution: int = 100,
        ax: Axes | None = None,
        colorbar: bool = True,
    ) -> HiddenUnitsDisplay:
        """Draw the units of a layer of a fitted network or estimator.

        Parameters
        ----------
        model : Network, MLPClassifier or MLPRegressor
            After a fit.
        X : array-like, (n, n_features)
            Says where the plane is and at which means the other features are held; not needed
            with image_shape.
        layer : int
            0 is the first after the input, -1 the output.
        units : sequence of int, optional
            Which; by default all, or the first 64.
        features : pair of int, optional
            The two features that vary; needed if there are others.
        image_shape : (height, width), optional
            If the features are the pixels of an image: draw each unit's coefs as one. For layer 0.
        grid_resolution : int
            Points of the plane in each direction.
        ax : matplotlib Axes, optional
            From ``subplots`` or another grid; the units' axes take its place.
        colorbar : bool
            Whether to draw the scale of the colours.

        Returns
        -------
        HiddenUnitsDisplay
            Drawn.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before a fit.
        TypeError, ValueError
            For bad input; for a net of more than two features without `features`.
        ImportError
            Without matplotlib.
        """
        net = network_of(model)
        n_layers = len(net.layer_units) - 1
        layer = checks.whole_number("layer", layer, -n_layers, n_layers - 1) % n_layers
        n = net.layer_units[layer + 1]
        if units is not None and not hasattr(units, "__iter__"):
            raise TypeError(
                f"units must be a sequence of whole numbers, got {checks.shown(units)}"
            )
        chosen = list(range(min(n, 64)) if units is None else units)
        if not chosen:
            raise ValueError("units must hold at least one unit")
        chosen = [checks.whole_number("units", unit, 0, n - 1) for unit in chosen]
        if image_shape is None:
            made = cls._over_plane(net, X, layer, chosen, features, grid_resolution)
        else:
            made = cls._of_pixels(net, layer, chosen, image_shape)
        return cls(units=chosen, **made).plot(ax=ax, colorbar=colorbar)

    from_network = from_estimator

    @staticmethod
    def _over_plane(
        net: Network,
        X: Any,
        layer: int,
        units: list[int],
        features: Sequence[int] | None,
        resolution: int,
    ) -> dict[str, Any]:
        if X is None:
            raise ValueError("X says where the plane is; it is needed without image_shape")
        names = getattr(X, "columns", None)
        x = checks.matrix("X", np.asarray(X), net.dtype, net.layer_units[0], "feature")
        resolution = checks.whole_number("grid_resolution", resolution, 2)
        plane = Plane(net.layer_units[0], x, features, resolution)
        field = plane.field(net.forward(plane.points)[layer])
        images = np.moveaxis(field, -1, 0)[units]
        row = activations.BY_NAME[net.activations[layer]]
        scale = row.low, row.high
        if not np.isfinite(scale).all():
            size = largest([images])
            scale = (-size if images.min() < 0 else 0.0, size)
        return {
            "images": images, "scale": scale, "extent": plane.extent,
            "labels": [plane.label(i, names) for i in range(2)],
            "value": say("activation ({})", row.name),
        }  # fmt: skip

    @staticmethod
    def _of_pixels(
        net: Network, layer: int, units: list[int], image_shape: Sequence[int]
    ) -> dict[str, Any]:
        if layer != 0:
            raise ValueError(
                f"image_shape is for layer 0, whose coefs belong to pixels; got layer {layer}"
            )
        n_features = net.layer_units[0]
        if not hasattr(image_shape, "__iter__"):
            raise TypeError(
                f"image_shape must be (height, width), got {checks.shown(image_shape)}"
            )
        shape = tuple(checks.whole_number("image_shape", side) for side in image_shape)
        if len(shape) != 2 or math.prod(shape) != n_features:
            raise ValueError(
                f"image_shape must be (height, width) of {n_features} pixels, got {shape}"
            )
        images = net.coefs_[0].T[units].reshape(-1, *shape)
        size = float(np.quantile(np.abs(images), 0.995)) or 1.0
        return {"images": images, "scale": (-size, size), "value": say("coef of the pixel")}

    def plot(self, ax: Axes | None = None, *, colorbar: bool = True) -> Self:
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            None: those of a new figure.
        colorbar : bool
            Whether to draw the scale of the colours.

        Returns
        -------
        HiddenUnitsDisplay
            Itself.
        """
        n = len(self.units)
        n_columns = min(n, max(4, math.ceil(math.sqrt(1.6 * n))))
        n_rows = math.ceil(n / n_columns)
        ax = style.new_axes(ax, figsize=(1.25 * n_columns + 1.4, 1.35 * n_rows + 0.7))
        self.axes_ = sub_axes(ax, n_rows, n_columns)
        self.ax_, self.figure_, self.images_ = ax, style.figure_of(ax), []
        low, high = self.scale
        for i, where in enumerate(self.axes_.flat):
            if i >= n:
                where.set_axis_off()
                continue
            # values with a sign shade from 0, which has the background's colour
            shades = style.diverging if low < 0 else style.from_zero
            colormap = shades(style.axes_background(where))
            origin, aspect = ("lower", "auto") if self.extent else ("upper", "equal")
            image = where.imshow(
                self.images[i], origin=origin, aspect=aspect, extent=self.extent, cmap=colormap,
                vmin=low, vmax=high, interpolation="nearest",
            )  # fmt: skip
            self.images_.append(image)
            where.set_title(say("unit {}", self.units[i]), fontsize="small", pad=3)
            first_column, last_row = i % n_columns == 0, i + n_columns >= n
            if self.extent is None:
                where.set(xticks=[], yticks=[])
                continue
            where.tick_params(
                labelsize="x-small", labelleft=first_column, labelbottom=last_row, length=2
            )
            where.locator_params(nbins=3)
            if last_row:
                where.set_xlabel(self.labels[0], fontsize="small")
            if first_column:
                where.set_ylabel(self.labels[1], fontsize="small")
        if colorbar:
            self.figure_.colorbar(
                self.images_[0], ax=self.axes_.ravel().tolist(), label=self.value, shrink=0.9,
                aspect=30, pad=0.02, extend="both" if self.extent is None else "neither",
            )  # fmt: skip
        return self
