"""One fit by Levenberg-Marquardt, in float64."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import validate_data

from fastnn import work
from fastnn.data.rows import SparseRows
from fastnn.estimators import arrays, lbfgs, optimizers, shortcuts
from fastnn.estimators.fitting import FIXED_BY_SEARCHES, Fixed, look, not_finite
from fastnn.states import trained_on
from fastnn.training import options
from fastnn.training.evidence import EvidenceSearch, deviations
from fastnn.training.objective import MeanLoss
from fastnn.training.run import advice
from fastnn.training.second_order import LevenbergMarquardt, check_memory

_OPTIONS = {"solver": "lm"}
OF_EVIDENCE = ("alphas_", "effective_parameters_", "noise_variance_", "covariance_")


class Prepared(NamedTuple):
    """A search before its first step."""

    run: LevenbergMarquardt
    params: NDArray[np.float64]  # the estimator's
    given: Any  # X, as scikit-learn validated it
    x: Any  # the same as the search takes it
    targets: NDArray[np.float64]
    loss: MeanLoss  # as scikit-learn reports it


def is_evidence(alpha: Any) -> bool:
    """Whether the penalty follows the evidence."""
    return isinstance(alpha, str) and alpha == options.EVIDENCE


@contextlib.contextmanager
def without_evidence(estimator: Any) -> Iterator[None]:
    """A context of a fit, which has none of another's; that comes back if no parameter changes."""
    params = estimator._parameters()[0].copy()
    found = {name: vars(estimator).pop(name) for name in OF_EVIDENCE}
    try:
        yield
    except BaseException:
        if np.array_equal(estimator._parameters()[0], params):
            vars(estimator).update(found)
        raise


def has_evidence(estimator: Any) -> bool:
    """Whether its last fit was by evidence."""
    return all(name in vars(estimator) for name in OF_EVIDENCE)


def prepare(
    estimator: Any, X: Any, y: NDArray[Any], sample_weight: NDArray[Any] | None
) -> Prepared:
    """What trains; after this nothing is refused any more.

    Parameters are those of `lbfgs.prepare`, and so are errors.
    """
    evidence = is_evidence(estimator.alpha)
    optimizers.check_numbers(estimator, ("tol",) if evidence else ("alpha", "tol"))
    params, units = estimator._parameters()
    name = estimator._loss_name()
    if name == "mean_squared_error":  # which is no sum over the outputs, as its gradient is
        name = "squared_error"
    if evidence and name != "squared_error":
        raise ValueError(
            f"alpha={estimator.alpha!r} is for loss='squared_error', and the loss is "
            f"{estimator.loss!r}"
        )
    options.check_curvature(name, False, "lm")
    check_memory(tuple(units.tolist()), X.shape[0], evidence=evidence)
    loss = lbfgs.mean_loss(estimator, units, X, y, sample_weight)
    dtype = np.dtype(np.float64)
    x = arrays.as_rows(X, units[0], dtype, to_train=True)
    targets = arrays.as_targets(estimator._smoothed(y), sample_weight, units[-1], dtype)
    numbers = estimator._loss_numbers(units[-1].item())
    step = options.new_step(
        name, solver="lm", learning_rate_init=1.0, batch_size=len(targets),
        alpha=lbfgs.penalty_of(estimator), loss_numbers=numbers,
    )  # fmt: skip
    search = EvidenceSearch if evidence else LevenbergMarquardt
    run = search(
        units, estimator._codes(len(units) - 1), step, dtype,
        n_threads=work.search_threads(
            units, len(targets), int(estimator.max_iter), estimator.n_jobs, evidence
        ),
        weighted=sample_weight is not None, options=options.check_options(dtype, _OPTIONS),
        loss_numbers=numbers, n_jobs=estimator.n_jobs,
        tol=0.0 if evidence else float(estimator.tol),
    )  # fmt: skip
    params = params.astype(np.float64)
    estimator._take_parameters(params, units)
    estimator._trained_on = trained_on(None, X.shape[0])
    return Prepared(run, params, X, x, targets, loss)


def train(estimator: Any, prepared: Prepared) -> None:
    """Fit the estimator's coefs_ and intercepts_.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
    prepared : Prepared

    Raises
    ------
    ValueError
        If the loss is not finite where the search begins; the parameters stay as they are. A
        callback that changes what the search does not take up is refused, too.
    """
    run, params, X, x, targets, loss = prepared
    units, followers = run.layer_units.tolist(), estimator._followers
    curve, stopped, no_grads = np.zeros(int(estimator.max_iter)), False, np.empty(0)
    fixed = Fixed(estimator, FIXED_BY_SEARCHES)
    estimator.n_iter_ = 0
    one_by_one = bool(followers) or vars(estimator).get("_over") is not None

    def data() -> tuple[Any, NDArray[Any]]:
        rows = X if hasattr(X, "tocsr") else arrays.as_type(params.dtype, X)
        return rows, targets[:, : units[-1]]

    def failed(error: FloatingPointError) -> ValueError:
        value = loss(params, no_grads)
        if math.isfinite(value):
            return ValueError(str(error))
        numbers = x.values if isinstance(x, SparseRows) else x
        return not_finite(True, value, False, advice(numbers, data()[1]))

    with followers.hear(params, units, None, data), run:
        run.begin(params, x, targets, curve)
        while run.epochs_done < len(curve) and not (run.over or stopped):
            look(estimator)
            followers.begin_step()
            try:
                run.until(run.epochs_done + 1 if one_by_one else len(curve))
            except FloatingPointError as error:
                raise failed(error) from None
            finally:
                estimator.n_iter_ = run.epochs_done
            if followers:
                last = run.over or run.epochs_done == len(curve)
                stopped = followers.end_step(
                    run.loss_reached, estimator.coefs_, estimator.intercepts_, last
                )
                followers.take_up_params(params, None)
                fixed.check()
        # of these parameters, not of those that a callback put there at the end
        if isinstance(run, EvidenceSearch) and run.is_at(params):
            try:
                found = run.evidence()._asdict()
            except FloatingPointError as error:
                raise failed(error) from None
            vars(estimator).update({name: found[name[:-1]] for name in OF_EVIDENCE})
        followers.end_steps()
    estimator.loss_ = np.float64(loss(params, no_grads))
    if not (run.over or stopped):
        warnings.warn(
            f"lm: maximum iterations ({estimator.max_iter}) reached and the optimization hasn't "
            "converged yet",
            ConvergenceWarning,
            stacklevel=2,
        )


def predict_with_deviations(estimator: Any, X: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """What a regressor predicts, and the standard deviations of targets, of the same shape.

    Raises
    ------
    ValueError
        If it was not fitted by evidence, or X is not valid.
    """
    predicted = estimator.predict(X)  # which says what is wrong with X
    if not has_evidence(estimator):
        raise ValueError("return_std needs a fit with alpha='evidence' before")
    if not shortcuts.fits(estimator, X):
        X = validate_data(estimator, X, accept_sparse="csr", reset=False)
    params, units = estimator._parameters()
    std = deviations(
        units, estimator._codes(len(units) - 1), params,
        {name[:-1]: getattr(estimator, name) for name in OF_EVIDENCE}, X,
    )  # fmt: skip
    return predicted, std.reshape(predicted.shape).astype(predicted.dtype)
