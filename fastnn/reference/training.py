"""Gradients of a whole network, and epochs of training."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from fastnn.catalog.records import STATUS
from fastnn.reference.activations import activate, slope_or_value
from fastnn.reference.dense import forward_pass, propagate_delta
from fastnn.reference.layout import Array, quiet, split
from fastnn.reference.losses import loss_delta
from fastnn.reference.noise import dropout_factors, noisy
from fastnn.reference.records import CURSOR, STOPPING, read_step
from fastnn.reference.rows import dense_rows, is_matrix, shuffle, weights_of
from fastnn.reference.solvers import take_step

_DENSE = np.empty(0, np.int32), np.empty(0, np.intp)  # columns and row_starts


@quiet
def gradient_sums(
    params: Array,
    layer_units: Array,
    activations: Array,
    loss: int,
    x: Array,
    y: Array,
    loss_numbers: Array | None = None,
    factors: Sequence[Array | None] = (),
) -> tuple[float, Array, Array]:
    """The loss summed over the rows, its gradient laid out like params, and the outputs.

    factors multiply each layer's activations: dropout's.
    """
    a, z = forward_pass(params, layer_units, activations, x, factors)
    total, delta = loss_delta(a[-1], z[-1], y, loss, activations[-1], loss_numbers)
    grads = np.empty_like(params)
    layers, layer_grads = split(params, layer_units), split(grads, layer_units)
    for i in reversed(range(len(layers))):
        coef_grad, intercept_grad = layer_grads[i]
        coef_grad[...] = a[i].T @ delta
        intercept_grad[...] = delta.sum(axis=0)
        if i > 0:
            value, factor = np.empty_like(z[i - 1]), factors[i - 1] if factors else None
            activate(z[i - 1], activations[i - 1], value)
            kept = slope_or_value(z[i - 1], value, activations[i - 1])
            delta_in = np.empty_like(a[i])
            propagate_delta(delta, layers[i][0], kept, activations[i - 1], None, delta_in)
            if factor is not None:
                delta_in *= factor
            delta = delta_in
    return total, grads, a[-1]


@quiet
def penalty(params: Array, layer_units: Array, alpha: float) -> float:
    """alpha / 2 times the sum of the squared coefficients."""
    squares = (np.sum(np.square(c), dtype=np.float64) for c, _ in split(params, layer_units))
    return float(0.5 * alpha * sum(squares)) if alpha else 0.0


def coefs_only(number: float, params: Array, layer_units: Array) -> Array:
    """number for each coef, 0 for each intercept, laid out like params."""
    numbers = np.zeros_like(params)
    for coef, _ in split(numbers, layer_units):
        coef[...] = number
    return numbers


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
    """Compute the mean loss over the rows plus alpha / (2 n) sum W^2, and its gradient.

    If y has one column more than there are outputs, it holds the rows' weights: the mean is
    weighted, and n is the sum of the weights.

    Parameters
    ----------
    params : ndarray, (n_params,)
        Each layer's coefs (row-major), then its intercepts.
    layer_units : ndarray of intp
        Units of every layer, inputs first.
    activations : ndarray of int32
        The code of each layer's activation.
    step : ndarray
        The step's record, which has the loss and alpha.
    x : ndarray, (n, layer_units[0])
        The rows; of sparse ones the values, (1, n_stored).
    columns, row_starts : ndarray of int32 and of intp
        Of sparse rows, as scipy's CSR has them; empty for dense rows.
    y : ndarray, (n, layer_units[-1]) or one column more
        Targets, and weights.
    workspace : None
        Not used: kernels have memory there.
    grads : ndarray, (n_params,) or empty
        Takes the gradient, laid out like params. If it is empty, only the loss is computed.

    Returns
    -------
    float
        The loss.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Network, reference
    >>> from fastnn.training.options import new_step
    >>> net = Network([2, 3, 1], "tanh", random_state=0)
    >>> codes = [reference.enumerations()["activations"][name] for name in net.activations]
    >>> units, codes = np.array(net.layer_units), np.array(codes, np.int32)
    >>> columns, starts = np.empty(0, np.int32), np.empty(0, np.intp)
    >>> x, y = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[0.0], [1.0]])
    >>> step = new_step("squared_error", solver="sgd", learning_rate_init=0.1)
    >>> rows = x, columns, starts, y
    >>> grads = np.empty_like(net.params_)
    >>> loss = reference.loss_and_grad(net.params_, units, codes, step, *rows, None, grads)
    >>> bool(np.isclose(loss, net.loss(x, y))), grads.shape
    (True, (13,))
    """
    numbers = read_step(step)
    x = dense_rows(x, columns, row_starts, layer_units[0])
    out = grads if len(grads) else None
    return mean_loss(
        params, layer_units, activations, numbers.loss, numbers.alpha, x, y, out,
        numbers.loss_numbers,
    )  # fmt: skip


@quiet
def mean_loss(
    params: Array,
    layer_units: Array,
    activations: Array,
    loss: int,
    alpha: float,
    x: Array,
    y: Array,
    grads: Array | None,
    loss_numbers: Array | None = None,
) -> float:
    """`loss_and_grad` of dense rows; grads is None for the loss alone."""
    n = float(weights_of(y, layer_units[-1]).sum(dtype=np.float64))
    total, sums, _ = gradient_sums(params, layer_units, activations, loss, x, y, loss_numbers)
    if grads is not None:
        grads[:] = sums / n
        layers = zip(split(params, layer_units), split(grads, layer_units), strict=True)
        for (coef, _), (coef_grad, _) in layers:
            coef_grad += alpha * coef / n
    return float(np.divide(total + penalty(params, layer_units, alpha), n))


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
    bit_generator: np.random.BitGenerator | None = None,
    stopping: Array | None = None,
    kept: Array | None = None,
    schedule: Array | None = None,
) -> None:
    """Train by epochs of mini-batch descent: forward, loss, deltas, gradients, solver's step.

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

    A bit generator shuffles order before every epoch; an epoch of one batch takes the rows as they
    are stored all the same. A stopping record ends training, finished, once its rule says so; kept
    takes the parameters that its field finite tells of. A row of the schedule, (steps, 3), holds
    factors of the learning rate, the weight decay and the shares of dropout for one step, the
    first that after the cursor's field schedule; steps beyond its end take the last.

    The budget ends this version at the end of an epoch only.

    Parameters
    ----------
    params : ndarray, (n_params,)
        Each layer's coefs (row-major), then its intercepts; trained in place.
    packed_rows : ndarray, (1 + n_states, n_params)
        The parameters as the build packs them, and the solver's state.
    layer_units : ndarray of intp
        Units of every layer, inputs first.
    activations : ndarray of int32
        The code of each layer's activation.
    step : ndarray
        The step's record: loss, solver and their numbers.
    x : ndarray, (n, layer_units[0])
        The rows; of sparse ones the values, (1, n_stored).
    columns, row_starts : ndarray of int32 and of intp
        Of sparse rows, as scipy's CSR has them; empty for dense rows.
    y : ndarray, (n, layer_units[-1]) or one column more
        Targets, and weights.
    order : ndarray of intp, (n,), or None
        In which order rows are taken; None: as they are stored.
    workspace, team : None
        Not used: kernels have memory and threads there.
    cursor : ndarray
        The record of where training stands.
    loss_curve : ndarray, (n_epochs,)
        Takes each epoch's mean loss.
    output : ndarray, (n, layer_units[-1]), or None
        Takes the outputs before the last step, of full batches.
    bit_generator : numpy.random.BitGenerator, optional
        Shuffles order.
    stopping, kept : ndarray, optional
        The record of a rule that ends training, and room for two vectors of parameters.
    schedule : ndarray, (n_steps, 3), optional
        Factors of numbers of the step.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Network, reference
    >>> from fastnn.training.options import new_step
    >>> net = Network([2, 3, 1], "tanh", random_state=0)
    >>> codes = [reference.enumerations()["activations"][name] for name in net.activations]
    >>> units, codes = np.array(net.layer_units), np.array(codes, np.int32)
    >>> columns, starts = np.empty(0, np.int32), np.empty(0, np.intp)
    >>> x, y = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[0.0], [1.0]])
    >>> step = new_step("squared_error", solver="sgd", learning_rate_init=0.1, batch_size=2)
    >>> cursor = np.zeros(1, reference.records.CURSOR)
    >>> cursor["stop"] = 3  # epochs
    >>> params, curve, packed = net.params_.copy(), np.empty(3), np.empty((1, 13))
    >>> net_of = packed, units, codes, step
    >>> train = reference.train_epoch
    >>> train(params, *net_of, x, columns, starts, y, None, None, None, cursor, curve, None)
    >>> net = net.fit(x, y, solver="sgd", learning_rate_init=0.1, max_iter=3)
    >>> bool(np.allclose(curve, net.loss_curve_)), bool(np.allclose(params, net.params_))
    (True, True)
    """
    numbers, at = read_step(step), cursor.view(CURSOR)[0]
    packed, states, n_epochs = packed_rows[0], packed_rows[1:], at["stop"]
    if at["status"] == STATUS["start"]:
        packed[:], at["status"], at["first"] = params, STATUS["running"], at["epoch"]
        if numbers.ema and at["step"] == 0:
            states[-1] = packed
    rule = None if stopping is None else stopping.view(STOPPING)[0]
    if rule is not None and kept is not None and rule["finite"] < 0:
        kept[0], rule["finite"] = packed, 0
    x = dense_rows(x, columns, row_starts, layer_units[0])
    rows = np.arange(len(x))
    if order is not None and len(order) and (bit_generator is None or numbers.batch_size < len(x)):
        rows = order
    layers, work = split(packed, layer_units), 0.0
    enough = False
    while at["epoch"] < n_epochs and work < numbers.budget:
        params[:] = packed
        if bit_generator is not None and order is not None:
            shuffle(bit_generator, order)
        if rule is not None and kept is not None:
            kept[1 - rule["finite"]] = packed
        total = 0.0
        for start in range(0, len(x), numbers.batch_size):
            batch = rows[start : start + numbers.batch_size]
            weight = float(weights_of(y[batch], layer_units[-1]).sum(dtype=np.float64))
            if weight == 0:
                if not (numbers.keep_going or np.isfinite(packed).all()):
                    break
                at["status"], params[:] = STATUS["weightless"], packed
                return
            done, now = int(at["step"]), SimpleNamespace(**vars(numbers))
            if schedule is not None:
                at_most = len(schedule) - 1
                factors = schedule[min(max(done - int(at["schedule"]), 0), at_most)].tolist()
                now.learning_rate *= factors[0]
                now.weight_decay *= factors[1]
                now.dropout = now.dropout * factors[2]
            batch_loss, grads, out = gradient_sums(
                packed, layer_units, activations, numbers.loss,
                noisy(x[batch], now.input_noise, now.seed, done), y[batch], numbers.loss_numbers,
                dropout_factors(now.dropout, layer_units, len(batch), now.seed, done),
            )  # fmt: skip
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
            if numbers.clip_norm:
                top = float(np.abs(grads).max()) or 1.0  # squares of larger numbers overflow
                norm = float(np.linalg.norm((grads / top).astype(np.float64)))
                if np.isfinite(norm) and numbers.clip_norm / top < norm:
                    grads *= numbers.clip_norm / top / norm
            if numbers.weight_decay and not numbers.decay_intercepts:
                now.weight_decay = coefs_only(now.weight_decay, packed, layer_units)
            now.take_back = numbers.take_back and total > at["last_loss"]
            at["step"], at["last_loss"] = done + 1, total
            take_step(packed, grads, states, now, done + 1)
            work += 3.0 * len(batch) * len(packed)
        if not (numbers.keep_going or (np.isfinite(total) and np.isfinite(packed).all())):
            at["status"] = STATUS["diverged"]
            break
        loss = loss_curve[at["epoch"]] = total / len(x)
        at["epoch"] += 1
        if rule is not None:
            enough = _ends_training(rule, loss)
            if enough:
                break
    if at["epoch"] >= n_epochs or enough:
        at["status"] = STATUS["finished"]
    if at["status"] == STATUS["finished"]:
        params[:] = packed


def _ends_training(rule: Any, loss: float) -> bool:
    """Take note of an epoch's loss; whether there is no improvement for too long."""
    if np.isfinite(loss):
        rule["finite"] = 1 - rule["finite"]
    improves = not loss > rule["best_loss"] - rule["tol"]
    rule["no_improvement_count"] = 0 if improves else rule["no_improvement_count"] + 1
    if loss < rule["best_loss"]:
        rule["best_loss"] = loss
    return bool(rule["no_improvement_count"] > rule["n_iter_no_change"])


class Epochs:
    """The calls of `train_epoch` for one run.

    Parameters are train_epoch's. `begin` takes those that differ from call to call, which must
    stay as they are until `end`. status, epoch and n_steps are the cursor's; n_calls is how many
    calls there were.
    """

    n_calls = _epochs_before = 0

    def __init__(
        self,
        packed_rows: Array,
        layer_units: Array,
        activations: Array,
        step: Array,
        workspace: Array,
        cursor: Array,
    ) -> None:
        self._net = packed_rows, layer_units, activations, step
        self._workspace, self._cursor = workspace, cursor
        self._at = cursor.view(CURSOR)[0]
        self._arguments: tuple[Any, ...] = ()

    @property
    def status(self) -> int:
        """The cursor's."""
        return int(self._at["status"])

    @property
    def epoch(self) -> int:
        """The cursor's."""
        return int(self._at["epoch"])

    @property
    def epochs_done(self) -> int:
        """All that there ever were."""
        return self._epochs_before + self.epoch

    @property
    def n_steps(self) -> int:
        """The cursor's."""
        return int(self._at["step"])

    @n_steps.setter
    def n_steps(self, n: int) -> None:
        self._at["step"] = n

    def begin(
        self,
        params: Array,
        x: Array,
        columns: Array,
        row_starts: Array,
        y: Array,
        order: Array | None,
        team: Array | None,
        loss_curve: Array,
        output: Array | None,
        bit_generator: Any = None,
        stopping: Array | None = None,
        kept: Array | None = None,
        schedule: Array | None = None,
    ) -> None:
        """Train params on these data from now on; a schedule begins with the next step."""
        self._at["schedule"] = self._at["step"]
        self._arguments = (
            params, *self._net, x, columns, row_starts, y, order, self._workspace, team,
            self._cursor, loss_curve, output, bit_generator, stopping, kept, schedule,
        )  # fmt: skip

    @property
    def last_loss(self) -> float:
        """The cursor's."""
        return float(self._at["last_loss"])

    @last_loss.setter
    def last_loss(self, loss: float) -> None:
        self._at["last_loss"] = loss

    def seek(self, epoch: int) -> None:
        """Go on with this epoch of loss_curve."""
        self._epochs_before += self.epoch - epoch
        self._at["epoch"], self._at["row"] = epoch, 0

    def until(self, stop: int) -> None:
        """Train until `stop` epochs are done, or for as long as the numbers are finite.

        cursor.status says which.
        """
        if not self._arguments:
            raise RuntimeError("there are no data to train on")
        self._at["status"], self._at["stop"] = STATUS["start"], stop
        while self.status < STATUS["finished"]:
            train_epoch(*self._arguments)
            self.n_calls += 1

    def one(
        self, params: Array, x: Array, y: Array, loss_curve: Array
    ) -> tuple[Array, Array] | None:
        """An epoch on dense rows in their order, by one thread, of a copy of params.

        Returns the copy and the outputs before its steps, or None if x and y are no plain arrays
        of the right type and shape: those of a batch of all rows. The first of loss_curve takes
        the loss. cursor.status says whether all numbers are finite.
        """
        _, units, _, step = self._net
        n_rows, number = read_step(step).batch_size, params.dtype.num
        if not (
            is_matrix(x, number, n_rows, int(units[0]))
            and is_matrix(y, number, n_rows, int(units[-1]))
        ):
            return None
        trained, outputs = params.copy(), np.empty_like(y)
        self.begin(trained, x, *_DENSE, y, None, None, loss_curve, outputs)
        self.seek(0)
        self.until(1)
        self._arguments = ()
        return trained, outputs

    def end(self) -> None:
        """Let go of the data."""
        self._arguments = ()
