"""Bayesian regularisation: penalty and noise from the data themselves, as a fit goes on.

The loss is half the squared error, plus for each layer alpha / 2 times the sum of its squared
coefs: targets with noise of variance s, and coefs of each layer drawn with a variance of s / alpha
(MacKay, 1992, who gives each layer its own). After every step, alpha and s become what makes the
data most probable, with the Gauss-Newton matrix for the Hessian (Foresee and Hagan, 1997).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn import kernels
from fastnn.catalog import losses
from fastnn.data.rows import as_rows
from fastnn.parameters import shapes_of
from fastnn.training.second_order import LevenbergMarquardt

if TYPE_CHECKING:
    from fastnn.network import Network

_FIRST_ALPHA = 0.01  # times the mean squared error at the start
_SETTLED = 1e-3  # alphas that change by less than this share ...
_LITTLE = 1e-6  # ... with steps that lower the loss by less than this one: the search is over
_RANGE = 1e8  # alphas stay within this factor of the first


class Evidence(NamedTuple):
    """What the data say of a network."""

    alphas: tuple[float, ...]  # of each layer's coefs
    effective_parameters: float  # that the data determine, not the penalty
    noise_variance: float
    covariance: NDArray[np.float64] | None = None  # of the parameters, at the end


def deviations(net: Network, x: NDArray[Any]) -> NDArray[Any]:
    """Standard deviations of targets at the rows x, which are checked, (n, n_outputs).

    Raises
    ------
    ValueError
        If the network was not fitted by evidence.
    """
    evidence = net._evidence
    if evidence is None:
        raise ValueError('return_std needs a fit with alpha="evidence" before')
    build, n_outputs = kernels.build, net.layer_units[-1]
    rows = np.ascontiguousarray(x, np.float64)
    nothing = np.zeros((len(rows), n_outputs))
    size = build.normal_equations_size(net._units, len(rows), False)
    step = kernels.step_bytes(kernels.new_step(loss=losses.CODES["squared_error"]))
    equations = build.NormalEquations(
        net._units, net._codes, step, *as_rows(rows), nothing, kernels.aligned_empty(size)
    )
    slopes, _ = equations.jacobian(net.params_.astype(np.float64))
    # einsum by itself uses no BLAS, whose bits may differ
    spread = np.einsum("ij,ij->i", np.einsum("ij,jk->ik", slopes, evidence["covariance"]), slopes)
    variances = spread.reshape(len(rows), n_outputs) + evidence["noise_variance"]
    result: NDArray[Any] = np.sqrt(np.maximum(variances, 0)).astype(net.dtype)
    return result


class EvidenceSearch(LevenbergMarquardt):
    """Levenberg-Marquardt whose penalty follows the evidence; parameters are those of `Search`."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        shapes = shapes_of(tuple(self.layer_units.tolist()))
        # the layer of each coef; -1: an intercept
        self._layer = np.concatenate(
            [np.full(math.prod(s), -1 if i % 2 else i // 2) for i, s in enumerate(shapes)]
        )
        self._n_coefs = np.bincount(self._layer + 1)[1:]
        self._found: Evidence | None = None

    def evidence(self) -> Evidence:
        """What is known where the search stands, with the covariance of the parameters.

        Raises
        ------
        FloatingPointError
            If the matrix has no inverse in float64.
        """
        params = self._reached.params
        self._equations.sum(params)
        before = self._alphas(params)
        self._equations.penalise(params, self._strengths(before))
        found, inverse = self._weigh(params, before)
        return found._replace(covariance=found.noise_variance * inverse)

    def _alphas(self, params: NDArray[np.float64]) -> tuple[float, ...]:
        if self._found is not None:
            return self._found.alphas
        mean_squares = 2 * self._loss(params, np.empty(0)) / self.layer_units[-1].item()
        first = max(_FIRST_ALPHA * mean_squares, np.finfo(np.float64).tiny)
        self._found = Evidence((first,) * len(self._n_coefs), math.nan, math.nan)
        self._first = first
        return self._found.alphas

    def _strengths(self, alphas: tuple[float, ...]) -> NDArray[np.float64]:
        """The alpha of each parameter, 0 for intercepts."""
        strengths: NDArray[np.float64] = np.array([0.0, *alphas])[self._layer + 1]
        return strengths

    def _squares(self, params: NDArray[np.float64]) -> NDArray[np.float64]:
        """The sum of each layer's squared coefs."""
        squares: Any = np.bincount(self._layer + 1, params**2)
        of_layers: NDArray[np.float64] = squares[1:]
        return of_layers

    def _weigh(
        self, params: NDArray[np.float64], alphas: tuple[float, ...]
    ) -> tuple[Evidence, NDArray[np.float64]]:
        """The most probable alphas and noise, from equations that have these alphas' penalty."""
        equations, n = self._equations, self._equations.weight * self.layer_units[-1].item()
        inverse = np.empty((len(params), len(params)))
        floor = np.finfo(np.float64).eps * equations.largest * len(params)
        if equations.inverse(0.0, inverse) is None and equations.inverse(floor, inverse) is None:
            raise FloatingPointError(
                "the second derivatives of the loss have no inverse in float64: scale X and y to "
                "mean 0 and variance 1, or give alpha a number"
            )
        variances = np.bincount(self._layer + 1, np.diag(inverse))[1:]
        determined = np.clip(self._n_coefs - np.array(alphas) * variances, 0, self._n_coefs)
        # intercepts have no penalty
        effective = float(determined.sum()) + len(params) - int(self._n_coefs.sum())
        squared_errors = 2 * self._loss(params, np.empty(0)) * equations.weight
        noise = squared_errors / max(n - effective, 1e-3 * n)
        squares = np.maximum(self._squares(params), np.finfo(np.float64).tiny)
        new = np.clip(determined * noise / squares, self._first / _RANGE, self._first * _RANGE)
        return Evidence(tuple(new.tolist()), effective, noise), inverse

    def _total(self, params: NDArray[np.float64], alphas: tuple[float, ...]) -> float:
        """The mean loss, with the penalty."""
        penalty = float((np.array(alphas) * self._squares(params)).sum()) / 2
        total: float = self._loss(params, np.empty(0)) + penalty / self._equations.weight
        return total

    def _iterate(self) -> None:
        """One epoch: alphas and noise anew, but for the first, and a step."""
        equations, at = self._equations, self._reached
        if not math.isfinite(self._loss(at.params, np.empty(0))):
            raise self._diverged()
        first = self._found is None
        before = alphas = self._alphas(at.params)
        equations.sum(at.params)
        equations.penalise(at.params, self._strengths(before))
        settled = False
        if not first:
            found, _ = self._weigh(at.params, before)
            alphas = found.alphas
            equations.penalise(at.params, self._strengths(alphas) - self._strengths(before))
            settled = max(abs(a / b - 1) for a, b in zip(alphas, before, strict=True)) < _SETTLED
            self._found = found
        loss = self._total(at.params, alphas)
        reached = self._step(at, loss, lambda params: self._total(params, alphas))
        little = not loss - reached.loss > _LITTLE * loss
        self._curve[at.epoch] = loss
        self._reached = reached._replace(
            epoch=at.epoch + 1, steps=at.steps + 1, over=settled and little
        )
