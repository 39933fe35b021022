// Quantisation of activations into a tile; see scalar/matrix.c for what it computes.

// Codes of 32 columns, their two sums of 16 and the scale.
WEIR_INLINE float quantize_block(const float *x, int32_t code[32], int32_t sums[2]) {
  vfloat most = vf_abs(vf_load(x));
  for (int i = LANES; i < 32; i += LANES) most = vf_max(most, vf_abs(vf_load(x + i)));
  float largest = vf_largest(most);
  vfloat inverse = vf_set1(largest > WEIR_QUANT_TINY ? 127.0f / largest : 0);
  for (int h = 0; h < 2; h++) {
    vint sum = v_zero();
    for (int i = 16 * h; i < 16 * h + 16; i += LANES) {
      vint rounded = v_round(vf_mul(vf_load(x + i), inverse));
      v_store(code + i, rounded);
      sum = v_add(sum, rounded);
    }
    sums[h] = v_sum(sum);
  }
  return largest / 127.0f;
}

static void quantize(const float *x, int64_t stride, const weir_tile *t) {
  int32_t code[32], sums[2];
  for (int32_t token = 0; token < t->tokens; token++) {
    for (int64_t block = 0; block < t->columns / 32; block++) {
      float scale = quantize_block(x + token * stride + block * 32, code, sums);
      for (int g = 0; g < 8; g++) {
        uint8_t *to = t->codes + ((block * 8 + g) * t->tokens + token) * CODE_BYTES;
        const int32_t *c = code + 4 * g;
        if (CODE_BYTES == 4) {
          uint8_t four[4] = {(uint8_t)c[0], (uint8_t)c[1], (uint8_t)c[2], (uint8_t)c[3]};
          memcpy(to, four, 4);
        } else {
          int16_t four[4] = {(int16_t)c[0], (int16_t)c[2], (int16_t)c[1], (int16_t)c[3]};
          memcpy(to, four, 8);
        }
      }
      weir_tile_put_scales(t, block, token, scale, sums);
    }
  }
}
