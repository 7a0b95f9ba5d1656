"""Drawn values: arrays in every layout, options of a fit, and what must be refused.

Everything is drawn from an object with the methods of `random.Random`, so that a seed, Hypothesis
and the bytes of a file can all drive the same code.
"""

import numpy as np
import scipy.sparse

from fastnn import schedules
from fastnn.catalog import activations, initializers, losses, solvers

HIDDEN = [row.name for row in activations.ACTIVATIONS if row.hidden]
EVERY = [row.name for row in activations.ACTIVATIONS]
LOSSES = [row.name for row in losses.LOSSES if row.public]
INITS = [row.name for row in initializers.INITIALIZERS]
SOLVERS = [row.name for row in solvers.SOLVERS if row.public and not row.searches]
SEARCHES = [row.name for row in solvers.SOLVERS if row.searches]
SCHEDULES = ["linear", "cosine", "one_cycle", "step", "exponential", "inverse_sqrt"]


def chance(random, share):
    return random.random() < share


# ---- arrays -------------------------------------------------------------------------------------


class Own(np.ndarray):
    """An array of another class."""


class WithArray:
    """Not an array, but NumPy can make one of it."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.array, dtype)


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def unaligned(array):
    memory = np.zeros(array.nbytes + 1, np.uint8)
    moved = memory[1:].view(array.dtype).reshape(array.shape)
    moved[...] = array
    return moved


def strided(array):
    wide = np.full((*array.shape[:-1], 2 * array.shape[-1]), 77, array.dtype)
    wide[..., ::2] = array
    return wide[..., ::2]


LAYOUTS = {
    "C": lambda a: a,
    "Fortran": np.asfortranarray,
    "strided": strided,
    "every second row": lambda a: np.repeat(a, 2, axis=0)[::2],
    "rows backwards": lambda a: a[::-1].copy()[::-1],
    "columns backwards": lambda a: a[..., ::-1].copy()[..., ::-1],
    "read-only": read_only,
    "unaligned": unaligned,
    "swapped": lambda a: a.astype(a.dtype.newbyteorder()),
    "swapped and strided": lambda a: strided(a.astype(a.dtype.newbyteorder())),
    "subclass": lambda a: a.view(Own),
    "__array__": WithArray,
    "list": lambda a: a.tolist(),
    "tuple": lambda a: tuple(map(tuple, a.tolist())) if a.ndim == 2 else tuple(a.tolist()),
}
TYPES = ["f8", "f4", "f2", "i8", "i4", "i1", "u1", "u8", "?", ">f8", ">i2"]


def in_some_layout(random, array, names=tuple(LAYOUTS)):
    """The array as somebody may pass it."""
    return LAYOUTS[random.choice(names)](array)


def generator(random):
    return np.random.Generator(np.random.PCG64(random.getrandbits(32)))


def scale_of(random):
    """Mostly 1; now and then what underflows or overflows somewhere on the way."""
    if chance(random, 0.85):
        return 1.0
    return random.choice([0.0, 1e-3, 30.0, 1e3, 1e8, 1e18, 1e37, 1e150, 1e-20, 1e-42, 1e-310])


def rows(random, n, n_columns):
    """Numbers in double precision that the type they are given in holds, and that type."""
    rng = generator(random)
    array = rng.standard_normal((n, n_columns))
    if chance(random, 0.15):
        array *= scale_of(random)
    if chance(random, 0.2):
        array[rng.random(array.shape) < 0.5] = 0
    if chance(random, 0.1):
        array[rng.integers(n)] = array[0]
    if chance(random, 0.6):
        return array
    kind = np.dtype(random.choice(TYPES))
    if kind.kind in "iub":
        array = np.clip(np.rint(3 * array), 0 if kind.kind in "ub" else -100, 100)
    with np.errstate(over="ignore"):
        cast = array.astype(kind)
    if not np.isfinite(cast.astype(np.float64)).all():
        return array
    return cast


def targets(random, n, n_outputs, loss, out_activation):
    """Within the loss's domain and in reach of the output."""
    rng, row = generator(random), losses.BY_NAME[loss]
    reach = activations.BY_NAME[out_activation]
    if row.rows_sum_to_one:
        if chance(random, 0.8):
            return np.eye(n_outputs)[rng.integers(n_outputs, size=n)]
        y = rng.integers(0, 5, (n, n_outputs)) + 1.0 * np.eye(n_outputs)[0]
        return y / y.sum(axis=1, keepdims=True)
    if row.open_low:
        return rng.exponential(size=(n, n_outputs)) + 0.1
    if row.high == 1:
        return (rng.random((n, n_outputs)) < 0.5) * 1.0
    if row.low == 0:
        return rng.poisson(1.5, (n, n_outputs)) * 1.0
    if loss == "quantile":
        n_outputs = 1
    y = rng.standard_normal((n, n_outputs))
    if chance(random, 0.1):
        y *= scale_of(random)
    low, high = reach.low, reach.high
    if np.isfinite(low) or np.isfinite(high):
        y = np.clip(np.abs(y), low, high) if low == 0 else np.clip(y, low, high)
    return y


def weights(random, n):
    rng = generator(random)
    array = rng.exponential(size=n)
    if chance(random, 0.5):
        array = rng.integers(0, 3, n) * 1.0
        array[rng.integers(n)] = 1
    return array


def sparse(random, array):
    """A sparse matrix of these numbers, with explicit zeros and duplicates now and then."""
    kind = random.choice(["csr", "csc", "csr with zeros", "csr with duplicates", "long indices"])
    make = random.choice([scipy.sparse.csr_array, scipy.sparse.csr_matrix])
    if kind == "csc":
        return scipy.sparse.csc_array(array)
    matrix = make(array)
    n, k = array.shape
    if kind == "csr with zeros":
        matrix = make((array.ravel(), np.tile(np.arange(k), n), k * np.arange(n + 1)), (n, k))
    if kind == "csr with duplicates":  # halves are exact
        data, columns = np.repeat(array.ravel() / 2, 2), np.repeat(np.tile(np.arange(k), n), 2)
        matrix = make((data, columns, 2 * k * np.arange(n + 1)), (n, k))
    if kind == "long indices":
        matrix.indices = matrix.indices.astype(np.int64)
        matrix.indptr = matrix.indptr.astype(np.int64)
    return matrix


# ---- options ------------------------------------------------------------------------------------


def falling(t):
    return 1.0 - 0.9 * t


def solver_options(random, n_hidden, schedule=True):
    """Of a fit. They go together."""
    options = {}
    if chance(random, 0.75):
        options["solver"] = random.choice(SOLVERS)
    solver = options.get("solver", "adam")
    if chance(random, 0.6):
        options["learning_rate_init"] = random.choice([1e-3, 0.01, 0.1, 1.0, 1e-6])
    if chance(random, 0.15):
        options["alpha"] = random.choice([0.0, 1e-4, 0.1, 1, 10.0])
    if solver == "sgd" and chance(random, 0.6):
        options["momentum"] = random.choice([0.0, 0.5, 0.9])
        options["nesterovs_momentum"] = chance(random, 0.5)
    if chance(random, 0.1):
        options["beta_1"], options["beta_2"] = random.choice([(0.0, 0.0), (0.5, 0.9), (0.9, 0.0)])
    if chance(random, 0.1):
        options["epsilon"] = random.choice([1e-8, 1e-3, 1.0])
    if chance(random, 0.1):
        options["rho"] = random.choice([0.0, 0.5, 0.9])
    if solver == "adamw" and chance(random, 0.6):
        options["weight_decay"] = random.choice([0.0, 0.1, 1.0])
        options["decay_intercepts"] = chance(random, 0.5)
        if schedule and chance(random, 0.2):
            options["weight_decay"] = falling
    if solver == "rprop":
        options["take_back"] = chance(random, 0.5)
    elif chance(random, 0.15):
        options["clip_norm"] = random.choice([1e-3, 0.5, 1.0, 1e3])
    if chance(random, 0.15):
        options["ema"] = random.choice([0.5, 0.9, 0.999])
    if chance(random, 0.1):
        options["input_noise"] = random.choice([1e-3, 0.1, 2.0])
    if n_hidden and chance(random, 0.15):
        options["dropout"] = random.choice(
            [0.1, 0.5, 0.9, [random.choice([0.0, 0.3]) for _ in range(n_hidden)]]
        )
    if schedule and solver != "rprop" and chance(random, 0.2):
        options["learning_rate"] = random.choice(
            [*SCHEDULES, falling, schedules.Cosine(), 0.5 * schedules.Linear()]
        )
    return options


# ---- what must be refused -----------------------------------------------------------------------


class NoText:
    def __repr__(self):
        raise RuntimeError("no text\nof two lines")


ODD = (
    None, "", "zzz\nzzz", b"zzz", -1, 2**70, 10**5000, -0.5, 1.5, float("nan"), float("inf"),
    1j, [], [[]], [1, [2]], {}, set(), object(), NoText(), np.float32("nan"), np.array(3),
    np.array([]), np.array("zzz"), np.datetime64("2020"), True, callable, (1, 2, 3), range(3),
    slice(1), np.ma.masked_array([1.0, 2.0], [True, False]), "1e5", "adam", "cosine", "tanh",
    np.zeros((0, 3)), np.zeros((2, 0)), np.zeros((1, 1, 1)), scipy.sparse.csr_array((2, 2)), type,
)  # fmt: skip


def _without_columns(x):
    return np.asarray(x, np.float64)[:, :0]


def _poisoned(value):
    def poison(x):
        x = np.array(x, np.float64)
        x.flat[x.size // 2] = value
        return x

    return poison


BAD_ROWS = {  # functions of good rows
    "NaN": _poisoned(np.nan),
    "infinite": _poisoned(-np.inf),
    "wider": lambda x: np.hstack([x, x]),
    "no columns": _without_columns,
    "no rows": lambda x: x[:0],
    "three dimensions": lambda x: x[np.newaxis],
    "a number": lambda x: 3.0,
    "text": lambda x: x.astype(str),
    "complex": lambda x: x.astype(complex),
    "objects": lambda x: x.astype(object),
    "nothing": lambda x: None,
    "masked": np.ma.masked_array,
    "sparse": scipy.sparse.csr_array,
    "unequal": lambda x: [*x.tolist(), [1.0] * (x.shape[1] + 1)],
    "dates": lambda x: np.full(x.shape, np.datetime64("2020")),
    "records": lambda x: np.zeros(x.shape, [("a", "f8")]),
    "longer": lambda x: np.vstack([x, x]),
}
BAD_OPTIONS = {
    "solver": [None, "zzz", 3, "Adam\n", NoText()],
    "learning_rate": ["zzz", 0.1, None, [0.1]],
    "learning_rate_init": [0, -1.0, float("nan"), float("inf"), "1", None, True, 10**400, 1j],
    "alpha": [-1, float("nan"), "0", None, True],
    "momentum": [1, -0.1, float("nan"), None],
    "nesterovs_momentum": [1, None, "yes"],
    "beta_1": [1, -1e-9, "0.9"],
    "beta_2": [1.0, 2, None],
    "rho": [1.0, -1],
    "epsilon": [0, -1e-8, float("inf")],
    "weight_decay": [-1, float("nan"), "0.1", None],
    "decay_intercepts": [0, None],
    "take_back": [1, "no"],
    "clip_norm": [-1.0, float("nan"), None],
    "ema": [1, -0.5, None],
    "input_noise": [-1, float("inf"), "0"],
    "dropout": [1.0, -0.1, [0.1] * 9, "0.1", None],
    "batch_size": [0, -1, 2.5, "all", None, True, 2**70, [3]],
    "shuffle": [1, None, "yes"],
    "label_smoothing": [1.0, -0.1, None, "0.1"],
    "sample_weight": [[-1.0], "zzz", [[1.0]], [float("nan")] * 3],
    "max_iterations": [3],
    "zzz": [1],
}
BAD_OF_FIT = {
    "max_iter": [0, -1, 2.5, None, "3", True, 2**70],
    "tol": [-1, None, "0", float("nan")],
    "n_iter_no_change": [0, -1, 1.5, 3],
    "callback": [3, "zzz", [len, 3]],
    "callback_every": [0, 1.5, None],
    "X_val": [[[1.0]], 3],
    "y_val": [[1.0], None],
    "scoring": ["zzz", 3],
}
BAD_OF_NETWORK = {
    "layer_units": [[], [3], "342", None, 3, [3, 0], [2, -1], [2.5, 1], [2, "1"], [2**40, 2**40],
                    {2: 1}, [True, 2], [2, None]],
    "activation": ["zzz", None, 3, [], ["tanh"] * 9, "softmax", [3], {}],
    "out_activation": ["zzz", 3, ["tanh"]],
    "loss": ["zzz", None, 3, (min,), (1, 2), (min, max, sum)],
    "init": ["zzz", None, 3],
    "last_layer_scale": [None, "1", float("nan"), True],
    "dtype": ["f2", int, None, "zzz", object, NoText(), "f8,f8", "c16", ">f8x"],
    "random_state": ["zzz", -1, 2**32, 1.5, True, []],
    "n_jobs": [0, -2, 1.5, "2", True],
    "solver": ["adam"],
}  # fmt: skip
