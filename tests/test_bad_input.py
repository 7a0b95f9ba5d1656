"""What cannot be trained on is refused in one line, before anything changes."""

import inspect
import re

import numpy as np
import pytest
from sklearn.datasets import load_diabetes

import fastnn
from fastnn import Network
from fastnn.callbacks import ValidationLoss
from fastnn.catalog.activations import ACTIVATIONS
from fastnn.training import options

X = np.arange(12.0).reshape(6, 2)
Y = np.zeros((6, 1))


def with_value(value):
    a = X.copy()
    a[3, 1] = value
    return a


def sparse():
    from scipy.sparse import csr_array

    return csr_array(X)


CONSTRUCTION = [
    ((5,), {}, TypeError, "layer_units must be a sequence"),
    (("2-4-1",), {}, TypeError, "layer_units must be a sequence"),
    ((np.zeros((2, 2, 2)),), {}, TypeError, r"layer_units\[0\] must be a whole number"),
    (([2, 10**5000],), {}, ValueError, "got a huge int"),
    (([2],), {}, ValueError, "at least inputs and outputs"),
    (([2, 0, 1],), {}, ValueError, r"layer_units\[1\] must be a whole number >= 1, got 0"),
    (([2, -4, 1],), {}, ValueError, r"layer_units\[1\] .* got -4"),
    (([2, 4.5, 1],), {}, TypeError, r"layer_units\[1\] .* got 4.5"),
    (([2, True, 1],), {}, TypeError, r"layer_units\[1\] .* got True"),
    (([2, 2**40, 2**40, 1],), {}, ValueError, "too many"),
    (([2, 4, 1], "prelu"), {}, ValueError, "activation must be one of 'identity', 'sigmoid'"),
    (([2, 4, 1], 3), {}, TypeError, "activation must be"),
    (([2, 4, 1], ["tanh"]), {}, ValueError, "activation must be one name, or 2"),
    (([2, 4, 1], ["tanh", 1]), {}, TypeError, r"activation\[1\] must be one of"),
    (([2, 4, 2], ["softmax", "tanh"]), {}, ValueError, "only come last"),
    (([2, 4, 2], "softmax"), {}, ValueError, "for the output"),
    (([2, 4, 2], "exp"), {}, ValueError, 'for the output: out_activation="exp"'),
    (([2, 4, 2], ["exp", "tanh"]), {}, ValueError, '"exp" may only come last'),
    (([2, 4, 2],), {"loss": "poisson", "out_activation": "identity"}, ValueError, "goes with"),
    (([2, 4, 2],), {"loss": "mean_squared_error"}, ValueError, "loss must be one of"),
    (([2, 4, 1],), {"out_activation": "softmax"}, ValueError, "always 1"),
    (([2, 4, 1],), {"loss": "log_loss"}, ValueError, "binary_log_loss"),
    (([2, 4, 1],), {"loss": "hinge"}, ValueError, "loss must be one of 'squared_error'"),
    (([2, 4, 1],), {"loss": "log_loss", "out_activation": "tanh"}, ValueError, "goes with"),
    (([2, 4, 1], ["tanh", "tanh"]), {"out_activation": "tanh"}, ValueError, "not both"),
    (([2, 4, 1],), {"init": "zeros"}, ValueError, "init must be one of 'auto', 'glorot', 'he'"),
    (([2, 4, 1],), {"init": None}, TypeError, "init must be one of"),
    (([2, 4, 1],), {"last_layer_scale": -1}, ValueError, "last_layer_scale .* got -1"),
    (([2, 4, 1],), {"last_layer_scale": np.inf}, ValueError, "last_layer_scale .* got inf"),
    (([2, 4, 1],), {"last_layer_scale": "0"}, TypeError, "last_layer_scale .* got '0'"),
    (([2, 4, 1],), {"dtype": "float16"}, ValueError, "dtype must be"),
    (([2, 4, 1],), {"dtype": None}, ValueError, "dtype must be"),
    (([2, 4, 1],), {"dtype": "nonsense"}, ValueError, "dtype must be"),
    (([2, 4, 1],), {"random_state": -1}, ValueError, "random_state"),
    (([2, 4, 1],), {"random_state": "a"}, TypeError, "random_state"),
]


@pytest.mark.parametrize(("args", "options", "error", "match"), CONSTRUCTION)
def test_construction(args, options, error, match):
    with pytest.raises(error, match=match) as caught:
        Network(*args, **options)
    assert "\n" not in str(caught.value)


DATA = [
    (X[0], Y, ValueError, r"X must have two dimensions .*\(2,\); for one row .*\(1, -1\)$"),
    (X[:, 0], Y, ValueError, r"X must have two dimensions .*\(6,\)$"),
    (X[None], Y, ValueError, r"X must have two dimensions .*\(1, 6, 2\)"),
    (5.0, Y, ValueError, r"X must have two dimensions"),
    (X[:, :1], Y, ValueError, r"X must have 2 columns, one for each feature, got shape \(6, 1\)"),
    (X[:0], Y[:0], ValueError, "X is empty"),
    (X[:, :0], Y, ValueError, "X must have 2 columns"),
    (X[:5], Y, ValueError, "y must have 5 rows, as many as X, got 6"),
    (with_value(np.nan), Y, ValueError, r"X\[3, 1\] is nan; every value must be finite"),
    (with_value(np.inf), Y, ValueError, r"X\[3, 1\] is inf"),
    (X.astype(object), Y, TypeError, "X must hold real numbers, got dtype object"),
    (X.astype(str), Y, TypeError, "X must hold real numbers, got dtype <U"),
    (X.astype(complex), Y, TypeError, "X must hold real numbers, got dtype complex128"),
    (X.astype("datetime64[s]"), Y, TypeError, "X must hold real numbers"),
    ([[1, 2], [3]], Y, ValueError, "X cannot be made an array"),
    ("text", Y, TypeError, "X must hold real numbers"),
    (None, Y, TypeError, "X must hold real numbers"),
    (np.ma.masked_less(X, 3), Y, TypeError, "X is a masked array"),
    (sparse, Y, TypeError, r"X is sparse; pass a dense array: X.toarray\(\)"),
    (X, np.zeros((6, 2)), ValueError, r"y must have 1 column, one for each output"),
    (X, np.zeros(5), ValueError, "y must have 6 rows"),
    (X, np.full((6, 1), np.nan), ValueError, r"y\[0, 0\] is nan"),
    (X, np.array([["a"]] * 6), TypeError, "y must hold real numbers"),
    (X, None, TypeError, "y must hold real numbers"),
    (X, np.ma.masked_array(Y), TypeError, "y is a masked array"),
]


@pytest.mark.parametrize("method", ["fit", "partial_fit", "loss", "loss_and_grad"])
@pytest.mark.parametrize(("x", "y", "error", "match"), DATA)
def test_data(method, x, y, error, match):
    net = Network([2, 3, 1], random_state=0)
    net.partial_fit(X, Y)
    before, state = net.params_.copy(), net._random_state.get_state()[2]
    curve = list(net.loss_curve_)
    with pytest.raises(error, match=match) as caught:
        getattr(net, method)(x() if callable(x) else x, y)
    assert "\n" not in str(caught.value)
    np.testing.assert_array_equal(net.params_, before)
    assert net._random_state.get_state()[2] == state
    assert net.loss_curve_ == curve


@pytest.mark.parametrize(
    ("x", "y", "error", "match"), [case for case in DATA if case[1] is Y and "rows" not in case[3]]
)
def test_data_for_predict(x, y, error, match):
    net = Network([2, 3, 1], random_state=0)
    for method in (net.predict, net.forward):
        with pytest.raises(error, match=match):
            method(x() if callable(x) else x)


def test_values_too_large_for_float32():
    net = Network([2, 3, 1], dtype="float32")
    with pytest.raises(ValueError, match=r"X\[3, 1\] is 1e\+300 \(too large for float32\)"):
        net.fit(with_value(1e300), Y)


@pytest.mark.parametrize("name", ["epsilon", "learning_rate_init"])
@pytest.mark.parametrize("value", [1e-50, 1e50])
def test_numbers_that_float32_cannot_hold(name, value):
    net = Network([2, 3, 1], dtype="float32", random_state=0)
    with pytest.raises(ValueError, match=rf"{name} must be a finite number in \[1.17549e-38"):
        net.fit(X, Y, **{name: value})
    if value < 1:
        Network([2, 3, 1], random_state=0).fit(X, Y, max_iter=2, **{name: value})


def test_the_first_of_many_that_is_not_finite():
    x = np.zeros((70_001, 2))
    x[60_000, 1], x[-1] = np.nan, np.inf
    with pytest.raises(ValueError, match=r"X\[60000, 1\] is nan; every value"):
        Network([2, 1]).predict(x)
    with pytest.raises(ValueError, match=r"X\[9999, 0\] is inf; every value"):
        Network([2, 1]).predict(np.asfortranarray(x)[60_001:])


def test_class_numbers_for_several_outputs():
    net = Network([2, 3, 3], loss="log_loss")
    with pytest.raises(ValueError, match=r"one column for each output.*np.eye\(3\)\[y\]"):
        net.fit(X, np.array([0, 1, 2, 0, 1, 2]))


def test_targets_of_the_log_losses():
    with pytest.raises(ValueError, match=r"y must be between 0 and 1.*y\[0, 0\] = 2"):
        Network([2, 3, 1], loss="binary_log_loss").fit(X, Y + 2)
    with pytest.raises(ValueError, match=r"each row of y must sum to 1.*in row 0"):
        Network([2, 3, 2], loss="log_loss").fit(X, np.ones((6, 2)))
    many = np.tile([0.1, 0.2, 0.7], (60_000, 1))
    for value, message in (
        (2.0, r"between 0 and 1 .*, got y\[59999, 1\] = 2\.0"),
        (0.5, r"must sum to 1 .*, got 1\.3 in row 59999"),
    ):
        many[-1, 1] = value
        with pytest.raises(ValueError, match=message):
            Network([2, 3, 3], loss="log_loss").fit(np.zeros((60_000, 2)), many)
    soft = np.tile([0.1, 0.2, 0.7], (6, 1))
    for dtype in ("float32", "float64"):
        Network([2, 3, 3], loss="log_loss", dtype=dtype).fit(X, soft, max_iter=1)


@pytest.mark.parametrize(
    ("loss", "y", "message"),
    [
        ("poisson", [3, -5], r"y must be at least 0 for loss 'poisson', got y\[1, 0\] = -5"),
        ("bce", [5, 1], r"y must be between 0 and 1 for loss 'binary_log_loss', got y\[0, 0\]"),
        ("log_loss", [[0.5, 0.5], [0.5, 0.6]], r"each row of y must sum to 1 .*, got 1\.1 in row"),
    ],
)  # fmt: skip
def test_losses_of_targets_outside_their_domain(loss, y, message):
    net = Network([2, np.shape(y[0])[0] if np.ndim(y) == 2 else 1], loss=loss)
    x = np.zeros((2, 2))
    inside = np.eye(2) if loss == "log_loss" else [0, 1]
    for call in (
        lambda: net.loss(x, y),
        lambda: net.loss_and_grad(x, y),
        lambda: net.fit(x, inside, callback=ValidationLoss(x, y, n_iter_no_change=3)),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    assert net.n_iter_ == 0


def test_a_loss_is_there_for_targets_out_of_the_outputs_reach():
    net = Network([2, 1], "sigmoid")
    assert net.loss(X, Y + 5) > 8


def test_advice_for_one_row_and_one_column():
    with pytest.raises(ValueError, match=r"for one row use X.reshape\(1, -1\)$"):
        Network([2, 3, 1]).predict([0, 1])
    with pytest.raises(ValueError, match=r"for one feature use X.reshape\(-1, 1\)$"):
        Network([1, 3, 1]).predict([0, 1, 2])


REACH = [
    ("sigmoid", -0.1, "between 0 and 1"),
    ("sigmoid", 1.1, "between 0 and 1"),
    ("softmax", 1.1, "between 0 and 1"),
    ("tanh", -1.1, "between -1 and 1"),
    ("relu", -0.1, "at least 0"),
    ("exp", -0.1, "at least 0"),
    ("silu", -0.3, "at least -0.278465"),
    ("elu", -1.1, "at least -1"),
    ("selu", -1.8, "at least -1.7581"),
    ("gelu", -0.2, "at least -0.169971"),
    ("gelu_tanh", -0.2, "at least -0.170041"),
    ("mish", -0.4, "at least -0.308843"),
    ("softplus", -0.1, "at least 0"),
]


@pytest.mark.parametrize(("out", "value", "interval"), REACH)
def test_targets_out_of_reach_of_the_output(out, value, interval):
    y = np.full((6, 2), 0.5)
    net = Network([2, 3, 2], "tanh", out_activation=out, random_state=0)
    net.fit(X, y, max_iter=1)
    y[4, 1] = value
    before = net.params_.copy()
    message = rf"y\[4, 1\] = {value} is out of reach: .*'{out}' gives values {interval};"
    for method in (net.fit, net.partial_fit):
        with pytest.raises(ValueError, match=message):
            method(X, y)
    np.testing.assert_array_equal(net.params_, before)
    assert np.isfinite(net.loss(X, y))  # only training is refused
    Network([2, 3, 2], "tanh", random_state=0).fit(X, y, max_iter=1)  # identity reaches all


def test_every_activation_with_bounds_is_in_the_list():
    bounded = {row.name for row in ACTIVATIONS if row.low > -np.inf or row.high < np.inf}
    assert bounded == {name for name, _, _ in REACH}


def test_a_sigmoid_net_on_large_targets_says_what_to_do():
    """It used to end at R^2 = -3.85 without a word."""
    with pytest.raises(ValueError, match=r'out of reach.*out_activation="identity", or scale y'):
        Network([10, 16, 1]).fit(*load_diabetes(return_X_y=True))


def test_divergence_names_what_is_large():
    rng = np.random.RandomState(0)
    x, y = rng.randn(20, 2), rng.randn(20, 1)
    options = {"solver": "sgd", "learning_rate_init": 1e6}
    for large_x, large_y, advice in (
        (1, 1, r"Try a learning rate below 1e\+06\. See docs: [\w/-]+$"),
        (1e3, 1, r"or X scaled to mean 0 and variance 1\. See docs: "),
        (1, 1e6, r"or y scaled to mean 0 and variance 1\. See docs: "),
        (1e3, 1e6, r"or X and y scaled to mean 0 and variance 1\. See docs: "),
    ):
        net = Network([2, 3, 1], "relu", random_state=0)
        with pytest.raises(FloatingPointError, match=advice):
            net.fit(large_x * x, large_y * y, max_iter=500, **options)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda net: net.fit(X, Y, lr=0.1), "'lr'; did you mean 'learning_rate_init'"),
        (lambda net: net.fit(X, Y, epochs=3), "'epochs'; did you mean 'max_iter'"),
        (lambda net: net.partial_fit(X, Y, momentun=0.5), "did you mean 'momentum'"),
        (lambda net: net.fit(X, Y, solver="adma"), "got 'adma'; did you mean 'adam'"),
        (lambda net: Network([2, 1], "sigmiod"), "did you mean 'sigmoid'"),
        (lambda net: Network([2, 1], loss="squared_eror"), "did you mean 'squared_error'"),
        (lambda net: Network([2, 1], init="gloort"), "did you mean 'glorot'"),
        *[(lambda net, name=name: Network([2, 1], init=name), f"did you mean '{meant}'")
          for name, meant in {"xavier": "glorot", "Kaiming": "he", "LeCun": "lecun"}.items()],
        *[(lambda net, name=name: Network([2, 1], name), f"did you mean '{meant}'")
          for name, meant in {"LeakyReLU": "leaky_relu", "GELU": "gelu", "SELU": "selu"}.items()],
        *[(lambda net, name=name: Network([2, 1], name), f"did you mean '{meant}'")
          for name, meant in {"ReLU": "relu", "RELU": "relu", "TANH": "tanh"}.items()],
        *[(lambda net, name=name: Network([2, 1], loss=name), f"did you mean '{meant}'")
          for name, meant in {"MSE": "mse", "BCE": "bce", "Log-Loss": "log_loss"}.items()],
        (lambda net: net.fit(X, Y, solver="SGD"), "did you mean 'sgd'"),
        (lambda net: net.fit(X, Y, maxiter=3), "'maxiter'; did you mean 'max_iter'"),
        (lambda net: net.fit(X, Y, callbacks=[]), "'callbacks'; did you mean 'callback'"),
        (lambda net: net.fit(X, Y, learning_rate="adaptive"),
         "got 'adaptive'; fastnn.MLPClassifier and fastnn.MLPRegressor have 'adaptive'$"),
        (lambda net: Network([2, 1], lr=0.1), "'lr'; fit takes 'learning_rate_init'"),
        (lambda net: Network([2, 1], alpha=0.1), "'alpha'; fit takes 'alpha'"),
        (lambda net: Network([2, 1], seed=0), "'seed'; did you mean 'random_state'"),
        (lambda net: Network(hidden_layer_sizes=[2]), "'; did you mean 'layer_units'"),
        (lambda net: fastnn.MLPClassifier(lr=0.1), "'lr'; did you mean 'learning_rate_init'"),
        (lambda net: fastnn.MLPClassifier(epochs=3), "'epochs'; did you mean 'max_iter'"),
        (lambda net: fastnn.MLPRegressor(callbacks=[]), "; did you mean 'set_callbacks'"),
    ],
)  # fmt: skip
def test_misspelt_names_get_a_hint(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call(Network([2, 3, 1], random_state=0))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        *[(lambda name=name: Network([2, 1], loss=name), "loss must be one of")
          for name in ("mape", "MAPE", "hinge", "smooth-l1")],
        *[(lambda name=name: Network([2, 1], name), "activation must be one of")
          for name in ("prelu", "PReLU", "celu", "hard-swish")],
        *[(lambda name=name: Network([2, 1]).fit(X, Y, solver=name), "solver must be one of")
          for name in ("adagrad", "Adadelta")],
        (lambda: Network([2, 1], nonsense=1), "unexpected keyword argument 'nonsense'$"),
    ],
)  # fmt: skip
def test_another_thing_of_a_like_name_is_not_suggested(call, message):
    with pytest.raises((TypeError, ValueError), match=message) as caught:
        call()
    assert "did you mean" not in str(caught.value)


@pytest.mark.parametrize(
    ("room", "name", "meant"),
    [
        ("callbacks", "EarlyStopping", "ValidationLoss"),
        ("callbacks", "progressbar", "ProgressBar"),
        ("plotting", "LossCurve", "LossCurveDisplay"), ("plotting", "Animate", "animate"),
        ("tutorial", "sigmo", "sigm"), ("tutorial", "l2cost", "l2_cost"),
    ],
)  # fmt: skip
def test_misspelt_attributes_of_modules_get_a_hint(room, name, meant):
    module = getattr(fastnn, room)
    message = f"module 'fastnn.{room}' has no attribute '{name}'; did you mean '{meant}'?"
    with pytest.raises(AttributeError, match=re.escape(message)):
        getattr(module, name)
    assert not hasattr(module, "nonsense")


OPTIONS = [
    ("solver", "newton", ValueError, "solver must be one of 'adam', 'sgd', .*got 'newton'"),
    ("solver", None, TypeError, "solver must be one of"),
    *[("learning_rate_init", v, ValueError, "learning_rate_init must be a finite number in")
      for v in (0, 0.0, -1, -0.1, np.nan, np.inf, 10**400)],
    *[("learning_rate_init", v, TypeError, "learning_rate_init must be")
      for v in ("0.1", None, True, 1j, [0.1])],
    ("max_iter", 0, ValueError, "max_iter must be a whole number >= 1, got 0"),
    ("max_iter", 2**62, ValueError, "max_iter must be a whole number >= 1 and <="),
    ("learning_rate_init", np.zeros((3, 3)), TypeError, "learning_rate_init must be"),
    ("batch_size", np.zeros((3, 3)), TypeError, "batch_size must be"),
    ("max_iter", 2.5, TypeError, "max_iter must be a whole number >= 1, got 2.5"),
    ("batch_size", 0, ValueError, "batch_size must be a whole number >= 1"),
    ("batch_size", -5, ValueError, "batch_size must be a whole number >= 1"),
    ("batch_size", 1.5, TypeError, "batch_size must be a whole number >= 1"),
    ("batch_size", "all", ValueError, "batch_size must be"),
    ("shuffle", 1, TypeError, "shuffle must be True or False"),
    ("nesterovs_momentum", "yes", TypeError, "nesterovs_momentum must be True or False"),
    ("alpha", -1.0, ValueError, "alpha must be"),
    ("momentum", 1.0, ValueError, r"momentum must be a finite number in \[0, 1\), got 1.0"),
    ("momentum", -0.1, ValueError, "momentum must be"),
    ("beta_1", 1.0, ValueError, "beta_1 must be"),
    ("beta_2", -1, ValueError, "beta_2 must be"),
    ("epsilon", 0.0, ValueError, "epsilon must be"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "error", "match"), OPTIONS)
def test_options_of_fit(name, value, error, match):
    net = Network([2, 3, 1], random_state=0)
    before = net.params_.copy()
    with pytest.raises(error, match=match) as caught:
        net.fit(X, Y, **{name: value})
    assert "\n" not in str(caught.value)
    np.testing.assert_array_equal(net.params_, before)
    if name != "max_iter":
        with pytest.raises(error, match=match):
            net.partial_fit(X, Y, **{name: value})


def test_the_arguments_of_fit_are_known():
    assert set(options.ARGUMENTS) == set(inspect.signature(Network.fit).parameters) - {
        "self", "X", "y"
    }  # fmt: skip


@pytest.mark.parametrize("name", [*options.ARGUMENTS, "lr", "epochs", "optimizer", "callbacks"])
def test_arguments_of_fit_cannot_be_set(name):
    """Set in a callback, they would change nothing in silence."""
    with pytest.raises(AttributeError, match=f"a network has no {name}; ") as caught:
        Network([2, 1]).fit(X, Y, max_iter=1, callback=lambda net: setattr(net, name, 0.1))
    argument = options.of_fit(name)
    rate = argument in ("learning_rate", "learning_rate_init")
    assert str(caught.value).endswith("learning_rate_" if rate else f"; fit takes {argument}")


def test_arguments_of_the_constructor_cannot_be_set():
    for name in ("activation", "out_activation", "init", "random_state"):
        assert name in inspect.signature(Network).parameters
        with pytest.raises(AttributeError, match=f"no {name}; it is an argument of Network"):
            setattr(Network([2, 1]), name, "relu")


def test_other_attributes_can_be_set():
    class Own(Network):
        def __init__(self, units, alpha):
            super().__init__(units)
            self.alpha = alpha

    net = Network([2, 1])
    net.comment = "mine"
    assert net.copy().comment == "mine"
    assert Own([2, 1], 0.1).copy().alpha == 0.1


PARAMETERS = [
    (np.zeros((3, 2)), ValueError, r"coefs_\[0\] must have shape \(2, 3\), got \(3, 2\)"),
    (np.zeros(6), ValueError, r"coefs_\[0\] must have shape"),
    (np.full((2, 3), np.nan), ValueError, r"coefs_\[0\]\[0, 0\] is nan"),
    (np.zeros((2, 3), complex), TypeError, r"coefs_\[0\] must hold real numbers"),
    ([["a"] * 3] * 2, TypeError, r"coefs_\[0\] must hold real numbers"),
    (None, TypeError, r"coefs_\[0\] must hold real numbers"),
]


@pytest.mark.parametrize(("value", "error", "match"), PARAMETERS)
def test_edited_parameters(value, error, match):
    net = Network([2, 3, 1], random_state=0)
    before = net.params_.copy()
    with pytest.raises(error, match=match):
        net.coefs_[0] = value
    with pytest.raises(error, match=match):
        net.coefs_ = [value, np.zeros((3, 1))]
    # the second is refused before the first is written
    with pytest.raises(ValueError, match=r"coefs_\[1\]"):
        net.coefs_ = [np.zeros((2, 3)), np.zeros((9, 9))]
    with pytest.raises(ValueError, match="must hold 2 arrays, got 1"):
        net.coefs_ = [np.zeros((2, 3))]
    with pytest.raises(TypeError, match="must be a sequence"):
        net.coefs_ = 3
    with pytest.raises(IndexError):
        net.coefs_[2] = np.zeros((2, 3))
    np.testing.assert_array_equal(net.params_, before)


def test_views_edited_into_something_not_finite():
    net = Network([2, 3, 1], random_state=0)
    net.intercepts_[1][0] = np.nan
    for call in (lambda: net.fit(X, Y), lambda: net.predict(X), lambda: net.loss(X, Y)):
        with pytest.raises(ValueError, match=r"intercepts_\[1\]\[0\] is nan"):
            call()
    net.intercepts_[1] = [0.5]
    net.fit(X, Y, max_iter=1)


class Mute:
    """What cannot be shown in a message."""

    def __repr__(self):
        raise RuntimeError("no text")


@pytest.mark.parametrize("call", [
    lambda: Network(Mute()), lambda: Network([2, Mute()]), lambda: Network([2, 1], Mute()),
    lambda: Network([2, 1], loss=Mute()), lambda: Network([2, 1], dtype=Mute()),
    lambda: Network([2, 1], random_state=Mute()), lambda: Network([2, 1], n_jobs=Mute()),
    lambda: Network([2, 1]).fit(X, Y, max_iter=Mute()),
    lambda: Network([2, 1]).fit(X, Y, batch_size=Mute()),
    lambda: Network([2, 1]).fit(X, Y, solver=Mute()),
    lambda: Network([2, 1]).fit(X, Y, learning_rate_init=Mute()),
    lambda: Network([2, 1]).fit(X, Y, learning_rate=Mute()),
    lambda: Network([2, 1]).fit(X, Y, dropout=[Mute()]),
    lambda: Network([2, 1]).fit(X, Y, callback=Mute()),
    lambda: Network([2, 1]).fit(X, Y, scoring=Mute(), X_val=X, y_val=Y),
    lambda: Network([2, 1]).fit(X, [[Mute()]] * len(X)),
    lambda: Network([2, 1]).predict(Mute()),
    lambda: Network([2, 1]).predict([[1.0, Mute()]]),
])  # fmt: skip
def test_what_cannot_be_shown_is_refused_by_its_type(call):
    with pytest.raises((TypeError, ValueError)):
        call()


def test_far_too_many_outputs_with_a_number_each():
    """A tuple of so many numbers would not fit into memory."""
    with pytest.raises(ValueError, match="too many to address"):
        Network([2, 2**40, 2**40], loss="huber")
    with pytest.raises(ValueError, match="params must be a vector of"):
        Network.from_params(np.zeros(3), [2, 2**40], ["identity"], loss="huber")
