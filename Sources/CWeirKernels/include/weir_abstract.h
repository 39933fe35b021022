// Abstracts: one vector for the keys of a part of a lane, and how near each is to a query.
#ifndef WEIR_ABSTRACT_H
#define WEIR_ABSTRACT_H
#include "weir_attention.h"
#include "weir_pool.h"

/// The abstracts of one lane are f32, 32 parts side by side: [parts / 32][length][32], so that a query is compared with
/// 32 of them at once. `abstracts` is 64-byte aligned or not; what lies behind the last part is read
/// up to its group of 32 and not used: there must be room for it.

/// Writes the mean of the keys in slots [first, first + count) as abstract number `part`; zeros if there are none.
void weir_abstract_mean(
    const weir_attention_kernels *kernels, const weir_kv_layout *layout, const uint8_t *const *blocks, int32_t head,
    int64_t first, int64_t count, float *abstracts, int64_t part);

/// Writes the largest and then the smallest value of each element of these keys, 2 * head_dim numbers: a query split
/// into its positive and negative elements has the product with them that no key of the part exceeds. The abstracts of
/// such a lane have twice the length everywhere.
void weir_abstract_bounds(
    const weir_attention_kernels *kernels, const weir_kv_layout *layout, const uint8_t *const *blocks, int32_t head,
    int64_t first, int64_t count, float *abstracts, int64_t part);

/// The raw product of `query` [length] with the first `parts` abstracts, into out [parts rounded up to 32].
void weir_abstract_products(
    const weir_attention_kernels *kernels, const float *query, int32_t length, const float *abstracts, int64_t parts,
    float *out);

/// How near the keys [0, slots) of a KV head are to `count` queries [count][head_dim], the nearest of which counts: with
/// `shares` by the share of attention that a query would spend on the key among these, else by the product times
/// `scale`. Keys are read where they lie. Both are those of attention with `softcap` (0: none).
///
/// The answer is [slots] floats in scratch memory of `thread`, which asks inside a task of the pool; good until it asks
/// for attention again.
const float *weir_key_nearness(
    weir_pool *pool, int32_t thread, const weir_attention_kernels *kernels, const weir_kv_layout *layout,
    const uint8_t *const *blocks, int32_t head, const float *query, int32_t count, int64_t slots, float scale,
    float softcap, bool shares);

#endif
