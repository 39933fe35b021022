// Attention on portable vectors; compiled once per instruction set. See vector_math.h for what the includer defines,
// and besides: WEIR_ROW_TILE (query vectors of the register tile).
#include "attention.h"
#include "kv_element.h"
#include "vector_math.h"

enum { VECTORS = 2, PASS = VECTORS * WEIR_LANES };

// ---- Loading a tile ----

// WEIR_LANES elements of a stored row from element `at`, a multiple of WEIR_LANES.
WEIR_INLINE vf load_elements(weir_kv_type type, const uint8_t *row, int32_t at) {
  if (type == WEIR_KV_F32) return v_load(row + 4 * (int64_t)at);
  if (type == WEIR_KV_F16) return v_load_half(row + 2 * (int64_t)at);
  const uint8_t *group = row + at / 32 * weir_kv_group_bytes(type);
  if (type == WEIR_KV_Q4_0) return v_load_nibbles(group + 2 + at % 16, at % 32 / 16 * 4) * v_splat_half(group);
  return v_load_bytes(group + 2 + at % 32) * v_splat_half(group);
}

#if WEIR_LANES == 16
#define ZIP_LOW 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define ZIP_HIGH 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
enum { ROUNDS = 4 };
#elif WEIR_LANES == 8
#define ZIP_LOW 0, 8, 1, 9, 2, 10, 3, 11
#define ZIP_HIGH 4, 12, 5, 13, 6, 14, 7, 15
enum { ROUNDS = 3 };
#else
#define ZIP_LOW 0, 4, 1, 5
#define ZIP_HIGH 2, 6, 3, 7
enum { ROUNDS = 2 };
#endif

// Transposes a square: a perfect shuffle of the rows, as often as there are bits in a row number.
WEIR_INLINE void transpose(vf rows[WEIR_LANES]) {
  WEIR_UNROLL for (int round = 0; round < ROUNDS; round++) {
    vf out[WEIR_LANES];
    WEIR_UNROLL for (int i = 0; i < WEIR_LANES / 2; i++) {
      vf a = rows[i], b = rows[i + WEIR_LANES / 2];
      out[2 * i] = __builtin_shufflevector(a, b, ZIP_LOW);
      out[2 * i + 1] = __builtin_shufflevector(a, b, ZIP_HIGH);
    }
    WEIR_UNROLL for (int i = 0; i < WEIR_LANES; i++) rows[i] = out[i];
  }
}

WEIR_INLINE void load_key_rows(
    weir_kv_type type, const weir_attention_tile *tile, const uint8_t *const *rows) {
  int32_t whole = tile->head_dim / WEIR_LANES * WEIR_LANES;
  for (int32_t lane = 0; lane < tile->lanes; lane += WEIR_LANES) {
    for (int32_t d = 0; d < whole; d += WEIR_LANES) {
      vf square[WEIR_LANES];
      WEIR_UNROLL for (int i = 0; i < WEIR_LANES; i++) square[i] = load_elements(type, rows[lane + i], d);
      transpose(square);
      WEIR_UNROLL for (int i = 0; i < WEIR_LANES; i++)
          v_store(tile->keys + (int64_t)(d + i) * WEIR_ATTENTION_LANES + lane, square[i]);
    }
    for (int32_t d = whole; d < tile->head_dim; d++)
      for (int i = 0; i < WEIR_LANES; i++)
        tile->keys[(int64_t)d * WEIR_ATTENTION_LANES + lane + i] = weir_kv_element(type, rows[lane + i], d);
  }
}

WEIR_INLINE void load_values(
    weir_kv_type type, const weir_attention_tile *tile, const uint8_t *const *rows) {
  int32_t whole = tile->head_dim / WEIR_LANES * WEIR_LANES;
  for (int32_t lane = 0; lane < tile->lanes; lane++) {
    float *out = tile->values + (int64_t)lane * tile->padded;
    for (int32_t d = 0; d < whole; d += WEIR_LANES) v_store(out + d, load_elements(type, rows[lane], d));
    for (int32_t d = whole; d < tile->padded; d++)
      out[d] = d < tile->head_dim ? weir_kv_element(type, rows[lane], d) : 0;
  }
}

static void load_keys(const weir_attention_tile *tile, const weir_kv_layout *layout, const uint8_t *const *key_rows) {
  switch (layout->key_type) {
    case WEIR_KV_F32: load_key_rows(WEIR_KV_F32, tile, key_rows); break;
    case WEIR_KV_F16: load_key_rows(WEIR_KV_F16, tile, key_rows); break;
    case WEIR_KV_Q8_0: load_key_rows(WEIR_KV_Q8_0, tile, key_rows); break;
    case WEIR_KV_Q4_0: load_key_rows(WEIR_KV_Q4_0, tile, key_rows); break;
  }
}

static void load(
    const weir_attention_tile *tile, const weir_kv_layout *layout, const uint8_t *const *key_rows,
    const uint8_t *const *value_rows) {
  load_keys(tile, layout, key_rows);
  switch (layout->value_type) {
    case WEIR_KV_F32: load_values(WEIR_KV_F32, tile, value_rows); break;
    case WEIR_KV_F16: load_values(WEIR_KV_F16, tile, value_rows); break;
    case WEIR_KV_Q8_0: load_values(WEIR_KV_Q8_0, tile, value_rows); break;
    case WEIR_KV_Q4_0: load_values(WEIR_KV_Q4_0, tile, value_rows); break;
  }
}

WEIR_INLINE void read_elements(const weir_kv_type type, const uint8_t *from, int32_t count, float *to) {
  int32_t whole = count / WEIR_LANES * WEIR_LANES;
  for (int32_t i = 0; i < whole; i += WEIR_LANES) v_store(to + i, load_elements(type, from, i));
  for (int32_t i = whole; i < count; i++) to[i] = weir_kv_element(type, from, i);
}

static void read_row(weir_kv_type type, const uint8_t *from, int32_t count, float *to) {
  switch (type) {
    case WEIR_KV_F32: read_elements(WEIR_KV_F32, from, count, to); break;
    case WEIR_KV_F16: read_elements(WEIR_KV_F16, from, count, to); break;
    case WEIR_KV_Q8_0: read_elements(WEIR_KV_Q8_0, from, count, to); break;
    case WEIR_KV_Q4_0: read_elements(WEIR_KV_Q4_0, from, count, to); break;
  }
}

// ---- Adding a tile to states ----

// Scores of R query vectors: every score is one chain of fused multiply-adds over the elements in ascending order.
WEIR_INLINE void scores(const int R, const weir_attention_tile *tile, const float *query, float *out) {
  int32_t size = tile->head_dim;
  for (int32_t lane = 0; lane < tile->lanes; lane += PASS) {
    vf sum[WEIR_ROW_TILE][VECTORS];
    WEIR_UNROLL for (int r = 0; r < R; r++) WEIR_UNROLL for (int v = 0; v < VECTORS; v++) sum[r][v] = (vf)0.0f;
    const float *key = tile->keys + lane;
    bool fetch = lane == 0 && tile->key_step != 0;
    for (int32_t d = 0; d < size; d++, key += WEIR_ATTENTION_LANES) {
      if (fetch) __builtin_prefetch(tile->next_keys + d * tile->key_step, 0, 2);
      vf k[VECTORS];
      WEIR_UNROLL for (int v = 0; v < VECTORS; v++) k[v] = v_load(key + v * WEIR_LANES);
      WEIR_UNROLL for (int r = 0; r < R; r++) {
        vf q = (vf)query[r * size + d];
        WEIR_UNROLL for (int v = 0; v < VECTORS; v++) sum[r][v] = v_fma(q, k[v], sum[r][v]);
      }
    }
    WEIR_UNROLL for (int r = 0; r < R; r++) WEIR_UNROLL for (int v = 0; v < VECTORS; v++)
        v_store(out + r * WEIR_ATTENTION_LANES + lane + v * WEIR_LANES, sum[r][v]);
  }
}

// Turns scores into weights exp(score - maximum), and returns the factor for what was summed before.
WEIR_INLINE float soften(
    const weir_attention_tile *tile, uint32_t visible, float *row, float *maximum, float *weight) {
  enum { PARTS = WEIR_ATTENTION_LANES / WEIR_LANES };
  vf s[PARTS];
  vi lane_bit;
  WEIR_UNROLL for (int i = 0; i < WEIR_LANES; i++) lane_bit[i] = 1 << i;
  WEIR_UNROLL for (int v = 0; v < PARTS; v++) {
    s[v] = v_load(row + v * WEIR_LANES);
    if (tile->softcap > 0) s[v] = (vf)tile->softcap * v_tanh(s[v] * (vf)(1.0f / tile->softcap));
    vi bits = (vi)(int32_t)(visible >> (v * WEIR_LANES));
    s[v] = (bits & lane_bit) != 0 ? s[v] : (vf)(-INFINITY);
  }
  vf top = s[0];
  WEIR_UNROLL for (int v = 1; v < PARTS; v++) top = v_max(top, s[v]);
  float largest = v_largest(top);
  largest = largest > *maximum ? largest : *maximum;
  vf total = (vf)0.0f;
  WEIR_UNROLL for (int v = 0; v < PARTS; v++) {
    vf p = v_exp(s[v] - (vf)largest);
    v_store(row + v * WEIR_LANES, p);
    total = total + p;
  }
  float correction = v_exp((vf)(*maximum - largest))[0];
  *weight = fmaf(*weight, correction, v_sum(total));
  *maximum = largest;
  return correction;
}

// values[r] = values[r] * correction[r] + sum over lanes of weight * value, lanes in ascending order.
WEIR_INLINE void accumulate_part(
    const int R, const int V, const weir_attention_tile *tile, const float *weights,
    const float *correction, float *values, int32_t d) {
  vf sum[WEIR_ROW_TILE][VECTORS];
  int32_t width = tile->padded;
  WEIR_UNROLL for (int r = 0; r < R; r++) WEIR_UNROLL for (int v = 0; v < V; v++)
      sum[r][v] = v_load(values + r * width + d + v * WEIR_LANES) * (vf)correction[r];
  const float *value = tile->values + d;
  const uint8_t *next = tile->next_values + d * tile->value_step;
  bool fetch = tile->value_row != 0 && (d * tile->value_step & 63) == 0;  // once per line
  for (int32_t lane = 0; lane < tile->lanes; lane++, value += width) {
    if (fetch) __builtin_prefetch(next + lane * tile->value_row, 0, 2);
    vf x[VECTORS];
    WEIR_UNROLL for (int v = 0; v < V; v++) x[v] = v_load(value + v * WEIR_LANES);
    WEIR_UNROLL for (int r = 0; r < R; r++) {
      vf p = (vf)weights[r * WEIR_ATTENTION_LANES + lane];
      WEIR_UNROLL for (int v = 0; v < V; v++) sum[r][v] = v_fma(p, x[v], sum[r][v]);
    }
  }
  WEIR_UNROLL for (int r = 0; r < R; r++) WEIR_UNROLL for (int v = 0; v < V; v++)
      v_store(values + r * width + d + v * WEIR_LANES, sum[r][v]);
}

WEIR_INLINE void update_rows(
    const int R, const weir_attention_tile *tile, const float *query, const uint32_t *visible, float *maximum,
    float *weight, float *values) {
  uint32_t any = 0;
  WEIR_UNROLL for (int r = 0; r < R; r++) any |= visible[r];
  if (any == 0) return;
  _Alignas(64) float weights[WEIR_ROW_TILE * WEIR_ATTENTION_LANES];
  float correction[WEIR_ROW_TILE];
  scores(R, tile, query, weights);
  for (int r = 0; r < R; r++)
    correction[r] = soften(tile, visible[r], weights + r * WEIR_ATTENTION_LANES, maximum + r, weight + r);
  int32_t d = 0;
  for (; d + PASS <= tile->padded; d += PASS)
    accumulate_part(R, VECTORS, tile, weights, correction, values, d);
  for (; d < tile->padded; d += WEIR_LANES) accumulate_part(R, 1, tile, weights, correction, values, d);
}

#define UPDATE(R)                                                                             \
  static __attribute__((noinline)) void update_##R(                                           \
      const weir_attention_tile *tile, const float *query, const uint32_t *visible,           \
      const weir_attention_state *state, int32_t at) {                                        \
    update_rows(                                                                              \
        R, tile, query + (int64_t)at * tile->head_dim, visible + at, state->maximum + at,     \
        state->weight + at, state->values + (int64_t)at * tile->padded);                      \
  }
UPDATE(1)
UPDATE(2)
UPDATE(3)
UPDATE(4)
#if WEIR_ROW_TILE > 4
UPDATE(5)
UPDATE(6)
UPDATE(7)
UPDATE(8)
#endif

static void update(
    const weir_attention_tile *tile, const float *query, const uint32_t *visible, int32_t count,
    const weir_attention_state *state) {
  weir_attention_tile quiet = *tile;  // later memory is asked for once
  quiet.next_keys = quiet.next_values = (const uint8_t *)tile->keys;
  quiet.key_step = quiet.value_row = quiet.value_step = 0;
  for (int32_t at = 0; at < count; at += WEIR_ROW_TILE, tile = &quiet) {
    switch (count - at) {
      case 1: update_1(tile, query, visible, state, at); break;
      case 2: update_2(tile, query, visible, state, at); break;
      case 3: update_3(tile, query, visible, state, at); break;
#if WEIR_ROW_TILE > 4
      case 4: update_4(tile, query, visible, state, at); break;
      case 5: update_5(tile, query, visible, state, at); break;
      case 6: update_6(tile, query, visible, state, at); break;
      case 7: update_7(tile, query, visible, state, at); break;
      default: update_8(tile, query, visible, state, at);
#else
      default: update_4(tile, query, visible, state, at);
#endif
    }
  }
}

// ---- Merging, storing ----

static void merge(
    int64_t count, int32_t width, const weir_attention_state *into, int64_t stride, const weir_attention_state *from,
    int64_t from_stride) {
  for (int64_t i = 0; i < count; i++) {
    float largest = into->maximum[i] > from->maximum[i] ? into->maximum[i] : from->maximum[i];
    float a = v_exp((vf)(into->maximum[i] - largest))[0], b = v_exp((vf)(from->maximum[i] - largest))[0];
    float *values = into->values + i * stride;
    const float *other = from->values + i * from_stride;
    int32_t d = 0;
    for (; d + WEIR_LANES <= width; d += WEIR_LANES)
      v_store(values + d, v_fma(v_load(other + d), (vf)b, v_load(values + d) * (vf)a));
    for (; d < width; d++) values[d] = fmaf(other[d], b, values[d] * a);
    into->weight[i] = fmaf(from->weight[i], b, into->weight[i] * a);
    into->maximum[i] = largest;
  }
}

static void store(weir_kv_type type, const float *from, int32_t count, uint8_t *to) {
  if (type == WEIR_KV_F32) {
    memcpy(to, from, (size_t)count * sizeof *from);
  } else if (type == WEIR_KV_F16) {
    int32_t i = 0;
    for (; i + WEIR_LANES <= count; i += WEIR_LANES) v_store_half(to + 2 * (int64_t)i, v_load(from + i));
    for (; i < count; i++) {
      uint16_t half = weir_kv_to_half(from[i]);
      memcpy(to + 2 * (int64_t)i, &half, sizeof half);
    }
  } else {
    for (int32_t i = 0; i < count; i += 32) weir_kv_store_group(type, from + i, to + i / 32 * weir_kv_group_bytes(type));
  }
}

static void exponential(const float *x, int64_t count, float *y) {
  for (int64_t i = 0; i < count; i++) y[i] = v_exp((vf)x[i])[0];
}

// ---- Probabilities ----

WEIR_INLINE void score_rows(
    const int R, const weir_attention_tile *tile, const float *query, float *out, int64_t stride) {
  _Alignas(64) float part[WEIR_ROW_TILE * WEIR_ATTENTION_LANES];
  scores(R, tile, query, part);
  for (int32_t i = 0; tile->softcap > 0 && i < R * WEIR_ATTENTION_LANES; i += WEIR_LANES) {
    vf x = v_load(part + i);
    v_store(part + i, (vf)tile->softcap * v_tanh(x * (vf)(1.0f / tile->softcap)));
  }
  for (int r = 0; r < R; r++)
    memcpy(out + r * stride, part + r * WEIR_ATTENTION_LANES, (size_t)tile->lanes * sizeof(float));
}

#define WEIR_SCORE(R)                                                                                              \
  static __attribute__((noinline)) void score_##R(                                                                 \
      const weir_attention_tile *tile, const float *query, float *out, int64_t stride) {                           \
    score_rows(R, tile, query, out, stride);                                                                       \
  }
WEIR_SCORE(1)
WEIR_SCORE(2)
WEIR_SCORE(3)
WEIR_SCORE(4)
#if WEIR_ROW_TILE > 4
WEIR_SCORE(5)
WEIR_SCORE(6)
WEIR_SCORE(7)
WEIR_SCORE(8)
#endif

static void score(const weir_attention_tile *tile, const float *query, int32_t count, float *out, int64_t stride) {
  weir_attention_tile quiet = *tile;  // later memory is asked for once
  quiet.key_step = 0;
  for (int32_t at = 0; at < count; at += WEIR_ROW_TILE, tile = &quiet) {
    const float *from = query + (int64_t)at * tile->head_dim;
    float *to = out + at * stride;
    switch (count - at) {
      case 1: score_1(tile, from, to, stride); break;
      case 2: score_2(tile, from, to, stride); break;
      case 3: score_3(tile, from, to, stride); break;
#if WEIR_ROW_TILE > 4
      case 4: score_4(tile, from, to, stride); break;
      case 5: score_5(tile, from, to, stride); break;
      case 6: score_6(tile, from, to, stride); break;
      case 7: score_7(tile, from, to, stride); break;
      default: score_8(tile, from, to, stride);
#else
      default: score_4(tile, from, to, stride);
#endif
    }
  }
}

static void softmax(float *values, int64_t count) {
  int64_t whole = count / WEIR_LANES * WEIR_LANES;
  vf top = (vf)WEIR_ATTENTION_EMPTY, total = (vf)0.0f, rest = (vf)WEIR_ATTENTION_EMPTY;
  memcpy(&rest, values + whole, (size_t)(count - whole) * sizeof(float));
  for (int64_t i = 0; i < whole; i += WEIR_LANES) top = v_max(top, v_load(values + i));
  vf largest = (vf)v_largest(v_max(top, rest));
  for (int64_t i = 0; i < whole; i += WEIR_LANES) {
    vf p = v_exp(v_load(values + i) - largest);
    v_store(values + i, p);
    total = total + p;
  }
  rest = v_exp(rest - largest);  // exactly 0 in lanes without a value
  vf factor = (vf)(1.0f / v_sum(total + rest));
  for (int64_t i = 0; i < whole; i += WEIR_LANES) v_store(values + i, v_load(values + i) * factor);
  rest = rest * factor;
  memcpy(values + whole, &rest, (size_t)(count - whole) * sizeof(float));
}
