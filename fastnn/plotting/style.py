"""Colours, and what is asked of matplotlib before anything is drawn.

Blue and orange differ in lightness too and are told apart with every kind of colour blindness;
further classes follow Okabe and Ito (2008), "Color Universal Design". Fields and coefs shade from
one to the other through the background, so that zero is as quiet on dark as on light.
"""

import os

BLUE, ORANGE = "#2a7fc4", "#e8851c"
CLASS_COLORS = [ORANGE, BLUE, "#009e73", "#cc79a7", "#a08c00", "#8a5a44", "#7a7a7a", "#56b4e9"]


def matplotlib():
    """matplotlib.

    Raises
    ------
    ImportError
        Without it; the message names the extra.
    """
    try:
        import matplotlib
        import matplotlib.figure
    except ImportError as error:
        raise ImportError(
            'fastnn.plotting needs matplotlib: install the extra "plot", pip install ".[plot]" in '
            "a copy of fastnn's source"
        ) from error
    return matplotlib


def new_axes(ax, **figure_options):
    """ax, or the axes of a new figure of pyplot's."""
    matplotlib()
    if ax is not None:
        return ax
    from matplotlib import pyplot

    return pyplot.subplots(layout="constrained", **figure_options)[1]


def mixed(color, background, share):
    """A colour so far on the way from background to color, as red, green, blue."""
    from matplotlib.colors import to_rgb

    pairs = zip(to_rgb(color), to_rgb(background), strict=True)
    return tuple(share * c + (1 - share) * b for c, b in pairs)


def diverging(background, share=1.0, n=256):
    """A colour map from orange (low) through the background to blue (high)."""
    from matplotlib.colors import LinearSegmentedColormap

    ends = [mixed(color, background, share) for color in (ORANGE, BLUE)]
    return LinearSegmentedColormap.from_list("fastnn", [ends[0], background, ends[1]], N=n)


def axes_background(ax):
    """The colour that ax is drawn on; white where it is transparent."""
    from matplotlib.colors import to_rgba

    for color in (ax.get_facecolor(), ax.figure.get_facecolor()):
        if to_rgba(color)[3] > 0:
            return color
    return "white"


def text_color():
    """The colour of text in the style in use."""
    return matplotlib().rcParams["text.color"]


def check_output(name, path, suffixes):
    """That a file can be written to path, a Path, with one of these suffixes.

    Raises
    ------
    ValueError
        If it cannot, in a line that names the argument.
    """
    folder = (path.resolve() if path.is_symlink() else path).parent
    if not folder.is_dir():
        raise ValueError(f"{name} {path}: there is no folder {folder}")
    if path.is_dir():
        raise ValueError(f"{name} {path} is a folder")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise ValueError(f"{name} {path} cannot be written")
    if path.suffix.lower() not in suffixes:
        *most, last = suffixes
        known = f"{', '.join(most)} or {last}" if most else last
        raise ValueError(f"{name} {path} must end in {known}")
