/* The vector code, written once and included by simd.h for each real type.
 *
 * Layout (lanes are samples). A chunk of a batch is cut into tiles of 1 to TILE_VECTORS vectors
 * of samples. One layer's activations of one tile are a block [feature][width], width = vectors x
 * VL, and tiles follow each other, so a layer of a chunk is one contiguous piece of memory. Odd
 * layer widths then need no remainder code; only the last samples of a chunk do: absent ones
 * repeat the last row, and their deltas are zero.
 *
 * Coefficients are packed in panels of PW outputs, [ceil(N/PW)][K][PW], then a row of intercepts.
 * Forward and delta broadcast them against streams of samples. Whatever the width of a tile, a
 * sample's sum over features is one chain in one order, so a value never depends on the position
 * of its sample.
 */

#ifdef FASTNN_FLOAT
#define REAL float
#define BITS int32_t
#define FN(name) FASTNN_CONCAT(name, _f32)
#else
#define REAL double
#define BITS int64_t
#define FN(name) FASTNN_CONCAT(name, _f64)
#endif

#define PW ((ptrdiff_t)(PANEL_BYTES / sizeof(REAL)))
#define VEC FN(vec)
#define IVEC FN(ivec)

/* ---- vectors ---------------------------------------------------------------------------- */

#ifdef FASTNN_PLAIN

#define VL ((ptrdiff_t)1)
#define BLOCK 1
typedef REAL FN(vec);
typedef BITS FN(ivec);
FASTNN_INLINE VEC FN(splat)(REAL x) { return x; }
FASTNN_INLINE VEC FN(min)(VEC a, VEC x) { return a < x ? a : x; }
FASTNN_INLINE VEC FN(max)(VEC a, VEC x) { return a > x ? a : x; }
FASTNN_INLINE IVEC FN(bits)(VEC x) { IVEC i; memcpy(&i, &x, sizeof i); return i; }
FASTNN_INLINE VEC FN(real)(IVEC i) { VEC x; memcpy(&x, &i, sizeof x); return x; }
FASTNN_INLINE IVEC FN(less)(VEC a, VEC b) { return a < b ? -1 : 0; }
FASTNN_INLINE VEC FN(sqrt)(VEC x) { return (VEC)sqrt(x); }

#else

#define VL ((ptrdiff_t)(VECTOR_BYTES / sizeof(REAL)))
#define BLOCK (VECTOR_BYTES / sizeof(REAL)) /* VL as the size of an array */
typedef REAL FN(vec) __attribute__((vector_size(VECTOR_BYTES), may_alias));
typedef BITS FN(ivec) __attribute__((vector_size(VECTOR_BYTES), may_alias));
FASTNN_INLINE IVEC FN(bits)(VEC x) { return (IVEC)x; }
FASTNN_INLINE VEC FN(real)(IVEC i) { return (VEC)i; }
FASTNN_INLINE IVEC FN(less)(VEC a, VEC b) { return (IVEC)(a < b); }

/* splat(s): s in every lane. min(bound, x), max(bound, x): x where x is NaN, as the x86
 * instructions do with their operands in this order. */
#if defined(FASTNN_NO_INTRINSICS)
#define FASTNN_GENERIC_OPS 1
#elif defined(__AVX512F__)
#ifdef FASTNN_FLOAT
FASTNN_INLINE VEC FN(splat)(REAL x) { return (VEC)_mm512_set1_ps(x); }
FASTNN_INLINE VEC FN(min)(VEC a, VEC x) { return (VEC)_mm512_min_ps((__m512)a, (__m512)x); }
FASTNN_INLINE VEC FN(max)(VEC a, VEC x) { return (VEC)_mm512_max_ps((__m512)a, (__m512)x); }
FASTNN_INLINE VEC FN(sqrt)(VEC x) { return (VEC)_mm512_sqrt_ps((__m512)x); }
#define TABLE_BITS 4
/* Entry i mod 16: the bits of 2^(i / 16) / 1.78873742 less i shifted to behind the exponent. */
FASTNN_INLINE IVEC FN(powers)(IVEC i)
{
    const __m512i table = _mm512_setr_epi32(
        0x3f0f1e22, 0x3f0d743e, 0x3f0c122b, 0x3f0afb17, 0x3f0a3254, 0x3f09bb5a, 0x3f0999c8,
        0x3f09d165, 0x3f0a6625, 0x3f0b5c27, 0x3f0cb7ba, 0x3f0e7d5c, 0x3f10b1c0, 0x3f1359cd,
        0x3f133d51, 0x3f110ccc);
    return (IVEC)_mm512_permutexvar_epi32((__m512i)i, table);
}
#else
FASTNN_INLINE VEC FN(splat)(REAL x) { return (VEC)_mm512_set1_pd(x); }
FASTNN_INLINE VEC FN(min)(VEC a, VEC x) { return (VEC)_mm512_min_pd((__m512d)a, (__m512d)x); }
FASTNN_INLINE VEC FN(max)(VEC a, VEC x) { return (VEC)_mm512_max_pd((__m512d)a, (__m512d)x); }
FASTNN_INLINE VEC FN(sqrt)(VEC x) { return (VEC)_mm512_sqrt_pd((__m512d)x); }
#define TABLE_BITS 3
FASTNN_INLINE IVEC FN(powers)(IVEC i) /* likewise: i mod 8, 2^(i / 8) / 1.84244409 */
{
    const __m512i table = _mm512_setr_epi64(
        0x3fe15e44942cd9d3, 0x3fe0f0b083cd991a, 0x3fe0a7888d3e6610, 0x3fe0861897b90771,
        0x3fe08ff8ebafb59a, 0x3fe0c9151c84d298, 0x3fe135b3926ef49d, 0x3fe1da7dc3087822);
    return (IVEC)_mm512_permutexvar_epi64((__m512i)i, table);
}
#endif
#elif defined(__AVX2__)
#ifdef FASTNN_FLOAT
FASTNN_INLINE VEC FN(splat)(REAL x) { return (VEC)_mm256_set1_ps(x); }
FASTNN_INLINE VEC FN(min)(VEC a, VEC x) { return (VEC)_mm256_min_ps((__m256)a, (__m256)x); }
FASTNN_INLINE VEC FN(max)(VEC a, VEC x) { return (VEC)_mm256_max_ps((__m256)a, (__m256)x); }
FASTNN_INLINE VEC FN(sqrt)(VEC x) { return (VEC)_mm256_sqrt_ps((__m256)x); }
#else
FASTNN_INLINE VEC FN(splat)(REAL x) { return (VEC)_mm256_set1_pd(x); }
FASTNN_INLINE VEC FN(min)(VEC a, VEC x) { return (VEC)_mm256_min_pd((__m256d)a, (__m256d)x); }
FASTNN_INLINE VEC FN(max)(VEC a, VEC x) { return (VEC)_mm256_max_pd((__m256d)a, (__m256d)x); }
FASTNN_INLINE VEC FN(sqrt)(VEC x) { return (VEC)_mm256_sqrt_pd((__m256d)x); }
#endif
#elif defined(__SSE2__)
#ifdef FASTNN_FLOAT
FASTNN_INLINE VEC FN(splat)(REAL x) { return (VEC)_mm_set1_ps(x); }
FASTNN_INLINE VEC FN(min)(VEC a, VEC x) { return (VEC)_mm_min_ps((__m128)a, (__m128)x); }
FASTNN_INLINE VEC FN(max)(VEC a, VEC x) { return (VEC)_mm_max_ps((__m128)a, (__m128)x); }
FASTNN_INLINE VEC FN(sqrt)(VEC x) { return (VEC)_mm_sqrt_ps((__m128)x); }
#else
FASTNN_INLINE VEC FN(splat)(REAL x) { return (VEC)_mm_set1_pd(x); }
FASTNN_INLINE VEC FN(min)(VEC a, VEC x) { return (VEC)_mm_min_pd((__m128d)a, (__m128d)x); }
FASTNN_INLINE VEC FN(max)(VEC a, VEC x) { return (VEC)_mm_max_pd((__m128d)a, (__m128d)x); }
FASTNN_INLINE VEC FN(sqrt)(VEC x) { return (VEC)_mm_sqrt_pd((__m128d)x); }
#endif
#elif defined(__aarch64__)
#ifdef FASTNN_FLOAT
FASTNN_INLINE VEC FN(splat)(REAL x) { return (VEC)vdupq_n_f32(x); }
FASTNN_INLINE VEC FN(min)(VEC a, VEC x) { return (VEC)vminq_f32((float32x4_t)a, (float32x4_t)x); }
FASTNN_INLINE VEC FN(max)(VEC a, VEC x) { return (VEC)vmaxq_f32((float32x4_t)a, (float32x4_t)x); }
FASTNN_INLINE VEC FN(sqrt)(VEC x) { return (VEC)vsqrtq_f32((float32x4_t)x); }
#else
FASTNN_INLINE VEC FN(splat)(REAL x) { return (VEC)vdupq_n_f64(x); }
FASTNN_INLINE VEC FN(min)(VEC a, VEC x) { return (VEC)vminq_f64((float64x2_t)a, (float64x2_t)x); }
FASTNN_INLINE VEC FN(max)(VEC a, VEC x) { return (VEC)vmaxq_f64((float64x2_t)a, (float64x2_t)x); }
FASTNN_INLINE VEC FN(sqrt)(VEC x) { return (VEC)vsqrtq_f64((float64x2_t)x); }
#endif
#else
#define FASTNN_GENERIC_OPS 1
#endif

#ifdef FASTNN_GENERIC_OPS
FASTNN_INLINE VEC FN(splat)(REAL x)
{
    VEC v;
    for (ptrdiff_t i = 0; i < VL; i++) v[i] = x;
    return v;
}
FASTNN_INLINE VEC FN(min)(VEC a, VEC x)
{
    const IVEC m = FN(less)(a, x);
    return (VEC)((m & (IVEC)a) | (~m & (IVEC)x));
}
FASTNN_INLINE VEC FN(max)(VEC a, VEC x)
{
    const IVEC m = FN(less)(x, a);
    return (VEC)((m & (IVEC)a) | (~m & (IVEC)x));
}
FASTNN_INLINE VEC FN(sqrt)(VEC x)
{
    for (ptrdiff_t i = 0; i < VL; i++) x[i] = (REAL)sqrt(x[i]);
    return x;
}
#undef FASTNN_GENERIC_OPS
#endif

#endif

FASTNN_INLINE VEC FN(load)(const REAL *p) { return *(const VEC *)p; }
FASTNN_INLINE void FN(store)(REAL *p, VEC x) { *(VEC *)p = x; }
FASTNN_INLINE VEC FN(load_any)(const REAL *p) { VEC x; memcpy(&x, p, sizeof x); return x; }
FASTNN_INLINE void FN(store_any)(REAL *p, VEC x) { memcpy(p, &x, sizeof x); }
/* x where the mask is set, 0 elsewhere, and the other way round. */
FASTNN_INLINE VEC FN(keep)(IVEC mask, VEC x) { return FN(real)(mask & FN(bits)(x)); }
FASTNN_INLINE VEC FN(drop)(IVEC mask, VEC x) { return FN(real)(~mask & FN(bits)(x)); }
FASTNN_INLINE VEC FN(select)(IVEC mask, VEC a, VEC b)
{
    return FN(real)((mask & FN(bits)(a)) | (~mask & FN(bits)(b)));
}

#ifndef FASTNN_PLAIN
#ifdef FASTNN_FLOAT
#define LANES (VECTOR_BYTES / 4)
#else
#define LANES (VECTOR_BYTES / 8)
#endif
#if LANES == 16
#define LOW 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define HIGH 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#elif LANES == 8
#define LOW 0, 8, 1, 9, 2, 10, 3, 11
#define HIGH 4, 12, 5, 13, 6, 14, 7, 15
#elif LANES == 4
#define LOW 0, 4, 1, 5
#define HIGH 2, 6, 3, 7
#else
#define LOW 0, 2
#define HIGH 1, 3
#endif
#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (IVEC){__VA_ARGS__})
#endif
#endif

/* Transpose VL vectors in registers, in log2(VL) rounds that each interleave the first half of the
 * vectors with the second. */
FASTNN_INLINE void FN(transpose_block)(VEC *v)
{
#ifndef FASTNN_PLAIN
    FASTNN_UNROLL
    for (int round = 1; round < LANES; round *= 2) {
        VEC t[LANES];
        FASTNN_UNROLL
        for (int i = 0; i < LANES / 2; i++) {
            t[2 * i] = SHUFFLE(v[i], v[i + LANES / 2], LOW);
            t[2 * i + 1] = SHUFFLE(v[i], v[i + LANES / 2], HIGH);
        }
        FASTNN_UNROLL
        for (int i = 0; i < LANES; i++) v[i] = t[i];
    }
#else
    (void)v;
#endif
}

/* The sum of the lanes of each of VL vectors, in v[0]: as in a transposition, but that each round
 * adds the two halves which it has interleaved. */
FASTNN_INLINE void FN(sum_lanes)(VEC *v)
{
#ifndef FASTNN_PLAIN
    FASTNN_UNROLL
    for (int half = LANES / 2; half > 0; half /= 2) {
        FASTNN_UNROLL
        for (int i = 0; i < half; i++)
            v[i] = SHUFFLE(v[i], v[i + half], LOW) + SHUFFLE(v[i], v[i + half], HIGH);
    }
#else
    (void)v;
#endif
}

#ifndef FASTNN_PLAIN
#undef LANES
#undef LOW
#undef HIGH
#undef SHUFFLE
#endif

/* ---- exp, sigmoid, tanh ----------------------------------------------------------------- */

/* Cody and Waite (1980): x = n ln 2 + r with ln 2 in two parts, e^r = 1 + r + r^2 q(r), e^x by
 * adding n to the exponent. q is the Chebyshev interpolant of (e^r - 1 - r) / r^2 on |r| <= ln(2)/2
 * (1 + 2^-10), computed in 60 digits: 5 nodes for float (error of e^r 1.0e-8 relative), 10 for
 * double (1.7e-17). NaN passes through everything. No branch depends on data. */
#ifdef FASTNN_FLOAT
#define ROUND_MAGIC 12582912.0f              /* 1.5 * 2^23: adding it rounds to a whole number */
#define LN2_HIGH 0.693359375f
#define LN2_LOW -2.12194440e-4f
#define EXP_MAX 88.7228317f                  /* the last float below 128 ln 2 */
#define EXP_MIN -87.3365402f                 /* the first float above -126 ln 2 */
#define SIGMOID_MIN -88.9f
#define TANH_MAX 20.0f                       /* tanh(x) is 1 to the last bit from x = 10 */
#define MANTISSA 23
#define TINY 1.17549435e-38f
#define LARGEST 3.40282347e+38f
#define HUGE_VALUE HUGE_VALF
#define EPSILON 1.1920928955078125e-07f
#else
#define ROUND_MAGIC 6755399441055744.0       /* 1.5 * 2^52 */
#define LN2_HIGH 6.93147180369123816490e-01
#define LN2_LOW 1.90821492927058770002e-10
#define EXP_MAX 709.782712893383973
#define EXP_MIN -708.396418532264106
#define SIGMOID_MIN -709.9
#define TANH_MAX 44.0
#define MANTISSA 52
#define TINY 2.2250738585072014e-308
#define LARGEST 1.7976931348623157e+308
#define HUGE_VALUE HUGE_VAL
#define EPSILON 2.220446049250313e-16
#endif

/* The functions below do `count` vectors in step, operation by operation: one vector alone is a
 * chain of some 25 operations that each wait for the one before. */
#define EACH FASTNN_UNROLL for (int i = 0; i < count; i++)

/* q(r), r and n (shifted to where the exponent sits) for EXP_MIN <= x <= EXP_MAX. */
FASTNN_INLINE void FN(exp_parts)(const int count, const VEC *x, VEC *q, VEC *r, IVEC *n)
{
    const VEC magic = FN(splat)((REAL)ROUND_MAGIC);
    EACH q[i] = x[i] * FN(splat)((REAL)1.44269504088896340736) + magic;
    EACH r[i] = q[i] - magic;
#ifdef FASTNN_PLAIN
    /* shifting a negative number left is undefined in C; unsigned it is what is meant */
    EACH n[i] = sizeof(REAL) == 4 ? (IVEC)((uint32_t)FN(bits)(q[i]) << MANTISSA)
                                  : (IVEC)((uint64_t)FN(bits)(q[i]) << MANTISSA);
#else
    EACH n[i] = FN(bits)(q[i]) << MANTISSA;
#endif
    EACH q[i] = x[i] - r[i] * FN(splat)((REAL)LN2_HIGH);
    EACH r[i] = q[i] - r[i] * FN(splat)((REAL)LN2_LOW);
#define FIRST(c) EACH q[i] = FN(splat)((REAL)c)
#define NEXT(c) EACH q[i] = q[i] * r[i] + FN(splat)((REAL)c)
#ifdef FASTNN_FLOAT
    FIRST(0.0013926249079586229595f);
    NEXT(0.0083632314812165317451f);
    NEXT(0.041666554223524584098f);
    NEXT(0.16666576674557560553f);
    NEXT(0.5f);
#else
    FIRST(2.5100470238808523288e-8);
    NEXT(2.7620198643234750489e-7);
    NEXT(2.7557268281679975787e-6);
    NEXT(0.000024801521064076527495);
    NEXT(0.00019841269863168477959);
    NEXT(0.0013888888917363077957);
    NEXT(0.0083333333333300388147);
    NEXT(0.04166666666662382856);
    NEXT(0.1666666666666666746);
    NEXT(0.50000000000000010311);
#endif
#undef FIRST
#undef NEXT
}

/* e^x between the bounds; outside them, e^bound. */
FASTNN_INLINE void FN(exp_clamped)(const int count, VEC *x)
{
    const VEC one = FN(splat)((REAL)1);
    VEC q[GROUP], r[GROUP];
    IVEC n[GROUP];
    EACH x[i] = FN(max)(FN(splat)((REAL)EXP_MIN), FN(min)(FN(splat)((REAL)EXP_MAX), x[i]));
    FN(exp_parts)(count, x, q, r, n);
    EACH q[i] = q[i] * r[i] + one;
    EACH q[i] = q[i] * r[i] + one;
    EACH x[i] = FN(real)(FN(bits)(q[i]) + n[i]);
}

/* e^x; 0 where the result would be below the smallest normal number, infinity above the largest. */
FASTNN_INLINE void FN(exp_group)(const int count, VEC *x)
{
    const VEC low = FN(splat)((REAL)EXP_MIN), high = FN(splat)((REAL)EXP_MAX);
    VEC y[GROUP];
    EACH y[i] = x[i];
    FN(exp_clamped)(count, y);
    EACH y[i] = FN(drop)(FN(less)(x[i], low), y[i]);
    EACH x[i] = FN(select)(FN(less)(high, x[i]), FN(splat)((REAL)HUGE_VALUE), y[i]);
}

FASTNN_INLINE VEC FN(exp_vec)(VEC x)
{
    FN(exp_group)(1, &x);
    return x;
}

/* 1 / (1 + e^-x); 0 for x < -EXP_MAX, where the true value is below the normal numbers. */
#ifdef TABLE_BITS
/* With powers of 2 in a register, e^-x = 2^(n + j / 2^TABLE_BITS) e^-t, with t so small that K e^-t
 * takes half the polynomial (an interpolant as above, off by 2.3e-9 and 5.0e-18 relative). The
 * powers are divided by K, which is such that each is within 0.3 ulp of a number (double: 0.13) and
 * K e^-t rounds well, between 1 and 2: 2.2 ulp in all, where exp_clamped makes it 2.3. From x =
 * -128 ln 2 on (-1024 ln 2) the product is infinity. Multiply-adds bound this function: on Zen 4
 * 12.9 cycles a vector of floats became 9.6, 19.0 of doubles 14.4. */
FASTNN_INLINE void FN(sigmoid_group)(const int count, VEC *x)
{
    const VEC one = FN(splat)((REAL)1), magic = FN(splat)((REAL)(ROUND_MAGIC / (1 << TABLE_BITS)));
    VEC t[GROUP], p[GROUP];
    EACH x[i] = FN(max)(FN(splat)((REAL)SIGMOID_MIN), FN(min)(FN(splat)((REAL)80), x[i]));
    EACH p[i] = x[i] * FN(splat)((REAL)-1.44269504088896340736) + magic;
    EACH t[i] = p[i] - magic;
    EACH x[i] += t[i] * FN(splat)((REAL)LN2_HIGH);
    EACH t[i] = x[i] + t[i] * FN(splat)((REAL)LN2_LOW);
    EACH x[i] = FN(real)(FN(powers)(FN(bits)(p[i])) + (FN(bits)(p[i]) << (MANTISSA - TABLE_BITS)));
#define FIRST(c) EACH p[i] = FN(splat)((REAL)c)
#define NEXT(c) EACH p[i] = p[i] * t[i] + FN(splat)((REAL)c)
#ifdef FASTNN_FLOAT
    FIRST(-0.29812815839f);
    NEXT(0.89439498663f);
    NEXT(-1.78873741627f);
    NEXT(1.78873741627f);
#else
    FIRST(-0.00036558101255632939);
    NEXT(0.0025591005056026730);
    NEXT(-0.015353700754776024);
    NEXT(0.076768503711040292);
    NEXT(-0.30707401540971893);
    NEXT(0.92122204622917895);
    NEXT(-1.8424440924582914);
    NEXT(1.8424440924582914);
#endif
#undef FIRST
#undef NEXT
    EACH x[i] = one / (x[i] * p[i] + one);
}
#else
FASTNN_INLINE void FN(sigmoid_group)(const int count, VEC *x)
{
    const VEC one = FN(splat)((REAL)1);
    VEC y[GROUP];
    EACH y[i] = -x[i];
    FN(exp_clamped)(count, y);
    EACH y[i] = one / (one + y[i]);
    EACH x[i] = FN(drop)(FN(less)(x[i], FN(splat)((REAL)-EXP_MAX)), y[i]);
}
#endif

/* tanh|x| = m / (m + 2) with m = e^2|x| - 1 = 2^n (r + r^2 q) + (2^n - 1), which keeps the
 * relative accuracy near 0 that 2 sigmoid(2x) - 1 loses; then the sign of x. */
FASTNN_INLINE void FN(tanh_group)(const int count, VEC *x)
{
    const VEC zero = FN(splat)((REAL)0), one = FN(splat)((REAL)1);
    const IVEC sign = FN(bits)(-zero);
    VEC m[GROUP], q[GROUP], r[GROUP];
    IVEC n[GROUP];
    EACH m[i] = FN(min)(FN(splat)((REAL)TANH_MAX), FN(real)(FN(bits)(x[i] + x[i]) & ~sign));
    FN(exp_parts)(count, m, q, r, n);
    EACH q[i] = q[i] * r[i] * r[i] + r[i];
    EACH r[i] = FN(real)(n[i] + FN(bits)(one));
    EACH m[i] = r[i] * q[i] + (r[i] - one);
    EACH m[i] = m[i] / (m[i] + one + one);
    EACH x[i] = FN(real)(FN(bits)(m[i]) | (FN(bits)(x[i]) & sign));
}

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

/* log x for normal x > 0; NaN for NaN. x = 2^e m with m in [sqrt(1/2), sqrt 2), and log m =
 * 2 artanh s with s = (m - 1) / (m + 1), |s| < 0.172, by its series: 5 terms for float (error
 * 2e-9 relative), 11 for double (1e-17). */
FASTNN_INLINE VEC FN(log_vec)(VEC x)
{
    const VEC one = FN(splat)((REAL)1), magic = FN(splat)((REAL)ROUND_MAGIC);
    const IVEC half = FN(bits)(FN(splat)((REAL)0.70710678118654752440));
    const IVEC mantissa = FN(bits)(one) - FN(bits)(FN(splat)((REAL)0.5)); /* 1 << MANTISSA */
    const IVEC d = FN(bits)(x) - half;
    const VEC e = FN(real)(FN(bits)(magic) + (d >> MANTISSA)) - magic;
    const VEC m = FN(real)((d & (mantissa - 1)) + half);
    const VEC s = (m - one) / (m + one), t = s * s;
#define NEXT(k) q = q * t + FN(splat)((REAL)(2.0 / (2 * k + 1)))
#ifdef FASTNN_FLOAT
    VEC q = FN(splat)((REAL)(2.0 / 9));
#else
    VEC q = FN(splat)((REAL)(2.0 / 21));
    NEXT(9); NEXT(8); NEXT(7); NEXT(6); NEXT(5); NEXT(4);
#endif
    NEXT(3); NEXT(2); NEXT(1); NEXT(0);
#undef NEXT
    return e * FN(splat)((REAL)LN2_HIGH) + (s * q + e * FN(splat)((REAL)LN2_LOW)) + (x - x);
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

#define PANEL_VECTORS ((int)(PANEL_BYTES / sizeof(REAL) / VL))
#ifdef FASTNN_PLAIN
#define PANEL_SIZE (PANEL_BYTES / sizeof(REAL))
#else
#define PANEL_SIZE (PANEL_BYTES / VECTOR_BYTES)
#endif

/* ---- register tiles ---------------------------------------------------------------------- */

/* acc[r][v] += sum over d < depth of coef[r row + d step] * x[d][v]: the product of forward and
 * delta. rows and vectors are constants where this is inlined; the array is sized by macros, as
 * one sized by a parameter would live in memory. */
FASTNN_INLINE void FN(product)(const int rows, const int vectors, ptrdiff_t depth,
                               const REAL *coef, ptrdiff_t row, ptrdiff_t step, const REAL *x,
                               VEC acc[TILE_ROWS][TILE_VECTORS])
{
    FASTNN_NO_UNROLL
    for (ptrdiff_t d = 0; d < depth; d++) {
        VEC xv[TILE_VECTORS];
        FASTNN_UNROLL
        for (int v = 0; v < vectors; v++) xv[v] = FN(load)(x + v * VL);
        FASTNN_UNROLL
        for (int r = 0; r < rows; r++) {
            const VEC c = FN(splat)(coef[r * row]);
            FASTNN_UNROLL
            for (int v = 0; v < vectors; v++) acc[r][v] += c * xv[v];
        }
        coef += step;
        x += vectors * VL;
    }
}

/* rows outputs of one tile: z = intercept + sum_k coef[k] x[k]; relu here, the other activations
 * as a pass over what was just written. */
FASTNN_INLINE void FN(forward_rows)(const int rows, const int vectors, ptrdiff_t fan_in,
                                    ptrdiff_t panel, const REAL *coef, const REAL *intercept,
                                    const REAL *x, REAL *out, int activation)
{
    VEC acc[TILE_ROWS][TILE_VECTORS];
    FASTNN_UNROLL
    for (int r = 0; r < rows; r++) {
        FASTNN_UNROLL
        for (int v = 0; v < vectors; v++) acc[r][v] = FN(splat)(intercept[r]);
    }
    FN(product)(rows, vectors, fan_in, coef, 1, panel, x, acc);
    if (activation == RELU) {
        FASTNN_UNROLL
        for (int r = 0; r < rows; r++) {
            FASTNN_UNROLL
            for (int v = 0; v < vectors; v++) acc[r][v] = FN(activate_vec)(acc[r][v], RELU);
        }
    }
    FASTNN_UNROLL
    for (int r = 0; r < rows; r++) {
        FASTNN_UNROLL
        for (int v = 0; v < vectors; v++) FN(store)(out + (r * vectors + v) * VL, acc[r][v]);
    }
}

/* rows inputs of one tile: delta_in[k] = activation'(a[k]) sum_n coef[k][n] delta[n]. */
FASTNN_INLINE void FN(delta_rows)(const int rows, const int vectors, ptrdiff_t fan_in,
                                  ptrdiff_t fan_out, ptrdiff_t panel, const REAL *coef,
                                  const REAL *delta, const REAL *a, REAL *out, int activation)
{
    VEC acc[TILE_ROWS][TILE_VECTORS];
    FASTNN_UNROLL
    for (int r = 0; r < rows; r++) {
        FASTNN_UNROLL
        for (int v = 0; v < vectors; v++) acc[r][v] = FN(splat)((REAL)0);
    }
    FASTNN_NO_UNROLL
    for (ptrdiff_t n = 0; n < fan_out; n += PW) {
        const ptrdiff_t depth = fan_out - n < PW ? fan_out - n : PW;
        FN(product)(rows, vectors, depth, coef + n * fan_in, panel, 1, delta + n * vectors * VL,
                    acc);
    }
#define TIMES_DERIVATIVE(code)                                                                    \
    FASTNN_UNROLL                                                                                 \
    for (int r = 0; r < rows; r++) {                                                              \
        FASTNN_UNROLL                                                                             \
        for (int v = 0; v < vectors; v++)                                                         \
            acc[r][v] *= FN(derivative_vec)(FN(load)(a + (r * vectors + v) * VL), code);          \
    }
    switch (activation) {
    case SIGMOID: TIMES_DERIVATIVE(SIGMOID) break;
    case TANH: TIMES_DERIVATIVE(TANH) break;
    case RELU: TIMES_DERIVATIVE(RELU) break;
    default: break;
    }
#undef TIMES_DERIVATIVE
    FASTNN_UNROLL
    for (int r = 0; r < rows; r++) {
        FASTNN_UNROLL
        for (int v = 0; v < vectors; v++) FN(store)(out + (r * vectors + v) * VL, acc[r][v]);
    }
}

/* Rows first .. end in blocks of TILE_ROWS, then 4, 2, 1; first is a multiple of TILE_ROWS. */
#define ROW_BLOCKS(CALL)                                                                          \
    {                                                                                             \
        ptrdiff_t r0 = first;                                                                     \
        for (; r0 + TILE_ROWS <= end; r0 += TILE_ROWS) CALL(TILE_ROWS);                           \
        if (TILE_ROWS > 4 && r0 + 4 <= end) { CALL(4); r0 += 4; }                                 \
        if (r0 + 2 <= end) { CALL(2); r0 += 2; }                                                  \
        if (r0 < end) { CALL(1); }                                                                \
    }

FASTNN_INLINE void FN(forward_tile)(const int vectors, ptrdiff_t fan_in, ptrdiff_t first,
                                    ptrdiff_t end, ptrdiff_t panel, const REAL *coef,
                                    const REAL *intercept, const REAL *x, REAL *out,
                                    int activation)
{
#define CALL(rows)                                                                                \
    FN(forward_rows)(rows, vectors, fan_in, panel, coef + r0 / PW * PW * fan_in + r0 % PW,        \
                     intercept + r0, x, out + r0 * vectors * VL, activation)
    ROW_BLOCKS(CALL)
#undef CALL
}

FASTNN_INLINE void FN(delta_tile)(const int vectors, ptrdiff_t first, ptrdiff_t end,
                                  ptrdiff_t fan_in, ptrdiff_t fan_out, ptrdiff_t panel,
                                  const REAL *coef, const REAL *delta, const REAL *a, REAL *out,
                                  int activation)
{
#define CALL(rows)                                                                                \
    FN(delta_rows)(rows, vectors, fan_in, fan_out, panel, coef + r0 * panel, delta,               \
                   a + r0 * vectors * VL, out + r0 * vectors * VL, activation)
    ROW_BLOCKS(CALL)
#undef CALL
}
#undef ROW_BLOCKS

#if TILE_VECTORS == 3
#define BY_VECTORS(vectors, CALL)                                                                 \
    switch (vectors) { case 3: CALL(3); break; case 2: CALL(2); break; default: CALL(1); }
#else
#define BY_VECTORS(vectors, CALL)                                                                 \
    switch (vectors) { case 2: CALL(2); break; default: CALL(1); }
#endif

/* Features first .. end of width rows, wherever they lie, into a tile [n_features][width]; there
 * are either less than VL features at all, or at least VL from first to end. */
FASTNN_KERNEL void FN(gather_rows)(const REAL *const *sources, ptrdiff_t width, ptrdiff_t first,
                                   ptrdiff_t end, REAL *out)
{
    if (end - first < VL) {
        out += first * width;
        for (ptrdiff_t f = first; f < end; f++, out += width)
            for (ptrdiff_t s = 0; s < width; s++) out[s] = sources[s][f];
        return;
    }
    for (ptrdiff_t f = first; f < end; f += VL) {
        const ptrdiff_t f0 = f + VL <= end ? f : end - VL; /* the last block overlaps */
        for (ptrdiff_t s = 0; s < width; s += VL) {
            VEC v[BLOCK];
            FASTNN_UNROLL
            for (int i = 0; i < VL; i++) v[i] = FN(load_any)(sources[s + i] + f0);
            FN(transpose_block)(v);
            FASTNN_UNROLL
            for (int i = 0; i < VL; i++) FN(store)(out + (f0 + i) * width + s, v[i]);
        }
    }
}

/* One or two features of rows that follow each other: these loops are vectors. */
FASTNN_KERNEL void FN(split_rows)(const REAL *rows, ptrdiff_t width, ptrdiff_t n_features,
                                  REAL *out)
{
    if (n_features == 1) {
        memcpy(out, rows, (size_t)width * sizeof(REAL));
        return;
    }
    for (ptrdiff_t s = 0; s < width; s++) {
        out[s] = rows[2 * s];
        out[width + s] = rows[2 * s + 1];
    }
}

/* Wide layers: this many coefs, which stay in the second-level cache, go over all tiles before the
 * next. */
#define SUPERBLOCK (384 * 1024 / (ptrdiff_t)sizeof(REAL))

/* Outputs first .. end of one layer over a chunk of n_vectors vectors of samples; first is a
 * multiple of TILE_ROWS; panel is PW or, if that is less, may be fan_out. Softmax, which needs all
 * outputs, is left to softmax_chunk. */
FASTNN_KERNEL void FN(dense_forward)(ptrdiff_t n_vectors, ptrdiff_t fan_in, ptrdiff_t fan_out,
                                     ptrdiff_t first, ptrdiff_t end, ptrdiff_t panel,
                                     const REAL *coef, const REAL *intercept, const REAL *x,
                                     REAL *out, int activation)
{
    ptrdiff_t block = end - first;
    if (fan_in * block > SUPERBLOCK) {
        block = SUPERBLOCK / fan_in / PW * PW;
        if (block < PW) block = PW;
    }
    /* A layer of one block is activated at the end in one go, whose groups are all full. */
    const int whole = end - first == fan_out && fan_out <= block;
    for (ptrdiff_t n = first; n < end; n += block) {
        const ptrdiff_t stop = end - n < block ? end : n + block;
        for (ptrdiff_t v0 = 0; v0 < n_vectors;) {
            const int vectors = tile_vectors(n_vectors - v0);
            REAL *tile = out + v0 * VL * fan_out;
#define CALL(nv)                                                                                  \
    FN(forward_tile)(nv, fan_in, n, stop, panel, coef, intercept, x + v0 * VL * fan_in, tile,     \
                     activation)
            BY_VECTORS(vectors, CALL)
#undef CALL
            if (activation != RELU && !whole)
                FN(activate)(tile + n * vectors * VL, (stop - n) * vectors * VL, activation);
            v0 += vectors;
        }
    }
    if (activation != RELU && whole) FN(activate)(out, n_vectors * VL * fan_out, activation);
}

/* dense_forward from sparse rows: sample s has the numbers starts[r] .. starts[r + 1] of values and
 * columns, where r is order[row + s], or row + s without an order. Columns rise within a row, so
 * that sums have the order of dense_forward's, and its bits. Lanes are outputs, which are
 * transposed into the tile; first is a multiple of PW. */
FASTNN_KERNEL void FN(sparse_forward)(ptrdiff_t n_samples, ptrdiff_t fan_in, ptrdiff_t fan_out,
                                      ptrdiff_t first, ptrdiff_t end, const REAL *coef,
                                      const REAL *intercept, const REAL *values,
                                      const int *columns, const ptrdiff_t *starts,
                                      const ptrdiff_t *order, ptrdiff_t row, REAL *out,
                                      int activation)
{
    const ptrdiff_t n_vectors = (n_samples + VL - 1) / VL;
    for (ptrdiff_t n = first; n < end; n += PW) { /* a panel stays in the cache for all samples */
        const ptrdiff_t present = end - n < PW ? end - n : PW;
        for (ptrdiff_t v0 = 0; v0 < n_vectors;) {
            const int vectors = tile_vectors(n_vectors - v0);
            const ptrdiff_t width = vectors * VL;
            REAL *tile = out + v0 * VL * fan_out + n * width;
            for (ptrdiff_t s = 0; s < width; s += VL) {
                VEC z[PANEL_SIZE][BLOCK];
                for (ptrdiff_t i = 0; i < VL; i++) {
                    const ptrdiff_t sample = v0 * VL + s + i; /* absent ones repeat the last */
                    ptrdiff_t r = row + (sample < n_samples ? sample : n_samples - 1);
                    VEC acc[PANEL_SIZE];
                    if (order) r = order[r];
                    FASTNN_UNROLL
                    for (int c = 0; c < PANEL_VECTORS; c++)
                        acc[c] = FN(load)(intercept + n + c * VL);
                    FASTNN_NO_UNROLL
                    for (ptrdiff_t at = starts[r]; at < starts[r + 1]; at++) {
                        const VEC xv = FN(splat)(values[at]);
                        const REAL *k = coef + n * fan_in + columns[at] * PW;
                        FASTNN_UNROLL
                        for (int c = 0; c < PANEL_VECTORS; c++) acc[c] += xv * FN(load)(k + c * VL);
                    }
                    FASTNN_UNROLL
                    for (int c = 0; c < PANEL_VECTORS; c++) z[c][i] = acc[c];
                }
                for (ptrdiff_t c = 0; c < PANEL_VECTORS; c++) {
                    FN(transpose_block)(z[c]);
                    for (ptrdiff_t i = 0; i < VL && c * VL + i < present; i++)
                        FN(store)(tile + (c * VL + i) * width + s, z[c][i]);
                }
            }
            FN(activate)(tile, present * width, activation);
            v0 += vectors;
        }
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

/* ---- a layer from coefs as people see them, (fan_in, fan_out), without packing: lanes are outputs */

/* Sums over features have the order of dense_forward's, and so its bits. Loads may run over the end
 * of a row of coefs, but for the last ones not over the end of them all. `part` goes through memory,
 * accumulators must not. */
FASTNN_INLINE void FN(load_part)(const int vectors, const REAL *p, ptrdiff_t width, VEC *part)
{
    if (width == vectors * VL) {
        FASTNN_UNROLL
        for (int i = 0; i < vectors; i++) part[i] = FN(load_any)(p + i * VL);
        return;
    }
    FASTNN_UNROLL
    for (int i = 0; i < vectors; i++) part[i] = FN(splat)((REAL)0);
    memcpy(part, p, (size_t)width * sizeof(REAL));
}

FASTNN_INLINE void FN(store_part)(const int vectors, REAL *p, ptrdiff_t width, const VEC *v)
{
    VEC part[STORED_VECTORS];
    if (width == vectors * VL) {
        FASTNN_UNROLL
        for (int i = 0; i < vectors; i++) FN(store_any)(p + i * VL, v[i]);
        return;
    }
    FASTNN_UNROLL
    for (int i = 0; i < vectors; i++) part[i] = v[i];
    memcpy(p, part, (size_t)width * sizeof(REAL));
}

/* Outputs n .. n + vectors VL of some rows, which lie x_step and out_step apart: features k .. stop
 * of their sums, which begin with the intercepts and go on with what is in out. */
FASTNN_INLINE void FN(row_block)(const int rows, const int vectors, ptrdiff_t n, ptrdiff_t k,
                                 ptrdiff_t stop, ptrdiff_t fan_in, ptrdiff_t fan_out,
                                 const REAL *coef, const REAL *intercept, const REAL *x,
                                 ptrdiff_t x_step, REAL *out, ptrdiff_t out_step)
{
    const ptrdiff_t width = fan_out - n < vectors * VL ? fan_out - n : vectors * VL;
    const ptrdiff_t over = fan_in * fan_out - vectors * VL + 1; /* from where loads may not begin */
    const ptrdiff_t end = stop * fan_out < over ? stop * fan_out : over;
    VEC acc[BLOCK_ROWS][ROW_VECTORS], part[ROW_VECTORS];
    FASTNN_UNROLL
    for (int r = 0; r < rows; r++) {
        FN(load_part)(vectors, k ? out + r * out_step + n : intercept + n, width, part);
        FASTNN_UNROLL
        for (int i = 0; i < vectors; i++) acc[r][i] = part[i];
    }
    FASTNN_NO_UNROLL
    for (ptrdiff_t at = k * fan_out + n; at < end; at += fan_out, k++) {
        VEC c[ROW_VECTORS];
        FASTNN_UNROLL
        for (int i = 0; i < vectors; i++) c[i] = FN(load_any)(coef + at + i * VL);
        FASTNN_UNROLL
        for (int r = 0; r < rows; r++) {
            const VEC xv = FN(splat)(x[r * x_step + k]);
            FASTNN_UNROLL
            for (int i = 0; i < vectors; i++) acc[r][i] += xv * c[i];
        }
    }
    FASTNN_NO_UNROLL
    for (; k < stop; k++) {
        FN(load_part)(vectors, coef + k * fan_out + n, width, part);
        FASTNN_UNROLL
        for (int r = 0; r < rows; r++) {
            FASTNN_UNROLL
            for (int i = 0; i < vectors; i++) acc[r][i] += FN(splat)(x[r * x_step + k]) * part[i];
        }
    }
    FASTNN_UNROLL
    for (int r = 0; r < rows; r++) FN(store_part)(vectors, out + r * out_step + n, width, acc[r]);
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

/* Some rows, x_step apart, through one layer; out_step apart. */
FASTNN_KERNEL void FN(rows_forward)(ptrdiff_t n_rows, ptrdiff_t fan_in, ptrdiff_t fan_out,
                                    const REAL *coef, const REAL *intercept, const REAL *x,
                                    ptrdiff_t x_step, REAL *out, ptrdiff_t out_step,
                                    int activation)
{
#define CALL(rows, vectors)                                                                       \
    FN(row_block)(rows, vectors, n, k, stop, fan_in, fan_out, coef, intercept, x + r * x_step,    \
                  x_step, out + r * out_step, out_step)
#define ROWS(vectors)                                                                             \
    {                                                                                             \
        ptrdiff_t r = 0;                                                                          \
        for (; r + 4 <= n_rows; r += 4) CALL(4, vectors);                                         \
        switch (n_rows - r) {                                                                     \
        case 3: CALL(3, vectors); break;                                                          \
        case 2: CALL(2, vectors); break;                                                          \
        case 1: CALL(1, vectors); break;                                                          \
        default: break;                                                                           \
        }                                                                                         \
    }
    for (ptrdiff_t k = 0; k < fan_in; k += ROW_FEATURES) {
        const ptrdiff_t stop = fan_in - k < ROW_FEATURES ? fan_in : k + ROW_FEATURES;
        ptrdiff_t n = 0;
        if (n_rows == 1) {
            const ptrdiff_t r = 0;
            for (; n + VL < fan_out; n += ROW_VECTORS * VL) CALL(1, ROW_VECTORS);
            if (n < fan_out) CALL(1, 1);
        } else {
            for (; n + VL < fan_out; n += TILE_VECTORS * VL) ROWS(TILE_VECTORS)
            if (n < fan_out) ROWS(1)
        }
    }
#undef ROWS
#undef CALL
    for (ptrdiff_t r = 0; r < n_rows; r++) FN(activate_row)(out + r * out_step, fan_out, activation);
}

/* Outputs n .. n + vectors VL of one sparse row of `count` numbers, whose columns rise. */
FASTNN_INLINE void FN(stored_block)(const int vectors, ptrdiff_t n, ptrdiff_t fan_in,
                                    ptrdiff_t fan_out, const REAL *coef, const REAL *intercept,
                                    const REAL *values, const int *columns, ptrdiff_t count,
                                    REAL *out)
{
    const ptrdiff_t width = fan_out - n < vectors * VL ? fan_out - n : vectors * VL;
    const ptrdiff_t last = fan_in * fan_out - vectors * VL - n; /* where a load may begin */
    ptrdiff_t at = 0, end = count;
    VEC acc[STORED_VECTORS], part[STORED_VECTORS];
    while (end > 0 && columns[end - 1] * fan_out > last) end--;
    FN(load_part)(vectors, intercept + n, width, part);
    FASTNN_UNROLL
    for (int i = 0; i < vectors; i++) acc[i] = part[i];
    FASTNN_NO_UNROLL
    for (; at < end; at++) {
        const VEC xv = FN(splat)(values[at]);
        const REAL *c = coef + columns[at] * fan_out + n;
        FASTNN_UNROLL
        for (int i = 0; i < vectors; i++) acc[i] += xv * FN(load_any)(c + i * VL);
    }
    FASTNN_NO_UNROLL
    for (; at < count; at++) {
        FN(load_part)(vectors, coef + columns[at] * fan_out + n, width, part);
        FASTNN_UNROLL
        for (int i = 0; i < vectors; i++) acc[i] += FN(splat)(values[at]) * part[i];
    }
    FN(store_part)(vectors, out + n, width, acc);
}

/* rows_forward from sparse rows: row r has the numbers starts[r] .. starts[r + 1]. */
FASTNN_KERNEL void FN(stored_forward)(ptrdiff_t n_rows, ptrdiff_t fan_in, ptrdiff_t fan_out,
                                      const REAL *coef, const REAL *intercept, const REAL *values,
                                      const int *columns, const ptrdiff_t *starts, REAL *out,
                                      ptrdiff_t out_step, int activation)
{
#define CALL(vectors)                                                                             \
    for (ptrdiff_t r = 0; r < n_rows; r++)                                                        \
        FN(stored_block)(vectors, n, fan_in, fan_out, coef, intercept, values + starts[r],        \
                         columns + starts[r], starts[r + 1] - starts[r], out + r * out_step);
    ptrdiff_t n = 0;
    for (; n + VL < fan_out; n += STORED_VECTORS * VL) CALL(STORED_VECTORS)
    if (n < fan_out) CALL(1)
#undef CALL
    for (ptrdiff_t r = 0; r < n_rows; r++) FN(activate_row)(out + r * out_step, fan_out, activation);
}

/* Inputs first .. end of delta_in = activation'(a) * delta W^T; first is a multiple of TILE_ROWS. */
FASTNN_KERNEL void FN(propagate_delta)(ptrdiff_t n_vectors, ptrdiff_t fan_in, ptrdiff_t fan_out,
                                       ptrdiff_t first, ptrdiff_t end, ptrdiff_t panel,
                                       const REAL *coef, const REAL *delta, const REAL *a,
                                       REAL *out, int activation)
{
    ptrdiff_t block = end - first;
    if (fan_out * block > SUPERBLOCK) {
        block = SUPERBLOCK / fan_out / TILE_ROWS * TILE_ROWS;
        if (block < TILE_ROWS) block = TILE_ROWS;
    }
    for (ptrdiff_t k = first; k < end; k += block) {
        const ptrdiff_t stop = end - k < block ? end : k + block;
        for (ptrdiff_t v0 = 0; v0 < n_vectors;) {
            const int vectors = tile_vectors(n_vectors - v0);
            const ptrdiff_t at = v0 * VL * fan_in;
#define CALL(nv)                                                                                  \
    FN(delta_tile)(nv, k, stop, fan_in, fan_out, panel, coef, delta + v0 * VL * fan_out, a + at,  \
                   out + at, activation)
            BY_VECTORS(vectors, CALL)
#undef CALL
            v0 += vectors;
        }
    }
}

/* ---- gradients ---------------------------------------------------------------------------- */

/* In both ways of summing gradients, `fresh` says that there is nothing to add to yet: what is in
 * memory then is not read. */

/* Narrow layers: every product x[k] delta[n] is summed lane by lane over the whole batch and the
 * lanes are added once at its end. sums is [fan_in + 1][fan_out] vectors, the last row for the
 * intercepts. */
FASTNN_INLINE void FN(lane_tile)(const int rows, const int columns, const int intercepts,
                                 ptrdiff_t k, ptrdiff_t n, ptrdiff_t n_vectors, ptrdiff_t fan_in,
                                 ptrdiff_t fan_out, int fresh, const REAL *x, const REAL *delta,
                                 REAL *sums)
{
    VEC acc[4][LANE_COLUMNS];
    VEC sum[LANE_COLUMNS]; /* of the deltas alone, for the tile that has the last row */
    REAL *const intercept_sums = sums + (fan_in * fan_out + n) * VL;
    FASTNN_UNROLL
    for (int c = 0; c < columns && intercepts; c++)
        sum[c] = fresh ? FN(splat)((REAL)0) : FN(load)(intercept_sums + c * VL);
    FASTNN_UNROLL
    for (int r = 0; r < rows; r++) {
        FASTNN_UNROLL
        for (int c = 0; c < columns; c++)
            acc[r][c] = fresh ? FN(splat)((REAL)0)
                              : FN(load)(sums + ((k + r) * fan_out + n + c) * VL);
    }
    while (n_vectors > 0) {
        const int vectors = tile_vectors(n_vectors);
        const ptrdiff_t width = vectors * VL;
        const REAL *xt = x + k * width, *dt = delta + n * width;
        n_vectors -= vectors;
        x += width * fan_in;
        delta += width * fan_out;
        FASTNN_NO_UNROLL
        for (int v = 0; v < vectors; v++, xt += VL, dt += VL) {
            VEC d[LANE_COLUMNS];
            FASTNN_UNROLL
            for (int c = 0; c < columns; c++) {
                d[c] = FN(load)(dt + c * width);
                if (intercepts) sum[c] += d[c];
            }
            FASTNN_UNROLL
            for (int r = 0; r < rows; r++) {
                const VEC xv = FN(load)(xt + r * width);
                FASTNN_UNROLL
                for (int c = 0; c < columns; c++) acc[r][c] += xv * d[c];
            }
        }
    }
    FASTNN_UNROLL
    for (int r = 0; r < rows; r++) {
        FASTNN_UNROLL
        for (int c = 0; c < columns; c++)
            FN(store)(sums + ((k + r) * fan_out + n + c) * VL, acc[r][c]);
    }
    FASTNN_UNROLL
    for (int c = 0; c < columns && intercepts; c++)
        FN(store)(intercept_sums + c * VL, sum[c]);
}

/* Rows first .. end of a narrow layer's sums; the row behind the last, the intercepts', belongs to
 * whoever has the last. */
FASTNN_KERNEL void FN(lane_gradient)(ptrdiff_t n_vectors, ptrdiff_t fan_in, ptrdiff_t fan_out,
                                     ptrdiff_t first, ptrdiff_t end, int fresh, const REAL *x,
                                     const REAL *delta, REAL *sums)
{
#define CALL(rows, columns)                                                                       \
    if (k + (rows) == fan_in)                                                                     \
        FN(lane_tile)(rows, columns, 1, k, n, n_vectors, fan_in, fan_out, fresh, x, delta, sums); \
    else                                                                                          \
        FN(lane_tile)(rows, columns, 0, k, n, n_vectors, fan_in, fan_out, fresh, x, delta, sums);
#define COLUMNS(rows)                                                                             \
    {                                                                                             \
        ptrdiff_t n = 0;                                                                          \
        for (; n + LANE_COLUMNS <= fan_out; n += LANE_COLUMNS) { CALL(rows, LANE_COLUMNS) }       \
        if (LANE_COLUMNS > 2 && n + 2 <= fan_out) { CALL(rows, 2) n += 2; }                       \
        if (n < fan_out) { CALL(rows, 1) }                                                        \
    }
    ptrdiff_t k = first;
    for (; k + 4 <= end; k += 4) COLUMNS(4)
    if (k + 2 <= end) { COLUMNS(2) k += 2; }
    if (k < end) COLUMNS(1)
#undef COLUMNS
#undef CALL
}

/* Adds the lanes of rows first .. end of sums and writes them as packed gradients, zero in the
 * padding: row k of `grad`, panels grad_panel apart, is row first + k. */
FASTNN_KERNEL void FN(add_lanes)(ptrdiff_t fan_out, ptrdiff_t first, ptrdiff_t end,
                                 const REAL *sums, REAL *grad, ptrdiff_t grad_panel)
{
    const ptrdiff_t last = (fan_out - 1) / PW * grad_panel;
    BITS kept[BLOCK]; /* of the last vector of a row */
    IVEC mask;
    for (ptrdiff_t i = 0; i < VL; i++) kept[i] = i <= (fan_out - 1) % VL ? -1 : 0;
    memcpy(&mask, kept, sizeof mask);
    for (ptrdiff_t i = 0; i < (end - first) * PW && VL < PW && fan_out % PW; i += VL)
        FN(store)(grad + last + i, FN(splat)((REAL)0));
    sums += first * fan_out * VL;
    for (ptrdiff_t row = 0; row < (end - first) * PW; row += PW, sums += fan_out * VL) {
        for (ptrdiff_t n = 0; n < fan_out; n += VL) {
            const ptrdiff_t left = fan_out - n;
            VEC v[BLOCK];
            FASTNN_UNROLL
            for (int i = 0; i < (int)BLOCK; i++) /* behind the last sum its own once more */
                v[i] = FN(load)(sums + (n + (i < left ? i : left - 1)) * VL);
            FN(sum_lanes)(v);
            FN(store)(grad + n / PW * grad_panel + row + n % PW,
                      left < VL ? FN(keep)(mask, v[0]) : v[0]);
        }
    }
}

/* Wide layers: lanes are outputs. The deltas of the chunk are transposed once, [panel][sample][PW]
 * with zeros where a panel has no output, and each panel of the gradient is a sum over samples. */
FASTNN_KERNEL void FN(transpose_delta)(ptrdiff_t n_vectors, ptrdiff_t fan_out, ptrdiff_t first,
                                       ptrdiff_t end, const REAL *delta, REAL *out)
{
    out += first * n_vectors * VL; /* outputs first .. end; first is a multiple of PW */
    for (ptrdiff_t n0 = first; n0 < end; n0 += PW) {
        for (ptrdiff_t v0 = 0; v0 < n_vectors;) {
            const int vectors = tile_vectors(n_vectors - v0);
            const ptrdiff_t width = vectors * VL;
            const REAL *d = delta + v0 * VL * fan_out + n0 * width;
            for (ptrdiff_t s = 0; s < width; s += VL, out += VL * PW) {
                for (ptrdiff_t c = 0; c < PW; c += VL) {
                    VEC v[BLOCK];
                    FASTNN_UNROLL
                    for (int i = 0; i < VL; i++)
                        v[i] = n0 + c + i < fan_out ? FN(load)(d + (c + i) * width + s)
                                                    : FN(splat)((REAL)0);
                    FN(transpose_block)(v);
                    FASTNN_UNROLL
                    for (int i = 0; i < VL; i++) FN(store)(out + i * PW + c, v[i]);
                }
            }
            v0 += vectors;
        }
    }
}

/* grad[p][k + r][PW] += sum over samples of x[k + r] delta[p][PW], for `panels` panels. */
FASTNN_INLINE void FN(panel_tile)(const int rows, const int panels, ptrdiff_t k,
                                  ptrdiff_t n_vectors, ptrdiff_t n_samples, ptrdiff_t fan_in,
                                  int fresh, const REAL *x, const REAL *delta, REAL *grad,
                                  ptrdiff_t grad_panel)
{
    const ptrdiff_t delta_panel = n_vectors * VL * PW;
    const int columns = panels * PANEL_VECTORS;
    VEC acc[GRAD_ROWS][GRAD_PANELS * PANEL_SIZE];
#define GRAD(r, c) (grad + (c) / PANEL_VECTORS * grad_panel + (r) * PW + (c) % PANEL_VECTORS * VL)
    FASTNN_UNROLL
    for (int r = 0; r < rows; r++) {
        FASTNN_UNROLL
        for (int c = 0; c < columns; c++)
            acc[r][c] = fresh ? FN(splat)((REAL)0) : FN(load)(GRAD(r, c));
    }
    for (ptrdiff_t v0 = 0; v0 < n_vectors;) {
        const int vectors = tile_vectors(n_vectors - v0);
        const ptrdiff_t width = vectors * VL;
        const ptrdiff_t left = n_samples - v0 * VL, stop = left < width ? left : width;
        const REAL *xt = x + v0 * VL * fan_in + k * width;
        FASTNN_NO_UNROLL
        for (ptrdiff_t s = 0; s < stop; s++, delta += PW, xt++) {
            VEC d[GRAD_PANELS * PANEL_SIZE];
            FASTNN_UNROLL
            for (int c = 0; c < columns; c++)
                d[c] = FN(load)(delta + c / PANEL_VECTORS * delta_panel + c % PANEL_VECTORS * VL);
            FASTNN_UNROLL
            for (int r = 0; r < rows; r++) {
                const VEC xv = FN(splat)(xt[r * width]);
                FASTNN_UNROLL
                for (int c = 0; c < columns; c++) acc[r][c] += xv * d[c];
            }
        }
        v0 += vectors;
    }
    FASTNN_UNROLL
    for (int r = 0; r < rows; r++) {
        FASTNN_UNROLL
        for (int c = 0; c < columns; c++) FN(store)(GRAD(r, c), acc[r][c]);
    }
#undef GRAD
}

/* Rows first .. end of a wide layer's gradient over n_samples, which need not be whole vectors: one
 * sample alone is a VL-th of the work. `grad` is where row `first` of the first panel goes; panels
 * are grad_panel apart. */
FASTNN_KERNEL void FN(panel_gradient)(ptrdiff_t n_vectors, ptrdiff_t n_samples, ptrdiff_t fan_in,
                                      ptrdiff_t fan_out, ptrdiff_t first, ptrdiff_t end,
                                      int fresh, const REAL *x, const REAL *delta, REAL *grad,
                                      ptrdiff_t grad_panel)
{
#define TILE(rows, panels)                                                                        \
    FN(panel_tile)(rows, panels, k, n_vectors, n_samples, fan_in, fresh, x, delta,                \
                   grad + (k - first) * PW, grad_panel)
#define ROWS(panels)                                                                              \
    {                                                                                             \
        ptrdiff_t k = first;                                                                      \
        for (; k + GRAD_ROWS <= end; k += GRAD_ROWS) TILE(GRAD_ROWS, panels);                     \
        if (GRAD_ROWS > 4 && k + 4 <= end) { TILE(4, panels); k += 4; }                           \
        if (GRAD_ROWS > 2 && k + 2 <= end) { TILE(2, panels); k += 2; }                           \
        if (k < end) TILE(1, panels);                                                             \
    }
    for (ptrdiff_t left = (fan_out + PW - 1) / PW; left > 0;) {
        const ptrdiff_t panels = GRAD_PANELS == 3 && left == 4 ? 2
                                 : left < GRAD_PANELS          ? left
                                                               : GRAD_PANELS;
#if GRAD_PANELS == 3
        if (panels == 3) ROWS(3)
        else if (panels == 2) ROWS(2)
        else
#endif
        ROWS(1)
        left -= panels;
        delta += panels * n_vectors * VL * PW;
        grad += panels * grad_panel;
    }
#undef TILE
#undef ROWS
}

/* panel_gradient from sparse rows, which are as sparse_forward's: sums over samples have the same
 * order, and so the same bits. */
FASTNN_KERNEL void FN(sparse_gradient)(ptrdiff_t n_vectors, ptrdiff_t n_samples, ptrdiff_t fan_out,
                                       ptrdiff_t first, ptrdiff_t end, int fresh,
                                       const REAL *values, const int *columns,
                                       const ptrdiff_t *starts, const ptrdiff_t *order,
                                       ptrdiff_t row, const REAL *delta, REAL *grad,
                                       ptrdiff_t grad_panel)
{
    const ptrdiff_t panels = (fan_out + PW - 1) / PW, delta_panel = n_vectors * VL * PW;
    for (ptrdiff_t p = 0; p < panels && fresh; p++)
        memset(grad + p * grad_panel, 0, (size_t)((end - first) * PW) * sizeof(REAL));
    for (ptrdiff_t s = 0; s < n_samples; s++, delta += PW) {
        const ptrdiff_t r = order ? order[row + s] : row + s, stop = starts[r + 1];
        ptrdiff_t at = starts[r];
        for (ptrdiff_t left = stop - at; left > 0;) { /* to the first column from `first` on */
            const ptrdiff_t half = left / 2;
            if (columns[at + half] < first) {
                at += half + 1;
                left -= half + 1;
            } else {
                left = half;
            }
        }
        for (; at < stop && columns[at] < end; at++) {
            const VEC xv = FN(splat)(values[at]);
            REAL *g = grad + (columns[at] - first) * PW;
            for (ptrdiff_t p = 0; p < panels; p++) {
                FASTNN_UNROLL
                for (int c = 0; c < PANEL_VECTORS; c++)
                    FN(store)(g + p * grad_panel + c * VL,
                              FN(load)(g + p * grad_panel + c * VL) +
                                  xv * FN(load)(delta + p * delta_panel + c * VL));
            }
        }
    }
}

/* A wide layer's gradient by its intercepts first .. end, from the transposed deltas; first is a
 * multiple of PW. */
FASTNN_KERNEL void FN(panel_sums)(ptrdiff_t n_vectors, ptrdiff_t first, ptrdiff_t end, int fresh,
                                  const REAL *delta, REAL *grad)
{
    const ptrdiff_t n_samples = n_vectors * VL;
    for (ptrdiff_t n = first; n < end; n += PW) {
        for (ptrdiff_t p = 0; p < PW; p += VL) {
            const REAL *d = delta + n * n_samples + p;
            VEC sum[4]; /* one chain would wait for every addition */
            ptrdiff_t s = 0;
            FASTNN_UNROLL
            for (int c = 0; c < 4; c++) sum[c] = FN(splat)((REAL)0);
            for (; s + 4 <= n_samples; s += 4) {
                FASTNN_UNROLL
                for (int c = 0; c < 4; c++) sum[c] += FN(load)(d + (s + c) * PW);
            }
            for (; s < n_samples; s++) sum[0] += FN(load)(d + s * PW);
            sum[0] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
            if (!fresh) sum[0] = FN(load)(grad + n + p) + sum[0];
            FN(store)(grad + n + p, sum[0]);
        }
    }
}

/* sum += x, n numbers, a multiple of VL. */
FASTNN_KERNEL void FN(add)(ptrdiff_t n, const REAL *x, REAL *sum)
{
    for (ptrdiff_t i = 0; i < n; i += VL) FN(store)(sum + i, FN(load)(sum + i) + FN(load)(x + i));
}

/* ---- losses ------------------------------------------------------------------------------- */

/* The losses of VL samples but for a constant factor, with their outputs and targets `width` apart:
 *   squared errors    sum_j (a_j - y_j)^2
 *   binary log loss   -sum_j y_j log a_j + (1 - y_j) log(1 - a_j)
 *   log loss          -sum_j y_j log a_j
 *   Poisson           sum_j y_j log(y_j / a_j) - y_j + a_j, where 0 log 0 is 0
 * with a clipped to [eps, 1 - eps] in the log losses, as scikit-learn does. Squares and quotients
 * are taken in the type of the network, so that one beyond its range is a loss of infinity. */
FASTNN_INLINE VEC FN(sample_losses)(ptrdiff_t n_outputs, ptrdiff_t width, const REAL *a,
                                    const REAL *y, int loss)
{
    const VEC zero = FN(splat)((REAL)0), one = FN(splat)((REAL)1);
    const VEC low = FN(splat)((REAL)EPSILON);
    VEC sum = zero;
    if (loss == SQUARED_ERROR || loss == MEAN_SQUARED_ERROR) {
        for (ptrdiff_t j = 0; j < n_outputs; j++) {
            const VEC d = FN(load)(a + j * width) - FN(load)(y + j * width);
            sum += d * d;
        }
        return sum;
    }
    if (loss == POISSON) {
        for (ptrdiff_t j = 0; j < n_outputs; j++) {
            const VEC mean = FN(load)(a + j * width), target = FN(load)(y + j * width);
            const VEC ratio = target / mean;
            /* what log_vec takes; the difference is infinite where the ratio is, and else nothing
             * beside the logarithm of either */
            const VEC normal = FN(max)(FN(splat)((REAL)TINY),
                                       FN(min)(FN(splat)((REAL)LARGEST), ratio));
            const VEC logs = FN(select)(FN(less)(zero, ratio),
                                        FN(log_vec)(normal) + (ratio - normal),
                                        FN(splat)((REAL)-HUGE_VALUE));
            sum += FN(keep)(FN(less)(zero, target), target * logs) + (mean - target);
            sum += FN(keep)(FN(less)(target, zero), FN(sqrt)(target)); /* NaN */
        }
        return sum;
    }
    for (ptrdiff_t j = 0; j < n_outputs; j++) {
        const VEC target = FN(load)(y + j * width);
        const VEC p = FN(max)(low, FN(min)(one - low, FN(load)(a + j * width)));
        sum -= target * FN(log_vec)(p);
        if (loss == BINARY_LOG_LOSS) sum -= (one - target) * FN(log_vec)(one - p);
    }
    return sum;
}

/* delta *= the derivative of the output's activation a, for a loss that is not its own. */
FASTNN_KERNEL void FN(output_derivative)(ptrdiff_t n_vectors, ptrdiff_t n_outputs, const REAL *a,
                                         REAL *delta, int activation)
{
    const ptrdiff_t n = n_vectors * VL * n_outputs;
#define TIMES_DERIVATIVE(code)                                                                    \
    for (ptrdiff_t i = 0; i < n; i += VL)                                                         \
        FN(store)(delta + i, FN(load)(delta + i) * FN(derivative_vec)(FN(load)(a + i), code));
    switch (activation) {
    case SIGMOID: TIMES_DERIVATIVE(SIGMOID) break;
    case TANH: TIMES_DERIVATIVE(TANH) break;
    case RELU: TIMES_DERIVATIVE(RELU) break;
    case EXP: TIMES_DERIVATIVE(EXP) break;
    case SOFTMAX: /* the whole Jacobian: dC/dz_i = a_i (d_i - sum_j d_j a_j) */
        for (ptrdiff_t v0 = 0; v0 < n_vectors;) {
            const int vectors = tile_vectors(n_vectors - v0);
            const ptrdiff_t width = vectors * VL, base = v0 * VL * n_outputs;
            for (ptrdiff_t s = base; s < base + width; s += VL) {
                VEC dot = FN(splat)((REAL)0);
                for (ptrdiff_t j = 0; j < n_outputs; j++)
                    dot += FN(load)(delta + s + j * width) * FN(load)(a + s + j * width);
                for (ptrdiff_t j = 0; j < n_outputs; j++)
                    FN(store)(delta + s + j * width, FN(load)(a + s + j * width) *
                                                     (FN(load)(delta + s + j * width) - dot));
            }
            v0 += vectors;
        }
        break;
    default: break;
    }
#undef TIMES_DERIVATIVE
}

/* Output deltas dC/dz of a chunk from its output activations a and targets y, both in the chunk's
 * layout, and the sum of the loss C over its n_samples real samples. The losses are those of
 * sample_losses, squared errors times 1/2; binary log loss with sigmoid, log loss with softmax and
 * Poisson with exp have dC/dz = a - y. The mean squared error is divided by the number of outputs,
 * but its deltas are not: scikit-learn reports the mean over the outputs and descends by the
 * gradient of the sum, and who is to take its steps and show its losses needs both. The targets of
 * absent samples are overwritten by their activations, which makes their deltas and losses zero. */
FASTNN_KERNEL double FN(loss_delta)(ptrdiff_t n_samples, ptrdiff_t n_outputs, const REAL *a,
                                    REAL *y, REAL *delta, int loss, int activation)
{
    const ptrdiff_t n_vectors = (n_samples + VL - 1) / VL, n = n_vectors * VL * n_outputs;
    const int squared = loss == SQUARED_ERROR || loss == MEAN_SQUARED_ERROR;
    double total = 0;
    for (ptrdiff_t v0 = 0; v0 < n_vectors;) {
        const int vectors = tile_vectors(n_vectors - v0);
        const ptrdiff_t width = vectors * VL, base = v0 * VL * n_outputs;
        const ptrdiff_t present = n_samples - v0 * VL < width ? n_samples - v0 * VL : width;
        for (ptrdiff_t j = 0; j < n_outputs && present < width; j++)
            for (ptrdiff_t s = present; s < width; s++)
                y[base + j * width + s] = a[base + j * width + s];
        for (ptrdiff_t s = 0; s < present && !squared; s += VL) {
            const VEC losses =
                FN(sample_losses)(n_outputs, width, a + base + s, y + base + s, loss);
            REAL lanes[PANEL_BYTES / sizeof(REAL)];
            memcpy(lanes, &losses, sizeof losses);
            for (ptrdiff_t i = 0; i < VL && s + i < present; i++) total += lanes[i];
        }
        v0 += vectors;
    }
    if (!squared) {
        for (ptrdiff_t i = 0; i < n; i += VL) FN(store)(delta + i, FN(load)(a + i) - FN(load)(y + i));
        return total;
    }
    VEC sum = FN(splat)((REAL)0);
    for (ptrdiff_t i = 0; i < n; i += VL) {
        const VEC d = FN(load)(a + i) - FN(load)(y + i);
        sum += d * d;
        FN(store)(delta + i, d);
    }
    REAL lanes[PANEL_BYTES / sizeof(REAL)];
    memcpy(lanes, &sum, sizeof sum);
    for (ptrdiff_t i = 0; i < VL; i++) total += lanes[i];
    FN(output_derivative)(n_vectors, n_outputs, a, delta, activation);
    return loss == SQUARED_ERROR ? 0.5 * total : 0.5 * total / (double)n_outputs;
}

/* The same where every sample has a weight, which multiplies its loss and its deltas: one row more in
 * each tile of y. Absent samples repeat the last one; they get the weight 0. */
FASTNN_KERNEL double FN(weighted_loss_delta)(ptrdiff_t n_samples, ptrdiff_t n_outputs,
                                             const REAL *a, REAL *y, REAL *delta, int loss,
                                             int activation)
{
    const ptrdiff_t n_vectors = (n_samples + VL - 1) / VL;
    const int squared = loss == SQUARED_ERROR || loss == MEAN_SQUARED_ERROR;
    double total = 0;
    for (ptrdiff_t v0 = 0; v0 < n_vectors;) {
        const int vectors = tile_vectors(n_vectors - v0);
        const ptrdiff_t width = vectors * VL, n = n_outputs * width;
        const ptrdiff_t present = n_samples - v0 * VL < width ? n_samples - v0 * VL : width;
        REAL *weights = y + n;
        for (ptrdiff_t s = present; s < width; s++) weights[s] = 0;
        for (ptrdiff_t s = 0; s < width; s += VL) {
            const VEC losses =
                FN(load)(weights + s) * FN(sample_losses)(n_outputs, width, a + s, y + s, loss);
            REAL lanes[PANEL_BYTES / sizeof(REAL)];
            memcpy(lanes, &losses, sizeof losses);
            for (ptrdiff_t i = 0; i < VL && s + i < present; i++) total += lanes[i];
        }
        for (ptrdiff_t i = 0; i < n; i += VL) FN(store)(delta + i, FN(load)(a + i) - FN(load)(y + i));
        if (squared) FN(output_derivative)(vectors, n_outputs, a, delta, activation);
        for (ptrdiff_t j = 0; j < n; j += width)
            for (ptrdiff_t s = 0; s < width; s += VL)
                FN(store)(delta + j + s, FN(load)(delta + j + s) * FN(load)(weights + s));
        a += n;
        delta += n;
        y += n + width;
        v0 += vectors;
    }
    if (squared) total *= 0.5;
    return loss == MEAN_SQUARED_ERROR ? total / (double)n_outputs : total;
}

/* ---- solvers ------------------------------------------------------------------------------ */

/* All on n numbers at any alignment, of which grad is the sum over the batch: the gradient is
 * scale * grad + decay * param (decay: the penalty alpha / batch). Velocities and moments below
 * the normal numbers become 0: they come from units that died, change nothing, and cost a
 * hundred cycles each. */
FASTNN_INLINE VEC FN(flush)(VEC x)
{
    const VEC size = FN(max)(x, -x);
    return FN(drop)(FN(less)(size, FN(splat)((REAL)TINY)), x);
}

/* v = momentum v - rate g; param += v, or with Nesterov's look-ahead momentum v - rate g
 * (Sutskever et al., 2013, in scikit-learn's arrangement). velocity NULL: plain descent. */
FASTNN_KERNEL void FN(sgd_update)(ptrdiff_t n, REAL *param, const REAL *grad, REAL *velocity,
                                  double rate, double momentum, int nesterov, double scale,
                                  double decay)
{
    const VEC step = FN(splat)((REAL)(rate * scale)), shrink = FN(splat)((REAL)(rate * decay));
    const VEC mu = FN(splat)((REAL)momentum);
    ptrdiff_t i = 0;
    for (; i + VL <= n; i += VL) {
        const VEC p = FN(load_any)(param + i);
        const VEC g = FN(load_any)(grad + i) * step + p * shrink;
        if (!velocity) {
            FN(store_any)(param + i, p - g);
        } else {
            const VEC v = FN(flush)(mu * FN(load_any)(velocity + i) - g);
            FN(store_any)(velocity + i, v);
            FN(store_any)(param + i, nesterov ? p + (mu * v - g) : p + v);
        }
    }
    if (i < n) { /* the rest in full vectors of its own, so that it gets the same arithmetic */
        const size_t bytes = (size_t)(n - i) * sizeof(REAL);
        VEC p = FN(splat)((REAL)0), g = p, v = p;
        memcpy(&p, param + i, bytes);
        memcpy(&g, grad + i, bytes);
        if (velocity) memcpy(&v, velocity + i, bytes);
        FN(sgd_update)(VL, (REAL *)&p, (REAL *)&g, velocity ? (REAL *)&v : NULL, rate, momentum,
                       nesterov, scale, decay);
        memcpy(param + i, &p, bytes);
        if (velocity) memcpy(velocity + i, &v, bytes);
    }
}

/* Kingma and Ba (2015), algorithm 1 with the bias corrections folded into rate:
 * m = b1 m + (1-b1) g; v = b2 v + (1-b2) g^2; param -= rate m / (sqrt(v) + epsilon). */
FASTNN_KERNEL void FN(adam_update)(ptrdiff_t n, REAL *param, const REAL *grad, REAL *first,
                                   REAL *second, double rate, double beta_1, double beta_2,
                                   double epsilon, double scale, double decay)
{
    const VEC b1 = FN(splat)((REAL)beta_1), c1 = FN(splat)((REAL)(1 - beta_1));
    const VEC b2 = FN(splat)((REAL)beta_2), c2 = FN(splat)((REAL)(1 - beta_2));
    const VEC gs = FN(splat)((REAL)scale), ds = FN(splat)((REAL)decay);
    const VEC lr = FN(splat)((REAL)rate), eps = FN(splat)((REAL)epsilon);
    ptrdiff_t i = 0;
    for (; i + VL <= n; i += VL) {
        const VEC p = FN(load_any)(param + i);
        const VEC g = FN(load_any)(grad + i) * gs + p * ds;
        const VEC m = FN(flush)(b1 * FN(load_any)(first + i) + c1 * g);
        const VEC v = FN(flush)(b2 * FN(load_any)(second + i) + c2 * (g * g));
        FN(store_any)(first + i, m);
        FN(store_any)(second + i, v);
        FN(store_any)(param + i, p - lr * m / (FN(sqrt)(v) + eps));
    }
    if (i < n) {
        const size_t bytes = (size_t)(n - i) * sizeof(REAL);
        VEC p = FN(splat)((REAL)0), g = p, m = p, v = p;
        memcpy(&p, param + i, bytes);
        memcpy(&g, grad + i, bytes);
        memcpy(&m, first + i, bytes);
        memcpy(&v, second + i, bytes);
        FN(adam_update)(VL, (REAL *)&p, (REAL *)&g, (REAL *)&m, (REAL *)&v, rate, beta_1, beta_2,
                        epsilon, scale, decay);
        memcpy(param + i, &p, bytes);
        memcpy(first + i, &m, bytes);
        memcpy(second + i, &v, bytes);
    }
}

/* ---- odds and ends ------------------------------------------------------------------------ */

/* Whether all n numbers are finite: x - x is 0 for those and NaN for the others. */
FASTNN_KERNEL int FN(all_finite)(const REAL *x, ptrdiff_t n)
{
    VEC sum[4];
    REAL lanes[PANEL_BYTES / sizeof(REAL)], total = 0;
    ptrdiff_t i = 0;
    FASTNN_UNROLL
    for (int c = 0; c < 4; c++) sum[c] = FN(splat)((REAL)0);
    FASTNN_NO_UNROLL
    for (; i + 4 * VL <= n; i += 4 * VL) {
        FASTNN_UNROLL
        for (int c = 0; c < 4; c++)
            sum[c] += FN(load_any)(x + i + c * VL) - FN(load_any)(x + i + c * VL);
    }
    for (; i + VL <= n; i += VL) sum[0] += FN(load_any)(x + i) - FN(load_any)(x + i);
    for (; i < n; i++) total += x[i] - x[i];
    sum[0] += sum[1] + sum[2] + sum[3];
    memcpy(lanes, &sum[0], sizeof sum[0]);
    for (i = 0; i < VL; i++) total += lanes[i];
    return total == 0;
}

/* The sum of the squares of n numbers, a multiple of VL, in four chains of vectors; blocks of 64
 * vectors are added up in double. */
FASTNN_KERNEL double FN(sum_squares)(const REAL *x, ptrdiff_t n)
{
    double total = 0;
    for (ptrdiff_t first = 0; first < n; first += 64 * VL) {
        const ptrdiff_t end = n - first < 64 * VL ? n : first + 64 * VL;
        ptrdiff_t i = first;
        VEC sum[4];
        REAL lanes[PANEL_BYTES / sizeof(REAL)];
        FASTNN_UNROLL
        for (int c = 0; c < 4; c++) sum[c] = FN(splat)((REAL)0);
        FASTNN_NO_UNROLL
        for (; i + 4 * VL <= end; i += 4 * VL) {
            FASTNN_UNROLL
            for (int c = 0; c < 4; c++)
                sum[c] += FN(load)(x + i + c * VL) * FN(load)(x + i + c * VL);
        }
        for (; i < end; i += VL) sum[0] += FN(load)(x + i) * FN(load)(x + i);
        sum[0] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
        memcpy(lanes, &sum[0], sizeof sum[0]);
        for (ptrdiff_t j = 0; j < VL; j++) total += lanes[j];
    }
    return total;
}

/* Twelve independent chains of multiply-adds, for measuring what a core can do at best. */
FASTNN_KERNEL double FN(peak_loop)(ptrdiff_t turns, REAL *sink)
{
    VEC acc[12], c = FN(splat)((REAL)0.999), x = FN(splat)((REAL)1e-3);
    FASTNN_UNROLL
    for (int i = 0; i < 12; i++) acc[i] = FN(splat)((REAL)i);
    FASTNN_NO_UNROLL
    for (ptrdiff_t t = 0; t < turns; t++) {
        FASTNN_UNROLL
        for (int i = 0; i < 12; i++) acc[i] = acc[i] * c + x;
    }
    for (int i = 1; i < 12; i++) acc[0] += acc[i];
    memcpy(sink, &acc[0], sizeof(REAL));
    return 12.0 * (double)turns * (double)VL;
}

#undef REAL
#undef BITS
#undef FN
#undef PW
#undef VEC
#undef IVEC
#undef VL
#undef BLOCK
#undef ROUND_MAGIC
#undef LN2_HIGH
#undef LN2_LOW
#undef EXP_MAX
#undef EXP_MIN
#undef SIGMOID_MIN
#undef TABLE_BITS
#undef TANH_MAX
#undef MANTISSA
#undef TINY
#undef LARGEST
#undef HUGE_VALUE
#undef EPSILON
#undef BY_VECTORS
#undef SUPERBLOCK
#undef PANEL_VECTORS
#undef PANEL_SIZE
