// 16-bit floats in plain C: exact to f32, rounded to nearest even from f32.
#ifndef WEIR_HALF_H
#define WEIR_HALF_H
#include <stdint.h>
#include <string.h>

static inline float weir_bits_float(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static inline uint32_t weir_float_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

static inline float weir_half_float(uint16_t half) {
  uint32_t sign = (uint32_t)(half & 0x8000) << 16;
  uint32_t exponent = (half >> 10) & 31, fraction = half & 1023;
  if (exponent == 31) return weir_bits_float(sign | 0x7f800000u | fraction << 13);
  if (exponent != 0) return weir_bits_float(sign | (exponent + 112) << 23 | fraction << 13);
  float tiny = (float)fraction * 0x1p-24f;  // zero and subnormal halves
  return sign ? -tiny : tiny;
}

static inline float weir_bfloat_float(uint16_t bits) { return weir_bits_float((uint32_t)bits << 16); }

static inline uint16_t weir_load16(const uint8_t *p) {
  uint16_t value;
  memcpy(&value, p, sizeof value);
  return value;
}

static inline void weir_store16(uint8_t *p, uint16_t value) { memcpy(p, &value, sizeof value); }

#endif
