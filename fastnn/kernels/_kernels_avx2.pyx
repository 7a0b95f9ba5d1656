# The kernels for AVX2 and FMA: the same source, other compiler flags (see setup.py).
include "_kernels.pyx"
