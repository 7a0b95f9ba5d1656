"""A network's losses: their numbers, several quantiles, one's own, smoothed labels."""

import pickle

import numpy as np
import pytest

from fastnn import Network
from fastnn.callbacks import Recorder, ValidationLoss

LEVELS = [0.05, 0.5, 0.95]
WITH_NUMBERS = [
    {"loss": "huber", "delta": 0.5},
    {"loss": "quantile", "quantile": 0.3},
    {"loss": "quantile", "quantile": LEVELS},
]


def pd_series(values):
    return pytest.importorskip("pandas").Series(values)


def values(output, target):
    return (output - target) ** 2 / 2


def derivatives(output, target):
    return output - target


def regression(rng, n=300):
    X = 6 * rng.rand(n, 1)
    return X, np.sin(X[:, 0]) + 0.3 * rng.randn(n)


def network(loss, **options):
    units = [1, 8, len(loss["quantile"]) if np.ndim(loss.get("quantile")) else 1]
    return Network(units, "tanh", random_state=0, **loss, **options)


def definition(loss, a, y):
    d = a - y.reshape(-1, 1)
    if loss["loss"] == "huber":
        size, delta = np.abs(d), loss["delta"]
        terms = np.where(size <= delta, d * d / 2, delta * (size - delta / 2))
    else:
        q = np.array(loss["quantile"])
        terms = np.maximum((1 - q) * d, -q * d)
    return terms.sum(axis=1).mean()


@pytest.mark.parametrize("loss", WITH_NUMBERS, ids=["huber", "quantile", "quantiles"])
def test_numbers_reach_every_method(loss, rng):
    X, y = regression(rng)
    net = network(loss)
    want = definition(loss, net.forward(X)[-1], y)
    np.testing.assert_allclose(net.loss(X, y), want, rtol=1e-13)
    value, coef_grads, _ = net.loss_and_grad(X, y)
    np.testing.assert_allclose(value, want, rtol=1e-13)
    trained = network(loss)
    trained.fit(X, y, max_iter=1, batch_size=len(y), solver="sgd", learning_rate_init=0.1,
                momentum=0.0)  # fmt: skip
    np.testing.assert_allclose(trained.loss_, want, rtol=1e-13)
    for coef, before, grad in zip(trained.coefs_, net.coefs_, coef_grads, strict=True):
        np.testing.assert_allclose(coef, before - 0.1 * grad, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    "loss", [*WITH_NUMBERS, {"loss": (values, derivatives)}],
    ids=["huber", "quantile", "quantiles", "own"],
)  # fmt: skip
def test_copies_and_callbacks_have_the_numbers(loss, rng):
    X, y = regression(rng)
    net = network(loss)
    recorder, validation = Recorder(), ValidationLoss(X, y)
    net.fit(X, y, max_iter=3, callback=[recorder, validation])
    assert validation.losses_[-1] == net.loss(X, y) == recorder[-1].loss(X, y)
    for other in (pickle.loads(pickle.dumps(net)), net.copy()):
        assert repr(other) == repr(net)
        assert other.loss(X, y) == net.loss(X, y)
        for one in (other, net.copy()):
            one.partial_fit(X, y, shuffle=False).partial_fit(X, y, shuffle=False)
            np.testing.assert_array_equal(
                one.params_, net.copy().partial_fit(X, y, shuffle=False)
                .partial_fit(X, y, shuffle=False).params_,
            )  # fmt: skip
    again = Network.from_params(net.params_, net.layer_units, net.activations, **loss)
    assert again.loss(X, y) == net.loss(X, y)


def test_repr_shows_the_numbers():
    assert "loss='huber', delta=0.5, dtype" in repr(network(WITH_NUMBERS[0]))
    assert "loss='quantile', quantile=[0.05, 0.5, 0.95], dtype" in repr(network(WITH_NUMBERS[2]))
    assert "loss=(values, derivatives), dtype" in repr(network({"loss": (values, derivatives)}))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_quantiles_cover_what_they_say(dtype, rng):
    X, y = regression(rng, 4000)
    net = network(WITH_NUMBERS[2], dtype=dtype)
    net.fit(X[:2000], y[:2000], max_iter=300, learning_rate_init=0.02)
    low, median, high = net.predict(X[2000:]).T
    inside = (low <= y[2000:]) & (y[2000:] <= high)
    assert 0.85 < inside.mean() < 0.95
    assert np.abs(median - np.sin(X[2000:, 0])).mean() < 0.1


def test_quantiles_do_not_cross_in_predictions(rng):
    net = network(WITH_NUMBERS[2])
    X = rng.randn(50, 1)
    raw, predicted = net.forward(X)[-1], net.predict(X)
    assert (np.diff(raw, axis=1) < 0).any()
    np.testing.assert_array_equal(predicted, np.sort(raw, axis=1))


@pytest.mark.parametrize("loss", ["absolute_error", "mae", "log_cosh", "huber", "gamma"])
def test_others_learn(loss, rng):
    X, y = regression(rng)
    y = np.exp(y) if loss == "gamma" else y
    net = Network([1, 8, 1], "tanh", loss=loss, random_state=0)
    net.fit(X, y, max_iter=100, learning_rate_init=0.02)
    assert net.loss_ < 0.7 * net.loss_curve_[0]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("out", ["identity", "sigmoid", "silu", "softmax"])
def test_own_squared_error_is_squared_error(dtype, out, rng):
    X, y = rng.randn(50, 3), rng.rand(50, 2)
    curves, params = [], []
    for loss in ("squared_error", (values, derivatives)):
        net = Network([3, 5, 2], "relu", out_activation=out, loss=loss, dtype=dtype,
                      random_state=0)  # fmt: skip
        net.fit(X, y, max_iter=5, batch_size=16, alpha=0.1)
        net.partial_fit(X, y, batch_size=16, alpha=0.1)
        curves.append([*net.loss_curve_, net.loss(X, y, alpha=0.3)])
        params.append(np.concatenate([net.params_, net.loss_and_grad(X, y)[1][0].ravel()]))
    tolerance = 1e-11 if dtype == np.float64 else 1e-4
    np.testing.assert_allclose(*curves, rtol=tolerance)
    np.testing.assert_allclose(*params, rtol=tolerance, atol=tolerance)


WAYS = {
    "weights": {},
    "average": {"ema": 0.8, "solver": "adam"},
    "schedule": {"learning_rate": "cosine", "solver": "adamw", "weight_decay": 0.1},
    "clipped": {"clip_norm": 0.1, "solver": "rmsprop"},
    "rprop": {"solver": "rprop", "batch_size": 50, "learning_rate_init": 0.3},
    "dropout": {"dropout": 0.3, "solver": "sgd"},
    "noise": {"input_noise": 0.3, "ema": 0.5},
}


@pytest.mark.parametrize("way", WAYS)
def test_own_loss_with_all_that_fit_takes(way, rng):
    X, y, weights = rng.randn(50, 3), rng.rand(50, 2), rng.rand(50)
    options = {"batch_size": 16, "max_iter": 12, **WAYS[way]}
    more = {"sample_weight": weights} if way in ("weights", "dropout") else {}
    validation = {"X_val": X[:9], "y_val": y[:9], "n_iter_no_change": 12}
    nets = []
    for loss in ("squared_error", (values, derivatives)):
        net = Network([3, 5, 2], "tanh", loss=loss, random_state=0)
        net.fit(X, y, **options, **more, **validation)
        nets.append(net)
    named, own = nets
    np.testing.assert_allclose(own.loss_curve_, named.loss_curve_, rtol=1e-11)
    np.testing.assert_allclose(own.params_, named.params_, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(
        own.validation_loss_curve_, named.validation_loss_curve_, rtol=1e-11
    )
    if way == "weights":
        got, want = (net.loss_and_grad(X, y, sample_weight=weights)[0] for net in nets)
        np.testing.assert_allclose(got, want, rtol=1e-13)
    if way == "rprop":  # a step was taken back
        named.fit(X, y, take_back=False, **options)
        assert np.abs(named.params_ - own.params_).max() > 1e-3


def test_own_loss_with_weights_of_0_in_a_batch(rng):
    X, y = rng.randn(50, 3), rng.rand(50, 2)
    net = Network([3, 5, 2], loss=(values, derivatives), random_state=0)
    with pytest.raises(ZeroDivisionError, match="in epoch 1"):
        net.fit(X, y, batch_size=10, sample_weight=np.arange(50) < 30, shuffle=False)


def test_own_functions_are_called_once_a_batch_with_what_they_cannot_change(rng):
    calls = []

    def look(output, target):
        calls.append(len(output))
        assert not output.flags.writeable
        assert not target.flags.writeable
        return values(output, target).sum(axis=1)

    X, y = regression(rng, 50)
    Network([1, 4, 1], loss=(look, derivatives)).fit(X, y, max_iter=2, batch_size=20)
    assert calls == [20, 20, 10] * 2


class Nonsense(Exception):
    pass


def raises(output, target):
    raise Nonsense


@pytest.mark.parametrize(
    ("pair", "error", "match"),
    [
        ((raises, derivatives), Nonsense, None),
        ((lambda a, y: 1.0, derivatives), ValueError, r"values must have shape \(20,\) or"),
        ((values, lambda a, y: (a - y)[:5]), ValueError, r"derivatives must have shape \(20, 1\)"),
        ((values, lambda a, y: a * np.nan), FloatingPointError, "derivatives are not all finite"),
        ((values, lambda a, y: None), TypeError, "derivatives"),
    ],
)
def test_own_functions_that_fail(pair, error, match, rng):
    """Training stops with the parameters that were reached."""
    X, y = regression(rng, 60)
    good = 4  # batches, of 3 an epoch
    calls = [0, 0]

    def late(i):
        def function(output, target):
            calls[i] += 1
            return ((values, derivatives) if calls[i] <= good else pair)[i](output, target)

        return function

    net = Network([1, 4, 1], "tanh", loss=(late(0), late(1)), random_state=0)
    before = net.params_.copy()
    with pytest.raises(error, match=match):
        net.fit(X, y, max_iter=3, batch_size=20)
    assert np.isfinite(net.params_).all()
    assert (net.params_ != before).any()
    assert net.n_iter_ == 1
    calls[:] = [-1000, -1000]
    net.fit(X, y, max_iter=1)


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_own_loss_that_leaves_the_finite_numbers_goes_back(ema, rng):
    """As a loss with a name does."""
    X, y = regression(rng, 60)
    options = {"shuffle": False, "batch_size": 20, "solver": "sgd", "max_iter": 4, "ema": ema}

    def rates(t):
        return np.where(t < 0.5, 1.0, 1e180)

    net = Network([1, 4, 1], "relu", loss=(values, derivatives), random_state=0)
    with pytest.raises(FloatingPointError, match="diverged in epoch 3: the loss's values are not"):
        net.fit(X, y, learning_rate=rates, learning_rate_init=0.01, **options)
    plain = Network([1, 4, 1], "relu", loss=(values, derivatives), random_state=0)
    plain.fit(X, y, learning_rate_init=0.01, **{**options, "max_iter": 2})
    np.testing.assert_array_equal(net.params_, plain._state.raw if ema else plain.params_)
    assert np.isfinite(net.loss(X, y))


def test_derivatives_beyond_the_networks_type(rng):
    net = Network([1, 4, 1], loss=(values, lambda a, y: np.full(a.shape, 1e300)), dtype="f4")
    with pytest.raises(FloatingPointError, match="derivatives are not all finite"):
        net.fit(*regression(rng, 20), max_iter=1)


@pytest.mark.parametrize("kind", [np.array, tuple, pd_series])
def test_levels_of_any_kind(kind):
    net = Network([1, 4, 3], loss="quantile", quantile=kind(LEVELS))
    assert "quantile=[0.05, 0.5, 0.95]" in repr(net)
    assert "quantile=0.3" in repr(Network([1, 4, 1], loss="quantile", quantile=np.array(0.3)))


def test_own_loss_that_diverges_goes_back(rng):
    X, y = regression(rng, 60)
    net = Network([1, 4, 1], "relu", loss=(values, lambda a, y: 1e300 * (a - y)), random_state=0)
    before = net.params_.copy()
    with pytest.raises(FloatingPointError, match="epoch 1"):
        net.fit(X, y, max_iter=5, batch_size=20, solver="sgd", learning_rate_init=1e10)
    np.testing.assert_array_equal(net.params_, before)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"loss": "mse", "delta": 2.0}, ValueError, "delta goes with the loss 'huber'"),
        ({"quantile": [0.1, 0.9]}, ValueError, "quantile goes with the loss 'quantile'"),
        ({"loss": "huber", "delta": 0}, ValueError, "delta must be"),
        ({"loss": "huber", "delta": "1"}, TypeError, "delta must be"),
        ({"loss": "quantile"}, ValueError, "there are 2 outputs, and quantile has 1"),
        ({"loss": "quantile", "quantile": [0.9, 0.1]}, ValueError, "levels that rise"),
        ({"loss": "quantile", "quantile": []}, ValueError, "levels that rise"),
        ({"loss": "quantile", "quantile": [0.1, 1]}, ValueError, r"quantile\[1\] must be"),
        ({"loss": "quantile", "quantile": None}, TypeError, "quantile must be"),
        ({"loss": (values,)}, TypeError, "pair of functions"),
        ({"loss": (values, 3)}, TypeError, "pair of functions"),
        ({"loss": "gamma", "out_activation": "identity"}, ValueError, "'exp'"),
    ],
)
def test_bad_losses(options, error, match):
    with pytest.raises(error, match=match):
        Network([3, 4, 2], "tanh", **options)


def test_bad_targets(rng):
    X = rng.randn(4, 1)
    net = Network([1, 4, 1], loss="gamma")
    with pytest.raises(ValueError, match=r"y must be above 0 for loss 'gamma', got y\[1, 0\] = 0"):
        net.fit(X, [1, 0, 2, 3])
    with pytest.raises(ValueError, match="above 0"):
        net.loss(X, np.zeros((4, 1)))
    net = network(WITH_NUMBERS[2])
    with pytest.raises(ValueError, match="takes one target"):
        net.fit(X, rng.rand(4, 3))
    with pytest.raises(ValueError, match="takes one target"):
        network(WITH_NUMBERS[1]).fit(X, rng.rand(4, 2))


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("loss", ["log_loss", "binary_log_loss"])
def test_label_smoothing(method, loss, rng):
    X, y = rng.randn(40, 3), np.eye(4)[rng.randint(4, size=40)]
    kept, nets = y.copy(), [Network([3, 5, 4], loss=loss, random_state=0) for _ in range(2)]
    share = 0.2 / (4 if loss == "log_loss" else 2)
    for _ in range(3):
        getattr(nets[0], method)(X, y, label_smoothing=0.2)
        getattr(nets[1], method)(X, y * (1 - 0.2) + share)
    np.testing.assert_array_equal(nets[0].params_, nets[1].params_)
    np.testing.assert_array_equal(y, kept)
    getattr(nets[0], method)(X, y)
    getattr(nets[1], method)(X, y)
    np.testing.assert_array_equal(nets[0].params_, nets[1].params_)
    for bad in (-0.1, 1, 1.5, np.nan):
        with pytest.raises(ValueError, match="label_smoothing must be"):
            getattr(nets[0], method)(X, y, label_smoothing=bad)
    with pytest.raises(ValueError, match="label_smoothing goes with the losses 'log_loss'"):
        getattr(Network([3, 4], "tanh"), method)(X, y, label_smoothing=0.1)
