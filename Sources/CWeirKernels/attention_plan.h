// Internal: how a call of attention is cut into tasks. Nothing in here changes a bit of the results.
#ifndef WEIR_ATTENTION_PLAN_H
#define WEIR_ATTENTION_PLAN_H
#include "attention.h"

/// Scratch slots of attention and of what asks like it: one for a call, one for the task that a thread runs.
enum { WEIR_SCRATCH_CALL = 6, WEIR_SCRATCH_TASK = 7 };

/// Bytes up to the next line of the cache.
static inline int64_t weir_rounded(int64_t bytes) { return (bytes + 63) / 64 * 64; }

/// What is decided about one group before its tasks run.
typedef struct weir_group_plan {
  int32_t wave;      // groups of a wave run at once; a row's groups are in ascending waves
  bool starts;       // no row was in an earlier group
  bool finishes;     // no row is in a later group
  bool by_span;      // tasks are parts of the run and leave one partial per span; otherwise each walks the whole run
  int32_t chunks;    // parts of the rows
  int32_t parts;     // parts of the run, if by_span
  int64_t first_tile, end_tile;  // tiles with keys that any row may see
  int64_t first_span, spans;
  int64_t partial;   // first partial vector of this group in the partial memory
  double work;       // key vectors times query vectors
} weir_group_plan;

typedef struct weir_attention_plan {
  const weir_attention *call;
  const weir_attention_kernels *kernels;
  weir_pool *pool;
  int32_t shared_heads;  // query heads per KV head
  int32_t chunk_rows;    // rows of a task
  int32_t padded;        // floats of a state vector
  int32_t tile_keys;
  int64_t span_tiles;
  int32_t waves;
  weir_group_plan *groups;
  // Between waves, [rows * heads]: sums over finished spans, and the span that may go on.
  weir_attention_state sum, open;
  int64_t *open_span;    // [rows]: the span of `open`, or -1
  weir_attention_state partial;
  int32_t wave;          // the wave that is running
  const uint8_t *zeros;  // a row of zeros, for lanes without a key
} weir_attention_plan;

/// Bytes of scratch memory of a plan, and the plan in it.
int64_t weir_attention_plan_bytes(const weir_attention *call);
/// Decides everything but the partial memory; returns the number of partial vectors.
int64_t weir_attention_plan_make(weir_attention_plan *plan, uint8_t *memory);

/// Keys of a tile: the largest divisor of the block size that fits, so that a tile never crosses a block.
int32_t weir_tile_keys(int32_t block_slots);

/// The stored key of a slot.
static inline const uint8_t *weir_key_row(
    const weir_kv_layout *layout, const uint8_t *const *blocks, int32_t head, int64_t slot) {
  return blocks[slot / layout->block_slots] + layout->key_offset + head * layout->key_head_stride +
         slot % layout->block_slots * layout->key_row_bytes;
}

/// Scores of `vectors` queries (already scaled) against keys [0, keys) of a KV head: those of vector r from
/// scores + r * stride on, where there is room for 32 more. `zeros` is a row of zeros.
void weir_score_keys(
    const weir_attention_kernels *kernels, const weir_kv_layout *layout, const uint8_t *const *blocks, int32_t head,
    weir_attention_tile *tile, const uint8_t *zeros, const float *query, int32_t vectors, int64_t keys, float *scores,
    int64_t stride);

/// First key of a retained lane whose position is at least `lowest`; may be below 0.
static inline int64_t weir_lane_first(const weir_kv_lane *lane, int64_t lowest) {
  int64_t newer = lowest - lane->shift;
  if (!lane->positions || newer >= lane->older) return newer;
  int64_t low = 0, high = lane->older;
  while (low < high) {
    int64_t middle = (low + high) / 2;
    if (lane->positions[middle] < lowest)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

static inline int64_t weir_state_bytes(int64_t count, int32_t padded) { return count * (padded + 2) * 4 + 128; }

/// A state of `count` vectors at `memory` (64-byte aligned).
static inline weir_attention_state weir_state_at(uint8_t *memory, int64_t count, int32_t padded) {
  weir_attention_state state;
  state.values = (float *)memory;
  state.maximum = state.values + count * padded;
  state.weight = state.maximum + count;
  return state;
}

static inline weir_attention_state weir_state_from(const weir_attention_state *state, int64_t first, int32_t padded) {
  return (weir_attention_state){
      state->maximum + first, state->weight + first, state->values + first * padded};
}

#endif
