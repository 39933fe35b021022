// Stored KV elements in plain C: halves, and groups of 32 bytes or half bytes with a half scale.
#ifndef WEIR_KV_ELEMENT_H
#define WEIR_KV_ELEMENT_H
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "weir_attention.h"

static inline float weir_kv_float(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static inline uint32_t weir_kv_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

static inline float weir_kv_half(const uint8_t *p) {
  uint16_t half;
  memcpy(&half, p, sizeof half);
  uint32_t sign = (uint32_t)(half & 0x8000) << 16, magnitude = (uint32_t)(half & 0x7fff) << 13;
  if (magnitude >= 0x0f800000u) return weir_kv_float(sign | 0x7f800000u | (magnitude & 0x007fe000u));
  if (magnitude >= 0x00800000u) return weir_kv_float(sign | (magnitude + 0x38000000u));
  float tiny = (float)(half & 0x3ff) * 0x1p-24f;  // zero and subnormal halves
  return sign ? -tiny : tiny;
}

/// Rounds to nearest even, as the conversion instructions do.
static inline uint16_t weir_kv_to_half(float value) {
  uint32_t bits = weir_kv_bits(value), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return (uint16_t)(sign | 0x7e00 | (magnitude >> 13 & 0x3ff));
  if (magnitude >= 0x477ff000u) return (uint16_t)(sign | 0x7c00);
  if (magnitude < 0x38800000u) {
    // Adding 0.5 puts the rounded multiple of 2^-24 into the low bits of the sum.
    uint32_t rounded = weir_kv_bits(weir_kv_float(magnitude) + 0.5f) - 0x3f000000u;
    return (uint16_t)(sign | rounded);
  }
  uint32_t odd = magnitude >> 13 & 1;
  return (uint16_t)(sign | ((magnitude - 0x38000000u + 0xfff + odd) >> 13));
}

/// Bytes of 32 elements of a type that is stored in groups.
static inline int32_t weir_kv_group_bytes(weir_kv_type type) { return type == WEIR_KV_Q8_0 ? 34 : 18; }

/// Element `index` of a stored row.
static inline float weir_kv_element(weir_kv_type type, const uint8_t *row, int32_t index) {
  if (type == WEIR_KV_F32) {
    float value;
    memcpy(&value, row + 4 * (int64_t)index, sizeof value);
    return value;
  }
  if (type == WEIR_KV_F16) return weir_kv_half(row + 2 * (int64_t)index);
  const uint8_t *group = row + index / 32 * weir_kv_group_bytes(type);
  if (type == WEIR_KV_Q8_0) return weir_kv_half(group) * (float)(int8_t)group[2 + index % 32];
  int code = group[2 + index % 16] >> (index % 32 / 16 * 4) & 15;
  return weir_kv_half(group) * (float)(code - 8);
}

/// Stores 32 floats as half bytes: the scale takes the largest of them, with its sign, to code 0.
static inline void weir_kv_store_nibbles(const float *from, uint8_t *to) {
  float largest = 0;
  for (int i = 0; i < 32; i++) largest = fabsf(from[i]) > fabsf(largest) ? from[i] : largest;
  uint16_t half = weir_kv_to_half(largest / -8.0f);
  memcpy(to, &half, sizeof half);
  float scale = weir_kv_half(to), inverse = scale != 0 ? 1.0f / scale : 0;
  uint8_t codes[32];
  for (int i = 0; i < 32; i++) {
    float code = rintf(from[i] * inverse) + 8.0f;
    // Not a number becomes 0: the comparison is false for it.
    codes[i] = (uint8_t)(code > 15.0f ? 15.0f : code > 0.0f ? code : 0.0f);
  }
  for (int i = 0; i < 16; i++) to[2 + i] = (uint8_t)(codes[i] | codes[i + 16] << 4);
}

/// Stores 32 floats as bytes or half bytes with a half scale. The codes are rounded with the scale as it is stored.
static inline void weir_kv_store_group(weir_kv_type type, const float *from, uint8_t *to) {
  if (type == WEIR_KV_Q4_0) {
    weir_kv_store_nibbles(from, to);
    return;
  }
  float largest = 0;
  for (int i = 0; i < 32; i++) largest = fabsf(from[i]) > largest ? fabsf(from[i]) : largest;
  uint16_t half = weir_kv_to_half(largest / 127.0f);
  memcpy(to, &half, sizeof half);
  float scale = weir_kv_half(to), inverse = scale > 0 ? 1.0f / scale : 0;
  for (int i = 0; i < 32; i++) {
    float code = rintf(from[i] * inverse);
    code = code > 127.0f ? 127.0f : code < -127.0f ? -127.0f : code;
    to[2 + i] = (uint8_t)(int8_t)code;
  }
}

#endif
