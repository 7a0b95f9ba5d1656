"""How skl2onnx and Hummingbird convert MLPClassifier and MLPRegressor, whatever they are in."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.files.onnx_graph import Graph, Value, key_of, load_onnx
from fastnn.files.onnx_layers import classes_for
from fastnn.files.onnx_model import Parts, build, parts_of_estimator


def _classes() -> list[tuple[str, Any, Any]]:
    """For each kind its name, fastnn's class and scikit-learn's own."""
    from fastnn import estimators

    classes: list[Any] = [estimators.MLPClassifier, estimators.MLPRegressor]
    room = "sklearn.neural_network._multilayer_perceptron"
    originals = [next(c for c in cls.__mro__ if c.__module__ == room) for cls in classes]
    return list(zip(("classifier", "regressor"), classes, originals, strict=True))


# ---- skl2onnx -----------------------------------------------------------------------------------


def register_skl2onnx() -> None:
    """Enter MLPClassifier and MLPRegressor in skl2onnx's tables."""
    skl2onnx = importlib.import_module("skl2onnx")
    # the options as skl2onnx has them for its own MLPs
    options = {
        "zipmap": [True, False, "columns"],
        "output_class_labels": [False, True],
        "nocl": [True, False],
    }
    of_kind = {
        "classifier": (_classifier_shapes, _convert_classifier),
        "regressor": (_regressor_shapes, _convert_regressor),
    }
    for kind, cls, original in _classes():
        known = [cls]
        try:
            skl2onnx.get_model_alias(original)
        except RuntimeError:  # it was imported while fastnn's classes were in their place
            known.append(original)
        for one in known:
            skl2onnx.update_registered_converter(
                one, f"FastnnMLP{kind}", *of_kind[kind],
                options=options if kind == "classifier" else None,
            )  # fmt: skip


class Container(Graph):
    """Nodes and constants go to skl2onnx's container, which has names of its own.

    Parameters
    ----------
    dtype : dtype
    scope, container : object
        As skl2onnx passes them to a converter.
    """

    def __init__(self, dtype: np.dtype[Any], scope: Any, container: Any) -> None:
        super().__init__(dtype)
        self._scope, self._container = scope, container
        self.type_of = load_onnx().helper.np_dtype_to_tensor_dtype

    def add(self, op: str, *inputs: str, **attributes: Any) -> str:
        """The name of the first output."""
        before, self.nodes = self.nodes, []
        super().add(op, *inputs, **attributes)
        (node,), self.nodes = self.nodes, before
        outputs = [self._scope.get_unique_variable_name(name) for name in node.outputs]
        name = self._scope.get_unique_operator_name(op)
        self._container.add_node(op, list(inputs), outputs, name=name, **attributes)
        return str(outputs[0])

    def constant(self, values: NDArray[Any], name: str | None = None) -> str:
        """The name of a constant; equal ones are one."""
        key = key_of(values)
        if key not in self._names:
            unique = self._scope.get_unique_variable_name(name or "constant")
            content: Any = values.ravel()
            if values.dtype == object:
                content = [text.encode() for text in content]
            kind = self.type_of(values.dtype)
            self._container.add_initializer(unique, kind, list(values.shape), content)
            self._names[key] = unique
        return self._names[key]


def _convert(scope: Any, operator: Any, container: Any, parts: Parts) -> None:
    """All nodes of an estimator. Its input may have any type: others than double become float."""
    is_double = type(operator.inputs[0].type).__name__ == "DoubleTensorType"
    graph = Container(np.dtype(np.float64 if is_double else np.float32), scope, container)
    x = Value(graph, operator.inputs[0].full_name)
    if type(operator.inputs[0].type).__name__ not in ("DoubleTensorType", "FloatTensorType"):
        x = x.apply("Cast", to=graph.type_of(graph.dtype))
    for value, variable in zip(build(x, parts), operator.outputs, strict=True):
        container.add_node(
            "Identity", value.name, variable.full_name, name=scope.get_unique_operator_name("Out")
        )


def _convert_classifier(scope: Any, operator: Any, container: Any) -> None:
    parts = parts_of_estimator(operator.raw_operator)
    # which are numbers from 0 on with the option nocl
    utils = importlib.import_module("skl2onnx.common.utils_classifier")
    classes = utils.get_label_classes(scope, operator.raw_operator)
    _convert(scope, operator, container, parts._replace(classes=classes_for(classes)))


def _convert_regressor(scope: Any, operator: Any, container: Any) -> None:
    _convert(scope, operator, container, parts_of_estimator(operator.raw_operator))


# skl2onnx's own functions know one output only of MLPs, and one label a row


def _classifier_shapes(operator: Any) -> None:
    shapes = importlib.import_module("skl2onnx.common.shape_calculator")
    shapes.calculate_linear_classifier_output_shapes(operator)
    label, probabilities = operator.outputs
    if parts_of_estimator(operator.raw_operator).several_labels:
        label.type.shape = list(probabilities.type.shape)
    elif len(operator.raw_operator.classes_) == 1:
        probabilities.type.shape = [probabilities.type.shape[0], 2]


def _regressor_shapes(operator: Any) -> None:
    shapes = importlib.import_module("skl2onnx.common.shape_calculator")
    shapes.calculate_linear_regressor_output_shapes(operator)
    (output,) = operator.outputs
    output.type.shape = [output.type.shape[0], len(operator.raw_operator.intercepts_[-1])]


# ---- Hummingbird --------------------------------------------------------------------------------


def register_hummingbird() -> None:
    """Enter MLPClassifier and MLPRegressor in Hummingbird's tables."""
    names = importlib.import_module("hummingbird.ml.supported").sklearn_api_operator_name_map
    pool = importlib.import_module("onnxconverter_common.registration")
    for kind, cls, _ in _classes():
        names[cls] = f"FastnnMLP{kind}"
        pool.register_converter(names[cls], _module_of, overwrite=True)


def _module_of(operator: Any, device: Any, extra_config: Any) -> Any:
    """An estimator as Hummingbird has them: a module of PyTorch, of float32.

    Raises
    ------
    ValueError
        If rows have several labels, or labels are no whole numbers: Hummingbird has neither.
    """
    torch = importlib.import_module("torch")
    room = importlib.import_module("hummingbird.ml.operator_converters._physical_operator")
    functional = torch.nn.functional
    functions: dict[str, Callable[[Any], Any]] = {
        "identity": lambda z: z,
        "sigmoid": torch.sigmoid,
        "tanh": torch.tanh,
        "relu": torch.relu,
        "softmax": lambda z: torch.softmax(z, 1),
        "exp": torch.exp,
        "silu": functional.silu,
        "elu": functional.elu,
        "leaky_relu": lambda z: functional.leaky_relu(z, 0.01),
        "selu": functional.selu,
        "gelu": functional.gelu,
        "gelu_tanh": lambda z: functional.gelu(z, approximate="tanh"),
        "mish": functional.mish,
        "softplus": functional.softplus,
    }
    parts = parts_of_estimator(operator.raw_operator)
    classes = parts.classes
    if parts.several_labels:
        raise ValueError("Hummingbird predicts one label a row, and this estimator has several")
    if classes is not None and classes.dtype == object:
        raise ValueError("Hummingbird predicts labels that are whole numbers only")

    class Module(room.PhysicalOperator, torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__(
                operator, regression=classes is None, classification=classes is not None
            )
            # their names are those that the other files' tensors have
            self.coefs, self.intercepts = (
                torch.nn.ParameterList(
                    torch.nn.Parameter(torch.tensor(a, dtype=torch.float32), requires_grad=False)
                    for a in arrays
                )
                for arrays in (parts.coefs, parts.intercepts)
            )
            labels = None if classes is None else torch.tensor(classes)
            self.register_buffer("classes", labels)

        def forward(self, x: Any) -> Any:
            x = x.float()
            layers = zip(self.coefs, self.intercepts, parts.activations, strict=True)
            for coef, intercept, name in layers:
                x = functions[name](torch.addmm(intercept, x, coef))
            if classes is None:
                return torch.sort(x, dim=1).values if parts.sorts else x
            if x.shape[1] == 1:
                x = torch.cat([1 - x, x], dim=1)
            best = torch.argmax(x, dim=1)
            if len(classes) == 1:
                best = torch.zeros_like(best)
            return self.classes[best], x

    return Module()
