// C kernels of Weir: one table of function pointers per topic and instruction set. This is the umbrella header.
//
// House pattern: a topic T (for example `matrix`) declares `struct weir_T_kernels` in `weir_T.h`; every folder
// (scalar/, avx2/, avx512/, vnni/, neon/) holds a file `T.c` that fills one constant table; `dispatch_T.c` chooses a
// table for an instruction set. `scalar/` is the specification: plain C, no intrinsics. A faster folder may reuse
// entries of a slower one where it has nothing to add.
#ifndef WEIR_KERNELS_H
#define WEIR_KERNELS_H
#include "weir_abstract.h"
#include "weir_attention.h"
#include "weir_attention_mass.h"
#include "weir_checksum.h"
#include "weir_digest.h"
#include "weir_features.h"
#include "weir_kv_convert.h"
#include "weir_matrix.h"
#include "weir_pool.h"
#include "weir_rows.h"
#include "weir_probe.h"
#endif
