"""One fit with SciPy's L-BFGS-B over the compiled loss and gradient, in float64 as SciPy works."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult, minimize
from sklearn.utils.optimize import _check_optimize_result

from fastnn.estimators import arrays, optimizers
from fastnn.estimators.fitting import FIXED_BY_SEARCHES, Fixed, look, not_finite
from fastnn.states import trained_on
from fastnn.training import options
from fastnn.training.objective import MeanLoss
from fastnn.training.run import advice

# L-BFGS-B used to print, and newer versions warn of the option that asks for it
_SCIPY_PRINTS = tuple(map(int, scipy.__version__.split(".")[:2])) < (1, 15)


def prepare(estimator: Any, X: Any, y: NDArray[Any], sample_weight: NDArray[Any] | None) -> Search:
    """A search before its first iteration; after it nothing is refused any more.

    It changes attributes: whoever called it puts them back if it raises something.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
    X, y, sample_weight
        As scikit-learn validated them.

    Raises
    ------
    TypeError, ValueError, ZeroDivisionError
    """
    optimizers.check_numbers(estimator, ("alpha", "tol"))
    params, units = estimator._parameters()
    objective = mean_loss(estimator, units, X, y, sample_weight)
    # scikit-learn's parameters are float64 after L-BFGS, for float32 data too
    params = params.astype(np.float64)
    estimator._take_parameters(params, units)
    estimator._trained_on = trained_on(None, X.shape[0])
    return Search(estimator, params, units, objective)


def train(estimator: Any, X: Any, y: NDArray[Any], search: Search) -> None:
    """Fit the estimator's coefs_ and intercepts_.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
    X, y
        As scikit-learn validated them.
    search : Search
        From `prepare`.

    Raises
    ------
    ValueError
        If the search ends with a loss that is not finite. The parameters are the last that gave a
        finite loss. A callback that changes what the search does not take up is refused, too.
    """
    params, units, followers = search.params, search.units.tolist(), estimator._followers

    def data() -> tuple[Any, NDArray[Any]]:
        rows = X if hasattr(X, "tocsr") else arrays.as_type(params.dtype, X)
        return rows, arrays.as_targets(y, None, units[-1], params.dtype)

    with followers.hear(params, units, None, data):
        result = search.run()
        estimator.n_iter_, estimator.loss_ = search.n_iter, np.float64(result.fun)
        finite = bool(np.isfinite(result.x).all())
        if not (finite and math.isfinite(result.fun)):
            x, targets = data()
            x = x.data if hasattr(x, "tocsr") else x
            raise not_finite(finite, result.fun, search.moved, advice(x, targets))
        if not search.stopped:
            result.nit = search.n_iter
            estimator.n_iter_ = _check_optimize_result("lbfgs", result, estimator.max_iter)
            params[:] = result.x
        followers.end_steps()


def penalty_of(estimator: Any) -> float:
    """Its alpha; 0 if that follows the evidence, which no loss of an estimator's has."""
    return 0.0 if estimator.alpha == options.EVIDENCE else float(estimator.alpha)


def mean_loss(
    estimator: Any,
    units: NDArray[np.intp],
    X: Any,
    y: NDArray[Any],
    sample_weight: NDArray[Any] | None,
) -> MeanLoss:
    """The estimator's loss over all samples, in float64.

    Raises
    ------
    ZeroDivisionError
        If the weights sum to zero.
    """
    if sample_weight is not None and np.sum(sample_weight) == 0:
        raise ZeroDivisionError("Weights sum to zero, can't be normalized")
    dtype = np.dtype(np.float64)
    return MeanLoss(
        units, estimator._codes(len(units) - 1), estimator._loss_name(), penalty_of(estimator),
        arrays.as_rows(X, units[0], dtype, to_train=True),
        arrays.as_targets(estimator._smoothed(y), sample_weight, units[-1], dtype),
        estimator.n_jobs,
        estimator._loss_numbers(units[-1].item()),
    )  # fmt: skip


class Search:
    """L-BFGS-B, followed by callbacks; it starts again where one changed the parameters.

    The objective is called as a `MeanLoss`.

    Attributes
    ----------
    params : ndarray
        What the last iteration with a finite loss came to.
    units : ndarray of intp
        Of every layer, inputs first.
    n_iter : int
        Iterations done.
    stopped : bool
        Whether a callback stopped the search.
    moved : bool
        Whether some iteration had a finite loss.
    """

    def __init__(
        self,
        estimator: Any,
        params: NDArray[Any],
        units: NDArray[np.intp],
        objective: Callable[[NDArray[Any], NDArray[Any]], float],
    ) -> None:
        self.params, self.n_iter, self.stopped, self.moved = params, 0, False, False
        self.units = units
        self._estimator, self._objective = estimator, objective
        self._followers = estimator._followers
        self._fixed = Fixed(estimator, FIXED_BY_SEARCHES)
        self._moved, self._evaluations = False, 0

    def run(self) -> OptimizeResult:
        """Search until SciPy, max_iter, max_fun or a callback ends it."""
        estimator = self._estimator
        while True:
            self._moved = False
            options = {
                "maxfun": max(1, estimator.max_fun - self._evaluations),
                "maxiter": estimator.max_iter - self.n_iter,
                "gtol": estimator.tol,
            }
            if _SCIPY_PRINTS:
                options["iprint"] = 1 if estimator.verbose else -1
            result = minimize(
                self._evaluate, self.params.copy(), method="L-BFGS-B", jac=True, options=options,
                callback=self._end_iteration,
            )  # fmt: skip
            if not self._moved:
                return result
            self._evaluations += result.nfev

    def _evaluate(self, params: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        look(self._estimator)
        self._followers.begin_step()
        grads = np.empty_like(params)
        return self._objective(params, grads), grads

    # SciPy goes by the name of the argument
    def _end_iteration(self, intermediate_result: OptimizeResult) -> None:
        loss, reached = intermediate_result.fun, intermediate_result.x
        self.n_iter += 1
        if math.isfinite(loss):
            self.params[:] = reached
            self.moved = True
        if not self._followers:
            return
        estimator = self._estimator
        last = self.n_iter == estimator.max_iter
        before = self.params.copy()
        self.stopped = self._followers.end_step(
            loss, estimator.coefs_, estimator.intercepts_, last
        )
        self._followers.take_up_params(self.params, None)
        self._fixed.check()
        self._moved = not self.stopped and not last and not np.array_equal(before, self.params)
        self.stopped = self.stopped or (last and not np.array_equal(before, self.params))
        if self.stopped or self._moved:
            raise StopIteration
