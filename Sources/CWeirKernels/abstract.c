// Abstracts of parts of a lane: means of keys, and their products with a query.
#include "weir_abstract.h"

#include "attention.h"

enum { PARTS = WEIR_ATTENTION_LANES, DIM_MOST = 1024 };

void weir_abstract_mean(
    const weir_attention_kernels *kernels, const weir_kv_layout *layout, const uint8_t *const *blocks, int32_t head,
    int64_t first, int64_t count, float *abstracts, int64_t part) {
  int32_t size = layout->head_dim;
  float row[DIM_MOST], sum[DIM_MOST];
  for (int32_t d = 0; d < size; d++) sum[d] = 0;
  for (int64_t at = first; at < first + count; at++) {
    const uint8_t *key = blocks[at / layout->block_slots] + layout->key_offset + head * layout->key_head_stride +
                         at % layout->block_slots * layout->key_row_bytes;
    kernels->read(layout->key_type, key, size, row);
    for (int32_t d = 0; d < size; d++) sum[d] += row[d];
  }
  float *tile = abstracts + part / PARTS * PARTS * size + part % PARTS;
  for (int32_t d = 0; d < size; d++) tile[(int64_t)d * PARTS] = count > 0 ? sum[d] / (float)count : 0;
}

void weir_abstract_products(
    const weir_attention_kernels *kernels, const float *query, int32_t head_dim, const float *abstracts, int64_t parts,
    float *out) {
  weir_attention_tile tile = {.head_dim = head_dim, .padded = (head_dim + 15) / 16 * 16};
  for (int64_t at = 0; at < parts; at += PARTS) {
    // `score` only reads the keys of a tile.
    tile.keys = (float *)abstracts + at * head_dim;
    tile.next_keys = tile.next_values = (const uint8_t *)tile.keys;
    tile.lanes = parts - at < PARTS ? (int32_t)(parts - at) : PARTS;
    kernels->score(&tile, query, 1, out + at, PARTS);
  }
}
