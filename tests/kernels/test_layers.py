"""Single layers and forward passes against the oracle."""

import itertools

import numpy as np
import pytest
from cases import (
    ACTIVATIONS,
    DENSE,
    HIDDEN,
    assert_close,
    codes_of,
    every_net_and,
    new_workspace,
    problem,
    sparse_rows,
    units_of,
)
from conftest import SIZES

from fastnn import reference
from fastnn.kernels import aligned_zeros

SHAPES = [(n, 3, 5) for n in SIZES] + [(17, k, 4) for k in SIZES] + [(17, 3, n) for n in SIZES]


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_dense_forward(kernels, dtype, activation, rng):
    eps = np.finfo(dtype).eps
    for n, fan_in, fan_out in [*SHAPES, (300, 97, 65), (1000, 2, 1)]:
        x = rng.randn(n, fan_in).astype(dtype)
        coef = rng.randn(fan_in, fan_out).astype(dtype)
        intercept = rng.randn(fan_out).astype(dtype)
        x.flags.writeable = False
        got, want = np.full((n, fan_out), np.nan, dtype), np.empty((n, fan_out), dtype)
        workspace = new_workspace(kernels, units_of(fan_in, fan_out), n, dtype)
        kernels.dense_forward(x, coef, intercept, ACTIVATIONS[activation], workspace, got)
        reference.dense_forward(x, coef, intercept, ACTIVATIONS[activation], None, want)
        # the sum is off by (length) eps of its absolute sum; no activation makes that larger by
        # more than a tenth, but softmax adds it over the row and exp multiplies it
        bound = (fan_in + 2) * eps * (np.abs(x) @ np.abs(coef) + np.abs(intercept)) + 8 * eps
        if activation == "softmax":
            bound = 2 * bound.max(axis=1, keepdims=True) + 2 * fan_out * eps
        if activation == "exp":
            bound = want * (2 * bound + 8 * eps)
        assert (np.abs(got - want) <= 1.1 * bound).all(), (n, fan_in, fan_out)


@pytest.mark.parametrize("activation", HIDDEN)
def test_propagate_delta(kernels, dtype, activation, rng):
    """a stands for values and for slopes: both are numbers of order 1."""
    eps = np.finfo(dtype).eps
    for n, fan_in, fan_out in [*SHAPES, (300, 65, 97)]:
        delta = rng.randn(n, fan_out).astype(dtype)
        coef = rng.randn(fan_in, fan_out).astype(dtype)
        a = rng.uniform(-1, 1, (n, fan_in)).astype(dtype)
        got, want = np.full((n, fan_in), np.nan, dtype), np.empty((n, fan_in), dtype)
        workspace = new_workspace(kernels, units_of(fan_in, fan_out), n, dtype)
        kernels.propagate_delta(delta, coef, a, ACTIVATIONS[activation], workspace, got)
        reference.propagate_delta(delta, coef, a, ACTIVATIONS[activation], None, want)
        bound = (fan_out + 4) * eps * (np.abs(delta) @ np.abs(coef).T)
        assert (np.abs(got - want) <= 2 * bound).all(), (n, fan_in, fan_out)


def test_softmax(kernels, dtype, rng):
    for n in SIZES:
        for n_outputs in (1, 2, 3, 10, 33):
            z = (rng.randn(n, n_outputs) * 20).astype(dtype)
            z[0, 0] = 1e4
            got, want = np.empty_like(z), np.empty_like(z)
            workspace = new_workspace(kernels, units_of(n_outputs, n_outputs), n, dtype)
            kernels.softmax(z, workspace, got)
            reference.softmax(z, None, want)
            rtol = (n_outputs + 8) * np.finfo(dtype).eps
            np.testing.assert_allclose(got, want, rtol=rtol, atol=np.finfo(dtype).tiny)


@every_net_and("n", [1, 7, 33, 500])
def test_forward(kernels, dtype, net, n, rng):
    units, codes = units_of(*net[0]), codes_of(*net[1])
    params, x, _ = problem(rng, dtype, units, n, net[2])
    workspace = new_workspace(kernels, units, n, dtype)
    every, want = (np.empty((n, units[1:].sum()), dtype) for _ in range(2))
    kernels.forward(params, units, codes, x, *DENSE, workspace, every)
    reference.forward(params, units, codes, x, *DENSE, None, want)
    assert_close(every, want, dtype, units.max())
    last = np.empty((n, units[-1]), dtype)
    kernels.forward(params, units, codes, x, *DENSE, workspace, last)
    np.testing.assert_array_equal(last, every[:, -units[-1] :])
    packed = aligned_zeros(kernels.packed_size(units, dtype.itemsize), dtype)
    kernels.pack(params, units, codes, workspace, packed)
    kernels.forward(packed, units, codes, x, *DENSE, workspace, last, True)
    np.testing.assert_array_equal(last, every[:, -units[-1] :])


@pytest.mark.parametrize("activation", HIDDEN)
def test_a_sample_does_not_depend_on_its_position(kernels, dtype, activation, rng):
    units, codes = units_of(5, 33, 7, 2), codes_of(activation, "tanh", "softmax")
    params = rng.randn(reference.packed_size(units, 8)).astype(dtype)
    x = rng.randn(97, 5).astype(dtype)

    def forward(rows):
        out = np.empty((len(rows), 2), dtype)
        workspace = new_workspace(kernels, units, len(rows), dtype)
        kernels.forward(params, units, codes, np.ascontiguousarray(rows), *DENSE, workspace, out)
        return out

    whole = forward(x)
    for n in SIZES:
        np.testing.assert_array_equal(forward(x[97 - n :]), whole[97 - n :])


# widths around whole vectors and panels; wide enough for coefs that take several passes; one that
# packing would push out of the caches, and one without a hidden layer
FEW_NETS = [
    ((5, 33, 7, 2), ("sigmoid", "tanh", "softmax")),
    ((1, 1, 64), ("tanh", "identity")),
    ((65, 16, 17, 31, 8), ("relu", "identity", "tanh", "exp")),
    ((200, 63, 65, 1), ("relu", "relu", "sigmoid")),
    ((130, 97, 15), ("tanh", "softmax")),
    ((520, 530, 3), ("relu", "softmax")),
    ((40, 5), ("softmax",)),
]
FEW_NETS += [
    ((9, 33, 17), (name, name)) for name in HIDDEN if not any(name in net[1] for net in FEW_NETS)
]


@pytest.mark.parametrize("net", range(len(FEW_NETS)))
def test_few_rows_have_the_bits_of_many(kernels, dtype, net, rng):
    """Few rows are multiplied without packing, in blocks; memory next to the arrays is kept."""
    units, codes = units_of(*FEW_NETS[net][0]), codes_of(*FEW_NETS[net][1])
    n_params = sum((k + 1) * n for k, n in itertools.pairwise(units))
    # unaligned, and ending where reading must end
    params = np.empty(n_params + 1, dtype)[1:]
    params[:] = rng.uniform(-1, 1, n_params) / 4
    x = rng.randn(97, units[0]).astype(dtype)
    packed = np.zeros(kernels.packed_size(units, dtype.itemsize), dtype)
    workspace = new_workspace(kernels, units, 97, dtype)
    kernels.pack(params, units, codes, workspace, packed)
    for width in (units[-1], units[1:].sum()):
        whole = np.empty((97, width), dtype)
        kernels.forward(packed, units, codes, x, *DENSE, workspace, whole, True)
        for n in [*range(1, 41), 47, 48, 49]:
            own = new_workspace(kernels, units, n, dtype)
            out = np.full((n + 2, width), 7, dtype)
            kernels.forward(params, units, codes, x[97 - n :], *DENSE, own, out[1:-1])
            np.testing.assert_array_equal(out[1:-1], whole[97 - n :])
            assert (out[[0, -1]] == 7).all()


@pytest.mark.parametrize("kind", ["rising", "half", "any"])
@pytest.mark.parametrize("net", range(len(FEW_NETS)))
def test_plain_and_packed_coefs_give_sparse_rows_the_same_bits(kernels, dtype, net, kind, rng):
    units, codes = units_of(*FEW_NETS[net][0]), codes_of(*FEW_NETS[net][1])
    n_params = sum((k + 1) * n for k, n in itertools.pairwise(units))
    params = (rng.uniform(-1, 1, n_params) / 4).astype(dtype)
    packed = np.zeros(kernels.packed_size(units, dtype.itemsize), dtype)
    kernels.pack(params, units, codes, new_workspace(kernels, units, 1, dtype), packed)
    for n in [*range(1, 18), 33, 40, 48, 49, 97, 300]:
        sparse, dense = sparse_rows(rng, n, units[0], dtype, kind)
        workspace = new_workspace(kernels, units, n, dtype)
        for width in (units[-1], units[1:].sum()):
            out, want = np.empty((n, width), dtype), np.empty((n, width), dtype)
            kernels.forward(packed, units, codes, dense, *DENSE, workspace, want, True)
            for rows in (sparse, (dense, *DENSE)):
                workspace[:] = 255
                kernels.forward(params, units, codes, *rows, workspace, out)
                np.testing.assert_array_equal(out, want)
