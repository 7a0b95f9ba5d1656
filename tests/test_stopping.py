"""Network.fit with a validation set: scores, stopping, the best parameters."""

import warnings

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, log_loss, make_scorer, r2_score, roc_auc_score

import fastnn
from fastnn import Network
from fastnn.callbacks import Callback, Recorder, ValidationLoss
from fastnn.training import stopping

RNG = np.random.RandomState(0)


def noisy(n):
    """Two classes that overlap, so that a large network overfits."""
    X = RNG.randn(n, 4)
    return X, (X[:, 0] * X[:, 1] + RNG.randn(n) > 0).astype(float)


X, Y = noisy(80)
X_VAL, Y_VAL = noisy(60)
W_VAL = RNG.exponential(size=60)
VALIDATION = {"X_val": X_VAL, "y_val": Y_VAL}
OPTIONS = {"learning_rate_init": 0.02, "max_iter": 60}


def new(loss="binary_log_loss", **options):
    return Network([4, 40, 1], "relu", loss=loss, random_state=0, **options)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_loss_after_each_epoch(weighted, dtype):
    weights = {"sample_weight_val": W_VAL} if weighted else {}
    net, want = new(dtype=dtype), []
    follow = {"sample_weight": W_VAL} if weighted else {}

    def after(net):
        want.append(net.loss(X_VAL, Y_VAL, **follow))

    net.fit(X, Y, callback=after, **VALIDATION, **weights, **OPTIONS)
    np.testing.assert_allclose(net.validation_loss_curve_, want, rtol=1e-12)
    assert net.validation_scores_ == [-loss for loss in net.validation_loss_curve_]
    assert net.best_iteration_ == 1 + np.argmin(net.validation_loss_curve_)
    assert net.n_iter_ == 60


def test_it_changes_no_training():
    a, b = new().fit(X, Y, **OPTIONS), new().fit(X, Y, **VALIDATION, **OPTIONS)
    np.testing.assert_array_equal(a.params_, b.params_)
    assert a.loss_curve_ == b.loss_curve_
    assert a.validation_scores_ is a.validation_loss_curve_ is a.best_iteration_ is None
    b.fit(X, Y, **OPTIONS)
    assert b.validation_scores_ is b.validation_loss_curve_ is b.best_iteration_ is None


def test_stopping_restores_the_best():
    net, recorder = new(), Recorder(every=1)
    net.fit(X, Y, n_iter_no_change=5, tol=0.0, callback=recorder, **VALIDATION, **OPTIONS)
    best = net.best_iteration_
    assert net.n_iter_ == len(net.validation_scores_) == best + 5 < 60
    assert net.loss(X_VAL, Y_VAL) == net.validation_loss_curve_[best - 1]
    np.testing.assert_array_equal(net.params_, recorder._params[best])
    # as by the callback
    other = new()
    stop = ValidationLoss(X_VAL, Y_VAL, n_iter_no_change=5, tol=0.0)
    other.fit(X, Y, callback=stop, **OPTIONS)
    np.testing.assert_array_equal(net.params_, other.params_)
    # the solver starts afresh from there
    again = Network.from_params(net.params_.copy(), [4, 40, 1], ["relu", "sigmoid"],
                                loss="binary_log_loss")  # fmt: skip
    net.partial_fit(X, Y, shuffle=False)
    again.partial_fit(X, Y, shuffle=False)
    np.testing.assert_array_equal(net.params_, again.params_)


def test_the_best_is_restored_at_max_iter_too():
    net = new().fit(X, Y, n_iter_no_change=100, **VALIDATION, **OPTIONS)
    assert net.n_iter_ == 60 > net.best_iteration_
    assert net.loss(X_VAL, Y_VAL) == min(net.validation_loss_curve_)


def test_tol():
    def n_iter(tol):
        return new().fit(X, Y, n_iter_no_change=3, tol=tol, **VALIDATION, **OPTIONS).n_iter_

    assert n_iter(10.0) == 4  # the first score improves on none
    assert n_iter(0.0) > 4


def test_the_last_may_be_the_best():
    net = new().fit(X, Y, n_iter_no_change=5, max_iter=4, **VALIDATION)
    assert net.best_iteration_ == 4
    a, b = net.copy(), net.copy()
    a.reset_solver()
    a.partial_fit(X, Y)
    b.partial_fit(X, Y)  # goes on with the solver's state
    assert (a.params_ != b.params_).any()


# ---- scoring ------------------------------------------------------------------------------------


def probability(net, X):
    return net.predict(X).ravel()


SCORINGS = {
    "accuracy": lambda net: accuracy_score(Y_VAL, probability(net, X_VAL) > 0.5),
    "roc_auc": lambda net: roc_auc_score(Y_VAL, probability(net, X_VAL)),
    "neg_log_loss": lambda net: -log_loss(Y_VAL, probability(net, X_VAL)),
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("scoring", [*SCORINGS, "scorer", "function"])
def test_scores(scoring, weighted):
    want = []
    weights = {"sample_weight": W_VAL} if weighted else {}
    functions = {
        "accuracy": lambda p: accuracy_score(Y_VAL, p > 0.5, **weights),
        "roc_auc": lambda p: roc_auc_score(Y_VAL, p, **weights),
        "neg_log_loss": lambda p: -log_loss(Y_VAL, p, **weights),
    }
    function = functions.get(scoring, functions["accuracy"])

    def own(net, X, y, sample_weight=None):
        assert X is X_VAL
        assert y is Y_VAL
        assert (sample_weight is None) == (not weighted)
        return function(probability(net, X))

    given = {"scorer": make_scorer(accuracy_score), "function": own}.get(scoring, scoring)
    net = new()
    net.fit(
        X, Y, scoring=given, sample_weight_val=W_VAL if weighted else None, max_iter=12,
        callback=lambda net: want.append(function(probability(net, X_VAL))), **VALIDATION,
    )  # fmt: skip
    assert net.validation_scores_ == pytest.approx(want, rel=1e-12)
    assert net.best_iteration_ == 1 + np.argmax(want)
    assert net.validation_loss_curve_ is None


def test_scorers_of_several_classes_labels_and_numbers():
    labels = RNG.randint(3, size=60)
    net = Network([4, 5, 3], "tanh", loss="log_loss", random_state=0)
    for name in ("accuracy", "f1_macro", "neg_log_loss", "roc_auc_ovr"):
        net.fit(X_VAL, np.eye(3)[labels], max_iter=2, scoring=name, X_val=X_VAL,
                y_val=np.eye(3)[labels])  # fmt: skip
        assert len(net.validation_scores_) == 2
    net.fit(X_VAL, np.eye(3)[labels], max_iter=3, scoring="accuracy", X_val=X_VAL,
            y_val=np.eye(3)[labels])  # fmt: skip
    assert net.validation_scores_[-1] == np.mean(net.predict(X_VAL).argmax(axis=1) == labels)
    many = RNG.randint(2, size=(60, 2)).astype(float)
    net = Network([4, 5, 2], "tanh", loss="binary_log_loss", random_state=0)
    for name in ("accuracy", "f1_macro", "roc_auc"):
        net.fit(X_VAL, many, max_iter=2, scoring=name, X_val=X_VAL, y_val=many)
        assert all(0 <= score <= 1 for score in net.validation_scores_)
    assert net.validation_scores_[-1] == roc_auc_score(many, net.predict(X_VAL))
    numbers = RNG.randn(60, 2)
    for y in (numbers, numbers[:, :1]):
        net = Network([4, 5, y.shape[1]], "tanh", random_state=0)
        net.fit(X_VAL, y, max_iter=2, scoring="r2", X_val=X_VAL, y_val=y)
        assert net.validation_scores_[-1] == pytest.approx(r2_score(y, net.predict(X_VAL)))


def test_scores_that_are_no_numbers_are_never_the_best():
    net = new().fit(X, Y, max_iter=3, scoring=lambda *_: np.nan, **VALIDATION)
    assert np.isnan(net.validation_scores_).all()
    assert net.best_iteration_ is None
    before = new().fit(X, Y, max_iter=2)
    net = new().fit(X, Y, max_iter=9, n_iter_no_change=2, scoring=lambda *_: np.nan, **VALIDATION)
    assert net.n_iter_ == 2
    np.testing.assert_array_equal(net.params_, before.params_)


# ---- in company ---------------------------------------------------------------------------------


def test_other_callbacks_end_with_the_best_parameters():
    ended = []

    class Look(Callback):
        def end(self, net, completed):
            ended.append((net.params_.copy(), net.best_iteration_, completed))

    net = new()
    net.fit(X, Y, n_iter_no_change=3, callback=Look(), **VALIDATION, **OPTIONS)
    params, best, completed = ended[0]
    np.testing.assert_array_equal(params, net.params_)
    assert best == net.best_iteration_
    assert completed


def test_a_callback_may_train_the_network_itself():
    def more(net):
        if net.n_iter_ == 2:
            net.partial_fit(X, Y)

    net = new().fit(X, Y, max_iter=4, callback=more, **VALIDATION)
    assert len(net.validation_scores_) == 4

    def again(net):
        if net.validation_scores_ and len(net.validation_scores_) == 1:
            net.fit(X, Y, max_iter=1)
            assert net.validation_scores_ is None

    net = new().fit(X, Y, max_iter=4, callback=again, **VALIDATION)
    assert len(net.validation_scores_) == 4


def test_it_is_copied_and_pickled():
    net = new().fit(X, Y, max_iter=4, **VALIDATION)
    other = net.copy()
    assert other.validation_scores_ == net.validation_scores_
    assert other.best_iteration_ == net.best_iteration_


def test_views_of_the_parameters_as_data():
    net = Network([4, 4], ["identity"], random_state=0)
    view = net.coefs_[0]
    held = view.copy()
    seen = []
    net.fit(held, held, X_val=view, y_val=view, max_iter=3,
            callback=lambda net: seen.append(net.loss(held, held)))  # fmt: skip
    np.testing.assert_allclose(net.validation_loss_curve_, seen, rtol=1e-12)


def test_one_compiled_call_an_epoch(monkeypatch):
    net, calls = new(), []
    kernel = fastnn.kernels.build.loss_and_grad

    def counted(*args):
        calls.append(1)
        return kernel(*args)

    monkeypatch.setattr(fastnn.kernels.build, "loss_and_grad", counted)
    net.fit(X, Y, max_iter=10, **VALIDATION)
    assert len(calls) == 11  # and one before training


# ---- what is refused ----------------------------------------------------------------------------

WRONG = [
    ({"X_val": X_VAL[:, :3]}, ValueError, "the validation set: X must have 4 columns"),
    ({"y_val": Y_VAL[:-1]}, ValueError, "the validation set: y must have 60 rows"),
    ({"y_val": Y_VAL + 1}, ValueError, "the validation set: y must be between 0 and 1"),
    ({"y_val": np.eye(2)[Y_VAL.astype(int)]}, ValueError, "validation set: y must have 1 column"),
    ({"X_val": np.full((60, 4), np.nan)}, ValueError, r"the validation set: X\[0, 0\] is nan"),
    ({"X_val": np.empty((0, 4)), "y_val": np.empty(0)}, ValueError, "validation set: X is empty"),
    ({"y_val": ["yes"] * 60}, TypeError, "the validation set: y must hold real numbers"),
    ({"y_val": None}, ValueError, "X_val needs a validation set: give both X_val and y_val"),
    ({"X_val": None}, ValueError, "y_val needs a validation set: give both X_val and y_val"),
    ({"sample_weight_val": W_VAL[1:]}, ValueError, "sample_weight_val must have shape"),
    ({"sample_weight_val": -W_VAL}, ValueError, "sample_weight_val must be at least 0"),
    ({"scoring": "acuracy"}, ValueError, "scoring must be a function .*; did you mean 'accuracy'"),
    ({"scoring": 3}, TypeError, "scoring must be None, a name of scikit-learn's scorers, or"),
    ({"scoring": int}, TypeError, "scoring must be None, a name"),
    ({"scoring": lambda net, X, y: "good"}, TypeError, "scoring must give one number, got 'good'"),
    ({"scoring": lambda net, X, y: net.predict(X)}, TypeError, "scoring must give one number"),
    ({"scoring": lambda net: 1.0}, TypeError, "positional arg"),
    ({"scoring": lambda net, X, y: 1 / 0}, ZeroDivisionError, "division"),
    ({"n_iter_no_change": 0}, ValueError, "n_iter_no_change must be a whole number >= 1"),
    ({"n_iter_no_change": 1.5}, TypeError, "n_iter_no_change must be a whole number"),
    ({"tol": -1.0}, ValueError, "tol must be a finite number"),
    ({"tol": "small"}, TypeError, "tol must be a finite number"),
]  # fmt: skip


@pytest.mark.parametrize(("wrong", "error", "message"), WRONG)
def test_refused_before_training(wrong, error, message):
    net = new().fit(X, Y, max_iter=2, **VALIDATION)
    before, curve, scores = net.params_.copy(), net.loss_curve_, net.validation_scores_
    with pytest.raises(error, match=message) as caught:
        net.fit(X, Y, max_iter=3, **{**VALIDATION, **wrong})
    assert "\n" not in str(caught.value)
    np.testing.assert_array_equal(net.params_, before)
    assert net.loss_curve_ is curve
    assert net.validation_scores_ is scores


@pytest.mark.parametrize("name", ["scoring", "n_iter_no_change", "sample_weight_val"])
def test_a_validation_set_is_needed(name):
    value = {"scoring": "accuracy", "n_iter_no_change": 3, "sample_weight_val": W_VAL}[name]
    with pytest.raises(ValueError, match=f"{name} needs a validation set"):
        new().fit(X, Y, **{name: value})


def test_a_scorer_that_raises_later_leaves_a_usable_network():
    calls = []

    def score(net, X, y):
        calls.append(1)
        if len(calls) == 5:
            raise RuntimeError("no more")
        return -len(calls)

    net = new()
    with pytest.raises(RuntimeError, match="no more"):
        net.fit(X, Y, scoring=score, n_iter_no_change=9, **VALIDATION, **OPTIONS)
    assert net.n_iter_ == 4
    assert len(net.validation_scores_) == 3
    same = new().fit(X, Y, **{**OPTIONS, "max_iter": 4})
    np.testing.assert_array_equal(net.params_, same.params_)
    net.partial_fit(X, Y)


def test_a_score_may_be_any_real_number():
    for value in (1, 0.5, np.float32(0.5), np.int64(3), np.inf, -np.inf, np.nan):
        assert isinstance(stopping.as_score(value), float)
    for value in (True, np.True_, None, "1", [1.0], 1j):
        with pytest.raises(TypeError, match="one number"):
            stopping.as_score(value)


def test_no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        new().fit(X, Y, max_iter=3, scoring="accuracy", n_iter_no_change=1, **VALIDATION)
