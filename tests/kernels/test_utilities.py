"""Shuffling, checks for finite numbers, the peak loop, packing."""

import numpy as np
import pytest
from cases import aligned_zeros, codes_of, new_workspace, units_of
from conftest import SIZES

from fastnn import reference


def test_peak_counts_what_it_does(kernels, dtype):
    sink = np.zeros(1, dtype)
    n = kernels.peak_multiply_adds(1000, sink)
    lanes = kernels.build_info()[f"lanes_f{8 * dtype.itemsize}"]
    assert n == 12 * 1000 * lanes
    # 66 is the sum of the chains' starts; each decays to 1, where x = .999 x + .001
    np.testing.assert_allclose(sink[0], 12 + (66 - 12) * 0.999**1000, rtol=1e-3)


@pytest.mark.parametrize("n", [0, *SIZES, 1000])
def test_shuffle_is_numpys(kernels, n):
    """The same permutations, and the same random numbers left."""
    ours, numpys = np.random.RandomState(n), np.random.RandomState(n)
    got, want = np.arange(n), np.arange(n)
    for _ in range(5):
        kernels.shuffle(ours._bit_generator, got)
        numpys.shuffle(want)
        np.testing.assert_array_equal(got, want)
    assert ours.randint(1 << 30) == numpys.randint(1 << 30)


@pytest.mark.parametrize("n", SIZES)
def test_all_finite(kernels, dtype, n):
    x = np.full(n, np.finfo(dtype).max, dtype)
    assert kernels.all_finite(x) is True
    for bad in (np.nan, np.inf, -np.inf):
        for i in {0, n // 2, n - 1}:
            y = x.copy()
            y[i] = bad
            assert kernels.all_finite(y) is False
    assert kernels.all_finite(x[:0]) is True


def test_pack_and_unpack(kernels, dtype, rng):
    for units in [(1, 1), (2, 4, 8, 1), (3, 16, 17), (5, 33, 97, 8)]:
        units, codes = units_of(*units), codes_of(*["relu"] * (len(units) - 1))
        params = rng.randn(reference.packed_size(units, 8)).astype(dtype)
        packed = aligned_zeros(kernels.packed_size(units, dtype.itemsize), dtype)
        workspace = new_workspace(kernels, units, 1, dtype)
        kernels.pack(params, units, codes, workspace, packed)
        assert np.count_nonzero(packed) == len(params)
        back = np.empty_like(params)
        kernels.unpack(packed, units, codes, workspace, back)
        np.testing.assert_array_equal(back, params)
        # several, one after the other
        three = np.tile(params, 3) * np.repeat([1, 2, 3], len(params)).astype(dtype)
        all_packed = aligned_zeros(3 * len(packed), dtype)
        kernels.pack(three, units, codes, workspace, all_packed)
        np.testing.assert_array_equal(
            all_packed.reshape(3, -1), packed * np.array([[1], [2], [3]], dtype)
        )
        two = all_packed[: 2 * len(packed)]
        with pytest.raises(ValueError, match=r"packed has|broadcast"):
            kernels.pack(three, units, codes, workspace, two)
        with pytest.raises(ValueError, match=r"packed has|broadcast"):
            kernels.unpack(two, units, codes, workspace, three)
        back = np.empty_like(three)
        kernels.unpack(all_packed, units, codes, workspace, back)
        np.testing.assert_array_equal(back, three)
