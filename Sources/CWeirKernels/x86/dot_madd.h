// The same four products without VNNI: even and odd bytes widened to 16 bits, exact (the 8-bit multiply-add saturates).
enum { CODE_BYTES = 8 };
typedef struct vweights {
  vint even, odd;
} vweights;
typedef struct vcodes {
  vint even, odd;
} vcodes;

WEIR_INLINE vweights w_split(vint line) { return (vweights){v_even_bytes(line), v_odd_bytes(line)}; }
WEIR_INLINE vcodes a_load(const uint8_t *p) {
  int32_t even, odd;
  memcpy(&even, p, sizeof even);
  memcpy(&odd, p + 4, sizeof odd);
  return (vcodes){v_set1(even), v_set1(odd)};
}
WEIR_INLINE vint dot4(vint sum, vweights w, vcodes a) {
  return v_add(sum, v_add(v_madd(w.even, a.even), v_madd(w.odd, a.odd)));
}
