// 512-bit vectors under the names that the bodies in this folder use. Included inside a target region.
#define WEIR_INLINE static inline __attribute__((always_inline))
typedef __m512i vint;
typedef __m512 vfloat;
enum { LANES = 16 };

WEIR_INLINE vint v_load(const void *p) { return _mm512_loadu_si512(p); }
WEIR_INLINE void v_store(void *p, vint v) { _mm512_storeu_si512(p, v); }
WEIR_INLINE vint v_set1(int32_t x) { return _mm512_set1_epi32(x); }
WEIR_INLINE vint v_zero(void) { return _mm512_setzero_si512(); }
WEIR_INLINE vint v_add(vint a, vint b) { return _mm512_add_epi32(a, b); }
WEIR_INLINE vint v_add_bytes(vint a, vint b) { return _mm512_add_epi8(a, b); }
WEIR_INLINE vint v_set1_byte(int x) { return _mm512_set1_epi8((char)x); }
WEIR_INLINE vint v_low_nibbles(vint v) { return _mm512_and_si512(v, _mm512_set1_epi8(15)); }
WEIR_INLINE vint v_high_nibbles(vint v) { return v_low_nibbles(_mm512_srli_epi16(v, 4)); }
WEIR_INLINE vint v_even_bytes(vint v) { return _mm512_and_si512(v, _mm512_set1_epi16(255)); }
WEIR_INLINE vint v_odd_bytes(vint v) { return _mm512_srli_epi16(v, 8); }
WEIR_INLINE vint v_madd(vint a, vint b) { return _mm512_madd_epi16(a, b); }
WEIR_INLINE vint v_round(vfloat v) { return _mm512_cvtps_epi32(v); }
WEIR_INLINE int32_t v_sum(vint v) { return _mm512_reduce_add_epi32(v); }
WEIR_INLINE vfloat v_float(vint v) { return _mm512_cvtepi32_ps(v); }

WEIR_INLINE vfloat vf_load(const float *p) { return _mm512_loadu_ps(p); }
WEIR_INLINE void vf_store(float *p, vfloat v) { _mm512_storeu_ps(p, v); }
WEIR_INLINE vfloat vf_set1(float x) { return _mm512_set1_ps(x); }
WEIR_INLINE vfloat vf_zero(void) { return _mm512_setzero_ps(); }
WEIR_INLINE vfloat vf_add(vfloat a, vfloat b) { return _mm512_add_ps(a, b); }
WEIR_INLINE vfloat vf_mul(vfloat a, vfloat b) { return _mm512_mul_ps(a, b); }
WEIR_INLINE vfloat vf_max(vfloat a, vfloat b) { return _mm512_max_ps(a, b); }
WEIR_INLINE vfloat vf_abs(vfloat a) { return _mm512_abs_ps(a); }
WEIR_INLINE float vf_largest(vfloat v) { return _mm512_reduce_max_ps(v); }
WEIR_INLINE vfloat vf_fma(vfloat a, vfloat b, vfloat c) { return _mm512_fmadd_ps(a, b, c); }
WEIR_INLINE vfloat vf_fnma(vfloat a, vfloat b, vfloat c) { return _mm512_fnmadd_ps(a, b, c); }
WEIR_INLINE vfloat vf_half(const void *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)); }
WEIR_INLINE vfloat vf_bfloat(const void *p) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p)), 16));
}
WEIR_INLINE vfloat vf_int8(const void *p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p)));
}
WEIR_INLINE vfloat vf_uint8(const void *p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p)));
}
