// Row operations in plain C: the specification that the other instruction sets are tested against.
#include "../rowops.h"

#include <math.h>

#pragma STDC FP_CONTRACT OFF

static void rms_norm(const float *x, int64_t count, const float *weight, float epsilon, bool add_one, float *y) {
  float sum = 0;
  for (int64_t i = 0; i < count; i++) sum += x[i] * x[i];
  float factor = 1.0f / sqrtf(sum / (float)count + epsilon);
  for (int64_t i = 0; i < count; i++) y[i] = x[i] * factor * (add_one ? weight[i] + 1.0f : weight[i]);
}

static void layer_norm(
    const float *x, int64_t count, const float *weight, const float *bias, float epsilon, float *y) {
  float sum = 0, squares = 0;
  for (int64_t i = 0; i < count; i++) sum += x[i];
  float mean = sum / (float)count;
  for (int64_t i = 0; i < count; i++) squares += (x[i] - mean) * (x[i] - mean);
  float factor = 1.0f / sqrtf(squares / (float)count + epsilon);
  for (int64_t i = 0; i < count; i++) y[i] = (x[i] - mean) * factor * weight[i] + (bias ? bias[i] : 0.0f);
}

static void add(const float *x, int64_t count, float *y) {
  for (int64_t i = 0; i < count; i++) y[i] += x[i];
}

static void scale(float *x, int64_t count, float factor) {
  for (int64_t i = 0; i < count; i++) x[i] *= factor;
}

static float activate(float x, weir_activation activation) {
  switch (activation) {
    case WEIR_SILU: return x / (1.0f + expf(-x));
    case WEIR_GELU_TANH: return 0.5f * x * (1.0f + tanhf(0.7978845608f * (x + 0.044715f * x * x * x)));
    case WEIR_GELU: return 0.5f * x * (1.0f + erff(x * 0.7071067812f));
    case WEIR_RELU: return x > 0 ? x : 0;
  }
  return x;
}

static void gate(const float *g, const float *u, int64_t count, weir_activation activation, float *y) {
  for (int64_t i = 0; i < count; i++) y[i] = activate(g[i], activation) * u[i];
}

static void softcap(float *x, int64_t count, float cap) {
  for (int64_t i = 0; i < count; i++) x[i] = cap * tanhf(x[i] / cap);
}

static void rope(
    float *x, int32_t heads, int32_t head_dim, int32_t pairs, bool interleaved, const float *cosine,
    const float *sine) {
  for (int32_t h = 0; h < heads; h++, x += head_dim) {
    for (int32_t i = 0; i < pairs; i++) {
      int32_t first = interleaved ? 2 * i : i, second = interleaved ? 2 * i + 1 : i + pairs;
      float a = x[first], b = x[second];
      x[first] = a * cosine[i] - b * sine[i];
      x[second] = a * sine[i] + b * cosine[i];
    }
  }
}

const weir_row_kernels weir_row_scalar = {rms_norm, layer_norm, add, scale, gate, softcap, rope};
