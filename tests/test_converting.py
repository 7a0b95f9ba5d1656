"""Compositions of scikit-learn without fastnn in them; networks of PyTorch and Keras."""

import collections
import copy
import functools
import math
import pickle
import subprocess
import types
import warnings

import numpy as np
import pytest
from conftest import PYTHON
from estimator_cases import needs_losses
from sklearn.base import BaseEstimator, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.datasets import make_classification
from sklearn.ensemble import (
    AdaBoostRegressor,
    BaggingClassifier,
    BaggingRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, cross_validate
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier, OutputCodeClassifier
from sklearn.multioutput import (
    ClassifierChain,
    MultiOutputClassifier,
    MultiOutputRegressor,
    RegressorChain,
)
from sklearn.neural_network import _multilayer_perceptron as originals
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.utils import Bunch

from fastnn import MLPClassifier, MLPRegressor, Network
from fastnn.files.converting import from_keras, from_torch, to_sklearn

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning", "ignore:y contains no unlabeled samples"
)
OPTIONS = {"hidden_layer_sizes": (5,), "max_iter": 4, "random_state": 0}

# ---- to scikit-learn ----------------------------------------------------------------------------


def classifier():
    return MLPClassifier(**OPTIONS)


def regressor():
    return MLPRegressor(**OPTIONS)


class Embedding(BaseEstimator):
    """A transformer of anybody's, which has an MLP where nobody looks."""

    def fit(self, X, y=None):
        self.inner_ = {"deep": [(types.SimpleNamespace(mlp=regressor().fit(X, X[:, 0])),)]}
        return self

    def transform(self, X):
        return self.inner_["deep"][0][0].mlp.predict(X).reshape(-1, 1)


def compositions():
    linear = ("linear", LogisticRegression())
    return [
        classifier(),
        make_pipeline(StandardScaler(), classifier()),
        GridSearchCV(classifier(), {"alpha": [0.1, 1.0]}, cv=2),
        GridSearchCV(
            make_pipeline(StandardScaler(), classifier()),
            {"mlpclassifier": [classifier(), LogisticRegression()]}, cv=2,
        ),
        RandomizedSearchCV(classifier(), {"alpha": [0.1, 1.0]}, n_iter=1, cv=2, random_state=0),
        VotingClassifier([("mlp", classifier()), linear], voting="soft"),
        StackingClassifier([("mlp", classifier()), linear], classifier(), cv=2),
        BaggingClassifier(classifier(), 2, random_state=0),
        CalibratedClassifierCV(classifier(), cv=2),
        CalibratedClassifierCV(make_pipeline(classifier()), ensemble=False, cv=2),
        OneVsRestClassifier(classifier()),
        OneVsOneClassifier(classifier()),
        OutputCodeClassifier(classifier(), random_state=0),
        SelfTrainingClassifier(classifier()),
        make_pipeline(
            ColumnTransformer([("mlp", Embedding(), [0, 1]), ("rest", "passthrough", [2, 3])]),
            classifier(),
        ),
        make_pipeline(FeatureUnion([("a", Embedding()), ("b", StandardScaler())]), classifier()),
        VotingRegressor([("mlp", regressor()), ("ridge", Ridge())]),
        StackingRegressor([("mlp", regressor())], regressor(), cv=2),
        BaggingRegressor(regressor(), 2, random_state=0),
        AdaBoostRegressor(regressor(), n_estimators=2, random_state=0),
        TransformedTargetRegressor(regressor(), func=np.log1p, inverse_func=np.expm1),
        make_pipeline(FunctionTransformer(lambda X: X * 2), regressor()),
        MultiOutputRegressor(regressor()),
        RegressorChain(regressor()),
        MultiOutputClassifier(classifier()),
        ClassifierChain(classifier()),
    ]  # fmt: skip


def classes_in(thing, found=None, seen=None):
    """The names of modules and classes of every object in thing, as a pickle would have them."""
    found, seen = set() if found is None else found, {} if seen is None else seen
    if id(thing) in seen:
        return found
    seen[id(thing)] = thing
    found.add(f"{type(thing).__module__}.{type(thing).__name__}")
    parts = list(getattr(thing, "__dict__", {}).values())
    if isinstance(thing, dict):
        parts += [*thing, *thing.values()]
    elif isinstance(thing, (list, tuple, set)) or (
        isinstance(thing, np.ndarray) and thing.dtype == object
    ):
        parts += list(np.ma.getdata(thing).flat if isinstance(thing, np.ndarray) else thing)
    for part in parts:
        classes_in(part, found, seen)
    return found


def no_fastnn(thing):
    return not any(name.startswith("fastnn") for name in classes_in(thing))


@pytest.fixture(scope="module")
def data():
    X, y = make_classification(
        90, 4, n_informative=3, n_redundant=0, n_classes=3, random_state=0, class_sep=2.0
    )
    return X, y


@pytest.mark.parametrize("model", compositions(), ids=lambda model: type(model).__name__)
def test_compositions(model, data):
    X, y = data
    several = type(model).__name__ in (
        "MultiOutputRegressor", "RegressorChain", "MultiOutputClassifier", "ClassifierChain",
    )  # fmt: skip
    y = np.column_stack([y > 0, y > 1]).astype(int) if several else y
    model = clone(model)
    template = to_sklearn(model)
    assert no_fastnn(template)
    assert not no_fastnn(model)
    model.fit(X, y)
    before = pickle.dumps(model) if "lambda" not in repr(model) else b""
    converted = to_sklearn(model)
    assert type(converted) is (
        type(model) if model.__module__[:6] != "fastnn" else model._original
    )
    assert no_fastnn(converted)
    if before:
        assert pickle.dumps(model) == before
    for name in ("predict", "predict_proba", "transform"):
        if hasattr(model, name):
            mine, theirs = (np.asarray(getattr(one, name)(X)) for one in (model, converted))
            np.testing.assert_allclose(theirs, mine, rtol=1e-12, atol=1e-12)
    refitted = template.fit(X, y).predict(X)
    assert refitted.shape == model.predict(X).shape


def test_the_copy_needs_no_fastnn(tmp_path, data):
    X, y = data
    model = make_pipeline(StandardScaler(), BaggingClassifier(classifier(), 2, random_state=0))
    expected = model.fit(X, y).predict(X)
    with open(tmp_path / "model.pickle", "wb") as file:
        pickle.dump((to_sklearn(model), X, expected), file)
    code = """
import pickle, sys
class NoFastnn:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("fastnn"):
            raise ImportError(name)
sys.meta_path.insert(0, NoFastnn())
model, X, expected = pickle.load(open("model.pickle", "rb"))
assert (model.predict(X) == expected).all()
"""
    subprocess.run([*PYTHON, "-c", code], check=True, cwd=tmp_path)


def test_containers_of_any_kind(data):
    X, y = data
    mlp = classifier().fit(X, y)
    objects = np.empty((1, 2), object)
    objects[0, 1] = mlp
    pair = collections.namedtuple("pair", "left right")
    things = {
        "list": [mlp, mlp],
        "tuple": (1, (mlp,)),
        "named": pair(mlp, 2),
        "bunch": Bunch(model=mlp),
        "ordered": collections.OrderedDict(a=mlp),
        "by default": collections.defaultdict(list, a=[mlp]),
        "queue": collections.deque([mlp], maxlen=3),
        "array": objects,
        "masked": np.ma.MaskedArray(objects, [[True, False]]),
        "partial": functools.partial(print, mlp, key=mlp),
        "key": {frozenset([mlp]): 3},
        "method": mlp.predict,
        "class": MLPClassifier,
        "array of numbers": X,
    }
    things["itself"] = things
    converted = to_sklearn(things)
    theirs = converted["list"][0]
    assert type(theirs) is originals.MLPClassifier
    assert converted["itself"] is converted
    for other in (
        converted["list"][1], converted["tuple"][1][0], converted["named"].left,
        converted["bunch"].model, converted["ordered"]["a"], converted["by default"]["a"][0],
        converted["queue"][0], converted["array"][0, 1], converted["masked"].data[0, 1],
        converted["partial"].args[0], converted["partial"].keywords["key"],
        next(iter(next(iter(converted["key"])))), converted["method"].__self__,
    ):  # fmt: skip
        assert other is theirs
    assert [type(one) for one in converted.values()] == [type(one) for one in things.values()]
    assert converted["masked"].mask.tolist() == [[True, False]]
    assert converted["class"] is MLPClassifier
    assert converted["array of numbers"] is not X
    assert things["array"][0, 1] is mlp
    assert to_sklearn(3) == 3


class Slots:
    __slots__ = ("mlp", "nothing")


def test_slots():
    thing = Slots()
    thing.mlp = regressor()
    assert type(to_sklearn(thing).mlp) is originals.MLPRegressor


def test_results_of_searches(data):
    X, y = data
    search = GridSearchCV(make_pipeline(classifier()), {"mlpclassifier": [classifier()]}, cv=2)
    converted = to_sklearn(search.fit(X, y))
    (mlp,) = converted.cv_results_["param_mlpclassifier"]
    assert type(mlp) is originals.MLPClassifier
    assert converted.cv_results_["params"][0]["mlpclassifier"] is mlp
    result = cross_validate(classifier(), X, y, cv=2, return_estimator=True)
    assert {type(one) for one in to_sklearn(result)["estimator"]} == {originals.MLPClassifier}


@needs_losses
def test_what_scikit_learn_does_not_have(data):
    X, y = data
    pipe = make_pipeline(MLPClassifier(activation="silu"))
    with pytest.raises(ValueError, match="scikit-learn has no activation 'silu'"):
        to_sklearn(pipe)
    pipe = make_pipeline(MLPRegressor(loss="huber", **OPTIONS)).fit(X, y)
    with pytest.warns(UserWarning, match="has no loss 'huber'"):
        converted = to_sklearn(pipe)
    np.testing.assert_allclose(converted.predict(X), pipe.predict(X), rtol=1e-12)


# ---- PyTorch ------------------------------------------------------------------------------------


def torch_module():
    """As much of torch.nn as is read, for where PyTorch is not installed."""

    class Tensor:
        def __init__(self, values):
            self.values = values

        def detach(self):
            return self

        def cpu(self):
            return self

        def numpy(self):
            return self.values

    class Linear:
        def __init__(self, n_in, n_out, bias=True, dtype="float32"):
            rng = np.random.default_rng(n_in * n_out)
            self.weight = Tensor(rng.standard_normal((n_out, n_in)).astype(dtype))
            self.bias = Tensor(rng.standard_normal(n_out).astype(dtype)) if bias else None

    Linear.__module__ = "torch.nn.modules.linear"
    defaults = {
        "LeakyReLU": {"negative_slope": 0.01}, "ELU": {"alpha": 1.0},
        "Softplus": {"beta": 1.0, "threshold": 20.0}, "Flatten": {"start_dim": 1},
        "GELU": {"approximate": "none"}, "Softmax": {"dim": None},
    }  # fmt: skip

    def layer(name):
        def init(self, **options):
            vars(self).update({**defaults.get(name, {}), **options})

        body = {"__init__": init, "__repr__": lambda self: f"{name}()"}
        return type(name, (), {**body, "__module__": "torch.nn.modules.activation"})

    names = (
        "Sigmoid Tanh ReLU LeakyReLU ELU SELU SiLU GELU Mish Softplus Softmax Identity Dropout "
        "Flatten Hardswish"
    )
    body = {"__new__": lambda cls, *layers: tuple.__new__(cls, layers)}
    body["__module__"] = "torch.nn.modules.container"
    sequential = type("Sequential", (tuple,), body)
    return types.SimpleNamespace(
        Linear=Linear, Sequential=sequential, Tensor=Tensor,
        **{name: layer(name) for name in names.split()},
    )  # fmt: skip


TORCH = {
    "identity": lambda nn: nn.Identity(),
    "sigmoid": lambda nn: nn.Sigmoid(),
    "tanh": lambda nn: nn.Tanh(),
    "relu": lambda nn: nn.ReLU(),
    "leaky_relu": lambda nn: nn.LeakyReLU(),
    "elu": lambda nn: nn.ELU(),
    "selu": lambda nn: nn.SELU(),
    "silu": lambda nn: nn.SiLU(),
    "gelu": lambda nn: nn.GELU(),
    "gelu_tanh": lambda nn: nn.GELU(approximate="tanh"),
    "mish": lambda nn: nn.Mish(),
    "softplus": lambda nn: nn.Softplus(),
}


@pytest.mark.parametrize("name", TORCH)
def test_from_torch(name):
    nn = torch_module()
    first, second = nn.Linear(3, 4), nn.Linear(4, 2, bias=False)
    layer = TORCH[name](nn)
    module = nn.Sequential(
        nn.Flatten(), first, nn.Sequential(layer, nn.Dropout()), nn.Identity(), second,
        nn.Softmax(dim=-1),
    )  # fmt: skip
    net = from_torch(module)
    assert net.activations == (name, "softmax")
    assert net.loss_function == "log_loss"
    assert net.dtype == np.float32
    np.testing.assert_array_equal(net.coefs_[0], first.weight.values.T)
    np.testing.assert_array_equal(net.intercepts_[0], first.bias.values)
    assert (net.intercepts_[1] == 0).all()
    before = first.weight.values.copy()
    net.params_[:] = 0
    np.testing.assert_array_equal(first.weight.values, before)


def test_losses_by_the_output():
    nn = torch_module()
    for layers, loss in (
        ((nn.Linear(3, 1), nn.Sigmoid()), "binary_log_loss"),
        ((nn.Linear(3, 2), nn.Sigmoid()), "squared_error"),
        ((nn.Linear(3, 2),), "squared_error"),
        ((nn.Linear(3, 2), nn.Softmax(dim=1)), "log_loss"),
    ):
        assert from_torch(nn.Sequential(*layers)).loss_function == loss
    net = from_torch(nn.Linear(3, 2, dtype="float64"), loss="huber")
    assert (net.loss_function, net.dtype) == ("huber", np.float64)


def test_what_from_torch_refuses():
    nn = torch_module()
    dense = nn.Linear(3, 4)
    half = nn.Linear(3, 4)
    half.weight.values = half.weight.values.astype(np.float16)
    half.bias.values = half.bias.values.astype(np.float16)
    bad = nn.Linear(4, 1)
    bad.bias.values[0] = math.nan
    for layers, error, message in (
        ((dense, nn.Hardswish()), TypeError, "Hardswish"),
        ((dense, nn.LeakyReLU(negative_slope=0.2)), ValueError, "negative_slope = 0.01, not 0.2"),
        ((dense, nn.ELU(alpha=2.0)), ValueError, "alpha = 1.0, not 2.0"),
        ((dense, nn.Softplus(beta=2.0)), ValueError, "beta = 1.0, not 2.0"),
        ((dense, nn.Softplus(threshold=1.0)), ValueError, "threshold = 20.0, not 1.0"),
        ((nn.Flatten(start_dim=0), dense), ValueError, "makes all rows one"),
        ((dense, type("Tanh", (), {})()), TypeError, "Tanh"),
        ((dense, nn.GELU(approximate="other")), ValueError, "approximate = 'none', not 'other'"),
        ((dense, nn.Softmax()), ValueError, "dim = -1, not None"),
        ((dense, nn.Softmax(dim=1), nn.Linear(4, 1)), ValueError, "softmax"),
        ((dense, nn.ReLU(), nn.Tanh()), ValueError, "no activation after another"),
        ((nn.ReLU(), dense), ValueError, "no activation before the first"),
        ((dense, nn.Flatten()), TypeError, "Flatten"),
        ((dense, nn.Linear(5, 1)), ValueError, "layer 1 does not fit"),
        ((half,), TypeError, "float32 or float64, got .'float16'"),
        ((dense, bad), ValueError, r"intercepts_\[1\]\[0\] is nan"),
        ((), ValueError, "no dense layer"),
    ):
        with pytest.raises(error, match=message) as caught:
            from_torch(nn.Sequential(*layers))
        assert "\n" not in str(caught.value)


def test_classes_and_hooks_of_ones_own_are_refused():
    torch = pytest.importorskip("torch")
    nn = torch.nn

    class Linear(nn.Linear):
        def forward(self, x):
            return 2 * super().forward(x)

    class Sequential(nn.Sequential):
        def forward(self, x):
            return 2 * super().forward(x)

    for module in (nn.Sequential(Linear(3, 4)), Sequential(nn.Linear(3, 4))):
        with pytest.raises(TypeError, match="none that fastnn has"):
            from_torch(module)
    for before in (False, True):
        module = nn.Sequential(nn.Linear(3, 4), nn.Tanh())
        hook = lambda module, x, out=None: None  # noqa: E731
        if before:
            module[0].register_forward_pre_hook(hook)
        else:
            module.register_forward_hook(hook)
        with pytest.raises(ValueError, match="has hooks"):
            from_torch(module)


def test_with_pytorch_itself():
    torch = pytest.importorskip("torch")
    nn = torch.nn
    rng = np.random.default_rng(0)
    for dtype, bound in ((torch.float32, 1e-6), (torch.float64, 1e-12)):
        for name, layer in TORCH.items():
            module = nn.Sequential(
                nn.Flatten(), nn.Linear(5, 8), layer(nn), nn.Dropout(0.5),
                nn.Sequential(nn.Linear(8, 7, bias=False), layer(nn)), nn.Linear(7, 3),
            ).to(dtype)  # fmt: skip
            module.eval()
            x = torch.tensor(rng.standard_normal((20, 5)), dtype=dtype)
            net = from_torch(module)
            assert net.activations == (name, name, "identity")
            with torch.no_grad():
                expected = module(x).numpy()
            np.testing.assert_allclose(net.predict(x.numpy()), expected, rtol=bound, atol=bound)
    with pytest.raises(TypeError, match="Conv2d"):
        from_torch(nn.Sequential(nn.Conv2d(1, 1, 3), nn.Linear(3, 1)))
    with pytest.raises(TypeError, match="float32 or float64"):
        from_torch(nn.Linear(3, 1).to(torch.bfloat16))


# ---- Keras --------------------------------------------------------------------------------------


def keras_module():
    """As much of Keras as is read, for where it is not installed."""

    def function(name):
        def activation(x):
            """Nobody calls it."""

        activation.__name__, activation.__module__ = name, "keras.src.activations"
        return activation

    def get_weights(self):
        return []

    def layer(name, **defaults):
        def init(self, **options):
            vars(self).update({**defaults, **options})

        body = {"__init__": init, "get_weights": get_weights, "__repr__": lambda self: f"<{name}>"}
        return type(name, (), {**body, "__module__": "keras.src.layers"})

    class Dense:
        def __init__(self, n_in, n_out, activation=None, bias=True):
            rng = np.random.default_rng(n_in * n_out)
            self.weights = [rng.standard_normal((n_in, n_out)).astype(np.float32)]
            self.weights += [rng.standard_normal(n_out).astype(np.float32)] * bias
            known = activation is None or isinstance(activation, str)
            self.activation = function(activation or "linear") if known else activation

        def get_weights(self):
            return self.weights

    class Sequential:
        def __init__(self, layers):
            self.layers = layers

    Dense.__module__ = Sequential.__module__ = "keras.src.models"
    layers = {
        "InputLayer": {}, "Dropout": {}, "Flatten": {}, "BatchNormalization": {},
        "ReLU": {"max_value": None, "negative_slope": 0.0, "threshold": 0.0},
        "LeakyReLU": {"negative_slope": 0.3}, "ELU": {"alpha": 1.0}, "Softmax": {"axis": -1},
    }  # fmt: skip
    return types.SimpleNamespace(
        Dense=Dense, Sequential=Sequential, function=function,
        Activation=lambda name: layer("Activation", activation=function(name))(),
        **{name: layer(name, **defaults) for name, defaults in layers.items()},
    )  # fmt: skip


KERAS = {
    "linear": "identity", "sigmoid": "sigmoid", "tanh": "tanh", "relu": "relu", "silu": "silu",
    "elu": "elu", "selu": "selu", "gelu": "gelu", "mish": "mish", "softplus": "softplus",
}  # fmt: skip


@pytest.mark.parametrize("name", KERAS)
def test_from_keras(name):
    k = keras_module()
    first, second = k.Dense(3, 4, name), k.Dense(4, 5, bias=False)
    model = k.Sequential(
        [
            k.InputLayer(), k.Flatten(), first, k.Dropout(),
            k.Sequential([second, k.Activation(name)]), k.Dense(5, 3, "softmax"),
        ]
    )  # fmt: skip
    net = from_keras(model)
    assert net.activations == (KERAS[name], KERAS[name], "softmax")
    assert net.loss_function == "log_loss"
    np.testing.assert_array_equal(net.coefs_[0], first.weights[0])
    np.testing.assert_array_equal(net.intercepts_[0], first.weights[1])
    assert (net.intercepts_[1] == 0).all()


def test_activations_that_are_layers():
    k = keras_module()
    body = {"alpha": np.array(0.01, np.float32), "__module__": "tf_keras.src.layers"}
    keras_2 = type("LeakyReLU", (), body)()
    for layer, name in (
        (k.ReLU(), "relu"), (k.LeakyReLU(negative_slope=0.01), "leaky_relu"), (k.ELU(), "elu"),
        (k.Softmax(), "softmax"), (keras_2, "leaky_relu"), (k.Activation("exponential"), "exp"),
    ):  # fmt: skip
        assert from_keras(k.Sequential([k.Dense(3, 2), layer])).activations == (name,)
    inside = k.Dense(3, 2, k.LeakyReLU(negative_slope=0.01))
    assert from_keras(inside).activations == ("leaky_relu",)


def test_what_from_keras_refuses():
    k = keras_module()
    dense = k.Dense(3, 4)
    for layers, error, message in (
        ((dense, k.BatchNormalization()), TypeError, "BatchNormalization"),
        ((dense, k.LeakyReLU()), ValueError, "negative_slope = 0.01, not 0.3"),
        ((dense, k.ReLU(max_value=6.0)), ValueError, "max_value = None, not 6.0"),
        ((k.Dense(3, 4, "hard_sigmoid"),), ValueError, "its activation 'hard_sigmoid'"),
        ((k.Dense(3, 4, "leaky_relu"),), ValueError, "its activation 'leaky_relu'"),
        ((k.Dense(3, 4, np.tanh),), ValueError, "its activation"),
        ((k.Dense(3, 4, len),), ValueError, "its activation 'len'"),
        ((k.Dense(3, 4, "relu"), k.Activation("relu")), ValueError, "after another one"),
    ):
        with pytest.raises(error, match=message) as caught:
            from_keras(k.Sequential(layers))
        assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't:DeprecationWarning")
def test_with_keras_itself(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what it imports
        keras = pytest.importorskip("keras")
    rng = np.random.default_rng(0)
    x = rng.standard_normal((20, 5)).astype(np.float32)
    for name, ours in KERAS.items():
        model = keras.Sequential(
            [
                keras.Input((5,)), keras.layers.Dense(8, activation=name),
                keras.layers.Dropout(0.5), keras.layers.Dense(3),
                keras.layers.Activation("softmax"),
            ]
        )  # fmt: skip
        net = from_keras(model)
        assert net.activations == (ours, "softmax")
        expected = np.asarray(keras.ops.convert_to_numpy(model(x, training=False)))
        np.testing.assert_allclose(net.predict(x), expected, atol=1e-6)
    for layer, name in (
        (keras.layers.ReLU(), "relu"), (keras.layers.LeakyReLU(negative_slope=0.01), "leaky_relu"),
        (keras.layers.ELU(), "elu"), (keras.layers.Softmax(), "softmax"),
    ):  # fmt: skip
        model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3), layer])
        net = from_keras(model)
        assert net.activations == (name,)
        expected = np.asarray(keras.ops.convert_to_numpy(model(x, training=False)))
        np.testing.assert_allclose(net.predict(x), expected, atol=1e-6)


def test_networks_that_were_converted_train_on():
    nn = torch_module()
    net = from_torch(nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1)))
    rng = np.random.default_rng(0)
    X = rng.standard_normal((50, 3)).astype(np.float32)
    same = copy.deepcopy(net)
    net.fit(X, X[:, 0], max_iter=20)
    assert net.loss_curve_[-1] < net.loss_curve_[0]
    assert isinstance(same, Network)
    same.fit(X, X[:, 0], max_iter=20)
    np.testing.assert_array_equal(same.params_, net.params_)
