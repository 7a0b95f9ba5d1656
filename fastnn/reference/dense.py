"""Dense layers forward and back."""

from collections.abc import Sequence

import numpy as np

from fastnn.reference.activations import SOFTMAX, activate, softmax, times_derivative
from fastnn.reference.layout import Array, quiet, split
from fastnn.reference.rows import dense_rows


@quiet
def weighted_sums(x: Array, coef: Array, intercept: Array) -> Array:
    """z = x W + b."""
    return x @ coef + intercept


def dense_forward(
    x: Array, coef: Array, intercept: Array, activation: int, workspace: Array | None, out: Array
) -> None:
    """a = f(x W + b)."""
    out[...] = weighted_sums(x, coef, intercept)
    if activation == SOFTMAX:
        softmax(out, workspace, out)
    else:
        activate(out, activation, out)


@quiet
def propagate_delta(
    delta: Array, coef: Array, a: Array, activation: int, workspace: Array | None, out: Array
) -> None:
    """delta_in = f' (delta W^T) for the layer before, with a its activations or stored slopes."""
    if activation == SOFTMAX:
        raise ValueError("softmax stands in the last layer only")
    out[...] = times_derivative(delta @ coef.T, a, activation)


def forward_pass(
    params: Array,
    layer_units: Array,
    activations: Array,
    x: Array,
    factors: Sequence[Array | None] = (),
) -> tuple[list[Array], list[Array]]:
    """Inputs and activations [x, a_1, ..., a_L], and weighted sums [z_1, ..., z_L].

    factors multiply the activations of each layer, unless None or left out.
    """
    a, z = [x], []
    for (coef, intercept), code in zip(split(params, layer_units), activations, strict=True):
        z.append(weighted_sums(a[-1], coef, intercept))
        a.append(np.empty_like(z[-1]))
        dense_forward(a[-2], coef, intercept, code, None, a[-1])
        factor = factors[len(z) - 1] if factors else None
        if factor is not None:
            a[-1] *= factor
    return a, z


def forward(
    params: Array,
    layer_units: Array,
    activations: Array,
    x: Array,
    columns: Array,
    row_starts: Array,
    workspace: Array | None,
    out: Array,
    packed: bool = False,
) -> None:
    """a_l = f_l(a_(l-1) W_l + b_l) for every row of x; packed parameters are plain ones here.

    Sparse rows are scipy's CSR: row i has the values row_starts[i] .. row_starts[i + 1] of x, in
    any order; values in the same column are added. out takes the last layer's activations, or all
    layers' side by side if it has room for them.
    """
    x = dense_rows(x, columns, row_starts, layer_units[0])
    a, _ = forward_pass(params, layer_units, activations, x)
    out[...] = np.hstack(a[1:]) if out.shape[1] > layer_units[-1] else a[-1]
