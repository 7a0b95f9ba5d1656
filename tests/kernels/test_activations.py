"""Elementwise activations and their derivatives against exact values, in every build."""

import functools
import math

import numpy as np
import pytest
from cases import ACTIVATIONS, ELEMENTWISE, EVERY_BUILD
from conftest import SIZES

from fastnn import reference
from fastnn.catalog.activations import BY_NAME

EVERY_ACTIVATION = pytest.mark.parametrize("name", ELEMENTWISE)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


SELU_SCALE, SELU_LOW = (  # of Klambauer et al. (2017): the second is the first times alpha
    np.longdouble("1.05070098735548049342"), np.longdouble("1.75809934084737685994")
)  # fmt: skip


def normal(z):
    """The standard normal distribution, by erfc, or for long doubles by its series.

    phi(x) sum_n x^(2n+1) / (2n+1)!!, of positive terms (Abramowitz and Stegun, 26.2.11), and for
    its tail phi(x) / (x + 1 / (x + 2 / (x + 3 / ...))) (26.2.14).
    """
    if z.dtype != np.longdouble:
        return np.vectorize(math.erfc, otypes=[z.dtype])(-z / math.sqrt(2)) / 2
    near, far = np.clip(z, -2.5, 12), np.clip(-z, 2.5, 1e4)
    term = total = near
    for n in range(1, 300):
        term = term * (near * near / (2 * n + 1))
        total = total + term
    fraction = far
    for n in range(300, 0, -1):
        fraction = far + n / fraction
    middle = np.where(z > 12, 1, 0.5 + density(near) * total)
    return np.where(z < -2.5, density(far) / fraction, middle)


def density(z):
    return np.exp(-z * z / 2) / np.sqrt(8 * np.arctan(z.dtype.type(1)))


def tanh_gate(z):
    """z, and the argument of the sigmoid in gelu_tanh with its derivative, where they count."""
    t = np.clip(z, -100, 100)
    c, k = np.sqrt(2 / np.arctan(z.dtype.type(1))), z.dtype.type("0.044715")
    return t, c * (t + k * t**3), c * (1 + 3 * k * t * t)


def gelu_tanh_derivative(z):
    t, u, slope = tanh_gate(z)
    return sigmoid(u) + t * sigmoid(u) * sigmoid(-u) * slope


def softplus(z):
    return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))


def mish_derivative(z):
    t = np.clip(z, -1e4, 100)  # cosh^2 is a number there, and the product 0 beyond
    return np.tanh(softplus(z)) + t * sigmoid(t) / np.cosh(softplus(t)) ** 2


# name -> the function and its derivative, by z, for numbers of any type. A row of the catalog
# without exact values here fails.
EXACT = {
    "identity": (lambda z: z, np.ones_like),
    "sigmoid": (sigmoid, lambda z: sigmoid(z) * sigmoid(-z)),
    "tanh": (np.tanh, lambda z: 1 / np.cosh(z) ** 2),
    "relu": (lambda z: np.maximum(z, 0), lambda z: np.where(z > 0, 1, 0 * z)),
    "exp": (np.exp, np.exp),
    "silu": (
        lambda z: z * sigmoid(z), lambda z: sigmoid(z) + z * sigmoid(z) * sigmoid(-z)
    ),
    "elu": (
        lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
        lambda z: np.exp(np.minimum(z, 0)),
    ),
    "leaky_relu": (
        lambda z: np.where(z > 0, z, z / 100), lambda z: 1 / np.where(z > 0, 1, 100 + 0 * z)
    ),
    "selu": (
        lambda z: np.where(z > 0, SELU_SCALE * z, SELU_LOW * np.expm1(np.minimum(z, 0))),
        lambda z: np.where(z > 0, SELU_SCALE, SELU_LOW * np.exp(np.minimum(z, 0))),
    ),
    "gelu": (
        lambda z: z * normal(z), lambda z: normal(z) + np.clip(z, -1e4, 1e4) * density(z),
    ),
    "gelu_tanh": (lambda z: z * sigmoid(tanh_gate(z)[1]), gelu_tanh_derivative),
    "mish": (lambda z: z * np.tanh(softplus(z)), mish_derivative),
    "softplus": (softplus, sigmoid),
}  # fmt: skip

# and its derivative as a function of the value, where the catalog says that it is one
BY_VALUE = {
    "identity": np.ones_like,
    "sigmoid": lambda a: a * (1 - a),
    "tanh": lambda a: (1 - a) * (1 + a),
    "relu": lambda a: np.where(a > 0, 1, 0 * a),
    "exp": lambda a: a,
    "elu": lambda a: np.minimum(a, 0) + 1,
    "leaky_relu": lambda a: 1 / np.where(a > 0, 1, 100 + 0 * a),
    "selu": lambda a: np.where(a > 0, SELU_SCALE, a + SELU_LOW),
}

# the limits of the function and of its derivative by z at -infinity and infinity
LIMITS = {
    "identity": ((-np.inf, np.inf), (1, 1)),
    "sigmoid": ((0, 1), (0, 0)),
    "tanh": ((-1, 1), (0, 0)),
    "relu": ((0, np.inf), (0, 1)),
    "exp": ((0, np.inf), (0, np.inf)),
    "silu": ((0, np.inf), (0, 1)),
    "elu": ((-1, np.inf), (0, 1)),
    "leaky_relu": ((-np.inf, np.inf), (0.01, 1)),
    "selu": ((-1.7580993408473768, np.inf), (0, 1.0507009873554805)),
    "gelu": ((0, np.inf), (0, 1)),
    "gelu_tanh": ((0, np.inf), (0, 1)),
    "mish": ((0, np.inf), (0, 1)),
    "softplus": ((0, np.inf), (0, 1)),
}


def called(function, x, code):
    out = np.empty_like(x)
    function(x, code, out)
    return out


def exact(function, x):
    """In the next wider type, if the machine has one."""
    wide = np.longdouble if x.dtype == np.float64 else np.float64
    if np.finfo(wide).eps > np.finfo(x.dtype).eps / 100:
        pytest.skip("needs a long double wider than double")
    with np.errstate(all="ignore"):
        return function(x.astype(wide))


def ulps(got, want, floor=0.0):
    """Distance in units of the last place of the exact value, or of floor if that is larger."""
    below_max = np.nextafter(np.finfo(got.dtype).max, 0)  # the largest number has no spacing
    size = np.minimum(np.maximum(np.abs(want), floor), below_max).astype(got.dtype)
    return np.abs(got.astype(want.dtype) - want) / np.spacing(size).astype(want.dtype)


def whole_range(rng, dtype):
    """Numbers of every size up to where e^x leaves the range, and around multiples of ln 2."""
    big = np.log(float(np.finfo(dtype).max))
    return np.concatenate([
        rng.uniform(-big, big, 40000),
        rng.uniform(-1, 1, 40000),
        rng.uniform(-20, 20, 40000),
        rng.choice([-1, 1], 40000) * 2.0 ** rng.uniform(-60, 10, 40000),
        np.arange(-80, 80) * np.log(2),
        (np.arange(-80, 80) + 0.5) * np.log(2),
        [0.0, -0.0, 1e4, -1e4, np.finfo(dtype).max, -np.finfo(dtype).max],
    ]).astype(dtype)  # fmt: skip


@functools.lru_cache(maxsize=1)  # of what one build after the other is tested on
def exact_values(name, dtype):
    """Numbers of the whole range, and the exact values there."""
    x = whole_range(np.random.RandomState(0), dtype)
    return x, exact(EXACT[name][0], x)


@functools.lru_cache(maxsize=1)
def exact_derivatives(name, dtype):
    """What `derivative` takes, sums or values, and the exact derivatives."""
    x, row = whole_range(np.random.RandomState(0), dtype), BY_NAME[name]
    if row.stores_slope:
        return x, exact(EXACT[name][1], x)
    x = x[(x >= row.low) & (x <= row.high)]
    return x, exact(BY_VALUE[name], x)


# Values below the smallest normal number may be 0 instead; so may be the product of z with one
PRODUCTS = {
    "silu": "z e^z from z = -87.3 (float64: -708.4) on, where e^z is 0",
    "mish": "likewise",
    "gelu": "z Phi(z) from z = -13.2 (float64: -37.6) on, where e^(-z^2 / 2) is 0",
    "gelu_tanh": "z e^u from z = -10.0 (float64: -21.2) on, where e^u is 0",
}

# Values with a factor e^u whose u is rounded: within 4 ulp of 1 where they are below 1, and within
# 4 + 4 |u| ulp of themselves
EXPONENTS = {"gelu": "u = -z^2 / 2", "gelu_tanh": "u of the third degree"}


def assert_within_4_ulp(name, got, want):
    """4 ulp of the exact value, however small it is; infinity beyond the largest number."""
    info = np.finfo(got.dtype)
    small = info.tiny * (-np.log(info.tiny) if name in PRODUCTS else 1)
    size = np.abs(want)
    normal, too_large = (size >= small) & (size <= info.max), size > info.max
    if name in EXPONENTS:
        assert ulps(got, want, floor=1.0).max() <= 4
        exponent = np.maximum(-np.log(size[normal]), 0)
        assert (ulps(got[normal], want[normal]) <= 4 + 4 * exponent).all()
    else:
        assert ulps(got[normal], want[normal]).max() <= 4
    np.testing.assert_array_equal(got[too_large], np.sign(want[too_large]) * np.inf)
    below = size < small
    assert (np.abs(got[below].astype(want.dtype) - want[below]) <= small).all()
    return normal


# Derivatives that are differences, so that they are exact to 4 ulp of 1 only
DIFFERENCES = {
    "tanh": "1 - a^2 of an a that is rounded to 1",
    "silu": "s(z) + z s(z) s(-z), whose terms cancel at the minimum, near -1.28",
    "selu": "a + 1.7581 of an a that is rounded to -1.7581",
    "gelu": "Phi(z) + z phi(z), likewise near -0.75",
    "gelu_tanh": "the same as silu, near -0.75",
    "mish": "n / (n + 2) and z times a product, likewise near -1.19",
}


@EVERY_BUILD
@EVERY_ACTIVATION
def test_values_within_4_ulp(module, dtype, name):
    x, want = exact_values(name, dtype)
    if module is reference:
        # NumPy's e^-x overflows where the sigmoid is still a number
        x, want = x[np.abs(x) < 80], want[np.abs(x) < 80]
    got = called(module.activate, x, ACTIVATIONS[name])
    normal = assert_within_4_ulp(name, got, want)
    assert normal[x > 0].mean() > 0.7
    assert normal[x < 0].mean() > 0.7 or name in ("relu", "gelu", "gelu_tanh")


@EVERY_BUILD
@EVERY_ACTIVATION
def test_derivatives_within_4_ulp(module, dtype, name):
    x, want = exact_derivatives(name, dtype)
    got = called(module.derivative, x, ACTIVATIONS[name])
    if name in DIFFERENCES:
        assert ulps(got, want, floor=1.0).max() <= 4
    else:
        assert_within_4_ulp(name, got, want)


@EVERY_ACTIVATION
def test_the_exact_derivatives_are_derivatives(name, rng):
    """By central differences, so that the oracle's and the kernels' are."""
    z = rng.uniform(-6, 6, 2000)
    z = z[np.abs(z) > 1e-3]  # kinks
    h = 1e-5
    function, derivative = EXACT[name]
    numeric = (function(z + h) - function(z - h)) / (2 * h)
    np.testing.assert_allclose(derivative(z), numeric, rtol=1e-7, atol=1e-9)
    if not BY_NAME[name].stores_slope:
        np.testing.assert_allclose(BY_VALUE[name](function(z)), numeric, rtol=1e-7, atol=1e-9)


@EVERY_BUILD
@EVERY_ACTIVATION
def test_limits(module, dtype, name):
    """At +-1e4, the largest numbers and infinity; NaN stays NaN."""
    big, code = np.finfo(dtype).max, ACTIVATIONS[name]
    x = np.array([-np.inf, -big, -1e4, 1e4, big, np.inf, np.nan], dtype)
    values = called(module.activate, x, code)
    ends, flat = np.array(LIMITS[name], dtype)
    np.testing.assert_array_equal(values[[0, -2, -1]], [*ends, np.nan])
    slopes = called(module.derivative, x if BY_NAME[name].stores_slope else values, code)
    np.testing.assert_array_equal(slopes[[0, -2]], flat)
    assert np.isnan(slopes[-1]) or name in ("identity", "relu", "leaky_relu")
    # between them nothing but the function itself, which has reached its limit or overflows
    with np.errstate(all="ignore"):
        want = [exact(f, x[1:5]).astype(dtype) for f in EXACT[name]]
    for got, expected in ((values, want[0]), (slopes, want[1])):
        np.testing.assert_allclose(got[1:5], expected, rtol=4 * np.finfo(dtype).eps, atol=0)


@EVERY_ACTIVATION
def test_at_the_edges_of_the_range(kernels, dtype, name):
    """Each of the numbers around the bounds of exp, where an exponent could overflow."""
    info = np.finfo(dtype)
    edges = [np.log(float(info.max)), np.log(float(info.tiny)), 0.0]
    x = np.concatenate([e + np.arange(-40, 41) * np.spacing(dtype.type(e)) for e in edges])
    x = np.concatenate([x, -x]).astype(dtype)
    got, want = called(kernels.activate, x, ACTIVATIONS[name]), exact(EXACT[name][0], x)
    assert_within_4_ulp(name, got, want)


@EVERY_BUILD
def test_tanh_keeps_the_sign_of_zero(module, dtype):
    out = called(module.activate, np.array([-0.0, 0.0], dtype), ACTIVATIONS["tanh"])
    assert np.signbit(out).tolist() == [True, False]


@EVERY_ACTIVATION
def test_the_catalogs_range(kernels, dtype, name, rng):
    """No value leaves [low, high], and values come near both ends where those are finite."""
    x, row = whole_range(rng, dtype), BY_NAME[name]
    values = called(kernels.activate, x, row.code)
    low, high, eps = dtype.type(row.low), dtype.type(row.high), np.finfo(dtype).eps
    assert values.min() >= low - 4 * eps * np.abs(low) if np.isfinite(low) else True
    assert values.max() <= high
    assert np.isinf(low) or abs(values.min() - low) <= 1e-3
    assert np.isinf(high) or abs(values.max() - high) <= 1e-3
    assert np.isfinite(low) or values.min() < -1e4
    assert np.isfinite(high) or values.max() > 1e4


@EVERY_ACTIVATION
def test_a_value_does_not_depend_on_its_position(kernels, dtype, name, rng):
    x = (rng.randn(97) * 5).astype(dtype)
    for function in (kernels.activate, kernels.derivative):
        whole = called(function, x, ACTIVATIONS[name])
        for n in SIZES:
            for start in (0, 1, 3):
                piece = called(function, x[start : start + n].copy(), ACTIVATIONS[name])
                np.testing.assert_array_equal(piece, whole[start : start + n])


def neighbours(start, n, dtype):
    """n consecutive numbers from start on."""
    bits = np.dtype(f"i{dtype.itemsize}")
    return (np.array(start, dtype).view(bits) + np.arange(n, dtype=bits)).view(dtype)


# those that do not rise
FALLS = {
    "silu": "to its minimum, near -1.28",
    "gelu": "to its minimum, near -0.75",
    "gelu_tanh": "to its minimum, near -0.75",
    "mish": "to its minimum, near -1.19",
}


@pytest.mark.parametrize("name", [name for name in ELEMENTWISE if name not in FALLS])
def test_steps_down_by_at_most_one_ulp(kernels, dtype, name, rng):
    """Where z rises to its neighbour, a value falls, in places, by one ulp of the larger of both.

    tanh does at 0.5% of the numbers between 2^-14 and 20, exp and sigmoid at one in a million.
    All float32 numbers were tried once. softplus is a sum of two rounded terms, and one of them
    falls where z > 0: it falls by two ulp in places.
    """
    allowed = 2 if name == "softplus" else 1
    starts = [8.31795, *2.0 ** rng.uniform(-12, 4.4 if name == "tanh" else 6.3, 150)]
    for start in starts:
        x = neighbours(start, 1 << 13, dtype)
        for rising in (x, -x[::-1].copy()):
            y = called(kernels.activate, rising, ACTIVATIONS[name])
            larger = np.maximum(np.abs(y[:-1]), np.abs(y[1:]))
            assert (y[:-1] - y[1:] <= allowed * np.spacing(larger)).all()


def test_every_other_activation_has_its_own_tests():
    """softmax's are in test_layers.py; another that is not elementwise needs some, too."""
    assert set(ACTIVATIONS) - set(ELEMENTWISE) == {"softmax"}
