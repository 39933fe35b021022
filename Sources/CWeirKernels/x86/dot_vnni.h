// Four products of an unsigned weight byte and a signed activation byte per lane, by one VNNI instruction.
enum { CODE_BYTES = 4 };
typedef vint vweights;
typedef vint vcodes;

WEIR_INLINE vweights w_split(vint line) { return line; }
WEIR_INLINE vcodes a_load(const uint8_t *p) {
  int32_t four;
  memcpy(&four, p, sizeof four);
  return v_set1(four);
}
WEIR_INLINE vint dot4(vint sum, vweights w, vcodes a) { return _mm512_dpbusd_epi32(sum, w, a); }
