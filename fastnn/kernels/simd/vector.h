/* Vectors: splat, min, max, sqrt, loads, masks, transposes. */

#ifdef FASTNN_PLAIN

#define VL ((ptrdiff_t)1)
#define BLOCK 1
typedef REAL FN(vec);
typedef BITS FN(ivec);
typedef UBITS FN(uvec);
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
typedef UBITS FN(uvec) __attribute__((vector_size(VECTOR_BYTES), may_alias));
FASTNN_INLINE IVEC FN(bits)(VEC x) { return (IVEC)x; }
FASTNN_INLINE VEC FN(real)(IVEC i) { return (VEC)i; }
FASTNN_INLINE IVEC FN(less)(VEC a, VEC b) { return (IVEC)(a < b); }

/* splat(s): s in every lane. min(bound, x) and max(bound, x) are x where x is NaN, like the x86
 * instructions with their operands in this order. */
#if defined(FASTNN_NO_INTRINSICS)
#define FASTNN_GENERIC_OPS 1
#elif defined(__AVX512F__)
#ifdef FASTNN_FLOAT
FASTNN_INLINE VEC FN(splat)(REAL x) { return (VEC)_mm512_set1_ps(x); }
FASTNN_INLINE VEC FN(min)(VEC a, VEC x) { return (VEC)_mm512_min_ps((__m512)a, (__m512)x); }
FASTNN_INLINE VEC FN(max)(VEC a, VEC x) { return (VEC)_mm512_max_ps((__m512)a, (__m512)x); }
FASTNN_INLINE VEC FN(sqrt)(VEC x) { return (VEC)_mm512_sqrt_ps((__m512)x); }
FASTNN_INLINE VEC FN(inverse)(VEC x) { return (VEC)_mm512_rcp14_ps((__m512)x); }
#define TABLE_BITS 4
/* Entry i mod 16: the bits of 2^(i / 16) / 1.78873742, minus i shifted to just below the
 * exponent. */
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
FASTNN_INLINE VEC FN(inverse)(VEC x) /* 14 bits, and a step of Newton's method */
{
    const VEC r = (VEC)_mm512_rcp14_pd((__m512d)x);
    return r + r * (FN(splat)(1) - x * r);
}
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
/* keep: x where the mask is set, 0 elsewhere; drop: the opposite. */
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
/* LOW and HIGH interleave the lower and the upper halves of two vectors. AVX2 and AVX-512 do that
 * in each 128 bits with their cheapest instruction; so long vectors are shuffled as PARTS of 16
 * bytes, and then parts change places: EVEN and ODD take every other part of two vectors, FIRST
 * and SECOND the halves of each. */
#if VECTOR_BYTES == 64
#define PARTS 4
#if LANES == 16
#define LOW 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29
#define HIGH 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31
#define FIRST 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23
#define SECOND 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31
#define EVEN 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27
#define ODD 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31
#else
#define LOW 0, 8, 2, 10, 4, 12, 6, 14
#define HIGH 1, 9, 3, 11, 5, 13, 7, 15
#define FIRST 0, 1, 2, 3, 8, 9, 10, 11
#define SECOND 4, 5, 6, 7, 12, 13, 14, 15
#define EVEN 0, 1, 4, 5, 8, 9, 12, 13
#define ODD 2, 3, 6, 7, 10, 11, 14, 15
#endif
#elif VECTOR_BYTES == 32
#define PARTS 2
#if LANES == 8
#define LOW 0, 8, 1, 9, 4, 12, 5, 13
#define HIGH 2, 10, 3, 11, 6, 14, 7, 15
#define EVEN 0, 1, 2, 3, 8, 9, 10, 11
#define ODD 4, 5, 6, 7, 12, 13, 14, 15
#else
#define LOW 0, 4, 2, 6
#define HIGH 1, 5, 3, 7
#define EVEN 0, 1, 4, 5
#define ODD 2, 3, 6, 7
#endif
#else
#define PARTS 1
#if LANES == 4
#define LOW 0, 4, 1, 5
#define HIGH 2, 6, 3, 7
#else
#define LOW 0, 2
#define HIGH 1, 3
#endif
#endif
#define SIDE (LANES / PARTS) /* vectors that are shuffled with each other */
#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (IVEC){__VA_ARGS__})
#endif
#endif

/* Transpose VL vectors in registers: each of log2(VL) rounds interleaves the first half of the
 * vectors with the second half. */
FASTNN_INLINE void FN(transpose_block)(VEC *v)
{
#ifndef FASTNN_PLAIN
    VEC t[LANES];
    FASTNN_UNROLL
    for (int round = 1; round < SIDE; round *= 2) {
        FASTNN_UNROLL
        for (int i = 0; i < LANES / 2; i++) {
            const int from = i + i / (SIDE / 2) * (SIDE / 2);
            t[2 * i] = SHUFFLE(v[from], v[from + SIDE / 2], LOW);
            t[2 * i + 1] = SHUFFLE(v[from], v[from + SIDE / 2], HIGH);
        }
        FASTNN_UNROLL
        for (int i = 0; i < LANES; i++) v[i] = t[i];
    }
#if PARTS == 4
    FASTNN_UNROLL
    for (int i = 0; i < LANES / 2; i++) { /* of groups 0 and 1, then of 2 and 3 */
        const int from = i + i / SIDE * SIDE;
        t[from] = SHUFFLE(v[from], v[from + SIDE], FIRST);
        t[from + SIDE] = SHUFFLE(v[from], v[from + SIDE], SECOND);
    }
    FASTNN_UNROLL
    for (int i = 0; i < SIDE; i++) {
        v[i] = SHUFFLE(t[i], t[i + 2 * SIDE], EVEN);
        v[i + SIDE] = SHUFFLE(t[i], t[i + 2 * SIDE], ODD);
        v[i + 2 * SIDE] = SHUFFLE(t[i + SIDE], t[i + 3 * SIDE], EVEN);
        v[i + 3 * SIDE] = SHUFFLE(t[i + SIDE], t[i + 3 * SIDE], ODD);
    }
#elif PARTS == 2
    FASTNN_UNROLL
    for (int i = 0; i < SIDE; i++) {
        t[i] = SHUFFLE(v[i], v[i + SIDE], EVEN);
        v[i + SIDE] = SHUFFLE(v[i], v[i + SIDE], ODD);
        v[i] = t[i];
    }
#endif
#else
    (void)v;
#endif
}

/* The sums of the lanes of VL vectors, in v[0]: a transposition whose rounds add the two halves
 * that they interleave. */
FASTNN_INLINE void FN(sum_lanes)(VEC *v)
{
#ifndef FASTNN_PLAIN
    FASTNN_UNROLL
    for (int half = SIDE / 2; half > 0; half /= 2) {
        FASTNN_UNROLL
        for (int i = 0; i < half * PARTS; i++) {
            const int at = i / half * SIDE + i % half;
            v[at] = SHUFFLE(v[at], v[at + half], LOW) + SHUFFLE(v[at], v[at + half], HIGH);
        }
    }
#if PARTS == 4
    const VEC a = SHUFFLE(v[0], v[SIDE], FIRST) + SHUFFLE(v[0], v[SIDE], SECOND);
    const VEC b = SHUFFLE(v[2 * SIDE], v[3 * SIDE], FIRST)
                  + SHUFFLE(v[2 * SIDE], v[3 * SIDE], SECOND);
    v[0] = SHUFFLE(a, b, EVEN) + SHUFFLE(a, b, ODD);
#elif PARTS == 2
    v[0] = SHUFFLE(v[0], v[SIDE], EVEN) + SHUFFLE(v[0], v[SIDE], ODD);
#endif
#else
    (void)v;
#endif
}

#ifndef FASTNN_PLAIN
#undef LANES
#undef LOW
#undef HIGH
#undef FIRST
#undef SECOND
#undef EVEN
#undef ODD
#undef PARTS
#undef SIDE
#undef SHUFFLE
#endif
