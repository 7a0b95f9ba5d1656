"""Searches and cross-validation: scikit-learn's own, with a short way for fastnn's estimators.

What scikit-learn does around the fits stays its own code: splits, candidates, ranks, the choice
of the best, messages, the last fit. Between them it hands all fits of a batch to
`joblib.Parallel`. Here the same functions run with `_Fits` under that name, which

- takes the rows of a fold once, not once a candidate,
- fits the steps of a Pipeline before a net once for each fold and each setting of their own,
- scores the net at the end on what these steps gave, and
- has threads of this process in place of processes, as compiled training lets go of Python's lock.

Nets with a seed train fold by fold, so that rows are in the cache and few are held; others one
after the other as scikit-learn does, as do those whose steps cannot be shared.

Each fit is ``estimator.fit(X[train], y[train])`` and each score is its scorer's, so results have
scikit-learn's bits, whatever the number of threads. What cannot be done exactly is handed on to
joblib, with the batch's calls as they came.

To take the place of that one name holds to little of scikit-learn: that its functions find
`Parallel` there and call it with calls of `_fit_and_score`, whose arguments are checked. A joblib
backend gets the same calls wrapped, later and one by one; the closure that evaluates candidates
keeps to itself what they are; and a fit written here would have to follow every version. Should a
later version do it otherwise, its own code runs as it is, and a test fails.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import itertools
import numbers
import operator
import pickle
import sys
import threading
import time
import types
import warnings
from collections.abc import Hashable, Iterable, Iterator
from traceback import format_exc
from typing import Any, NamedTuple

import numpy as np
from joblib.parallel import get_active_backend
from numpy.typing import NDArray
from sklearn import config_context, get_config, model_selection
from sklearn.base import _fit_context, clone
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 has the two that halve

# searches have no public base, scorers no public classes
from sklearn.metrics._scorer import _BaseScorer, _MultimetricScorer, _PassthroughScorer
from sklearn.model_selection._search import BaseSearchCV
from sklearn.model_selection._validation import _score
from sklearn.pipeline import Pipeline
from sklearn.utils._param_validation import validate_params

# the rows and arguments of a fold, as scikit-learn takes them
from sklearn.utils.metaestimators import _safe_split
from sklearn.utils.parallel import Parallel
from sklearn.utils.validation import _check_method_params, _num_samples

from fastnn import threads
from fastnn.documentation import joined, of_scikit_learn, sections
from fastnn.estimators import MLPClassifier, MLPRegressor, shortcuts
from fastnn.estimators.fitting import ended_by
from fastnn.training.side_by_side import train_each

__all__ = [
    "GridSearchCV",
    "HalvingGridSearchCV",
    "HalvingRandomSearchCV",
    "RandomizedSearchCV",
    "cross_val_score",
    "cross_validate",
]

# of scikit-learn's _fit_and_score; one that is not among them may ask for anything
_ARGUMENTS = frozenset((
    "scorer", "train", "test", "verbose", "parameters", "fit_params", "score_params",
    "return_train_score", "return_parameters", "return_n_test_samples", "return_times",
    "return_estimator", "split_progress", "candidate_progress", "error_score", "caller",
    "callback_ctx",
))  # fmt: skip
# of a Pipeline that does nothing but call its steps
_OF_PIPELINES = {"steps": None, "memory": None, "verbose": False, "transform_input": None}
_PLAIN = (int, float, str, bool, type(None))  # values that are equal if they print alike
_AT_ONCE = 1000  # fits, whose estimators are held
_MOST_KEPT = 2**28  # bytes of rows that are held, about


# ---- a fold -------------------------------------------------------------------------------------


class _Rows(NamedTuple):
    """What fits on a fold share if the steps before the net are the same."""

    X_fit: Any  # to train on
    y_train: Any
    X_test: Any
    y_test: Any
    X_train: Any  # to score on: what steps make of rows that they were not just fitted on
    fit_params: dict[str, Any]
    score_params: dict[str, Any]
    score_params_train: dict[str, Any]
    steps: list[tuple[str, Any]]  # fitted

    @property
    def size(self) -> int:
        """Bytes, about."""
        return sum(map(_size, {id(array): array for array in self[:5]}.values()))

    def keep_as_they_are(self) -> None:
        """Refuse writing to what other candidates will see."""
        for array in self[:5]:
            if type(array) is np.ndarray and array.flags.owndata:
                array.flags.writeable = False


def _overlap(one: Any, other: Any) -> bool:
    arrays = [getattr(a, "data", a) if hasattr(a, "indptr") else a for a in (one, other)]
    if not all(isinstance(a, np.ndarray) for a in arrays):
        return one is other
    return np.may_share_memory(*arrays)


def _size(array: Any) -> int:
    if hasattr(array, "indptr"):
        return int(array.data.nbytes + array.indices.nbytes + array.indptr.nbytes)
    return max(sys.getsizeof(array), getattr(array, "nbytes", 0))


class _Fit:
    """A candidate on a fold: one call of scikit-learn's _fit_and_score.

    Attributes
    ----------
    call : tuple
        The function, its arguments and its keywords.
    estimator : object
        With the candidate's parameters.
    net : MLPClassifier, MLPRegressor or None
        The estimator itself or its last step; None if there is no short way.
    prefix : str or None
        Of the net's parameters in a Pipeline.
    key : tuple
        Equal for fits that can share rows.
    """

    def __init__(self, call: tuple[Any, ...]) -> None:
        self.call, self.given = call, call[2]
        parameters = self.given["parameters"] or {}
        # a clone, as values may be estimators
        self.estimator = call[1][0].set_params(**clone(parameters, safe=False))
        self.net: Any = self.estimator
        self.prefix: str | None = None
        settings: list[tuple[str, Hashable]] = []
        if type(self.estimator) is Pipeline:
            last, self.net = self.estimator.steps[-1]
            self.prefix = f"{last}__"
            settings = [
                (name, _identity(parameters[name]))
                for name in sorted(parameters)
                if name != last and not name.startswith(self.prefix)
            ]
        self.key = (id(self.given["train"]), id(self.given["test"]), *settings)
        if not self._has_short_way():
            self.net = None

    def _has_short_way(self) -> bool:
        net = self.net
        if type(net) not in (MLPClassifier, MLPRegressor) or net.verbose:
            return False
        if shortcuts.is_heard(net):
            return False
        if self.prefix is None:
            return True
        pipeline, names = self.estimator, [name for name, _ in self.estimator.steps]
        own = {**pipeline.get_params(deep=False), "steps": None}
        return (
            own == _OF_PIPELINES
            and len(names) > 1
            and len({*names, *own}) == len(names) + len(own)  # else it refuses them
            and not any("__" in name for name in names)
            and all(name.startswith(self.prefix) for name in self.given["fit_params"] or {})
            and not shortcuts.is_heard(pipeline)
        )

    @property
    def is_independent(self) -> bool:
        """Whether the net draws from no random state that others draw from, too."""
        return self.net is not None and self.net.random_state is not None

    def rows(self) -> _Rows | None:
        """Take the rows and fit the steps; None if scikit-learn has to."""
        (estimator, X, y), given = self.call[1], self.given
        train, test = np.asarray(given["train"]), np.asarray(given["test"])
        X_train, y_train = _safe_split(estimator, X, y, train)
        X_test, y_test = _safe_split(estimator, X, y, test, train)
        fit_params, score_params = given["fit_params"] or {}, given["score_params"] or {}
        rows = _Rows(
            X_train, y_train, X_test, y_test, X_train,
            _check_method_params(X, params=fit_params, indices=train),
            _check_method_params(X, params=score_params, indices=test),
            _check_method_params(X, params=score_params, indices=train),
            [],
        )  # fmt: skip
        rows.keep_as_they_are()
        return rows if self.prefix is None else self._after_steps(rows)

    def _after_steps(self, rows: _Rows) -> _Rows | None:
        """What the net gets; None if steps cannot be shared.

        Those that fail say so by scikit-learn's code, those that warn do it for each candidate,
        those that draw from NumPy's own random state draw anew.
        """
        assert self.prefix is not None
        steps = clone(self.estimator[:-1])
        for name, value in steps.get_params().items():
            writes = name.split("__")[-1].startswith("copy") and value is False
            if writes or "_skl_callbacks" in getattr(value, "__dict__", ()):
                return None
        state, failed = np.random.get_state(legacy=False), False
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            try:
                X_fit = steps.fit_transform(rows.X_train, rows.y_train)
                X_test = steps.transform(rows.X_test)
                X_train = None
                if self.given["return_train_score"]:  # of other bits than X_fit
                    X_train = steps.transform(rows.X_train)
            except Exception:
                failed = True
        drew = pickle.dumps(np.random.get_state(legacy=False)) != pickle.dumps(state)
        if failed or warned or drew:
            np.random.set_state(state)
            return None
        held = [a for a in (X_fit, X_test, X_train) if a is not None and a is not rows.X_train]
        if any(_overlap(a, b) for a, b in itertools.combinations(held, 2)):
            return None  # a step gives out an array of its own, and writes to it the next time
        own = {name.removeprefix(self.prefix): value for name, value in rows.fit_params.items()}
        rows = rows._replace(
            X_fit=X_fit, X_test=X_test, X_train=X_train, fit_params=own, steps=steps.steps
        )
        rows.keep_as_they_are()
        return rows

    def run(self, rows: _Rows, over: threading.Event | None = None) -> dict[str, Any]:
        """Fit and score.

        Parameters
        ----------
        rows : _Rows
        over : Event, optional
            Soon after it is set, the fit ends by a KeyboardInterrupt.

        Returns
        -------
        dict
            As of _fit_and_score.
        """
        net, given, began = self.net, self.given, time.time()
        scorer, error_score = given["scorer"], given["error_score"]
        result: dict[str, Any] = {"fit_error": None}
        test_scores, train_scores = self._error_scores(), self._error_scores()
        try:
            with ended_by(over, net):
                net.fit(rows.X_fit, rows.y_train, **rows.fit_params)
        except Exception:
            if error_score == "raise":
                raise
            result["fit_error"] = format_exc()
        fitted = scored = time.time()
        if result["fit_error"] is None:
            params = rows.score_params
            test_scores = _score(net, rows.X_test, rows.y_test, scorer, params, error_score)
            scored = time.time()
            if given["return_train_score"]:
                params = rows.score_params_train
                train_scores = _score(net, rows.X_train, rows.y_train, scorer, params, error_score)
        result["test_scores"] = test_scores
        if given["return_train_score"]:
            result["train_scores"] = train_scores
        if given.get("return_n_test_samples"):
            result["n_test_samples"] = _num_samples(rows.X_test)
        if given.get("return_times"):
            result |= {"fit_time": fitted - began, "score_time": scored - fitted}
        if given.get("return_parameters"):
            result["parameters"] = given["parameters"]
        if given.get("return_estimator"):
            if self.prefix is not None:
                self.estimator.steps[:-1] = rows.steps
            result["estimator"] = self.estimator
        return result

    def _error_scores(self) -> Any:
        scorer, error_score = self.given["scorer"], self.given["error_score"]
        if isinstance(scorer, _MultimetricScorer):
            return dict.fromkeys(scorer._scorers, error_score)
        return error_score


def _identity(value: Any) -> Hashable:
    """What is equal if, and only if, two values are the same setting for certain."""
    return (type(value), repr(value)) if type(value) in _PLAIN else id(value)


# ---- in the place of joblib's Parallel ----------------------------------------------------------


class _Fits:
    """Runs the fits of a search or a cross-validation; what it cannot run goes to joblib.

    Parameters
    ----------
    n_jobs : int or None
    **options
        Others of `joblib.Parallel`.
    """

    def __init__(self, n_jobs: int | None = None, **options: Any) -> None:
        self._n_jobs, self._options = n_jobs, options
        self._within, self._joblib = False, contextlib.ExitStack()
        self._parallel: Any = None

    def __enter__(self) -> _Fits:
        self._within = True
        return self

    def __exit__(self, *exception: Any) -> None:
        self._within = False
        self._joblib.__exit__(*exception)

    def __call__(self, calls: Iterable[tuple[Any, ...]]) -> list[dict[str, Any]]:
        """The results of calls of _fit_and_score, in their order."""
        calls = iter(calls)
        first = next(calls, None)
        if first is None:
            return []
        calls = itertools.chain([first], calls)
        n_threads = self._n_threads() if self._are_for_us(first) else 0
        if not n_threads:
            return self._by_joblib(calls)
        results: list[dict[str, Any]] = []
        while batch := list(itertools.islice(calls, _AT_ONCE)):
            results += self._run([_Fit(call) for call in batch], n_threads)
        return results

    def _are_for_us(self, call: tuple[Any, ...]) -> bool:
        """Whether calls like this one may have a short way."""
        _, args, given = call
        config = get_config()
        if len(args) != 3 or not given.keys() <= _ARGUMENTS:
            return False
        estimator, _, y = args
        net = estimator.steps[-1][-1] if type(estimator) is Pipeline else estimator
        scorer, error_score = given["scorer"], given["error_score"]
        scorers = scorer._scorers.values() if isinstance(scorer, _MultimetricScorer) else [scorer]
        return (
            type(net) in (MLPClassifier, MLPRegressor)
            and y is not None
            and given["verbose"] <= 1
            and not self._options.get("verbose")
            and not shortcuts.has_callbacks(given.get("callback_ctx"))
            # a function of the user's may do anything with what it gets
            and all(isinstance(one, (_BaseScorer, _PassthroughScorer)) for one in scorers)
            and (error_score == "raise" or isinstance(error_score, numbers.Number))
            and not (config["enable_metadata_routing"] or config["array_api_dispatch"])
        )

    def _n_threads(self) -> int:
        """How many threads; 0 if somebody chose other workers for what n_jobs says."""
        backend, n_jobs = get_active_backend(prefer="threads")
        if not getattr(backend, "uses_threads", False):
            return 0
        n_jobs = n_jobs if self._n_jobs is None else self._n_jobs
        return threads.resolve(backend.effective_n_jobs(n_jobs))

    def _by_joblib(self, calls: Iterable[tuple[Any, ...]]) -> list[dict[str, Any]]:
        if self._parallel is None:
            parallel = Parallel(n_jobs=self._n_jobs, **self._options)
            self._parallel = self._joblib.enter_context(parallel) if self._within else parallel
        results: list[dict[str, Any]] = self._parallel(calls)
        return results

    def _run(self, fits: list[_Fit], n_threads: int) -> list[dict[str, Any]]:
        """Run a batch: fits that share rows together, then those whose order matters."""
        raises = fits[0].given["error_score"] == "raise"
        groups: dict[tuple[Any, ...], list[int]] = {}
        for i, fit in enumerate(fits):
            if fit.is_independent:
                groups.setdefault(fit.key, []).append(i)
        results: dict[int, dict[str, Any]] = {}
        refused: dict[tuple[Any, ...], None] = {}
        ready: list[tuple[int, _Fit, _Rows]] = []
        room = _MOST_KEPT
        for group in groups.values():
            rows = fits[group[0]].rows()
            if rows is None:
                refused[fits[group[0]].key] = None
                continue
            ready += [(i, fits[i], rows) for i in group]
            room -= rows.size
            # one thread needs no more than one group, unless the first error is to be raised
            if room < 0 or (n_threads == 1 and not raises):
                results |= _train(ready, n_threads)
                ready, room = [], _MOST_KEPT
        results |= _train(sorted(ready, key=operator.itemgetter(0)), n_threads)
        left = [i for i in range(len(fits)) if i not in results]
        if n_threads == 1:
            results |= zip(left, _in_turn([fits[i] for i in left], refused), strict=True)
        elif left:
            results |= zip(left, self._by_joblib(fits[i].call for i in left), strict=True)
        return [results[i] for i in range(len(fits))]


def _in_turn(fits: list[_Fit], refused: dict[tuple[Any, ...], None]) -> Iterator[dict[str, Any]]:
    """The results of fits that draw from one random state, or are scikit-learn's to do.

    refused has the keys of rows that cannot be shared.
    """
    kept: dict[tuple[Any, ...], _Rows | None] = {**refused}
    room = _MOST_KEPT
    for fit in fits:
        rows = None
        if fit.net is not None:
            rows = kept[fit.key] if fit.key in kept else fit.rows()
            size = 0 if rows is None else rows.size
            if fit.key not in kept and size <= room:
                kept[fit.key], room = rows, room - size
        if rows is None:
            yield from Parallel(n_jobs=1)([fit.call])
        else:
            yield from _train([(0, fit, rows)], 1).values()


def _train(ready: list[tuple[int, _Fit, _Rows]], n_threads: int) -> dict[int, dict[str, Any]]:
    """The results of fits, by number, from as many threads."""
    if n_threads == 1 or len(ready) < 2:
        results = {}
        for i, fit, rows in ready:
            with warnings.catch_warnings():  # what was shown of one fit is shown of the next
                results[i] = fit.run(rows)
        return results
    results, errors, config = {}, dict[int, Exception](), get_config()
    share = max(1, threads.get_num_threads() // n_threads)

    def work(number: int, over: threading.Event) -> None:
        if over.is_set():
            return
        i, fit, rows = ready[number]
        try:
            with config_context(**config), _at_most(share, fit.net):
                results[i] = fit.run(rows, over)
        except Exception as error:
            errors[i] = error
            over.set()
        except KeyboardInterrupt:
            if not over.is_set():
                raise

    train_each(n_threads, range(len(ready)), work)
    if errors:
        raise errors[min(errors)]
    return results


@contextlib.contextmanager
def _at_most(n_threads: int, net: Any) -> Iterator[None]:
    """A context in which a net has no more threads of its own."""
    before = net.n_jobs
    if before in (None, -1) or (isinstance(before, int) and before > n_threads):
        net.n_jobs = n_threads
    try:
        yield
    finally:
        net.n_jobs = before


def _with(function: Any, **others: Any) -> Any:
    """scikit-learn's function without its decorators, with others under names that it looks up."""
    function = inspect.unwrap(function)
    if not others.keys() <= set(function.__code__.co_names):
        return function
    own = types.FunctionType(
        function.__code__, {**function.__globals__, **others}, function.__name__,
        function.__defaults__, function.__closure__,
    )  # fmt: skip
    own.__kwdefaults__ = function.__kwdefaults__
    functools.update_wrapper(own, function)
    del vars(own)["__wrapped__"]  # what the original does is not done
    return own


# ---- public -------------------------------------------------------------------------------------


class _Search(BaseSearchCV):  # type: ignore[misc]
    """What the searches have in place of their base's own."""

    fit = _fit_context(prefer_skip_nested_validation=False)(
        _with(BaseSearchCV.fit, Parallel=_Fits)
    )


def _documented(own: Any) -> Any:
    """Decorator: the sections of scikit-learn's docstring, with examples of its own."""
    theirs, parts = getattr(model_selection, own.__name__), sections(own.__doc__)
    if parts[""]:  # not under python -OO
        own.__doc__ = joined({**of_scikit_learn(theirs.__doc__), **parts})
    return own


@_documented
class GridSearchCV(model_selection.GridSearchCV, _Search):  # type: ignore[misc]
    """Search over all combinations of values, by cross-validation.

    It is `sklearn.model_selection.GridSearchCV`, with equal results. With `n_jobs` the nets train
    in threads of this process.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import MLPRegressor
    >>> from fastnn.model_selection import GridSearchCV
    >>> X = np.random.RandomState(0).uniform(-1, 1, (90, 2))
    >>> net = MLPRegressor(hidden_layer_sizes=4, solver="lbfgs", tol=1e-2, random_state=0)
    >>> search = GridSearchCV(net, {"alpha": [0.1, 100.0]}, cv=3, n_jobs=2)
    >>> search.fit(X, np.sin(3 * X[:, 0]) + X[:, 1]).best_params_
    {'alpha': 0.1}
    """


@_documented
class RandomizedSearchCV(model_selection.RandomizedSearchCV, _Search):  # type: ignore[misc]
    """Search over combinations that are drawn, by cross-validation.

    It is `sklearn.model_selection.RandomizedSearchCV`, with equal results. With `n_jobs` the nets
    train in threads of this process.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.stats import loguniform
    >>> from fastnn import MLPRegressor
    >>> from fastnn.model_selection import RandomizedSearchCV
    >>> X = np.random.RandomState(0).uniform(-1, 1, (90, 2))
    >>> net = MLPRegressor(hidden_layer_sizes=4, solver="lbfgs", tol=1e-2, random_state=0)
    >>> drawn = {"alpha": loguniform(0.1, 100)}
    >>> search = RandomizedSearchCV(net, drawn, n_iter=5, cv=3, random_state=0)
    >>> bool(search.fit(X, np.sin(3 * X[:, 0]) + X[:, 1]).best_params_["alpha"] < 10)
    True
    """


@_documented
class HalvingGridSearchCV(model_selection.HalvingGridSearchCV, _Search):  # type: ignore[misc]
    """Search over all combinations of values, the better ones going on with more.

    It is `sklearn.model_selection.HalvingGridSearchCV`, with equal results. With `n_jobs` the nets
    train in threads of this process. scikit-learn calls this search experimental; importing this
    module takes the place of importing `sklearn.experimental.enable_halving_search_cv`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import MLPRegressor
    >>> from fastnn.model_selection import HalvingGridSearchCV
    >>> X = np.random.RandomState(0).uniform(-1, 1, (90, 2))
    >>> net = MLPRegressor(hidden_layer_sizes=4, solver="lbfgs", tol=1e-2, random_state=0)
    >>> search = HalvingGridSearchCV(net, {"alpha": [0.1, 1, 100]}, cv=3, random_state=0)
    >>> search.fit(X, np.sin(3 * X[:, 0]) + X[:, 1]).n_resources_  # rows
    [30, 90]
    """


@_documented
class HalvingRandomSearchCV(model_selection.HalvingRandomSearchCV, _Search):  # type: ignore[misc]
    """Search over combinations that are drawn, the better ones going on with more.

    It is `sklearn.model_selection.HalvingRandomSearchCV`, with equal results; otherwise as
    `HalvingGridSearchCV`.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.stats import loguniform
    >>> from fastnn import MLPRegressor
    >>> from fastnn.model_selection import HalvingRandomSearchCV
    >>> X = np.random.RandomState(0).uniform(-1, 1, (90, 2))
    >>> net = MLPRegressor(hidden_layer_sizes=4, solver="lbfgs", tol=1e-2, random_state=0)
    >>> drawn = {"alpha": loguniform(0.1, 100)}
    >>> search = HalvingRandomSearchCV(net, drawn, cv=3, random_state=0)
    >>> search.fit(X, np.sin(3 * X[:, 0]) + X[:, 1]).n_candidates_
    [15, 5, 2]
    """


def _validated(original: Any, function: Any) -> Any:
    """The function, its arguments validated as the original's."""
    constraints = original._skl_parameter_constraints
    return validate_params(constraints, prefer_skip_nested_validation=False)(function)


_cross_validate = _validated(
    model_selection.cross_validate, _with(model_selection.cross_validate, Parallel=_Fits)
)
_cross_val_score = _validated(
    model_selection.cross_val_score,
    _with(model_selection.cross_val_score, cross_validate=_cross_validate),
)


def cross_validate(estimator: Any, X: Any, y: Any = None, **options: Any) -> dict[str, Any]:
    """Evaluate an estimator by cross-validation: scores and times.

    It is `sklearn.model_selection.cross_validate`, with equal results. With `n_jobs` nets train in
    threads of this process.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import MLPRegressor
    >>> from fastnn.model_selection import cross_validate
    >>> X = np.random.RandomState(0).uniform(-1, 1, (90, 2))
    >>> net = MLPRegressor(hidden_layer_sizes=4, solver="lbfgs", tol=1e-2, random_state=0)
    >>> sorted(cross_validate(net, X, np.sin(X[:, 0]), return_train_score=True))
    ['fit_time', 'score_time', 'test_score', 'train_score']
    """
    scores: dict[str, Any] = _cross_validate(estimator, X, y, **options)
    return scores


def cross_val_score(estimator: Any, X: Any, y: Any = None, **options: Any) -> NDArray[np.float64]:
    """Evaluate an estimator by cross-validation: its scores.

    It is `sklearn.model_selection.cross_val_score`, with equal results. With `n_jobs` nets train
    in threads of this process.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import MLPRegressor
    >>> from fastnn.model_selection import cross_val_score
    >>> X = np.random.RandomState(0).uniform(-1, 1, (90, 2))
    >>> net = MLPRegressor(hidden_layer_sizes=4, solver="lbfgs", tol=1e-2, random_state=0)
    >>> cross_val_score(net, X, np.sin(X[:, 0]), cv=3).shape
    (3,)
    """
    scores: NDArray[np.float64] = _cross_val_score(estimator, X, y, **options)
    return scores


for _own in (cross_validate, cross_val_score):
    vars(_own)["__signature__"] = inspect.signature(getattr(model_selection, _own.__name__))
    _documented(_own)
