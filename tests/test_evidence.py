"""Bayesian regularisation: fixed points written out, intervals, and what is refused."""

import pickle

import numpy as np
import pytest
from conftest import COMPILED_ONLY
from sklearn.linear_model import BayesianRidge

import fastnn
from fastnn import Network, kernels, reference

RNG = np.random.RandomState(0)
X = RNG.randn(80, 4)
Y = (X @ [1.0, -0.5, 0.0, 0.2] + 0.7 + 0.3 * RNG.randn(80))[:, np.newaxis]
SINE = np.linspace(-1, 1, 41)[:, np.newaxis]


def fitted(units=(4, 1), x=X, y=Y, **options):
    options = {"solver": "lm", "alpha": "evidence", "max_iter": 200, **options}
    made = {name: options.pop(name) for name in ("dtype", "n_jobs") if name in options}
    net = Network(units, "tanh", out_activation="identity", random_state=0, **made)
    return net.fit(x, y, **options)


def test_the_fixed_point_of_a_linear_model():
    """MacKay's equations, with an intercept that has no penalty."""
    net = fitted()
    design = np.hstack([X, np.ones((80, 1))])
    alpha, coefs_only = 1.0, np.diag([1.0, 1, 1, 1, 0])
    for _ in range(500):
        inverse = np.linalg.inv(design.T @ design + alpha * coefs_only)
        w = inverse @ design.T @ Y[:, 0]
        determined = 4 - alpha * np.diag(inverse)[:4].sum()
        noise = ((design @ w - Y[:, 0]) ** 2).sum() / (80 - determined - 1)
        alpha = determined * noise / (w[:4] ** 2).sum()
    assert net.alphas_ == pytest.approx((alpha,), rel=2e-3)
    assert net.effective_parameters_ == pytest.approx(determined + 1, rel=1e-4)
    assert net.noise_variance_ == pytest.approx(noise, rel=1e-4)
    np.testing.assert_allclose(net.params_, w, rtol=1e-3, atol=1e-5)
    rows = RNG.randn(9, 4)
    at = np.hstack([rows, np.ones((9, 1))])
    expected = np.sqrt(noise * (1 + np.einsum("ij,jk,ik->i", at, inverse, at)))
    mean, std = net.predict(rows, return_std=True)
    np.testing.assert_array_equal(mean, net.predict(rows))
    np.testing.assert_allclose(std[:, 0], expected, rtol=1e-3)


def test_about_what_bayesian_ridge_finds():
    ridge = BayesianRidge(tol=1e-9, max_iter=1000).fit(X, Y[:, 0])
    net = fitted()
    np.testing.assert_allclose(net.coefs_[0][:, 0], ridge.coef_, rtol=0.01, atol=1e-3)
    assert net.noise_variance_ == pytest.approx(1 / ridge.alpha_, rel=0.03)
    _, std = ridge.predict(X, return_std=True)
    np.testing.assert_allclose(net.predict(X, return_std=True)[1][:, 0], std, rtol=0.03)


def test_a_noisy_sine():
    """20 units for 41 rows: few parameters are used, and intervals hold what they say."""
    held, errors, noises = [], [], []
    x = np.linspace(-1, 1, 200)[:, np.newaxis]
    for seed in range(6):
        y = np.sin(2 * np.pi * SINE) + 0.1 * np.random.RandomState(seed).randn(41, 1)
        net = fitted((1, 20, 1), SINE, y, max_iter=100)
        mean, std = net.predict(x, return_std=True)
        true = np.sin(2 * np.pi * x)
        held.append((np.abs(mean - true) < 2 * np.sqrt(std**2 - net.noise_variance_)).mean())
        errors.append(((mean - true) ** 2).mean())
        noises.append(net.noise_variance_)
        assert 5 < net.effective_parameters_ < 30
        assert len(net.alphas_) == 2
    assert np.mean(held) > 0.8
    assert np.median(errors) < 0.006
    assert 0.005 < np.median(noises) < 0.02


@pytest.mark.parametrize("scale", [1e-3, 10.0, 100.0])
def test_targets_of_other_scales(scale):
    x = np.random.RandomState(0).uniform(-2, 2, (100, 1))
    y = np.sin(2 * x) + 0.1 * np.random.RandomState(1).randn(100, 1)
    net = fitted((1, 8, 1), x, scale * y, max_iter=500)
    assert net.noise_variance_ == pytest.approx(0.01 * scale**2, rel=0.4)
    assert np.mean((net.predict(x) / scale - np.sin(2 * x)) ** 2) < 0.003


def test_weights_count_relatively():
    weights = np.random.RandomState(0).rand(80)
    weights[:9] = 0
    nets = [fitted((4, 3, 1), sample_weight=c * weights, max_iter=20) for c in (1, 1e-300, 1e9)]
    for net in nets[1:]:
        np.testing.assert_allclose(net.params_, nets[0].params_, rtol=1e-6, atol=1e-9)
        assert net.noise_variance_ == pytest.approx(nets[0].noise_variance_, rel=1e-6)
    without = fitted((4, 3, 1), X[9:], Y[9:], sample_weight=weights[9:], max_iter=20)
    np.testing.assert_allclose(without.params_, nets[0].params_, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_fewer_rows_than_parameters(seed):
    """A net that could know all rows by heart does not, and tells the noise."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (20, 1))
    net = fitted((1, 20, 1), x, np.sin(4 * x) + 0.2 * rng.normal(size=x.shape), max_iter=100)
    rows = np.linspace(-0.9, 0.9, 100)[:, np.newaxis]
    assert np.mean((net.predict(rows) - np.sin(4 * rows)) ** 2) < 0.06
    assert net.effective_parameters_ < 12
    assert 0.01 < net.noise_variance_ < 0.1


def test_constant_targets():
    net = fitted((4, 3, 1), y=np.full((80, 1), 7.0), max_iter=50)
    np.testing.assert_allclose(net.predict(X), 7, rtol=1e-3)
    assert np.isfinite(net.predict(X, return_std=True)[1]).all()


def test_the_best_start_has_the_highest_evidence():
    options = {"n_init": 4, "max_iter": 30}
    net = fitted((4, 6, 1), **options)
    alone = fitted((4, 6, 1), max_iter=30)
    assert net._evidence["log_evidence"] >= alone._evidence["log_evidence"]


def test_parameters_that_a_callback_put_there_have_none():
    net = fitted((4, 3, 1), max_iter=4, callback=lambda net: net.params_.fill(0.1))
    with pytest.raises(AttributeError, match="needs a fit"):
        net.alphas_  # noqa: B018


def test_several_outputs_and_float32():
    y = np.hstack([Y, X[:, :1] * X[:, 1:2]])
    net = fitted((4, 6, 2), y=y)
    mean, std = net.predict(X, return_std=True)
    assert mean.shape == std.shape == (80, 2)
    small = fitted((4, 6, 2), y=y, dtype="f4")
    assert small.predict(X, return_std=True)[1].dtype == np.float32
    assert small.noise_variance_ == pytest.approx(net.noise_variance_, rel=0.3)


@COMPILED_ONLY
def test_the_oracle_finds_the_same(monkeypatch):
    net = fitted((4, 3, 1), max_iter=12)
    monkeypatch.setattr(kernels, "build", reference)
    own = Network.from_params(
        Network([4, 3, 1], "tanh", out_activation="identity", random_state=0).params_.copy(),
        [4, 3, 1], ["tanh", "identity"],
    ).fit(X, Y, solver="lm", alpha="evidence", max_iter=12)  # fmt: skip
    np.testing.assert_allclose(net.params_, own.params_, rtol=1e-6, atol=1e-8)
    assert net.alphas_ == pytest.approx(own.alphas_, rel=1e-6)
    assert net.effective_parameters_ == pytest.approx(own.effective_parameters_, rel=1e-8)


def test_threads_change_no_bit(monkeypatch):
    monkeypatch.setattr("fastnn.work.WORTH_A_THREAD", 0)
    monkeypatch.setattr("fastnn.threads._available", lambda: 4)
    results = [
        (net.params_.tobytes(), net.alphas_, net.noise_variance_)
        for net in (fitted((4, 40, 1), max_iter=4, n_jobs=n) for n in (1, 2, 4))
    ]
    assert results[0] == results[1] == results[2]


def test_pickles_files_and_later_fits(tmp_path):
    net = fitted((4, 3, 1), max_iter=9)
    others = [pickle.loads(pickle.dumps(net)), net.copy()]
    pytest.importorskip("safetensors")
    net.save(tmp_path / "net.fastnn")
    others.append(fastnn.load(tmp_path / "net.fastnn"))
    for other in others:
        np.testing.assert_array_equal(
            other.predict(X, return_std=True)[1], net.predict(X, return_std=True)[1]
        )
        assert other.alphas_ == net.alphas_
    for later in (
        lambda: net.partial_fit(X, Y),
        lambda: fitted((4, 3, 1)).fit(X, Y, max_iter=1),
    ):
        with pytest.raises(AttributeError, match="needs a fit with"):
            later().noise_variance_  # noqa: B018
    state = others[0].__getstate__()
    for changed in (
        {"noise_variance": -1.0}, {"alphas": (1.0,)}, {"covariance": np.zeros((3, 3))},
        {"log_evidence": None},
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"evidence|covariance"):
            others[1].__setstate__({**state, "_evidence": {**state["_evidence"], **changed}})


@pytest.mark.parametrize(
    ("made", "given", "message"),
    [
        ({}, {"alpha": "bayes"}, 'alpha must be a number or "evidence"'),
        ({}, {"alpha": "evidence", "solver": "adam"}, 'is for solver "lm"'),
        ({}, {"alpha": "evidence", "solver": "lbfgs"}, 'is for solver "lm"'),
        ({"loss": "huber"}, {"alpha": "evidence"}, 'is for the loss "squared_error"'),
        ({}, {"alpha": "evidence", "resume": "nothing"}, "goes without resume"),
        ({}, {"alpha": "evidence", "X_val": X, "y_val": Y}, "goes without X_val"),
    ],
    ids=str,
)
def test_refused(made, given, message):
    net = Network([4, 3, 1], "tanh", random_state=0, **made)
    before = net.params_.copy()
    with pytest.raises(ValueError, match=message):
        net.fit(X, Y, **{"solver": "lm", **given})
    np.testing.assert_array_equal(net.params_, before)
    with pytest.raises(ValueError, match="is for fit"):
        Network([4, 1], "tanh").partial_fit(X, Y, solver="lm", alpha="evidence")
    with pytest.raises(ValueError, match="return_std needs a fit"):
        net.predict(X, return_std=True)
    with pytest.raises(AttributeError, match="alphas needs a fit"):
        net.alphas_  # noqa: B018


@pytest.mark.parametrize("seed", [0, 1])
def test_a_plateau_is_not_the_end(seed):
    """The loss stays for dozens of steps before the function is found."""
    rng = np.random.RandomState(seed)
    x = rng.uniform(-2, 2, (200, 2))
    radius = np.hypot(x[:, :1], x[:, 1:])
    y = np.sin(4 * radius) + 0.05 * rng.randn(200, 1)
    net = fitted((2, 20, 1), x, y, max_iter=400)
    assert 0.0005 < net.noise_variance_ < 0.05
    assert np.mean((net.predict(x) - np.sin(4 * radius)) ** 2) < 0.05


def test_it_ends_at_the_highest_evidence():
    """On nearly linear data the alphas of two layers drift for ever, and the evidence falls."""
    rng = np.random.RandomState(0)
    x = rng.randn(150, 5)
    y = x @ rng.randn(5, 1) + 0.5 * rng.randn(150, 1)
    net = fitted((5, 5, 1), x, y, max_iter=1000)
    assert net.n_iter_ < 300
    evidences = [
        fitted((5, 5, 1), x, y, max_iter=n)._evidence["log_evidence"] for n in range(10, 90, 10)
    ]
    assert net._evidence["log_evidence"] > max(evidences) - 1.0
