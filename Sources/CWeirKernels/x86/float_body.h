// Float weights: FLOAT_PANELS panels by up to FLOAT_TILE tokens, each element summed over the columns in order.

enum { FLOAT_VECTORS = FLOAT_PANELS * PANEL_VECTORS };

WEIR_INLINE vfloat float_weights(const uint8_t *p, const weir_form form) {
  if (form == WEIR_FORM_F16) return vf_half(p);
  if (form == WEIR_FORM_BF16) return vf_bfloat(p);
  return vf_load((const float *)p);
}

WEIR_INLINE void float_panels(
    const weir_weights *w, int64_t panel, const float *x, const weir_product *p, int64_t first_token, const int tokens,
    const weir_form form) {
  const int size = form == WEIR_FORM_F32 ? 4 : 2;
  vfloat sum[FLOAT_TILE][FLOAT_VECTORS];
  const uint8_t *values[FLOAT_PANELS];
#pragma unroll
  for (int i = 0; i < FLOAT_PANELS; i++) {
    int64_t at = panel + i < w->panels ? panel + i : w->panels - 1;  // an odd last panel is computed twice
    values[i] = w->values + at * w->panel_value_bytes;
  }
#pragma unroll
  for (int i = 0; i < tokens; i++)
#pragma unroll
    for (int v = 0; v < FLOAT_VECTORS; v++) sum[i][v] = vf_zero();
  for (int64_t k = 0; k < w->columns; k++) {
    if (tokens == 1) {  // bound by memory: ask ahead as direct_body.h does
#pragma unroll
      for (int i = 0; i < FLOAT_PANELS; i++)
#pragma unroll
        for (int at = 0; at < WEIR_PANEL_ROWS * size; at += 64)
          __builtin_prefetch(values[i] + k * WEIR_PANEL_ROWS * size + PREFETCH_BYTES + at);
    }
    vfloat line[FLOAT_VECTORS];
#pragma unroll
    for (int v = 0; v < FLOAT_VECTORS; v++)
      line[v] = float_weights(
          values[v / PANEL_VECTORS] + (k * WEIR_PANEL_ROWS + v % PANEL_VECTORS * LANES) * size, form);
#pragma unroll
    for (int i = 0; i < tokens; i++) {
      vfloat one = vf_set1(x[k * tokens + i]);
#pragma unroll
      for (int v = 0; v < FLOAT_VECTORS; v++) sum[i][v] = vf_fma(line[v], one, sum[i][v]);
    }
  }
#pragma unroll
  for (int i = 0; i < tokens; i++)
#pragma unroll
    for (int v = 0; v < FLOAT_VECTORS; v++) {
      int64_t row = panel * WEIR_PANEL_ROWS + v * LANES;
      put_lanes(p, first_token + i, row, sum[i][v]);
    }
}

#define WEIR_FLOATS(NAME, FORM)                                                                                 \
  static void NAME(                                                                                             \
      const weir_weights *w, int64_t panel, const float *x, int32_t tokens, const weir_product *p,              \
      int64_t first_token) {                                                                                    \
    switch (tokens) {                                                                                           \
      WEIR_FLOAT_CASES(FORM)                                                                                    \
      default: break;                                                                                           \
    }                                                                                                           \
  }
WEIR_FLOATS(floats_f32, WEIR_FORM_F32)
WEIR_FLOATS(floats_f16, WEIR_FORM_F16)
WEIR_FLOATS(floats_bf16, WEIR_FORM_BF16)

static void floats(
    const weir_weights *w, int64_t first, int64_t last, const float *x, int32_t tokens, const weir_product *p,
    int64_t first_token) {
  for (int64_t panel = first; panel < last; panel += FLOAT_PANELS) {
    switch (w->traits->form) {
      case WEIR_FORM_F32: floats_f32(w, panel, x, tokens, p, first_token); break;
      case WEIR_FORM_F16: floats_f16(w, panel, x, tokens, p, first_token); break;
      default: floats_bf16(w, panel, x, tokens, p, first_token); break;
    }
  }
}

// Two panels of 16-bit weights as f32 panels: for many tokens the conversion would cost more than the products.
static void widen(const weir_weights *w, int64_t panel, float *out) {
  for (int64_t i = panel; i < panel + 2 && i < w->panels; i++) {
    const uint8_t *values = w->values + i * w->panel_value_bytes;
    for (int64_t at = 0; at < w->columns * WEIR_PANEL_ROWS; at += LANES)
      vf_store(out + at, w->traits->form == WEIR_FORM_F16 ? vf_half(values + 2 * at) : vf_bfloat(values + 2 * at));
    out += w->columns * WEIR_PANEL_ROWS;
  }
}
