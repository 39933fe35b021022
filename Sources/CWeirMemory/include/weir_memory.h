// The Linux calls that Swift's Glibc module does not show (they need _GNU_SOURCE): memory, and where a process runs.
#ifndef WEIR_MEMORY_H
#define WEIR_MEMORY_H

#include <stdint.h>

/// Makes an anonymous file of `bytes` bytes without backing pages; returns its descriptor, or -errno.
int weir_memory_create(const char *name, int64_t bytes);

/// Gives the pages of `bytes` bytes from `offset` back to the system; the file keeps its length. Returns 0 or -errno.
int weir_memory_punch(int descriptor, int64_t offset, int64_t bytes);

/// Bytes that really back the file now, or -errno.
int64_t weir_memory_backed_bytes(int descriptor);

/// Keeps the calling thread, and threads it makes later, on one processor. Returns 0 or -errno.
int weir_run_on_processor(int processor);

#endif
