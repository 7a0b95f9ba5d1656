"""Callbacks: when they are called, what they see and may do, and those that come with fastnn."""

import builtins
import io
import pickle
import threading
import types
import weakref

import numpy as np
import pytest
from sklearn.datasets import make_circles

from fastnn import Network, callbacks
from fastnn.callbacks import Callback, Listeners, ProgressBar, Recorder, ValidationLoss
from fastnn.catalog import losses
from fastnn.training.run import TrainingRun

X, y = make_circles(100, factor=0.5, noise=0.05, random_state=0)
TRAINING = [
    {"batch_size": 100, "solver": "sgd", "learning_rate_init": 0.5, "momentum": 0.9},
    {"batch_size": 30, "solver": "adam", "learning_rate_init": 0.01},
]


def network(**options):
    options = {"loss": "binary_log_loss", "random_state": 0, **options}
    return Network([2, 6, 1], "tanh", **options)


class Log(Callback):
    """Keeps a list of its calls."""

    def __init__(self, every=1, log=None, name=""):
        self.every, self.log, self.name = every, [] if log is None else log, name

    def begin(self, net, X, y, max_iter):
        self.log.append(("begin", self.name, X.shape, y.shape, max_iter, net.n_iter_))

    def __call__(self, net):
        self.log.append(("call", self.name, net.n_iter_))

    def end(self, net, completed):
        self.log.append(("end" if completed else "fail", self.name, net.n_iter_))


@pytest.mark.parametrize("training", TRAINING, ids=["full", "batches"])
@pytest.mark.parametrize("every", [1, 7, 25, 1000])
def test_listening_changes_no_bit(training, every, dtype):
    quiet = network(dtype=dtype).fit(X, y, max_iter=50, **training)
    heard = []
    net = network(dtype=dtype)
    net.fit(
        X, y, max_iter=50, callback=lambda net: heard.append(net.n_iter_), callback_every=every,
        **training,
    )  # fmt: skip
    np.testing.assert_array_equal(net.params_, quiet.params_)
    assert net.loss_curve_ == quiet.loss_curve_
    assert heard == sorted({*range(every, 51, every), 50})
    # and the solver's state is the same
    for one in (net, quiet):
        one.partial_fit(X, y, **training)
    np.testing.assert_array_equal(net.params_, quiet.params_)


def test_order_of_events():
    log = []
    callbacks = [Log(3, log, "a"), Log(5, log, "b")]
    network().fit(X, y, max_iter=7, callback=callbacks)
    assert log == [
        ("begin", "a", (100, 2), (100, 1), 7, 0), ("begin", "b", (100, 2), (100, 1), 7, 0),
        ("call", "a", 3), ("call", "b", 5), ("call", "a", 6), ("call", "a", 7), ("call", "b", 7),
        ("end", "b", 7), ("end", "a", 7),
    ]  # fmt: skip


@pytest.mark.parametrize("training", TRAINING, ids=["full", "batches"])
def test_what_a_callback_sees_belongs_together(training):
    seen = []

    def look(net):
        seen.append((net.params_.copy(), list(net.loss_curve_), pickle.loads(pickle.dumps(net))))

    network().fit(X, y, max_iter=20, callback=look, callback_every=10, **training)
    half = network().fit(X, y, max_iter=10, **training)
    params, curve, copied = seen[0]
    np.testing.assert_array_equal(params, half.params_)
    assert curve == half.loss_curve_
    # a copy made in between goes on as the network itself
    for one in (copied, half):
        one.partial_fit(X, y, **training)
    np.testing.assert_array_equal(copied.params_, half.params_)


@pytest.mark.parametrize("training", TRAINING, ids=["full", "batches"])
def test_a_callback_may_put_other_parameters_there(training):
    nets = [network(), network()]
    nets[0].fit(X, y, max_iter=20, **training)
    # other arrays with the same numbers
    nets[1].fit(
        X, y, max_iter=20, callback=lambda net: net.__setstate__(net.__getstate__()),
        callback_every=3, **training,
    )  # fmt: skip
    np.testing.assert_array_equal(nets[0].params_, nets[1].params_)
    assert nets[0].loss_curve_ == nets[1].loss_curve_


@pytest.mark.parametrize(
    "other", [Network([2, 3, 1]), Network([2, 4, 1], "relu"), Network([2, 4, 1], dtype="float32")]
)
def test_a_callback_may_not_make_it_another_network(other):
    net = Network([2, 4, 1])
    with pytest.raises(ValueError, match="made this another network"):
        net.fit(X, y, max_iter=5, callback=lambda net: net.__setstate__(other.__getstate__()))
    np.testing.assert_array_equal(net.params_, other.params_)


@pytest.mark.parametrize("training", TRAINING, ids=["full", "batches"])
def test_ctrl_c_while_taking_notes(training, monkeypatch):
    """An interrupt between the compiled call and the history: both still agree."""
    epochs_done, came = TrainingRun.epochs_done, []

    def interrupted(run):
        if epochs_done.fget(run) == 12 and not came:
            came.append(True)
            raise KeyboardInterrupt
        return epochs_done.fget(run)

    monkeypatch.setattr(TrainingRun, "epochs_done", property(interrupted))
    net = network()
    with pytest.raises(KeyboardInterrupt):
        net.fit(X, y, max_iter=50, callback=lambda net: None, callback_every=4, **training)
    assert net.n_iter_ == 12
    twin = network().fit(X, y, max_iter=12, **training)
    for one in (net, twin):
        one.partial_fit(X, y, **training)
    np.testing.assert_array_equal(net.params_, twin.params_)
    assert net.loss_curve_ == twin.loss_curve_


@pytest.mark.parametrize("training", TRAINING, ids=["full", "batches"])
@pytest.mark.parametrize("every", [None, 5])
def test_data_is_let_go(training, every):
    mine = X.copy(), y.copy()
    watched = [weakref.ref(array) for array in mine]
    callback = None if every is None else lambda net: None
    net = network().fit(
        *mine, max_iter=20, callback=callback, callback_every=every or 1, **training
    )
    del mine
    assert [array() for array in watched] == [None, None]
    assert net.n_iter_ == 20


@pytest.mark.parametrize("training", TRAINING, ids=["full", "batches"])
@pytest.mark.parametrize("stop", [True, np.True_])
def test_true_ends_the_training(training, stop):
    log = []
    net = network()
    net.fit(
        X, y, max_iter=50, callback_every=4,
        callback=[lambda net: stop if net.n_iter_ >= 12 else None, Log(12, log)],
        **training,
    )  # fmt: skip
    half = network().fit(X, y, max_iter=12, **training)
    assert net.n_iter_ == 12
    np.testing.assert_array_equal(net.params_, half.params_)
    assert log[1:] == [
        ("call", "", 12),
        ("end", "", 12),
    ]  # called although another one stopped the training


@pytest.mark.parametrize("answer", [None, False, np.False_, 1, 0.5, "yes", [1], np.ones(2)])
def test_nothing_else_ends_it(answer):
    assert network().fit(X, y, max_iter=5, callback=lambda net: answer).n_iter_ == 5


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("training", TRAINING, ids=["full", "batches"])
def test_what_a_callback_raises_comes_through(training, error):
    log = []

    def fail(net):
        if net.n_iter_ == 8:
            raise error("no more")

    net = network()
    with pytest.raises(error, match="no more"):
        net.fit(X, y, max_iter=50, callback=[Log(100, log), fail], callback_every=4, **training)
    assert log[-1] == ("fail", "", 8)
    half = network().fit(X, y, max_iter=8, **training)
    np.testing.assert_array_equal(net.params_, half.params_)
    assert net.loss_curve_ == half.loss_curve_
    for one in (net, half):
        one.partial_fit(X, y, **training)
    np.testing.assert_array_equal(net.params_, half.params_)


def test_end_is_told_where_training_diverges():
    log = []
    net = Network([2, 4, 1], "relu", random_state=0)
    with pytest.raises(FloatingPointError):
        net.fit(
            X, y, solver="sgd", learning_rate_init=1e300, max_iter=9, callback=Log(1, log)
        )  # fmt: skip
    assert log[-1] == ("fail", "", net.n_iter_)
    assert np.isfinite(net.params_).all()


def test_parameters_may_be_changed_in_between():
    def reset(net):
        if net.n_iter_ == 5:
            for array in (*net.coefs_, *net.intercepts_):
                array[...] = 0

    net = network().fit(X, y, solver="sgd", max_iter=6, batch_size=100, callback=reset)
    assert net.loss_curve_[5] == pytest.approx(np.log(2), rel=1e-12)


@pytest.mark.parametrize("training", TRAINING, ids=["full", "batches"])
def test_a_learning_rate_takes_effect_from_the_next_epoch(training, dtype):
    training = {**training, "shuffle": False}  # fits shuffle on, partial_fit from the start
    seen = []

    def change(net):
        seen.append(net.learning_rate_)
        if net.n_iter_ == 4:
            net.learning_rate_ = 0.002
            assert net.learning_rate_ == 0.002

    net, twin, quiet = network(dtype=dtype), network(dtype=dtype), network(dtype=dtype)
    net.fit(X, y, max_iter=10, callback=change, **training)
    rate = training["learning_rate_init"]
    assert seen == [rate] * 4 + [0.002] * 6
    twin.fit(X, y, max_iter=4, **training)
    for _ in range(6):
        twin.partial_fit(X, y, **{**training, "learning_rate_init": 0.002})
    np.testing.assert_array_equal(net.params_, twin.params_)
    assert net.loss_curve_ == twin.loss_curve_
    quiet.fit(X, y, max_iter=10, **training)
    assert net.loss_curve_[:4] == quiet.loss_curve_[:4]
    assert (net.params_ != quiet.params_).any()
    # the next fit begins with its own
    seen.clear()
    net.fit(X, y, max_iter=1, callback=change, **training)
    assert seen == [rate]


def diverge(net):
    before = net.params_.copy()
    with pytest.raises(FloatingPointError):
        net.fit(X, y, solver="sgd", learning_rate_init=1e300, max_iter=9)
    net.params_ = before


@pytest.mark.parametrize(
    "train",
    [
        lambda net: net.partial_fit(X, y, learning_rate_init=0.5),
        lambda net: net.fit(X, y, max_iter=1, callback=lambda net: None),
        diverge,
        lambda net: net.__setstate__(net.__getstate__()),
    ],
    ids=["partial_fit", "fit", "diverged", "setstate"],
)
def test_a_learning_rate_stays_when_a_callback_trains_the_network(train):
    rates = []

    def train_and_look(net):
        train(net)
        rates.append(net.learning_rate_)
        net.learning_rate_ /= 2

    net = Network([2, 4, 1], "relu", random_state=0)
    net.fit(X, y, max_iter=3, learning_rate_init=0.02, callback=train_and_look)
    assert rates == [0.02, 0.01, 0.005]
    assert not hasattr(net, "learning_rate_")


def test_a_learning_rate_is_there_during_training_only():
    net = network().fit(X, y, max_iter=2)

    class Tries(Callback):
        def begin(self, net, X, y, max_iter):
            self.refused(net)

        def end(self, net, completed):
            self.refused(net)

        def refused(self, net):
            with pytest.raises(AttributeError, match="while a fit runs"):
                net.learning_rate_ = 0.1
            with pytest.raises(AttributeError, match="while a fit runs"):
                _ = net.learning_rate_

    Tries().refused(net)
    net.fit(X, y, max_iter=2, callback=Tries())
    with pytest.raises(RuntimeError, match="no more"):
        net.fit(X, y, callback=raise_)
    Tries().refused(net)
    assert not hasattr(pickle.loads(pickle.dumps(net)), "learning_rate_")


def raise_(net):
    raise RuntimeError("no more")


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (0, ValueError), (-0.1, ValueError), (np.nan, ValueError), (np.inf, ValueError),
        (1e-50, ValueError), (1e50, ValueError), ("0.1", TypeError), (True, TypeError),
        (None, TypeError), ([0.1], TypeError),
    ],
)  # fmt: skip
def test_a_bad_learning_rate_changes_nothing(value, error):
    """float32 has no 1e-50 and no 1e50."""

    def change(net):
        with pytest.raises(error, match="learning_rate"):
            net.learning_rate_ = value
        assert net.learning_rate_ == 0.01

    nets = [network(dtype="float32") for _ in range(2)]
    for net, callback in zip(nets, (change, None), strict=True):
        net.fit(X, y, max_iter=4, learning_rate_init=0.01, callback=callback)
    np.testing.assert_array_equal(nets[0].params_, nets[1].params_)


@pytest.mark.parametrize("name", ["learning_rate_init", "learning_rate"])
def test_other_names_of_the_learning_rate_are_refused(name):
    def change(net):
        with pytest.raises(AttributeError, match=f"no {name}; a callback may set learning_rate_"):
            setattr(net, name, 0.1)

    change(network())
    network().fit(X, y, max_iter=2, callback=change)


def test_a_refusal_at_the_beginning_changes_nothing():
    log = []

    class Refuses(Callback):
        def begin(self, net, X, y, max_iter):
            raise RuntimeError("not here")

    net = network().fit(X, y, max_iter=3, learning_rate_init=0.01)
    before = pickle.dumps(net)
    with pytest.raises(RuntimeError, match="not here"):
        net.fit(X, y, callback=[Log(1, log), Refuses(), Log(1, log)])
    assert pickle.dumps(net) == before
    assert [event[0] for event in log] == ["begin", "fail"]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"callback": 3}, TypeError, "callback must be a function"),
        ({"callback": "f"}, TypeError, "callback must be a function"),
        ({"callback": [print, None]}, TypeError, "callback must be a function"),
        ({"callback": Recorder}, TypeError, "callback must be a function"),
        ({"callback_every": 0}, ValueError, "callback_every must be a whole number >= 1"),
        ({"callback_every": 2.5}, TypeError, "callback_every must be a whole number >= 1"),
        ({"callback": Log(every=0)}, ValueError, "Log.every must be a whole number >= 1"),
    ],
    ids=["number", "string", "list", "class", "every-0", "every-2.5", "log-every-0"],
)
def test_bad_input_changes_nothing(options, error, message):
    net = network().fit(X, y, max_iter=3)
    before = pickle.dumps(net)
    with pytest.raises(error, match=message):
        net.fit(X, y, **options)
    assert pickle.dumps(net) == before


def test_an_interval_that_grows():
    class Doubles(Log):
        def __call__(self, net):
            super().__call__(net)
            self.every *= 2

    log = []
    network().fit(X, y, max_iter=20, callback=Doubles(1, log))
    assert [event[2] for event in log[1:-1]] == [1, 3, 7, 15, 20]


def test_without_callbacks_there_is_one_stop():
    assert list(Listeners(None).stops(None, 1000)) == [1000]


# ---- ProgressBar --------------------------------------------------------------------------------


@pytest.mark.parametrize("every", [None, 1, 30])
def test_progress_bar(every):
    file = io.StringIO()
    threads = threading.active_count()
    net = network().fit(X, y, max_iter=100, callback=ProgressBar(every=every, file=file, desc="n"))
    text = file.getvalue()
    assert "n:   0%" in text
    assert "100/100" in text
    assert f"loss {net.loss_:.4g}" in text
    assert threading.active_count() == threads


def test_progress_bar_of_a_fit_that_ends_early():
    file = io.StringIO()
    bar = ProgressBar(every=10, file=file)
    network().fit(X, y, max_iter=100, callback=[bar, lambda net: net.n_iter_ == 33])
    assert "33/100" in file.getvalue()
    network().fit(X, y, max_iter=50, callback=bar)  # and once more
    assert "50/50" in file.getvalue()


def test_progress_bar_looks_ten_times_a_second(monkeypatch):
    """By a clock on which an epoch takes a millisecond."""
    calls = [0]
    clock = types.SimpleNamespace(perf_counter=lambda: 1e-3 * calls[-1])
    monkeypatch.setattr(callbacks, "time", clock)

    class Counts(ProgressBar):
        def __call__(self, net):
            calls.append(net.n_iter_)
            return super().__call__(net)

    network().fit(X, y, max_iter=5000, batch_size=100, callback=Counts(file=io.StringIO()))
    assert calls[1:4] == [1, 3, 7]
    assert 5 * 5 <= len(calls) < 5 * 20


def test_progress_bar_without_tqdm(monkeypatch):
    found = builtins.__import__

    def no_tqdm(name, *rest):
        if name.partition(".")[0] == "tqdm":
            raise ImportError(name)
        return found(name, *rest)

    monkeypatch.setattr(builtins, "__import__", no_tqdm)
    with pytest.raises(ImportError, match='extra "plot"'):
        ProgressBar()


# ---- Recorder -----------------------------------------------------------------------------------


@pytest.mark.parametrize("training", TRAINING, ids=["full", "batches"])
def test_recorder(training):
    recorder = Recorder(every=10)
    start = network()
    net = network().fit(X, y, max_iter=25, callback=recorder, **training)
    assert recorder.epochs_ == [0, 10, 20, 25]
    assert len(recorder) == 4
    np.testing.assert_array_equal(recorder[0].params_, start.params_)
    np.testing.assert_array_equal(recorder[-1].params_, net.params_)
    half = network().fit(X, y, max_iter=10, **training)
    np.testing.assert_array_equal(recorder[1].params_, half.params_)
    assert recorder[1].loss_curve_ == half.loss_curve_
    np.testing.assert_array_equal(recorder.X_, X)
    np.testing.assert_array_equal(recorder.y_.ravel(), y)
    recorder[1].coefs_[0][...] = 7  # a copy
    np.testing.assert_array_equal(recorder[1].params_, half.params_)
    assert [n.n_iter_ for n in recorder] == [0, 10, 20, 25]
    seen = []
    look = lambda net: seen.append((recorder[-1].loss_curve_, list(net.loss_curve_)))  # noqa: E731
    network().fit(X, y, max_iter=20, callback=[recorder, look], callback_every=10, **training)
    assert all(ours == theirs for ours, theirs in seen)
    recorder = Recorder(every=10)
    with pytest.raises(IndexError):
        recorder[4]
    network().fit(X, y, max_iter=300, callback=recorder)
    assert recorder.epochs_ == [0, 10, 20, *range(30, 301, 10)]


def test_recorder_by_default_keeps_a_hundred():
    recorder = Recorder()
    network().fit(X, y, max_iter=1000, callback=recorder)
    assert recorder.epochs_ == list(range(0, 1001, 10))
    network().fit(X, y, max_iter=3, callback=recorder)
    assert recorder.epochs_ == [0, 1, 2, 3]


def test_recorder_of_a_fit_that_stops():
    recorder = Recorder(every=10)
    network().fit(X, y, max_iter=100, callback=[recorder, lambda net: net.n_iter_ == 33])
    assert recorder.epochs_ == [0, 10, 20, 30, 33]


# ---- ValidationLoss -----------------------------------------------------------------------------

X_VAL, Y_VAL = make_circles(60, factor=0.5, noise=0.05, random_state=1)


def test_validation_loss_looks():
    validation = ValidationLoss(X_VAL, Y_VAL, every=5)
    quiet = network().fit(X, y, max_iter=12)
    net = network().fit(X, y, max_iter=12, callback=validation)
    np.testing.assert_array_equal(net.params_, quiet.params_)
    assert validation.epochs_ == [5, 10, 12]
    assert validation.losses_[-1] == net.loss(X_VAL, Y_VAL)
    assert validation.best_loss_ == min(validation.losses_)


def test_validation_loss_stops_and_puts_the_best_back():
    rng = np.random.RandomState(0)
    X_few, y_few = rng.normal(size=(20, 2)), rng.randint(2, size=20)  # to learn by heart
    X_new, y_new = rng.normal(size=(20, 2)), rng.randint(2, size=20)
    validation = ValidationLoss(X_new, y_new, every=2, n_iter_no_change=5, tol=1e-3)
    recorder = Recorder(every=2)
    net = network()
    net.fit(
        X_few, y_few, learning_rate_init=0.05, max_iter=1000, callback=[recorder, validation]
    )  # fmt: skip
    assert net.n_iter_ < 1000
    seen = np.array(validation.losses_)
    best = int(seen.argmin())
    assert validation.best_loss_ == seen[best] == net.loss(X_new, y_new)
    np.testing.assert_array_equal(net.params_, recorder[best + 1].params_)
    np.testing.assert_array_equal(net.params_, recorder[-1].params_)
    # the solver starts afresh from there
    fresh = network()
    fresh.coefs_, fresh.intercepts_ = net.coefs_, net.intercepts_
    for one in (net, fresh):
        one.partial_fit(X_few, y_few)
    np.testing.assert_array_equal(net.params_, fresh.params_)
    # five looks in a row without a fall by tol; never before
    falls = [loss < seen[:i].min(initial=np.inf) - 1e-3 for i, loss in enumerate(seen)]
    assert not any(falls[-5:])
    assert all(any(falls[i : i + 5]) for i in range(len(falls) - 5))


STEADY = [1 - 0.01 * i for i in range(8)]


@pytest.mark.parametrize(
    ("values", "options", "looks"),
    [
        (STEADY, {"tol": 0.05, "n_iter_no_change": 3}, 4),
        (STEADY, {"tol": 0.005, "n_iter_no_change": 3}, 8),
        (STEADY, {"tol": 0.05}, 8),
        # a fall by exactly tol is none
        ([1, 0.75, 0.5, 0.25, 0], {"tol": 0.25, "n_iter_no_change": 2}, 3),
        ([1, 0.75, 0.5, 0.25, 0], {"tol": 0.2, "n_iter_no_change": 2}, 5),
        # a fall by more begins a new count; falls below tol lower what is compared with
        ([1, 0.98, 0.97, 0.5, 0.49, 0.48, 0.47, 0.3], {"tol": 0.05, "n_iter_no_change": 3}, 7),
        ([1, 0.98, 0.94, 0.92, 0.91], {"tol": 0.05, "n_iter_no_change": 3}, 4),
        ([1, 2, 0.999, 3, 3, 3], {"tol": 0, "n_iter_no_change": 3}, 6),
        ([1, 2, 2, 2], {"tol": 0, "n_iter_no_change": 2}, 3),
        # the default is 1e-4
        ([1, 1 - 5e-5, 1 - 1e-4, 1 - 2e-4], {"n_iter_no_change": 2}, 3),
        ([1, 1 - 2e-4, 1 - 4e-4, 1 - 6e-4], {"n_iter_no_change": 2}, 4),
    ],
)
def test_tol_of_the_validation_loss(values, options, looks, monkeypatch):
    coming = iter([0.0, *values])  # begin looks once
    monkeypatch.setattr(Network, "loss", lambda net, X, y: next(coming))
    validation = ValidationLoss(X_VAL, Y_VAL, **options)
    recorder = Recorder(every=1)
    net = network()
    net.fit(X, y, max_iter=len(values), callback=[recorder, validation])
    assert validation.losses_ == values[:looks]
    assert len(net.loss_curve_) == looks
    # the lowest loss is the best, however little lower it is
    best = int(np.argmin(values[:looks]))
    assert validation.best_loss_ == values[best]
    kept = best + 1 if "n_iter_no_change" in options else looks
    fresh = network()
    fresh.fit(X, y, max_iter=kept)
    np.testing.assert_array_equal(net.params_, fresh.params_)


# "given" needs functions
NAMED_LOSSES = [row for row in losses.LOSSES if row.name != "given"]


@pytest.mark.parametrize("row", NAMED_LOSSES, ids=lambda row: row.name)
def test_a_network_over_given_parameters(row):
    """As the estimators give it to callbacks, with losses that only they use."""
    n_outputs = 3 if row.rows_sum_to_one else 1
    params = np.random.RandomState(0).uniform(-1, 1, 3 * 4 + 5 * n_outputs)
    names = ["tanh", row.out_activation or "identity"]
    net = Network.from_params(params, [2, 4, n_outputs], names, loss=row.name)
    targets = np.eye(3)[y + (X[:, 0] > 0)] if n_outputs == 3 else y + row.open_low
    recorder, file = Recorder(every=2), io.StringIO()
    validation = ValidationLoss(X, targets, n_iter_no_change=2, tol=100)
    net.fit(X, targets, max_iter=9, callback=[recorder, ProgressBar(file=file), validation])
    assert validation.epochs_ == [1, 2, 3]
    assert validation.best_loss_ == net.loss(X, targets)
    assert recorder.epochs_ == [0, 2, 3]
    assert recorder[1].loss_function == row.name
    np.testing.assert_array_equal(recorder[-1].params_, params)
    assert f"loss {net.loss_:.4g}" in file.getvalue()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_validation_loss_puts_nothing_back_where_something_was_raised(error):
    def fail(net):
        if net.n_iter_ == 40:
            raise error

    net, half = network(), network()
    validation = ValidationLoss(-X_VAL, 1 - Y_VAL, n_iter_no_change=500)
    with pytest.raises(error):
        net.fit(X, y, max_iter=500, callback=[validation, fail])
    half.fit(X, y, max_iter=40)
    np.testing.assert_array_equal(net.params_, half.params_)
    assert net.loss_curve_ == half.loss_curve_


def test_training_in_a_callback():
    """The outer fit does not go on from the inner one's solver state, and its own is kept."""
    net, quiet = network(), network()

    def inner(net):
        if net.n_iter_ == 1:
            params = net.params_.copy()
            net.partial_fit(X, y)
            net.params_[:] = params

    net.fit(X, y, max_iter=10, callback=inner)
    quiet.fit(X, y, max_iter=10)
    assert net.n_iter_ == 11
    np.testing.assert_array_equal(net.params_, quiet.params_)
    for one in (net, quiet):
        one.partial_fit(X, y)
    np.testing.assert_array_equal(net.params_, quiet.params_)


def test_validation_loss_refuses_before_anything_changes():
    net = network().fit(X, y, max_iter=3)
    before = pickle.dumps(net)
    with pytest.raises(ValueError, match="X must have 2 columns"):
        net.fit(X, y, callback=ValidationLoss(np.ones((5, 3)), np.ones(5)))
    assert pickle.dumps(net) == before
    for options in ({"every": 0}, {"n_iter_no_change": 0}, {"tol": -1.0}):
        with pytest.raises(ValueError, match="must be"):
            ValidationLoss(X, y, **options)
