// The digest with AVX2.
#if defined(__x86_64__)
#include "../digest.h"
#include "../targets.h"

#include <immintrin.h>

#define VECTOR __m256i
#define VECTORS 2
#define LOAD(p) _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define STORE(p, v) _mm256_storeu_si256((__m256i *)(void *)(p), v)
#define XOR _mm256_xor_si256
#define ADD _mm256_add_epi64
#define MULTIPLY32 _mm256_mul_epu32
#define SHIFT_RIGHT _mm256_srli_epi64
#define SHIFT_LEFT _mm256_slli_epi64
#define SWAP_LANES(v) _mm256_shuffle_epi32(v, 0x4E)
#define SPLAT(x) _mm256_set1_epi64x(x)

WEIR_TARGET_PUSH(WEIR_TARGET_AVX2)
#include "../x86/digest_body.h"
WEIR_TARGET_POP

const weir_digest_kernels weir_digest_avx2 = {digest};
#endif
