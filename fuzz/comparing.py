"""How a compiled call is held to the oracle.

The oracle is the build "reference" in NumPy. Both start from the same parameters, solver and
random state in each comparison, so that differences do not add up from call to call.

How far two right answers may be apart has two parts.

* What rounding does to well-conditioned sums: as in the tests, 1e-12 (float64) or
  4 sqrt(length) eps (float32) of the largest number.
* Where that is not enough, the oracle says itself how much rounding matters there. Whatever the
  order of a sum of n terms, its rounding errors are those of an exact sum of terms of which each
  is off by n units in the last place at most (Higham, "Accuracy and stability of numerical
  algorithms", chapter 3). So the oracle answers again with inputs, targets and parameters off by
  random numbers of that size, several times; a number may be off by FACTOR times the most that
  this moves it. A unit at the kink of a relu, a first step of Adam along a gradient that is all
  cancellation, a tie between two validation scores: there, and only there, the answers lie far
  apart, and so may the compiled one. More of them are asked for before it is called wrong.

A sum that overflows in one order and not in another is told by the same principle: then the oracle
itself must leave the finite numbers when everything is `length` times larger, and must not when
it is `length` times smaller.
"""

import contextlib
import math

import numpy as np

from fastnn import kernels

FACTOR = 4.0
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
    """Moves numbers by some units in the last place.

    seed None: not at all. times: everything is that much larger, too.
    """

    def __init__(self, seed=None, units=0.0, times=1.0):
        self.rng = None if seed is None else np.random.Generator(np.random.PCG64(seed))
        self.units, self.times = units, times
        #: whether it changes nothing
        self.is_none = seed is None and times == 1

    def move(self, array, dtype):
        """A copy of the array, in double precision if it is no float."""
        array = np.array(array, np.float64 if np.asarray(array).dtype.kind != "f" else None)
        if self.rng is not None:
            eps = float(np.finfo(dtype).eps)
            array *= 1 + eps * self.units * self.rng.uniform(-1, 1, array.shape)
        with np.errstate(over="ignore"):
            return array * array.dtype.type(self.times) if self.times != 1 else array

    def shrink(self, array, dtype):
        """As `move`, but towards 0 and by a unit at most: in the domain of each loss."""
        array = np.array(array, np.float64)
        if self.rng is not None:
            array *= 1 - float(np.finfo(dtype).eps) * self.rng.uniform(0, 1, array.shape)
        return array


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
    units = 4.0 + length
    seed = 0
    for n in DRAWS:
        for _ in range(n):
            seed += 1
            more, refused = outcome(lambda s=seed: oracle(Noise(s, units)), expected)
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
        off = _off(mine, first)
        if (off <= spread + plain).all():
            return
    if len(alike) < 2:
        raise Finding(
            f"{mine.size} numbers, the oracle gives {answers[0].size} and never as many"
        )
    at = int(np.argmax(off - spread - plain))
    raise Finding(
        f"number {at} of {mine.size} is {float(mine[at])!r}, the oracle's {float(first[at])!r}: "
        f"off by {off[at]:.3g}, and rounding allows {spread[at] + plain:.3g}"
    )


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
        _, refused = outcome(lambda s=seed: oracle(Noise(s, 4.0 + length)), expected)
        if (refused is None) == (error is None):
            return
    raise Finding(f"raises {error!r}, the oracle {refusal!r}; it does so {factor:g} times off, too")


def left_finite_numbers(error):
    """Whether that is what an error says: of a network's fit, or of an estimator's."""
    return isinstance(error, FloatingPointError) or (
        isinstance(error, ValueError) and "finite" in str(error)
    )
