// The instruction sets each folder is compiled for. Used as:
//   WEIR_TARGET_PUSH(WEIR_TARGET_AVX2)
//   ... functions ...
//   WEIR_TARGET_POP
// The whole library is built for the baseline processor; only functions between the two lines may use more.
#ifndef WEIR_TARGETS_H
#define WEIR_TARGETS_H

#define WEIR_TARGET_AVX2 "avx2,fma,f16c"
#define WEIR_TARGET_AVX512 "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c"
#define WEIR_TARGET_VNNI "avx512vnni,avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c"

#define WEIR_PRAGMA(x) _Pragma(#x)
#define WEIR_TARGET_PUSH(t) WEIR_PRAGMA(clang attribute push(__attribute__((target(t))), apply_to = function))
#define WEIR_TARGET_POP _Pragma("clang attribute pop")

#endif
