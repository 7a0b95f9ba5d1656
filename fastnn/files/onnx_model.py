"""`to_onnx`: networks and estimators as ONNX models, whose numbers are those of `predict`."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn.catalog import activations, losses
from fastnn.data import checks
from fastnn.files import onnx_layers
from fastnn.files.container import replace_file
from fastnn.files.onnx_graph import Graph, Value, load_onnx
from fastnn.network import Network

if TYPE_CHECKING:
    from fastnn.estimators import MLPClassifier, MLPRegressor

OLDEST_OPSET, OPSET = 13, 17  # all operators are in the first; onnxruntime 1.12 has the second
LOSS = "fastnn.loss"  # the key of the loss among a model's metadata


class Parts(NamedTuple):
    """A model in plain arrays.

    Attributes
    ----------
    coefs, intercepts : list of ndarray
    activations : sequence of str
        Of each layer, by its name in the catalog.
    dtype : dtype
    sorts : bool
        Whether several quantiles are predicted.
    classes : ndarray or None
        Of a classifier, as ONNX can hold them.
    several_labels : bool
        Whether a row may have several of them.
    loss : dict or None
        The arguments of `Network` that make the loss; None if they are functions, or follow from
        the output's activation.
    """

    coefs: list[NDArray[Any]]
    intercepts: list[NDArray[Any]]
    activations: Sequence[str]
    dtype: np.dtype[Any]
    sorts: bool = False
    classes: NDArray[Any] | None = None
    several_labels: bool = False
    loss: dict[str, Any] | None = None


def to_onnx(
    model: Network | MLPClassifier | MLPRegressor,
    path: str | os.PathLike[str] | None = None,
    *,
    opset: int | None = None,
    name: str = "fastnn",
) -> Any:
    """A model in ONNX, the format of onnxruntime and of many other programs.

    onnxruntime computes the numbers of `predict` up to rounding, relative to max(1, abs(value)):
    in float64 within 1e-12; in float32 within 1e-6 for sums of up to 33 terms of size 1, beyond
    which two ways of adding are further apart (2e-6 for 97 terms).

    Parameters
    ----------
    model : Network, MLPClassifier or MLPRegressor
        Fitted. For pipelines and other compositions of scikit-learn take ``skl2onnx.to_onnx``,
        which knows fastnn's estimators.
    path : path-like, optional
        Where to write it.
    opset : int, optional
        The version of ONNX's operators, 13 or later; 17 by default. Runtimes that are older
        than a version cannot read it.
    name : str
        Of the graph.

    Returns
    -------
    onnx.ModelProto
        Equal models give equal bytes. The input "X", (n, n_features), has the type of the
        parameters, and so have all outputs but labels:

        - Network: "Y", (n, n_outputs); several quantiles are sorted.
        - MLPRegressor: "variable", (n, n_outputs), a column where `predict` gives a vector.
        - MLPClassifier: "label", (n,), of int64 or strings, and "probabilities", (n, n_classes);
          with several labels a row both are (n, n_labels). Labels that are whole numbers or
          truth values of another type come out as int64.

    Raises
    ------
    TypeError
        For another model.
    sklearn.exceptions.NotFittedError
        For an estimator that is not fitted.
    ValueError
        If a parameter is not finite, labels are neither whole numbers nor strings, or the version
        of operators is unknown.
    ImportError
        Without onnx, the extra "onnx".

    Examples
    --------
    >>> import fastnn
    >>> net = fastnn.Network([2, 8, 1], "tanh", loss="binary_log_loss", random_state=0)
    >>> model = fastnn.to_onnx(net, "rings.onnx")
    >>> [node.op_type for node in model.graph.node]
    ['Gemm', 'Tanh', 'Gemm', 'Sigmoid']
    """
    parts = parts_of(model)
    onnx = load_onnx()
    newest = onnx.defs.onnx_opset_version()
    opset = OPSET if opset is None else checks.whole_number("opset", opset, OLDEST_OPSET, newest)
    if not isinstance(name, str):
        raise TypeError(f"name must be a string, got {checks.shown(name)}")
    graph = Graph(parts.dtype)
    outputs = build(Value(graph, "X"), parts)
    is_network = isinstance(model, Network)
    names = (
        ["label", "probabilities"] if len(outputs) == 2 else ["Y" if is_network else "variable"]
    )
    for output, called in zip(outputs, names, strict=True):
        graph.rename(output, called)
    made = _model(onnx, graph, parts, names, opset, name)
    if path is not None:
        replace_file(path, [made.SerializeToString(deterministic=True)])
    return made


def build(x: Value, parts: Parts) -> tuple[Value, ...]:
    """All nodes of a model: the outputs, or labels and probabilities."""
    y = onnx_layers.layers(x, parts.coefs, parts.intercepts, parts.activations)
    n_outputs = len(parts.intercepts[-1])
    if parts.several_labels:
        return onnx_layers.several_labels(y)
    if parts.classes is not None:
        return onnx_layers.labels(y, parts.classes, n_outputs)
    return (onnx_layers.sort_rows(y, n_outputs) if parts.sorts else y,)


def _model(
    onnx: Any, graph: Graph, parts: Parts, outputs: Sequence[str], opset: int, name: str
) -> Any:
    """The protocol buffer."""
    import fastnn

    helper = onnx.helper
    real = helper.np_dtype_to_tensor_dtype(parts.dtype)
    n_features, n_outputs = len(parts.coefs[0]), len(parts.intercepts[-1])
    nodes = [
        helper.make_node(one.op, one.inputs, one.outputs, f"{one.op}_{i}", **one.attributes)
        for i, one in enumerate(graph.nodes)
    ]
    infos = {called: (real, [None, n_outputs]) for called in outputs}
    if parts.classes is not None:
        text = parts.classes.dtype == object
        kind = onnx.TensorProto.STRING if text else onnx.TensorProto.INT64
        infos["label"] = (kind, [None, n_outputs] if parts.several_labels else [None])
        infos["probabilities"] = (real, [None, max(n_outputs, 2)])
    made = helper.make_model(
        helper.make_graph(
            nodes,
            name,
            [helper.make_tensor_value_info("X", real, [None, n_features])],
            [helper.make_tensor_value_info(called, *infos[called]) for called in outputs],
            [onnx.numpy_helper.from_array(a, called) for called, a in graph.constants.items()],
        ),
        producer_name="fastnn",
        producer_version=fastnn.__version__,
        opset_imports=[helper.make_opsetid("", opset)],
    )
    made.ir_version = helper.find_min_ir_version_for(made.opset_import)
    if parts.loss:
        helper.set_model_props(made, {LOSS: json.dumps(parts.loss, sort_keys=True)})
    onnx.checker.check_model(made)
    return made


def parts_of(model: Any) -> Parts:
    """What a model is made of.

    Raises
    ------
    TypeError, ValueError
        As `to_onnx`.
    """
    if isinstance(model, Network):
        loss: str = model.loss_function
        return _checked(
            Parts(
                list(model.coefs_),
                list(model.intercepts_),
                model.activations,
                model.dtype,
                sorts=loss == "quantile" and model.layer_units[-1] > 1,
                loss=None if loss == "given" else model.loss_options,
            )
        )
    from sklearn.base import is_classifier

    from fastnn.estimators import MLPClassifier, MLPRegressor

    if not isinstance(model, (MLPClassifier, MLPRegressor)):
        hint = "; for compositions of scikit-learn take skl2onnx.to_onnx"
        raise TypeError(
            "model must be a Network, MLPClassifier or MLPRegressor, got "
            f"{checks.shown(model)}{hint if hasattr(model, 'get_params') else ''}"
        )
    parts = parts_of_estimator(model)
    if is_classifier(model):
        return parts
    spelled = losses.SPELLINGS.get(getattr(model, "loss", "squared_error"))
    if spelled is None:
        return parts
    number = losses.BY_NAME[spelled].number
    numbers = {number: checks.as_list(getattr(model, number))} if number else {}
    return parts._replace(loss={"loss": spelled, **numbers})


def parts_of_estimator(model: Any) -> Parts:
    """What an MLPClassifier or MLPRegressor is made of, fastnn's or scikit-learn's own."""
    from sklearn.base import is_classifier
    from sklearn.utils.validation import check_is_fitted

    from fastnn.estimators import arrays

    check_is_fitted(model)
    units = arrays.units_of(model.coefs_, model.intercepts_)
    hidden, out = (activations.SPELLINGS[a] for a in (model.activation, model.out_activation_))
    parts = _checked(
        Parts(
            [np.asarray(coef) for coef in model.coefs_],
            [np.asarray(intercept) for intercept in model.intercepts_],
            [hidden] * (len(units) - 2) + [out],
            arrays.float_type(*model.coefs_, *model.intercepts_),
        )
    )
    if not is_classifier(model):
        return parts._replace(sorts=getattr(model, "loss", "") == "quantile" and units[-1] > 1)
    return parts._replace(
        classes=onnx_layers.classes_for(model.classes_),
        several_labels=out == "sigmoid" and bool(units[-1] > 1),
    )


def _checked(parts: Parts) -> Parts:
    """Parts whose parameters are finite."""
    for i, pair in enumerate(zip(parts.coefs, parts.intercepts, strict=True)):
        for name, array in zip((f"coefs_[{i}]", f"intercepts_[{i}]"), pair, strict=True):
            checks.finite_array(name, array, parts.dtype)
    return parts
