"""Ways in which somebody broke an estimator: what is edited in place, replaced, deleted, set to
nonsense, or refused halfway. Each is refused in a line, or works as in scikit-learn's class."""

import copy
import pickle
import signal
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
import sklearn.neural_network as originals
from estimator_cases import needs_losses
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from fastnn import MLPClassifier, MLPRegressor
from fastnn.estimators.fitting import HAS_WEIGHTS

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

_rng = np.random.RandomState(0)
X, Y = _rng.randn(20, 3), _rng.rand(20)
Y2, LABELS = np.column_stack([Y, Y**2]), (Y > 0.5).astype(int)
SOLVERS = ("adam", "sgd", "lbfgs")
CLASSES = [MLPRegressor, originals.MLPRegressor]


def regressor(cls=MLPRegressor, **params):
    return cls(**{"hidden_layer_sizes": (3, 5), "max_iter": 3, "random_state": 0, **params})


def trained(cls=MLPRegressor, n=3, y=Y, **params):
    """After n calls of partial_fit."""
    mlp = regressor(cls, **params)
    for _ in range(n):
        mlp.partial_fit(X, y)
    return mlp


def same(a, b):
    """Whether two values of attributes are the same, whatever they are."""
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b)
    return a is b or bool(a == b) or repr(a) == repr(b)


def attributes(mlp):
    """Copies of what a pickle would hold, the optimizer's state among it."""
    state = copy.deepcopy(mlp.__getstate__())
    optimizer = state.pop("_optimizer", None)
    return {**state, **{f"optimizer.{k}": v for k, v in vars(optimizer or MLPRegressor).items()}}


def assert_unchanged(mlp, before):
    after = attributes(mlp)
    # a refused call may have drawn a RandomState for itself
    names = before.keys() - {"_random_state", "_label_binarizer"}
    assert after.keys() == before.keys()
    assert [name for name in names if not same(before[name], after[name])] == []


# ---- what is edited while a fit runs ----


def many():
    S = sp.random(200, 50, density=0.2, format="csr", random_state=0)
    return S, np.arange(200.0) / 200


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_callback_edits_which_numbers_of_a_sparse_x_are_read(solver):
    """The fit reads its own copy: kernels would read outside of the arrays."""
    S, y = many()
    mlp = MLPRegressor(hidden_layer_sizes=(40,), max_iter=5, random_state=0, solver=solver)
    other = copy.deepcopy(mlp).fit(S, y)
    mlp.set_callbacks(lambda net: S.indices.fill(2**30)).fit(S, y)
    assert (S.indices == 2**30).all()
    np.testing.assert_array_equal(mlp.coefs_[0], other.coefs_[0])


@pytest.mark.parametrize("who", [
    "scorer", "schedule", "subclass",
    pytest.param("signal", marks=pytest.mark.skipif(
        not hasattr(signal, "setitimer"), reason="no timers here"
    )),
])  # fmt: skip
def test_others_edit_a_sparse_x(who):
    """Whatever runs between compiled calls."""
    S, y = many()

    def edit(*arguments):
        if "_solver" in vars(mlp):  # it trains
            S.indices.fill(2**30)
        return 1.0

    def schedule(shares):
        if np.size(shares) > 100:  # not yet where it is tried
            edit()
        return np.ones_like(shares)

    class Own(MLPRegressor):
        def _update_no_improvement_count(self, *arguments):
            edit()
            super()._update_no_improvement_count(*arguments)

    mlp = (Own if who == "subclass" else MLPRegressor)(
        hidden_layer_sizes=(40,), max_iter=1001, n_iter_no_change=10**6, random_state=0
    )
    if who == "scorer":
        mlp.set_params(scoring=edit, max_iter=5)
        mlp.fit(S, y, X_val=S.toarray(), y_val=y)
    elif who == "schedule":
        mlp.set_params(learning_rate=schedule, max_iter=5, batch_size=1)
        mlp.fit(S, y)
    elif who == "signal":
        before = signal.signal(signal.SIGALRM, edit)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
            mlp.fit(S, y)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
    else:
        mlp.set_params(max_iter=5).fit(S, y)
    assert (S.indices == 2**30).all()
    assert np.isfinite(mlp.loss_)


def test_a_callback_edits_a_sparse_validation_set():
    """It is checked anew before each score."""
    S, y = many()
    V, y_val = many()
    mlp = MLPRegressor(hidden_layer_sizes=(40,), max_iter=5, random_state=0)
    mlp.set_callbacks(lambda net: V.indices.fill(2**30))
    with pytest.raises(ValueError, match=r"ind"):
        mlp.fit(S, y, X_val=V, y_val=y_val)
    assert np.isfinite(mlp.predict(S)).all()


@pytest.mark.parametrize("nested", ["fit", "partial_fit"])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_a_callback_fits_the_estimator_itself(nested, solver):
    """The fit goes on from there, and with its own solver; the two belong together afterwards."""
    mlp = regressor(solver=solver, max_iter=4)

    def once(net):
        if len(net.loss_curve_) == 2:
            mlp.set_callbacks()
            getattr(mlp, nested)(X, Y)

    mlp.set_callbacks(once).fit(X, Y)
    assert mlp._optimizer is vars(mlp)["_optimizer"]
    if solver == "adam":
        assert mlp._optimizer.t == 4
    pickle.loads(pickle.dumps(mlp)).partial_fit(X, Y)
    mlp.partial_fit(X, Y).fit(X, Y)
    if solver == "adam":
        assert mlp._optimizer.t == 4


def test_a_callback_transposes_the_architecture():
    """As many parameters, of other shapes."""
    mlp = MLPRegressor(hidden_layer_sizes=(3, 5), max_iter=3, random_state=0)
    other = MLPRegressor(hidden_layer_sizes=(5, 3), max_iter=3, random_state=0).fit(X, X)

    def replace(net):
        mlp.coefs_, mlp.intercepts_ = other.coefs_, other.intercepts_

    mlp.set_callbacks(replace)
    with pytest.raises(ValueError, match=r"a callback changed the shapes of coefs_"):
        mlp.fit(X, X)


@pytest.mark.parametrize("name", ["tol", "n_iter_no_change"])
def test_a_callback_sets_nonsense(name):
    mlp = regressor().set_callbacks(lambda net: setattr(mlp, name, "x"))
    with pytest.raises(TypeError, match=f"{name} must be a number, got 'x'"):
        mlp.fit(X, Y)


# ---- fits that diverge with a validation set ----

WILD = {
    "hidden_layer_sizes": (4,), "solver": "sgd", "learning_rate_init": 1e3, "random_state": 0,
    "max_iter": 20, "batch_size": 8,
}  # fmt: skip


def accuracy(mlp, X, y):
    """A scorer that takes any prediction."""
    return 0.5


@pytest.mark.parametrize("kind", ["labels", "scorer"])
def test_parameters_that_are_not_finite_are_never_the_best(kind):
    """Of NaN a class can be predicted, and a score be had."""
    S, y = 1e3 * _rng.randn(300, 3), (_rng.rand(300) > 0.9).astype(int)
    wild = {**WILD, "learning_rate_init": 1e200, "early_stopping": True}
    mlp = MLPClassifier(**wild) if kind == "labels" else MLPRegressor(**wild, scoring=accuracy)
    with pytest.raises(ValueError, match=r"are those that the fit began with\. Try"):
        mlp.fit(S, y)
    assert all(np.isfinite(a).all() for a in mlp.coefs_ + mlp.intercepts_)
    assert np.isnan(mlp.validation_scores_).all()
    assert mlp.best_validation_score_ == -np.inf
    assert mlp.best_iteration_ is None
    assert np.isfinite(mlp.predict(S)).all()


def test_the_best_before_it_diverged():
    """The best finite parameters stay, with a warning, if only the epochs after them diverge."""
    S, y = 1e3 * _rng.randn(300, 3), (_rng.rand(300) > 0.9).astype(int)
    mlp = MLPClassifier(**{**WILD, "learning_rate_init": 1e-3}, early_stopping=True)
    seen = []

    def blow_up(net):
        seen.append(mlp.best_validation_score_)
        if len(seen) == 3:
            mlp.coefs_[0][...] = np.nan

    with pytest.warns(ConvergenceWarning, match="no longer finite"):
        mlp.set_callbacks(blow_up).fit(S, y)
    assert all(np.isfinite(a).all() for a in mlp.coefs_ + mlp.intercepts_)
    assert mlp.best_validation_score_ == seen[2]
    assert np.isnan(mlp.validation_scores_[3:]).all()
    assert np.nanmax(mlp.validation_scores_) == mlp.best_validation_score_


@pytest.mark.parametrize("way", ["early_stopping", "X_val"])
def test_a_warm_start_that_diverges_keeps_what_was_there(way):
    """The first fit had no validation set: its first parameters are not the best so far."""
    mlp = MLPRegressor(hidden_layer_sizes=(4,), max_iter=200, random_state=0, warm_start=True)
    before = [coef.copy() for coef in mlp.fit(X, Y).coefs_]
    mlp.set_params(solver="sgd", learning_rate_init=1e200)
    mlp.set_params(early_stopping=way == "early_stopping", validation_fraction=0.5)
    validation = {"X_val": X, "y_val": Y} if way == "X_val" else {}
    with pytest.raises(ValueError, match="are those that the fit began with"):
        mlp.fit(X, Y, **validation)
    assert all(map(np.array_equal, before, mlp.coefs_))


# ---- targets in lists ----


@pytest.mark.parametrize("y", [
    Y2.tolist(), tuple(map(tuple, Y2.tolist())), list(Y2), [[1.0], [2.0]] * 10,
])  # fmt: skip
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_targets_of_two_dimensions_in_sequences(method, y):
    models = [regressor(cls, hidden_layer_sizes=(4,)) for cls in CLASSES]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a single column, by both
        for mlp in models:
            getattr(getattr(mlp, method)(X, y), method)(X, y)
    np.testing.assert_allclose(models[0].predict(X), models[1].predict(X), rtol=1e-10)


# ---- the optimizer ----


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_a_state_of_other_shapes(solver, cls):
    """Even if the totals agree, as here; scikit-learn refuses it in its own words."""
    mlp = trained(cls, y=X, solver=solver)
    other = regressor(cls, hidden_layer_sizes=(5, 3)).fit(X, X)
    mlp.coefs_, mlp.intercepts_, mlp.hidden_layer_sizes = other.coefs_, other.intercepts_, (5, 3)
    with pytest.raises(ValueError, match=r"_optimizer\.|broadcast"):
        mlp.partial_fit(X, X)
    if cls is MLPRegressor:
        assert all(map(np.array_equal, mlp.coefs_, other.coefs_))
        del mlp._optimizer  # as the message says
        mlp.partial_fit(X, X)


@pytest.mark.parametrize("momentum", [0, 0.9])
def test_other_totals_are_named(momentum):
    mlp = trained(solver="sgd", momentum=momentum)
    other = regressor(hidden_layer_sizes=(4, 4)).fit(X, Y)
    mlp.coefs_, mlp.intercepts_, mlp.hidden_layer_sizes = other.coefs_, other.intercepts_, (4, 4)
    with pytest.raises(ValueError, match=r"^_optimizer\.velocities has arrays of shapes [^\n]*$"):
        mlp.partial_fit(X, Y)


@pytest.mark.parametrize("change", [
    lambda ms: [a.T.copy() for a in ms], lambda ms: [np.ones(1)] * len(ms), lambda ms: ms[:3],
    lambda ms: [None] * len(ms), lambda ms: [np.ones((2, 2))] * len(ms),
    lambda ms: [np.concatenate([np.ravel(a) for a in ms])],
])  # fmt: skip
@pytest.mark.parametrize("n", [1, 3])
def test_replaced_states_are_compared(change, n):
    mlp = trained(n=n)
    before = [coef.copy() for coef in mlp.coefs_]
    mlp._optimizer.ms = change(mlp._optimizer.ms)
    with pytest.raises(ValueError, match=r"_optimizer\.ms has arrays of shapes"):
        mlp.partial_fit(X, Y)
    assert all(map(np.array_equal, before, mlp.coefs_))


@pytest.mark.parametrize("name", ["ms", "vs"])
@pytest.mark.parametrize("in_place", [False, True])
def test_edited_states_are_gone_on_from(name, in_place):
    """As scikit-learn does; whoever looks at the optimizer has all of its state."""
    models = [trained(cls) for cls in CLASSES]
    for mlp in models:
        if in_place:
            for one in getattr(mlp._optimizer, name):
                one[...] = 0.5
        else:
            new = [np.full_like(one, 0.5) for one in getattr(mlp._optimizer, name)]
            setattr(mlp._optimizer, name, new)
        mlp.partial_fit(X, Y)
    np.testing.assert_allclose(models[0].predict(X), models[1].predict(X), rtol=1e-10)


# ---- states ----


def test_a_state_takes_the_place_of_another_fit():
    """Nothing of it stays: not the optimizer, nor its state, nor the names of features."""
    pandas = pytest.importorskip("pandas")
    one, other = trained(n=2), trained(n=5, solver="sgd")
    other._feature = other.predict(X)
    other.feature_names_in_ = np.array(["a", "b", "c"], object)
    other.__setstate__(one.__getstate__())
    assert vars(other._optimizer).keys() == vars(one._optimizer).keys()
    assert all(map(np.array_equal, other._optimizer.ms, one._optimizer.ms))
    assert not hasattr(other, "feature_names_in_")
    third = pickle.loads(pickle.dumps(other))
    for mlp in (one, other, third):
        mlp.partial_fit(X, Y)
    np.testing.assert_array_equal(one.predict(X), other.predict(X))
    np.testing.assert_array_equal(one.predict(X), third.predict(X))
    by_lbfgs = regressor(solver="lbfgs").fit(X, Y)
    named = trained(n=1).fit(pandas.DataFrame(X, columns=list("abc")), Y)
    named.__setstate__(by_lbfgs.__getstate__())
    assert not hasattr(named, "_optimizer")
    assert not hasattr(named, "feature_names_in_")


def test_a_state_without_a_fit_leaves_the_fit():
    mlp = trained()
    other = copy.deepcopy(mlp)
    mlp.__setstate__(regressor(tol=1.0).__getstate__())
    assert mlp.tol == 1.0
    for one in (mlp, other):
        one.set_params(tol=1e-4).partial_fit(X, Y)
    np.testing.assert_array_equal(mlp.predict(X), other.predict(X))


@pytest.mark.parametrize("change", [
    {"coefs_": "x"}, {"coefs_": [np.ones((3, 4)), np.ones((5, 1))]}, {"t_": -1}, {"n_layers_": 9},
    {"_optimizer": object()}, {"loss_curve_": "x"}, {"_flat": None}, {"_training": object()},
])  # fmt: skip
def test_a_refused_state_changes_nothing(change):
    mlp, state = trained(), trained(n=1, solver="sgd", tol=0.5).__getstate__()
    before = attributes(mlp)
    with pytest.raises((TypeError, ValueError)):
        mlp.__setstate__({**state, **change})
    assert_unchanged(mlp, before)
    mlp.partial_fit(X, Y)
    np.testing.assert_array_equal(mlp.predict(X), trained(n=4).predict(X))


def test_a_state_is_a_mapping():
    with pytest.raises(TypeError, match="an estimator's state is a dict, got 3"):
        trained().__setstate__(3)


# ---- coefs_ and intercepts_ that were edited ----

# NumPy 2.5 warns of it
in_place = pytest.mark.filterwarnings("ignore:Setting the:DeprecationWarning")


@in_place
@pytest.mark.parametrize("cls", CLASSES)
def test_a_shape_that_was_changed_in_place(cls):
    mlp = regressor(cls, hidden_layer_sizes=(4,)).fit(X[:, :2], Y)
    mlp.coefs_[0].shape = 4, 2
    for use in (mlp.predict, lambda X: mlp.partial_fit(X, Y)):
        with pytest.raises(ValueError, match=r"do not fit together|mismatch|not aligned"):
            use(X[:, :2])
    if cls is MLPRegressor:
        mlp.coefs_[0].shape = 2, 4
        mlp.partial_fit(X[:, :2], Y)


@in_place
def test_a_shape_that_was_changed_in_place_is_seen_by_the_next_partial_fit():
    """Where a training could go on."""
    mlp = trained()
    mlp.intercepts_[0].shape = 1, 3
    with pytest.raises(ValueError, match="do not fit together"):
        mlp.partial_fit(X, Y)


@in_place
def test_a_type_that_was_changed_in_place():
    """The arrays are what they say, as in scikit-learn."""
    predictions = []
    for cls in CLASSES:
        mlp = regressor(cls).fit(X, Y)
        mlp.coefs_[0].dtype = np.int64
        predictions.append(mlp.predict(X))
    np.testing.assert_allclose(*predictions, rtol=1e-10)


@pytest.mark.parametrize("value", [
    np.ma.masked_array(np.ones((3, 3))), np.ones((3, 3), "c16"), np.array([["a"] * 3] * 3),
    np.ones((3, 3), object),
])  # fmt: skip
def test_arrays_that_are_no_numbers(value):
    mlp = trained()
    mlp.coefs_[0] = value
    for use in (lambda: mlp.predict(X), lambda: mlp.partial_fit(X, Y)):
        with pytest.raises(TypeError, match=r"^coefs_\[0\] (is a masked array|must hold real)"):
            use()


@pytest.mark.parametrize("value", [1.0, np.ones(9), np.ones((1, 3, 3)), np.ones((0, 3))])
def test_arrays_of_other_dimensions(value):
    mlp = trained()
    mlp.coefs_[0] = value
    for use in (lambda: mlp.predict(X), lambda: mlp.partial_fit(X, Y)):
        with pytest.raises(ValueError, match=r"fit together|features|shapes"):
            use()


def test_a_layer_too_many():
    mlp = trained()
    mlp.coefs_.append(np.ones((1, 1)))
    mlp.intercepts_.append(np.ones(1))
    for use in (lambda: mlp.predict(X), lambda: mlp.predict(X[:1]), lambda: mlp.partial_fit(X, Y)):
        with pytest.raises(ValueError, match=r"coefs_ has 4 arrays, and n_layers_=4 wants 3"):
            use()


@pytest.mark.parametrize("name", ["coefs_", "intercepts_", "n_layers_", "out_activation_"])
def test_deleted_attributes(name):
    mlp = trained()
    delattr(mlp, name)
    with pytest.raises(NotFittedError):
        mlp.predict(X)
    mlp.fit(X, Y).predict(X)


def test_partial_fit_begins_anew_without_coefs():
    models = [trained(cls) for cls in CLASSES]
    for mlp in models:
        del mlp.coefs_
        mlp.partial_fit(X, Y)
    np.testing.assert_allclose(models[0].predict(X), models[1].predict(X), rtol=1e-10)


# ---- fits that are refused ----


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("warm_start", [False, True])
@pytest.mark.parametrize("change", [
    {"early_stopping": True}, {"alpha": 10**400}, {"tol": 10**400}, {"epsilon": 10**400},
    {"learning_rate_init": 10**400}, {"n_iter_no_change": 10**400},
])  # fmt: skip
def test_a_refused_fit_changes_nothing(change, warm_start, solver):
    if solver == "lbfgs" and not {"alpha", "tol"} & change.keys():
        pytest.skip("a parameter that L-BFGS does not have")
    mlp = regressor(solver=solver, warm_start=warm_start).fit(X, Y)
    before = attributes(mlp.set_params(**change))
    with pytest.raises(ValueError, match=r"\A.*(too small|too large).*\Z"):
        mlp.fit(X[:5], Y[:5])
    assert_unchanged(mlp, before)


def test_a_refused_fit_of_a_new_estimator():
    mlp = regressor(early_stopping=True)
    with pytest.raises(ValueError, match="validation set is too small"):
        mlp.fit(X[:5], Y[:5])
    with pytest.raises(NotFittedError):
        mlp.predict(X)


@pytest.mark.skipif(not HAS_WEIGHTS, reason="of scikit-learn 1.6")
def test_weights_that_are_refused():
    mlp = regressor(solver="lbfgs").fit(X, Y)
    before = attributes(mlp)
    with pytest.raises(ZeroDivisionError):
        mlp.fit(X[:2], Y[:2], sample_weight=[1, -1])
    assert_unchanged(mlp, before)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_other_targets_leave_a_usable_estimator(method):
    mlp = trained(warm_start=True)
    with pytest.raises(ValueError, match="y has 2 outputs"):
        getattr(mlp, method)(X, Y2)
    assert mlp.n_outputs_ == 1
    pickle.loads(pickle.dumps(mlp)).partial_fit(X, Y)
    mlp.partial_fit(X, Y)
    np.testing.assert_array_equal(mlp.predict(X), trained(n=4).predict(X))


@pytest.mark.parametrize(("change", "error", "words"), [
    ({"tol": "x"}, TypeError, "tol must be a number, got 'x'"),
    ({"n_iter_no_change": "x"}, TypeError, "n_iter_no_change must be a number, got 'x'"),
    ({"alpha": "x"}, TypeError, "alpha must be a number, got 'x'"),
    ({"alpha": 10**400}, ValueError, "alpha is too large: 1000"),
    ({"tol": 10**400}, ValueError, "tol is too large: 1000"),
    pytest.param({"loss": "zzz"}, ValueError,
                 "loss must be one of 'squared_error', 'poisson', 'abs", marks=needs_losses),
    ({"activation": "zzz"}, ValueError, "activation must be one of 'identity', 'logistic', "),
    ({"learning_rate": "zzz"}, ValueError,
     "learning_rate must be one of 'constant', 'invscaling', 'adaptive', 'linear'"),
    ({"solver": "rmsprop", "tol": "x"}, TypeError, "tol must be a number"),
    ({"solver": "rmsprop", "learning_rate_init": "x"}, TypeError, "learning_rate_init must be"),
])  # fmt: skip
def test_partial_fit_refuses_before_the_epoch(change, error, words):
    mlp = trained()
    params = mlp.get_params()
    before = attributes(mlp.set_params(**change))
    with pytest.raises(error) as caught:
        mlp.partial_fit(X, Y)
    assert str(caught.value).startswith(words)
    assert_unchanged(mlp, before)
    mlp.set_params(**params).partial_fit(X, Y)
    np.testing.assert_array_equal(mlp.predict(X), trained(n=4).predict(X))
