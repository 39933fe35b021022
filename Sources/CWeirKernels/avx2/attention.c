// Attention with AVX2.
#if defined(__x86_64__)
#include "../targets.h"
#define WEIR_LANES 8
#define WEIR_ROW_TILE 4
#include "../attention.h"
#include "../kv_element.h"

WEIR_TARGET_PUSH(WEIR_TARGET_AVX2)
#include "../attention_body.h"
WEIR_TARGET_POP

const weir_attention_kernels weir_attention_avx2 = {
    load, update, merge, store, exponential, load_keys, score, read_row, softmax};
#endif
