"""Networks in lanes against the oracle; what may change no bit; how fits end."""

from typing import NamedTuple

import numpy as np
import pytest
from cases import (
    EVERY_NET,
    EVERY_NET_AND_SOLVER,
    NETS,
    assert_close,
    codes_of,
    loss_numbers,
    problem,
    step_of,
    units_of,
)
from conftest import THOROUGH

from fastnn import kernels as builds
from fastnn import reference
from fastnn.catalog import solvers

N = 70  # rows of the table
ORACLES = {}  # case -> what there was to train, and what the oracle made of it


class Fits(NamedTuple):
    """What there is to train."""

    net: tuple
    params: np.ndarray
    table: np.ndarray
    rows: list
    steps: list
    n_epochs: list
    seeds: list  # of shuffles; None: no shuffles


class Trained(NamedTuple):
    params: np.ndarray
    states: np.ndarray
    curves: np.ndarray
    ends: np.ndarray


def fits_of(rng, dtype, net, solver, sizes, batches, n_epochs, seeds=None, **options):
    """One fit for each of sizes; the other lists go round."""
    _, x, y = problem(rng, dtype, units_of(*net[0]), N, net[2])
    params = np.array([problem(rng, dtype, units_of(*net[0]), 1, net[2])[0] for _ in sizes])
    options = {"momentum": 0.7, "budget": 1e9, "alpha": 0.1, **options}
    steps = [
        step_of(
            loss=net[2], solver=solver, batch_size=batches[i % len(batches)],
            loss_numbers=loss_numbers(net[2], net[0][-1]),
            **{k: v[i % len(v)] if isinstance(v, list) else v for k, v in options.items()},
        )
        for i in range(len(sizes))
    ]  # fmt: skip
    return Fits(
        net, params, np.hstack([x, y]), [rng.randint(N, size=n) for n in sizes], steps,
        [n_epochs[i % len(n_epochs)] for i in range(len(sizes))],
        [None if seeds is None else seeds + i for i in range(len(sizes))],
    )  # fmt: skip


def some_of(fits, numbers):
    each = (fits.rows, fits.steps, fits.n_epochs, fits.seeds)
    rows, steps, n_epochs, seeds = ([one[i] for i in numbers] for one in each)
    return fits._replace(
        params=fits.params[numbers], rows=rows, steps=steps, n_epochs=n_epochs, seeds=seeds
    )


def lanes_of(module, dtype):
    return module.build_info()["lanes_f32" if dtype == np.float32 else "lanes_f64"]


def begin(module, dtype, fits, all_rows=False):
    """NetLanes and the arrays that it writes."""
    units, codes = units_of(*fits.net[0]), codes_of(*fits.net[1])
    n, steps = len(fits.params), np.array(fits.steps)
    solver = int(steps[0][: builds.STEP.itemsize].view(builds.STEP)["solver"][0])
    n_states = solvers.BY_CODE[solver].n_states
    arrays = Trained(
        fits.params.copy(), np.zeros((n, n_states, fits.params.shape[1]), dtype),
        np.zeros((n, max(fits.n_epochs))), np.zeros((n, 3), np.int64),
    )  # fmt: skip
    generators = [None if s is None else np.random.MT19937(s) for s in fits.seeds]
    lengths = [len(fits.table) if all_rows else len(rows) for rows in fits.rows]
    lanes = module.NetLanes(
        arrays.params, arrays.states, units, codes, steps, fits.table,
        None if all_rows else np.concatenate(fits.rows),
        np.concatenate([[0], np.cumsum(lengths)]), np.array(fits.n_epochs), generators,
        arrays.curves, arrays.ends,
    )  # fmt: skip
    return lanes, arrays


def train(module, dtype, fits, n_lanes=None, **options):
    """All of them, at most n_lanes at a time."""
    lanes, arrays = begin(module, dtype, fits, **options)
    workspace = builds.aligned_empty(lanes.workspace_size)
    workspace[:] = 0
    waiting, at_work = list(range(len(fits.params))), set()
    n_lanes = n_lanes or lanes_of(module, dtype)
    while waiting or at_work:
        fresh = [waiting.pop(0) for _ in range(min(len(waiting), n_lanes - len(at_work)))]
        ended = lanes.train(workspace, fresh)
        at_work = (at_work | set(fresh)) - set(ended)
        assert all(arrays.ends[i, 2] >= builds.FINISHED for i in ended)
    return arrays


def assert_same_bits(got, want):
    for a, b in zip(got, want, strict=True):
        np.testing.assert_array_equal(a, b)


@EVERY_NET_AND_SOLVER
def test_oracle(kernels, dtype, net, solver, rng):
    """An epoch of networks with rows, batches and orders of their own."""
    if solver == "rprop":
        pytest.skip("goes by whole batches")
    # steps that follow the gradient's size, which may be noise
    options = {"epsilon": 1.0} if solver in ("adam", "adamw", "nadam", "rmsprop") else {}
    if solver == "adamw":
        options |= {"weight_decay": 0.3, "decay_intercepts": [0, 1]}
    sizes = [1, 7, 8, 9, 33, N, 16, 2, 31, 17, 40, 3, 24, 5, 12, 50, 6, 70, 11]
    fits = fits_of(rng, dtype, net, solver, sizes, [1, 8, 100, 13], [1], 5,
                   learning_rate=[0.01, 0.02], **options)  # fmt: skip
    case = net, solver, dtype.str
    if case not in ORACLES:  # which is slow, and every build has the same case
        ORACLES[case] = fits, train(reference, dtype, fits)
    same, want = ORACLES[case]
    np.testing.assert_array_equal(same.table, fits.table)
    got = train(kernels, dtype, fits)
    length = N * max(net[0]) * max(net[0][1:])
    for one, other in zip(got[:3], want[:3], strict=True):
        if one.size:
            assert_close(one, other, dtype, length, floor=0.1)
    np.testing.assert_array_equal(got.ends, want.ends)
    assert (np.abs(got.params - fits.params).max(axis=1) > 0).all()


@EVERY_NET
def test_no_company_changes_a_bit(kernels, dtype, net, rng):
    """Nor the order of networks, the lane, the calls, or tiles that are kept."""
    n_epochs = [3, 1, 2, 5]
    for batches in ([100], [8, 5, 16]):  # the first in tiles that are kept
        sizes = (4 if THOROUGH else 2) * [9, N, 31, 8, 16]
        fits = fits_of(rng, dtype, net, "adam", sizes, batches, n_epochs, 2)
        together = train(kernels, dtype, fits)
        n = len(fits.params)
        for order in ([*range(n)][::-1], rng.permutation(n)):
            again = train(kernels, dtype, some_of(fits, order))
            np.testing.assert_array_equal(again.params, together.params[order])
            np.testing.assert_array_equal(again.curves, together.curves[order])
        for i in rng.permutation(n)[:3]:
            alone = train(kernels, dtype, some_of(fits, [i]))
            np.testing.assert_array_equal(alone.params[0], together.params[i])
            np.testing.assert_array_equal(alone.states[0], together.states[i])
        assert_same_bits(train(kernels, dtype, fits, n_lanes=1), together)
        short = [s.copy() for s in fits.steps]
        for step in short:
            step[: builds.STEP.itemsize].view(builds.STEP)["budget"] = 1.0
        assert_same_bits(train(kernels, dtype, fits._replace(steps=short)), together)
        mixed = some_of(fits, [0, 1, *range(n)])  # a full batch beside small ones
        mixed.steps[0] = mixed.steps[0].copy()
        mixed.steps[0][: builds.STEP.itemsize].view(builds.STEP)["batch_size"] = N + 1
        np.testing.assert_array_equal(train(kernels, dtype, mixed).params[2:], together.params)


@pytest.mark.parametrize("batch", [100, 9])
def test_neighbours_that_end_sooner(kernels, dtype, rng, batch):
    """All lanes are full and their batches as long, until some networks end, or diverge."""
    n = lanes_of(kernels, dtype)
    fits = fits_of(rng, dtype, NETS[2], "sgd", n * [40], [batch], [9, 3, 9, 7], 2)
    if n > 2:
        fits.steps[2][: builds.STEP.itemsize].view(builds.STEP)["learning_rate"] = 1e30
    together = train(kernels, dtype, fits)
    assert n <= 2 or together.ends[2, 2] == builds.DIVERGED
    for i in range(n):
        alone = train(kernels, dtype, some_of(fits, [i]))
        np.testing.assert_array_equal(alone.params[0], together.params[i])
        k = together.ends[i, 0]
        np.testing.assert_array_equal(alone.curves[0, :k], together.curves[i, :k])
        assert (together.curves[i, :k] > 0).all()


def test_all_rows_and_numbers_of_their_own(kernels, dtype, rng):
    """Without lists of rows; rates, penalties and momenta differ from network to network."""
    options = {
        "learning_rate": [0.01, 0.1, 0.03], "alpha": [0.0, 0.5], "beta_1": [0.9, 0.5],
        "epsilon": [1e-2, 1.0],
    }  # fmt: skip
    fits = fits_of(rng, dtype, NETS[2], "adam", 20 * [N], [9, N], [4, 2], **options)
    rows = fits._replace(rows=20 * [np.arange(N)])
    got = train(kernels, dtype, fits, all_rows=True)
    assert_same_bits(got, train(kernels, dtype, rows))
    want = train(reference, dtype, fits, all_rows=True)
    assert_close(got.params, want.params, dtype, 100 * N)
    assert_close(got.curves, want.curves, dtype, 100 * N, floor=0.1)


def test_networks_that_diverge(kernels, dtype, rng):
    """They keep the parameters of their last epoch's beginning; nobody else notices."""
    net = ((4, 33, 3), ("relu", "identity"), "squared_error")
    large = float(np.finfo(dtype).max) / 1e3
    fits = fits_of(rng, dtype, net, "sgd", 20 * [40], [7], [5], 3, learning_rate=[0.01])
    calm = train(kernels, dtype, fits)
    wild = fits._replace(steps=list(fits.steps))
    for i, rate in ((2, large), (5, large), (17, 3.0)):
        step = wild.steps[i] = fits.steps[i].copy()
        step[: builds.STEP.itemsize].view(builds.STEP)["learning_rate"] = rate
    got, want = train(kernels, dtype, wild), train(reference, dtype, wild)
    np.testing.assert_array_equal(got.ends, want.ends)
    others = np.delete(np.arange(20), [2, 5, 17])
    for one, other in zip(got, calm, strict=True):
        np.testing.assert_array_equal(one[others], other[others])
    assert got.ends[2].tolist() == [0, 0, builds.DIVERGED]
    np.testing.assert_array_equal(got.params[[2, 5]], fits.params[[2, 5]])
    assert np.isfinite(got.params).all()
    assert (got.states[[2, 5]] == 0).all()


def test_networks_that_are_left(kernels, dtype, rng):
    fits = fits_of(rng, dtype, NETS[1], "adam", 3 * [N], [7], [100], 1, budget=1.0)
    lanes, arrays = begin(kernels, dtype, fits)
    workspace = builds.aligned_empty(lanes.workspace_size)
    workspace[:] = 0
    lanes.leave(workspace)
    assert (arrays.ends == 0).all()
    assert lanes.train(workspace, [0]) == []
    for _ in range(9):
        assert lanes.train(workspace, []) == []
    assert lanes.train(workspace, [2]) == []
    lanes.leave(workspace)
    assert arrays.ends.tolist() == [[1, 11, builds.RUNNING], [0, 0, 0], [0, 1, builds.RUNNING]]
    np.testing.assert_array_equal(arrays.params[1], fits.params[1])
    step = [s.copy() for s in fits.steps]
    for one in step:
        one[: builds.STEP.itemsize].view(builds.STEP)["budget"] = 1e9
    one_epoch = fits._replace(n_epochs=[1, 1, 1], steps=step)
    np.testing.assert_array_equal(train(kernels, dtype, one_epoch).curves[0], arrays.curves[0, :1])
    assert lanes.train(workspace, []) == []  # nobody is there
    with pytest.raises(ValueError, match="no network 3"):
        lanes.train(workspace, [3])
    with pytest.raises(ValueError, match="networks for"):
        lanes.train(workspace, [1] * (lanes_of(kernels, dtype) + 1))


def test_what_is_left_is_finite(kernels, dtype, rng):
    fits = fits_of(rng, dtype, NETS[2], "sgd", 3 * [7], [3], [9], 1, budget=1.0, alpha=0.0,
                   learning_rate=[float(np.finfo(dtype).max) / 4, 0.01])  # fmt: skip
    fits.table[:, NETS[2][0][0] :] *= 1e6
    lanes, arrays = begin(kernels, dtype, fits)
    workspace = builds.aligned_empty(lanes.workspace_size)
    workspace[:] = 0
    lanes.train(workspace, [0, 1][: lanes_of(kernels, dtype)])
    lanes.leave(workspace)
    assert arrays.ends[0].tolist() == [0, 0, builds.RUNNING]
    np.testing.assert_array_equal(arrays.params[0], fits.params[0])
    assert (arrays.states == 0).all()


def test_long_batches_are_left_between_tiles(kernels, dtype, rng):
    """So that Ctrl-C is answered; the parameters are those before the batch."""
    fits = fits_of(rng, dtype, NETS[1], "adam", 3 * [N], [N], [2], 1, budget=1.0)
    lanes, arrays = begin(kernels, dtype, fits)
    workspace = builds.aligned_empty(lanes.workspace_size)
    workspace[:] = 0
    assert lanes.train(workspace, [0]) == []
    if lanes_of(kernels, dtype) > 1:
        with pytest.raises(ValueError, match="begin between batches"):
            lanes.train(workspace, [1])
    lanes.leave(workspace)
    assert arrays.ends[0].tolist() == [0, 0, builds.RUNNING]
    np.testing.assert_array_equal(arrays.params, fits.params)


ARGUMENTS = (
    "params", "states", "layer_units", "activations", "steps", "table", "rows", "starts",
    "n_epochs", "bit_generators", "loss_curves", "ends",
)  # fmt: skip


def test_lengths_and_numbers(kernels, dtype, rng):
    """What does not go together is refused."""
    net = ((3, 5, 2), ("tanh", "identity"), "huber")
    fits = fits_of(rng, dtype, net, "adam", [4, 6, 5], [4], [2], 0)
    good = {
        "params": fits.params, "states": np.zeros((3, 2, fits.params.shape[1]), dtype),
        "layer_units": units_of(*net[0]), "activations": codes_of(*net[1]),
        "steps": np.array(fits.steps), "table": fits.table, "rows": np.concatenate(fits.rows),
        "starts": np.array([0, 4, 10, 15]), "n_epochs": np.array([2, 1, 2]),
        "bit_generators": 3 * [None], "loss_curves": np.zeros((3, 2)),
        "ends": np.zeros((3, 3), np.int64),
    }  # fmt: skip
    assert tuple(good) == ARGUMENTS
    lanes = kernels.NetLanes(*good.values())
    with pytest.raises(ValueError, match="workspace has"):
        lanes.train(builds.aligned_empty(lanes.workspace_size - 1), [])
    for name, value in good.items():
        if name == "bit_generators":
            with pytest.raises(ValueError, match="bit_generators"):
                kernels.NetLanes(*(good | {name: 2 * [None]}).values())
            continue
        for axis in range(value.ndim):
            for other in (
                np.delete(value, -1, axis),
                np.concatenate([value, np.take(value, [-1], axis)], axis),
            ):
                if (name, axis) in (("table", 0), ("loss_curves", 1)) and len(other.T) > 1:
                    continue  # more, or fewer, that are not needed
                if (name, axis) == ("steps", 1) and other.shape[1] > value.shape[1]:
                    continue
                with pytest.raises(ValueError, match=r"elements|do not go|layer_units|starts|has"):
                    kernels.NetLanes(*(good | {name: np.ascontiguousarray(other)}).values())

    def refuses(match, **change):
        with pytest.raises(ValueError, match=match):
            kernels.NetLanes(*(good | change).values())

    refuses("rows.2. is 70", rows=np.where(np.arange(15) == 2, N, good["rows"]))
    refuses("rows.0. is -1", rows=np.where(np.arange(15) == 0, -1, good["rows"]))
    refuses("starts.1.", starts=np.array([0, 4, 4, 15]))
    refuses("starts", starts=np.array([-1, 4, 10, 15]))
    refuses("starts", rows=None)
    refuses("3 epochs", n_epochs=np.array([2, 1, 3]))
    refuses("0 epochs", n_epochs=np.array([2, 1, 0]))
    for name, value in (
        ("batch_size", 0), ("solver", 7), ("loss", 0), ("clip_norm", 1.0), ("ema", 0.9),
        ("input_noise", 0.1), ("sum_coef_grads", 1), ("keep_going", 1),
    ):  # fmt: skip
        steps = good["steps"].copy()
        steps[1, : builds.STEP.itemsize].view(builds.STEP)[name] = value
        refuses("net 1 has", steps=steps)
    steps = good["steps"].copy()
    steps[:, : builds.STEP.itemsize].view(builds.STEP)["budget"] = 0
    refuses("budget", steps=steps)
    with pytest.raises(TypeError, match="float32 or float64"):
        kernels.NetLanes(*(good | {"params": good["params"].astype(int)}).values())
