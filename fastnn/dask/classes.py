"""MLPClassifier and MLPRegressor over Dask collections; over other data they are fastnn's own."""

from __future__ import annotations

import copy
import math
from typing import Any, ClassVar, NamedTuple

import dask
import dask.array
import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score
from sklearn.utils.validation import check_is_fitted

from fastnn import documentation, estimators
from fastnn.dask import rounds
from fastnn.dask.partitions import (
    Findings,
    blocks_of,
    classes_of,
    is_collection,
    look_at_each,
    partitions_of,
    rows_of_blocks,
    weigh,
)
from fastnn.data import checks
from fastnn.estimators import arrays, fitting, lbfgs, optimizers, shortcuts, weighting
from fastnn.estimators.following import NOBODY
from fastnn.states import trained_on

_SOLVERS = ("lbfgs", "adam", "sgd", "adamw", "nadam", "rmsprop")


class _Parts(NamedTuple):
    """What a fit goes through.

    Attributes
    ----------
    partitions : list of Delayed
        Those that have weight.
    shares : list of float
        Of these in the sum of all weights.
    found : list of Findings
        In all partitions.
    classes : ndarray or None
    class_weight : dict or None
    """

    partitions: list[Any]
    shares: list[float]
    found: list[Findings]
    classes: NDArray[Any] | None
    class_weight: dict[Any, float] | None


class _OverPartitions:
    """Mixin before one of fastnn's classes: fits, predictions and scores of Dask collections.

    A fit trains an estimator of fastnn's own class, `_local_class`, and takes what that has come
    to between rounds. An error or Ctrl-C in a round thus leaves what was reached before it.
    """

    _local_class: ClassVar[Any]

    def to_local(self: Any) -> Any:
        """The same as an estimator of fastnn's own class, fitted if this one is.

        Returns
        -------
        fastnn.MLPClassifier or fastnn.MLPRegressor
            It shares nothing with this one but objects among the parameters.
        """
        local = self._new_local()
        if shortcuts.is_fitted(self):
            state = copy.deepcopy(self.__getstate__())
            local.__setstate__({**state, **self.get_params(deep=False)})
        return local

    def _new_local(self: Any) -> Any:
        return self._local_class(**self.get_params(deep=False))

    def _validate_input(self: Any, X: Any, y: Any, *options: Any, **more: Any) -> Any:
        if is_collection(X) or is_collection(y):
            raise TypeError(
                "partial_fit takes no Dask collections; use fit, which goes on from the present "
                "parameters with warm_start=True"
            )
        return super()._validate_input(X, y, *options, **more)  # type: ignore[misc]

    # ---- fitting --------------------------------------------------------------------------------

    def _fit_collections(
        self: Any, X: Any, y: Any, sample_weight: Any, classes: Any, others: dict[str, Any]
    ) -> None:
        """fit; nothing changes before all partitions were looked at."""
        for name, value in others.items():
            if value is not None:
                raise ValueError(f"{name} is not for fits of Dask collections")
        self._check_rounds()
        weighting.check_call(
            self, "fit", {} if sample_weight is None else {"sample_weight": sample_weight}
        )
        partitions = partitions_of(X, y, sample_weight)
        found = look_at_each(self._unfitted(), partitions)
        goes_on = self.warm_start and shortcuts.is_fitted(self)
        if goes_on and classes is None:
            classes = getattr(self, "classes_", None)
        classes = classes_of(found, classes)
        weights = weigh(found, classes, getattr(self, "class_weight", None))
        total = sum(weights.of_partition)
        counted = [i for i, weight in enumerate(weights.of_partition) if weight]
        trainer = self.to_local() if goes_on else self._new_local()
        parts = _Parts(
            [partitions[i] for i in counted],
            [weights.of_partition[i] / total for i in counted],
            found, classes, weights.of_class,
        )  # fmt: skip
        (self._search if self.solver == "lbfgs" else self._train)(trainer, parts)

    def _check_rounds(self: Any) -> None:
        """Refuse what cannot be done partition by partition."""
        if shortcuts.must_validate():
            self._validate_params()
        if self.solver not in _SOLVERS:
            raise ValueError(
                f"solver {self.solver!r} is not for Dask collections: it needs all rows at once; "
                f"use one of {', '.join(map(repr, _SOLVERS))}"
            )
        if self.solver != "lbfgs":
            rate = self.learning_rate
            if not optimizers.is_theirs(rate) or (self.solver == "sgd" and rate == "adaptive"):
                raise ValueError(
                    f"learning_rate={checks.shown(rate)} is not for Dask collections; use "
                    "'constant' or 'invscaling'"
                )
        if self.early_stopping:
            raise ValueError(
                "early_stopping=True is not for Dask collections: no rows are held out"
            )
        if "_skl_callbacks" in vars(self):
            raise ValueError("callbacks are not for fits of Dask collections; use verbose=True")

    def _unfitted(self: Any) -> Any:
        """An estimator for tasks that need its parameters alone."""
        blank = self._new_local()
        if is_classifier(blank):
            blank.class_weight = None
        blank.random_state = None
        return blank

    def _take(self: Any, trainer: Any, **reached: Any) -> None:
        """Have what the trainer came to."""
        own = {name: vars(self)[name] for name in ("_metadata_request",) if name in vars(self)}
        self.__setstate__(
            {**trainer.__getstate__(), **self.get_params(deep=False), **own, **reached}
        )

    def _search(self: Any, trainer: Any, parts: _Parts) -> None:
        """L-BFGS: a loss and gradient of all partitions a round."""
        first_X, first_y = parts.found[0].head
        if parts.classes is not None and parts.found[0].n_of_class is not None:
            rows = [0] * len(parts.classes)  # one for each class
            first_X = first_X.iloc[rows] if hasattr(first_X, "iloc") else first_X[rows]
            first_y = parts.classes
        given = trainer.random_state
        if isinstance(given, np.random.Generator):
            trainer.random_state = checks.random_state(given)
        trainer._followers = NOBODY
        is_first = not shortcuts.is_fitted(trainer)
        X, y, _, units = trainer._begin_fit(first_X, first_y, None, False, is_first)
        (begun,) = trainer._prepare(X, y, None, units, False, True)
        trainer.n_outputs_ = y.shape[1]
        trainer._trained_on = trained_on(None, sum(one.n_rows for one in parts.found))
        objective = rounds.LossOverPartitions(
            _for_tasks(trainer, parts, n_jobs=1),
            parts.partitions,
            parts.shares,
            bool(self.verbose),
        )
        search = lbfgs.Search(trainer, begun.params, begun.units, objective)
        try:
            lbfgs.train(trainer, X, y, search)
        except BaseException as error:
            del trainer._followers
            trainer.n_iter_ = search.n_iter
            lost = isinstance(error, rounds.RoundFailed)
            if search.moved or not (lost or isinstance(error, KeyboardInterrupt)):
                self._take(trainer)
            if not lost:
                raise
            raise _ended(error, search.moved, f"{search.n_iter} iterations are done") from (
                error.__cause__
            )
        del trainer._followers
        self._take(trainer)

    def _train(self: Any, trainer: Any, parts: _Parts) -> None:
        """Epochs of `partial_fit`, partition by partition."""
        goes_on = shortcuts.is_fitted(trainer)
        trainer._forget_optimizer()  # as fit begins with a new one
        rule = _Rule(self if goes_on else None)
        options = {} if parts.classes is None or goes_on else {"classes": parts.classes}
        n, losses, moved, stopped = len(parts.partitions), [], False, False
        steps = rounds.one_by_one(
            _for_tasks(trainer, parts), parts.partitions, options, int(self.max_iter)
        )
        try:
            for trained in steps:
                losses.append(float(trained.loss_))
                if len(losses) == n:
                    stopped = rule.end_epoch(float(np.dot(parts.shares, losses)), self)
                    losses = []
                self._take(trained, **rule.attributes)
                _set_state(self.random_state, trained.random_state)
                moved = True
                if stopped:
                    break
        except rounds.RoundFailed as error:
            done = f"{rule.n_iter} epochs and {len(losses)} of {n} partitions are done"
            raise _ended(error, moved, done) from error.__cause__
        finally:
            steps.close()  # waits for a partition that is under way
        if not stopped:
            fitting.warn(
                f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the "
                "optimization hasn't converged yet.",
                ConvergenceWarning,
            )

    # ---- predicting -----------------------------------------------------------------------------

    def _lazily(self: Any, method: str, X: Any, n_columns: int, dtype: Any) -> Any:
        """What a method of one argument gives for each partition, as a Dask array."""
        check_is_fitted(self)
        task = dask.delayed(_call, pure=True)
        local = dask.delayed(_for_tasks(self.to_local(), None, n_jobs=1))
        columns = (n_columns,) if n_columns > 1 else ()
        parts = [
            dask.array.from_delayed(task(local, method, block), (rows, *columns), dtype)
            for block, rows in zip(blocks_of("X", X), rows_of_blocks(X), strict=True)
        ]
        return dask.array.concatenate(parts, allow_unknown_chunksizes=True)

    def _outputs_type(self: Any, X: Any) -> np.dtype[Any]:
        """The type of numbers that are computed from X."""
        types = X.dtypes.tolist() if hasattr(X, "dtypes") else [X.dtype]
        plain = [one if isinstance(one, np.dtype) else np.dtype(np.float64) for one in types]
        return arrays.float_type(*(np.empty(0, one) for one in plain), self.coefs_[0])

    def _score_collections(self: Any, X: Any, y: Any, sample_weight: Any) -> list[Any]:
        """What `_sums_of` gives for each partition."""
        check_is_fitted(self)
        task, local = dask.delayed(_sums_of), dask.delayed(_for_tasks(self.to_local(), None, 1))
        partitions = partitions_of(X, y, sample_weight)
        return list(dask.compute(*(task(local, partition) for partition in partitions)))


class _Rule:
    """scikit-learn's rule of stopping over epochs, and what it leaves as attributes."""

    def __init__(self, before: Any) -> None:
        self.n_iter = 0
        self.curve = [] if before is None else list(getattr(before, "loss_curve_", []))
        best = getattr(before, "best_loss_", None)
        self.best = math.inf if best is None else best
        self.count = getattr(before, "_no_improvement_count", 0)

    def end_epoch(self, loss: float, estimator: Any) -> bool:
        """Take down a loss; whether it is the last."""
        self.n_iter += 1
        self.curve.append(loss)
        self.count = self.count + 1 if loss > self.best - estimator.tol else 0
        self.best = min(self.best, loss)
        if estimator.verbose:
            print(f"Iteration {self.n_iter}, loss = {loss:.8f}")
        stops = bool(self.count > estimator.n_iter_no_change)
        if stops and estimator.verbose:
            print(
                f"Training loss did not improve more than tol={estimator.tol:f} for "
                f"{estimator.n_iter_no_change} consecutive epochs. Stopping."
            )
        return stops

    @property
    def attributes(self) -> dict[str, Any]:
        """As a fit leaves them."""
        reached = {
            "n_iter_": self.n_iter, "loss_curve_": list(self.curve), "best_loss_": self.best,
            "_no_improvement_count": self.count,
        }  # fmt: skip
        return {**reached, "loss_": self.curve[-1]} if self.n_iter else reached


def _for_tasks(estimator: Any, parts: _Parts | None, n_jobs: int | None = None) -> Any:
    """A copy to send: Dask runs a task a core, so that it has n_jobs threads unless told."""
    sent = copy.copy(estimator)
    sent.n_jobs = n_jobs if sent.n_jobs is None else sent.n_jobs
    sent.verbose = sent.warm_start = False
    if parts is not None and is_classifier(sent):
        sent.class_weight = parts.class_weight
    return sent


def _ended(error: BaseException, moved: bool, done: str) -> RuntimeError:
    kept = "coefs_ and intercepts_ are those that they came to" if moved else "nothing has changed"
    return RuntimeError(
        f"a task failed, {error}; {done}, and {kept}. warm_start=True has the next fit go on"
    )


def _set_state(given: Any, drawn: Any) -> None:
    """Have a random state draw on from where its copy is."""
    if isinstance(given, np.random.RandomState):
        given.set_state(drawn.get_state())
    elif isinstance(given, np.random.Generator):
        given.bit_generator.state = drawn.bit_generator.state


def _call(estimator: Any, method: str, X: Any) -> Any:
    return getattr(estimator, method)(X)


def _sums_of(estimator: Any, partition: tuple[Any, Any, Any]) -> tuple[Any, ...]:
    """Of a classifier the weight of right predictions and of all.

    Of a regressor weight, mean of y, and sums of squares about it and about the predictions, for
    each output.
    """
    X, y, sample_weight = partition
    predicted = estimator.predict(X)
    weights = np.ones(len(predicted)) if sample_weight is None else np.asarray(sample_weight)
    if is_classifier(estimator):
        right = accuracy_score(y, predicted, sample_weight=sample_weight, normalize=False)
        return float(right), float(weights.sum())
    total, column = float(weights.sum()), weights[:, np.newaxis]
    targets = np.asarray(y, np.float64).reshape(len(predicted), -1)
    rest = (column * (targets - predicted.reshape(len(predicted), -1)) ** 2).sum(axis=0)
    if not total:
        return 0.0, np.zeros(len(rest)), np.zeros(len(rest)), rest
    mean = (column * targets).sum(axis=0) / total
    return total, mean, (column * (targets - mean) ** 2).sum(axis=0), rest


class MLPClassifier(_OverPartitions, estimators.MLPClassifier):
    _local_class = estimators.MLPClassifier

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, *, classes: Any = None, **others: Any
    ) -> MLPClassifier:
        """Fit to the rows of all partitions.

        Parameters
        ----------
        {collections}
        classes : array-like, optional
            All classes. Without it they are those of all partitions.
        **others
            Of `fastnn.MLPClassifier.fit`, which Dask collections are without.

        Returns
        -------
        MLPClassifier
            Itself.

        Raises
        ------
        TypeError, ValueError
            For bad input, with the number of the partition, before anything changes; and if the
            loss is no longer finite, with the last parameters before.
        RuntimeError
            If Dask could not compute a round, as a cluster went away. It says what is done;
            parameters are those of the last iteration or partition before.
        """
        if is_collection(X) or is_collection(y):
            self._fit_collections(X, y, sample_weight, classes, others)
            return self
        if classes is not None:
            raise ValueError("classes is for Dask collections")
        if sample_weight is not None:
            others["sample_weight"] = sample_weight
        super().fit(X, y, **others)
        return self

    def predict(self, X: Any) -> Any:
        """Predict labels; of a Dask collection lazily, as a Dask array of its partitions.

        Parameters
        ----------
        X : Dask array or data frame, or as `fastnn.MLPClassifier` takes it, (n, n_features)
            The samples, one a row.

        Returns
        -------
        Dask array or ndarray, (n,) or (n, n_outputs)
            The predictions, in the partitions of X.
        """
        if not is_collection(X):
            return super().predict(X)
        check_is_fitted(self)
        several = self._label_binarizer.y_type_.startswith("multilabel")
        n_columns = len(self.classes_) if several else 1
        return self._lazily("predict", X, n_columns, self.classes_.dtype)

    def predict_proba(self, X: Any) -> Any:
        """Predict probabilities; of a Dask collection lazily, as a Dask array of its partitions.

        Parameters
        ----------
        X : Dask array or data frame, or as `fastnn.MLPClassifier` takes it, (n, n_features)
            The samples, one a row.

        Returns
        -------
        Dask array or ndarray, (n, n_classes)
            The probabilities, in the partitions of X.
        """
        if not is_collection(X):
            return super().predict_proba(X)
        check_is_fitted(self)
        n_columns = max(2, self.n_outputs_)
        return self._lazily("predict_proba", X, n_columns, self._outputs_type(X))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The accuracy, computed at once, where the partitions are.

        Parameters
        ----------
        {collections}

        Returns
        -------
        float
            At most 1.
        """
        if not is_collection(X):
            return super().score(X, y, sample_weight)
        right, weights = zip(*self._score_collections(X, y, sample_weight), strict=True)
        return float(sum(right) / sum(weights))


class MLPRegressor(_OverPartitions, estimators.MLPRegressor):
    _local_class = estimators.MLPRegressor

    def fit(self, X: Any, y: Any, sample_weight: Any = None, **others: Any) -> MLPRegressor:
        """Fit to the rows of all partitions.

        Parameters
        ----------
        {collections}
        **others
            Of `fastnn.MLPRegressor.fit`, which Dask collections are without.

        Returns
        -------
        MLPRegressor
            Itself.

        Raises
        ------
        TypeError, ValueError, RuntimeError
            As of `MLPClassifier.fit`.
        """
        if is_collection(X) or is_collection(y):
            self._fit_collections(X, y, sample_weight, None, others)
            return self
        if sample_weight is not None:
            others["sample_weight"] = sample_weight
        super().fit(X, y, **others)
        return self

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Predict; of a Dask collection lazily, as a Dask array of its partitions.

        Parameters
        ----------
        X : Dask array or data frame, or as `fastnn.MLPRegressor` takes it, (n, n_features)
            The samples, one a row.
        return_std : bool
            As of `fastnn.MLPRegressor.predict`, and not for Dask collections.

        Returns
        -------
        Dask array or ndarray, (n,) or (n, n_outputs)
            The predictions, in the partitions of X.
        """
        if not is_collection(X):
            return super().predict(X, return_std)
        if return_std:
            raise ValueError("return_std is not for Dask collections; use to_local()")
        check_is_fitted(self)
        return self._lazily("predict", X, self.n_outputs_, self._outputs_type(X))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """R^2, computed at once, where the partitions are; of several outputs the mean.

        Parameters
        ----------
        {collections}

        Returns
        -------
        float
            At most 1.
        """
        if not is_collection(X):
            return super().score(X, y, sample_weight)
        if self.loss == "quantile":
            raise ValueError("the score of loss='quantile' needs all rows at once; use to_local()")
        weights, means, about_means, rest = map(
            np.array, zip(*self._score_collections(X, y, sample_weight), strict=True)
        )
        mean = weights @ means / weights.sum()
        total: NDArray[Any] = about_means.sum(axis=0) + weights @ (means - mean) ** 2
        error = rest.sum(axis=0)
        # an output that does not vary scores 1 if it is predicted exactly, else 0
        scores = np.where(error == 0, 1.0, 0.0)
        np.divide(error, total, out=error, where=total != 0)
        return float(np.where(total != 0, 1 - error, scores).mean())


_DOC = """A `fastnn.{what}` that takes Dask arrays and data frames, too.

`fit`, `predict` and `score` go through their partitions where these are, on the workers of the
active `distributed.Client` or by Dask's threads in this process. The number of workers changes
no bit. Parameters and attributes are those of `fastnn.{what}`; `to_local` gives one.

Of Dask collections ``solver='lbfgs'`` takes full batches: each round, the partitions' losses
and gradients are computed side by side and added in order. 'adam', 'sgd', 'adamw', 'nadam' and
'rmsprop' give the numbers of `partial_fit` on one partition after the other, ``max_iter``
times; the next one is loaded meanwhile, and ``loss_curve_`` has the mean of each epoch. Other
solvers, ``early_stopping``, callbacks and schedules over steps are not for them. ``n_jobs``
is the number of threads of a task: None is 1 of 'lbfgs' and predictions, and of the others as
of `fastnn.{what}`."""

_COLLECTIONS = """X : Dask array or data frame, (n, n_features)
    Its partitions have all columns, and need not fit into memory together. With any
    other X this is the method of fastnn's own class.
y : Dask array, series or data frame, (n,) or (n, n_outputs)
    In the partitions of X.
sample_weight : Dask array or series >= 0, (n,), optional
    In the partitions of X."""

_EXAMPLES = {
    "MLPClassifier": """>>> import dask.array as da
>>> from fastnn.dask import MLPClassifier
>>> X = da.random.default_rng(0).normal(size=(1000, 3), chunks=(250, 3))
>>> y = X[:, 0] > X[:, 1]
>>> net = MLPClassifier((8,), solver="lbfgs", tol=0.01, random_state=0).fit(X, y)
>>> net.score(X, y) > 0.9
True
>>> net.predict(X).compute().shape, net.predict_proba(X)
((1000,), dask.array<concatenate, shape=(1000, 2), dtype=float64, chunksize=(250, 2), ...>)
>>> type(net.to_local()).__module__
'fastnn.estimators'""",
    "MLPRegressor": """>>> import dask.array as da
>>> from fastnn.dask import MLPRegressor
>>> X = da.random.default_rng(0).normal(size=(1000, 3), chunks=(250, 3))
>>> net = MLPRegressor(hidden_layer_sizes=(8,), solver="lbfgs", tol=0.01, random_state=0)
>>> net.fit(X, X[:, 0] * X[:, 1]).predict(X)
dask.array<concatenate, shape=(1000,), dtype=float64, chunksize=(250,), ...>
>>> net.score(X, X[:, 0] * X[:, 1]) > 0.9
True
>>> type(net.to_local()).__module__
'fastnn.estimators'""",
}


def _document(cls: Any) -> None:
    """What is different here, then the sections of fastnn's class; and the methods' docstrings."""
    name, parts = cls.__name__, documentation.sections(cls._local_class.__doc__)
    if "Parameters" in parts:  # not under python -OO
        what = documentation.complete(_DOC, what=name)
        cls.__doc__ = documentation.joined({**parts, "": what, "Examples": _EXAMPLES[name]})
    for method in (cls.fit, cls.score):
        method.__doc__ = documentation.complete(method.__doc__, collections=_COLLECTIONS)
    cls.__module__ = "fastnn.dask"  # the name by which pickles find it


_document(MLPClassifier)
_document(MLPRegressor)
