// XXH3 (64 bits, seed 0) of Yann Collet's xxHash specification, over the bytes of one KV block.
#ifndef WEIR_DIGEST_H
#define WEIR_DIGEST_H
#include "weir_features.h"

/// Shortest input in bytes: shorter ones have other formulas in the specification, and no KV block is that short.
#define WEIR_DIGEST_LEAST 241

typedef struct weir_digest_kernels {
  /// The digest of `count` bytes, at least `WEIR_DIGEST_LEAST`. The same for every instruction set.
  uint64_t (*digest)(const void *bytes, size_t count);
} weir_digest_kernels;

/// The table for `isa`; NULL if this processor cannot run it.
const weir_digest_kernels *weir_digest_kernels_for(weir_isa isa);

#endif
