"""animate: what a Recorder kept, as a GIF or as an HTML page with a slider."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn.callbacks import Recorder
from fastnn.data import checks
from fastnn.plotting import style
from fastnn.plotting.training import page
from fastnn.plotting.training.picture import TrainingPicture, on_log_axis

if TYPE_CHECKING:
    from PIL.Image import Image

ANIMATIONS = (".gif", ".html")

# Colours of a frame. Those of background, text and points are kept as they are, up to MAX_EXACT.
N_COLORS, MAX_EXACT = 128, 32


def animate(
    recorder: Recorder,
    path: str | Path,
    *,
    features: Sequence[int] | None = None,
    fps: float = 12,
    hold: float = 2.0,
    dpi: float = 85,
    title: str = "",
) -> Path:
    """Write what a `fastnn.callbacks.Recorder` kept as an animation of prediction and loss.

    Parameters
    ----------
    recorder : fastnn.callbacks.Recorder
        After a fit.
    path : str or Path
        Ending in ``.gif``, or in ``.html`` for a page with a slider. The page holds its pictures,
        for light and for dark screens, and loads nothing. A GIF is as light or dark as
        matplotlib's style in use.
    features : pair of int, optional
        The two features that vary if the network takes more than two; others stay at their means.
    fps : float
        Frames a second, 0.02 to 100.
    hold : float
        Seconds for which the last frame stays before the animation starts again, up to 600.
    dpi : float
        Pixels an inch; the picture is 9 by 4.1 inches.
    title : str
        Of the page.

    Returns
    -------
    Path
        Of the file.

    Raises
    ------
    ImportError
        Without matplotlib.
    TypeError, ValueError
        For bad input, before anything is drawn or written: a recorder without a fit, a network
        that cannot be drawn, a path that cannot be written.

    Examples
    --------
    >>> from fastnn import Network
    >>> from fastnn.callbacks import Recorder
    >>> from fastnn.plotting import animate
    >>> recorder, net = Recorder(every=200), Network([1, 4, 1], "tanh", random_state=0)
    >>> net = net.fit([[0.0], [0.5], [1.0]], [0, 1, 0], callback=recorder)
    >>> path = animate(recorder, "learning.gif", dpi=40)  # two frames
    """
    if not isinstance(recorder, Recorder):
        raise TypeError(
            f"recorder must be a fastnn.callbacks.Recorder, got {checks.shown(recorder)}"
        )
    if not len(recorder):
        raise ValueError("recorder is empty: pass it to Network.fit as callback first")
    path = Path(path)
    style.check_output("path", path, ANIMATIONS)
    fps = checks.real_number("fps", fps, 0.02, 100, closed="both")
    hold = checks.real_number("hold", hold, 0, 600, closed="both")
    if not isinstance(title, str):
        raise TypeError(f"title must be a string, got {checks.shown(title)}")
    dpi = checks.real_number("dpi", dpi, 10, 1000, closed="both")
    milliseconds, wait = 1000 / fps, 1000 * hold
    if path.suffix.lower() == ".gif":
        path.write_bytes(_gif(_frames(recorder, features, dpi), milliseconds, wait))
    else:
        looks = {}
        for look in ("light", "dark"):
            with style.matplotlib().rc_context(style.colors_for(dark=look == "dark")):
                looks[look] = _frames(recorder, features, dpi)
        text = page.render(
            {look: [_png(image) for image in frames.images] for look, frames in looks.items()},
            {look: (frames.paper, frames.ink) for look, frames in looks.items()},
            size=looks["light"].images[0].size, epochs=recorder.epochs_,
            milliseconds=milliseconds, hold=wait, title=title or "fastnn",
        )  # fmt: skip
        path.write_text(text, encoding="utf-8", newline="\n")
    return path


class _Frames(NamedTuple):
    images: list[Image]
    paper: str  # the colour of the background, and that of text
    ink: str


def _frames(recorder: Recorder, features: Sequence[int] | None, dpi: float) -> _Frames:
    """The pictures of all frames, in colours that they share."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import to_hex
    from PIL import Image

    net = recorder[-1]
    picture = TrainingPicture(
        net, recorder.X_, recorder.y_, features=features, max_iter=recorder.epochs_[-1]
    )
    curve = on_log_axis(net.loss_curve_)
    low, high = (curve.min(), curve.max()) if len(curve) else (0.1, 1.0)
    room = (high / low) ** 0.05 if high > low else 1.5
    picture.figure.set_dpi(dpi)
    canvas: Any = FigureCanvasAgg(picture.figure)
    images = []
    for step in recorder:
        picture.update(step, (low / room, high * room))
        picture.draw()
        images.append(Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy()))
    palette = _palette(images, picture)
    images = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    return _Frames(
        images, to_hex(style.axes_background(picture.field_ax)), to_hex(style.text_color())
    )


def _palette(images: list[Image], picture: TrainingPicture) -> Image:
    """A picture with the colours that suit all: the most frequent ones, and some exactly."""
    from PIL import Image

    some = images[:: max(1, len(images) // 6)]
    samples = Image.new("RGB", (some[0].width, some[0].height * len(some)))
    for i, image in enumerate(some):
        samples.paste(image, (0, i * image.height))
    exact = _exact_colors(picture)
    n = N_COLORS - len(exact)
    palette = samples.quantize(n, method=Image.Quantize.MEDIANCUT)
    colors = np.reshape((palette.getpalette() or [])[: 3 * n], (-1, 3))
    for color in exact:  # Pillow looks colours up by their first six bits
        colors[np.abs(colors - color).max(axis=1) <= 8] = color
    palette.putpalette([*colors.ravel().tolist(), *exact.ravel().tolist()])
    return palette


def _exact_colors(picture: TrainingPicture) -> NDArray[np.intp]:
    """The colours of background, text, curve and points, however few pixels they have."""
    from matplotlib.colors import to_rgba_array

    points = [c.get_facecolors() for c in picture.field_ax.collections[: len(style.CLASS_COLORS)]]
    plain = to_rgba_array([picture.figure.get_facecolor(), style.text_color(), style.BLUE])
    colors = np.concatenate([plain, *points])[:, :3]
    # the points of a regression may have thousands
    return np.unique((255 * colors).round().astype(int), axis=0)[:MAX_EXACT]


def _gif(frames: _Frames, milliseconds: float, hold: float) -> bytes:
    file, images = io.BytesIO(), frames.images
    images[0].save(
        file, format="GIF", save_all=True, append_images=images[1:], loop=0, optimize=False,
        duration=[milliseconds] * (len(images) - 1) + [milliseconds + hold],
    )  # fmt: skip
    return file.getvalue()


def _png(image: Image) -> str:
    """A picture in base64."""
    file = io.BytesIO()
    image.save(file, format="PNG")
    return base64.b64encode(file.getvalue()).decode()
