"""More activations, dropout, noise, clipping and weight decay in the estimators."""

import pickle

import numpy as np
import pytest
from estimator_cases import needs_losses
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
    {"ema": 0.9}, {"solver": "nadam"}, {"solver": "rmsprop", "beta_2": 0.9},
    {"solver": "adamw"}, {"solver": "rprop", "ema": 0.5, "learning_rate_init": 0.1},
]  # fmt: skip


def new(**options):
    given = {"hidden_layer_sizes": (9, 7), "random_state": 0, "max_iter": 5, "alpha": 0.0}
    return fastnn.MLPRegressor(**{**given, **options})


@pytest.mark.parametrize("options", OPTIONS)
def test_the_numbers_are_those_of_a_network(options):
    """From the same parameters, rows in their order; dropout and noise with the same seed."""
    mlp = new(shuffle=False, **options).fit(X, y)
    start = new(**{"shuffle": False, "solver": "sgd", "learning_rate_init": 1e-300}).fit(
        X, y
    )  # its parameters stay
    net = Network([10, 9, 7, 1], "relu")
    net.coefs_, net.intercepts_ = start.coefs_, start.intercepts_
    # the estimator has drawn those parameters when it draws the seed
    net._random_state = np.random.RandomState(0)
    net._random_state.random_sample(net.params_.size)
    given = {"solver": "adamw" if "weight_decay" in options else "adam", **options}
    if given["solver"] == "rmsprop":
        given["rho"] = given.pop("beta_2")
    net.fit(X, y, shuffle=False, max_iter=5, **given)
    for a, b in zip(net.coefs_, mlp.coefs_, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    plain = new(shuffle=False).fit(X, y)
    assert not np.array_equal(plain.coefs_[0], mlp.coefs_[0])


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_fits_repeat_and_go_on(options, solver):
    """Also from a pickle, from an optimizer somebody looked at, and as a network would."""
    if solver == "sgd" and ("weight_decay" in options or "solver" in options):
        return
    options = {"solver": solver, "shuffle": False, **options}
    whole = new(**{**options, "max_iter": 9}).fit(X, y)
    fits = [new(**{**options, "max_iter": 5}).fit(X, y) for _ in range(4)]
    for _ in range(4):
        fits[1] = pickle.loads(pickle.dumps(fits[1]))
        assert fits[2]._optimizer is not None
        for fit in fits:
            fit.partial_fit(X, y)
    for fit in fits[1:]:
        np.testing.assert_array_equal(fits[0].coefs_[0], fit.coefs_[0])
    np.testing.assert_array_equal(fits[0].coefs_[0], whole.coefs_[0])


@pytest.mark.parametrize("change", [("nadam", "adam"), ("rprop", "sgd"), ("sgd", "adamw")])
def test_another_solver_begins_afresh(change):
    """scikit-learn goes on with the solver that it began with, of which it has two."""
    mlp = new(solver=change[0]).fit(X, y).set_params(solver=change[1], batch_size=100)
    start = [a.copy() for a in mlp.coefs_], [a.copy() for a in mlp.intercepts_]
    fresh = new(solver=change[1], batch_size=100, max_iter=1, warm_start=True).fit(X, y)
    fresh.coefs_, fresh.intercepts_ = start
    fresh._random_state = pickle.loads(pickle.dumps(mlp._random_state))
    del fresh._optimizer
    np.testing.assert_array_equal(
        mlp.partial_fit(X, y).coefs_[0], fresh.partial_fit(X, y).coefs_[0]
    )


@pytest.mark.parametrize(("name", "value"), [
    ("ema", 2), ("ema", np.nan), ("clip_norm", -1), ("input_noise", np.inf), ("clip_norm", "1"),
    ("weight_decay", -1), ("ema", [0.1]), ("input_noise", None), ("dropout", 1.0),
])  # fmt: skip
def test_partial_fit_refuses_what_set_params_took(name, value):
    mlp = new().fit(X, y)
    before = mlp.coefs_[0].copy()
    with pytest.raises((ValueError, TypeError), match=f"{name} must be"):
        mlp.set_params(**{name: value}).partial_fit(X, y)
    np.testing.assert_array_equal(mlp.coefs_[0], before)


@needs_losses
def test_a_number_of_the_loss_is_refused_before_training():
    mlp = new().fit(X, y).set_params(loss="huber", delta=1e300, random_state=5)
    before, curve = mlp.coefs_[0].copy(), mlp.loss_curve_
    with pytest.raises(ValueError, match="delta must be"):
        mlp.fit(X, y)
    np.testing.assert_array_equal(mlp.coefs_[0], before)
    assert mlp.loss_curve_ is curve


def test_an_average_with_early_stopping_gives_the_best_average():
    mlp = new(ema=0.9, max_iter=60, learning_rate_init=0.02)
    mlp.fit(X[:400], y[:400], X_val=X[400:], y_val=y[400:])
    assert mlp.best_validation_score_ == max(mlp.validation_scores_)
    assert mlp.score(X[400:], y[400:]) == pytest.approx(mlp.best_validation_score_, rel=1e-12)
    assert mlp.best_iteration_ < len(mlp.validation_scores_)
    assert np.isfinite(mlp.partial_fit(X, y).loss_)


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("kind", ["classes", "two classes", "labels"])
def test_label_smoothing(solver, kind, rng):
    """The same as a network that is given smoothed targets; the loss is theirs."""
    x = rng.randn(60, 3)
    labels = {
        "classes": rng.randint(3, size=60), "two classes": rng.randint(2, size=60),
        "labels": (rng.rand(60, 3) < 0.4).astype(int),
    }[kind]  # fmt: skip
    options = {"solver": solver, "shuffle": False, "random_state": 0, "max_iter": 3}
    mlp = fastnn.MLPClassifier((5,), label_smoothing=0.2, **options).fit(x, labels)
    one_hot = np.eye(3)[labels] if kind == "classes" else labels.reshape(60, -1)
    smooth = one_hot * 0.8 + (0.2 / 3 if kind == "classes" else 0.1)
    loss = "log_loss" if kind == "classes" else "binary_log_loss"
    net = Network([3, 5, smooth.shape[1]], "relu", loss=loss)
    net.coefs_, net.intercepts_ = mlp.coefs_, mlp.intercepts_
    if solver == "lbfgs":
        want = net.loss(x, smooth, alpha=mlp.alpha)
        np.testing.assert_allclose(mlp.loss_, want, rtol=1e-12)
    else:
        last = fastnn.MLPClassifier((5,), label_smoothing=0.2, **{**options, "max_iter": 4})
        want = net.loss(x, smooth, alpha=mlp.alpha)  # of the fourth epoch, before its step
        np.testing.assert_allclose(last.fit(x, labels).loss_, want, rtol=1e-12)
        mlp.partial_fit(x, labels)
        np.testing.assert_array_equal(mlp.coefs_[0], last.coefs_[0])
    with pytest.raises(ValueError, match="'label_smoothing' parameter"):
        mlp.set_params(label_smoothing=1.0).fit(x, labels)


@pytest.mark.parametrize("options", [
    {"solver": "nadam"}, {"ema": 0.9}, {"dropout": 0.2},
    pytest.param({"loss": "huber"}, marks=needs_losses),
    pytest.param({"loss": "quantile", "quantile": 0.3}, marks=needs_losses),
    pytest.param({"loss": "log_cosh", "solver": "lbfgs"}, marks=needs_losses),
])  # fmt: skip
def test_to_sklearn_predicts_and_goes_on_by_adam(options):
    mlp = new(**options).fit(X, y)
    with pytest.warns(UserWarning, match="later fits are without"):
        theirs = mlp.to_sklearn()
    np.testing.assert_allclose(theirs.predict(X), mlp.predict(X), rtol=1e-12)
    assert theirs.solver in ("adam", "lbfgs")
    assert "fastnn" not in repr(vars(theirs).get("_optimizer", "")) + str(
        vars(getattr(theirs, "_optimizer", theirs)).keys()
    )
    theirs.fit(X, y)


@needs_losses
def test_to_sklearn_does_not_predict_several_quantiles():
    mlp = new(loss="quantile", quantile=[0.1, 0.9]).fit(X, y)
    with pytest.raises(ValueError, match="several quantiles"):
        mlp.to_sklearn()


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
    ({"dropout": 0.1, "solver": "lbfgs"}, "dropout=0.1 is not for solver 'lbfgs'"),
    ({"clip_norm": -1}, "'clip_norm' parameter"),
    ({"weight_decay": 0.1, "solver": "sgd"}, "weight_decay=0.1 is not for solver 'sgd'"),
    ({"ema": 0.9, "solver": "lbfgs"}, "ema=0.9 is not for solver 'lbfgs'"),
    ({"ema": 1.0}, "'ema' parameter"),
    ({"solver": "rprop", "clip_norm": 1.0}, "clip_norm is not for solver \"rprop\""),
    ({"solver": "rprop", "batch_size": 100}, "\"rprop\" needs all 442 rows as one batch"),
    ({"solver": "rprop", "learning_rate": "cosine"}, "\"rprop\" takes no schedule"),
])  # fmt: skip
def test_bad_options_change_nothing(options, message):
    mlp = new().fit(X, y)
    before = [a.copy() for a in mlp.coefs_]
    with pytest.raises(ValueError, match=message):
        mlp.set_params(**options).fit(X, y)
    for a, b in zip(mlp.coefs_, before, strict=True):
        np.testing.assert_array_equal(a, b)


@needs_losses
def test_a_subclass_with_its_own_arithmetic_takes_none():
    class Own(fastnn.MLPRegressor):
        def _backprop(self, *args):
            return super()._backprop(*args)

    for options in (
        {"dropout": 0.1}, {"activation": "gelu"}, {"solver": "nadam"}, {"learning_rate": "cosine"},
        {"loss": "huber"}, {"ema": 0.5},
    ):  # fmt: skip
        with pytest.raises(ValueError, match="scikit-learn's code, which has no"):
            Own(hidden_layer_sizes=(9,), max_iter=2, **options).fit(X, y)
