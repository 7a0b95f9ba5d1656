/* Steps of the solvers. */

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

/* ---- the step of one vector, a function a solver ---------------------------------------------- */

/* Numbers of a step: the same for all parameters, or one for each network in its lane. */
typedef struct {
    VEC rate, grad_rate, rest, momentum, beta_1, beta_2, own_1, own_2, epsilon;
} FN(step_numbers);

/* name_step(p, g, first, second, numbers): parameters p with gradients g after a step; first and
 * second are the solver's state, if it has that. Descent takes rate g for g. */

FASTNN_INLINE VEC FN(sgd_step)(VEC p, VEC g, VEC *first, VEC *second, const FN(step_numbers) *c)
{
    (void)first, (void)second, (void)c;
    return p - g;
}

/* v = momentum v - rate g; param += v, or with Nesterov's look-ahead momentum v - rate g
 * (Sutskever et al., 2013, in scikit-learn's arrangement) */
FASTNN_INLINE VEC FN(momentum_step)(VEC p, VEC g, VEC *first, VEC *second,
                                    const FN(step_numbers) *c)
{
    (void)second;
    *first = FN(flush)(c->momentum * *first - g);
    return p + *first;
}

FASTNN_INLINE VEC FN(nesterov_step)(VEC p, VEC g, VEC *first, VEC *second,
                                    const FN(step_numbers) *c)
{
    (void)second;
    *first = FN(flush)(c->momentum * *first - g);
    return p + (c->momentum * *first - g);
}

/* Adam (Kingma and Ba, 2015, algorithm 1) with the bias corrections folded into rate:
 * m = b1 m + (1-b1) g; v = b2 v + (1-b2) g^2; param -= rate m / (sqrt(v) + epsilon) */
FASTNN_INLINE VEC FN(adam_step)(VEC p, VEC g, VEC *first, VEC *second, const FN(step_numbers) *c)
{
    *first = FN(flush)(c->beta_1 * *first + c->own_1 * g);
    *second = FN(flush_positive)(c->beta_2 * *second + c->own_2 * (g * g));
    return p - FN(divide)(c->rate * *first, FN(sqrt)(*second) + c->epsilon);
}

/* AdamW (Loshchilov and Hutter, 2019): Adam, after param has shrunk */
FASTNN_INLINE VEC FN(adamw_step)(VEC p, VEC g, VEC *first, VEC *second, const FN(step_numbers) *c)
{
    return FN(adam_step)(p * c->rest, g, first, second, c);
}

/* NAdam (Dozat, 2016): Adam, whose m is rate m + grad_rate g */
FASTNN_INLINE VEC FN(nadam_step)(VEC p, VEC g, VEC *first, VEC *second, const FN(step_numbers) *c)
{
    *first = FN(flush)(c->beta_1 * *first + c->own_1 * g);
    *second = FN(flush_positive)(c->beta_2 * *second + c->own_2 * (g * g));
    return p - FN(divide)(c->rate * *first + c->grad_rate * g, FN(sqrt)(*second) + c->epsilon);
}

/* v = b2 v + (1-b2) g^2; param -= rate g / (sqrt(v) + epsilon) (Tieleman and Hinton, 2012) */
FASTNN_INLINE VEC FN(rmsprop_step)(VEC p, VEC g, VEC *first, VEC *second,
                                   const FN(step_numbers) *c)
{
    (void)second;
    *first = FN(flush_positive)(c->beta_2 * *first + c->own_2 * (g * g));
    return p - FN(divide)(c->rate * g, FN(sqrt)(*first) + c->epsilon);
}

/* ---- the steps of many ------------------------------------------------------------------------ */

/* n parameters, a multiple of VL; their gradient is scale * grad + decay * param. */
FASTNN_INLINE void FN(step_all)(const int solver, const int n_states, ptrdiff_t n, REAL *param,
                                const REAL *grad, REAL *states, ptrdiff_t stride,
                                const FN(step_numbers) *numbers, VEC scale, VEC decay)
{
    for (ptrdiff_t i = 0; i < n; i += VL) {
        VEC p = FN(load_any)(param + i), first = p, second = p;
        const VEC g = FN(load_any)(grad + i) * scale + p * decay;
        if (n_states > 0) first = FN(load_any)(states + i);
        if (n_states > 1) second = FN(load_any)(states + stride + i);
#define CASE(CODE, code, name, states)                                                            \
    case CODE: p = FN(name##_step)(p, g, &first, &second, numbers); break;
        switch (solver) {
        FASTNN_STEP_SOLVERS(CASE)
        default: FASTNN_UNREACHABLE("solver with a step"); break;
        }
#undef CASE
        if (n_states > 0) FN(store_any)(states + i, first);
        if (n_states > 1) FN(store_any)(states + stride + i, second);
        FN(store_any)(param + i, p);
    }
}

/* An epsilon that rounds to 0 would make 0 / 0 of parameters without a gradient, and of the padding,
 * which sum_squares and all_finite read: it is at least the smallest normal number. */
FASTNN_INLINE double FN(least_epsilon)(double epsilon) { return epsilon > TINY ? epsilon : TINY; }

/* The same numbers in every lane. */
FASTNN_INLINE void FN(splat_numbers)(FN(step_numbers) *to, const solver_numbers *from)
{
    to->rate = FN(splat)((REAL)from->rate);
    to->grad_rate = FN(splat)((REAL)from->grad_rate);
    to->rest = FN(splat)((REAL)(1 - from->shrink));
    to->momentum = FN(splat)((REAL)from->momentum);
    to->beta_1 = FN(splat)((REAL)from->beta_1);
    to->beta_2 = FN(splat)((REAL)from->beta_2);
    to->own_1 = FN(splat)((REAL)(1 - from->beta_1));
    to->own_2 = FN(splat)((REAL)(1 - from->beta_2));
    to->epsilon = FN(splat)((REAL)FN(least_epsilon)(from->epsilon));
}

/* name_update(n, param, grad, states, stride, numbers, scale, decay): one step of n parameters, a
 * multiple of VL, at any alignment. Their gradient is scale * grad + decay * param; the solver's
 * state vectors are `stride` apart. */
#define UPDATE(CODE, code, name, n_states)                                                        \
    FASTNN_KERNEL void FN(name##_update)(                                                         \
        ptrdiff_t n, REAL *param, const REAL *grad, REAL *states, ptrdiff_t stride,               \
        const solver_numbers *numbers, double scale, double decay)                                \
    {                                                                                             \
        const double rate = descends(CODE) ? numbers->rate : 1;                               \
        FN(step_numbers) own;                                                                     \
        FN(splat_numbers)(&own, numbers);                                                         \
        FN(step_all)(CODE, n_states, n, param, grad, states, stride, &own,                        \
                     FN(splat)((REAL)(rate * scale)), FN(splat)((REAL)(rate * decay)));           \
    }
FASTNN_STEP_SOLVERS(UPDATE)
#undef UPDATE

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
