// Row operations with the Advanced SIMD instructions of arm64.
#if defined(__aarch64__)
#define WEIR_LANES 4
#include "../rowops.h"
#include "../rowops_body.h"

const weir_row_kernels weir_row_neon = {rms_norm, layer_norm, add, scale, gate, softcap, rope};
#endif
