// What the processor can run. Detected once; callers keep the choice as a value.
#ifndef WEIR_FEATURES_H
#define WEIR_FEATURES_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum weir_isa {
  WEIR_ISA_SCALAR = 0,
  WEIR_ISA_AVX2 = 1,    // AVX2, FMA, F16C
  WEIR_ISA_AVX512 = 2,  // AVX-512 F, BW, DQ, VL on top of AVX2
  WEIR_ISA_VNNI = 3,    // AVX-512 VNNI on top of AVX-512
  WEIR_ISA_NEON = 4,    // Advanced SIMD of arm64
} weir_isa;

#define WEIR_ISA_COUNT 5

/// Whether this processor (and operating system) can run the kernels of `isa`.
bool weir_isa_available(weir_isa isa);

#endif
