/* Steps of the solvers. */

/* name_update(n, param, grad, states, stride, numbers, scale, decay): one step of n parameters, at
 * any alignment. Their gradient is scale * grad + decay * param; the solver's state vectors are
 * `stride` apart. */

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
FASTNN_KERNEL void FN(descend)(ptrdiff_t n, REAL *param, const REAL *grad, REAL *velocity,
                               int nesterov, const solver_numbers *numbers, double scale,
                               double decay)
{
    const VEC step = FN(splat)((REAL)(numbers->rate * scale));
    const VEC shrink = FN(splat)((REAL)(numbers->rate * decay));
    const VEC mu = FN(splat)((REAL)numbers->momentum);
    ptrdiff_t i = 0;
    for (; i + VL <= n; i += VL) {
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
    if (i < n) { /* the rest in a full vector, so that it gets the same arithmetic */
        const size_t bytes = (size_t)(n - i) * sizeof(REAL);
        VEC p = FN(splat)((REAL)0), g = p, v = p;
        memcpy(&p, param + i, bytes);
        memcpy(&g, grad + i, bytes);
        if (velocity) memcpy(&v, velocity + i, bytes);
        FN(descend)(VL, (REAL *)&p, (REAL *)&g, velocity ? (REAL *)&v : NULL, nesterov, numbers,
                    scale, decay);
        memcpy(param + i, &p, bytes);
        if (velocity) memcpy(velocity + i, &v, bytes);
    }
}

FASTNN_INLINE void FN(sgd_update)(ptrdiff_t n, REAL *param, const REAL *grad, REAL *states,
                                  ptrdiff_t stride, const solver_numbers *numbers, double scale,
                                  double decay)
{
    (void)states, (void)stride;
    FN(descend)(n, param, grad, NULL, 0, numbers, scale, decay);
}

FASTNN_INLINE void FN(momentum_update)(ptrdiff_t n, REAL *param, const REAL *grad, REAL *states,
                                       ptrdiff_t stride, const solver_numbers *numbers,
                                       double scale, double decay)
{
    (void)stride;
    FN(descend)(n, param, grad, states, 0, numbers, scale, decay);
}

FASTNN_INLINE void FN(nesterov_update)(ptrdiff_t n, REAL *param, const REAL *grad, REAL *states,
                                       ptrdiff_t stride, const solver_numbers *numbers,
                                       double scale, double decay)
{
    (void)stride;
    FN(descend)(n, param, grad, states, 1, numbers, scale, decay);
}

/* Kingma and Ba (2015), algorithm 1 with the bias corrections folded into rate:
 * m = b1 m + (1-b1) g; v = b2 v + (1-b2) g^2; param -= rate m / (sqrt(v) + epsilon). An epsilon
 * that rounds to 0 would make 0 / 0 of parameters without a gradient, and of the padding, which
 * sum_squares and all_finite read: it is at least the smallest normal number. */
FASTNN_KERNEL void FN(adam_update)(ptrdiff_t n, REAL *param, const REAL *grad, REAL *states,
                                   ptrdiff_t stride, const solver_numbers *numbers, double scale,
                                   double decay)
{
    REAL *const first = states, *const second = states + stride;
    const double beta_1 = numbers->beta_1, beta_2 = numbers->beta_2;
    const VEC b1 = FN(splat)((REAL)beta_1), c1 = FN(splat)((REAL)(1 - beta_1));
    const VEC b2 = FN(splat)((REAL)beta_2), c2 = FN(splat)((REAL)(1 - beta_2));
    const VEC gs = FN(splat)((REAL)scale), ds = FN(splat)((REAL)decay);
    const VEC lr = FN(splat)((REAL)numbers->rate);
    const VEC eps = FN(splat)((REAL)(numbers->epsilon > TINY ? numbers->epsilon : TINY));
    ptrdiff_t i = 0;
    for (; i + VL <= n; i += VL) {
        const VEC p = FN(load_any)(param + i);
        const VEC g = FN(load_any)(grad + i) * gs + p * ds;
        const VEC m = FN(flush)(b1 * FN(load_any)(first + i) + c1 * g);
        const VEC v = FN(flush_positive)(b2 * FN(load_any)(second + i) + c2 * (g * g));
        FN(store_any)(first + i, m);
        FN(store_any)(second + i, v);
        FN(store_any)(param + i, p - lr * m / (FN(sqrt)(v) + eps));
    }
    if (i < n) {
        const size_t bytes = (size_t)(n - i) * sizeof(REAL);
        VEC p = FN(splat)((REAL)0), g = p, mv[2] = {p, p};
        memcpy(&p, param + i, bytes);
        memcpy(&g, grad + i, bytes);
        memcpy(&mv[0], first + i, bytes);
        memcpy(&mv[1], second + i, bytes);
        FN(adam_update)(VL, (REAL *)&p, (REAL *)&g, (REAL *)mv, VL, numbers, scale, decay);
        memcpy(param + i, &p, bytes);
        memcpy(first + i, &mv[0], bytes);
        memcpy(second + i, &mv[1], bytes);
    }
}

/* One step of the solver that `numbers` names. */
FASTNN_KERNEL void FN(solver_update)(ptrdiff_t n, REAL *param, const REAL *grad, REAL *states,
                                     ptrdiff_t stride, const solver_numbers *numbers,
                                     double scale, double decay)
{
#define CASE(CODE, code, name)                                                                    \
    case CODE: FN(name##_update)(n, param, grad, states, stride, numbers, scale, decay); break;
    switch (numbers->solver) {
    FASTNN_SOLVERS(CASE)
    default: FASTNN_UNREACHABLE("solver"); break;
    }
#undef CASE
}
