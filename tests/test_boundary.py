"""Boundaries by scikit-learn's own display, and models as functions of two of their features."""

import copy
import pickle
import warnings

import numpy as np
import pandas
import pytest
from estimator_cases import VERSION
from plotted import IRIS, KIND, X, circles_net, fitted_iris, fitted_net, y
from sklearn.exceptions import NotFittedError
from sklearn.inspection import DecisionBoundaryDisplay

from fastnn import MLPClassifier, Network
from fastnn.plotting import FeatureSlice

pytestmark = pytest.mark.usefixtures("without_windows")
shows_more = pytest.mark.skipif(
    VERSION < (1, 7), reason="scikit-learn 1.6 shows boundaries of two classes alone"
)

asks_the_estimator = pytest.mark.skipif(
    VERSION < (1, 9), reason="up to 1.8 scikit-learn takes what is no classifier for a regressor"
)


@pytest.fixture
def net():
    return fitted_net()


@pytest.fixture
def iris():
    return fitted_iris()


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


@shows_more
def test_boundary_of_softmax():
    net = Network([2, 4, 3], "tanh", loss="log_loss", random_state=0)
    net.fit(IRIS[:, 2:], np.eye(3)[KIND], max_iter=20, learning_rate_init=0.05)
    display, points = boundary(net, IRIS[:, 2:])
    np.testing.assert_allclose(display.response.reshape(-1, 3), net.predict(points))
    np.testing.assert_array_equal(net.predict_proba(points), net.predict(points))


@asks_the_estimator
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


@shows_more
def test_a_boundary_of_labels_is_refused_and_not_drawn_wrong(net):
    """`predict` gives activations; scikit-learn would take them for labels."""
    soft = Network([2, 4, 3], loss="log_loss", random_state=0)
    soft.fit(IRIS[:, 2:], np.eye(3)[KIND], max_iter=2)
    other = Network([2, 4, 1], "tanh", random_state=0).fit(X, y, max_iter=2)
    models = [(net, X), (soft, IRIS[:, 2:]), (other, X)]
    for model, data in models if VERSION >= (1, 9) else models[:2]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises((ValueError, TypeError)):
                boundary(model, data, response_method="predict")


@shows_more
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
