// Row operations on portable vectors; compiled once per instruction set. See vector_math.h for what the includer
// defines.
#include "rowops.h"
#include "vector_math.h"

enum { CHAINS = 4, STEP = CHAINS * WEIR_LANES };

// Elements [at, count) as a vector, the rest zero.
WEIR_INLINE vf load_tail(const float *x, int64_t at, int64_t count) {
  float lanes[WEIR_LANES] = {0};
  memcpy(lanes, x + at, (size_t)(count - at) * sizeof(float));
  return v_load(lanes);
}

WEIR_INLINE void store_tail(float *y, int64_t at, int64_t count, vf value) {
  float lanes[WEIR_LANES];
  v_store(lanes, value);
  memcpy(y + at, lanes, (size_t)(count - at) * sizeof(float));
}

// Sum of (x - shift), or of its squares, in four chains.
WEIR_INLINE float row_sum(const float *x, int64_t count, float shift, bool squares) {
  vf sum[CHAINS];
  WEIR_UNROLL for (int c = 0; c < CHAINS; c++) sum[c] = (vf)0.0f;
  int64_t i = 0;
  for (; i + STEP <= count; i += STEP)
    WEIR_UNROLL for (int c = 0; c < CHAINS; c++) {
      vf v = v_load(x + i + c * WEIR_LANES) - (vf)shift;
      sum[c] = squares ? v_fma(v, v, sum[c]) : sum[c] + v;
    }
  for (; i + WEIR_LANES <= count; i += WEIR_LANES) {
    vf v = v_load(x + i) - (vf)shift;
    sum[0] = squares ? v_fma(v, v, sum[0]) : sum[0] + v;
  }
  float total = v_sum((sum[0] + sum[1]) + (sum[2] + sum[3]));
  for (; i < count; i++) total += squares ? (x[i] - shift) * (x[i] - shift) : x[i] - shift;
  return total;
}

static void rms_norm(const float *x, int64_t count, const float *weight, float epsilon, bool add_one, float *y) {
  float factor = 1.0f / sqrtf(row_sum(x, count, 0, true) / (float)count + epsilon);
  float one = add_one ? 1.0f : 0.0f;
  for (int64_t i = 0; i < count; i++) y[i] = x[i] * factor * (weight[i] + one);
}

static void layer_norm(
    const float *x, int64_t count, const float *weight, const float *bias, float epsilon, float *y) {
  float mean = row_sum(x, count, 0, false) / (float)count;
  float factor = 1.0f / sqrtf(row_sum(x, count, mean, true) / (float)count + epsilon);
  if (bias)
    for (int64_t i = 0; i < count; i++) y[i] = (x[i] - mean) * factor * weight[i] + bias[i];
  else
    for (int64_t i = 0; i < count; i++) y[i] = (x[i] - mean) * factor * weight[i];
}

static void add(const float *x, int64_t count, float *y) {
  for (int64_t i = 0; i < count; i++) y[i] += x[i];
}

static void scale(float *x, int64_t count, float factor) {
  for (int64_t i = 0; i < count; i++) x[i] *= factor;
}

WEIR_INLINE vf activate(vf x, weir_activation activation) {
  if (activation == WEIR_SILU) return x / ((vf)1.0f + v_exp(-x));
  if (activation == WEIR_GELU_TANH) {
    vf inner = v_fma(x * x * x, (vf)0.044715f, x);
    return (vf)0.5f * x * ((vf)1.0f + v_tanh(inner * (vf)0.7978845608f));
  }
  if (activation == WEIR_RELU) return v_max(x, (vf)0.0f);
  float lanes[WEIR_LANES];
  v_store(lanes, x);
  for (int i = 0; i < WEIR_LANES; i++) lanes[i] = 0.5f * lanes[i] * (1.0f + erff(lanes[i] * 0.7071067812f));
  return v_load(lanes);
}

WEIR_INLINE void gate_all(const float *g, const float *u, int64_t count, weir_activation activation, float *y) {
  int64_t i = 0;
  for (; i + WEIR_LANES <= count; i += WEIR_LANES) v_store(y + i, activate(v_load(g + i), activation) * v_load(u + i));
  if (i < count) store_tail(y, i, count, activate(load_tail(g, i, count), activation) * load_tail(u, i, count));
}

static void gate(const float *g, const float *u, int64_t count, weir_activation activation, float *y) {
  switch (activation) {
    case WEIR_SILU: gate_all(g, u, count, WEIR_SILU, y); break;
    case WEIR_GELU_TANH: gate_all(g, u, count, WEIR_GELU_TANH, y); break;
    case WEIR_GELU: gate_all(g, u, count, WEIR_GELU, y); break;
    case WEIR_RELU: gate_all(g, u, count, WEIR_RELU, y); break;
  }
}

static void softcap(float *x, int64_t count, float cap) {
  int64_t i = 0;
  vf inverse = (vf)(1.0f / cap);
  for (; i + WEIR_LANES <= count; i += WEIR_LANES) v_store(x + i, (vf)cap * v_tanh(v_load(x + i) * inverse));
  if (i < count) store_tail(x, i, count, (vf)cap * v_tanh(load_tail(x, i, count) * inverse));
}

static void rope(
    float *x, int32_t heads, int32_t head_dim, int32_t pairs, bool interleaved, const float *restrict cosine,
    const float *restrict sine) {
  for (int32_t h = 0; h < heads; h++, x += head_dim) {
    if (interleaved) {
      for (int32_t i = 0; i < pairs; i++) {
        float a = x[2 * i], b = x[2 * i + 1];
        x[2 * i] = a * cosine[i] - b * sine[i];
        x[2 * i + 1] = a * sine[i] + b * cosine[i];
      }
    } else {
      for (int32_t i = 0; i < pairs; i++) {
        float a = x[i], b = x[i + pairs];
        x[i] = a * cosine[i] - b * sine[i];
        x[i + pairs] = a * sine[i] + b * cosine[i];
      }
    }
  }
}
