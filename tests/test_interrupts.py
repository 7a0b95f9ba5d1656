"""Ctrl-C between two lines: at every line of Python that a call runs, it is interrupted once.

So is it where a function begins, and by what another signal's handler may raise. Afterwards
parameters, curves and the solver's state must belong together, and the object must go on. Of long
calls every seventh line is tried; with FASTNN_THOROUGH=1 all are.
"""

import gc
import linecache
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from conftest import THOROUGH
from sklearn.exceptions import NotFittedError

import fastnn
from fastnn import MLPClassifier, MLPRegressor, Network, threads, tutorial

PACKAGE = str(Path(fastnn.__file__).parent)
RNG = np.random.RandomState(0)
X, Y = RNG.rand(40, 3), RNG.rand(40)
LABELS = (Y > 0.5).astype(int)
STRIDE = 1 if THOROUGH else 7
pytestmark = pytest.mark.filterwarnings("ignore")


class Alarm(Exception):
    """What a handler of SIGALRM may raise."""


def interrupted(line, call, error=KeyboardInterrupt):
    """Whether a call had so many lines in fastnn; it is interrupted at that one.

    Python comes back to the line of a `with` to leave it, but looks for signals before that alone.
    """
    count = 0

    def trace(frame, event, arg):
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        last = 0

        def of_frame(frame, event, arg):
            nonlocal count, last
            if event not in ("line", "call"):
                return of_frame
            before, last = last, frame.f_lineno
            if last < before:
                text = linecache.getline(frame.f_code.co_filename, last)
                if text.lstrip().startswith("with "):
                    return of_frame
            count += 1
            if count == line:
                sys.settrace(None)
                raise error
            return of_frame

        return of_frame(frame, event, arg)

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    except error:  # scikit-learn's classes end their fits with a warning instead
        return True
    finally:
        sys.settrace(before)
    return count >= line


def at_every_line(new, call, check, stride=STRIDE, error=KeyboardInterrupt):
    new()
    line, n_threads = 1, threading.active_count()
    while True:
        one = new()
        if not interrupted(line, lambda one=one: call(one), error):
            break
        check(one, line)
        assert threading.active_count() == n_threads, line
        del one  # an end that was interrupted at its beginning lasts as long as the fit
        assert not threads._at_work or (gc.collect() and not threads._at_work), line
        line += stride
    assert line > 20


# ---- Network ------------------------------------------------------------------------------------

OWN = (lambda a, y: (a - y) ** 2 / 2, lambda a, y: a - y)
FITS = {
    "plain": {}, "average": {"ema": 0.9}, "schedule": {"solver": "sgd", "learning_rate": "step"},
    "callback": {"callback": lambda net: None}, "own loss": {"loss": OWN},
    "own loss, average": {"loss": OWN, "ema": 0.5, "dropout": 0.2},
    "validation": {"X_val": X[:9], "y_val": Y[:9]},
    "two threads": {"n_jobs": 2}, "lm": {"solver": "lm"}, "lbfgs": {"solver": "lbfgs"},
    "evidence": {"solver": "lm", "alpha": "evidence"},
}  # fmt: skip


@pytest.mark.parametrize("error", [KeyboardInterrupt, Alarm])
@pytest.mark.parametrize("how", FITS)
def test_network_fit(how, error):
    batch_size, steps = (
        ("auto", 1) if how in ("lm", "lbfgs", "evidence") else (16, 3)
    )  # in an epoch
    options = {"max_iter": 4, "batch_size": batch_size, **FITS[how]}
    made = {name: options.pop(name) for name in ("loss", "n_jobs") if name in options}
    seen = []

    def new():
        return Network([3, 4, 1], "tanh", random_state=0, **made)

    def look(net):
        seen.append(net.params_.copy())

    look(new())
    whole = new()
    given = options.get("callback")
    listening = [look] if given is None else [given, look]
    whole.fit(X, Y, **{**options, "callback": listening})

    def check(net, line):
        n = len(net.loss_curve_)
        assert net.loss_curve_ == whole.loss_curve_[:n], line
        state = net._state
        if "own" in how:  # whose epochs are many calls
            assert state is None or 3 * n <= state.n_steps <= 3 * (n + 1), line
        else:
            assert (net.params_ == seen[n]).all(), line
            assert state is None or state.n_steps == steps * n, line
        if state is not None and state.shown is not None:
            np.testing.assert_array_equal(net.params_, state.shown)
        net.partial_fit(X, Y, batch_size=16)
        assert np.isfinite(net.fit(X, Y, max_iter=1).predict(X)).all()

    at_every_line(new, lambda net: net.fit(X, Y, **options), check, 1, error)


@pytest.mark.parametrize("error", [KeyboardInterrupt, Alarm])
@pytest.mark.parametrize("options", [{}, {"ema": 0.9}, {"batch_size": 16}], ids=str)
@pytest.mark.parametrize("name", ["partial_fit", "predict", "loss_and_grad"])
def test_other_methods_of_network(name, options, error):
    if options and name != "partial_fit":
        return
    calls = {
        "partial_fit": lambda net: [net.partial_fit(X, Y, **options) for _ in range(3)],
        "predict": lambda net: [net.predict(X) for _ in range(3)],
        "loss_and_grad": lambda net: [net.loss_and_grad(X, Y) for _ in range(3)],
    }

    def new():
        return Network([3, 4, 1], "tanh", random_state=0).partial_fit(X, Y, **options)

    seen, curves, one = [], [], new()
    for _ in range(5):
        seen.append(one.params_.copy())
        curves.append(one.loss_curve_.copy())
        one.partial_fit(X, Y, **options)
    steps = len(one.loss_curve_) and one._state.n_steps // len(one.loss_curve_)

    def check(net, line):
        done = [i for i in range(len(seen)) if (net.params_ == seen[i]).all()]
        assert done, line
        assert net.loss_curve_ == curves[done[0]], line
        assert net._state.n_steps == steps * net.n_iter_, line
        assert name == "partial_fit" or done == [0]
        net.partial_fit(X, Y, **options)
        net.predict(X)

    at_every_line(new, calls[name], check, 1, error)


def test_a_curve_that_is_cut(monkeypatch):
    """n_iter_ and the curve belong together while the older half is dropped."""
    monkeypatch.setattr("fastnn.trainable.LONGEST_CURVE", 4)

    def new():
        return Network([3, 4, 1], random_state=0).fit(X, Y, max_iter=4)

    def check(net, line):
        assert net.n_iter_ == net._state.n_steps, line

    at_every_line(new, lambda net: net.partial_fit(X, Y), check, 1)


# ---- estimators ---------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["first fit", "fit", "partial_fit", "first partial_fit"])
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs", "lm"])
@pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
def test_estimators(cls, solver, method):
    if solver in ("lbfgs", "lm") and "partial" in method:
        return
    y = LABELS if cls is MLPClassifier else Y
    first = "first" in method
    classes = {"classes": [0, 1]} if cls is MLPClassifier else {}
    options = classes if "partial" in method else {}

    def new():
        mlp = cls(hidden_layer_sizes=(4,), solver=solver, max_iter=4, random_state=0)
        return mlp if first else mlp.fit(X, y)

    # what there is after so many epochs
    seen = []
    for epochs in range(5) if solver not in ("lbfgs", "lm") else ():
        one = new()
        if "partial" in method:
            for _ in range(epochs):
                one.partial_fit(X, y, **options)
        elif epochs:
            one.set_params(max_iter=epochs).fit(X, y)
        seen.append((params_of(one), list(getattr(one, "loss_curve_", [])),
                     getattr(one, "t_", 0)))  # fmt: skip

    def check(mlp, line):
        try:
            assert np.isfinite(mlp.predict(X)).all(), line
        except NotFittedError:
            assert first
        if solver not in ("lbfgs", "lm"):
            found = [one for one in seen if one[0] == params_of(mlp)]
            curve = list(getattr(mlp, "loss_curve_", []))
            if found:  # else a fit has drawn its first parameters
                assert found[0][1:] == (curve, mlp.t_ if curve else 0), line
            assert found or not curve, line
            if "partial" in method and curve:
                assert mlp._optimizer.t == len(curve) if solver == "adam" else True, line
            mlp.partial_fit(X, y, **classes)
        mlp.fit(X, y).predict(X)
        assert mlp.n_iter_ >= 1

    name = method.split()[-1]
    at_every_line(new, lambda mlp: getattr(mlp, name)(X, y, **options), check)


def params_of(mlp):
    return [a.tobytes() for a in (*getattr(mlp, "coefs_", []), *getattr(mlp, "intercepts_", []))]


# ---- the tutorial -------------------------------------------------------------------------------


def test_tutorial():
    def new():
        np.random.seed(0)
        return tutorial.create_nn([3, 4, 1], tutorial.sigm)

    def call(net):
        for epochs in (1, 1, 4):
            tutorial.train(net, X, Y[:, None], tutorial.l2_cost, epochs=epochs)

    def arrays(net):
        return [array for layer in net for array in (layer.W, layer.b)]

    seen, net = [arrays(new())], new()
    for _ in range(6):
        tutorial.train(net, X, Y[:, None], tutorial.l2_cost)
        seen.append(arrays(net))

    def check(net, line):
        whole = [all(map(np.array_equal, arrays(net), one)) for one in seen]
        assert any(whole), line  # of one step, in all layers
        tutorial.train(net, X, Y[:, None], tutorial.l2_cost)

    at_every_line(new, call, check, 1)
