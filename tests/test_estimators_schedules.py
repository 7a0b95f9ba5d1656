"""Estimators with schedules: scikit-learn's names mean what they did, the others every step."""

import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPRegressor as TheirRegressor

from fastnn import MLPClassifier, MLPRegressor, Network, schedules
from fastnn.schedules import Cosine, OneCycle

rng = np.random.RandomState(0)
X = rng.uniform(-1, 1, (90, 3))
y = X[:, 0] * X[:, 1]
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def regressor(**options):
    own = {
        "hidden_layer_sizes": (8,), "activation": "tanh", "random_state": 0, "alpha": 0.0,
        "max_iter": 12, "batch_size": 20, "learning_rate_init": 0.01, "n_iter_no_change": 100,
    }  # fmt: skip
    return MLPRegressor(**{**own, **options})


def coefs(model):
    return np.concatenate([a.ravel() for a in [*model.coefs_, *model.intercepts_]])


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("rate", ["one_cycle", 0.5 * Cosine(), lambda t: 1 if t < 0.5 else 0.1])
def test_every_step_has_the_rate_that_networks_take(solver, rate):
    model = regressor(solver=solver, learning_rate=rate).fit(X, y)
    net = Network([3, 8, 1], "tanh", random_state=0)
    momentum = {"momentum": 0.9} if solver == "sgd" else {}
    net.fit(
        X, y, solver=solver, learning_rate=rate, learning_rate_init=0.01, batch_size=20,
        max_iter=12, **momentum,
    )  # fmt: skip
    np.testing.assert_allclose(coefs(model), np.concatenate(
        [a.ravel() for a in [*net.coefs_, *net.intercepts_]]
    ), rtol=1e-12)  # fmt: skip
    assert model.n_iter_ == 12


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("batch_size", [20, 90])
def test_one_call_blocks_and_callbacks_change_no_bit(solver, batch_size, monkeypatch):
    options = {"solver": solver, "batch_size": batch_size, "learning_rate": "cosine"}
    whole = regressor(**options).fit(X, y)
    heard = regressor(**options).set_callbacks(lambda net: None).fit(X, y)
    drawn = regressor(**{**options, "random_state": np.random.RandomState(0)}).fit(X, y)
    monkeypatch.setattr(schedules, "BLOCK_STEPS", 12)
    parts = regressor(**options).fit(X, y)
    for other in (heard, drawn, parts):
        np.testing.assert_array_equal(coefs(other), coefs(whole))
        assert other.loss_curve_ == whole.loss_curve_
    plain = regressor(**{**options, "learning_rate": "constant"}).fit(X, y)
    assert not np.array_equal(coefs(plain), coefs(whole))
    same = regressor(**{**options, "learning_rate": lambda t: 1.0}).fit(X, y)
    np.testing.assert_array_equal(coefs(plain), coefs(same))


@pytest.mark.parametrize("name", ["constant", "invscaling", "adaptive"])
def test_scikit_learns_names_keep_their_meaning(name):
    """Adam ignores them."""
    options = {"learning_rate": name, "max_iter": 30, "tol": 0.01, "n_iter_no_change": 3}
    ours = regressor(solver="sgd", **options).fit(X, y)
    theirs = clone(ours.to_sklearn()).fit(X, y)
    assert type(theirs) is TheirRegressor
    np.testing.assert_allclose(coefs(ours), coefs(theirs), rtol=1e-9)
    adam = [regressor(learning_rate=other).fit(X, y) for other in (name, "constant")]
    np.testing.assert_array_equal(coefs(adam[0]), coefs(adam[1]))


def test_clones_searches_and_conversion():
    model = regressor(learning_rate=OneCycle(0.2))
    assert clone(model).learning_rate == OneCycle(0.2)
    grid = {"learning_rate": ["constant", "cosine", OneCycle(), 0.1 * Cosine()]}
    search = GridSearchCV(regressor(), grid, cv=2).fit(X, y)
    assert len(search.cv_results_["params"]) == 4
    model.fit(X, y)
    with pytest.warns(UserWarning, match=r"has no learning_rate=OneCycle.*later fits"):
        theirs = model.to_sklearn()
    assert theirs.learning_rate == "constant"
    np.testing.assert_allclose(theirs.predict(X), model.predict(X))
    theirs.fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ConvergenceWarning)
        regressor().fit(X, y).to_sklearn()
        regressor(solver="lbfgs", learning_rate="cosine").fit(X, y)  # ignores it


def test_a_callback_may_set_the_rate_but_no_schedule():
    def lower(net):
        net.learning_rate_ = 0.005

    got = regressor(learning_rate="cosine").set_callbacks(lower).fit(X, y)
    assert got.n_iter_ == 12
    model = regressor(learning_rate="cosine")
    model.set_callbacks(lambda net: model.set_params(learning_rate="step") and None)
    with pytest.raises(ValueError, match="a callback set learning_rate"):
        model.fit(X, y)


@pytest.mark.parametrize(
    ("rate", "message"),
    [
        ("cosin", "Did you mean 'cosine'"),
        ("adaptiv", "Did you mean 'adaptive'"),
        (0.1, "learning_rate"),
        (None, "learning_rate"),
        (Cosine, r"use Cosine\(\)"),
        (lambda t: t - 0.5, "learning_rate must return a finite number >= 0"),
        (lambda t: np.nan, "got nan at 0"),
    ],
)
@pytest.mark.parametrize("fitted", [False, True])
def test_bad_schedules_change_nothing(rate, message, fitted):
    model = regressor(max_iter=1)
    before = coefs(model.fit(X, y)) if fitted else None
    with pytest.raises((ValueError, TypeError), match=message):
        model.set_params(learning_rate=rate).fit(X, y)
    if fitted:
        np.testing.assert_array_equal(coefs(model), before)
    else:
        assert not hasattr(model, "coefs_")


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_partial_fit_knows_no_end(solver):
    model = regressor(solver=solver, learning_rate="cosine")
    with pytest.raises(ValueError, match="partial_fit takes no learning_rate='cosine'"):
        model.partial_fit(X, y)
    assert not hasattr(model, "coefs_")
    model.set_params(learning_rate="constant").partial_fit(X, y)


def test_the_docstring_says_it():
    for cls in (MLPClassifier, MLPRegressor):
        before, _, after = cls.__doc__.partition("learning_rate_init :")
        assert "`fastnn.schedules`" in before
        assert "`fastnn.schedules`" not in after
