/* Layers on dense samples: forward and back, from packed coefs and from plain ones. */

#define PANEL_VECTORS ((int)(PANEL_BYTES / sizeof(REAL) / VL))
#ifdef FASTNN_PLAIN
#define PANEL_SIZE (PANEL_BYTES / sizeof(REAL))
#else
#define PANEL_SIZE (PANEL_BYTES / VECTOR_BYTES)
#endif

/* ---- register tiles ------------------------------------------------------------------------- */

/* acc[r][v] += sum over d < depth of coef[r row + d step] * x[d][v]: the product of forward and
 * delta. rows and vectors are constants wherever this is inlined. Macros give the size of the
 * array: with a parameter as its size it would be in memory. */
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

/* `rows` outputs of one tile: z = intercept + sum_k coef[k] x[k], with relu applied; the other
 * activations are a pass over the tile just written. */
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
            for (int v = 0; v < vectors; v++) FN(relu_group)(1, &acc[r][v]);
        }
    }
    FASTNN_UNROLL
    for (int r = 0; r < rows; r++) {
        FASTNN_UNROLL
        for (int v = 0; v < vectors; v++) FN(store)(out + (r * vectors + v) * VL, acc[r][v]);
    }
}

FASTNN_INLINE void FN(times_derivative)(const int rows, const int vectors, const REAL *kept,
                                        VEC (*acc)[TILE_VECTORS], const int activation)
{
    FASTNN_UNROLL
    for (int r = 0; r < rows; r++) {
        FASTNN_UNROLL
        for (int v = 0; v < vectors; v++)
            acc[r][v] *= FN(derivative_vec)(FN(load)(kept + (r * vectors + v) * VL), activation);
    }
}

/* `rows` inputs of one tile: delta_in[k] = f' sum_n coef[k][n] delta[n], with f' from kept[k], the
 * value or the slope. Outputs come block by block: `fresh` is the first, which begins with 0
 * instead of the sums in out, `last` the last. */
FASTNN_INLINE void FN(delta_rows)(const int rows, const int vectors, ptrdiff_t fan_in,
                                  ptrdiff_t depth, ptrdiff_t panel, const REAL *coef,
                                  const REAL *delta, const REAL *kept, REAL *out, int fresh,
                                  int last, int activation)
{
    VEC acc[TILE_ROWS][TILE_VECTORS];
    FASTNN_UNROLL
    for (int r = 0; r < rows; r++) {
        FASTNN_UNROLL
        for (int v = 0; v < vectors; v++)
            acc[r][v] = fresh ? FN(splat)((REAL)0) : FN(load)(out + (r * vectors + v) * VL);
    }
    FASTNN_NO_UNROLL
    for (ptrdiff_t n = 0; n < depth; n += PW) {
        const ptrdiff_t left = depth - n < PW ? depth - n : PW;
        FN(product)(rows, vectors, left, coef + n * fan_in, panel, 1, delta + n * vectors * VL,
                    acc);
    }
#define CASE(CODE, code, name)                                                                    \
    case CODE: FN(times_derivative)(rows, vectors, kept, acc, CODE); break;
    if (last && activation == RELU) { /* the usual ones, without a table of jumps */
        FN(times_derivative)(rows, vectors, kept, acc, RELU);
    } else if (last && activation == SIGMOID) {
        FN(times_derivative)(rows, vectors, kept, acc, SIGMOID);
    } else if (last) {
        switch (activation) {
        FASTNN_FROM_VALUE(CASE)
        FASTNN_SLOPES(CASE)
        default: FASTNN_UNREACHABLE("activation of a hidden layer"); break;
        }
    }
#undef CASE
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
        if (r0 < end) {                                                                           \
            if (TILE_ROWS > 4 && r0 + 4 <= end) { CALL(4); r0 += 4; }                             \
            if (r0 + 2 <= end) { CALL(2); r0 += 2; }                                              \
            if (r0 < end) { CALL(1); }                                                            \
        }                                                                                         \
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
                                  ptrdiff_t fan_in, ptrdiff_t depth, ptrdiff_t panel,
                                  const REAL *coef, const REAL *delta, const REAL *kept, REAL *out,
                                  int fresh, int last, int activation)
{
#define CALL(rows)                                                                                \
    FN(delta_rows)(rows, vectors, fan_in, depth, panel, coef + r0 * panel, delta,                 \
                   kept + r0 * vectors * VL, out + r0 * vectors * VL, fresh, last, activation)
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

/* Features first .. end of `width` scattered rows into a tile [n_features][width]. Either there
 * are fewer than VL features at all, or at least VL from first to end. */
FASTNN_KERNEL void FN(gather_rows)(const REAL *const *sources, ptrdiff_t width, ptrdiff_t first,
                                   ptrdiff_t end, REAL *out)
{
    /* Shuffled rows come from far caches: ask for all of them before waiting for the first. */
    for (ptrdiff_t s = 0; s < width && end - first > PW; s++)
        for (ptrdiff_t f = first; f < end && f < first + 8 * PW; f += PW)
            FASTNN_PREFETCH(sources[s] + f);
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

/* The same for one or two features of consecutive rows: the compiler vectorizes these loops. */
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

/* Wide layers: so many coefs, which stay in the second-level cache, are used for all tiles before
 * the next. */
#define SUPERBLOCK (384 * 1024 / (ptrdiff_t)sizeof(REAL))

/* Outputs first .. end of one layer for a chunk of n_vectors vectors of samples; first is a
 * multiple of TILE_ROWS; panel is PW, or may be fan_out if that is less. `kept` is for
 * activate. Softmax, which needs all outputs, is left to softmax_chunk. */
FASTNN_KERNEL void FN(dense_forward)(ptrdiff_t n_vectors, ptrdiff_t fan_in, ptrdiff_t fan_out,
                                     ptrdiff_t first, ptrdiff_t end, ptrdiff_t panel,
                                     const REAL *coef, const REAL *intercept, const REAL *x,
                                     REAL *out, REAL *kept, int activation)
{
    ptrdiff_t block = end - first;
    if (fan_in * block > SUPERBLOCK) {
        block = SUPERBLOCK / fan_in / PW * PW;
        if (block < PW) block = PW;
    }
    /* A layer of one block is activated in one pass at the end, in full groups. */
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
            if (activation != RELU && !whole) {
                const ptrdiff_t at = (v0 * fan_out + n * vectors) * VL;
                FN(activate)(out + at, kept ? kept + at : NULL, (stop - n) * vectors * VL,
                             activation);
            }
            v0 += vectors;
        }
    }
    if (activation != RELU && whole)
        FN(activate)(out, kept, n_vectors * VL * fan_out, activation);
}

/* Inputs first .. end of delta_in = f' (delta W^T); first is a multiple of TILE_ROWS. out may be
 * kept. */
FASTNN_KERNEL void FN(propagate_delta)(ptrdiff_t n_vectors, ptrdiff_t fan_in, ptrdiff_t fan_out,
                                       ptrdiff_t first, ptrdiff_t end, ptrdiff_t panel,
                                       const REAL *coef, const REAL *delta, const REAL *kept,
                                       REAL *out, int activation)
{
    /* Few outputs of many inputs at a time: their coefs lie together in memory. Those of all
     * outputs of a few inputs lie at strides of fan_in, and if that is a power of 2 they compete
     * for the same places of the caches (1024 x 1024: 1.4 times as long). Sums wait in out, unless
     * `kept` is there. */
    const ptrdiff_t outputs = out == kept ? fan_out : even_block(fan_out, DELTA_DEPTH, PW);
    const ptrdiff_t block = even_block(end - first, SUPERBLOCK / outputs + 1, TILE_ROWS);
    for (ptrdiff_t k = first; k < end; k += block) {
        const ptrdiff_t stop = end - k < block ? end : k + block;
        for (ptrdiff_t n = 0; n < fan_out; n += outputs) {
            const ptrdiff_t depth = fan_out - n < outputs ? fan_out - n : outputs;
            for (ptrdiff_t v0 = 0; v0 < n_vectors;) {
                const int vectors = tile_vectors(n_vectors - v0);
                const ptrdiff_t at = v0 * VL * fan_in;
#define CALL(nv)                                                                                  \
    FN(delta_tile)(nv, k, stop, fan_in, depth, panel, coef + n * fan_in,                          \
                   delta + (v0 * fan_out + n * nv) * VL, kept + at, out + at, n == 0,             \
                   n + depth == fan_out, activation)
                BY_VECTORS(vectors, CALL)
#undef CALL
                v0 += vectors;
            }
        }
    }
}

/* ---- a layer from plain coefs, (fan_in, fan_out): lanes are outputs ------------------------- */

/* Sums over features have the order of dense_forward's, so the bits are the same. Loads may run
 * past the end of a row of coefs, but not past the end of the array. `part` may be in memory,
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

/* Outputs n .. n + vectors VL of some rows, x_step and out_step apart: adds features k .. stop to
 * the intercepts if k is 0, else to the sums in out. */
FASTNN_INLINE void FN(row_block)(const int rows, const int vectors, ptrdiff_t n, ptrdiff_t k,
                                 ptrdiff_t stop, ptrdiff_t fan_in, ptrdiff_t fan_out,
                                 const REAL *coef, const REAL *intercept, const REAL *x,
                                 ptrdiff_t x_step, REAL *out, ptrdiff_t out_step)
{
    const ptrdiff_t width = fan_out - n < vectors * VL ? fan_out - n : vectors * VL;
    const ptrdiff_t over = fan_in * fan_out - vectors * VL + 1; /* loads must begin before this */
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

/* Rows through one layer. The rows of x are x_step apart, those of out out_step. */
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
    for (ptrdiff_t r = 0; r < n_rows; r++)
        FN(activate_row)(out + r * out_step, fan_out, activation);
}
