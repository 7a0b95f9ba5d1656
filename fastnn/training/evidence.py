"""Bayesian regularisation: penalty and noise from the data themselves, as a fit goes on.

The loss is half the squared error, plus for each layer alpha / 2 times the sum of its squared
parameters: targets with noise of variance s, and the parameters of each layer drawn with a
variance of s / alpha (MacKay, 1992, who gives each layer its own). After every step, alpha and s
become what makes the data most probable, with the Gauss-Newton matrix for the Hessian (Foresee and
Hagan, 1997). Where two layers do what one could, their alphas drift against each other for ever,
and away from the highest evidence: the search goes back to that in the end.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn import kernels
from fastnn.catalog import losses
from fastnn.data.rows import Rows, as_rows
from fastnn.parameters import shapes_of
from fastnn.training.second_order import LevenbergMarquardt, Reached

_FIRST_ALPHA = 0.01  # times the targets' variance; of the output's coefs, which scale with y
_FIRST_EPOCHS = 5  # with the first alphas: what has not learnt yet would be pruned
_SETTLED = 1e-3  # alphas that change by less than this share ...
_LITTLE = 1e-6  # ... with steps that lower the loss by less than this one: the search is over,
_RISE, _PATIENCE = 0.01, 60  # and where the logarithm rises by less in so many steps
_RANGE = 1e12  # alphas stay within this factor of the first
_BLOCK = 20_000_000  # multiply-adds of standard deviations at a time
_TINY = float(np.finfo(np.float64).tiny)


class Evidence(NamedTuple):
    """What the data say of a network."""

    alphas: tuple[float, ...]  # of each layer's coefs
    effective_parameters: float  # that the data determine, not the penalty
    noise_variance: float
    log_evidence: float  # but for a constant
    covariance: NDArray[np.float64] | None = None  # of the parameters, at the end


def deviations(
    units: NDArray[np.intp],
    codes: NDArray[np.int32],
    params: NDArray[Any],
    found: Mapping[str, Any],
    x: Any,
) -> NDArray[np.float64]:
    """Standard deviations of targets at rows, which are checked, (n, n_outputs).

    Parameters
    ----------
    units : ndarray of intp, (n_layers + 1,)
    codes : ndarray of int32, (n_layers,)
    params : ndarray, (n_params,)
    found : mapping
        Fields of `Evidence`: covariance and noise_variance.
    x : ndarray or sparse matrix, (n, units[0])
    """
    params, covariance = params.astype(np.float64), found["covariance"]
    variances = np.empty((x.shape[0], units[-1].item()))
    size = max(1, _BLOCK // covariance.size)  # so that Ctrl-C is answered, and memory is little
    for start in range(0, x.shape[0], size):
        rows = x[start : start + size]
        rows = np.ascontiguousarray(
            rows.toarray() if hasattr(rows, "toarray") else rows, np.float64
        )
        slopes = _jacobian(units, codes, params, rows)
        # einsum by itself uses no BLAS, whose bits may differ
        spread = np.einsum("ij,ij->i", np.einsum("ij,jk->ik", slopes, covariance), slopes)
        variances[start : start + size] = spread.reshape(len(rows), -1)
    variances += found["noise_variance"]
    result: NDArray[np.float64] = np.sqrt(np.maximum(variances, 0))
    return result


def _jacobian(
    units: NDArray[np.intp],
    codes: NDArray[np.int32],
    params: NDArray[np.float64],
    rows: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The derivatives of the outputs by the parameters, (n n_outputs, n_params)."""
    build, targets = kernels.build, np.zeros((len(rows), units[-1].item()))
    size = build.normal_equations_size(units, len(rows), False)
    step = kernels.step_bytes(kernels.new_step(loss=losses.CODES["squared_error"]))
    equations = build.NormalEquations(
        units, codes, step, *as_rows(rows), targets, kernels.aligned_empty(size)
    )
    slopes: NDArray[np.float64] = equations.jacobian(params)[0]
    return slopes


class EvidenceSearch(LevenbergMarquardt):
    """Levenberg-Marquardt whose penalty follows the evidence; parameters are those of `Search`.

    A layer's penalty is of its coefs and, but for the output, its intercepts. Weights of samples
    count relatively: they are scaled to add up to the samples that have any.
    """

    _may_be_dual = False  # it weighs the inverse of the matrix of parameters

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        shapes = shapes_of(tuple(self.layer_units.tolist()))
        # the layer of each parameter; -1: the output's intercepts
        layers = [np.full(math.prod(s), i // 2) for i, s in enumerate(shapes)]
        layers[-1][:] = -1
        self._layer = np.concatenate(layers)
        self._n_params = np.bincount(self._layer + 1)[1:]
        self._found: Evidence | None = None
        self._first: NDArray[np.float64] = np.empty(0)
        self._best: tuple[Reached, Evidence] | None = None  # of the highest evidence
        self._without_rise = 0

    def _begin(self, x: Rows, y: NDArray[Any], curve: NDArray[np.float64], first: int) -> None:
        if self._weighted:
            y = y.copy()
            y[:, -1] *= np.count_nonzero(y[:, -1]) / y[:, -1].sum()
        super()._begin(x, y, curve, first)
        self._best, self._without_rise = None, 0
        # the variance of the targets, which is what the output's coefs scale with
        n = self.layer_units[-1].item()
        weights = y[:, -1] if self._weighted else np.ones(len(y))
        centred = y[:, :n] - np.average(y[:, :n], axis=0, weights=weights)
        variance = float(np.average((centred**2).mean(axis=1), weights=weights))
        size = variance if variance > 0 else float((y[:, :n] ** 2).mean()) or 1.0
        self._first = np.full(len(self._n_params), _FIRST_ALPHA * size)
        self._first[-1] = _FIRST_ALPHA  # times that variance, over that of the coefs

    def is_at(self, params: NDArray[Any]) -> bool:
        """Whether these are what the search came to."""
        return bool(np.array_equal(params, self._reached.params))

    def evidence(self) -> Evidence:
        """What is known where the search stands, with the covariance of the parameters.

        Raises
        ------
        FloatingPointError
            If the matrix has no inverse in float64.
        """
        params = self._reached.params
        self._equations.sum(params)
        before = self._alphas()
        self._equations.penalise(params, self._strengths(before))
        found, inverse = self._weigh(params, before)
        return found._replace(covariance=found.noise_variance * inverse)

    def _alphas(self) -> tuple[float, ...]:
        return tuple(self._first.tolist()) if self._found is None else self._found.alphas

    def _strengths(self, alphas: tuple[float, ...]) -> NDArray[np.float64]:
        """The alpha of each parameter, 0 for the output's intercepts."""
        strengths: NDArray[np.float64] = np.array([0.0, *alphas])[self._layer + 1]
        return strengths

    def _squares(self, params: NDArray[np.float64]) -> NDArray[np.float64]:
        """The sum of each layer's squared parameters."""
        squares: Any = np.bincount(self._layer + 1, params**2)
        of_layers: NDArray[np.float64] = squares[1:]
        return of_layers

    def _weigh(
        self, params: NDArray[np.float64], alphas: tuple[float, ...]
    ) -> tuple[Evidence, NDArray[np.float64]]:
        """The most probable alphas and noise, from equations that have these alphas' penalty."""
        equations, n = self._equations, self._equations.weight * self.layer_units[-1].item()
        inverse = np.empty((len(params), len(params)))
        floor = np.finfo(np.float64).eps * equations.scale * len(params)
        log_determinant = equations.inverse(0.0, inverse)
        if log_determinant is None:
            log_determinant = equations.inverse(floor, inverse)
        if log_determinant is None or not np.isfinite(inverse).all():
            raise self._diverged("the second derivatives of the loss have no inverse in float64")
        variances: Any = np.bincount(self._layer + 1, np.diag(inverse))
        determined = np.clip(self._n_params - np.array(alphas) * variances[1:], 0, self._n_params)
        effective = float(determined.sum()) + self.layer_units[-1].item()  # free intercepts
        squared_errors = 2 * self._loss(params, np.empty(0)) * equations.weight
        noise = max(squared_errors / max(n - effective, 1e-3 * n), _TINY)
        squares = np.maximum(self._squares(params), _TINY)
        new = np.clip(determined * noise / squares, self._first / _RANGE, self._first * _RANGE)
        penalty = float((np.array(alphas) * squares).sum())
        ratios = np.log(np.array(alphas) / noise)
        log_evidence = 0.5 * (
            float((self._n_params * ratios).sum())
            - (squared_errors + penalty) / noise
            - log_determinant
            + (len(params) - n) * math.log(noise)
        )
        return Evidence(tuple(new.tolist()), effective, noise, log_evidence), inverse

    def _total(self, params: NDArray[np.float64], alphas: tuple[float, ...]) -> float:
        """The mean loss, with the penalty."""
        penalty = float((np.array(alphas) * self._squares(params)).sum()) / 2
        total: float = self._loss(params, np.empty(0)) + penalty / self._equations.weight
        return total

    def _iterate(self) -> None:
        """One epoch: alphas and noise anew, but for the first few, and a step."""
        equations, at = self._equations, self._reached
        if not math.isfinite(self._loss(at.params, np.empty(0))):
            raise self._diverged()
        before = alphas = self._alphas()
        equations.sum(at.params)
        equations.penalise(at.params, self._strengths(before))
        found, settled = self._found or Evidence(alphas, math.nan, math.nan, math.nan), False
        if self.epochs_done >= _FIRST_EPOCHS:
            found, _ = self._weigh(at.params, before)
            alphas = found.alphas
            equations.penalise(at.params, self._strengths(alphas) - self._strengths(before))
            settled = max(abs(a / b - 1) for a, b in zip(alphas, before, strict=True)) < _SETTLED
            self._without_rise += 1
            if self._best is None or found.log_evidence > self._best[1].log_evidence + _RISE:
                self._best, self._without_rise = (at, found), 0
        loss = self._total(at.params, alphas)
        reached = self._step(at, loss, lambda params: self._total(params, alphas))
        little = not loss - reached.loss > _LITTLE * loss
        self._curve[at.epoch] = loss
        over = (settled and little) or self._without_rise >= _PATIENCE
        if self._best is not None and (over or at.epoch + 1 == len(self._curve)):
            if self._best[1].log_evidence > found.log_evidence + _RISE:
                reached, found = self._best
        self._found = found
        self._reached = reached._replace(epoch=at.epoch + 1, steps=at.steps + 1, over=over)
