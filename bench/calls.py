"""Microseconds of every public call, against others that do the same: `python bench/calls.py`.

The calls people make one after another: construction, `tutorial.train`, Network's methods and both
estimators', for 1, 32 and 1000 rows, and fits of one epoch. NumPy (in the tutorial's manner, or
`numpy_way.py`), scikit-learn's own class and PyTorch (if installed) do the same on the same
parameters; answers, or the parameters that were learnt, are compared before anything is timed.
Calls alternate in one process on one pinned core, one thread each; a ratio compares times of the
same round: median (min-max). "An epoch more" is the difference of fits of 1 and of 101 epochs;
what it costs beside the arithmetic is that less the same epochs in one compiled call.
"""

import argparse
import importlib.util
import json
import os
import re
import sys
import time
import warnings
from typing import Any, NamedTuple

from run import describe, pin, spread  # one BLAS thread: before NumPy computes

if __name__ == "__main__":
    os.environ["FASTNN_NUM_THREADS"] = "1"

import numpy as np
import numpy_way
import sklearn.neural_network
from learners import (
    MORE,
    SEED,
    Learner,
    Way,
    estimator,
    estimator_learner,
    fits,
    labels,
    numpy_fits,
    once,
    params_of,
    sklearn_like,
    torch_fits,
    torch_learner,
)  # fmt: skip
from sklearn.exceptions import ConvergenceWarning
from worker import Task

import fastnn
from fastnn import Network, tutorial
from fastnn.cli import numpy_network

PEERS = {"numpy": "NumPy", "sklearn": "scikit-learn", "torch": "PyTorch"}
ROWS, FIT_ROWS = (1, 32, 1000), (100, 1000)
TUTORIAL, DEEP = [2, 4, 8, 1], [2, 4, 8, 16, 8, 4, 1]
CLASSIFIER, REGRESSOR, NARROW = [64, 100, 10], [10, 100, 1], [8, 32, 32, 2]
# Answers differ by less than this share of their size, parameters by less than this share of
# what was learnt: all distances summed. PyTorch's Adam has its epsilon elsewhere.
TOLERANCE = {"float64": 1e-9, "float32": 2e-5}
LEARNT = {"float64": 1e-7, "float32": 5e-3}
TORCH_LEARNT = 2e-2


class Line(NamedTuple):
    """A line of the table: "fastnn" is among the ways; `start` is where learning starts from, and
    answers are compared after so many calls, for learners that go on."""

    name: str
    rows: int | None
    ways: dict[str, Way]
    start: Any = None
    asked: float | None = None  # microseconds
    calls: int = 1
    other_orders: bool = False  # of the rows, in the compiled call: it is not compared
    epochs: int = 1  # fits differ by so many epochs from those of the way's name + " once"


# ---- what is called -----------------------------------------------------------------------------


def tutorial_lines(dtype, peers):
    """train with and without training."""
    for units in (TUTORIAL, DEEP):
        yield from tutorial_net_lines(units, dtype, peers)


def tutorial_net_lines(units, dtype, peers):
    task = Task(units, 500, 500, dtype, "tutorial")
    # targets are whole numbers, as the tutorial's, except where all is to be float32
    Y = task.targets if dtype == "float32" else task.labels[:, None]
    point = np.array([[0.5, -0.5]], dtype)

    def ours():
        return filled(tutorial.create_nn(units, tutorial.sigm), task.start())

    def original():
        return filled(numpy_network.network(units), task.start())

    def step(net):
        return tutorial.train(net, task.X, Y, tutorial.l2_cost, lr=0.05)

    def output(net):
        return tutorial.train(net, point, Y, tutorial.l2_cost, train=False)

    steps = {
        "fastnn": Learner(ours, step).way(),
        "numpy": Learner(original, lambda net: numpy_network.step(net, task.X, Y, 0.05)).way(),
    }
    # a net that fastnn has just trained, and its numbers in layers that were never trained
    trained = Learner(lambda: stepped(ours(), step), output)
    numbers = params_of(stepped(ours(), step))
    never = filled(ours(), numbers)
    numpy_net = filled(original(), numbers)
    points = {
        "fastnn": Way(lambda: output(trained.model), reset=trained.reset),
        "numpy": Way(lambda: numpy_network.predict(numpy_net, point)),
    }
    if "torch" in peers:
        learner = torch_learner(task, task.start())
        steps["torch"] = learner.way(lambda: learner.epoch(500))
        points["torch"] = torch_learner(task, numbers).predicting(point)
    name, asked = "-".join(map(str, units)), 3.5 if units is TUTORIAL else None
    yield Line(f"tutorial.train one step, {name}", 500, steps, task.start(), None, 2)
    yield Line(f"tutorial.train one point, {name}", 1, points, None, asked)
    points = {**points, "fastnn": Way(lambda: output(never))}
    yield Line(f"tutorial.train one point, {name}, never trained", 1, points, None, asked)


def filled(net, layers):
    """The tutorial's layers with these (W, b)."""
    for layer, (W, b) in zip(net, layers, strict=True):
        layer.W, layer.b = W.copy(), b.reshape(1, -1).copy()
    return net


def stepped(net, step):
    step(net)
    return net


def network_lines(dtype, peers):
    """Network's methods."""
    for units in (CLASSIFIER, NARROW):
        name = "-".join(map(str, units))
        start = numpy_way.draw(SEED, units, dtype)
        first = units is CLASSIFIER

        def new(epochs=None, units=units):
            return Network(units, "relu", loss="log_loss", dtype=dtype, random_state=SEED)

        net = new()
        construct = {
            "fastnn": Way(new, lambda new=new: params_of(new())),
            "numpy": Way(lambda units=units: numpy_way.draw(SEED, units, dtype)),
        }
        yield Line(f"Network(...) with a seed, {name}", None, construct, None, 60 * first or None)
        for rows in ROWS:
            task = Task(units, min(200, rows), max(rows, 20), dtype, "log_loss")
            task.X, task.targets, task.labels = (
                a[:rows] for a in (task.X, task.targets, task.labels)
            )
            yield from network_methods(net, task, name, rows, start, new, peers)
        for rows in FIT_ROWS:
            task = Task(units, min(200, rows), rows, dtype, "log_loss")
            yield from network_fits(task, name, rows, start, new, peers)


def network_methods(net, task, name, rows, start, new, peers):
    X, y, loss = task.X, task.targets, task.loss
    predict = {
        "fastnn": Way(lambda: net.predict(X)),
        "numpy": Way(lambda: numpy_way.forward(start, X, loss)[-1]),
    }
    forward = {
        "fastnn": Way(lambda: net.forward(X)),
        "numpy": Way(lambda: numpy_way.forward(start, X, loss)[1:]),
    }
    losses = {
        "fastnn": Way(lambda: net.loss(X, y)),
        "numpy": Way(lambda: numpy_way.mean_loss(numpy_way.forward(start, X, loss)[-1], y, loss)),
    }

    def gradients():
        value, *grads = net.loss_and_grad(X, y)
        return value, list(zip(*grads, strict=True))

    gradient = {
        "fastnn": Way(lambda: net.loss_and_grad(X, y), gradients),
        "numpy": Way(lambda: numpy_way.loss_and_grad(start, X, y, loss)),
    }
    fastnn_learner = Learner(new, lambda model: model.partial_fit(X, y, shuffle=False))
    numpy_learner = Learner(
        lambda: numpy_way.Adam(start, loss), lambda model: model.epoch(X, y, task.batch)
    )
    partial_fit = {"fastnn": fastnn_learner.way(), "numpy": numpy_learner.way()}
    if "sklearn" in peers and task.units[-1] > 2:  # of two classes it makes another net
        model = sklearn_like(task, start)
        predict["sklearn"] = Way(lambda: model.predict_proba(X))
        learner = estimator_learner(sklearn.neural_network.MLPClassifier, task, X, task.labels)
        partial_fit["sklearn"] = learner.way()
    if "torch" in peers:
        learner = torch_learner(task, start)
        predict["torch"] = learner.predicting(X)
        forward["torch"] = learner.forwarding(X)
        losses["torch"] = learner.losing()
        gradient["torch"] = learner.gradients()
        learner = torch_learner(task, start)
        partial_fit["torch"] = learner.way(lambda: learner.epoch(task.batch))
    wide = task.units == CLASSIFIER
    yield Line(
        f"Network.predict, {name}", rows, predict, None, 3.5 if rows == 1 and wide else None
    )
    yield Line(f"Network.forward, {name}", rows, forward)
    yield Line(f"Network.loss, {name}", rows, losses)
    yield Line(f"Network.loss_and_grad, {name}", rows, gradient)
    yield Line(
        f"Network.partial_fit, {name}", rows, partial_fit, start,
        8 if rows == 1 and not wide else None, 2,
    )  # fmt: skip


def network_fits(task, name, rows, start, new, peers):
    X, y = task.X, task.targets

    def fit(batch_size="auto", shuffle=False):
        return lambda net, n: net.fit(X, y, max_iter=n, batch_size=batch_size, shuffle=shuffle)

    ways = fits("fastnn", new, fit()) | numpy_fits(task)
    if "torch" in peers:
        ways |= torch_fits(task, start)
    asked = 60 if rows == 100 and task.units == CLASSIFIER else None
    yield Line(f"Network.fit, one epoch, {name}", rows, once(ways), start, asked)
    if rows == 100:
        yield Line(f"Network.fit, an epoch more, {name}", rows, ways, start, epochs=MORE)
        # other orders of the rows come to other parameters: both learn, in as many epochs
        batches = fits("fastnn", new, fit(20, True), progress)
        batches |= fits("compiled", new, fit(20), progress)
        line = f"Network.fit, an epoch more, {name}, batches of 20"
        yield Line(line, rows, batches, epochs=MORE)


def progress(net):
    return net.n_iter_, net.loss_ < net.loss_curve_[0]


def estimator_lines(dtype, peers):
    """Both estimators' methods."""
    for ours, theirs, units, loss in (
        (fastnn.MLPClassifier, sklearn.neural_network.MLPClassifier, CLASSIFIER, "log_loss"),
        (fastnn.MLPRegressor, sklearn.neural_network.MLPRegressor, REGRESSOR, "squared_error"),
    ):
        name = ours.__name__
        start = numpy_way.draw(SEED, units, dtype)
        task = Task(units, 100, 100, dtype, loss)
        models = {"fastnn": ours, "sklearn": theirs} if "sklearn" in peers else {"fastnn": ours}
        fitted = {
            who: estimator(model, units, max_iter=1).fit(task.X, labels(task))
            for who, model in models.items()
        }
        learnt = list(zip(fitted["fastnn"].coefs_, fitted["fastnn"].intercepts_, strict=True))
        for rows in ROWS:
            task = Task(units, min(200, rows), max(rows, 20), dtype, loss)
            task.X, task.targets, task.labels = (
                a[:rows] for a in (task.X, task.targets, task.labels)
            )
            yield from estimator_methods(name, models, fitted, learnt, task, rows, start, peers)
        for rows in FIT_ROWS:
            task = Task(units, min(200, rows), rows, dtype, loss)
            yield from estimator_fits(name, models, task, rows, start, peers)


def estimator_methods(name, models, fitted, learnt, task, rows, start, peers):
    X = task.X
    classes = task.loss == "log_loss"
    methods = ("predict", "predict_proba") if classes else ("predict",)
    for method in methods:
        ways = {
            who: Way(lambda model=model, method=method: getattr(model, method)(X))
            for who, model in fitted.items()
        }

        def finish(out, method=method):
            return np.argmax(out, axis=1) if classes and method == "predict" else out

        def numpy_predict(finish=finish):
            out = numpy_way.forward(learnt, X, task.loss)[-1]
            return finish(out if classes else out.ravel())

        ways["numpy"] = Way(numpy_predict)
        if "torch" in peers:
            learner = torch_learner(task, learnt)
            ways["torch"] = learner.predicting(X, finish)
        asked = 25 if rows == 1 and method == ("predict_proba" if classes else "predict") else None
        yield Line(f"{name}.{method}", rows, ways, None, asked)
    ways = {
        who: estimator_learner(model, task, X, labels(task)).way() for who, model in models.items()
    }
    numpy_learner = Learner(
        lambda: numpy_way.Adam(start, task.loss),
        lambda model: model.epoch(X, task.targets, task.batch),
    )
    ways["numpy"] = numpy_learner.way()
    if "torch" in peers:
        learner = torch_learner(task, start)
        ways["torch"] = learner.way(lambda: learner.epoch(task.batch))
    asked = 60 if rows == 1 and not classes else None
    yield Line(f"{name}.partial_fit", rows, ways, start, asked, 2)


def estimator_fits(name, models, task, rows, start, peers):
    X, y, one_batch = task.X, labels(task), rows == task.batch

    def of(model, **options):
        """Fits of an estimator that is made for so many epochs."""
        options = {"shuffle": one_batch, "n_iter_no_change": 10 * MORE, **options}
        return (
            lambda epochs: estimator(model, task.units, max_iter=epochs, **options),
            lambda made, epochs: made.fit(X, y),
        )

    def network(epochs):
        return Network(
            task.units, "relu", loss=task.loss, out_activation=None if classes else "identity",
            dtype=task.dtype, random_state=SEED,
        )  # fmt: skip

    def compiled(batch_size):
        return lambda net, n: net.fit(
            X, task.targets, max_iter=n, batch_size=batch_size, shuffle=False
        )

    classes = task.loss == "log_loss"
    ways = {}
    for who, model in models.items():
        ways |= fits(who, *of(model))
    ways |= numpy_fits(task)
    if "torch" in peers:
        ways |= torch_fits(task, start)
    asked = 700 if rows == 100 and classes else None
    yield Line(f"{name}.fit, one epoch", rows, once(ways), start, asked)
    if rows == 100:
        ways |= fits("compiled", network, compiled(rows))
        yield Line(f"{name}.fit, an epoch more", rows, ways, start, 10, epochs=MORE)
        ways = fits("compiled", network, compiled(20))
        for who, model in models.items():
            ways = fits(who, *of(model, batch_size=20, shuffle=True)) | ways
        line = f"{name}.fit, an epoch more, batches of 20"
        yield Line(line, rows, ways, start, 10, epochs=MORE, other_orders=True)


# ---- the clock ----------------------------------------------------------------------------------


def title(line, dtype):
    rows = f", {line.rows} row{'s' * (line.rows > 1)}" if line.rows else ""
    return f"{line.name}{rows}, {dtype}"


def flat(answer):
    """Numbers, arrays and lists of them in one vector."""
    if isinstance(answer, (list, tuple)):
        return np.concatenate([flat(item) for item in answer]) if answer else np.empty(0)
    return np.ravel(np.asarray(answer, dtype=np.float64))


def check(answers, dtype, start=None):
    """The contestant whose answer differs from the first one's by too much, with the share that
    it differs by; (None, the largest share) if all agree."""
    first = flat(next(iter(answers.values())))
    before = np.zeros_like(first) if start is None else flat(start)
    size, worst = np.abs(first - before).sum(), 0.0
    if start is None:
        size = size or 1.0  # the first class alone
    for name, answer in answers.items():
        answer = flat(answer)
        if answer.shape != first.shape or not size > 0:
            return name, np.inf
        share = np.abs(answer - first).sum() / size
        limit = TOLERANCE[dtype]
        if start is not None:
            limit = TORCH_LEARNT if name.startswith("torch") else LEARNT[dtype]
        if not share <= limit:
            return name, float(share)
        worst = max(worst, float(share))
    return None, worst


def answers_of(line):
    """name -> what it comes to."""
    answers = {}
    for name, way in line.ways.items():
        way.reset()
        for _ in range(line.calls):
            out = way.call()
        answers[name] = way.answer() if way.answer else out
    return answers


def measure(line, dtype, rounds, seconds):
    groups = [line.ways] if line.epochs == 1 else [
        {n: w for n, w in line.ways.items() if n.endswith(" once") == last}
        for last in (False, True)
    ]  # fmt: skip
    answers = answers_of(line)
    for group in groups:
        compared = {n: a for n, a in answers.items() if n in group}
        if line.other_orders:
            compared = {n: a for n, a in compared.items() if not n.startswith("compiled")}
        wrong, share = check(compared, dtype, line.start)
        if wrong:
            sys.exit(f"{title(line, dtype)}: {wrong} differs by {share:.1e}")
    calls, times = {}, {name: [] for name in line.ways}
    for name, way in line.ways.items():
        calls[name], way_seconds = 1, 0
        while (way_seconds := timed(way, calls[name])) < seconds:
            calls[name] = max(2 * calls[name], int(calls[name] * seconds / max(way_seconds, 1e-7)))
    for i in range(rounds):
        for name in line.ways if i % 2 == 0 else reversed(line.ways):
            times[name].append(1e6 * timed(line.ways[name], calls[name]) / calls[name])
    if line.epochs > 1:
        times = {
            n: [(a - b) / line.epochs for a, b in zip(t, times[f"{n} once"], strict=True)]
            for n, t in times.items() if not n.endswith(" once")
        }  # fmt: skip
    result = {
        "title": title(line, dtype),
        "call": line.name,
        "rows": line.rows,
        "dtype": dtype,
        "asked_us": line.asked,
    }
    if "compiled" in times:
        compiled = times.pop("compiled")
        result["beside_us"] = spread(
            [a - b for a, b in zip(times["fastnn"], compiled, strict=True)]
        )
    result["us"] = {name: spread(t) for name, t in times.items()}
    result["ratio"] = {
        name: spread([a / b for a, b in zip(t, times["fastnn"], strict=True)])
        for name, t in times.items() if name != "fastnn"
    }  # fmt: skip
    return result


def timed(way, calls):
    """Seconds of so many calls after a reset and one more call."""
    way.reset()
    way.call()
    call = way.call
    begin = time.perf_counter()
    for _ in range(calls):
        call()
    return time.perf_counter() - begin


def report(result):
    us = result["us"]["fastnn"]
    text = f"{result['title']:<72}"
    text += f"{us['median']:9.2f} us ({us['min']:.2f}-{us['max']:.2f})"
    beside = result.get("beside_us")
    if beside:
        text += f", beside the arithmetic {beside['median']:.1f}"
    if result["asked_us"]:
        text += f"  asked {result['asked_us']:g}"
    for name, called in PEERS.items():
        if name in result["ratio"]:
            ratio = result["ratio"][name]
            text += f"  {called} {ratio['median']:.2f}x ({ratio['min']:.2f}-{ratio['max']:.2f})"
    return text


def lines(dtype, peers):
    """Every line of the table; those of contestants that are not wanted left out."""
    for room in (tutorial_lines, network_lines, estimator_lines):
        for line in room(dtype, peers):
            ways = {
                name: way for name, way in line.ways.items()
                if name.split()[0] in ("fastnn", "compiled", *peers)
            }  # fmt: skip
            yield line._replace(ways=ways)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", metavar="REGEX", help="lines with such names")
    parser.add_argument("--dtypes", default="float64,float32", metavar="A,B")
    parser.add_argument("--peers", metavar="A,B", help=f"of {','.join(PEERS)}; all installed ones")
    parser.add_argument("--rounds", type=int, default=11, help="rounds of alternation (11)")
    parser.add_argument("--seconds", type=float, default=0.01, help="at least, for each run (.01)")
    parser.add_argument("--smoke", action="store_true", help="2 short rounds: does it all run?")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    options = parser.parse_args()
    if options.smoke:
        options.rounds, options.seconds = 2, 1e-4
        options.peers = options.peers or "numpy,sklearn"
    peers = options.peers.split(",") if options.peers is not None else list(PEERS)
    if options.peers is None and not importlib.util.find_spec("torch"):
        peers.remove("torch")
    warnings.simplefilter("ignore", ConvergenceWarning)  # one epoch does not converge
    core = pin()
    machine, results = describe(core), []
    for dtype in options.dtypes.split(","):
        for line in lines(dtype, peers):
            if not re.search(options.only, title(line, dtype)):
                continue
            results.append(measure(line, dtype, options.rounds, options.seconds))
            if not options.json:
                print(report(results[-1]), flush=True)
    if not results:
        sys.exit("no line has such a name")
    if options.json:
        json.dump({"machine": machine, "results": results}, sys.stdout, indent=1)
        print()
    else:
        print("\n" + ", ".join(f"{key} {value}" for key, value in machine.items()))


if __name__ == "__main__":
    main()
