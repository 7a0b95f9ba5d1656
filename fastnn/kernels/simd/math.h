/* exp, sigmoid, tanh, log and the normal distribution of vectors. */

/* Cody and Waite (1980): x = n ln 2 + r with ln 2 in two parts, e^r = 1 + r + r^2 q(r), e^x by
 * adding n to the exponent. q is the Chebyshev interpolant of (e^r - 1 - r) / r^2 on |r| <=
 * ln(2)/2 (1 + 2^-10), computed in 60 digits: 5 nodes for float (error of e^r 1.0e-8 relative),
 * 10 for double (1.7e-17). NaN passes through everything. No branch depends on data. */
#ifdef FASTNN_FLOAT
#define ROUND_MAGIC 12582912.0f              /* 1.5 * 2^23: adding it rounds to a whole number */
#define LN2_HIGH 0.693359375f
#define LN2_LOW -2.12194440e-4f
#define EXP_MAX 88.7228317f                  /* the last float below 128 ln 2 */
#define EXP_MIN -87.3365402f                 /* the first float above -126 ln 2 */
#define SIGMOID_MIN -88.9f
#define NORMAL_K 3.33333333f
#define TANH_MAX 20.0f                       /* tanh(x) is 1 to the last bit from x = 10 */
#define MANTISSA 23
#define TINY 1.17549435e-38f
#define LARGEST 3.40282347e+38f
#define HUGE_VALUE HUGE_VALF
#define EPSILON 1.1920928955078125e-07f
#else
#define ROUND_MAGIC 6755399441055744.0       /* 1.5 * 2^52 */
#define LN2_HIGH 6.93147180369123816490e-01
#define LN2_LOW 1.90821492927058770002e-10
#define EXP_MAX 709.782712893383973
#define EXP_MIN -708.396418532264106
#define SIGMOID_MIN -709.9
#define NORMAL_K 5.5
#define TANH_MAX 44.0
#define MANTISSA 52
#define TINY 2.2250738585072014e-308
#define LARGEST 1.7976931348623157e+308
#define HUGE_VALUE HUGE_VAL
#define EPSILON 2.220446049250313e-16
#endif

/* a / b for 0 < b, where a square root keeps the divider busy: with AVX-512 by an inverse of half
 * the digits and what the quotient leaves over, 0.55 ULP. Infinite b give 0, as they should:
 * inverse(the largest number) is below the normal ones, which training takes for 0. */
FASTNN_INLINE VEC FN(divide)(VEC a, VEC b)
{
#if defined(__AVX512F__) && !defined(FASTNN_PLAIN) && !defined(FASTNN_NO_INTRINSICS)
    const VEC finite = FN(min)(FN(splat)((REAL)LARGEST), b);
    const VEC r = FN(inverse)(finite), quotient = a * r;
    return quotient + r * (a - finite * quotient);
#else
    return a / b;
#endif
}

/* The functions below process `count` vectors in step, operation by operation: one vector alone
 * is a chain of about 25 operations, each of which waits for the one before. */
#define EACH FASTNN_UNROLL for (int i = 0; i < count; i++)

/* q(r), r and n (shifted to the exponent's place) for EXP_MIN <= x <= EXP_MAX. */
FASTNN_INLINE void FN(exp_parts)(const int count, const VEC *x, VEC *q, VEC *r, IVEC *n)
{
    const VEC magic = FN(splat)((REAL)ROUND_MAGIC);
    EACH q[i] = x[i] * FN(splat)((REAL)1.44269504088896340736) + magic;
    EACH r[i] = q[i] - magic;
#ifdef FASTNN_PLAIN
    /* C does not define left shifts of negative numbers; unsigned shifts give the same bits */
    EACH n[i] = sizeof(REAL) == 4 ? (IVEC)((uint32_t)FN(bits)(q[i]) << MANTISSA)
                                  : (IVEC)((uint64_t)FN(bits)(q[i]) << MANTISSA);
#else
    EACH n[i] = FN(bits)(q[i]) << MANTISSA;
#endif
    EACH q[i] = x[i] - r[i] * FN(splat)((REAL)LN2_HIGH);
    EACH r[i] = q[i] - r[i] * FN(splat)((REAL)LN2_LOW);
#define FIRST(c) EACH q[i] = FN(splat)((REAL)c)
#define NEXT(c) EACH q[i] = q[i] * r[i] + FN(splat)((REAL)c)
#ifdef FASTNN_FLOAT
    FIRST(0.0013926249079586229595f);
    NEXT(0.0083632314812165317451f);
    NEXT(0.041666554223524584098f);
    NEXT(0.16666576674557560553f);
    NEXT(0.5f);
#else
    FIRST(2.5100470238808523288e-8);
    NEXT(2.7620198643234750489e-7);
    NEXT(2.7557268281679975787e-6);
    NEXT(0.000024801521064076527495);
    NEXT(0.00019841269863168477959);
    NEXT(0.0013888888917363077957);
    NEXT(0.0083333333333300388147);
    NEXT(0.04166666666662382856);
    NEXT(0.1666666666666666746);
    NEXT(0.50000000000000010311);
#endif
#undef FIRST
#undef NEXT
}

/* e^x, with x clamped to EXP_MIN .. EXP_MAX. */
FASTNN_INLINE void FN(exp_clamped)(const int count, VEC *x)
{
    const VEC one = FN(splat)((REAL)1);
    VEC q[GROUP], r[GROUP];
    IVEC n[GROUP];
    EACH x[i] = FN(max)(FN(splat)((REAL)EXP_MIN), FN(min)(FN(splat)((REAL)EXP_MAX), x[i]));
    FN(exp_parts)(count, x, q, r, n);
    EACH q[i] = q[i] * r[i] + one;
    EACH q[i] = q[i] * r[i] + one;
    EACH x[i] = FN(real)(FN(bits)(q[i]) + n[i]);
}

/* e^x for x <= EXP_MAX; 0 where the result would be below the smallest normal number. */
FASTNN_INLINE void FN(exp_falling)(const int count, VEC *x)
{
    const VEC low = FN(splat)((REAL)EXP_MIN);
    VEC y[GROUP];
    EACH y[i] = x[i];
    FN(exp_clamped)(count, y);
    EACH x[i] = FN(drop)(FN(less)(x[i], low), y[i]);
}

/* e^x; 0 where the result would be below the smallest normal number, infinity above the
 * largest. */
FASTNN_INLINE void FN(exp_group)(const int count, VEC *x)
{
    const VEC high = FN(splat)((REAL)EXP_MAX);
    VEC y[GROUP];
    EACH y[i] = x[i];
    FN(exp_falling)(count, y);
    EACH x[i] = FN(select)(FN(less)(high, x[i]), FN(splat)((REAL)HUGE_VALUE), y[i]);
}

FASTNN_INLINE VEC FN(exp_vec)(VEC x)
{
    FN(exp_group)(1, &x);
    return x;
}

/* 1 / (1 + e^-x); 0 for x < -EXP_MAX, where the true value is below the normal numbers. */
#ifdef TABLE_BITS
/* With powers of 2 in a register, e^-x = 2^(n + j / 2^TABLE_BITS) e^-t, and t is so small that
 * half the polynomial is enough for K e^-t (an interpolant as above, with relative errors
 * 2.3e-9 and 5.0e-18). The powers are divided by K, chosen so that each is within 0.3 ulp
 * (double: 0.13) of a number of the type and that K e^-t, between 1 and 2, rounds well: 2.2 ulp
 * in all, against 2.3 with exp_clamped. Below x = -128 ln 2 (double: -1024 ln 2) the product is
 * infinity. Multiply-adds bound this function: on Zen 4 a vector of floats takes 9.6 cycles
 * instead of 12.9, of doubles 14.4 instead of 19.0. */
FASTNN_INLINE void FN(sigmoid_group)(const int count, VEC *x)
{
    const VEC one = FN(splat)((REAL)1), magic = FN(splat)((REAL)(ROUND_MAGIC / (1 << TABLE_BITS)));
    VEC t[GROUP], p[GROUP];
    EACH x[i] = FN(max)(FN(splat)((REAL)SIGMOID_MIN), FN(min)(FN(splat)((REAL)80), x[i]));
    EACH p[i] = x[i] * FN(splat)((REAL)-1.44269504088896340736) + magic;
    EACH t[i] = p[i] - magic;
    EACH x[i] += t[i] * FN(splat)((REAL)LN2_HIGH);
    EACH t[i] = x[i] + t[i] * FN(splat)((REAL)LN2_LOW);
    EACH x[i] = FN(real)(FN(powers)(FN(bits)(p[i])) + (FN(bits)(p[i]) << (MANTISSA - TABLE_BITS)));
#define FIRST(c) EACH p[i] = FN(splat)((REAL)c)
#define NEXT(c) EACH p[i] = p[i] * t[i] + FN(splat)((REAL)c)
#ifdef FASTNN_FLOAT
    FIRST(-0.29812815839f);
    NEXT(0.89439498663f);
    NEXT(-1.78873741627f);
    NEXT(1.78873741627f);
#else
    FIRST(-0.00036558101255632939);
    NEXT(0.0025591005056026730);
    NEXT(-0.015353700754776024);
    NEXT(0.076768503711040292);
    NEXT(-0.30707401540971893);
    NEXT(0.92122204622917895);
    NEXT(-1.8424440924582914);
    NEXT(1.8424440924582914);
#endif
#undef FIRST
#undef NEXT
    EACH x[i] = one / (x[i] * p[i] + one);
}
#else
FASTNN_INLINE void FN(sigmoid_group)(const int count, VEC *x)
{
    const VEC one = FN(splat)((REAL)1);
    VEC y[GROUP];
    EACH y[i] = -x[i];
    FN(exp_clamped)(count, y);
    EACH y[i] = one / (one + y[i]);
    EACH x[i] = FN(drop)(FN(less)(x[i], FN(splat)((REAL)-EXP_MAX)), y[i]);
}
#endif

/* e^x - 1 = 2^n (r + r^2 q) + (2^n - 1) for |x| < EXP_MAX / 2, without the cancellation near 0. */
FASTNN_INLINE void FN(expm1_group)(const int count, VEC *x)
{
    const VEC one = FN(splat)((REAL)1);
    VEC q[GROUP], r[GROUP];
    IVEC n[GROUP];
    FN(exp_parts)(count, x, q, r, n);
    EACH q[i] = q[i] * r[i] * r[i] + r[i];
    EACH r[i] = FN(real)(n[i] + FN(bits)(one));
    EACH x[i] = r[i] * q[i] + (r[i] - one);
}

/* tanh|x| = m / (m + 2) with m = e^2|x| - 1, which keeps the relative accuracy near 0 that
 * 2 sigmoid(2x) - 1 loses; then the sign of x.
 *
 * Not monotone: from one number to the next tanh x may fall, by 1 ulp of the larger value at most,
 * and never falls further below a value before. Between 2^-14 and 20 0.5% of the steps to the next
 * float are down (0.07% of all floats), and 0.6% of those of 5e7 doubles between 2^-10 and 22. */
FASTNN_INLINE void FN(tanh_group)(const int count, VEC *x)
{
    const VEC zero = FN(splat)((REAL)0), one = FN(splat)((REAL)1);
    const IVEC sign = FN(bits)(-zero);
    VEC m[GROUP];
    EACH m[i] = FN(min)(FN(splat)((REAL)TANH_MAX), FN(real)(FN(bits)(x[i] + x[i]) & ~sign));
    FN(expm1_group)(count, m);
    EACH m[i] = m[i] / (m[i] + one + one);
    EACH x[i] = FN(real)(FN(bits)(m[i]) | (FN(bits)(x[i]) & sign));
}

/* q with 2 artanh s = s q for t = s^2, |s| < 0.172, by its series: 5 terms for float (error 2e-9
 * relative), 11 for double (1e-17). */
FASTNN_INLINE VEC FN(artanh_series)(VEC t)
{
#define NEXT(k) q = q * t + FN(splat)((REAL)(2.0 / (2 * k + 1)))
#ifdef FASTNN_FLOAT
    VEC q = FN(splat)((REAL)(2.0 / 9));
#else
    VEC q = FN(splat)((REAL)(2.0 / 21));
    NEXT(9); NEXT(8); NEXT(7); NEXT(6); NEXT(5); NEXT(4);
#endif
    NEXT(3); NEXT(2); NEXT(1); NEXT(0);
#undef NEXT
    return q;
}

/* log x for normal x > 0; NaN for NaN. x = 2^e m with m in [sqrt(1/2), sqrt 2), and log m =
 * 2 artanh s with s = (m - 1) / (m + 1), |s| < 0.172. */
FASTNN_INLINE VEC FN(log_vec)(VEC x)
{
    const VEC one = FN(splat)((REAL)1), magic = FN(splat)((REAL)ROUND_MAGIC);
    const IVEC half = FN(bits)(FN(splat)((REAL)0.70710678118654752440));
    const IVEC mantissa = FN(bits)(one) - FN(bits)(FN(splat)((REAL)0.5)); /* 1 << MANTISSA */
    const IVEC d = FN(bits)(x) - half;
    const VEC e = FN(real)(FN(bits)(magic) + (d >> MANTISSA)) - magic;
    const VEC m = FN(real)((d & (mantissa - 1)) + half);
    const VEC s = (m - one) / (m + one), q = FN(artanh_series)(s * s);
    return e * FN(splat)((REAL)LN2_HIGH) + (s * q + e * FN(splat)((REAL)LN2_LOW)) + (x - x);
}

/* log(1 + x) for 0 <= x <= 1 as x - s (x - R) with s = x / (2 + x) and R = 2 artanh(s) / s - 2
 * (as in fdlibm), so that the leading term is exact. R / s^2 is its Chebyshev interpolant on s^2 <=
 * 1/9, computed in 60 digits: 5 nodes for float (error of log(1 + x) 3.9e-10 relative), 10 for
 * double (4.9e-18). */
FASTNN_INLINE void FN(log1p_group)(const int count, VEC *x)
{
    VEC s[GROUP], t[GROUP], q[GROUP];
    EACH s[i] = x[i] / (x[i] + FN(splat)((REAL)2));
    EACH t[i] = s[i] * s[i];
#define FIRST(c) EACH q[i] = FN(splat)((REAL)c)
#define NEXT(c) EACH q[i] = q[i] * t[i] + FN(splat)((REAL)c)
#ifdef FASTNN_FLOAT
    FIRST(0.23224329224f);
    NEXT(0.21706575801f);
    NEXT(0.28592357994f);
    NEXT(0.39999706332f);
    NEXT(0.66666667321f);
#else
    FIRST(0.16164045611943532221);
    NEXT(0.088007384861446738822);
    NEXT(0.12001072809590712535);
    NEXT(0.1331414420965493615);
    NEXT(0.15385570064958623103);
    NEXT(0.18181789436132858169);
    NEXT(0.22222222717427862989);
    NEXT(0.28571428567108757162);
    NEXT(0.40000000000014582673);
    NEXT(0.66666666666666658561);
#endif
    EACH x[i] -= s[i] * (x[i] - t[i] * q[i]);
}

/* Phi(y) = erfc(-y / sqrt 2) / 2 for y <= 0, the standard normal distribution's tail, from e =
 * e^(-y^2 / 2): e / (K - y) times a polynomial of w = (K + y) / (K - y) (Schonfelder, Math. Comp.
 * 32, 1978), the Chebyshev interpolant of Phi(y) e^(y^2 / 2) (K - y) from where e is the smallest
 * normal number up to 0, computed in 60 digits: 10 nodes for float, K = 10/3 (error 4.2e-9
 * relative), 22 for double, K = 5.5 (7.5e-18). w keeps the terms small, 2.4 times their sum at
 * most (double: 4.0), where a polynomial of 1 / (K - y) has 12 times. */
FASTNN_INLINE void FN(normal_tail)(const int count, const VEC *y, const VEC *e, VEC *tail)
{
    const VEC k = FN(splat)((REAL)NORMAL_K);
    VEC w[GROUP], r[GROUP];
    EACH r[i] = FN(splat)((REAL)1) / (k - y[i]);
    EACH w[i] = (k + y[i]) * r[i];
    EACH r[i] *= e[i];
#undef FIRST
#undef NEXT
#define FIRST(c) EACH tail[i] = FN(splat)((REAL)c)
#define NEXT(c) EACH tail[i] = tail[i] * w[i] + FN(splat)((REAL)c)
#ifdef FASTNN_FLOAT
    FIRST(-0.00013561223881f);
    NEXT(0.00025852797139f);
    NEXT(0.00093457896874f);
    NEXT(-0.0019009224368f);
    NEXT(-0.0080773219692f);
    NEXT(0.0060538320997f);
    NEXT(0.092534229313f);
    NEXT(0.28849900864f);
    NEXT(0.54859829672f);
    NEXT(0.73990204388f);
#else
    FIRST(2.6013491487333842748e-9);
    NEXT(-5.7284834863226477133e-9);
    NEXT(-2.2906842090881906431e-8);
    NEXT(5.0415987571369432187e-8);
    NEXT(1.7742309493703738343e-7);
    NEXT(-2.67907852310451998e-7);
    NEXT(-1.4836426875354914489e-6);
    NEXT(4.4639137971164352513e-7);
    NEXT(0.000012118753690630753367);
    NEXT(0.000016319986542941115926);
    NEXT(-0.000071414795692969453894);
    NEXT(-0.00032452265910987579765);
    NEXT(-0.00026960401354250890777);
    NEXT(0.0024429826767521777165);
    NEXT(0.013923510567397066995);
    NEXT(0.045097580814584298715);
    NEXT(0.10970308995858995247);
    NEXT(0.21787243285797904842);
    NEXT(0.36704906529362424585);
    NEXT(0.53559648906249422376);
    NEXT(0.68518342057433806625);
    NEXT(0.77376963427640676905);
#endif
#undef FIRST
#undef NEXT
    EACH tail[i] *= r[i];
}
