// Few tokens: panels are read once, as they are packed, and unpacked in registers. Bound by memory for one token.

// The processor's own prefetchers stop at page ends; asking this far ahead keeps memory busy across them.
enum { PREFETCH_BYTES = 8192 };

/// What is constant in one instance of the loop below.
typedef struct direct_kind {
  bool nibbles, super, has_min;
  int per32;  // groups in 32 columns
} direct_kind;

// Adds the products of one 32-column block to dot[per32][tokens][vector].
WEIR_INLINE void direct_block(
    const uint8_t *w, const uint8_t *a, const direct_kind kind, const int tokens, vint dot[2][TILE][PANEL_VECTORS]) {
#pragma unroll
  for (int q = 0; q < (kind.nibbles ? 4 : 8); q++) {
#pragma unroll
    for (int v = 0; v < PANEL_VECTORS; v++) {
      vint raw = v_load(w + q * 64 + v * LANES * 4);
      vweights line = w_split(kind.nibbles ? v_low_nibbles(raw) : raw), high;
      if (kind.nibbles) high = w_split(v_high_nibbles(raw));
      int g = kind.nibbles ? 0 : q * kind.per32 / 8;
#pragma unroll
      for (int i = 0; i < tokens; i++) {
        dot[g][i][v] = dot4(dot[g][i][v], line, a_load(a + (q * tokens + i) * CODE_BYTES));
        if (kind.nibbles)
          dot[kind.per32 - 1][i][v] =
              dot4(dot[kind.per32 - 1][i][v], high, a_load(a + ((q + 4) * tokens + i) * CODE_BYTES));
      }
    }
  }
}

// Reads the halves that start a super block of 256 columns; returns where its parts per group begin.
WEIR_INLINE const uint8_t *super_scales(const uint8_t *scales, const direct_kind kind, vfloat *d, vfloat *dmin) {
#pragma unroll
  for (int v = 0; v < PANEL_VECTORS; v++) {
    d[v] = vf_half(scales + 2 * LANES * v);
    if (kind.has_min) dmin[v] = vf_half(scales + 2 * (WEIR_PANEL_ROWS + LANES * v));
  }
  return scales + 2 * WEIR_PANEL_ROWS * (kind.has_min ? 2 : 1);
}

// Scale and minimum of group `g` of a 32-column block, rows of vector `v`.
WEIR_INLINE void block_scales(
    const uint8_t *scales, const direct_kind kind, int g, int v, vfloat d, vfloat dmin, vfloat *s, vfloat *m) {
  *m = vf_zero();
  if (kind.super) {
    int groups = 8 * kind.per32;
    *s = vf_mul(d, vf_int8(scales + g * WEIR_PANEL_ROWS + v * LANES));
    if (kind.has_min) *m = vf_mul(dmin, vf_uint8(scales + (groups + g) * WEIR_PANEL_ROWS + v * LANES));
  } else {
    *s = vf_half(scales + 2 * LANES * v);
    if (kind.has_min) *m = vf_half(scales + 2 * (WEIR_PANEL_ROWS + LANES * v));
  }
}

WEIR_INLINE void direct_panel(
    const weir_weights *w, int64_t panel, const weir_tile *t, const weir_product *p, int64_t first_token,
    const int tokens, const direct_kind kind) {
  const int per32 = kind.per32, parts = kind.has_min ? 2 : 1, groups = 8 * per32;
  const uint8_t *values = w->values + panel * w->panel_value_bytes;
  const uint8_t *scales = w->scales + panel * w->panel_scale_bytes;
  const uint8_t *a = t->codes;
  const float *a_scale = t->scale, *a_min = per32 == 2 ? t->min16 : t->min32;
  const int32_t *bias = per32 == 2 ? t->bias16 : t->bias32;
  const int offset = kind.nibbles ? w->traits->offset : 128;
  vfloat sum[TILE][PANEL_VECTORS], d[PANEL_VECTORS] = {0}, dmin[PANEL_VECTORS] = {0};
#pragma unroll
  for (int i = 0; i < tokens; i++)
#pragma unroll
    for (int v = 0; v < PANEL_VECTORS; v++) sum[i][v] = vf_zero();
  for (int64_t block = 0; block < w->columns / 32; block++) {
    vint dot[2][TILE][PANEL_VECTORS];
#pragma unroll
    for (int g = 0; g < per32; g++)
#pragma unroll
      for (int i = 0; i < tokens; i++)
#pragma unroll
        for (int v = 0; v < PANEL_VECTORS; v++) dot[g][i][v] = v_set1((bias[g * tokens + i] >> 7) * offset);
    direct_block(values, a, kind, tokens, dot);
#pragma unroll
    for (int line = 0; line < (kind.nibbles ? 4 : 8); line++)
      __builtin_prefetch(values + PREFETCH_BYTES + 64 * line);
    __builtin_prefetch(scales + PREFETCH_BYTES / 8);
    values += kind.nibbles ? 256 : 512;
    a += 8 * tokens * CODE_BYTES;
    if (kind.super && block % 8 == 0) scales = super_scales(scales, kind, d, dmin);
#pragma unroll
    for (int g = 0; g < per32; g++) {
#pragma unroll
      for (int v = 0; v < PANEL_VECTORS; v++) {
        vfloat s, m;
        block_scales(scales, kind, g, v, d[v], dmin[v], &s, &m);
#pragma unroll
        for (int i = 0; i < tokens; i++) {
          sum[i][v] = vf_fma(v_float(dot[g][i][v]), vf_mul(s, vf_set1(a_scale[i])), sum[i][v]);
          if (kind.has_min) sum[i][v] = vf_fnma(m, vf_set1(a_min[g * tokens + i]), sum[i][v]);
        }
      }
    }
    if (!kind.super) scales += 2 * WEIR_PANEL_ROWS * parts;
    if (kind.super) scales += per32 * WEIR_PANEL_ROWS;
    if (kind.super && kind.has_min && block % 8 == 7) scales += groups * WEIR_PANEL_ROWS;
    a_scale += tokens;
    a_min += per32 * tokens;
    bias += per32 * tokens;
  }
#pragma unroll
  for (int i = 0; i < tokens; i++)
#pragma unroll
    for (int v = 0; v < PANEL_VECTORS; v++)
      put_lanes(p, first_token + i, panel * WEIR_PANEL_ROWS + v * LANES, sum[i][v]);
}

#define WEIR_DIRECT(NAME, ...)                                                                                      \
  static void NAME(                                                                                                 \
      const weir_weights *w, int64_t panel, const weir_tile *t, const weir_product *p, int64_t first_token) {       \
    const direct_kind kind = {__VA_ARGS__};                                                                         \
    switch (t->tokens) {                                                                                            \
      WEIR_DIRECT_CASES                                                                                             \
      default: break;                                                                                               \
    }                                                                                                               \
  }
// name, nibbles, super, has_min, per32
WEIR_DIRECT(direct_bytes, false, false, false, 1)            // Q8_0, Q5_0
WEIR_DIRECT(direct_bytes_min, false, false, true, 1)         // Q5_1
WEIR_DIRECT(direct_nibbles, true, false, false, 1)           // Q4_0
WEIR_DIRECT(direct_nibbles_min, true, false, true, 1)        // Q4_1
WEIR_DIRECT(direct_super_nibbles16, true, true, false, 2)    // Q3_K
WEIR_DIRECT(direct_super_nibbles16_min, true, true, true, 2)  // Q2_K
WEIR_DIRECT(direct_super_nibbles_min, true, true, true, 1)   // Q4_K
WEIR_DIRECT(direct_super_bytes_min, false, true, true, 1)    // Q5_K
WEIR_DIRECT(direct_super_bytes16, false, true, false, 2)     // Q6_K

typedef void (*direct_function)(
    const weir_weights *, int64_t panel, const weir_tile *, const weir_product *, int64_t first_token);

static direct_function direct_for(const weir_traits *t) {
  bool nibbles = t->form == WEIR_FORM_NIBBLES;
  if (t->scales == WEIR_SCALES_F16) {
    if (t->has_min) return nibbles ? direct_nibbles_min : direct_bytes_min;
    return nibbles ? direct_nibbles : direct_bytes;
  }
  if (t->group == 16) {
    if (!nibbles) return direct_super_bytes16;
    return t->has_min ? direct_super_nibbles16_min : direct_super_nibbles16;
  }
  return nibbles ? direct_super_nibbles_min : direct_super_bytes_min;
}

static void direct(
    const weir_weights *w, int64_t first, int64_t last, const weir_tile *t, const weir_product *p,
    int64_t first_token) {
  direct_function function = direct_for(w->traits);
  for (int64_t panel = first; panel < last; panel++) function(w, panel, t, p, first_token);
}
