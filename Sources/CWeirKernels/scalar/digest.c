// The digest in plain C: the specification of the faster ones.
#include "../digest.h"
#include "../little_endian.h"

#include <string.h>

static void add_stripe(uint64_t lanes[WEIR_DIGEST_LANES], const uint8_t *bytes, const uint8_t *secret) {
  for (int i = 0; i < WEIR_DIGEST_LANES; i++) {
    uint64_t value = weir_load64(bytes + 8 * i), key = value ^ weir_load64(secret + 8 * i);
    lanes[i ^ 1] += value;
    lanes[i] += (key & 0xFFFFFFFFu) * (key >> 32);
  }
}

static void scramble(uint64_t lanes[WEIR_DIGEST_LANES], const uint8_t *secret) {
  for (int i = 0; i < WEIR_DIGEST_LANES; i++) {
    lanes[i] = (lanes[i] ^ lanes[i] >> 47 ^ weir_load64(secret + 8 * i)) * WEIR_DIGEST_P32_1;
  }
}

static uint64_t digest(const void *bytes, size_t count) {
  const uint8_t *p = bytes, *secret = weir_digest_secret;
  uint64_t lanes[WEIR_DIGEST_LANES];
  memcpy(lanes, weir_digest_start, sizeof lanes);
  // The last stripe is taken apart below, so one that ends the input is not among these.
  size_t stripes = (count - 1) / WEIR_DIGEST_STRIPE;
  for (size_t i = 0; i < stripes; i++) {
    add_stripe(lanes, p + i * WEIR_DIGEST_STRIPE, secret + 8 * (i % WEIR_DIGEST_RUN));
    if (i % WEIR_DIGEST_RUN == WEIR_DIGEST_RUN - 1) {
      scramble(lanes, secret + WEIR_DIGEST_SECRET_BYTES - WEIR_DIGEST_STRIPE);
    }
  }
  add_stripe(lanes, p + count - WEIR_DIGEST_STRIPE, secret + WEIR_DIGEST_SECRET_BYTES - WEIR_DIGEST_STRIPE - 7);
  return weir_digest_fold(lanes, count);
}

const weir_digest_kernels weir_digest_scalar = {digest};
