"""`from_onnx`: a network from an ONNX model, if that is a multilayer perceptron.

The graph is compared with the formulas by which `to_onnx` writes activations: each is built again,
but adding a node means finding it. So whatever the names in a file, a network is made only of
arithmetic that was recognised, and all of the graph must be. Nothing is executed.
"""

from __future__ import annotations

import json
import math
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.files import onnx_layers
from fastnn.files.converting import network_of
from fastnn.files.onnx_graph import Graph, Node, Value, key_of, load_onnx
from fastnn.files.onnx_layers import ACTIVATIONS
from fastnn.files.onnx_model import LOSS
from fastnn.network import Network

_COMMUTATIVE = ("Add", "Mul", "Max", "Min")

# how else the activations are written, by PyTorch's exporters and for float64 too
_ALSO: list[tuple[str, Callable[[Value], Value]]] = [
    ("elu", lambda z: z.apply("Elu", alpha=1.0)),
    ("leaky_relu", lambda z: z.apply("LeakyRelu", alpha=0.01)),
    ("selu", lambda z: z.apply("Selu")),
    ("softplus", lambda z: z.apply("Softplus")),
    ("mish", lambda z: z.apply("Mish")),
    ("mish", lambda z: z * z.apply("Softplus").apply("Tanh")),
    ("silu", lambda z: z * z.apply("Sigmoid")),
    ("silu", lambda z: z.apply("Swish", alpha=1.0)),
    ("gelu", lambda z: z.apply("Gelu", approximate="none")),
    ("gelu_tanh", lambda z: z.apply("Gelu", approximate="tanh")),
    ("gelu", lambda z: z * ((z / math.sqrt(2)).apply("Erf") + 1) * 0.5),
    ("gelu", lambda z: (z * 0.5) * ((z * math.sqrt(0.5)).apply("Erf") + 1)),
    ("gelu_tanh", lambda z: _by_tanh(z)),
]


def _by_tanh(z: Value) -> Value:
    u = (z + z * (z * z) * 0.044715) * math.sqrt(2 / math.pi)
    return z * (u.apply("Tanh") + 1) * 0.5


def from_onnx(model: Any, *, loss: Any = None) -> Network:
    """The network in an ONNX model: dense layers with activations of the catalog.

    Parameters
    ----------
    model : onnx.ModelProto, bytes or path-like
        Made by `to_onnx`, or by others of MatMul or Gemm, Add, and activations. Of a classifier's
        model, the network gives the probabilities; its labels are left out.
    loss : str, optional
        For further training, as of `Network`. By default the one that `to_onnx` wrote down, else
        ``"log_loss"`` after a softmax, ``"binary_log_loss"`` after one sigmoid unit, and
        ``"squared_error"``.

    Returns
    -------
    Network
        With copies of the parameters, in their type.

    Raises
    ------
    ValueError
        If the model is damaged or no such network; it names the operator that is unknown. Data
        outside the model's file are refused.
    TypeError
        If model is something else.
    ImportError
        Without onnx, the extra "onnx".
    OSError
        If the file cannot be read.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Network, from_onnx, to_onnx
    >>> net = Network([2, 4, 1], "tanh", random_state=0)
    >>> again = from_onnx(to_onnx(net))
    >>> np.array_equal(again.params_, net.params_)
    True
    """
    onnx = load_onnx()
    proto = _proto(onnx, model)
    coefs, intercepts, names, sorts = _Reading(onnx, proto).network()
    options = {"loss": loss} if loss is not None else _loss_of(proto)
    if sorts and options.get("loss") != "quantile":
        levels = (np.arange(len(intercepts[-1])) + 0.5) / len(intercepts[-1])
        options = {"loss": "quantile", "quantile": levels.tolist()}
    return network_of(coefs, intercepts, names, **options)


def _proto(onnx: Any, model: Any) -> Any:
    """The protocol buffer."""
    if isinstance(model, (str, os.PathLike)):
        model = pathlib.Path(model).read_bytes()
    if isinstance(model, (bytes, bytearray, memoryview)):
        proto = onnx.ModelProto()
        try:
            proto.ParseFromString(bytes(model))
        except Exception as error:  # of protobuf, which need not be importable by itself
            text = " ".join(str(error).split())
            raise ValueError(f"model is no ONNX model, or a damaged one: {text}") from None
        return proto
    if not isinstance(model, onnx.ModelProto):
        raise TypeError(f"model must be an onnx.ModelProto, bytes or a path, got {type(model)}")
    return model


def _loss_of(proto: Any) -> dict[str, Any]:
    """The loss that `to_onnx` wrote down, or nothing."""
    for entry in proto.metadata_props:
        if entry.key == LOSS:
            try:
                options = json.loads(entry.value)
            except (ValueError, RecursionError):
                options = None
            if isinstance(options, dict) and options.keys() <= {"loss", "delta", "quantile"}:
                return options
            raise ValueError(f"the model's {LOSS} is damaged")
    return {}


class _Other(Exception):
    """There is no such node."""


class Found(Graph):
    """A graph that is there: to add a node is to find it.

    Parameters
    ----------
    dtype : dtype
    key : function
        Of an operator, inputs and attributes: what equal nodes have in common.
    """

    def __init__(
        self, dtype: np.dtype[Any], key: Callable[[str, tuple[str, ...], dict[str, Any]], Any]
    ) -> None:
        super().__init__(dtype)
        self.key = key
        self.at: dict[Any, Node] = {}
        self.used: list[Node] = []

    def add(self, op: str, *inputs: str, **attributes: Any) -> str:
        """The name of the first output."""
        node = self.at.get(self.key(op, inputs, attributes))
        if node is None:
            raise _Other
        self.used.append(node)
        return node.outputs[0]

    def constant(self, values: NDArray[Any], name: str | None = None) -> str:
        """The name of an equal constant."""
        found = self._names.get(key_of(_scalar(values)))
        if found is None:
            raise _Other
        return found

    def take_constant(self, name: str, values: NDArray[Any]) -> str:
        """Have one more constant; the name of the first that is equal."""
        first = self._names.setdefault(key_of(_scalar(values)), name)
        self.constants.setdefault(first, values)
        return first


def _scalar(values: NDArray[Any]) -> NDArray[Any]:
    """One number has no dimensions: those that it may have are broadcast."""
    return values.reshape(()) if values.size == 1 else values


class _Reading:
    """One model, while it is read."""

    def __init__(self, onnx: Any, proto: Any) -> None:
        self._onnx = onnx
        graph = proto.graph
        self._opset = max([one.version for one in proto.opset_import if not one.domain], default=1)
        constants = {one.name: self._array(one) for one in graph.initializer}
        dtypes = {a.dtype for a in constants.values() if a.ndim == 2 and a.dtype.kind == "f"}
        inputs = [one.name for one in graph.input if one.name not in constants]
        if len(inputs) != 1:
            raise ValueError(f"the model must have one input, it has {len(inputs)}")
        self._input, self._alias = inputs[0], dict[str, str]()
        self._found = Found(np.dtype(np.float64), self._key)
        if np.dtype(np.float64) not in dtypes:
            self._found.dtype = np.dtype(np.float32)
        for name, array in constants.items():
            self._alias[name] = self._found.take_constant(name, array)
        for node in graph.node:
            self._take(node)
        self._outputs = [self._name(one.name) for one in graph.output]
        self._users: dict[str, list[Node]] = {}
        for one in self._found.nodes:
            for name in set(one.inputs):
                self._users.setdefault(name, []).append(one)

    # ---- the graph: without copies, each operation once ----

    def _array(self, tensor: Any) -> NDArray[Any]:
        proto = self._onnx.TensorProto
        if tensor.data_location == proto.EXTERNAL or len(tensor.external_data):
            raise ValueError(f"{tensor.name!r} lies outside the model's file, which is not read")
        try:
            array: NDArray[Any] = self._onnx.numpy_helper.to_array(tensor)
        except Exception as error:  # whatever a damaged tensor raises
            text = " ".join(str(error).split())
            raise ValueError(f"the tensor {tensor.name!r} is damaged: {text}") from None
        return array

    def _name(self, name: str) -> str:
        return self._alias.get(name, name)

    def _take(self, proto: Any) -> None:
        """A node, or another name for what is there."""
        if proto.domain not in ("", "ai.onnx"):
            raise _unknown(f"{proto.domain}.{proto.op_type}", proto.name)
        inputs = tuple(self._name(name) for name in proto.input if name)
        try:
            attributes = {
                one.name: self._onnx.helper.get_attribute_value(one) for one in proto.attribute
            }
            key = self._key(proto.op_type, inputs, attributes)
        except Exception:  # no such operator, or damaged
            raise _unknown(proto.op_type, proto.name) from None
        node = Node(proto.op_type, inputs, tuple(proto.output), dict(key[2]))
        if not node.outputs:
            raise _unknown(node.op, proto.name)
        array = self._constant_of(node, attributes)
        if array is not None:
            self._alias[node.outputs[0]] = self._found.take_constant(node.outputs[0], array)
        elif self._changes_nothing(node):
            self._alias[node.outputs[0]] = inputs[0]
        elif key in self._found.at:
            same = self._found.at[key]
            self._alias.update(zip(node.outputs, same.outputs, strict=False))
        else:
            self._found.at[key] = node
            self._found.nodes.append(node)

    def _key(self, op: str, inputs: tuple[str, ...], attributes: dict[str, Any]) -> Any:
        """What equal nodes have in common; attributes that are not given have their defaults."""
        try:
            schema = self._onnx.defs.get_schema(op, self._opset)
        except self._onnx.defs.SchemaError:
            raise _Other from None
        values = {
            name: self._onnx.helper.get_attribute_value(one.default_value)
            for name, one in schema.attributes.items()
            if one.default_value.type
        }
        values.update(attributes)
        if op == "Softmax" and values.get("axis") == -1:
            values["axis"] = 1  # there are two
        plain = {name: _plain(value) for name, value in values.items()}
        if op in _COMMUTATIVE:
            inputs = tuple(sorted(inputs))
        return op, inputs, tuple(sorted(plain.items()))

    def _constant_of(self, node: Node, attributes: dict[str, Any]) -> NDArray[Any] | None:
        """What a node gives that is no function of the input."""
        if node.op == "Constant" and "value" in attributes:
            return self._array(attributes["value"])
        if node.op == "Transpose" and node.inputs and node.inputs[0] in self._found.constants:
            array = self._found.constants[node.inputs[0]]
            if array.ndim == 2 and node.attributes.get("perm", (1, 0)) == (1, 0):
                return np.ascontiguousarray(array.T)
        return None

    def _changes_nothing(self, node: Node) -> bool:
        """Whether the first output is the input; of a row the type is that of the parameters."""
        if node.op == "Cast":
            to_type = self._onnx.helper.np_dtype_to_tensor_dtype(self._found.dtype)
            return bool(node.attributes.get("to") == to_type)
        if node.op == "Dropout":
            training = self._found.constants.get((*node.inputs, "", "", "")[2])
            return len(node.inputs) < 3 or (training is not None and not training.any())
        return node.op == "Identity" or (node.op == "Flatten" and node.attributes["axis"] == 1)

    # ---- the network ----

    def network(self) -> tuple[list[NDArray[Any]], list[NDArray[Any]], list[str], bool]:
        """coefs, intercepts, activations, and whether several quantiles are sorted."""
        coefs, intercepts, names = [], [], []
        x = Value(self._found, self._name(self._input))
        while (dense := self._dense(x)) is not None:
            coef, intercept, z = dense
            name, x = self._activation(z)
            coefs.append(coef)
            intercepts.append(intercept)
            names.append(name)
        sorts = self._is_end(x, coefs)
        if sorts is None or not coefs:
            used = {id(node) for node in self._found.used}
            for node in self._found.nodes:
                if id(node) not in used:
                    raise _unknown(node.op, node.outputs[0])
            raise ValueError("the model is no network: there is no dense layer before its output")
        return coefs, intercepts, names, sorts

    def _dense(self, x: Value) -> tuple[NDArray[Any], NDArray[Any], Value] | None:
        """The dense layer that follows: coefs, intercepts, weighted sums."""
        users = [one for one in self._users.get(x.name, []) if one.op in ("Gemm", "MatMul")]
        if len(users) != 1 or users[0] in self._found.used or users[0].inputs[0] != x.name:
            return None
        node, constants = users[0], self._found.constants
        coef = constants.get(node.inputs[1]) if len(node.inputs) > 1 else None
        if coef is None or coef.ndim != 2:
            return None
        attributes = node.attributes
        if node.op == "Gemm":
            if (attributes["alpha"], attributes["beta"], attributes["transA"]) != (1, 1, 0):
                return None
            coef = coef.T if attributes["transB"] else coef
        z, intercept, used = Value(self._found, node.outputs[0]), None, [node]
        if len(node.inputs) > 2:
            intercept = constants.get(node.inputs[2])
        else:
            intercept, z = self._added(z, coef.shape[1], used)
        n_units = coef.shape[1]
        shapes = {(), (1,), (1, 1), (n_units,), (1, n_units)}  # of others, each row has its own
        if intercept is None or intercept.shape not in shapes:
            return None
        self._found.used += used
        return coef, np.broadcast_to(intercept.ravel(), coef.shape[1:]), z

    def _added(self, z: Value, n_units: int, used: list[Node]) -> tuple[NDArray[Any], Value]:
        """The intercepts that are added to z, or zeros, and the sum."""
        users = self._users.get(z.name, [])
        if len(users) == 1 and users[0].op == "Add" and z.name not in self._outputs:
            for name in users[0].inputs:
                array = self._found.constants.get(name)
                if array is not None and array.shape[-1:] in ((), (1,), (n_units,)):
                    used.append(users[0])
                    return array, Value(self._found, users[0].outputs[0])
        return np.zeros(n_units, self._found.dtype), z

    def _activation(self, z: Value) -> tuple[str, Value]:
        """The activation of weighted sums, and its values."""
        best: tuple[list[Node], str, Value] = ([], "identity", z)
        before = self._found.used
        for name, function in [*ACTIVATIONS.items(), *_ALSO]:
            self._found.used = []
            try:
                value = function(z)
            except _Other:
                continue
            finally:
                nodes, self._found.used = self._found.used, before
            # a sigmoid is a part of other activations
            if len(nodes) > len(best[0]):
                best = nodes, name, value
        self._found.used = before + best[0]
        return best[1:]

    def _is_end(self, y: Value, coefs: list[NDArray[Any]]) -> bool | None:
        """Whether what follows the last layer sorts its outputs; None if it is unknown."""
        if not coefs:
            return None
        for outputs, sorts in self._ends(y, coefs[-1].shape[1]):
            used = {id(node) for node in self._found.used}
            if outputs == self._outputs and len(used) == len(self._found.nodes):
                return sorts
        return None

    def _ends(self, y: Value, n_outputs: int) -> Iterator[tuple[list[str], bool]]:
        """The outputs that a model may have."""
        yield [y.name], False
        before = self._found.used
        gathers = [one.inputs[0] for one in self._found.nodes if one.op == "Gather"]
        classes = [
            self._found.constants[name] for name in gathers if name in self._found.constants
        ]
        ends: list[Callable[[], tuple[Value, ...]]] = [
            lambda: (onnx_layers.sort_rows(y, n_outputs),),
            lambda: onnx_layers.several_labels(y),
            *(lambda known=one: onnx_layers.labels(y, known, n_outputs) for one in classes),
        ]
        for end in ends:
            self._found.used = list(before)
            try:
                values = end()
            except _Other:
                continue
            yield [value.name for value in values], len(values) == 1
        self._found.used = before


def _plain(value: Any) -> Any:
    """The value of an attribute, with numbers as a file has them, which can be compared."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, (list, tuple)):
        return tuple(value)
    if isinstance(value, float):
        return float(np.float32(value))
    return value if isinstance(value, (int, str)) else type(value).__name__


def _unknown(op: str, name: str) -> ValueError:
    return ValueError(
        f"from_onnx reads dense layers and fastnn's activations, not the operator {op!r} "
        f"({name!r})"
    )
