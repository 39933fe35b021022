// Internal: the tables of row operations.
#ifndef WEIR_ROWOPS_INTERNAL_H
#define WEIR_ROWOPS_INTERNAL_H
#include "weir_rows.h"

extern const weir_row_kernels weir_row_scalar;
#if defined(__x86_64__)
extern const weir_row_kernels weir_row_avx2;
extern const weir_row_kernels weir_row_avx512;
#endif
#if defined(__aarch64__)
extern const weir_row_kernels weir_row_neon;
#endif

#endif
