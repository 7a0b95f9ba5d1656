"""What fills vectors up is zero, takes part in no sum, and changes no result.

Packed parameters and the solver's states are padded to whole panels of outputs; tiles of samples
are padded with copies of the last row.
"""

import numpy as np
import pytest
from cases import (
    DENSE,
    EVERY_NET_AND_SOLVER,
    NO_ORDER,
    SOLVERS,
    aligned_zeros,
    codes_of,
    new_workspace,
    problem,
    run,
    step_of,
    units_of,
)
from conftest import SIZES

from fastnn import kernels as builds
from fastnn import reference

WIDTHS = ((3, 5, 9, 2), ("tanh", "tanh", "identity"), "squared_error")


def padding_of(module, units, dtype):
    """Which packed numbers stand for no parameter."""
    units = units_of(*units)
    codes = codes_of(*["identity"] * (len(units) - 1))
    packed = aligned_zeros(module.packed_size(units, dtype.itemsize), dtype)
    workspace = new_workspace(module, units, 1, dtype)
    ones = np.ones(reference.packed_size(units, 8), dtype)
    module.pack(ones, units, codes, workspace, packed)
    return packed == 0


@EVERY_NET_AND_SOLVER
def test_padding_stays_zero(kernels, dtype, net, solver, rng):
    """Of parameters and of states, whatever the batch."""
    padding = padding_of(kernels, net[0], dtype)
    assert padding.any()
    for n, batch_size in [(33, 33), (500, 500), (67, 16)]:
        params, x, y = problem(rng, dtype, units_of(*net[0]), n, net[2])
        args = (kernels, dtype, net, params, x, y, solver, batch_size, NO_ORDER, 2)
        for options in ({"alpha": 0.1}, {"epsilon": 0.0}, {"n_threads": 2}):
            packed = run(*args, **options).packed
            if solver == "rprop":  # its step sizes, which nothing in the padding makes use of
                packed = packed[[0, 2]]
            assert not packed[:, padding].any()


@pytest.mark.parametrize("epsilon", [0.0, 5e-324, 1e-46, 1e-300, 1e-30])
@pytest.mark.parametrize("alpha", [0.0, 0.1])
def test_a_tiny_epsilon_trains(kernels, dtype, epsilon, alpha, rng):
    """One that rounds to 0 made NaN of the padding, which the penalty and all_finite summed."""
    params, x, y = problem(rng, dtype, units_of(*WIDTHS[0]), 33, WIDTHS[2])
    args = (dtype, WIDTHS, params, x, y, "adam", 33, NO_ORDER, 3)
    got = run(kernels, *args, epsilon=epsilon, alpha=alpha)
    want = run(reference, *args, epsilon=epsilon, alpha=alpha)
    assert got.cursor[3] == want.cursor[3] == builds.FINISHED
    assert kernels.all_finite(got.packed.ravel())
    tolerance = 1e-9 if dtype == np.float64 else 1e-3
    np.testing.assert_allclose(got.curve, want.curve, rtol=tolerance)
    np.testing.assert_allclose(got.params, want.params, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_unit_that_learns_nothing_keeps_its_parameters(kernels, dtype, solver, rng):
    """A gradient of exactly 0 is what padding has, too."""
    net = ((3, 5, 2), ("relu", "identity"), "squared_error")
    params, x, y = problem(rng, dtype, units_of(*net[0]), 33, net[2])
    params[15:20] = -100  # the intercepts of the hidden layer: all units dead
    for module in (kernels, reference):
        got = run(module, dtype, net, params, x, y, solver, 33, NO_ORDER, 3, epsilon=0.0)
        np.testing.assert_array_equal(got.params[:20], params[:20])
        assert got.cursor[3] == builds.FINISHED


@pytest.mark.parametrize("net", [
    ((1, 3), ("identity",), "squared_error"),
    ((1, 3), ("relu",), "squared_error"),
    ((1, 3), ("silu",), "squared_error"),
    ((1, 3, 2), ("relu", "identity"), "squared_error"),
    ((1, 40, 3), ("relu", "identity"), "squared_error"),
], ids=str)  # fmt: skip
@pytest.mark.parametrize("n", SIZES[:8])
def test_absent_samples_add_nothing_where_sums_are_infinite(kernels, dtype, net, n, rng):
    """The last row, which absent samples repeat, overflows: gradients are those of the oracle.

    A delta of infinity - infinity among the absent ones made NaN of an infinite gradient. Behind a
    hidden layer they still do, as 0 times infinity, but of nothing finite: only scikit-learn's way
    trains on then, and its next loss is not finite either.
    """
    units, codes = units_of(*net[0]), codes_of(*net[1])
    params = np.full(reference.packed_size(units, 8), 2, dtype)
    big = np.finfo(dtype).max
    x, y = np.ones((n, 1), dtype), np.zeros((n, net[0][-1]), dtype)
    x[-1] = big
    for weighted in (False, True):
        if weighted:
            y = np.hstack([y, np.ones((n, 1), dtype)])
        grads = []
        for module in (kernels, reference):
            workspace = new_workspace(module, units, n, dtype, weighted=weighted)
            grads.append(np.empty_like(params))
            value = module.loss_and_grad(
                params, units, codes, step_of(), x, *DENSE, y, workspace, grads[-1]
            )
            assert value == np.inf
        finite = np.isfinite(grads[1])
        np.testing.assert_array_equal(np.isfinite(grads[0]), finite)
        if len(units) == 2:
            np.testing.assert_array_equal(grads[0][~finite], grads[1][~finite])
        np.testing.assert_allclose(grads[0][finite], grads[1][finite], rtol=1e-5)


@pytest.mark.parametrize("alpha", [0.0, 0.1])
def test_the_penalty_of_infinite_coefs_is_infinite(kernels, dtype, alpha, rng):
    """With keep_going, as in scikit-learn: not NaN, which padding would add."""
    net = ((1, 3), ("identity",), "squared_error")
    params = np.full(6, np.finfo(dtype).max / 4, dtype)
    x, y = np.ones((1, 1), dtype), np.zeros((1, 3), dtype)
    runs = [
        run(module, dtype, net, params, x, y, "sgd", 1, NO_ORDER, 2, alpha=alpha,
            learning_rate=1e3, keep_going=True)
        for module in (kernels, reference)
    ]  # fmt: skip
    np.testing.assert_array_equal(runs[0].curve, runs[1].curve)
    np.testing.assert_array_equal(np.isnan(runs[0].params), np.isnan(runs[1].params))
