"""find_learning_rate: what it runs and suggests, what it leaves alone, what it refuses."""

import itertools
import pickle
import warnings

import numpy as np
import pytest
from estimator_cases import needs_weights
from plotted import drawn
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier as TheirClassifier
from sklearn.utils import compute_sample_weight

from fastnn import MLPClassifier, MLPRegressor, Network, find_learning_rate, rate_finder
from fastnn.plotting import LearningRateDisplay

DIGITS, LABELS = load_digits(return_X_y=True)
DIGITS, ONE_HOT = DIGITS / 16, np.eye(10)[LABELS]
rng = np.random.RandomState(0)
X = rng.uniform(-1, 1, (90, 3))
y = X[:, 0] * X[:, 1]


def digits_net(**options):
    return Network([64, 30, 10], "relu", loss="log_loss", random_state=0, **options)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_good_rates_are_suggested(solver, dtype):
    net = digits_net(dtype=dtype)
    found = find_learning_rate(net, DIGITS, ONE_HOT, solver=solver)
    assert len(found.learning_rates) == len(found.losses) == len(found.batch_losses)
    assert found.learning_rates[0] == 1e-7
    assert found.valley < found.suggestion < found.learning_rates[-1]

    def loss_with(rate):
        trained = net.copy().fit(
            DIGITS, ONE_HOT, solver=solver, learning_rate_init=rate, max_iter=10
        )
        return trained.loss_

    # a tenth of it learns less in so many epochs, and a hundredth still less
    losses = [loss_with(found.suggestion * share) for share in (1, 0.1, 0.01)]
    assert losses == sorted(losses)
    assert losses[0] < losses[2] / 5


def test_rates_grow_by_the_same_factor_until_the_loss_explodes():
    found = find_learning_rate(digits_net(), DIGITS, ONE_HOT, low=1e-4, high=100, n_steps=60)
    want = np.geomspace(1e-4, 100, 60)[: len(found.losses)]
    np.testing.assert_array_equal(found.learning_rates, want)
    assert len(found.losses) < 60
    lowest = np.minimum.accumulate(found.losses)
    assert (found.losses[:-1] <= 4 * lowest[:-1]).all()
    assert found.losses[-1] > 4 * lowest[-1]
    whole = find_learning_rate(digits_net(), DIGITS, ONE_HOT, high=1e-3, n_steps=30)
    assert len(whole.losses) == 30
    assert whole.learning_rates[-1] == pytest.approx(1e-3)


def test_losses_are_those_of_batches():
    """They are what partial_fit sees with these rates, and their average forgets by 0.9."""
    net, order = digits_net(), np.random.RandomState(7).permutation(len(DIGITS))
    found = find_learning_rate(
        net, DIGITS, ONE_HOT, n_steps=10, batch_size=100, random_state=7, solver="sgd",
        momentum=0.5, alpha=0.1,
    )  # fmt: skip
    same, losses = net.copy(), []
    for i, rate in enumerate(found.learning_rates):
        rows = order[100 * i : 100 * (i + 1)]
        same.partial_fit(
            DIGITS[rows], ONE_HOT[rows], batch_size=100, shuffle=False, solver="sgd",
            momentum=0.5, alpha=0.1, learning_rate_init=rate,
        )  # fmt: skip
        losses.append(same.loss_)
    np.testing.assert_array_equal(found.batch_losses, losses)
    for i in range(10):
        weights = 0.9 ** np.arange(i, -1, -1)
        assert found.losses[i] == pytest.approx(np.average(losses[: i + 1], weights=weights))


def test_few_rows_are_used_again_in_another_order():
    seen = []

    class Watched(Network):
        def partial_fit(self, X, y, **options):
            seen.append(X[:, 0].tolist())
            return super().partial_fit(X, y, **options)

    net = Watched([3, 2, 1], random_state=0, out_activation="identity")
    find_learning_rate(net, X, y, n_steps=9, batch_size=40)
    assert [len(rows) for rows in seen] == [40] * 9
    for first, second in zip(seen[:8:2], seen[1:8:2], strict=True):
        assert len({*first, *second}) == 80
    assert seen[0] != seen[2]


def test_the_network_stays_as_it_is():
    for random_state in (0, None, np.random.RandomState(3), np.random.default_rng(3)):
        net = Network([3, 4, 1], "tanh", random_state=random_state)
        net.partial_fit(X, y, batch_size=20)
        before, loss_curve = pickle.dumps(net), list(net.loss_curve_)
        anybody = np.random.get_state()[1].copy()
        found = find_learning_rate(net, X, y)
        assert pickle.dumps(net) == before
        assert net.loss_curve_ == loss_curve
        np.testing.assert_array_equal(np.random.get_state()[1], anybody)
        again = find_learning_rate(net, X, y)
        np.testing.assert_array_equal(found.losses, again.losses)
        other = find_learning_rate(net, X, y, random_state=1)
        assert not np.array_equal(found.losses, other.losses)


# ---- estimators ---------------------------------------------------------------------------------


@pytest.mark.parametrize("fitted", [False, True])
@pytest.mark.parametrize("random_state", [0, None, "RandomState", "Generator"])
def test_an_estimator_stays_as_it_is(fitted, random_state):
    random_state = {
        "RandomState": np.random.RandomState(0), "Generator": np.random.default_rng(0),
    }.get(random_state, random_state)  # fmt: skip
    model = MLPClassifier((20,), random_state=random_state, max_iter=3)
    if fitted:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(DIGITS, LABELS)
    before, anybody = pickle.dumps(model), np.random.get_state()[1].copy()
    found = find_learning_rate(model, DIGITS, LABELS)
    assert pickle.dumps(model) == before
    np.testing.assert_array_equal(np.random.get_state()[1], anybody)
    assert found.valley < found.suggestion < 1


def test_an_estimators_options_are_its_own():
    model = MLPRegressor(
        hidden_layer_sizes=(5,),
        activation="tanh",
        solver="sgd",
        alpha=0.3,
        batch_size=30,
        random_state=0,
    )
    found = find_learning_rate(model, X, y)
    net = Network([3, 5, 1], "tanh", random_state=0)
    own = {"solver": "sgd", "alpha": 0.3, "momentum": 0.9, "batch_size": 30}
    np.testing.assert_allclose(found.losses, find_learning_rate(net, X, y, **own).losses)
    other = find_learning_rate(model, X, y, alpha=0.0)
    assert other.losses[0] < found.losses[0]


@needs_weights
def test_weights_count():
    X = np.random.RandomState(0).randn(100, 3)
    labels = (X[:, 0] > 1).astype(int)
    mlp = MLPClassifier((5,), random_state=0, max_iter=1)
    weights = compute_sample_weight("balanced", labels)
    plain, *weighted = (
        find_learning_rate(one, X, labels, n_steps=20, **options).losses
        for one, options in (
            (mlp, {}), (mlp, {"sample_weight": weights}),
            (clone(mlp).set_params(class_weight="balanced"), {}),
        )
    )  # fmt: skip
    np.testing.assert_array_equal(*weighted)
    assert not np.array_equal(plain, weighted[0])
    with pytest.raises(ValueError, match="sample_weight must have shape"):
        find_learning_rate(mlp, X, labels, sample_weight=weights[:5])


def test_estimators_of_all_kinds():
    binary = MLPClassifier((4,), random_state=0).set_params(early_stopping=True)
    assert find_learning_rate(binary, X, np.where(y > 0, "a", "b")).losses[0] < 2
    found = find_learning_rate(
        MLPRegressor(hidden_layer_sizes=(4,), random_state=0), X, np.column_stack([y, y])
    )
    dense = find_learning_rate(MLPRegressor(hidden_layer_sizes=(4,), random_state=0), X, y)
    for kind in (sparse.csr_array, sparse.csc_matrix):
        got = find_learning_rate(MLPRegressor(hidden_layer_sizes=(4,), random_state=0), kind(X), y)
        np.testing.assert_allclose(got.losses, dense.losses)
    assert np.isfinite(found.losses).all()
    model = MLPRegressor(hidden_layer_sizes=(4,), random_state=0, warm_start=True, tol=0.1).fit(
        X, y
    )
    assert find_learning_rate(model, X, y).losses[0] < dense.losses[0]


# ---- what it says -------------------------------------------------------------------------------


def test_suggestions_of_given_curves():
    losses = np.concatenate([np.full(30, 2.0), np.linspace(2, 1, 20), np.linspace(1, 9, 10)])
    rates = np.geomspace(1e-5, 1, 60)
    found = rate_finder.LearningRateSearch(rates, losses, losses)
    assert rates[30] < found.suggestion < rates[50]
    assert rates[29] < found.valley < rates[50]
    assert found.valley == rates[39]
    flat = rate_finder.LearningRateSearch(rates, np.ones(60), np.ones(60))
    assert np.isnan(flat.suggestion)
    assert np.isnan(flat.valley)
    for n in (2, 3, 5):
        rising = rate_finder.LearningRateSearch(rates[:n], losses[-n:], losses[-n:])
        assert np.isnan(rising.suggestion)
    assert repr(found).startswith("LearningRateSearch(1e-05 to 1, suggestion=0.0")


def test_valley_is_the_longest_descent():
    for _ in range(20):
        losses = rng.randint(0, 8, 8).astype(float)
        # by trying all selections: the longest one, of those the one that ends first
        best = max(
            (
                (len(chosen), -chosen[-1])
                for n in range(1, 9)
                for chosen in itertools.combinations(range(8), n)
                if (np.diff(losses[list(chosen)]) < 0).all()
            ),
        )
        want = None if best[0] == 1 else -best[1] - best[0] // 2
        assert rate_finder.valley(losses) == want


def test_losses_below_zero_do_not_explode_at_once(monkeypatch):
    class Below(Network):
        @property
        def loss_(self):
            return -5.0 - len(self.loss_curve_) / 100

    found = find_learning_rate(Below([3, 2, 1], random_state=0, out_activation="identity"), X, y)
    assert len(found.losses) == 100


@pytest.mark.usefixtures("without_windows")
def test_plot(look):
    found = find_learning_rate(digits_net(), DIGITS, ONE_HOT)
    display = drawn(found.plot())
    np.testing.assert_array_equal(display.line_.get_xdata(), found.learning_rates)
    np.testing.assert_array_equal(display.line_.get_ydata(), found.losses)
    assert display.ax_.get_xscale() == "log"
    assert display.ax_.get_xlabel() == "learning rate"
    assert display.ax_.get_ylabel() == "smoothed loss"
    assert display.suggestion_.get_xdata() == [found.suggestion]
    assert display.valley_.get_xdata() == [found.valley]
    for mark in (display.suggestion_, display.valley_):
        at = np.flatnonzero(found.learning_rates == mark.get_xdata()[0])
        np.testing.assert_allclose(mark.get_ydata(), found.losses[at])
    legend = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert legend == [f"steepest: {found.suggestion:.2g}", f"valley: {found.valley:.2g}"]
    again = found.plot(display.ax_, color="C3")
    assert again.ax_ is display.ax_
    assert again.line_.get_color() == "C3"


@pytest.mark.usefixtures("without_windows")
def test_plot_without_suggestions():
    display = drawn(LearningRateDisplay(learning_rates=[0.1, 1.0], losses=[1.0, 2.0]).plot())
    assert display.suggestion_ is None
    assert display.valley_ is None
    assert display.ax_.get_legend() is None


# ---- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"low": 0}, ValueError, "low must be a finite number"),
        ({"low": "1"}, TypeError, "low must be a finite number"),
        ({"high": np.inf}, ValueError, "high must be a finite number"),
        ({"low": 1, "high": 0.1}, ValueError, "low must be below high, got 1 and 0.1"),
        ({"solver": "rprop"}, ValueError, '"rprop" has no learning rate to find'),
        ({"n_steps": 1}, ValueError, "n_steps must be a whole number >= 2"),
        ({"n_steps": 2.5}, TypeError, "n_steps"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"batch_size": "all"}, ValueError, "batch_size"),
        ({"random_state": "x"}, TypeError, "random_state"),
        ({"learning_rate_init": 0.1}, TypeError, "takes no learning_rate_init: low and high"),
        ({"learning_rate": "cosine"}, TypeError, "takes no learning_rate: low and high"),
        ({"solver": "newton"}, ValueError, "solver must be one of"),
        ({"momentum": 2}, ValueError, "momentum must be a finite number"),
        ({"optimizer": "adam"}, TypeError, "did you mean 'solver'"),
        ({"low": 1e-320}, ValueError, "learning_rate_init"),
    ],
)
def test_bad_options(options, error, message):
    with pytest.raises(error, match=message):
        find_learning_rate(Network([3, 2, 1], random_state=0), X, abs(y), **options)


def test_bad_models_and_data():
    net = Network([3, 2, 1], random_state=0)
    for other in (None, 3, Network, MLPClassifier):
        with pytest.raises(TypeError, match=r"net must be a fastnn\.Network or"):
            find_learning_rate(other, X, y)
    with pytest.raises(TypeError, match="scikit-learn's MLPClassifier; use fastnn's"):
        find_learning_rate(TheirClassifier(), X, y)
    with pytest.raises(ValueError, match="has no learning rate"):
        find_learning_rate(MLPRegressor(solver="lbfgs"), X, y)
    with pytest.raises(ValueError, match="X must have 3 columns"):
        find_learning_rate(net, X[:, :2], y)
    with pytest.raises(ValueError, match=r"y\[0, 0\] = -1.0 is out of reach"):
        find_learning_rate(net, X, np.full(90, -1.0))
    with pytest.raises(ValueError, match="Found input variables"):
        find_learning_rate(MLPRegressor(), X, y[1:])


def test_divergence_at_once_is_refused():
    net = Network([3, 20, 1], "relu", dtype=np.float32, random_state=0)
    with pytest.raises(ValueError, match="diverged in the first step, at a learning rate of 1e"):
        find_learning_rate(net, X * 1e30, y, solver="sgd", low=1e30, high=1e32)
