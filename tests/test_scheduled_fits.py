"""Fits with schedules: the rates that steps take, blocks, callbacks, and what is refused."""

import numpy as np
import pytest

from fastnn import Network, schedules
from fastnn.schedules import Cosine, OneCycle, Step

rng = np.random.RandomState(0)
X = rng.uniform(-1, 1, (90, 3))
y = X[:, :1] * X[:, 1:2]
MINI = {"batch_size": 20, "max_iter": 10}  # 50 steps


def new_net(dtype=np.float64, **options):
    return Network([3, 8, 1], "tanh", random_state=0, dtype=dtype, **options)


@pytest.fixture
def small_blocks(monkeypatch):
    """Tables of two epochs of five steps each."""
    monkeypatch.setattr(schedules, "BLOCK_STEPS", 12)


def by_hand(factor, solver, net, rate=0.05, **options):
    """The same training, one partial_fit for each step."""
    random_state = np.random.RandomState(0)
    random_state.uniform(size=net.params_.size)  # the draws of its parameters
    order = np.arange(len(X))
    steps = 0
    for _ in range(10):
        random_state.shuffle(order)
        for start in range(0, len(X), 20):
            rows = order[start : start + 20]
            net.partial_fit(
                X[rows], y[rows], solver=solver, batch_size=len(rows), shuffle=False,
                learning_rate_init=rate * factor(steps / 50), **options,
            )  # fmt: skip
            steps += 1
    return net


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("blocks", ["one block", "small_blocks"])
@pytest.mark.parametrize(
    ("solver", "options"),
    [("sgd", {}), ("sgd", {"momentum": 0.9}), ("adam", {}), ("adamw", {"weight_decay": 0.1}),
     ("rmsprop", {}), ("nadam", {}), ("adam", {"clip_norm": 0.1})],
)  # fmt: skip
def test_every_step_has_its_rate(solver, options, blocks, dtype, request):
    if blocks == "small_blocks":
        request.getfixturevalue(blocks)
    factor = Cosine(end=0.1)
    got = new_net(dtype).fit(
        X, y, solver=solver, learning_rate=factor, learning_rate_init=0.05, **MINI, **options
    )
    want = by_hand(factor, solver, new_net(dtype), **options)
    rtol = {np.float64: 1e-12, np.float32: 2e-5}[dtype]
    np.testing.assert_allclose(got.params_, want.params_, rtol=rtol, atol=rtol / 10)


def test_a_factor_of_one_changes_no_bit():
    plain = new_net().fit(X, y, **MINI)
    for constant in ("constant", schedules.Constant(), lambda t: 1):
        same = new_net().fit(X, y, learning_rate=constant, **MINI)
        np.testing.assert_array_equal(same.params_, plain.params_)
        assert same.loss_curve_ == plain.loss_curve_
    half = new_net().fit(X, y, learning_rate=lambda t: 0.5, learning_rate_init=0.002, **MINI)
    np.testing.assert_array_equal(half.params_, plain.params_)


@pytest.mark.parametrize("batch_size", [20, 90])
def test_blocks_and_callbacks_change_no_bit(batch_size, small_blocks):
    options = {"max_iter": 10, "batch_size": batch_size, "learning_rate": "one_cycle"}
    parts = new_net().fit(X, y, **options)
    heard = new_net().fit(X, y, callback=lambda net: None, callback_every=3, **options)
    schedules.BLOCK_STEPS = 1000
    whole = new_net().fit(X, y, **options)
    for other in (parts, heard):
        np.testing.assert_array_equal(other.params_, whole.params_)
        assert other.loss_curve_ == whole.loss_curve_
    plain = new_net().fit(X, y, **{**options, "learning_rate": "constant"})
    assert not np.array_equal(whole.params_, plain.params_)


def test_names_objects_and_functions_are_the_same():
    fits = [
        new_net().fit(X, y, learning_rate=rate, **MINI).params_
        for rate in ("cosine", "cosine_annealing", Cosine(), lambda t: (1 + np.cos(np.pi * t)) / 2)
    ]
    for other in fits[1:]:
        np.testing.assert_array_equal(other, fits[0])


def test_a_callback_sets_the_rate_that_is_multiplied():
    def lower(net):
        assert net.learning_rate_ == (0.05 if net.n_iter_ == 5 else 0.025)
        net.learning_rate_ = 0.025

    got = new_net().fit(
        X, y, learning_rate=Step(0.25, 0.5), learning_rate_init=0.05, callback=lower,
        callback_every=5, **MINI,
    )  # fmt: skip
    want = new_net().fit(
        X, y, learning_rate=lambda t: 1 if t < 0.25 else 0.5 if t < 0.5 else 0.25,
        learning_rate_init=0.05, **MINI,
    )  # fmt: skip
    np.testing.assert_array_equal(got.params_, want.params_)


def test_a_callback_that_takes_other_parameters_goes_on_in_the_schedule():
    def reload(net):
        net.__setstate__({**net.__getstate__()})

    want = new_net().fit(X, y, learning_rate="one_cycle", **MINI)
    got = new_net().fit(X, y, learning_rate="one_cycle", callback=reload, **MINI)
    np.testing.assert_array_equal(got.params_, want.params_)


def test_weight_decay_and_dropout():
    options = {"solver": "adamw", "learning_rate_init": 0.05, **MINI}
    want = new_net().fit(X, y, weight_decay=0.2, **options)
    got = new_net().fit(X, y, weight_decay=lambda t: 0.2, **options)
    np.testing.assert_allclose(got.params_, want.params_, rtol=1e-12)
    falls = new_net().fit(X, y, weight_decay=0.2 * Cosine(), **options)
    assert np.abs(falls.params_ - want.params_).max() > 1e-4
    want = new_net().fit(X, y, dropout=0.25, **options)
    got = new_net().fit(X, y, dropout=lambda t: 0.25, **options)
    np.testing.assert_array_equal(got.params_, want.params_)
    none = new_net().fit(X, y, dropout=lambda t: 0 * t, **options)
    assert np.isfinite(none.params_).all()
    assert not np.array_equal(none.params_, want.params_)


@pytest.mark.parametrize("solver", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("name", ["one_cycle", "cosine"])
def test_fifty_steps_are_pytorchs(name, solver):
    """Momentum stays as it is: PyTorch's cycle_momentum is off."""
    torch = pytest.importorskip("torch")
    net = new_net()
    layers = []
    for coef, intercept in zip(net.coefs_, net.intercepts_, strict=True):
        linear = torch.nn.Linear(*coef.shape, dtype=torch.float64)
        linear.weight.data = torch.tensor(coef.T.copy())
        linear.bias.data = torch.tensor(intercept.copy())
        layers.append(linear)
    model = torch.nn.Sequential(layers[0], torch.nn.Tanh(), layers[1])
    options = {"sgd": {}, "adam": {"eps": 1e-12}, "adamw": {"eps": 1e-12}}[solver]
    if solver == "adamw":
        decay = [{"params": [linear.weight for linear in layers], "weight_decay": 0.1},
                 {"params": [linear.bias for linear in layers], "weight_decay": 0.0}]  # fmt: skip
        optimizer = torch.optim.AdamW(decay, lr=0.05, **options)
    else:
        kind = torch.optim.SGD if solver == "sgd" else torch.optim.Adam
        optimizer = kind(model.parameters(), lr=0.05, **options)
    scheduler = (
        torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.05, total_steps=50, cycle_momentum=False)
        if name == "one_cycle"
        else torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 50)
    )
    inputs, targets = torch.tensor(X), torch.tensor(y)
    for step in range(50):
        optimizer.zero_grad()
        (((model(inputs) - targets) ** 2).sum(1).mean() / 2).backward()
        optimizer.step()
        if step < 49:
            scheduler.step()
    numbers = {"adamw": {"weight_decay": 0.1}}.get(solver, {})
    net.fit(
        X, y, solver=solver, learning_rate=name, learning_rate_init=0.05, epsilon=1e-12,
        batch_size=90, max_iter=50, **numbers,
    )  # fmt: skip
    for linear, coef, intercept in zip(layers, net.coefs_, net.intercepts_, strict=True):
        np.testing.assert_allclose(linear.weight.detach().numpy().T, coef, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(linear.bias.detach().numpy(), intercept, rtol=1e-6, atol=1e-9)


# ---- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"learning_rate": 0.1}, TypeError, "the learning rate itself is learning_rate_init"),
        ({"learning_rate": "cosin"}, ValueError, "did you mean 'cosine'"),
        ({"learning_rate": "adaptive"}, ValueError, "MLPClassifier and .* have 'adaptive'"),
        ({"learning_rate": None}, TypeError, "learning_rate must be one of 'constant'"),
        ({"learning_rate": Cosine}, TypeError, r"use Cosine\(\)"),
        ({"learning_rate": lambda t: -t}, ValueError, "learning_rate must return a finite"),
        ({"learning_rate": lambda t: np.nan}, ValueError, "got nan at 0"),
        ({"weight_decay": lambda t: t - 1}, ValueError, "weight_decay must return a finite"),
        ({"dropout": lambda t: 2 * t}, ValueError, "dropout must return .* and < 1 .* got 1 at"),
        ({"dropout": "cosine"}, TypeError, "dropout"),
    ],
)
def test_bad_schedules_change_nothing(options, error, message):
    net = new_net().fit(X, y, max_iter=2)
    before, losses = net.params_.copy(), list(net.loss_curve_)
    with pytest.raises(error, match=message):
        net.fit(X, y, **options)
    np.testing.assert_array_equal(net.params_, before)
    assert net.loss_curve_ == losses


def late(share):
    """A function that is good on the shares that are tried first."""

    def function(t):
        on_grid = np.abs(t * 100 - np.round(t * 100)) < 1e-9
        return np.where(~on_grid & (t > share), np.nan, 1.0)

    return function


def test_what_shows_in_the_first_block_is_refused_before():
    net = new_net()
    before = net.params_.copy()
    with pytest.raises(ValueError, match="got nan at 0"):
        net.fit(X, y, learning_rate=late(0.5), max_iter=7, batch_size=20)
    np.testing.assert_array_equal(net.params_, before)
    assert net.n_iter_ == 0


def test_what_shows_later_leaves_usable_parameters(small_blocks):
    net = new_net()
    with pytest.raises(ValueError, match="learning_rate must return a finite number"):
        net.fit(X, y, learning_rate=late(0.5), max_iter=7, batch_size=20)
    assert net.n_iter_ == 2
    same = new_net().fit(X, y, batch_size=20, max_iter=2)
    np.testing.assert_array_equal(net.params_, same.params_)
    net.partial_fit(X, y, batch_size=20)


@pytest.mark.parametrize("name", ["learning_rate", "weight_decay", "dropout"])
def test_partial_fit_knows_no_end(name):
    net = new_net()
    with pytest.raises(ValueError, match=f"partial_fit takes no schedule as {name}"):
        net.partial_fit(X, y, solver="adamw", **{name: 0.1 * Cosine()})
    assert net.n_iter_ == 0
    net.partial_fit(X, y, learning_rate="constant")
    with pytest.raises(AttributeError, match="a callback may set learning_rate_"):
        net.learning_rate = "cosine"


def test_one_cycle_object_with_numbers():
    schedule = OneCycle(pct_start=0.5, div_factor=10.0)
    net = new_net().fit(X, y, solver="sgd", learning_rate=schedule, **MINI)
    same = new_net().fit(
        X, y, solver="sgd", learning_rate=schedule, learning_rate_init=0.001, **MINI
    )
    np.testing.assert_array_equal(net.params_, same.params_)
