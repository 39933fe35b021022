// Attention with AVX-512.
#if defined(__x86_64__)
#include "../targets.h"
#define WEIR_LANES 16
#define WEIR_ROW_TILE 8
#include "../attention.h"
#include "../kv_element.h"

WEIR_TARGET_PUSH(WEIR_TARGET_AVX512)
#include "../attention_body.h"
WEIR_TARGET_POP

const weir_attention_kernels weir_attention_avx512 = {
    load, update, merge, store, exponential, load_keys, score, read_row, softmax};
#endif
