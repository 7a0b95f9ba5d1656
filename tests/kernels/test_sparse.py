"""Sparse rows have the bits of dense ones."""

import numpy as np
import pytest
from cases import (
    DENSE,
    EVERY_BUILD,
    NO_COLUMNS,
    NO_ORDER,
    WAYS,
    SparseRows,
    codes_of,
    every_net_and,
    loss_numbers,
    new_workspace,
    problem,
    run,
    sparse_rows,
    step_of,
    units_of,
    with_weights,
)

from fastnn import reference

KINDS = ["rising", "half", "any"]


@EVERY_BUILD
@every_net_and("kind", KINDS)
def test_sparse_rows_have_the_bits_of_dense_ones(module, dtype, net, kind, rng):
    for n in (1, 3, 7, 33, 500):
        assert_same_bits_as_dense(module, dtype, net, n, kind, rng)


def assert_same_bits_as_dense(module, dtype, net, n, kind, rng):
    units, codes = units_of(*net[0]), codes_of(*net[1])
    params, _, y = problem(rng, dtype, units, n, net[2])
    sparse, dense = sparse_rows(rng, n, units[0], dtype, kind)
    workspace = new_workspace(module, units, n, dtype)
    for width in (units[-1], units[1:].sum()):
        out, want = np.empty((n, width), dtype), np.empty((n, width), dtype)
        workspace[:] = 255
        module.forward(params, units, codes, *sparse, workspace, out)
        module.forward(params, units, codes, dense, *DENSE, workspace, want)
        np.testing.assert_array_equal(out, want)
    got, want = np.empty_like(params), np.empty_like(params)
    step = step_of(loss=net[2], alpha=0.1, loss_numbers=loss_numbers(net[2], net[0][-1]))
    args = (params, units, codes, step)
    workspace[:] = 255
    value = module.loss_and_grad(*args, *sparse, y, workspace, got)
    assert value == module.loss_and_grad(*args, dense, *DENSE, y, workspace, want)
    np.testing.assert_array_equal(got, want)


def test_rows_without_any_value(kernels, dtype):
    units, codes = units_of(3, 4, 1), codes_of("tanh", "identity")
    params = np.arange(reference.packed_size(units, 8)).astype(dtype)
    nothing = SparseRows(np.empty((1, 0), dtype), NO_COLUMNS, np.zeros(8, np.intp))
    for module in (kernels, reference):
        out, want = np.empty((7, 1), dtype), np.empty((7, 1), dtype)
        workspace = new_workspace(module, units, 7, dtype)
        module.forward(params, units, codes, *nothing, workspace, out)
        module.forward(params, units, codes, np.zeros((7, 3), dtype), *DENSE, workspace, want)
        np.testing.assert_array_equal(out, want)


@pytest.mark.parametrize("activation", ["relu", "silu"])
def test_really_sparse_rows_are_never_made_dense(kernels, dtype, activation, rng):
    """Their tiles, which would be most of the workspace, are not even written."""
    units, codes = units_of(5000, 20, 1), codes_of(activation, "identity")
    params, x, y = problem(rng, dtype, units, 64, "squared_error")
    columns = rng.randint(5000, size=64).astype(np.int32)
    sparse = SparseRows(x[:1, :64].copy(), columns, np.arange(65))
    grads = np.empty_like(params)
    untouched = []
    for rows in (sparse, (x, *DENSE)):
        workspace = new_workspace(kernels, units, 64, dtype)
        kernels.loss_and_grad(params, units, codes, step_of(), *rows, y, workspace, grads)
        untouched.append((workspace == 255).sum())
    assert untouched[0] > untouched[1] + 0.9 * x.nbytes


SPARSE_WAYS = [
    *WAYS,
    (((300, 20, 3), ("relu", "softmax"), "log_loss"), 400, 64),
    (((300, 20, 3), ("silu", "softmax"), "log_loss"), 400, 64),
    (((600, 203, 1), ("tanh", "identity"), "squared_error"), 500, 200),
]


@EVERY_BUILD
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", range(len(SPARSE_WAYS)))
def test_training_on_sparse_rows_has_the_bits_of_dense_ones(module, dtype, way, kind, rng):
    net, n, batch_size = SPARSE_WAYS[way]
    params, _, y = problem(rng, dtype, units_of(*net[0]), n, net[2])
    sparse, dense = sparse_rows(rng, n, net[0][0], dtype, kind)
    if kind == "half":
        y = with_weights(rng, y)
    order = rng.permutation(n) if batch_size < n else NO_ORDER
    rest = (y, "adam", batch_size, order, 3)
    want = run(module, dtype, net, params, dense, *rest, alpha=0.1)
    threads = [{"n_threads": 2}, {"n_threads": 3, "budget": 1.0}]
    for options in ({}, *(threads if module is not reference else [])):
        got = run(module, dtype, net, params, sparse, *rest, alpha=0.1, **options)
        for a, b in zip(want[:4], got[:4], strict=True):
            np.testing.assert_array_equal(a, b)
