"""Models of others as networks, and compositions of scikit-learn without fastnn in them.

What PyTorch and Keras have is read by the names of classes and by public attributes: neither is
imported, and arithmetic that a subclass may have changed is refused.
"""

from __future__ import annotations

import collections
import copy
import functools
import math
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastnn.data import checks
from fastnn.network import Network

# an activation, (coefs, intercepts), or None for what a prediction passes through
_Part: TypeAlias = str | tuple[NDArray[Any], NDArray[Any]] | None


# ---- to scikit-learn ----------------------------------------------------------------------------


def to_sklearn(model: Any) -> Any:
    """A copy of a model of scikit-learn's in which its own MLPs are in the place of fastnn's.

    Parameters
    ----------
    model : estimator
        Or anything that estimators are in, fitted or not: pipelines, searches, ensembles, lists,
        dicts, arrays of objects.

    Returns
    -------
    estimator
        A deep copy with the `to_sklearn` of each of fastnn's estimators in its place, which
        predicts the same and needs no fastnn. What is there twice is so in the copy, too, but each
        of these estimators has a random state of its own.

    Raises
    ------
    ValueError
        If scikit-learn does not have an estimator's activation, or it predicts several quantiles.

    Warns
    -----
    UserWarning
        If an estimator has parameters that scikit-learn's class does not have.

    Examples
    --------
    >>> import fastnn
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> pipe = make_pipeline(StandardScaler(), fastnn.MLPRegressor())
    >>> type(fastnn.to_sklearn(pipe)[-1]).__module__
    'sklearn.neural_network._multilayer_perceptron'
    """
    from fastnn.estimators.converting import Convertible

    copies: dict[int, Any] = {}  # id -> copy: deepcopy takes it from here
    masked = []
    for thing in _everything_in(model, Convertible):
        if isinstance(thing, Convertible):
            copies[id(thing)] = thing.to_sklearn()
        else:
            masked.append(thing)
    for array in masked:  # NumPy copies what is in it on another way
        data = copy.deepcopy(array.data, copies)
        copies[id(array)] = np.ma.MaskedArray(data, np.copy(array.mask))
    return copy.deepcopy(model, copies)


def _everything_in(model: Any, last: type) -> Iterator[Any]:
    """Each object of class `last`, and each masked array of objects, that is in model."""
    seen: dict[int, Any] = {}  # with the objects, which keeps their ids theirs
    waiting = [model]
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen:
            continue
        seen[id(thing)] = thing
        if isinstance(thing, last):
            yield thing
            continue
        if isinstance(thing, np.ma.MaskedArray) and thing.dtype == object:
            yield thing
        waiting.extend(_parts_of(thing))


def _parts_of(thing: Any) -> Iterator[Any]:
    """What deepcopy copies with a thing."""
    if isinstance(thing, (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType)):
        return
    if isinstance(thing, dict):
        yield from thing.keys()
        yield from thing.values()
    elif isinstance(thing, (list, tuple, set, frozenset, collections.deque)):
        yield from thing
    elif isinstance(thing, np.ndarray) and thing.dtype == object:
        yield from np.asarray(thing).flat
    elif isinstance(thing, functools.partial):
        yield from (thing.func, thing.args, thing.keywords)
    elif isinstance(thing, types.MethodType):
        yield thing.__self__
    yield from getattr(thing, "__dict__", {}).values()
    for cls in type(thing).__mro__:
        slots = vars(cls).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(thing, name):
                yield getattr(thing, name)


# ---- from others --------------------------------------------------------------------------------


def network_of(
    coefs: Sequence[NDArray[Any]],
    intercepts: Sequence[NDArray[Any]],
    activations: Sequence[Any],
    **loss: Any,
) -> Network:
    """A network of copies of these arrays.

    Raises
    ------
    TypeError, ValueError
        If they do not fit together, or are not finite.
    """
    kinds = {array.dtype for array in (*coefs, *intercepts)}
    if not kinds <= {np.dtype(np.float32), np.dtype(np.float64)}:
        raise TypeError(f"parameters must be float32 or float64, got {sorted(map(str, kinds))}")
    dtype = np.result_type(*kinds)
    units = [len(coefs[0]), *(coef.shape[1] for coef in coefs)]
    for i, (coef, intercept) in enumerate(zip(coefs, intercepts, strict=True)):
        if coef.shape != (units[i], units[i + 1]) or intercept.shape != (units[i + 1],):
            raise ValueError(
                f"layer {i} does not fit: its coefs have shape {coef.shape} and its intercepts "
                f"{intercept.shape}, and it gets {units[i]} inputs"
            )
        checks.finite_array(f"coefs_[{i}]", coef, dtype)
        checks.finite_array(f"intercepts_[{i}]", intercept, dtype)
    if loss.get("loss") is None:
        one_sigmoid = activations[-1] == "sigmoid" and units[-1] == 1
        by_output = {"softmax": "log_loss", "sigmoid": "binary_log_loss"}
        known = activations[-1] == "softmax" or one_sigmoid
        loss["loss"] = by_output[activations[-1]] if known else "squared_error"
    layers = zip(coefs, intercepts, strict=True)
    params = np.concatenate([np.ravel(a) for layer in layers for a in layer], dtype=dtype)
    return Network.from_params(params, units, list(activations), **loss)


def from_torch(module: Any, *, loss: Any = None) -> Network:
    """The network in a module of PyTorch: Sequential, of Linear and activations.

    Parameters
    ----------
    module : torch.nn.Sequential
        It may hold others. Dropout and Identity are left out, as is a Flatten that comes first.
        LeakyReLU must have a slope of 0.01, ELU alpha=1, Softplus beta=1, Softmax dim=1 or -1.
    loss : str, optional
        For further training, as of `Network`. By default ``"log_loss"`` after a softmax,
        ``"binary_log_loss"`` after one sigmoid unit, else ``"squared_error"``.

    Returns
    -------
    Network
        With copies of the parameters, in their type.

    Raises
    ------
    TypeError, ValueError
        If there is anything else in it; the message names it.

    Notes
    -----
    PyTorch's Softplus is z for z > 20, where it differs by up to 2e-9.

    Examples
    --------
    >>> import torch
    >>> from fastnn import from_torch
    >>> layers = torch.nn.Linear(2, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1)
    >>> from_torch(torch.nn.Sequential(*layers))
    Network([2, 8, 1], activation=('tanh', 'identity'), loss='squared_error', dtype='float32')
    """
    return _network(_flat(module), _of_torch, loss)


def from_keras(model: Any, *, loss: Any = None) -> Network:
    """The network in a model of Keras: Sequential, of Dense and activations.

    Parameters
    ----------
    model : keras.Sequential
        It may hold others. Dropout and noise are left out, as is a Flatten that comes first.
        Activations are those of Dense, or layers: Activation, ReLU, LeakyReLU with a slope of
        0.01, ELU with alpha=1, Softmax.
    loss : str, optional
        For further training, as of `Network`. By default ``"log_loss"`` after a softmax,
        ``"binary_log_loss"`` after one sigmoid unit, else ``"squared_error"``.

    Returns
    -------
    Network
        With copies of the parameters, in their type.

    Raises
    ------
    TypeError, ValueError
        If there is anything else in it; the message names it.

    Examples
    --------
    >>> import keras
    >>> from fastnn import from_keras
    >>> layers = [keras.Input((2,)), keras.layers.Dense(8, "tanh"), keras.layers.Dense(1)]
    >>> from_keras(keras.Sequential(layers))
    Network([2, 8, 1], activation=('tanh', 'identity'), loss='squared_error', dtype='float32')
    """
    return _network(_flat(model), _of_keras, loss)


def _flat(module: Any) -> Iterator[Any]:
    """The layers of nested Sequentials, in order, none of a class or with hooks of the user's."""
    room = type(module).__module__.split(".")
    if room[0] not in ("torch", "keras", "tf_keras", "tensorflow"):
        raise _unknown(module)
    for name in ("_forward_hooks", "_forward_pre_hooks"):
        if getattr(module, name, None):
            raise ValueError(f"{_shown(module)} has hooks, which may change what it computes")
    if type(module).__name__ != "Sequential":
        yield module
        return
    for layer in module.layers if hasattr(module, "layers") else module:
        yield from _flat(layer)


def _network(layers: Iterator[Any], read: Callable[[Any], list[_Part]], loss: Any) -> Network:
    """A network of layers, by what `read` makes of each."""
    coefs: list[NDArray[Any]] = []
    intercepts: list[NDArray[Any]] = []
    names: list[str] = []  # one for each of coefs but the last, until its activation comes
    for layer in layers:
        if type(layer).__name__ == "Flatten" and not coefs:
            if getattr(layer, "start_dim", 1) != 1:
                raise ValueError(f"{_shown(layer)} makes all rows one")
            continue
        for part in read(layer):
            if isinstance(part, tuple):
                names += ["identity"] * (len(coefs) - len(names))
                coefs.append(part[0])
                intercepts.append(part[1])
            elif part is not None:
                if len(names) == len(coefs):
                    where = "after another one" if coefs else "before the first dense layer"
                    raise ValueError(f"{_shown(layer)}: fastnn has no activation {where}")
                names.append(part)
    if not coefs:
        raise ValueError("there is no dense layer")
    names += ["identity"] * (len(coefs) - len(names))
    return network_of(coefs, intercepts, names, loss=loss)


def _shown(layer: Any) -> str:
    return f"the layer {checks.shown(layer)}"


def _unknown(layer: Any) -> TypeError:
    return TypeError(f"{_shown(layer)} is none that fastnn has")


def _need(layer: Any, attribute: str, *values: Any) -> None:
    """Refuse a layer that computes otherwise than the catalog's activation.

    Raises
    ------
    ValueError
    """
    got = getattr(layer, attribute)
    if not any(got == v or (isinstance(v, float) and math.isclose(got, v)) for v in values):
        raise ValueError(
            f"{_shown(layer)}: fastnn's has {attribute} = {values[0]!r}, not {checks.shown(got)}"
        )


# ---- PyTorch ------------------------------------------------------------------------------------

_TORCH = {
    "Sigmoid": "sigmoid", "Tanh": "tanh", "ReLU": "relu", "SELU": "selu", "SiLU": "silu",
    "Mish": "mish", "LeakyReLU": "leaky_relu", "ELU": "elu", "Softplus": "softplus",
    "Softmax": "softmax",
}  # fmt: skip
_TORCH_NEEDS: dict[str, tuple[Any, ...]] = {
    "LeakyReLU": ("negative_slope", 0.01), "ELU": ("alpha", 1.0), "Softplus": ("beta", 1.0),
    "Softmax": ("dim", -1, 1),
}  # fmt: skip
_TORCH_PASSES = ("Identity", "Dropout", "AlphaDropout", "FeatureAlphaDropout")


def _of_torch(layer: Any) -> list[_Part]:
    name = type(layer).__name__
    if name == "Linear":
        coef = _array(layer.weight).T
        bias = layer.bias
        zeros = np.zeros(coef.shape[1], coef.dtype)
        return [(coef, zeros if bias is None else _array(bias))]
    if name in _TORCH_PASSES:
        return [None]
    if name == "GELU":
        _need(layer, "approximate", "none", "tanh")
        return ["gelu_tanh" if layer.approximate == "tanh" else "gelu"]
    if name not in _TORCH:
        raise _unknown(layer)
    if name in _TORCH_NEEDS:
        _need(layer, *_TORCH_NEEDS[name])
    if name == "Softplus":
        _need(layer, "threshold", 20.0)
    return [_TORCH[name]]


def _array(tensor: Any) -> NDArray[Any]:
    """A tensor of PyTorch's as an array."""
    try:
        return np.asarray(tensor.detach().cpu().numpy())
    except (TypeError, RuntimeError) as error:  # bfloat16, which NumPy does not have
        raise TypeError(f"parameters must be float32 or float64: {error}") from None


# ---- Keras --------------------------------------------------------------------------------------

_KERAS_FUNCTIONS = {
    "linear": None, "sigmoid": "sigmoid", "tanh": "tanh", "relu": "relu", "softmax": "softmax",
    "exponential": "exp", "silu": "silu", "swish": "silu", "elu": "elu", "selu": "selu",
    "gelu": "gelu", "mish": "mish", "softplus": "softplus",
}  # fmt: skip
_KERAS_PASSES = (
    "InputLayer", "Dropout", "AlphaDropout", "GaussianDropout", "GaussianNoise", "Identity",
    "ActivityRegularization",
)  # fmt: skip


def _of_keras(layer: Any) -> list[_Part]:
    name = type(layer).__name__
    if name in _KERAS_PASSES:
        return [None]
    if name == "Dense":
        coef, *rest = (np.asarray(array) for array in layer.get_weights())
        bias = rest[0] if rest else np.zeros(coef.shape[1], coef.dtype)
        return [(coef, bias), *_keras_activation(layer, layer.activation)]
    if name == "Activation":
        return _keras_activation(layer, layer.activation)
    if name == "ReLU":
        for attribute, value in (("max_value", None), ("negative_slope", 0.0), ("threshold", 0.0)):
            _need(layer, attribute, value)
        return ["relu"]
    if name == "LeakyReLU":
        # Keras 2 calls the slope alpha, and has it as an array
        _need(layer, "negative_slope" if hasattr(layer, "negative_slope") else "alpha", 0.01)
        return ["leaky_relu"]
    if name == "ELU":
        _need(layer, "alpha", 1.0)
        return ["elu"]
    if name == "Softmax":
        _need(layer, "axis", -1, 1)
        return ["softmax"]
    raise _unknown(layer)


def _keras_activation(layer: Any, activation: Any) -> list[_Part]:
    """The activation of Dense or Activation: a function, or a layer."""
    if hasattr(activation, "get_weights"):
        return _of_keras(activation)
    name = getattr(activation, "__name__", None)
    module = getattr(activation, "__module__", None) or ""
    if name not in _KERAS_FUNCTIONS or "keras" not in module:
        raise ValueError(
            f"{_shown(layer)}: its activation {checks.shown(name or activation)} is none that "
            "fastnn has"
        )
    return [_KERAS_FUNCTIONS[name]]
