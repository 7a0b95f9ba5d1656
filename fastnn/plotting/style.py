"""Colours, and checks of matplotlib and paths before anything is drawn.

Blue and orange also differ in lightness and can be told apart with every kind of colour blindness;
further classes follow Okabe and Ito (2008), "Color Universal Design". Fields and coefs shade from
one to the other through the background, so that 0 is as quiet on dark as on light.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from fastnn import pages

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure
    from matplotlib.typing import ColorType

BLUE, ORANGE = "#2a7fc4", "#e8851c"
CLASS_COLORS = [ORANGE, BLUE, "#009e73", "#cc79a7", "#a08c00", "#8a5a44", "#7a7a7a", "#56b4e9"]
# of lines: as of classes, the first two the other way round
COLORS = [BLUE, ORANGE, *CLASS_COLORS[2:]]

_PAPER = ("figure.facecolor", "axes.facecolor", "savefig.facecolor")
_INK = (
    *("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"),
    *("patch.edgecolor", "grid.color"),
)  # fmt: skip


def matplotlib() -> Any:
    """The module matplotlib.

    Raises
    ------
    ImportError
        Without it; the message names the extra.
    """
    try:
        import matplotlib
        import matplotlib.figure
    except ImportError as error:
        raise pages.missing("fastnn.plotting needs matplotlib", "plot") from error
    return matplotlib


def new_axes(ax: Axes | None, **figure_options: Any) -> Axes:
    """ax, or the axes of a new pyplot figure."""
    matplotlib()
    if ax is not None:
        return ax
    from matplotlib import pyplot

    _, axes = pyplot.subplots(layout="constrained", **figure_options)
    return cast("Axes", axes)


def figure_of(ax: Axes) -> Figure:
    """The figure or subfigure of ax."""
    return cast("Figure", ax.figure)


def mixed(color: ColorType, background: ColorType, share: float) -> tuple[float, float, float]:
    """share of color and the rest of background, as red, green, blue."""
    from matplotlib.colors import to_rgb

    pairs = zip(to_rgb(color), to_rgb(background), strict=True)
    red, green, blue = (share * c + (1 - share) * b for c, b in pairs)
    return red, green, blue


def diverging(background: ColorType, share: float = 1.0, n: int = 256) -> LinearSegmentedColormap:
    """A colour map from orange (low) through the background to blue (high)."""
    from matplotlib.colors import LinearSegmentedColormap

    ends = [mixed(color, background, share) for color in (ORANGE, BLUE)]
    return LinearSegmentedColormap.from_list("fastnn", [ends[0], background, ends[1]], N=n)


def from_zero(background: ColorType) -> LinearSegmentedColormap:
    """A colour map from the background (0) to blue (high), for what has no sign."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("fastnn_from_zero", [background, BLUE])


def log_axis(ax: Axes, which: Literal["x", "y"]) -> None:
    """Make an axis of ax logarithmic, with a few ticks in plain numbers however much it spans.

    matplotlib's own writes 2 x 10^-1, 3 x 10^-1 and so on where an axis spans little more than a
    decade, and these crowd each other.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    class Ticks(LogLocator):
        """1, 2, 5 of each decade; of many decades powers of ten; of a part of one, even steps."""

        def tick_values(self, vmin: float, vmax: float) -> Any:
            low, high = sorted((vmin, vmax))
            span = high / low if low > 0 else math.inf
            few = which == "x"  # numbers are wider than high
            if span <= 6:
                return MaxNLocator(3 if few else 5).tick_values(low, high)
            if span > (100 if few else 1e3):
                self.set_params(subs=(1.0,), numticks=5 if few else 7)
            else:
                self.set_params(subs=(1.0, 3.0) if few or span > 100 else (1.0, 2.0, 5.0))
            return super().tick_values(vmin, vmax)

    axis: Axis = getattr(ax, f"{which}axis")
    getattr(ax, f"set_{which}scale")("log")
    axis.set_major_locator(Ticks())

    def text(value: float, _: object) -> str:
        low, high = sorted(axis.get_view_interval())
        return _power(value) if low < 2e-5 or high > 2e5 else f"{value:g}"

    axis.set_major_formatter(FuncFormatter(text))
    axis.set_minor_formatter(NullFormatter())


def _power(value: float) -> str:
    """A number as a power of ten, such as 10^-6."""
    power = math.floor(math.log10(value) + 1e-9)
    digit = f"{value / 10.0**power:.3g}"
    return f"$10^{{{power}}}$" if digit == "1" else f"${digit}\\times10^{{{power}}}$"


def axes_background(ax: Axes) -> ColorType:
    """The colour behind ax; white if it is transparent."""
    from matplotlib.colors import to_rgba

    for color in (ax.get_facecolor(), figure_of(ax).get_facecolor()):
        if to_rgba(color)[3] > 0:
            return color
    return "white"


def text_color() -> ColorType:
    """The colour of text in the style in use."""
    return cast("ColorType", matplotlib().rcParams["text.color"])


def colors_for(*, dark: bool) -> dict[str, str]:
    """rcParams that make the style in use a dark or light one; none if it is one already."""
    from matplotlib.colors import to_rgb

    if (sum(to_rgb(text_color())) > 1.5) == dark:
        return {}
    paper, ink = ("black", "white") if dark else ("white", "black")
    return {**dict.fromkeys(_PAPER, paper), **dict.fromkeys(_INK, ink)}


def check_output(name: str, path: Path, suffixes: Sequence[str]) -> None:
    """Refuse a path that no file with one of these suffixes can be written to.

    Raises
    ------
    ValueError
        In a line that names the argument.
    """
    folder = (path.resolve() if path.is_symlink() else path).parent
    if not folder.is_dir():
        raise ValueError(f"{name} {path}: there is no folder {folder}")
    if path.is_dir():
        raise ValueError(f"{name} {path} is a folder")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise ValueError(f"{name} {path} cannot be written")
    if path.suffix.lower() not in suffixes:
        raise ValueError(f"{name} {path} must end in {_listed(suffixes)}")


def _listed(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last
