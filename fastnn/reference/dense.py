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
    """Compute a = f(x W + b) of one layer.

    Parameters
    ----------
    x : ndarray, (n, fan_in)
        The activations of the layer before.
    coef : ndarray, (fan_in, fan_out)
        W.
    intercept : ndarray, (fan_out,)
        The layer's b.
    activation : int
        Its code.
    workspace : None
        Not used: kernels have memory there.
    out : ndarray, (n, fan_out)
        Takes the activations.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import reference
    >>> codes, out = reference.enumerations()["activations"], np.empty((1, 2))
    >>> x, coef, intercept = np.array([[1.0, 2.0]]), np.eye(2), np.array([0.0, -3.0])
    >>> reference.dense_forward(x, coef, intercept, codes["relu"], None, out)
    >>> out
    array([[1., 0.]])
    """
    out[...] = weighted_sums(x, coef, intercept)
    if activation == SOFTMAX:
        softmax(out, workspace, out)
    else:
        activate(out, activation, out)


@quiet
def propagate_delta(
    delta: Array, coef: Array, a: Array, activation: int, workspace: Array | None, out: Array
) -> None:
    """Compute delta_in = f' (delta W^T) for the layer before.

    Parameters
    ----------
    delta : ndarray, (n, fan_out)
        The derivatives of the loss by the layer's weighted sums.
    coef : ndarray, (fan_in, fan_out)
        W.
    a : ndarray, (n, fan_in)
        Activations of the layer before, or its slopes where they are stored.
    activation : int
        The code of that layer's activation, which is not softmax.
    workspace : None
        Not used: kernels have memory there.
    out : ndarray, (n, fan_in)
        Takes the derivatives by that layer's weighted sums.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import reference
    >>> codes, out = reference.enumerations()["activations"], np.empty((1, 2))
    >>> delta, coef, a = np.array([[1.0]]), np.array([[2.0], [3.0]]), np.array([[0.5, 0.0]])
    >>> reference.propagate_delta(delta, coef, a, codes["relu"], None, out)
    >>> out
    array([[2., 0.]])
    """
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
    """Compute a_l = f_l(a_(l-1) W_l + b_l) of all layers, for every row of x.

    Sparse rows are scipy's CSR: row i has the values row_starts[i] .. row_starts[i + 1] of x, in
    any order; values in the same column are added.

    Parameters
    ----------
    params : ndarray, (n_params,)
        Each layer's coefs (row-major), then its intercepts.
    layer_units : ndarray of intp
        Units of every layer, inputs first.
    activations : ndarray of int32
        The code of each layer's activation.
    x : ndarray, (n, layer_units[0])
        The rows; of sparse ones the values, (1, n_stored).
    columns, row_starts : ndarray of int32 and of intp
        Of sparse rows, as scipy's CSR has them; empty for dense rows.
    workspace : None
        Not used: kernels have memory there.
    out : ndarray, (n, layer_units[-1]) or (n, sum of layer_units[1:])
        Takes the last layer's activations, or all layers' side by side if it has room for them.
    packed : bool
        Whether params are packed; packed parameters are plain ones here.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Network, reference
    >>> net = Network([2, 3, 1], "tanh", random_state=0)
    >>> codes = [reference.enumerations()["activations"][name] for name in net.activations]
    >>> units, codes = np.array(net.layer_units), np.array(codes, np.int32)
    >>> no_columns, no_starts = np.empty(0, np.int32), np.empty(0, np.intp)
    >>> x, out = np.array([[1.0, 2.0], [3.0, 4.0]]), np.empty((2, 1))
    >>> reference.forward(net.params_, units, codes, x, no_columns, no_starts, None, out)
    >>> bool(np.allclose(out, net.predict(x)))
    True
    """
    x = dense_rows(x, columns, row_starts, layer_units[0])
    a, _ = forward_pass(params, layer_units, activations, x)
    out[...] = np.hstack(a[1:]) if out.shape[1] > layer_units[-1] else a[-1]
