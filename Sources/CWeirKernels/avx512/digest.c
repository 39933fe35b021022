// The digest with AVX-512.
#if defined(__x86_64__)
#include "../digest.h"
#include "../targets.h"

#include <immintrin.h>

#define VECTOR __m512i
#define VECTORS 1
#define LOAD(p) _mm512_loadu_si512(p)
#define STORE(p, v) _mm512_storeu_si512(p, v)
#define XOR _mm512_xor_si512
#define ADD _mm512_add_epi64
#define MULTIPLY32 _mm512_mul_epu32
#define SHIFT_RIGHT _mm512_srli_epi64
#define SHIFT_LEFT _mm512_slli_epi64
#define SWAP_LANES(v) _mm512_shuffle_epi32(v, (_MM_PERM_ENUM)0x4E)
#define SPLAT(x) _mm512_set1_epi64(x)

WEIR_TARGET_PUSH(WEIR_TARGET_AVX512)
#include "../x86/digest_body.h"
WEIR_TARGET_POP

const weir_digest_kernels weir_digest_avx512 = {digest};
#endif
