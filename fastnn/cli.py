"""The command line: `fastnn demo` trains the tutorial's network and draws what it learnt,
`fastnn run` runs a script with fastnn in scikit-learn's place."""

import argparse
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fastnn import __version__, kernels, network, patching, plotting, reference, show_config
from fastnn.callbacks import Callback, Listeners, Recorder
from fastnn.data import checks
from fastnn.plotting import style
from fastnn.plotting import training as pictures

# How far two nets that agree may be apart, as a share of the largest parameter: after all steps,
# and after one step from the same parameters.
AGREE = {"float64": 1e-9, "float32": 1e-3}
AGREE_ONE_STEP = {"float64": 1e-12, "float32": 1e-4}


# ---- points -------------------------------------------------------------------------------------


def _circles(n, noise, random_state):
    from sklearn.datasets import make_circles

    return make_circles(n, factor=0.5, noise=noise, random_state=random_state)


def _moons(n, noise, random_state):
    from sklearn.datasets import make_moons

    X, y = make_moons(n, noise=noise, random_state=random_state)
    return X - [0.5, 0.25], y


def _blobs(n, noise, random_state):
    from sklearn.datasets import make_blobs

    centers = [[-0.7, -0.7], [0.7, 0.7]]
    return make_blobs(n, centers=centers, cluster_std=noise, random_state=random_state)


def _xor(n, noise, random_state):
    """A square in four; what lies across a corner from each other is of one class."""
    X = random_state.uniform(-1, 1, (n, 2))
    y = np.where(X[:, 0] * X[:, 1] > 0, 1, 0)
    return X + noise * random_state.standard_normal((n, 2)), y


def _spirals(n, noise, random_state):
    """Two arms of one and a half turns around each other."""
    y = np.arange(n) % 2
    radius = np.sqrt(random_state.uniform(0.03, 1.0, n))
    angle = 3 * np.pi * radius + np.pi * y
    X = 1.2 * radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
    return X + noise * random_state.standard_normal((n, 2)), y


class Dataset(NamedTuple):
    """Points of two classes, and what suits them."""

    make: object  # (n, noise, random_state) -> X (n, 2), y (n,) of 0 and 1
    words: str
    noise: float
    topology: str = "2-4-8-1"
    epochs: int = 2000


DATASETS = {
    "circles": Dataset(_circles, "two rings", 0.05),
    "moons": Dataset(_moons, "two half moons", 0.1, "2-8-8-1", 5000),
    "spirals": Dataset(_spirals, "two spirals", 0.03, "2-16-16-1", 5000),
    "xor": Dataset(_xor, "four squares", 0.03),
    "blobs": Dataset(_blobs, "two blobs", 0.3),
}
SUITS = None  # an option that nobody gave

# ---- commands -----------------------------------------------------------------------------------


def main(argv=None):
    """Run a command; the return value is the exit status: 0, 1 (nets differ) or 2 (bad input)."""
    arguments = parser().parse_args(argv)
    if arguments.run is run_script and (arguments.module or Path(arguments.target).exists()):
        return run_script(arguments)  # what a script raises is shown as Python shows it
    try:
        return arguments.run(arguments)
    except (
        *(ValueError, TypeError, FloatingPointError, OSError, MemoryError),
        *(ImportError, RuntimeError),  # no matplotlib, or no window
    ) as error:
        print(f"fastnn: error: {error or type(error).__name__}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("fastnn: interrupted", file=sys.stderr)
        return 130


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message):
        self.exit(2, f"{self.prog}: error: {message}\n")


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Tells defaults where there are some."""

    def _get_help_string(self, action):
        if action.default in (None, False):
            return action.help
        return super()._get_help_string(action)


def parser():
    """The parser of the command line."""
    top = _Parser(
        prog="fastnn", description="Small neural networks trained fast.", allow_abbrev=False
    )
    top.add_argument("--version", action="version", version=f"fastnn {__version__}")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")
    config = commands.add_parser("config", help="print which build of the kernels runs here")
    config.set_defaults(run=lambda _: show_config() or 0)
    demo = commands.add_parser(
        "demo",
        help="train the tutorial's network on two rings and draw what it learnt",
        description="Train the tutorial's network on two classes of points, with fastnn and with "
        "NumPy from the same start; compare them and draw the result. Exit status: 0 if the two "
        "networks agree, either at the end or, where rounding drives them apart, in single steps "
        "from the same parameters all along the way; 1 if not; 2 for bad input.",
        formatter_class=_Help,
        allow_abbrev=False,
    )
    add = demo.add_argument
    add("--dataset", default="circles", help=f"the points: {', '.join(DATASETS)}")
    suits = "; by default what suits the points"
    add("--topology", default=SUITS, help=f"units of each layer; 2 inputs and 1 output{suits}")
    add("--activation", default="sigmoid", help="of the hidden layers: sigmoid, tanh or relu")
    add("--samples", type=int, default=500, help="points to draw")
    add("--noise", type=float, default=SUITS, help=f"its standard deviation{suits}")
    add("--epochs", type=int, default=SUITS, help=f"steps of gradient descent{suits}")
    add("--lr", type=float, default=0.05, help="learning rate")
    add("--dtype", default="float64", help="float64 or float32")
    add("--seed", type=int, default=15, help="of points and parameters")
    add("--output", type=Path, default=Path("fastnn-demo.png"), help="where to write the picture")
    add("--animate", type=Path, metavar="FILE", default=SUITS,
        help="also write how it learnt, as .gif, or as .html with a slider")  # fmt: skip
    add("--live", action="store_true", help="draw in a window while it learns")
    add("--no-compare", action="store_true", help="do not train with NumPy as well")
    demo.set_defaults(run=run_demo)
    run = commands.add_parser(
        "run",
        help="run a script with fastnn's MLPClassifier and MLPRegressor in scikit-learn's place",
        description="Run a Python script, or with -m a module, as Python itself would, with "
        "fastnn's MLPClassifier and MLPRegressor where it imports scikit-learn's.",
        usage="%(prog)s [-h] [-m] SCRIPT [arguments ...]",
        allow_abbrev=False,
    )
    run.add_argument("-m", dest="module", action="store_true", help="SCRIPT is a module's name")
    run.add_argument("target", metavar="SCRIPT", help="what to run")
    run.add_argument("arguments", nargs=argparse.REMAINDER, help="for the script")
    run.set_defaults(run=run_script)
    return top


def run_script(options):
    """Run a script as its own command would."""
    patching.run(options.target, options.arguments, as_module=options.module)
    return 0


# ---- the demo -----------------------------------------------------------------------------------


def run_demo(options):
    """Train, compare, print, draw."""
    net, x, y = _demo_problem(options)
    listeners = _demo_listeners(options)
    print(
        f"{options.samples} points in {DATASETS[options.dataset].words}, network "
        f"{options.topology} ({options.activation}), {options.epochs} steps, {options.dtype}"
    )
    slow = net.copy()
    fast_run, slow_run = (_new_run(k, net, len(x), options) for k in (kernels.build, reference))
    watch = _Watch(f"fastnn ({kernels.ISA})", options.epochs)
    seconds = _train(fast_run, net, x, y, options.epochs, [watch, *listeners])
    _print_time(f"fastnn ({kernels.ISA})", seconds, options.epochs)
    agree = True
    if not options.no_compare:
        slow_watch = _Watch("NumPy", options.epochs)
        slow_seconds = _train(slow_run, slow, x, y, options.epochs, [slow_watch])
        _print_time("NumPy", slow_seconds, options.epochs)
        print(f"  ratio                {slow_seconds / seconds:9.1f} x")
        difference = np.abs(net.params_ - slow._params).max()
        print(f"  largest difference   {difference:9.1e}   between the parameters of the two nets")
        agree = difference <= AGREE[options.dtype] * np.abs(slow._params).max()
        if not agree:
            agree = _agree_step_by_step(fast_run, slow_run, watch.marks, x, y, options.dtype)
    right = (net.predict(x) > 0.5) == (y > 0.5)
    print(f"  training accuracy    {right.mean():9.1%}")
    _draw(options, net, x, y)
    if options.animate:
        plotting.animate(listeners[0], options.animate)
        print(f"  animation            {options.animate}")
    if options.live:
        from matplotlib import pyplot

        pyplot.show()  # until the window is closed
    if not agree:
        print("fastnn: error: the two networks differ", file=sys.stderr)
    return 0 if agree else 1


def _demo_problem(options):
    """The untrained net and its data, after checking every option."""
    dataset = checks.choice("--dataset", options.dataset, DATASETS)
    for name in ("topology", "epochs", "noise"):
        if getattr(options, name) is SUITS:
            setattr(options, name, getattr(dataset, name))
    try:
        units = [int(n) for n in options.topology.split("-")]
    except ValueError:
        units = []
    if len(units) < 2 or min(units) < 1 or units[0] != 2 or units[-1] != 1:
        raise ValueError(
            "--topology must be whole numbers >= 1 such as 2-4-8-1, with 2 inputs and 1 output, "
            f"got {options.topology!r}"
        )
    checks.whole_number("--samples", options.samples, 2)
    checks.whole_number("--epochs", options.epochs)
    checks.real_number("--noise", options.noise, 0, closed="left")
    checks.real_number("--lr", options.lr, 0)
    checks.choice("--dtype", options.dtype, dict.fromkeys(AGREE))
    checks.choice("--activation", options.activation, dict.fromkeys(("sigmoid", "tanh", "relu")))
    if not 0 <= options.seed < 2**32:
        raise ValueError(f"--seed must be in 0 .. 2**32 - 1, got {options.seed}")

    style.check_output("--output", options.output, pictures.PICTURES)
    if options.animate:
        style.check_output("--animate", options.animate, pictures.ANIMATIONS)
    X, y = dataset.make(options.samples, options.noise, np.random.RandomState(options.seed))
    net = network.Network(
        units, [options.activation] * (len(units) - 2) + ["sigmoid"], init="uniform",
        dtype=options.dtype, random_state=options.seed,
    )  # fmt: skip
    x = checks.matrix("X (--noise)", X, net.dtype, 2, "feature")
    return net, x, y.astype(net.dtype).reshape(-1, 1)


def _demo_listeners(options):
    """What records and draws, after checking that it can."""
    every = max(1, options.epochs // 50)
    listeners = []
    if options.animate:
        style.matplotlib()
        listeners.append(Recorder(every=every))
    if options.live:
        pictures.check_window()
        listeners.append(plotting.LivePlot(every=every))
    return listeners


def _new_run(kernels, net, n_samples, options):
    """Full-batch gradient descent with the tutorial's arithmetic on one build of the kernels."""
    descent = network.Descent(builds.SOLVERS["sgd"], options.lr, sum_coef_grads=True)
    loss = builds.LOSSES["squared_error"]
    return network.TrainingRun(
        kernels, net._units, net._codes, loss, descent, net.dtype, n_samples
    )


class _Watch(Callback):
    """Keeps a hundred parameters on the way, the first among them, and draws a bar."""

    def __init__(self, label, epochs):
        self.every = max(1, -(-epochs // 100))
        self._label, self._epochs = label, epochs

    def begin(self, net, X, y, max_iter):
        self.marks = [net.params_.copy()]

    def __call__(self, net):
        _progress(self._label, net.n_iter_ / self._epochs)
        if net.n_iter_ < self._epochs:
            self.marks.append(net.params_.copy())


def _train(run, net, x, y, epochs, callbacks):
    """Train; the seconds that took, without those of the callbacks."""
    curve, seconds, listeners = np.empty(epochs), 0.0, Listeners(callbacks)
    listeners.begin(net, x, y, epochs)
    with listeners:
        arguments, done = run.begin(net.params_, x, y, curve, in_parts=True), 0
        for stop in listeners.stops(net, epochs):
            begin = time.perf_counter()
            run.until(stop, arguments)
            seconds += time.perf_counter() - begin
            net.loss_curve_ += curve[done:stop].tolist()
            done = stop
    return seconds


def _agree_step_by_step(fast_run, slow_run, marks, x, y, dtype):
    """Whether single steps from the same parameters agree, all along the training.

    At such learning rates gradient descent can be chaotic: two nets that differ by one rounding
    then part by the size of the parameters, whatever computes them.
    """
    worst = 0.0
    for params in marks:
        fast, slow = params.copy(), params.copy()
        fast_run.epochs(fast, x, y, np.empty(1))
        slow_run.epochs(slow, x, y, np.empty(1))
        worst = max(worst, np.abs(fast - slow).max() / np.abs(slow).max())
    print(
        f"  one step             {worst:9.1e}   at most, relative, from the same parameters at "
        f"{len(marks)} points:\n"
        "                                   the rest is rounding that this learning rate amplifies"
    )
    return worst <= AGREE_ONE_STEP[dtype]


def _progress(label, share):
    """A bar on a terminal; nothing where the output goes elsewhere."""
    if sys.stderr is None or not sys.stderr.isatty():
        return
    full = round(30 * share)
    bar = "#" * full + "-" * (30 - full)
    print(f"\r  {label:<20} [{bar}] {share:4.0%}", end="", file=sys.stderr, flush=True)
    if share == 1:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _print_time(label, seconds, epochs):
    print(f"  {label:<20} {seconds * 1e3:9.1f} ms  ({seconds / epochs * 1e6:.1f} us a step)")


def _draw(options, net, x, y):
    try:
        title = f"fastnn: {options.topology} network, {options.epochs} steps of gradient descent"
        plotting.training_picture(options.output, net, x, y, title)
    except ImportError:
        print('  no picture: matplotlib is missing; install it with: pip install ".[plot]"')
    else:
        print(f"  picture              {options.output}")
