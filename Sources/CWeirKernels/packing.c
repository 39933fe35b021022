// Repacking of stored rows into panels of 16, and reading a row back.
//
// Why panels: 16 rows side by side let one vector hold the same column of 16 rows, so a product needs no horizontal
// sums, one conversion yields 16 scales, and one layout serves a single token and a whole prompt.
#include "stored_blocks.h"

enum { ROWS = WEIR_PANEL_ROWS };

static int64_t scale_bytes_per_super(const weir_traits *t) {
  int64_t per_row = 2 + WEIR_SUPER / t->group;
  return ROWS * per_row * (t->has_min ? 2 : 1);
}

bool weir_weights_plan(int32_t type, int64_t rows, int64_t columns, weir_weights *out) {
  const weir_traits *t = weir_traits_of(type);
  if (!t || rows < 0 || columns < 0 || columns % t->block_elements != 0) return false;
  *out = (weir_weights){.traits = t, .rows = rows, .columns = columns, .panels = (rows + ROWS - 1) / ROWS};
  switch (t->form) {
    case WEIR_FORM_F32: out->panel_value_bytes = columns * ROWS * 4; break;
    case WEIR_FORM_F16:
    case WEIR_FORM_BF16: out->panel_value_bytes = columns * ROWS * 2; break;
    case WEIR_FORM_BYTES: out->panel_value_bytes = columns * ROWS; break;
    case WEIR_FORM_NIBBLES: out->panel_value_bytes = columns * ROWS / 2; break;
  }
  if (t->scales == WEIR_SCALES_F16) out->panel_scale_bytes = columns / WEIR_BLOCK * ROWS * 2 * (t->has_min ? 2 : 1);
  if (t->scales == WEIR_SCALES_SUPER) out->panel_scale_bytes = columns / WEIR_SUPER * scale_bytes_per_super(t);
  return true;
}

static void pack_floats(const weir_weights *w, const uint8_t *source, int64_t panel, int size) {
  uint8_t *out = w->values + panel * w->panel_value_bytes;
  for (int64_t k0 = 0; k0 < w->columns; k0 += 64) {  // 64 columns at a time: the panel part stays in the L1 cache
    int64_t k1 = k0 + 64 < w->columns ? k0 + 64 : w->columns;
    for (int r = 0; r < ROWS; r++) {
      int64_t row = panel * ROWS + r;
      const uint8_t *in = source + row * w->columns * size;
      for (int64_t k = k0; k < k1; k++) {
        uint8_t *to = out + (k * ROWS + r) * size;
        if (row >= w->rows)
          memset(to, 0, (size_t)size);
        else if (size == 2)
          memcpy(to, in + k * 2, 2);
        else
          memcpy(to, in + k * 4, 4);
      }
    }
  }
}

// Writes 32 codes of row `r` into their places of a panel's 32-column block.
static void put_codes(const weir_traits *t, uint8_t *block, int r, const uint8_t *code) {
  if (t->form == WEIR_FORM_BYTES) {
    uint8_t shift = (uint8_t)(128 - t->offset);
    for (int k = 0; k < WEIR_BLOCK; k++) block[(k / 4 * ROWS + r) * 4 + k % 4] = (uint8_t)(code[k] + shift);
  } else {
    for (int k = 0; k < 16; k++) block[(k / 4 * ROWS + r) * 4 + k % 4] = (uint8_t)(code[k] | code[k + 16] << 4);
  }
}

static void put_scales_f16(const weir_weights *w, uint8_t *scales, int64_t block, int r, const weir_block *b) {
  int parts = w->traits->has_min ? 2 : 1;
  uint8_t *to = scales + block * ROWS * 2 * parts;
  weir_store16(to + 2 * r, b->d);
  if (parts == 2) weir_store16(to + 2 * (ROWS + r), b->dmin);
}

static void put_scales_super(const weir_weights *w, uint8_t *scales, int64_t super, int r, const weir_block *b) {
  const weir_traits *t = w->traits;
  int parts = t->has_min ? 2 : 1, groups = WEIR_SUPER / t->group;
  uint8_t *to = scales + super * scale_bytes_per_super(t);
  weir_store16(to + 2 * r, b->d);
  if (parts == 2) weir_store16(to + 2 * (ROWS + r), b->dmin);
  uint8_t *sub = to + 2 * ROWS * parts;
  for (int g = 0; g < groups; g++) {
    sub[g * ROWS + r] = (uint8_t)b->sub[g];
    if (parts == 2) sub[(groups + g) * ROWS + r] = b->submin[g];
  }
}

static void pack_integers(const weir_weights *w, const uint8_t *source, int64_t panel) {
  const weir_traits *t = w->traits;
  uint8_t *values = w->values + panel * w->panel_value_bytes, *scales = w->scales + panel * w->panel_scale_bytes;
  int64_t blocks = w->columns / t->block_elements;
  int64_t block32_bytes = WEIR_BLOCK * ROWS / (t->form == WEIR_FORM_NIBBLES ? 2 : 1);
  weir_block b;
  for (int64_t i = 0; i < blocks; i++) {
    for (int r = 0; r < ROWS; r++) {
      int64_t row = panel * ROWS + r;
      if (row < w->rows) {
        weir_block_read(t->type, source + (row * blocks + i) * t->block_bytes, &b);
      } else {
        b = (weir_block){0};
        memset(b.code, t->offset, sizeof b.code);
      }
      for (int64_t k = 0; k < t->block_elements; k += WEIR_BLOCK)
        put_codes(t, values + (i * t->block_elements + k) / WEIR_BLOCK * block32_bytes, r, b.code + k);
      if (t->scales == WEIR_SCALES_F16)
        put_scales_f16(w, scales, i, r, &b);
      else
        put_scales_super(w, scales, i, r, &b);
    }
  }
}

void weir_weights_pack(const weir_weights *w, const uint8_t *source, int64_t first, int64_t count) {
  for (int64_t panel = first; panel < first + count; panel++) {
    switch (w->traits->form) {
      case WEIR_FORM_F32: pack_floats(w, source, panel, 4); break;
      case WEIR_FORM_F16:
      case WEIR_FORM_BF16: pack_floats(w, source, panel, 2); break;
      default: pack_integers(w, source, panel); break;
    }
  }
}

static void float_row(const weir_weights *w, int64_t row, float *out) {
  int r = (int)(row % ROWS);
  const uint8_t *panel = w->values + row / ROWS * w->panel_value_bytes;
  for (int64_t k = 0; k < w->columns; k++) {
    int64_t i = k * ROWS + r;
    if (w->traits->form == WEIR_FORM_F32)
      memcpy(out + k, panel + 4 * i, 4);
    else if (w->traits->form == WEIR_FORM_F16)
      out[k] = weir_half_float(weir_load16(panel + 2 * i));
    else
      out[k] = weir_bfloat_float(weir_load16(panel + 2 * i));
  }
}

static int integer_value(const weir_traits *t, const uint8_t *values, int64_t k, int r) {
  int64_t block = k / WEIR_BLOCK;
  int within = (int)(k % WEIR_BLOCK);
  if (t->form == WEIR_FORM_BYTES)
    return values[block * 512 + (within / 4 * ROWS + r) * 4 + within % 4] - 128;
  int low = within % 16;
  uint8_t byte = values[block * 256 + (low / 4 * ROWS + r) * 4 + low % 4];
  return (within < 16 ? byte & 15 : byte >> 4) - t->offset;
}

void weir_weights_row(const weir_weights *w, int64_t row, float *out) {
  const weir_traits *t = w->traits;
  if (t->scales == WEIR_SCALES_NONE) {
    float_row(w, row, out);
    return;
  }
  int r = (int)(row % ROWS);
  const uint8_t *values = w->values + row / ROWS * w->panel_value_bytes;
  const uint8_t *scales = w->scales + row / ROWS * w->panel_scale_bytes;
  float scale[2], min[2];
  for (int64_t k = 0; k < w->columns; k++) {
    if (k % WEIR_BLOCK == 0) weir_block_scales(w, scales, k / WEIR_BLOCK, r, scale, min);
    int g = (int)(k % WEIR_BLOCK) / t->group;
    float value = scale[g] * (float)integer_value(t, values, k, r);
    out[k] = t->has_min ? value - min[g] : value;
  }
}

void weir_block_scales(
    const weir_weights *w, const uint8_t *scales, int64_t block, int r, float scale[2], float min[2]) {
  const weir_traits *t = w->traits;
  int parts = t->has_min ? 2 : 1;
  if (t->scales == WEIR_SCALES_F16) {
    const uint8_t *at = scales + block * ROWS * 2 * parts;
    scale[0] = weir_half_float(weir_load16(at + 2 * r));
    min[0] = parts == 2 ? weir_half_float(weir_load16(at + 2 * (ROWS + r))) : 0;
    return;
  }
  int per_block = WEIR_BLOCK / t->group, groups = WEIR_SUPER / t->group;
  const uint8_t *at = scales + block / 8 * scale_bytes_per_super(t);
  float d = weir_half_float(weir_load16(at + 2 * r));
  float dmin = parts == 2 ? weir_half_float(weir_load16(at + 2 * (ROWS + r))) : 0;
  const uint8_t *sub = at + 2 * ROWS * parts;
  for (int i = 0; i < per_block; i++) {
    int g = (int)(block % 8) * per_block + i;
    scale[i] = d * (float)(int8_t)sub[g * ROWS + r];
    min[i] = parts == 2 ? dmin * (float)sub[(groups + g) * ROWS + r] : 0;
  }
}
