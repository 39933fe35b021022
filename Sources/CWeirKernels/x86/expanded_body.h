// Many tokens: two panels are unpacked to bytes and floats once, then every tile of tokens reads that copy.
//
// NV vectors of rows at a time; TILE tokens. The order of float operations per element is the order in direct_body.h.

enum { PAIR = 2 * WEIR_PANEL_ROWS, PANEL_VECTORS = WEIR_PANEL_ROWS / LANES };

// Scales and minima of group `g` (counted over the row) of one panel.
WEIR_INLINE void group_scales(const weir_weights *w, const uint8_t *scales, int64_t g, vfloat *s, vfloat *m) {
  const weir_traits *t = w->traits;
  int parts = t->has_min ? 2 : 1;
  if (t->scales == WEIR_SCALES_F16) {
    const uint8_t *at = scales + g * WEIR_PANEL_ROWS * 2 * parts;
    for (int v = 0; v < PANEL_VECTORS; v++) {
      s[v] = vf_half(at + 2 * LANES * v);
      m[v] = t->has_min ? vf_half(at + 2 * (WEIR_PANEL_ROWS + LANES * v)) : vf_zero();
    }
    return;
  }
  int groups = WEIR_SUPER / t->group;
  const uint8_t *at = scales + g / groups * (WEIR_PANEL_ROWS * (2 + groups) * parts);
  const uint8_t *sub = at + 2 * WEIR_PANEL_ROWS * parts + g % groups * WEIR_PANEL_ROWS;
  for (int v = 0; v < PANEL_VECTORS; v++) {
    s[v] = vf_mul(vf_half(at + 2 * LANES * v), vf_int8(sub + LANES * v));
    m[v] = vf_zero();
    if (t->has_min)
      m[v] = vf_mul(
          vf_half(at + 2 * (WEIR_PANEL_ROWS + LANES * v)), vf_uint8(sub + groups * WEIR_PANEL_ROWS + LANES * v));
  }
}

static void expand_codes(const weir_weights *w, const uint8_t *values, uint8_t *out) {
  if (w->traits->form == WEIR_FORM_BYTES) {
    for (int64_t q = 0; q < w->columns / 4; q++)
      for (int v = 0; v < PANEL_VECTORS; v++)
        v_store(out + q * PAIR * 4 + v * LANES * 4, v_load(values + q * 64 + v * LANES * 4));
    return;
  }
  vint shift = v_set1_byte(128 - w->traits->offset);
  for (int64_t block = 0; block < w->columns / 32; block++) {
    for (int line = 0; line < 4; line++) {
      for (int v = 0; v < PANEL_VECTORS; v++) {
        vint raw = v_load(values + (block * 4 + line) * 64 + v * LANES * 4);
        uint8_t *to = out + (block * 8 + line) * PAIR * 4 + v * LANES * 4;
        v_store(to, v_add_bytes(v_low_nibbles(raw), shift));
        v_store(to + 4 * PAIR * 4, v_add_bytes(v_high_nibbles(raw), shift));
      }
    }
  }
}

static void expand(const weir_weights *w, int64_t panel, const weir_panel *out) {
  int64_t groups = w->columns / w->traits->group;
  for (int side = 0; side < 2; side++) {
    bool exists = panel + side < w->panels;
    if (exists)
      expand_codes(
          w, w->values + (panel + side) * w->panel_value_bytes, out->codes + side * WEIR_PANEL_ROWS * 4);
    const uint8_t *scales = w->scales + (panel + side) * w->panel_scale_bytes;
    vfloat s[PANEL_VECTORS], m[PANEL_VECTORS];
    for (int64_t g = 0; g < groups; g++) {
      if (exists) group_scales(w, scales, g, s, m);
      for (int v = 0; v < PANEL_VECTORS; v++) {
        int64_t at = g * PAIR + side * WEIR_PANEL_ROWS + v * LANES;
        vf_store(out->scale + at, exists ? s[v] : vf_zero());
        if (w->traits->has_min) vf_store(out->min + at, exists ? m[v] : vf_zero());
      }
    }
  }
}

// Integer products of one group: `lines` times four columns.
WEIR_INLINE void expanded_group(
    const uint8_t *w, const uint8_t *a, const int32_t *bias, const int tokens, const int lines, vint dot[TILE][NV]) {
#pragma unroll
  for (int i = 0; i < tokens; i++)
#pragma unroll
    for (int v = 0; v < NV; v++) dot[i][v] = v_set1(bias[i]);
#pragma unroll
  for (int q = 0; q < lines; q++) {
    vweights line[NV];
#pragma unroll
    for (int v = 0; v < NV; v++) line[v] = w_split(v_load(w + q * PAIR * 4 + v * LANES * 4));
#pragma unroll
    for (int i = 0; i < tokens; i++) {
      vcodes code = a_load(a + (q * tokens + i) * CODE_BYTES);
#pragma unroll
      for (int v = 0; v < NV; v++) dot[i][v] = dot4(dot[i][v], line[v], code);
    }
  }
}

// `tokens`, `per32` (groups in 32 columns) and `has_min` are constants after inlining; rows [first_vector, +NV).
WEIR_INLINE void expanded_rows(
    const weir_panel *in, const weir_tile *t, const weir_product *p, int64_t first_token, int64_t row, int first_vector,
    const int tokens, const int per32, const bool has_min) {
  vfloat sum[TILE][NV];
#pragma unroll
  for (int i = 0; i < tokens; i++)
#pragma unroll
    for (int v = 0; v < NV; v++) sum[i][v] = vf_zero();
  const uint8_t *w = in->codes + first_vector * LANES * 4, *a = t->codes;
  const float *scale = in->scale + first_vector * LANES, *min = in->min + first_vector * LANES;
  const float *a_scale = t->scale, *a_min = per32 == 2 ? t->min16 : t->min32;
  const int32_t *bias = per32 == 2 ? t->bias16 : t->bias32;
  const uint8_t *ahead = in->ahead;
  for (int64_t block = 0; block < in->columns / 32; block++) {
    for (const uint8_t *end = ahead + in->ahead_step; ahead < end && ahead < in->ahead_end; ahead += 64)
      __builtin_prefetch(ahead);
    for (int g = 0; g < per32; g++) {
      vint dot[TILE][NV];
      expanded_group(w, a, bias, tokens, 8 / per32, dot);
      w += 8 / per32 * PAIR * 4;
      a += 8 / per32 * tokens * CODE_BYTES;
#pragma unroll
      for (int v = 0; v < NV; v++) {
        vfloat s = vf_load(scale + v * LANES), m = has_min ? vf_load(min + v * LANES) : vf_zero();
#pragma unroll
        for (int i = 0; i < tokens; i++) {
          sum[i][v] = vf_fma(v_float(dot[i][v]), vf_mul(s, vf_set1(a_scale[i])), sum[i][v]);
          if (has_min) sum[i][v] = vf_fnma(m, vf_set1(a_min[i]), sum[i][v]);
        }
      }
      scale += PAIR;
      if (has_min) min += PAIR;
      a_min += tokens;
      bias += tokens;
    }
    a_scale += tokens;
  }
#pragma unroll
  for (int i = 0; i < tokens; i++)
#pragma unroll
    for (int v = 0; v < NV; v++)
      put_lanes(p, first_token + i, row + v * LANES, sum[i][v]);
}

#define WEIR_EXPANDED(NAME, PER32, MIN)                                                                        \
  static void NAME(                                                                                            \
      const weir_panel *in, const weir_tile *t, const weir_product *p, int64_t first_token, int64_t row, int v0) { \
    switch (t->tokens) {                                                                                       \
      WEIR_TILE_CASES(expanded_rows, in, t, p, first_token, row, v0, PER32, MIN)                               \
      default: break;                                                                                          \
    }                                                                                                          \
  }
WEIR_EXPANDED(expanded_32, 1, false)
WEIR_EXPANDED(expanded_32_min, 1, true)
WEIR_EXPANDED(expanded_16, 2, false)
WEIR_EXPANDED(expanded_16_min, 2, true)

static void expanded(
    const weir_weights *w, int64_t panel, const weir_panel *in, const weir_tile *t, const weir_product *p,
    int64_t first_token) {
  for (int v = 0; v < PAIR / LANES; v += NV) {
    int64_t row = panel * WEIR_PANEL_ROWS + v * LANES;
    if (row >= w->rows) return;
    if (w->traits->group == 32) {
      (w->traits->has_min ? expanded_32_min : expanded_32)(in, t, p, first_token, row, v);
    } else {
      (w->traits->has_min ? expanded_16_min : expanded_16)(in, t, p, first_token, row, v);
    }
  }
}
