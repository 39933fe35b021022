// Written from the algorithm's specification (xxHash, doc/xxhash_spec.md); golden values in Tests/Golden/transfer.
//
// Four independent lanes of one multiplication each keep the multiplier busy: about 10 GB/s on one core without vector
// instructions, so one version serves every machine.
#include "weir_checksum.h"
#include "little_endian.h"

static const uint64_t P1 = 0x9E3779B185EBCA87u, P2 = 0xC2B2AE3D27D4EB4Fu, P3 = 0x165667B19E3779F9u;
static const uint64_t P4 = 0x85EBCA77C2B2AE63u, P5 = 0x27D4EB2F165667C5u;

static inline uint64_t rotate(uint64_t x, int bits) { return x << bits | x >> (64 - bits); }

static inline uint64_t load32(const uint8_t *p) {
  uint32_t value;
  memcpy(&value, p, sizeof value);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  value = __builtin_bswap32(value);
#endif
  return value;
}

static inline uint64_t round64(uint64_t lane, uint64_t input) { return rotate(lane + input * P2, 31) * P1; }

static inline uint64_t merged(uint64_t hash, uint64_t lane) { return (hash ^ round64(0, lane)) * P1 + P4; }

// Whole stripes of 32 bytes.
static void add_stripes(uint64_t lanes[4], const uint8_t *p, size_t stripes) {
  uint64_t a = lanes[0], b = lanes[1], c = lanes[2], d = lanes[3];
  for (; stripes > 0; stripes--, p += 32) {
    a = round64(a, weir_load64(p));
    b = round64(b, weir_load64(p + 8));
    c = round64(c, weir_load64(p + 16));
    d = round64(d, weir_load64(p + 24));
  }
  lanes[0] = a;
  lanes[1] = b;
  lanes[2] = c;
  lanes[3] = d;
}

weir_checksum weir_checksum_start(uint64_t seed) {
  weir_checksum state = {{seed + P1 + P2, seed + P2, seed, seed - P1}, seed, 0, {0}};
  return state;
}

void weir_checksum_add(weir_checksum *state, const void *bytes, size_t count) {
  const uint8_t *p = bytes;
  size_t held = state->count % 32;
  state->count += count;
  if (held > 0) {
    size_t taken = count < 32 - held ? count : 32 - held;
    memcpy(state->rest + held, p, taken);
    p += taken;
    count -= taken;
    if (held + taken < 32) return;
    add_stripes(state->lanes, state->rest, 1);
  }
  add_stripes(state->lanes, p, count / 32);
  if (count % 32 > 0) memcpy(state->rest, p + count / 32 * 32, count % 32);
}

uint64_t weir_checksum_value(const weir_checksum *state) {
  const uint64_t *lane = state->lanes;
  uint64_t hash = state->seed + P5;
  if (state->count >= 32) {
    hash = rotate(lane[0], 1) + rotate(lane[1], 7) + rotate(lane[2], 12) + rotate(lane[3], 18);
    for (int i = 0; i < 4; i++) hash = merged(hash, lane[i]);
  }
  hash += state->count;
  const uint8_t *p = state->rest;
  size_t rest = state->count % 32;
  for (; rest >= 8; rest -= 8, p += 8) hash = rotate(hash ^ round64(0, weir_load64(p)), 27) * P1 + P4;
  if (rest >= 4) {
    hash = rotate(hash ^ load32(p) * P1, 23) * P2 + P3;
    p += 4;
    rest -= 4;
  }
  for (; rest > 0; rest--, p++) hash = rotate(hash ^ *p * P5, 11) * P1;
  hash = (hash ^ hash >> 33) * P2;
  hash = (hash ^ hash >> 29) * P3;
  return hash ^ hash >> 32;
}
