"""Many networks in one call: the bits of single fits, refusals, interrupts."""

import pickle
import signal
import threading
import time

import numpy as np
import pytest
from conftest import UNCHECKED_ONLY

from fastnn import Network, fit_many, many, threads
from fastnn.training import lanes

RNG = np.random.RandomState(0)
X = RNG.randn(120, 3)
Y = np.column_stack([np.sin(X[:, 0]), X[:, 1] * X[:, 2]])


def networks(n=6):
    """Of several shapes, types and activations, with two outputs."""
    kinds = [((3, 4, 2), "tanh", np.float64), ((3, 2), "relu", np.float32),
             ((3, 20, 5, 2), "silu", np.float32), ((3, 7, 2), "sigmoid", np.float64)]  # fmt: skip
    return [
        Network(units, activation, out_activation="identity", dtype=dtype, random_state=i)
        for i, (units, activation, dtype) in zip(range(n), 9 * kinds, strict=False)
    ]


def state(net):
    """All that a pickle has, but for the number of threads."""
    return pickle.dumps({k: v for k, v in net.__getstate__().items() if k != "_n_jobs"})


def same(nets, others):
    for one, other in zip(nets, others, strict=True):
        np.testing.assert_array_equal(one.params_, other.params_)
        assert one.loss_curve_ == other.loss_curve_
        assert one.validation_scores_ == other.validation_scores_
        assert state(one) == state(other)


@pytest.mark.parametrize("n_jobs", [1, 2, 4])
@pytest.mark.parametrize(
    "options",
    [
        {"max_iter": 7, "batch_size": 16},
        {"max_iter": [1, 9, 3, 2, 5, 4], "solver": "sgd", "momentum": [0.9, 0, 0.5, 0.9, 0.9, 0]},
        {"max_iter": 4, "solver": ["lm", "adam", "rprop", "lbfgs", "adamw", "nadam"]},
        {"max_iter": 5, "batch_size": 20, "dropout": 0.2, "learning_rate": "cosine"},
    ],
    ids=["adam", "sgd", "solvers", "dropout"],
)
def test_bits_of_single_fits(options, n_jobs):
    nets, alone = networks(), networks()
    if "dropout" in options:
        nets, alone = ([net for net in some if len(net.layer_units) > 2] for some in (nets, alone))
    drawn = np.random.RandomState(1)
    rows = [drawn.randint(120, size=drawn.randint(20, 200)) for _ in nets]
    rows[2], weights = None, drawn.rand(120)
    found = fit_many(
        nets, X, Y, rows=rows, sample_weight=weights, layout="samples", n_jobs=n_jobs, **options
    )
    assert found == [None] * len(nets)
    for i, net in enumerate(alone):
        own = {k: v[i] if isinstance(v, list) else v for k, v in options.items()}
        chosen = slice(None) if rows[i] is None else rows[i]
        net.fit(X[chosen], Y[chosen], sample_weight=weights[chosen], **own)
    same(nets, alone)


def test_validation_rows():
    folds = [np.flatnonzero(np.arange(120) % 6 == i) for i in range(6)]
    rows = [np.setdiff1d(np.arange(120), fold) for fold in folds]
    options = {"max_iter": 60, "batch_size": 10, "learning_rate_init": 0.05}
    given = {**options, "n_iter_no_change": 3, "scoring": [None, "r2"] * 3}
    nets, alone = networks(), networks()
    fit_many(nets, X, Y, rows=rows, rows_val=folds, n_jobs=2, **given)
    for i, net in enumerate(alone):
        net.fit(X[rows[i]], Y[rows[i]], X_val=X[folds[i]], y_val=Y[folds[i]],
                n_iter_no_change=3, scoring=given["scoring"][i], **options)  # fmt: skip
    same(nets, alone)
    assert any(len(net.validation_scores_) < 60 for net in nets)


def test_other_losses_and_one_target():
    y = np.sin(X[:, 0])

    def made():
        return [
            Network([3, 5, 1], "tanh", random_state=0),
            Network([3, 5, 3], "tanh", loss="quantile", quantile=[0.1, 0.5, 0.9], random_state=1),
            Network([3, 5, 1], "tanh", loss="huber", delta=0.1, dtype="float32", random_state=2),
            Network([3, 5, 1], loss=(lambda a, y: (a - y) ** 4, lambda a, y: 4 * (a - y) ** 3),
                    out_activation="identity", random_state=3),
        ]  # fmt: skip

    nets, alone = made(), made()
    fit_many(nets, X, y, max_iter=3, layout="samples", n_jobs=2)
    for net, other in zip(nets, alone, strict=True):
        np.testing.assert_array_equal(other.fit(X, y, max_iter=3).params_, net.params_)


def test_nets_that_diverge():
    def made():
        return networks(4), {"max_iter": 30, "solver": "sgd", "batch_size": 10,
                             "learning_rate_init": [0.01, 1e30, 0.01, 1e200]}  # fmt: skip

    nets, options = made()
    found = fit_many(nets, X, Y, errors="keep", **options)
    assert [type(one) for one in found] == [
        type(None), FloatingPointError, type(None), FloatingPointError,
    ]  # fmt: skip
    assert all(np.isfinite(net.params_).all() for net in nets)
    others, _ = made()
    with pytest.raises(
        FloatingPointError, match=r"2 of 4 networks \(1, 3\) diverged.*Network 1: "
    ):
        fit_many(others, X, Y, n_jobs=2, **options)
    same(nets, others)
    assert len(nets[0].loss_curve_) == 30


@pytest.mark.parametrize("layout", ["samples", "nets"])
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_progress_and_an_end_before_the_last(n_jobs, layout):
    heard, caller = [], threading.get_ident()

    def note(n_done):
        assert threading.get_ident() == caller
        heard.append(n_done)
        return n_done >= 3

    nets = networks(20) if layout == "samples" else tiny(70)
    before = [net.params_.copy() for net in nets]
    fit_many(nets, X, Y, callback=note, max_iter=2, layout=layout, n_jobs=n_jobs)
    changed = sum((a != net.params_).any() for a, net in zip(before, nets, strict=True))
    assert heard == sorted(set(heard))
    assert 3 <= heard[-1] == changed
    assert n_jobs > 1 or changed < len(nets)
    assert heard == [1, 2, 3] or n_jobs > 1 or layout == "nets"
    assert all(net._n_jobs is None for net in nets)
    pytest.importorskip("tqdm")
    fit_many(networks(3), X, Y, max_iter=2, progress=True)
    assert fit_many([], X, Y) == []


# ---- lanes --------------------------------------------------------------------------------------


def tiny(n, dtype="float64", seed=0):
    return [
        Network([3, 5, 2], "tanh", out_activation="identity", dtype=dtype, random_state=seed + i)
        for i in range(n)
    ]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "options",
    [
        {}, {"batch_size": 8, "shuffle": False}, {"batch_size": 120, "alpha": 0.1},
        {"solver": "sgd", "batch_size": 33, "learning_rate_init": [0.1, 0.01, 0.05] * 10},
        {"solver": "adamw", "batch_size": [5, 16, 200] * 10, "weight_decay": 0.1},
    ],
)  # fmt: skip
def test_lanes_agree_with_single_fits(dtype, options):
    """And so do the random states, the solvers' states and what the next epoch makes of them."""
    nets, alone = tiny(30, dtype), tiny(30, dtype)
    drawn = np.random.RandomState(0)
    rows = [None, *(drawn.randint(120, size=drawn.randint(1, 200)) for _ in range(29))]
    max_iter = drawn.randint(1, 6, size=30).tolist()
    fit_many(nets, X, Y, rows=rows, layout="nets", max_iter=max_iter, **options)
    close = {"rtol": 0, "atol": 1e-12 if dtype == "float64" else 3e-6}
    for i, (net, other) in enumerate(zip(nets, alone, strict=True)):
        chosen = slice(None) if rows[i] is None else rows[i]
        own = {k: v[i] if isinstance(v, list) else v for k, v in options.items()}
        other.fit(X[chosen], Y[chosen], max_iter=max_iter[i], **own)
        for _ in range(2):
            np.testing.assert_allclose(net.params_, other.params_, **close)
            np.testing.assert_allclose(net.loss_curve_, other.loss_curve_, **close)
            assert net._trained_on == other._trained_on
            net.partial_fit(X, Y, **own)
            other.partial_fit(X, Y, **own)


def test_300_sets_of_networks(monkeypatch):
    """Whatever the shapes, options, layouts and rows: the same bits for any number of threads, any
    order and, if the layout is named, any company; with samples as lanes those of single fits."""
    monkeypatch.setattr(threads, "_available", lambda: 8)
    for seed in range(300):
        rng = np.random.RandomState(seed)
        n, n_kinds = rng.randint(1, 40), rng.randint(1, 3)
        kinds = [
            ([3, *rng.randint(1, 9, size=rng.randint(1, 3)), 2], rng.choice(["relu", "tanh"]),
             rng.choice(["float32", "float64"]))
            for _ in range(n_kinds)
        ]  # fmt: skip
        which = rng.randint(n_kinds, size=n)
        rows = [rng.randint(120, size=rng.randint(1, 60)) for _ in range(n)]
        options = {
            "max_iter": rng.randint(1, 4, size=n).tolist(),
            "solver": str(rng.choice(["adam", "sgd", "rmsprop"])),
            "batch_size": rng.choice([1, 7, 8, 30, 200], size=n).tolist(),
            "learning_rate_init": rng.choice([0.01, 0.1], size=n).tolist(),
        }
        layout = str(rng.choice(["auto", "nets", "samples"]))

        def trained(order, n_jobs, kinds=kinds, which=which, rows=rows, options=options,
                    layout=layout):  # fmt: skip
            nets = [
                Network(kinds[which[i]][0], kinds[which[i]][1], out_activation="identity",
                        dtype=kinds[which[i]][2], random_state=i)
                for i in order
            ]  # fmt: skip
            own = {k: [v[i] for i in order] if isinstance(v, list) else v
                   for k, v in options.items()}  # fmt: skip
            fit_many(nets, X, Y, rows=[rows[i] for i in order], layout=layout, n_jobs=n_jobs,
                     errors="keep", **own)  # fmt: skip
            return {i: (net.params_.tobytes(), net.loss_curve_, state(net))
                    for i, net in zip(order, nets, strict=True)}  # fmt: skip

        want = trained(range(n), 1)
        n_jobs = (2, 4, 8)[seed % 3]
        assert trained(rng.permutation(n).tolist(), n_jobs) == want, seed
        some = rng.permutation(n)[: rng.randint(1, n + 1)].tolist()
        assert layout == "auto" or trained(some, 1).items() <= want.items(), seed
        if layout == "samples":
            i = some[0]
            net = Network(kinds[which[i]][0], kinds[which[i]][1], out_activation="identity",
                          dtype=kinds[which[i]][2], random_state=i)  # fmt: skip
            own = {k: v[i] if isinstance(v, list) else v for k, v in options.items()}
            net.fit(X[rows[i]], Y[rows[i]], **own)
            assert net.params_.tobytes() == want[i][0], seed


def test_lanes_whose_neighbours_end_sooner():
    n = lanes.lanes_of(np.dtype("f8"))
    for batch_size in (120, 50):
        nets, alone = tiny(n), tiny(n)
        max_iter = [3, *(n - 1) * [20]][:n]
        fit_many(nets, X, Y, batch_size=batch_size, max_iter=max_iter, layout="nets")
        for net, other, n_epochs in zip(nets, alone, max_iter, strict=True):
            other.fit(X, Y, batch_size=batch_size, max_iter=n_epochs)
            np.testing.assert_allclose(net.loss_curve_, other.loss_curve_, rtol=1e-9)


@pytest.mark.parametrize("layout", ["samples", "nets", "auto"])
def test_targets_of_the_rows_that_are_used(layout):
    """Only those must be targets of the loss, and those of every network."""
    y = np.r_[7.0, RNG.randint(2, size=118), 7.0]
    rows = [*(np.arange(1, 60) for _ in range(19)), np.arange(60, 119)]

    def made():
        return [Network([3, 5, 1], "tanh", loss="binary_log_loss", random_state=i)
                for i in range(20)]  # fmt: skip

    fit_many(made(), X, y, rows=rows, max_iter=1, layout=layout)
    for i, k in ((19, 119), (7, 0)):
        nets, bad = made(), list(rows)
        bad[i] = np.r_[rows[i], k]
        before = [state(net) for net in nets]
        with pytest.raises(ValueError, match=rf"nets\[{i}\]: .*y\[59, 0\] = 7"):
            fit_many(nets, X, y, rows=bad, max_iter=1, layout=layout)
        assert [state(net) for net in nets] == before


def test_lanes_that_diverge():
    """They tell the epoch, keep its first parameters, and train on; the others do not notice."""
    rates = 9 * [0.01, 1e200]
    nets, calm = tiny(18), tiny(18)
    found = fit_many(nets, X, Y, solver="sgd", batch_size=10, layout="nets",
                     learning_rate_init=rates, max_iter=4, errors="keep")  # fmt: skip
    fit_many(calm, X, Y, solver="sgd", batch_size=10, layout="nets", learning_rate_init=0.01,
             max_iter=4)  # fmt: skip
    for i, net in enumerate(nets):
        if i % 2 == 0:
            assert found[i] is None
            np.testing.assert_array_equal(net.params_, calm[i].params_)
            continue
        with pytest.raises(FloatingPointError) as alone:
            tiny(1, seed=i)[0].fit(
                X, Y, solver="sgd", batch_size=10, learning_rate_init=1e200, max_iter=4
            )
        assert str(found[i]) == str(alone.value)
        np.testing.assert_array_equal(net.params_, tiny(1, seed=i)[0].params_)
        net.partial_fit(X, Y)
        assert np.isfinite(net.params_).all()
    with pytest.raises(FloatingPointError, match=r"9 of 18 networks \(1, 3, 5"):
        fit_many(tiny(18), X, Y, solver="sgd", batch_size=10, layout="nets",
                 learning_rate_init=rates, max_iter=4)  # fmt: skip


@pytest.mark.parametrize(("dtype", "large"), [("float64", 1e200), ("float32", 1e25)])
def test_an_overflow_at_a_dead_unit(dtype, large):
    """Its delta is 0 times infinity, in lanes as in a fit alone."""
    found = []
    for layout in ("samples", "nets"):
        nets = [Network([1, 2, 2, 1], "relu", dtype=dtype, random_state=i) for i in range(16)]
        for net in nets:
            net.coefs_ = [[[0, 0]], [[large, 0], [1 / large, 0]], [[large], [0]]]
            net.intercepts_ = [[-1, 1], [0, 0], [0]]
        failures = fit_many(
            nets, X[:16, :1], np.full((16, 1), 3.0), layout=layout, solver="sgd", momentum=0,
            batch_size=16, max_iter=1, errors="keep",
        )  # fmt: skip
        found.append([str(failure)[:30] for failure in failures])
    assert found[0] == found[1] == ["training diverged in epoch 1: "] * 16


def test_what_networks_share_is_checked_once(monkeypatch):
    """Targets for each kind of output, options for those that are alike."""
    looked, checked = [], []
    fits_all, check = many._fits_all, many._check
    monkeypatch.setattr(many, "_fits_all", lambda *args: looked.append(1) or fits_all(*args))
    monkeypatch.setattr(many, "_check", lambda *args: checked.append(1) or check(*args))
    nets = [Network([3, 2 + i % 4, 2], "tanh", random_state=i) for i in range(20)]
    fit_many(nets, X, Y, max_iter=1)
    assert (len(looked), len(checked)) == (1, 4)
    nets[7].params_[0] = np.nan  # which is looked at in each
    rates = [0.01] * 10 + [0.02] * 10
    with pytest.raises(ValueError, match=r"nets\[7\]: .*(finite|NaN)"):
        fit_many(nets, X, Y, max_iter=1, learning_rate_init=rates)


def test_which_networks_train_in_lanes(monkeypatch):
    """By their size and batches, and by what is asked of them."""
    taken = []

    class Watched(lanes.LaneFits):
        def __init__(self, fits, *others):
            taken.extend(fits)
            super().__init__(fits, *others)

    monkeypatch.setattr("fastnn.many.LaneFits", Watched)

    def count(nets, **options):
        taken.clear()
        fit_many(nets, X, Y, max_iter=1, **options)
        return len(taken)

    n = lanes.lanes_of(np.dtype("f8"))
    large = [
        Network([3, 3000, 2], out_activation="identity", random_state=99 + i) for i in range(n)
    ]
    assert count(tiny(2 * n)) == 2 * n
    assert count(tiny(2 * n), layout="samples") == 0
    assert count(tiny(n // 2), layout="nets") == n // 2
    assert n == 1 or count(tiny(n // 2)) == 0  # half of a vector would be free
    assert count([*tiny(n), *large]) == n
    assert count(large, batch_size=8) == 0
    assert count(large[:1], layout="nets") == 1
    f4 = np.dtype("f4")
    small = max(k for k in range(10**5) if lanes.are_worth_it(64, k, f4, 9))
    brief = max(k for k in range(10**5) if lanes.are_worth_it(64, k, f4, 8))
    assert 300_000 < 12 * small * lanes.lanes_of(f4) < 400_000
    assert small < brief <= 2 * small + 1
    if lanes.lanes_of(f4) > 1:  # 4 to 16
        assert lanes.are_worth_it(24, 10, f4, 9)
        assert not lanes.are_worth_it(lanes.lanes_of(f4) + 1, 1000, f4, 9)
    taken.clear()
    given = {"loss": "quantile", "quantile": [0.1, 0.9], "out_activation": "identity"}
    quantiles, alone = (
        [Network([3, 4, 2], random_state=i, **given) for i in range(2)] for _ in range(2)
    )
    fit_many(quantiles, X, Y[:, 0], max_iter=3, layout="nets")
    assert len(taken) == 2
    for net, other in zip(quantiles, alone, strict=True):
        np.testing.assert_allclose(net.params_, other.fit(X, Y[:, 0], max_iter=3).params_, 1e-9)
    for options, reason in (
        ({"solver": "lm"}, "solver"), ({"solver": "rprop"}, "solver"),
        ({"dropout": 0.1}, "dropout"),
        ({"learning_rate": "cosine"}, "learning_rate"), ({"clip_norm": 1.0}, "clip_norm"),
        ({"ema": 0.9}, "ema"), ({"input_noise": 0.1}, "input_noise"),
        ({"rows_val": 3 * [[0]]}, "rows_val"), ({"sample_weight": np.ones(120)}, "sample_weight"),
    ):  # fmt: skip
        assert count(tiny(3), **options) == 0, reason
        with pytest.raises(ValueError, match=rf'nets\[0\]: layout "nets" goes without .*{reason}'):
            count(tiny(3), layout="nets", **options)
    with pytest.raises(ValueError, match="layout"):
        count(tiny(3), layout="lanes")


@UNCHECKED_ONLY
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_ctrl_c_in_lanes(n_jobs):
    """Networks in lanes keep what they reached, others are as they were."""
    nets, fresh = tiny(80), tiny(80)

    def interrupt(*_):
        raise KeyboardInterrupt

    before, old = threading.active_count(), signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(KeyboardInterrupt):
            fit_many(nets, X, Y, max_iter=[10**6] * 79 + [3], layout="nets", n_jobs=n_jobs)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert threading.active_count() == before
    moved = 0
    for net, other in zip(nets, fresh, strict=True):
        assert np.isfinite(net.params_).all()
        n = len(net.loss_curve_)
        moved += n > 0
        if n == 0:
            np.testing.assert_array_equal(net.params_, other.params_)
        elif n < 10**4:
            curve = other.fit(X, Y, max_iter=n).loss_curve_
            np.testing.assert_allclose(net.loss_curve_[:20], curve[:20], rtol=1e-9)
        net.partial_fit(X, Y)
    assert 0 < moved < 80
    for net in nets:  # nothing is locked
        net._random_state.rand()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda n: {"nets": [*n, n[1]]}, ValueError, r"nets\[1\] and nets\[4\] are the same"),
        (lambda n: {"nets": [*n, 3]}, TypeError, r"nets\[4\] must be a Network, got 3"),
        (lambda n: {"nets": n[0]}, TypeError, "nets must be a sequence"),
        (lambda n: {"nets": [*n, Network([4, 2])]}, ValueError, r"nets\[4\]: X must have 4"),
        (lambda n: {"nets": [*n, Network([3, 1])]}, ValueError, r"nets\[4\]: y "),
        (lambda n: {"rows": [[0, 1], [], [2], [3]]}, ValueError, r"nets\[1\]: rows is empty"),
        (lambda n: {"rows": [[0], np.empty(0, int), [2], [3]]}, ValueError, "rows is empty"),
        (lambda n: {"rows": [[0], [1], [120], [3]]}, ValueError, "rows must be from 0 to 119"),
        (lambda n: {"rows": [[0], [1], [-1], [3]]}, ValueError, "got -1 to -1"),
        (lambda n: {"rows": [[0.5]] * 4}, TypeError, "whole numbers"),
        (lambda n: {"rows": [[0]] * 3}, ValueError, "rows has 3 values for 4 networks"),
        (lambda n: {"rows_val": 7}, TypeError, "rows_val must be a sequence"),
        (lambda n: {"max_iter": [1, 2]}, ValueError, "max_iter has 2 values for 4 networks"),
        (lambda n: {"max_iter": [1, 2, 0, 1]}, ValueError, r"nets\[2\]: max_iter"),
        (lambda n: {"solver": ["adam", "sgd", "adam", "addam"]}, ValueError, r"nets\[3\]: .*adam"),
        (lambda n: {"solver": np.array(["lm"] * 4)}, TypeError, r"nets\[0\]: solver must be"),
        (lambda n: {"max_iters": 3}, TypeError, "did you mean 'max_iter'"),
        (lambda n: {"n_init": 3}, TypeError, "unexpected keyword argument 'n_init'"),
        (lambda n: {"n_iter_no_change": 3}, ValueError, "needs a validation set"),
        (lambda n: {"scoring": "best", "rows_val": [[0]] * 4}, ValueError, r"nets\[0\]: .*best"),
        (lambda n: {"errors": "ignore"}, ValueError, "errors"),
        (lambda n: {"callback": 3}, TypeError, "callback must be a function"),
        (lambda n: {"X": np.where(X > 2, np.nan, X)}, ValueError, r"nets\[0\]: X"),
        (lambda n: {"sample_weight": -np.ones(120)}, ValueError, r"nets\[0\]: sample_weight"),
        (lambda n: {"n_jobs": 0}, ValueError, "n_jobs"),
    ],
)  # fmt: skip
def test_refused_before_any_changes(change, error, message):
    nets = networks(4)
    before = [state(net) for net in nets]
    with pytest.raises(error, match=message):
        fit_many(**{"nets": nets, "X": X, "y": Y, "max_iter": 3, **change(nets)})
    assert [state(net) for net in nets] == before


def test_a_random_state_that_two_share():
    shared, bits = np.random.RandomState(0), np.random.MT19937(0)
    for states in ([shared] * 2, [np.random.RandomState(bits), np.random.RandomState(bits)]):
        nets = [Network([3, 2], random_state=one) for one in states]
        with pytest.raises(ValueError, match=r"nets\[0\] and nets\[1\] share a random state"):
            fit_many(nets, X, Y)


@UNCHECKED_ONLY
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_ctrl_c(n_jobs):
    """Long fits end soon; each network is usable, and no thread is left."""
    x = np.random.RandomState(0).randn(3000, 3)
    y = np.column_stack([np.sin(x[:, 0]), x[:, 1]])
    nets = [Network([3, 60, 60, 2], "tanh", random_state=i) for i in range(6)]
    pressed = []

    def interrupt(*_):
        pressed.append(time.perf_counter())
        raise KeyboardInterrupt

    before, old = threading.active_count(), signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(KeyboardInterrupt):
            fit_many(nets, x, y, max_iter=3000, n_jobs=n_jobs)
        took = time.perf_counter() - pressed[0]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert took < 2.0  # 0.2 on an idle machine
    assert threading.active_count() == before
    for net in nets:
        assert np.isfinite(net.params_).all()
        assert len(net.loss_curve_) < 3000
        net.partial_fit(x, y)
        assert net._n_jobs is None


def test_weights_that_are_zero_for_the_rows_of_one():
    nets, weights = networks(2), np.r_[0.0, np.ones(119)]
    before = [state(net) for net in nets]
    with pytest.raises(ValueError, match=r"nets\[1\]: sample_weight is 0 for every row"):
        fit_many(nets, X, Y, rows=[[0, 1], [0, 0]], sample_weight=weights)
    assert [state(net) for net in nets] == before
