// Choice of the table for matrix products.
#include "matrix.h"

const weir_matrix_kernels *weir_matrix_kernels_for(weir_isa isa) {
  if (!weir_isa_available(isa)) return NULL;
  switch (isa) {
#if defined(__x86_64__)
    case WEIR_ISA_AVX2: return &weir_matrix_avx2;
    case WEIR_ISA_AVX512: return &weir_matrix_avx512;
    case WEIR_ISA_VNNI: return &weir_matrix_vnni;
#endif
    default: return &weir_matrix_scalar;
  }
}
