// The specification of matrix products in plain C. Other folders give these results within rounding.
#include "../matrix.h"

#include <math.h>
#include "../stored_blocks.h"

enum { ROWS = WEIR_PANEL_ROWS, CODE_BYTES = 4 };

// 32 columns of one token: codes = round(x * 127 / max|x|), ties to even; all zero if the block is.
static void quantize_block(const float *x, int64_t block, int32_t token, const weir_tile *t) {
  float largest = 0;
  for (int i = 0; i < 32; i++) largest = fmaxf(largest, fabsf(x[i]));
  float inverse = largest > WEIR_QUANT_TINY ? 127.0f / largest : 0;
  int32_t sums[2] = {0, 0};
  for (int i = 0; i < 32; i++) {
    float scaled = nearbyintf(x[i] * inverse);
    int code = scaled >= -127 && scaled <= 127 ? (int)scaled : 0;  // not a number: 0
    t->codes[((block * 8 + i / 4) * t->tokens + token) * CODE_BYTES + i % 4] = (uint8_t)code;
    sums[i / 16] += code;
  }
  weir_tile_put_scales(t, block, token, largest / 127.0f, sums);
}

static void quantize(const float *x, int64_t stride, const weir_tile *tile) {
  for (int32_t token = 0; token < tile->tokens; token++)
    for (int64_t block = 0; block < tile->columns / 32; block++)
      quantize_block(x + token * stride + block * 32, block, token, tile);
}

// Unsigned codes of row `r` in a 32-column block, and what to subtract from them.
static int block_codes(const weir_traits *t, const uint8_t *block, int r, uint8_t code[32]) {
  if (t->form == WEIR_FORM_BYTES) {
    for (int k = 0; k < 32; k++) code[k] = block[(k / 4 * ROWS + r) * 4 + k % 4];
    return 128;
  }
  for (int k = 0; k < 16; k++) {
    uint8_t byte = block[(k / 4 * ROWS + r) * 4 + k % 4];
    code[k] = byte & 15;
    code[k + 16] = byte >> 4;
  }
  return t->offset;
}

// One element: per group, (sum of code * activation code) as an integer, then scale and minimum in f32.
static float integer_product(
    const weir_weights *w, const uint8_t *values, const uint8_t *scales, int r, const weir_tile *tile, int32_t token) {
  const weir_traits *t = w->traits;
  int64_t block_bytes = t->form == WEIR_FORM_BYTES ? 512 : 256;
  int groups = 32 / t->group;
  float sum = 0, scale[2], min[2];
  uint8_t code[32];
  for (int64_t block = 0; block < w->columns / 32; block++) {
    int offset = block_codes(t, values + block * block_bytes, r, code);
    weir_block_scales(w, scales, block, r, scale, min);
    float activation = tile->scale[block * tile->tokens + token];
    for (int g = 0; g < groups; g++) {
      int32_t dot = 0;
      for (int k = g * t->group; k < (g + 1) * t->group; k++) {
        int8_t a = (int8_t)tile->codes[((block * 8 + k / 4) * tile->tokens + token) * CODE_BYTES + k % 4];
        dot += (code[k] - offset) * a;
      }
      sum += (float)dot * (scale[g] * activation);
      const float *mins = groups == 2 ? tile->min16 : tile->min32;
      if (t->has_min) sum -= min[g] * mins[(block * groups + g) * tile->tokens + token];
    }
  }
  return sum;
}

static void direct(
    const weir_weights *w, int64_t first, int64_t last, const weir_tile *tile, const weir_product *product,
    int64_t first_token) {
  for (int64_t row = first * ROWS; row < last * ROWS && row < w->rows; row++) {
    const uint8_t *values = w->values + row / ROWS * w->panel_value_bytes;
    const uint8_t *scales = w->scales + row / ROWS * w->panel_scale_bytes;
    for (int32_t token = 0; token < tile->tokens; token++)
      weir_put(
          product, first_token + token, row, integer_product(w, values, scales, (int)(row % ROWS), tile, token));
  }
}

static float weight_at(const weir_weights *w, const uint8_t *panel, int64_t k, int r) {
  int64_t i = k * ROWS + r;
  if (w->traits->form == WEIR_FORM_F16) return weir_half_float(weir_load16(panel + 2 * i));
  if (w->traits->form == WEIR_FORM_BF16) return weir_bfloat_float(weir_load16(panel + 2 * i));
  float value;
  memcpy(&value, panel + 4 * i, sizeof value);
  return value;
}

static void floats(
    const weir_weights *w, int64_t first, int64_t last, const float *x, int32_t tokens, const weir_product *product,
    int64_t first_token) {
  for (int64_t panel = first; panel < last; panel++) {
    const uint8_t *values = w->values + panel * w->panel_value_bytes;
    for (int64_t row = panel * ROWS; row < (panel + 1) * ROWS && row < w->rows; row++) {
      for (int32_t token = 0; token < tokens; token++) {
        float sum = 0;
        for (int64_t k = 0; k < w->columns; k++)
          sum += weight_at(w, values, k, (int)(row % ROWS)) * x[k * tokens + token];
        weir_put(product, first_token + token, row, sum);
      }
    }
  }
}

const weir_matrix_kernels weir_matrix_scalar = {
    .code_bytes = CODE_BYTES,
    .tile_tokens = 6,
    .float_tokens = 6,
    .quantize = quantize,
    .direct = direct,
    .floats = floats,
};
