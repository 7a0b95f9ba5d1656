"""ONNX graphs in the making: a value is a formula's letter, and arithmetic on it adds nodes.

So the formulas of activations can be read, and each is there once: `Graph` writes its nodes,
`onnx_reading.Found` looks for them in a graph that is there, and `onnx_converters.Container`
hands them to skl2onnx.
"""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastnn import pages

Number: TypeAlias = "Value | float"


def load_onnx() -> Any:
    """The package onnx.

    Raises
    ------
    ImportError
        If it is missing, with what to install.
    """
    try:
        return importlib.import_module("onnx")
    except ImportError as error:
        raise pages.missing("ONNX needs onnx", "onnx") from error


class Node(NamedTuple):
    """One operation: an operator of ONNX, the names of its values, its attributes."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]


class Graph:
    """Nodes and constants.

    Parameters
    ----------
    dtype : dtype
        float64 or float32, of the arithmetic and of numbers in formulas.
    """

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self.nodes: list[Node] = []
        self.constants: dict[str, NDArray[Any]] = {}
        self._names: dict[tuple[Any, ...], str] = {}

    def add(self, op: str, *inputs: str, **attributes: Any) -> str:
        """A node more; the name of its first output."""
        name = f"{op}_{len(self.nodes)}"
        # of the operators here, one has a second output, which it cannot be without
        outputs = (name, f"{name}_indices") if op == "TopK" else (name,)
        self.nodes.append(Node(op, inputs, outputs, attributes))
        return name

    def constant(self, values: NDArray[Any], name: str | None = None) -> str:
        """The name of a constant; without one given, equal constants are one."""
        if name is None:
            key = key_of(values)
            name = self._names.setdefault(key, f"constant_{len(self._names)}")
        self.constants[name] = values
        return name

    def rename(self, value: Value, name: str) -> None:
        """Give the output of a node its name in the model."""
        new = {value.name: name}
        self.nodes = [
            node._replace(
                inputs=tuple(new.get(one, one) for one in node.inputs),
                outputs=tuple(new.get(one, one) for one in node.outputs),
            )
            for node in self.nodes
        ]


def key_of(values: NDArray[Any]) -> tuple[Any, ...]:
    """What equal constants have in common."""
    content = tuple(values.ravel()) if values.dtype == object else values.tobytes()
    return values.dtype.str, values.shape, content


class Value:
    """A tensor in a graph. Numbers that it is combined with become constants of the graph's type.

    Parameters
    ----------
    graph : Graph
    name : str
    """

    def __init__(self, graph: Graph, name: str) -> None:
        self.graph, self.name = graph, name

    @property
    def is_double(self) -> bool:
        """Whether the graph computes in float64, for which onnxruntime has fewer operators."""
        return self.graph.dtype == np.float64

    def constant(self, values: Any, dtype: Any = None) -> Value:
        """A constant in the same graph."""
        array = np.array(values, dtype or self.graph.dtype)
        return Value(self.graph, self.graph.constant(array))

    def apply(self, op: str, *others: Number, **attributes: Any) -> Value:
        """A node of which this is the first input."""
        inputs = [self, *(one if isinstance(one, Value) else self.constant(one) for one in others)]
        return Value(self.graph, self.graph.add(op, *(one.name for one in inputs), **attributes))

    def __add__(self, other: Number) -> Value:
        return self.apply("Add", other)

    __radd__ = __add__

    def __mul__(self, other: Number) -> Value:
        return self.apply("Mul", other)

    __rmul__ = __mul__

    def __sub__(self, other: Number) -> Value:
        return self.apply("Sub", other)

    def __rsub__(self, other: float) -> Value:
        return self.constant(other).apply("Sub", self)

    def __truediv__(self, other: Number) -> Value:
        return self.apply("Div", other)

    def __neg__(self) -> Value:
        return self.apply("Neg")

    def __abs__(self) -> Value:
        return self.apply("Abs")

    def __gt__(self, other: Number) -> Value:
        return self.apply("Greater", other)

    def exp(self) -> Value:
        """e^x."""
        return self.apply("Exp")

    def max(self, other: Number) -> Value:
        """The larger of the two."""
        return self.apply("Max", other)

    def min(self, other: Number) -> Value:
        """The smaller of the two."""
        return self.apply("Min", other)

    def choose(self, yes: Number, no: Number) -> Value:
        """Of truth values: yes where true, else no."""
        return self.apply("Where", yes, no)
