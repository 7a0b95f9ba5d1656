"""Training, seen: the boundary and the loss in one picture, live, as an animation, or at the end.

Figures are built without pyplot, but for LivePlot's window, so nothing about the caller's backend
or open figures changes.
"""

import base64
import html
import io
import json
import string
import sys
from pathlib import Path

import numpy as np

from fastnn.callbacks import Callback, Recorder
from fastnn.data import checks
from fastnn.plotting import style
from fastnn.plotting.boundary import Plane, check_network

# Points drawn; a picture of more is a blot.
MAX_POINTS = 2000

# How much of a class's colour the plane has where the network is sure of it.
FIELD = 0.6

PICTURES = (".png", ".pdf", ".svg", ".jpg", ".jpeg")
ANIMATIONS = (".gif", ".html")


class TrainingPicture:
    """Two axes: data over what a network makes of the plane, and its loss; to draw over and over.

    Parameters
    ----------
    net : Network
        Of one output, or of several that are probabilities.
    X : ndarray, (n, n_features)
    y : ndarray, (n, units of the output)
    figure : matplotlib Figure, optional
        Empty; by default a new one.
    features : pair of int, optional
        The two that vary, where there are others; those stay at their means.
    max_iter : int, optional
        Epochs to leave room for.
    resolution : int
        Points of the plane in each direction.

    Attributes
    ----------
    figure, field_ax, loss_ax

    Raises
    ------
    ImportError
        Without matplotlib.
    TypeError, ValueError
        If the network has no plane or no boundary that could be drawn.
    """

    def __init__(self, net, X, y, *, figure=None, features=None, max_iter=None, resolution=120):
        mpl = style.matplotlib()
        check_network(net)
        n_outputs, out = net.layer_units[-1], net.activations[-1]
        if n_outputs > 1 and out not in ("softmax", "sigmoid"):
            raise ValueError(
                f"a boundary is of one output, or of several that are probabilities (softmax or "
                f"sigmoid); this network has {n_outputs} {out} outputs"
            )
        self._plane = Plane(net.layer_units[0], X, features, resolution)
        self.figure = mpl.figure.Figure((9, 4.1)) if figure is None else figure
        self.figure.set_layout_engine("constrained")
        self.field_ax, self.loss_ax = self.figure.subplots(1, 2, width_ratios=[1.1, 1])
        self._background = style.axes_background(self.field_ax)
        points = slice(None, None, -(-len(X) // MAX_POINTS))
        where, y = X[points][:, self._plane.features], y[points]
        self._boundary = None
        image = {
            "origin": "lower", "extent": self._plane.extent, "interpolation": "bilinear",
            "aspect": "auto", "zorder": 0,
        }  # fmt: skip
        draw = self._draw_classes if n_outputs > 1 else self._draw_values
        draw(net, where, y, image)
        self.field_ax.set(
            xlabel=self._plane.label(0), ylabel=self._plane.label(1), xlim=self._plane.extent[:2],
            ylim=self._plane.extent[2:], title="data and prediction",
        )  # fmt: skip
        (self._curve,) = self.loss_ax.plot([], [], color=style.BLUE, linewidth=1.8)
        (self._now,) = self.loss_ax.plot([], [], "o", color=style.BLUE, markersize=5)
        self.loss_ax.set(xlabel="epoch", ylabel="mean loss", yscale="log")
        if max_iter:
            self.loss_ax.set_xlim(-0.01 * max_iter, 1.02 * max_iter)
        self.loss_ax.grid(True, alpha=0.25)
        self._title = self.loss_ax.set_title("")

    def _draw_values(self, net, where, y, image):
        """One output: shades from the lowest to the highest value, points in those of their y."""
        values = np.unique(y)
        self._low, self._high = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}.get(
            net.activations[-1], (float(values[0]), float(values[-1]))
        )
        if self._low == self._high:
            self._high += 1.0
        two_classes = len(values) <= 2
        self._level = (self._low + self._high) / 2 if two_classes else None
        self._colors = style.diverging(self._background, FIELD, 15) if two_classes else "cividis"
        self._image = self.field_ax.imshow(
            np.zeros((2, 2)), cmap=self._colors, vmin=self._low, vmax=self._high,
            interpolation_stage="data", **image,
        )  # fmt: skip
        if two_classes:
            for value in values:
                color = style.CLASS_COLORS[int(value > self._level)]
                self._scatter(where[y[:, 0] == value], color, f"class {value:g}")
            self.field_ax.legend(loc="upper right", framealpha=0.85, fontsize="small")
        else:
            self.field_ax.scatter(
                *where.T, c=y[:, 0], cmap="cividis", vmin=self._low, vmax=self._high, s=16,
                edgecolors=style.text_color(), linewidths=0.4,
            )  # fmt: skip
        label = "prediction" if two_classes else "y, and prediction"
        self.figure.colorbar(self._image, ax=self.field_ax, label=label, pad=0.02)

    def _draw_classes(self, net, where, y, image):
        """Probabilities: a mixture of the classes' colours, points in that of their class."""
        colors = [style.CLASS_COLORS[i % len(style.CLASS_COLORS)] for i in range(y.shape[1])]
        self._colors = np.array([style.mixed(c, self._background, FIELD) for c in colors])
        self._image = self.field_ax.imshow(np.zeros((2, 2, 3)), **image)
        for i, color in enumerate(colors):
            self._scatter(where[y.argmax(axis=1) == i], color, f"class {i}")
        self.field_ax.legend(loc="upper right", framealpha=0.85, fontsize="small")

    def _scatter(self, points, color, label):
        self.field_ax.scatter(
            *points.T, s=18, color=style.mixed(color, style.text_color(), 0.72), linewidths=0.5,
            edgecolors=self._background, label=label,
        )  # fmt: skip

    def update(self, net, limits=None):
        """Draw the network as it is now; limits are those of the loss, by default what fits."""
        field = self._plane.field(net.predict(self._plane.points))
        if self._boundary is not None:
            self._boundary.remove()
            self._boundary = None
        if field.shape[-1] == 1:
            field = field[..., 0]
            self._image.set_data(field)
            if self._level is not None and field.min() < self._level < field.max():
                self._boundary = self.field_ax.contour(
                    self._plane.x0, self._plane.x1, field, levels=[self._level],
                    colors=[style.text_color()], linewidths=1.3,
                )  # fmt: skip
        else:
            shares = field / np.maximum(field.sum(axis=-1, keepdims=True), 1e-12)
            # the less sure of a class, the nearer to the background
            sure = shares.max(axis=-1, keepdims=True)
            mixture = (shares**2 / (shares**2).sum(axis=-1, keepdims=True)) @ self._colors
            background = np.array(style.mixed(self._background, self._background, 1))
            self._image.set_data(np.clip(sure * mixture + (1 - sure) * background, 0, 1))
        curve = np.asarray(net.loss_curve_, np.float64)
        scale = "linear" if len(curve) and not (curve > 0).any() else "log"
        if self.loss_ax.get_yscale() != scale:
            self.loss_ax.set_yscale(scale)
        self._curve.set_data(np.arange(1, len(curve) + 1), curve)
        self._now.set_data([len(curve)], curve[-1:]) if len(curve) else self._now.set_data([], [])
        loss = f"loss {curve[-1]:.4f}" if len(curve) else "loss unknown yet"
        self._title.set_text(f"epoch {len(curve)}, {loss}")
        if limits is not None:
            self.loss_ax.set_ylim(*limits)
        elif len(curve):
            self.loss_ax.relim()
            self.loss_ax.autoscale_view(scalex=self.loss_ax.get_autoscalex_on())


def training_picture(path, net, X, y, title=""):
    """Write a picture of a trained network: data, what it predicts, and how its loss fell.

    Parameters
    ----------
    path : str or Path
        Where to write it; the suffix says in which format.
    net : Network
        Of two features and one output, or several that are probabilities.
    X : array-like, (n, 2)
    y : array-like, (n, units of the output), or (n,) for one output
    title : str

    Raises
    ------
    ImportError
        Without matplotlib.
    TypeError, ValueError
        For bad input, or if path cannot be written.
    """
    path = Path(path)
    style.check_output("path", path, PICTURES)
    check_network(net)
    picture = TrainingPicture(net, *net.check_data(X, y), resolution=400)
    picture.figure.set_size_inches(11, 5)
    picture.figure.suptitle(title, fontsize=12)
    picture.update(net)
    picture.figure.savefig(path, dpi=130)


class LivePlot(Callback):
    """Draws data, boundary and loss while a network trains, in place, in a notebook or a window.

    Training waits for each frame that was asked for, some hundredths of a second, and for nothing
    else. Whoever closes the window lets the training go on without.

    Parameters
    ----------
    every : int, optional
        Epochs from one frame to the next; by default a fiftieth of the fit.
    features : pair of int, optional
        The two features that vary, for a network that takes more; others stay at their means.

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
    In a notebook::

        net.fit(X, y, max_iter=2000, callback=LivePlot(every=25))
    """

    def __init__(self, *, every=None, features=None):
        style.matplotlib()
        self._every = None if every is None else checks.whole_number("every", every)
        self.every = self._every or 1
        self._features, self._screen = features, None

    def begin(self, net, X, y, max_iter):
        """Draw the network before its first epoch.

        Raises
        ------
        RuntimeError
            Where there is neither a notebook nor a window.
        ValueError
            If the network has no plane or no boundary that could be drawn.
        """
        self.every = self._every or max(1, max_iter // 50)
        if self._screen is not None:
            self._screen.close()
        self._screen = _Notebook() if _in_notebook() else _Window()
        try:
            self._picture = TrainingPicture(
                net, X, y, figure=self._screen.figure, features=self._features, max_iter=max_iter
            )
            self.figure_, self.n_frames_ = self._picture.figure, 0
            self._draw(net)
        except BaseException:
            self._screen.close()
            raise

    def __call__(self, net):
        """Draw the network as it is now."""
        self._draw(net)

    def end(self, net, completed):
        """Draw the network as it is in the end, if that has not been drawn."""
        if not completed and net.n_iter_ == 0:  # another callback refused the fit
            self._screen.close()
        elif net.n_iter_ != self._drawn[0] or (net.params_ != self._drawn[1]).any():
            self._draw(net)

    def _draw(self, net):
        self._drawn = net.n_iter_, net.params_.copy()
        self._picture.update(net)
        if self._screen.show():
            self.n_frames_ += 1


def _in_notebook():
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    return hasattr(get_ipython(), "kernel")


class _Notebook:
    """A picture below the cell, replaced in place."""

    def __init__(self):
        self.figure, self._handle = style.matplotlib().figure.Figure((9, 4.1)), None

    def show(self):
        from IPython.display import Image, display

        png = io.BytesIO()
        self.figure.savefig(png, format="png", dpi=90)
        image = Image(data=png.getvalue(), format="png")
        if self._handle is None:
            self._handle = display(image, display_id=True)
        else:
            self._handle.update(image)
        return True

    def close(self):
        pass


class _Window:
    """A window of matplotlib's backend."""

    def __init__(self):
        check_window()
        from matplotlib import pyplot

        self._pyplot, self._shown = pyplot, False
        self.figure = pyplot.figure(figsize=(9, 4.1))
        self._manager = self.figure.canvas.manager
        self._manager.set_window_title("fastnn")

    def _is_open(self):
        from matplotlib._pylab_helpers import Gcf

        return self._manager in Gcf.get_all_fig_managers()  # numbers are given again

    def show(self):
        if not self._is_open():
            return False
        if not self._shown:
            self.figure.show()
            self._shown = True
        self.figure.canvas.draw()
        self.figure.canvas.flush_events()
        return True

    def close(self):
        if self._is_open():
            self._pyplot.close(self.figure)


def check_window():
    """That matplotlib's backend opens windows.

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


# ---- animations ---------------------------------------------------------------------------------


def animate(recorder, path, *, features=None, fps=12, hold=2.0, dpi=85, title=""):
    """Write what a `fastnn.callbacks.Recorder` kept as an animation of boundary and loss.

    Parameters
    ----------
    recorder : fastnn.callbacks.Recorder
        After a fit.
    path : str or Path
        Ending in ``.gif``, or in ``.html`` for a page with a slider, which holds its pictures and
        loads nothing.
    features : pair of int, optional
        The two features that vary, for a network that takes more; others stay at their means.
    fps : float
        Frames a second, 0.02 to 100.
    hold : float
        Seconds that the last frame of a GIF is kept, up to 600.
    dpi : float
        Pixels an inch; the picture is 9 by 4.1 inches.
    title : str
        Of the page.

    Returns
    -------
    Path
        Where it is.

    Raises
    ------
    ImportError
        Without matplotlib.
    TypeError, ValueError
        For bad input, before anything is drawn or written: a recorder without a fit, a network
        without a plane, a path that cannot be written.
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
    frames = _frames(recorder, features, dpi)
    if path.suffix.lower() == ".gif":
        data = _gif(frames, 1000 / fps, 1000 * hold)
    else:
        data = _page(frames, recorder.epochs_, 1000 / fps, title or "fastnn").encode()
    path.write_bytes(data)
    return path


def _frames(recorder, features, dpi):
    """The pictures of all frames, in 128 colours that they share."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    net = recorder[-1]
    picture = TrainingPicture(
        net, recorder.X_, recorder.y_, features=features, max_iter=recorder.epochs_[-1]
    )
    curve = np.asarray(net.loss_curve_)
    curve = curve[curve > 0]
    low, high = (curve.min(), curve.max()) if len(curve) else (0.1, 1.0)
    room = (high / low) ** 0.05 if high > low else 1.5
    picture.figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(picture.figure)
    images = []
    for i in range(len(recorder)):
        picture.update(recorder[i], (low / room, high * room))
        canvas.draw()
        if i == 0:  # where things are is settled once: nothing jumps
            picture.figure.set_layout_engine("none")
        images.append(Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy()))
    palette = _palette(images, picture)
    return [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]


def _palette(images, picture):
    """A picture with the 128 colours that suit all: those of a few, and some as they are."""
    from matplotlib.colors import to_rgba_array
    from PIL import Image

    some = images[:: max(1, len(images) // 6)]
    samples = Image.new("RGB", (some[0].width, some[0].height * len(some)))
    for i, image in enumerate(some):
        samples.paste(image, (0, i * image.height))
    # background, text and points, however few pixels they have
    points = [c.get_facecolors() for c in picture.field_ax.collections[: len(style.CLASS_COLORS)]]
    plain = to_rgba_array([picture.figure.get_facecolor(), style.text_color(), style.BLUE])
    exact = np.unique((255 * np.concatenate([plain, *points])[:, :3]).round().astype(int), axis=0)
    exact = exact[:32]  # points of a regression have any colour
    palette = samples.quantize(128 - len(exact), method=Image.Quantize.MEDIANCUT)
    colors = np.reshape(palette.getpalette()[: 3 * (128 - len(exact))], (-1, 3))
    for color in exact:  # Pillow looks colours up by their first six bits
        colors[np.abs(colors - color).max(axis=1) <= 8] = color
    palette.putpalette([*colors.ravel().tolist(), *exact.ravel().tolist()])
    return palette


def _gif(frames, milliseconds, hold):
    file = io.BytesIO()
    frames[0].save(
        file, format="GIF", save_all=True, append_images=frames[1:], loop=0, optimize=False,
        duration=[milliseconds] * (len(frames) - 1) + [milliseconds + hold],
    )  # fmt: skip
    return file.getvalue()


def _page(frames, epochs, milliseconds, title):
    pictures = []
    for frame in frames:
        file = io.BytesIO()
        frame.save(file, format="PNG", optimize=True)
        pictures.append(base64.b64encode(file.getvalue()).decode())
    return _PAGE.substitute(
        title=html.escape(title), width=frames[0].width, height=frames[0].height,
        last=len(frames) - 1, pictures=json.dumps(pictures), epochs=json.dumps(epochs),
        milliseconds=round(milliseconds),
    )  # fmt: skip


_PAGE = string.Template("""<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>$title</title>
<style>
  :root { color-scheme: light dark; }
  body { font: 16px/1.4 system-ui, sans-serif; max-width: ${width}px; margin: 1.5em auto; }
  img { display: block; width: 100%; height: auto; }
  .controls { display: flex; gap: 1em; align-items: center; padding: .5em; }
  input { flex: 1; }
  output { min-width: 7em; }
</style>
<h1>$title</h1>
<img id="picture" width="$width" height="$height" alt="data, prediction and loss">
<div class="controls">
  <button type="button" id="play" aria-label="play or pause">pause</button>
  <input type="range" id="frame" min="0" max="$last" value="0" aria-label="frame">
  <output id="epoch" for="frame"></output>
</div>
<script>
const pictures = $pictures, epochs = $epochs;
const [picture, play, slider, epoch] = ["picture", "play", "frame", "epoch"].map(
  id => document.getElementById(id));
let timer = null;
function show(i) {
  slider.value = i;
  picture.src = "data:image/png;base64," + pictures[i];
  epoch.textContent = "epoch " + epochs[i];
}
function run(on) {
  clearInterval(timer);
  const next = () => show((+slider.value + 1) % pictures.length);
  timer = on ? setInterval(next, $milliseconds) : null;
  play.textContent = on ? "pause" : "play";
}
slider.oninput = () => { run(false); show(+slider.value); };
play.onclick = () => run(timer === null);
show(0);
run(!matchMedia("(prefers-reduced-motion: reduce)").matches);
</script>
</html>
""")
