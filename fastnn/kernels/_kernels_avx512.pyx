# The kernels for AVX-512 (F, DQ, BW, VL): the same source, other compiler flags (see setup.py).
include "_kernels.pyx"
