// XXH64, the 64-bit checksum of Yann Collet's xxHash specification, over bytes that come in pieces.
#ifndef WEIR_CHECKSUM_H
#define WEIR_CHECKSUM_H
#include <stddef.h>
#include <stdint.h>

/// What is known after some bytes. A value: copying it forks the checksum.
typedef struct weir_checksum {
  uint64_t lanes[4];
  uint64_t seed, count;
  uint8_t rest[32];  // the last `count % 32` bytes
} weir_checksum;

/// The checksum of no bytes yet.
weir_checksum weir_checksum_start(uint64_t seed);

/// Adds `count` bytes.
void weir_checksum_add(weir_checksum *state, const void *bytes, size_t count);

/// The checksum of all bytes added so far; the state may go on.
uint64_t weir_checksum_value(const weir_checksum *state);

#endif
