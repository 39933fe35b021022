// Portable vectors: one body for every instruction set. The including file defines WEIR_LANES (floats in a register)
// and wraps the include in WEIR_TARGET_PUSH / WEIR_TARGET_POP.
#ifndef WEIR_VECTOR_MATH_H
#define WEIR_VECTOR_MATH_H
#include <math.h>
#include <stdint.h>
#include <string.h>

#pragma STDC FP_CONTRACT OFF
#define WEIR_INLINE static inline __attribute__((always_inline))
#define WEIR_UNROLL _Pragma("clang loop unroll(full)")

typedef float vf __attribute__((ext_vector_type(WEIR_LANES)));
typedef int32_t vi __attribute__((ext_vector_type(WEIR_LANES)));
typedef _Float16 vh __attribute__((ext_vector_type(WEIR_LANES)));
typedef int8_t vb __attribute__((ext_vector_type(WEIR_LANES)));
typedef uint8_t vn __attribute__((ext_vector_type(WEIR_LANES)));

WEIR_INLINE vf v_load(const void *p) {
  vf v;
  memcpy(&v, p, sizeof v);
  return v;
}
WEIR_INLINE void v_store(void *p, vf v) { memcpy(p, &v, sizeof v); }
WEIR_INLINE vf v_load_half(const void *p) {
  vh v;
  memcpy(&v, p, sizeof v);
  return __builtin_convertvector(v, vf);
}
WEIR_INLINE vf v_splat_half(const void *p) {
  _Float16 half;
  memcpy(&half, p, sizeof half);
  return (vf)(float)half;
}
WEIR_INLINE void v_store_half(void *p, vf v) {
  vh h = __builtin_convertvector(v, vh);
  memcpy(p, &h, sizeof h);
}
WEIR_INLINE vf v_load_bytes(const void *p) {
  vb v;
  memcpy(&v, p, sizeof v);
  return __builtin_convertvector(v, vf);
}
// Half bytes, the low ones of each byte or with a shift of 4 the high ones, less 8.
WEIR_INLINE vf v_load_nibbles(const void *p, int shift) {
  vn v;
  memcpy(&v, p, sizeof v);
  v = v >> (vn)(uint8_t)shift & (vn)(uint8_t)15;
  return __builtin_convertvector(v, vf) - (vf)8.0f;
}
WEIR_INLINE vf v_fma(vf a, vf b, vf c) { return __builtin_elementwise_fma(a, b, c); }
WEIR_INLINE vf v_max(vf a, vf b) { return a > b ? a : b; }
WEIR_INLINE vf v_min(vf a, vf b) { return a < b ? a : b; }
WEIR_INLINE vf v_abs(vf a) { return __builtin_elementwise_abs(a); }

// Sums and maxima over the lanes, always in the same tree.
#if WEIR_LANES == 16
typedef float vhalf8 __attribute__((ext_vector_type(8)));
#define WEIR_TREE(op)                                  \
  vhalf8 a = v.lo, b = v.hi;                           \
  vhalf8 c = op(a, b);                                 \
  typedef float q4 __attribute__((ext_vector_type(4))); \
  q4 d = op(c.lo, c.hi);                               \
  typedef float q2 __attribute__((ext_vector_type(2))); \
  q2 e = op(d.lo, d.hi);                               \
  return op(e.x, e.y);
#elif WEIR_LANES == 8
#define WEIR_TREE(op)                                  \
  typedef float q4 __attribute__((ext_vector_type(4))); \
  q4 d = op(v.lo, v.hi);                               \
  typedef float q2 __attribute__((ext_vector_type(2))); \
  q2 e = op(d.lo, d.hi);                               \
  return op(e.x, e.y);
#else
#define WEIR_TREE(op)                                  \
  typedef float q2 __attribute__((ext_vector_type(2))); \
  q2 e = op(v.lo, v.hi);                               \
  return op(e.x, e.y);
#endif
#define WEIR_PLUS(a, b) ((a) + (b))
#define WEIR_LARGER(a, b) ((a) > (b) ? (a) : (b))
WEIR_INLINE float v_sum(vf v) { WEIR_TREE(WEIR_PLUS) }
WEIR_INLINE float v_largest(vf v) { WEIR_TREE(WEIR_LARGER) }

// e^x for x <= 88; 0 for x < -87. Relative error below 2^-22 (tested): 2^n * p(r) with n = round(x / ln 2),
// |r| <= ln 2 / 2, and a polynomial of degree 6 whose own error is 3.3e-9. Exactly 1 at 0.
WEIR_INLINE vf v_exp(vf x) {
  vf clamped = v_min(v_max(x, (vf)-87.0f), (vf)88.0f);
  vf shifted = v_fma(clamped, (vf)1.44269504f, (vf)12582912.0f);  // 1.5 * 2^23: rounds to an integer in the low bits
  vf n = shifted - (vf)12582912.0f;
  vf r = v_fma(n, (vf)-0.693359375f, clamped);
  r = v_fma(n, (vf)2.12194440e-4f, r);
  vf p = v_fma((vf)1.3813142431899905e-3f, r, (vf)8.369418792426586e-3f);
  p = v_fma(p, r, (vf)4.166845604777336e-2f);
  p = v_fma(p, r, (vf)0.16666515171527863f);
  p = v_fma(p, r, (vf)0.4999999403953552f);
  p = v_fma(p, r * r, r) + (vf)1.0f;
  vi bits;
  memcpy(&bits, &shifted, sizeof bits);
  vi exponent = (bits - 0x4b400000 + 127) << 23;
  vf power;
  memcpy(&power, &exponent, sizeof power);
  return x < (vf)-87.0f ? (vf)0.0f : p * power;
}

// tanh with an absolute error below 2e-7.
WEIR_INLINE vf v_tanh(vf x) {
  vf e = v_exp(v_abs(x) * (vf)-2.0f);
  vf t = ((vf)1.0f - e) / ((vf)1.0f + e);
  return x < (vf)0.0f ? -t : t;
}

#endif
