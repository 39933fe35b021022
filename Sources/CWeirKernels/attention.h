// Internal: the kernel table of attention. What differs per instruction set is here; schedule and masks are in
// attention.c.
#ifndef WEIR_ATTENTION_INTERNAL_H
#define WEIR_ATTENTION_INTERNAL_H
#include "weir_attention.h"

/// One tile as f32, in scratch memory.
typedef struct weir_attention_tile {
  float *keys;        // [head_dim][32]: transposed, lanes without a key are 0
  float *values;      // [32][padded head_dim]
  int32_t lanes;      // lanes that may hold keys: 1...32
  int32_t head_dim;   // exact
  int32_t padded;     // head_dim rounded up to 16: the row length of values and of state vectors
  float softcap;      // 0: none
  // Memory of a later tile, asked for line by line during `update` and `score` so that it arrives while scores are
  // computed.
  // Without one: any address, and steps of 0.
  const uint8_t *next_keys, *next_values;
  int64_t key_step, value_row, value_step;  // bytes per element of head_dim; per lane; per element of a value row
} weir_attention_tile;

/// States of `count` query vectors: what is needed to go on with a softmax-weighted sum.
typedef struct weir_attention_state {
  float *maximum;  // [count]
  float *weight;   // [count]
  float *values;   // [count][padded]
} weir_attention_state;

struct weir_attention_kernels {
  /// Converts the rows of a tile. Rows of lanes without a key point to zeros.
  void (*load)(
      const weir_attention_tile *tile, const weir_kv_layout *layout, const uint8_t *const *key_rows,
      const uint8_t *const *value_rows);
  /// Adds a tile to the states of `count` query vectors [count][head_dim] (already scaled); bit i of visible[r]: vector
  /// r sees lane i.
  void (*update)(
      const weir_attention_tile *tile, const float *query, const uint32_t *visible, int32_t count,
      const weir_attention_state *state);
  /// Adds `from` to `into`, for `count` vectors of `width` floats.
  void (*merge)(
      int64_t count, int32_t width, const weir_attention_state *into, int64_t stride, const weir_attention_state *from,
      int64_t from_stride);
  /// Converts `count` floats to a stored row.
  void (*store)(weir_kv_type type, const float *from, int32_t count, uint8_t *to);
  void (*exponential)(const float *x, int64_t count, float *y);
  /// `load` for keys alone.
  void (*load_keys)(
      const weir_attention_tile *tile, const weir_kv_layout *layout, const uint8_t *const *key_rows);
  /// Scores of `count` query vectors (already scaled), soft cap applied: lanes of the tile at out + r * stride.
  void (*score)(const weir_attention_tile *tile, const float *query, int32_t count, float *out, int64_t stride);
  /// Converts a stored row to `count` floats.
  void (*read)(weir_kv_type type, const uint8_t *from, int32_t count, float *to);
  /// Turns `count` scores into their softmax, in place.
  void (*softmax)(float *scores, int64_t count);
};

extern const weir_attention_kernels weir_attention_scalar;
#if defined(__x86_64__)
extern const weir_attention_kernels weir_attention_avx2;
extern const weir_attention_kernels weir_attention_avx512;
#endif
#if defined(__aarch64__)
extern const weir_attention_kernels weir_attention_neon;
#endif

#endif
