// Choice of the table for attention.
#include "attention.h"

const weir_attention_kernels *weir_attention_kernels_for(weir_isa isa) {
  if (!weir_isa_available(isa)) return NULL;
  switch (isa) {
#if defined(__x86_64__)
    case WEIR_ISA_AVX2: return &weir_attention_avx2;
    case WEIR_ISA_AVX512:
    case WEIR_ISA_VNNI: return &weir_attention_avx512;
#elif defined(__aarch64__)
    case WEIR_ISA_NEON: return &weir_attention_neon;
#endif
    default: return &weir_attention_scalar;
  }
}
