// What the digest's instruction sets share: constants of the specification, and everything outside the stripes.
#ifndef WEIR_DIGEST_INTERNAL_H
#define WEIR_DIGEST_INTERNAL_H
#include "weir_digest.h"

// Bytes that the lanes take at a time; stripes between two scrambles; lanes.
#define WEIR_DIGEST_STRIPE 64
#define WEIR_DIGEST_RUN 16
#define WEIR_DIGEST_LANES 8
#define WEIR_DIGEST_SECRET_BYTES 192

/// The constant of every scramble.
#define WEIR_DIGEST_P32_1 0x9E3779B1u

extern const uint8_t weir_digest_secret[WEIR_DIGEST_SECRET_BYTES];
/// Where the lanes start.
extern const uint64_t weir_digest_start[WEIR_DIGEST_LANES];
/// Folds the lanes into the digest.
uint64_t weir_digest_fold(const uint64_t lanes[WEIR_DIGEST_LANES], size_t count);

extern const weir_digest_kernels weir_digest_scalar, weir_digest_avx2, weir_digest_avx512;

#endif
