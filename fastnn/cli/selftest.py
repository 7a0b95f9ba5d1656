"""A test of about two seconds: every build that runs here, held to the oracle in NumPy.

Small networks are made from the catalog: one for each activation, loss and solver, and for what
else kernels do. Each computes with a build and with `fastnn.reference`, from the same start, and
the numbers must agree as near as rounding allows; with several threads, to the last bit.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn import kernels, threads, work
from fastnn.catalog import activations, losses, solvers
from fastnn.estimators import MLPRegressor
from fastnn.many import fit_many
from fastnn.network import Network

Array = NDArray[Any]

SHAPES = (5, 33, 17, 3), (1, 8, 3), (97, 64, 15, 3)  # around the widths of vectors
N_ROWS = 37
STEPS = 100.0  # how much farther apart the few steps of a fit may carry two roundings
SHARED = (16, 64, 48, 4), 1200  # units and rows that several threads share
N_THREADS = 3


class Case(NamedTuple):
    """Something that a build computes.

    Attributes
    ----------
    kind, name : str
        What is tested, such as "solver" and "adam".
    compute : function
        Returns numbers.
    factor : float
        How many times as far from the oracle's they may be as sums of one pass.
    """

    kind: str
    name: str
    compute: Callable[[], list[Array]]
    factor: float = 1.0


class Result(NamedTuple):
    """What a build made of the cases of one type.

    Attributes
    ----------
    build, dtype : str
    passed : dict of int
        Kind -> how many cases.
    failed : list of str
        A line for each case that went wrong.
    """

    build: str
    dtype: str
    passed: dict[str, int]
    failed: list[str]


def run() -> Iterator[Result]:
    """The results of every build and type, one after the other.

    Raises
    ------
    ImportError
        If the compiled modules are missing or broken.
    """
    builds = {name: kernels.load(name) for name in kernels.supported()}
    for dtype in (np.float64, np.float32):
        cases = list(_cases(np.dtype(dtype)))
        with _computing(builds["reference"]):
            right = [case.compute() for case in cases]
        for name, build in builds.items():
            if name != "reference":
                yield _held_to(right, cases, name, build, np.dtype(dtype))


def timed() -> tuple[list[Result], float]:
    """All results, and how many seconds they took."""
    start = time.perf_counter()
    return list(run()), time.perf_counter() - start


def _held_to(
    right: list[list[Array]], cases: list[Case], name: str, build: Any, dtype: np.dtype[Any]
) -> Result:
    """What one build makes of the cases, and whether threads change a bit."""
    result = Result(name, dtype.name, {}, [])

    def note(kind: str, name: str, wrong: str) -> None:
        if wrong:
            result.failed.append(f"{kind} {name}: {wrong}")
        else:
            result.passed[kind] = result.passed.get(kind, 0) + 1

    for case, wanted in zip(cases, right, strict=True):
        try:
            with _computing(build):
                got = case.compute()
            wrong = _difference(got, wanted, case.factor * _rounding(dtype))
        except Exception as error:  # of whatever kind: the report is to tell
            wrong = f"{type(error).__name__}: {' '.join(str(error).split())}"
        note(case.kind, case.name, wrong)
    for way in _SHARED:
        try:
            alone, together = _shared(build, way, dtype, 1), _shared(build, way, dtype, N_THREADS)
            same = all(map(np.array_equal, alone, together))
            wrong = "" if same else f"{N_THREADS} give other bits than one"
        except Exception as error:
            wrong = f"{type(error).__name__}: {' '.join(str(error).split())}"
        note("threads", way, wrong)
    return result


def _rounding(dtype: np.dtype[Any]) -> float:
    """How far apart, relative to the largest, sums of the cases' lengths may be."""
    if dtype == np.float64:
        return 1e-12
    return 4 * math.sqrt(max(N_ROWS, *itertools.chain(*SHAPES))) * float(np.finfo(dtype).eps)


def _difference(got: list[Array], wanted: list[Array], tolerance: float) -> str:
    """By how much the farthest are apart, if that is too much."""
    for one, other in zip(got, wanted, strict=True):
        if not np.isfinite(one).all():
            return "not finite"
        farthest = np.abs(one - other).max() / max(np.abs(other).max(), 1e-3)
        if farthest > tolerance:
            return f"off by {farthest:.1e}, at most {tolerance:.1e}"
    return ""


@contextlib.contextmanager
def _computing(build: Any, n_threads: int = 1) -> Iterator[None]:
    """Networks compute by this build; several threads share work that is too small for them."""
    several = n_threads > 1
    replaced = [
        (kernels, "build", build),
        (threads, "_available", lambda: n_threads),  # also where there are fewer cores
        (work, "WORTH_A_THREAD", 0.0 if several else work.WORTH_A_THREAD),
    ]
    before = [(room, name, getattr(room, name)) for room, name, _ in replaced]
    try:
        for room, name, value in replaced:
            setattr(room, name, value)
        yield
    finally:
        for room, name, value in before:
            setattr(room, name, value)


# ---- what is computed ---------------------------------------------------------------------------


def _cases(dtype: np.dtype[Any]) -> Iterator[Case]:
    rng, options = np.random.RandomState(0), dict[str, Any]()
    hidden = itertools.cycle([row.name for row in activations.ACTIVATIONS if row.hidden])
    for units in SHAPES:
        X = rng.standard_normal((N_ROWS, units[0]))
        y = rng.standard_normal((N_ROWS, units[-1]))
        net = functools.partial(Network, units, dtype=dtype, random_state=0)
        fitted = functools.partial(_fitted, net, X, y)
        for row in activations.ACTIVATIONS:
            options = {"activation" if row.hidden else "out_activation": row.name}
            yield Case("forward", row.name, functools.partial(_predicted, net, X, options))
        for loss in losses.LOSSES:
            if loss.public:
                options = {"activation": next(hidden), "loss": loss.name, **_OF_LOSS[loss.number]}
                if not loss.out_activation:
                    options["out_activation"] = "identity"
                targets = _targets(rng, loss, units[-1])
                gradient = functools.partial(_loss_and_grad, net, X, targets, options)
                yield Case("gradient", loss.name, gradient)
        for solver in solvers.SOLVERS:
            if solver.public:
                whole = solver.searches or solver.name == "rprop"
                options = {"solver": solver.name, "batch_size": "auto" if whole else 16}
                fit = functools.partial(fitted, next(hidden), options)
                yield Case("solver", solver.name, fit, STEPS)
        for option, value in _OPTIONS.items():
            options = {"solver": "sgd", "batch_size": 16, option: value}
            yield Case("option", option, functools.partial(fitted, "tanh", options), STEPS)
        of_rows = functools.partial(_of_sparse_rows, X, y, dtype)
        yield Case("sparse rows", "csr", of_rows, STEPS)
        together = functools.partial(_side_by_side, X, y, dtype)
        yield Case("many nets", "in lanes", together, STEPS)


# what a loss's numbers are
_OF_LOSS: dict[str | None, dict[str, object]] = {
    None: {}, "delta": {"delta": 0.5}, "quantile": {"quantile": (0.1, 0.5, 0.9)},
}  # fmt: skip
_OPTIONS: dict[str, object] = {
    "momentum": 0.9,
    "alpha": 0.1,
    "clip_norm": 0.1,
    "ema": 0.9,
    "dropout": 0.3,
    "input_noise": 0.1,
    "learning_rate": "cosine",
}


def _targets(rng: np.random.RandomState, loss: losses.Loss, n_outputs: int) -> Array:
    """Of the loss's domain."""
    shape = N_ROWS, n_outputs
    if loss.number == "quantile":  # one target for all levels
        shape = N_ROWS, 1
    if loss.rows_sum_to_one:
        return np.eye(shape[1])[rng.randint(shape[1], size=shape[0])]
    return rng.uniform(0.1, 0.9, shape)


def _predicted(net: Callable[..., Network], X: Array, options: dict[str, Any]) -> list[Array]:
    return [net(**options).predict(X)]


def _loss_and_grad(
    net: Callable[..., Network], X: Array, y: Array, options: dict[str, Any]
) -> list[Array]:
    loss, coef_grads, intercept_grads = net(**options).loss_and_grad(X, y)
    return [np.array(loss), *coef_grads, *intercept_grads]


def _fitted(
    net: Callable[..., Network], X: Array, y: Array, activation: str, options: dict[str, Any]
) -> list[Array]:
    """The parameters and losses of two epochs."""
    one = net(activation=activation, out_activation="identity")
    one.fit(X, y, **{"max_iter": 2, "learning_rate_init": 0.01, **options})
    return [one.params_, np.array(one.loss_curve_)]


def _of_sparse_rows(X: Array, y: Array, dtype: np.dtype[Any]) -> list[Array]:
    from scipy.sparse import csr_array

    few = np.where(np.abs(X) > 1, X, 0).astype(dtype)
    model = MLPRegressor(
        hidden_layer_sizes=(17,), activation="tanh", batch_size=16, random_state=0
    )
    # each an epoch, and no warning that two are not enough
    for _ in range(2):
        model.partial_fit(csr_array(few), y.astype(dtype))
    return [*model.coefs_, *model.intercepts_, model.predict(csr_array(few))]


def _side_by_side(X: Array, y: Array, dtype: np.dtype[Any]) -> list[Array]:
    nets = [
        Network((X.shape[1], 8, y.shape[1]), "tanh", dtype=dtype, random_state=i) for i in range(5)
    ]
    fit_many(nets, X, y, layout="nets", batch_size=8, max_iter=2, learning_rate_init=0.01)
    return [net.params_ for net in nets]


# ---- threads ------------------------------------------------------------------------------------

_SHARED = "predict", "fit"


def _shared(build: Any, way: str, dtype: np.dtype[Any], n_threads: int) -> list[Array]:
    """What so many threads come to."""
    units, n = SHARED
    rng = np.random.RandomState(0)
    X, y = rng.standard_normal((n, units[0])), rng.standard_normal((n, units[-1]))
    net = Network(units, "tanh", out_activation="identity", dtype=dtype, random_state=0)
    net.n_jobs = n_threads
    with _computing(build, n_threads):
        if way == "predict":
            return [net.predict(X)]
        net.fit(X, y, batch_size=n, max_iter=2)
        return [net.params_]
