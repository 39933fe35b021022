// Processor detection.
#include "weir_features.h"

#if defined(__x86_64__)
static bool has_avx2(void) {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}

static bool has_avx512(void) {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

bool weir_isa_available(weir_isa isa) {
  if (isa == WEIR_ISA_SCALAR) return true;
#if defined(__x86_64__)
  __builtin_cpu_init();
  switch (isa) {
    case WEIR_ISA_AVX2: return has_avx2();
    case WEIR_ISA_AVX512: return has_avx512();
    case WEIR_ISA_VNNI: return has_avx512() && __builtin_cpu_supports("avx512vnni");
    default: return false;
  }
#elif defined(__aarch64__)
  return isa == WEIR_ISA_NEON;
#else
  return false;
#endif
}
