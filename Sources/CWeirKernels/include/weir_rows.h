// Operations on one row of f32: norms, activations, rotary embedding.
#ifndef WEIR_ROWS_H
#define WEIR_ROWS_H
#include "weir_features.h"

typedef enum weir_activation {
  WEIR_SILU = 0,
  WEIR_GELU_TANH = 1,
  WEIR_GELU = 2,
  WEIR_RELU = 3,
} weir_activation;

/// All sums run in an order fixed by `count` and the instruction set. `y` may be `x`.
typedef struct weir_row_kernels {
  /// y = x / sqrt(mean(x^2) + epsilon) * (weight, or weight + 1 with add_one)
  void (*rms_norm)(const float *x, int64_t count, const float *weight, float epsilon, bool add_one, float *y);
  /// y = (x - mean) / sqrt(variance + epsilon) * weight (+ bias unless NULL)
  void (*layer_norm)(const float *x, int64_t count, const float *weight, const float *bias, float epsilon, float *y);
  /// y += x
  void (*add)(const float *x, int64_t count, float *y);
  /// x *= factor
  void (*scale)(float *x, int64_t count, float factor);
  /// y = activation(g) * u
  void (*gate)(const float *g, const float *u, int64_t count, weir_activation activation, float *y);
  /// x = cap * tanh(x / cap)
  void (*softcap)(float *x, int64_t count, float cap);
  /// Rotates the first 2 * pairs elements of every head: pairs (2i, 2i+1) if interleaved, else (i, i + pairs).
  void (*rope)(
      float *x, int32_t heads, int32_t head_dim, int32_t pairs, bool interleaved, const float *cosine,
      const float *sine);
} weir_row_kernels;

/// The table of `isa`, or NULL if this processor cannot run it.
const weir_row_kernels *weir_row_kernels_for(weir_isa isa);

#endif
