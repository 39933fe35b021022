// See weir_memory.h.
#define _GNU_SOURCE
#include "weir_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int weir_memory_create(const char *name, int64_t bytes) {
  int descriptor = memfd_create(name, MFD_CLOEXEC);
  if (descriptor < 0) return -errno;
  if (ftruncate(descriptor, bytes) != 0) {
    int error = errno;
    close(descriptor);
    return -error;
  }
  return descriptor;
}

int weir_memory_punch(int descriptor, int64_t offset, int64_t bytes) {
  return fallocate(descriptor, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, bytes) == 0 ? 0 : -errno;
}

int64_t weir_memory_backed_bytes(int descriptor) {
  struct stat status;
  if (fstat(descriptor, &status) != 0) return -errno;
  return (int64_t)status.st_blocks * 512;
}

int weir_run_on_processor(int processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor, &set);
  return sched_setaffinity(0, sizeof set, &set) == 0 ? 0 : -errno;
}
