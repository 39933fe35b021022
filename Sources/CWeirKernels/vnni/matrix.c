// Matrix products for AVX-512 with VNNI: the bodies of x86/ for this vector width.
#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#include "../matrix.h"
#include "../targets.h"

// Tokens and row vectors of a register tile, so that sums, weights and one activation fit the registers. DIRECT_TILES
// is measured: from there on a copy of two panels pays for itself.
enum { TILE = 6, NV = 2, FLOAT_TILE = 12, FLOAT_PANELS = 2, DIRECT_TILES = 6 };
#define WEIR_TILE_CASES(F, A, B, C, D, E, G, H, I) \
  case 1: F(A, B, C, D, E, G, 1, H, I); break; \
  case 2: F(A, B, C, D, E, G, 2, H, I); break; \
  case 3: F(A, B, C, D, E, G, 3, H, I); break; \
  case 4: F(A, B, C, D, E, G, 4, H, I); break; \
  case 5: F(A, B, C, D, E, G, 5, H, I); break; \
  case 6: F(A, B, C, D, E, G, 6, H, I); break;
#define WEIR_DIRECT_CASES \
  case 1: direct_panel(w, panel, t, p, first_token, 1, kind); break; \
  case 2: direct_panel(w, panel, t, p, first_token, 2, kind); break; \
  case 3: direct_panel(w, panel, t, p, first_token, 3, kind); break; \
  case 4: direct_panel(w, panel, t, p, first_token, 4, kind); break; \
  case 5: direct_panel(w, panel, t, p, first_token, 5, kind); break; \
  case 6: direct_panel(w, panel, t, p, first_token, 6, kind); break;
#define WEIR_FLOAT_CASES(FORM) \
  case 1: float_panels(w, panel, x, p, first_token, 1, FORM); break; \
  case 2: float_panels(w, panel, x, p, first_token, 2, FORM); break; \
  case 3: float_panels(w, panel, x, p, first_token, 3, FORM); break; \
  case 4: float_panels(w, panel, x, p, first_token, 4, FORM); break; \
  case 5: float_panels(w, panel, x, p, first_token, 5, FORM); break; \
  case 6: float_panels(w, panel, x, p, first_token, 6, FORM); break; \
  case 7: float_panels(w, panel, x, p, first_token, 7, FORM); break; \
  case 8: float_panels(w, panel, x, p, first_token, 8, FORM); break; \
  case 9: float_panels(w, panel, x, p, first_token, 9, FORM); break; \
  case 10: float_panels(w, panel, x, p, first_token, 10, FORM); break; \
  case 11: float_panels(w, panel, x, p, first_token, 11, FORM); break; \
  case 12: float_panels(w, panel, x, p, first_token, 12, FORM); break;

WEIR_TARGET_PUSH(WEIR_TARGET_VNNI)
#include "../x86/vectors512.h"
#include "../x86/dot_vnni.h"
#include "../x86/quantize_body.h"
#include "../x86/store_body.h"
#include "../x86/expanded_body.h"
#include "../x86/direct_body.h"
#include "../x86/float_body.h"
WEIR_TARGET_POP

const weir_matrix_kernels weir_matrix_vnni = {
    .code_bytes = CODE_BYTES,
    .tile_tokens = TILE,
    .direct_tiles = DIRECT_TILES,
    .float_tokens = FLOAT_TILE,
    .quantize = quantize,
    .direct = direct,
    .floats = floats,
    .widen = widen,
    .expand = expand,
    .expanded = expanded,
};
#else
typedef int weir_no_code_for_this_processor;
#endif
