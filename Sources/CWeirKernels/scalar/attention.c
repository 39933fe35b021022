// Attention in plain C: the specification that the other instruction sets are tested against.
#include "../attention.h"
#include "../kv_element.h"

#pragma STDC FP_CONTRACT OFF

static void load(
    const weir_attention_tile *tile, const weir_kv_layout *layout, const uint8_t *const *key_rows,
    const uint8_t *const *value_rows) {
  for (int lane = 0; lane < tile->lanes; lane++) {
    for (int d = 0; d < tile->padded; d++) {
      bool inside = d < tile->head_dim;
      tile->values[lane * tile->padded + d] = inside ? weir_kv_element(layout->value_type, value_rows[lane], d) : 0;
      if (inside) tile->keys[d * WEIR_ATTENTION_LANES + lane] = weir_kv_element(layout->key_type, key_rows[lane], d);
    }
  }
}

// Adds a tile to the state of one query vector.
static void update_one(
    const weir_attention_tile *tile, const float *query, uint32_t visible, float *maximum, float *weight,
    float *values) {
  float score[WEIR_ATTENTION_LANES];
  float largest = *maximum;
  for (int lane = 0; lane < tile->lanes; lane++) {
    float dot = 0;
    for (int d = 0; d < tile->head_dim; d++) dot += query[d] * tile->keys[d * WEIR_ATTENTION_LANES + lane];
    if (tile->softcap > 0) dot = tile->softcap * tanhf(dot / tile->softcap);
    score[lane] = visible >> lane & 1 ? dot : -INFINITY;
    if (score[lane] > largest) largest = score[lane];
  }
  float correction = expf(*maximum - largest), sum = 0;
  for (int d = 0; d < tile->padded; d++) values[d] *= correction;
  for (int lane = 0; lane < tile->lanes; lane++) {
    float p = expf(score[lane] - largest);
    sum += p;
    for (int d = 0; d < tile->padded; d++) values[d] += p * tile->values[lane * tile->padded + d];
  }
  *weight = *weight * correction + sum;
  *maximum = largest;
}

static void update(
    const weir_attention_tile *tile, const float *query, const uint32_t *visible, int32_t count,
    const weir_attention_state *state) {
  for (int32_t i = 0; i < count; i++) {
    if (visible[i] == 0) continue;
    update_one(
        tile, query + (int64_t)i * tile->head_dim, visible[i], state->maximum + i, state->weight + i,
        state->values + (int64_t)i * tile->padded);
  }
}

static void merge(
    int64_t count, int32_t width, const weir_attention_state *into, int64_t stride, const weir_attention_state *from,
    int64_t from_stride) {
  for (int64_t i = 0; i < count; i++) {
    float largest = into->maximum[i] > from->maximum[i] ? into->maximum[i] : from->maximum[i];
    float a = expf(into->maximum[i] - largest), b = expf(from->maximum[i] - largest);
    float *values = into->values + i * stride;
    const float *other = from->values + i * from_stride;
    for (int32_t d = 0; d < width; d++) values[d] = values[d] * a + other[d] * b;
    into->weight[i] = into->weight[i] * a + from->weight[i] * b;
    into->maximum[i] = largest;
  }
}

static void store(weir_kv_type type, const float *from, int32_t count, uint8_t *to) {
  if (type == WEIR_KV_F32) {
    memcpy(to, from, (size_t)count * sizeof *from);
  } else if (type == WEIR_KV_F16) {
    for (int32_t i = 0; i < count; i++) {
      uint16_t half = weir_kv_to_half(from[i]);
      memcpy(to + 2 * (int64_t)i, &half, sizeof half);
    }
  } else {
    for (int32_t i = 0; i < count; i += 32) weir_kv_store_group(type, from + i, to + i / 32 * weir_kv_group_bytes(type));
  }
}

static void exponential(const float *x, int64_t count, float *y) {
  for (int64_t i = 0; i < count; i++) y[i] = expf(x[i]);
}

static void load_keys(const weir_attention_tile *tile, const weir_kv_layout *layout, const uint8_t *const *key_rows) {
  for (int lane = 0; lane < tile->lanes; lane++)
    for (int d = 0; d < tile->head_dim; d++)
      tile->keys[d * WEIR_ATTENTION_LANES + lane] = weir_kv_element(layout->key_type, key_rows[lane], d);
}

static void score(const weir_attention_tile *tile, const float *query, int32_t count, float *out, int64_t stride) {
  for (int32_t r = 0; r < count; r++, query += tile->head_dim, out += stride) {
    for (int lane = 0; lane < tile->lanes; lane++) {
      float dot = 0;
      for (int d = 0; d < tile->head_dim; d++) dot += query[d] * tile->keys[d * WEIR_ATTENTION_LANES + lane];
      out[lane] = tile->softcap > 0 ? tile->softcap * tanhf(dot / tile->softcap) : dot;
    }
  }
}

static void read_row(weir_kv_type type, const uint8_t *from, int32_t count, float *to) {
  for (int32_t i = 0; i < count; i++) to[i] = weir_kv_element(type, from, i);
}

static void softmax(float *scores, int64_t count) {
  float largest = WEIR_ATTENTION_EMPTY, sum = 0;
  for (int64_t i = 0; i < count; i++) largest = scores[i] > largest ? scores[i] : largest;
  for (int64_t i = 0; i < count; i++) {
    scores[i] = expf(scores[i] - largest);
    sum += scores[i];
  }
  for (int64_t i = 0; i < count; i++) scores[i] /= sum;
}

const weir_attention_kernels weir_attention_scalar = {
    load, update, merge, store, exponential, load_keys, score, read_row, softmax};
