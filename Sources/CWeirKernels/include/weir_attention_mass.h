// How much attention each key got: a second pass over queries and keys, for policies that ask for it.
#ifndef WEIR_ATTENTION_MASS_H
#define WEIR_ATTENTION_MASS_H
#include "weir_attention.h"

/// How rows become one number per key. Rows are taken in ascending order, so it does not matter in how many calls.
typedef struct weir_mass_tally {
  int32_t first_row;  // rows before it are left out
  float decay;        // what was there is multiplied by it before a row is added
  bool maximum;       // the largest value instead of the sum
} weir_mass_tally;

/// The rows of one sequence, which have just written the newest keys of its lanes, in consecutive positions.
typedef struct weir_attention_mass {
  const float *query;  // [rows, heads * head_dim], after the rotary embedding
  int64_t query_stride;
  int32_t rows, first_position;
  const uint8_t *const *blocks;
  const weir_kv_lane *lanes;  // [kv_heads]
  weir_kv_layout layout;
  int32_t heads;  // a multiple of layout.kv_heads
  float scale, softcap;
  int32_t window;
  const weir_mass_tally *tallies;
  int32_t tally_count;
  float *out;  // tally t of KV head h: [keys] at out + h * lane_stride + t * tally_stride
  int64_t lane_stride, tally_stride;
} weir_attention_mass;

/// Adds each row's probabilities (exact softmax over the keys it sees, mean over the query heads of a KV head) to every
/// tally. One task per KV head.
void weir_attention_mass_add(
    weir_pool *pool, const weir_attention_kernels *kernels, const weir_attention_mass *call);

/// Reads `count` keys of one KV head as f32: [count, head_dim].
void weir_read_keys(
    const weir_attention_kernels *kernels, const weir_kv_layout *layout, const uint8_t *const *blocks, int32_t head, int64_t count, float *out);

#endif
