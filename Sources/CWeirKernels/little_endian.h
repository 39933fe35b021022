// Numbers as xxHash reads them from bytes: little-endian on every machine.
#ifndef WEIR_LITTLE_ENDIAN_H
#define WEIR_LITTLE_ENDIAN_H
#include <stdint.h>
#include <string.h>

static inline uint64_t weir_load64(const uint8_t *p) {
  uint64_t value;
  memcpy(&value, p, sizeof value);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  value = __builtin_bswap64(value);
#endif
  return value;
}

#endif
