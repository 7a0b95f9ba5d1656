"""Dropout, input noise, clipped gradients, averages and schedules, against the oracle; what may
change no bit."""

import numpy as np
import pytest
from cases import (
    EVERY_BUILD,
    HIDDEN,
    N_WRITTEN,
    NETS,
    NO_ORDER,
    WAYS,
    assert_close,
    codes_of,
    id_of,
    problem,
    run,
    sparse_rows,
    units_of,
)

from fastnn import kernels as builds
from fastnn import reference
from fastnn.reference import noise
from fastnn.reference.training import gradient_sums

SCHEDULE = np.linspace([1.0, 0.5, 1.0], [0.1, 2.0, 0.25], 9)


def dropout_for(net, rate=0.3):
    """Of every hidden layer but, in deeper nets, the second."""
    n_layers = len(net[1])
    return [0.0 if i in (n_layers - 1, 1) else rate for i in range(n_layers)]


OPTIONS = {
    "dropout": lambda net: {"dropout": dropout_for(net), "noise_seed": 12345},
    "noise": lambda net: {"input_noise": 0.5, "noise_seed": 2**40 + 1},
    "clip": lambda net: {"clip_norm": 0.05, "alpha": 0.1},
    "ema": lambda net: {"ema": 0.6},
    "decay": lambda net: {"weight_decay": 0.3, "decay_intercepts": 1},
    "schedule": lambda net: {"schedule": SCHEDULE, "weight_decay": 0.3},
    "all": lambda net: {
        "dropout": dropout_for(net), "noise_seed": 3, "input_noise": 0.1, "clip_norm": 0.5,
        "ema": 0.9, "weight_decay": 0.1, "schedule": SCHEDULE, "alpha": 0.01,
    },
}  # fmt: skip
FEW_NETS = pytest.mark.parametrize("net", NETS[:N_WRITTEN], ids=id_of)
EVERY_OPTION = pytest.mark.parametrize("option", OPTIONS)


def unpacked(kernels, net, packed):
    """A vector of state laid out like the parameters, without padding."""
    units, codes = units_of(*net[0]), codes_of(*net[1])
    plain = np.empty(reference.packed_size(units, packed.itemsize), packed.dtype)
    kernels.unpack(packed, units, codes, builds.new_workspace(units, 1, packed.dtype), plain)
    return plain


@EVERY_OPTION
@FEW_NETS
def test_train_epochs(kernels, dtype, net, option, rng):
    options = {"epsilon": 1.0, "learning_rate": 0.1, **OPTIONS[option](net)}
    for n, batch_size in [(33, 33), (500, 500), (67, 16)]:
        params, x, y = problem(rng, dtype, units_of(*net[0]), n, net[2])
        order = rng.permutation(n) if batch_size < n else NO_ORDER
        args = (dtype, net, params, x, y, "adamw", batch_size, order, 2)
        got, want = run(kernels, *args, **options), run(reference, *args, **options)
        length = 2 * n * max(net[0])
        assert_close(got.params, want.params, dtype, length)
        assert_close(got.output, want.output, dtype, length)
        assert_close(got.curve, want.curve, dtype, length, floor=0.1)
        without = run(kernels, *args, **{k: options[k] for k in ("epsilon", "learning_rate")})
        counts = not np.array_equal(got.params, without.params)
        alone = option == "ema" or (option == "dropout" and not any(options["dropout"]))
        assert counts != alone
        if "ema" in options:
            average = unpacked(kernels, net, got.packed[-1])
            assert_close(average, want.packed[-1], dtype, length)


@pytest.mark.parametrize(
    ("way", "option", "solver"),
    [
        (way, option, ("adamw", "sgd", "rprop")[(way + i) % 3])
        for way in range(len(WAYS))
        for i, option in enumerate(OPTIONS)
    ],
)
def test_threads_pieces_and_pauses_change_nothing(kernels, dtype, way, option, solver, rng):
    net, n, batch_size = WAYS[way]
    params, x, y = problem(rng, dtype, units_of(*net[0]), n, net[2])
    order = rng.permutation(n) if batch_size < n else NO_ORDER
    args = (kernels, dtype, net, params, x, y, solver, batch_size, order, 3)
    options = OPTIONS[option](net)
    one = run(*args, **options)
    for how in (
        {"n_threads": 2},
        {"n_threads": 3, "budget": 1.0},
        {"n_threads": (4, 8)[way % 2]},
        {"pauses": [1, 2], "short_way": True},
    ):
        other = run(*args, **options, **how)
        for a, b in zip(other[:4], one[:4], strict=True):
            np.testing.assert_array_equal(a, b)
        for a, b in zip(other.packed, one.packed, strict=True):
            np.testing.assert_array_equal(*(unpacked(kernels, net, each) for each in (a, b)))


# ---- dropout and noise -----------------------------------------------------------------------


@pytest.mark.parametrize("hidden", HIDDEN)
def test_dropout_on_every_activation(kernels, dtype, hidden, rng):
    net = ((4, 33, 17, 2), (hidden, hidden, "identity"), "squared_error")
    params, x, y = problem(rng, dtype, units_of(*net[0]), 67, net[2])
    args = (dtype, net, params, x, y, "nesterov", 16, NO_ORDER, 1)
    options = {"dropout": [0.2, 0.5, 0.0], "noise_seed": 9}
    got, want = run(kernels, *args, **options), run(reference, *args, **options)
    assert_close(got.params, want.params, dtype, 67 * 33)


@EVERY_BUILD
def test_the_same_units_are_dropped_in_both_types(module, rng):
    net = ((4, 50, 1), ("identity", "identity"), "squared_error")
    ends = []
    for dtype in map(np.dtype, ("f4", "f8")):
        params, x, y = np.ones(301, dtype), np.ones((70, 4), dtype), np.zeros((70, 1), dtype)
        done = run(module, dtype, net, params, x, y, "sgd", 70, NO_ORDER, 1, dropout=[0.4, 0.0])
        ends.append(done.output)
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-5)
    # 5 for each unit that is left, 1 / 0.6 as much, and the intercept
    left = (ends[1] - 1) * 0.6 / 5
    np.testing.assert_allclose(left, left.round(), atol=1e-10)
    assert len(np.unique(left.round())) > 5


def test_dropout_has_its_share_and_no_pattern():
    """Each cell, row, column and pair of neighbours as often as chance has it (5 sigma)."""
    n, units, rate = 400, 300, 0.3
    kept = np.stack([
        noise.dropout_factors(np.array([rate]), [1, units], n, seed, step)[0] > 0
        for seed, step in [(0, 0), (0, 1), (1, 0), (-1, 5), (2**62, 10**12)]
    ])  # fmt: skip
    spread = np.sqrt(rate * (1 - rate))

    def check(shares, want, sd, count):
        assert (np.abs(shares - want) < 5 * sd / np.sqrt(count)).all()

    check(kept.mean(), 1 - rate, spread, kept.size)
    check(kept.mean(axis=(1, 2)), 1 - rate, spread, n * units)
    check(kept.mean(axis=1), 1 - rate, spread, n)
    check(kept.mean(axis=2), 1 - rate, spread, units)
    both, sd = (1 - rate) ** 2, np.sqrt((1 - rate) ** 2 * (1 - (1 - rate) ** 2))
    for a, b in [
        (kept[:, 1:], kept[:, :-1]), (kept[:, :, 1:], kept[:, :, :-1]), (kept[1:], kept[:-1]),
        (kept[:, 1:, 1:], kept[:, :-1, :-1]), (kept[:, 200:], kept[:, :200]),
    ]:  # fmt: skip
        check((a & b).mean(), both, 1.5 * sd, a.size)


def test_noise_is_normal():
    stats = pytest.importorskip("scipy.stats")
    z = noise.noisy(np.zeros((500, 200)), 1.0, seed=5, step=7)
    assert stats.kstest(z.ravel(), "norm").pvalue > 1e-3
    assert np.abs(np.corrcoef(z.T) - np.eye(200)).max() < 6 / np.sqrt(500)
    assert not np.array_equal(z, noise.noisy(np.zeros((500, 200)), 1.0, seed=5, step=8))


def test_noise_on_sparse_rows(kernels, dtype, rng):
    net = ((40, 33, 2), ("relu", "identity"), "squared_error")
    rows, dense = sparse_rows(rng, 60, 40, dtype, "rising")
    params, _, y = problem(rng, dtype, units_of(*net[0]), 60, net[2])
    for batch_size in (60, 16):
        args = (params, y, "sgd", batch_size, NO_ORDER, 2)
        both = [
            run(kernels, dtype, net, args[0], x, *args[1:], input_noise=0.3) for x in (rows, dense)
        ]
        for a, b in zip(both[0][:4], both[1][:4], strict=True):
            np.testing.assert_array_equal(a, b)


def test_the_gradient_with_dropout_is_that_of_the_masked_net(rng):
    """Central differences of the oracle's loss, with the factors held."""
    units, codes = units_of(5, 7, 6, 2), codes_of("silu", "tanh", "identity")
    params = rng.randn(reference.packed_size(units, 8))
    x, y = rng.randn(9, 5), rng.randn(9, 2)
    factors = noise.dropout_factors(np.array([0.4, 0.2, 0.0]), units, 9, 1, 2)
    args = (units, codes, 0, x, y, None, factors)
    _, grads, _ = gradient_sums(params, *args)
    for i in range(len(params)):
        step = np.zeros_like(params)
        step[i] = 1e-6
        up, down = (gradient_sums(params + s * step, *args)[0] for s in (1, -1))
        assert abs((up - down) / 2e-6 - grads[i]) < 1e-7 * max(1, np.abs(grads).max())


# ---- clipping --------------------------------------------------------------------------------


@EVERY_BUILD
def test_clip_norm_is_the_length_of_a_step(module, dtype, rng):
    net = ((5, 33, 17, 2), ("tanh", "relu", "identity"), "squared_error")
    for n, batch_size in ((33, 33), (900, 900), (20_000, 20_000)):
        params, x, y = problem(rng, dtype, units_of(*net[0]), n, net[2])
        args = (module, dtype, net, params, x, y + 10, "sgd", batch_size, NO_ORDER, 1)
        step = run(*args, clip_norm=0.25, learning_rate=1.0).params - params
        assert abs(np.linalg.norm(step.astype("f8")) - 0.25) < 1e-4
        free = run(*args, learning_rate=1.0).params
        loose = run(*args, clip_norm=1e6, learning_rate=1.0).params
        np.testing.assert_array_equal(loose, free)


def test_a_schedule_ends_with_its_last_row(kernels, dtype, rng):
    net = ((3, 7, 2), ("tanh", "identity"), "squared_error")
    params, x, y = problem(rng, dtype, units_of(*net[0]), 40, net[2])
    args = (kernels, dtype, net, params, x, y, "sgd", 8, NO_ORDER, 3)
    halves = np.full((1, 3), 0.5)
    got = run(*args, schedule=halves, learning_rate=0.2)
    np.testing.assert_array_equal(got.params, run(*args, learning_rate=0.1).params)


def test_rprop_learns_the_xor_problem(kernels, dtype):
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype)
    y = np.array([[0], [1], [1], [0]], dtype)
    net = ((2, 8, 1), ("tanh", "sigmoid"), "squared_error")
    params = np.random.RandomState(0).uniform(-1, 1, 33).astype(dtype)
    done = run(kernels, dtype, net, params, x, y, "rprop", 4, NO_ORDER, 100, learning_rate=0.1)
    assert done.curve[-1] < 1e-3
