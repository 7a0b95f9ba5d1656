/* The kernels' C code: vector length and register tiles of each instruction set, and the
 * functions of simd/real.h for float and double (suffixes _f32, _f64). Nothing here uses
 * Python, allocates or fails.
 *
 * There are three ways to build, chosen by the compiler's macros:
 *   x86-64 and arm64 with GCC or Clang: vector extensions, with intrinsics for four functions that
 *     C cannot express portably (splat, min, max, sqrt);
 *   any other target of GCC or Clang: the same vectors, with loops or bit masks for these four;
 *   a compiler without vector extensions, or FASTNN_PLAIN: a "vector" is one number.
 * FASTNN_VECTOR_BYTES overrides the vector length, to test the layout of wider vectors on a CPU
 * that lacks them.
 */
#ifndef FASTNN_SIMD_H
#define FASTNN_SIMD_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if !defined(FASTNN_PLAIN) && !defined(__GNUC__)
#define FASTNN_PLAIN 1
#endif

#ifdef __GNUC__
#define FASTNN_INLINE static inline __attribute__((always_inline, unused))
#define FASTNN_KERNEL static __attribute__((noinline, unused))
#elif defined(_MSC_VER)
#define FASTNN_INLINE static __forceinline
#define FASTNN_KERNEL static
#else
#define FASTNN_INLINE static inline
#define FASTNN_KERNEL static
#endif

#ifdef __GNUC__
#define FASTNN_PREFETCH(address) __builtin_prefetch(address)
#else
#define FASTNN_PREFETCH(address) ((void)(address))
#endif

/* Inner loops of fixed length must unroll completely, or accumulators leave the registers; the
 * loop over the reduction must not unroll, or the register allocator spills. */
#if defined(__clang__)
#define FASTNN_UNROLL _Pragma("clang loop unroll(full)")
#define FASTNN_NO_UNROLL _Pragma("clang loop unroll(disable)")
#elif defined(__GNUC__)
#define FASTNN_UNROLL _Pragma("GCC unroll 16")
#define FASTNN_NO_UNROLL _Pragma("GCC unroll 1")
#else
#define FASTNN_UNROLL
#define FASTNN_NO_UNROLL
#endif

/* Vector length, and register tiles that fill the register file without spilling: TILE_ROWS x
 * TILE_VECTORS accumulators for forward and delta, GRAD_ROWS x GRAD_PANELS panels of 64 bytes
 * for wide gradients (HALF_ROWS x half a panel if the other half is padding), 4 x LANE_COLUMNS
 * for narrow ones. */
#if defined(FASTNN_PLAIN)
#define FASTNN_TARGET "plain"
#define TILE_ROWS 4
#define TILE_VECTORS 3
#define GRAD_ROWS 1
#elif defined(__AVX512F__)
#include <immintrin.h>
#define FASTNN_TARGET "avx512"
#define VECTOR_BYTES 64
#define TILE_ROWS 8
#define TILE_VECTORS 3
#define GRAD_ROWS 8
#define GRAD_PANELS 3
#define LANE_COLUMNS 4
#elif defined(__AVX2__)
#include <immintrin.h>
#define FASTNN_TARGET "avx2"
#define VECTOR_BYTES 32
#define TILE_ROWS 4
#define TILE_VECTORS 3
#define GRAD_ROWS 6
#define HALF_ROWS 12
#elif defined(__SSE2__)
#include <emmintrin.h>
#define FASTNN_TARGET "x86-64-v2"
#define VECTOR_BYTES 16
#define TILE_ROWS 4
#define TILE_VECTORS 2
#define GRAD_ROWS 3
#elif defined(__aarch64__)
#include <arm_neon.h>
#define FASTNN_TARGET "arm64"
#define VECTOR_BYTES 16
#define TILE_ROWS 8
#define TILE_VECTORS 3
#define GRAD_ROWS 6
#else
#define FASTNN_TARGET "generic vectors"
#define VECTOR_BYTES 16
#define TILE_ROWS 4
#define TILE_VECTORS 2
#define GRAD_ROWS 3
#endif

#if defined(FASTNN_VECTOR_BYTES) && !defined(FASTNN_PLAIN)
#undef VECTOR_BYTES
#undef FASTNN_TARGET
#define VECTOR_BYTES FASTNN_VECTOR_BYTES
/* rows of J J^T are taken by whole vectors, so at least as many as doubles in one */
#if VECTOR_BYTES / 8 > TILE_ROWS
#undef TILE_ROWS
#define TILE_ROWS (VECTOR_BYTES / 8)
#endif
#define FASTNN_TARGET "generic vectors"
#define FASTNN_NO_INTRINSICS 1
#endif

#if defined(__clang__)
#define FASTNN_COMPILER __VERSION__
#elif defined(__GNUC__)
#define FASTNN_COMPILER "GCC " __VERSION__
#else
#define FASTNN_COMPILER "unknown"
#endif

#ifndef GRAD_PANELS
#define GRAD_PANELS 1
#endif
#ifndef HALF_ROWS
#define HALF_ROWS GRAD_ROWS
#endif
#ifndef LANE_COLUMNS
#define LANE_COLUMNS 2
#endif

/* Samples of a tile whose lanes are networks, at most; units of it that are summed at a time, by 4
 * samples or by 4 others. */
#define NET_TILE 16
#if defined(__AVX512F__) || defined(__aarch64__)
#define NET_UNITS 4
#else
#define NET_UNITS 2
#endif

/* Layers from plain coefs: rows that share each load of coefs; vectors of outputs in registers
 * for one row alone, and for a sparse row, whose coefs are scattered; features a pass, so few
 * that their coefs stay in the caches for all rows, however wide the layer. */
#define BLOCK_ROWS 4
#define ROW_VECTORS 4
#define STORED_VECTORS 8
#define ROW_FEATURES 64

/* Outputs whose part of a delta is summed before the next are read: those of a tile, 12 KB for
 * AVX2, stay in the first-level cache. A test forces less. */
#ifndef DELTA_DEPTH
#define DELTA_DEPTH 128
#endif

/* Coefficients are packed in panels of 64 bytes of outputs whatever the instruction set. */
#define PANEL_BYTES 64

/* Vectors that exp, sigmoid and tanh process in step. On Zen 5 the sigmoid of one vector of
 * doubles takes 13.8 cycles alone, 11.6 in groups of four; narrower builds gain 20%, though
 * some values spill. */
#define GROUP 4

/* For codes that Python never passes: debug builds abort. */
#ifdef FASTNN_DEBUG
#include <stdio.h>
#include <stdlib.h>
#define FASTNN_UNREACHABLE(what)                                                                  \
    (fprintf(stderr, "fastnn: %s:%d: unknown %s\n", __FILE__, __LINE__, what), abort())
#else
#define FASTNN_UNREACHABLE(what) ((void)(what))
#endif

#include "simd/codes.h"

/* The numbers of one solver step. */
typedef struct {
    int solver;
    int n_states;     /* vectors of state, with the average if there is one */
    int first;        /* rprop: whether no step came before */
    int take_back;    /* rprop: whether steps that changed a gradient's sign are taken back */
    double rate;      /* with the corrections of set_rates */
    double grad_rate; /* nadam: of the gradient itself */
    double shrink;    /* adamw: share of a parameter that is taken off first */
    double average;   /* weight of the new parameters in their average; 0: there is none */
    double momentum, beta_1, beta_2, epsilon;
} solver_numbers;

/* NAdam's momentum of step t (Dozat, 2016, with PyTorch's decay of 0.004). */
FASTNN_INLINE double nadam_momentum(double beta_1, double t)
{
    return beta_1 * (1 - 0.5 * pow(0.96, 0.004 * t));
}

/* The rates of step t, 1 at the first, at a learning rate. */
FASTNN_INLINE void set_rates(solver_numbers *numbers, double rate, double t)
{
    numbers->rate = rate;
    numbers->grad_rate = 0;
    numbers->first = t == 1;
    if (numbers->solver == ADAM || numbers->solver == ADAMW)
        numbers->rate *= sqrt(1 - pow(numbers->beta_2, t)) / (1 - pow(numbers->beta_1, t));
    if (numbers->solver == NADAM) {
        const double now = nadam_momentum(numbers->beta_1, t);
        const double next = nadam_momentum(numbers->beta_1, t + 1);
        double product = t > 200 ? 0 : 1; /* each factor is below 0.52 until then */
        for (double i = 1; i <= t && i <= 200; i++) product *= nadam_momentum(numbers->beta_1, i);
        rate *= sqrt(1 - pow(numbers->beta_2, t));
        numbers->rate = rate * next / (1 - product * next);
        numbers->grad_rate = rate * (1 - now) / (1 - product);
    }
}

/* Keys of the generator in simd/noise.h: 64 bits in two halves. */
typedef struct {
    uint32_t first, second;
} noise_key;

/* The n-th key under another, by SplitMix64's mixer (Steele et al., 2014). */
FASTNN_INLINE noise_key noise_key_of(noise_key above, uint64_t n)
{
    uint64_t z = ((uint64_t)above.second << 32 | above.first) + (n + 1) * 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return (noise_key){(uint32_t)z, (uint32_t)(z >> 32)};
}

/* That of a layer, 0 the inputs, in a step. */
FASTNN_INLINE noise_key noise_key_of_layer(int64_t seed, int64_t step, int64_t layer)
{
    const noise_key zero = {0, 0};
    const noise_key of_step = noise_key_of(noise_key_of(zero, (uint64_t)seed), (uint64_t)step);
    return noise_key_of(of_step, (uint64_t)layer);
}

/* Number of vectors in the next tile: 3 3 3 ..., but 2 + 2 for the last 4. */
FASTNN_INLINE int tile_vectors(ptrdiff_t left)
{
    if (TILE_VECTORS == 3 && left == 4) return 2;
    return left < TILE_VECTORS ? (int)left : TILE_VECTORS;
}

/* n items in blocks of one size, a multiple of unit, about `limit` at most. */
FASTNN_INLINE ptrdiff_t even_block(ptrdiff_t n, ptrdiff_t limit, ptrdiff_t unit)
{
    const ptrdiff_t blocks = (n + limit - 1) / limit;
    return n <= limit ? n : ((n + blocks - 1) / blocks + unit - 1) / unit * unit;
}

#define FASTNN_CONCAT_(a, b) a##b
#define FASTNN_CONCAT(a, b) FASTNN_CONCAT_(a, b)

#define FASTNN_FLOAT 1
#include "simd/real.h"
#undef FASTNN_FLOAT
#include "simd/real.h"

/* Lanes of a vector and outputs of a panel, for _kernels.pyx. */
#ifdef FASTNN_PLAIN
enum { LANES_F32 = 1, LANES_F64 = 1 };
#else
enum { LANES_F32 = VECTOR_BYTES / 4, LANES_F64 = VECTOR_BYTES / 8 };
#endif
enum { PANEL_F32 = PANEL_BYTES / 4, PANEL_F64 = PANEL_BYTES / 8 };

/* Samples in the widest tile. */
#ifdef FASTNN_PLAIN
enum { MAX_TILE = TILE_VECTORS };
#else
enum { MAX_TILE = TILE_VECTORS * VECTOR_BYTES / 4 };
#endif

/* One name for both types, selected by the type that a pointer points to (C11). */
#define FASTNN_FOR(name, pointer) _Generic(*(pointer), float: name##_f32, double: name##_f64)
#define c_gather_rows(sources, width, first, end, out)                                            \
    FASTNN_FOR(gather_rows, out)(sources, width, first, end, out)
#define c_split_rows(rows, width, n_features, out)                                                \
    FASTNN_FOR(split_rows, out)(rows, width, n_features, out)
#define c_dense_forward(n_vectors, fan_in, fan_out, first, end, panel, coef, ...)                 \
    FASTNN_FOR(dense_forward, coef)                                                               \
    (n_vectors, fan_in, fan_out, first, end, panel, coef, __VA_ARGS__)
#define c_softmax_chunk(n_vectors, n, z) FASTNN_FOR(softmax_chunk, z)(n_vectors, n, z)
#define c_sparse_forward(n_samples, fan_in, fan_out, first, end, coef, ...)                       \
    FASTNN_FOR(sparse_forward, coef)(n_samples, fan_in, fan_out, first, end, coef, __VA_ARGS__)
#define c_rows_forward(n_rows, fan_in, fan_out, coef, ...)                                        \
    FASTNN_FOR(rows_forward, coef)(n_rows, fan_in, fan_out, coef, __VA_ARGS__)
#define c_stored_forward(n_rows, fan_in, fan_out, coef, ...)                                      \
    FASTNN_FOR(stored_forward, coef)(n_rows, fan_in, fan_out, coef, __VA_ARGS__)
#define c_propagate_delta(n_vectors, fan_in, fan_out, first, end, panel, coef, ...)               \
    FASTNN_FOR(propagate_delta, coef)                                                             \
    (n_vectors, fan_in, fan_out, first, end, panel, coef, __VA_ARGS__)
#define c_lane_gradient(n_vectors, fan_in, fan_out, first, end, fresh, x, ...)                    \
    FASTNN_FOR(lane_gradient, x)(n_vectors, fan_in, fan_out, first, end, fresh, x, __VA_ARGS__)
#define c_add_lanes(fan_out, first, end, sums, ...)                                               \
    FASTNN_FOR(add_lanes, sums)(fan_out, first, end, sums, __VA_ARGS__)
#define c_transpose_delta(n_vectors, fan_out, first, end, delta, out)                             \
    FASTNN_FOR(transpose_delta, delta)(n_vectors, fan_out, first, end, delta, out)
#define c_panel_gradient(n_vectors, n_samples, fan_in, fan_out, first, end, fresh, x, ...)        \
    FASTNN_FOR(panel_gradient, x)                                                                 \
    (n_vectors, n_samples, fan_in, fan_out, first, end, fresh, x, __VA_ARGS__)
#define c_sparse_gradient(n_vectors, n_samples, fan_out, first, end, fresh, values, ...)          \
    FASTNN_FOR(sparse_gradient, values)                                                           \
    (n_vectors, n_samples, fan_out, first, end, fresh, values, __VA_ARGS__)
#define c_panel_sums(n_vectors, first, end, fresh, delta, grad)                                   \
    FASTNN_FOR(panel_sums, delta)(n_vectors, first, end, fresh, delta, grad)
#define c_add(n, x, sum) FASTNN_FOR(add, sum)(n, x, sum)
#define c_loss_delta(n_samples, n_outputs, a, ...)                                                \
    FASTNN_FOR(loss_delta, a)(n_samples, n_outputs, a, __VA_ARGS__)
#define c_weighted_loss_delta(n_samples, n_outputs, a, ...)                                       \
    FASTNN_FOR(weighted_loss_delta, a)(n_samples, n_outputs, a, __VA_ARGS__)
#define c_dropout(n_vectors, fan_out, first, end, row, a, ...)                                    \
    FASTNN_FOR(dropout, a)(n_vectors, fan_out, first, end, row, a, __VA_ARGS__)
#define c_add_noise(n_vectors, n_features, first, end, row, x, ...)                               \
    FASTNN_FOR(add_noise, x)(n_vectors, n_features, first, end, row, x, __VA_ARGS__)
#define c_term_loss_delta(n_samples, n_outputs, a, ...)                                           \
    FASTNN_FOR(term_loss_delta, a)(n_samples, n_outputs, a, __VA_ARGS__)
#define c_solver_update(n, param, ...) FASTNN_FOR(solver_update, param)(n, param, __VA_ARGS__)
#define c_softmax_tile(z, n, width) FASTNN_FOR(softmax_tile, z)(z, n, width)
#define c_all_finite(x, n) FASTNN_FOR(all_finite, x)(x, n)
#define c_gradient_squares(n, param, ...)                                                         \
    FASTNN_FOR(gradient_squares, param)(n, param, __VA_ARGS__)
#define c_sum_squares(x, n) FASTNN_FOR(sum_squares, x)(x, n)
#define c_peak_loop(turns, sink) FASTNN_FOR(peak_loop, sink)(turns, sink)
#define c_nets_gather(n, count, present, table, ...)                                              \
    FASTNN_FOR(nets_gather, table)(n, count, present, table, __VA_ARGS__)
#define c_nets_forward(count, fan_in, fan_out, coef, ...)                                         \
    FASTNN_FOR(nets_forward, coef)(count, fan_in, fan_out, coef, __VA_ARGS__)
#define c_nets_delta(count, fan_in, fan_out, coef, ...)                                           \
    FASTNN_FOR(nets_delta, coef)(count, fan_in, fan_out, coef, __VA_ARGS__)
#define c_nets_gradient(count, fan_in, fan_out, x, ...)                                           \
    FASTNN_FOR(nets_gradient, x)(count, fan_in, fan_out, x, __VA_ARGS__)
#define c_nets_losses(count, n_outputs, a, ...)                                                   \
    FASTNN_FOR(nets_losses, a)(count, n_outputs, a, __VA_ARGS__)
#define c_nets_update(n, param, ...) FASTNN_FOR(nets_update, param)(n, param, __VA_ARGS__)
#define c_nets_numbers(from, numbers) FASTNN_FOR(nets_numbers, numbers)(from, numbers)
#define c_nets_squares(n, x, totals) FASTNN_FOR(nets_squares, x)(n, x, totals)
#define c_nets_finite(n, x, sums) FASTNN_FOR(nets_finite, x)(n, x, sums)
#define c_nets_copy(n, marks, x, out) FASTNN_FOR(nets_copy, x)(n, marks, x, out)
#define c_activate_array(x, out, n, activation)                                                   \
    FASTNN_FOR(activate_array, x)(x, out, n, activation)
#define c_derivative_array(x, out, n, activation)                                                 \
    FASTNN_FOR(derivative_array, x)(x, out, n, activation)

#endif
