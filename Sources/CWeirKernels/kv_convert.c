// See weir_kv_convert.h. Rows lie side by side, so a call is one loop over elements or over groups of 32.
#include "weir_kv_convert.h"

#include <string.h>

#include "kv_element.h"

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("avx,f16c"))) static int64_t widen_f16c(const uint8_t *from, uint8_t *to, int64_t count) {
  int64_t i = 0;
  for (; i + 8 <= count; i += 8)
    _mm256_storeu_ps((float *)(to + 4 * i), _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(from + 2 * i))));
  return i;
}

__attribute__((target("avx,f16c"))) static int64_t round_f16c(const uint8_t *from, uint8_t *to, int64_t count) {
  int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    __m128i half = _mm256_cvtps_ph(_mm256_loadu_ps((const float *)(from + 4 * i)), _MM_FROUND_TO_NEAREST_INT);
    _mm_storeu_si128((__m128i *)(to + 2 * i), half);
  }
  return i;
}

static int has_f16c(void) { return __builtin_cpu_supports("f16c") && __builtin_cpu_supports("avx"); }
#endif

// Returns how many elements were done.
static int64_t convert_fast(weir_kv_type from_type, const uint8_t *from, uint8_t *to, int64_t count) {
#if defined(__x86_64__)
  if (has_f16c()) return from_type == WEIR_KV_F16 ? widen_f16c(from, to, count) : round_f16c(from, to, count);
#endif
  (void)from_type, (void)from, (void)to, (void)count;
  return 0;
}

static inline void store_element(weir_kv_type type, uint8_t *row, int64_t index, float value) {
  if (type == WEIR_KV_F32) {
    memcpy(row + 4 * index, &value, sizeof value);
  } else {
    uint16_t half = weir_kv_to_half(value);
    memcpy(row + 2 * index, &half, sizeof half);
  }
}

int64_t weir_kv_row_bytes(weir_kv_type type, int32_t head_dim) {
  if (type == WEIR_KV_F32) return 4 * (int64_t)head_dim;
  return type == WEIR_KV_F16 ? 2 * (int64_t)head_dim : head_dim / 32 * (int64_t)weir_kv_group_bytes(type);
}

void weir_kv_convert_rows(
    weir_kv_type from_type, const uint8_t *from, weir_kv_type to_type, uint8_t *to, int32_t head_dim, int64_t rows) {
  int64_t count = rows * head_dim;
  if (from_type == to_type) {
    memcpy(to, from, (size_t)(rows * weir_kv_row_bytes(to_type, head_dim)));
    return;
  }
  if (from_type >= WEIR_KV_Q8_0 || to_type >= WEIR_KV_Q8_0) {
    int64_t from_bytes = weir_kv_row_bytes(from_type, 32), to_bytes = weir_kv_row_bytes(to_type, 32);
    for (int64_t group = 0; group < count / 32; group++) {
      float values[32];
      for (int i = 0; i < 32; i++) {
        values[i] = weir_kv_element(from_type, from + group * from_bytes, i);
      }
      if (to_type >= WEIR_KV_Q8_0) {
        weir_kv_store_group(to_type, values, to + group * to_bytes);
      } else {
        for (int i = 0; i < 32; i++) store_element(to_type, to, group * 32 + i, values[i]);
      }
    }
    return;
  }
  for (int64_t i = convert_fast(from_type, from, to, count); i < count; i++)
    store_element(to_type, to, i, from_type == WEIR_KV_F16 ? weir_kv_half(from + 2 * i) : weir_kv_float(
        (uint32_t)from[4 * i] | (uint32_t)from[4 * i + 1] << 8 | (uint32_t)from[4 * i + 2] << 16 |
        (uint32_t)from[4 * i + 3] << 24));
}
