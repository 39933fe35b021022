// Choice of the table for row operations.
#include "rowops.h"

const weir_row_kernels *weir_row_kernels_for(weir_isa isa) {
  if (!weir_isa_available(isa)) return NULL;
  switch (isa) {
#if defined(__x86_64__)
    case WEIR_ISA_AVX2: return &weir_row_avx2;
    case WEIR_ISA_AVX512:
    case WEIR_ISA_VNNI: return &weir_row_avx512;
#elif defined(__aarch64__)
    case WEIR_ISA_NEON: return &weir_row_neon;
#endif
    default: return &weir_row_scalar;
  }
}
