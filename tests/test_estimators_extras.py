"""More activations, dropout, noise, clipping and weight decay in the estimators."""

import pickle

import numpy as np
import pytest
from sklearn.datasets import load_diabetes
from sklearn.preprocessing import scale

import fastnn
from fastnn import Network
from fastnn.catalog import activations
from fastnn.estimators.extras import MORE_ACTIVATIONS

X, y = load_diabetes(return_X_y=True)
X, y = scale(X), scale(y)
pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer", "ignore:lbfgs failed")
OPTIONS = [
    {"dropout": 0.2}, {"dropout": [0.3, 0.0]}, {"input_noise": 0.2}, {"clip_norm": 0.05},
    {"weight_decay": 0.3}, {"dropout": 0.1, "input_noise": 0.1, "weight_decay": 0.1},
]  # fmt: skip


def new(**options):
    return fastnn.MLPRegressor(
        hidden_layer_sizes=(9, 7), random_state=0, max_iter=5, alpha=0.0, **options
    )


@pytest.mark.parametrize("options", OPTIONS)
def test_the_numbers_are_those_of_a_network(options):
    """From the same parameters, rows in their order; dropout and noise with the same seed."""
    mlp = new(shuffle=False, **options).fit(X, y)
    start = new(shuffle=False, learning_rate_init=1e-300).fit(X, y)  # its parameters stay
    net = Network([10, 9, 7, 1], "relu")
    net.coefs_, net.intercepts_ = start.coefs_, start.intercepts_
    # the estimator has drawn those parameters when it draws the seed
    net._random_state = np.random.RandomState(0)
    net._random_state.random_sample(net.params_.size)
    solver = "adamw" if "weight_decay" in options else "adam"
    net.fit(X, y, shuffle=False, max_iter=5, **{"solver": solver, **options})
    for a, b in zip(net.coefs_, mlp.coefs_, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    plain = new(shuffle=False).fit(X, y)
    assert not np.array_equal(plain.coefs_[0], mlp.coefs_[0])


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_fits_repeat_and_go_on(options, solver):
    if solver == "sgd" and "weight_decay" in options:
        return
    fits = [new(solver=solver, **options).fit(X, y) for _ in range(2)]
    np.testing.assert_array_equal(fits[0].coefs_[0], fits[1].coefs_[0])
    for fit in fits:
        fit.partial_fit(X, y)
    np.testing.assert_array_equal(fits[0].coefs_[0], fits[1].coefs_[0])
    assert np.isfinite(pickle.loads(pickle.dumps(fits[0])).partial_fit(X, y).loss_)


@pytest.mark.parametrize("activation", MORE_ACTIVATIONS)
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_more_activations(activation, solver):
    mlp = new(activation=activation, solver=solver).fit(X, y)
    net = Network([10, 9, 7, 1], activation)
    net.coefs_, net.intercepts_ = mlp.coefs_, mlp.intercepts_
    np.testing.assert_array_equal(mlp.predict(X), net.predict(X)[:, 0])
    assert mlp.set_params(max_iter=300).fit(X, y).score(X, y) > 0.5
    with pytest.raises(ValueError, match=f"scikit-learn has no activation '{activation}'"):
        mlp.to_sklearn()


def test_the_activations_are_those_of_the_catalog():
    hidden = {row.name for row in activations.ACTIVATIONS if row.hidden}
    assert hidden - {"sigmoid"} == {*MORE_ACTIVATIONS, "identity", "tanh", "relu"}


@pytest.mark.parametrize(("options", "message"), [
    ({"dropout": 1.0}, "'dropout' parameter of MLPRegressor must be"),
    ({"dropout": [0.1, 0.1, 0.1]}, "dropout must be one number, or 2"),
    ({"dropout": 0.1, "solver": "lbfgs"}, "dropout=0.1 is for solver 'adam' and 'sgd'"),
    ({"clip_norm": -1}, "'clip_norm' parameter"),
    ({"weight_decay": 0.1, "solver": "sgd"}, "weight_decay=0.1 is for solver 'adam', got 'sgd'"),
])  # fmt: skip
def test_bad_options_change_nothing(options, message):
    mlp = new().fit(X, y)
    before = [a.copy() for a in mlp.coefs_]
    with pytest.raises(ValueError, match=message):
        mlp.set_params(**options).fit(X, y)
    for a, b in zip(mlp.coefs_, before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_subclass_with_its_own_arithmetic_takes_none():
    class Own(fastnn.MLPRegressor):
        def _backprop(self, *args):
            return super()._backprop(*args)

    for options in ({"dropout": 0.1}, {"activation": "gelu"}):
        with pytest.raises(ValueError, match="scikit-learn's code, which has no"):
            Own(hidden_layer_sizes=(9,), max_iter=2, **options).fit(X, y)
