"""TrainingPicture: data with prediction beside the loss curve, and how to draw it fast again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn.network import Network
from fastnn.plotting import style
from fastnn.plotting.boundary import check_network
from fastnn.plotting.training.predictions import dense_rows, draw_prediction
from fastnn.plotting.words import say

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

PICTURES = (".png", ".pdf", ".svg", ".jpg", ".jpeg")


class TrainingPicture:
    """Two axes: data with a network's prediction, and its loss. Made to be drawn many times.

    `update` gives the artists their new data; `draw` draws the figure on its canvas: all of it the
    first time and after the axes have changed, otherwise only what is inside them, over a copy of
    the rest. That takes a seventh of the time, as most of it goes to layout and ticks (measured by
    bench/callbacks.py --frames). A pixel at the foot of each tick may differ, nothing else.

    Parameters
    ----------
    net : Network
        Of one feature; or of two, or more with `features`, and then of one output or of several
        that are probabilities.
    X : ndarray or sparse array, (n, n_features)
        Of a sparse one, some rows stand for all.
    y : ndarray, (n, units of the output)
    figure : matplotlib Figure, optional
        Empty; by default a new one.
    features : pair of int, optional
        The two that vary if there are others, which stay at their means.
    max_iter : int, optional
        Epochs to leave room for.
    resolution : int
        Points of the plane in each direction.

    Attributes
    ----------
    figure, field_ax, loss_ax
    prediction : Curves, ValuePlane or ClassPlane

    Raises
    ------
    ImportError
        Without matplotlib.
    TypeError, ValueError
        If the network has no curve, plane or boundary that could be drawn.
    """

    def __init__(
        self,
        net: Network,
        X: NDArray[Any],
        y: NDArray[Any],
        *,
        figure: Figure | None = None,
        features: Sequence[int] | None = None,
        max_iter: int | None = None,
        resolution: int = 120,
    ) -> None:
        mpl = style.matplotlib()
        check_network(net)
        X, y = dense_rows(X, y)
        self.figure: Any = mpl.figure.Figure((9, 4.1)) if figure is None else figure
        self.figure.set_layout_engine("constrained")
        self.field_ax, self.loss_ax = self.figure.subplots(1, 2, width_ratios=[1.1, 1])
        self.prediction = draw_prediction(self.field_ax, net, X, y, features, resolution)
        self.field_ax.set_title(say("data and prediction"))
        (self._curve,) = self.loss_ax.plot([], [], color=style.BLUE, linewidth=1.8)
        (self._now,) = self.loss_ax.plot([], [], "o", color=style.BLUE, markersize=5)
        self.loss_ax.set(xlabel=say("epoch"), ylabel=say("mean loss"))
        style.log_axis(self.loss_ax, "y")
        if max_iter:
            self.loss_ax.set_xlim(-0.01 * max_iter, 1.02 * max_iter)
        self.loss_ax.grid(True, alpha=0.25)
        self._title = self.loss_ax.set_title("")
        self._rest: Any = None  # what is drawn of the figure besides the moving artists
        self._view: tuple[object, ...] = ()  # of what _rest is
        self._listening: int | None = None

    def update(
        self, net: Network, limits: tuple[float, float] | None = None, state: str = ""
    ) -> None:
        """Take over the network as it is now.

        Parameters
        ----------
        net : Network
        limits : pair of float, optional
            Of the loss; by default what fits.
        state : str
            For the title, "done: {}" or "stopped: {}".
        """
        self.prediction.update(net)
        curve = np.asarray(net.loss_curve_, np.float64)
        scale = "linear" if len(curve) and not len(on_log_axis(curve)) else "log"
        if self.loss_ax.get_yscale() != scale:
            if scale == "log":
                style.log_axis(self.loss_ax, "y")
            else:
                self.loss_ax.set_yscale(scale)
        self._curve.set_data(np.arange(1, len(curve) + 1), curve)
        self._now.set_data([len(curve)], curve[-1:]) if len(curve) else self._now.set_data([], [])
        if len(curve):
            title = say("epoch {}, loss {}", len(curve), f"{curve[-1]:.4f}")
        else:
            title = say("epoch {}, loss unknown yet", 0)
        self._title.set_text(say(state, title) if state else title)
        if limits is not None:
            self.loss_ax.set_ylim(*limits)
        elif len(curve):
            self.loss_ax.relim()
            self.loss_ax.autoscale_view(scalex=self.loss_ax.get_autoscalex_on())

    # ---- drawing ----

    def draw(self, *, whole: bool = False) -> None:
        """Draw on the figure's canvas what `update` changed, or the whole figure."""
        canvas = self.figure.canvas
        if not canvas.supports_blit:
            canvas.draw()
            return
        if self._listening is None:  # the canvas also draws by itself, as when it is resized
            self._listening = canvas.mpl_connect("draw_event", self._drawn)
        for artist in self._moving():
            artist.set_animated(True)
        if whole or self._rest is None or self._view != self._seen():
            canvas.draw()
        else:
            canvas.restore_region(self._rest)
            self._draw_moving()
            canvas.blit(self.figure.bbox)

    def finish(self) -> None:
        """From now on the figure draws itself, whole, as any other does."""
        if self._listening is not None:
            self.figure.canvas.mpl_disconnect(self._listening)
        self._listening = self._rest = None
        for artist in self._moving():
            artist.set_animated(False)

    def _drawn(self, event: object) -> None:
        """Everything but the moving artists was drawn: keep it, and add them."""
        canvas = self.figure.canvas
        if canvas.is_saving():  # then they are drawn, too, and maybe in another size
            self._rest = None
            return
        self._rest, self._view = canvas.copy_from_bbox(self.figure.bbox), self._seen()
        self._draw_moving()

    def _seen(self) -> tuple[object, ...]:
        axes = self.loss_ax
        return (
            *(axes.get_xlim(), axes.get_ylim(), axes.get_yscale()),
            *(self.figure.dpi, tuple(self.figure.get_size_inches())),
        )  # fmt: skip

    def _moving(self) -> Iterator[Artist]:
        """What is inside the axes and the loss's title, in the order in which matplotlib draws it.

        Points, legend and frames are among them, as what moves is below them.
        """
        for ax in (self.field_ax, self.loss_ax):
            static = (ax.patch, ax.xaxis, ax.yaxis, self.field_ax.title)
            inside = [artist for artist in ax.get_children() if artist not in static]
            yield from sorted(inside, key=lambda artist: artist.get_zorder())

    def _draw_moving(self) -> None:
        for artist in self._moving():
            self.figure.draw_artist(artist)


def steady_limits(loss_curve: ArrayLike) -> tuple[float, float] | None:
    """Limits of a logarithmic axis that change rarely while a curve grows.

    They are multiples of half a decade. None if there is no loss to draw.
    """
    curve = on_log_axis(loss_curve)
    if not len(curve):
        return None
    low, high = 2 * np.log10(curve.min()), 2 * np.log10(curve.max())
    low, high = max(np.floor(low - 0.1) / 2, -300.0), min(np.ceil(high + 0.1) / 2, 300.0)
    return float(10**low), float(10**high)


def on_log_axis(loss_curve: ArrayLike) -> NDArray[np.float64]:
    """The losses that a logarithmic axis can show."""
    curve = np.asarray(loss_curve, np.float64)
    return curve[(curve > 0) & np.isfinite(curve)]


def training_picture(
    path: str | Path,
    net: Network,
    X: ArrayLike,
    y: ArrayLike,
    title: str = "",
    *,
    features: Sequence[int] | None = None,
) -> None:
    """Write a picture of a trained network: data with prediction, and how the loss fell.

    Parameters
    ----------
    path : str or Path
        Where to write it; the suffix is the format.
    net : Network
        Of one feature; or of two, or more with `features`, and then of one output or of several
        that are probabilities.
    X : array-like, (n, layer_units[0])
        The samples to draw, one a row.
    y : array-like, (n, layer_units[-1]), or (n,) for one output
        Their targets.
    title : str
        Above the picture.
    features : pair of int, optional
        The two that vary if the network takes more than two; others stay at their means.

    Raises
    ------
    ImportError
        Without matplotlib.
    TypeError, ValueError
        For bad input, or if path cannot be written.

    Examples
    --------
    >>> from fastnn import Network
    >>> from fastnn.plotting import training_picture
    >>> X, y = [[0.0], [0.5], [1.0]], [0, 1, 0]
    >>> net = Network([1, 4, 1], "tanh", random_state=0).fit(X, y)
    >>> training_picture("training.png", net, X, y, "Three points")
    """
    path = Path(path)
    style.check_output("path", path, PICTURES)
    check_network(net)
    picture = TrainingPicture(net, *net.check_data(X, y), features=features, resolution=400)
    picture.figure.set_size_inches(11, 5)
    picture.figure.suptitle(title, fontsize=12)
    picture.update(net)
    picture.figure.savefig(path, dpi=130)
