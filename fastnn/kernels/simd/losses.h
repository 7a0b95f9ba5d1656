/* Losses, and the deltas of the outputs. */

/* ---- one function a loss -------------------------------------------------------------------- */

/* Each returns the losses of VL samples from their outputs a, weighted sums z and targets y, which
 * are `width` apart from output to output. z is kept for losses that use the logits only. */

/* sum_j (a_j - y_j)^2; the factors 1/2 and 1/(2 n_outputs) are applied to the total. Squares are
 * taken in the network's type, so one beyond its range is a loss of infinity. */
FASTNN_INLINE VEC FN(squared_error_losses)(ptrdiff_t n_outputs, ptrdiff_t width, const REAL *a,
                                           const REAL *z, const REAL *y)
{
    VEC sum = FN(splat)((REAL)0);
    (void)z;
    for (ptrdiff_t j = 0; j < n_outputs; j++) {
        const VEC d = FN(load)(a + j * width) - FN(load)(y + j * width);
        sum += d * d;
    }
    return sum;
}

FASTNN_INLINE VEC FN(mean_squared_error_losses)(ptrdiff_t n_outputs, ptrdiff_t width,
                                                const REAL *a, const REAL *z, const REAL *y)
{
    return FN(squared_error_losses)(n_outputs, width, a, z, y);
}

/* sum_j log(1 + e^z_j) - y_j z_j, with log(1 + e^z) = max(z, 0) - log max(a, 1 - a). The terms
 * in z are |z| times 1 - y or y; a factor of 0 gives 0, even times infinity. */
FASTNN_INLINE VEC FN(binary_log_loss_losses)(ptrdiff_t n_outputs, ptrdiff_t width, const REAL *a,
                                             const REAL *z, const REAL *y)
{
    const VEC zero = FN(splat)((REAL)0), one = FN(splat)((REAL)1);
    VEC sum = zero;
    for (ptrdiff_t j = 0; j < n_outputs; j++) {
        const VEC p = FN(load)(a + j * width), logit = FN(load)(z + j * width);
        const VEC target = FN(load)(y + j * width);
        const VEC factor = FN(select)(FN(less)(zero, logit), one - target, target);
        const IVEC absent = ~(FN(less)(factor, zero) | FN(less)(zero, factor));
        sum += FN(drop)(absent, FN(max)(logit, -logit) * factor);
        sum -= FN(log_vec)(FN(max)(one - p, p));
    }
    return sum;
}

/* sum_j y_j (log sum_i e^z_i - z_j): the logarithm is z_top - log a_top, with the largest
 * output */
FASTNN_INLINE VEC FN(log_loss_losses)(ptrdiff_t n_outputs, ptrdiff_t width, const REAL *a,
                                      const REAL *z, const REAL *y)
{
    const VEC zero = FN(splat)((REAL)0);
    VEC sum = zero, targets = zero, top = FN(load)(z), top_a = FN(load)(a);
    for (ptrdiff_t j = 1; j < n_outputs; j++) {
        top = FN(max)(top, FN(load)(z + j * width));
        top_a = FN(max)(top_a, FN(load)(a + j * width));
    }
    for (ptrdiff_t j = 0; j < n_outputs; j++) {
        const VEC target = FN(load)(y + j * width);
        const IVEC absent = ~(FN(less)(target, zero) | FN(less)(zero, target));
        sum += FN(drop)(absent, target * (top - FN(load)(z + j * width)));
        targets += target;
    }
    return sum - targets * FN(log_vec)(top_a);
}

/* sum_j y_j log(y_j / a_j) - y_j + a_j, where 0 log 0 is 0; NaN for y < 0. The quotient is taken
 * in the network's type; where it leaves the normal numbers its logarithm is log y - z. There a z
 * beyond EXP_MAX is as good as EXP_MAX, since a is infinite. */
FASTNN_INLINE VEC FN(poisson_losses)(ptrdiff_t n_outputs, ptrdiff_t width, const REAL *a,
                                     const REAL *z, const REAL *y)
{
    const VEC zero = FN(splat)((REAL)0), top = FN(splat)((REAL)EXP_MAX);
    const VEC tiny = FN(splat)((REAL)TINY), largest = FN(splat)((REAL)LARGEST);
    VEC sum = zero;
    for (ptrdiff_t j = 0; j < n_outputs; j++) {
        const VEC mean = FN(load)(a + j * width), target = FN(load)(y + j * width);
        const VEC ratio = target / mean, logit = FN(min)(top, FN(load)(z + j * width));
        const IVEC outside = FN(less)(ratio, tiny) | FN(less)(largest, ratio);
        const VEC normal = FN(select)(outside, FN(max)(tiny, target), ratio);
        const VEC logs = FN(log_vec)(normal) - FN(keep)(outside, logit);
        sum += FN(keep)(FN(less)(zero, target), target * logs) + (mean - target);
        sum += FN(keep)(FN(less)(target, zero), FN(sqrt)(target)); /* NaN */
    }
    return sum;
}

/* The same as scikit-learn computes it, from a alone: infinite where a is 0 and y is not. */
FASTNN_INLINE VEC FN(poisson_of_values_losses)(ptrdiff_t n_outputs, ptrdiff_t width, const REAL *a,
                                               const REAL *z, const REAL *y)
{
    const VEC zero = FN(splat)((REAL)0);
    VEC sum = zero;
    (void)z;
    for (ptrdiff_t j = 0; j < n_outputs; j++) {
        const VEC mean = FN(load)(a + j * width), target = FN(load)(y + j * width);
        const VEC ratio = target / mean;
        /* what log_vec takes; the difference is infinite where the ratio is, and otherwise
         * negligible beside the logarithm of either */
        const VEC normal = FN(max)(FN(splat)((REAL)TINY),
                                   FN(min)(FN(splat)((REAL)LARGEST), ratio));
        const VEC logs = FN(select)(FN(less)(zero, ratio), FN(log_vec)(normal) + (ratio - normal),
                                    FN(splat)((REAL)-HUGE_VALUE));
        sum += FN(keep)(FN(less)(zero, target), target * logs) + (mean - target);
        sum += FN(keep)(FN(less)(target, zero), FN(sqrt)(target)); /* NaN */
    }
    return sum;
}

/* The log losses as scikit-learn computes them, from a clipped to [eps, 1 - eps]:
 * -sum_j y_j log a_j, and if binary -(1 - y_j) log(1 - a_j) */
FASTNN_INLINE VEC FN(clipped_losses)(const int binary, ptrdiff_t n_outputs, ptrdiff_t width,
                                     const REAL *a, const REAL *y)
{
    const VEC one = FN(splat)((REAL)1), low = FN(splat)((REAL)EPSILON);
    VEC sum = FN(splat)((REAL)0);
    for (ptrdiff_t j = 0; j < n_outputs; j++) {
        const VEC target = FN(load)(y + j * width);
        const VEC p = FN(max)(low, FN(min)(one - low, FN(load)(a + j * width)));
        sum -= target * FN(log_vec)(p);
        if (binary) sum -= (one - target) * FN(log_vec)(one - p);
    }
    return sum;
}

FASTNN_INLINE VEC FN(clipped_binary_log_loss_losses)(ptrdiff_t n_outputs, ptrdiff_t width,
                                                     const REAL *a, const REAL *z, const REAL *y)
{
    (void)z;
    return FN(clipped_losses)(1, n_outputs, width, a, y);
}

FASTNN_INLINE VEC FN(clipped_log_loss_losses)(ptrdiff_t n_outputs, ptrdiff_t width, const REAL *a,
                                              const REAL *z, const REAL *y)
{
    (void)z;
    return FN(clipped_losses)(0, n_outputs, width, a, y);
}

/* ---- losses that are sums of terms with derivatives of their own ------------------------------ */

/* Each returns the term of one output of VL samples, from the output a, its weighted sum z, target
 * y and the loss's number for this output. `slope` takes the derivative: by z for losses of the
 * logits, else by a. What is not a number stays so in both. */

/* d where it is 0 or not a number; otherwise one of two numbers by its sign */
FASTNN_INLINE VEC FN(by_sign)(VEC d, VEC above, VEC below)
{
    const VEC zero = FN(splat)((REAL)0);
    return FN(select)(FN(less)(zero, d), above, FN(select)(FN(less)(d, zero), below, d));
}

/* |a - y|; at the kink the derivative is 0 */
FASTNN_INLINE VEC FN(absolute_error_term)(VEC a, VEC z, VEC y, VEC number, VEC *slope)
{
    const VEC d = a - y, one = FN(splat)((REAL)1);
    (void)z, (void)number;
    *slope = FN(by_sign)(d, one, -one);
    return FN(max)(-d, d);
}

/* 1/2 d^2 where |d| = |a - y| <= delta, else delta (|d| - delta / 2): with d cut off at -delta and
 * delta, c, both are c (d - c / 2) (Huber, 1964) */
FASTNN_INLINE VEC FN(huber_term)(VEC a, VEC z, VEC y, VEC delta, VEC *slope)
{
    const VEC d = a - y, c = FN(max)(-delta, FN(min)(delta, d));
    (void)z;
    *slope = c;
    return c * (d - c * FN(splat)((REAL)0.5));
}

/* level (y - a) for a < y, (1 - level) (a - y) for a > y (Koenker and Bassett, 1978); at the kink
 * the derivative is 0 */
FASTNN_INLINE VEC FN(quantile_term)(VEC a, VEC z, VEC y, VEC level, VEC *slope)
{
    const VEC d = a - y;
    (void)z;
    *slope = FN(by_sign)(d, FN(splat)((REAL)1) - level, -level);
    return FN(select)(FN(less)(FN(splat)((REAL)0), d), d - level * d, -level * d);
}

/* log cosh d with d = a - y. Near 0, where it is about d^2 / 2, as 2 artanh(tanh(d/2)^2), by the
 * series of log_vec; elsewhere as |d| + log(1 + e^-2|d|) - log 2. */
FASTNN_INLINE VEC FN(log_cosh_term)(VEC a, VEC z, VEC y, VEC number, VEC *slope)
{
    const VEC d = a - y, size = FN(max)(-d, d), one = FN(splat)((REAL)1);
    VEC t = d, half = d * FN(splat)((REAL)0.5);
    (void)z, (void)number;
    FN(tanh_group)(1, &t);
    FN(tanh_group)(1, &half);
    *slope = t;
    half *= half;
    const VEC far = FN(log_vec)(one + FN(exp_vec)(-(size + size)));
    return FN(select)(FN(less)(size, FN(splat)((REAL)0.85)),
                      half * FN(artanh_series)(half * half),
                      size + (far - FN(splat)((REAL)0.69314718055994530942)));
}

/* r - 1 - log r with r = y / a; infinite for y = 0, NaN for y < 0. Where r leaves the normal numbers
 * it is e^(log y - z). */
FASTNN_INLINE VEC FN(gamma_term)(VEC a, VEC z, VEC y, VEC number, VEC *slope)
{
    const VEC zero = FN(splat)((REAL)0), one = FN(splat)((REAL)1);
    const VEC tiny = FN(splat)((REAL)TINY), largest = FN(splat)((REAL)LARGEST);
    const VEC ratio = y / a;
    const IVEC inside = ~(FN(less)(ratio, tiny) | FN(less)(largest, ratio));
    const VEC outer = FN(log_vec)(FN(max)(tiny, y)) - z;
    const VEC r = FN(select)(inside, ratio, FN(exp_vec)(outer));
    const VEC logs = FN(select)(inside, FN(log_vec)(FN(max)(tiny, ratio)), outer);
    (void)number;
    *slope = one - r;
    /* the smaller of the two: infinity less infinity would be NaN */
    return (r - one) - FN(min)(largest, logs) +
           FN(drop)(FN(less)(zero, y), FN(splat)((REAL)HUGE_VALUE) + FN(sqrt)(y));
}

/* Nothing: the targets are the derivatives by a of a loss that somebody else computes. */
FASTNN_INLINE VEC FN(given_term)(VEC a, VEC z, VEC y, VEC number, VEC *slope)
{
    (void)a, (void)z, (void)number;
    *slope = y;
    return FN(splat)((REAL)0);
}

/* ---- deltas of the outputs ------------------------------------------------------------------ */

FASTNN_INLINE VEC FN(sample_losses)(ptrdiff_t n_outputs, ptrdiff_t width, const REAL *a,
                                    const REAL *z, const REAL *y, int loss)
{
#define CASE(CODE, code, name, logits)                                                            \
    case CODE: return FN(name##_losses)(n_outputs, width, a, z, y);
    switch (loss) {
    FASTNN_WHOLE_LOSSES(CASE)
    default: FASTNN_UNREACHABLE("loss"); return FN(splat)((REAL)0);
    }
#undef CASE
}

/* One tile's delta times softmax's Jacobian: dC/dz_i = a_i (d_i - sum_j d_j a_j). */
FASTNN_INLINE void FN(softmax_jacobian)(ptrdiff_t n_outputs, ptrdiff_t width, const REAL *a,
                                        REAL *delta)
{
    for (ptrdiff_t s = 0; s < width; s += VL) {
        VEC dot = FN(splat)((REAL)0);
        for (ptrdiff_t i = s; i < n_outputs * width; i += width)
            dot += FN(load)(delta + i) * FN(load)(a + i);
        for (ptrdiff_t i = s; i < n_outputs * width; i += width)
            FN(store)(delta + i, FN(load)(a + i) * (FN(load)(delta + i) - dot));
    }
}

/* delta *= the derivative of the output's activation, from its values a. Slopes have been
 * multiplied in before. */
FASTNN_KERNEL void FN(output_derivative)(ptrdiff_t n_vectors, ptrdiff_t n_outputs, const REAL *a,
                                         REAL *delta, int activation)
{
    const ptrdiff_t n = n_vectors * VL * n_outputs;
    if (activation == IDENTITY) return;
    if (activation == SOFTMAX) {
        for (ptrdiff_t v0 = 0; v0 < n_vectors;) {
            const int vectors = tile_vectors(n_vectors - v0);
            FN(softmax_jacobian)(n_outputs, vectors * VL, a + v0 * VL * n_outputs,
                                 delta + v0 * VL * n_outputs);
            v0 += vectors;
        }
        return;
    }
#define TIMES_DERIVATIVE(CODE, code, name)                                                        \
    case CODE:                                                                                    \
        for (ptrdiff_t i = 0; i < n; i += VL)                                                     \
            FN(store)(delta + i, FN(load)(delta + i) * FN(name##_derivative)(FN(load)(a + i)));   \
        break;
    switch (activation) {
    FASTNN_FROM_VALUE(TIMES_DERIVATIVE)
    default: FASTNN_UNREACHABLE("output activation"); break;
    }
#undef TIMES_DERIVATIVE
}

/* Samples `present` .. `width` of a tile are absent. Zeros there make their deltas 0, even where
 * outputs are not finite. */
FASTNN_INLINE void FN(clear_absent)(ptrdiff_t n_outputs, ptrdiff_t width, ptrdiff_t present,
                                    REAL *a, REAL *y, REAL *delta)
{
    if (present == width) return;
    for (ptrdiff_t j = 0; j < n_outputs * width; j += width)
        for (ptrdiff_t s = present; s < width; s++) a[j + s] = y[j + s] = delta[j + s] = 0;
}

/* The sum of the loss C over the n_samples samples of a chunk, and its output deltas dC/dz,
 * from output activations a and targets y in the chunk's layout. On entry delta has what the
 * forward pass keeps of the outputs: the slopes of an activation that stores them, the weighted
 * sums for a loss that uses the logits. Losses that need one activation have dC/dz = a - y;
 * squared errors have (a - y) f'. The mean squared error is divided by the number of outputs,
 * its deltas are not: like scikit-learn, which reports the mean over the outputs and descends
 * by the gradient of the sum. */
FASTNN_KERNEL double FN(loss_delta)(ptrdiff_t n_samples, ptrdiff_t n_outputs, REAL *a, REAL *y,
                                    REAL *delta, int loss, int activation)
{
    const ptrdiff_t n_vectors = (n_samples + VL - 1) / VL, n = n_vectors * VL * n_outputs;
    const int squared = loss == SQUARED_ERROR || loss == MEAN_SQUARED_ERROR;
    const int slopes = squared && stores_slope(activation);
    double total = 0;
    for (ptrdiff_t v0 = 0; v0 < n_vectors;) {
        const int vectors = tile_vectors(n_vectors - v0);
        const ptrdiff_t width = vectors * VL, base = v0 * VL * n_outputs;
        const ptrdiff_t present = n_samples - v0 * VL < width ? n_samples - v0 * VL : width;
        FN(clear_absent)(n_outputs, width, present, a + base, y + base, delta + base);
        for (ptrdiff_t s = 0; s < present && !squared; s += VL) {
            const VEC losses = FN(sample_losses)(n_outputs, width, a + base + s, delta + base + s,
                                                 y + base + s, loss);
            REAL lanes[PANEL_BYTES / sizeof(REAL)];
            memcpy(lanes, &losses, sizeof losses);
            for (ptrdiff_t i = 0; i < VL && s + i < present; i++) total += lanes[i];
        }
        v0 += vectors;
    }
    if (!squared) {
        for (ptrdiff_t i = 0; i < n; i += VL)
            FN(store)(delta + i, FN(load)(a + i) - FN(load)(y + i));
        return total;
    }
    VEC sum = FN(splat)((REAL)0);
    for (ptrdiff_t i = 0; i < n; i += VL) {
        VEC d = FN(load)(a + i) - FN(load)(y + i);
        sum += d * d;
        if (slopes) d *= FN(load)(delta + i);
        FN(store)(delta + i, d);
    }
    REAL lanes[PANEL_BYTES / sizeof(REAL)];
    memcpy(lanes, &sum, sizeof sum);
    for (ptrdiff_t i = 0; i < VL; i++) total += lanes[i];
    if (!slopes) FN(output_derivative)(n_vectors, n_outputs, a, delta, activation);
    return loss == SQUARED_ERROR ? 0.5 * total : 0.5 * total / (double)n_outputs;
}

/* The same with weights of the samples, which multiply losses and deltas: one more row in each
 * tile of y. */
FASTNN_KERNEL double FN(weighted_loss_delta)(ptrdiff_t n_samples, ptrdiff_t n_outputs, REAL *a,
                                             REAL *y, REAL *delta, int loss, int activation)
{
    const ptrdiff_t n_vectors = (n_samples + VL - 1) / VL;
    const int squared = loss == SQUARED_ERROR || loss == MEAN_SQUARED_ERROR;
    const int slopes = squared && stores_slope(activation);
    double total = 0;
    for (ptrdiff_t v0 = 0; v0 < n_vectors;) {
        const int vectors = tile_vectors(n_vectors - v0);
        const ptrdiff_t width = vectors * VL, n = n_outputs * width;
        const ptrdiff_t present = n_samples - v0 * VL < width ? n_samples - v0 * VL : width;
        REAL *weights = y + n;
        for (ptrdiff_t s = present; s < width; s++) weights[s] = 0;
        FN(clear_absent)(n_outputs, width, present, a, y, delta);
        for (ptrdiff_t s = 0; s < width; s += VL) {
            const VEC losses = FN(load)(weights + s) *
                               FN(sample_losses)(n_outputs, width, a + s, delta + s, y + s, loss);
            REAL lanes[PANEL_BYTES / sizeof(REAL)];
            memcpy(lanes, &losses, sizeof losses);
            for (ptrdiff_t i = 0; i < VL && s + i < present; i++) total += lanes[i];
        }
        for (ptrdiff_t i = 0; i < n; i += VL) {
            VEC d = FN(load)(a + i) - FN(load)(y + i);
            if (slopes) d *= FN(load)(delta + i);
            FN(store)(delta + i, d);
        }
        if (squared && !slopes) FN(output_derivative)(vectors, n_outputs, a, delta, activation);
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

/* `loss_delta` and `weighted_loss_delta` for one of the losses with terms. */
FASTNN_INLINE double FN(sum_of_terms)(ptrdiff_t n_samples, ptrdiff_t n_outputs, REAL *a, REAL *y,
                                      REAL *delta, const int loss, int activation,
                                      const double *numbers, int weighted)
{
    const ptrdiff_t n_vectors = (n_samples + VL - 1) / VL;
    const int by_value = !uses_logits(loss), slopes = by_value && stores_slope(activation);
    double total = 0;
    for (ptrdiff_t v0 = 0; v0 < n_vectors;) {
        const int vectors = tile_vectors(n_vectors - v0);
        const ptrdiff_t width = vectors * VL, n = n_outputs * width;
        const ptrdiff_t present = n_samples - v0 * VL < width ? n_samples - v0 * VL : width;
        FN(clear_absent)(n_outputs, width, present, a, y, delta);
        for (ptrdiff_t s = 0; s < width; s += VL) {
            VEC sum = FN(splat)((REAL)0), slope = sum;
            for (ptrdiff_t j = 0; j < n_outputs; j++) {
                const ptrdiff_t at = j * width + s;
                const VEC number = FN(splat)(numbers ? (REAL)numbers[j] : (REAL)0);
                const VEC out = FN(load)(a + at), kept = FN(load)(delta + at);
                const VEC target = FN(load)(y + at);
#define CASE(CODE, code, name, logits)                                                            \
    case CODE: sum += FN(name##_term)(out, kept, target, number, &slope); break;
                switch (loss) {
                FASTNN_TERM_LOSSES(CASE)
                default: FASTNN_UNREACHABLE("loss"); break;
                }
#undef CASE
                if (slopes) slope *= kept;
                FN(store)(delta + at, slope);
            }
            REAL lanes[PANEL_BYTES / sizeof(REAL)];
            memcpy(lanes, &sum, sizeof sum);
            for (ptrdiff_t i = 0; i < VL && s + i < present; i++)
                total += weighted ? lanes[i] * (double)y[n + s + i] : lanes[i];
        }
        if (by_value && !slopes) FN(output_derivative)(vectors, n_outputs, a, delta, activation);
        for (ptrdiff_t j = 0; j < n && weighted; j += width)
            for (ptrdiff_t s = 0; s < present; s++) delta[j + s] *= y[n + s];
        /* a derivative need not be 0 where output and target are */
        for (ptrdiff_t j = 0; j < n && present < width; j += width)
            for (ptrdiff_t s = present; s < width; s++) delta[j + s] = 0;
        a += n;
        delta += n;
        y += weighted ? n + width : n;
        v0 += vectors;
    }
    return total;
}

/* The same for losses with terms: `numbers` has the loss's number for each output, or is NULL. If
 * weighted, there is one more row in each tile of y. */
FASTNN_KERNEL double FN(term_loss_delta)(ptrdiff_t n_samples, ptrdiff_t n_outputs, REAL *a,
                                         REAL *y, REAL *delta, int loss, int activation,
                                         const double *numbers, int weighted)
{
#define CASE(CODE, code, name, logits)                                                            \
    case CODE:                                                                                    \
        return FN(sum_of_terms)(n_samples, n_outputs, a, y, delta, CODE, activation, numbers,     \
                                weighted);
    switch (loss) {
    FASTNN_TERM_LOSSES(CASE)
    default: FASTNN_UNREACHABLE("loss"); return 0;
    }
#undef CASE
}
