"""The estimators by Levenberg-Marquardt."""

import importlib.util

import numpy as np
import pytest
from estimator_cases import needs_losses, needs_weights
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import scale

import fastnn
from fastnn import MLPClassifier, MLPRegressor, Network, work
from fastnn.training import second_order

X, LABELS = load_iris(return_X_y=True)
X = scale(X)
D, TARGETS = (scale(a) for a in load_diabetes(return_X_y=True))
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def regressor(**params):
    given = {"hidden_layer_sizes": (5,), "activation": "tanh", "alpha": 0.1, "random_state": 0}
    return MLPRegressor(**({"solver": "lm"} | given | params))


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


@needs_losses
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


@needs_weights
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
        pytest.param(
            {"loss": "absolute_error"}, {}, ValueError, "needs the curvature", marks=needs_losses
        ),
        ({}, {"X_val": D, "y_val": TARGETS}, ValueError, "X_val is not for solver 'lm'"),
        ({}, {"resume": "nothing"}, ValueError, "resume is not for solver 'lm'"),
        ({"ema": 0.5}, {}, ValueError, "ema=0.5 is not for solver 'lm'"),
        ({"dropout": 0.5}, {}, ValueError, "dropout=0.5 is not for solver 'lm'"),
        ({"alpha": "much"}, {}, ValueError, "The 'alpha' parameter"),
        pytest.param(
            {"alpha": "evidence", "loss": "huber"},
            {},
            ValueError,
            "is for loss='squared_error'",
            marks=needs_losses,
        ),
        ({"alpha": "evidence", "solver": "lbfgs"}, {}, ValueError, "is for solver 'lm', and not"),
        ({"alpha": "evidence", "solver": "adam"}, {}, ValueError, "is for solver 'lm', and not"),
    ],
    ids=["loss", "X_val", "resume", "ema", "dropout", "alpha", "huber", "lbfgs", "adam"],
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


# ---- alpha="evidence" ---------------------------------------------------------------------------


def as_network(model):
    params = [
        a.ravel() for pair in zip(model.coefs_, model.intercepts_, strict=True) for a in pair
    ]
    return Network.from_params(np.concatenate(params), [10, 5, 1], ["tanh", "identity"])


def test_evidence_is_the_networks():
    start = as_network(MLPRegressor(
        hidden_layer_sizes=(5,), activation="tanh", random_state=0, max_iter=1,
        learning_rate_init=1e-300,
    ).fit(D, TARGETS))  # fmt: skip
    start.fit(D, TARGETS, solver="lm", alpha="evidence", max_iter=30)
    model = regressor(alpha="evidence", max_iter=30, tol=0).fit(D, TARGETS)
    assert model.alphas_ == pytest.approx(start.alphas_, rel=1e-6)
    assert model.effective_parameters_ == pytest.approx(start.effective_parameters_, rel=1e-6)
    assert model.noise_variance_ == pytest.approx(start.noise_variance_, rel=1e-6)
    assert model.loss_ == pytest.approx(start.loss(D, TARGETS), rel=1e-9)
    assert model.covariance_.shape == (61, 61)
    for one, other in zip(
        model.predict(D, return_std=True), start.predict(D, return_std=True), strict=True
    ):
        assert one.shape == (442,)
        np.testing.assert_allclose(one, other[:, 0], rtol=1e-6)
    assert model.score(D, TARGETS) > 0.4


def test_evidence_generalises_without_tuning():
    half, rest = slice(0, None, 2), slice(1, None, 2)
    model = regressor(alpha="evidence", max_iter=200).fit(D[half], TARGETS[half])
    found, std = model.predict(D[rest], return_std=True)
    assert model.n_iter_ < 200
    tuned = max(
        regressor(alpha=alpha, max_iter=200)
        .fit(D[half], TARGETS[half])
        .score(D[rest], TARGETS[rest])
        for alpha in np.logspace(-2, 3, 6)
    )
    assert model.score(D[rest], TARGETS[rest]) > tuned - 0.05
    assert 0.9 < np.mean(np.abs(found - TARGETS[rest]) < 1.96 * std) < 1


@needs_weights
def test_evidence_of_several_outputs_weights_and_sparse_rows():
    y = np.column_stack([TARGETS, D[:, 2] ** 2])
    weights = np.random.RandomState(0).randint(3, size=len(D)).astype(float)
    dense = np.where(np.abs(D) < 0.5, 0, D)
    options = {"alpha": "evidence", "max_iter": 40}
    one = regressor(**options).fit(dense, y, sample_weight=weights)
    other = regressor(**options).fit(csr_array(dense), y, sample_weight=weights)
    for ours, its in zip(
        one.predict(dense, return_std=True), other.predict(csr_array(dense), return_std=True),
        strict=True,
    ):  # fmt: skip
        assert ours.shape == (442, 2)
        np.testing.assert_allclose(ours, its, rtol=1e-9)


def test_what_the_evidence_found_goes_with_the_fit(tmp_path):
    import pickle

    model = regressor(alpha="evidence", max_iter=20, warm_start=True)
    with pytest.raises(NotFittedError):
        model.predict(D, return_std=True)
    model.fit(D, TARGETS)
    expected = model.predict(D, return_std=True)
    copies = [pickle.loads(pickle.dumps(model))]
    if importlib.util.find_spec("safetensors"):
        model.save(tmp_path / "model.fastnn")
        copies.append(fastnn.load(tmp_path / "model.fastnn"))
    for copy in copies:
        for one, other in zip(copy.predict(D, return_std=True), expected, strict=True):
            np.testing.assert_array_equal(one, other)
    state = model.__getstate__()
    for wrong in (
        {"covariance_": np.zeros((3, 3))}, {"alphas_": (1.0,)}, {"noise_variance_": -1.0},
        {"noise_variance_": None}, {"effective_parameters_": "many"},
    ):  # fmt: skip
        with pytest.raises((ValueError, TypeError)):
            regressor().__setstate__({**state, **wrong})
    with pytest.warns(UserWarning, match="alpha='evidence'"):
        theirs = model.to_sklearn()
    assert theirs.alpha == 0.0001
    assert not hasattr(theirs, "covariance_")
    np.testing.assert_allclose(theirs.predict(D), expected[0], rtol=1e-12)
    # a fit that is refused, or fails before it changes anything, loses nothing
    with pytest.raises(ValueError, match="solver 'lm'"):
        model.set_params(solver="adam").fit(D, TARGETS)
    model.set_params(solver="lm")
    with pytest.raises(ValueError, match=r"finite|range"):
        model.fit(1e160 * D, TARGETS)
    np.testing.assert_array_equal(model.predict(D, return_std=True)[1], expected[1])
    # another kind of fit has no evidence
    model.set_params(solver="lm", alpha=0.1).fit(D, TARGETS)
    assert not any(hasattr(model, name) for name in ("alphas_", "covariance_", "noise_variance_"))
    with pytest.raises(ValueError, match="alpha='evidence'"):
        model.predict(D, return_std=True)


def test_evidence_with_callbacks_and_searches():
    heard = []
    model = regressor(alpha="evidence", max_iter=6).set_callbacks(
        lambda net: heard.append(net.loss_)
    )
    quiet = regressor(alpha="evidence", max_iter=6).fit(D, TARGETS)
    np.testing.assert_array_equal(model.fit(D, TARGETS).covariance_, quiet.covariance_)
    assert len(heard) == 6
    search = GridSearchCV(regressor(max_iter=5), {"alpha": [0.1, "evidence"]}, cv=2)
    assert set(search.fit(D, TARGETS).cv_results_["param_alpha"]) == {0.1, "evidence"}


def test_dual_form_of_estimators():
    """Fewer rows than parameters; local minima are near each other."""
    few, labels = X[::15], LABELS[::15]
    assert work.order_of_matrix(np.array([4, 30, 3]), len(few))[1]
    model = classifier(hidden_layer_sizes=(30,), max_iter=100, tol=1e-8, alpha=1.0)
    other = clone(model).set_params(solver="lbfgs", tol=1e-8, max_iter=2000)
    model.fit(few, labels)
    assert model.loss_ == pytest.approx(other.fit(few, labels).loss_, rel=0.02)


def test_attributes_of_these_names_that_are_somebodys_own():
    import pickle

    model = regressor(max_iter=2)
    model.covariance_ = model.alphas_ = "mine"
    model.fit(D, TARGETS)
    assert pickle.loads(pickle.dumps(model)).covariance_ == "mine"
    with pytest.raises(ValueError, match="alpha='evidence'"):
        model.predict(D, return_std=True)
    other = classifier(max_iter=2).fit(X, LABELS)
    other.covariance_ = 3
    assert pickle.loads(pickle.dumps(other)).covariance_ == 3


def test_the_reason_of_a_failure_is_told():
    with pytest.raises(ValueError, match=r"beyond float64.s range|no inverse"):
        regressor(alpha="evidence", max_iter=9).fit(1e160 * D, TARGETS)
