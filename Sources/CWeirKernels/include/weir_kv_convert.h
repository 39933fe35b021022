// Stored K or V rows of one element type as rows of another.
#ifndef WEIR_KV_CONVERT_H
#define WEIR_KV_CONVERT_H
#include <stdint.h>

#include "weir_attention.h"

/// Bytes of one row of `head_dim` elements.
int64_t weir_kv_row_bytes(weir_kv_type type, int32_t head_dim);

/// Writes `rows` consecutive rows of `from_type` as consecutive rows of `to_type`; the ranges must not overlap.
///
/// Equal types: the same bits. To f32: exact. To f16: rounded to nearest even. To q8_0: as `weir_store_kv` stores.
/// `head_dim` must be a multiple of 32 where a side is q8_0.
void weir_kv_convert_rows(
    weir_kv_type from_type, const uint8_t *from, weir_kv_type to_type, uint8_t *to, int32_t head_dim, int64_t rows);

#endif
