"""The command line: `fastnn demo` trains the tutorial's network and draws what it learnt,
`fastnn run` runs a script with fastnn in scikit-learn's place."""

import argparse
import os
import sys
import time
from pathlib import Path

import numpy as np

from fastnn import __version__, checks, network, patching, reference, show_config
from fastnn import kernels as builds

# How far two nets that agree may be apart, as a share of the largest parameter: after all steps,
# and after one step from the same parameters.
AGREE = {"float64": 1e-9, "float32": 1e-3}
AGREE_ONE_STEP = {"float64": 1e-12, "float32": 1e-4}


def main(argv=None):
    """Run a command; the return value is the exit status: 0, 1 (nets differ) or 2 (bad input)."""
    arguments = parser().parse_args(argv)
    if arguments.run is run_script and (arguments.module or Path(arguments.target).exists()):
        return run_script(arguments)  # what a script raises is shown as Python shows it
    try:
        return arguments.run(arguments)
    except (ValueError, TypeError, FloatingPointError, OSError, MemoryError) as error:
        print(f"fastnn: error: {error or type(error).__name__}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("fastnn: interrupted", file=sys.stderr)
        return 130


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message):
        self.exit(2, f"{self.prog}: error: {message}\n")


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
        description="Train the tutorial's network on two rings of points, with fastnn and with "
        "NumPy from the same start; compare them and draw the result. Exit status: 0 if the two "
        "networks agree, either at the end or, where rounding drives them apart, in single steps "
        "from the same parameters all along the way; 1 if not; 2 for bad input.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    add = demo.add_argument
    add("--topology", default="2-4-8-1", help="units of each layer; 2 inputs and 1 output")
    add("--activation", default="sigmoid", help="of the hidden layers: sigmoid, tanh or relu")
    add("--samples", type=int, default=500, help="points to draw")
    add("--noise", type=float, default=0.05, help="standard deviation of the points' noise")
    add("--epochs", type=int, default=2000, help="steps of gradient descent")
    add("--lr", type=float, default=0.05, help="learning rate")
    add("--dtype", default="float64", help="float64 or float32")
    add("--seed", type=int, default=15, help="of points and parameters")
    add("--output", type=Path, default=Path("fastnn-demo.png"), help="where to write the picture")
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
    _check_output(options.output)
    print(
        f"{options.samples} points in two rings, network {options.topology} "
        f"({options.activation}), {options.epochs} steps, {options.dtype}"
    )
    slow = net.copy()
    fast_run, slow_run = (_new_run(k, net, len(x), options) for k in (network.kernels, reference))
    curve, seconds, marks = _train(fast_run, net, x, y, options.epochs, f"fastnn ({network.ISA})")
    _print_time(f"fastnn ({network.ISA})", seconds, options.epochs)
    agree = True
    if not options.no_compare:
        _, slow_seconds, _ = _train(slow_run, slow, x, y, options.epochs, "NumPy")
        _print_time("NumPy", slow_seconds, options.epochs)
        print(f"  ratio                {slow_seconds / seconds:9.1f} x")
        difference = np.abs(net._params - slow._params).max()
        print(f"  largest difference   {difference:9.1e}   between the parameters of the two nets")
        agree = difference <= AGREE[options.dtype] * np.abs(slow._params).max()
        if not agree:
            agree = _agree_step_by_step(fast_run, slow_run, marks, x, y, options.dtype)
    right = (net.predict(x) > 0.5) == (y > 0.5)
    print(f"  training accuracy    {right.mean():9.1%}")
    _draw(options, net, x, y, curve)
    if not agree:
        print("fastnn: error: the two networks differ", file=sys.stderr)
    return 0 if agree else 1


def _demo_problem(options):
    """The untrained net and its data, after checking every option."""
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

    from sklearn.datasets import make_circles

    X, y = make_circles(
        options.samples, factor=0.5, noise=options.noise, random_state=options.seed
    )
    net = network.Network(
        units, [options.activation] * (len(units) - 2) + ["sigmoid"], init="uniform",
        dtype=options.dtype, random_state=options.seed,
    )  # fmt: skip
    x = checks.matrix("X (--noise)", X, net.dtype, 2, "feature")
    return net, x, y.astype(net.dtype).reshape(-1, 1)


def _check_output(path):
    """Whether the picture can be written is better known before the training than after it."""
    folder = path.parent
    if not folder.is_dir():
        raise ValueError(f"--output {path}: there is no folder {folder}")
    if path.is_dir():
        raise ValueError(f"--output {path} is a folder")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise ValueError(f"--output {path} cannot be written")
    if path.suffix.lower() not in (".png", ".pdf", ".svg", ".jpg", ".jpeg"):
        raise ValueError(f"--output {path} must end in .png, .pdf, .svg or .jpg")


def _new_run(kernels, net, n_samples, options):
    """Full-batch gradient descent with the tutorial's arithmetic on one build of the kernels."""
    descent = network.Descent(builds.SOLVERS["sgd"], options.lr, sum_coef_grads=True)
    loss = builds.LOSSES["squared_error"]
    return network.TrainingRun(
        kernels, net._units, net._codes, loss, descent, net.dtype, n_samples
    )


def _train(run, net, x, y, epochs, label):
    """Train in 100 blocks: the loss of each step, the seconds, the parameters before each."""
    curve, seconds, marks = np.empty(epochs), 0.0, []
    block = max(1, -(-epochs // 100))
    for first in range(0, epochs, block):
        marks.append(net._params.copy())
        begin = time.perf_counter()
        run.epochs(net._params, x, y, curve[first : first + block])
        seconds += time.perf_counter() - begin
        _progress(label, min(1, (first + block) / epochs))
    return curve, seconds, marks


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


def _draw(options, net, x, y, curve):
    try:
        from fastnn.plotting import training_picture

        title = f"fastnn: {options.topology} network, {options.epochs} steps of gradient descent"
        training_picture(options.output, net.predict, x, y, curve, title)
    except ImportError:
        print('  no picture: matplotlib is missing; install it with: pip install ".[plot]"')
    else:
        print(f"  picture              {options.output}")
