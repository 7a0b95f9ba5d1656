/* Losses and the deltas of the outputs. */

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
