// Attention over keys and values that lie in blocks, as exact partial results that can be merged (primitive P2).
//
// How a result comes to be, and why it does not depend on the call it is computed in:
// - Keys are numbered by their coordinate (the position, counted from 0). A tile is up to 32 keys, a span 256 keys;
//   both are counted from coordinate 0 and a tile never crosses a block. One row and head walks the tiles of a span in
//   order with a running maximum ("open" state); finished spans are added in order to a second state ("sum").
// - A span that is split between two groups at a block boundary is continued from the open state the first one left.
// - Masked keys have weight exactly 0 and tiles without visible keys change nothing, so it does not matter whether they
//   are computed, skipped or not there yet.
// Hence grouping, chunking, threads and the schedule (below) change no bit of a row's result.
#ifndef WEIR_ATTENTION_H
#define WEIR_ATTENTION_H
#include "weir_features.h"
#include "weir_pool.h"

enum {
  WEIR_ATTENTION_LANES = 32,  // most keys of a tile
  WEIR_ATTENTION_SPAN = 256,  // keys of a span, rounded down to whole tiles
  WEIR_ATTENTION_ROWS = 256,  // query vectors (rows times heads that share a KV head) of one task, about
};

typedef enum weir_kv_type {
  WEIR_KV_F32 = 0,
  WEIR_KV_F16 = 1,
  WEIR_KV_Q8_0 = 2,  // per 32 elements: little-endian half scale, then 32 signed bytes
  // Per 32 elements: little-endian half scale, then 16 bytes; element i is the low half of byte i, element i + 16 the high
  // half. A half h stands for (h - 8) * scale; the scale may be negative.
  WEIR_KV_Q4_0 = 3,
} weir_kv_type;

/// Where the rows of one layer lie in a block: part offset + head * head stride + slot * row bytes.
typedef struct weir_kv_layout {
  int32_t kv_heads, head_dim, block_slots;
  weir_kv_type key_type, value_type;
  int64_t key_offset, value_offset;            // from the start of a block to this layer's part
  int64_t key_row_bytes, value_row_bytes;      // one slot of one head
  int64_t key_head_stride, value_head_stride;  // from one head's slots to the next head's
} weir_kv_layout;

/// The keys of one KV head of a run whose heads hold different keys (retained lanes), ascending in position. The rows
/// that attend wrote the last `count - older` of them, in consecutive positions.
typedef struct weir_kv_lane {
  int32_t count;             // keys, at most the run's
  int32_t older;             // keys that were there before; every row may see them, unless they left its window
  int32_t shift;             // position minus index of the keys that are not older
  const int32_t *positions;  // [older]: position of each older key; NULL: index plus shift, or no window asks
  const int32_t *slots;      // [count]: slot of each key, ascending; NULL: key i lies in slot i
} weir_kv_lane;

/// Keys with consecutive coordinates `first`, `first + 1`, ... in consecutive slots of `blocks`.
typedef struct weir_kv_run {
  const uint8_t *const *blocks;
  int32_t first_slot;  // slot of the first key in blocks[0]
  int64_t count;       // keys
  int64_t first;       // coordinate of the first key
  const int32_t *positions;  // position of each key, or NULL: the coordinate
  const weir_kv_lane *lanes; // [kv_heads], or NULL: every KV head holds all keys. Then `first` and `first_slot` are 0
} weir_kv_run;

/// Rows that attend over the same run. Runs of one row are given in ascending order of their coordinates.
typedef struct weir_attention_group {
  const int32_t *rows;
  int32_t row_count;
  weir_kv_run run;
} weir_attention_group;

/// One call. A key is visible if its position is <= the row's (or `bidirectional`) and, with a window, greater than the
/// row's minus the window.
typedef struct weir_attention {
  const float *query;  // [rows, heads * head_dim]
  int64_t query_stride;
  const int32_t *row_positions;
  int32_t rows;
  const weir_attention_group *groups;
  int32_t group_count;
  weir_kv_layout layout;
  int32_t heads;  // a multiple of layout.kv_heads
  float scale, softcap;
  int32_t window;
  bool bidirectional;
  float *output;  // [rows, heads * head_dim]: weighted means, or weighted sums if `maximum` is given
  int64_t output_stride;
  float *maximum, *weight;  // NULL, or [rows, heads]: largest score, and sum of exp(score - maximum)
} weir_attention;

/// The maximum of a state that has seen no key. Finite, so that differences of maxima are never NaN.
#define WEIR_ATTENTION_EMPTY (-1e30f)

typedef struct weir_attention_kernels weir_attention_kernels;
/// The table of `isa`, or NULL if this processor cannot run it.
const weir_attention_kernels *weir_attention_kernels_for(weir_isa isa);

/// Runs a call on the pool. Rows without a visible key get zeros.
void weir_attend(weir_pool *pool, const weir_attention_kernels *kernels, const weir_attention *call);

/// Adds the partial result (maximum, weight, values[head_dim]) of `from` to `into`, for `count` vectors.
void weir_attention_merge(
    const weir_attention_kernels *kernels, int64_t count, int32_t head_dim, float *maximum, float *weight,
    float *values, int64_t stride, const float *from_maximum, const float *from_weight, const float *from_values,
    int64_t from_stride);

/// Writes rows of K or V (f32, [kv_heads * head_dim]) into slot `slot` of `block`.
void weir_store_kv(
    const weir_attention_kernels *kernels, const weir_kv_layout *layout, uint8_t *block, int32_t slot, const float *key,
    const float *value);

/// The same for KV head `head` alone: `key` and `value` are that head's rows.
void weir_store_kv_head(
    const weir_attention_kernels *kernels, const weir_kv_layout *layout, uint8_t *block, int32_t slot, int32_t head,
    const float *key, const float *value);

/// e^x as this instruction set computes it; for tests of its error.
void weir_exp_row(const weir_attention_kernels *kernels, const float *x, int64_t count, float *y);

#endif
