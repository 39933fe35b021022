// Reading of ggml's block formats. Layouts as documented by ggml's ggml-common.h and checked bit for bit against the
// `gguf` package (Tests/Golden/quants.py).
#include "stored_blocks.h"

enum { F32 = 0, F16 = 1, Q4_0 = 2, Q4_1 = 3, Q5_0 = 6, Q5_1 = 7, Q8_0 = 8, Q2_K = 10, Q3_K = 11, Q4_K = 12 };
enum { Q5_K = 13, Q6_K = 14, BF16 = 30 };

static const weir_traits all_traits[] = {
    // type, elements, bytes, form, scales, group, offset, min
    {F32, 1, 4, WEIR_FORM_F32, WEIR_SCALES_NONE, 0, 0, false},
    {F16, 1, 2, WEIR_FORM_F16, WEIR_SCALES_NONE, 0, 0, false},
    {BF16, 1, 2, WEIR_FORM_BF16, WEIR_SCALES_NONE, 0, 0, false},
    {Q4_0, 32, 18, WEIR_FORM_NIBBLES, WEIR_SCALES_F16, 32, 8, false},
    {Q4_1, 32, 20, WEIR_FORM_NIBBLES, WEIR_SCALES_F16, 32, 0, true},
    {Q5_0, 32, 22, WEIR_FORM_BYTES, WEIR_SCALES_F16, 32, 16, false},
    {Q5_1, 32, 24, WEIR_FORM_BYTES, WEIR_SCALES_F16, 32, 0, true},
    {Q8_0, 32, 34, WEIR_FORM_BYTES, WEIR_SCALES_F16, 32, 128, false},
    {Q2_K, 256, 84, WEIR_FORM_NIBBLES, WEIR_SCALES_SUPER, 16, 0, true},
    {Q3_K, 256, 110, WEIR_FORM_NIBBLES, WEIR_SCALES_SUPER, 16, 4, false},
    {Q4_K, 256, 144, WEIR_FORM_NIBBLES, WEIR_SCALES_SUPER, 32, 0, true},
    {Q5_K, 256, 176, WEIR_FORM_BYTES, WEIR_SCALES_SUPER, 32, 0, true},
    {Q6_K, 256, 210, WEIR_FORM_BYTES, WEIR_SCALES_SUPER, 16, 32, false},
};

const weir_traits *weir_traits_of(int32_t type) {
  for (size_t i = 0; i < sizeof all_traits / sizeof all_traits[0]; i++)
    if (all_traits[i].type == type) return &all_traits[i];
  return NULL;
}

// 16 bytes whose low nibbles are columns 0..15 and whose high nibbles are columns 16..31.
static void read_nibbles(const uint8_t *source, uint8_t *code) {
  for (int i = 0; i < 16; i++) {
    code[i] = source[i] & 15;
    code[i + 16] = source[i] >> 4;
  }
}

// Adds the fifth bits: bit i of the 32-bit word belongs to column i.
static void add_fifth_bits(const uint8_t *source, uint8_t *code) {
  for (int i = 0; i < 32; i++) code[i] |= (uint8_t)(((source[i / 8] >> (i % 8)) & 1) << 4);
}

// The minimum is stored as a value to add; the formula subtracts.
static uint16_t negated(uint16_t half) { return half ^ 0x8000; }

static void read_legacy(int32_t type, const uint8_t *p, weir_block *b) {
  b->sub[0] = 1;
  b->submin[0] = 1;
  b->d = weir_load16(p);
  b->dmin = 0;
  p += 2;
  if (type == Q8_0) {
    for (int i = 0; i < 32; i++) b->code[i] = p[i] ^ 0x80;
    return;
  }
  if (type == Q4_1 || type == Q5_1) {
    b->dmin = negated(weir_load16(p));
    p += 2;
  }
  bool five = type == Q5_0 || type == Q5_1;
  read_nibbles(five ? p + 4 : p, b->code);
  if (five) add_fifth_bits(p, b->code);
}

static void read_q2_k(const uint8_t *p, weir_block *b) {
  const uint8_t *quants = p + 16;
  b->d = weir_load16(p + 80);
  b->dmin = weir_load16(p + 82);
  for (int g = 0; g < 16; g++) {
    b->sub[g] = (int8_t)(p[g] & 15);
    b->submin[g] = p[g] >> 4;
  }
  for (int k = 0; k < 256; k++) {
    int half = k / 128, shift = (k % 128) / 32 * 2;
    b->code[k] = (quants[half * 32 + k % 32] >> shift) & 3;
  }
}

static void read_q3_k(const uint8_t *p, weir_block *b) {
  const uint8_t *high = p, *quants = p + 32, *scales = p + 96;
  b->d = weir_load16(p + 108);
  b->dmin = 0;
  for (int g = 0; g < 16; g++) {
    int low = g < 8 ? scales[g] & 15 : scales[g - 8] >> 4;
    int top = (scales[8 + g % 4] >> (2 * (g / 4))) & 3;
    b->sub[g] = (int8_t)((low | top << 4) - 32);
    b->submin[g] = 0;
  }
  for (int k = 0; k < 256; k++) {
    int half = k / 128, lane = k % 32, plane = (k % 128) / 32;
    int low = (quants[half * 32 + lane] >> (2 * plane)) & 3;
    int top = (high[lane] >> (half * 4 + plane)) & 1;
    b->code[k] = (uint8_t)(low | top << 2);
  }
}

// Eight 6-bit scales and minima in 12 bytes.
static void read_scales_k(const uint8_t *s, weir_block *b) {
  for (int g = 0; g < 4; g++) {
    b->sub[g] = (int8_t)(s[g] & 63);
    b->submin[g] = s[g + 4] & 63;
    b->sub[g + 4] = (int8_t)((s[g + 8] & 15) | (s[g] >> 6) << 4);
    b->submin[g + 4] = (uint8_t)((s[g + 8] >> 4) | (s[g + 4] >> 6) << 4);
  }
}

static void read_q4_k_or_q5_k(bool five, const uint8_t *p, weir_block *b) {
  b->d = weir_load16(p);
  b->dmin = weir_load16(p + 2);
  read_scales_k(p + 4, b);
  const uint8_t *high = p + 16, *quants = five ? p + 48 : p + 16;
  for (int k = 0; k < 256; k++) {
    uint8_t byte = quants[k / 64 * 32 + k % 32];
    uint8_t code = k % 64 < 32 ? byte & 15 : byte >> 4;
    if (five) code |= (uint8_t)(((high[k % 32] >> (k / 32)) & 1) << 4);
    b->code[k] = code;
  }
}

static void read_q6_k(const uint8_t *p, weir_block *b) {
  const uint8_t *low = p, *high = p + 128, *scales = p + 192;
  b->d = weir_load16(p + 208);
  b->dmin = 0;
  for (int g = 0; g < 16; g++) {
    b->sub[g] = (int8_t)scales[g];
    b->submin[g] = 0;
  }
  for (int k = 0; k < 256; k++) {
    int half = k / 128, within = k % 128, plane = within / 32, lane = within % 32;
    uint8_t byte = low[half * 64 + within % 64];
    uint8_t four = within < 64 ? byte & 15 : byte >> 4;
    b->code[k] = (uint8_t)(four | ((high[half * 32 + lane] >> (2 * plane)) & 3) << 4);
  }
}

void weir_block_read(int32_t type, const uint8_t *source, weir_block *out) {
  switch (type) {
    case Q2_K: read_q2_k(source, out); break;
    case Q3_K: read_q3_k(source, out); break;
    case Q4_K: read_q4_k_or_q5_k(false, source, out); break;
    case Q5_K: read_q4_k_or_q5_k(true, source, out); break;
    case Q6_K: read_q6_k(source, out); break;
    default: read_legacy(type, source, out); break;
  }
}

static void dequantize_block(const weir_traits *t, const weir_block *b, float *out) {
  float d = weir_half_float(b->d), dmin = weir_half_float(b->dmin);
  for (int k = 0; k < t->block_elements; k++) {
    int g = k / t->group;
    float value = d * (float)b->sub[g] * (float)(b->code[k] - t->offset);
    out[k] = t->has_min ? value - dmin * (float)b->submin[g] : value;
  }
}

void weir_dequantize(int32_t type, const uint8_t *source, int64_t elements, float *out) {
  const weir_traits *t = weir_traits_of(type);
  switch (t->form) {
    case WEIR_FORM_F32: memcpy(out, source, (size_t)elements * 4); return;
    case WEIR_FORM_F16:
      for (int64_t i = 0; i < elements; i++) out[i] = weir_half_float(weir_load16(source + 2 * i));
      return;
    case WEIR_FORM_BF16:
      for (int64_t i = 0; i < elements; i++) out[i] = weir_bfloat_float(weir_load16(source + 2 * i));
      return;
    default: break;
  }
  weir_block block;
  for (int64_t i = 0; i < elements; i += t->block_elements, source += t->block_bytes) {
    weir_block_read(type, source, &block);
    dequantize_block(t, &block, out + i);
  }
}
