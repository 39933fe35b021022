// Stored blocks of ggml's types, taken apart into integers: the one place that knows the file formats' bits.
#ifndef WEIR_STORED_BLOCKS_H
#define WEIR_STORED_BLOCKS_H
#include "half.h"
#include "weir_matrix.h"

/// One stored block (32 or 256 columns) as integers; see `weir_traits` for the formula.
typedef struct weir_block {
  uint16_t d, dmin;       // halves; dmin is 0 where the type has no minimum
  uint8_t code[256];
  int8_t sub[16];         // per group
  uint8_t submin[16];
} weir_block;

/// Takes a block of an integer type apart. Types Q8_0 and Q6_K are given unsigned codes (offset 128 and 32).
void weir_block_read(int32_t type, const uint8_t *source, weir_block *out);

/// The scales and minima of 32 columns (one or two groups) of row `r` of a packed panel whose scales are at `scales`.
void weir_block_scales(
    const weir_weights *weights, const uint8_t *scales, int64_t block, int r, float scale[2], float min[2]);

#endif
