"""What pictures of a training draw: at the end, live, and as animations."""

import base64
import io
import itertools
import json
import re
import subprocess
import sys
import types
import warnings

import matplotlib
import numpy as np
import pytest
import scipy
from conftest import PYTHON
from matplotlib import pyplot
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb, to_rgba
from PIL import Image
from plotted import IRIS, KIND, X, circles_net, drawn, fitted_net, y

from fastnn import MLPClassifier, MLPRegressor, Network
from fastnn.callbacks import Recorder, ValidationLoss
from fastnn.plotting import LivePlot, LossCurveDisplay, animate, training_picture
from fastnn.plotting import training as pictures
from fastnn.plotting.training.picture import steady_limits

pytestmark = pytest.mark.usefixtures("without_windows")


@pytest.fixture
def net():
    return fitted_net()


# ---- the picture of training --------------------------------------------------------------------


def test_training_picture_of_two_classes(net, look):
    picture = pictures.TrainingPicture(net, X, y[:, None], max_iter=100, resolution=40)
    picture.update(net)
    picture.figure.canvas.draw()
    field = picture.prediction.image.get_array()
    left, right, bottom, top = picture.prediction.image.get_extent()
    corners = [[left, bottom], [right, bottom], [left, top], [right, top]]
    seen = field[[0, 0, -1, -1], [0, -1, 0, -1]]
    np.testing.assert_allclose(seen, net.predict(corners).ravel(), rtol=1e-6)
    assert picture.prediction.image.get_clim() == (0, 1)
    # the boundary is where the prediction is one half
    (path,) = picture.prediction.boundary.get_paths()
    np.testing.assert_allclose(net.predict(path.vertices), 0.5, atol=0.05)
    points = picture.field_ax.collections
    drawn = [c for c in points if c.get_label().startswith("class")]
    assert [c.get_label() for c in drawn] == ["class 0", "class 1"]
    for label, collection in enumerate(drawn):
        np.testing.assert_array_equal(collection.get_offsets(), X[y == label])
    (curve, now) = picture.loss_ax.get_lines()
    np.testing.assert_array_equal(curve.get_ydata(), net.loss_curve_)
    assert (now.get_xdata()[0], now.get_ydata()[0]) == (30, net.loss_)
    assert picture.loss_ax.get_title() == f"epoch 30, loss {net.loss_:.4f}"
    assert picture.loss_ax.get_xlim()[1] > 100
    assert picture.loss_ax.get_yscale() == "log"
    ink, paper = ("black", "white") if look == "default" else ("white", "black")
    assert picture.prediction.boundary.get_edgecolor()[0].tolist() == list(to_rgba(ink))
    assert to_rgb(picture.figure.get_facecolor()) == to_rgb(paper)
    # drawn anew, the old boundary goes
    n = len(picture.field_ax.collections)
    picture.update(net)
    assert len(picture.field_ax.collections) == n


def test_training_picture_of_three_classes(look):
    net = Network([4, 4, 3], "tanh", loss="log_loss", random_state=0)
    net.fit(IRIS, np.eye(3)[KIND], max_iter=500, learning_rate_init=0.05)
    picture = pictures.TrainingPicture(net, IRIS, np.eye(3)[KIND], features=(2, 3))
    picture.update(net)
    picture.figure.canvas.draw()
    labels = [t.get_text() for t in picture.field_ax.get_legend().get_texts()]
    assert labels == ["class 0", "class 1", "class 2"]
    # a point that is surely of a class has its colour
    p = net.predict(picture.prediction.plane.points)
    image = np.asarray(picture.prediction.image.get_array()).reshape(-1, 3)
    for label in range(3):
        i = p[:, label].argmax()
        assert p[i, label] > 0.9
        distances = np.abs(image[i] - picture.prediction.colors).sum(axis=1)
        assert distances.argmin() == label


def test_training_picture_of_a_regression_over_a_plane():
    net = Network([2, 4, 1], "tanh", random_state=0).fit(X, X[:, 0], max_iter=5)
    picture = pictures.TrainingPicture(net, X, X[:, :1])
    picture.update(net)
    picture.figure.canvas.draw()
    assert picture.prediction.boundary is None
    assert picture.prediction.image.get_clim() == (X[:, 0].min(), X[:, 0].max())


WAVE = np.linspace(-2, 2, 50)[:, None]
WAVES = np.column_stack([np.sin(2 * WAVE), 0.5 * np.cos(2 * WAVE), WAVE / 4])


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_a_regression_of_one_feature_is_drawn_as_curves(n_outputs, look):
    targets = WAVES[:, :n_outputs]
    net = Network([1, 6, n_outputs], "tanh", random_state=0).fit(WAVE, targets, max_iter=5)
    picture = pictures.TrainingPicture(net, WAVE, targets)
    picture.update(net)
    picture.figure.canvas.draw()
    ax = picture.field_ax
    assert len(ax.get_lines()) == len(ax.collections) == n_outputs
    for k, (line, points) in enumerate(zip(ax.get_lines(), ax.collections, strict=True)):
        x, seen = line.get_data()
        assert x[0] < -2 < 2 < x[-1]
        np.testing.assert_array_equal(seen, net.predict(x[:, None])[:, k])
        expected = np.column_stack([WAVE, targets[:, k]])
        np.testing.assert_array_equal(points.get_offsets(), expected)
    low, high = ax.get_ylim()
    assert low < targets.min() < targets.max() < high
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("$x_{0}$", "y, and prediction")
    names = [text.get_text() for text in ax.get_legend().get_texts()] if ax.get_legend() else []
    assert names == (["output 0", "output 1", "output 2"] if n_outputs > 1 else [])
    # the axes stay while the curves move
    net.fit(WAVE, targets, max_iter=30, learning_rate_init=0.05)
    picture.update(net)
    assert ax.get_ylim() == (low, high)
    np.testing.assert_array_equal(ax.get_lines()[0].get_ydata(), net.predict(x[:, None])[:, 0])


def test_classes_over_one_feature():
    petals = IRIS[:, 2:3].copy()
    net = Network([1, 4, 3], "tanh", loss="log_loss", random_state=0)
    net.fit(petals, np.eye(3)[KIND], max_iter=5)
    picture = pictures.TrainingPicture(net, petals, np.eye(3)[KIND])
    picture.update(net)
    picture.figure.canvas.draw()
    for label, points in enumerate(picture.field_ax.collections):
        expected = np.column_stack([petals[KIND == label], np.ones(50)])
        np.testing.assert_array_equal(points.get_offsets(), expected)
    names = [text.get_text() for text in picture.field_ax.get_legend().get_texts()]
    assert names == ["class 0", "class 1", "class 2"]
    with pytest.raises(ValueError, match="features must be two different columns of the 1"):
        pictures.TrainingPicture(net, petals, np.eye(3)[KIND], features=(0, 1))


# ---- frames -------------------------------------------------------------------------------------


@pytest.fixture
def axes_drawn(monkeypatch):
    """A list that grows with every x or y axis that is drawn: ticks and labels, the slow part."""
    seen, draw = [], matplotlib.axis.Axis.draw

    def noted(axis, *arguments, **options):
        seen.append(axis)
        return draw(axis, *arguments, **options)

    monkeypatch.setattr(matplotlib.axis.Axis, "draw", noted)
    return seen


def pixels(picture):
    return np.asarray(picture.figure.canvas.buffer_rgba()).astype(int)


@pytest.mark.parametrize("n_features", [1, 2])
def test_a_frame_draws_only_what_moves(n_features, axes_drawn, look):
    x = X[:, :n_features].copy()
    net = circles_net((n_features, 5, 1)).fit(x, y, max_iter=20)
    picture = pictures.TrainingPicture(net, x, y[:, None], max_iter=100)
    FigureCanvasAgg(picture.figure)
    limits = (0.1, 1)
    picture.update(net, limits)
    picture.draw()
    picture.draw(whole=True)  # the layout moves by 1e-5 when it is done for the second time
    before = pixels(picture)
    axes_drawn.clear()
    net.fit(x, y, max_iter=50, learning_rate_init=0.02)
    picture.update(net, limits)
    picture.draw()
    assert not axes_drawn
    seen = pixels(picture)
    assert (seen != before).any()
    # the same picture as one that is drawn whole, by this room or by matplotlib
    picture.draw(whole=True)
    assert axes_drawn
    whole = pixels(picture)
    assert np.abs(seen - whole).max() <= 8  # layout moves by 1e-10 when it is done again
    picture.finish()
    assert not any(artist.get_animated() for artist in picture.figure.findobj())
    picture.figure.canvas.draw()
    np.testing.assert_array_equal(pixels(picture), whole)
    # other limits change the ticks
    for changed in (lambda: picture.update(net, (0.01, 1)), lambda: picture.figure.set_dpi(70)):
        picture.draw()
        axes_drawn.clear()
        changed()
        picture.draw()
        assert axes_drawn


def test_a_figure_is_saved_whole_between_frames(net, tmp_path):
    picture = pictures.TrainingPicture(net, X, y[:, None])
    canvas = FigureCanvasAgg(picture.figure)
    picture.update(net)
    picture.draw()
    picture.figure.savefig(tmp_path / "between.png", dpi=50)
    picture.draw()
    seen = pixels(picture)
    picture.finish()
    picture.figure.savefig(tmp_path / "after.png", dpi=50)
    with Image.open(tmp_path / "between.png") as one, Image.open(tmp_path / "after.png") as other:
        assert np.abs(np.asarray(one).astype(int) - np.asarray(other)).max() <= 8
    canvas.draw()
    assert np.abs(pixels(picture) - seen).max() <= 8


def test_limits_of_the_loss_change_rarely():
    curve, seen = 0.7 * 0.97 ** np.arange(300), []
    for n in range(1, 301):
        low, high = steady_limits(curve[:n])
        assert low < curve[:n].min() <= curve[:n].max() < high
        assert low > curve[:n].min() / 10
        seen.append((low, high))
    assert len(set(seen)) <= 10  # over four decades
    for odd in ([], [0.0, -1.0], [np.nan, np.inf]):
        assert steady_limits(odd) is None
    low, high = steady_limits([1e-320, np.inf, 1e308, 0, np.nan])
    assert 0 < low < high < np.inf


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_training_picture_of_one_class(value):
    net = circles_net().fit(X, np.full(120, value), max_iter=3)
    picture = pictures.TrainingPicture(net, X, np.full((120, 1), value))
    picture.update(net)
    picture.figure.canvas.draw()
    same = Network([2, 1], out_activation="identity", random_state=0).fit(X, np.ones(120))
    pictures.TrainingPicture(same, X, np.ones((120, 1))).update(same)


def test_training_picture_draws_2000_points_at_most():
    many = np.random.RandomState(0).normal(size=(4500, 2))
    net = circles_net((2, 1)).fit(many, np.ones(4500), max_iter=1)
    picture = pictures.TrainingPicture(net, many, np.ones((4500, 1)))
    assert sum(len(c.get_offsets()) for c in picture.field_ax.collections) <= 2000


def test_training_picture_refuses(net, tmp_path):
    with pytest.raises(ValueError, match=r"several that are probabilities \(sigmoid or softmax\)"):
        pictures.TrainingPicture(Network([2, 3], out_activation="tanh"), X, np.ones((120, 3)))
    for path, message in (
        (tmp_path / "nowhere" / "x.png", "there is no folder"), (tmp_path, "is a folder"),
        (tmp_path / "x.txt", "must end in .png"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            training_picture(path, net, X, y)
    training_picture(tmp_path / "x.png", net, X, y, "a title")
    wide = Network([4, 4, 3], "tanh", loss="log_loss", random_state=0)
    with pytest.raises(ValueError, match=r"say which two vary, such as features=\(0, 1\)"):
        training_picture(tmp_path / "wide.png", wide, IRIS, np.eye(3)[KIND])
    training_picture(tmp_path / "wide.png", wide, IRIS, np.eye(3)[KIND], features=(0, 1))
    assert (tmp_path / "wide.png").stat().st_size > 1000
    with Image.open(tmp_path / "x.png") as image:
        assert image.size == (1430, 650)


# ---- LivePlot -----------------------------------------------------------------------------------


@pytest.fixture
def notebook(monkeypatch):
    """What a notebook's kernel offers, with every picture that it is shown."""
    shown = []

    class Handle:
        def update(self, image):
            shown.append(("update", image))

    def display(image, display_id):
        assert display_id is True
        shown.append(("display", image))
        return Handle()

    ipython, ipython_display = types.ModuleType("IPython"), types.ModuleType("IPython.display")
    ipython.get_ipython = lambda: types.SimpleNamespace(kernel=None)
    ipython.display, ipython_display.display = ipython_display, display
    ipython_display.Image = lambda data, format: Image.open(io.BytesIO(data))
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", ipython_display)
    return shown


def test_live_plot_in_a_notebook(notebook):
    live = LivePlot(every=10)
    net = circles_net().fit(X, y, max_iter=35, callback=live)
    # before the first epoch, every ten, after the last, and "done"; one picture, replaced in place
    assert [what for what, _ in notebook] == ["display"] + ["update"] * 5
    assert live.n_frames_ == 6
    assert {image.size for _, image in notebook} == {(810, 369)}
    (curve, _) = live.figure_.axes[1].get_lines()
    np.testing.assert_array_equal(curve.get_ydata(), net.loss_curve_)
    assert not pyplot.get_fignums()
    circles_net().fit(X, y, max_iter=200, callback=LivePlot())
    assert len(notebook) == 6 + 52
    assert live.figure_.axes[1].get_title() == f"done: epoch 35, loss {net.loss_:.4f}"


def test_live_plot_in_a_window(monkeypatch):
    events = []
    monkeypatch.setattr(FigureCanvasAgg, "required_interactive_framework", "fake", raising=False)
    monkeypatch.setattr(FigureCanvasAgg, "flush_events", lambda self: events.append("drawn"))
    monkeypatch.setattr(matplotlib.figure.Figure, "show", lambda self: events.append("shown"))
    live = LivePlot(every=10)
    circles_net().fit(X, y, max_iter=30, callback=live)
    assert events == ["shown"] + ["drawn"] * 5
    assert pyplot.fignum_exists(live.figure_.number)

    def close(net):
        if net.n_iter_ == 15:
            pyplot.close("all")

    events.clear()
    net = circles_net().fit(X, y, max_iter=30, callback=[live, close])
    assert events == ["shown", "drawn", "drawn"]  # and training went on
    assert net.n_iter_ == 30


def test_live_plot_without_a_screen_refuses_the_fit(net):
    before = net.params_.copy(), list(net.loss_curve_)
    with pytest.raises(RuntimeError, match="backend 'agg' opens no windows"):
        net.fit(X, y, callback=LivePlot())
    np.testing.assert_array_equal(net.params_, before[0])
    assert net.loss_curve_ == before[1]
    assert not pyplot.get_fignums()


def test_live_plot_closes_its_window_where_nothing_is_trained(net, monkeypatch):
    monkeypatch.setattr(FigureCanvasAgg, "required_interactive_framework", "fake", raising=False)
    monkeypatch.setattr(matplotlib.figure.Figure, "show", lambda self: None)
    refuses = ValidationLoss(np.ones((3, 5)), np.ones(3))
    live = LivePlot()
    with pytest.raises(ValueError, match="X must have 2 columns"):
        net.fit(X, y, max_iter=3, callback=[live, refuses])
    assert not pyplot.get_fignums()
    for _ in range(2):  # a window is that of the last fit
        circles_net().fit(X, y, max_iter=3, callback=live)
        assert len(pyplot.get_fignums()) == 1
    monkeypatch.setattr(pictures.TrainingPicture, "update", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        circles_net().fit(X, y, max_iter=3, callback=live)
    assert not pyplot.get_fignums()


def test_live_plot_says_how_training_ended(notebook):
    live = LivePlot(every=10)

    def fail(net):
        if net.n_iter_ == 15:
            raise RuntimeError

    title = lambda: live.figure_.axes[1].get_title().split(",")[0]  # noqa: E731
    with pytest.raises(RuntimeError):
        circles_net().fit(X, y, max_iter=30, callback=[live, fail])
    assert title() == "stopped: epoch 15"
    titles = []
    look = lambda net: titles.append(title())  # noqa: E731
    circles_net().fit(X, y, max_iter=20, callback=[live, look], callback_every=10)
    assert titles == ["epoch 10", "epoch 20"]
    assert title() == "done: epoch 20"
    circles_net().fit(X, y, max_iter=20, callback=[live, lambda net: net.n_iter_ == 5])
    assert title() == "done: epoch 5"
    # then the figure is one like others
    assert not any(artist.get_animated() for artist in live.figure_.findobj())


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_live_plot_of_one_feature(n_outputs, notebook):
    targets = WAVES[:, :n_outputs]
    live = LivePlot(every=5)
    net = Network([1, 6, n_outputs], "tanh", random_state=0)
    net.fit(WAVE, targets, max_iter=10, callback=live)
    lines = live.figure_.axes[0].get_lines()
    x = lines[0].get_xdata()
    np.testing.assert_array_equal([line.get_ydata() for line in lines], net.predict(x[:, None]).T)


def test_live_plot_and_recorder_of_estimators(notebook, tmp_path):
    recorder = Recorder(every=2)
    live = LivePlot(every=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = MLPRegressor(hidden_layer_sizes=5, random_state=0, max_iter=6)
        model.set_callbacks(live, recorder).fit(WAVE, WAVES[:, 0])
    assert live.figure_.axes[1].get_title() == f"done: epoch 6, loss {model.loss_:.4f}"
    (line,) = live.figure_.axes[0].get_lines()
    np.testing.assert_allclose(line.get_ydata(), model.predict(line.get_xdata()[:, None]))
    assert recorder.epochs_ == [0, 2, 4, 6]
    animate(recorder, tmp_path / "x.gif")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        classifier = MLPClassifier((5,), random_state=0, max_iter=4).set_callbacks(live)
        classifier.fit(IRIS[:, :2], np.array(["a", "b", "c"])[KIND])
    assert live.figure_.axes[1].get_title().startswith("done: epoch 4")


@pytest.mark.parametrize("n", [150, 4500])
def test_sparse_rows_are_drawn(n, notebook, tmp_path):
    dense, kinds = np.resize(IRIS, (n, 4)), np.resize(KIND, n)
    live, recorder = LivePlot(every=2, features=(1, 3)), Recorder(every=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = MLPClassifier((5,), random_state=0, max_iter=2).set_callbacks(live, recorder)
        model.fit(scipy.sparse.csr_array(dense), kinds)
    points = np.concatenate([c.get_offsets() for c in live.figure_.axes[0].collections])
    some = dense[:: -(-n // 2000), [1, 3]]
    assert len(points) == len(some) <= 2000
    np.testing.assert_array_equal(np.sort(points, axis=0), np.sort(some, axis=0))
    animate(recorder, tmp_path / "x.gif", features=(0, 1))
    assert (tmp_path / "x.gif").stat().st_size > 1000


def test_live_plot_ends_with_the_best_parameters(notebook):
    live = LivePlot(every=1)
    best = ValidationLoss(-X, 1 - y, n_iter_no_change=2)
    net = circles_net().fit(X, y, max_iter=50, learning_rate_init=0.1, callback=[live, best])
    field = live.figure_.axes[0].images[0].get_array()
    corner = [live.figure_.axes[0].get_xlim()[0], live.figure_.axes[0].get_ylim()[0]]
    assert field[0, 0] == pytest.approx(net.predict([corner])[0, 0])


def test_losses_of_zero_are_drawn_on_a_linear_axis(tmp_path):
    assert drawn(LossCurveDisplay(loss_curve=[0, 0]).plot()).ax_.get_yscale() == "linear"
    net = Network([2, 1], out_activation="identity", random_state=0)
    net.coefs_, net.intercepts_ = [np.zeros((2, 1))], [np.zeros(1)]
    recorder = Recorder(every=1)
    net.fit(X, np.zeros(120), max_iter=3, callback=recorder)
    assert net.loss_curve_ == [0, 0, 0]
    animate(recorder, tmp_path / "x.gif")


def test_live_plot_of_four_features(notebook):
    net = Network([4, 4, 3], "tanh", loss="log_loss", random_state=0)
    with pytest.raises(ValueError, match="this network takes 4: say which two vary"):
        net.fit(IRIS, np.eye(3)[KIND], max_iter=5, callback=LivePlot())
    assert net.n_iter_ == 0
    net.fit(IRIS, np.eye(3)[KIND], max_iter=5, callback=LivePlot(every=5, features=(2, 3)))
    assert len(notebook) == 3


# ---- animate ------------------------------------------------------------------------------------


@pytest.fixture
def recorder():
    recorder = Recorder(every=10)
    circles_net().fit(X, y, learning_rate_init=0.01, max_iter=30, callback=recorder)
    return recorder


def test_gif(recorder, tmp_path, look):
    path = animate(recorder, tmp_path / "x.gif", fps=10, hold=1.5)
    data = path.read_bytes()
    with Image.open(path) as image:
        assert image.size == (765, 348)
        assert image.n_frames == 4
        assert image.info["loop"] == 0
        durations, frames = [], []
        for i in range(4):
            image.seek(i)
            durations.append(image.info["duration"])
            frames.append(np.asarray(image.convert("RGB")))
    assert durations == [100, 100, 100, 1600]
    assert all((a != b).any() for a, b in itertools.pairwise(frames))
    paper = 255 if look == "default" else 0
    assert frames[0][0, 0].tolist() == frames[3][0, 0].tolist() == [paper] * 3
    # the same bytes, once more
    assert animate(recorder, tmp_path / "y.gif", fps=10, hold=1.5).read_bytes() == data


def test_page(recorder, tmp_path, look):
    path = animate(recorder, str(tmp_path / "x.html"), title="<b>&")
    text = path.read_text(encoding="utf-8")
    found = json.loads(re.search(r"const pictures = (\{.*?\});", text)[1])
    assert sorted(found) == ["dark", "light"]
    for name, paper, ink in (("light", "#ffffff", "#000000"), ("dark", "#000000", "#ffffff")):
        images = [Image.open(io.BytesIO(base64.b64decode(picture))) for picture in found[name]]
        assert [image.size for image in images] == [(765, 348)] * 4
        # pictures and page are of one colour
        corners = {image.convert("RGB").getpixel((0, 0)) for image in images}
        assert corners == {tuple(bytes.fromhex(paper[1:]))}
        assert f"color-scheme: {name}; --paper: {paper}; --ink: {ink};" in text
        assert (np.asarray(images[-1].convert("RGB")) == list(bytes.fromhex(ink[1:]))).all(2).any()
    dark = text.index("@media (prefers-color-scheme: dark)")
    assert text.index("color-scheme: light;") < dark < text.index("color-scheme: dark;")
    assert json.loads(re.search(r"epochs = (\[.*?\]),", text)[1]) == [0, 10, 20, 30]
    # the last frame stays for as long as a GIF's
    assert "last = 3, milliseconds = 83, hold = 2000;" in text
    assert "milliseconds + (+slider.value === last ? hold : 0)" in text
    assert "<title>&lt;b&gt;&amp;</title>" in text
    assert 'type="range" id="frame" min="0" max="3"' in text
    assert not re.search(r"https?:|src=\"(?!data)|<link|@import", text)  # loads nothing


def test_page_leaves_the_style_in_use(recorder, tmp_path, look):
    before = dict(matplotlib.rcParams)
    animate(recorder, tmp_path / "x.html")
    assert dict(matplotlib.rcParams) == before
    # what is drawn in the style in use is what a GIF has
    with pyplot.style.context({"font.size": 7}):
        text = animate(recorder, tmp_path / "y.html").read_text(encoding="utf-8")
    assert text != (tmp_path / "x.html").read_text(encoding="utf-8")


def test_animation_of_one_feature(tmp_path):
    recorder = Recorder(every=5)
    net = Network([1, 4, 2], "tanh", random_state=0)
    net.fit(WAVE, WAVES[:, :2], max_iter=10, callback=recorder)
    with Image.open(animate(recorder, tmp_path / "x.gif")) as image:
        assert image.n_frames == 3


def test_animation_draws_axes_once(recorder, tmp_path, axes_drawn):
    animate(recorder, tmp_path / "x.gif", dpi=40)
    once = len(axes_drawn)
    animate(recorder, tmp_path / "x.html", dpi=40)
    assert len(axes_drawn) == 3 * once > 0  # for light, and for dark
    assert once == len(set(axes_drawn[:once]))


def test_animation_of_four_features(tmp_path):
    recorder = Recorder(every=5)
    net = Network([4, 4, 3], "tanh", loss="log_loss", random_state=0)
    net.fit(IRIS, np.eye(3)[KIND], max_iter=5, callback=recorder)
    with pytest.raises(ValueError, match="this network takes 4: say which two vary"):
        animate(recorder, tmp_path / "x.gif")
    assert not list(tmp_path.iterdir())
    animate(recorder, tmp_path / "x.gif", features=(2, 3))


def test_animation_of_one_frame(tmp_path):
    recorder = Recorder()

    def fail(net):
        raise RuntimeError

    with pytest.raises(RuntimeError):
        circles_net().fit(X, y, max_iter=5, callback=[fail, recorder])
    assert recorder.epochs_ == [0, 1]
    animate(recorder, tmp_path / "x.gif")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"path": "x.png"}, ValueError, "path x.png must end in .gif or .html"),
        ({"path": "nowhere/x.gif"}, ValueError, "there is no folder nowhere"),
        ({"recorder": Recorder()}, ValueError, "recorder is empty"),
        ({"recorder": circles_net()}, TypeError, "recorder must be a"),
        ({"fps": 0}, ValueError, "fps must be a finite number"),
        ({"fps": 1e5}, ValueError, "fps must be a finite number"),
        ({"hold": -1}, ValueError, "hold must be a finite number"),
        ({"hold": 1000}, ValueError, "hold must be a finite number"),
        ({"title": 5}, TypeError, "title must be a string"),
        ({"dpi": 3}, ValueError, "dpi must be a finite number"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_animate_refuses(recorder, options, error, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        animate(**{"recorder": recorder, "path": "x.gif", **options})
    assert not list(tmp_path.iterdir())


def test_no_pyplot_where_no_window_is_needed(tmp_path):
    code = (
        "import sys\nfrom fastnn import Network\nfrom fastnn.callbacks import Recorder\n"
        "from fastnn.plotting import animate\nr = Recorder()\n"
        "Network([2, 1]).fit([[0, 1], [1, 0]], [0, 1], max_iter=2, callback=r)\n"
        f"animate(r, {str(tmp_path / 'x.gif')!r})\nprint('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run(
        [*PYTHON, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout == "False\n"
