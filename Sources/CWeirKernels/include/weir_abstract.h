// Abstracts: one vector for the keys of a part of a lane, and how near each is to a query.
#ifndef WEIR_ABSTRACT_H
#define WEIR_ABSTRACT_H
#include "weir_attention.h"

/// The abstracts of one lane are f32, 32 parts side by side: [parts / 32][head_dim][32], so that a query is compared with
/// 32 of them at once. `abstracts` is 64-byte aligned or not; what lies behind the last part is not read.

/// Writes the mean of the keys in slots [first, first + count) as abstract number `part`; zeros if there are none.
void weir_abstract_mean(
    const weir_attention_kernels *kernels, const weir_kv_layout *layout, const uint8_t *const *blocks, int32_t head,
    int64_t first, int64_t count, float *abstracts, int64_t part);

/// The raw product of `query` [head_dim] with the first `parts` abstracts, into out [parts rounded up to 32].
void weir_abstract_products(
    const weir_attention_kernels *kernels, const float *query, int32_t head_dim, const float *abstracts, int64_t parts,
    float *out);

#endif
