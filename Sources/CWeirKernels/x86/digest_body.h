// The digest with `VECTORS` vectors of 64-bit lanes; the including file names type and intrinsics.

static inline void add_stripe(VECTOR lanes[VECTORS], const uint8_t *bytes, const uint8_t *secret) {
  for (int i = 0; i < VECTORS; i++) {
    VECTOR value = LOAD(bytes + i * sizeof(VECTOR)), key = XOR(value, LOAD(secret + i * sizeof(VECTOR)));
    lanes[i] = ADD(lanes[i], ADD(SWAP_LANES(value), MULTIPLY32(key, SHIFT_RIGHT(key, 32))));
  }
}

static inline void scramble(VECTOR lanes[VECTORS], const uint8_t *secret) {
  const VECTOR prime = SPLAT(WEIR_DIGEST_P32_1);
  for (int i = 0; i < VECTORS; i++) {
    VECTOR key = XOR(XOR(lanes[i], SHIFT_RIGHT(lanes[i], 47)), LOAD(secret + i * sizeof(VECTOR)));
    VECTOR high = MULTIPLY32(SHIFT_RIGHT(key, 32), prime);
    lanes[i] = ADD(MULTIPLY32(key, prime), SHIFT_LEFT(high, 32));
  }
}

static uint64_t digest(const void *bytes, size_t count) {
  const uint8_t *p = bytes, *secret = weir_digest_secret;
  const uint8_t *last = secret + WEIR_DIGEST_SECRET_BYTES - WEIR_DIGEST_STRIPE;
  VECTOR lanes[VECTORS];
  for (int i = 0; i < VECTORS; i++) lanes[i] = LOAD((const uint8_t *)weir_digest_start + i * sizeof(VECTOR));
  size_t stripes = (count - 1) / WEIR_DIGEST_STRIPE;
  for (size_t run = 0; run < stripes / WEIR_DIGEST_RUN; run++) {
    for (int i = 0; i < WEIR_DIGEST_RUN; i++, p += WEIR_DIGEST_STRIPE) {
      // The processor's own prefetching stops at the end of a page.
      __builtin_prefetch(p + 2048);
      add_stripe(lanes, p, secret + 8 * i);
    }
    scramble(lanes, last);
  }
  for (size_t i = 0; i < stripes % WEIR_DIGEST_RUN; i++, p += WEIR_DIGEST_STRIPE) add_stripe(lanes, p, secret + 8 * i);
  add_stripe(lanes, (const uint8_t *)bytes + count - WEIR_DIGEST_STRIPE, last - 7);
  uint64_t sums[WEIR_DIGEST_LANES];
  for (int i = 0; i < VECTORS; i++) STORE((uint8_t *)sums + i * sizeof(VECTOR), lanes[i]);
  return weir_digest_fold(sums, count);
}
