"""train_epoch against the oracle; what may change no bit; how training ends."""

import numpy as np
import pytest
from cases import (
    EVERY_NET,
    EVERY_NET_AND_SOLVER,
    NETS,
    NO_ORDER,
    SOLVERS,
    WAYS,
    assert_close,
    in_turn,
    problem,
    run,
    units_of,
    with_weights,
)

from fastnn import kernels as builds
from fastnn import reference

EVERY_SOLVER = pytest.mark.parametrize("solver", SOLVERS)
# to their steps the length of a gradient does not matter, unless epsilon is large
SCALE_FREE = {"adam", "adamw", "nadam", "rmsprop", "rprop"}
EVERY_WAY = pytest.mark.parametrize("way", range(len(WAYS)))


def assert_same_bits(got, want):
    for a, b in zip(got[:4], want[:4], strict=True):
        np.testing.assert_array_equal(a, b)


def assert_runs_agree(got, want, dtype, net, before, n, steps, solver, rate):
    """Parameters, loss, outputs and cursor; Adam's and rprop's as far as they are no noise."""
    length = steps * n * max(net[0])
    if solver in ("adam", "rprop"):
        # m / sqrt(v) of a gradient that is nearly zero is noise of the order of the step
        sure = np.abs(got.params - before) > 0.5 * rate
        assert sure.mean() > 0.2
        assert_close(got.params[sure], want.params[sure], dtype, 100 * length)
        assert np.abs(got.params - want.params).max() <= 2 * rate * steps
    else:
        assert_close(got.params, want.params, dtype, length)
        assert_close(got.output, want.output, dtype, length)
    assert np.abs(got.params - before).max() > 0
    assert_close(got.curve, want.curve, dtype, length, floor=0.1)
    assert got.cursor.tolist() == want.cursor.tolist() == [1, 0, steps, builds.FINISHED]


@EVERY_NET_AND_SOLVER
def test_train_epoch(kernels, dtype, net, solver, rng):
    """With a penalty, with the tutorial's sums, and with neither, in turn."""
    ways = [{}, {"alpha": 0.1}, {"sum_coef_grads": True, "learning_rate": 0.001}]
    first = NETS.index(net) + SOLVERS[solver]
    for i, (n, batch_size) in enumerate([(33, 33), (500, 500), (67, 16), (5, 1)]):
        params, x, y = problem(rng, dtype, units_of(*net[0]), n, net[2])
        order = rng.permutation(n) if batch_size < n else NO_ORDER
        if solver == "rprop" and batch_size < n:
            continue  # signs of gradients that are noise change from batch to batch
        options = ways[(first + i) % 3]
        if solver in SCALE_FREE - {"adam", "rprop"}:
            options = {"epsilon": 1.0, "weight_decay": 0.3, **options}
        args = (dtype, net, params, x, y, solver, batch_size, order, 1)
        got, want = run(kernels, *args, **options), run(reference, *args, **options)
        rate = options.get("learning_rate", 0.01)
        assert_runs_agree(got, want, dtype, net, params, n, -(-n // batch_size), solver, rate)


@EVERY_NET
def test_train_epoch_with_weights(kernels, dtype, net, rng):
    for n, batch_size in in_turn(net, [(33, 33), (500, 500), (67, 16), (5, 1)]):
        params, x, y = problem(rng, dtype, units_of(*net[0]), n, net[2])
        y = with_weights(rng, y)
        y[:, -1] += (batch_size == 1) * (y[:, -1] == 0)
        order = rng.permutation(n) if batch_size < n else NO_ORDER
        for options in ({"alpha": 0.1}, {"sum_coef_grads": True, "learning_rate": 0.001}):
            args = (dtype, net, params, x, y, "momentum", batch_size, order, 1)
            got, want = run(kernels, *args, **options), run(reference, *args, **options)
            assert_runs_agree(got, want, dtype, net, params, n, -(-n // batch_size), "", 0)


@pytest.mark.parametrize("budget", [1.0, 3e4, 1e9])
@pytest.mark.parametrize("batch_size", [7, 40, 41])
def test_orders_drawn_between_epochs(kernels, dtype, rng, budget, batch_size):
    """They are those of RandomState.shuffle, each epoch shuffling the one before."""
    n, n_epochs, net = 40, 5, NETS[2]
    params, x, y = problem(rng, dtype, units_of(*net[0]), n, net[2])
    args = (dtype, net, params, x, y, "momentum", batch_size)
    order = np.arange(n)
    drawn = run(kernels, *args, order, n_epochs, seed=4, budget=budget)
    shuffles, random_state = np.arange(n), np.random.RandomState(np.random.MT19937(4))
    for _ in range(n_epochs):
        random_state.shuffle(shuffles)
    np.testing.assert_array_equal(order, shuffles)
    oracle = run(reference, *args, np.arange(n), n_epochs, seed=4)
    assert_close(drawn.params, oracle.params, dtype, 20 * n)
    assert_close(drawn.curve, oracle.curve, dtype, 20 * n, floor=0.1)
    if batch_size >= n:  # one batch has no order
        assert_same_bits(drawn, run(kernels, *args, NO_ORDER, n_epochs))


@pytest.mark.parametrize("n_iter_no_change", [0.0, 2.0, np.inf])
@pytest.mark.parametrize("tol", [0.0, 0.02, 1.0])
@pytest.mark.parametrize("budget", [1.0, 1e9])
def test_training_ends_by_the_rule(kernels, dtype, rng, tol, n_iter_no_change, budget):
    n, n_epochs, net = 30, 30, NETS[2]
    params, x, y = problem(rng, dtype, units_of(*net[0]), n, net[2])
    args = (dtype, net, params, x, y, "momentum", 8, np.arange(n), n_epochs)
    stopping = {"tol": tol, "best_loss": np.inf, "n_iter_no_change": n_iter_no_change}
    options = {"learning_rate": 0.2, "keep_going": True, "stopping": stopping}
    got = run(kernels, *args, budget=budget, **options)
    losses = run(kernels, *args, learning_rate=0.2, keep_going=True).curve
    best, count, done = np.inf, 0, 0
    for loss in losses:  # scikit-learn's lines
        done += 1
        count = count + 1 if loss > best - tol else 0
        best = min(best, loss)
        if count > n_iter_no_change:
            break
    assert got.cursor[0] == done
    assert got.cursor[3] == builds.FINISHED
    np.testing.assert_array_equal(got.curve[:done], losses[:done])
    assert not got.curve[done:].any()
    assert got.rule[:4] == (tol, best, n_iter_no_change, count)
    before = run(kernels, *args[:-1], done - 1, **options) if done > 1 else None
    np.testing.assert_array_equal(got.kept, params if before is None else before.params)
    want = run(reference, *args, **options)
    assert want.cursor[0] == done
    assert want.rule[3] == count
    assert_close(got.kept, want.kept, dtype, 20 * n)


def test_what_the_last_finite_loss_began_with_is_kept(kernels, dtype, rng):
    """Losses that are not finite improve on nothing and end nothing."""
    n, net = 20, NETS[2]
    params, x, y = problem(rng, dtype, units_of(*net[0]), n, net[2])
    args = (dtype, net, params, x, y, "sgd", n, NO_ORDER)
    stopping = {"tol": 0.0, "best_loss": np.inf, "n_iter_no_change": 3.0}
    rate = float(np.finfo(dtype).max) ** 0.5
    options = {"learning_rate": rate, "keep_going": True, "alpha": 1.0, "stopping": stopping}
    for module in (kernels, reference):
        got = run(module, *args, 12, **options)
        finite = np.isfinite(got.curve)
        last = int(np.flatnonzero(finite)[-1])
        assert not finite.all()
        assert got.cursor[0] == 12
        want = run(module, *args, last, **options).params if last else params
        np.testing.assert_array_equal(got.kept, want)


def test_many_full_batch_epochs(kernels, rng):
    dtype, net = np.dtype(np.float64), NETS[1]
    params, x, y = problem(rng, dtype, units_of(*net[0]), 500, net[2])
    args = (dtype, net, params, x, y, "sgd", 500, NO_ORDER, 50)
    got = run(kernels, *args, sum_coef_grads=True)
    want = run(reference, *args, sum_coef_grads=True)
    for a, b in zip(got[:3], want[:3], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


# ---- what changes no bit --------------------------------------------------------------------


@EVERY_WAY
def test_weights_of_1_are_no_weights(kernels, dtype, way, rng):
    """And rows of weight 0 change nothing, wherever they stand."""
    net, n, batch_size = WAYS[way]
    params, x, y = problem(rng, dtype, units_of(*net[0]), n, net[2])
    weighted = np.hstack([y, np.ones((n, 1), dtype)])
    args = (dtype, net, params, x)
    rest = ("adam", batch_size, NO_ORDER, 2)
    plain = run(kernels, *args, y, *rest, alpha=0.1)
    got = run(kernels, *args, weighted, *rest, alpha=0.1)
    np.testing.assert_array_equal(got.params, plain.params)
    np.testing.assert_array_equal(got.output, plain.output)
    np.testing.assert_allclose(got.curve, plain.curve, rtol=n * np.finfo(dtype).eps)

    absent = rng.rand(n) < 0.4
    absent[0] = False
    weighted[absent, -1] = 0
    got = run(kernels, *args, weighted, *rest, alpha=0.1)
    x[absent], weighted[absent, :-1] = 5, 0.25
    other = run(kernels, *args, weighted, *rest, alpha=0.1)
    np.testing.assert_array_equal(got.params, other.params)
    np.testing.assert_array_equal(got.curve, other.curve)


@pytest.mark.parametrize("weighted", [False, True])
@EVERY_WAY
def test_threads_and_pieces_change_nothing(kernels, dtype, way, weighted, rng):
    net, n, batch_size = WAYS[way]
    params, x, y = problem(rng, dtype, units_of(*net[0]), n, net[2])
    y = with_weights(rng, y) if weighted else y
    order = rng.permutation(n) if batch_size < n else NO_ORDER
    args = (kernels, dtype, net, params, x, y, "nesterov", batch_size, order, 3)
    one = run(*args, alpha=0.1)
    for options in ({"n_threads": 2}, {"n_threads": 3}, {"n_threads": 2, "budget": 1.0}):
        assert_same_bits(run(*args, alpha=0.1, **options), one)


@pytest.mark.parametrize(("batch_size", "n"), [(500, 500), (32, 500)])
def test_the_budget_changes_nothing(kernels, dtype, batch_size, n, rng):
    net = NETS[5]
    params, x, y = problem(rng, dtype, units_of(*net[0]), n, net[2])
    args = (dtype, net, params, x, y, "adam", batch_size, NO_ORDER, 3)
    whole = run(kernels, *args)
    pieces = run(kernels, *args, budget=1.0)
    assert whole.calls == 1
    assert pieces.calls >= 3 * -(-n // batch_size)
    assert_same_bits(pieces, whole)


@pytest.mark.parametrize(
    ("way", "solver", "short_way"),
    [
        (way, solver, (way + i) % 2 == 0)
        for way in range(len(WAYS))
        for i, solver in enumerate(SOLVERS)
    ],
)
def test_pauses_change_nothing(kernels, dtype, way, solver, short_way, rng):
    net, n, batch_size = WAYS[way]
    params, x, y = problem(rng, dtype, units_of(*net[0]), n, net[2])
    order = rng.permutation(n) if batch_size < n else None
    y = with_weights(rng, y) if solver == "nesterov" else y
    for array in (x, y):
        array.flags.writeable = False
    args = (kernels, dtype, net, params, x, y, solver, batch_size, order, 4)
    options = {"alpha": 0.1, "keep_going": solver == "sgd"}
    whole = run(*args, **options)
    for budget in (1e9, 1.0):
        assert_same_bits(
            run(*args, pauses=[1, 3], short_way=short_way, budget=budget, **options), whole
        )


def test_keep_going_changes_no_finite_training(kernels, dtype, rng):
    net = NETS[5]
    params, x, y = problem(rng, dtype, units_of(*net[0]), 300, net[2])
    args = (kernels, dtype, net, params, x, y, "adam", 128, NO_ORDER, 3)
    assert_same_bits(run(*args, keep_going=True), run(*args))


# ---- ends -----------------------------------------------------------------------------------


@pytest.mark.parametrize("budget", [1e9, 1.0])
def test_a_batch_without_weight_ends_training_before_its_step(kernels, dtype, budget, rng):
    net = ((3, 9, 2), ("tanh", "identity"), "squared_error")
    params, x, y = problem(rng, dtype, units_of(*net[0]), 40, net[2])
    y = np.hstack([y, np.ones((40, 1), dtype)])
    y[16:24, -1] = [2, 1, 1, 0, 0, -1, -1, -2]
    args = (dtype, net, params, x, y, "adam", 8)
    for module in (kernels, reference):
        got = run(module, *args, NO_ORDER, 3, budget=budget)
        assert got.cursor.tolist() == [0, 0, 2, builds.WEIGHTLESS]
        before = run(module, dtype, net, params, x[:16], y[:16], "adam", 8, NO_ORDER, 1)
        np.testing.assert_array_equal(got.params, before.params)
    # all rows weigh nothing: not even a first step
    y[:, -1] = 0
    for batch_size in (8, 40):
        args = (dtype, net, params, x, y, "adam", batch_size, NO_ORDER, 3)
        got = run(kernels, *args, budget=budget)
        assert got.cursor.tolist() == [0, 0, 0, builds.WEIGHTLESS]
        np.testing.assert_array_equal(got.params, params)


@pytest.mark.parametrize("budget", [1e9, 1.0])
def test_a_batch_without_weight_after_a_step_that_diverged(kernels, dtype, budget, rng):
    """Its parameters are not what is left: those of the epoch's start are."""
    net = ((3, 9, 2), ("tanh", "identity"), "squared_error")
    params, x, y = problem(rng, dtype, units_of(*net[0]), 40, net[2])
    y = np.hstack([1e10 * y, np.ones((40, 1), dtype)])
    y[8:16, -1] = 0
    for module in (kernels, reference):
        got = run(module, dtype, net, params, x, y, "sgd", 8, NO_ORDER, 3, budget=budget,
                  learning_rate=float(np.finfo(dtype).max))  # fmt: skip
        assert got.cursor.tolist()[3] == builds.DIVERGED
        np.testing.assert_array_equal(got.params, params)


@pytest.mark.parametrize("pauses", [(), (1, 2)])
@pytest.mark.parametrize("budget", [1e9, 1.0])
@EVERY_SOLVER
def test_divergence_puts_back_the_epochs_start(kernels, dtype, solver, budget, pauses, rng):
    net = ((3, 9, 2), ("relu", "identity"), "squared_error")
    params, x, y = problem(rng, dtype, units_of(*net[0]), 40, net[2])
    rate = float(np.sqrt(np.finfo(dtype).max)) if solver in SCALE_FREE else 3.0
    args = (dtype, net, params, x, y, solver, 8, NO_ORDER)
    got = run(kernels, *args, 500, learning_rate=rate, budget=budget, pauses=pauses)
    epoch, row, step, status = got.cursor.tolist()
    assert status == builds.DIVERGED
    assert row == 0
    assert 5 * epoch <= step <= 5 * epoch + 5
    assert np.isfinite(got.params).all()
    if epoch:
        before = run(kernels, *args, epoch, learning_rate=rate).params
        np.testing.assert_array_equal(got.params, before)
        # in the first epoch after a pause
        got = run(kernels, *args, 500, learning_rate=rate, budget=budget, pauses=[epoch])
        np.testing.assert_array_equal(got.params, before)
        assert got.cursor.tolist() == [epoch, 0, step, builds.DIVERGED]
    else:
        np.testing.assert_array_equal(got.params, params)
    want = run(reference, *args, 500, learning_rate=rate, pauses=pauses)
    assert abs(want.cursor[0] - epoch) <= 1


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("n", "batch_size"), [(40, 8), (40, 40), (6000, 6000)])
def test_keep_going_through_what_is_not_finite(kernels, dtype, n, batch_size, weighted, rng):
    net = ((20, 40, 3), ("relu", "identity"), "squared_error")
    params, x, y = problem(rng, dtype, units_of(*net[0]), n, net[2])
    if weighted:
        y = with_weights(rng, y)
    args = (dtype, net, params, x, y, "sgd", batch_size, NO_ORDER, 10)
    stopped = run(kernels, *args, learning_rate=100.0)
    assert stopped.cursor[3] == builds.DIVERGED
    finite = int(stopped.cursor[0])
    assert finite < 9
    got = run(kernels, *args, learning_rate=100.0, keep_going=True)
    want = run(reference, *args, learning_rate=100.0, keep_going=True)
    steps = 10 * -(-n // batch_size)
    assert got.cursor.tolist() == want.cursor.tolist() == [10, 0, steps, builds.FINISHED]
    np.testing.assert_array_equal(got.curve[:finite], stopped.curve[:finite])
    for curve, end in ((got.curve, got.params), (want.curve, want.params)):
        assert np.isnan(curve[finite + 1 :]).all()
        assert np.isnan(end).any()
    for options in ({"n_threads": 2}, {"n_threads": 3, "budget": 1.0}):
        other = run(kernels, *args, learning_rate=100.0, keep_going=True, **options)
        assert_same_bits(other, got)
