"""NetworkDisplay: a network as a graph, or its coefs as heat maps."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastnn.data import checks
from fastnn.network import Network
from fastnn.plotting import style
from fastnn.plotting.displays.models import largest, network_of, sub_axes
from fastnn.plotting.words import say

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import LineCollection, PathCollection
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

Kind: TypeAlias = Literal["auto", "graph", "heatmap"]

# Larger networks are drawn as heat maps; of more edges only the strongest are drawn.
MAX_GRAPH_UNITS, MAX_GRAPH_LAYER, MAX_EDGES = 300, 100, 4000


class NetworkDisplay:
    """The structure of a network: units and coefs as a graph, or the coefs as heat maps.

    Edges are orange where the coef is negative and blue where it is positive; width and opacity
    follow its size. Units are coloured by their intercepts, which have a scale of
    their own; those of the input have none.

    Parameters
    ----------
    coefs : list of ndarray, (fan_in, fan_out)
        Of each layer.
    intercepts : list of ndarray, (fan_out,)
        Of each layer.
    captions : list of str
        One for each layer, the input first.
    feature_names, output_names : list of str, optional
        Written at the units of the first and the last layer.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Of the graph, or the place that the heat maps share.
    axes_ : ndarray of matplotlib Axes
        One for each heat map; for a graph only ax_.
    figure_ : matplotlib Figure
    edges_ : matplotlib LineCollection or None
    units_ : list of matplotlib PathCollection
        The units of each layer; empty for heat maps.
    images_ : list of matplotlib AxesImage
        The heat maps; empty for a graph.

    Examples
    --------
    >>> from fastnn import Network
    >>> from fastnn.plotting import NetworkDisplay
    >>> net = Network([2, 3, 1], "tanh", random_state=0).fit([[0.0, 1.0], [1.0, 0.0]], [0, 1])
    >>> display = NetworkDisplay.from_network(net, feature_names=["length", "width"])
    >>> len(display.units_)  # layers
    3
    >>> display = display.plot(kind="heatmap")  # the same, in a figure of its own
    """

    ax_: Axes
    axes_: NDArray[Any]
    figure_: Figure
    edges_: LineCollection | None
    units_: list[PathCollection]
    images_: list[AxesImage]

    def __init__(
        self,
        *,
        coefs: Iterable[NDArray[Any]],
        intercepts: Iterable[NDArray[Any]],
        captions: Iterable[str],
        feature_names: Sequence[str] | None = None,
        output_names: Sequence[str] | None = None,
    ) -> None:
        self.coefs, self.intercepts, self.captions = list(coefs), list(intercepts), list(captions)
        self.feature_names, self.output_names = feature_names, output_names
        for names, n, name in (
            (feature_names, len(self.coefs[0]), "feature_names"),
            (output_names, len(self.intercepts[-1]), "output_names"),
        ):
            if names is not None and len(names) != n:
                raise ValueError(f"{name} must hold {n} names, got {len(names)}")

    @classmethod
    def from_estimator(
        cls,
        model: Any,
        *,
        kind: Kind = "auto",
        feature_names: Sequence[str] | None = None,
        output_names: Sequence[str] | None = None,
        ax: Axes | None = None,
        colorbar: bool = True,
    ) -> NetworkDisplay:
        """Draw a fitted network or estimator.

        Parameters
        ----------
        model : Network, MLPClassifier or MLPRegressor
            After a fit.
        kind : {"auto", "graph", "heatmap"}
            "auto" is a graph for up to 300 units in all and 100 in each layer.
        feature_names, output_names : list of str, optional
            By default those an estimator was fitted with.
        ax : matplotlib Axes, optional
            For heat maps from ``subplots`` or another grid; they take the place of these axes.
        colorbar : bool
            Whether to draw the scale of the colours.

        Returns
        -------
        NetworkDisplay
            Drawn.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before a fit.
        ImportError
            Without matplotlib.
        """
        net = network_of(model)
        if feature_names is None:
            feature_names = getattr(model, "feature_names_in_", None)
        if output_names is None and net is not model:
            classes = getattr(model, "classes_", ())
            if len(classes) == net.layer_units[-1]:
                output_names = [str(label) for label in classes]
        display = cls(
            coefs=[coef.copy() for coef in net.coefs_],
            intercepts=[intercept.copy() for intercept in net.intercepts_],
            captions=_layer_captions(net), feature_names=feature_names, output_names=output_names,
        )  # fmt: skip
        return display.plot(ax=ax, kind=kind, colorbar=colorbar)

    from_network = from_estimator

    def plot(self, ax: Axes | None = None, *, kind: Kind = "auto", colorbar: bool = True) -> Self:
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            None: those of a new figure.
        kind : {"auto", "graph", "heatmap"}
            "auto" is a graph for up to 300 units in all and 100 in each layer.
        colorbar : bool
            Whether to draw the scale of the colours.

        Returns
        -------
        NetworkDisplay
            Itself.
        """
        kind = checks.choice("kind", kind, {k: k for k in ("auto", "graph", "heatmap")})
        units = [len(self.coefs[0]), *map(len, self.intercepts)]
        if kind == "auto":
            small = sum(units) <= MAX_GRAPH_UNITS and max(units) <= MAX_GRAPH_LAYER
            kind = "graph" if small else "heatmap"
        width, height = {"graph": (2.0, 5.0), "heatmap": (3.2, 3.8)}[kind]
        bars = 2.7 if colorbar and kind == "graph" else 1.5
        width = max(5.5, width * len(self.coefs) + bars)
        ax = style.new_axes(ax, figsize=(width, height))
        self.edges_, self.units_, self.images_ = None, [], []
        self.ax_, self.figure_ = ax, style.figure_of(ax)
        draw = self._plot_graph if kind == "graph" else self._plot_heat_maps
        draw(ax, units, colorbar)
        return self

    def _plot_graph(self, ax: Axes, units: list[int], colorbar: bool) -> None:
        from matplotlib.collections import LineCollection

        background, foreground = style.axes_background(ax), style.text_color()
        places = []  # where the units of each layer are
        for i, n in enumerate(units):
            spread = np.linspace(0.5, -0.5, n) if n > 1 else np.zeros(1)
            places.append(np.column_stack([np.full(n, float(i)), spread]))
        biggest_coef = largest(self.coefs)
        segments, flat = [], []
        for a, b, coef in zip(places[:-1], places[1:], self.coefs, strict=True):
            rows, columns = np.divmod(np.arange(coef.size), coef.shape[1])
            segments.append(np.stack([a[rows], b[columns]], axis=1))
            flat.append(coef.ravel())
        lines: Any = np.concatenate(segments)
        sizes = np.concatenate(flat) / biggest_coef
        order = np.argsort(np.abs(sizes), kind="stable")[-MAX_EDGES:]  # the strongest on top
        lines, sizes = lines[order], sizes[order]
        crowded = min(1.0, math.sqrt(150 / len(sizes)))
        strength = np.abs(sizes)
        colors = style.diverging(background)(0.5 + 0.5 * np.sign(sizes))
        colors[:, 3] = 0.06 + 0.94 * strength
        self.edges_ = LineCollection(
            lines, colors=colors, linewidths=0.2 + (0.6 + 2.6 * crowded) * strength, zorder=1,
            capstyle="round",
        )  # fmt: skip
        ax.add_collection(self.edges_)
        biggest = largest(self.intercepts)
        colormap = style.diverging(background)
        area = float(np.clip(4500 / max(units), 12, 260))
        for i, place in enumerate(places):
            shades = np.zeros(len(place)) if i == 0 else self.intercepts[i - 1]
            drawn = ax.scatter(
                place[:, 0], place[:, 1], s=area, c=shades, cmap=colormap, vmin=-biggest,
                vmax=biggest, edgecolors=foreground, linewidths=min(1.0, area / 60), zorder=2,
            )  # fmt: skip
            self.units_.append(drawn)
        for i, caption in enumerate(self.captions):
            ax.annotate(
                caption, (i, -0.5), xytext=(0, -18), textcoords="offset points", ha="center",
                va="top", linespacing=1.3,
            )  # fmt: skip
        self._name_units(ax, places, area)
        ax.set_xlim(-0.35, len(units) - 0.65)
        ax.set_ylim(-0.56, 0.56)
        ax.set_axis_off()
        if colorbar:
            if any(intercept.any() for intercept in self.intercepts):
                self._colorbar(ax, biggest, say("intercept (units)"), "neither")
            self._colorbar(ax, biggest_coef, say("coef (edges)"), "neither")
        self.axes_ = np.array([ax])

    def _name_units(self, ax: Axes, places: list[NDArray[Any]], area: float) -> None:
        far = math.sqrt(area) / 2 + 4
        for names, place, side in (
            (self.feature_names, places[0], -1),
            (self.output_names, places[-1], 1),
        ):
            if names is None or len(names) > 40:
                continue
            for name, where in zip(names, place, strict=True):
                ax.annotate(
                    str(name), where, xytext=(side * far, 0), textcoords="offset points",
                    ha="right" if side < 0 else "left", va="center",
                    fontsize="small" if len(names) <= 20 else "xx-small",
                )  # fmt: skip

    def _plot_heat_maps(self, ax: Axes, units: list[int], colorbar: bool) -> None:
        self.axes_ = sub_axes(ax, 1, len(self.coefs))[0]
        # not the maximum: one outlier would make all others pale
        limit = max(float(np.quantile(np.abs(c), 0.995)) for c in self.coefs) or 1.0
        for i, (coef, where) in enumerate(zip(self.coefs, self.axes_, strict=True)):
            colormap = style.diverging(style.axes_background(where))
            image = where.imshow(
                coef, cmap=colormap, vmin=-limit, vmax=limit, aspect="auto",
                interpolation="nearest",
            )  # fmt: skip
            self.images_.append(image)
            before, after = (self.captions[j].split("\n")[0] for j in (i, i + 1))
            where.set_title(f"{units[i]} x {units[i + 1]}", fontsize="medium")
            where.set(
                xlabel=say("{} unit", after),
                ylabel=say("feature") if i == 0 else say("{} unit", before),
            )
            for axis in (where.xaxis, where.yaxis):
                axis.get_major_locator().set_params(integer=True, nbins=4)
        if colorbar:
            self._colorbar(list(self.axes_), limit, say("coef"), "both")

    def _colorbar(self, ax: Axes | list[Axes], limit: float, label: str, extend: str) -> None:
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        scale = ScalarMappable(
            Normalize(-limit, limit), style.diverging(style.axes_background(self.ax_))
        )
        self.figure_.colorbar(scale, ax=ax, label=label, extend=extend, shrink=0.85, pad=0.02)


def _layer_captions(net: Network) -> Iterator[str]:
    yield f"{say('input')}\n{net.layer_units[0]}"
    for name, n in zip(net.activations, net.layer_units[1:], strict=True):
        yield f"{name}\n{n}"
