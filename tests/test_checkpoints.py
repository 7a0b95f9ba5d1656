"""Fits that go on from a file end as if they had never been interrupted, to the last bit."""

import copy
import os
import random
import signal
import subprocess
import sys
import threading
import time

import allocations
import numpy as np
import pytest
import scipy.sparse
from conftest import PYTHON, THOROUGH
from estimator_cases import needs_weights

import fastnn
from fastnn import Network, callbacks, schedules
from fastnn.callbacks import Checkpoint, ValidationLoss

pytest.importorskip("safetensors")
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

rng = np.random.RandomState(0)
X, y = rng.rand(50, 3), rng.rand(50)
EPOCHS = 10

FITS = {
    "adam": {}, "sgd": {"solver": "sgd", "momentum": 0.5}, "rprop": {"solver": "rprop"},
    "lm": {"solver": "lm"}, "lbfgs": {"solver": "lbfgs"},
    "average": {"ema": 0.9}, "dropout": {"dropout": 0.3, "input_noise": 0.1},
    "schedule": {"learning_rate": schedules.OneCycle(), "solver": "adamw", "weight_decay": 0.01},
    "all": {"solver": "nadam", "ema": 0.8, "dropout": 0.2, "clip_norm": 0.5,
            "learning_rate": "cosine"},
    "function": {"learning_rate": lambda t: 1 - t / 2, "solver": "rmsprop"},
    "whole": {"batch_size": 50}, "stored order": {"shuffle": False},
    "weights": {"sample_weight": np.arange(1.0, 51)},
    "validation": {"X_val": X[:10], "y_val": y[:10]},
    "early stopping": {"X_val": X[:10], "y_val": y[:10], "n_iter_no_change": 2, "tol": 0.0},
    "scorer": {"X_val": X[:10], "y_val": y[:10], "scoring": "r2", "n_iter_no_change": 3},
}  # fmt: skip


class Killed(Exception):
    """As if the process ended here."""


def new(seed=0, **options):
    return Network([3, 5, 1], "tanh", random_state=seed, **options)


def options_of(how):
    given = FITS[how]
    return (
        given if given.get("solver") in ("rprop", "lm", "lbfgs") else {"batch_size": 16, **given}
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "fit.fastnn"


def killed_after(epoch, net, path, every=1, more=(), **options):
    """A fit whose process ends after so many epochs; its checkpoint is in the file."""

    def kill(net):
        if net.n_iter_ == epoch:
            raise Killed

    options = {"max_iter": EPOCHS, **options}
    try:
        net.fit(X, y, callback=[Checkpoint(path, every=every), *more, kill], **options)
    except Killed:
        return True
    return False


@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize("how", FITS)
def test_the_same_bits_after_every_epoch(path, how, dtype):
    options = options_of(how)
    want = allocations.content(new(dtype=dtype).fit(X, y, max_iter=EPOCHS, **options))
    for epoch in range(1, EPOCHS + 1) if THOROUGH else (1, 4, 9, 10):
        killed = killed_after(epoch, new(dtype=dtype), path, **options)
        one = new(7, dtype=dtype, n_jobs=epoch % 2 + 1)
        one.fit(X, y, max_iter=EPOCHS, resume=path, **options)
        one.n_jobs = None
        assert allocations.content(one) == want, (epoch, killed)


def test_the_file_is_a_model_as_any(path):
    killed_after(4, new(), path, **options_of("early stopping"))
    net = fastnn.load(path)
    assert net.n_iter_ == 4
    assert net.fit_state() is None
    net.partial_fit(X, y)


def test_again_and_again(path):
    """A fit that is killed every second epoch."""
    options = options_of("all")
    want = allocations.content(new().fit(X, y, max_iter=EPOCHS, **options))
    killed_after(2, new(), path, **options)
    for epoch in (4, 6, 8):
        assert killed_after(epoch, new(), path, resume=path, **options)
    assert allocations.content(new().fit(X, y, max_iter=EPOCHS, resume=path, **options)) == want


@pytest.mark.parametrize("every", [1, 2, 3, 7])
def test_callbacks_go_on(path, every):
    """Which were called, how often, and what they had; a callback changes the learning rate."""
    heard = []

    class Heard(callbacks.Callback):
        every = 2

        def __call__(self, net):
            heard.append(net.n_iter_)
            net.learning_rate_ *= 0.9

    def fit(net, **more):
        stops = ValidationLoss(X[:9], y[:9], n_iter_no_change=100)
        more = {"batch_size": 16, "max_iter": EPOCHS, **more}
        net.fit(X, y, **more, callback=[Checkpoint(path, every=every), Heard(), stops, *extra])
        return net, stops

    extra = ()
    want, stops = fit(new())
    all_heard, heard = heard, []

    def kill(net):
        if net.n_iter_ == 8:
            raise Killed

    extra = (kill,)
    with pytest.raises(Killed):
        fit(new())
    last = fastnn.load(path).n_iter_
    assert last == 8 // every * every
    extra, heard = (), [epoch for epoch in heard if epoch < last]
    got, again = fit(new(), resume=path)
    assert allocations.content(got) == allocations.content(want)
    assert heard == all_heard
    assert (again.losses_, again.epochs_) == (stops.losses_, stops.epochs_)


def test_a_fit_that_a_callback_had_ended(path):
    """The file was written between the answer and the end."""
    want = new().fit(X, y, max_iter=EPOCHS, callback=lambda net: net.n_iter_ == 5)
    ends = lambda net: net.n_iter_ == 5  # noqa: E731
    new().fit(X, y, max_iter=EPOCHS, callback=[ends, Checkpoint(path)])
    again = new().fit(X, y, max_iter=EPOCHS, resume=path)
    assert again.n_iter_ == 5
    assert allocations.content(again) == allocations.content(want)


def test_more_epochs(path):
    want = new().fit(X, y, max_iter=12, batch_size=16)
    new().fit(X, y, max_iter=7, batch_size=16, callback=Checkpoint(path))
    again = new().fit(X, y, max_iter=12, batch_size=16, resume=path)
    assert allocations.content(again) == allocations.content(want)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"batch_size": 8}, "batch_size=16, this one 8"),
        ({"solver": "sgd"}, "solver='adam', this one 'sgd'"),
        ({"alpha": 0.1}, "alpha=0.0, this one 0.1"),
        ({"learning_rate": "step"}, "learning_rate="),
        ({"shuffle": False}, "shuffle=True, this one False"),
        ({"dropout": 0.5}, "dropout="),
        ({"max_iter": 2}, "has done 4 epochs, and max_iter is 2"),
        ({"X": X + 1e-9}, "other data"),
        ({"y": y[::-1]}, "other data"),
        ({"sample_weight": np.ones(50)}, "other data"),
        ({"X_val": X, "y_val": y}, "other data"),
        ({"X_val": X, "y_val": y, "n_iter_no_change": 2}, "n_iter_no_change=None, this one 2"),
        ({"net": Network([3, 4, 1], "tanh")}, "this is Network"),
        ({"net": Network([3, 5, 1], "tanh", dtype="f4")}, "this is Network"),
        ({"net": Network([3, 5, 1], "tanh", loss="huber")}, "this is Network"),
    ],
)
def test_another_fit_is_refused(path, change, words):
    killed_after(4, new(), path, batch_size=16)
    change = dict(change)
    net = change.pop("net", None) or new().fit(X, y, max_iter=2)
    rows, targets = change.pop("X", X), change.pop("y", y)
    before = allocations.content(net)
    options = {"batch_size": 16, "max_iter": EPOCHS, **change}
    with pytest.raises(ValueError, match=words) as caught:
        net.fit(rows, targets, resume=path, **options)
    assert "\n" not in str(caught.value)
    assert allocations.content(net) == before


def test_what_is_no_checkpoint(path):
    net = new().fit(X, y, max_iter=3)
    before = allocations.content(net)
    with pytest.raises(FileNotFoundError):
        net.fit(X, y, resume=path)
    net.save(path)
    with pytest.raises(ValueError, match="not saved during a fit"):
        net.fit(X, y, resume=path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="damaged"):
        net.fit(X, y, resume=path)
    assert allocations.content(net) == before


def test_a_callback_that_refuses_leaves_the_network(path):
    killed_after(4, new(), path, batch_size=16)
    net = new().fit(X, y, max_iter=3)
    before = allocations.content(net)

    class Refuses(callbacks.Callback):
        def begin(self, net, X, y, max_iter):
            assert net.n_iter_ == 4  # it sees the network that goes on
            raise Killed

    with pytest.raises(Killed):
        net.fit(X, y, batch_size=16, max_iter=EPOCHS, resume=path, callback=Refuses())
    assert allocations.content(net) == before


# ---- estimators ---------------------------------------------------------------------------------

LABELS = np.array(["a", "b", "c"])[np.arange(50) % 3]
OF_ESTIMATORS = {
    "adam": {}, "sgd": {"solver": "sgd", "momentum": 0.5},
    "adaptive": {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.5, "n_iter_no_change": 1,
                 "learning_rate_init": 0.1},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling"},
    "early stopping": {"early_stopping": True, "validation_fraction": 0.3, "n_iter_no_change": 2},
    "more": {"solver": "nadam", "ema": 0.8, "dropout": 0.2, "clip_norm": 0.5,
             "learning_rate": "cosine"},
    "rprop": {"solver": "rprop", "batch_size": "auto"},
    "stored order": {"shuffle": False}, "stops": {"tol": 1.0, "n_iter_no_change": 3},
    "random state": {"random_state": np.random.RandomState(3)},
    "scorer": {"early_stopping": True, "scoring": "neg_log_loss", "ema": 0.5},
}  # fmt: skip


def estimator(how, cls=fastnn.MLPClassifier):
    options = {"hidden_layer_sizes": (5,), "batch_size": 16, "max_iter": EPOCHS, "random_state": 0}
    return cls(**copy.deepcopy({**options, **OF_ESTIMATORS[how]}))


def left_by(mlp):
    """All that a fit left, apart from the caller's own random state."""
    state = allocations.content(mlp)
    del state["random_state"]
    return state


class Kill:
    def __init__(self, epoch):
        self.epoch = epoch

    def __call__(self, net):
        if net.n_iter_ == self.epoch:
            raise Killed


@pytest.mark.parametrize("callback", [False, True], ids=["alone", "heard"])
@pytest.mark.parametrize("how", OF_ESTIMATORS)
def test_estimators_go_on_to_the_same_bits(path, how, callback):
    heard = (lambda net: None,) if callback else ()
    want = estimator(how)
    want = left_by(want.set_callbacks(*heard).fit(X, LABELS).set_callbacks())
    for epoch in range(1, EPOCHS + 1) if THOROUGH else (1, 3, 6, 10):
        one = estimator(how).set_callbacks(Checkpoint(path), Kill(epoch))
        try:
            one.fit(X, LABELS)
        except Killed:
            pass
        one = estimator(how).set_callbacks(*heard)
        one.random_state = one.random_state if type(one.random_state) is int else None
        one.fit(X, LABELS, resume=path).set_callbacks()
        assert left_by(one) == want, epoch


@pytest.mark.parametrize(
    "how", [*(pytest.param(how, marks=needs_weights) for how in ("adam", "more")), "scorer"]
)
def test_estimators_with_a_validation_set_and_weights(path, how):
    if how == "scorer":
        given = {"X_val": X[:15], "y_val": LABELS[:15]}
        options = {"early_stopping": False}
    else:
        given, options = {"sample_weight": np.arange(1.0, 51)}, {}
    rows = scipy.sparse.csr_array(np.where(X > 0.3, X, 0))
    want = left_by(estimator(how).set_params(**options).fit(rows, LABELS, **given))
    one = estimator(how).set_params(**options).set_callbacks(Checkpoint(path, every=2), Kill(5))
    with pytest.raises(Killed):
        one.fit(rows, LABELS, **given)
    again = estimator(how).set_params(**options).fit(rows, LABELS, **given, resume=path)
    assert again.n_iter_ > 4
    assert left_by(again) == want
    with pytest.raises(ValueError, match="other data"):
        estimator(how).set_params(**options).fit(rows[::-1], LABELS, **given, resume=path)


def test_a_regressor_whose_callbacks_change_things(path):
    def change(net):
        net.learning_rate_ *= 0.8
        one.alpha = 0.01 * net.n_iter_
        if net.n_iter_ == 3:
            one.learning_rate_init = 0.02

    def fit(*callbacks, **more):
        nonlocal one
        one = fastnn.MLPRegressor(hidden_layer_sizes=[5], batch_size=16, max_iter=EPOCHS,
                                  random_state=0)  # fmt: skip
        return one.set_callbacks(*callbacks).fit(X, y, **more)

    one = None
    want = left_by(fit(change).set_callbacks())
    for order in ([change, Checkpoint(path)], [Checkpoint(path), change]):
        for epoch in (1, 3, 7):
            with pytest.raises(Killed):
                fit(*order, Kill(epoch))
            assert left_by(fit(change, resume=path).set_callbacks()) == want, epoch


def test_another_fit_of_an_estimator_is_refused(path):
    with pytest.raises(Killed):
        estimator("adam").set_callbacks(Checkpoint(path), Kill(4)).fit(X, LABELS)
    for change, words in {
        "alpha": (0.5, "alpha=0.0001, this one 0.5"), "solver": ("sgd", "solver"),
        "hidden_layer_sizes": ((4,), "for .3, 5, 3. units|hidden_layer_sizes"),
        "max_iter": (3, "max_iter is 3"),
    }.items():  # fmt: skip
        value, expected = words
        one = estimator("adam").fit(X, LABELS)
        before = left_by(one.set_params(**{change: value}))
        with pytest.raises(ValueError, match=expected):
            one.fit(X, LABELS, resume=path)
        assert left_by(one) == before
    with pytest.raises(ValueError, match="not for solver 'lbfgs'"):
        estimator("adam").set_params(solver="lbfgs").fit(X, LABELS, resume=path)
    with pytest.raises(ValueError, match="the file holds MLPClassifier"):
        estimator("adam", fastnn.MLPRegressor).fit(X, y, resume=path)
    with pytest.raises(ValueError, match="the file holds"):
        new().fit(X, y, resume=path)


def test_lbfgs_saves_a_model_that_no_fit_goes_on_from(path):
    one = estimator("adam").set_params(solver="lbfgs").set_callbacks(Checkpoint(path))
    one.fit(X, LABELS)
    loaded = fastnn.load(path)
    assert (loaded.predict_proba(X) == one.predict_proba(X)).all()
    with pytest.raises(ValueError, match="not saved during a fit"):
        estimator("adam").fit(X, LABELS, resume=path)


# ---- when things go wrong -----------------------------------------------------------------------


def test_a_folder_that_cannot_be_written_refuses_the_fit(tmp_path):
    net = new()
    with pytest.raises(FileNotFoundError, match="no such folder"):
        net.fit(X, y, callback=Checkpoint(tmp_path / "missing" / "x"))
    with pytest.raises(IsADirectoryError):
        net.fit(X, y, callback=Checkpoint(tmp_path))
    with pytest.raises(ValueError, match="every"):
        Checkpoint(tmp_path / "x", every=0)
    assert net.n_iter_ == 0


def test_without_room_the_last_checkpoint_stays(path, monkeypatch):
    net, n = new(), []

    def full(*args):
        n.append(1)
        if len(n) > 3:
            raise OSError(28, "No space left on device")
        return fsync(*args)

    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        net.fit(X, y, max_iter=EPOCHS, batch_size=16, callback=Checkpoint(path))
    monkeypatch.undo()
    assert os.listdir(path.parent) == [path.name]
    want = new().fit(X, y, max_iter=EPOCHS, batch_size=16)
    again = new().fit(X, y, max_iter=EPOCHS, batch_size=16, resume=path)
    assert allocations.content(again) == allocations.content(want)


def test_two_fits_with_one_file(path):
    """Each time it holds one of both, whole."""
    nets = [new(), new(dtype="f4")]
    fits = [
        threading.Thread(target=net.fit, args=(X, y), kwargs={
            "max_iter": 40, "batch_size": 16, "callback": Checkpoint(path)})
        for net in nets
    ]  # fmt: skip
    for fit in fits:
        fit.start()
    while any(fit.is_alive() for fit in fits):
        if path.exists():
            assert 1 <= fastnn.load(path).n_iter_ <= 40
    for fit in fits:
        fit.join()
    last = fastnn.load(path)
    assert last.n_iter_ == 40
    assert last.params_.tobytes() in {net.params_.tobytes() for net in nets}


def test_a_clock_that_jumps(path):
    killed_after(4, new(), path, batch_size=16)
    for moment in (0, 2**33):
        os.utime(path, (moment, moment))
        again = new().fit(X, y, max_iter=EPOCHS, batch_size=16, resume=path)
        want = new().fit(X, y, max_iter=EPOCHS, batch_size=16)
        assert allocations.content(again) == allocations.content(want)


PROGRAM = """
import sys, numpy as np, fastnn
from fastnn import Network
from fastnn.callbacks import Checkpoint
path, resume, kind = sys.argv[1], sys.argv[2] or None, sys.argv[3]
rng = np.random.RandomState(0)
X, y = rng.rand(400, 3), rng.rand(400)
print("ready", flush=True)
if kind == "Network":
    one = Network([3, 20, 1], "tanh", random_state=0)
    one.fit(X, y, batch_size=16, max_iter=60, dropout=0.2, ema=0.9, learning_rate="cosine",
            X_val=X[:50], y_val=y[:50], n_iter_no_change=50, callback=Checkpoint(path),
            resume=resume)
else:
    one = fastnn.MLPClassifier((20,), batch_size=16, max_iter=60, early_stopping=True, ema=0.9,
                               n_iter_no_change=100, solver="nadam", dropout=0.2, random_state=0)
    one.set_callbacks(Checkpoint(path)).fit(X, y > 0.5, resume=resume)
    one.params_ = np.concatenate([c.ravel() for c in (*one.coefs_, *one.intercepts_)])
# in one write, or half of it may be read where output is not buffered
sys.stdout.write(
    f"{one.params_.tobytes().hex()} {float(one.loss_curve_[-1]).hex()} {len(one.loss_curve_)}\\n")
"""


def run(path, resume, kind, after=None):
    """The program's line at its end, or nothing; with after, it is killed so soon."""
    process = subprocess.Popen(
        [*PYTHON, "-P", "-W", "ignore", "-c", PROGRAM, str(path), str(resume or ""), kind],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "ready\n", process.stderr.read()
    if after is not None:
        time.sleep(after)
        process.send_signal(signal.SIGKILL)
    out, errors = process.communicate()
    assert after is not None or process.returncode == 0, errors
    return out if out.endswith("\n") else ""


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
@pytest.mark.parametrize("kind", ["Network", "MLPClassifier"])
def test_killed_at_any_moment(path, kind):
    """Each time it goes on from what is there, until it is done."""
    want, delays = run(path, None, kind), random.Random(0)
    assert want
    kills = finished = 0
    path.unlink()
    while kills < (200 if THOROUGH else 2):
        got = run(path, path if path.exists() else None, kind, delays.uniform(0, 0.1))
        kills += not got
        if path.exists():
            fastnn.load(path)
        if got:
            assert got == want
            finished += 1
            path.unlink()
    got = run(path, path if path.exists() else None, kind)
    assert got == want
    print(f"{kills} kills, {finished + 1} fits went on to the end, the same bits")
    fastnn.load(path).save(path)  # which removes what killed writers left
    assert os.listdir(path.parent) == [path.name]


class Own(Network):
    pass


@pytest.mark.parametrize("how", ["subclass", "own loss"])
def test_a_model_that_no_file_holds_is_refused_at_once(how, path):
    loss = (lambda a, y: (a - y) ** 2 / 2, lambda a, y: a - y)
    net = Own([3, 5, 1], "tanh") if how == "subclass" else Network([3, 5, 1], "tanh", loss=loss)
    before = net.params_.copy()
    with pytest.raises(TypeError, match=r"subclass|loss of one's own"):
        net.fit(X, y, max_iter=30, callback=Checkpoint(path, every=10))
    np.testing.assert_array_equal(net.params_, before)
