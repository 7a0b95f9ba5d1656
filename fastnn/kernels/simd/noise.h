/* Dropout and input noise, from a generator without state: what a number is depends on the seed, the
 * step, the layer, the unit and the row of its batch alone.
 *
 * Salmon et al. (2011) is the idea; the arithmetic is two rounds of a 32-bit mixer of
 * multiplications and shifts (C. Wellons' lowbias32 constants), with keys of rows and units that
 * SplitMix64 (Steele et al., 2014) makes of the rest. Its 23 upper bits are used, so that both types
 * drop the same units. */

/* 32 random bits of a row and a unit in the low half of each lane; others of `rows` are 0. */
FASTNN_INLINE UVEC FN(mix)(UVEC rows, noise_key unit)
{
    const UBITS low = (UBITS)0xffffffffu;
    UVEC h = rows ^ (UBITS)unit.first;
    h = (h * (UBITS)0x7feb352du) & low;
    h ^= h >> 15;
    h = (h + (UBITS)unit.second) & low;
    h = (h * (UBITS)0x846ca68bu) & low;
    return h;
}

/* Keys of VL rows from `row` on. */
FASTNN_INLINE UVEC FN(row_keys)(ptrdiff_t row, noise_key layer)
{
    UBITS lanes[PANEL_BYTES / sizeof(REAL)];
    UVEC keys;
    for (ptrdiff_t i = 0; i < VL; i++)
        lanes[i] = (UBITS)noise_key_of(layer, (uint64_t)(row + i)).first;
    memcpy(&keys, lanes, sizeof keys);
    return keys;
}

/* The upper 23 of 32 bits as a number in [1, 2). */
FASTNN_INLINE VEC FN(one_to_two)(UVEC h)
{
#ifdef FASTNN_FLOAT
    const UVEC fraction = h >> 9;
#else
    const UVEC fraction = (h >> 9) << 29;
#endif
    return FN(real)((IVEC)fraction | FN(bits)(FN(splat)((REAL)1)));
}

/* Units first .. end of a layer of a chunk, whose first sample is `row` of its batch: a share
 * `rate` of the activations becomes 0, the others grow by 1 / (1 - rate) (Srivastava et al., 2014,
 * inverted). slope takes f' times the same factor; on entry it has f' if the activation stores
 * its slope. */
FASTNN_INLINE void FN(dropout_loop)(ptrdiff_t n_vectors, ptrdiff_t fan_out, ptrdiff_t first,
                                    ptrdiff_t end, ptrdiff_t row, REAL *a, REAL *slope,
                                    noise_key layer, double rate, const int activation)
{
    const VEC least = FN(splat)((REAL)(1 + rate)), grow = FN(splat)((REAL)(1 / (1 - rate)));
    for (ptrdiff_t v0 = 0; v0 < n_vectors;) {
        const int vectors = tile_vectors(n_vectors - v0);
        UVEC rows[TILE_VECTORS];
        for (int v = 0; v < vectors; v++)
            rows[v] = FN(row_keys)(row + (v0 + v) * VL, layer);
        for (ptrdiff_t n = first; n < end; n++) {
            const noise_key unit = noise_key_of(layer, ~(uint64_t)n);
            for (int v = 0; v < vectors; v++) {
                const ptrdiff_t at = (v0 * fan_out + n * vectors + v) * VL;
                const VEC value = FN(load)(a + at), u = FN(one_to_two)(FN(mix)(rows[v], unit));
                const VEC factor = FN(drop)(FN(less)(u, least), grow);
                const VEC kept = stores_slope(activation) ? FN(load)(slope + at) : value;
                FN(store)(slope + at, FN(derivative_vec)(kept, activation) * factor);
                FN(store)(a + at, value * factor);
            }
        }
        v0 += vectors;
    }
}

FASTNN_KERNEL void FN(dropout)(ptrdiff_t n_vectors, ptrdiff_t fan_out, ptrdiff_t first,
                               ptrdiff_t end, ptrdiff_t row, REAL *a, REAL *slope,
                               noise_key layer, double rate, int activation)
{
#define CASE(CODE, code, name)                                                                    \
    case CODE:                                                                                    \
        FN(dropout_loop)(n_vectors, fan_out, first, end, row, a, slope, layer, rate, CODE);       \
        break;
    switch (activation) {
    FASTNN_FROM_VALUE(CASE)
    FASTNN_SLOPES(CASE)
    default: FASTNN_UNREACHABLE("activation of a hidden layer"); break;
    }
#undef CASE
}

/* cos 2 pi u for u in [0, 1): -cos 2 pi t with |t| = |u - 1/2|, by the series of the cosine in
 * (2 pi t)^2 <= pi^2, whose next term is below 1e-11 (float: 14 terms instead of 9 cost little
 * here). */
FASTNN_INLINE VEC FN(cos_turns)(VEC u)
{
    const VEC t = (u - FN(splat)((REAL)0.5)) * FN(splat)((REAL)6.28318530717958647693);
    const VEC x = t * t;
    VEC q = FN(splat)((REAL)0);
    for (int k = 13; k > 0; k--) q = FN(splat)((REAL)1) - q * x / (REAL)((2 * k - 1) * (2 * k));
    return -q;
}

/* x += size * normal numbers, for features first .. end of a chunk in its tiles: the cosine form
 * of Box and Muller (1958), from two numbers in (0, 1) of 23 bits each, so at most 5.8. */
FASTNN_KERNEL void FN(add_noise)(ptrdiff_t n_vectors, ptrdiff_t n_features, ptrdiff_t first,
                                 ptrdiff_t end, ptrdiff_t row, REAL *x, noise_key inputs,
                                 double size)
{
    const VEC half = FN(splat)((REAL)(1 - 0.5 / 8388608)), one = FN(splat)((REAL)1);
    const VEC scale = FN(splat)((REAL)size);
    for (ptrdiff_t v0 = 0; v0 < n_vectors;) {
        const int vectors = tile_vectors(n_vectors - v0);
        for (int v = 0; v < vectors; v++) {
            const UVEC rows = FN(row_keys)(row + (v0 + v) * VL, inputs);
            for (ptrdiff_t n = first; n < end; n++) {
                const VEC u = FN(one_to_two)(FN(mix)(rows, noise_key_of(inputs, ~(uint64_t)(2 * n))))
                              - half; /* a middle of 2^23 parts of [0, 1] */
                const VEC w = FN(one_to_two)(
                    FN(mix)(rows, noise_key_of(inputs, ~(uint64_t)(2 * n + 1)))) - one;
                const VEC length = FN(sqrt)(FN(splat)((REAL)-2) * FN(log_vec)(u));
                REAL *const at = x + (v0 * n_features + n * vectors + v) * VL;
                FN(store)(at, FN(load)(at) + scale * (length * FN(cos_turns)(w)));
            }
        }
        v0 += vectors;
    }
}
