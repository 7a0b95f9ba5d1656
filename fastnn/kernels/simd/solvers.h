/* Steps of the solvers. */

/* name_update(n, param, grad, states, stride, numbers, scale, decay): one step of n parameters, a
 * multiple of VL, at any alignment. Their gradient is scale * grad + decay * param; the solver's
 * state vectors are `stride` apart. */

/* Velocities and moments below the normal numbers become 0: they come from units that died, change
 * nothing, and cost a hundred cycles each. flush_positive is for sums of squares, which a square
 * root waits for: every operation less counts (Adam in float32: 8%). */
FASTNN_INLINE VEC FN(flush)(VEC x)
{
    const VEC size = FN(drop)(FN(bits)(-FN(splat)((REAL)0)), x); /* without its sign */
    return FN(drop)(FN(less)(size, FN(splat)((REAL)TINY)), x);
}
FASTNN_INLINE VEC FN(flush_positive)(VEC x)
{
    return FN(drop)(FN(less)(x, FN(splat)((REAL)TINY)), x);
}

/* v = momentum v - rate g; param += v, or with Nesterov's look-ahead momentum v - rate g
 * (Sutskever et al., 2013, in scikit-learn's arrangement). velocity NULL: plain descent. */
FASTNN_INLINE void FN(descend)(ptrdiff_t n, REAL *param, const REAL *grad, REAL *velocity,
                               const int nesterov, const solver_numbers *numbers, double scale,
                               double decay)
{
    const VEC step = FN(splat)((REAL)(numbers->rate * scale));
    const VEC shrink = FN(splat)((REAL)(numbers->rate * decay));
    const VEC mu = FN(splat)((REAL)numbers->momentum);
    for (ptrdiff_t i = 0; i < n; i += VL) {
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
}

FASTNN_KERNEL void FN(sgd_update)(ptrdiff_t n, REAL *param, const REAL *grad, REAL *states,
                                  ptrdiff_t stride, const solver_numbers *numbers, double scale,
                                  double decay)
{
    (void)states, (void)stride;
    FN(descend)(n, param, grad, NULL, 0, numbers, scale, decay);
}

FASTNN_KERNEL void FN(momentum_update)(ptrdiff_t n, REAL *param, const REAL *grad, REAL *states,
                                       ptrdiff_t stride, const solver_numbers *numbers,
                                       double scale, double decay)
{
    (void)stride;
    FN(descend)(n, param, grad, states, 0, numbers, scale, decay);
}

FASTNN_KERNEL void FN(nesterov_update)(ptrdiff_t n, REAL *param, const REAL *grad, REAL *states,
                                       ptrdiff_t stride, const solver_numbers *numbers,
                                       double scale, double decay)
{
    (void)stride;
    FN(descend)(n, param, grad, states, 1, numbers, scale, decay);
}

/* Adam (Kingma and Ba, 2015, algorithm 1) with the bias corrections folded into rate:
 * m = b1 m + (1-b1) g; v = b2 v + (1-b2) g^2; param -= rate m / (sqrt(v) + epsilon). `decoupled`:
 * AdamW (Loshchilov and Hutter, 2019), whose param shrinks first. `ahead`: NAdam (Dozat, 2016),
 * whose m is rate m + grad_rate g. An epsilon that rounds to 0 would make 0 / 0 of parameters
 * without a gradient, and of the padding, which sum_squares and all_finite read: it is at least
 * the smallest normal number. */
FASTNN_INLINE void FN(adaptive)(const int decoupled, const int ahead, ptrdiff_t n, REAL *param,
                                const REAL *grad, REAL *states, ptrdiff_t stride,
                                const solver_numbers *numbers, double scale, double decay)
{
    REAL *const first = states, *const second = states + stride;
    const double beta_1 = numbers->beta_1, beta_2 = numbers->beta_2;
    const VEC b1 = FN(splat)((REAL)beta_1), c1 = FN(splat)((REAL)(1 - beta_1));
    const VEC b2 = FN(splat)((REAL)beta_2), c2 = FN(splat)((REAL)(1 - beta_2));
    const VEC gs = FN(splat)((REAL)scale), ds = FN(splat)((REAL)decay);
    const VEC lr = FN(splat)((REAL)numbers->rate);
    const VEC own = FN(splat)((REAL)numbers->grad_rate);
    const VEC rest = FN(splat)((REAL)(1 - numbers->shrink));
    const VEC eps = FN(splat)((REAL)(numbers->epsilon > TINY ? numbers->epsilon : TINY));
    for (ptrdiff_t i = 0; i < n; i += VL) {
        VEC p = FN(load_any)(param + i);
        const VEC g = FN(load_any)(grad + i) * gs + p * ds;
        const VEC m = FN(flush)(b1 * FN(load_any)(first + i) + c1 * g);
        const VEC v = FN(flush_positive)(b2 * FN(load_any)(second + i) + c2 * (g * g));
        FN(store_any)(first + i, m);
        FN(store_any)(second + i, v);
        if (decoupled) p *= rest;
        FN(store_any)(param + i, p - (ahead ? lr * m + own * g : lr * m) / (FN(sqrt)(v) + eps));
    }
}

FASTNN_KERNEL void FN(adam_update)(ptrdiff_t n, REAL *param, const REAL *grad, REAL *states,
                                   ptrdiff_t stride, const solver_numbers *numbers, double scale,
                                   double decay)
{
    FN(adaptive)(0, 0, n, param, grad, states, stride, numbers, scale, decay);
}

FASTNN_KERNEL void FN(adamw_update)(ptrdiff_t n, REAL *param, const REAL *grad, REAL *states,
                                    ptrdiff_t stride, const solver_numbers *numbers, double scale,
                                    double decay)
{
    FN(adaptive)(1, 0, n, param, grad, states, stride, numbers, scale, decay);
}

FASTNN_KERNEL void FN(nadam_update)(ptrdiff_t n, REAL *param, const REAL *grad, REAL *states,
                                    ptrdiff_t stride, const solver_numbers *numbers, double scale,
                                    double decay)
{
    FN(adaptive)(0, 1, n, param, grad, states, stride, numbers, scale, decay);
}

/* v = b2 v + (1-b2) g^2; param -= rate g / (sqrt(v) + epsilon) (Tieleman and Hinton, 2012). */
FASTNN_KERNEL void FN(rmsprop_update)(ptrdiff_t n, REAL *param, const REAL *grad, REAL *states,
                                      ptrdiff_t stride, const solver_numbers *numbers,
                                      double scale, double decay)
{
    const VEC b2 = FN(splat)((REAL)numbers->beta_2), c2 = FN(splat)((REAL)(1 - numbers->beta_2));
    const VEC gs = FN(splat)((REAL)scale), ds = FN(splat)((REAL)decay);
    const VEC lr = FN(splat)((REAL)numbers->rate);
    const VEC eps = FN(splat)((REAL)(numbers->epsilon > TINY ? numbers->epsilon : TINY));
    (void)stride;
    for (ptrdiff_t i = 0; i < n; i += VL) {
        const VEC p = FN(load_any)(param + i);
        const VEC g = FN(load_any)(grad + i) * gs + p * ds;
        const VEC v = FN(flush_positive)(b2 * FN(load_any)(states + i) + c2 * (g * g));
        FN(store_any)(states + i, v);
        FN(store_any)(param + i, p - lr * g / (FN(sqrt)(v) + eps));
    }
}

/* Each parameter has a step size d, which grows by 1.2 while its gradient g keeps its sign and is
 * halved when that changes; the step is d against the sign of g. After a change of sign there is
 * none, and the next g counts as 0. If the loss grew, too, iRprop+ takes back the last step, which
 * is known from d and the last g; iRprop- does not (Igel and Huesken, 2003, with their numbers).
 * At the first step d is the rate. */
FASTNN_KERNEL void FN(rprop_update)(ptrdiff_t n, REAL *param, const REAL *grad, REAL *states,
                                    ptrdiff_t stride, const solver_numbers *numbers, double scale,
                                    double decay)
{
    const VEC zero = FN(splat)((REAL)0);
    const VEC gs = FN(splat)((REAL)scale), ds = FN(splat)((REAL)decay);
    const VEC most = FN(splat)((REAL)50), least = FN(splat)((REAL)1e-6);
    const VEC back = FN(splat)((REAL)(numbers->take_back != 0));
    for (ptrdiff_t i = 0; i < n; i += VL) {
        const VEC p = FN(load_any)(param + i);
        const VEC g = FN(load_any)(grad + i) * gs + p * ds;
        const VEC d = numbers->first ? FN(splat)((REAL)numbers->rate) : FN(load_any)(states + i);
        const VEC last = numbers->first ? zero : FN(load_any)(states + stride + i);
        const IVEC up = FN(less)(zero, g), down = FN(less)(g, zero);
        const IVEC was_up = FN(less)(zero, last), was_down = FN(less)(last, zero);
        const IVEC same = (up & was_up) | (down & was_down);
        const IVEC turned = (up & was_down) | (down & was_up);
        const VEC next = FN(select)(same, FN(min)(most, d * FN(splat)((REAL)1.2)),
                                    FN(select)(turned, FN(max)(least, d * FN(splat)((REAL)0.5)),
                                               d));
        const VEC step = FN(keep)(up & ~turned, next) - FN(keep)(down & ~turned, next);
        const VEC undone = FN(keep)(turned & was_up, d) - FN(keep)(turned & was_down, d);
        FN(store_any)(states + i, next);
        FN(store_any)(states + stride + i, FN(flush)(FN(drop)(turned, g)));
        FN(store_any)(param + i, p - step + back * undone);
    }
}

/* Adds to the average of parameters, the last of the state vectors: average += weight (param -
 * average). */
FASTNN_INLINE void FN(add_to_average)(ptrdiff_t n, const REAL *param, REAL *average, double weight)
{
    const VEC w = FN(splat)((REAL)weight);
    for (ptrdiff_t i = 0; i < n; i += VL) {
        const VEC a = FN(load_any)(average + i);
        FN(store_any)(average + i, a + w * (FN(load_any)(param + i) - a));
    }
}

/* One step of the solver that `numbers` names. */
FASTNN_INLINE void FN(update_vectors)(ptrdiff_t n, REAL *param, const REAL *grad, REAL *states,
                                      ptrdiff_t stride, const solver_numbers *numbers,
                                      double scale, double decay)
{
#define CASE(CODE, code, name, n_states)                                                          \
    case CODE: FN(name##_update)(n, param, grad, states, stride, numbers, scale, decay); break;
    switch (numbers->solver) {
    FASTNN_SOLVERS(CASE)
    default: FASTNN_UNREACHABLE("solver"); break;
    }
#undef CASE
}

/* The same, and the average after it. */
FASTNN_KERNEL void FN(update_averaged)(ptrdiff_t n, REAL *param, const REAL *grad, REAL *states,
                                       ptrdiff_t stride, const solver_numbers *numbers,
                                       double scale, double decay)
{
    FN(update_vectors)(n, param, grad, states, stride, numbers, scale, decay);
    if (numbers->average != 0)
        FN(add_to_average)(n, param, states + (numbers->n_states - 1) * stride, numbers->average);
}

/* The same for any n: the last parameters in a full vector, so that they get the same arithmetic. */
FASTNN_KERNEL void FN(update_any)(ptrdiff_t n, REAL *param, const REAL *grad, REAL *states,
                                  ptrdiff_t stride, const solver_numbers *numbers, double scale,
                                  double decay)
{
    const ptrdiff_t whole = n - n % VL;
    if (whole) FN(update_averaged)(whole, param, grad, states, stride, numbers, scale, decay);
    if (whole < n) {
        const size_t bytes = (size_t)(n - whole) * sizeof(REAL);
        VEC p = FN(splat)((REAL)0), g = p, s[MOST_STATES] = {p, p, p};
        memcpy(&p, param + whole, bytes);
        memcpy(&g, grad + whole, bytes);
        for (int i = 0; i < numbers->n_states; i++)
            memcpy(&s[i], states + i * stride + whole, bytes);
        FN(update_averaged)(VL, (REAL *)&p, (REAL *)&g, (REAL *)s, VL, numbers, scale, decay);
        memcpy(param + whole, &p, bytes);
        for (int i = 0; i < numbers->n_states; i++)
            memcpy(states + i * stride + whole, &s[i], bytes);
    }
}

FASTNN_KERNEL void FN(solver_update)(ptrdiff_t n, REAL *param, const REAL *grad, REAL *states,
                                     ptrdiff_t stride, const solver_numbers *numbers,
                                     double scale, double decay)
{
    if (n % VL || numbers->average != 0)
        FN(update_any)(n, param, grad, states, stride, numbers, scale, decay);
    else
        FN(update_vectors)(n, param, grad, states, stride, numbers, scale, decay);
}

/* The sum of the squares of a gradient, scale * grad + decay * param, of n numbers, a multiple of
 * VL: vectors of 64 are added in the type, their sums in double. */
FASTNN_KERNEL double FN(gradient_squares)(ptrdiff_t n, const REAL *param, const REAL *grad,
                                          double scale, double decay)
{
    const VEC gs = FN(splat)((REAL)scale), ds = FN(splat)((REAL)decay);
    double total = 0;
    for (ptrdiff_t first = 0; first < n; first += 64 * VL) {
        const ptrdiff_t end = n - first < 64 * VL ? n : first + 64 * VL;
        VEC sum[2] = {FN(splat)((REAL)0), FN(splat)((REAL)0)};
        REAL lanes[PANEL_BYTES / sizeof(REAL)];
        for (ptrdiff_t i = first; i < end; i += 2 * VL) {
            const ptrdiff_t j = i + VL;
            const VEC g = FN(load)(grad + i) * gs + FN(load)(param + i) * ds;
            sum[0] += g * g;
            if (j < end) {
                const VEC h = FN(load)(grad + j) * gs + FN(load)(param + j) * ds;
                sum[1] += h * h;
            }
        }
        sum[0] += sum[1];
        memcpy(lanes, &sum[0], sizeof sum[0]);
        for (ptrdiff_t j = 0; j < VL; j++) total += lanes[j];
    }
    return total;
}
