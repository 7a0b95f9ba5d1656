"""The estimators by Levenberg-Marquardt."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import scale

import fastnn
from fastnn import MLPClassifier, MLPRegressor, Network
from fastnn.training import second_order

X, LABELS = load_iris(return_X_y=True)
X = scale(X)
D, TARGETS = (scale(a) for a in load_diabetes(return_X_y=True))
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def regressor(**params):
    given = {"hidden_layer_sizes": (5,), "activation": "tanh", "alpha": 0.1, "random_state": 0}
    return MLPRegressor(solver="lm", **(given | params))


def classifier(**params):
    given = {"hidden_layer_sizes": (5,), "activation": "tanh", "alpha": 0.1, "random_state": 0}
    return MLPClassifier(solver="lm", **(given | params))


def test_it_is_the_networks():
    model = regressor(max_iter=7).fit(D, TARGETS)
    start = MLPRegressor(
        hidden_layer_sizes=(5,), activation="tanh", random_state=0, max_iter=1,
        learning_rate_init=1e-300,
    ).fit(D, TARGETS)  # fmt: skip
    net = Network.from_params(
        np.concatenate(
            [a.ravel() for pair in zip(start.coefs_, start.intercepts_, strict=True) for a in pair]
        ),
        [10, 5, 1],
        ["tanh", "identity"],
    )
    net.fit(D, TARGETS, solver="lm", alpha=0.1, max_iter=7)
    for ours, its in zip(model.coefs_, net.coefs_, strict=True):
        np.testing.assert_allclose(ours, its, rtol=1e-9)
    assert model.n_iter_ == 7
    assert model.loss_ == pytest.approx(net.loss(D, TARGETS, alpha=0.1), rel=1e-12)


@pytest.mark.parametrize("tol", [1e-2, 1e-4, 1e-8])
def test_it_ends_where_the_gradient_is_within_tol(tol):
    model = regressor(tol=tol, max_iter=1000).fit(D, TARGETS)
    assert model.n_iter_ < 1000
    net = Network.from_params(
        np.concatenate(
            [a.ravel() for pair in zip(model.coefs_, model.intercepts_, strict=True) for a in pair]
        ),
        [10, 5, 1],
        ["tanh", "identity"],
    )
    _, *grads = net.loss_and_grad(D, TARGETS, alpha=0.1)
    assert max(np.abs(g).max() for both in grads for g in both) <= tol
    assert regressor(tol=100 * tol, max_iter=1000).fit(D, TARGETS).n_iter_ <= model.n_iter_


def test_too_few_iterations_are_told():
    with pytest.warns(ConvergenceWarning, match=r"lm: maximum iterations \(3\) reached"):
        regressor(max_iter=3, tol=0).fit(D, TARGETS)


@pytest.mark.parametrize("y", [LABELS, LABELS > 0, X > 0], ids=["three", "two", "several"])
def test_classes(y):
    model = classifier(max_iter=50).fit(X, y)
    assert model.score(X, y) > 0.9
    other = MLPClassifier((5,), activation="tanh", alpha=0.1, solver="lbfgs", random_state=0)
    assert model.loss_ < 1.5 * other.fit(X, y).loss_
    np.testing.assert_allclose(clone(model).fit(X, y).predict_proba(X), model.predict_proba(X))


def test_several_outputs():
    """Sums over the outputs are what falls; the mean is what is reported."""
    Y = np.column_stack([TARGETS, D[:, 0], D[:, 1] ** 2])
    model = regressor(max_iter=30).fit(D, Y)
    squares = ((model.predict(D) - Y) ** 2).mean() / 2
    penalty = 0.1 * sum((W**2).sum() for W in model.coefs_) / 2 / len(D)
    assert model.loss_ == pytest.approx(squares + penalty, rel=1e-12)
    assert model.loss_ < regressor(max_iter=1).fit(D, Y).loss_


@pytest.mark.parametrize("loss", ["poisson", "gamma", "huber", "log_cosh"])
def test_other_losses(loss):
    y = np.exp(TARGETS / 2) if loss in ("poisson", "gamma") else TARGETS
    model = regressor(loss=loss, max_iter=300).fit(D, y)
    assert model.n_iter_ < 300
    other = MLPRegressor(
        loss=loss, hidden_layer_sizes=(5,), activation="tanh", alpha=0.1, solver="lbfgs",
        random_state=0, max_iter=1000,
    ).fit(D, y)  # fmt: skip
    assert model.loss_ < 1.1 * other.loss_


def test_weights_smoothing_and_sparse_rows():
    times = np.random.RandomState(0).randint(3, size=len(D))
    one = regressor(max_iter=5).fit(D, TARGETS, sample_weight=times)
    other = regressor(max_iter=5).fit(np.repeat(D, times, 0), np.repeat(TARGETS, times))
    np.testing.assert_allclose(one.predict(D), other.predict(D), rtol=1e-6, atol=1e-8)
    dense = np.where(np.abs(X) < 1, 0, X)
    sure, unsure = (
        classifier(max_iter=20, label_smoothing=s).fit(dense, LABELS) for s in (0, 0.3)
    )
    assert unsure.predict_proba(dense).max() < sure.predict_proba(dense).max()
    sparse = classifier(max_iter=20).fit(csr_array(dense), LABELS)
    np.testing.assert_array_equal(sparse.predict_proba(dense), sure.predict_proba(dense))


def test_warm_start_and_copies(tmp_path):
    model = regressor(max_iter=3, warm_start=True).fit(D, TARGETS)
    first = model.loss_
    assert model.fit(D, TARGETS).loss_ < first
    pytest.importorskip("safetensors")
    model.save(tmp_path / "model.fastnn")
    again = fastnn.load(tmp_path / "model.fastnn")
    np.testing.assert_array_equal(again.predict(D), model.predict(D))
    with pytest.warns(UserWarning, match="no solver 'lm'"):
        theirs = model.to_sklearn()
    np.testing.assert_allclose(theirs.predict(D), model.predict(D), rtol=1e-12)


@pytest.mark.parametrize(
    ("params", "given", "error", "message"),
    [
        ({"loss": "absolute_error"}, {}, ValueError, "needs the curvature"),
        ({}, {"X_val": D, "y_val": TARGETS}, ValueError, "X_val is not for solver 'lm'"),
        ({}, {"resume": "nothing"}, ValueError, "resume is not for solver 'lm'"),
        ({"ema": 0.5}, {}, ValueError, "ema=0.5 is not for solver 'lm'"),
        ({"dropout": 0.5}, {}, ValueError, "dropout=0.5 is not for solver 'lm'"),
    ],
    ids=["loss", "X_val", "resume", "ema", "dropout"],
)
def test_refused(params, given, error, message):
    model = regressor(**params)
    with pytest.raises(error, match=message):
        model.fit(D, TARGETS, **given)
    assert not hasattr(model, "coefs_")


def test_what_it_does_not_have():
    with pytest.raises(AttributeError, match="partial_fit"):
        classifier().partial_fit(X, LABELS)
    quick = regressor(max_iter=4, early_stopping=True, batch_size=7).fit(D, TARGETS)
    np.testing.assert_array_equal(
        quick.predict(D), regressor(max_iter=4).fit(D, TARGETS).predict(D)
    )


def test_more_memory_than_allowed_is_refused(monkeypatch):
    monkeypatch.setattr(second_order, "MOST_BYTES", 1000)
    with pytest.raises(ValueError, match='solver "lm" needs'):
        regressor().fit(D, TARGETS)


def test_a_loss_beyond_range():
    model = regressor(warm_start=True, max_iter=3).fit(D, TARGETS)
    before = model.predict(D)
    with pytest.raises(ValueError, match="The loss is inf"):
        model.fit(D, 1e200 * TARGETS)
    np.testing.assert_array_equal(model.predict(D), before)
