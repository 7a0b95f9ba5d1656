"""What fit takes besides a solver and its numbers: dropout, noise, clipping, an average."""

import pickle
import signal

import numpy as np
import pytest

from fastnn import Network

RNG = np.random.RandomState(0)
X = RNG.randn(120, 3)
Y = np.sin(X[:, :1]) + 0.1 * RNG.randn(120, 1)


def net_of(units=(3, 16, 8, 1), **options):
    return Network(units, "tanh", random_state=0, **options)


REGULARIZED = {"dropout": 0.2, "input_noise": 0.1, "clip_norm": 0.5, "solver": "adamw"}


@pytest.mark.parametrize("options", [
    {"dropout": 0.3}, {"dropout": [0.3, 0.0]}, {"dropout": (0.0, 0.5)}, {"input_noise": 0.2},
    {"clip_norm": 0.01, "solver": "sgd"}, {"solver": "nadam"}, {"solver": "adamw"},
    {"solver": "rmsprop"}, {"ema": 0.9}, {"solver": "adamw", "weight_decay": 0.5},
    {"solver": "adamw", "weight_decay": 0.5, "decay_intercepts": True},
    {"solver": "rmsprop", "rho": 0.5},
])  # fmt: skip
def test_every_option_counts_and_repeats(options, every_build):
    ends = [net_of().fit(X, Y, max_iter=4, batch_size=16, **o).params_ for o in (options,) * 2]
    np.testing.assert_array_equal(*ends)
    without = {k: v for k, v in options.items() if k == "solver" and len(options) > 1}
    plain = net_of().fit(X, Y, max_iter=4, batch_size=16, **without).params_
    assert not np.array_equal(ends[0], plain)


def test_dropout_of_nothing_draws_nothing():
    a = net_of().fit(X, Y, max_iter=3, batch_size=16, dropout=[0, 0.0])
    b = net_of().fit(X, Y, max_iter=3, batch_size=16)
    np.testing.assert_array_equal(a.params_, b.params_)


@pytest.mark.parametrize("options", [REGULARIZED, {**REGULARIZED, "ema": 0.8}])
def test_going_on_equals_one_go(options, every_build, dtype):
    """After a fit and any number of calls of partial_fit, through a pickle, too."""
    options = {**options, "shuffle": False, "batch_size": 16}
    whole = net_of(dtype=dtype).fit(X, Y, max_iter=7, **options)
    for first in (1, 4):
        parts = net_of(dtype=dtype).fit(X, Y, max_iter=first, **options)
        for i in range(first, 7):
            parts.partial_fit(X, Y, **options)
            if i % 2:
                parts = pickle.loads(pickle.dumps(parts))
        np.testing.assert_array_equal(parts.params_, whole.params_)
    stopped = net_of(dtype=dtype)
    stopped.fit(X, Y, max_iter=9, callback=lambda net: net.n_iter_ == 3, **options)
    for _ in range(4):
        stopped.partial_fit(X, Y, **options)
    np.testing.assert_array_equal(stopped.params_, whole.params_)


def test_listeners_change_no_bit_and_see_the_average(every_build):
    options = {"ema": 0.9, "batch_size": 16, "max_iter": 6}
    alone, seen = net_of().fit(X, Y, **options), []
    heard = net_of().fit(X, Y, callback=lambda net: seen.append(net.params_.copy()), **options)
    np.testing.assert_array_equal(alone.params_, heard.params_)
    np.testing.assert_array_equal(seen[-1], heard.params_)
    shorter = net_of().fit(X, Y, **{**options, "max_iter": 4})
    np.testing.assert_array_equal(seen[3], shorter.params_)


def test_the_average_is_that_of_the_parameters():
    """Of those after every step, which a fit without an average passes through, too."""
    path, n = [], len(X)
    one_a_step = {"batch_size": n, "max_iter": 12}
    net = net_of()
    average = net.params_.copy()
    net.fit(X, Y, callback=lambda net: path.append(net.params_.copy()), **one_a_step)
    for t, params in enumerate(path, 1):
        average += (1 - min(0.7, t / (t + 9))) * (params - average)
    averaged = net_of().fit(X, Y, ema=0.7, **one_a_step)
    np.testing.assert_allclose(averaged.params_, average, rtol=1e-12)


def test_an_average_that_was_edited_begins_anew():
    net = net_of().fit(X, Y, ema=0.9, max_iter=2)
    net.coefs_[0][:] = 1.0
    net.partial_fit(X, Y, ema=0.9)
    assert np.abs(net.coefs_[0] - 1).max() < 0.01


@pytest.mark.parametrize("seed", range(32))
def test_rprop_learns_the_rings(seed):
    """32 of 32 starts within 150 steps; the batch is all rows by itself."""
    from sklearn.datasets import make_circles

    rings, ring = make_circles(n_samples=500, factor=0.5, noise=0.05, random_state=0)
    net = Network([2, 4, 8, 1], "tanh", loss="binary_log_loss", random_state=seed)
    net.fit(rings, ring, solver="rprop", learning_rate_init=0.01, max_iter=150)
    assert ((net.predict(rings)[:, 0] > 0.5) == ring).mean() > 0.99


@pytest.mark.parametrize(("options", "error", "message"), [
    ({"solver": "rprop", "batch_size": 16}, ValueError, "\"rprop\" needs all 120 rows"),
    ({"solver": "rprop", "clip_norm": 1.0}, ValueError, "clip_norm is not for solver \"rprop\""),
    ({"dropout": 1.0}, ValueError, r"dropout must be a finite number in \[0, 1\), got 1.0"),
    ({"dropout": -0.1}, ValueError, "dropout must be"),
    ({"dropout": "0.1"}, TypeError, "dropout must be"),
    ({"dropout": [0.1]}, ValueError, "dropout must be one number, or 2, one for each hidden"),
    ({"dropout": [0.1, np.nan]}, ValueError, r"dropout\[1\] must be"),
    ({"ema": 1.0}, ValueError, "ema must be"),
    ({"ema": True}, TypeError, "ema must be"),
    ({"clip_norm": -1}, ValueError, "clip_norm must be"),
    ({"weight_decay": np.inf}, ValueError, "weight_decay must be"),
    ({"input_noise": -1}, ValueError, "input_noise must be"),
    ({"decay_intercepts": 1}, TypeError, "decay_intercepts must be"),
    ({"weight_decay": 0.1}, ValueError, "weight_decay is for solver \"adamw\", and the solver"),
    ({"solver": "rprop", "learning_rate": "cosine"}, ValueError, "\"rprop\" takes no schedule"),
    ({"dropout": np.array(1.5)}, ValueError, "dropout must be"),
])  # fmt: skip
def test_bad_options(options, error, message):
    net = net_of()
    before = net.params_.copy()
    for method in (net.fit, net.partial_fit):
        with pytest.raises(error, match=message):
            method(X, Y, **options)
    np.testing.assert_array_equal(net.params_, before)


def test_divergence_with_an_average_leaves_the_parameters_themselves(every_build):
    """The average of the epochs before is gone: it has gone on."""
    options = {"max_iter": 6, "shuffle": False, "batch_size": 40, "solver": "sgd"}

    def rates(t):
        return np.where(t < 0.5, 0.1, 1e200)

    net = net_of((3, 4, 1))
    with pytest.raises(FloatingPointError, match=r"in epoch 4.* before that epoch, not their av"):
        net.fit(X, Y, ema=0.9, learning_rate=rates, learning_rate_init=1.0, **options)
    plain = net_of((3, 4, 1)).fit(X, Y, learning_rate_init=0.1, **{**options, "max_iter": 3})
    np.testing.assert_array_equal(net.params_, plain.params_)
    net.fit(X, Y, ema=0.9, max_iter=2)


def test_an_average_is_shown_when_the_weights_of_a_batch_are_0(every_build):
    options = {"ema": 0.9, "shuffle": False, "batch_size": 40}
    net, weights = net_of(), np.repeat([1.0, 1.0, 0.0], 40)
    with pytest.raises(ZeroDivisionError):
        net.fit(X, Y, sample_weight=weights, **options)
    whole = net_of().fit(X[:80], Y[:80], max_iter=1, **options)
    np.testing.assert_array_equal(net.params_, whole.params_)


@pytest.mark.parametrize("own", [False, True])
def test_an_interrupt_shows_the_average_and_keeps_it(own, every_build):
    """While a call computes, and after the last."""
    loss = (lambda a, y: (a - y) ** 2 / 2, lambda a, y: a - y) if own else "squared_error"
    for _ in range(10):
        net = net_of((3, 40, 1), loss=loss)
        begin = net.params_.copy()

        def interrupt(number, frame):
            raise KeyboardInterrupt

        before = signal.signal(signal.SIGALRM, interrupt)
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        try:
            with pytest.raises(KeyboardInterrupt):
                net.fit(X, Y, ema=0.9, batch_size=120, max_iter=10**7)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        state = net._state
        if state is None or state.shown is None:  # it came before the first call
            np.testing.assert_array_equal(net.params_, begin)
            continue
        np.testing.assert_array_equal(net.params_, state.shown)
        assert not np.array_equal(state.raw, state.shown)


def test_switching_the_average_keeps_the_moments():
    def steps(*decays):
        net = net_of()
        for ema in decays:
            net.partial_fit(X, Y, ema=ema)
        assert net._state.n_steps == len(decays)
        return net

    plain = steps(0.0, 0.0)
    np.testing.assert_array_equal(steps(0.0, 0.5)._state.raw, plain.params_)
    np.testing.assert_array_equal(steps(0.5, 0.9)._state.raw, plain.params_)
    off = steps(0.5)  # goes on from what it shows
    moments = net_of().partial_fit(X, Y)
    moments.params_[:] = off.params_
    off.partial_fit(X, Y)
    np.testing.assert_array_equal(off.params_, moments.partial_fit(X, Y).params_)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradients_whose_squares_overflow_are_clipped(dtype, every_build):
    size = 1e12 if dtype == np.float32 else 1e120
    net = Network([3, 4, 1], "relu", out_activation="identity", random_state=0, dtype=dtype)
    before = net.copy()
    net.fit(X * size, Y * size, solver="sgd", clip_norm=0.1, learning_rate_init=1, max_iter=1)
    moved = np.linalg.norm((net.params_ - before.params_).astype(float))
    np.testing.assert_allclose(moved, 0.1, rtol=1e-5)
    _, coef_grads, _ = before.loss_and_grad(X * size, Y * size)
    direction = coef_grads[0].ravel() @ (before.coefs_[0] - net.coefs_[0]).ravel()
    assert direction > 0


def test_pickles_of_versions_without_validation(rng):
    state = net_of().__getstate__()
    for name in ("validation_scores_", "validation_loss_curve_", "best_iteration_", "_sorts"):
        del state[name]
    state["_loss"] = "squared_error"
    net = Network.__new__(Network)
    net.__setstate__(state)
    net.fit(X, Y, max_iter=1)
    assert net.validation_scores_ is None
