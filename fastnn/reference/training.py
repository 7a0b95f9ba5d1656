"""Gradients of a whole network, and epochs of training."""

from typing import Any

import numpy as np

from fastnn.catalog.records import STATUS
from fastnn.reference.activations import slope_or_value
from fastnn.reference.dense import forward_pass, propagate_delta
from fastnn.reference.layout import Array, quiet, split
from fastnn.reference.losses import loss_delta
from fastnn.reference.records import CURSOR, read_step
from fastnn.reference.rows import dense_rows, weights_of
from fastnn.reference.solvers import solver_update


@quiet
def gradient_sums(
    params: Array, layer_units: Array, activations: Array, loss: int, x: Array, y: Array
) -> tuple[float, Array, Array]:
    """The loss summed over the rows, its gradient laid out like params, and the outputs."""
    a, z = forward_pass(params, layer_units, activations, x)
    total, delta = loss_delta(a[-1], z[-1], y, loss, activations[-1])
    grads = np.empty_like(params)
    layers, layer_grads = split(params, layer_units), split(grads, layer_units)
    for i in reversed(range(len(layers))):
        coef_grad, intercept_grad = layer_grads[i]
        coef_grad[...] = a[i].T @ delta
        intercept_grad[...] = delta.sum(axis=0)
        if i > 0:
            kept = slope_or_value(z[i - 1], a[i], activations[i - 1])
            delta_in = np.empty_like(a[i])
            propagate_delta(delta, layers[i][0], kept, activations[i - 1], None, delta_in)
            delta = delta_in
    return total, grads, a[-1]


@quiet
def penalty(params: Array, layer_units: Array, alpha: float) -> float:
    """alpha / 2 times the sum of the squared coefficients."""
    squares = (np.sum(np.square(c), dtype=np.float64) for c, _ in split(params, layer_units))
    return float(0.5 * alpha * sum(squares)) if alpha else 0.0


@quiet
def loss_and_grad(
    params: Array,
    layer_units: Array,
    activations: Array,
    step: Array,
    x: Array,
    columns: Array,
    row_starts: Array,
    y: Array,
    workspace: Array | None,
    grads: Array,
) -> float:
    """Mean loss over the rows plus the penalty alpha / (2 n) sum W^2, and its gradient.

    If y has one column more than there are outputs, it holds the rows' weights: the mean is
    weighted, and n is the sum of the weights. With empty grads only the loss is computed.
    """
    numbers = read_step(step)
    x = dense_rows(x, columns, row_starts, layer_units[0])
    n = float(weights_of(y, layer_units[-1]).sum(dtype=np.float64))
    total, sums, _ = gradient_sums(params, layer_units, activations, numbers.loss, x, y)
    if len(grads):
        grads[:] = sums / n
        layers = zip(split(params, layer_units), split(grads, layer_units), strict=True)
        for (coef, _), (coef_grad, _) in layers:
            coef_grad += numbers.alpha * coef / n
    return float(np.divide(total + penalty(params, layer_units, numbers.alpha), n))


def typed_views(
    params: Array,
    packed_rows: Array,
    layer_units: Array,
    activations: Array,
    step: Array,
    x: Array,
    y: Array,
    order: Array | None,
    workspace: Array,
    cursor: Array,
    loss_curve: Array,
) -> tuple[Any, ...]:
    """The arguments of train_epoch in the form that is fastest to pass: here unchanged."""
    return (
        params, packed_rows, layer_units, activations, step, x, y, order, workspace, cursor,
        loss_curve,
    )  # fmt: skip


@quiet
def train_epoch(
    params: Array,
    packed_rows: Array,
    layer_units: Array,
    activations: Array,
    step: Array,
    x: Array,
    columns: Array,
    row_starts: Array,
    y: Array,
    order: Array | None,
    workspace: Array | None,
    team: Array | None,
    cursor: Array,
    loss_curve: Array,
    output: Array | None,
) -> None:
    """Epochs of mini-batch descent: forward, loss, deltas, gradients, solver's step.

    Epochs run from the cursor's epoch, which is copied to its field first, to its field stop. Its
    status (catalog/records.py) is start at the first call; call again while it is running. After
    finished, training goes on if status is set to start and stop is raised, from what params then
    are. Diverged: the loss or a parameter stopped being finite in epoch `epoch`; params are those
    it began with, and packed_rows are useless. With keep_going nothing is checked, and training
    ends when its epochs do.

    If y has one column more than there are outputs, it holds the rows' weights, which multiply
    losses and gradients; a batch is then divided by the sum of its weights, not by its number of
    rows. An epoch's loss is the mean of its batches' losses, each counted once per row.
    Weightless: a batch's weights add up to 0; params are those before its step.

    The budget ends this version at the end of an epoch only.
    """
    numbers, at = read_step(step), cursor.view(CURSOR)[0]
    packed, states, n_epochs = packed_rows[0], packed_rows[1:], at["stop"]
    if at["status"] == STATUS["start"]:
        packed[:], at["status"], at["first"] = params, STATUS["running"], at["epoch"]
    x = dense_rows(x, columns, row_starts, layer_units[0])
    rows = np.arange(len(x)) if order is None or not len(order) else order
    layers, work = split(packed, layer_units), 0.0
    while at["epoch"] < n_epochs and work < numbers.budget:
        params[:] = packed
        total = 0.0
        for start in range(0, len(x), numbers.batch_size):
            batch = rows[start : start + numbers.batch_size]
            weight = float(weights_of(y[batch], layer_units[-1]).sum(dtype=np.float64))
            if weight == 0:
                at["status"], params[:] = STATUS["weightless"], packed
                return
            batch_loss, grads, out = gradient_sums(
                packed, layer_units, activations, numbers.loss, x[batch], y[batch]
            )
            batch_loss += penalty(packed, layer_units, numbers.alpha)
            total += batch_loss * (len(batch) / weight)
            if not (np.isfinite(total) or numbers.keep_going):
                break
            if output is not None and len(output) and at["epoch"] == n_epochs - 1:
                output[batch] = out
            for (coef, _), (coef_grad, intercept_grad) in zip(
                layers, split(grads, layer_units), strict=True
            ):
                if not numbers.sum_coef_grads:
                    coef_grad /= weight
                coef_grad += numbers.alpha / weight * coef
                intercept_grad /= weight
            at["step"] += 1
            solver_update(packed, grads, states, step, int(at["step"]))
            work += 3.0 * len(batch) * len(packed)
        if not (numbers.keep_going or (np.isfinite(total) and np.isfinite(packed).all())):
            at["status"] = STATUS["diverged"]
            break
        loss_curve[at["epoch"]] = total / len(x)
        at["epoch"] += 1
    if at["epoch"] >= n_epochs:
        at["status"] = STATUS["finished"]
    if at["status"] == STATUS["finished"]:
        params[:] = packed
