"""LivePlot: a callback that draws while a network trains, in a notebook or a window."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastnn import documentation
from fastnn.callbacks import Callback
from fastnn.data import checks
from fastnn.plotting import style
from fastnn.plotting.training.picture import TrainingPicture, steady_limits

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fastnn.network import Network


@documentation.inherit_sections
class LivePlot(Callback):
    """Draw data, prediction and loss while a network trains, in place, in a notebook or a window.

    Training waits for each frame, some hundredths of a second: a few tenths when the axis of the
    loss changes, which is rare. If the window is closed, the training goes on without. The title
    says when the training is done.

    Parameters
    ----------
    every : int, optional
        Epochs between two frames; by default a fiftieth of the fit.
    features : pair of int, optional
        The two features that vary if the network takes more than two; others stay at their means.

    Attributes
    ----------
    figure_ : matplotlib Figure
    n_frames_ : int
        How many were drawn.

    Raises
    ------
    ImportError
        Without matplotlib.

    Examples
    --------
    >>> from fastnn import Network
    >>> from fastnn.plotting import LivePlot
    >>> net, live = Network([2, 8, 1], "tanh", random_state=0), LivePlot(every=25)

    In a notebook, or where matplotlib opens windows::

        net.fit(X, y, max_iter=2000, callback=live)
    """

    figure_: Figure
    n_frames_: int

    def __init__(self, *, every: int | None = None, features: Sequence[int] | None = None) -> None:
        style.matplotlib()
        self._every = None if every is None else checks.whole_number("every", every)
        self.every = self._every or 1
        self._features = features
        self._screen: _Screen | None = None

    def begin(self, net: Network, X: NDArray[Any], y: NDArray[Any], max_iter: int) -> None:
        """Draw the network before its first epoch.

        Raises
        ------
        RuntimeError
            If there is neither a notebook nor a window.
        ValueError
            If the network has no curve, plane or boundary that could be drawn.
        """
        self.every = self._every or max(1, max_iter // 50)
        if self._screen is not None:
            self._screen.close()
        screen = self._screen = _Notebook() if _in_notebook() else _Window()
        try:
            self._picture = TrainingPicture(
                net, X, y, figure=screen.figure, features=self._features, max_iter=max_iter
            )
            self.figure_, self.n_frames_ = screen.figure, 0
            self._draw(net)
        except BaseException:
            screen.close()
            raise

    def __call__(self, net: Network) -> None:
        """Draw the network as it is now."""
        self._draw(net)

    def end(self, net: Network, completed: bool) -> None:
        """Draw the network as it is at the end, and say that training is done, or stopped."""
        if not completed and net.n_iter_ == 0 and self._screen:  # another callback refused the fit
            self._screen.close()
            return
        self._draw(net, "done: {}" if completed else "stopped: {}")
        self._picture.finish()

    def _draw(self, net: Network, state: str = "") -> None:
        assert self._screen is not None
        self._picture.update(net, steady_limits(net.loss_curve_), state)
        if self._screen.show(self._picture):
            self.n_frames_ += 1


def _in_notebook() -> bool:
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    return hasattr(get_ipython(), "kernel")


class _Screen(Protocol):
    """Where frames are shown."""

    figure: Any

    def show(self, picture: TrainingPicture) -> bool:
        """Draw and show the picture; False if there is nothing to show it on."""

    def close(self) -> None:
        """Take it away."""


class _Notebook:
    """A picture below the cell, replaced in place."""

    def __init__(self) -> None:
        mpl = style.matplotlib()
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        self.figure = mpl.figure.Figure((9, 4.1), dpi=90)
        self._canvas: Any = FigureCanvasAgg(self.figure)
        self._handle: Any = None

    def show(self, picture: TrainingPicture) -> bool:
        import IPython.display
        from PIL import Image

        screen: Any = IPython.display

        picture.draw()
        png = io.BytesIO()
        pixels = np.asarray(self._canvas.buffer_rgba())
        Image.fromarray(pixels).save(png, "PNG", compress_level=1)
        image = screen.Image(data=png.getvalue(), format="png")
        if self._handle is None:
            self._handle = screen.display(image, display_id=True)
        else:
            self._handle.update(image)
        return True

    def close(self) -> None:
        pass


class _Window:
    """A window of matplotlib's backend."""

    def __init__(self) -> None:
        check_window()
        from matplotlib import pyplot

        self._pyplot, self._shown = pyplot, False
        self.figure = pyplot.figure(figsize=(9, 4.1))
        self._manager = self.figure.canvas.manager
        assert self._manager is not None  # pyplot's figures have one
        self._manager.set_window_title("fastnn")

    def _is_open(self) -> bool:
        from matplotlib._pylab_helpers import Gcf

        return self._manager in Gcf.get_all_fig_managers()  # numbers are used again

    def show(self, picture: TrainingPicture) -> bool:
        if not self._is_open():
            return False
        if not self._shown:
            self.figure.show()
            self._shown = True
        picture.draw()
        self.figure.canvas.flush_events()
        return True

    def close(self) -> None:
        if self._is_open():
            self._pyplot.close(self.figure)


def check_window() -> None:
    """Check that matplotlib's backend opens windows.

    Raises
    ------
    RuntimeError
        If it does not.
    """
    style.matplotlib()
    from matplotlib import get_backend, pyplot

    figure = pyplot.figure()
    framework = getattr(type(figure.canvas), "required_interactive_framework", None)
    pyplot.close(figure)
    if not framework:
        raise RuntimeError(
            f"nothing to draw on: this is no notebook, and matplotlib's backend {get_backend()!r} "
            "opens no windows; fastnn.callbacks.Recorder and fastnn.plotting.animate make an "
            "animation instead"
        )
