// Stored weights, their packed form, and products with them.
#ifndef WEIR_MATRIX_H
#define WEIR_MATRIX_H
#include "weir_features.h"
#include "weir_pool.h"

/// How the values of a packed panel are stored.
typedef enum weir_form {
  WEIR_FORM_F32 = 0,      // [k][16] float
  WEIR_FORM_F16 = 1,      // [k][16] half
  WEIR_FORM_BF16 = 2,     // [k][16] upper halves of floats
  WEIR_FORM_BYTES = 3,    // [k/4][16][4] unsigned bytes: integer value + 128
  WEIR_FORM_NIBBLES = 4,  // per 32 columns [4][16][4] bytes: low nibbles columns 0..15, high nibbles columns 16..31
} weir_form;

/// How the scales of a packed panel are stored; `min` parts only where the type has them.
typedef enum weir_scale_form {
  WEIR_SCALES_NONE = 0,
  WEIR_SCALES_F16 = 1,    // per 32 columns: d[16] half, min[16] half
  WEIR_SCALES_SUPER = 2,  // per 256 columns: d[16] half, dmin[16] half, sub[groups][16] int8, submin[groups][16] uint8
} weir_scale_form;

enum { WEIR_PANEL_ROWS = 16, WEIR_BLOCK = 32, WEIR_SUPER = 256 };

/// What is fixed by a stored type. A value is (d * sub[group]) * (code - offset) - dmin * submin[group].
typedef struct weir_traits {
  int32_t type;            // ggml's number
  int32_t block_elements;  // columns of one stored block
  int32_t block_bytes;
  weir_form form;
  weir_scale_form scales;
  int32_t group;   // columns that share a scale: 16 or 32
  int32_t offset;  // subtracted from codes
  bool has_min;
} weir_traits;

/// Traits of a ggml type number, or NULL if the type is not known here.
const weir_traits *weir_traits_of(int32_t type);

/// A weight matrix [rows, columns] in panels of 16 rows; the last panel is filled up with zeros.
typedef struct weir_weights {
  const weir_traits *traits;
  int64_t rows, columns, panels;
  int64_t panel_value_bytes, panel_scale_bytes;  // both multiples of 32
  uint8_t *values;                               // 64-byte aligned, panels * panel_value_bytes
  uint8_t *scales;                               // 64-byte aligned, panels * panel_scale_bytes
} weir_weights;

/// Fills in everything but the two pointers. False if `type` is unknown or `columns` is no multiple of its block.
bool weir_weights_plan(int32_t type, int64_t rows, int64_t columns, weir_weights *out);
/// Packs panels [first, first + count) from row-major stored blocks at `source` (the whole matrix).
void weir_weights_pack(const weir_weights *weights, const uint8_t *source, int64_t first, int64_t count);
/// Writes the values of one row of packed weights, bit for bit those of the stored type.
void weir_weights_row(const weir_weights *weights, int64_t row, float *out);
/// Writes the values of `elements` stored elements (a multiple of the type's block).
void weir_dequantize(int32_t type, const uint8_t *source, int64_t elements, float *out);

typedef struct weir_matrix_kernels weir_matrix_kernels;
/// The table of `isa`, or NULL if this processor cannot run it.
const weir_matrix_kernels *weir_matrix_kernels_for(weir_isa isa);

/// One product y[n, rows] = x[n, columns] * weights^T, or y += with `accumulate`.
typedef struct weir_product {
  const weir_weights *weights;
  float *y;
  int64_t y_stride;
  bool accumulate;
} weir_product;

/// Runs several products that share x [n, columns]. Every element of every y is summed in one fixed order that depends
/// on nothing but the weights' type and the instruction set.
void weir_multiply(
    weir_pool *pool, const weir_matrix_kernels *kernels, const weir_product *products, int32_t count, const float *x,
    int64_t n, int64_t x_stride);

#endif
