"""Many networks in one call: the bits of single fits, refusals, interrupts."""

import pickle
import signal
import threading
import time

import numpy as np
import pytest
from conftest import UNCHECKED_ONLY

from fastnn import Network, fit_many

RNG = np.random.RandomState(0)
X = RNG.randn(120, 3)
Y = np.column_stack([np.sin(X[:, 0]), X[:, 1] * X[:, 2]])


def networks(n=6):
    """Of several shapes, types and activations, with two outputs."""
    kinds = [((3, 4, 2), "tanh", np.float64), ((3, 2), "relu", np.float32),
             ((3, 20, 5, 2), "silu", np.float32), ((3, 7, 2), "sigmoid", np.float64)]  # fmt: skip
    return [
        Network(units, activation, out_activation="identity", dtype=dtype, random_state=i)
        for i, (units, activation, dtype) in zip(range(n), 9 * kinds, strict=False)
    ]


def state(net):
    """All that a pickle has, but for the number of threads."""
    return pickle.dumps({k: v for k, v in net.__getstate__().items() if k != "_n_jobs"})


def same(nets, others):
    for one, other in zip(nets, others, strict=True):
        np.testing.assert_array_equal(one.params_, other.params_)
        assert one.loss_curve_ == other.loss_curve_
        assert one.validation_scores_ == other.validation_scores_
        assert state(one) == state(other)


@pytest.mark.parametrize("n_jobs", [1, 2, 4])
@pytest.mark.parametrize(
    "options",
    [
        {"max_iter": 7, "batch_size": 16},
        {"max_iter": [1, 9, 3, 2, 5, 4], "solver": "sgd", "momentum": [0.9, 0, 0.5, 0.9, 0.9, 0]},
        {"max_iter": 4, "solver": ["lm", "adam", "rprop", "lbfgs", "adamw", "nadam"]},
        {"max_iter": 5, "batch_size": 20, "dropout": 0.2, "learning_rate": "cosine"},
    ],
    ids=["adam", "sgd", "solvers", "dropout"],
)
def test_bits_of_single_fits(options, n_jobs):
    nets, alone = networks(), networks()
    if "dropout" in options:
        nets, alone = ([net for net in some if len(net.layer_units) > 2] for some in (nets, alone))
    drawn = np.random.RandomState(1)
    rows = [drawn.randint(120, size=drawn.randint(20, 200)) for _ in nets]
    rows[2], weights = None, drawn.rand(120)
    found = fit_many(nets, X, Y, rows=rows, sample_weight=weights, n_jobs=n_jobs, **options)
    assert found == [None] * len(nets)
    for i, net in enumerate(alone):
        own = {k: v[i] if isinstance(v, list) else v for k, v in options.items()}
        chosen = slice(None) if rows[i] is None else rows[i]
        net.fit(X[chosen], Y[chosen], sample_weight=weights[chosen], **own)
    same(nets, alone)


def test_validation_rows():
    folds = [np.flatnonzero(np.arange(120) % 6 == i) for i in range(6)]
    rows = [np.setdiff1d(np.arange(120), fold) for fold in folds]
    options = {"max_iter": 60, "batch_size": 10, "learning_rate_init": 0.05}
    given = {**options, "n_iter_no_change": 3, "scoring": [None, "r2"] * 3}
    nets, alone = networks(), networks()
    fit_many(nets, X, Y, rows=rows, rows_val=folds, n_jobs=2, **given)
    for i, net in enumerate(alone):
        net.fit(X[rows[i]], Y[rows[i]], X_val=X[folds[i]], y_val=Y[folds[i]],
                n_iter_no_change=3, scoring=given["scoring"][i], **options)  # fmt: skip
    same(nets, alone)
    assert any(len(net.validation_scores_) < 60 for net in nets)


def test_other_losses_and_one_target():
    y = np.sin(X[:, 0])

    def made():
        return [
            Network([3, 5, 1], "tanh", random_state=0),
            Network([3, 5, 3], "tanh", loss="quantile", quantile=[0.1, 0.5, 0.9], random_state=1),
            Network([3, 5, 1], "tanh", loss="huber", delta=0.1, dtype="float32", random_state=2),
            Network([3, 5, 1], loss=(lambda a, y: (a - y) ** 4, lambda a, y: 4 * (a - y) ** 3),
                    out_activation="identity", random_state=3),
        ]  # fmt: skip

    nets, alone = made(), made()
    fit_many(nets, X, y, max_iter=3, n_jobs=2)
    for net, other in zip(nets, alone, strict=True):
        np.testing.assert_array_equal(other.fit(X, y, max_iter=3).params_, net.params_)


def test_nets_that_diverge():
    def made():
        return networks(4), {"max_iter": 30, "solver": "sgd", "batch_size": 10,
                             "learning_rate_init": [0.01, 1e30, 0.01, 1e200]}  # fmt: skip

    nets, options = made()
    found = fit_many(nets, X, Y, errors="keep", **options)
    assert [type(one) for one in found] == [
        type(None), FloatingPointError, type(None), FloatingPointError,
    ]  # fmt: skip
    assert all(np.isfinite(net.params_).all() for net in nets)
    others, _ = made()
    with pytest.raises(
        FloatingPointError, match=r"2 of 4 networks \(1, 3\) diverged.*Network 1: "
    ):
        fit_many(others, X, Y, n_jobs=2, **options)
    same(nets, others)
    assert len(nets[0].loss_curve_) == 30


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_progress_and_an_end_before_the_last(n_jobs):
    heard, caller = [], threading.get_ident()

    def note(n_done):
        assert threading.get_ident() == caller
        heard.append(n_done)
        return n_done >= 3

    nets = networks(20)
    before = [net.params_.copy() for net in nets]
    fit_many(nets, X, Y, callback=note, max_iter=2, n_jobs=n_jobs)
    changed = sum((a != net.params_).any() for a, net in zip(before, nets, strict=True))
    assert heard == sorted(set(heard))
    assert 3 <= heard[-1] == changed
    assert heard == [1, 2, 3] or n_jobs > 1
    assert all(net._n_jobs is None for net in nets)
    pytest.importorskip("tqdm")
    fit_many(networks(3), X, Y, max_iter=2, progress=True)
    assert fit_many([], X, Y) == []


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda n: {"nets": [*n, n[1]]}, ValueError, r"nets\[1\] and nets\[4\] are the same"),
        (lambda n: {"nets": [*n, 3]}, TypeError, r"nets\[4\] must be a Network, got 3"),
        (lambda n: {"nets": n[0]}, TypeError, "nets must be a sequence"),
        (lambda n: {"nets": [*n, Network([4, 2])]}, ValueError, r"nets\[4\]: X must have 4"),
        (lambda n: {"nets": [*n, Network([3, 1])]}, ValueError, r"nets\[4\]: y "),
        (lambda n: {"rows": [[0, 1], [], [2], [3]]}, ValueError, r"nets\[1\]: rows is empty"),
        (lambda n: {"rows": [[0], np.empty(0, int), [2], [3]]}, ValueError, "rows is empty"),
        (lambda n: {"rows": [[0], [1], [120], [3]]}, ValueError, "rows must be from 0 to 119"),
        (lambda n: {"rows": [[0], [1], [-1], [3]]}, ValueError, "got -1 to -1"),
        (lambda n: {"rows": [[0.5]] * 4}, TypeError, "whole numbers"),
        (lambda n: {"rows": [[0]] * 3}, ValueError, "rows has 3 values for 4 networks"),
        (lambda n: {"rows_val": 7}, TypeError, "rows_val must be a sequence"),
        (lambda n: {"max_iter": [1, 2]}, ValueError, "max_iter has 2 values for 4 networks"),
        (lambda n: {"max_iter": [1, 2, 0, 1]}, ValueError, r"nets\[2\]: max_iter"),
        (lambda n: {"solver": ["adam", "sgd", "adam", "addam"]}, ValueError, r"nets\[3\]: .*adam"),
        (lambda n: {"max_iters": 3}, TypeError, "did you mean 'max_iter'"),
        (lambda n: {"n_init": 3}, TypeError, "unexpected keyword argument 'n_init'"),
        (lambda n: {"n_iter_no_change": 3}, ValueError, "needs a validation set"),
        (lambda n: {"scoring": "best", "rows_val": [[0]] * 4}, ValueError, r"nets\[0\]: .*best"),
        (lambda n: {"errors": "ignore"}, ValueError, "errors"),
        (lambda n: {"callback": 3}, TypeError, "callback must be a function"),
        (lambda n: {"X": np.where(X > 2, np.nan, X)}, ValueError, r"nets\[0\]: X"),
        (lambda n: {"sample_weight": -np.ones(120)}, ValueError, r"nets\[0\]: sample_weight"),
        (lambda n: {"n_jobs": 0}, ValueError, "n_jobs"),
    ],
)  # fmt: skip
def test_refused_before_any_changes(change, error, message):
    nets = networks(4)
    before = [state(net) for net in nets]
    with pytest.raises(error, match=message):
        fit_many(**{"nets": nets, "X": X, "y": Y, "max_iter": 3, **change(nets)})
    assert [state(net) for net in nets] == before


def test_a_random_state_that_two_share():
    shared = np.random.RandomState(0)
    nets = [Network([3, 2], random_state=shared) for _ in range(2)]
    with pytest.raises(ValueError, match=r"nets\[0\] and nets\[1\] share a random state"):
        fit_many(nets, X, Y)


@UNCHECKED_ONLY
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_ctrl_c(n_jobs):
    """Long fits end soon; each network is usable, and no thread is left."""
    x = np.random.RandomState(0).randn(3000, 3)
    y = np.column_stack([np.sin(x[:, 0]), x[:, 1]])
    nets = [Network([3, 60, 60, 2], "tanh", random_state=i) for i in range(6)]
    pressed = []

    def interrupt(*_):
        pressed.append(time.perf_counter())
        raise KeyboardInterrupt

    before, old = threading.active_count(), signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(KeyboardInterrupt):
            fit_many(nets, x, y, max_iter=3000, n_jobs=n_jobs)
        took = time.perf_counter() - pressed[0]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert took < 2.0  # 0.2 on an idle machine
    assert threading.active_count() == before
    for net in nets:
        assert np.isfinite(net.params_).all()
        assert len(net.loss_curve_) < 3000
        net.partial_fit(x, y)
        assert net._n_jobs is None


def test_weights_that_are_zero_for_the_rows_of_one():
    nets, weights = networks(2), np.r_[0.0, np.ones(119)]
    before = [state(net) for net in nets]
    with pytest.raises(ValueError, match=r"nets\[1\]: sample_weight is 0 for every row"):
        fit_many(nets, X, Y, rows=[[0, 1], [0, 0]], sample_weight=weights)
    assert [state(net) for net in nets] == before
