"""What displays draw: artists, limits, labels and data, not pixels."""

import subprocess
import sys
import warnings

import numpy as np
import pandas
import pytest
from conftest import PYTHON
from matplotlib import pyplot
from matplotlib.colors import to_rgb, to_rgba
from plotted import IRIS, KIND, X, circles_net, drawn, fitted_iris, fitted_net, y
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.neural_network import MLPClassifier as TheirClassifier

from fastnn import MLPClassifier, MLPRegressor, Network
from fastnn.callbacks import ValidationLoss
from fastnn.catalog.activations import ACTIVATIONS
from fastnn.plotting import (
    ActivationDisplay,
    HiddenUnitsDisplay,
    LivePlot,
    LossCurveDisplay,
    NetworkDisplay,
    style,
)

DISPLAYS = [
    LossCurveDisplay.from_network,
    NetworkDisplay.from_network,
    HiddenUnitsDisplay.from_network,
    ActivationDisplay.from_network,
]
pytestmark = pytest.mark.usefixtures("without_windows")


@pytest.fixture
def net():
    return fitted_net()


@pytest.fixture
def iris():
    return fitted_iris()


# ---- LossCurveDisplay ---------------------------------------------------------------------------


def test_loss_curve(net, look):
    display = drawn(LossCurveDisplay.from_network(net))
    np.testing.assert_array_equal(display.line_.get_ydata(), net.loss_curve_)
    np.testing.assert_array_equal(display.line_.get_xdata(), np.arange(1, 31))
    assert display.ax_.get_xlabel() == "epoch"
    assert display.ax_.get_ylabel() == "mean loss"
    assert display.ax_.get_yscale() == "log"
    low, high = display.ax_.get_xlim()
    assert low < 1 < 30 < high < 32
    assert [t.get_text() for t in display.ax_.get_legend().get_texts()] == ["Network"]
    assert display.validation_line_ is None
    assert LossCurveDisplay.from_network(net, log_scale=False).ax_.get_yscale() == "linear"


def test_loss_curves_overlaid(net):
    other = circles_net((2, 3, 1)).fit(X, y, max_iter=10)
    first = LossCurveDisplay.from_network(net, name="deep")
    second = drawn(LossCurveDisplay.from_network(other, name="flat", ax=first.ax_, lw=3))
    assert second.ax_ is first.ax_
    assert len(second.ax_.get_lines()) == 2
    assert first.line_.get_color() != second.line_.get_color()
    assert second.line_.get_linewidth() == 3
    assert [t.get_text() for t in second.ax_.get_legend().get_texts()] == ["deep", "flat"]


def test_loss_curve_with_validation_loss():
    validation = ValidationLoss(X[::2], y[::2], every=4)
    net = circles_net().fit(X, y, max_iter=10, callback=validation)
    display = drawn(LossCurveDisplay.from_network(net, validation=validation))
    np.testing.assert_array_equal(display.validation_line_.get_xdata(), [4, 8, 10])
    np.testing.assert_array_equal(display.validation_line_.get_ydata(), validation.losses_)
    assert display.validation_ax_ is display.ax_
    assert display.validation_line_.get_color() == display.line_.get_color()
    pair = LossCurveDisplay.from_network(net, validation=([1, 2], [0.5, 0.4]))
    np.testing.assert_array_equal(pair.validation_line_.get_ydata(), [0.5, 0.4])


def test_loss_curve_of_a_network_with_a_validation_set():
    net = circles_net().fit(X[::2], y[::2], max_iter=10, X_val=X[1::2], y_val=y[1::2])
    display = drawn(LossCurveDisplay.from_network(net))
    np.testing.assert_array_equal(display.validation_line_.get_xdata(), np.arange(1, 11))
    np.testing.assert_array_equal(display.validation_line_.get_ydata(), net.validation_loss_curve_)
    assert display.validation_ax_ is display.ax_
    assert display.validation_line_.get_label() == "Network, validation"
    net.fit(X[::2], y[::2], max_iter=9, X_val=X[1::2], y_val=y[1::2], scoring="accuracy")
    display = drawn(LossCurveDisplay.from_network(net))
    np.testing.assert_array_equal(display.validation_line_.get_ydata(), net.validation_scores_)
    assert display.validation_ax_ is not display.ax_
    assert display.validation_ax_.get_ylabel() == "validation score"
    given = LossCurveDisplay.from_network(net, validation=([1, 2], [0.5, 0.4]))
    np.testing.assert_array_equal(given.validation_line_.get_ydata(), [0.5, 0.4])


def test_loss_curve_of_an_estimator_with_a_validation_set():
    mlp = MLPRegressor(n_iter_no_change=2, tol=1.0, random_state=0)
    mlp.fit(X[::2], y[::2], X_val=X[1::2], y_val=y[1::2])
    display = drawn(LossCurveDisplay.from_estimator(mlp))
    np.testing.assert_array_equal(display.validation_line_.get_ydata(), mlp.validation_scores_)


def test_loss_curve_with_validation_scores():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        models = [
            cls((5,), max_iter=8, early_stopping=True, random_state=0).fit(IRIS, KIND)
            for cls in (MLPClassifier, TheirClassifier)
        ]
    first = LossCurveDisplay.from_estimator(models[0], name="ours")
    second = drawn(LossCurveDisplay.from_estimator(models[1], name="theirs", ax=first.ax_))
    np.testing.assert_array_equal(first.validation_line_.get_ydata(), models[0].validation_scores_)
    assert first.validation_ax_ is second.validation_ax_ is not first.ax_
    assert first.validation_ax_.get_ylabel() == "validation score"
    legend = first.validation_ax_.get_legend()
    assert [t.get_text() for t in legend.get_texts()] == [
        "ours", "theirs", "ours, validation score", "theirs, validation score",
    ]  # fmt: skip


def test_loss_curve_that_is_not_there(net):
    other = circles_net()
    other.coefs_, other.intercepts_ = list(net.coefs_), list(net.intercepts_)
    with pytest.raises(ValueError, match="parameters were assigned"):
        LossCurveDisplay.from_network(other)
    fitted = MLPRegressor(hidden_layer_sizes=3, solver="lbfgs", max_iter=500, random_state=0).fit(
        X, y
    )
    with pytest.raises(ValueError, match="'lbfgs' keeps none"):
        LossCurveDisplay.from_estimator(fitted)


# ---- NetworkDisplay -----------------------------------------------------------------------------


def test_graph(net, look):
    display = drawn(NetworkDisplay.from_network(net, feature_names=["left", "up"]))
    assert [len(units.get_offsets()) for units in display.units_] == [2, 5, 3, 1]
    for units, intercept in zip(display.units_[1:], net.intercepts_, strict=True):
        np.testing.assert_array_equal(units.get_array(), intercept)
    segments = np.array(display.edges_.get_segments())
    assert len(segments) == 2 * 5 + 5 * 3 + 3 * 1
    # every edge runs between units of neighbouring layers, and looks as its coef says
    colors, widths = display.edges_.get_colors(), display.edges_.get_linewidths()
    largest = max(np.abs(coef).max() for coef in net.coefs_)
    negative, positive = to_rgb(style.ORANGE), to_rgb(style.BLUE)
    found = set()
    for (start, end), color, width in zip(segments, colors, widths, strict=True):
        layer = round(start[0])
        assert round(end[0]) == layer + 1
        i = np.abs(display.units_[layer].get_offsets() - start).sum(axis=1).argmin()
        j = np.abs(display.units_[layer + 1].get_offsets() - end).sum(axis=1).argmin()
        found.add((layer, i, j))
        coef = net.coefs_[layer][i, j]
        np.testing.assert_allclose(color[:3], positive if coef > 0 else negative, atol=0.01)
        assert color[3] == pytest.approx(0.06 + 0.94 * abs(coef) / largest)
        assert width == pytest.approx(0.2 + 3.2 * abs(coef) / largest)
    assert len(found) == len(segments)
    texts = {text.get_text() for text in display.ax_.texts}
    assert {"left", "up", "input\n2", "tanh\n5", "tanh\n3", "sigmoid\n1"} == texts
    # edges and units have a scale each
    scales = {ax.get_ylabel(): ax.get_ylim() for ax in display.figure_.axes[1:]}
    size = max(np.abs(intercept).max() for intercept in net.intercepts_)
    assert scales == {"coef (edges)": (-largest, largest), "intercept (units)": (-size, size)}
    # what is 0 is like the background
    middle = display.units_[0].get_facecolors()[0]
    background = "white" if look == "default" else "black"
    np.testing.assert_allclose(middle, to_rgba(background), atol=0.01)
    assert (display.images_, display.axes_.tolist()) == ([], [display.ax_])


def test_graph_of_an_estimator_is_named():
    frame = pandas.DataFrame(IRIS, columns=["sl", "sw", "pl", "pw"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = MLPClassifier((4,), max_iter=3, random_state=0).fit(
            frame, np.array(["a", "b", "c"])[KIND]
        )
    display = drawn(NetworkDisplay.from_estimator(model, colorbar=False))
    texts = {text.get_text() for text in display.ax_.texts}
    assert {"sl", "sw", "pl", "pw", "a", "b", "c", "relu\n4", "softmax\n3"} <= texts
    assert len(display.figure_.axes) == 1


def test_units_without_intercepts_need_no_scale(net):
    net.intercepts_ = [0 * intercept for intercept in net.intercepts_]
    display = drawn(NetworkDisplay.from_network(net, kind="graph"))
    assert [ax.get_ylabel() for ax in display.figure_.axes[1:]] == ["coef (edges)"]


def test_graph_draws_the_strongest_of_many_edges():
    net = Network([90, 60, 1], random_state=0)
    net.coefs_ = [2 * coef for coef in net.coefs_]
    display = drawn(NetworkDisplay.from_network(net))
    assert len(display.edges_.get_segments()) == 4000
    sizes = np.sort(np.abs(np.concatenate([coef.ravel() for coef in net.coefs_])))[-4000:]
    opacity = 0.06 + 0.94 * sizes / sizes[-1]
    np.testing.assert_allclose(display.edges_.get_colors()[:, 3], opacity)


@pytest.mark.parametrize(
    ("units", "graph"), [([100, 2], True), ([101, 2], False), ([99, 99, 99, 3], True),
                         ([99, 99, 99, 4], False)],
)  # fmt: skip
def test_what_is_too_large_for_a_graph_is_a_heat_map(units, graph):
    net = Network(units, random_state=0).fit(np.ones((2, units[0])), np.ones((2, units[-1])))
    display = NetworkDisplay.from_network(net)
    assert (display.edges_ is not None) == graph
    assert len(display.images_) == (0 if graph else len(units) - 1)


def test_heat_maps(net, look):
    display = drawn(NetworkDisplay.from_network(net, kind="heatmap"))
    assert display.edges_ is None
    for image, coef in zip(display.images_, net.coefs_, strict=True):
        np.testing.assert_array_equal(image.get_array(), coef)
        low, high = image.get_clim()
        assert low == -high < 0
    assert [ax.get_title() for ax in display.axes_] == ["2 x 5", "5 x 3", "3 x 1"]
    assert [ax.get_ylabel() for ax in display.axes_] == ["feature", "tanh unit", "tanh unit"]
    assert [ax.get_xlabel() for ax in display.axes_] == ["tanh unit", "tanh unit", "sigmoid unit"]
    assert not display.ax_.axison


def test_heat_maps_in_a_place_that_is_given(net):
    figure, axes = pyplot.subplots(1, 2)
    display = drawn(NetworkDisplay.from_network(net, kind="heatmap", ax=axes[1]))
    assert display.figure_ is figure
    for ax in display.axes_:
        assert ax.get_position().x0 > axes[0].get_position().x1
    with pytest.raises(ValueError, match="grid of subplots"):
        NetworkDisplay.from_network(net, kind="heatmap", ax=figure.add_axes([0, 0, 1, 1]))


def test_a_display_does_not_follow_the_network(net):
    display = NetworkDisplay.from_network(net)
    before = display.coefs[0].copy()
    net.coefs_[0][...] = 0
    np.testing.assert_array_equal(display.coefs[0], before)
    assert display.plot().edges_.get_colors()[:, 3].max() == 1.0


def test_network_display_refuses(net):
    with pytest.raises(ValueError, match="feature_names must hold 2 names, got 1"):
        NetworkDisplay.from_network(net, feature_names=["x"])
    with pytest.raises(ValueError, match="kind must be one of"):
        NetworkDisplay.from_network(net, kind="tree")


# ---- HiddenUnitsDisplay -------------------------------------------------------------------------


def test_units_without_a_sign_shade_from_the_background():
    net = Network([2, 6, 1], "relu", random_state=0).fit(X, y, max_iter=5)
    display = drawn(HiddenUnitsDisplay.from_network(net, X, layer=0, grid_resolution=10))
    (image, *_), low = display.images_, display.scale[0]
    assert low == 0
    assert image.cmap(0.0)[:3] == to_rgb(display.axes_.flat[0].get_facecolor())
    np.testing.assert_allclose(image.cmap(1.0)[:3], to_rgb(style.BLUE), atol=0.01)


@pytest.mark.parametrize("layer", [0, 1, -1])
def test_hidden_units(net, layer, look):
    display = drawn(HiddenUnitsDisplay.from_network(net, X, layer=layer, grid_resolution=20))
    n_units = [5, 3, 1][layer]
    assert len(display.images_) == n_units
    assert display.axes_.size >= n_units
    left, right, bottom, top = display.extent
    assert left < X[:, 0].min()
    assert right > X[:, 0].max()
    assert bottom < X[:, 1].min()
    assert top > X[:, 1].max()
    for at in ((0, 0), (0, 19), (7, 11)):  # rows from the bottom, columns from the left
        point = [[np.linspace(left, right, 20)[at[1]], np.linspace(bottom, top, 20)[at[0]]]]
        expected = net.forward(point)[layer][0]
        seen = [image.get_array()[at] for image in display.images_]
        np.testing.assert_allclose(seen, expected, rtol=1e-12)
    assert display.images_[0].origin == "lower"
    assert display.images_[0].get_clim() == ((-1, 1) if layer != -1 else (0, 1))
    assert display.axes_[0, 0].get_ylabel() == "$x_{1}$"
    assert display.axes_[0, 0].get_title() == "unit 0"
    out = net.activations[layer]
    assert f"activation ({out})" in [ax.get_ylabel() for ax in display.figure_.axes]


def test_hidden_units_of_a_slice(iris):
    frame = pandas.DataFrame(IRIS, columns=["sl", "sw", "pl", "pw"])
    display = drawn(
        HiddenUnitsDisplay.from_estimator(
            iris, frame, features=(2, 3), units=[4, 1], grid_resolution=10
        )
    )
    assert [ax.get_title() for ax in display.axes_.flat] == ["unit 4", "unit 1"]
    assert display.axes_[-1, 0].get_xlabel() == "pl"
    left, _, bottom, _ = display.extent
    point = np.array([*IRIS.mean(axis=0)[:2], left, bottom])
    z = point @ iris.coefs_[0] + iris.intercepts_[0]
    seen = [image.get_array()[0, 0] for image in display.images_]
    np.testing.assert_allclose(seen, np.maximum(z, 0)[[4, 1]], rtol=1e-10, atol=1e-12)
    assert display.images_[0].get_clim()[0] == 0


def test_hidden_units_as_images(look):
    digits, labels = load_digits(return_X_y=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = MLPClassifier((9,), max_iter=2, random_state=0).fit(digits / 16, labels)
    display = drawn(HiddenUnitsDisplay.from_estimator(model, image_shape=(8, 8)))
    for i, image in enumerate(display.images_):
        np.testing.assert_array_equal(image.get_array().ravel(), model.coefs_[0][:, i])
        assert image.origin == "upper"
    low, high = display.images_[0].get_clim()
    assert low == -high


def test_hidden_units_draws_64_at_most():
    wide = Network([2, 70, 1], random_state=0).fit(X, y, max_iter=1)
    assert len(HiddenUnitsDisplay.from_network(wide, X, grid_resolution=3).images_) == 64


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "this network takes 4: say which two vary, such as features"),
        ({"features": (1, 1)}, "features must be two different columns of the 4"),
        ({"features": (0, 4)}, "features must be two different columns of the 4"),
        ({"features": (0, 1, 2)}, "features must be two different columns of the 4"),
        ({"features": (0, 1), "layer": 2}, "layer must be a whole number"),
        ({"features": (0, 1), "units": [6]}, "units must be a whole number"),
        ({"features": (0, 1), "units": []}, "at least one unit"),
        ({"image_shape": (2, 3)}, r"image_shape must be \(height, width\) of 4 pixels"),
        ({"image_shape": (2, 2), "layer": 1}, "image_shape is for layer 0"),
        ({"X": None, "features": (0, 1)}, "X says where the plane is"),
    ],
    ids=str,
)
def test_hidden_units_refuses(iris, options, message):
    options = {"X": IRIS, **options}
    with pytest.raises(ValueError, match=message):
        HiddenUnitsDisplay.from_estimator(iris, **options)
    assert not pyplot.get_fignums()


@pytest.mark.parametrize("row", [row for row in ACTIVATIONS if row.hidden], ids=str)
def test_colours_of_hidden_units_span_what_the_activation_can_give(row):
    net = Network([2, 3, 1], row.name, out_activation="identity", random_state=0)
    net.fit(X, y, max_iter=1)
    display = HiddenUnitsDisplay.from_network(net, X, grid_resolution=9)
    low, high = display.images_[0].get_clim()
    if np.isfinite([row.low, row.high]).all():
        assert (low, high) == (row.low, row.high)
    else:
        largest = np.abs(display.images).max()
        assert (low, high) == (-largest if display.images.min() < 0 else 0, largest)
    assert f"activation ({row.name})" in [ax.get_ylabel() for ax in display.figure_.axes]


# ---- ActivationDisplay --------------------------------------------------------------------------


def test_activations(look):
    display = drawn(ActivationDisplay.from_names("sigmoid", "relu", "tanh", limits=(-3, 3)))
    z = display.lines_[0].get_xdata()
    assert (z[0], z[-1], display.ax_.get_xlim()) == (-3, 3, (-3, 3))
    labels = [line.get_label() for line in display.lines_]
    assert labels == ["sigmoid", "relu", "tanh"]
    for line, slope in zip(display.lines_, display.derivative_lines_, strict=True):
        # the slope of what is drawn is the derivative that is drawn, by central differences
        a, where = line.get_ydata(), np.abs(z[1:-1]) > 0.05
        slopes = (a[2:] - a[:-2]) / (z[2:] - z[:-2])
        np.testing.assert_allclose(slopes[where], slope.get_ydata()[1:-1][where], atol=1e-3)
        assert slope.get_color() == line.get_color()
    assert not ActivationDisplay.from_names("exp", derivative=False).derivative_lines_


@pytest.mark.parametrize("row", [row for row in ACTIVATIONS if row.elementwise], ids=str)
def test_every_activation_of_the_catalog(row):
    """Values are the kernels', and the derivative is that of what is drawn."""
    display = ActivationDisplay.from_names(row.name, limits=(-4, 4))
    z, a = display.lines_[0].get_data()
    net = Network([1, 1], [row.name], random_state=0)
    net.coefs_, net.intercepts_ = [[[1.0]]], [[0.0]]
    np.testing.assert_allclose(a, net.predict(z[:, None]).ravel(), rtol=1e-14, atol=1e-300)
    # by central differences, except across a corner at 0
    step = z[1] - z[0]
    slope = display.derivative_lines_[0].get_ydata()
    away = np.abs(z[1:-1]) > 1.5 * step
    differences = (a[2:] - a[:-2]) / (2 * step)
    np.testing.assert_allclose(differences[away], slope[1:-1][away], rtol=1e-4, atol=1e-4)
    assert row.low - 1e-12 <= a.min() <= a.max() <= row.high
    for alias in row.aliases:
        assert ActivationDisplay.from_names(alias).names == [row.name]
    assert f'"{row.name}"' in ActivationDisplay.__doc__


def test_activations_of_a_model(net, iris):
    assert ActivationDisplay.from_network(net).names == ["tanh", "sigmoid"]
    assert drawn(ActivationDisplay.from_estimator(iris)).names == ["relu"]  # not softmax
    for name, hint in (
        ("softmax", ""),
        ("swsh", "; did you mean 'swish'"),
        ("sigmod", "'sigmoid'"),
    ):
        with pytest.raises(ValueError, match=f"names must be one of .*got '{name}'.*{hint}"):
            ActivationDisplay.from_names(name)
    only = Network([2, 2], loss="log_loss", random_state=0).fit(X, np.eye(2)[y], max_iter=1)
    with pytest.raises(ValueError, match="softmax, the model's only activation, is no function"):
        ActivationDisplay.from_network(only)
    with pytest.raises(ValueError, match="at least one activation"):
        ActivationDisplay.from_names()
    with pytest.raises(ValueError, match="limits must be increasing"):
        ActivationDisplay.from_names("relu", limits=(1, 1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limits": (1,)}, r"limits must be a pair of numbers, got \(1,\)"),
        ({"limits": "ab"}, "limits must be a pair of numbers, got 'ab'"),
        ({"limits": 3}, "limits must be a pair of numbers, got 3"),
        ({"limits": (0, "1")}, r"limits\[1\] must be a finite number"),
        ({"names": "relu"}, "names must be a sequence of names, got 'relu'"),
        ({"names": 3}, "names must be a sequence of names, got 3"),
        ({"names": [3]}, "names must be one of .*, got 3"),
    ],
)
def test_what_is_no_activation_display(options, message):
    with pytest.raises(TypeError, match=message):
        ActivationDisplay(**{"names": ["relu"], **options})


# ---- all displays -------------------------------------------------------------------------------


@pytest.mark.parametrize("display", DISPLAYS)
@pytest.mark.parametrize("model", [circles_net(), MLPClassifier(), TheirClassifier()])
def test_unfitted(display, model):
    with pytest.raises(NotFittedError):
        display(model)
    assert not pyplot.get_fignums()


@pytest.mark.parametrize("display", DISPLAYS)
def test_other_objects_are_refused(display, iris):
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    with pytest.raises(TypeError, match=r"model must be a fastnn\.Network or an MLPClassifier"):
        display([1, 2])
    with pytest.raises(TypeError, match="of a pipeline give the last step"):
        display(make_pipeline(StandardScaler(), iris))


@pytest.mark.parametrize("display", DISPLAYS)
def test_without_matplotlib(display, net, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    options = {"X": X} if display == HiddenUnitsDisplay.from_network else {}
    with pytest.raises(ImportError, match='needs matplotlib: install the extra "plot"'):
        display(net, **options)
    with pytest.raises(ImportError, match='needs matplotlib: install the extra "plot"'):
        LivePlot()


def test_importing_the_room_loads_no_matplotlib(tmp_path):
    code = (
        "import sys, fastnn.plotting, fastnn.callbacks\n"
        "print([name for name in ('matplotlib', 'PIL', 'tqdm', 'IPython') if name in sys.modules])"
    )
    done = subprocess.run(
        [*PYTHON, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("display", DISPLAYS)
def test_displays_take_axes(display, net):
    options = {"X": X} if display == HiddenUnitsDisplay.from_network else {}
    _, axes = pyplot.subplots(1, 2)
    shown = drawn(display(net, ax=axes[0], **options))
    assert shown.ax_ is axes[0]
    assert len(pyplot.get_fignums()) == 1
