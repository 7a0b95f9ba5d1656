/* The vector code for one real type. simd.h includes it once for float and once for double.
 *
 * Layout: lanes are samples. A chunk of a batch is cut into tiles of 1 to TILE_VECTORS vectors
 * of samples. The activations of one layer and one tile are a block [feature][width], with
 * width = vectors x VL; tiles follow each other, so a layer of a chunk is contiguous. Odd layer
 * widths need no remainder code; only the last samples of a chunk do: absent samples repeat the
 * last row, and their deltas are zero.
 *
 * Coefs are packed in panels of PW outputs, [ceil(N/PW)][K][PW], followed by a row of
 * intercepts. Forward and delta broadcast them against streams of samples. A sample's sum over
 * features is one chain in one order, whatever the width of its tile, so a value never depends
 * on the position of its sample. */

#ifdef FASTNN_FLOAT
#define REAL float
#define BITS int32_t
#define UBITS uint32_t
#define FN(name) FASTNN_CONCAT(name, _f32)
#else
#define REAL double
#define BITS int64_t
#define UBITS uint64_t
#define FN(name) FASTNN_CONCAT(name, _f64)
#endif

#define PW ((ptrdiff_t)(PANEL_BYTES / sizeof(REAL)))
#define VEC FN(vec)
#define IVEC FN(ivec)
#define UVEC FN(uvec)

#include "vector.h"
#include "math.h"
#include "activations.h"
#include "dense.h"
#include "sparse.h"
#include "gradients.h"
#include "losses.h"
#include "noise.h"
#include "solvers.h"
#include "nets.h"
#include "sums.h"
#ifndef FASTNN_FLOAT
#include "second_order.h"
#endif

#undef REAL
#undef BITS
#undef UBITS
#undef FN
#undef PW
#undef VEC
#undef IVEC
#undef UVEC
#undef VL
#undef BLOCK
#undef ROUND_MAGIC
#undef LN2_HIGH
#undef LN2_LOW
#undef EXP_MAX
#undef EXP_MIN
#undef SIGMOID_MIN
#undef TABLE_BITS
#undef NORMAL_K
#undef TANH_MAX
#undef MANTISSA
#undef TINY
#undef LARGEST
#undef HUGE_VALUE
#undef EPSILON
#undef BY_VECTORS
#undef SUPERBLOCK
#undef PANEL_VECTORS
#undef PANEL_SIZE
