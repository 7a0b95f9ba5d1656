"""Callbacks of estimators: fastnn's own, which hear of a Network, and scikit-learn's.

Both kinds are kept in the list that scikit-learn 1.9 copies to clones and hands down from
meta-estimators; fastnn's are wrapped so that scikit-learn, which calls all members of the list,
finds the methods that it expects. Before 1.9, scikit-learn has no callbacks and the list is ours.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import _clone_parametrized

from fastnn.callbacks import Listeners
from fastnn.data import checks
from fastnn.data.rows import Rows
from fastnn.estimators import arrays
from fastnn.network import Network

try:
    import sklearn.callback as _theirs
except ImportError:  # scikit-learn before 1.9
    _theirs = None


class _Mixin:
    """Keeps callbacks as scikit-learn 1.9 does."""

    def set_callbacks(self, *callbacks: Any) -> Any:
        if callbacks:
            self._skl_callbacks = list(callbacks)
        else:
            self.__dict__.pop("_skl_callbacks", None)
        return self

    def __sklearn_clone__(self) -> Any:
        clone: Any = _clone_parametrized(self)
        if "_skl_callbacks" in self.__dict__:
            clone._skl_callbacks = self._skl_callbacks
        return clone


CallbackSupportMixin: Any = _theirs.CallbackSupportMixin if _theirs else _Mixin


class Wrapped:
    """A callback of fastnn's in scikit-learn's list; `Followers` calls it, scikit-learn does not.

    Parameters
    ----------
    callback : Callback, or function of the network
    """

    def __init__(self, callback: Any) -> None:
        Listeners(callback)  # refuses anything else
        self.callback = callback

    def __repr__(self) -> str:
        return repr(self.callback)

    def _nothing(self, estimator: Any, context: Any) -> None:
        pass

    setup = teardown = on_fit_task_begin = on_fit_task_end = _nothing


def wrap(callback: Any) -> Any:
    """callback as a member of scikit-learn's list.

    Raises
    ------
    TypeError
        If it is a callback of neither kind.
    """
    if isinstance(callback, Wrapped):
        return callback
    if not isinstance(callback, type):
        if _theirs and isinstance(callback, _theirs.FitCallback):
            return callback
        if callable(callback):
            return Wrapped(callback)
    its_own = " or one of scikit-learn's" if _theirs else ""
    raise TypeError(
        f"a callback must be a fastnn.callbacks.Callback, a function of the network{its_own}, got "
        f"{checks.shown(callback)}"
    )


class EstimatorNetwork(Network):
    """An estimator's parameters as a Network, for callbacks.

    Attributes
    ----------
    labels : LabelBinarizer or None
        Of a classifier with one label per sample.
    """

    labels: Any = None
    _estimator: Any = None

    def save(self, path: str | os.PathLike[str], *, date: bool = False) -> None:
        """Save the estimator, with how its fit stands; of L-BFGS without."""
        self._estimator.save(path, date=date)

    def fit_state(self) -> dict[str, Any] | None:
        """As of the estimator."""
        state: dict[str, Any] | None = self._estimator and self._estimator.fit_state()
        return state

    def attach(self, params: NDArray[Any], step: NDArray[Any] | None) -> None:
        """Have this vector as parameters and learning_rate_ of this step, if the fit has one."""
        if self._params is not params:
            self._build(params)
        self._step = step
        if step is None:
            self._no_rate = "L-BFGS has no learning rate: it searches for the length of each step"

    def detach(self) -> None:
        """The fit is over."""
        self._step = None
        vars(self).pop("_no_rate", None)

    def check_data(self, X: ArrayLike, y: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
        """As of `Network`; a classifier takes y of one dimension as labels.

        Raises
        ------
        TypeError, ValueError
            If X and y are not finite arrays of the right shapes, or a label is unknown.
        """
        return super().check_data(X, self._targets(y))

    def _check_loss_data(self, X: Any, y: Any) -> tuple[Rows, NDArray[Any]]:
        """The same for the loss alone, which takes a sparse X as it is."""
        if not hasattr(X, "tocsr"):
            return self.check_data(X, y)
        if X.ndim != 2 or 0 in X.shape or X.dtype.kind not in "fiub":
            raise ValueError(
                f"X must hold real numbers in two dimensions, got shape {X.shape} of {X.dtype}"
            )
        rows = arrays.as_rows(X.tocsr(), self.layer_units[0], self.dtype)
        if not np.isfinite(rows[0]).all():
            raise ValueError(f"X holds NaN or numbers too large for {self.dtype}")
        return rows, self._check_y(self._targets(y), X.shape[0])

    def _targets(self, y: Any) -> Any:
        """The targets of labels; others as they are."""
        if self.labels is not None and np.ndim(y) == 1:
            known, y = self.labels.classes_, np.asarray(y)
            unknown = ~np.isin(y, known)
            if unknown.any():
                i = int(unknown.argmax())
                raise ValueError(
                    f"y[{i}] is {y[i : i + 1].tolist()[0]!r}, which is none of the classes "
                    f"{checks.shown(known.tolist())}; pass targets as an array of two dimensions"
                )
            y = self.labels.transform(y)
        return y


class Followers:
    """Everyone who hears of one fit; for those of fastnn it has a Network.

    scikit-learn's callbacks hear of the fit as a task, and of each epoch or iteration as a task
    within it. fastnn's are called after them.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
    X, y, sample_weight
        As given to fit.
    callbacks : sequence, optional
        Wrapped; by default the estimator's, and those of a meta-estimator that called fit.
    """

    net: EstimatorNetwork

    def __init__(
        self,
        estimator: Any,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        callbacks: Sequence[Any] | None = None,
    ) -> None:
        self._estimator = estimator
        in_meta_estimator = callbacks is None and hasattr(estimator, "_parent_callback_ctx")
        every: Sequence[Any] = callbacks or ()
        if callbacks is None:
            every = getattr(estimator, "_skl_callbacks", ())
        self._own = [one.callback for one in every if isinstance(one, Wrapped)]
        self._listeners = Listeners(self._own)
        self._n_steps = 0
        self._task = None
        if len(every) > len(self._own) or in_meta_estimator:
            self._task = _FitTask(estimator, X, y, sample_weight)

    def __bool__(self) -> bool:
        return bool(self._own) or self._task is not None

    @property
    def need_network(self) -> bool:
        """Whether callbacks of fastnn's are among them."""
        return bool(self._own)

    @contextlib.contextmanager
    def hear(
        self,
        params: NDArray[Any],
        layer_units: Sequence[int],
        step: NDArray[Any] | None,
        data: Callable[[], tuple[Any, NDArray[Any]]],
        saved: Mapping[str, Any] | None = None,
    ) -> Iterator[None]:
        """Tell fastnn's callbacks that a fit begins, and at the end of the block that it ended.

        Parameters
        ----------
        params : ndarray, (n_params,)
            What is trained.
        layer_units : sequence of int
        step : ndarray of kernels.STEP or None
            The record that the fit takes its learning rate from.
        data : callable
            Returns what is trained on, without the samples held out for early stopping: X, an
            array or sparse array, and the targets y, (n, n_outputs), of the type of params.
        saved : dict, optional
            How the fit stood that this one goes on from.
        """
        self._layer_units = list(layer_units)
        if not self._own:
            yield
            return
        estimator = self._estimator
        self.net = EstimatorNetwork.from_params(
            params, layer_units, estimator._layer_activations(len(layer_units) - 1),
            loss=estimator._loss_name(), n_jobs=estimator.n_jobs, **estimator._number_of_loss(),
        )  # fmt: skip
        labels = getattr(estimator, "_label_binarizer", None)
        if labels is not None and not labels.y_type_.startswith("multilabel"):
            self.net.labels = labels
        self.net.attach(params, step)
        vars(self.net)["_estimator"] = estimator
        self._architecture = self._present_architecture()
        try:
            if saved is not None:
                self.net.loss_curve_ = list(map(float, estimator.loss_curve_))
            self._listeners.begin(self.net, *data(), estimator.max_iter)
            if saved is not None:
                self._n_steps = saved["epoch"]
                self._listeners.resume(saved["listeners"], self._n_steps)
            with self._listeners:
                yield
        finally:
            self.net.detach()

    def begin_step(self) -> None:
        """An epoch or iteration begins, unless one is under way."""
        if self._task:
            self._task.begin_step()

    def end_step(
        self,
        loss: float,
        coefs: list[NDArray[Any]],
        intercepts: list[NDArray[Any]],
        last: bool,
    ) -> bool:
        """An epoch or iteration has ended with this mean loss; whether a callback wants to stop.

        Parameters
        ----------
        last : bool
            Whether it is known to be the last.
        """
        stop = self._task is not None and self._task.end_step(coefs, intercepts)
        if self._own:
            self._n_steps += 1
            self.net.loss_curve_.append(float(loss))
            stop = self._listeners.call(self.net, self._n_steps, last or stop) or stop
        return stop

    @property
    def listeners(self) -> Listeners:
        """fastnn's callbacks."""
        return self._listeners

    def catch_up(self, last: bool) -> bool:
        """Call those that had not heard of the epoch in the file; whether training ends."""
        return bool(self._own) and self._listeners.catch_up(self.net, last)

    def end_steps(self) -> None:
        """There is no further epoch or iteration: call those that the last did not call."""
        if self._own and self._n_steps:
            self._listeners.call(self.net, self._n_steps, True)

    def _present_architecture(self) -> tuple[Any, ...]:
        net = self.net
        return net.layer_units, net.activations, net.loss_function, net.dtype

    def take_up_params(self, params: NDArray[Any], step: NDArray[Any] | None) -> None:
        """Copy parameters into params that callbacks replaced instead of editing them.

        Raises
        ------
        ValueError
            If a callback made the estimator or the network one of another architecture.
        """
        estimator = self._estimator
        if self._own:
            if self._present_architecture() != self._architecture:
                raise ValueError("a callback made this another network: it is not trained on")
            if self.net.params_ is not params:  # a callback's __setstate__
                params[:] = self.net.params_
            self.net.attach(params, step)  # a callback may have trained the network
        now, units = estimator._parameters()
        if now is not params:
            if units.tolist() != self._layer_units:
                raise ValueError("a callback changed the shapes of coefs_ or intercepts_")
            params[:] = now
            estimator._take_parameters(params, units)

    def end(self) -> None:
        """The fit is done."""
        if self._task:
            self._task.end()


NOBODY = Followers(None, None, None, callbacks=())


class _FitTask:
    """A fit, as scikit-learn's callbacks hear of it."""

    def __init__(self, estimator: Any, X: Any, y: Any, sample_weight: Any) -> None:
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self._of = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        self._fit = estimator._init_callback_context(max_subtasks=estimator.max_iter)
        self._fit.call_on_fit_task_begin(**self._of)
        self._name = "iteration" if estimator.solver in ("lbfgs", "lm") else "epoch"
        self._step: Any = None

    def begin_step(self) -> None:
        if self._step is None:
            self._step = self._fit.subcontext(task_name=self._name)
            self._step.call_on_fit_task_begin(**self._of)

    def end_step(self, coefs: list[NDArray[Any]], intercepts: list[NDArray[Any]]) -> bool:
        step, self._step = self._step, None
        return bool(
            step.call_on_fit_task_end(
                **self._of,
                reconstruction_attributes=lambda: {
                    "coefs_": [coef.copy() for coef in coefs],
                    "intercepts_": [intercept.copy() for intercept in intercepts],
                },
            )
        )

    def end(self) -> None:
        if self._step is not None:  # an iteration of L-BFGS-B that found no better point
            self._step.call_on_fit_task_end(**self._of)
        self._fit.call_on_fit_task_end(**self._of, reconstruction_attributes=dict)
