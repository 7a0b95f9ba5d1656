"""Networks, data and runs for the tests of kernels and oracle, for every row of the catalog."""

import itertools
from typing import NamedTuple

import numpy as np
import pytest
from conftest import COMPILED

from fastnn import kernels as builds
from fastnn import reference
from fastnn.catalog import activations, losses, solvers
from fastnn.data.rows import NO_COLUMNS, NO_ROW_STARTS, SparseRows
from fastnn.kernels import aligned_zeros
from fastnn.threads import Team

ACTIVATIONS, LOSSES = activations.CODES, losses.CODES
SOLVERS = {row.name: row.code for row in solvers.SOLVERS if not row.searches}
HIDDEN = [row.name for row in activations.ACTIVATIONS if row.hidden]
ELEMENTWISE = [row.name for row in activations.ACTIVATIONS if row.elementwise]
OUTPUTS = [  # every loss with every output activation that it takes
    (row.name, out) for row in losses.LOSSES for out in [row.out_activation] if out
] + [
    (row.name, out) for row in losses.LOSSES if not row.out_activation for out in ACTIVATIONS
]  # fmt: skip

EVERY_BUILD = pytest.mark.parametrize(
    "module", [builds.load(name) for name in (*COMPILED, "reference")],
    ids=[*COMPILED, "reference"],
)  # fmt: skip

DENSE = (NO_COLUMNS, NO_ROW_STARTS)
NO_ORDER = np.empty(0, np.intp)


def units_of(*units):
    return np.array(units, np.intp)


def codes_of(*names):
    return np.array([ACTIVATIONS[name] for name in names], np.int32)


def loss_numbers(loss, n_outputs):
    """A number for each output, for a loss that takes them."""
    if losses.BY_NAME[loss].number is None:
        return []
    return np.linspace(0.1, 0.7, n_outputs).tolist()


def step_of(**fields):
    """The bytes of a step record; a loss or solver may be given by name, see `new_step`."""
    fields = {"learning_rate": 0.01, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8} | fields
    for field, codes in (("loss", LOSSES), ("solver", SOLVERS)):
        fields[field] = codes.get(fields.get(field, 0), fields.get(field, 0))
    return builds.step_bytes(builds.new_step(**{"budget": 0, "n_threads": 0} | fields))


def new_workspace(
    module, layer_units, batch_size, dtype, n_states=-1, n_threads=1, weighted=False
):
    """A workspace full of NaN: what is read must have been written."""
    workspace = builds.aligned_empty(
        module.workspace_size(
            layer_units, batch_size, dtype.itemsize, n_states, n_threads, weighted
        )
    )
    workspace[:] = 255
    return workspace


# named for their shapes: widths around whole vectors and panels, deep, narrow, wide
NETS = [
    ((1, 1), ("identity",), "squared_error"),
    ((2, 4, 8, 1), ("sigmoid", "sigmoid", "sigmoid"), "squared_error"),
    ((3, 7, 5), ("tanh", "relu"), "squared_error"),
    ((4, 33, 2), ("relu", "softmax"), "squared_error"),
    ((5, 17, 3), ("tanh", "softmax"), "log_loss"),
    ((2, 65, 16, 1), ("relu", "tanh", "sigmoid"), "binary_log_loss"),
    ((97, 64, 31, 4), ("relu", "identity", "sigmoid"), "binary_log_loss"),
    ((2, 4, 8, 16, 8, 4, 1), ("sigmoid",) * 6, "squared_error"),
    ((3, 17, 1), ("tanh", "exp"), "poisson"),
    ((7, 33, 5), ("relu", "exp"), "poisson"),
    ((4, 9, 3), ("tanh", "exp"), "squared_error"),
    ((4, 33, 3), ("relu", "identity"), "mean_squared_error"),
    ((3, 33, 17, 2), ("silu", "silu", "silu"), "squared_error"),
]


def with_the_rest(nets):
    """And a network for each hidden activation, and each loss and output, that none has."""
    nets, hidden = list(nets), itertools.cycle(HIDDEN)
    for name in HIDDEN:
        if not any(name in net[1][:-1] for net in nets):
            nets.append(((5, 33, 16, 2), (name, name, "identity"), "squared_error"))
    for loss, out in OUTPUTS:
        if not any((loss, out) == (net[2], net[1][-1]) for net in nets):
            nets.append(((4, 17, 3), (next(hidden), out), loss))
    return nets


N_WRITTEN = len(NETS)
NETS = with_the_rest(NETS)


def id_of(net):
    return "-".join(map(str, (*net[0], *net[1], net[2])))


def is_new(i):
    """Whether net i is written above, or the first with its loss or its hidden activation."""
    (_, (hidden, *_), loss), before = NETS[i], NETS[:i]
    return (
        i < N_WRITTEN
        or not any(hidden in net[1][:-1] for net in before)
        or not any(loss == net[2] for net in before)
    )


NEW = {NETS[i] for i in range(len(NETS)) if is_new(i)}


def in_turn(net, options):
    """All options on a new net; on one that only pairs what others have one option, in turn."""
    return options if net in NEW else [options[NETS.index(net) % len(options)]]


def every_net_and(name, options):
    """Every net with its options, for tests that take `net` and an argument of this name."""
    rows = [(net, option) for net in NETS for option in in_turn(net, options)]
    ids = [f"{id_of(net)}-{option}" for net, option in rows]
    return pytest.mark.parametrize(("net", name), rows, ids=ids)


EVERY_NET = pytest.mark.parametrize("net", NETS, ids=id_of)
# every solver on the nets above; on those that follow from the catalog one solver, in turn
EVERY_NET_AND_SOLVER = pytest.mark.parametrize(
    ("net", "solver"),
    [
        pytest.param(net, solver, id=f"{id_of(net)}-{solver}")
        for i, net in enumerate(NETS)
        for solver in (SOLVERS if i < N_WRITTEN else [list(SOLVERS)[i % len(SOLVERS)]])
    ],
)

# one chunk, several, cached, mini-batches with a rest, slices: (net, n, batch_size)
WAYS = [
    (NETS[1], 33, 33),
    (NETS[6], 900, 900),
    (NETS[5], 300, 128),
    (((3, 7, 2), ("tanh", "softmax"), "log_loss"), 20_000, 20_000),
    (((3, 7, 2), ("tanh", "exp"), "poisson"), 25_000, 10_000),
    (((3, 7, 2), ("tanh", "softmax"), "squared_error"), 67, 16),
    (((3, 7, 2), ("silu", "silu"), "squared_error"), 20_000, 20_000),
    (((97, 64, 31, 4), ("silu", "silu", "sigmoid"), "binary_log_loss"), 900, 300),
    (((3, 7, 3), ("tanh", "identity"), "quantile"), 20_000, 20_000),
    (((3, 7, 2), ("tanh", "exp"), "gamma"), 25_000, 10_000),
    (((3, 33, 2), ("relu", "silu"), "huber"), 67, 16),
]


def targets(rng, n, n_outputs, loss):
    """Of the loss's domain."""
    row = losses.BY_NAME[loss]
    if row.rows_sum_to_one:
        return np.eye(n_outputs)[rng.randint(n_outputs, size=n)]
    if row.open_low:
        return rng.exponential(size=(n, n_outputs)) + 0.1
    if row.low == 0 and row.high == np.inf:
        # zeros among them; not 1, which the outputs are near: a delta would be all cancellation
        return 1.3 * rng.poisson(1.5, (n, n_outputs))
    return rng.rand(n, n_outputs)


def problem(rng, dtype, units, n, loss):
    """Parameters, inputs and targets."""
    params = rng.uniform(-1, 1, reference.packed_size(units, 8)) / np.sqrt(units[0])
    x = rng.randn(n, units[0]).astype(dtype)
    return params.astype(dtype), x, targets(rng, n, units[-1], loss).astype(dtype)


def with_weights(rng, y):
    """y with a column of weights: some zero, some negative, with a positive sum."""
    weights = rng.exponential(size=(len(y), 1)) * rng.choice([0, 1, 1, 1, -0.1], (len(y), 1))
    weights[: len(y) // 2 + 1] += 1
    return np.hstack([y, weights.astype(y.dtype)])


def sparse_rows(rng, n, n_features, dtype, kind):
    """Sparse rows and their dense form: few values, some columns twice, some rows empty.

    Columns rise within the rows of kind "rising", which the first layer may take as they are, and
    in the first half of kind "half". The arrays hold more before and after the rows.
    """
    n_rising = {"rising": n, "half": n // 2, "any": 0}[kind]
    present = (rng.rand(n, n_features) < 0.05) & (rng.rand(n, 1) < 0.9)
    counts = present.sum(axis=1)
    counts[n_rising:] += rng.randint(3, size=n - n_rising)
    rising = np.nonzero(present[:n_rising])[1]
    others = rng.randint(n_features, size=counts[n_rising:].sum())
    columns = np.concatenate([[1, 0, 1], rising, others, [0, 2]]).astype(np.int32)
    row_starts = 3 + np.cumsum([0, *counts]).astype(np.intp)
    # whole numbers, whose sums do not depend on their order
    values = rng.randint(-4, 5, size=(1, len(columns))).astype(dtype) / 4
    dense = np.zeros((n, n_features), dtype)
    np.add.at(dense, (np.repeat(np.arange(n), counts), columns[3:-2]), values[0, 3:-2])
    return SparseRows(values, columns, row_starts), dense


def assert_close(got, want, dtype, length, floor=1e-3):
    """Equal up to the rounding of sums of `length` terms, relative to the largest."""
    tolerance = 1e-12 if dtype == np.float64 else 4 * np.sqrt(length) * np.finfo(dtype).eps
    scale = max(np.abs(want).max(), floor)
    np.testing.assert_allclose(got, want, rtol=0, atol=tolerance * scale)


class Run(NamedTuple):
    """What a training run left."""

    params: np.ndarray
    curve: np.ndarray
    output: np.ndarray
    cursor: np.ndarray  # epoch, row, step, status
    calls: int
    packed: np.ndarray
    rule: tuple = ()  # the stopping record
    kept: np.ndarray | None = None  # the parameters that it tells of


def run(module, dtype, net, params, x, y, solver, batch_size, order, n_epochs, **options):
    """train_epoch until it ends.

    Options are the step's fields, n_threads, pauses, short_way, seed of a bit generator,
    stopping, the fields of that record, and a schedule. noise_seed is the step's field seed.
    """
    units, codes = units_of(*net[0]), codes_of(*net[1])
    n_threads, pauses = options.pop("n_threads", 1), options.pop("pauses", ())
    short_way, seed = options.pop("short_way", False), options.pop("seed", None)
    generator = None if seed is None else np.random.MT19937(seed)
    options["seed"] = options.pop("noise_seed", 0)
    rule = options.pop("stopping", None)
    schedule = options.pop("schedule", None)
    n_states = solvers.BY_NAME[solver].n_states + ("ema" in options)
    n_packed = module.packed_size(units, dtype.itemsize)
    packed = aligned_zeros((1 + n_states) * n_packed, dtype).reshape(1 + n_states, n_packed)
    weighted = y.shape[1] > units[-1]
    workspace = new_workspace(module, units, batch_size, dtype, n_states, n_threads, weighted)
    step = step_of(
        **{"loss": net[2], "solver": solver, "batch_size": batch_size, "budget": 1e9,
           "momentum": 0.7, "take_back": 1, "loss_numbers": loss_numbers(net[2], net[0][-1]),
           **options}
    )  # fmt: skip
    params, cursor = params.copy(), np.zeros(1, builds.CURSOR)
    rows = x if isinstance(x, SparseRows) else (x, *DENSE)
    curve, output = np.zeros(n_epochs), np.full((len(y), units[-1]), np.nan, dtype)
    place = cursor.view(np.uint8)
    calls, at, more = 0, cursor[0], (generator,)
    if rule is not None:
        rule = builds.new_stopping(finite=-1, **rule)
        kept = aligned_zeros(2 * n_packed, dtype).reshape(2, n_packed)
        more = generator, rule.view(np.uint8), kept
    elif schedule is not None:
        more = generator, None, None, schedule
    with Team(module, n_threads) as team:
        step[: builds.STEP.itemsize].view(builds.STEP)["n_threads"] = team.n_threads
        epochs = module.Epochs(packed, units, codes, step, workspace, place)
        epochs.begin(params, *rows, y, order, team.memory, curve, output, *more)
        for stop in [*pauses, n_epochs]:
            at["status"], at["stop"] = builds.START, stop
            if short_way:
                epochs.until(stop)
            while at["status"] in (builds.START, builds.RUNNING):
                module.train_epoch(
                    params, packed, units, codes, step, *rows, y, order, workspace, team.memory,
                    place, curve, output, *more,
                )  # fmt: skip
                calls += 1
            if at["status"] != builds.FINISHED:
                break
    result = Run(params, curve, output, np.array(at.item()[:4]), calls, packed)
    if rule is None:
        return result
    best = np.empty_like(params)
    scratch = new_workspace(module, units, 1, dtype)
    module.unpack(kept[rule["finite"][0]], units, codes, scratch, best)
    return result._replace(rule=rule.item(), kept=best)
