"""Network: a multilayer perceptron whose training runs in compiled calls.

This room checks what it is given, allocates what the kernels use and talks to people; the
arithmetic is in `fastnn.kernels`. It needs NumPy alone.
"""

import copy
import itertools
import math
import sys
import threading
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fastnn import checks, threads
from fastnn import kernels as builds
from fastnn.callbacks import Listeners
from fastnn.kernels import aligned_zeros

ISA, kernels = builds.choose()

# public spellings -> internal ones
ACTIVATIONS = {
    "identity": "identity",
    "sigmoid": "sigmoid",
    "logistic": "sigmoid",
    "tanh": "tanh",
    "relu": "relu",
    "softmax": "softmax",
    "exp": "exp",
}
OUTPUT_ONLY = ("softmax", "exp")
LOSSES = {
    "squared_error": "squared_error",
    "binary_log_loss": "binary_log_loss",
    "binary_cross_entropy": "binary_log_loss",
    "log_loss": "log_loss",
    "categorical_cross_entropy": "log_loss",
    "poisson": "poisson",
}
# The derivative of these losses is only a - y with the activation they belong to.
LOSS_ACTIVATION = {"binary_log_loss": "sigmoid", "log_loss": "softmax", "poisson": "exp"}

# A compiled call returns after about this many multiply-adds, some ten milliseconds, so that
# Ctrl-C is answered.
BUDGET = 2e8

# Multiply-adds, some milliseconds, from which on it is worth 0.1 ms to start a thread.
WORTH_A_THREAD = 4e8

# of rows that are not sparse
NO_COLUMNS = np.empty(0, np.int32)
NO_ROW_STARTS = np.empty(0, np.intp)


NOBODY = Listeners(None)


class SparseRows(NamedTuple):
    """Rows of which the values that are not 0 are stored, as in scipy's CSR arrays."""

    values: np.ndarray  # (1, n_stored)
    columns: np.ndarray  # int32, (n_stored,)
    row_starts: np.ndarray  # intp, (n_rows + 1,): where each row's values begin, the last's end


def as_rows(x, part=None):
    """x, an array or SparseRows, or a slice of it, as the kernels' three arguments for rows."""
    if isinstance(x, SparseRows):
        return x._replace(row_starts=x.row_starts[part.start : part.stop + 1]) if part else x
    return x[part] if part else x, NO_COLUMNS, NO_ROW_STARTS


def new_workspace(
    kernels, layer_units, batch_size, dtype, n_states=-1, n_threads=1, weighted=False
):
    """The memory that one compiled call needs besides its arguments; it may hold anything."""
    return builds.aligned_empty(
        kernels.workspace_size(
            layer_units, batch_size, dtype.itemsize, n_states, n_threads, weighted
        )
    )


def threads_for(kernels, layer_units, batch_size, dtype, samples, n_jobs=None):
    """How many threads to train on that many samples, counted once for every epoch."""
    units = layer_units.tolist()
    # an activation and its delta cost about as much as 20 multiply-adds
    multiply_adds = samples * sum(3.0 * k * n + 20.0 * n for k, n in itertools.pairwise(units))
    if multiply_adds < WORTH_A_THREAD:
        return 1
    n_threads = threads.resolve(n_jobs)
    if n_threads > 1:
        n_threads = kernels.useful_threads(layer_units, batch_size, dtype.itemsize, n_threads)
    return n_threads


def forward_rows(params, layer_units, activations, x, out, n_jobs=None):
    """Fill out, (n, units), with the activations of n rows in blocks that keep a call short.

    units are those of the last layer or the sum of all layers'; n_jobs is checked already.
    """
    # a block is small enough to answer Ctrl-C soon and to share, too
    n = len(out)
    multiply_adds = len(params)
    if isinstance(x, SparseRows):  # the first layer multiplies what is stored, within its rows
        stored = int(x.row_starts[-1] - x.row_starts[0]) / n
        multiply_adds -= max(0.0, layer_units[0] - stored) * layer_units[1]
    block = min(n, max(256, int(BUDGET / multiply_adds)))
    n_threads = threads.resolve(n_jobs) if n * multiply_adds > WORTH_A_THREAD else 1
    if n_threads > 1:
        block = max(96, min(block, n // (4 * n_threads)))
    if block >= n:
        workspace = new_workspace(kernels, layer_units, n, params.dtype)
        kernels.forward(params, layer_units, activations, *as_rows(x), workspace, out)
        return
    # packed once, not in every call
    packed = aligned_zeros(kernels.packed_size(layer_units, params.dtype.itemsize), params.dtype)
    workspace = new_workspace(kernels, layer_units, 1, params.dtype)
    kernels.pack(params, layer_units, activations, workspace, packed)

    def some_blocks(starts):
        workspace = new_workspace(kernels, layer_units, block, params.dtype)
        for start in starts:
            rows = slice(start, start + block)
            kernels.forward(
                packed, layer_units, activations, *as_rows(x, rows), workspace, out[rows], True
            )

    if n_threads == 1:
        some_blocks(range(0, n, block))
    else:
        threads.side_by_side(n_threads, range(0, n, block), some_blocks)


def _fixed_parts(multiply_adds, y, weighted):
    """Slices of all rows, of so many multiply-adds each, and the weight of every slice.

    They depend on the data alone. 1024 rows take some ten times as long as what a part takes
    whatever its length, for packing and for adding gradients.
    """
    n, size = len(y), max(1024, int(BUDGET / multiply_adds))
    n_parts = -(-n // size)
    stops = [n * i // n_parts for i in range(n_parts + 1)]
    parts = [slice(*pair) for pair in itertools.pairwise(stops)]
    if not weighted:
        return parts, [part.stop - part.start for part in parts]
    weights = [float(y[part, -1].sum(dtype=np.float64)) for part in parts]
    if not all(weights):  # a part without weight has no mean
        return [slice(0, n)], [sum(weights)]
    return parts, weights


class MeanLoss:
    """The mean loss over the rows, with its penalty, and its gradient, at any parameters.

    Many rows are done in parts, so that Ctrl-C is answered and threads can share them; the parts'
    means are added in order, and the number of threads changes nothing.

    Parameters
    ----------
    layer_units : ndarray of intp, (n_layers + 1,)
    activations : ndarray of int32, (n_layers,)
    loss : int
        An enumeration of the kernels.
    alpha : float
        The penalty is alpha / (2 n) times the sum of the squared coefs.
    x, y : ndarray, (n, units)
        Checked already. With a column more in y than there are outputs, that is the weight of
        each row, the mean is a weighted one, and n the sum of the weights.
    n_jobs : None or int
        Checked already.
    """

    def __init__(self, layer_units, activations, loss, alpha, x, y, n_jobs=None):
        self._net, self._alpha = (layer_units, activations, loss), alpha
        units = layer_units.tolist()
        weighted = y.shape[1] > units[-1]
        multiply_adds = sum(3.0 * k * n + 20.0 * n for k, n in itertools.pairwise(units))
        parts, self._weights = _fixed_parts(multiply_adds, y, weighted)
        self._rows = [(*as_rows(x, part), y[part]) for part in parts]
        self._n_threads = 1
        if len(parts) > 1 and len(y) * multiply_adds > WORTH_A_THREAD:
            self._n_threads = threads.resolve(n_jobs)
        longest = max(part.stop - part.start for part in parts)
        self._new_workspace = lambda: new_workspace(
            kernels, layer_units, longest, y.dtype, weighted=weighted
        )
        self._workspaces = [self._new_workspace()]  # those that nobody uses

    def __call__(self, params, grads):
        """The loss; grads, laid out like params, takes the gradient, or is empty."""
        if len(self._rows) > 1:
            return self._by_parts(params, grads)
        return self._part(0, params, self._workspaces[0], grads)

    def _part(self, i, params, workspace, grads):
        alpha = 0.0 if i else self._alpha  # over n once it has its share of the mean
        return kernels.loss_and_grad(params, *self._net, alpha, *self._rows[i], workspace, grads)

    def _by_parts(self, params, grads):
        shares = [weight / sum(self._weights) for weight in self._weights]
        losses, lock = [0.0] * len(shares), threading.Lock()
        waiting, spare, added = {}, [], 0  # gradients that come after others; gradients to fill

        def some_parts(numbers):
            nonlocal added
            with lock:
                workspace = self._workspaces.pop() if self._workspaces else self._new_workspace()
            for i in numbers:
                with lock:
                    own = spare.pop() if spare else np.empty_like(grads)
                losses[i] = self._part(i, params, workspace, own)
                with lock, np.errstate(all="ignore"):
                    waiting[i] = own
                    while added in waiting:
                        own = waiting.pop(added)
                        own *= shares[added]
                        np.add(grads if added else 0.0, own, out=grads)
                        spare.append(own)
                        added += 1
            self._workspaces.append(workspace)

        threads.side_by_side(self._n_threads, range(len(shares)), some_parts)
        return sum(share * loss for share, loss in zip(shares, losses, strict=True))


def draw_order(order, random_state):
    """Make the order of an epoch that of the next, as scikit-learn draws it."""
    bit_generator = random_state._bit_generator
    with bit_generator.lock:
        kernels.shuffle(bit_generator, order)


class Descent(NamedTuple):
    """What one step of a solver does: an enumeration of the kernels and its numbers."""

    solver: int
    learning_rate: float
    momentum: float = 0.0  # Adam: beta_1
    beta_2: float = 0.0
    epsilon: float = 0.0
    alpha: float = 0.0
    sum_coef_grads: bool = False  # the tutorial's: coefs by the sum over the batch, not the mean
    keep_going: bool = False  # scikit-learn's: whatever is no longer finite

    @property
    def n_states(self):
        """How many arrays the solver carries from step to step."""
        if self.solver == builds.SOLVERS["adam"]:
            return 2
        return 1 if self.momentum else 0


class TrainingRun:
    """Everything that training one network on batches of one size takes.

    As a context manager, it has its threads at work in between; else the caller works alone.

    Parameters
    ----------
    kernels : module
        A build of the kernels, or `fastnn.reference`.
    layer_units : ndarray of intp, (n_layers + 1,)
    activations : ndarray of int32, (n_layers,)
    loss : int
        An enumeration of the kernels.
    descent : Descent
    dtype : dtype
    batch_size : int
    n_threads : int
        How many threads work; they change no result.
    weighted : bool
        Whether the last column of y is the weight of each row.
    """

    def __init__(
        self, kernels, layer_units, activations, loss, descent, dtype, batch_size, n_threads=1,
        weighted=False,
    ):  # fmt: skip
        self.kernels, self.layer_units, self.activations = kernels, layer_units, activations
        self._train_epoch = builds.for_dtype(kernels.train_epoch, dtype)
        self.loss, self.descent, self.batch_size = loss, descent, batch_size
        n_packed, n_states = kernels.packed_size(layer_units, dtype.itemsize), descent.n_states
        packed = aligned_zeros((n_states + 1) * n_packed, dtype).reshape(n_states + 1, n_packed)
        self._packed_rows, self.packed, self.packed_state = packed, packed[0], packed[1:]
        self.workspace = new_workspace(
            kernels, layer_units, batch_size, dtype, n_states, n_threads, weighted
        )
        self._team = threads.Team(kernels, n_threads)
        self._cursor, self._epochs_before = np.zeros(6, np.intp), 0

    @property
    def step(self):
        """Steps that the solver has ever done."""
        return self._cursor.item(2)

    @step.setter
    def step(self, step):
        self._cursor[2] = step

    @property
    def epochs_done(self):
        """Epochs that this run has done."""
        return self._epochs_before + self._cursor.item(0)

    def plain_state(self, i):
        """State i of the solver as one vector laid out like the parameters."""
        plain = np.empty(
            sum((k + 1) * n for k, n in itertools.pairwise(self.layer_units.tolist())),
            self.packed.dtype,
        )
        self.kernels.unpack(
            self.packed_state[i], self.layer_units, self.activations, self.workspace, plain
        )
        return plain

    def load_state(self, i, plain):
        """Go on with a state of the solver, laid out like the parameters."""
        self.kernels.pack(
            plain, self.layer_units, self.activations, self.workspace, self.packed_state[i]
        )

    def __enter__(self):
        self._team.__enter__()
        return self

    def __exit__(self, *exception):
        self._team.__exit__(*exception)

    def epochs(self, params, x, y, loss_curve, order=None, output=None):
        """Train params for as many epochs as loss_curve has room for.

        Parameters
        ----------
        params : ndarray, (n_params,)
            Each layer's coefs and intercepts.
        x : ndarray, (n, units), or SparseRows
        y : ndarray, (n, units)
            Checked already. In a weighted run y has one column more, the weight of each row.
        loss_curve : ndarray of float64
            Takes the mean loss of each epoch.
        order : ndarray of intp, (n,), optional
            The order in which the rows are used; by default as they lie.
        output : ndarray, (n, units), optional
            Takes the outputs of the last epoch's forward passes, before their steps.

        Raises
        ------
        FloatingPointError
            If the loss or a parameter is no longer finite, unless the descent is to keep going.
            The parameters are then those at the start of that epoch, and the solver starts afresh.
        ZeroDivisionError
            If the weights of a batch add up to 0. The parameters are those before its step.
        """
        self.until(len(loss_curve), self.begin(params, x, y, loss_curve, order, output))

    def begin(self, params, x, y, loss_curve, order=None, output=None, *, first=0, in_parts=False):
        """What `until` wants, to train as `epochs` does, but for some epochs at a time.

        To be called with the run's threads at work, and anew when the descent is another. The
        caller keeps the result, not the run, which may outlive the data.

        Parameters
        ----------
        first : int
            Epochs of loss_curve that are done already.
        in_parts : bool
            Whether there will be many parts; the arrays are then looked at but once.
        """
        packed, units, activations = self._packed_rows, self.layer_units, self.activations
        workspace, cursor = self.workspace, self._cursor
        rows, columns, row_starts = as_rows(x)
        if in_parts:
            (params, packed, units, activations, rows, y, order, workspace, cursor, loss_curve) = (
                self.kernels.typed_views(
                    params, packed, units, activations, rows, y, order, workspace, cursor,
                    loss_curve,
                )
            )  # fmt: skip
        self._count_from(first)
        return (
            params, packed, units, activations, self.loss, *self.descent, rows, columns,
            row_starts, y, order, self.batch_size, BUDGET, workspace, self._team.memory,
            self._team.n_threads, cursor, loss_curve, output,
        )  # fmt: skip

    def _count_from(self, epoch):
        self._epochs_before = self.epochs_done - epoch
        self._cursor[:2] = epoch, 0

    def again(self, arguments):
        """Train once more for the first epoch of what `begin` gave, from where params are."""
        self._count_from(0)
        self.until(1, arguments)

    def until(self, stop, arguments):
        """Train until that many epochs of the loss_curve given to `begin` are done.

        Errors are those of `epochs`. After one, and after an interrupt, begin anew.
        """
        cursor = self._cursor
        cursor[3], cursor[5] = builds.START, stop
        try:
            self._train_epoch(*arguments)
            while cursor.item(3) < builds.FINISHED:
                self._train_epoch(*arguments)
        except BaseException:  # Ctrl-C, between two calls
            if cursor.item(3) == builds.RUNNING and (
                self.descent.keep_going or self.kernels.all_finite(self.packed)
            ):
                self.kernels.unpack(
                    self.packed, self.layer_units, self.activations, self.workspace, arguments[0]
                )
            raise
        status = cursor.item(3)
        if status == builds.WEIGHTLESS:
            raise ZeroDivisionError(
                "Weights sum to zero, can't be normalized: those of a batch in epoch "
                f"{self.epochs_done + 1}. The parameters are those before its step"
            )
        if status == builds.DIVERGED:
            self.packed_state[:], self.step = 0, 0
            raise FloatingPointError(
                f"training diverged in epoch {self.epochs_done + 1}: the loss or a parameter is "
                "no longer finite. The parameters are those before that epoch. Try a learning "
                f"rate below {self.descent.learning_rate:g}, or X scaled to mean 0 and variance 1"
            )


class ParameterList(Sequence):
    """The coefs or intercepts of each layer: views of a network's parameters.

    Reading gives arrays that may be edited in place; assigning to an item copies into it after
    checking shape and type.
    """

    def __init__(self, name, views):
        self._name, self._views = name, views

    def __len__(self):
        return len(self._views)

    def __getitem__(self, i):
        return self._views[i]

    def __setitem__(self, i, value):
        if isinstance(i, slice):
            raise TypeError(
                f"assign to one item of {self._name} at a time, or to all: net.{self._name} = ..."
            )
        view = self._views[i]
        view[...] = self._checked(range(len(self))[i], value)

    def __repr__(self):
        return repr(self._views)

    def _checked(self, i, value):
        name, view = f"{self._name}[{i}]", self._views[i]
        value = checks.numeric_array(name, value)
        if value.shape != view.shape:
            raise ValueError(f"{name} must have shape {view.shape}, got {value.shape}")
        return checks.finite_array(name, value, view.dtype)

    def _assign(self, values):
        if isinstance(values, str) or not isinstance(values, (Sequence, np.ndarray)):
            raise TypeError(
                f"{self._name} must be a sequence of arrays, got {checks.shown(values)}"
            )
        if len(values) != len(self):
            raise ValueError(f"{self._name} must hold {len(self)} arrays, got {len(values)}")
        values = [self._checked(i, value).copy() for i, value in enumerate(values)]
        for view, value in zip(self._views, values, strict=True):
            view[...] = value


class _OnlyIf:
    """Decorator: a method that networks have only if a condition holds, as hasattr tells."""

    def __init__(self, condition):
        self._condition = condition

    def __call__(self, method):
        self._method = self.__wrapped__ = method
        self.__doc__ = method.__doc__
        return self

    def __get__(self, net, owner=None):
        if net is None:
            return self
        if not self._condition(net):
            raise AttributeError(f"{net!r} has no {self._method.__name__}")
        return self._method.__get__(net)


def _gives_probabilities(net):
    out, n_outputs = net._activations[-1], net._layer_units[-1]
    return out == "softmax" or (out == "sigmoid" and n_outputs == 1)


def _gives_one_number(net):
    return net._layer_units[-1] == 1 and net._activations[-1] != "sigmoid"


class Network:
    """A multilayer perceptron: dense layers, each with an activation.

    Parameters
    ----------
    layer_units : sequence of int
        Units of every layer, inputs first: ``[2, 4, 8, 1]`` takes 2 features and gives 1 output.
    activation : str or sequence of str
        ``"sigmoid"`` (or ``"logistic"``), ``"tanh"``, ``"relu"`` or ``"identity"``, for the hidden
        layers; or one for each layer, the output included, where ``"softmax"`` or ``"exp"`` may
        come last.
    out_activation : str, optional
        The output's activation. By default what the loss goes with: ``"softmax"`` for
        ``"log_loss"``, ``"sigmoid"`` for ``"binary_log_loss"``, ``"exp"`` for ``"poisson"``; for
        ``"squared_error"`` ``"sigmoid"`` in a sigmoid network and otherwise ``"identity"``.
    loss : str
        ``"squared_error"``: 1/2 the sum over the outputs of (a - y)^2; ``"binary_log_loss"`` (or
        ``"binary_cross_entropy"``): for outputs that are yes or no each; ``"log_loss"`` (or
        ``"categorical_cross_entropy"``): for outputs that are the probabilities of classes;
        ``"poisson"``: half the Poisson deviance, the sum over the outputs of
        y log(y / a) - y + a, for counts and other targets >= 0. Each is a mean over the samples.
    init : str
        ``"glorot"``: uniform within sqrt(f / (fan_in + fan_out)), f = 2 for sigmoid hidden layers
        and otherwise 6 (Glorot and Bengio, 2010), coefs then intercepts of each layer, in
        scikit-learn's order; ``"uniform"``: uniform in [-1, 1), intercepts then coefs of each
        layer, in the tutorial's order.
    dtype : dtype
        float64 or float32, of parameters and arithmetic.
    random_state : None, int or numpy.random.RandomState
        What the parameters and then the shuffles are drawn from; None is NumPy's global state.
    n_jobs : None or int
        Up to how many threads train and predict: None for `fastnn.get_num_threads()`, -1 for all
        cores. The number changes no result, and small work is done by one thread.

    Attributes
    ----------
    coefs_ : sequence of ndarray, (fan_in, fan_out)
    intercepts_ : sequence of ndarray, (fan_out,)
        Views of the parameters: edit them in place, or assign items or the whole.
    loss_curve_ : list of float
        The mean loss of each epoch of the last `fit` and the `partial_fit` calls after it, seen
        before each step, with the penalty.
    loss_ : float
        The last of them; NaN before any.
    n_iter_ : int
        How many there are.

    Raises
    ------
    TypeError, ValueError
        With a line that names the argument, for anything else than the above.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Network
    >>> X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    >>> y = np.array([[0], [1], [1], [0]])
    >>> net = Network([2, 8, 1], activation="tanh", loss="binary_log_loss", random_state=0)
    >>> net.fit(X, y, solver="adam", learning_rate_init=0.1, max_iter=200)
    Network([2, 8, 1], activation=('tanh', 'sigmoid'), loss='binary_log_loss', dtype='float64')
    >>> net.predict(X).round().ravel()
    array([0., 1., 1., 0.])
    """

    def __init__(
        self,
        layer_units,
        activation="sigmoid",
        *,
        out_activation=None,
        loss="squared_error",
        init="glorot",
        dtype=np.float64,
        random_state=None,
        n_jobs=None,
    ):
        self._layer_units = check_layer_units(layer_units)
        self._loss = checks.choice("loss", loss, LOSSES)
        self._activations = _check_activations(
            activation, out_activation, self._loss, self._layer_units
        )
        self._dtype = _check_dtype(dtype)
        draw = checks.choice("init", init, {"glorot": _draw_glorot, "uniform": _draw_uniform})
        self._random_state = checks.random_state(random_state)
        self.n_jobs = n_jobs
        self._build(_new_params(self._layer_units, self._dtype))
        draw(self)
        self._drawn = _checksum(self._params)  # whether they are still those
        self.loss_curve_ = []
        self._forget_state()

    # ---- what it is made of ----

    def _build(self, params):
        """Take a flat vector as parameters, and cut it into views."""
        self._params = params
        self._units = np.array(self._layer_units, np.intp)
        self._codes = np.array([builds.ACTIVATIONS[a] for a in self._activations], np.int32)
        self._one_row = []  # a workspace, at times
        self._forward_kernel = builds.for_dtype(kernels.forward, self._dtype)
        self._all_finite = builds.for_dtype(kernels.all_finite, self._dtype)
        coefs, intercepts = split_params(params, self._layer_units)
        self._coefs = ParameterList("coefs_", coefs)
        self._intercepts = ParameterList("intercepts_", intercepts)

    @property
    def layer_units(self):
        """Units of every layer, inputs first."""
        return self._layer_units

    @property
    def activations(self):
        """The activation of each layer, the output's last."""
        return self._activations

    @property
    def loss_function(self):
        """The name of the loss."""
        return self._loss

    @property
    def dtype(self):
        """The type of parameters and arithmetic."""
        return self._dtype

    @property
    def n_jobs(self):
        """Up to how many threads train and predict; None: `fastnn.get_num_threads()`."""
        return self._n_jobs

    @n_jobs.setter
    def n_jobs(self, value):
        self._n_jobs = checks.n_jobs("n_jobs", value)

    @property
    def coefs_(self):
        """Views of the coefs of each layer, (fan_in, fan_out)."""
        return self._coefs

    @coefs_.setter
    def coefs_(self, values):
        self._coefs._assign(values)

    @property
    def intercepts_(self):
        """Views of the intercepts of each layer, (fan_out,)."""
        return self._intercepts

    @intercepts_.setter
    def intercepts_(self, values):
        self._intercepts._assign(values)

    @property
    def loss_(self):
        """The mean loss of the last epoch; NaN before any."""
        return self.loss_curve_[-1] if self.loss_curve_ else math.nan

    @property
    def n_iter_(self):
        """How many epochs loss_curve_ holds."""
        return len(self.loss_curve_)

    def __repr__(self):
        same = len(set(self._activations)) == 1 and self._activations[0] not in OUTPUT_ONLY
        activation = self._activations[0] if same else self._activations
        return (
            f"Network({list(self._layer_units)}, activation={activation!r}, loss={self._loss!r}, "
            f"dtype={self._dtype.name!r})"
        )

    def __getstate__(self):
        made = (
            *("_coefs", "_intercepts", "_units", "_codes"),
            *("_one_row", "_forward_kernel", "_all_finite"),
        )
        state = {key: value for key, value in vars(self).items() if key not in made}
        if self._state is not None:
            # as people see it: the reference packs otherwise than the other builds
            plain = np.empty((len(self._state), len(self._params)), self._dtype)
            for i in range(len(plain)):
                kernels.unpack(self._state[i], self._units, self._codes, self._scratch(), plain[i])
            state["_state"] = plain
        return state

    def __setstate__(self, state):
        vars(self).update(state)
        self._build(self._params.copy())  # a pickle may hold buffers that cannot be written
        if self._state is not None:
            plain, n_packed = self._state, kernels.packed_size(self._units, self._dtype.itemsize)
            self._state = aligned_zeros(len(plain) * n_packed, self._dtype).reshape(-1, n_packed)
            for i in range(len(plain)):
                kernels.pack(plain[i], self._units, self._codes, self._scratch(), self._state[i])

    def _scratch(self):
        return new_workspace(kernels, self._units, 1, self._dtype)

    def copy(self):
        """A network with parameters, solver state and random state of its own."""
        return copy.deepcopy(self)

    # ---- looking ----

    def forward(self, X):
        """The activations of every layer.

        Parameters
        ----------
        X : array-like, (n, layer_units[0])

        Returns
        -------
        list of ndarray, (n, units) for each layer, the output last

        Raises
        ------
        TypeError, ValueError
            If X is not a finite array of that shape.
        """
        x = self._check_x(X)
        widths = self._layer_units[1:]
        every = self._forward(x, sum(widths))
        stops = np.cumsum(widths)
        return [every[:, b - w : b] for w, b in zip(widths, stops, strict=True)]

    def predict(self, X):
        """The output's activations.

        Parameters
        ----------
        X : array-like, (n, layer_units[0])

        Returns
        -------
        ndarray, (n, layer_units[-1])

        Raises
        ------
        TypeError, ValueError
            If X is not a finite array of that shape.
        """
        return self._forward(self._check_x(X), self._layer_units[-1])

    def _forward(self, x, width):
        self._check_params()
        n = len(x)
        out = np.empty((n, width), self._dtype)
        if n == 1:
            # for row after row the workspace is kept; taken out while in use, as threads may meet
            try:
                workspace = self._one_row.pop()
            except IndexError:
                workspace = new_workspace(kernels, self._units, 1, self._dtype)
            net = self._params, self._units, self._codes
            self._forward_kernel(*net, x, NO_COLUMNS, NO_ROW_STARTS, workspace, out)
            self._one_row.append(workspace)
            return out
        forward_rows(self._params, self._units, self._codes, x, out, self._n_jobs)
        return out

    # ---- what scikit-learn's displays ask for ----

    @_OnlyIf(_gives_probabilities)
    def predict_proba(self, X):
        """The probability of each class: a column each, and two of them for one sigmoid output.

        Networks whose output is softmax or one sigmoid have this, and `classes_`.

        Parameters
        ----------
        X : array-like, (n, layer_units[0])

        Returns
        -------
        ndarray, (n, n_classes)
        """
        p = self._predict_plane(X)
        return p if p.shape[1] > 1 else np.hstack([1 - p, p])

    @_OnlyIf(_gives_one_number)
    def decision_function(self, X):
        """The output of a network with one, if that is not sigmoid, as one number for each row.

        Parameters
        ----------
        X : array-like, (n, layer_units[0])

        Returns
        -------
        ndarray, (n,)
        """
        return self._predict_plane(X).ravel()

    def _predict_plane(self, X):
        shape = np.shape(X)
        if len(shape) == 2 and shape[1] == 2 != self._layer_units[0]:
            raise ValueError(
                f"X has two features, and this network takes {self._layer_units[0]}; for a "
                "boundary over two of them use fastnn.plotting.FeatureSlice(net, X, features=...)"
            )
        return self.predict(X)

    @property
    def classes_(self):
        """The numbers of the classes, where the outputs are their probabilities."""
        if not _gives_probabilities(self):
            raise AttributeError(f"{self!r} has no classes_")
        # not int: scikit-learn's LabelEncoder would then cut what `predict` gives down to labels
        return np.arange(max(2.0, self._layer_units[-1]))

    def __sklearn_is_fitted__(self):
        return bool(self.loss_curve_) or _checksum(self._params) != self._drawn

    def __sklearn_tags__(self):
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags

        classes = _gives_probabilities(self)
        return Tags(
            estimator_type="classifier" if classes else None,
            target_tags=TargetTags(required=True),
            classifier_tags=ClassifierTags() if classes else None,
            input_tags=InputTags(),
        )

    def loss(self, X, y, *, alpha=0.0):
        """The mean loss over the rows, plus the penalty alpha / (2 n) times the sum of W^2.

        Parameters
        ----------
        X : array-like, (n, layer_units[0])
        y : array-like, (n, layer_units[-1]), or (n,) for one output
        alpha : float >= 0

        Returns
        -------
        float
        """
        return self._mean_loss(X, y, alpha)(self._params, np.empty(0, self._dtype))

    def loss_and_grad(self, X, y, *, alpha=0.0):
        """The mean loss over the rows, with its penalty, and its gradient.

        Parameters
        ----------
        X : array-like, (n, layer_units[0])
        y : array-like, (n, layer_units[-1]), or (n,) for one output
        alpha : float >= 0

        Returns
        -------
        loss : float
        coef_grads : list of ndarray, (fan_in, fan_out)
        intercept_grads : list of ndarray, (fan_out,)
        """
        grads = np.empty_like(self._params)
        loss = self._mean_loss(X, y, alpha)(self._params, grads)
        return loss, *split_params(grads, self._layer_units)

    def _mean_loss(self, X, y, alpha):
        x, y = self._check_xy(X, y)
        alpha = checks.real_number("alpha", alpha, 0, closed="left")
        self._check_params()
        loss = builds.LOSSES[self._loss]
        return MeanLoss(self._units, self._codes, loss, alpha, x, y, self._n_jobs)

    # ---- training ----

    def fit(
        self,
        X,
        y,
        *,
        solver="adam",
        learning_rate_init=0.001,
        max_iter=200,
        batch_size="auto",
        shuffle=True,
        alpha=0.0,
        momentum=0.0,
        nesterovs_momentum=True,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        callback=None,
        callback_every=1,
    ):
        """Train for max_iter epochs from the present parameters, the solver starting afresh.

        Parameters
        ----------
        X : array-like, (n, layer_units[0])
        y : array-like, (n, layer_units[-1]), or (n,) for one output
            For the log losses between 0 and 1, and for "log_loss" each row sums to 1; for
            "poisson" >= 0.
        solver : {"adam", "sgd"}
            Adam (Kingma and Ba, 2015), or gradient descent.
        learning_rate_init : float > 0
        max_iter : int
            Epochs: how often every sample is used.
        batch_size : int or "auto"
            Samples for each step; "auto" is min(200, n). With n, every epoch is one step.
        shuffle : bool
            Whether to draw a new order of the samples for each epoch of several batches.
        alpha : float >= 0
            Strength of the penalty alpha / (2 samples) times the sum of the squared coefs.
        momentum : float in [0, 1)
            For "sgd"; 0 is plain gradient descent.
        nesterovs_momentum : bool
            Whether momentum looks ahead, as Nesterov's does.
        beta_1, beta_2 : float in [0, 1)
            For "adam": decay of its means of gradients and of their squares.
        epsilon : float > 0
            For "adam".
        callback : callable, or sequence of callables
            Functions of the network, called between epochs, which end the training by returning
            True; or a `fastnn.callbacks.Callback`, such as `ProgressBar`, `Recorder`,
            `ValidationLoss` or `fastnn.plotting.LivePlot`. Parameters and loss_curve_ are those
            reached; changes of the parameters are trained on from.
        callback_every : int
            Epochs from one call to the next, of functions; there is a call after the last epoch,
            too.

        Returns
        -------
        Network
            Itself.

        Raises
        ------
        TypeError, ValueError
            For bad input, before anything changes.
        Exception
            What a callback raised; the parameters are those reached.
        FloatingPointError
            If training leaves the finite numbers; the parameters are those before that epoch.
        KeyboardInterrupt
            On Ctrl-C; the parameters are those reached.
        """
        training = self._check_training(
            X, y, batch_size, shuffle, solver=solver, learning_rate_init=learning_rate_init,
            alpha=alpha, momentum=momentum, nesterovs_momentum=nesterovs_momentum, beta_1=beta_1,
            beta_2=beta_2, epsilon=epsilon,
        )  # fmt: skip
        curve = np.zeros(checks.whole_number("max_iter", max_iter))
        listeners = Listeners(callback, callback_every)
        if callback is None:
            self._forget_state()
            self.loss_curve_ = []
            self._train(*training, curve)
            return self
        before = self.loss_curve_, self._solver, self._state, self._step
        self._forget_state()
        self.loss_curve_ = []
        try:
            listeners.begin(self, *training[:2], len(curve))
        except BaseException:
            self.loss_curve_, self._solver, self._state, self._step = before
            raise
        with listeners:
            self._train(*training, curve, listeners)
        return self

    def partial_fit(
        self,
        X,
        y,
        *,
        solver="adam",
        learning_rate_init=0.001,
        batch_size="auto",
        shuffle=True,
        alpha=0.0,
        momentum=0.0,
        nesterovs_momentum=True,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
    ):
        """Train for one epoch, the solver going on where it was.

        Parameters and errors are those of `fit`. The solver's velocities or moments are kept from
        the call before, unless the solver is another.

        Returns
        -------
        Network
            Itself.
        """
        training = self._check_training(
            X, y, batch_size, shuffle, solver=solver, learning_rate_init=learning_rate_init,
            alpha=alpha, momentum=momentum, nesterovs_momentum=nesterovs_momentum, beta_1=beta_1,
            beta_2=beta_2, epsilon=epsilon,
        )  # fmt: skip
        self._train(*training, np.zeros(1))
        return self

    def _check_training(self, X, y, batch_size, shuffle, **options):
        """Everything that can be wrong with a fit, before anything changes."""
        x, y = self._check_xy(X, y)
        _check_targets(y, self._loss)
        self._check_params()
        # training must not change its own data: views of the parameters are taken as they are now
        x, y = (a.copy() if np.may_share_memory(a, self._params) else a for a in (x, y))
        if isinstance(batch_size, str) and batch_size == "auto":
            batch_size = 200
        elif isinstance(batch_size, str):
            raise ValueError(
                f'batch_size must be a whole number >= 1 or "auto", got {checks.shown(batch_size)}'
            )
        batch_size = min(checks.whole_number("batch_size", batch_size), len(x))
        shuffle = checks.boolean("shuffle", shuffle)
        threads.resolve(self._n_jobs)  # the environment may ask for what is no number
        return x, y, _check_descent(self._dtype, **options), batch_size, shuffle

    def _train(self, x, y, descent, batch_size, shuffle, curve, listeners=NOBODY):
        n_threads = threads_for(
            kernels, self._units, batch_size, self._dtype, len(x) * len(curve), self._n_jobs
        )
        run = TrainingRun(
            kernels, self._units, self._codes, builds.LOSSES[self._loss], descent, self._dtype,
            batch_size, n_threads,
        )  # fmt: skip
        solver = (descent.solver, descent.n_states)
        if self._solver == solver:  # go on where the last run was
            run.packed_state[:], run.step = self._state, self._step
        order = np.arange(len(x)) if shuffle and batch_size < len(x) else None
        in_parts = len(curve) > 1 and (listeners is not NOBODY or order is not None)
        params, done, makeup = None, 0, self._makeup()

        def note():  # each time all of it: a callback may have trained this network, too
            nonlocal done
            self._solver, self._state, self._step = solver, run.packed_state, run.step
            losses = curve[done : run.epochs_done].tolist()
            self.loss_curve_ += losses
            done += len(losses)

        with run:
            for stop in listeners.stops(self, len(curve)):
                if self._params is not params:  # as yet, or since a callback put others there
                    if self._makeup() != makeup:
                        raise ValueError(
                            "a callback made this another network: it is not trained on"
                        )
                    params = self._params
                    arguments = run.begin(
                        params, x, y, curve, order, first=done, in_parts=in_parts
                    )
                try:
                    if order is None:
                        run.until(stop, arguments)
                    else:
                        for epoch in range(done, stop):
                            draw_order(order, self._random_state)
                            run.until(epoch + 1, arguments)
                finally:
                    try:
                        note()
                    except KeyboardInterrupt:  # which came just then
                        note()
                        raise

    def _makeup(self):
        return self._layer_units, self._activations, self._loss, self._dtype

    def _forget_state(self):
        self._solver, self._state, self._step = None, None, 0

    # ---- checking ----

    def _check_x(self, X):
        return checks.matrix("X", X, self._dtype, self._layer_units[0], "feature")

    def _check_xy(self, X, y):
        x = self._check_x(X)
        y = checks.numeric_array("y", y)
        if y.ndim == 1 and self._layer_units[-1] == 1:
            y = y.reshape(-1, 1)
        elif y.ndim == 1:
            raise ValueError(
                f"y must have shape ({len(x)}, {self._layer_units[-1]}), one column for each "
                f"output, got {y.shape}; for class numbers use np.eye({self._layer_units[-1]})[y]"
            )
        return x, checks.matrix("y", y, self._dtype, self._layer_units[-1], "output", len(x))

    def _check_params(self):
        """Views may have been edited into something that is not a number."""
        if not self._all_finite(self._params):
            for name, views in (("coefs_", self._coefs), ("intercepts_", self._intercepts)):
                for i, view in enumerate(views):
                    checks.finite_array(f"{name}[{i}]", view, self._dtype)


# ---- parameters ---------------------------------------------------------------------------------


def _new_params(layer_units, dtype):
    n = sum((k + 1) * n for k, n in itertools.pairwise(layer_units))
    # packing rounds every layer up to panels of outputs
    if 64 * n * dtype.itemsize > sys.maxsize:
        raise ValueError(
            f"layer_units {list(layer_units)} need {n} parameters, too many to address"
        )
    return np.zeros(n, dtype)


def _checksum(params):
    """A number that a change of parameters changes."""
    return int(params.view(f"u{params.itemsize}").sum(dtype=np.uint64))


def split_params(params, layer_units):
    """Views of a flat vector: each layer's coefs (fan_in, fan_out) and intercepts (fan_out,)."""
    coefs, intercepts, at = [], [], 0
    for k, n in itertools.pairwise(layer_units):
        coefs.append(params[at : at + k * n].reshape(k, n))
        intercepts.append(params[at + k * n : at + k * n + n])
        at += (k + 1) * n
    return coefs, intercepts


def _draw_glorot(net):
    hidden = net._activations[:-1] or net._activations
    for i, (coef, intercept) in enumerate(zip(net._coefs, net._intercepts, strict=True)):
        factor = 2.0 if hidden[min(i, len(hidden) - 1)] == "sigmoid" else 6.0
        bound = np.sqrt(factor / sum(coef.shape))
        coef[...] = net._random_state.uniform(-bound, bound, coef.shape)
        intercept[...] = net._random_state.uniform(-bound, bound, intercept.shape)


def _draw_uniform(net):
    for coef, intercept in zip(net._coefs, net._intercepts, strict=True):
        intercept[...] = net._random_state.rand(*intercept.shape) * 2 - 1
        coef[...] = net._random_state.rand(*coef.shape) * 2 - 1


# ---- checking -----------------------------------------------------------------------------------


def check_layer_units(layer_units, name="layer_units"):
    """layer_units as a tuple of at least two whole numbers >= 1."""
    if isinstance(layer_units, (str, bytes)) or not hasattr(layer_units, "__iter__"):
        raise TypeError(
            f"{name} must be a sequence of whole numbers such as [2, 4, 8, 1], got "
            f"{checks.shown(layer_units)}"
        )
    units = tuple(checks.whole_number(f"{name}[{i}]", n) for i, n in enumerate(layer_units))
    if len(units) < 2:
        raise ValueError(
            f"{name} must hold at least inputs and outputs, such as [2, 1], got {list(units)}"
        )
    return units


def _check_activations(activation, out_activation, loss, layer_units):
    n_layers = len(layer_units) - 1
    needed = LOSS_ACTIVATION.get(loss)
    if isinstance(activation, str):
        hidden = checks.choice("activation", activation, ACTIVATIONS)
        if out_activation is None:
            out = needed or ("sigmoid" if hidden == "sigmoid" else "identity")
        else:
            out = checks.choice("out_activation", out_activation, ACTIVATIONS)
        names = (hidden,) * (n_layers - 1) + (out,)
        if hidden in OUTPUT_ONLY:
            raise ValueError(f'activation "{hidden}" is for the output: out_activation="{hidden}"')
    else:
        if not isinstance(activation, Sequence):
            raise TypeError(
                "activation must be a name or one name for each layer, got "
                f"{checks.shown(activation)}"
            )
        if out_activation is not None:
            raise ValueError("give out_activation or one activation for each layer, not both")
        names = tuple(
            checks.choice(f"activation[{i}]", name, ACTIVATIONS)
            for i, name in enumerate(activation)
        )
        if len(names) != n_layers:
            raise ValueError(
                f"activation must be one name, or {n_layers}, one for each layer after the input; "
                f"got {len(names)}"
            )
        for name in OUTPUT_ONLY:
            if name in names[:-1]:
                raise ValueError(f'activation "{name}" may only come last, got {list(names)}')
    if needed and names[-1] != needed:
        raise ValueError(
            f"loss {loss!r} goes with the output activation {needed!r}, got {names[-1]!r}"
        )
    if names[-1] == "softmax" and layer_units[-1] == 1:
        raise ValueError(
            "softmax over one output is always 1; for yes or no use one output with "
            'loss="binary_log_loss"'
        )
    return names


def _check_dtype(dtype):
    try:
        checked = np.dtype(dtype)
    except TypeError:
        checked = None
    if dtype is None or checked not in (np.float64, np.float32):
        raise ValueError(f'dtype must be "float64" or "float32", got {checks.shown(dtype)}')
    return checked


def _check_targets(y, loss):
    if loss == "squared_error":
        return
    if loss == "poisson":
        at, wanted = checks.first_where(lambda block: block < 0, y), "at least 0"
    else:
        at = checks.first_where(lambda block: (block < 0) | (block > 1), y)
        wanted = "between 0 and 1"
    if at is not None:
        raise ValueError(
            f"y must be {wanted} for loss {loss!r}, got y[{at[0]}, {at[1]}] = {y[at]}"
        )
    if loss == "log_loss":
        n_rows = max(1, checks.BLOCK // y.shape[1])
        for rows in (slice(row, row + n_rows) for row in range(0, len(y), n_rows)):
            sums = y[rows].sum(axis=1, dtype=np.float64)
            wrong = np.abs(sums - 1) > y.shape[1] * 4 * np.finfo(y.dtype).eps
            if wrong.any():
                row = int(np.argmax(wrong))
                raise ValueError(
                    "each row of y must sum to 1 for loss 'log_loss', got "
                    f"{sums[row]:g} in row {rows.start + row}"
                )


def _check_descent(
    dtype,
    *,
    solver,
    learning_rate_init,
    alpha,
    momentum,
    nesterovs_momentum,
    beta_1,
    beta_2,
    epsilon,
):
    """The numbers of a solver, each checked whether that solver uses it or not."""
    solver = checks.choice("solver", solver, {"adam": "adam", "sgd": "sgd"})
    # what is neither 0 nor infinite in the network's own arithmetic
    span = {
        "low": float(np.finfo(dtype).tiny),
        "high": float(np.finfo(dtype).max),
        "closed": "both",
    }
    rate = checks.real_number("learning_rate_init", learning_rate_init, **span)
    epsilon = checks.real_number("epsilon", epsilon, **span)
    alpha = checks.real_number("alpha", alpha, 0, span["high"], closed="both")
    momentum, beta_1, beta_2 = (
        checks.real_number(name, value, 0, 1, closed="left")
        for name, value in (("momentum", momentum), ("beta_1", beta_1), ("beta_2", beta_2))
    )
    look_ahead = checks.boolean("nesterovs_momentum", nesterovs_momentum)
    if solver == "adam":
        return Descent(builds.SOLVERS["adam"], rate, beta_1, beta_2, epsilon, alpha)
    if momentum and look_ahead:
        solver = "nesterov"
    return Descent(builds.SOLVERS[solver], rate, momentum, alpha=alpha)
