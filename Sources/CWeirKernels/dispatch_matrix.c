// Choice of the table for matrix products.
#include "matrix.h"

const weir_matrix_kernels *weir_matrix_kernels_for(weir_isa isa) {
  if (!weir_isa_available(isa)) return NULL;
  switch (isa) {
    default: return &weir_matrix_scalar;
  }
}
