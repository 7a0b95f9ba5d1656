"""The same bits wherever the same numbers lie; the caller's rounding mode and flush-to-zero.

How many threads change nothing is in test_threads.py, how builds agree in tests/kernels.
"""

import ctypes
import os
import pickle
import platform
import shutil
import subprocess

import numpy as np
import pytest
from conftest import COMPILED_ONLY

from fastnn import MLPClassifier, Network, kernels, tutorial
from fastnn.catalog import activations

N, D = 37, 5


def data(dtype):
    rng = np.random.RandomState(0)
    return rng.randn(N, D).astype(dtype), rng.rand(N, 2).astype(dtype)


def unaligned(a):
    room = np.empty(a.nbytes + 1, np.uint8)[1:]
    other = room.view(a.dtype).reshape(a.shape)
    other[...] = a
    assert not other.flags.aligned
    return other


def at(offset):
    def moved(a):
        room = np.empty(a.nbytes + 128 + offset, np.uint8)
        start = -room.ctypes.data % 128 + offset
        other = room[start : start + a.nbytes].view(a.dtype).reshape(a.shape)
        other[...] = a
        return other

    return moved


def with_gaps(a):
    wide = np.full((2 * len(a), 3 * a.shape[1]), np.nan, a.dtype)
    wide[::2, ::3] = a
    return wide[::2, ::3]


def read_only(a):
    other = a.copy()
    other.flags.writeable = False
    return other


PLACES = {
    "Fortran order": np.asfortranarray, "backwards": lambda a: a[::-1, ::-1].copy()[::-1, ::-1],
    "with gaps": with_gaps, "a part": lambda a: np.hstack([a, a])[:, : a.shape[1]],
    "unaligned": unaligned, "other byte order": lambda a: a.astype(a.dtype.newbyteorder()),
    "read-only": read_only, "lists": lambda a: a.tolist(),
    "16 bytes on": at(16), "8 bytes on": at(8), "64 bytes on": at(64),
}  # fmt: skip


def bits(net):
    return [a.tobytes() for a in (*net.coefs_, *net.intercepts_)]


def new(dtype, loss="squared_error"):
    return Network([D, 9, 2], "tanh", loss=loss, dtype=dtype, random_state=0)


def fitted(dtype, X, y):
    return new(dtype).fit(X, y, max_iter=3, batch_size=10)


@pytest.mark.parametrize("place", PLACES)
def test_where_numbers_lie_changes_no_bit(dtype, place):
    X, y = data(dtype)
    X2, y2 = (PLACES[place](a) for a in (X, y))
    net, other = fitted(dtype, X, y), fitted(dtype, X2, y2)
    assert bits(net) == bits(other)
    assert net.loss_curve_ == other.loss_curve_
    for _ in range(2):  # the long way and the short one
        assert net.predict(X).tobytes() == net.predict(X2).tobytes()
        assert net.loss(X, y) == net.loss(X2, y2)
        grads, other_grads = net.loss_and_grad(X, y), net.loss_and_grad(X2, y2)
        assert [a.tobytes() for a in grads[1]] == [a.tobytes() for a in other_grads[1]]
        assert bits(net.partial_fit(X, y)) == bits(other.partial_fit(X2, y2))


# lists are float64 to scikit-learn, and so is float32 in the other byte order
@pytest.mark.parametrize("place", [n for n in PLACES if n not in ("lists", "other byte order")])
def test_where_an_estimators_numbers_lie_changes_no_bit(dtype, place):
    X, y = data(dtype)
    labels = (y[:, 0] > 0.5).astype(int)
    X2 = PLACES[place](X)
    with pytest.warns(match="Maximum iterations"):
        one, two = (
            MLPClassifier((9,), max_iter=3, random_state=0).fit(rows, labels) for rows in (X, X2)
        )
    assert [a.tobytes() for a in one.coefs_] == [a.tobytes() for a in two.coefs_]
    assert one.predict_proba(X).tobytes() == one.predict_proba(X2).tobytes()


@pytest.mark.parametrize("place", [name for name in PLACES if name != "lists"])
def test_where_the_tutorials_numbers_lie_changes_no_bit(place):
    X, y = data(np.float64)
    outs = []
    for change in (lambda a: a, PLACES[place]):
        np.random.seed(0)
        net = tutorial.create_nn([D, 4, 2], tutorial.sigm)
        for _ in range(3):
            out = tutorial.train(net, change(X), change(y), tutorial.l2_cost, 0.05)
        outs.append((out.tobytes(), [layer.W.tobytes() for layer in net]))
    assert outs[0] == outs[1]


def test_again_after_a_pickle_and_in_a_copy(dtype):
    X, y = data(dtype)
    net = fitted(dtype, X, y)
    for other in (fitted(dtype, X, y), pickle.loads(pickle.dumps(net)), net.copy()):
        assert bits(net) == bits(other)
        assert net.predict(X).tobytes() == other.predict(X).tobytes()
    one, two = pickle.loads(pickle.dumps(net)), net.copy()
    for _ in range(3):
        assert bits(one.partial_fit(X, y)) == bits(two.partial_fit(X, y))


# ---- the caller's floating-point mode -----------------------------------------------------------

MODES = {"up": 0x800, "down": 0x400, "to zero": 0xC00}  # of fesetround, on x86-64


@pytest.fixture(params=MODES)
def rounding(request):
    """The C library and a rounding mode, which is nearest again afterwards."""
    if platform.machine() != "x86_64" or os.name != "posix":
        pytest.skip("knows the modes of x86-64")
    libm = ctypes.CDLL("libm.so.6")
    yield libm, MODES[request.param]
    libm.fesetround(0)


@COMPILED_ONLY
def test_another_rounding_mode_costs_digits_and_no_more(rounding, dtype):
    """Exponentials are reduced to twice the interval that their polynomials are made for.

    No function falls apart, and the mode is the caller's when a call returns.
    """
    libm, mode = rounding
    X, y = data(dtype)
    net, z = fitted(dtype, X, y), np.linspace(-30, 30, 400).astype(dtype)
    wanted, names = net.predict(X), [r.name for r in activations.ACTIVATIONS if r.elementwise]
    values, others = [np.empty_like(z) for _ in names], [np.empty_like(z) for _ in names]
    for name, out in zip(names, values, strict=True):
        kernels.build.activate(z, activations.CODES[name], out)
    twin = fitted(dtype, X, y)
    libm.fesetround(mode)
    try:
        for name, out in zip(names, others, strict=True):
            kernels.build.activate(z, activations.CODES[name], out)
        got = net.predict(X)
        net.partial_fit(X, y)
        after = libm.fegetround()
    finally:
        libm.fesetround(0)
    twin.partial_fit(X, y)
    assert after == mode
    bound = {8: 1e-10, 4: 5e-5}[dtype.itemsize]  # 2.4e-11 and 2.0e-5 were seen: exp
    np.testing.assert_allclose(got, wanted, rtol=0, atol=bound)
    for name, a, b in zip(names, others, values, strict=True):
        np.testing.assert_allclose(a, b, rtol=bound, atol=bound, err_msg=name)
    for a, b in zip(net.coefs_, twin.coefs_, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=10 * bound)
    assert bits(fitted(dtype, X, y)) == bits(fitted(dtype, X, y))


FLUSH = """
#include <xmmintrin.h>
unsigned get(void) { return _mm_getcsr(); }
void set(unsigned value) { _mm_setcsr(value); }
"""


@COMPILED_ONLY
def test_flush_to_zero_is_the_callers(tmp_path, dtype):
    """Other libraries set it for the whole process: results agree, and it stays set."""
    compiler = next((c for c in ("gcc", "cc", "clang") if shutil.which(c)), None)
    if compiler is None or platform.machine() != "x86_64" or os.name != "posix":
        pytest.skip("needs a C compiler for x86-64")
    (tmp_path / "mode.c").write_text(FLUSH)
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-o", "mode.so", "mode.c"], cwd=tmp_path, check=True
    )
    mode = ctypes.CDLL(str(tmp_path / "mode.so"))
    X, y = data(dtype)
    wanted, before = fitted(dtype, X, y), mode.get()
    mode.set(before | 0x8040)
    try:
        got = fitted(dtype, X, y)
        after = mode.get()
    finally:
        mode.set(before)
    assert after & 0x8040 == 0x8040
    for a, b in zip(got.coefs_, wanted.coefs_, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=100 * np.finfo(dtype).eps)
