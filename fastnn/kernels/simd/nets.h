/* Many networks of one shape, a lane each.
 *
 * Layout: whatever belongs to a network is [...][VL]. Parameters are [n_params][VL], in the plain
 * order, each layer's coefs [fan_in][fan_out] and then its intercepts. The activations of one layer
 * and one tile of `count` samples are a block [unit][count][VL]. No sum runs across lanes, so a
 * network's bits depend neither on its lane nor on the other networks. */

/* NET_UNITS x NET_SAMPLES accumulators, in registers. */
#define NET_SAMPLES 4

/* ---- rows ------------------------------------------------------------------------------------ */

/* One network's samples of a tile: rows order[0 .. count - 1] of a table (any, n), to a lane of
 * [n][count][VL]. n is a constant wherever this is inlined. */
FASTNN_INLINE void FN(net_rows)(const ptrdiff_t n, ptrdiff_t count, const REAL *table,
                                const int32_t *order, REAL *out)
{
    for (ptrdiff_t s = 0; s < count; s++) {
        const REAL *row = table + order[s] * n;
        FASTNN_UNROLL
        for (ptrdiff_t f = 0; f < n; f++) out[(f * count + s) * VL] = row[f];
    }
}

/* The same for any n, and present <= count rows, of which the last stands for those that are absent. */
FASTNN_KERNEL void FN(nets_gather)(ptrdiff_t n, ptrdiff_t count, ptrdiff_t present,
                                   const REAL *table, const int32_t *order, REAL *out)
{
    int32_t rows[NET_TILE];
    if (present < count) {
        for (ptrdiff_t s = 0; s < count; s++) rows[s] = order[s < present ? s : present - 1];
        order = rows;
    }
    switch (n) {
    case 2: FN(net_rows)(2, count, table, order, out); break;
    case 3: FN(net_rows)(3, count, table, order, out); break;
    case 4: FN(net_rows)(4, count, table, order, out); break;
    case 5: FN(net_rows)(5, count, table, order, out); break;
    default:
        for (ptrdiff_t s = 0; s < count; s++) {
            const REAL *row = table + order[s] * n;
            for (ptrdiff_t f = 0; f < n; f++) out[(f * count + s) * VL] = row[f];
        }
    }
}

/* ---- one layer of one tile -------------------------------------------------------------------- */

/* out[u][s] = start[u] + sum over d < depth of coef[d step + u unit] x[d][s], for `units` units and
 * `samples` samples, both constants wherever this is inlined. Without start sums begin with 0. With
 * relu it is applied: to out, or if there is `kept`, its derivative from there multiplies out. */
FASTNN_INLINE void FN(net_product)(const int units, const int samples, ptrdiff_t depth,
                                   const REAL *coef, ptrdiff_t unit, ptrdiff_t step,
                                   const REAL *x, ptrdiff_t width, const REAL *start,
                                   const REAL *kept, REAL *out, int relu)
{
    VEC acc[NET_UNITS][NET_SAMPLES];
    FASTNN_UNROLL
    for (int u = 0; u < units; u++) {
        const VEC first = start ? FN(load)(start + u * VL) : FN(splat)((REAL)0);
        FASTNN_UNROLL
        for (int s = 0; s < samples; s++) acc[u][s] = first;
    }
    FASTNN_NO_UNROLL
    for (ptrdiff_t d = 0; d < depth; d++) {
        VEC xv[NET_SAMPLES];
        FASTNN_UNROLL
        for (int s = 0; s < samples; s++) xv[s] = FN(load)(x + s * VL);
        FASTNN_UNROLL
        for (int u = 0; u < units; u++) {
            const VEC c = FN(load)(coef + u * unit);
            FASTNN_UNROLL
            for (int s = 0; s < samples; s++) acc[u][s] += c * xv[s];
        }
        coef += step;
        x += width;
    }
    FASTNN_UNROLL
    for (int u = 0; u < units; u++) {
        FASTNN_UNROLL
        for (int s = 0; s < samples; s++) {
            if (relu && !kept) FN(relu_group)(1, &acc[u][s]);
            if (relu && kept) acc[u][s] *= FN(relu_derivative)(FN(load)(kept + s * VL));
            FN(store)(out + s * VL, acc[u][s]);
        }
        out += width;
        if (kept) kept += width;
    }
}

FASTNN_INLINE void FN(net_units)(const int units, ptrdiff_t count, ptrdiff_t depth,
                                 const REAL *coef, ptrdiff_t unit, ptrdiff_t step, const REAL *x,
                                 const REAL *start, const REAL *kept, REAL *out, int relu)
{
    ptrdiff_t s = 0;
#define NEXT_SAMPLES(samples)                                                                     \
    for (; s + (samples) <= count; s += (samples))                                                \
        FN(net_product)(units, samples, depth, coef, unit, step, x + s * VL, count * VL, start,   \
                        kept ? kept + s * VL : NULL, out + s * VL, relu);
    NEXT_SAMPLES(NET_SAMPLES)
    NEXT_SAMPLES(1)
#undef NEXT_SAMPLES
}

/* The sums of n units. */
FASTNN_INLINE void FN(net_sums)(ptrdiff_t n, ptrdiff_t count, ptrdiff_t depth, const REAL *coef,
                                ptrdiff_t unit, ptrdiff_t step, const REAL *x, const REAL *start,
                                const REAL *kept, REAL *out, int relu)
{
    const ptrdiff_t width = count * VL;
    ptrdiff_t u = 0;
#define NEXT_UNITS(units)                                                                         \
    for (; u + (units) <= n; u += (units))                                                        \
        FN(net_units)(units, count, depth, coef + u * unit, unit, step, x,                        \
                      start ? start + u * VL : NULL, kept ? kept + u * width : NULL,              \
                      out + u * width, relu);
    NEXT_UNITS(NET_UNITS)
#if NET_UNITS > 2
    NEXT_UNITS(2)
#endif
    NEXT_UNITS(1)
#undef NEXT_UNITS
}

/* z = intercept + x W, and the activations in place; `kept` is for activate. Softmax is left to
 * softmax_tile. */
FASTNN_KERNEL void FN(nets_forward)(ptrdiff_t count, ptrdiff_t fan_in, ptrdiff_t fan_out,
                                    const REAL *coef, const REAL *x, REAL *out, REAL *kept,
                                    int activation)
{
    const int relu = activation == RELU && !kept;
    FN(net_sums)(fan_out, count, fan_in, coef, VL, fan_out * VL, x, coef + fan_in * fan_out * VL,
                 NULL, out, relu);
    if (!relu) FN(activate)(out, kept, fan_out * count * VL, activation);
}

/* delta_in[k] = f' sum_j W[k][j] delta[j], with f' from kept[k], the value or the slope, which may
 * be where delta_in is; sums: scratch memory for a layer. */
FASTNN_KERNEL void FN(nets_delta)(ptrdiff_t count, ptrdiff_t fan_in, ptrdiff_t fan_out,
                                  const REAL *coef, const REAL *delta, const REAL *kept,
                                  REAL *sums, REAL *delta_in, int activation)
{
    const ptrdiff_t n = fan_in * count * VL;
    if (activation == RELU) {
        FN(net_sums)(fan_in, count, fan_out, coef, fan_out * VL, VL, delta, NULL, kept, delta_in,
                     1);
        return;
    }
    FN(net_sums)(fan_in, count, fan_out, coef, fan_out * VL, VL, delta, NULL, NULL, sums, 0);
#define TIMES_DERIVATIVE(CODE, code, name)                                                        \
    case CODE:                                                                                    \
        for (ptrdiff_t i = 0; i < n; i += VL)                                                     \
            FN(store)(delta_in + i, FN(load)(sums + i) *                                          \
                                    FN(derivative_vec)(FN(load)(kept + i), CODE));                \
        break;
    switch (activation) {
    FASTNN_FROM_VALUE(TIMES_DERIVATIVE)
    FASTNN_SLOPES(TIMES_DERIVATIVE)
    default: FASTNN_UNREACHABLE("activation of a hidden layer"); break;
    }
#undef TIMES_DERIVATIVE
}

/* grad[k][j] = sum over s of x[k][s] delta[j][s], or += unless fresh, and the sums of delta if
 * intercepts is not NULL. Each tile is summed by itself, from 0 on, so that absent samples, which add
 * 0, change no bit. */
FASTNN_INLINE void FN(net_gradient)(const int rows, const int columns, ptrdiff_t count,
                                    ptrdiff_t fan_out, const REAL *x, const REAL *delta, REAL *grad,
                                    REAL *intercepts, int fresh)
{
    const ptrdiff_t width = count * VL;
    VEC acc[NET_UNITS][NET_SAMPLES], sums[NET_SAMPLES];
    FASTNN_UNROLL
    for (int c = 0; c < columns; c++) {
        sums[c] = FN(splat)((REAL)0);
        FASTNN_UNROLL
        for (int r = 0; r < rows; r++) acc[r][c] = sums[c];
    }
    FASTNN_NO_UNROLL
    for (ptrdiff_t s = 0; s < width; s += VL) {
        VEC d[NET_SAMPLES];
        FASTNN_UNROLL
        for (int c = 0; c < columns; c++) {
            d[c] = FN(load)(delta + c * width + s);
            if (intercepts) sums[c] += d[c];
        }
        FASTNN_UNROLL
        for (int r = 0; r < rows; r++) {
            const VEC a = FN(load)(x + r * width + s);
            FASTNN_UNROLL
            for (int c = 0; c < columns; c++) acc[r][c] += a * d[c];
        }
    }
    FASTNN_UNROLL
    for (int c = 0; c < columns; c++) {
        FASTNN_UNROLL
        for (int r = 0; r < rows; r++) {
            REAL *g = grad + (r * fan_out + c) * VL;
            if (!fresh) acc[r][c] += FN(load)(g);
            FN(store)(g, acc[r][c]);
        }
        if (!intercepts) continue;
        if (!fresh) sums[c] += FN(load)(intercepts + c * VL);
        FN(store)(intercepts + c * VL, sums[c]);
    }
}

FASTNN_KERNEL void FN(nets_gradient)(ptrdiff_t count, ptrdiff_t fan_in, ptrdiff_t fan_out,
                                     const REAL *x, const REAL *delta, REAL *grad, int fresh)
{
    const ptrdiff_t width = count * VL;
    REAL *intercepts = grad + fan_in * fan_out * VL;
    ptrdiff_t k = 0;
#define COLUMNS(rows, columns)                                                                    \
    for (; j + (columns) <= fan_out; j += (columns)) {                                            \
        REAL *const g = grad + (k * fan_out + j) * VL;                                            \
        if (k == 0)                                                                               \
            FN(net_gradient)(rows, columns, count, fan_out, x, delta + j * width, g,              \
                             intercepts + j * VL, fresh);                                         \
        else                                                                                      \
            FN(net_gradient)(rows, columns, count, fan_out, x + k * width, delta + j * width, g,  \
                             NULL, fresh);                                                        \
    }
#define ROWS(rows)                                                                                \
    for (; k + (rows) <= fan_in; k += (rows)) {                                                   \
        ptrdiff_t j = 0;                                                                          \
        COLUMNS(rows, NET_SAMPLES)                                                                \
        COLUMNS(rows, 1)                                                                          \
    }
    ROWS(NET_UNITS)
#if NET_UNITS > 2
    ROWS(2)
#endif
    ROWS(1)
#undef ROWS
#undef COLUMNS
}

/* ---- loss ------------------------------------------------------------------------------------- */

/* Adds the losses of a tile's samples to totals, one for each network, and replaces what the forward
 * pass kept of the outputs, in delta, by dC/dz; see loss_delta. weights, [count][VL], are 1, or 0
 * for absent samples; NULL: all are present. */
FASTNN_INLINE void FN(net_losses)(ptrdiff_t count, ptrdiff_t n_outputs, const REAL *a,
                                  const REAL *y, const REAL *weights, REAL *delta, const int loss,
                                  int activation, const double *numbers, double *totals)
{
    const ptrdiff_t width = count * VL, n = n_outputs * width;
    const int squared = loss == SQUARED_ERROR || loss == MEAN_SQUARED_ERROR;
    const int by_value = squared || (has_terms(loss) && !uses_logits(loss));
    const int slopes = by_value && stores_slope(activation);
    const VEC zero = FN(splat)((REAL)0);
    VEC sum = zero;
    REAL lanes[PANEL_BYTES / sizeof(REAL)];
    for (ptrdiff_t s = 0; s < width; s += VL) {
        VEC losses = zero, slope = zero;
        if (!has_terms(loss))
            losses = FN(sample_losses)(n_outputs, width, a + s, delta + s, y + s, loss);
        for (ptrdiff_t i = s; i < n; i += width) {
            const VEC out = FN(load)(a + i), kept = FN(load)(delta + i), target = FN(load)(y + i);
            const VEC number = FN(splat)(numbers ? (REAL)numbers[i / width] : (REAL)0);
#define CASE(CODE, code, name, logits)                                                            \
    case CODE: losses += FN(name##_term)(out, kept, target, number, &slope); break;
            switch (loss) {
            FASTNN_TERM_LOSSES(CASE)
            default: slope = out - target; break;
            }
#undef CASE
            (void)number;
            if (slopes) slope *= kept;
            FN(store)(delta + i, slope);
        }
        if (weights) losses = FN(keep)(FN(less)(zero, FN(load)(weights + s)), losses);
        sum += losses;
    }
    if (by_value && !slopes) {
        if (activation == SOFTMAX) FN(softmax_jacobian)(n_outputs, width, a, delta);
        else FN(output_derivative)(count, n_outputs, a, delta, activation);
    }
    for (ptrdiff_t i = 0; i < n && weights; i += width)
        for (ptrdiff_t s = 0; s < width; s += VL)
            FN(store)(delta + i + s, FN(keep)(FN(less)(zero, FN(load)(weights + s)),
                                              FN(load)(delta + i + s)));
    memcpy(lanes, &sum, sizeof sum);
    for (ptrdiff_t i = 0; i < VL; i++) {
        const double total = squared ? 0.5 * lanes[i] : lanes[i];
        totals[i] += loss == MEAN_SQUARED_ERROR ? total / (double)n_outputs : total;
    }
}

FASTNN_KERNEL void FN(nets_losses)(ptrdiff_t count, ptrdiff_t n_outputs, const REAL *a,
                                   const REAL *y, const REAL *weights, REAL *delta, int loss,
                                   int activation, const double *numbers, double *totals)
{
#define CASE(CODE, code, name, logits)                                                            \
    case CODE:                                                                                    \
        FN(net_losses)(count, n_outputs, a, y, weights, delta, CODE, activation, numbers,         \
                       totals);                                                                   \
        break;
    switch (loss) {
    FASTNN_LOSSES(CASE)
    default: FASTNN_UNREACHABLE("loss"); break;
    }
#undef CASE
}

/* ---- the solver's step ------------------------------------------------------------------------ */

/* The numbers of one network's step in its lane of a step_numbers, which numbers points to. */
FASTNN_KERNEL void FN(nets_numbers)(const solver_numbers *from, REAL *numbers)
{
    FN(step_numbers) own;
    FN(splat_numbers)(&own, from);
    for (size_t i = 0; i < sizeof own / sizeof(VEC); i++)
        memcpy(numbers + i * VL, (const char *)&own + i * sizeof(VEC), sizeof(REAL));
}

/* One step of n parameters of each network; their gradient is scale * grad + decay * param, and rest
 * is what AdamW leaves of them. */
FASTNN_KERNEL void FN(nets_update)(ptrdiff_t n, REAL *param, const REAL *grad, REAL *states,
                                   ptrdiff_t stride, int solver, const REAL *numbers,
                                   const REAL *scale, const REAL *decay, const REAL *rest)
{
    FN(step_numbers) own;
    memcpy(&own, numbers, sizeof own);
    own.rest = FN(load)(rest);
    const VEC rate = descends(solver) ? own.rate : FN(splat)((REAL)1);
    const VEC gs = rate * FN(load)(scale), ds = rate * FN(load)(decay);
#define CASE(CODE, code, name, n_states)                                                          \
    case CODE:                                                                                    \
        FN(step_all)(CODE, n_states, n * VL, param, grad, states, stride, &own, gs, ds);          \
        break;
    switch (solver) {
    FASTNN_STEP_SOLVERS(CASE)
    default: FASTNN_UNREACHABLE("solver with a step"); break;
    }
#undef CASE
}

/* ---- all parameters of each network ----------------------------------------------------------- */

/* Adds each network's sum of n squares to totals: 64 are added in the type, their sums in double. */
FASTNN_KERNEL void FN(nets_squares)(ptrdiff_t n, const REAL *x, double *totals)
{
    REAL lanes[PANEL_BYTES / sizeof(REAL)];
    for (ptrdiff_t first = 0; first < n; first += 64) {
        const ptrdiff_t end = n - first < 64 ? n : first + 64;
        VEC sum = FN(splat)((REAL)0);
        for (ptrdiff_t i = first * VL; i < end * VL; i += VL)
            sum += FN(load)(x + i) * FN(load)(x + i);
        memcpy(lanes, &sum, sizeof sum);
        for (ptrdiff_t i = 0; i < VL; i++) totals[i] += lanes[i];
    }
}

/* sums, one for each network: 0 if its n numbers are finite, else NaN. */
FASTNN_KERNEL void FN(nets_finite)(ptrdiff_t n, const REAL *x, REAL *sums)
{
    VEC sum = FN(splat)((REAL)0);
    for (ptrdiff_t i = 0; i < n * VL; i += VL) sum += FN(load)(x + i) - FN(load)(x + i);
    FN(store)(sums, sum);
}

/* out = x for the networks that are marked, by a number above 0. */
FASTNN_KERNEL void FN(nets_copy)(ptrdiff_t n, const REAL *marks, const REAL *x, REAL *out)
{
    const IVEC marked = FN(less)(FN(splat)((REAL)0), FN(load)(marks));
    for (ptrdiff_t i = 0; i < n * VL; i += VL)
        FN(store)(out + i, FN(select)(marked, FN(load)(x + i), FN(load)(out + i)));
}
