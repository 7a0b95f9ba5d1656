/* Sums over whole arrays. */

/* Whether all n numbers are finite: x - x is 0 for those and NaN for the others. */
FASTNN_KERNEL int FN(all_finite)(const REAL *x, ptrdiff_t n)
{
    VEC sum[4];
    REAL lanes[PANEL_BYTES / sizeof(REAL)], total = 0;
    ptrdiff_t i = 0;
    FASTNN_UNROLL
    for (int c = 0; c < 4; c++) sum[c] = FN(splat)((REAL)0);
    FASTNN_NO_UNROLL
    for (; i + 4 * VL <= n; i += 4 * VL) {
        FASTNN_UNROLL
        for (int c = 0; c < 4; c++)
            sum[c] += FN(load_any)(x + i + c * VL) - FN(load_any)(x + i + c * VL);
    }
    for (; i + VL <= n; i += VL) sum[0] += FN(load_any)(x + i) - FN(load_any)(x + i);
    for (; i < n; i++) total += x[i] - x[i];
    sum[0] += sum[1] + sum[2] + sum[3];
    memcpy(lanes, &sum[0], sizeof sum[0]);
    for (i = 0; i < VL; i++) total += lanes[i];
    return total == 0;
}

/* The sum of the squares of n numbers, a multiple of VL: in four chains of vectors for each
 * block of 64 vectors, whose sums are added in double. */
FASTNN_KERNEL double FN(sum_squares)(const REAL *x, ptrdiff_t n)
{
    double total = 0;
    for (ptrdiff_t first = 0; first < n; first += 64 * VL) {
        const ptrdiff_t end = n - first < 64 * VL ? n : first + 64 * VL;
        ptrdiff_t i = first;
        VEC sum[4];
        REAL lanes[PANEL_BYTES / sizeof(REAL)];
        FASTNN_UNROLL
        for (int c = 0; c < 4; c++) sum[c] = FN(splat)((REAL)0);
        FASTNN_NO_UNROLL
        for (; i + 4 * VL <= end; i += 4 * VL) {
            FASTNN_UNROLL
            for (int c = 0; c < 4; c++)
                sum[c] += FN(load)(x + i + c * VL) * FN(load)(x + i + c * VL);
        }
        for (; i < end; i += VL) sum[0] += FN(load)(x + i) * FN(load)(x + i);
        sum[0] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
        memcpy(lanes, &sum[0], sizeof sum[0]);
        for (ptrdiff_t j = 0; j < VL; j++) total += lanes[j];
    }
    return total;
}

/* Twelve independent chains of multiply-adds, to measure a core's peak. They begin with what no
 * compiler knows: of known numbers, one that 0.999 x + 0.001 leaves alone was moved out of the
 * loop. */
FASTNN_KERNEL double FN(peak_loop)(ptrdiff_t turns, REAL *sink)
{
    VEC acc[12], c = FN(splat)((REAL)0.999), x = FN(splat)((REAL)1e-3);
    FASTNN_UNROLL
    for (int i = 0; i < 12; i++) acc[i] = FN(splat)(*sink + (REAL)i);
    FASTNN_NO_UNROLL
    for (ptrdiff_t t = 0; t < turns; t++) {
        FASTNN_UNROLL
        for (int i = 0; i < 12; i++) acc[i] = acc[i] * c + x;
    }
    for (int i = 1; i < 12; i++) acc[0] += acc[i];
    memcpy(sink, &acc[0], sizeof(REAL));
    return 12.0 * (double)turns * (double)VL;
}
