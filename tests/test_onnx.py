"""Models in ONNX: onnxruntime's numbers are those of predict, whatever they are made of."""

import contextlib
import importlib.util
import io
import itertools
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from cases import HIDDEN, LOSSES, OUTPUTS, loss_numbers
from conftest import PYTHON, THOROUGH
from estimator_cases import VERSION, needs_losses
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    BaggingClassifier,
    BaggingRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastnn
from fastnn import MLPClassifier, MLPRegressor, Network
from fastnn.catalog import activations, losses
from fastnn.estimators.extras import MORE_ACTIVATIONS, MORE_LOSSES, THEIR_ACTIVATIONS
from fastnn.files import onnx_layers, onnx_model
from fastnn.files.onnx_model import to_onnx
from fastnn.files.onnx_reading import from_onnx

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
helper, TensorProto = onnx.helper, onnx.TensorProto

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

# Relative to max(1, |value|). Of float32 for sums of up to 33 terms that are of size 1: beyond,
# two right results are further apart, in proportion to the terms at most.
BOUNDS = {np.dtype(np.float64): 1e-12, np.dtype(np.float32): 1e-6}
SHAPES = [(3, 1), (1, 7, 2), (2, 4, 8, 1), (5, 33, 16, 2), (16, 17, 15, 3), (31, 32, 1)]
WIDE = [(97, 64, 31, 4), (20, 100, 1)]
TYPES = pytest.mark.parametrize("dtype", ["float64", "float32"])


def outputs_of(model, X):
    """What onnxruntime computes, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    data = model if isinstance(model, bytes) else model.SerializeToString()
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: X})


def assert_same(got, expected, n_terms=1, out=""):
    """Within the bound of the type; infinite where expected is.

    An error of z is one of e^z in proportion: after exp, errors are relative to z, too.
    """
    assert got.dtype == expected.dtype
    assert got.shape == expected.shape
    with np.errstate(invalid="ignore"):
        error = np.abs(got - expected) / np.maximum(1, np.abs(expected))
    error[got == expected] = 0
    if out == "exp":
        error /= np.maximum(1, np.log(np.maximum(expected, 1)))
    bound = BOUNDS[got.dtype] * (max(1, n_terms / 33) if got.dtype == np.float32 else 1)
    assert error.max() <= bound


def nets(hidden, out, loss, shapes, dtype):
    """A network of each shape that takes this output."""
    for units in shapes:
        if out == "softmax" and units[-1] == 1:
            continue
        net = Network(units, hidden, out_activation=out, dtype=dtype, random_state=len(hidden))
        numbers = {}
        if losses.BY_NAME[loss].number == "quantile":
            numbers = {"quantile": loss_numbers(loss, units[-1])}
        names = [hidden] * (len(units) - 2) + [out]
        yield Network.from_params(net.params_, units, names, loss=loss, **numbers)


# ---- numbers ------------------------------------------------------------------------------------


def test_every_activation_is_there():
    assert set(onnx_layers.ACTIVATIONS) == {row.name for row in activations.ACTIVATIONS}


def inputs_for(rng, n_features, dtype):
    return rng.standard_normal((70, n_features)).astype(dtype)


@TYPES
@pytest.mark.parametrize("hidden", HIDDEN)
def test_every_hidden_activation_with_every_output(hidden, dtype):
    """In an ordinary run, a shape for each pair and a wide one now and then."""
    rng = np.random.default_rng(0)
    shapes = itertools.cycle([*SHAPES[1:], *WIDE])
    for out in activations.CODES:
        (net, *_) = nets(hidden, out, "squared_error", [next(shapes), SHAPES[1]], dtype)
        X = inputs_for(rng, net.layer_units[0], dtype)
        (y,) = outputs_of(to_onnx(net), X)
        assert_same(y, net.predict(X), max(net.layer_units), out)


@TYPES
@pytest.mark.parametrize(("loss", "out"), [o for o in OUTPUTS if o[0] != "given"], ids=str)
def test_every_loss(loss, out, dtype):
    """With every hidden activation and every shape in a thorough run."""
    rng = np.random.default_rng(0)
    every = HIDDEN if THOROUGH else [HIDDEN[(LOSSES[loss] + len(out)) % len(HIDDEN)]]
    for hidden in every:
        shapes = [*SHAPES, *WIDE] if THOROUGH else [SHAPES[LOSSES[loss] % 5 + 1], SHAPES[1]]
        for net in nets(hidden, out, loss, shapes, dtype):
            X = inputs_for(rng, net.layer_units[0], dtype)
            (y,) = outputs_of(to_onnx(net), X)
            assert_same(y, net.predict(X), max(net.layer_units), out)


@TYPES
@pytest.mark.parametrize("name", [row.name for row in activations.ACTIVATIONS if row.elementwise])
def test_numbers_of_any_size(name, dtype):
    """Far from 0 and close to it, nothing becomes NaN."""
    net = Network([1, 1], out_activation=name, dtype=dtype, random_state=0)
    net.params_ = [1, 0]
    info = np.finfo(dtype)
    far = [1e2, 1e3, 1e4, 3e4, 1e10, float(info.max) / 2]
    near = [0, info.tiny, info.eps, 1e-5, 1e-3]
    X = np.array([*np.linspace(-45, 45, 9001), *far, *near], dtype)
    X = np.concatenate([X, -X]).reshape(-1, 1)
    (y,) = outputs_of(to_onnx(net), X)
    expected = net.predict(X)
    assert not np.isnan(y).any()
    if name == "exp":  # as exact as z is: |z| eps
        finite = np.isfinite(expected) & (np.abs(X) < 20)
        assert (np.isinf(y) == np.isinf(expected)).all()
        y, expected = y[finite], expected[finite]
    assert_same(y, expected)


def test_gelu_in_float64_is_right_relatively():
    """Phi is no difference of large numbers where it is small."""
    from scipy import special

    net = Network([1, 1], out_activation="gelu", random_state=0)
    net.params_ = [1, 0]
    X = np.linspace(-30, 10, 4001).reshape(-1, 1)
    (y,) = outputs_of(to_onnx(net), X)
    X, y = X[X != 0], y[X != 0]
    error = np.abs(y / (X * special.ndtr(X)) - 1)
    assert error[X > -8.5].max() < 1e-13
    assert error.max() < 1e-9


@TYPES
def test_softmax_of_large_numbers(dtype):
    net = Network([1, 3], out_activation="softmax", dtype=dtype, random_state=0)
    net.params_ = [1, 0, -1, 0, 1, 2]
    X = np.array([[-1e4], [-3], [0], [3], [1e4], [1e30]], dtype)
    (y,) = outputs_of(to_onnx(net), X)
    assert_same(y, net.predict(X))


# ---- estimators ---------------------------------------------------------------------------------


def data(dtype="float64"):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((120, 4))
    values = np.column_stack([2 * X[:, 0] + X[:, 1] ** 2, np.abs(X[:, 2]) + 0.1])
    classes = (X[:, 0] + X[:, 1] > 0).astype(int) + (X[:, 2] > 0.3)
    return X.astype(dtype), values.astype(dtype), classes


OPTIONS = {"hidden_layer_sizes": (9, 5), "max_iter": 15, "random_state": 0}
KINDS = {
    "binary": lambda c: (c > 0).astype(int) * 3 - 1,
    "three": lambda c: c,
    "strings": lambda c: np.array(["no", "yes", "può darsi"])[c],
    "objects": lambda c: np.array(["no", "yes", "maybe"], object)[c],
    "truth": lambda c: c > 0,
    "floats": lambda c: c.astype(float),
    "bytes": lambda c: c.astype(np.uint8),
    "one": np.zeros_like,
    "several": lambda c: np.column_stack([c > 0, c > 1, c < 2]).astype(int),
    "two": lambda c: np.column_stack([c > 0, c > 1]).astype(int),
}


def assert_same_labels(outputs, model, X):
    label, probabilities = outputs
    expected = model.predict(X)
    assert label.shape == expected.shape
    assert label.dtype == (object if expected.dtype.kind in "UO" else np.int64)
    assert (label == expected).all()
    assert_same(probabilities, model.predict_proba(X))


@TYPES
@pytest.mark.parametrize("kind", KINDS)
def test_classifiers(kind, dtype):
    X, _, classes = data(dtype)
    model = MLPClassifier(activation="silu", **OPTIONS).fit(X, KINDS[kind](classes))
    made = to_onnx(model)
    assert [one.name for one in made.graph.output] == ["label", "probabilities"]
    assert_same_labels(outputs_of(made, X), model, X)


def test_half_is_not_above_half():
    X, _, classes = data()
    for kind in ("binary", "several"):
        model = MLPClassifier(**OPTIONS).fit(X, KINDS[kind](classes))
        for array in (*model.coefs_, *model.intercepts_):
            array[:] = 0
        model.intercepts_[-1][:] = 0
        label, probabilities = outputs_of(to_onnx(model), X)
        assert (probabilities == 0.5).all()
        assert (label == model.predict(X)).all()


WITH_LOSS = [
    *({"loss": name} for name in ("poisson", *MORE_LOSSES)),
    {"loss": "huber", "delta": 0.5},
    {"loss": "quantile", "quantile": [0.1, 0.5, 0.9]},
]
REGRESSORS = [
    *({"activation": name} for name in (*THEIR_ACTIVATIONS, *MORE_ACTIVATIONS)),
    *(pytest.param(options, marks=needs_losses) for options in WITH_LOSS),
]


@TYPES
@pytest.mark.parametrize(
    "options", REGRESSORS, ids=lambda options: "-".join(map(str, options.values()))
)
def test_regressors(options, dtype):
    X, values, _ = data(dtype)
    for y in [values[:, 1]] if options.get("loss") == "quantile" else [values[:, 1], values**2]:
        model = MLPRegressor(**options, **OPTIONS).fit(X, y)
        made = to_onnx(model)
        assert [one.name for one in made.graph.output] == ["variable"]
        (predicted,) = outputs_of(made, X)
        expected = model.predict(X)
        assert_same(predicted, expected.reshape(len(X), -1))
        back = from_onnx(made)
        assert_same(back.predict(X), expected.reshape(len(X), -1))
        assert back.loss_options["loss"] == options.get("loss", "squared_error")
        assert back.loss_options.get("delta", 0.5) in (0.5, 1.0)


def test_quantiles_are_sorted():
    rng = np.random.default_rng(0)
    net = Network([2, 5], loss="quantile", quantile=[0.1, 0.2, 0.5, 0.8, 0.9], random_state=1)
    X = rng.standard_normal((50, 2))
    made = to_onnx(net)
    assert_same(outputs_of(made, X)[0], net.predict(X))
    back = from_onnx(made)
    assert back.loss_options == net.loss_options
    del made.metadata_props[:]
    assert from_onnx(made).loss_options["quantile"] == pytest.approx([0.1, 0.3, 0.5, 0.7, 0.9])


# ---- the file -----------------------------------------------------------------------------------


@pytest.fixture
def net():
    return Network([2, 8, 1], "tanh", loss="binary_log_loss", random_state=0)


def test_what_is_in_the_file(net, tmp_path):
    path = tmp_path / "net.onnx"
    made = to_onnx(net, path, name="rings")
    assert path.read_bytes() == made.SerializeToString()
    assert to_onnx(net.copy(), name="rings").SerializeToString() == path.read_bytes()
    onnx.checker.check_model(str(path), full_check=True)
    assert (made.producer_name, made.producer_version) == ("fastnn", fastnn.__version__)
    assert made.graph.name == "rings"
    assert not made.doc_string
    assert not made.graph.doc_string
    assert [node.op_type for node in made.graph.node] == ["Gemm", "Tanh", "Gemm", "Sigmoid"]
    assert [one.name for one in made.graph.initializer] == [
        "coefs_0", "intercepts_0", "coefs_1", "intercepts_1",
    ]  # fmt: skip
    (x,), (y,) = made.graph.input, made.graph.output
    assert (x.name, y.name) == ("X", "Y")
    shapes = [[d.dim_value or None for d in one.type.tensor_type.shape.dim] for one in (x, y)]
    assert shapes == [[None, 2], [None, 1]]
    assert made.opset_import[0].version == onnx_model.OPSET


def test_versions_of_operators():
    X = np.linspace(-3, 3, 20).reshape(-1, 2)
    newest = min(onnx.defs.onnx_opset_version(), 22)  # what onnxruntime reads
    for name in HIDDEN:
        net = Network([2, 3, 4, 2], name, loss="quantile", quantile=[0.2, 0.7], random_state=0)
        for opset in (onnx_model.OLDEST_OPSET, newest):
            made = to_onnx(net, opset=opset)
            assert made.opset_import[0].version == opset
            assert_same(outputs_of(made, X)[0], net.predict(X))
    text = to_onnx.__doc__
    assert f"{onnx_model.OLDEST_OPSET} or later; {onnx_model.OPSET} by default" in text


def test_what_is_refused(net, monkeypatch):
    with pytest.raises(NotFittedError):
        to_onnx(MLPClassifier())
    with pytest.raises(TypeError, match=r"skl2onnx\.to_onnx$"):
        to_onnx(make_pipeline(MLPClassifier()))
    with pytest.raises(TypeError, match=r"got 3$"):
        to_onnx(3)
    with pytest.raises(ValueError, match="opset"):
        to_onnx(net, opset=12)
    with pytest.raises(ValueError, match="opset"):
        to_onnx(net, opset=1000)
    with pytest.raises(TypeError, match="name must be a string"):
        to_onnx(net, name=3)
    X, _, classes = data()
    model = MLPClassifier(**OPTIONS).fit(X, classes)
    for labels in ([0, 1, 2**63], [0.5, 1.0, 2.0], np.array([0, "a", None], object)):
        model.classes_ = np.array(labels)
        with pytest.raises(ValueError, match="labels in ONNX are whole numbers"):
            to_onnx(model)
    net.params_[3] = np.nan
    with pytest.raises(ValueError, match=r"coefs_\[0\]\[0, 3\] is nan"):
        to_onnx(net)
    monkeypatch.setitem(sys.modules, "onnx", None)
    net.params_[3] = 0
    for call in (to_onnx, from_onnx):
        with pytest.raises(ImportError, match=r'extra "onnx", pip install'):
            call(net)


# ---- reading ------------------------------------------------------------------------------------


@TYPES
@pytest.mark.parametrize("hidden", HIDDEN)
def test_there_and_back(hidden, dtype, tmp_path):
    for out in activations.CODES:
        for net in nets(hidden, out, "squared_error", [(3, 5, 4, 2)], dtype):
            path = tmp_path / "net.onnx"
            made = to_onnx(net, path)
            for source in (made, path, str(path), path.read_bytes(), bytearray(path.read_bytes())):
                back = from_onnx(source)
                assert back.activations == net.activations
                assert back.loss_options == net.loss_options
                assert back.dtype == net.dtype
                np.testing.assert_array_equal(back.params_, net.params_)


def test_a_classifier_becomes_its_probabilities():
    X, _, classes = data()
    for kind, loss in (
        ("binary", "binary_log_loss"), ("three", "log_loss"), ("strings", "log_loss"),
        ("one", "binary_log_loss"), ("several", "squared_error"),
    ):  # fmt: skip
        model = MLPClassifier(activation="gelu", **OPTIONS).fit(X, KINDS[kind](classes))
        back = from_onnx(to_onnx(model))
        assert back.loss_function == loss
        assert_same(back.predict(X), model.predict_proba(X)[:, -back.layer_units[-1] :])


def test_losses_are_kept(net):
    for options in ({"loss": "huber", "delta": 0.3}, {"loss": "gamma"}, {"loss": "log_cosh"}):
        made = to_onnx(Network([2, 3, 1], "relu", random_state=0, **options))
        assert from_onnx(made).loss_options == options
        del made.metadata_props[:]
        assert from_onnx(made).loss_function == "squared_error"
    assert from_onnx(to_onnx(net), loss="squared_error").loss_function == "squared_error"
    own = Network([2, 1], "relu", loss=(lambda a, y: (a - y) ** 2, lambda a, y: 2 * (a - y)))
    assert from_onnx(to_onnx(own)).loss_function == "squared_error"


def test_a_network_that_was_read_trains_on(net):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((40, 2)), rng.integers(2, size=(40, 1))
    back = from_onnx(to_onnx(net))
    assert back.fit(X, y, max_iter=30).loss_curve_[-1] < back.loss_curve_[0]


COEFS = [np.linspace(-1, 1, 12).reshape(3, 4), np.linspace(1, -1, 8).reshape(4, 2)]
INTERCEPTS = [np.linspace(0, 1, 4), np.linspace(1, 0, 2)]


def graph_of(nodes, arrays, dtype="float32", opset=17, inputs=("x",), outputs=("y",)):
    """A model of anybody's."""
    real = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    tensors = [
        onnx.numpy_helper.from_array(
            a.astype(dtype) if a.dtype == np.float64 else np.ascontiguousarray(a), name
        )
        for name, a in arrays.items()
    ]
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info(name, real, ["n", 3]) for name in inputs],
        [helper.make_tensor_value_info(name, real, ["n", "m"]) for name in outputs],
        tensors,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 8
    return model


def node(op, inputs, output, **attributes):
    return helper.make_node(op, inputs.split(), [output], **attributes)


ARRAYS = {"W": COEFS[0], "b": INTERCEPTS[0], "V": COEFS[1], "c": INTERCEPTS[1]}


def test_graphs_of_others():
    half = node("Gemm", "h V c", "y")
    tensor = onnx.numpy_helper.from_array(COEFS[0].astype(np.float32))
    written = {
        "MatMul and Add": ([
            node("MatMul", "x W", "a"), node("Add", "b a", "z"), node("Relu", "z", "h"), half,
        ], {}, "relu"),
        "transposed": ([
            node("Gemm", "x Wt b", "z", transB=1), node("Relu", "z", "h"), half,
        ], {"Wt": COEFS[0].T}, "relu"),
        "a node that transposes": ([
            node("Transpose", "Wt", "w", perm=[1, 0]), node("Gemm", "x w b", "z"),
            node("Tanh", "z", "h"), half,
        ], {"Wt": COEFS[0].T}, "tanh"),
        "what changes nothing": ([
            node("Flatten", "x", "f"), node("Identity", "f", "i"), node("Cast", "i", "k", to=1),
            node("Gemm", "k W b", "z"), node("Dropout", "z", "d"), node("Elu", "d", "h"), half,
        ], {}, "elu"),
        "constants that are nodes": ([
            node("Constant", "", "w", value=tensor), node("Gemm", "x w b", "z"),
            node("Softplus", "z", "h"), half,
        ], {}, "softplus"),
        "intercepts as a row": ([
            node("Gemm", "x W row", "z"), node("LeakyRelu", "z", "h"), half,
        ], {"row": INTERCEPTS[0].reshape(1, -1)}, "leaky_relu"),
        "SiLU": ([
            node("Gemm", "x W b", "z"), node("Sigmoid", "z", "s"), node("Mul", "s z", "h"), half,
        ], {}, "silu"),
    }  # fmt: skip
    X = np.linspace(-1, 1, 30, dtype=np.float32).reshape(10, 3)
    for nodes, more, name in written.values():
        used = {text for one in nodes for text in one.input}
        arrays = {key: a for key, a in {**ARRAYS, **more}.items() if key in used}
        model = graph_of(nodes, arrays)
        onnx.checker.check_model(model)
        back = from_onnx(model)
        assert back.activations == (name, "identity")
        assert back.dtype == np.float32
        assert_same(back.predict(X), outputs_of(model, X)[0])


def test_no_intercepts():
    model = graph_of(
        [node("MatMul", "x W", "z"), node("Relu", "z", "h"), node("MatMul", "h V", "y")],
        {"W": COEFS[0], "V": COEFS[1]}, "float64",
    )  # fmt: skip
    back = from_onnx(model)
    assert all((intercepts == 0).all() for intercepts in back.intercepts_)
    X = np.linspace(-1, 1, 30).reshape(10, 3)
    assert_same(back.predict(X), outputs_of(model, X)[0])


GEMM = node("Gemm", "x W b", "z")


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([GEMM, node("HardSigmoid", "z", "y")], "the operator 'HardSigmoid' ('y')"),
        ([GEMM, node("Elu", "z", "y", alpha=0.5)], "the operator 'Elu'"),
        ([GEMM, node("LeakyRelu", "z", "y", alpha=0.2)], "the operator 'LeakyRelu'"),
        ([GEMM, node("Softmax", "z", "y", axis=0)], "the operator 'Softmax'"),
        ([GEMM, node("Mul", "z z", "y")], "the operator 'Mul'"),
        ([GEMM, node("Relu", "z", "r"), node("Tanh", "r", "y")], "the operator 'Tanh'"),
        ([GEMM, node("Relu", "z", "y"), node("Tanh", "z", "unused")], "the operator 'Relu'"),
        ([node("Gemm", "x W b", "y", alpha=2.0)], "the operator 'Gemm'"),
        ([node("Gemm", "x W b", "y", transA=1)], "the operator 'Gemm'"),
        ([node("Gemm", "x x b", "y")], "the operator 'Gemm'"),
        ([node("Gemm", "x W c", "y")], "the operator 'Gemm'"),
        ([node("Relu", "x", "y")], "the operator 'Relu'"),
        ([GEMM, node("Gemm", "z V", "y"), node("Gemm", "z V", "y2", beta=2.0)], "'Gemm' ('y')"),
        ([node("Nonsense", "x", "y")], "the operator 'Nonsense'"),
        ([helper.make_node("Gemm", ["x", "W"], ["y"], domain="other")], "'other.Gemm'"),
        ([GEMM, node("Dropout", "z ratio yes", "y")], "the operator 'Dropout'"),
        ([node("Identity", "x", "y")], "there is no dense layer"),
        ([helper.make_node("Gemm", ["x", "W"], [])], "the operator 'Gemm'"),
        ([node("Gemm", "", "y")], "the operator 'Gemm'"),
        ([node("Cast", "x", "y")], "the operator 'Cast'"),
    ],
)  # fmt: skip
def test_graphs_that_are_no_networks(nodes, message):
    arrays = {**ARRAYS, "ratio": np.array(0.5), "yes": np.array(True)}
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        from_onnx(graph_of(nodes, arrays))
    assert "\n" not in str(error.value)


def test_models_that_are_damaged(net, tmp_path):
    made = to_onnx(net)
    whole = made.SerializeToString()
    with pytest.raises(ValueError, match="no ONNX model, or a damaged one"):
        from_onnx(whole[:-1])
    with pytest.raises(ValueError, match="must have one input"):
        from_onnx(b"")
    with pytest.raises(TypeError, match="must be an onnx"):
        from_onnx(net)
    with pytest.raises(OSError, match="nowhere"):
        from_onnx(tmp_path / "nowhere.onnx")
    tensor = made.graph.initializer[0]
    tensor.raw_data = tensor.raw_data[:-1]
    with pytest.raises(ValueError, match="'coefs_0' is damaged"):
        from_onnx(made)
    made.ParseFromString(whole)
    made.graph.initializer[0].raw_data = np.full((2, 8), np.inf).tobytes()
    with pytest.raises(ValueError, match=r"coefs_\[0\]\[0, 0\] is inf"):
        from_onnx(made)
    for text in ("{", "3", '{"loss": "huber", "rate": 3}', '{"loss": "none"}', "[" * 100_000):
        made.ParseFromString(whole)
        made.metadata_props[0].value = text
        with pytest.raises(ValueError, match="loss"):
            from_onnx(made)
    both = graph_of([GEMM], ARRAYS, inputs=("x", "x2"), outputs=("z",))
    with pytest.raises(ValueError, match="must have one input, it has 2"):
        from_onnx(both)
    whole_numbers = graph_of(
        [GEMM], {"W": np.ones((3, 4), int), "b": np.ones(4, int)}, outputs="z"
    )
    with pytest.raises(TypeError, match="must be float32 or float64"):
        from_onnx(whole_numbers)


def test_a_softmax_between_layers_is_refused():
    nodes = [GEMM, node("Softmax", "z", "h", axis=1), node("Gemm", "h V c", "y")]
    with pytest.raises(ValueError, match='"softmax" may only come last'):
        from_onnx(graph_of(nodes, ARRAYS))


def test_data_outside_the_file_are_not_read(net, tmp_path, monkeypatch):
    path = tmp_path / "net.onnx"
    onnx.save_model(
        to_onnx(net), str(path), save_as_external_data=True, location="data", size_threshold=0
    )
    monkeypatch.chdir(tmp_path)
    assert (tmp_path / "data").exists()
    with pytest.raises(ValueError, match=r"'coefs_0' lies outside the model's file"):
        from_onnx(path)


def test_any_bytes_are_refused_in_one_line(net):
    whole = to_onnx(net).SerializeToString()
    rng = np.random.default_rng(0)
    messages = []
    for _ in range(5000 if THOROUGH else 300):
        damaged = bytearray(whole)
        for at in rng.integers(len(whole), size=rng.integers(1, 4)):
            damaged[at] = rng.integers(256)
        try:
            from_onnx(damaged)
        except (ValueError, TypeError) as error:
            messages.append(str(error))
    assert len(messages) > 20
    assert not any("\n" in message for message in messages)


# ---- skl2onnx -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def skl2onnx():
    with warnings.catch_warnings():
        # of the packages that it imports
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        return pytest.importorskip("skl2onnx")


def mlps(**options):
    """A classifier and a regressor, with an activation that scikit-learn does not have."""
    options = {**OPTIONS, "activation": "mish", **options}
    return MLPClassifier(**options), MLPRegressor(**options)


def compositions():
    classifier, regressor = mlps()
    with_tree = [("mlp", classifier), ("linear", LogisticRegression())]
    columns = ColumnTransformer([("scaled", StandardScaler(), [0, 1])], remainder="passthrough")
    return {
        "pipeline": make_pipeline(StandardScaler(), classifier),
        "columns": make_pipeline(columns, classifier),
        "search": GridSearchCV(classifier, {"alpha": [0.1, 1.0]}, cv=2),
        "search of a pipeline": GridSearchCV(
            make_pipeline(StandardScaler(), classifier), {"mlpclassifier__alpha": [0.1]}, cv=2
        ),
        "voting": VotingClassifier(with_tree, voting="soft", flatten_transform=False),
        "hard voting": VotingClassifier(with_tree, flatten_transform=False),
        "stacking": StackingClassifier(with_tree, cv=2),
        "bagging": BaggingClassifier(classifier, 2, random_state=0),
        "calibration": CalibratedClassifierCV(classifier, cv=2),
        "one against the rest": OneVsRestClassifier(classifier),
        "voting of regressors": VotingRegressor([("mlp", regressor), ("ridge", Ridge())]),
        "stacking of regressors": StackingRegressor([("mlp", regressor)], regressor, cv=2),
        "bagging of regressors": BaggingRegressor(regressor, 2, random_state=0),
        "many outputs": MultiOutputRegressor(regressor),
    }


@pytest.mark.parametrize("name", compositions())
def test_compositions(skl2onnx, name):
    X, values, classes = data()
    model = compositions()[name]
    is_classifier = hasattr(model, "classes_") or "Classifier" in repr(model)
    y = classes if is_classifier else values if name == "many outputs" else values[:, 0]
    model.fit(X, y)
    for dtype in (np.float64, np.float32):
        x = X.astype(dtype)
        options = {id(model): {"zipmap": False}} if is_classifier else None
        predicted, *probabilities = outputs_of(skl2onnx.to_onnx(model, x[:1], options=options), x)
        tolerance = BOUNDS[np.dtype(dtype)]
        if is_classifier:
            assert (predicted == model.predict(x)).all()
            if hasattr(model, "predict_proba"):
                error = np.abs(probabilities[0] - model.predict_proba(x))
                assert error.max() <= 4 * tolerance  # of what is computed with them, too
        else:
            expected = model.predict(x).reshape(len(x), -1)
            error = np.abs(predicted.reshape(expected.shape) - expected)
            assert (error <= 4 * tolerance * np.maximum(1, np.abs(expected))).all()


@pytest.mark.parametrize("kind", KINDS)
def test_classifiers_by_skl2onnx(skl2onnx, kind):
    X, _, classes = data()
    model = mlps()[0].fit(X, KINDS[kind](classes))
    made = skl2onnx.to_onnx(model, X[:1], options={id(model): {"zipmap": False}})
    assert_same_labels(outputs_of(made, X), model, X)


def test_options_and_types_by_skl2onnx(skl2onnx):
    X, values, classes = data()
    model = mlps()[0].fit(X, KINDS["strings"](classes))
    x = X[:3].astype(np.float32)
    (label, by_class), expected = outputs_of(skl2onnx.to_onnx(model, x), x), model.predict(x)
    assert (label == expected).all()
    assert by_class[0].keys() == set(model.classes_)

    def outputs(**options):
        return outputs_of(skl2onnx.to_onnx(model, x, options={id(model): options}), x)

    assert len(outputs(zipmap="columns")) == 4
    assert (outputs(zipmap=False, output_class_labels=True)[2] == model.classes_).all()
    assert (outputs(zipmap=False, nocl=True)[0] == model.predict_proba(x).argmax(axis=1)).all()
    regressor = mlps()[1].set_params(**{"loss": "gamma"} if VERSION >= (1, 7) else {})
    regressor.fit(X, np.abs(values) + 0.1)
    predicted = outputs_of(skl2onnx.to_onnx(regressor, X[:1]), X)[0]
    assert_same(predicted, regressor.predict(X))
    whole = np.arange(12).reshape(3, 4)
    predicted = outputs_of(skl2onnx.to_onnx(regressor, whole), whole)[0]
    assert_same(predicted, regressor.predict(whole).astype(np.float32))
    for opset in (11, 13, 18, 22):
        made = skl2onnx.to_onnx(regressor, X[:1], target_opset=opset)
        assert_same(outputs_of(made, X)[0], regressor.predict(X))


ORDERS = {
    "fastnn first": "from fastnn import MLPRegressor\nassert 'skl2onnx' not in sys.modules\n"
    "import skl2onnx",
    "skl2onnx first": "import skl2onnx\nassert 'fastnn' not in sys.modules",
    "patched": "import fastnn; fastnn.patch_sklearn(); import skl2onnx; fastnn.unpatch_sklearn()",
}


@pytest.mark.parametrize("order", ORDERS)
def test_whatever_is_imported_first(skl2onnx, order):
    """Both know each other, scikit-learn's own class stays known, and no finder is left."""
    code = f"""
import sys, warnings
n_finders = len(sys.meta_path)
warnings.simplefilter("ignore")
{ORDERS[order]}
import fastnn
import numpy as np
from sklearn.neural_network import MLPRegressor
assert MLPRegressor is not fastnn.MLPRegressor
X = np.linspace(-1, 1, 20).reshape(10, 2)
for cls in (fastnn.MLPRegressor, MLPRegressor):
    model = cls(hidden_layer_sizes=3, max_iter=2, random_state=0).fit(X, X[:, 0])
    print(skl2onnx.get_model_alias(cls), len(skl2onnx.to_onnx(model, X[:1]).graph.node) > 3)
fastnn.announcing.announce()
print([type(one).__name__ for one in sys.meta_path].count("_Waiting"))
"""
    printed = subprocess.run(
        [*PYTHON, "-P", "-c", code], capture_output=True, text=True, check=True
    )
    theirs = "FastnnMLPregressor" if order == "patched" else "SklearnMLPRegressor"
    assert printed.stdout.split() == ["FastnnMLPregressor", "True", theirs, "True", "1"]


def test_a_version_that_does_not_take_them(skl2onnx, monkeypatch):
    from fastnn import announcing

    monkeypatch.delattr(skl2onnx, "update_registered_converter")
    with pytest.warns(UserWarning, match="skl2onnx does not know fastnn's estimators: Attr"):
        announcing.announce()


def test_the_finder_waits_for_the_import(tmp_path, monkeypatch):
    from fastnn import announcing

    for name in ("one_package", "another_package"):
        (tmp_path / f"{name}.py").write_text("here = True")
    monkeypatch.syspath_prepend(tmp_path)
    told = []
    waiting = announcing._Waiting(
        {
            "one_package": lambda: told.append(sys.modules["one_package"].here),
            "another_package": lambda: told.append("another"),
        }
    )
    monkeypatch.setattr(sys, "meta_path", [waiting, *sys.meta_path])
    with pytest.raises(ModuleNotFoundError):
        import no_such_package  # noqa: F401
    try:
        import one_package  # noqa: F401

        assert told == [True]
        assert waiting in sys.meta_path
        import another_package  # noqa: F401

        assert told == [True, "another"]
        assert waiting not in sys.meta_path
    finally:
        for name in ("one_package", "another_package"):
            sys.modules.pop(name, None)


# ---- Hummingbird --------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_hummingbird():
    hummingbird = pytest.importorskip("hummingbird.ml")
    X, values, classes = data("float32")
    for name in (*THEIR_ACTIVATIONS, *MORE_ACTIVATIONS):
        classifier, regressor = mlps(activation=name, max_iter=2)
        for kind in ("three", "binary"):
            model = make_pipeline(StandardScaler(), classifier).fit(X, KINDS[kind](classes))
            made = hummingbird.convert(model, "torch")
            assert (made.predict(X) == model.predict(X)).all()
            assert_same(made.predict_proba(X), model.predict_proba(X).astype(np.float32))
        regressor.set_params(loss="poisson").fit(X, np.abs(values))
        made = hummingbird.convert(regressor, "torch")
        assert_same(made.predict(X), regressor.predict(X))
    for kind in ("strings", "several"):
        with pytest.raises(ValueError, match="Hummingbird predicts"):
            hummingbird.convert(mlps()[0].fit(X, KINDS[kind](classes)), "torch")


# ---- the page -----------------------------------------------------------------------------------


def test_examples_of_the_page(tmp_path, monkeypatch, skl2onnx):
    """Those that need the extra are fenced as py; tests/test_readme.py runs the others."""
    monkeypatch.chdir(tmp_path)
    page = Path(__file__).parent.parent / "docs" / "how-to" / "onnx.md"
    examples = re.findall(
        r"```py\n(.*?)```(?:\s+```text\n(.*?)```)?", page.read_text(encoding="utf-8"), re.DOTALL
    )
    assert examples
    names = {}
    for code, output in examples:
        if "from torch" in code and not importlib.util.find_spec("torch"):
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, page.name, "exec"), names)
        assert printed.getvalue() == output


@pytest.mark.parametrize("op", ["Gemm", "Add"])
@pytest.mark.parametrize(
    ("shape", "taken"), [((), True), ((1,), True), ((4,), True), ((1, 4), True), ((4, 1), False),
                         ((1, 1, 4), False)],
)  # fmt: skip
def test_a_bias_is_for_each_unit(op, shape, taken):
    """One for each row is none."""
    onnx = pytest.importorskip("onnx")
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    W, bias = (
        np.ones((3, 4), "f"),
        np.arange(max(1, int(np.prod(shape))), dtype="f").reshape(shape),
    )
    if op == "Gemm":
        nodes = [helper.make_node("Gemm", ["X", "W", "B"], ["Y"])]
    else:
        nodes = [
            helper.make_node("MatMul", ["X", "W"], ["Z"]),
            helper.make_node("Add", ["Z", "B"], ["Y"]),
        ]
    graph = helper.make_graph(
        nodes, "graph", [helper.make_tensor_value_info("X", 1, [None, 3])],
        [helper.make_tensor_value_info("Y", 1, None)],
        [numpy_helper.from_array(W, "W"), numpy_helper.from_array(bias, "B")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    if taken:
        net = fastnn.from_onnx(model)
        np.testing.assert_array_equal(net.intercepts_[0], np.broadcast_to(bias.ravel(), 4))
    else:
        with pytest.raises((TypeError, ValueError)):
            fastnn.from_onnx(model)
