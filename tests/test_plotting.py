"""What displays, live plots and animations draw: artists, limits, labels and data, not pixels."""

import base64
import copy
import io
import itertools
import json
import pickle
import re
import subprocess
import sys
import types
import warnings

import matplotlib
import numpy as np
import pandas
import pytest
from conftest import PYTHON
from matplotlib import pyplot
from matplotlib.colors import to_rgb, to_rgba
from PIL import Image
from sklearn.datasets import load_digits, load_iris, make_circles
from sklearn.exceptions import NotFittedError
from sklearn.inspection import DecisionBoundaryDisplay
from sklearn.neural_network import MLPClassifier as TheirClassifier

from fastnn import MLPClassifier, MLPRegressor, Network, reference
from fastnn.callbacks import Recorder, ValidationLoss
from fastnn.plotting import (
    ActivationDisplay,
    FeatureSlice,
    HiddenUnitsDisplay,
    LivePlot,
    LossCurveDisplay,
    NetworkDisplay,
    animate,
    style,
    training_picture,
)
from fastnn.plotting import training as pictures

X, y = make_circles(120, factor=0.5, noise=0.05, random_state=0)
IRIS, KIND = load_iris(return_X_y=True)
DISPLAYS = [
    LossCurveDisplay.from_network,
    NetworkDisplay.from_network,
    HiddenUnitsDisplay.from_network,
    ActivationDisplay.from_network,
]


@pytest.fixture(autouse=True)
def without_windows():
    """No figure is left over."""
    matplotlib.use("agg")
    yield
    pyplot.close("all")


@pytest.fixture(params=["default", "dark_background"])
def look(request):
    """On light and on dark."""
    with pyplot.style.context(request.param):
        yield request.param


def circles_net(units=(2, 5, 3, 1), **options):
    options = {"activation": "tanh", "loss": "binary_log_loss", "random_state": 0, **options}
    return Network(units, **options)


@pytest.fixture
def net():
    return circles_net().fit(X, y, learning_rate_init=0.01, max_iter=30)


@pytest.fixture
def iris():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return MLPClassifier((6,), random_state=0, max_iter=20).fit(IRIS, KIND)


def drawn(display):
    """Drawing it whole must not warn, as warnings are errors here."""
    display.figure_.canvas.draw()
    assert display.ax_.figure is display.figure_
    return display


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
    assert "coef" in [ax.get_ylabel() for ax in display.figure_.axes]
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
    s = np.empty_like(z)
    reference.sigmoid(z, s)
    np.testing.assert_array_equal(display.derivative_lines_[0].get_ydata(), s * (1 - s))
    assert not ActivationDisplay.from_names("exp", derivative=False).derivative_lines_


def test_activations_of_a_model(net, iris):
    assert ActivationDisplay.from_network(net).names == ["tanh", "sigmoid"]
    assert drawn(ActivationDisplay.from_estimator(iris)).names == ["relu"]  # not softmax
    for names in (["softmax"], ["gelu"]):
        with pytest.raises(ValueError, match="names must be one of"):
            ActivationDisplay.from_names(*names)
    with pytest.raises(ValueError, match="at least one activation"):
        ActivationDisplay.from_names()
    with pytest.raises(ValueError, match="limits must be increasing"):
        ActivationDisplay.from_names("relu", limits=(1, 1))


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


# ---- boundaries, by scikit-learn's own display --------------------------------------------------


def boundary(model, data, **options):
    display = DecisionBoundaryDisplay.from_estimator(model, data, grid_resolution=30, **options)
    display.figure_.canvas.draw()
    return display, np.column_stack([display.xx0.ravel(), display.xx1.ravel()])


def test_boundary_of_one_sigmoid(net):
    display, points = boundary(net, X)
    np.testing.assert_allclose(display.response.ravel(), net.predict(points).ravel())
    assert net.classes_.tolist() == [0, 1]
    p = net.predict_proba(X)
    assert p.shape == (120, 2)
    np.testing.assert_allclose(p.sum(axis=1), 1)


def test_boundary_of_softmax():
    net = Network([2, 4, 3], "tanh", loss="log_loss", random_state=0)
    net.fit(IRIS[:, 2:], np.eye(3)[KIND], max_iter=20, learning_rate_init=0.05)
    display, points = boundary(net, IRIS[:, 2:])
    np.testing.assert_allclose(display.response.reshape(-1, 3), net.predict(points))
    np.testing.assert_array_equal(net.predict_proba(points), net.predict(points))


@pytest.mark.parametrize("out", ["identity", "tanh"])
def test_boundary_of_one_other_output(out):
    net = Network([2, 4, 1], "tanh", out_activation=out, random_state=0).fit(X, y, max_iter=20)
    display, points = boundary(net, X)
    np.testing.assert_allclose(display.response.ravel(), net.predict(points).ravel())
    assert not hasattr(net, "predict_proba")
    assert not hasattr(net, "classes_")


def test_what_a_network_has():
    several = Network([2, 4, 3], random_state=0)
    for name in ("predict_proba", "decision_function", "classes_"):
        with pytest.raises(AttributeError, match=name):
            getattr(several, name)
    assert "class" in Network.predict_proba.__doc__


def test_boundary_of_an_unfitted_network(net):
    other = circles_net()
    with pytest.raises(NotFittedError):
        boundary(other, X)
    boundary(copy.deepcopy(net), X)
    ways = [
        lambda other: setattr(other, "coefs_", list(net.coefs_)),
        lambda other: other.intercepts_.__setitem__(0, net.intercepts_[0]),
        lambda other: other.coefs_[1].fill(1),
    ]
    for assign in ways:
        other = circles_net()
        assign(other)
        boundary(pickle.loads(pickle.dumps(other)), X)


def test_a_boundary_of_labels_is_refused_and_not_drawn_wrong(net):
    """`predict` gives activations; scikit-learn would take them for labels."""
    soft = Network([2, 4, 3], loss="log_loss", random_state=0)
    soft.fit(IRIS[:, 2:], np.eye(3)[KIND], max_iter=2)
    other = Network([2, 4, 1], "tanh", random_state=0).fit(X, y, max_iter=2)
    for model, data in ((net, X), (soft, IRIS[:, 2:]), (other, X)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises((ValueError, TypeError)):
                boundary(model, data, response_method="predict")


def test_boundary_of_four_features(iris):
    net = Network([4, 4, 3], "tanh", loss="log_loss", random_state=0)
    net.fit(IRIS, np.eye(3)[KIND], max_iter=20)
    with pytest.raises(ValueError, match=r"use fastnn\.plotting\.FeatureSlice"):
        boundary(net, IRIS[:, :2])
    for model in (net, iris):
        for data, features in ((IRIS, (2, 0)), (pandas.DataFrame(IRIS, columns=[*"abcd"]), "ca")):
            sliced = FeatureSlice(model, data, features)
            assert sliced.features_ == (2, 0)
            display, points = boundary(sliced, IRIS[:, [2, 0]])
            wide = np.tile(IRIS.mean(axis=0), (900, 1))
            wide[:, [2, 0]] = points
            # sums of rows that are alike, in blocks of other sizes
            expected = model.predict_proba(wide)
            np.testing.assert_allclose(display.response.reshape(-1, 3), expected, rtol=1e-12)


def test_a_slice_of_an_estimator_fitted_with_names():
    frame = pandas.DataFrame(IRIS, columns=["sl", "sw", "pl", "pw"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = MLPClassifier((6,), random_state=0, max_iter=20).fit(frame, KIND)
    sliced = FeatureSlice(model, frame, ("pl", "pw"))
    boundary(sliced, frame[["pl", "pw"]])  # no warning about names
    assert sliced.predict(IRIS[:3, 2:]).shape == (3,)
    assert sliced.classes_.tolist() == [0, 1, 2]


def test_slice_refuses(iris):
    for features in ((0,), (0, 0), (0, 4), "ab", ("x", "y")):
        with pytest.raises(ValueError, match="features must be two different columns of the 4"):
            FeatureSlice(iris, IRIS, features)
    with pytest.raises(TypeError, match="features must be"):
        FeatureSlice(iris, IRIS, 3)
    with pytest.raises(ValueError, match="X must have two dimensions"):
        FeatureSlice(iris, IRIS[0])
    with pytest.raises(TypeError, match="fit that instead"):
        FeatureSlice(iris, IRIS).fit(IRIS)
    with pytest.raises(NotFittedError):
        boundary(FeatureSlice(MLPClassifier(), IRIS), IRIS[:, :2])


# ---- the picture of training --------------------------------------------------------------------


def test_training_picture_of_two_classes(net, look):
    picture = pictures.TrainingPicture(net, X, y[:, None], max_iter=100, resolution=40)
    picture.update(net)
    picture.figure.canvas.draw()
    field = picture._image.get_array()
    left, right, bottom, top = picture._image.get_extent()
    corners = [[left, bottom], [right, bottom], [left, top], [right, top]]
    seen = field[[0, 0, -1, -1], [0, -1, 0, -1]]
    np.testing.assert_allclose(seen, net.predict(corners).ravel(), rtol=1e-6)
    assert picture._image.get_clim() == (0, 1)
    # the boundary is where the prediction is one half
    (path,) = picture._boundary.get_paths()
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
    assert picture._boundary.get_edgecolor()[0].tolist() == list(to_rgba(ink))
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
    p = net.predict(picture._plane.points)
    image = np.asarray(picture._image.get_array()).reshape(-1, 3)
    for label in range(3):
        i = p[:, label].argmax()
        assert p[i, label] > 0.9
        distances = np.abs(image[i] - picture._colors).sum(axis=1)
        assert distances.argmin() == label


def test_training_picture_of_a_regression():
    net = Network([2, 4, 1], "tanh", random_state=0).fit(X, X[:, 0], max_iter=5)
    picture = pictures.TrainingPicture(net, X, X[:, :1])
    picture.update(net)
    picture.figure.canvas.draw()
    assert picture._boundary is None
    assert picture._image.get_clim() == (X[:, 0].min(), X[:, 0].max())


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
    with pytest.raises(ValueError, match="several that are probabilities"):
        pictures.TrainingPicture(Network([2, 3], out_activation="tanh"), X, np.ones((120, 3)))
    for path, message in (
        (tmp_path / "nowhere" / "x.png", "there is no folder"), (tmp_path, "is a folder"),
        (tmp_path / "x.txt", "must end in .png"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            training_picture(path, net, X, y)
    training_picture(tmp_path / "x.png", net, X, y, "a title")
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
    # before the first epoch, every ten, and at the end; one picture, replaced in place
    assert [what for what, _ in notebook] == ["display"] + ["update"] * 4
    assert live.n_frames_ == 5
    assert {image.size for _, image in notebook} == {(810, 369)}
    (curve, _) = live.figure_.axes[1].get_lines()
    np.testing.assert_array_equal(curve.get_ydata(), net.loss_curve_)
    assert not pyplot.get_fignums()
    circles_net().fit(X, y, max_iter=200, callback=LivePlot())
    assert len(notebook) == 5 + 51


def test_live_plot_in_a_window(monkeypatch):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    events = []
    monkeypatch.setattr(FigureCanvasAgg, "required_interactive_framework", "fake", raising=False)
    monkeypatch.setattr(FigureCanvasAgg, "flush_events", lambda self: events.append("drawn"))
    monkeypatch.setattr(matplotlib.figure.Figure, "show", lambda self: events.append("shown"))
    live = LivePlot(every=10)
    circles_net().fit(X, y, max_iter=30, callback=live)
    assert events == ["shown", "drawn", "drawn", "drawn", "drawn"]
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
    from matplotlib.backends.backend_agg import FigureCanvasAgg

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
    assert len(notebook) == 2


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


def test_page(recorder, tmp_path):
    path = animate(recorder, str(tmp_path / "x.html"), title="<b>&")
    text = path.read_text(encoding="utf-8")
    found = json.loads(re.search(r"const pictures = (\[.*?\]), epochs", text)[1])
    images = [Image.open(io.BytesIO(base64.b64decode(picture))) for picture in found]
    assert [image.size for image in images] == [(765, 348)] * 4
    assert json.loads(re.search(r"epochs = (\[.*?\]);", text)[1]) == [0, 10, 20, 30]
    assert "<title>&lt;b&gt;&amp;</title>" in text
    assert 'type="range" id="frame" min="0" max="3"' in text
    assert not re.search(r"https?:|src=\"(?!data)|<link|@import", text)  # loads nothing


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
    ids=str,
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
