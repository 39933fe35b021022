// What this machine's memory can deliver.
#ifndef WEIR_PROBE_H
#define WEIR_PROBE_H
#include "weir_pool.h"

/// Reads `bytes` bytes (a multiple of 4096) at `data` once, on all threads of the pool, with the widest loads the
/// processor has. Returns a sum of what was read, so that no read can be left out.
uint64_t weir_read_all(weir_pool *pool, const uint8_t *data, int64_t bytes);

#endif
