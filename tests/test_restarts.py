"""Several starts of one fit: the best is kept, the same for any number of threads."""

import pickle
import signal
import threading
import time

import numpy as np
import pytest
from conftest import UNCHECKED_ONLY

import fastnn
from fastnn import Network, threads
from fastnn.training import second_order

RNG = np.random.RandomState(0)
X, Y = RNG.randn(60, 3), RNG.rand(60, 2)


def new(seed=0, **options):
    return Network([3, 5, 2], "tanh", random_state=seed, **options)


def test_labels_are_smoothed_once():
    y = np.eye(2)[RNG.randint(2, size=60)]
    options = {"solver": "lm", "max_iter": 3, "label_smoothing": 0.2}
    net = Network([3, 5, 2], "tanh", loss="log_loss", random_state=0)
    alone = net.copy().fit(X, y, **options)
    assert net.fit(X, y, n_init=2, **options).loss_curves_[0] == alone.loss_curve_


@pytest.mark.parametrize("solver", ["adam", "lm", "lbfgs"])
def test_the_best_of_them(solver):
    options = {"solver": solver, "max_iter": 20}
    net = new().fit(X, Y, n_init=5, **options)
    assert len(net.loss_curves_) == 5
    assert net.loss_curve_ in net.loss_curves_
    assert net.loss(X, Y) <= min(curve[-1] for curve in net.loss_curves_) + 1e-3
    assert len({curve[0] for curve in net.loss_curves_}) == 5  # from different parameters
    alone = new().fit(X, Y, **options)
    np.testing.assert_allclose(net.loss_curves_[0][0], alone.loss_curve_[0], rtol=1e-15)
    assert alone.loss_curves_ is None
    assert net.partial_fit(X, Y, solver=solver).n_iter_ == len(net.loss_curve_)
    assert net.fit(X, Y, **options).loss_curves_ is None


def test_starts_are_drawn_as_the_network_was():
    net = new(init="he", last_layer_scale=0).fit(X, Y, n_init=4, max_iter=1, solver="lbfgs")
    first = new(init="he", last_layer_scale=0)
    # outputs of 0 whatever the hidden layer
    expected = first.loss(X, Y)
    assert [curve[0] for curve in net.loss_curves_] == pytest.approx([expected] * 4, rel=1e-14)


@UNCHECKED_ONLY
@pytest.mark.parametrize("solver", ["sgd", "lm"])
def test_threads_change_no_bit(monkeypatch, solver):
    monkeypatch.setattr("fastnn.threads._available", lambda: 4)
    results = []
    for n_jobs in (1, 2, 4):
        net = new(n_jobs=n_jobs).fit(X, Y, n_init=6, max_iter=9, solver=solver)
        results.append((net.params_.tobytes(), net.loss_curves_))
        assert net.n_jobs == n_jobs
    assert results[0] == results[1] == results[2]


def test_a_validation_set_chooses():
    net = new().fit(
        X[:30], Y[:30], X_val=X[30:], y_val=Y[30:], n_init=5, solver="lm", n_iter_no_change=5
    )
    best = max(net.validation_scores_)
    assert best == pytest.approx(-net.loss(X[30:], Y[30:]))
    assert len(net.loss_curves_) == 5
    alone = new().fit(X[:30], Y[:30], X_val=X[30:], y_val=Y[30:], solver="lm", n_iter_no_change=5)
    assert best >= max(alone.validation_scores_)


def test_starts_that_diverge_do_not_count():
    """With this rate most of twelve do, not all."""
    options = {"solver": "sgd", "learning_rate_init": 1.2, "max_iter": 1000, "batch_size": 60}
    net = new().fit(X, Y, n_init=12, **options)
    lengths = [len(curve) for curve in net.loss_curves_]
    assert min(lengths) < 1000 == len(net.loss_curve_)
    assert net.loss_ < 1.1 * min(curve[-1] for curve in net.loss_curves_ if len(curve) == 1000)
    before = net.params_.copy()
    with pytest.raises(FloatingPointError):
        net.fit(X, Y, n_init=3, **{**options, "learning_rate_init": 100.0})
    np.testing.assert_array_equal(net.params_, before)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"n_init": 0}, ValueError, "n_init"),
        ({"n_init": 2.5}, TypeError, "n_init"),
        ({"n_init": 2, "callback": print}, ValueError, "goes without callback"),
        ({"n_init": 2, "resume": "nothing"}, ValueError, "goes without resume"),
        ({"n_init": 2, "scoring": "r2"}, ValueError, "needs a validation set"),
        ({"n_init": 2, "sample_weight": [1.0]}, ValueError, "sample_weight"),
        ({"n_init": 2, "max_iter": 0}, ValueError, "max_iter"),
    ],
    ids=str,
)
def test_refused(options, error, message):
    net = new()
    before, state = net.params_.copy(), net._random_state.get_state()[1].copy()
    with pytest.raises(error, match=message):
        net.fit(X, Y, **options)
    np.testing.assert_array_equal(net.params_, before)
    np.testing.assert_array_equal(net._random_state.get_state()[1], state)
    assert net.loss_curve_ == []


def test_pickles_and_files(tmp_path):
    net = new(init="he").fit(X, Y, n_init=3, max_iter=5, solver="lm")
    others = [pickle.loads(pickle.dumps(net)), net.copy()]
    pytest.importorskip("safetensors")
    net.save(tmp_path / "net.fastnn")
    others.append(fastnn.load(tmp_path / "net.fastnn"))
    for other in others:
        assert other.loss_curves_ == net.loss_curves_
        again = other.fit(X, Y, n_init=2, max_iter=2)
        expected = net.copy().fit(X, Y, n_init=2, max_iter=2)
        np.testing.assert_array_equal(again.params_, expected.params_)


@UNCHECKED_ONLY
def test_ctrl_c_ends_all_of_them(monkeypatch):
    monkeypatch.setattr("fastnn.threads._available", lambda: 2)
    x = np.random.RandomState(0).randn(2000, 10)
    net = Network([10, 20, 1], "tanh", random_state=0, n_jobs=2)
    before, count = net.params_.copy(), threading.active_count()

    def interrupt(*_):
        raise KeyboardInterrupt

    old = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        begin = time.perf_counter()
        with pytest.raises(KeyboardInterrupt):
            net.fit(x, x[:, :1], solver="lm", n_init=4, max_iter=100_000)
        assert time.perf_counter() - begin < 30  # where all of them would take hours
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    np.testing.assert_array_equal(net.params_, before)
    assert threading.active_count() == count


def test_starts_share_the_memory_of_lm(monkeypatch):
    """No more at once than fit into what it may take."""
    counts, side_by_side = [], threads.side_by_side

    def counted(n_threads, *others):
        counts.append(n_threads)
        return side_by_side(n_threads, *others)

    monkeypatch.setattr(threads, "side_by_side", counted)
    net = new(n_jobs=4)
    size = second_order._bytes_of(net._units, 60, False)
    for given in (2 << 30, size, size // 2 + 1, size // 4 + 1):
        monkeypatch.setattr(second_order, "MOST_BYTES", given)
        net.fit(X, Y, solver="lm", max_iter=2, n_init=4)
    most = threads.resolve(4)
    assert counts == [most, most, min(most, 2), 1]
