"""Bagged estimators: scikit-learn's bagging of MLPs, trained by threads of one process.

The classes are scikit-learn's own, of the version installed: it checks parameters and data and
draws seeds, rows and features. Only the loops over the estimators are replaced. scikit-learn's
`_fit` does all before its loop by itself, asks `_parallel_args` for joblib's options and would
begin: there it is left, and `_train` has threads take the next estimator when they are free.
Each estimator has the parameters, seed, rows and features that scikit-learn gives it and trains by
its own `fit`, so that it ends with the bits that scikit-learn's `BaggingRegressor` over fastnn's
`MLPRegressor` gives. Predictions are added up in the order of the estimators, as scikit-learn does
with one job; threads share the rows.
"""

from __future__ import annotations

import copy
import functools
import inspect
import itertools
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn import config_context, get_config
from sklearn.base import clone
from sklearn.ensemble import BaggingClassifier, BaggingRegressor
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

import fastnn
from fastnn import documentation, threads, work
from fastnn.data import checks
from fastnn.estimators import documenting, shortcuts
from fastnn.estimators.classes import MLPClassifier, MLPRegressor
from fastnn.estimators.converting import Convertible
from fastnn.estimators.extras import EXTRAS
from fastnn.estimators.fitting import HAS_WEIGHTS, ended_by
from fastnn.training.side_by_side import train_each

# what scikit-learn's bagging has itself; the estimators keep their defaults
_OF_THE_WHOLE = ("random_state", "verbose", "warm_start", "n_jobs")
# what both classes say
_WHAT = """``Bagged{member}(500, alpha=0.1, random_state=0)`` is scikit-learn's
``{original}({member}(alpha=0.1), 500, random_state=0)`` over fastnn's estimator:
the same draws, and `estimators_`, predictions and out-of-bag scores with the same bits,
whatever the number of threads.

The estimators have all parameters of `{member}`, but for four that are the ensemble's.

Parameters
----------
n_estimators : int, default=10
    How many estimators.
random_state : int, RandomState instance or None, default=None
    Draws a seed for each estimator, and that its rows, its features and the seed of its
    parameters and shuffles.
n_jobs : int, default=None
    Threads: None for `fastnn.get_num_threads()`, -1 for all cores. They change no result.
warm_start : bool, default=False
    Whether `fit` keeps the estimators that are there and trains those that are missing up to
    `n_estimators`; not whether these go on from their parameters.
verbose : int, default=0
    Above 1, a line for each estimator that begins."""
_ATTRIBUTES = """estimators_ : list of {member}
    The estimators.
estimators_samples_ : list of ndarray
    The rows that each was trained on.
estimators_features_ : list of ndarray
    The features of each.
n_iter_ : ndarray of int, (n_estimators,)
    The epochs, or iterations, of each."""
_NOTES = """On Ctrl-C, and if an estimator's fit raises an error, the first estimators that are
done stay and predict; with ``warm_start=True`` the next `fit` goes on with the one after them, to
the bits of a fit that was not interrupted, if `random_state` is an int.

From scikit-learn 1.7 on, an estimator takes all rows, weighted by how often each was drawn,
and from 1.8 on ``sample_weight`` of `fit` sets the probabilities of the draws."""
_IMMUTABLE = frozenset({int, float, str, bool, type(None)})


class _Drawn(Exception):
    """scikit-learn has checked everything and drawn the seeds."""


def _in_c_order(X: Any) -> Any:
    """X as estimators take it without a copy, if it is of their types."""
    if type(X) is np.ndarray and X.dtype in (np.float64, np.float32):
        return np.ascontiguousarray(X)
    return X


def _as_floats(X: Any) -> Any:
    """The same, with whole numbers in the type that a fit would convert them to."""
    if type(X) is np.ndarray and X.dtype.kind in "iub":
        return X.astype(np.float64, "C")
    return _in_c_order(X)


def _bagged(cls: Any) -> Any:
    """Class decorator: the constructor, with the estimator's parameters and scikit-learn's own."""
    of_estimator = dict(inspect.signature(cls._member).parameters)
    of_bagging = dict(inspect.signature(cls._original).parameters)
    del of_bagging["estimator"], of_bagging["n_estimators"]
    names = list(dict.fromkeys(["n_estimators", *of_estimator, *of_bagging]))
    known = {**of_estimator, **of_bagging, "n_jobs": of_estimator["n_jobs"]}
    parameters = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=known[name].default)
        for name in names[1:]
    ]
    first = inspect.Parameter("n_estimators", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=10)

    def __init__(self: Any, n_estimators: int = 10, **given: Any) -> None:
        for name in given:
            if name not in known:
                raise TypeError(
                    f"{cls.__name__} got an unexpected keyword argument {name!r}"
                    f"{checks.did_you_mean(name, names)}"
                )
        own = {one.name: given.get(one.name, one.default) for one in parameters}
        cls._original.__init__(
            self, n_estimators=n_estimators, **{name: own.pop(name) for name in of_bagging}
        )
        vars(self).update(own)

    # scikit-learn reads the names of parameters off the signature
    self_ = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    __init__.__signature__ = inspect.Signature([self_, first, *parameters])  # type: ignore[attr-defined]
    __init__.__qualname__ = f"{cls.__name__}.__init__"
    cls.__init__ = __init__
    # the name by which pickles find it, whatever the files within this folder
    cls.__module__ = __init__.__module__ = "fastnn.estimators"
    classes = {"member": cls._member.__name__, "original": cls._original.__name__}
    texts = {"what": _WHAT, "attributes": _ATTRIBUTES, "notes": _NOTES}
    said = {name: documentation.complete(text, **classes) for name, text in texts.items()}
    cls.__doc__ = documentation.complete(cls.__doc__, **said)
    cls.__doc__ = documenting.of_ensemble(cls, names)
    cls._of_estimator = tuple(name for name in of_estimator if name not in _OF_THE_WHOLE)
    constraints = {k: v for k, v in cls._original._parameter_constraints.items() if k in names}
    member = cls._member._parameter_constraints
    cls._parameter_constraints = {
        **{name: member[name] for name in cls._of_estimator}, **constraints,
        "n_jobs": list(next(row.constraints for row in EXTRAS if row.name == "n_jobs")),
    }  # fmt: skip
    return cls


class _Bagged(Convertible):
    """What both classes have in place of scikit-learn's own; comes before it among the bases."""

    _original: ClassVar[Any]
    _member: ClassVar[Any]  # the class of the estimators
    _of_estimator: ClassVar[tuple[str, ...]]  # their parameters

    def _get_estimator(self: Any) -> Any:
        """The estimator that all are clones of."""
        return self._member(**{name: getattr(self, name) for name in self._of_estimator})

    def _new_member(self: Any, seed: Any) -> Any:
        """What scikit-learn's `_make_estimator` gives, which takes a tenth of a short fit."""
        given = {name: getattr(self.estimator_, name) for name in self._of_estimator}
        for name, value in given.items():
            if type(value) not in _IMMUTABLE:
                given[name] = clone(value, safe=False)
        return self._member(
            **given, random_state=checks.seeded(seed).randint(np.iinfo(np.int32).max)
        )

    # ---- fitting ----

    @functools.wraps(BaggingRegressor.fit)
    def fit(self: Any, X: Any, y: Any, *args: Any, **kwargs: Any) -> Any:
        threads.from_environment()  # it may ask for an impossible number
        before = vars(self).copy()
        trained = before.get("estimators_")
        try:
            return super().fit(X, y, *args, **kwargs)  # type: ignore[misc]
        except BaseException:
            now = vars(self).get("estimators_")
            if not now or now is trained:  # none was trained
                self.__dict__ = before
            raise

    def _fit(self: Any, X: Any, y: Any, **options: Any) -> Any:
        weights = options.get("sample_weight")
        routed = get_config()["enable_metadata_routing"]
        if routed or (weights is not None and not HAS_WEIGHTS):  # scikit-learn 1.6 refuses those
            return super()._fit(X, y, **options)  # type: ignore[misc]
        self._targets = None
        try:
            return super()._fit(X, y, **options)  # type: ignore[misc] # a warm start without more
        except _Drawn:
            y = self._targets
        finally:
            del self._targets
        if "_sample_weight" in vars(self):  # from scikit-learn 1.8 on: draws went by them
            weights = None
        elif weights is not None:
            weights = _check_sample_weight(weights, X)
        self._train(_as_floats(X), y, weights)
        vars(self).pop("_saved_at", None)  # of a file, which holds another
        if self.oob_score:
            self._set_oob_score(X, y)
        return self

    def _validate_y(self: Any, y: Any) -> Any:
        y = super()._validate_y(y)  # type: ignore[misc]
        if "_targets" in vars(self):
            self._targets = y
        return y

    def _parallel_args(self: Any) -> Any:
        if "_targets" in vars(self):
            raise _Drawn
        return super()._parallel_args()  # type: ignore[misc]

    def _draws(self: Any, seeds: Any) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        """scikit-learn's draws of features and rows for these seeds."""
        other = object.__new__(type(self))
        # check_random_state would make each of them in 100 us
        vars(other).update(vars(self), _seeds=map(checks.seeded, seeds))
        return super(_Bagged, other)._get_estimators_indices()  # type: ignore[no-any-return,misc]

    def _get_estimators_indices(self: Any) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        return self._draws(self._seeds)  # type: ignore[no-any-return]

    def _train(self: Any, X: Any, y: NDArray[Any], weights: NDArray[Any] | None) -> None:
        """Train an estimator for each of the seeds, and keep those that are done.

        Of an interrupt or an error it keeps the first ones, so that a warm start goes on with the
        next.
        """
        seeds, trained = self._seeds, self.estimators_
        features_of_trained = self.estimators_features_
        n_threads = threads.resolve(checks.n_jobs("n_jobs", self.n_jobs))
        share = max(1, n_threads // len(seeds))
        if shortcuts.must_validate():
            self.estimator_._validate_params()  # once; the others have other seeds only
        done: list[tuple[Any, NDArray[Any]] | None] = [None] * len(seeds)
        config = {**get_config(), "skip_parameter_validation": True}  # other threads have another

        def fit(i: int, over: threading.Event) -> None:
            if self.verbose > 1:
                print(f"Building estimator {i + 1} of {len(seeds)}...")
            estimator = self._new_member(seeds[i])
            features, rows = next(self._draws(seeds[i : i + 1]))
            x, targets, given = X, y, {}
            if HAS_WEIGHTS:
                given["sample_weight"] = _row_weights(rows, X.shape[0], weights)
            else:
                x, targets = x[rows], y[rows]
            x = _columns(x, features)
            with config_context(**config):
                if _fit_one(estimator, x, targets, given, share, over if n_threads > 1 else None):
                    done[i] = estimator, features

        try:
            failures = train_each(n_threads, range(len(seeds)), fit)
            if failures:
                raise failures[min(failures)]
        finally:
            whole = [one for one in itertools.takewhile(lambda one: one is not None, done) if one]
            if whole:
                self._seeds = seeds[: len(whole)]
                self.estimators_ = [*trained, *(estimator for estimator, _ in whole)]
                self.estimators_features_ = [*features_of_trained, *(f for _, f in whole)]

    # ---- predicting ----

    @property
    def n_iter_(self: Any) -> NDArray[np.int_]:
        """The epochs, or iterations, of each estimator."""
        if "estimators_" not in vars(self):
            raise AttributeError(f"{type(self).__name__} is not fitted: it has no n_iter_")
        return np.array([estimator.n_iter_ for estimator in self.estimators_])

    def _combined(self: Any, X: Any, combine: Callable[[Any], NDArray[Any]]) -> NDArray[Any]:
        """combine(rows of X) for all of X, rows being shared by threads.

        Raises
        ------
        NotFittedError, ValueError
        """
        check_is_fitted(self)
        X = _in_c_order(
            validate_data(
                self, X, accept_sparse=["csr", "csc"], dtype=None, ensure_all_finite=False,
                reset=False,
            )
        )  # fmt: skip
        n_jobs, n = checks.n_jobs("n_jobs", self.n_jobs), X.shape[0]
        multiply_adds = sum(coef.size for coef in self.estimators_[0].coefs_)
        # of which an estimator predicts by one thread
        block = max(1, int(work.WORTH_A_THREAD / multiply_adds))
        n_threads = 1
        if n * multiply_adds * len(self.estimators_) > work.WORTH_A_THREAD:
            n_threads = threads.resolve(n_jobs)
            block = max(1, min(block, max(96, n // (4 * n_threads))))
        if block >= n:
            return combine(X)
        X = X.tocsr() if hasattr(X, "tocsr") else X
        starts, parts = range(0, n, block), {}

        def some(mine: Iterator[int]) -> None:
            for start in mine:
                parts[start] = combine(X[start : start + block])

        threads.side_by_side(n_threads, starts, some)
        return np.concatenate([parts[start] for start in starts])

    def _members(self: Any, X: Any) -> Iterator[tuple[Any, Any]]:
        """Each estimator, and X with its features."""
        for estimator, features in zip(self.estimators_, self.estimators_features_, strict=True):
            yield estimator, _columns(X, features)

    # ---- keeping ----

    def to_sklearn(self: Any) -> Any:
        """Give this ensemble as scikit-learn's bagging of its own MLPs, fitted or not.

        Returns
        -------
        sklearn.ensemble.BaggingClassifier or BaggingRegressor
            With copies of all fitted attributes. Of a fit that was interrupted, n_estimators is
            how many there are.

        Raises
        ------
        ValueError
            As `MLPClassifier.to_sklearn`, which warns of what is left out.
        """
        estimator = self._get_estimator().to_sklearn()
        names = self._original._get_param_names()
        given = {name: getattr(self, name) for name in names if name != "estimator"}
        converted = self._original(estimator, **copy.deepcopy(given))
        if "estimators_" in vars(self):
            left = {
                "estimators_",
                "estimator_",
                "_saved_at",
                *vars(converted),
                *self._of_estimator,
            }
            fitted = {name: value for name, value in vars(self).items() if name not in left}
            vars(converted).update(
                copy.deepcopy(fitted), estimator_=estimator, n_estimators=len(self),
                estimators_=[one.to_sklearn() for one in self],
            )  # fmt: skip
        return converted

    @documentation.completed
    def save(self: Any, path: str | os.PathLike[str], *, date: bool = False) -> None:
        """Write the ensemble, fitted or not, to a file, for `fastnn.load`.

        Parameters
        ----------
        {saving}
        """
        fastnn.files.save(self, path, date=date)

    def fit_state(self) -> None:
        """None: no file holds an ensemble whose fit is running."""

    @property
    def metadata(self: Any) -> dict[str, Any]:
        """What it was fitted on last, and by what, as of its first estimator; empty before."""
        if not getattr(self, "estimators_", None):
            return {}
        names, date = getattr(self, "feature_names_in_", None), vars(self).get("_saved_at")
        known = {
            **self.estimators_[0].metadata, "n_features": self.n_features_in_,
            "feature_names": None if names is None else list(map(str, names)),
        }  # fmt: skip
        return known if date is None else {**known, "date": date}

    def _fitted_state(self: Any) -> dict[str, Any]:
        """What a file holds besides parameters."""
        left = {"estimator", "estimator_params", "estimator_", "_saved_at"}
        left.update(self._get_param_names())
        state = {name: value for name, value in vars(self).items() if name not in left}
        if "estimators_features_" in state:  # all as many
            state["estimators_features_"] = np.array(state["estimators_features_"])
        return state

    def _is_fitted_name(self, name: str) -> bool:
        """Whether a file may hold an attribute of this name."""
        public = name.isidentifier() and not name.startswith("_")
        return name in _PRIVATE or (
            public and (name.endswith("_") or not hasattr(type(self), name))
        )

    def _restore(self: Any, state: dict[str, Any], estimators: list[Any]) -> None:
        """Have what a file holds.

        Raises
        ------
        TypeError, ValueError
            If it does not fit together.
        """
        self._validate_params()
        unknown = [name for name in state if not self._is_fitted_name(name)]
        if unknown:
            raise ValueError(f"{type(self).__name__} has no attribute {checks.shown(unknown[0])}")
        if estimators or "_seeds" in state:
            _check_whole(state, estimators)
            state["estimators_"] = estimators
            state["estimators_features_"] = list(state["estimators_features_"])
        vars(self).update(state)
        if estimators:
            self.estimator_ = self._get_estimator()


_COUNTS = ("_n_samples", "_max_samples", "_max_features", "n_features_in_")
# fitted attributes beside those whose names end with "_"
_PRIVATE = ("_seeds", "_sample_weight", *_COUNTS[:3])


def _check_whole(state: dict[str, Any], estimators: list[Any]) -> None:
    """Refuse fitted attributes that do not fit together.

    Raises
    ------
    ValueError
    """
    for name in _COUNTS:
        if not isinstance(state.get(name), int) or state[name] < 1:
            raise ValueError(f"{name} must be a whole number >= 1")
    features, seeds = state.get("estimators_features_"), state.get("_seeds")
    shape = len(estimators), state["_max_features"]
    for name, given in (("estimators_features_", features), ("_seeds", seeds)):
        if not isinstance(given, np.ndarray) or given.dtype.kind not in "iu" or given.min() < 0:
            raise ValueError(f"{name} must be whole numbers >= 0")
    assert isinstance(features, np.ndarray)
    assert isinstance(seeds, np.ndarray)
    if features.shape != shape or features.max() >= state["n_features_in_"]:
        raise ValueError(f"estimators_features_ do not fit to {len(estimators)} estimators")
    if seeds.ndim != 1 or len(seeds) > len(estimators) or seeds.max() >= 2**32:
        raise ValueError("_seeds do not fit to the estimators")
    classes = state.get("classes_")
    if classes is not None and (np.ndim(classes) != 1 or state.get("n_classes_") != len(classes)):
        raise ValueError("classes_ and n_classes_ do not belong together")
    for i, one in enumerate(estimators):
        if getattr(one, "n_features_in_", None) != shape[1] or (
            one.n_outputs_ != estimators[0].n_outputs_ and classes is None
        ):
            raise ValueError(f"estimator {i} is another one than the first")
        if classes is not None and not np.isin(one.classes_, np.arange(len(classes))).all():
            raise ValueError(f"estimator {i} has other classes")


def _row_weights(
    rows: NDArray[np.intp], n: int, weights: NDArray[Any] | None
) -> NDArray[np.floating[Any]]:
    """How often each row was drawn, times its weight."""
    counts = np.bincount(rows, minlength=n)
    if weights is None:
        return counts.astype(np.float64)
    product: NDArray[np.floating[Any]] = weights.copy()
    product *= counts  # in the type of the weights, as scikit-learn does
    return product


def _columns(X: Any, features: NDArray[np.intp]) -> Any:
    """X with these features, in C order: estimators would copy what is not."""
    if len(features) == X.shape[1] and (features == np.arange(len(features))).all():
        return X
    if type(X) is np.ndarray:
        return X.take(features, axis=1)
    return X[:, features]


def _fit_one(
    estimator: Any,
    X: Any,
    y: NDArray[Any],
    given: dict[str, Any],
    n_threads: int,
    over: threading.Event | None,
) -> bool:
    """Train an estimator that ends with its ensemble: on Ctrl-C, and soon after `over` is set.

    Returns whether it was trained to its own end.
    """
    n_jobs, estimator.n_jobs = estimator.n_jobs, n_threads
    try:
        with ended_by(over, estimator):
            estimator.fit(X, y, **given)
    except KeyboardInterrupt:
        if over is None or not over.is_set():
            raise
        return False
    finally:
        estimator.n_jobs = n_jobs
    return True


@_bagged
class BaggedMLPClassifier(_Bagged, BaggingClassifier):  # type: ignore[misc]
    """A bagging ensemble of fastnn's MLPClassifier, trained by threads of one process.

    {what}

    Attributes
    ----------
    {attributes}
    classes_ : ndarray
        The labels; estimators have their numbers, from 0 on, for labels.
    oob_score_ : float
        With ``oob_score=True``: the score of predictions of each row by those estimators that
        were not trained on it.
    oob_decision_function_ : ndarray, (n_samples, n_classes)
        These predictions.

    Notes
    -----
    {notes}

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.preprocessing import scale
    >>> from fastnn import BaggedMLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> bag = BaggedMLPClassifier(
    ...     20, hidden_layer_sizes=8, solver="lbfgs", alpha=1, tol=0.01, oob_score=True,
    ...     random_state=1,
    ... ).fit(scale(X), y)
    >>> bag.predict_proba(scale(X)[:2]).shape, bag.oob_score_ > 0.9
    ((2, 3), True)
    >>> bag.predict(scale(X)[:2]), bag.predict_log_proba(scale(X)[:2]).shape
    (array([0, 0]), (2, 3))
    >>> len(bag), type(bag[0]).__name__, bag.n_iter_.shape
    (20, 'MLPClassifier', (20,))
    >>> from fastnn import load
    >>> bag.save("bag.fastnn")
    >>> bool((load("bag.fastnn").predict(scale(X)[:2]) == bag.predict(scale(X)[:2])).all())
    True
    >>> type(bag.to_sklearn()).__name__, bag.fit_state()
    ('BaggingClassifier', None)
    """

    _original = BaggingClassifier
    _member = MLPClassifier

    def _get_estimator(self) -> Any:
        estimator = super()._get_estimator()
        own, classes = estimator.class_weight, getattr(self, "classes_", None)
        if isinstance(own, dict) and classes is not None:  # estimators have numbers for labels
            labels = enumerate(classes.tolist())
            estimator.class_weight = {i: own[label] for i, label in labels if label in own}
        return estimator

    @functools.wraps(BaggingClassifier.predict_proba)
    def predict_proba(self, X: Any, **params: Any) -> Any:
        if params:
            return super().predict_proba(X, **params)

        def mean(rows: Any) -> NDArray[Any]:
            total = np.zeros((rows.shape[0], self.n_classes_))
            for estimator, x in self._members(rows):
                proba, classes = estimator.predict_proba(x), estimator.classes_
                if len(classes) == proba.shape[1] == self.n_classes_:
                    total += proba
                else:  # a class may have had no row, and of a single one there are two columns
                    total[:, classes] += proba[:, : len(classes)]
            return total / len(self.estimators_)

        return self._combined(X, mean)

    @functools.wraps(BaggingClassifier.predict_log_proba)
    def predict_log_proba(self, X: Any, **params: Any) -> Any:
        if params:
            return super().predict_log_proba(X, **params)

        def mean(rows: Any) -> NDArray[Any]:
            total = np.full((rows.shape[0], self.n_classes_), -np.inf)
            for estimator, x in self._members(rows):
                proba, classes = estimator.predict_log_proba(x), estimator.classes_
                if len(classes) == proba.shape[1] == self.n_classes_:
                    total = np.logaddexp(total, proba)
                else:
                    more = proba[:, : len(classes)]
                    total[:, classes] = np.logaddexp(total[:, classes], more)
            total -= np.log(len(self.estimators_))
            return total

        return self._combined(X, mean)


@_bagged
class BaggedMLPRegressor(_Bagged, BaggingRegressor):  # type: ignore[misc]
    """A bagging ensemble of fastnn's MLPRegressor, trained by threads of one process.

    {what}

    Attributes
    ----------
    {attributes}
    oob_score_ : float
        With ``oob_score=True``: the score of predictions of each row by those estimators that
        were not trained on it.
    oob_prediction_ : ndarray, (n_samples,)
        These predictions.

    Notes
    -----
    {notes}

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.preprocessing import scale
    >>> from fastnn import BaggedMLPRegressor
    >>> X, y = (scale(a) for a in load_diabetes(return_X_y=True))
    >>> bag = BaggedMLPRegressor(
    ...     20, hidden_layer_sizes=(8,), batch_size=32, learning_rate_init=0.01, tol=0.01,
    ...     n_iter_no_change=3, oob_score=True, random_state=0
    ... ).fit(X, y)
    >>> bag.predict(X[:2]).shape, bag.oob_score_ > 0.4
    ((2,), True)
    >>> from fastnn import load
    >>> bag.save("bag.fastnn")
    >>> bool((load("bag.fastnn").predict(X[:2]) == bag.predict(X[:2])).all())
    True
    >>> type(bag.to_sklearn()).__name__, bag.fit_state()
    ('BaggingRegressor', None)
    """

    _original = BaggingRegressor
    _member = MLPRegressor

    @functools.wraps(BaggingRegressor.predict)
    def predict(self, X: Any, **params: Any) -> Any:
        if params:
            return super().predict(X, **params)

        def mean(rows: Any) -> Any:
            total: Any = 0
            for estimator, x in self._members(rows):
                total = total + estimator.predict(x)
            return total / len(self.estimators_)

        return self._combined(X, mean)
