/* The first layer on sparse rows, as they are stored. */

/* dense_forward from sparse rows: sample s has the entries starts[r] .. starts[r + 1] of values
 * and columns, where r is order[row + s], or row + s without an order. Columns rise within a
 * row, so sums have the order of dense_forward's, and its bits. Lanes are outputs, which are
 * transposed into the tile; first is a multiple of PW. */
FASTNN_KERNEL void FN(sparse_forward)(ptrdiff_t n_samples, ptrdiff_t fan_in, ptrdiff_t fan_out,
                                      ptrdiff_t first, ptrdiff_t end, const REAL *coef,
                                      const REAL *intercept, const REAL *values,
                                      const int *columns, const ptrdiff_t *starts,
                                      const ptrdiff_t *order, ptrdiff_t row, REAL *out, REAL *kept,
                                      int activation)
{
    const ptrdiff_t n_vectors = (n_samples + VL - 1) / VL;
    for (ptrdiff_t n = first; n < end; n += PW) { /* a panel stays in the cache for all samples */
        const ptrdiff_t present = end - n < PW ? end - n : PW;
        for (ptrdiff_t v0 = 0; v0 < n_vectors;) {
            const int vectors = tile_vectors(n_vectors - v0);
            const ptrdiff_t width = vectors * VL;
            const ptrdiff_t at = v0 * VL * fan_out + n * width;
            REAL *tile = out + at;
            for (ptrdiff_t s = 0; s < width; s += VL) {
                VEC z[PANEL_SIZE][BLOCK];
                for (ptrdiff_t i = 0; i < VL; i++) {
                    const ptrdiff_t sample = v0 * VL + s + i; /* absent samples repeat the last */
                    ptrdiff_t r = row + (sample < n_samples ? sample : n_samples - 1);
                    VEC acc[PANEL_SIZE];
                    if (order) r = order[r];
                    FASTNN_UNROLL
                    for (int c = 0; c < PANEL_VECTORS; c++)
                        acc[c] = FN(load)(intercept + n + c * VL);
                    FASTNN_NO_UNROLL
                    for (ptrdiff_t e = starts[r]; e < starts[r + 1]; e++) {
                        const VEC xv = FN(splat)(values[e]);
                        const REAL *k = coef + n * fan_in + columns[e] * PW;
                        FASTNN_UNROLL
                        for (int c = 0; c < PANEL_VECTORS; c++)
                            acc[c] += xv * FN(load)(k + c * VL);
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
            FN(activate)(tile, kept ? kept + at : NULL, present * width, activation);
            v0 += vectors;
        }
    }
}

/* Outputs n .. n + vectors VL of one sparse row of `count` entries, whose columns rise. */
FASTNN_INLINE void FN(stored_block)(const int vectors, ptrdiff_t n, ptrdiff_t fan_in,
                                    ptrdiff_t fan_out, const REAL *coef, const REAL *intercept,
                                    const REAL *values, const int *columns, ptrdiff_t count,
                                    REAL *out)
{
    const ptrdiff_t width = fan_out - n < vectors * VL ? fan_out - n : vectors * VL;
    const ptrdiff_t last = fan_in * fan_out - vectors * VL - n; /* loads may begin up to here */
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

/* rows_forward from sparse rows: row r has the entries starts[r] .. starts[r + 1]. */
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
    for (ptrdiff_t r = 0; r < n_rows; r++)
        FN(activate_row)(out + r * out_step, fan_out, activation);
}

/* panel_gradient from sparse rows like sparse_forward's. Sums over samples have the same order, so
 * the bits are the same. */
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
                              FN(load)(g + p * grad_panel + c * VL)
                                  + xv * FN(load)(delta + p * delta_panel + c * VL));
            }
        }
    }
}
