/* Gradients of coefs and intercepts. */

/* In all functions, `fresh` means that sums begin at zero: memory is not read. */

/* Narrow layers: every product x[k] delta[n] is summed lane by lane over the whole batch; the
 * lanes are added once at its end. sums is [fan_in + 1][fan_out] vectors, the last row for the
 * intercepts. */
FASTNN_INLINE void FN(lane_tile)(const int rows, const int columns, const int intercepts,
                                 ptrdiff_t k, ptrdiff_t n, ptrdiff_t n_vectors, ptrdiff_t fan_in,
                                 ptrdiff_t fan_out, int fresh, const REAL *x, const REAL *delta,
                                 REAL *sums)
{
    VEC acc[4][LANE_COLUMNS];
    VEC sum[LANE_COLUMNS]; /* of the deltas alone, in the tile that has the last row */
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

/* Rows first .. end of a narrow layer's sums. The call with the last row also sums the intercepts'
 * row after it. */
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
 * padding. Row k of `grad`, whose panels are grad_panel apart, is row first + k. */
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
            for (int i = 0; i < (int)BLOCK; i++) /* after the last sum, itself again */
                v[i] = FN(load)(sums + (n + (i < left ? i : left - 1)) * VL);
            FN(sum_lanes)(v);
            FN(store)(grad + n / PW * grad_panel + row + n % PW,
                      left < VL ? FN(keep)(mask, v[0]) : v[0]);
        }
    }
}

/* Wide layers: lanes are outputs. The deltas of the chunk are transposed once to
 * [panel][sample][PW], with zeros in the padding, and each panel of the gradient is a sum over
 * samples. */
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

/* grad[p][k + r][PW] += sum over samples of x[k + r] delta[p][PW], for `columns` vectors of
 * outputs: whole panels, or the first half of one whose other half is padding. */
FASTNN_INLINE void FN(panel_tile)(const int rows, const int columns, ptrdiff_t k,
                                  ptrdiff_t n_vectors, ptrdiff_t n_samples, ptrdiff_t fan_in,
                                  int fresh, const REAL *x, const REAL *delta, REAL *grad,
                                  ptrdiff_t grad_panel)
{
    const ptrdiff_t delta_panel = n_vectors * VL * PW;
    VEC acc[HALF_ROWS][GRAD_PANELS * PANEL_SIZE];
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
        FASTNN_UNROLL
        for (int c = columns; c < PANEL_VECTORS; c++) FN(store)(GRAD(r, c), FN(splat)((REAL)0));
    }
#undef GRAD
}

/* Rows first .. end of a wide layer's gradient over n_samples, without the absent samples: one
 * sample alone takes a VL-th of the work of a vector. `grad` is where row `first` of the first
 * panel goes; panels are grad_panel apart. */
FASTNN_KERNEL void FN(panel_gradient)(ptrdiff_t n_vectors, ptrdiff_t n_samples, ptrdiff_t fan_in,
                                      ptrdiff_t fan_out, ptrdiff_t first, ptrdiff_t end,
                                      int fresh, const REAL *x, const REAL *delta, REAL *grad,
                                      ptrdiff_t grad_panel)
{
#define TILE(rows, columns)                                                                       \
    FN(panel_tile)(rows, columns, k, n_vectors, n_samples, fan_in, fresh, x, delta,               \
                   grad + (k - first) * PW, grad_panel)
#define ROWS(most, columns)                                                                       \
    {                                                                                             \
        ptrdiff_t k = first;                                                                      \
        for (; k + (most) <= end; k += (most)) TILE(most, columns);                               \
        if ((most) > 8 && k + 6 <= end) { TILE(6, columns); k += 6; }                             \
        if ((most) > 4 && k + 4 <= end) { TILE(4, columns); k += 4; }                             \
        if ((most) > 2 && k + 2 <= end) { TILE(2, columns); k += 2; }                             \
        if (k < end) TILE(1, columns);                                                            \
    }
    for (ptrdiff_t left = (fan_out + PW - 1) / PW; left > 0;) {
        const ptrdiff_t panels = GRAD_PANELS == 3 && left == 4 ? 2
                                 : left < GRAD_PANELS          ? left
                                                               : GRAD_PANELS;
#if GRAD_PANELS == 3
        if (panels == 3) ROWS(GRAD_ROWS, 3 * PANEL_VECTORS)
        else if (panels == 2) ROWS(GRAD_ROWS, 2 * PANEL_VECTORS)
        else
#endif
        if (HALF_ROWS > GRAD_ROWS && PANEL_VECTORS == 2 && left == 1 && fan_out % PW != 0
            && fan_out % PW <= VL)
            ROWS(HALF_ROWS, 1)
        else
            ROWS(GRAD_ROWS, PANEL_VECTORS)
        left -= panels;
        delta += panels * n_vectors * VL * PW;
        grad += panels * grad_panel;
    }
#undef TILE
#undef ROWS
}

/* A wide layer's gradient by intercepts first .. end, from the transposed deltas; first is a
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

/* sum += x for n numbers, a multiple of VL. */
FASTNN_KERNEL void FN(add)(ptrdiff_t n, const REAL *x, REAL *sum)
{
    for (ptrdiff_t i = 0; i < n; i += VL) FN(store)(sum + i, FN(load)(sum + i) + FN(load)(x + i));
}
