// 256-bit vectors under the names that the bodies in this folder use. Included inside a target region.
#define WEIR_INLINE static inline __attribute__((always_inline))
typedef __m256i vint;
typedef __m256 vfloat;
enum { LANES = 8 };

WEIR_INLINE vint v_load(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }
WEIR_INLINE void v_store(void *p, vint v) { _mm256_storeu_si256((__m256i *)p, v); }
WEIR_INLINE vint v_set1(int32_t x) { return _mm256_set1_epi32(x); }
WEIR_INLINE vint v_zero(void) { return _mm256_setzero_si256(); }
WEIR_INLINE vint v_add(vint a, vint b) { return _mm256_add_epi32(a, b); }
WEIR_INLINE vint v_add_bytes(vint a, vint b) { return _mm256_add_epi8(a, b); }
WEIR_INLINE vint v_set1_byte(int x) { return _mm256_set1_epi8((char)x); }
WEIR_INLINE vint v_low_nibbles(vint v) { return _mm256_and_si256(v, _mm256_set1_epi8(15)); }
WEIR_INLINE vint v_high_nibbles(vint v) { return v_low_nibbles(_mm256_srli_epi16(v, 4)); }
WEIR_INLINE vint v_even_bytes(vint v) { return _mm256_and_si256(v, _mm256_set1_epi16(255)); }
WEIR_INLINE vint v_odd_bytes(vint v) { return _mm256_srli_epi16(v, 8); }
WEIR_INLINE vint v_madd(vint a, vint b) { return _mm256_madd_epi16(a, b); }
WEIR_INLINE vint v_round(vfloat v) { return _mm256_cvtps_epi32(v); }
WEIR_INLINE int32_t v_sum(vint v) {
  __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1)));
}
WEIR_INLINE vfloat v_float(vint v) { return _mm256_cvtepi32_ps(v); }

WEIR_INLINE vfloat vf_load(const float *p) { return _mm256_loadu_ps(p); }
WEIR_INLINE void vf_store(float *p, vfloat v) { _mm256_storeu_ps(p, v); }
WEIR_INLINE vfloat vf_set1(float x) { return _mm256_set1_ps(x); }
WEIR_INLINE vfloat vf_zero(void) { return _mm256_setzero_ps(); }
WEIR_INLINE vfloat vf_add(vfloat a, vfloat b) { return _mm256_add_ps(a, b); }
WEIR_INLINE vfloat vf_mul(vfloat a, vfloat b) { return _mm256_mul_ps(a, b); }
WEIR_INLINE vfloat vf_max(vfloat a, vfloat b) { return _mm256_max_ps(a, b); }
WEIR_INLINE vfloat vf_abs(vfloat a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
WEIR_INLINE float vf_largest(vfloat v) {
  __m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  m = _mm_max_ps(m, _mm_movehl_ps(m, m));
  return _mm_cvtss_f32(_mm_max_ss(m, _mm_shuffle_ps(m, m, 1)));
}
WEIR_INLINE vfloat vf_fma(vfloat a, vfloat b, vfloat c) { return _mm256_fmadd_ps(a, b, c); }
WEIR_INLINE vfloat vf_fnma(vfloat a, vfloat b, vfloat c) { return _mm256_fnmadd_ps(a, b, c); }
WEIR_INLINE vfloat vf_half(const void *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)); }
WEIR_INLINE vfloat vf_bfloat(const void *p) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)), 16));
}
WEIR_INLINE vfloat vf_int8(const void *p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p)));
}
WEIR_INLINE vfloat vf_uint8(const void *p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p)));
}
