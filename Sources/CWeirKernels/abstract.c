// Abstracts of parts of a lane: means or bounds of keys, and their products with a query.
#include "weir_abstract.h"

#include <string.h>

#include "attention_plan.h"

enum { PARTS = WEIR_ATTENTION_LANES, DIM_MOST = 1024 };

// Where the first number of an abstract lies; the others follow at distances of PARTS.
static float *abstract_at(float *abstracts, int64_t part, int64_t length) {
  return abstracts + part / PARTS * PARTS * length + part % PARTS;
}

void weir_abstract_mean(
    const weir_attention_kernels *kernels, const weir_kv_layout *layout, const uint8_t *const *blocks, int32_t head,
    int64_t first, int64_t count, float *abstracts, int64_t part) {
  int32_t size = layout->head_dim;
  float row[DIM_MOST], sum[DIM_MOST];
  for (int32_t d = 0; d < size; d++) sum[d] = 0;
  for (int64_t at = first; at < first + count; at++) {
    kernels->read(layout->key_type, weir_key_row(layout, blocks, head, at), size, row);
    for (int32_t d = 0; d < size; d++) sum[d] += row[d];
  }
  float *out = abstract_at(abstracts, part, size);
  for (int32_t d = 0; d < size; d++) out[(int64_t)d * PARTS] = count > 0 ? sum[d] / (float)count : 0;
}

void weir_abstract_bounds(
    const weir_attention_kernels *kernels, const weir_kv_layout *layout, const uint8_t *const *blocks, int32_t head,
    int64_t first, int64_t count, float *abstracts, int64_t part) {
  int32_t size = layout->head_dim;
  float row[DIM_MOST], high[DIM_MOST], low[DIM_MOST];
  for (int32_t d = 0; d < size; d++) high[d] = low[d] = 0;
  for (int64_t at = first; at < first + count; at++) {
    kernels->read(layout->key_type, weir_key_row(layout, blocks, head, at), size, row);
    for (int32_t d = 0; d < size; d++) {
      high[d] = at == first || row[d] > high[d] ? row[d] : high[d];
      low[d] = at == first || row[d] < low[d] ? row[d] : low[d];
    }
  }
  float *out = abstract_at(abstracts, part, 2 * (int64_t)size);
  for (int32_t d = 0; d < size; d++) {
    out[(int64_t)d * PARTS] = high[d];
    out[(int64_t)(size + d) * PARTS] = low[d];
  }
}

void weir_abstract_products(
    const weir_attention_kernels *kernels, const float *query, int32_t length, const float *abstracts, int64_t parts,
    float *out) {
  weir_attention_tile tile = {.head_dim = length, .padded = (length + 15) / 16 * 16};
  for (int64_t at = 0; at < parts; at += PARTS) {
    // `score` only reads the keys of a tile.
    tile.keys = (float *)abstracts + at * length;
    tile.next_keys = tile.next_values = (const uint8_t *)tile.keys;
    tile.lanes = parts - at < PARTS ? (int32_t)(parts - at) : PARTS;
    kernels->score(&tile, query, 1, out + at, PARTS);
  }
}

const float *weir_key_nearness(
    weir_pool *pool, int32_t thread, const weir_attention_kernels *kernels, const weir_kv_layout *layout,
    const uint8_t *const *blocks, int32_t head, const float *query, int32_t count, int64_t slots, float scale,
    float softcap, bool shares) {
  int64_t size = layout->head_dim, stride = (slots + 63) / 32 * 32;
  int64_t key_bytes = weir_rounded(size * PARTS * 4), zero_bytes = weir_rounded(size * 4 + 64);
  int64_t query_bytes = weir_rounded(count * size * 4);
  uint8_t *keys = weir_pool_scratch(
      pool, thread, WEIR_SCRATCH_TASK, key_bytes + zero_bytes + query_bytes + weir_rounded(count * stride * 4));
  uint8_t *zeros = keys + key_bytes;
  float *scaled = (float *)(zeros + zero_bytes), *scores = (float *)(zeros + zero_bytes + query_bytes);
  memset(zeros, 0, (size_t)(size * 4 + 64));
  for (int64_t d = 0; d < count * size; d++) scaled[d] = query[d] * scale;
  weir_attention_tile tile = {
      .keys = (float *)keys, .head_dim = (int32_t)size, .padded = (int32_t)((size + 15) / 16 * 16),
      .softcap = softcap, .next_keys = keys, .next_values = keys};
  weir_score_keys(kernels, layout, blocks, head, &tile, zeros, scaled, count, slots, scores, stride);
  for (int32_t r = 0; r < count; r++) {
    float *row = scores + r * stride;
    if (shares && slots > 0) kernels->softmax(row, slots);
    for (int64_t i = 0; r > 0 && i < slots; i++) scores[i] = row[i] > scores[i] ? row[i] : scores[i];
  }
  return scores;
}
