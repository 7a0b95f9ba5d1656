"""The tutorial's own names and call signatures, with its own arithmetic, in compiled calls.

Replace the definitions in the notebook by ::

    from fastnn.tutorial import create_nn, l2_cost, neural_layer, relu, sigm, train

and from the same ``np.random.seed`` it trains to the same numbers. Source: "Red Neuronal" by Alba
Reinders Sánchez and Alejandro Valverde Mahou (2020), after Dot CSV. What is particular about its
arithmetic: coefs move by lr times the *sum* of their gradients over the samples, intercepts by lr
times the *mean*, and the derivative of the cost is Yp - Yr.

`sigm` and `relu` are activations, pairs of the function and its derivative from the function's
value; `l2_cost` is the pair of the mean squared error of (Yp, Yr) and its derivative by Yp.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import kernels, pages, threads, work
from fastnn.catalog import activations
from fastnn.catalog.activations import ActivationName
from fastnn.data import checks
from fastnn.forward import forward_rows
from fastnn.training.options import new_step
from fastnn.training.run import TrainingRun

__all__ = ["activation", "create_nn", "l2_cost", "neural_layer", "relu", "sigm", "train"]


if not TYPE_CHECKING:  # checkers would let any name be read

    def __getattr__(name):
        raise checks.no_attribute(__name__, name, __all__)


# a function, and its derivative from the function's value
FunctionPair: TypeAlias = tuple[Callable[[Any], Any], Callable[[Any], Any]]
# a cost of predictions and targets, and its derivative by the predictions
CostPair: TypeAlias = tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]


class ActivationPair(FunctionPair):
    """An activation and its derivative by the activation's value; a call applies the first."""

    __slots__ = ()

    def __call__(self, x: ArrayLike) -> Any:
        return self[0](x)

    def __reduce__(self) -> Any:
        # copies and pickles of a layer hold the very pair, by its name in this module
        names = {id(sigm): "sigm", id(relu): "relu"}
        return names.get(id(self)) or (activation, (_NAMES[id(self)],))


def _sigmoid(x: ArrayLike) -> Any:
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-np.asarray(x)))


def _sigmoid_derivative(a: Any) -> Any:
    return a * (1 - a)


def _relu(x: ArrayLike) -> Any:
    return np.maximum(0, x)


def _relu_derivative(a: ArrayLike) -> NDArray[Any]:
    a = np.asarray(a)
    return (a > 0).astype(np.result_type(a, np.float32))


def _squared_error(Yp: Any, Yr: Any) -> Any:
    return np.mean((Yp - Yr) ** 2)


def _squared_error_derivative(Yp: Any, Yr: Any) -> Any:
    return Yp - Yr


sigm = ActivationPair((_sigmoid, _sigmoid_derivative))
relu = ActivationPair((_relu, _relu_derivative))
l2_cost: CostPair = (_squared_error, _squared_error_derivative)


def _pair_of(row: activations.Activation) -> ActivationPair:
    """An activation of the catalog, computed by the kernels."""

    def apply(kernel: str, x: Any) -> NDArray[Any]:
        x = np.asarray(x)
        x = np.require(x, np.result_type(x, np.float32), ["C", "A"])
        out: NDArray[Any] = np.empty_like(x)
        if x.size:
            getattr(kernels.build, kernel)(x.reshape(-1), row.code, out.reshape(-1))
        return out

    def derivative(a: Any) -> NDArray[Any]:
        if row.stores_slope:
            raise TypeError(
                f"the derivative of {row.name} is no function of its value, so NumPy cannot train "
                "it in the tutorial's way; it trains with fastnn's own activations and l2_cost"
            )
        return apply("derivative", a)

    return ActivationPair((lambda z: apply("activate", z), derivative))


_PAIRS = {row.name: _pair_of(row) for row in activations.ACTIVATIONS if row.hidden}
_PAIRS |= {"sigmoid": sigm, "relu": relu}
_NAMES = {id(pair): name for name, pair in _PAIRS.items()}
_CODES = {id(pair): activations.CODES[name] for name, pair in _PAIRS.items()}
_COST = l2_cost


def activation(name: ActivationName) -> ActivationPair:
    """Any of fastnn's activations for hidden layers, as a layer's `act_f`.

    Parameters
    ----------
    name : str
        Such as "tanh". "sigmoid" and "relu" are `sigm` and `relu`.

    Returns
    -------
    ActivationPair
        The function, and its derivative from the function's value.

    Raises
    ------
    TypeError, ValueError
        For another name.

    Examples
    --------
    >>> from fastnn import tutorial
    >>> tanh = tutorial.activation("tanh")
    >>> net = tutorial.create_nn([2, 4, 1], tanh)
    >>> tanh(0.5) == tanh[0](0.5), tutorial.activation("relu") is tutorial.relu
    (np.True_, True)
    """
    return _PAIRS[checks.choice("name", name, activations.HIDDEN_SPELLINGS)]


class neural_layer:
    """A layer: coefs ``W`` (n_conn, n_neur) and intercepts ``b`` (1, n_neur), uniform in [-1, 1).

    Drawn from NumPy's global random state, b before W.

    Parameters
    ----------
    n_conn, n_neur : int
        Inputs and units.
    act_f : pair of callables
        The activation, and its derivative from the activation's value: `sigm`, `relu`,
        another `activation` of fastnn's, or your own.

    Attributes
    ----------
    W : ndarray, (n_conn, n_neur)
        The coefs.
    b : ndarray, (1, n_neur)
        The intercepts.
    act_f : pair of callables
        As given.

    Examples
    --------
    >>> from fastnn.tutorial import neural_layer, sigm
    >>> layer = neural_layer(2, 4, sigm)
    >>> layer.W.shape, layer.b.shape
    ((2, 4), (1, 4))
    """

    W: NDArray[Any]
    b: NDArray[Any]

    def __init__(self, n_conn: int, n_neur: int, act_f: FunctionPair) -> None:
        n_conn = checks.whole_number("n_conn", n_conn)
        n_neur = checks.whole_number("n_neur", n_neur)
        self.act_f = act_f
        self.b = np.random.rand(1, n_neur) * 2 - 1
        self.W = np.random.rand(n_conn, n_neur) * 2 - 1


class Layer(Protocol):
    """What `train` asks of a layer: `neural_layer`, or a class of your own."""

    W: Any
    b: Any

    @property
    def act_f(self) -> Any: ...


def create_nn(topology: Sequence[int], act_f: FunctionPair) -> list[neural_layer]:
    """A list of layers for units such as ``[2, 4, 8, 1]``, all with one activation.

    Parameters
    ----------
    topology : sequence of int
        Units of every layer, inputs first.
    act_f : pair of callables
        As of `neural_layer`.

    Returns
    -------
    list of neural_layer
        Drawn from NumPy's global random state, one after the other.

    Examples
    --------
    >>> from fastnn.tutorial import create_nn, sigm
    >>> [layer.W.shape for layer in create_nn([2, 4, 8, 1], sigm)]
    [(2, 4), (4, 8), (8, 1)]
    """
    units = checks.layer_units(topology, "topology")
    return [neural_layer(n_conn, n_neur, act_f) for n_conn, n_neur in itertools.pairwise(units)]


def train(
    neural_net: Sequence[Layer],
    X: ArrayLike,
    Y: ArrayLike | None,
    l2_cost: CostPair,
    lr: float = 0.5,
    train: bool = True,
    epochs: int = 1,
) -> NDArray[Any]:
    """Train by steps of gradient descent on all samples at once, the layers updated in place.

    Parameters
    ----------
    neural_net : list of neural_layer
        Or of any objects with ``W`` (k, n), ``b`` (1, n) and ``act_f``. Each step gives them new
        arrays.
    X : array-like, (samples, k of the first layer)
        The samples, one a row.
    Y : array-like, (samples, n of the last layer)
        Their targets; not looked at where nothing is trained.
    l2_cost : pair of callables
        The cost and its derivative by the prediction. Other pairs than this module's, and other
        activations, train in NumPy, with a warning.
    lr : float > 0
        The learning rate.
    train : bool
        False: only the forward pass.
    epochs : int
        Steps, all in one compiled call.

    Returns
    -------
    ndarray, (samples, n of the last layer)
        The outputs before the last step. Arithmetic is float32 if X, Y, W and b all are, and
        otherwise float64.

    Raises
    ------
    TypeError, ValueError
        For bad input, before anything changes.
    FloatingPointError
        If a step leaves the finite numbers; the layers are those before that step.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.tutorial import create_nn, l2_cost, sigm, train
    >>> np.random.seed(0)
    >>> X, Y = np.array([[0.0], [1.0]]), np.array([[1.0], [0.0]])
    >>> net = create_nn([1, 4, 1], sigm)
    >>> output = train(net, X, Y, l2_cost, lr=0.5, epochs=5000)
    >>> train(net, X, None, l2_cost, train=False).round(1)
    array([[1.],
           [0.]])
    """
    threads.from_environment()  # a bad number is refused whatever there is to do
    if not train:
        return _forward(neural_net, X)
    lr = checks.real_number("lr", lr, 0)
    epochs = checks.whole_number("epochs", epochs)
    trained = _Trained.last(neural_net) if l2_cost is _COST else None
    if trained is not None and epochs == 1:
        output = trained.step(neural_net, X, Y, lr)
        if output is not None:
            return output
    if trained is not None and trained.takes(X, Y):
        x, y = trained.as_type(X), trained.as_type(Y)
    else:
        neural_net = _plain(neural_net)
        layer_units, arrays, dtype = _check_layers(neural_net, X, Y)
        x = checks.matrix("X", X, dtype, layer_units[0], "feature")
        y = checks.matrix("Y", Y, dtype, layer_units[-1], "output", len(x))
        _check_pair("l2_cost", l2_cost)
        if l2_cost != _COST or not _is_compiled(neural_net):
            _flat(arrays, dtype)
            warnings.warn(_SLOW, stacklevel=2)
            return _train_numpy(neural_net, arrays, x, y, l2_cost, lr, epochs)
        trained = _Trained(neural_net, layer_units, arrays, dtype, (X, Y), epochs)
    return trained.train(neural_net, x, y, lr, epochs)


class _Trained:
    """Layers in training: their `TrainingRun`, and the arrays that its last step gave them.

    A loop over `train` finds the run again, with its memory, as long as the layers hold these
    arrays. A few small runs are kept.
    """

    # id of the net -> what was trained; taken out meanwhile, so that no two threads share it
    _kept: ClassVar[dict[int, _Trained]] = {}

    def __init__(
        self,
        neural_net: Sequence[Layer],
        layer_units: list[int],
        arrays: list[NDArray[Any]],
        dtype: np.dtype[Any],
        data: tuple[Any, Any],
        epochs: int,
    ) -> None:
        n_samples = np.shape(data[0])[0]  # data need not have a len
        self.units, self.codes = np.array(layer_units, np.intp), _codes(neural_net)
        if len(self.codes) != len(layer_units) - 1:  # counted one after the other
            raise ValueError(
                f"{len(self.codes)} layers instead of {len(layer_units) - 1}: others came or went"
            )
        self.shapes = tuple(array.shape for array in arrays)
        step = new_step(
            "squared_error", solver="sgd", learning_rate_init=1.0, batch_size=n_samples,
            sum_coef_grads=True,
        )  # fmt: skip
        n_threads = work.training_threads(self.units, n_samples, dtype, n_samples * epochs)
        self.run = TrainingRun(self.units, self.codes, step, dtype, n_threads=n_threads)
        self.alone = n_threads == 1
        self.is_small = len(self.run.workspace) <= 1_000_000
        self.x_like, self.y_like = ((np.asarray(a).dtype.num, *np.shape(a)) for a in data)
        self.same_type = self.x_like[0] == self.y_like[0] == dtype.num
        self.dtype, self.params = dtype, _flat(arrays, dtype)
        self.arrays: tuple[NDArray[Any], ...] = ()  # W and b of each layer
        self.act_fs = tuple(layer.act_f for layer in neural_net)
        self.lr, self.loss_curve = 1.0, np.empty(epochs)

    @classmethod
    def last(cls, neural_net: Any, keep: bool = False) -> _Trained | None:
        """What was trained in these layers last, or None; taken out unless it is to be kept."""
        kept, key = cls._kept, id(neural_net)
        trained = kept.get(key) if keep else kept.pop(key, None)
        if trained is None or not _holds(neural_net, trained.arrays, trained.act_fs):
            return None
        return trained

    def takes(self, X: Any, Y: Any) -> bool:
        """Whether X and Y are arrays just like those that the run was made for."""
        is_matrix = kernels.build.is_matrix
        return is_matrix(X, *self.x_like) and is_matrix(Y, *self.y_like)

    def as_type(self, array: Any) -> NDArray[Any]:
        """An array that `takes` lets pass, in the type to compute in."""
        converted: NDArray[Any] = array if array.dtype is self.dtype else array.astype(self.dtype)
        return converted

    def train(
        self,
        neural_net: Sequence[Layer],
        X: NDArray[Any],
        Y: NDArray[Any],
        lr: float,
        epochs: int,
    ) -> NDArray[Any]:
        """Steps from self.params on, into new arrays: those of the step before stay."""
        run = self.run
        self._set_learning_rate(lr)
        if epochs != len(self.loss_curve):
            self.loss_curve = np.empty(epochs)
        params = self.params = self.params.copy()
        output = np.empty(Y.shape, self.dtype)
        try:
            with run:
                run.begin(params, X, Y, self.loss_curve, None, output)
                run.until(epochs)
        except FloatingPointError:
            self._check_numbers(neural_net, X, Y)
            raise
        finally:
            self._give(neural_net)
        return output

    def step(self, neural_net: Sequence[Layer], X: Any, Y: Any, lr: float) -> NDArray[Any] | None:
        """`train` for one step by one thread on data that `takes` lets pass, or None."""
        if not self.alone:
            return None
        self._set_learning_rate(lr)
        try:
            if not self.same_type and self.takes(X, Y):  # such as labels of whole numbers
                X, Y = self.as_type(X), self.as_type(Y)
            done = self.run.one(self.params, X, Y, self.loss_curve)
        except BaseException as error:
            self._give(neural_net)
            if isinstance(error, FloatingPointError):
                self._check_numbers(neural_net, X, Y)
            raise
        if done is None:
            return None
        self.params, output = done
        self._give(neural_net)
        return output

    def _set_learning_rate(self, lr: float) -> None:
        if lr != self.lr:
            self.run.set_learning_rate(lr)
            self.lr = lr

    @staticmethod
    def _check_numbers(neural_net: Sequence[Layer], X: NDArray[Any], Y: NDArray[Any]) -> None:
        """Refuse what a kept run has not checked: numbers that may be what is wrong."""
        arrays, dtype = _check_layers(neural_net)[1:]
        _flat(arrays, dtype)
        checks.finite_array("X", X, X.dtype)
        checks.finite_array("Y", Y, Y.dtype)

    def _give(self, neural_net: Sequence[Layer]) -> None:
        """Give the layers the new parameters, and keep the run for the next step."""
        self.arrays = kernels.build.give_views(neural_net, _ARRAYS, self.params, self.shapes)
        if type(neural_net) is list and self.is_small:
            self._kept[id(neural_net)] = self
            _drop_oldest(self._kept)


def _holds(neural_net: Any, arrays: tuple[Any, ...], act_fs: tuple[Any, ...]) -> bool:
    """Whether the layers have these very arrays and activations."""
    holds = kernels.build.holds
    return holds(neural_net, _ARRAYS, arrays) and holds(neural_net, _ACT_F, act_fs)


_ARRAYS, _ACT_F = ("W", "b"), ("act_f",)
_SLOW = "an activation or cost that is not fastnn.tutorial's own runs in NumPy, the slow way"


def _is_compiled(neural_net: Sequence[Layer]) -> bool:
    return all(id(layer.act_f) in _CODES for layer in neural_net)


def _codes(neural_net: Sequence[Layer]) -> NDArray[np.int32]:
    return np.array([_CODES[id(layer.act_f)] for layer in neural_net], np.int32)


def _forward(neural_net: Sequence[Layer], X: Any) -> NDArray[Any]:
    """The outputs of the net as it is."""
    short_way, held, act_fs = _short_ways.get(id(neural_net), _NO_SHORT_WAY)
    if short_way is None or not _holds(neural_net, held, act_fs):
        trained = _Trained.last(neural_net, keep=True)
        short_way = None
        if trained is not None:
            short_way = _keep_short_way(neural_net, trained.arrays, trained.act_fs, trained.codes)
    if short_way is not None:
        outputs: NDArray[Any] | None = short_way(X)
        if outputs is not None:
            return outputs
    neural_net = _plain(neural_net)
    layer_units, arrays, dtype = _check_layers(neural_net, X)
    X = checks.matrix("X", X, dtype, layer_units[0], "feature")
    if not _is_compiled(neural_net):
        warnings.warn(_SLOW, stacklevel=3)
        return _forward_numpy(neural_net, arrays, X)[-1]
    units, codes = np.array(layer_units, np.intp), _codes(neural_net)
    out = np.empty((len(X), layer_units[-1]), dtype)
    forward_rows(_flat(arrays, dtype), units, codes, X, out)
    if type(neural_net) is list and kernels.build.holds(neural_net, _ARRAYS, tuple(arrays)):
        act_fs = tuple(layer.act_f for layer in neural_net)
        _keep_short_way(neural_net, tuple(arrays), act_fs, codes)
    return out


# id of a net -> its `Forward`, and the arrays and activations for which it is; of a few small
# nets, for loops that draw a boundary point by point
_short_ways: dict[int, tuple[Any, tuple[Any, ...], tuple[Any, ...]]] = {}
_NO_SHORT_WAY: tuple[Any, tuple[Any, ...], tuple[Any, ...]] = None, (), ()


def _keep_short_way(
    neural_net: Any,
    arrays: tuple[NDArray[Any], ...],
    act_fs: tuple[Any, ...],
    codes: NDArray[np.int32],
) -> Any:
    """The `Forward` of these layers, kept for the next call."""
    short_way = kernels.build.Forward(arrays, codes)
    if sum(array.size for array in arrays) <= 1_000_000:
        _short_ways.pop(id(neural_net), None)
        _short_ways[id(neural_net)] = short_way, arrays, act_fs
        _drop_oldest(_short_ways)
    return short_way


def _drop_oldest(kept: dict[int, Any]) -> None:
    """Keep the last few."""
    if len(kept) > 4:
        for key in list(kept)[:-4]:
            kept.pop(key, None)


def _check_pair(name: str, pair: object) -> None:
    if not (isinstance(pair, (tuple, list)) and len(pair) == 2 and all(map(callable, pair))):
        raise TypeError(
            f"{name} must be a pair of callables, f and its derivative, as those of "
            f"fastnn.tutorial are; got {checks.shown(pair)}"
        )


def _plain(neural_net: Any) -> Any:
    """A list of another class as a plain one: its length and its items may disagree."""
    if type(neural_net) is not list and isinstance(neural_net, (list, tuple)):
        return list(neural_net)
    return neural_net


def _check_layers(
    neural_net: Sequence[Layer], *data: Any
) -> tuple[list[int], list[NDArray[Any]], np.dtype[Any]]:
    """The units of each layer, inputs first; every W and b; the type to compute in with data."""
    if not isinstance(neural_net, (list, tuple)) or len(neural_net) == 0:
        raise TypeError(f"neural_net must be a list of layers, got {checks.shown(neural_net)}")
    if len({id(layer) for layer in neural_net}) < len(neural_net):
        raise ValueError("neural_net holds the same layer twice; each layer needs its own W and b")
    layer_units: list[int] = []
    arrays: list[NDArray[Any]] = []
    for i, layer in enumerate(neural_net):
        for name in ("W", "b", "act_f"):
            if not hasattr(layer, name):
                raise TypeError(f"layer {i} of neural_net has no {name}: {checks.shown(layer)}")
        _check_pair(f"layer {i}'s act_f", layer.act_f)
        W = checks.numeric_array(f"layer {i}'s W", layer.W)
        b = checks.numeric_array(f"layer {i}'s b", layer.b)
        if W.ndim != 2 or 0 in W.shape:
            raise ValueError(f"layer {i}'s W must have shape (inputs, units), got {W.shape}")
        if b.shape not in ((1, W.shape[1]), (W.shape[1],)):
            raise ValueError(f"layer {i}'s b must have shape (1, {W.shape[1]}), got {b.shape}")
        if layer_units and W.shape[0] != layer_units[-1]:
            raise ValueError(
                f"layer {i}'s W must have {layer_units[-1]} rows, one for each unit of the layer "
                f"before, got shape {W.shape}"
            )
        layer_units = layer_units or [W.shape[0]]
        layer_units.append(W.shape[1])
        arrays += [W, b]
    single = all(getattr(array, "dtype", None) == np.float32 for array in [*data, *arrays])
    return layer_units, arrays, np.dtype(np.float32 if single else np.float64)


def _flat(arrays: list[NDArray[Any]], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Every W and b in one vector, all of them finite."""
    params = np.concatenate(arrays, axis=None, dtype=dtype)
    if not kernels.build.all_finite(params):
        for i, array in enumerate(arrays):
            checks.finite_array(f"layer {i // 2}'s {'Wb'[i % 2]}", array, dtype)
    return params


def _forward_numpy(
    neural_net: Sequence[Layer], arrays: list[NDArray[Any]], X: NDArray[Any]
) -> list[NDArray[Any]]:
    """[X, a_1, ..., a_L] with whatever act_f the layers have."""
    a = [X]
    for layer, W, b in zip(neural_net, arrays[::2], arrays[1::2], strict=True):
        a.append(layer.act_f[0](a[-1] @ W + b))
    return a


def _train_numpy(
    neural_net: Sequence[Layer],
    arrays: list[NDArray[Any]],
    X: NDArray[Any],
    Y: NDArray[Any],
    cost: CostPair,
    lr: float,
    epochs: int,
) -> NDArray[Any]:
    """`train` for any act_f and cost; arrays are every layer's W and b."""
    for epoch in range(epochs):
        a = _forward_numpy(neural_net, arrays, X)
        delta = cost[1](a[-1], Y) * neural_net[-1].act_f[1](a[-1])
        new = arrays[:]
        for i in reversed(range(len(neural_net))):
            W, b = arrays[2 * i : 2 * i + 2]
            new[2 * i] = W - lr * (a[i].T @ delta)
            new[2 * i + 1] = b - lr * delta.mean(axis=0).reshape(b.shape)
            if i > 0:
                delta = (delta @ W.T) * neural_net[i - 1].act_f[1](a[i])
        for p in new:
            if p.dtype.kind != "f":
                raise TypeError(f"an act_f or cost gave numbers of dtype {p.dtype}, not real ones")
        if not all(np.isfinite(p).all() for p in new):
            message = (
                f"training diverged in epoch {epoch + 1}: a parameter is no longer finite. The "
                f"parameters are those before that epoch. Try a learning rate below {lr:g}"
            )
            raise FloatingPointError(pages.see("diverged", message))
        arrays = new
        for layer, W, b in zip(neural_net, arrays[::2], arrays[1::2], strict=True):
            layer.W, layer.b = W, b
    return a[-1]
