/* Activations and their derivatives. */

/* count vectors in place. */
FASTNN_INLINE void FN(activate_group)(const int count, VEC *z, int activation)
{
    switch (activation) {
    case SIGMOID: FN(sigmoid_group)(count, z); break;
    case TANH: FN(tanh_group)(count, z); break;
    case RELU: EACH z[i] = FN(max)(FN(splat)((REAL)0), z[i]); break;
    case EXP: FN(exp_group)(count, z); break;
    default: break;
    }
}
#undef EACH

FASTNN_INLINE VEC FN(activate_vec)(VEC z, int activation)
{
    FN(activate_group)(1, &z, activation);
    return z;
}
/* The derivative of an activation, from its value a: s(1-s), 1-t^2, [a > 0], e^z, 1. */
FASTNN_INLINE VEC FN(derivative_vec)(VEC a, int activation)
{
    const VEC one = FN(splat)((REAL)1);
    switch (activation) {
    case SIGMOID: return a * (one - a);
    case TANH: return one - a * a;
    case RELU: return FN(keep)(FN(less)(FN(splat)((REAL)0), a), one);
    case EXP: return a;
    default: return one;
    }
}

#define ACTIVATE_LOOP(code)                                                                       \
    for (; i + GROUP * VL <= n; i += GROUP * VL) {                                                \
        VEC v[GROUP];                                                                             \
        FASTNN_UNROLL                                                                             \
        for (int j = 0; j < GROUP; j++) v[j] = FN(load)(z + i + j * VL);                          \
        FN(activate_group)(GROUP, v, code);                                                       \
        FASTNN_UNROLL                                                                             \
        for (int j = 0; j < GROUP; j++) FN(store)(z + i + j * VL, v[j]);                          \
    }                                                                                             \
    for (; i < n; i += VL) FN(store)(z + i, FN(activate_vec)(FN(load)(z + i), code));

/* In place on n numbers (a multiple of VL); softmax is softmax_tile's. */
FASTNN_KERNEL void FN(activate)(REAL *z, ptrdiff_t n, int activation)
{
    ptrdiff_t i = 0;
    switch (activation) {
    case SIGMOID: ACTIVATE_LOOP(SIGMOID) break;
    case TANH: ACTIVATE_LOOP(TANH) break;
    case RELU: ACTIVATE_LOOP(RELU) break;
    case EXP: ACTIVATE_LOOP(EXP) break;
    default: break;
    }
}
#undef ACTIVATE_LOOP

/* Contiguous arrays of any length and alignment, for the Python-level functions: the tail goes
 * through a full vector, so that a value does not depend on where it stands. */
#define ELEMENTWISE(name, expression)                                                             \
    FASTNN_KERNEL void FN(name)(const REAL *x, REAL *out, ptrdiff_t n)                            \
    {                                                                                             \
        for (ptrdiff_t i = 0; i < n; i += VL) {                                                   \
            const size_t bytes = (size_t)(n - i < VL ? n - i : VL) * sizeof(REAL);                \
            VEC v = FN(splat)((REAL)0);                                                           \
            memcpy(&v, x + i, bytes);                                                             \
            v = (expression);                                                                     \
            memcpy(out + i, &v, bytes);                                                           \
        }                                                                                         \
    }
ELEMENTWISE(exp_array, FN(exp_vec)(v))
ELEMENTWISE(sigmoid_array, FN(activate_vec)(v, SIGMOID))
ELEMENTWISE(tanh_array, FN(activate_vec)(v, TANH))
ELEMENTWISE(relu_array, FN(activate_vec)(v, RELU))
ELEMENTWISE(sigmoid_derivative_array, FN(derivative_vec)(v, SIGMOID))
ELEMENTWISE(tanh_derivative_array, FN(derivative_vec)(v, TANH))
ELEMENTWISE(relu_derivative_array, FN(derivative_vec)(v, RELU))
#undef ELEMENTWISE

/* Softmax over the features of one tile [n][width], in place. */
FASTNN_KERNEL void FN(softmax_tile)(REAL *z, ptrdiff_t n, ptrdiff_t width)
{
    for (ptrdiff_t s = 0; s < width; s += VL) {
        VEC top = FN(load)(z + s), sum = FN(splat)((REAL)0);
        for (ptrdiff_t j = 1; j < n; j++) top = FN(max)(top, FN(load)(z + j * width + s));
        for (ptrdiff_t j = 0; j < n; j++) {
            const VEC e = FN(exp_vec)(FN(load)(z + j * width + s) - top);
            sum += e;
            FN(store)(z + j * width + s, e);
        }
        for (ptrdiff_t j = 0; j < n; j++)
            FN(store)(z + j * width + s, FN(load)(z + j * width + s) / sum);
    }
}

/* Softmax over the n outputs of every sample of a chunk, in place. */
FASTNN_KERNEL void FN(softmax_chunk)(ptrdiff_t n_vectors, ptrdiff_t n, REAL *z)
{
    for (ptrdiff_t v0 = 0; v0 < n_vectors;) {
        const int vectors = tile_vectors(n_vectors - v0);
        FN(softmax_tile)(z + v0 * VL * n, n, vectors * VL);
        v0 += vectors;
    }
}

/* One row's activations from its sums, in place. */
FASTNN_KERNEL void FN(activate_row)(REAL *z, ptrdiff_t fan_out, int activation)
{
    switch (activation) {
    case SIGMOID: FN(sigmoid_array)(z, z, fan_out); break;
    case TANH: FN(tanh_array)(z, z, fan_out); break;
    case RELU: FN(relu_array)(z, z, fan_out); break;
    case EXP: FN(exp_array)(z, z, fan_out); break;
    case SOFTMAX: {
        REAL top = z[0], sum = 0;
        for (ptrdiff_t n = 1; n < fan_out; n++) top = z[n] < top ? top : z[n];
        for (ptrdiff_t n = 0; n < fan_out; n++) z[n] -= top;
        FN(exp_array)(z, z, fan_out);
        for (ptrdiff_t n = 0; n < fan_out; n++) sum += z[n];
        for (ptrdiff_t n = 0; n < fan_out; n++) z[n] /= sum;
        break;
    }
    default: break;
    }
}
