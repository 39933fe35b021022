// Row operations with AVX2.
#if defined(__x86_64__)
#include "../targets.h"
#define WEIR_LANES 8
#include "../rowops.h"

WEIR_TARGET_PUSH(WEIR_TARGET_AVX2)
#include "../rowops_body.h"
WEIR_TARGET_POP

const weir_row_kernels weir_row_avx2 = {rms_norm, layer_norm, add, scale, gate, softcap, rope};
#endif
