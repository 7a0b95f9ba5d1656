"""The losses of MLPRegressor that scikit-learn's class has not."""

import pickle
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import d2_pinball_score, mean_pinball_loss
from sklearn.model_selection import cross_val_score
from sklearn.neural_network import _multilayer_perceptron as originals

import fastnn
from fastnn import Network
from fastnn.callbacks import ValidationLoss
from fastnn.estimators.extras import MORE_LOSSES

pytestmark = pytest.mark.skipif(
    "loss" not in originals.MLPRegressor._parameter_constraints,
    reason="scikit-learn 1.6 has one loss",
)
LEVELS = [0.05, 0.5, 0.95]


def data(rng, loss, n=300):
    X = 6 * rng.rand(n, 1)
    y = np.sin(X[:, 0]) + 0.3 * rng.randn(n)
    return X, np.exp(y) if loss == "gamma" else y


def regressor(loss, **options):
    more = {"delta": 0.4} | ({"quantile": LEVELS} if loss == "quantile" else {}) | options
    return fastnn.MLPRegressor(
        **{"loss": loss, "hidden_layer_sizes": (8,), "activation": "tanh", "random_state": 0,
           "max_iter": 5, **more}
    )  # fmt: skip


def fitted(estimator, X, y, **validation):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return estimator.fit(X, y, **validation)


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("loss", MORE_LOSSES)
def test_the_loss_is_that_of_network(loss, solver, rng):
    X, y = data(rng, loss)
    mlp = fitted(regressor(loss, solver=solver, max_iter=1, alpha=0, batch_size=len(X)), X, y)
    assert mlp.out_activation_ == ("exp" if loss == "gamma" else "identity")
    more = {"huber": {"delta": 0.4}, "quantile": {"quantile": LEVELS}}.get(loss, {})
    units = [1, 8, 3 if loss == "quantile" else 1]
    net = Network(units, ["tanh", mlp.out_activation_], loss=loss, **more)
    net.coefs_, net.intercepts_ = mlp.coefs_, mlp.intercepts_
    np.testing.assert_allclose(mlp.predict(X).reshape(300, -1), net.predict(X), rtol=1e-13)
    before = mlp.loss_
    mlp = fitted(mlp.set_params(warm_start=True, max_iter=1), X, y)
    after = net.loss(X, y)  # which the next fit begins with
    if solver != "lbfgs":
        np.testing.assert_allclose(mlp.loss_curve_[-1], after, rtol=1e-12)
    assert mlp.loss_ <= before


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("loss", MORE_LOSSES)
def test_life(loss, solver, rng):
    X, y = data(rng, loss)
    validation = ValidationLoss(X, y)
    mlp = clone(regressor(loss, solver=solver)).set_callbacks(validation)
    fitted(mlp, X, y)
    assert validation.losses_[-1] < validation.losses_[0]
    same = pickle.loads(pickle.dumps(mlp))
    np.testing.assert_array_equal(same.predict(X), mlp.predict(X))
    if solver == "adam":
        for one in (same, mlp):
            one.partial_fit(X, y).partial_fit(X, y)
        np.testing.assert_array_equal(same.predict(X), mlp.predict(X))
        fitted(clone(mlp).set_params(early_stopping=True), X, y)


def test_intervals_cover_what_they_say(rng):
    X, y = data(rng, "quantile", 4000)
    mlp = fitted(regressor("quantile", max_iter=300, learning_rate_init=0.01), X[:2000], y[:2000])
    predicted = mlp.predict(X[2000:])
    assert predicted.shape == (2000, 3)
    assert (np.diff(predicted, axis=1) >= 0).all()
    inside = (predicted[:, 0] <= y[2000:]) & (y[2000:] <= predicted[:, 2])
    assert 0.85 < inside.mean() < 0.95
    assert fitted(regressor("quantile", quantile=0.9), X, y).predict(X).shape == (4000,)
    fitted(regressor("quantile"), X, np.arange(4000))  # whole numbers


@pytest.mark.parametrize("quantile", [LEVELS, [0.9], 0.9])
def test_quantiles_are_validated_on_one_target(quantile, rng):
    X, y = data(rng, "quantile")
    levels = np.atleast_1d(quantile)

    def pinball(mlp, X, y):
        assert y.shape == (100,)
        predicted = mlp.predict(X).reshape(100, -1).T
        losses = [mean_pinball_loss(y, p, alpha=q) for p, q in zip(predicted, levels, strict=True)]
        return -np.sum(losses)

    options = {"loss": "quantile", "quantile": quantile, "scoring": pinball}
    mlp = regressor(**options, max_iter=20)
    fitted(mlp, X[:200], y[:200], X_val=X[200:], y_val=y[200:])
    assert max(mlp.validation_scores_) == pytest.approx(pinball(mlp, X[200:], y[200:]))
    fitted(regressor(**options, early_stopping=True, validation_fraction=1 / 3), X, y)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "quantile", "quantile": [0.9, 0.1]}, "quantile must be levels that rise"),
        ({"loss": "quantile", "quantile": 1.0}, "'quantile' parameter of MLPRegressor must be"),
        ({"loss": "huber", "delta": 0}, "'delta' parameter of MLPRegressor must be"),
        ({"loss": "mae"}, "Did you mean 'absolute_error'"),
        ({"loss": "gamma"}, "y must be above 0 for loss 'gamma'"),
    ],
)
def test_bad_parameters(options, message, rng):
    X, y = data(rng, "huber")
    with pytest.raises(ValueError, match=message):
        fastnn.MLPRegressor(**options).fit(X, y)


def test_quantiles_of_several_targets_are_refused(rng):
    with pytest.raises(ValueError, match="'quantile' takes one target"):
        regressor("quantile").fit(rng.randn(9, 1), rng.randn(9, 3))


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("levels", [0.9, [0.05, 0.5, 0.95]])
def test_the_score_of_quantiles_is_of_the_pinball_loss(levels, rng):
    X, weights = rng.rand(200, 1) * 6, rng.rand(200)
    y = np.sin(X[:, 0]) + 0.3 * rng.randn(200)
    mlp = fastnn.MLPRegressor("quantile", quantile=levels, max_iter=100, random_state=0)
    mlp.fit(X, y, X_val=X[:50], y_val=y[:50])

    def want(X, y, **weights):
        columns = zip(np.atleast_1d(levels), mlp.predict(X).reshape(len(y), -1).T, strict=True)
        return np.mean([d2_pinball_score(y, a, alpha=q, **weights) for q, a in columns])

    assert mlp.score(X, y) == want(X, y)
    assert mlp.score(X, y, weights) == want(X, y, sample_weight=weights)
    assert mlp.best_validation_score_ == want(X[:50], y[:50])
    assert cross_val_score(mlp, X, y, cv=3).mean() > 0.1
    mlp.set_params(early_stopping=True).fit(X, y)
    assert max(mlp.validation_scores_) == mlp.best_validation_score_
    with pytest.raises(ValueError, match="takes one target"):
        mlp.fit(X, y, X_val=X[:50], y_val=rng.rand(50, 3))


def test_arithmetic_of_a_subclass_does_not_know_them(rng):
    class Own(fastnn.MLPRegressor):
        def _backprop(self, *args):
            return super()._backprop(*args)

    with pytest.raises(ValueError, match="has no loss 'huber'"):
        Own("huber", max_iter=1).fit(rng.randn(9, 1), rng.randn(9))
