// Internal: packed activations, expanded panels and the kernel table of matrix products.
#ifndef WEIR_MATRIX_INTERNAL_H
#define WEIR_MATRIX_INTERNAL_H
#include "weir_matrix.h"

/// Activations of `tokens` tokens, quantised to 8 bits per 32 columns: x = scale * code, |code| <= 127.
///
/// Products start from integer sums that are off by 128 * (sum of codes) because weights are stored unsigned; `bias`
/// undoes it exactly. `min` parts hold scale * (sum of codes), what a weight's minimum is multiplied by.
typedef struct weir_tile {
  int32_t tokens;
  int64_t columns;
  uint8_t *codes;   // [columns/4][tokens][code_bytes]; 4: four int8; 8: int16 pairs (a0,a2),(a1,a3)
  float *scale;     // [columns/32][tokens]
  int32_t *bias32;  // [columns/32][tokens]: -128 * sum of 32 codes
  int32_t *bias16;  // [columns/16][tokens]
  float *min32;     // [columns/32][tokens]
  float *min16;     // [columns/16][tokens]
} weir_tile;

/// 32 weight rows with everything unpacked to bytes and floats, in scratch memory: what a pass over many tokens reads.
typedef struct weir_panel {
  int64_t columns;
  uint8_t *codes;  // [columns/4][32][4] unsigned: integer value + 128
  float *scale;    // [columns/group][32]
  float *min;      // [columns/group][32], where the type has minima
  // Packed bytes that the next panels will need: fetched while this tile computes, `ahead_step` bytes per 32 columns.
  const uint8_t *ahead, *ahead_end;
  int64_t ahead_step;
} weir_panel;

struct weir_matrix_kernels {
  int32_t code_bytes;   // bytes of four packed codes of one token
  int32_t tile_tokens;  // most tokens of an integer tile
  int32_t direct_tiles;  // up to so many tiles the packed form is unpacked anew for each; more are worth a copy
  int32_t float_tokens;  // most tokens of a float tile
  /// Quantises rows x[tokens][columns] into the tile.
  void (*quantize)(const float *x, int64_t stride, const weir_tile *tile);
  /// y[tokens][16 * panels] of panels [first, last), straight from packed integer weights.
  void (*direct)(
      const weir_weights *weights, int64_t first, int64_t last, const weir_tile *tile, const weir_product *product,
      int64_t first_token);
  /// Same for float weights; x is [columns][tokens].
  void (*floats)(
      const weir_weights *weights, int64_t first, int64_t last, const float *x, int32_t tokens,
      const weir_product *product, int64_t first_token);
  /// Writes panel `panel` (and the next, if there is one) of 16-bit float weights as f32 panels. NULL: not worth it.
  void (*widen)(const weir_weights *weights, int64_t panel, float *out);
  /// Unpacks panel `panel` (and the next, if there is one) into 32 rows. NULL: `direct` serves any number of tokens.
  void (*expand)(const weir_weights *weights, int64_t panel, const weir_panel *out);
  /// y[tokens][32] from an expanded panel.
  void (*expanded)(
      const weir_weights *weights, int64_t panel, const weir_panel *in, const weir_tile *tile,
      const weir_product *product, int64_t first_token);
};

extern const weir_matrix_kernels weir_matrix_scalar;
// Tables exist only in builds for their processor family.
#if defined(__x86_64__)
extern const weir_matrix_kernels weir_matrix_avx2;
extern const weir_matrix_kernels weir_matrix_avx512;
extern const weir_matrix_kernels weir_matrix_vnni;
#endif

/// Bytes of a tile of `tokens` tokens.
static inline int64_t weir_tile_bytes(int64_t columns, int32_t tokens, int32_t code_bytes) {
  return tokens * (columns / 4 * code_bytes + columns / 32 * 4 * 7);
}

/// A tile whose parts lie one after the other at `memory`.
static inline weir_tile weir_tile_at(uint8_t *memory, int64_t columns, int32_t tokens, int32_t code_bytes) {
  weir_tile t = {.tokens = tokens, .columns = columns, .codes = memory};
  int64_t blocks = columns / 32 * tokens;
  t.scale = (float *)(memory + columns / 4 * code_bytes * tokens);
  t.bias32 = (int32_t *)(t.scale + blocks);
  t.bias16 = t.bias32 + blocks;
  t.min32 = (float *)(t.bias16 + 2 * blocks);
  t.min16 = t.min32 + blocks;
  return t;
}

/// Blocks whose largest activation is not above this are taken as zero: its inverse would not be finite.
#define WEIR_QUANT_TINY 1e-35f

/// Writes the scale of a block of 32 codes and what follows from its two sums of 16.
static inline __attribute__((always_inline)) void weir_tile_put_scales(
    const weir_tile *t, int64_t block, int32_t token, float scale, const int32_t sums[2]) {
  int64_t at = block * t->tokens + token;
  t->scale[at] = scale;
  t->bias32[at] = -128 * (sums[0] + sums[1]);
  t->min32[at] = scale * (float)(sums[0] + sums[1]);
  for (int h = 0; h < 2; h++) {
    t->bias16[(2 * block + h) * t->tokens + token] = -128 * sums[h];
    t->min16[(2 * block + h) * t->tokens + token] = scale * (float)sums[h];
  }
}

/// Adds `value` to `*y` or sets it.
static inline void weir_put(const weir_product *product, int64_t token, int64_t row, float value) {
  float *y = product->y + token * product->y_stride + row;
  *y = product->accumulate ? *y + value : value;
}

#endif
