/* Activations with their derivatives. Elementwise ones do `count` vectors in step (see math.h). */

/* ---- one function an activation, with its derivative ---------------------------------------- */

/* sigmoid_group, tanh_group and exp_group are in math.h. */

FASTNN_INLINE void FN(identity_group)(const int count, VEC *z) { (void)count, (void)z; }
FASTNN_INLINE VEC FN(identity_derivative)(VEC a) { (void)a; return FN(splat)((REAL)1); }

/* s' = s (1 - s) */
FASTNN_INLINE VEC FN(sigmoid_derivative)(VEC a) { return a * (FN(splat)((REAL)1) - a); }

/* tanh' = 1 - tanh^2 */
FASTNN_INLINE VEC FN(tanh_derivative)(VEC a) { return FN(splat)((REAL)1) - a * a; }

FASTNN_INLINE VEC FN(exp_derivative)(VEC a) { return a; }

/* max(0, z); its derivative is 1 where a > 0, else 0 */
FASTNN_INLINE void FN(relu_group)(const int count, VEC *z)
{
    EACH z[i] = FN(max)(FN(splat)((REAL)0), z[i]);
}
FASTNN_INLINE VEC FN(relu_derivative)(VEC a)
{
    return FN(keep)(FN(less)(FN(splat)((REAL)0), a), FN(splat)((REAL)1));
}

/* z where z > 0, else e^z - 1 (Clevert et al., 2016); its derivative is 1, or e^z = a + 1 */
FASTNN_INLINE void FN(elu_group)(const int count, VEC *z)
{
    const VEC zero = FN(splat)((REAL)0), low = FN(splat)((REAL)-TANH_MAX);
    VEC m[GROUP];
    EACH m[i] = FN(max)(low, FN(min)(zero, z[i])); /* -1 to the last bit from `low` on */
    FN(expm1_group)(count, m);
    EACH z[i] = FN(select)(FN(less)(zero, z[i]), z[i], m[i]);
}
FASTNN_INLINE VEC FN(elu_derivative)(VEC a)
{
    return FN(min)(FN(splat)((REAL)0), a) + FN(splat)((REAL)1);
}

/* max(z, z / 100) (Maas et al., 2013); its derivative is 1 where a > 0, else 1/100 */
FASTNN_INLINE void FN(leaky_relu_group)(const int count, VEC *z)
{
    EACH z[i] = FN(max)(z[i] * FN(splat)((REAL)0.01), z[i]);
}
FASTNN_INLINE VEC FN(leaky_relu_derivative)(VEC a)
{
    const IVEC positive = FN(less)(FN(splat)((REAL)0), a);
    return FN(select)(positive, FN(splat)((REAL)1), FN(splat)((REAL)0.01));
}

/* SCALE times z where z > 0, else ALPHA (e^z - 1) (Klambauer et al., 2017); its derivative is
 * SCALE, or SCALE ALPHA e^z = a + SCALE ALPHA */
#define SELU_SCALE 1.0507009873554804934
#define SELU_LOW 1.7580993408473768600 /* SCALE ALPHA */
FASTNN_INLINE void FN(selu_group)(const int count, VEC *z)
{
    const VEC zero = FN(splat)((REAL)0), low = FN(splat)((REAL)-TANH_MAX);
    VEC m[GROUP];
    EACH m[i] = FN(max)(low, FN(min)(zero, z[i]));
    FN(expm1_group)(count, m);
    EACH m[i] *= FN(splat)((REAL)SELU_LOW);
    EACH z[i] = FN(select)(FN(less)(zero, z[i]), z[i] * FN(splat)((REAL)SELU_SCALE), m[i]);
}
FASTNN_INLINE VEC FN(selu_derivative)(VEC a)
{
    const IVEC positive = FN(less)(FN(splat)((REAL)0), a);
    return FN(select)(positive, FN(splat)((REAL)SELU_SCALE), a + FN(splat)((REAL)SELU_LOW));
}
#undef SELU_SCALE
#undef SELU_LOW

/* z s(z) with s the sigmoid (Elfwing et al., 2018), and the slope s(z) + z s(z) s(-z). With e =
 * e^-|z|, s(z) and s(-z) are 1 / (1 + e) and e / (1 + e), neither of them by a difference. Where e
 * is 0, from EXP_MIN down, the value is 0, too; the true one is below 89 (double: 709) times the
 * smallest normal number. */
FASTNN_INLINE void FN(silu_group)(const int count, VEC *z, VEC *slope)
{
    const VEC zero = FN(splat)((REAL)0), one = FN(splat)((REAL)1);
    const VEC low = FN(splat)((REAL)SIGMOID_MIN); /* 0 s(z) instead of infinity s(z) */
    VEC e[GROUP], s[GROUP];
    EACH e[i] = FN(min)(z[i], -z[i]);
    FN(exp_falling)(count, e);
    EACH s[i] = one / (one + e[i]);
    EACH e[i] *= s[i];
    if (slope) {
        EACH {
            const IVEC negative = FN(less)(z[i], zero);
            const VEC t = FN(min)(-low, FN(max)(low, z[i]));
            slope[i] = FN(select)(negative, e[i], s[i]) + t * (e[i] * s[i]);
        }
    }
    EACH z[i] = FN(max)(low, z[i]) * FN(select)(FN(less)(z[i], zero), e[i], s[i]);
}

/* The gates below are z P(z) with P(z) + P(-z) = 1. With y = -|z| the value is max(0, z) + y P(y),
 * and the slopes h at y and 1 - h at -y, so that only the tail P(y) is computed. From GATE_MIN down
 * it is 0, the limit of y P(y), too. */
#define GATE_MIN (-40.0)
FASTNN_INLINE void FN(gate_below)(const int count, const VEC *z, VEC *y)
{
    EACH y[i] = FN(max)(FN(splat)((REAL)GATE_MIN), FN(min)(z[i], -z[i]));
}
FASTNN_INLINE void FN(gate)(const int count, const VEC *tail, const VEC *y, VEC *z)
{
    EACH z[i] = FN(max)(FN(splat)((REAL)0), z[i]) + y[i] * tail[i];
}
FASTNN_INLINE void FN(gate_slope)(const int count, const VEC *h, const VEC *z, VEC *slope)
{
    const VEC zero = FN(splat)((REAL)0), one = FN(splat)((REAL)1);
    EACH slope[i] = FN(select)(FN(less)(z[i], zero), h[i], one - h[i]);
}
#undef GATE_MIN

/* z Phi(z), with Phi the standard normal distribution (Hendrycks and Gimpel, 2016), and the slope
 * Phi(z) + z phi(z) with its density phi(z) = e^(-z^2 / 2) / sqrt(2 pi) */
FASTNN_INLINE void FN(gelu_group)(const int count, VEC *z, VEC *slope)
{
    VEC y[GROUP], e[GROUP], tail[GROUP];
    FN(gate_below)(count, z, y);
    EACH e[i] = y[i] * y[i] * FN(splat)((REAL)-0.5);
    FN(exp_falling)(count, e);
    FN(normal_tail)(count, y, e, tail);
    if (slope) {
        EACH e[i] = tail[i] + y[i] * e[i] * FN(splat)((REAL)0.3989422804014326779);
        FN(gate_slope)(count, e, z, slope);
    }
    FN(gate)(count, tail, y, z);
}

/* z s(u) with s the sigmoid and u = 2 sqrt(2 / pi) (z + 0.044715 z^3), which is the approximation
 * z (1 + tanh(u / 2)) / 2 of gelu (Hendrycks and Gimpel, 2016), and the slope s(u) + z s(u) s(-u)
 * u' */
FASTNN_INLINE void FN(gelu_tanh_group)(const int count, VEC *z, VEC *slope)
{
    const VEC one = FN(splat)((REAL)1), linear = FN(splat)((REAL)1.5957691216057307118);
    const VEC cubic = FN(splat)((REAL)0.071354816272600248776);
    VEC y[GROUP], e[GROUP], s[GROUP];
    FN(gate_below)(count, z, y);
    EACH e[i] = y[i] * (linear + y[i] * y[i] * cubic);
    FN(exp_falling)(count, e);
    EACH s[i] = one / (one + e[i]);
    EACH e[i] *= s[i];
    if (slope) {
        EACH s[i] *= y[i] * (linear + y[i] * y[i] * (FN(splat)((REAL)3) * cubic));
        EACH s[i] = e[i] + e[i] * s[i];
        FN(gate_slope)(count, s, z, slope);
    }
    FN(gate)(count, e, y, z);
}

/* z tanh(log(1 + e^z)) (Misra, 2020) = z n / (n + 2) with n = e (e + 2), e = e^z, and the slope
 * n / (n + 2) + z 4 e (e + 1) / (n + 2)^2. From z = TANH_MAX on the quotients are 1 and 0; where e
 * is 0, so is the value (see silu). */
FASTNN_INLINE void FN(mish_group)(const int count, VEC *z, VEC *slope)
{
    const VEC one = FN(splat)((REAL)1), two = FN(splat)((REAL)2);
    const VEC low = FN(splat)((REAL)SIGMOID_MIN), high = FN(splat)((REAL)TANH_MAX);
    VEC t[GROUP], e[GROUP], n[GROUP], r[GROUP];
    EACH t[i] = FN(max)(low, FN(min)(high, z[i]));
    EACH e[i] = t[i];
    FN(exp_falling)(count, e);
    EACH n[i] = e[i] * (e[i] + two);
    EACH r[i] = one / (n[i] + two);
    EACH n[i] = FN(select)(FN(less)(t[i], high), n[i] * r[i], one); /* n r may be below 1 */
    EACH z[i] = FN(max)(low, z[i]) * n[i];
    if (slope) {
        EACH e[i] = (e[i] * r[i]) * ((e[i] + one) * r[i]);
        EACH slope[i] = n[i] + t[i] * FN(splat)((REAL)4) * e[i];
    }
}

/* log(1 + e^z) = max(0, z) + log(1 + e) with e = e^-|z| (Dugas et al., 2001). Its slope, the
 * sigmoid, is a function of the value a, 1 - e^-a, but another exponential from there and one
 * quotient from here. */
FASTNN_INLINE void FN(softplus_group)(const int count, VEC *z, VEC *slope)
{
    const VEC zero = FN(splat)((REAL)0), one = FN(splat)((REAL)1);
    VEC e[GROUP];
    EACH e[i] = FN(min)(z[i], -z[i]);
    FN(exp_falling)(count, e);
    if (slope) {
        EACH slope[i] = FN(select)(FN(less)(z[i], zero), e[i], one) / (one + e[i]);
    }
    FN(log1p_group)(count, e);
    EACH z[i] = FN(max)(zero, z[i]) + e[i];
}

/* ---- dispatch by code ----------------------------------------------------------------------- */

/* count vectors in place; slope: NULL, or where the activation's slopes go. */
FASTNN_INLINE void FN(activate_group)(const int count, VEC *z, VEC *slope, const int activation)
{
#define FROM_VALUE(CODE, code, name) case CODE: FN(name##_group)(count, z); break;
#define SLOPES(CODE, code, name) case CODE: FN(name##_group)(count, z, slope); break;
    switch (activation) {
    FASTNN_FROM_VALUE(FROM_VALUE)
    FASTNN_SLOPES(SLOPES)
    default: FASTNN_UNREACHABLE("elementwise activation"); break;
    }
#undef FROM_VALUE
#undef SLOPES
}

/* An activation's derivative from what is kept of a layer: its values, or its slopes. */
FASTNN_INLINE VEC FN(derivative_vec)(VEC kept, const int activation)
{
#define FROM_VALUE(CODE, code, name) case CODE: return FN(name##_derivative)(kept);
#define SLOPES(CODE, code, name) case CODE: return kept;
    switch (activation) {
    FASTNN_FROM_VALUE(FROM_VALUE)
    FASTNN_SLOPES(SLOPES)
    default: FASTNN_UNREACHABLE("elementwise activation"); return kept;
    }
#undef FROM_VALUE
#undef SLOPES
}

FASTNN_INLINE void FN(activate_loop)(REAL *z, REAL *slope, ptrdiff_t n, const int activation)
{
    VEC v[GROUP], s[GROUP];
    ptrdiff_t i = 0;
    for (; i + GROUP * VL <= n; i += GROUP * VL) {
        FASTNN_UNROLL
        for (int j = 0; j < GROUP; j++) v[j] = FN(load)(z + i + j * VL);
        FN(activate_group)(GROUP, v, slope ? s : NULL, activation);
        FASTNN_UNROLL
        for (int j = 0; j < GROUP; j++) {
            FN(store)(z + i + j * VL, v[j]);
            if (slope) FN(store)(slope + i + j * VL, s[j]);
        }
    }
    for (; i < n; i += VL) {
        v[0] = FN(load)(z + i);
        FN(activate_group)(1, v, slope ? s : NULL, activation);
        FN(store)(z + i, v[0]);
        if (slope) FN(store)(slope + i, s[0]);
    }
}

/* n weighted sums (a multiple of VL) to values, in place; softmax is left to softmax_tile. `kept`,
 * if it is not NULL, takes the slopes of an activation that stores them, else the sums. */
FASTNN_KERNEL void FN(activate)(REAL *z, REAL *kept, ptrdiff_t n, int activation)
{
    if (kept && !stores_slope(activation)) memcpy(kept, z, (size_t)n * sizeof(REAL));
    if (activation == IDENTITY || activation == SOFTMAX) return;
#define FROM_VALUE(CODE, code, name) case CODE: FN(activate_loop)(z, NULL, n, CODE); break;
#define SLOPES(CODE, code, name)                                                                  \
    case CODE:                                                                                    \
        if (kept) FN(activate_loop)(z, kept, n, CODE);                                            \
        else FN(activate_loop)(z, NULL, n, CODE);                                                 \
        break;
    switch (activation) {
    FASTNN_FROM_VALUE(FROM_VALUE)
    FASTNN_SLOPES(SLOPES)
    default: FASTNN_UNREACHABLE("elementwise activation"); break;
    }
#undef FROM_VALUE
#undef SLOPES
}

/* Contiguous arrays of any length and alignment. The tail goes through a full vector, so that a
 * value does not depend on its position. */
FASTNN_INLINE VEC FN(map_vec)(VEC x, const int derivative, const int activation)
{
    VEC slope;
    if (derivative && !stores_slope(activation)) return FN(derivative_vec)(x, activation);
    FN(activate_group)(1, &x, derivative ? &slope : NULL, activation);
    return derivative ? slope : x;
}
FASTNN_INLINE void FN(map_loop)(const REAL *x, REAL *out, ptrdiff_t n, const int derivative,
                                const int activation)
{
    VEC v = FN(splat)((REAL)0);
    ptrdiff_t i = 0;
    for (; i + VL <= n; i += VL)
        FN(store_any)(out + i, FN(map_vec)(FN(load_any)(x + i), derivative, activation));
    if (i == n) return;
    memcpy(&v, x + i, (size_t)(n - i) * sizeof(REAL));
    v = FN(map_vec)(v, derivative, activation);
    memcpy(out + i, &v, (size_t)(n - i) * sizeof(REAL));
}

/* out = f(x) */
FASTNN_KERNEL void FN(activate_array)(const REAL *x, REAL *out, ptrdiff_t n, int activation)
{
#define CASE(CODE, code, name) case CODE: FN(map_loop)(x, out, n, 0, CODE); break;
    switch (activation) {
    FASTNN_FROM_VALUE(CASE)
    FASTNN_SLOPES(CASE)
    default: FASTNN_UNREACHABLE("elementwise activation"); break;
    }
#undef CASE
}

/* out = f', from values x, or from weighted sums x if the activation stores its slope */
FASTNN_KERNEL void FN(derivative_array)(const REAL *x, REAL *out, ptrdiff_t n, int activation)
{
#define CASE(CODE, code, name) case CODE: FN(map_loop)(x, out, n, 1, CODE); break;
    switch (activation) {
    FASTNN_FROM_VALUE(CASE)
    FASTNN_SLOPES(CASE)
    default: FASTNN_UNREACHABLE("elementwise activation"); break;
    }
#undef CASE
}
#undef EACH

/* ---- softmax -------------------------------------------------------------------------------- */

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
    if (activation == IDENTITY) return;
    if (activation == SOFTMAX) {
        REAL top = z[0], sum = 0;
        for (ptrdiff_t n = 1; n < fan_out; n++) top = z[n] < top ? top : z[n];
        for (ptrdiff_t n = 0; n < fan_out; n++) z[n] -= top;
        FN(activate_array)(z, z, fan_out, EXP);
        for (ptrdiff_t n = 0; n < fan_out; n++) sum += z[n];
        for (ptrdiff_t n = 0; n < fan_out; n++) z[n] /= sum;
        return;
    }
    FN(activate_array)(z, z, fan_out, activation);
}
