"""Losses and gradients of whole networks against the oracle."""

import itertools

import numpy as np
import pytest
from cases import (
    DENSE,
    EVERY_BUILD,
    assert_close,
    codes_of,
    every_net_and,
    loss_numbers,
    new_workspace,
    problem,
    step_of,
    units_of,
    with_weights,
)

from fastnn import reference
from fastnn.catalog import losses

LOG_LOSSES = pytest.mark.parametrize(
    "loss", [row.name for row in losses.LOSSES if row.uses_logits and row.high == 1]
)


def loss_and_grad(module, params, units, codes, x, y, **fields):
    """Value and gradient."""
    weighted = y.shape[1] > units[-1]
    workspace = new_workspace(module, units, len(y), x.dtype, weighted=weighted)
    grads = np.full_like(params, np.nan)
    numbers = loss_numbers(fields.get("loss", "squared_error"), int(units[-1]))
    step = step_of(**{"loss_numbers": numbers, **fields})
    value = module.loss_and_grad(params, units, codes, step, x, *DENSE, y, workspace, grads)
    nothing = np.empty(0, x.dtype)
    alone = module.loss_and_grad(params, units, codes, step, x, *DENSE, y, workspace, nothing)
    np.testing.assert_equal(alone, value)
    return value, grads


@every_net_and("n", [1, 7, 33, 500])
def test_loss_and_grad(kernels, dtype, net, n, rng):
    units, codes = units_of(*net[0]), codes_of(*net[1])
    params, x, y = problem(rng, dtype, units, n, net[2])
    for alpha, targets in itertools.product((0.0, 0.5), (y, with_weights(rng, y))):
        args = (params, units, codes, x, targets)
        value, got = loss_and_grad(kernels, *args, loss=net[2], alpha=alpha)
        expected, want = loss_and_grad(reference, *args, loss=net[2], alpha=alpha)
        # activations are of order 1, and a loss may be a small difference of theirs
        assert_close(np.array([value]), np.array([expected]), dtype, n * units.max(), floor=0.1)
        assert_close(got, want, dtype, n * units.max())


def outputs_loss(module, dtype, loss, z, y, weights=None):
    """The loss of one sample a row, with weighted sums z, through a net that passes z on."""
    n_outputs = z.shape[1]
    codes = codes_of(losses.BY_NAME[loss].out_activation or "identity")
    params = np.concatenate([np.eye(n_outputs).ravel(), np.zeros(n_outputs)]).astype(dtype)
    y = y if weights is None else np.column_stack([y, weights])
    args = (params, units_of(n_outputs, n_outputs), codes, z.astype(dtype), y.astype(dtype))
    return loss_and_grad(module, *args, loss=loss)


def exact_loss(loss, z, y):
    """Per row, in the widest type."""
    z, y = z.astype(np.longdouble), y.astype(np.longdouble)
    if loss == "binary_log_loss":
        # log(1 + e^z) - y z, with the larger of the two terms 1 and e^z taken out
        return (np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z))) - y * z).sum(axis=1)
    top = z.max(axis=1, keepdims=True)
    return (y * (top + np.log(np.exp(z - top).sum(axis=1, keepdims=True)) - z)).sum(axis=1)


@EVERY_BUILD
@pytest.mark.parametrize(
    "loss", [row.name for row in losses.LOSSES if row.out_activation in ("sigmoid", "softmax")]
)
def test_500_where_the_logits_say_500(module, dtype, loss):
    """Or, of clipped probabilities, 15.9 in float32 and 36.0 in float64, as scikit-learn's."""
    z, y = np.array([[500.0, 0.0]]), np.array([[0.0, 1.0]])
    value, _ = outputs_loss(module, dtype, loss, z, y)
    want = 500 if losses.BY_NAME[loss].uses_logits else -np.log(np.finfo(dtype).eps)
    if losses.BY_NAME[loss].out_activation == "sigmoid":
        want += np.log(2)  # of the second output
    np.testing.assert_allclose(value, want, rtol=4 * np.finfo(dtype).eps)


@EVERY_BUILD
@LOG_LOSSES
@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0, 1e3, 1e30])
@pytest.mark.parametrize("n_outputs", [1, 2, 3, 17])
def test_log_losses_of_logits_are_exact(module, dtype, loss, scale, n_outputs, rng):
    """Row by row: hard, soft and weighted targets, logits of every size."""
    n = 12
    z = (scale * rng.randn(n, n_outputs)).astype(dtype)
    if loss == "log_loss":
        hard = np.eye(n_outputs)[rng.randint(n_outputs, size=n)]
        soft = rng.dirichlet(np.ones(n_outputs), size=n)
    else:
        hard, soft = rng.randint(2, size=(n, n_outputs)), rng.rand(n, n_outputs)
    for y in (hard.astype(dtype), soft.astype(dtype)):
        want = exact_loss(loss, z, y)
        weights = rng.exponential(size=n).astype(dtype)
        # a term's rounding: of the logits' size where its parts cancel
        bound = 8 * np.finfo(dtype).eps * (1 + n_outputs) * (1 + np.abs(z).max())
        for i in range(n):
            value, _ = outputs_loss(module, dtype, loss, z[i : i + 1], y[i : i + 1])
            assert abs(value - want[i]) <= bound
        value, _ = outputs_loss(module, dtype, loss, z, y)
        assert abs(value - want.mean()) <= bound
        value, _ = outputs_loss(module, dtype, loss, z, y, weights)
        assert abs(value - np.average(want.astype(float), weights=weights)) <= 2 * bound


@EVERY_BUILD
@LOG_LOSSES
def test_a_sure_and_right_network_has_a_small_loss(module, dtype, loss):
    """Relative accuracy where nothing cancels: e^-8 for logits 8 apart."""
    z, y = np.array([[8.0, 0.0]]), np.array([[1.0, 0.0]])
    if loss == "binary_log_loss":
        z = np.array([[8.0, -8.0]])
    value, _ = outputs_loss(module, dtype, loss, z, y)
    want = float(exact_loss(loss, z, y)[0])
    assert abs(value - want) <= 4 * np.finfo(dtype).eps


@EVERY_BUILD
def test_infinite_logits(module, dtype):
    """Of outputs that are surely right the loss is 0, of others infinite; it is never NaN."""
    inf = np.inf
    for loss, z, y, want in (
        ("binary_log_loss", [inf, -inf], [1, 0], 0),
        ("binary_log_loss", [inf, -inf], [1, 1], inf),
        ("binary_log_loss", [inf, 0], [0, 0], inf),
        ("log_loss", [0, -inf], [1, 0], 0),
        ("log_loss", [0, -inf], [0, 1], inf),
        ("poisson", [-inf, -inf], [0, 0], 0),
        ("poisson", [-inf, 0], [1, 1], inf),
        ("poisson", [inf, 0], [2, 1], inf),
        ("poisson", [inf, -inf], [0, 0], inf),
    ):
        # through a net whose only input is 1: infinity times the others' 0 would be NaN
        intercepts = np.nan_to_num(np.array(z, dtype))
        params = np.concatenate([intercepts * 0 + np.sign(intercepts), intercepts]).astype(dtype)
        x = np.full((1, 1), np.finfo(dtype).max, dtype)
        codes = codes_of(losses.BY_NAME[loss].out_activation)
        value, _ = loss_and_grad(
            module, params, units_of(1, 2), codes, x, np.array([y], dtype), loss=loss
        )
        assert value == want


@LOG_LOSSES
def test_losses_of_logits_and_clipped_ones_differ_in_value_only(kernels, dtype, loss, rng):
    name = f"clipped_{loss}"
    for weighted in (False, True):
        units, codes = units_of(4, 33, 3), codes_of("relu", losses.BY_NAME[loss].out_activation)
        params, x, y = problem(rng, dtype, units, 67, loss)
        y = with_weights(rng, y) if weighted else y
        value, got = loss_and_grad(kernels, params, units, codes, x, y, loss=loss)
        other, want = loss_and_grad(kernels, params, units, codes, x, y, loss=name)
        np.testing.assert_array_equal(got, want)
        np.testing.assert_allclose(value, other, rtol=16 * np.finfo(dtype).eps)
        # where the network is wrong and sure, one is capped
        params *= 1000
        value, got = loss_and_grad(kernels, params, units, codes, x, y, loss=loss)
        other, want = loss_and_grad(kernels, params, units, codes, x, y, loss=name)
        np.testing.assert_array_equal(got, want)
        assert value > 5 * other


@EVERY_BUILD
@pytest.mark.parametrize("y", [0, 1e-3, 1, 3, 1e6])
def test_poisson_is_exact(module, dtype, y):
    """For sums of every size, with exp(z) far below and above the numbers of the type."""
    eps, high = np.finfo(dtype).eps, float(np.log(np.finfo(dtype).max))
    near = [0, np.log(y)] if y else [0]
    for z in [-1e30, -1e4, -200, *np.linspace(-1.5 * high, high - 1, 300), *near]:
        z, y = dtype.type(z), dtype.type(y)
        wide, t = np.longdouble(z), np.longdouble(y)
        value, _ = outputs_loss(module, dtype, "poisson", np.array([[z]]), np.array([[y]]))
        want = np.exp(wide) - t + (t * (np.log(t) - wide) if t else 0)
        # a is within 4 ulp; the quotient and its logarithm are each rounded
        size = 4 * np.exp(wide) + t * (8 + (abs(np.log(t) - wide) if t else 0))
        assert abs(value - want) <= 2 * eps * size + np.finfo(dtype).tiny
    _, grads = outputs_loss(module, dtype, "poisson", np.array([[-1e4]]), np.array([[y]]))
    assert grads[1] == -y
    above = np.nextafter(dtype.type(high), dtype.type(np.inf)) + 1
    for z in (above, 200 + above, np.finfo(dtype).max):
        value, _ = outputs_loss(module, dtype, "poisson", np.array([[z]]), np.array([[y]]))
        assert value == np.inf


@EVERY_BUILD
def test_poisson_of_values_where_exp_leaves_the_range(module, dtype):
    """0 log 0 is 0; a rate of 0 for what happened, or an infinite one, is no finite loss."""
    cases = [(-1e4, 0, 0), (-1e4, 2, np.inf), (1e4, 0, np.inf), (1e4, 2, np.nan), (0, 1, 0)]
    for z, y, want in cases:
        z, y = np.array([[z]]), np.array([[y]])
        value, _ = outputs_loss(module, dtype, "poisson_of_values", z, y)
        np.testing.assert_equal(value, want)


def test_poisson_and_that_of_values_are_the_same_within_the_range(kernels, dtype, rng):
    units, codes = units_of(4, 33, 3), codes_of("relu", "exp")
    params, x, y = problem(rng, dtype, units, 67, "poisson")
    for targets in (y, with_weights(rng, y)):
        args = (kernels, params, units, codes, x, targets)
        value, grads = loss_and_grad(*args, loss="poisson")
        other, same = loss_and_grad(*args, loss="poisson_of_values")
        assert value == other
        np.testing.assert_array_equal(grads, same)


def test_mean_squared_error_differs_from_squared_error_in_what_it_reports(kernels, dtype, rng):
    units, codes = units_of(4, 33, 3), codes_of("relu", "tanh")
    params, x, y = problem(rng, dtype, units, 67, "squared_error")
    args = (kernels, params, units, codes, x, y)
    value, grads = loss_and_grad(*args, loss="squared_error")
    mean, same = loss_and_grad(*args, loss="mean_squared_error")
    np.testing.assert_allclose(mean, value / 3, rtol=1e-15)
    np.testing.assert_array_equal(grads, same)


@EVERY_BUILD
def test_without_weight_the_mean_is_not_a_number(module, dtype, rng):
    units, codes = units_of(3, 5, 2), codes_of("tanh", "identity")
    params, x, y = problem(rng, dtype, units, 7, "squared_error")
    y = np.hstack([y, np.zeros((7, 1), dtype)])
    value, grads = loss_and_grad(module, params, units, codes, x, y)
    assert np.isnan(value)
    assert np.isnan(grads).all()


ERRORS = {
    "absolute_error": (np.abs, np.sign),
    "huber": (
        lambda d: np.where(
            np.abs(d) <= 0.1, d * d / 2, 0.1 * (np.abs(d) - np.longdouble(0.1) / 2)
        ),
        lambda d: np.clip(d, -0.1, 0.1),
    ),
    "quantile": (
        lambda d: np.maximum(-np.longdouble(0.1) * d, (1 - np.longdouble(0.1)) * d),
        lambda d: np.where(d > 0, 0.9, np.where(d < 0, -0.1, 0)),
    ),
    "log_cosh": (
        lambda d: np.where(
            np.abs(d) < 1,
            np.log1p(2 * np.sinh(np.clip(d, -1, 1) / 2) ** 2),
            np.abs(d) + np.log1p(np.exp(-2 * np.abs(d))) - np.log(np.longdouble(2)),
        ),
        np.tanh,
    ),
}


@EVERY_BUILD
@pytest.mark.parametrize("loss", ERRORS)
def test_losses_of_errors_are_exact(module, dtype, loss):
    """Relative accuracy for errors of every size, of value and derivative."""
    sizes = [
        0,
        1e-15,
        1e-4,
        0.01,
        0.0999,
        0.1,
        0.1001,
        0.5,
        0.84,
        0.85,
        0.86,
        0.99,
        1,
        1.01,
        3,
        40,
    ]
    sizes += [1e3, 1e15, *np.linspace(0.01, 3, 60)]
    value_of, derivative_of = ERRORS[loss]
    for d in (dtype.type(sign * size) for size in sizes for sign in (1, -1)):
        value, grads = outputs_loss(module, dtype, loss, np.array([[d]]), np.zeros((1, 1)))
        wide = np.longdouble(d)
        # the numbers 0.1 and 0.9 are rounded, too
        bound = 16 * np.finfo(dtype).eps
        assert abs(value - value_of(wide)) <= bound * value_of(wide) + np.finfo(dtype).tiny
        want = derivative_of(wide)
        assert abs(grads[1] - want) <= bound * abs(want)


@EVERY_BUILD
@pytest.mark.parametrize("loss", [*ERRORS, "gamma"])
def test_what_is_no_number_has_no_loss(module, dtype, loss):
    for z, y in ((np.nan, 1), (0, np.nan)):
        value, grads = outputs_loss(module, dtype, loss, np.array([[z]]), np.array([[y]]))
        assert np.isnan(value)
        assert np.isnan(grads).all()


@EVERY_BUILD
@pytest.mark.parametrize("y", [1e-30, 1e-3, 1, 3, 1e6, 1e30])
def test_gamma_is_exact(module, dtype, y):
    """With y / a inside and far outside of the type's numbers."""
    eps, high = np.finfo(dtype).eps, float(np.log(np.finfo(dtype).max))
    for z in [-300, *np.linspace(-1.5 * high, 1.5 * high, 301), 1e4, 1e30, np.log(y)]:
        z, y = dtype.type(z), dtype.type(y)
        logs = np.log(np.longdouble(y)) - np.longdouble(z)
        value, grads = outputs_loss(module, dtype, "gamma", np.array([[z]]), np.array([[y]]))
        want, slope = np.exp(logs) - 1 - logs, 1 - np.exp(logs)
        if want > np.finfo(dtype).max:
            assert value > float(np.finfo(dtype).max)  # the oracle has doubles
            continue
        # where y / a leaves the type, it comes from the difference of two logarithms
        size = (8 + 2 * (abs(np.log(np.longdouble(y))) + abs(z))) * (1 + np.exp(logs)) + abs(logs)
        assert abs(value - want) <= 2 * eps * size
        assert abs(grads[1] - slope) <= 2 * eps * size
    for z in (-np.finfo(dtype).max, np.finfo(dtype).max):
        value, _ = outputs_loss(module, dtype, "gamma", np.array([[z]]), np.array([[y]]))
        assert value >= np.finfo(dtype).max / 2
    for y, want in ((0, np.inf), (-1, np.nan)):
        value, _ = outputs_loss(module, dtype, "gamma", np.zeros((1, 1)), np.array([[y]]))
        np.testing.assert_equal(value, want)


@pytest.mark.parametrize("weighted", [False, True])
def test_given_derivatives(kernels, dtype, weighted, rng):
    """Those of squared_error, given, train as squared_error does; absent samples add nothing."""
    units, codes = units_of(4, 33, 3), codes_of("relu", "silu")
    params, x, y = problem(rng, dtype, units, 67, "squared_error")
    weights = with_weights(rng, y)[:, 3:]
    out = np.empty((67, 3), dtype)
    z_codes = codes_of("relu", "silu")
    a = reference_outputs(params, units, z_codes, x, out)
    given = np.hstack([a - y, weights]) if weighted else a - y
    y = np.hstack([y, weights]) if weighted else y
    value, got = loss_and_grad(kernels, params, units, codes, x, given, loss="given")
    _, want = loss_and_grad(kernels, params, units, codes, x, y, loss="squared_error")
    assert value == 0
    assert_close(got, want, dtype, 67 * 33)


def reference_outputs(params, units, codes, x, out):
    reference.forward(params, units, codes, x, *DENSE, None, out)
    return out
