// Attention with the Advanced SIMD instructions of arm64.
#if defined(__aarch64__)
#define WEIR_LANES 4
#define WEIR_ROW_TILE 8
#include "../attention.h"
#include "../kv_element.h"
#include "../attention_body.h"

const weir_attention_kernels weir_attention_neon = {
    load, update, merge, store, exponential, load_keys, score, read_row, softmax};
#endif
