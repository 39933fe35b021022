// Reading memory as fast as it goes: the floor under the time of a decoded token.
#include "weir_probe.h"

#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include "targets.h"
#include "weir_features.h"

enum { PIECE = 1 << 20 };

typedef struct read_call {
  const uint8_t *data;
  int64_t bytes;
  _Atomic uint64_t sum;
} read_call;

typedef uint64_t words8 __attribute__((ext_vector_type(8)));

// Four independent vector sums, so that loads and not additions are what is measured.
#define WEIR_READ_PIECE(NAME)                                                \
  static uint64_t NAME(const uint8_t *data, int64_t bytes) {                 \
    words8 a = 0, b = 0, c = 0, d = 0;                                       \
    for (int64_t at = 0; at < bytes; at += 256) {                            \
      const words8 *words = (const words8 *)(data + at);                     \
      a += words[0];                                                         \
      b += words[1];                                                         \
      c += words[2];                                                         \
      d += words[3];                                                         \
    }                                                                        \
    words8 sum = a + b + c + d;                                              \
    uint64_t total = 0;                                                      \
    for (int i = 0; i < 8; i++) total += sum[i];                             \
    return total;                                                            \
  }

WEIR_READ_PIECE(read_portable)
#if defined(__x86_64__)
WEIR_TARGET_PUSH(WEIR_TARGET_AVX2)
WEIR_READ_PIECE(read_avx2)
WEIR_TARGET_POP
// `prefer-vector-width` would otherwise keep the compiler at 256 bits.
__attribute__((target(WEIR_TARGET_AVX512), min_vector_width(512))) WEIR_READ_PIECE(read_avx512)
#endif

static uint64_t read_piece(const uint8_t *data, int64_t bytes) {
#if defined(__x86_64__)
  if (weir_isa_available(WEIR_ISA_AVX512)) return read_avx512(data, bytes);
  if (weir_isa_available(WEIR_ISA_AVX2)) return read_avx2(data, bytes);
#endif
  return read_portable(data, bytes);
}

static void read_task(void *context, int32_t task, int32_t thread) {
  (void)thread;
  read_call *call = context;
  int64_t first = (int64_t)task * PIECE, left = call->bytes - first;
  atomic_fetch_add(&call->sum, read_piece(call->data + first, left < PIECE ? left : PIECE));
}

uint64_t weir_read_all(weir_pool *pool, const uint8_t *data, int64_t bytes) {
  read_call call = {.data = data, .bytes = bytes};
  weir_pool_run(pool, (int32_t)((bytes + PIECE - 1) / PIECE), read_task, &call);
  return atomic_load(&call.sum);
}
