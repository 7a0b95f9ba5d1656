"""Schedules: their values, PyTorch's as well, tables for the kernels, and what is refused."""

import math
import pickle

import numpy as np
import pytest
from sklearn.base import clone

from fastnn import MLPClassifier, schedules
from fastnn.catalog.schedules import SCHEDULES, SPELLINGS
from fastnn.schedules import (
    Checked,
    Constant,
    Cosine,
    Exponential,
    InverseSquareRoot,
    Linear,
    OneCycle,
    Schedule,
    Schedules,
    Step,
    table,
)

SHARES = np.linspace(0, 1, 97, endpoint=False)
OBJECTS = [
    *schedules.BY_NAME.values(), Cosine(0.1, 0.2), Linear(0.5, 2.0), OneCycle(0.01, 1, 1),
    OneCycle(0.99, 10, 100), Step(0.3, 2.0), Step([0.1, 0.2, 0.9]), Exponential(3.0),
    InverseSquareRoot(0.5), 0.25 * Cosine(0.1),
]  # fmt: skip


# ---- values -------------------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", OBJECTS, ids=repr)
def test_a_schedule_is_vectorised(schedule):
    factors = schedule(SHARES)
    assert factors.dtype == np.float64
    assert factors.shape == SHARES.shape
    assert np.isfinite(factors).all()
    assert (factors >= 0).all()
    np.testing.assert_array_equal(factors, [schedule(t) for t in SHARES])
    np.testing.assert_array_equal(schedule(SHARES[:96].reshape(12, 8)).ravel(), factors[:96])
    assert schedule(np.empty(0)).shape == (0,)


@pytest.mark.parametrize("schedule", OBJECTS, ids=repr)
def test_a_schedule_is_a_value(schedule):
    assert pickle.loads(pickle.dumps(schedule)) == schedule
    assert eval(repr(schedule), vars(schedules)) == schedule
    assert hash(schedule) == hash(pickle.loads(pickle.dumps(schedule)))
    assert schedule != Exponential(0.123)
    copied = clone(MLPClassifier(learning_rate=schedule)).learning_rate
    assert copied == schedule
    with pytest.raises(AttributeError):
        schedule.end = 3.0


def test_formulas_of_the_catalog():
    names = {"exp": math.exp, "cos": math.cos, "pi": math.pi, "sqrt": math.sqrt}
    for row in SCHEDULES:
        if row.name == "one_cycle":  # is described in words
            continue
        want = [
            eval(row.formula.replace("^", "**").replace("pi t", "pi * t"), names, {"t": float(t)})
            for t in SHARES
        ]
        np.testing.assert_allclose(schedules.BY_NAME[row.name](SHARES), want, rtol=1e-12)
    assert list(schedules.BY_NAME) == [row.name for row in SCHEDULES]


def test_ends_and_corners():
    t = np.array([0.0, 0.05, 0.1, 1.0])
    np.testing.assert_allclose(Cosine(0.1, 0.2)(t), [0, 0.5, 1, 0.2], rtol=1e-14)
    np.testing.assert_allclose(Linear(0.1, 0.2)(t), [0, 0.5, 1, 0.2], rtol=1e-14)
    np.testing.assert_allclose(Linear(end=3)(t), [1, 1.1, 1.2, 3], rtol=1e-14)
    np.testing.assert_allclose(InverseSquareRoot(0.1)(t), [0, 0.5, 1, 0.1**0.5], rtol=1e-14)
    np.testing.assert_allclose(OneCycle(0.1)(t[[0, 2, 3]]), [0.04, 1, 4e-6], rtol=1e-9)
    np.testing.assert_array_equal(Step(0.1, 0.5)(t), [1, 1, 0.5, 0.5])
    np.testing.assert_allclose(Exponential(0.01)(t), 0.01**t, rtol=1e-14)
    np.testing.assert_array_equal(Constant()(t), np.ones(4))


def test_scaled():
    schedule = 0.5 * Cosine() * 0.5
    assert schedule == 0.25 * Cosine()
    assert repr(schedule) == "0.25 * Cosine(warm_up=0.0, end=0.0)"
    np.testing.assert_array_equal(schedule(SHARES), 0.25 * Cosine()(SHARES))
    of_steps = (2 * OneCycle()).of_steps(np.arange(10), 10)
    np.testing.assert_array_equal(of_steps, 2 * OneCycle().of_steps(np.arange(10), 10))
    for factor in (-1, math.nan, math.inf):
        with pytest.raises(ValueError, match="factor of Scaled"):
            factor * Cosine()
    assert np.float64(2) * Cosine() == np.float32(1) * (2 * Cosine()) == np.int8(2) * Cosine()
    for factor in ("2", None, True, Cosine(), np.ones(3)):
        with pytest.raises(TypeError):
            Cosine() * factor


@pytest.mark.parametrize("n_steps", [1, 2, 3, 4, 10, 33, 50, 1000])
@pytest.mark.parametrize(
    "numbers",
    [{}, {"pct_start": 0.5}, {"div_factor": 10.0, "final_div_factor": 100.0}, {"pct_start": 0.05}],
    ids=str,
)
def test_one_cycle_is_pytorchs(n_steps, numbers):
    torch = pytest.importorskip("torch")
    if numbers.get("pct_start", 0.3) * n_steps == 1:  # where PyTorch divides by 0
        rising = OneCycle(**numbers).of_steps(np.arange(n_steps), n_steps)
        np.testing.assert_allclose(rising, [1, *[4e-6] * (n_steps - 1)], rtol=1e-9)
        return
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    with np.errstate(all="ignore"):
        theirs = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=0.5, total_steps=n_steps, cycle_momentum=False, **numbers
        )
    np.testing.assert_allclose(
        0.5 * OneCycle(**numbers).of_steps(np.arange(n_steps), n_steps),
        rates_of(optimizer, theirs, n_steps),
        rtol=1e-9,
        atol=1e-15,
    )


@pytest.mark.parametrize("n_steps", [1, 2, 50])
def test_cosine_is_pytorchs(n_steps):
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps, eta_min=0.05)
    got = 0.5 * Cosine(end=0.1).of_steps(np.arange(n_steps), n_steps)
    np.testing.assert_allclose(got, rates_of(optimizer, theirs, n_steps), rtol=1e-12)


def test_step_is_pytorchs():
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    theirs = torch.optim.lr_scheduler.MultiStepLR(optimizer, [25, 37])
    got = 0.5 * Step([0.5, 0.74]).of_steps(np.arange(50), 50)
    np.testing.assert_allclose(got, rates_of(optimizer, theirs, 50), rtol=1e-12)


def rates_of(optimizer, scheduler, n_steps):
    rates = []
    for _ in range(n_steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if len(rates) < n_steps:
            scheduler.step()
    return rates


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Cosine(warm_up=1.0), "warm_up of Cosine"),
        (lambda: Cosine(end=-1), "end of Cosine"),
        (lambda: Linear(warm_up=-0.1), "warm_up of Linear"),
        (lambda: Linear(end=math.inf), "end of Linear"),
        (lambda: OneCycle(pct_start=0), "pct_start of OneCycle"),
        (lambda: OneCycle(pct_start=1), "pct_start of OneCycle"),
        (lambda: OneCycle(div_factor=0.5), "div_factor of OneCycle"),
        (lambda: OneCycle(final_div_factor=0), "final_div_factor of OneCycle"),
        (lambda: Step([]), "at of Step"),
        (lambda: Step([0.5, 0.5]), "at of Step"),
        (lambda: Step([0.7, 0.5]), "at of Step"),
        (lambda: Step(1.0), "at of Step"),
        (lambda: Step(0.5, 0), "factor of Step"),
        (lambda: Exponential(0), "end of Exponential"),
        (lambda: InverseSquareRoot(0), "warm_up of InverseSquareRoot"),
    ],
)
def test_bad_numbers_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("value", ["0.1", None, True, 1j, [0.1]])
def test_numbers_of_other_types_are_refused(value):
    with pytest.raises(TypeError, match="warm_up of Cosine must be a finite number"):
        Cosine(warm_up=value)
    with pytest.raises(TypeError, match="at of Step"):
        Step(at=[value])


# ---- what training uses -------------------------------------------------------------------------


def factors_of(value, n=100):
    return Checked("learning_rate", value).of_steps(0, n, n)


def test_every_spelling_stands_for_a_schedule():
    for spelling, name in SPELLINGS.items():
        want = schedules.BY_NAME[name].of_steps(np.arange(100), 100)
        np.testing.assert_array_equal(factors_of(spelling), want)


@pytest.mark.parametrize(
    "function",
    [
        lambda t: 1 - t,
        lambda t: np.exp(-t),
        lambda t: math.exp(-t),  # of numbers alone
        lambda t: 1.0 if t < 0.5 else 0.1,
        lambda t: 0.5,
        lambda t: 1,
        lambda t: max(t, 0.25),
        lambda t: np.float32(t),
        Cosine().__call__,
    ],
)
def test_functions_of_arrays_or_of_numbers(function):
    want = np.array([function(t) for t in (np.arange(100) / 100).tolist()], np.float64)
    np.testing.assert_allclose(factors_of(function), want, rtol=1e-14)
    assert factors_of(function, 1).shape == (1,)


def test_a_function_may_write_into_its_argument():
    def doubled(t):
        t *= 2
        return t

    np.testing.assert_array_equal(factors_of(doubled), 2 * np.arange(100) / 100)


def test_a_schedule_of_ones_own():
    class Sawtooth(Schedule):
        def __call__(self, t):
            return t * 4 % 1

    np.testing.assert_array_equal(factors_of(0.5 * Sawtooth()), np.arange(100) / 25 % 1 / 2)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("cosin", "did you mean 'cosine'"),
        ("invscaling", "learning_rate must be one of 'constant', 'linear', 'cosine'"),
        (lambda t: np.full_like(t, np.nan), "finite number >= 0 .*, got nan at 0"),
        (lambda t: 1 / t, "got inf at 0"),
        (lambda t: 0.5 - t, "got -0.01 at 0.51"),
        (lambda t: np.where(t < 0.5, 1, np.inf), "got inf at 0.5"),
        (lambda t: [1.0, 2.0], "shape"),
    ],
)
def test_values_that_cannot_be_used(value, message):
    with pytest.raises((ValueError, TypeError), match=message):
        Checked("learning_rate", value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0.1, "the learning rate itself is learning_rate_init"),
        (None, "a function of the share of the training done, got None"),
        ([0.1, 0.2], "a function"),
        (Cosine, r"use Cosine\(\)"),
        (lambda t: "0.1", "must return a finite number >= 0"),
        (lambda t: None, "must return a finite number >= 0"),
        (lambda t: 1j, "must return a finite number >= 0"),
        (lambda t: [1.0] * int(1 + 10 * t), "it returned sequences"),
        (lambda: 1.0, "argument"),
    ],
)
def test_values_of_other_types(value, message):
    with pytest.raises(TypeError, match=message):
        Checked("learning_rate", value)


def test_what_a_function_raises_comes_through():
    def wrong(t):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        Checked("learning_rate", wrong)


def test_what_shows_later_is_refused_when_it_is_needed():
    late = Checked("learning_rate", lambda t: np.where(t == 0.125, np.nan, 1.0))
    assert (late.of_steps(0, 100, 1000) == 1).all()
    with pytest.raises(ValueError, match=r"got nan at 0.125"):
        late.of_steps(100, 100, 1000)


def test_table():
    both = Schedules(Checked("learning_rate", "one_cycle"), None, Checked("dropout", lambda t: t))
    whole = table(both, 0, 60, 60)
    assert whole.shape == (60, 3)
    assert whole.dtype == np.float64
    assert whole.flags.c_contiguous
    np.testing.assert_array_equal(whole[:, 0], OneCycle().of_steps(np.arange(60), 60))
    np.testing.assert_array_equal(whole[:, 1], np.ones(60))
    np.testing.assert_array_equal(whole[:, 2], np.arange(60) / 60)
    parts = [table(both, first, 20, 60) for first in (0, 20, 40)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    np.testing.assert_array_equal(table(Schedules(), 7, 5, 60), np.ones((5, 3)))


def test_blocks():
    assert schedules.epochs_of_a_block(1) == schedules.BLOCK_STEPS
    assert schedules.epochs_of_a_block(schedules.BLOCK_STEPS // 2 + 1) == 1
    assert schedules.epochs_of_a_block(10 * schedules.BLOCK_STEPS) == 1
