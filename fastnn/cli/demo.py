"""`fastnn demo`: trains the tutorial's network on points of two classes, compares fastnn with
NumPy, and draws what was learnt."""

import argparse
import contextlib
import dataclasses
import functools
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fastnn import kernels, pages, plotting
from fastnn.callbacks import Callback, Recorder
from fastnn.catalog import activations, solvers
from fastnn.catalog.activations import ActivationName
from fastnn.catalog.solvers import SolverName
from fastnn.cli import compare, numpy_network
from fastnn.cli.compare import Problem
from fastnn.cli.datasets import DATASETS, Dataset
from fastnn.cli.options import real_number, topology, whole_number
from fastnn.data import checks
from fastnn.network import Network
from fastnn.plotting import style
from fastnn.plotting.training import ANIMATIONS, PICTURES

HIDDEN = ", ".join(row.name for row in activations.ACTIVATIONS if row.hidden)
TUTORIAL = "descent"  # the solver by default
OTHERS = ", ".join(row.name for row in solvers.SOLVERS if row.public and row.name != "sgd")
SOLVERS: dict[str, Any] = {TUTORIAL: TUTORIAL, **solvers.SPELLINGS}
FEWER: dict[str | None, int] = {"lm": 20, "lbfgs": 200}  # steps that searches need
MARKS = 100  # points on the way whose parameters are kept
DtypeName = Literal["float64", "float32"]
DTYPES: dict[str, DtypeName] = {"float64": "float64", "float32": "float32"}
LEARNT = 0.9  # an accuracy below gets a hint

PARSER = {
    "help": "train the tutorial's network on two rings and draw what it learnt",
    "description": "Train the tutorial's network on two classes of points, with fastnn and with "
    "NumPy from the same start; compare them and draw the result. Exit status: 0 if the two "
    "networks agree, either at the end or, where rounding drives them apart, in single steps from "
    "the same parameters all along the way; 1 if not; 2 for bad input. With --solver fastnn "
    "trains another way, and times are compared.",
}


#: of the options that take one of some words, for a shell to complete
VALUES = {
    "--dataset": tuple(DATASETS),
    "--activation": tuple(row.name for row in activations.ACTIVATIONS if row.hidden),
    "--solver": tuple(SOLVERS),
    "--dtype": tuple(DTYPES),
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options are strings here; `Settings` checks them."""

    def add(name: str, help: str, default: str | None = None, metavar: str | None = None) -> None:
        shown = f"{help} (default: {default})" if default else help
        parser.add_argument(name, default=default, help=shown, metavar=metavar)

    suits = "; by default what suits the points"
    add("--dataset", f"the points: {', '.join(DATASETS)}", "circles")
    add("--topology", f"units of each layer; 2 inputs and 1 output{suits}")
    add("--activation", f"of the hidden layers: {HIDDEN}", "sigmoid")
    add("--solver", f"the tutorial's gradient descent, or one of {OTHERS}, whose time is compared "
        "with that of gradient descent by NumPy", TUTORIAL)  # fmt: skip
    add("--samples", "points to draw", "500")
    add("--noise", f"its standard deviation{suits}")
    add("--epochs", f"steps{suits} and the solver")
    add("--lr", "learning rate", "0.05")
    add("--dtype", "float64 or float32", "float64")
    add("--seed", "of points and parameters", "15")
    add("--output", "where to write the picture", "fastnn-demo.png", "FILE")
    add("--animate", "also write how it learnt, as .gif, or as .html with a slider",
        metavar="FILE")  # fmt: skip
    parser.add_argument("--live", action="store_true", help="draw in a window while it learns")
    parser.add_argument(
        "--no-compare", action="store_true", help="do not train with NumPy as well"
    )


@dataclasses.dataclass(frozen=True)
class Settings:
    """The options, checked."""

    dataset: Dataset
    units: tuple[int, ...]
    activation: ActivationName
    solver: SolverName | None  # None: the tutorial's descent
    samples: int
    noise: float
    epochs: int
    lr: float
    dtype: DtypeName
    seed: int
    output: Path
    animate: Path | None
    live: bool
    compare: bool

    @classmethod
    def from_options(cls, given: argparse.Namespace) -> "Settings":
        """Check every option.

        Raises
        ------
        TypeError, ValueError
            In a line that names the option.
        """
        dataset = checks.choice("--dataset", given.dataset, DATASETS)
        noise = str(dataset.noise) if given.noise is None else given.noise
        solver = checks.choice("--solver", given.solver, SOLVERS)
        solver = None if solver == TUTORIAL else solver
        usual = FEWER.get(solver, dataset.epochs)
        epochs = str(usual) if given.epochs is None else given.epochs
        settings = cls(
            dataset=dataset,
            units=topology(given.topology or dataset.topology),
            activation=checks.choice(
                "--activation", given.activation, activations.HIDDEN_SPELLINGS
            ),
            solver=solver,
            samples=whole_number("--samples", given.samples, 2),
            noise=real_number("--noise", noise, 0, closed="left"),
            epochs=whole_number("--epochs", epochs),
            lr=real_number("--lr", given.lr, 0),
            dtype=checks.choice("--dtype", given.dtype, DTYPES),
            seed=whole_number("--seed", given.seed, 0, 2**32 - 1),
            output=Path(given.output),
            animate=None if given.animate is None else Path(given.animate),
            live=given.live,
            compare=not given.no_compare,
        )
        style.check_output("--output", settings.output, PICTURES)
        if settings.animate:
            style.check_output("--animate", settings.animate, ANIMATIONS)
            style.matplotlib()
        return settings

    @property
    def topology(self) -> str:
        """Units of each layer, such as 2-4-8-1."""
        return "-".join(map(str, self.units))

    def problem(self) -> Problem:
        """The untrained network and its data."""
        hidden = [self.activation] * (len(self.units) - 2)
        net = Network(
            self.units, [*hidden, "sigmoid"], init="uniform",
            dtype=self.dtype, random_state=self.seed,
        )  # fmt: skip
        random_state = np.random.RandomState(self.seed)
        X, y = self.dataset.make(self.samples, self.noise, random_state)
        x = checks.matrix("X (--noise)", X, net.dtype, 2, "feature")
        return Problem(net, x, y.astype(net.dtype).reshape(-1, 1), self.lr)


def main(options: argparse.Namespace, words: list[str]) -> int:
    """Train, compare, print, draw; the exit status."""
    settings = Settings.from_options(options)
    start = settings.problem()
    recorder = Recorder(every=max(1, settings.epochs // 50)) if settings.animate else None
    live = plotting.LivePlot(every=max(1, settings.epochs // 50)) if settings.live else None
    listening: list[Callback] = [one for one in (recorder, live) if one is not None]
    if settings.solver is None:
        net, marks = _learn(settings, start, listening)
    else:
        net, marks = _learn_otherwise(settings, start, listening), []
    if live:
        print("  training is done")
    agree = True
    if settings.solver is None:
        agree = _compare(settings, start, net, marks)
    else:
        _compare_times(settings, start, net)
    right = (net.predict(start.X) > 0.5) == (start.y > 0.5)
    print(f"  training accuracy    {right.mean():9.1%}")
    if right.mean() < LEARNT:
        usual = FEWER.get(settings.solver, settings.dataset.epochs)
        more, other = max(2 * settings.epochs, usual), settings.seed ^ 1
        noise = ", less --noise" if settings.noise > settings.dataset.noise else ""
        print(
            f"  hint                 not all points are learnt: try --epochs {more}, "
            f"--seed {other}{noise} or another --lr"
        )
    _draw(settings, net, start, recorder)
    if live:
        from matplotlib import pyplot

        if pyplot.get_fignums():
            print("  close the window to end")
            pyplot.show()
    if not agree:
        print("fastnn: error: the two networks differ", file=sys.stderr)
    return 0 if agree else 1


# ---- training -----------------------------------------------------------------------------------


def _learn(
    settings: Settings, start: Problem, callbacks: list[Callback]
) -> tuple[Network, list[NDArray[Any]]]:
    """A trained copy of the network with its loss curve, and parameters on the way to it.

    It goes step by step, as the tutorial's notebook does: each step's outputs give its loss.
    """
    net, fast = start.net.copy(), compare.Fast(start)
    marks, mark_every = [net.params_.copy()], -(-settings.epochs // MARKS)
    with contextlib.ExitStack() as ends:
        for callback in callbacks:
            callback.begin(net, start.X, start.y, settings.epochs)
            ends.push(functools.partial(_end, callback, net))
        print(
            f"{settings.samples} points in {settings.dataset.words}, network {settings.topology} "
            f"({settings.activation}), {settings.epochs} steps, {settings.dtype}"
        )
        due = {callback: callback.every for callback in callbacks}
        bar = ends.enter_context(_progress("training"))
        for epoch in range(1, settings.epochs + 1):
            try:
                error = fast.train(1) - start.y
            except FloatingPointError as reason:
                line = f"training diverged in epoch {epoch}: try --lr below {settings.lr:g}"
                raise FloatingPointError(pages.see("diverged", line)) from reason
            net.loss_curve_.append(float(np.vdot(error, error)) / (2 * len(error)))
            last = epoch == settings.epochs
            if epoch % mark_every == 0 or last or epoch in due.values():
                net.params_ = fast.params()
                if epoch % mark_every == 0 and not last:
                    marks.append(net.params_.copy())
                    bar(epoch / settings.epochs)
            for callback in callbacks:
                if last or due[callback] == epoch:
                    callback(net)
                    due[callback] = epoch + callback.every
    return net, marks


def _learn_otherwise(settings: Settings, start: Problem, callbacks: list[Callback]) -> Network:
    """A copy of the network that another solver trained, on all points at once."""
    print(
        f"{settings.samples} points in {settings.dataset.words}, network {settings.topology} "
        f"({settings.activation}), solver {settings.solver}, {settings.dtype}"
    )
    return _fit(settings, start, callbacks)


def _fit(settings: Settings, start: Problem, callbacks: list[Callback]) -> Network:
    assert settings.solver is not None
    return start.net.copy().fit(
        start.X, start.y, solver=settings.solver, max_iter=settings.epochs,
        batch_size=len(start.X), learning_rate_init=settings.lr, callback=callbacks or None,
    )  # fmt: skip


def _end(callback: Callback, net: Network, kind: object, *rest: object) -> None:
    callback.end(net, completed=kind is None)


@contextlib.contextmanager
def _progress(label: str) -> Iterator[Callable[[float], None]]:
    """What draws a bar, given the share that is done, on a terminal; elsewhere nothing."""
    shown = sys.stderr is not None and sys.stderr.isatty()

    def draw(share: float) -> None:
        if shown:
            full = round(30 * share)
            bar = "#" * full + "-" * (30 - full)
            print(f"\r  {label:<20} [{bar}] {share:4.0%}", end="", file=sys.stderr, flush=True)

    try:
        yield draw
    finally:
        if shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


# ---- results ------------------------------------------------------------------------------------


def _compare_times(settings: Settings, start: Problem, net: Network) -> None:
    """Print what a fit takes, and what gradient descent by NumPy comes to in its usual steps."""
    loss, least = net.loss(start.X, start.y), float("inf")
    for _ in range(5):
        begin = time.process_time()
        _fit(settings, start, [])
        least = min(least, time.process_time() - begin)
    print(f"  steps                {net.n_iter_:9d}")
    print(f"  loss                 {loss:9.1e}")
    print(f"  fastnn ({kernels.ISA})".ljust(23) + f"{1e3 * least:9.2f} ms   CPU time, best of 5")
    if not settings.compare:
        return
    slow, steps = compare.Slow(start), settings.dataset.epochs
    begin = time.process_time()
    with np.errstate(over="ignore"):
        slow.train(steps)
    seconds = time.process_time() - begin
    other = start.net.copy()
    other.params_ = slow.params()
    print(
        f"  NumPy                {1e3 * seconds:9.2f} ms   {steps} steps of gradient descent, "
        f"to a loss of {other.loss(start.X, start.y):.1e}\n"
        f"  ratio                {seconds / max(least, 1e-9):9.0f} x"
    )


def _compare(settings: Settings, start: Problem, net: Network, marks: list[NDArray[Any]]) -> bool:
    """Print times and differences; whether fastnn and NumPy agree."""
    with _progress("timing") as progress:
        times, fast, slow = compare.take_times(start, settings.epochs, settings.compare, progress)
    why_not = times.too_short()
    rows = {f"fastnn ({kernels.ISA})": times.fast, "NumPy": times.slow}
    for name, seconds in rows.items():
        if seconds and not why_not:
            us = 1e6 * float(np.median(seconds))
            print(f"  {name:<20} {us:9.1f} us a step")
    own = settings.activation in numpy_network.ACTIVATIONS
    if why_not:
        print(f"  no {'ratio' if settings.compare else 'time ':<17}           {why_not}")
    elif settings.compare and own:
        median, low, high = times.ratio()
        print(
            f"  ratio                {median:9.1f} x   CPU time, median of "
            f"{len(times.fast)} rounds in alternation ({low:.1f} to {high:.1f})"
        )
    elif settings.compare:
        print(
            f"  no ratio                         NumPy's {settings.activation} is the oracle's, "
            "which is not written to be fast"
        )
    if not settings.compare:
        return True
    params = net.params_
    apart = np.abs(params - slow).max()
    print(f"  largest difference   {apart:9.1e}   between the parameters of the two nets")
    if not np.array_equal(params, fast):
        return False
    if compare.difference(params, slow) <= compare.AGREE[settings.dtype]:
        return True
    worst = compare.one_step_difference(start, marks)
    print(
        f"  one step             {worst:9.1e}   at most, relative, from the same parameters at "
        f"{len(marks)} points:\n"
        "                                   the rest is rounding that this learning rate amplifies"
    )
    return worst <= compare.AGREE_ONE_STEP[settings.dtype]


def _draw(settings: Settings, net: Network, start: Problem, recorder: Recorder | None) -> None:
    try:
        how = "of gradient descent" if settings.solver is None else f"by {settings.solver}"
        title = f"fastnn: {settings.topology} network, {len(net.loss_curve_)} steps {how}"
        plotting.training_picture(settings.output, net, start.X, start.y, title)
    except ImportError:
        print('  no picture: matplotlib is missing; install it with: pip install ".[plot]"')
    else:
        print(f"  picture              {settings.output}")
    if recorder is not None and settings.animate is not None:
        plotting.animate(recorder, settings.animate)
        print(f"  animation            {settings.animate}")
