/* Steps of the solvers. */

/* All on n numbers at any alignment, of which grad is the sum over the batch: the gradient is
 * scale * grad + decay * param (decay: the penalty alpha / batch). Velocities and moments below
 * the normal numbers become 0: they come from units that died, change nothing, and cost a
 * hundred cycles each. */
FASTNN_INLINE VEC FN(flush)(VEC x)
{
    const VEC size = FN(max)(x, -x);
    return FN(drop)(FN(less)(size, FN(splat)((REAL)TINY)), x);
}

/* v = momentum v - rate g; param += v, or with Nesterov's look-ahead momentum v - rate g
 * (Sutskever et al., 2013, in scikit-learn's arrangement). velocity NULL: plain descent. */
FASTNN_KERNEL void FN(sgd_update)(ptrdiff_t n, REAL *param, const REAL *grad, REAL *velocity,
                                  double rate, double momentum, int nesterov, double scale,
                                  double decay)
{
    const VEC step = FN(splat)((REAL)(rate * scale)), shrink = FN(splat)((REAL)(rate * decay));
    const VEC mu = FN(splat)((REAL)momentum);
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
    if (i < n) { /* the rest in full vectors of its own, so that it gets the same arithmetic */
        const size_t bytes = (size_t)(n - i) * sizeof(REAL);
        VEC p = FN(splat)((REAL)0), g = p, v = p;
        memcpy(&p, param + i, bytes);
        memcpy(&g, grad + i, bytes);
        if (velocity) memcpy(&v, velocity + i, bytes);
        FN(sgd_update)(VL, (REAL *)&p, (REAL *)&g, velocity ? (REAL *)&v : NULL, rate, momentum,
                       nesterov, scale, decay);
        memcpy(param + i, &p, bytes);
        if (velocity) memcpy(velocity + i, &v, bytes);
    }
}

/* Kingma and Ba (2015), algorithm 1 with the bias corrections folded into rate:
 * m = b1 m + (1-b1) g; v = b2 v + (1-b2) g^2; param -= rate m / (sqrt(v) + epsilon). */
FASTNN_KERNEL void FN(adam_update)(ptrdiff_t n, REAL *param, const REAL *grad, REAL *first,
                                   REAL *second, double rate, double beta_1, double beta_2,
                                   double epsilon, double scale, double decay)
{
    const VEC b1 = FN(splat)((REAL)beta_1), c1 = FN(splat)((REAL)(1 - beta_1));
    const VEC b2 = FN(splat)((REAL)beta_2), c2 = FN(splat)((REAL)(1 - beta_2));
    const VEC gs = FN(splat)((REAL)scale), ds = FN(splat)((REAL)decay);
    const VEC lr = FN(splat)((REAL)rate), eps = FN(splat)((REAL)epsilon);
    ptrdiff_t i = 0;
    for (; i + VL <= n; i += VL) {
        const VEC p = FN(load_any)(param + i);
        const VEC g = FN(load_any)(grad + i) * gs + p * ds;
        const VEC m = FN(flush)(b1 * FN(load_any)(first + i) + c1 * g);
        const VEC v = FN(flush)(b2 * FN(load_any)(second + i) + c2 * (g * g));
        FN(store_any)(first + i, m);
        FN(store_any)(second + i, v);
        FN(store_any)(param + i, p - lr * m / (FN(sqrt)(v) + eps));
    }
    if (i < n) {
        const size_t bytes = (size_t)(n - i) * sizeof(REAL);
        VEC p = FN(splat)((REAL)0), g = p, m = p, v = p;
        memcpy(&p, param + i, bytes);
        memcpy(&g, grad + i, bytes);
        memcpy(&m, first + i, bytes);
        memcpy(&v, second + i, bytes);
        FN(adam_update)(VL, (REAL *)&p, (REAL *)&g, (REAL *)&m, (REAL *)&v, rate, beta_1, beta_2,
                        epsilon, scale, decay);
        memcpy(param + i, &p, bytes);
        memcpy(first + i, &m, bytes);
        memcpy(second + i, &v, bytes);
    }
}
