/* Second order: the Gauss-Newton matrix of a net and its factorisation. In double alone: a normal
 * equation squares the condition of the problem, which float does not survive.
 *
 * The matrix is J^T J. A row of J belongs to one sample and one output, a column to a parameter:
 * its entry is the activation that goes into a coef (1 for an intercept) times the delta that comes
 * back to it. One more column, of residuals, makes the gradient the last column of the matrix. There
 * are two ways to sum it, of which kernels/second_order.pxi takes the shorter:
 *
 * by rows of J, for small nets: J is made chunk by chunk in panels [panel][row][VL] of VL
 *   parameters, small enough to stay in the second-level cache, and is gone when its products are
 *   added to the upper triangle;
 * by pairs of layers: an entry of the block of layers l and m is the sum over samples of
 *   (a_i b_j) times (sum over the outputs of delta_o epsilon_p). Products of two activations are
 *   the rows of a matrix product and those of two deltas the columns, or the other way round. In a
 *   layer's own block i <= j and o <= p suffice, which saves half, and outputs are added before.
 *   Where there is one output and little to save, rows and columns are entries of J.
 *
 * Every entry is one sum in the order of the samples, whatever the size of chunks and tiles and the
 * number of threads.
 *
 * Where rows of J are fewer than parameters, the dual form needs J J^T alone, of rows by rows. The
 * entry of two rows is a sum over layers of (a . a') (delta . delta'), of coefs, and of
 * delta . delta', of intercepts; J is never made. */

/* Least curvature of a sample's log loss: what a saturated output has less of. It bounds a step,
 * and changes no gradient. */
#define LEAST_CURVATURE 1e-12

/* A product of two features, each of an array [tile][feature][width] that begins at a_start or
 * b_start: an activation and a delta make an entry of a row of J. */
typedef struct {
    int32_t a_start, a_units, a;
    int32_t b_start, b_units, b;
} feature_product;

/* Column k of a root S of the curvature of each sample's loss by the weighted sums z of the outputs,
 * S S^T, and the residual q_k, with S q the derivative of the loss: S and q times the root of the
 * sample's weight. `kept` is what the forward pass kept of the outputs. For losses of the value the
 * columns are those of da/dz; robust ones count a residual d as d w(d), w the derivative over d
 * (Holland and Welsch, 1977). For the others it is the expected curvature of the logits: of a
 * softmax sqrt(p_k) (e_k - p), since that root times -y / sqrt(p) is p - y. */
FASTNN_KERNEL void FN(curvature_root)(ptrdiff_t n_samples, ptrdiff_t n_outputs, ptrdiff_t k,
                                      const REAL *a, const REAL *y, const REAL *kept, REAL *root,
                                      REAL *residual, int loss, int activation,
                                      const double *numbers, int weighted)
{
    const ptrdiff_t n_vectors = (n_samples + VL - 1) / VL;
    const VEC zero = FN(splat)((REAL)0), one = FN(splat)((REAL)1);
    const VEC least = FN(splat)((REAL)LEAST_CURVATURE);
    const VEC number = FN(splat)(numbers ? (REAL)numbers[k] : (REAL)0);
    for (ptrdiff_t v0 = 0; v0 < n_vectors;) {
        const int vectors = tile_vectors(n_vectors - v0);
        const ptrdiff_t width = vectors * VL, n = n_outputs * width;
        const ptrdiff_t present = n_samples - v0 * VL < width ? n_samples - v0 * VL : width;
        for (ptrdiff_t s = 0; s < width; s += VL) {
            const VEC p = FN(load)(a + k * width + s), target = FN(load)(y + k * width + s);
            const VEC d = p - target;
            const VEC scale = weighted ? FN(sqrt)(FN(load)(y + n + s)) : one;
            VEC size = one, q = d; /* of the column, and of the residual */
            int of_softmax = activation == SOFTMAX;
            switch (loss) {
            case SQUARED_ERROR:
            case MEAN_SQUARED_ERROR: break;
            case HUBER: {
                const VEC far = FN(max)(-d, d);
                size = FN(sqrt)(number / FN(max)(number, far));
                q = d * size;
                break;
            }
            case LOG_COSH: {
                VEC t = d;
                FN(tanh_group)(1, &t);
                const IVEC near = ~(FN(less)(d, zero) | FN(less)(zero, d));
                size = FN(sqrt)(FN(select)(near, one, t / FN(select)(near, one, d)));
                q = d * size;
                break;
            }
            case BINARY_LOG_LOSS:
            case CLIPPED_BINARY_LOG_LOSS:
                size = FN(sqrt)(FN(max)(least, p * (one - p)));
                q = d / size;
                break;
            case LOG_LOSS:
            case CLIPPED_LOG_LOSS:
                size = FN(sqrt)(FN(max)(least, p));
                q = -target / size;
                break;
            case POISSON:
            case POISSON_OF_VALUES:
                size = FN(sqrt)(FN(max)(least, p));
                q = d / size;
                break;
            case GAMMA: q = one - target / p; break;
            default: FASTNN_UNREACHABLE("loss"); break;
            }
            const int by_value = !(loss == BINARY_LOG_LOSS || loss == CLIPPED_BINARY_LOG_LOSS
                                   || loss == POISSON || loss == POISSON_OF_VALUES
                                   || loss == GAMMA || loss == LOG_LOSS
                                   || loss == CLIPPED_LOG_LOSS);
            size *= scale;
            FN(store)(residual + s, q * scale);
            for (ptrdiff_t j = 0; j < n_outputs; j++) {
                const ptrdiff_t at = j * width + s;
                VEC column = j == k ? size : zero;
                if (of_softmax) { /* e_k - p, or da_k/dz = p_k (e_k - p) */
                    column = ((j == k ? one : zero) - FN(load)(a + at)) * size;
                    if (by_value) column *= p;
                } else if (j == k && by_value && stores_slope(activation)) {
                    column *= FN(load)(kept + at);
                }
                FN(store)(root + at, column);
            }
            if (by_value && !of_softmax && !stores_slope(activation) && activation != IDENTITY) {
#define CASE(CODE, code, name)                                                                    \
    case CODE:                                                                                    \
        FN(store)(root + k * width + s,                                                           \
                  FN(load)(root + k * width + s) * FN(name##_derivative)(p));                     \
        break;
                switch (activation) {
                FASTNN_FROM_VALUE(CASE)
                default: FASTNN_UNREACHABLE("output activation"); break;
                }
#undef CASE
            }
        }
        for (ptrdiff_t s = present; s < width; s++) {
            residual[s] = 0;
            for (ptrdiff_t j = 0; j < n; j += width) root[j + s] = 0;
        }
        a += n;
        kept += n;
        root += n;
        residual += width;
        y += weighted ? n + width : n;
        v0 += vectors;
    }
}

FASTNN_INLINE const REAL *FN(feature)(const REAL *data, int32_t start, int32_t units, int32_t feature,
                                      ptrdiff_t v0, int vectors)
{
    return data + start + (v0 * units + (ptrdiff_t)feature * vectors) * VL;
}

/* Products of features of a_data and b_data, each summed over `terms` pairs of arrays that are
 * `stride` apart, of all samples of a chunk, as panels: row s of panel p is at (p rows + s) VL. n is
 * a multiple of VL. */
FASTNN_KERNEL void FN(product_panels)(ptrdiff_t n_vectors, ptrdiff_t n, ptrdiff_t rows,
                                      ptrdiff_t terms, ptrdiff_t stride,
                                      const feature_product *products, const REAL *a_data,
                                      const REAL *b_data, REAL *panels)
{
    for (ptrdiff_t p = 0; p < n; p += VL, products += VL, panels += rows * VL) {
        REAL *out = panels;
        for (ptrdiff_t v0 = 0; v0 < n_vectors;) {
            const int vectors = tile_vectors(n_vectors - v0);
            const REAL *a[BLOCK], *b[BLOCK];
            for (int i = 0; i < VL; i++) {
                const feature_product *e = products + i;
                a[i] = FN(feature)(a_data, e->a_start, e->a_units, e->a, v0, vectors);
                b[i] = FN(feature)(b_data, e->b_start, e->b_units, e->b, v0, vectors);
            }
            for (ptrdiff_t s = 0; s < vectors * VL; s += VL, out += VL * VL) {
                VEC v[BLOCK];
                FASTNN_UNROLL
                for (int i = 0; i < VL; i++) v[i] = FN(load)(a[i] + s) * FN(load)(b[i] + s);
                for (ptrdiff_t at = s + stride; at < s + terms * stride; at += stride) {
                    FASTNN_UNROLL
                    for (int i = 0; i < VL; i++) v[i] += FN(load)(a[i] + at) * FN(load)(b[i] + at);
                }
                FN(transpose_block)(v);
                FASTNN_UNROLL
                for (int i = 0; i < VL; i++) FN(store)(out + i * VL, v[i]);
            }
            v0 += vectors;
        }
    }
}

/* The same, one product after the other: those of all samples in a row. */
FASTNN_KERNEL void FN(product_rows)(ptrdiff_t n_vectors, ptrdiff_t n, ptrdiff_t terms,
                                    ptrdiff_t stride, const feature_product *products,
                                    const REAL *data, REAL *out)
{
    for (const feature_product *e = products; e < products + n; e++) {
        for (ptrdiff_t v0 = 0; v0 < n_vectors;) {
            const int vectors = tile_vectors(n_vectors - v0);
            const REAL *a = FN(feature)(data, e->a_start, e->a_units, e->a, v0, vectors);
            const REAL *b = FN(feature)(data, e->b_start, e->b_units, e->b, v0, vectors);
            for (ptrdiff_t s = 0; s < vectors * VL; s += VL, out += VL) {
                VEC v = FN(load)(a + s) * FN(load)(b + s);
                for (ptrdiff_t at = s + stride; at < s + terms * stride; at += stride)
                    v += FN(load)(a + at) * FN(load)(b + at);
                FN(store)(out, v);
            }
            v0 += vectors;
        }
    }
}

/* ---- the dual form --------------------------------------------------------------------------- */

/* What goes into and comes back to a layer, in panels of VL samples: those of the vector v of
 * samples begin at v fan_in VL and, of deltas, output by output, at (output n_vectors + v) fan_out
 * VL. */
typedef struct {
    ptrdiff_t fan_in, fan_out;
    REAL *a, *delta;
} layer_panels;

/* Tiles [feature][width] to panels [feature][VL]. */
FASTNN_KERNEL void FN(to_panels)(ptrdiff_t n_vectors, ptrdiff_t units, const REAL *x, REAL *out)
{
    for (ptrdiff_t v0 = 0; v0 < n_vectors;) {
        const int vectors = tile_vectors(n_vectors - v0);
        for (ptrdiff_t i = 0; i < units; i++, x += vectors * VL)
            for (int v = 0; v < vectors; v++)
                FN(store)(out + ((v0 + v) * units + i) * VL, FN(load)(x + v * VL));
        v0 += vectors;
    }
}

/* sums[s] += sum over the features of x y, for each sample. */
FASTNN_KERNEL void FN(feature_dots)(ptrdiff_t n_vectors, ptrdiff_t units, const REAL *x,
                                    const REAL *y, REAL *sums)
{
    for (ptrdiff_t v0 = 0; v0 < n_vectors;) {
        const int vectors = tile_vectors(n_vectors - v0);
        for (ptrdiff_t i = 0; i < units; i++)
            for (int v = 0; v < vectors; v++, x += VL, y += VL)
                FN(store)(sums + v * VL, FN(load)(sums + v * VL) + FN(load)(x) * FN(load)(y));
        sums += vectors * VL;
        v0 += vectors;
    }
}

/* Tiles out += x times a number of each sample. */
FASTNN_KERNEL void FN(add_weighted)(ptrdiff_t n_vectors, ptrdiff_t units, const REAL *x,
                                    const REAL *weights, REAL *out)
{
    for (ptrdiff_t v0 = 0; v0 < n_vectors;) {
        const int vectors = tile_vectors(n_vectors - v0);
        for (ptrdiff_t i = 0; i < units; i++)
            for (int v = 0; v < vectors; v++, x += VL, out += VL)
                FN(store)(out, FN(load)(out) + FN(load)(x) * FN(load)(weights + v * VL));
        weights += vectors * VL;
        v0 += vectors;
    }
}

/* acc[r][v] += or -= sum over d < depth of rows[d][r] * columns[d][v]: TILE_ROWS parameters, from
 * the panel of the first of them on, by `vectors` panels; panels are `panel` numbers apart. */
FASTNN_INLINE void FN(panel_product)(const int vectors, const int subtract, ptrdiff_t depth,
                                     ptrdiff_t panel, const REAL *rows, const REAL *columns,
                                     VEC acc[TILE_ROWS][TILE_VECTORS])
{
    FASTNN_NO_UNROLL
    for (ptrdiff_t d = 0; d < depth; d++) {
        VEC x[TILE_VECTORS];
        FASTNN_UNROLL
        for (int v = 0; v < vectors; v++) x[v] = FN(load)(columns + v * panel);
        FASTNN_UNROLL
        for (int r = 0; r < TILE_ROWS; r++) {
            const VEC c = FN(splat)(rows[r / VL * panel + r % VL]);
            FASTNN_UNROLL
            for (int v = 0; v < vectors; v++) {
                if (subtract) acc[r][v] -= c * x[v];
                else acc[r][v] += c * x[v];
            }
        }
        rows += VL;
        columns += VL;
    }
}

#define LOAD_TILE(vectors, c, step)                                                               \
    FASTNN_UNROLL                                                                                 \
    for (int r = 0; r < TILE_ROWS; r++) {                                                         \
        FASTNN_UNROLL                                                                             \
        for (int v = 0; v < vectors; v++) acc[r][v] = FN(load)((c) + r * (step) + v * VL);        \
    }
#define STORE_TILE(vectors, c, step)                                                              \
    FASTNN_UNROLL                                                                                 \
    for (int r = 0; r < TILE_ROWS; r++) {                                                         \
        FASTNN_UNROLL                                                                             \
        for (int v = 0; v < vectors; v++) FN(store)((c) + r * (step) + v * VL, acc[r][v]);        \
    }

FASTNN_INLINE void FN(gram_tile)(const int vectors, const int subtract, ptrdiff_t depth,
                                 ptrdiff_t panel, const REAL *rows, const REAL *columns, REAL *c,
                                 ptrdiff_t step)
{
    VEC acc[TILE_ROWS][TILE_VECTORS];
    LOAD_TILE(vectors, c, step)
    FN(panel_product)(vectors, subtract, depth, panel, rows, columns, acc);
    STORE_TILE(vectors, c, step)
}

/* C += or -= X^T X for vectors first .. end of the columns and rows `top` .. the diagonal, of a
 * matrix whose rows are `step` apart; X is in panels, `depth` rows of each. */
FASTNN_KERNEL void FN(gram)(ptrdiff_t first, ptrdiff_t end, ptrdiff_t top, ptrdiff_t depth,
                            ptrdiff_t panel, const REAL *x, REAL *c, ptrdiff_t step, int subtract)
{
    for (ptrdiff_t j = first; j < end;) {
        const int vectors = tile_vectors(end - j);
        for (ptrdiff_t i = top; i < (j + vectors) * VL; i += TILE_ROWS) {
            const ptrdiff_t k = i / VL > j ? i / VL : j; /* what is below the diagonal is left out */
#define CALL(nv)                                                                                  \
    if (subtract)                                                                                 \
        FN(gram_tile)(nv, 1, depth, panel, x + i / VL * panel, x + k * panel,                     \
                      c + i * step + k * VL, step);                                               \
    else                                                                                          \
        FN(gram_tile)(nv, 0, depth, panel, x + i / VL * panel, x + k * panel,                     \
                      c + i * step + k * VL, step);
            BY_VECTORS((int)(j + vectors - k), CALL)
#undef CALL
        }
        j += vectors;
    }
}

/* A tile of J J^T: the coefs' share to `coefs`, the intercepts' to `intercepts`. The rows begin at a
 * vector of samples, and at one of those of all outputs; so do the columns. */
FASTNN_INLINE void FN(dual_tile)(const int vectors, ptrdiff_t n_layers, const layer_panels *layers,
                                 ptrdiff_t samples, ptrdiff_t row, ptrdiff_t column_samples,
                                 ptrdiff_t column, REAL *coefs, REAL *intercepts, ptrdiff_t step)
{
    VEC acc[TILE_ROWS][TILE_VECTORS], of_inputs[TILE_ROWS][TILE_VECTORS];
    for (ptrdiff_t i = 0; i < n_layers; i++) {
        const ptrdiff_t in = layers[i].fan_in * VL, out = layers[i].fan_out * VL;
        FASTNN_UNROLL
        for (int r = 0; r < TILE_ROWS; r++) {
            FASTNN_UNROLL
            for (int v = 0; v < vectors; v++) acc[r][v] = FN(splat)((REAL)0);
        }
        FN(panel_product)(vectors, 0, in / VL, in, layers[i].a + samples * in,
                          layers[i].a + column_samples * in, acc);
        FASTNN_UNROLL
        for (int r = 0; r < TILE_ROWS; r++) {
            FASTNN_UNROLL
            for (int v = 0; v < vectors; v++) {
                of_inputs[r][v] = acc[r][v];
                acc[r][v] = FN(splat)((REAL)0);
            }
        }
        FN(panel_product)(vectors, 0, out / VL, out, layers[i].delta + row * out,
                          layers[i].delta + column * out, acc);
        FASTNN_UNROLL
        for (int r = 0; r < TILE_ROWS; r++) {
            FASTNN_UNROLL
            for (int v = 0; v < vectors; v++) {
                REAL *to = coefs + r * step + v * VL, *and_to = intercepts + r * step + v * VL;
                VEC both = of_inputs[r][v] * acc[r][v], own = acc[r][v];
                if (i > 0) {
                    both += FN(load)(to);
                    own += FN(load)(and_to);
                }
                FN(store)(to, both);
                FN(store)(and_to, own);
            }
        }
    }
}

/* Vectors first .. end of the columns of J J^T, of rows .. the diagonal, in two shares. Its order is
 * output by output, of n_vectors vectors of samples each, a multiple of TILE_ROWS samples. */
FASTNN_KERNEL void FN(dual_products)(ptrdiff_t first, ptrdiff_t end, ptrdiff_t n_vectors,
                                     ptrdiff_t n_layers, const layer_panels *layers, REAL *coefs,
                                     REAL *intercepts, ptrdiff_t step)
{
    for (ptrdiff_t j = first; j < end;) {
        const ptrdiff_t left = n_vectors - j % n_vectors;
        const int vectors = tile_vectors(end - j < left ? end - j : left);
        for (ptrdiff_t i = 0; i < j + vectors; i += TILE_ROWS / VL) {
            const ptrdiff_t k = i > j ? i : j, at = i * VL * step + k * VL;
#define CALL(nv)                                                                                  \
    FN(dual_tile)(nv, n_layers, layers, i % n_vectors, i, k % n_vectors, k, coefs + at,           \
                  intercepts + at, step);
            BY_VECTORS((int)(j + vectors - k), CALL)
#undef CALL
        }
        j += vectors;
    }
}

/* `rows` rows of c += sum over d < depth of rows_of[r][d] * columns[d][v]. */
FASTNN_INLINE void FN(cross_tile)(const int rows, const int vectors, ptrdiff_t depth,
                                  ptrdiff_t panel, const REAL *rows_of, const REAL *columns,
                                  REAL *c, ptrdiff_t step)
{
    VEC acc[TILE_ROWS][TILE_VECTORS];
    FASTNN_UNROLL
    for (int r = 0; r < rows; r++) {
        FASTNN_UNROLL
        for (int v = 0; v < vectors; v++) acc[r][v] = FN(load)(c + r * step + v * VL);
    }
    FASTNN_NO_UNROLL
    for (ptrdiff_t d = 0; d < depth; d++) {
        VEC x[TILE_VECTORS];
        FASTNN_UNROLL
        for (int v = 0; v < vectors; v++) x[v] = FN(load)(columns + v * panel + d * VL);
        FASTNN_UNROLL
        for (int r = 0; r < rows; r++) {
            const VEC by = FN(splat)(rows_of[r * depth + d]);
            FASTNN_UNROLL
            for (int v = 0; v < vectors; v++) acc[r][v] += by * x[v];
        }
    }
    FASTNN_UNROLL
    for (int r = 0; r < rows; r++) {
        FASTNN_UNROLL
        for (int v = 0; v < vectors; v++) FN(store)(c + r * step + v * VL, acc[r][v]);
    }
}

/* c += rows^T columns for vectors first .. end of the columns: n_rows rows of `depth` numbers, and
 * panels of as many. */
FASTNN_KERNEL void FN(cross)(ptrdiff_t n_rows, ptrdiff_t first, ptrdiff_t end, ptrdiff_t depth,
                             const REAL *rows, const REAL *columns, REAL *c, ptrdiff_t step)
{
    const ptrdiff_t panel = depth * VL;
    for (ptrdiff_t j = first; j < end;) {
        const int vectors = tile_vectors(end - j);
        ptrdiff_t i = 0;
#define CALL(nv)                                                                                  \
    {                                                                                             \
        for (; i + TILE_ROWS <= n_rows; i += TILE_ROWS)                                           \
            FN(cross_tile)(TILE_ROWS, nv, depth, panel, rows + i * depth, columns + j * panel,    \
                           c + i * step + j * VL, step);                                          \
        if (TILE_ROWS > 4 && i + 4 <= n_rows) {                                                   \
            FN(cross_tile)(4, nv, depth, panel, rows + i * depth, columns + j * panel,            \
                           c + i * step + j * VL, step);                                          \
            i += 4;                                                                               \
        }                                                                                         \
        if (i + 2 <= n_rows) {                                                                    \
            FN(cross_tile)(2, nv, depth, panel, rows + i * depth, columns + j * panel,            \
                           c + i * step + j * VL, step);                                          \
            i += 2;                                                                               \
        }                                                                                         \
        if (i < n_rows)                                                                           \
            FN(cross_tile)(1, nv, depth, panel, rows + i * depth, columns + j * panel,            \
                           c + i * step + j * VL, step);                                          \
    }
        BY_VECTORS(vectors, CALL)
#undef CALL
        j += vectors;
    }
}

/* ---- Cholesky: C = U^T U, block of rows by block of rows -------------------------------------- */

/* Rows r0 .. r0 + TILE_ROWS of U in some columns, from C less the products of the block's rows before
 * them: divided by what U has on its diagonal. They go into C and, as row r0 - top of the panels,
 * into x. */
FASTNN_INLINE void FN(factor_tile)(const int vectors, ptrdiff_t top, ptrdiff_t r0, ptrdiff_t panel,
                                   REAL *x, ptrdiff_t j, REAL *c, ptrdiff_t step,
                                   const REAL *inverse)
{
    VEC acc[TILE_ROWS][TILE_VECTORS];
    REAL *out = c + r0 * step + j * VL;
    const REAL *diagonal = c + r0 * step + r0;
    LOAD_TILE(vectors, out, step)
    FN(panel_product)(vectors, 1, r0 - top, panel, x + r0 / VL * panel, x + j * panel, acc);
    FASTNN_UNROLL
    for (int r = 0; r < TILE_ROWS; r++) {
        const VEC by = FN(splat)(inverse[r0 + r]);
        FASTNN_UNROLL
        for (int v = 0; v < vectors; v++) acc[r][v] *= by;
        FASTNN_UNROLL
        for (int below = r + 1; below < TILE_ROWS; below++) {
            const VEC u = FN(splat)(diagonal[r * step + below]);
            FASTNN_UNROLL
            for (int v = 0; v < vectors; v++) acc[below][v] -= u * acc[r][v];
        }
    }
    STORE_TILE(vectors, out, step)
    x += j * panel + (r0 - top) * VL;
    FASTNN_UNROLL
    for (int r = 0; r < TILE_ROWS; r++) {
        FASTNN_UNROLL
        for (int v = 0; v < vectors; v++) FN(store)(x + v * panel + r * VL, acc[r][v]);
    }
}

/* The same for the TILE_ROWS columns on the diagonal. Rows from `order` on are no part of the matrix
 * and become 0. Returns whether all pivots are positive. */
FASTNN_KERNEL int FN(factor_diagonal)(ptrdiff_t top, ptrdiff_t r0, ptrdiff_t order,
                                      ptrdiff_t panel, REAL *x, REAL *c, ptrdiff_t step,
                                      REAL *inverse)
{
    REAL *diagonal = c + r0 * step + r0;
    for (ptrdiff_t v = 0; v < TILE_ROWS; v += VL)
        FN(gram_tile)(1, 1, r0 - top, panel, x + r0 / VL * panel, x + (r0 + v) / VL * panel,
                      diagonal + v, step);
    for (ptrdiff_t r = 0; r < TILE_ROWS; r++) {
        REAL *row = diagonal + r * step;
        if (r0 + r >= order) {
            inverse[r0 + r] = 0;
            for (ptrdiff_t k = r; k < TILE_ROWS; k++) row[k] = 0;
            continue;
        }
        if (!(row[r] > 0)) return 0;
        const REAL by = inverse[r0 + r] = 1 / sqrt(row[r]);
        for (ptrdiff_t k = r; k < TILE_ROWS; k++) row[k] *= by;
        for (ptrdiff_t below = r + 1; below < TILE_ROWS; below++)
            for (ptrdiff_t k = below; k < TILE_ROWS; k++)
                diagonal[below * step + k] -= row[below] * row[k];
    }
    for (ptrdiff_t v = 0; v < TILE_ROWS; v += VL)
        for (ptrdiff_t r = 0; r < TILE_ROWS; r++)
            FN(store)(x + (r0 + v) / VL * panel + (r0 - top + r) * VL,
                      FN(load)(diagonal + r * step + v));
    return 1;
}

/* Rows top .. bottom of U in vectors first .. end of the columns, all beyond the diagonal. */
FASTNN_KERNEL void FN(factor_rows)(ptrdiff_t top, ptrdiff_t bottom, ptrdiff_t first, ptrdiff_t end,
                                   ptrdiff_t panel, REAL *x, REAL *c, ptrdiff_t step,
                                   const REAL *inverse)
{
    for (ptrdiff_t j = first; j < end;) {
        const int vectors = tile_vectors(end - j);
        for (ptrdiff_t r0 = top; r0 < bottom; r0 += TILE_ROWS) {
#define CALL(nv) FN(factor_tile)(nv, top, r0, panel, x, j, c, step, inverse)
            BY_VECTORS(vectors, CALL)
#undef CALL
        }
        j += vectors;
    }
}

/* Rows top .. bottom of U in these columns themselves. Returns whether all pivots are positive. */
FASTNN_KERNEL int FN(factor_block)(ptrdiff_t top, ptrdiff_t bottom, ptrdiff_t order,
                                   ptrdiff_t panel, REAL *x, REAL *c, ptrdiff_t step,
                                   REAL *inverse)
{
    for (ptrdiff_t r0 = top; r0 < bottom; r0 += TILE_ROWS) {
        if (!FN(factor_diagonal)(top, r0, order, panel, x, c, step, inverse)) return 0;
        for (ptrdiff_t j = (r0 + TILE_ROWS) / VL; j < bottom / VL;) {
            const int vectors = tile_vectors(bottom / VL - j);
#define CALL(nv) FN(factor_tile)(nv, top, r0, panel, x, j, c, step, inverse)
            BY_VECTORS(vectors, CALL)
#undef CALL
            j += vectors;
        }
    }
    return 1;
}
#undef LOAD_TILE
#undef STORE_TILE

/* Solve U x = b for the rows first .. end, from the last to the first; x has b there, solutions
 * after them, and 0 from `order` to the next multiple of VL. */
FASTNN_KERNEL void FN(back_substitute)(ptrdiff_t first, ptrdiff_t end, ptrdiff_t order,
                                       const REAL *c, ptrdiff_t step, const REAL *inverse, REAL *x)
{
    for (ptrdiff_t i = end - 1; i >= first; i--) {
        const REAL *row = c + i * step;
        ptrdiff_t j = i + 1;
        REAL total = x[i];
        VEC sum[4];
        for (; j < order && j % VL; j++) total -= row[j] * x[j];
        FASTNN_UNROLL
        for (int v = 0; v < 4; v++) sum[v] = FN(splat)((REAL)0);
        for (; j + 4 * VL <= order; j += 4 * VL) {
            FASTNN_UNROLL
            for (int v = 0; v < 4; v++)
                sum[v] += FN(load)(row + j + v * VL) * FN(load)(x + j + v * VL);
        }
        for (; j < order; j += VL) sum[0] += FN(load)(row + j) * FN(load)(x + j);
        sum[0] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
        REAL lanes[BLOCK];
        memcpy(lanes, &sum[0], sizeof sum[0]);
        for (int v = 0; v < (int)BLOCK; v++) total -= lanes[v];
        x[i] = total * inverse[i];
    }
}

/* ---- vectors of parameters, which begin anywhere ---------------------------------------------- */

FASTNN_KERNEL REAL FN(dot)(ptrdiff_t n, const REAL *a, const REAL *b)
{
    VEC sum[4];
    REAL lanes[BLOCK], total = 0;
    ptrdiff_t i = 0;
    FASTNN_UNROLL
    for (int v = 0; v < 4; v++) sum[v] = FN(splat)((REAL)0);
    for (; i + 4 * VL <= n; i += 4 * VL) {
        FASTNN_UNROLL
        for (int v = 0; v < 4; v++)
            sum[v] += FN(load_any)(a + i + v * VL) * FN(load_any)(b + i + v * VL);
    }
    for (; i + VL <= n; i += VL) sum[0] += FN(load_any)(a + i) * FN(load_any)(b + i);
    sum[0] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    memcpy(lanes, &sum[0], sizeof sum[0]);
    for (int v = 0; v < (int)BLOCK; v++) total += lanes[v];
    for (; i < n; i++) total += a[i] * b[i];
    return total;
}

/* sum += factor a */
FASTNN_KERNEL void FN(add_multiple)(ptrdiff_t n, REAL factor, const REAL *a, REAL *sum)
{
    for (ptrdiff_t i = 0; i < n; i++) sum[i] += factor * a[i];
}
