"""How a compiled call is held to the oracle.

The oracle is the build "reference" in NumPy. Both start from the same parameters, solver and
random state in each comparison, so that differences do not add up from call to call.

How far two right answers may be apart has two parts.

* What rounding does to well-conditioned sums: as in the tests, 1e-12 (float64) or
  4 sqrt(length) eps (float32) of the largest number.
* Where that is not enough, the oracle says itself how much rounding matters there. It answers
  again, several times, with random errors in each of its intermediate results: as large as a
  compiled kernel's may be, and no larger. A sum of n terms may be off by n units in the last place
  of the sum of their sizes, whatever its order (Higham, "Accuracy and stability of numerical
  algorithms", chapter 3); an activation by the 4 units that the kernels' tests hold it to. A
  number may be off by FACTOR times the most that this moves it. A unit at the kink of a relu, the
  slope of a saturated tanh, a first step of Adam along a gradient that is all cancellation, a tie
  between two validation scores: there, and only there, the answers lie far apart, and so may the
  compiled one. More of them are asked for before it is called wrong.

A sum that overflows in one order and not in another is told by the same principle: then the oracle
itself must leave the finite numbers when everything is `length` times larger, and must not when
it is `length` times smaller.
"""

import contextlib
import functools
import math

import numpy as np

from fastnn import kernels
from fastnn.catalog import activations
from fastnn.catalog import losses as catalog
from fastnn.reference import dense, losses, training
from fastnn.reference.activations import SOFTMAX

FACTOR = 4.0
CHAOS = 0.01  # of the largest number: rounding decides which way a fit goes
DRAWS = (8, 56, 192)  # together 256: a sign that is noise escapes them once in 2^256
REFERENCE = kernels.load("reference")


class Finding(Exception):
    """Something that fastnn does and should not."""


@contextlib.contextmanager
def as_oracle():
    """A context in which fastnn computes by the oracle."""
    before, kernels.build = kernels.build, REFERENCE
    try:
        yield
    finally:
        kernels.build = before


def rounding(dtype, length):
    """Relative to the largest number."""
    if dtype == np.float64:
        return 1e-12
    return 4 * math.sqrt(length) * float(np.finfo(np.float32).eps)


class Noise:
    """Random errors as rounding makes them.

    seed None: none. times: parameters and inputs are that much larger, too.
    """

    def __init__(self, seed=None, times=1.0):
        self.rng = None if seed is None else np.random.Generator(np.random.PCG64(seed))
        self.times = times
        # a kernel makes the same error of the same number, in each row: in half of the answers
        # all numbers of an array are off by as many units
        self.apart = seed is None or seed % 2 == 0
        #: whether it changes nothing
        self.is_none = seed is None and times == 1

    def off(self, size, units):
        """Errors of that many units in the last place of numbers of this size."""
        size = np.abs(size)
        shape = size.shape if self.apart else ()
        errors = self.rng.uniform(-units, units, shape) * np.finfo(size.dtype).eps
        with np.errstate(all="ignore"):
            return np.where(np.isfinite(size), errors * size, 0).astype(size.dtype)

    def underflow(self, array, code):
        """A copy without what underflows, in half of the answers.

        An exponential below the smallest normal number is 0 in the kernels. What multiplies it in
        the slope of gelu_tanh is sqrt(8 / pi) |z| (1 + 0.134 z^2): 2100 at z = -21.2, where it
        underflows in float64; less in float32, and in gelu.
        """
        if self.apart or activations.BY_CODE[code].name not in ("gelu", "gelu_tanh"):
            return array
        return np.where(np.abs(array) < 2100 * np.finfo(array.dtype).tiny, 0, array)

    def move(self, array, dtype):
        """A copy of inputs or parameters, in double precision if they are no floats."""
        array = np.array(array, np.float64 if np.asarray(array).dtype.kind != "f" else None)
        if self.rng is not None:
            array *= 1 + float(np.finfo(dtype).eps) * self.rng.uniform(-1, 1, array.shape)
        with np.errstate(over="ignore"):
            return array * array.dtype.type(self.times) if self.times != 1 else array

    def shrink(self, array, dtype):
        """As `move`, of targets, towards 0 and by a unit at most: in the domain of each loss."""
        array = np.array(array, np.float64)
        if self.rng is not None:
            array *= 1 - float(np.finfo(dtype).eps) * self.rng.uniform(0, 1, array.shape)
        return array

    def __enter__(self):
        """Have these errors in all that the oracle computes, until the end of the block."""
        self._before = []
        if self.rng is not None:
            for room, name, wrap in _ROUNDED:
                function = getattr(room, name)
                self._before.append((room, name, function))
                setattr(room, name, functools.partial(wrap, self, function))
        return self

    def __exit__(self, *exception):
        for room, name, function in self._before:
            setattr(room, name, function)


# ---- rounding, in each of the oracle's functions ------------------------------------------------


def _sums(noise, weighted_sums, x, coef, intercept):
    z = weighted_sums(x, coef, intercept)
    with np.errstate(all="ignore"):
        size = np.abs(x) @ np.abs(coef) + np.abs(intercept)
        return z + noise.off(size.astype(z.dtype), len(coef) + 1)


def _activation(noise, activate, z, code, out):
    activate(z, code, out)
    row = activations.BY_CODE[code]
    with np.errstate(all="ignore"):
        if row.name not in ("identity", "relu"):  # these round nothing
            moved = np.clip(out + noise.off(out, 4), row.low, row.high)
            out[...] = noise.underflow(np.where(np.isfinite(out), moved, out), code)


def _softmax(noise, softmax, z, workspace, out):
    softmax(z, workspace, out)
    out[...] = np.minimum(out + noise.off(out, 4 + out.shape[1]), 1)


def _slopes(noise, times_derivative, delta, kept, code):
    kept = noise.underflow(kept, code)
    result = times_derivative(delta, kept, code)
    with np.errstate(all="ignore"):
        if code == SOFTMAX:
            inner = np.sum(np.abs(delta * kept), axis=1, keepdims=True)
            size = (np.abs(delta) + inner) * np.abs(kept)
            return result + noise.off(size, 2 + kept.shape[1])
        if activations.BY_CODE[code].name in ("identity", "relu"):
            return result
        # slopes are sums and differences of terms of about 1
        return result + noise.off(np.where(result == 0, 0, np.abs(result) + np.abs(delta)), 4)


def _propagated(noise, propagate_delta, delta, coef, a, code, workspace, out):
    with np.errstate(all="ignore"):
        back = delta @ coef.T
        back = back + noise.off(np.abs(delta) @ np.abs(coef.T), coef.shape[1])
        out[...] = dense.times_derivative(back, a, code)


def _delta(noise, loss_delta, a, z, y, loss, *args):
    """And the sums over the rows that are made of it."""
    total, delta = loss_delta(a, z, y, loss, *args)
    with np.errstate(all="ignore"):
        weights, y = losses.weights_of(y, a.shape[1]), np.abs(y[:, : a.shape[1]])
        name, size = catalog.BY_CODE[loss].name, np.zeros_like(a)
        # losses near 0 are differences of larger terms, or logarithms of sums of about 1
        if name in ("log_loss", "clipped_log_loss", "clipped_binary_log_loss"):
            size += 1.0
        elif name in ("poisson", "poisson_of_values"):
            size = y * (1 + np.abs(np.log(np.maximum(y, 1e-30))) + np.abs(z)) + a
        elif name == "gamma":
            logs = np.abs(np.log(y)) + np.abs(z)
            size = (1 + logs) * (1 + y / a)
        errors = noise.off((weights * size).astype(a.dtype), 2)
        return total + float(errors.sum()), delta + noise.off(delta, 4 + len(delta))


def _noisy(noise, noisy, x, scale, *args):
    result = noisy(x, scale, *args)
    if not scale:
        return result
    return result + noise.off(np.abs(result - x) + np.abs(result), 4)


def _step(noise, take_step, params, grads, states, *args):
    """Of the terms of its sums: a gradient with its penalty, moments, an average."""
    grads += noise.off(grads, 4)
    states += noise.off(states, 2)
    params += noise.off(params, 1)
    take_step(params, grads, states, *args)


_ROUNDED = (
    (dense, "weighted_sums", _sums), (dense, "activate", _activation),
    (dense, "softmax", _softmax), (dense, "times_derivative", _slopes),
    (losses, "times_derivative", _slopes), (training, "activate", _activation),
    (training, "propagate_delta", _propagated), (training, "loss_delta", _delta),
    (training, "noisy", _noisy), (training, "take_step", _step),
)  # fmt: skip


def flat(results):
    """All numbers of the results, in one vector of doubles."""
    if not results:
        return np.empty(0)
    return np.concatenate([np.asarray(one, np.float64).ravel() for one in results])


def outcome(function, expected):
    """(what it gives, None) or (None, the error), for errors that are expected."""
    try:
        return function(), None
    except expected as error:
        return None, error


def agree(got, error, oracle, dtype, length, scale=0.0, *, expected):
    """Raise a Finding unless an outcome is one that rounding allows.

    Parameters
    ----------
    got : list of array-like, or None
        What the compiled call left.
    error : Exception or None
        What it raised.
    oracle : callable
        Of a `Noise`: what the oracle leaves; it may raise.
    dtype, length
        Type and longest sum.
    scale : float
        Numbers of this size go in, besides those that come out.
    """
    want, refusal = outcome(lambda: oracle(Noise()), expected)
    if error is not None or refusal is not None:
        if type(error) is type(refusal):
            return
        _near_the_largest(error, refusal, oracle, length, expected)
        return
    got = [np.asarray(one, np.float64).ravel() for one in got]
    answers = [flat(want)]
    mine = flat(got)
    if answers[0].shape == mine.shape:
        off = _off(mine, answers[0])
        bound = _plain(got, want, dtype, length, scale)
        if (off <= bound).all():
            return
    if _overflows(mine, answers[0], oracle, length, expected):
        return
    seed = 0
    for n in DRAWS:
        for _ in range(n):
            seed += 1
            more, refused = outcome(lambda s=seed: _answer(oracle, Noise(s)), expected)
            if refused is None:
                answers.append(flat(more))
        alike = [one for one in answers if one.shape == mine.shape]
        if len(alike) < 2:  # as many epochs as one of these at least
            continue
        first, others = alike[0], np.array(alike[1:])
        with np.errstate(invalid="ignore", over="ignore"):
            spread = FACTOR * np.max(np.abs(others - first), axis=0)
            spread[np.isnan(spread)] = np.inf
        plain = rounding(dtype, length) * max(_largest(first), scale, 1e-3)
        # where rounding moves one number that far, it moves another one in another answer
        wildest = np.max(spread, initial=0, where=np.isfinite(spread))
        if wildest > CHAOS * _largest(first):
            spread = np.maximum(spread, wildest)
        off = _off(mine, first)
        if (off <= spread + plain).all():
            return
    if len(alike) < 2:
        raise Finding(f"{mine.size} numbers, the oracle gives {answers[0].size} and never as many")
    at = int(np.argmax(off - spread - plain))
    raise Finding(
        f"number {at} of {mine.size} is {float(mine[at])!r}, the oracle's {float(first[at])!r}: "
        f"off by {off[at]:.3g}, and rounding allows {spread[at] + plain:.3g}"
    )


def _answer(oracle, noise):
    with noise:
        return oracle(noise)


def _overflows(mine, first, oracle, length, expected):
    """Whether the two are infinite in different places, and that depends on a factor."""
    if mine.shape != first.shape:
        return False
    where = np.isfinite(mine) != np.isfinite(first)
    if not where.any():
        return False
    ends = []
    for times in (0.5 / length, 2.0 * length):
        end, refused = outcome(lambda t=times: flat(oracle(Noise(times=t))), expected)
        ends.append(np.full(mine.size, np.nan) if refused is not None else end)
    if any(end.shape != mine.shape for end in ends):
        return False
    depends = np.isfinite(ends[0]) != np.isfinite(ends[1])
    if np.isinf(first).any():
        # products have overflowed: of inf - inf in one order another makes -inf, and elu -1 of it
        depends |= np.isnan(mine) | np.isnan(first)
    return bool(depends[where].all())


def _largest(array):
    finite = np.abs(array[np.isfinite(array)])
    return float(finite.max()) if finite.size else 0.0


def _off(mine, first):
    with np.errstate(invalid="ignore", over="ignore"):
        off = np.abs(mine - first)
    same = (mine == first) | (np.isnan(mine) & np.isnan(first))
    off[same] = 0
    off[np.isnan(off)] = np.inf
    return off


def _plain(got, want, dtype, length, scale):
    """Bounds by the first rule, for each of the results by its own largest number."""
    share = rounding(dtype, length)
    bounds = [
        np.full(mine.size, share * max(_largest(np.asarray(one, np.float64)), scale, 1e-3))
        for mine, one in zip(got, want, strict=True)
    ]
    return np.concatenate(bounds) if bounds else np.empty(0)


def _near_the_largest(error, refusal, oracle, length, expected):
    """One of two left the finite numbers: that must depend on a factor."""
    for one in (error, refusal):
        if one is not None and not left_finite_numbers(one):
            raise Finding(f"raises {error!r}, the oracle {refusal!r}")
    factor = 2.0 * length
    for times in (1 / factor, factor):
        _, refused = outcome(lambda t=times: oracle(Noise(times=t)), expected)
        if (refused is None) != (error is None):
            return
    for seed in range(1, 65):
        _, refused = outcome(lambda s=seed: _answer(oracle, Noise(s)), expected)
        if (refused is None) == (error is None):
            return
    raise Finding(
        f"raises {error!r}, the oracle {refusal!r}; it does so {factor:g} times off, too"
    )


def left_finite_numbers(error):
    """Whether that is what an error says: of a network's fit, or of an estimator's."""
    return isinstance(error, FloatingPointError) or (
        isinstance(error, ValueError) and "finite" in str(error)
    )
