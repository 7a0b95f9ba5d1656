"""Second-order training against what people use: `python bench/second_order.py`.

Six tables. *To a goal*: from so many starts until the loss is reached, on one pinned core; each
contestant has the same initial parameters, and every time is the median over its starts that got
there. *One step* of Levenberg-Marquardt: J^T J with the gradient, the solution and the loss after
it, against NumPy's best for the same (BLAS for J^T J, LAPACK's Cholesky, one thread), checked to
be equal first; with the share of the core's measured peak. It is counted as if the triangle of
J^T J took rows times parameters squared / 2 multiply-adds, which fewer do. *One dual step*, where
rows are fewer than parameters, likewise. *L-BFGS*: a fit of so
many iterations against SciPy's L-BFGS-B over the same compiled loss. *A race*: fastnn's own
solvers on six problems, each from so many starts to a loss, with settings that suit it.
*Evidence*: errors on targets without noise, against scikit-learn's MLPRegressor by L-BFGS with the
alpha that five-fold cross-validation picks among nine.

SciPy's least_squares gets fastnn's compiled residuals and Jacobian. The package
torch-levenberg-marquardt is timed where it is installed. `--smoke` runs a little of everything.
"""

import argparse
import contextlib
import functools
import importlib
import os
import statistics
import sys
import time
import warnings

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"  # read by NumPy's BLAS when it loads

import numpy as np  # noqa: E402
from run import describe, peak, pin  # noqa: E402
from scipy.linalg import cho_factor, cho_solve  # noqa: E402
from scipy.optimize import least_squares, minimize  # noqa: E402
from sklearn.datasets import (  # noqa: E402
    load_diabetes,
    load_digits,
    load_wine,
    make_circles,
    make_friedman1,
)
from sklearn.model_selection import GridSearchCV, KFold  # noqa: E402
from sklearn.neural_network import MLPRegressor  # noqa: E402
from sklearn.preprocessing import scale  # noqa: E402

from fastnn import Network, kernels  # noqa: E402
from fastnn.catalog import losses  # noqa: E402
from fastnn.cli import numpy_network  # noqa: E402
from fastnn.data.rows import NO_COLUMNS, NO_ROW_STARTS  # noqa: E402
from fastnn.training.objective import MeanLoss  # noqa: E402
from fastnn.training.options import new_step  # noqa: E402

SINC_GOAL, DEEP_GOAL = 5e-7, 5e-3


class Reached(Exception):
    """The goal is."""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--starts", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=15, help="of the steps (15)")
    parser.add_argument("--smoke", action="store_true", help="two starts, three rounds")
    options = parser.parse_args()
    if options.smoke:
        options.starts, options.rounds = 2, 3
    machine = describe(pin())
    rings(options.starts)
    deep(options.starts)
    sinc(options.starts if options.smoke else 2 * options.starts, options.smoke)
    for units, rows in [
        ((2, 4, 8, 1), 500), ((1, 10, 1), 500), ((8, 30, 1), 5000), ((4, 20, 20, 1), 5000),
        ((20, 45, 1), 5000), ((20, 90, 1), 5000),
    ][: 3 if options.smoke else None]:  # fmt: skip
        step(units, rows, options.rounds)
    for units, rows in [((10, 100, 100, 1), 442), ((10, 300, 300, 1), 442)][
        : 1 if options.smoke else None
    ]:
        dual_step(units, rows, options.rounds)
    for units, rows in [((2, 4, 8, 1), 500), ((1, 10, 1), 200), ((8, 30, 1), 2000)]:
        lbfgs(units, rows, options.rounds)
    evidence(options.starts + 4 if not options.smoke else 1, options.smoke)
    race(max(2, options.starts // 2), options.smoke)
    print("\n" + ", ".join(f"{key} {value}" for key, value in machine.items()))


def report(name, times, n, note=""):
    """A line: starts that got there, median and spread of their times."""
    got = [t for t in times if t is not None]
    text = "-"
    if got:
        low, high = min(got) * 1e3, max(got) * 1e3
        text = f"{statistics.median(got) * 1e3:9.2f} ms ({low:.2f} to {high:.2f})"
    print(f"  {name:<44} {len(got):3} of {n}  {text} {note}")
    return statistics.median(got) if got else float("nan")


def ratios(first, times):
    """Of others' medians to the first's."""
    for name, seconds in times.items():
        if seconds == seconds:  # not NaN
            print(f"  {name:<44} takes {seconds / first:.0f} times as long")


def timed_fit(new, X, y, goal, **options):
    """Seconds of a fit to the goal, its steps; None if it is not reached.

    A first fit finds how many steps that takes; a second one takes them.
    """
    net = new().fit(X, y, **options)
    below = [i for i, loss in enumerate(net.loss_curve_) if loss <= goal]
    if not below and not net.loss(X, y, alpha=options.get("alpha", 0.0)) <= goal:
        return None, 0
    steps = below[0] if below else net.n_iter_
    best = float("inf")
    for _ in range(3):
        net = new()
        begin = time.perf_counter()
        net.fit(X, y, **{**options, "max_iter": max(1, steps)})
        best = min(best, time.perf_counter() - begin)
    assert net.loss(X, y) <= goal * (1 + 1e-9), "the second fit was another"
    return best, steps


def rings(starts):
    """The tutorial's rings, to the loss that its own 2000 steps reach from the same draws."""
    units, times = (2, 4, 8, 1), {"tutorial": [], "lm": [], "lbfgs": []}
    steps = []
    for seed in range(starts):
        X, y = make_circles(500, factor=0.5, noise=0.05, random_state=seed)
        Y = y[:, np.newaxis].astype(float)
        np.random.seed(seed)
        layers = numpy_network.network(units)
        start = np.concatenate([p.ravel() for layer in layers for p in (layer.W, layer.b)])
        begin = time.perf_counter()
        for _ in range(2000):
            numpy_network.step(layers, X, Y, 0.05)
        times["tutorial"].append(time.perf_counter() - begin)
        goal = float(np.mean((numpy_network.predict(layers, X) - Y) ** 2) / 2)

        def new(start=start):
            return Network.from_params(start.copy(), units, "sigmoid")

        for solver, most in (("lm", 200), ("lbfgs", 2000)):
            seconds, n = timed_fit(new, X, Y, goal, solver=solver, max_iter=most)
            times[solver].append(seconds)
            if solver == "lm":
                steps.append(n)
    print("rings 2-4-8-1, to what 2000 steps of the tutorial reach")
    own = report("the tutorial's code, 2000 steps", times["tutorial"], starts)
    ours = report("fastnn lm", times["lm"], starts, f"{statistics.median(steps):.0f} steps")
    report("fastnn lbfgs", times["lbfgs"], starts)
    ratios(ours, {"the tutorial's code": own})


def deep(starts):
    times, steps = [], []
    for seed in range(starts):
        X, y = make_circles(500, factor=0.5, noise=0.05, random_state=seed)

        def new(seed=seed):
            return Network([2, 4, 8, 16, 8, 4, 1], "sigmoid", random_state=seed)

        seconds, n = timed_fit(new, X, y[:, np.newaxis].astype(float), DEEP_GOAL, solver="lm")
        times.append(seconds)
        steps.append(n)
    print(f"rings 2-4-8-16-8-4-1, to a loss of {DEEP_GOAL}")
    report("fastnn lm", times, starts, f"{statistics.median(steps):.0f} steps")


def equations_of(net, X, Y, *, dual=False):
    step_record = kernels.step_bytes(
        new_step("squared_error", solver="adam", learning_rate_init=0.1, batch_size=len(X))
    )
    units = np.array(net.layer_units, np.intp)
    build = kernels.build
    form, size_of = build.NormalEquations, build.normal_equations_size
    if dual:
        form, size_of = build.DualEquations, build.dual_equations_size
    workspace = kernels.aligned_empty(size_of(units, len(X), False))
    return form(units, net._codes, step_record, X, NO_COLUMNS, NO_ROW_STARTS, Y, workspace)


def by_least_squares(net, X, Y, goal):
    """Seconds of scipy.optimize.least_squares to the goal over compiled residuals and Jacobian."""
    equations, n = equations_of(net, X, Y), len(X)
    found = {}

    def residuals(params):
        rows, q = equations.jacobian(params)
        found["J"] = params.copy(), rows
        if q @ q / (2 * n) <= goal:
            raise Reached
        return q

    def rows_of(params):
        before, rows = found["J"]
        return rows if np.array_equal(before, params) else equations.jacobian(params)[0]

    begin = time.perf_counter()
    try:
        least_squares(residuals, net.params_.copy(), rows_of, method="trf", max_nfev=2000,
                      ftol=1e-15, xtol=1e-15, gtol=1e-15)  # fmt: skip
    except Reached:
        return time.perf_counter() - begin
    return None


def by_scikit_learn(seed, X, y, goal):
    """Seconds of scikit-learn's MLPRegressor to the goal."""

    class Watched(MLPRegressor):
        def _loss_grad_lbfgs(self, *args):
            loss, grads = super()._loss_grad_lbfgs(*args)
            if loss <= goal:
                raise Reached
            return loss, grads

    model = Watched(
        hidden_layer_sizes=(10,), activation="tanh", solver="lbfgs", alpha=0, max_iter=20000,
        max_fun=10**6, tol=1e-12, random_state=seed,
    )  # fmt: skip
    begin = time.perf_counter()
    with contextlib.suppress(Reached), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X, y)
        return None
    return time.perf_counter() - begin


def by_torch(net, X, Y, goal):
    """Seconds of torch-levenberg-marquardt to the goal."""
    torch = importlib.import_module("torch")
    package = importlib.import_module("torch_levenberg_marquardt")
    torch.set_num_threads(1)
    x, y = torch.from_numpy(X), torch.from_numpy(Y)
    layers = torch.nn.Sequential(
        torch.nn.Linear(1, 10), torch.nn.Tanh(), torch.nn.Linear(10, 1)
    ).double()
    with torch.no_grad():
        for layer, W, b in zip(layers[::2], net.coefs_, net.intercepts_, strict=True):
            layer.weight[:] = torch.from_numpy(np.ascontiguousarray(W.T))
            layer.bias[:] = torch.from_numpy(b.copy())
    module = package.training.LevenbergMarquardtModule(
        layers, loss_fn=package.loss.MSELoss(), solve_method="cholesky"
    )
    begin = time.perf_counter()
    for _ in range(300):
        _, mean_squares, *_ = module.training_step(x, y)  # before the step
        if float(mean_squares) <= 2 * goal:
            return time.perf_counter() - begin
    return None


def sinc(starts, smoke):
    """sinc by 1-10-1 tanh."""
    X = np.linspace(-1, 1, 200)[:, np.newaxis]
    Y = np.sinc(3 * X)
    names = ["fastnn lm", "fastnn lbfgs", "scipy least_squares, compiled J", "scikit-learn lbfgs"]
    try:
        importlib.import_module("torch_levenberg_marquardt")
        names.append("torch-levenberg-marquardt")
    except ImportError:
        print("torch-levenberg-marquardt is not installed")
    times, steps = {name: [] for name in names}, []
    for seed in range(starts):

        def new(seed=seed):
            return Network([1, 10, 1], "tanh", out_activation="identity", random_state=seed)

        seconds, n = timed_fit(new, X, Y, SINC_GOAL, solver="lm", max_iter=500)
        times[names[0]].append(seconds)
        steps.append(n)
        most = 500 if smoke else 5000
        times[names[1]].append(timed_fit(new, X, Y, SINC_GOAL, solver="lbfgs", max_iter=most)[0])
        times[names[2]].append(by_least_squares(new(), X, Y, SINC_GOAL))
        if seed < (1 if smoke else 16):
            times[names[3]].append(by_scikit_learn(seed, X, Y.ravel(), SINC_GOAL))
            if len(names) == 5:
                times[names[4]].append(by_torch(new(), X, Y, SINC_GOAL))
    print(f"sinc by 1-10-1 tanh, to a loss of {SINC_GOAL}")
    medians = {}
    for name, seconds in times.items():
        note = f"{statistics.median(steps):.0f} steps" if name == names[0] else ""
        medians[name] = report(name, seconds, len(seconds), note)
    ratios(medians.pop(names[0]), medians)


def step(units, rows, rounds):
    """One step: the equations and their solution, and NumPy's."""
    rng = np.random.RandomState(0)
    X, Y = rng.randn(rows, units[0]), rng.randn(rows, 1)
    net = Network(units, "tanh", out_activation="identity", random_state=0)
    equations, params = equations_of(net, X, Y), net.params_.copy()
    n = len(params)

    def jacobian():
        """J by NumPy: one backward pass, a product a layer."""
        outputs = [X]
        for W, b, last in zip(net.coefs_, net.intercepts_, [*[False] * 9, True][-len(net.coefs_):],
                              strict=True):  # fmt: skip
            z = outputs[-1] @ W + b
            outputs.append(z if last else np.tanh(z))
        delta, parts = np.ones((rows, 1)), []
        for i in reversed(range(len(net.coefs_))):
            a = outputs[i]
            parts.append(np.einsum("si,so->sio", a, delta).reshape(rows, -1))
            parts.append(delta)
            if i:
                delta = (delta @ net.coefs_[i].T) * (1 - a * a)
        ordered = [part for pair in zip(parts[::2], parts[1::2], strict=True) for part in pair]
        blocks = [ordered[2 * k : 2 * k + 2] for k in reversed(range(len(net.coefs_)))]
        return np.hstack([part for block in blocks for part in block]), outputs[-1] - Y

    def loss_of(params):
        """By NumPy."""
        a, at = X, 0
        for W, b in zip(net.coefs_, net.intercepts_, strict=True):
            coef = params[at : at + W.size].reshape(W.shape)
            z = a @ coef + params[at + W.size : at + W.size + b.size]
            a, at = (z if W is net.coefs_[-1] else np.tanh(z)), at + W.size + b.size
        return np.mean((a - Y) ** 2) / 2

    mean_loss = MeanLoss(
        np.array(units, np.intp), net._codes, "squared_error", 0.0, X, Y, n_jobs=1
    )
    assert abs(loss_of(params) / mean_loss(params, np.empty(0)) - 1) < 1e-12

    def theirs(mu):
        begin = time.perf_counter()
        J, residuals = jacobian()
        matrix, gradient = J.T @ J, J.T @ residuals[:, 0]
        middle = time.perf_counter()
        matrix[np.diag_indices(n)] += mu
        h = -cho_solve(cho_factor(matrix, overwrite_a=True, check_finite=False), gradient,
                       check_finite=False)  # fmt: skip
        end = time.perf_counter()
        loss_of(params + h)
        return middle - begin, end - middle, time.perf_counter() - end, h

    compare(
        f"one step, {'-'.join(map(str, units))}, {n} parameters, {rows} rows: J^T J", equations,
        mean_loss, params, theirs, rounds, rows * n * n / 2, n**3 / 6,
    )  # fmt: skip


def dual_step(units, rows, rounds):
    """One step in the dual form, and NumPy's, by products of rows: J is made by neither."""
    rng = np.random.RandomState(0)
    X, Y = rng.randn(rows, units[0]), rng.randn(rows, 1)
    net = Network(units, "tanh", out_activation="identity", random_state=0)
    params = net.params_.copy()
    mean_loss = MeanLoss(
        np.array(units, np.intp), net._codes, "squared_error", 0.0, X, Y, n_jobs=1
    )

    def outputs_of(coefs, intercepts):
        """By NumPy, of every layer."""
        outputs = [X]
        for i, (W, b) in enumerate(zip(coefs, intercepts, strict=True)):
            z = outputs[-1] @ W + b
            outputs.append(z if i == len(coefs) - 1 else np.tanh(z))
        return outputs

    def theirs(mu):
        begin = time.perf_counter()
        outputs = outputs_of(net.coefs_, net.intercepts_)
        delta, deltas, matrix = np.ones((rows, 1)), [], np.zeros((rows, rows))
        for i in reversed(range(len(net.coefs_))):
            a = outputs[i]
            matrix += (a @ a.T + 1) * (delta @ delta.T)
            deltas.insert(0, delta)
            delta = (delta @ net.coefs_[i].T) * (1 - a * a)
        middle = time.perf_counter()
        matrix[np.diag_indices(rows)] += mu
        weights = cho_solve(cho_factor(matrix, overwrite_a=True, check_finite=False),
                            outputs[-1] - Y, check_finite=False)  # fmt: skip
        changes = [(a.T @ (d * weights), (d * weights).sum(0)) for a, d in
                   zip(outputs[:-1], deltas, strict=True)]  # fmt: skip
        h = -np.concatenate([part.ravel() for pair in changes for part in pair])
        end = time.perf_counter()
        new = [(W - dW, b - db) for W, b, (dW, db) in
               zip(net.coefs_, net.intercepts_, changes, strict=True)]  # fmt: skip
        loss = np.mean((outputs_of(*zip(*new, strict=True))[-1] - Y) ** 2) / 2
        seconds = time.perf_counter() - end
        assert abs(loss / mean_loss(params + h, np.empty(0)) - 1) < 1e-9
        return middle - begin, end - middle, seconds, h

    # forward and back, products of rows; then the factor, forward, back and the gradient
    work = 2 * len(params) * rows + rows**2 / 2 * (sum(units[:-1]) + sum(units[1:]))
    compare(
        f"one dual step, {'-'.join(map(str, units))}, {len(params)} parameters, {rows} rows: "
        "J J^T", equations_of(net, X, Y, dual=True), mean_loss, params, theirs, rounds, work,
        rows**3 / 6 + 3 * len(params) * rows,
    )  # fmt: skip


def compare(name, equations, mean_loss, params, theirs, rounds, sum_work, solve_work):
    """Steps of ours and of theirs in turn, of so many multiply-adds each."""

    def ours(mu):
        begin = time.perf_counter()
        equations.sum(params)
        middle = time.perf_counter()
        h = np.empty_like(params)
        equations.solve(mu, h)
        end = time.perf_counter()
        mean_loss(params + h, np.empty(0))
        return middle - begin, end - middle, time.perf_counter() - end, h

    equations.sum(params)
    mu = 1e-2 * equations.scale
    a, b = ours(mu)[3], theirs(mu)[3]
    difference = np.abs(a - b).max() / np.abs(b).max()
    if not difference < 1e-8:
        sys.exit(f"{name}: solutions differ by {difference:.1e}; not timed")
    times = {"ours": [], "theirs": []}
    for _ in range(rounds):
        times["ours"].append(ours(mu)[:3])
        times["theirs"].append(theirs(mu)[:3])
    both = [sum(b) / sum(a) for a, b in zip(times["ours"], times["theirs"], strict=True)]
    sums, solves, losses_ = (statistics.median(t[i] for t in times["ours"]) for i in range(3))
    top = max(peak("float64") for _ in range(3))
    print(
        f"{name} {sums * 1e6:.0f} us ({sum_work / sums / top:.0%} of peak), solution "
        f"{solves * 1e6:.0f} us ({solve_work / solves / top:.0%}), loss {losses_ * 1e6:.0f} us; "
        f"NumPy takes {statistics.median(both):.2f} times as long ({min(both):.2f} to "
        f"{max(both):.2f})"
    )


def lbfgs(units, rows, rounds):
    """So many iterations of ours and of SciPy's, each by its time a loss."""
    rng = np.random.RandomState(0)
    X, Y = rng.randn(rows, units[0]), np.tanh(rng.randn(rows, 1))
    options, times, counts = {"solver": "lbfgs", "max_iter": 100}, {"ours": [], "theirs": []}, []
    loss = losses.CODES["squared_error"]
    for _ in range(rounds):
        net = Network(units, "tanh", out_activation="identity", random_state=0)
        start, grads = net.params_.copy(), np.empty_like(net.params_)
        begin = time.perf_counter()
        net.fit(X, Y, **options)
        times["ours"].append((time.perf_counter() - begin) / net.n_iter_)

        def objective(params, net=net, grads=grads):
            value = kernels.build.short_loss(
                params, net._units, net._codes, X, Y, loss, 0.0, -np.inf, np.inf, False, grads
            )
            if value is None:  # more rows than it takes
                net.params_[:] = params
                value = net._mean_loss(X, Y, 0.0, None, grads)
            return value, grads

        begin = time.perf_counter()
        result = minimize(objective, start, jac=True, method="L-BFGS-B",
                          options={"maxiter": 100, "gtol": 0, "ftol": 0})  # fmt: skip
        times["theirs"].append((time.perf_counter() - begin) / result.nit)
        counts.append((net.loss(X, Y), result.fun))
    both = [b / a for a, b in zip(times["ours"], times["theirs"], strict=True)]
    print(
        f"L-BFGS, {'-'.join(map(str, units))}, {rows} rows: "
        f"{statistics.median(times['ours']) * 1e6:.1f} us an iteration, SciPy takes "
        f"{statistics.median(both):.2f} times as long ({min(both):.2f} to {max(both):.2f}); "
        f"losses after 100: {counts[0][0]:.3g}, {counts[0][1]:.3g}"
    )


# ---- evidence ---------------------------------------------------------------------------------


def sine(draw):
    """Units, 41 noisy rows, and many without noise."""
    X, many = (np.linspace(-1, 1, n)[:, np.newaxis] for n in (41, 400))
    noise = 0.1 * np.random.RandomState(draw).randn(41)
    return (1, 20, 1), X, np.sin(2 * np.pi * X[:, 0]) + noise, many, np.sin(2 * np.pi * many[:, 0])


def friedman(draw):
    """The same of Friedman's function, 100 rows."""
    X, y = make_friedman1(100, n_features=5, noise=1.0, random_state=draw)
    many, true = make_friedman1(2000, n_features=5, noise=0.0, random_state=1000 + draw)
    return (5, 10, 1), (X - X.mean(0)) / X.std(0), y, (many - X.mean(0)) / X.std(0), true


def evidence(draws, smoke):
    alphas = np.logspace(-4, 2, 3 if smoke else 9)
    for problem in (sine, friedman):
        errors, times, held = {"evidence": [], "cv": []}, {"evidence": [], "cv": []}, []
        for draw in range(draws):
            units, X, y, many, true = problem(draw)
            mean, size = y.mean(), y.std()
            z = (y - mean) / size
            begin = time.perf_counter()
            net = Network(units, "tanh", random_state=draw)
            net.fit(X, z[:, np.newaxis], solver="lm", alpha="evidence", max_iter=100)
            times["evidence"].append(time.perf_counter() - begin)
            found, std = (a[:, 0] * size for a in net.predict(many, return_std=True))
            errors["evidence"].append(np.mean((found + mean - true) ** 2))
            of_function = np.sqrt(std**2 - net.noise_variance_ * size**2)
            held.append(np.mean(np.abs(found + mean - true) < 1.96 * of_function))
            begin = time.perf_counter()
            search = GridSearchCV(
                MLPRegressor(
                    hidden_layer_sizes=units[1:-1], activation="tanh", solver="lbfgs",
                    max_iter=200 if smoke else 1000, random_state=draw,
                ),
                {"alpha": alphas},
                cv=KFold(5, shuffle=True, random_state=0),
            )  # fmt: skip
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                search.fit(X, z)
            times["cv"].append(time.perf_counter() - begin)
            errors["cv"].append(np.mean((search.predict(many) * size + mean - true) ** 2))
        medians = {name: statistics.median(values) for name, values in errors.items()}
        seconds = {name: statistics.median(values) for name, values in times.items()}
        print(
            f"evidence, {problem.__name__}, {draws} draws: error {medians['evidence']:.3g} in "
            f"{seconds['evidence'] * 1e3:.1f} ms, by cross-validation {medians['cv']:.3g} in "
            f"{seconds['cv']:.2f} s: {medians['evidence'] / medians['cv']:.2f} of the error in "
            f"1/{seconds['cv'] / seconds['evidence']:.0f} of the time; "
            f"95% intervals hold {np.mean(held):.0%} of the function"
        )


# ---- a race -------------------------------------------------------------------------------------

SOLVERS = {
    "lm": {"solver": "lm", "max_iter": 500},
    "lbfgs": {"solver": "lbfgs", "max_iter": 3000},
    "rprop": {"solver": "rprop", "max_iter": 3000, "learning_rate_init": 0.01},
    "adam, batches of 32": {"batch_size": 32, "max_iter": 500, "learning_rate_init": 0.01},
}


def problems():
    """Name -> units, activations, loss, rows, targets, goal."""
    X, y = make_circles(500, factor=0.5, noise=0.05, random_state=0)
    yield "rings 2-4-8-1", (2, 4, 8, 1), "sigmoid", "squared_error", X, y[:, None], 4.3e-4
    X = np.linspace(-1, 1, 200)[:, np.newaxis]
    yield "sinc 1-10-1", (1, 10, 1), "tanh", "squared_error", X, np.sinc(3 * X), SINC_GOAL
    rng = np.random.RandomState(0)
    X, y = make_friedman1(5000, n_features=8, noise=1.0, random_state=rng)
    y = (y - y.mean()) / y.std()
    # the noise is 1 in about 25: half of its variance, and a little
    yield "Friedman, noisy, 8-30-1", (8, 30, 1), "tanh", "squared_error", X, y[:, None], 0.0225
    X, y = (scale(a) for a in load_diabetes(return_X_y=True))
    yield "diabetes 10-20-1", (10, 20, 1), "tanh", "squared_error", X, y[:, None], 0.15
    X, y = load_wine(return_X_y=True)
    yield "wine 13-10-3", (13, 10, 3), "tanh", "log_loss", scale(X), np.eye(3)[y], 1e-3
    X, y = load_digits(return_X_y=True)
    yield "digits 64-32-10", (64, 32, 10), "tanh", "log_loss", X / 16, np.eye(10)[y], 0.02


def seconds_to(new, X, y, goal, options):
    """Of a fit to the goal, by the loss after an epoch; None if it is not reached."""
    net = new().fit(X, y, callback=lambda net: net.loss(X, y) <= goal, **options)
    if net.loss(X, y) > goal:
        return None
    best, turns = float("inf"), 3
    while turns:
        again = new()
        begin = time.perf_counter()
        again.fit(X, y, **{**options, "max_iter": net.n_iter_})
        seconds = time.perf_counter() - begin
        best, turns = min(best, seconds), turns - 1 if seconds < 1 else 0
    assert again.loss(X, y) == net.loss(X, y)
    return best


def race(starts, smoke):
    for name, units, activation, loss, X, y, goal in problems():
        if smoke and ("digits" in name or "Friedman" in name):
            continue
        print(f"{name}, {len(X)} rows, to a loss of {goal}")
        for solver, options in SOLVERS.items():
            if smoke or (solver == "lm" and "digits" in name):  # there a step takes 0.3 s
                options = {**options, "max_iter": 60}
            times, n = [], min(starts, 5) if "digits" in name else starts
            for seed in range(n):
                new = functools.partial(
                    Network, units, activation, loss=loss, random_state=seed,
                    out_activation="sigmoid" if activation == "sigmoid" else None,
                )  # fmt: skip
                times.append(seconds_to(new, X, y.astype(float), goal, options))
            report(f"fastnn {solver}", times, n)


if __name__ == "__main__":
    main()
