// The walk of a product: pack the activations once, cut the weights into tasks of whole panels, run them on the pool.
//
// Batch invariance: a task never splits the columns of a row, and every kernel sums a row in the same order, so the
// number of threads, tasks and other tokens cannot change a result.
#include <string.h>

#include "matrix.h"

enum { SLOT_CODES = 0, SLOT_FLOATS = 1, SLOT_PANEL = 2 };
enum { PAIR_ROWS = 2 * WEIR_PANEL_ROWS };
// Below this many multiply-adds a loop is not worth waking a thread for.
enum { ALONE_WORK = 1 << 16 };
// Elements from which the activations are packed by all threads.
enum { ALONE_PACK = 1 << 15 };

typedef struct multiply_call {
  weir_pool *pool;
  const weir_matrix_kernels *kernels;
  const weir_product *products;
  int32_t count;
  const float *x;
  int64_t n, x_stride, columns;
  bool codes_wanted, floats_wanted;
  uint8_t *codes;  // integer tiles, one after the other
  float *floats;   // float tiles [columns][tokens], one after the other
  int64_t unit;    // panels of one task
} multiply_call;

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

static int32_t tile_tokens(const multiply_call *c, int64_t tile, int32_t most) {
  return (int32_t)smaller(most, c->n - tile * most);
}

static weir_tile integer_tile(const multiply_call *c, int64_t tile) {
  const weir_matrix_kernels *k = c->kernels;
  int64_t full = weir_tile_bytes(c->columns, k->tile_tokens, k->code_bytes);
  full = (full + 63) / 64 * 64;
  return weir_tile_at(c->codes + tile * full, c->columns, tile_tokens(c, tile, k->tile_tokens), k->code_bytes);
}

static void pack_codes(void *context, int32_t tile, int32_t thread) {
  (void)thread;
  const multiply_call *c = context;
  weir_tile t = integer_tile(c, tile);
  c->kernels->quantize(c->x + tile * c->kernels->tile_tokens * c->x_stride, c->x_stride, &t);
}

static void pack_floats(void *context, int32_t tile, int32_t thread) {
  (void)thread;
  const multiply_call *c = context;
  int32_t most = c->kernels->float_tokens, tokens = tile_tokens(c, tile, most);
  float *out = c->floats + tile * most * c->columns;
  const float *x = c->x + tile * most * c->x_stride;
  if (tokens == 1) {
    memcpy(out, x, (size_t)c->columns * sizeof(float));
    return;
  }
  for (int64_t k0 = 0; k0 < c->columns; k0 += 64)
    for (int32_t token = 0; token < tokens; token++)
      for (int64_t k = k0; k < smaller(k0 + 64, c->columns); k++) out[k * tokens + token] = x[token * c->x_stride + k];
}

static void pack_activations(multiply_call *c, int32_t thread) {
  const weir_matrix_kernels *k = c->kernels;
  bool alone = c->n * c->columns < ALONE_PACK;
  if (c->codes_wanted) {
    int64_t tiles = (c->n + k->tile_tokens - 1) / k->tile_tokens;
    int64_t full = (weir_tile_bytes(c->columns, k->tile_tokens, k->code_bytes) + 63) / 64 * 64;
    c->codes = weir_pool_scratch(c->pool, thread, SLOT_CODES, tiles * full);
    for (int32_t i = 0; alone && i < tiles; i++) pack_codes(c, i, thread);
    if (!alone) weir_pool_run(c->pool, (int32_t)tiles, pack_codes, c);
  }
  if (c->floats_wanted) {
    int64_t tiles = (c->n + k->float_tokens - 1) / k->float_tokens;
    c->floats = weir_pool_scratch(c->pool, thread, SLOT_FLOATS, tiles * k->float_tokens * c->columns * 4);
    for (int32_t i = 0; alone && i < tiles; i++) pack_floats(c, i, thread);
    if (!alone) weir_pool_run(c->pool, (int32_t)tiles, pack_floats, c);
  }
}

// Panels [first, last) of one product, from an unpacked copy of two panels at a time.
static void run_expanded(
    const multiply_call *c, const weir_product *p, int64_t first, int64_t last, int64_t tiles, int32_t thread) {
  const weir_weights *w = p->weights;
  int64_t groups = w->columns / w->traits->group;
  int64_t code_bytes = w->columns * PAIR_ROWS, scale_bytes = groups * PAIR_ROWS * 4;
  uint8_t *memory = weir_pool_scratch(c->pool, thread, SLOT_PANEL, code_bytes + 2 * scale_bytes);
  weir_panel panel = {
      .columns = w->columns,
      .codes = memory,
      .scale = (float *)(memory + code_bytes),
      .min = (float *)(memory + code_bytes + scale_bytes)};
  for (int64_t i = first; i < last; i += 2) {
    c->kernels->expand(w, i, &panel);
    for (int64_t tile = 0; tile < tiles; tile++) {
      weir_tile t = integer_tile(c, tile);
      c->kernels->expanded(w, i, &panel, &t, p, tile * c->kernels->tile_tokens);
    }
  }
}

// Panels [first, last) of float weights, two at a time so that they stay in the cache for all tokens.
static void run_floats(const multiply_call *c, const weir_product *p, int64_t first, int64_t last, int32_t thread) {
  const weir_matrix_kernels *k = c->kernels;
  const weir_weights *w = p->weights;
  int64_t tiles = (c->n + k->float_tokens - 1) / k->float_tokens;
  bool wide = tiles > 1 && k->widen && w->traits->form != WEIR_FORM_F32;
  int64_t panel_floats = w->columns * WEIR_PANEL_ROWS;
  float *copy = wide ? weir_pool_scratch(c->pool, thread, SLOT_PANEL, 2 * panel_floats * 4) : NULL;
  for (int64_t i = first; i < last; i += 2) {
    weir_weights part = *w;  // the two panels as a matrix of their own
    part.rows = smaller(w->rows - i * WEIR_PANEL_ROWS, PAIR_ROWS);
    part.panels = smaller(last - i, 2);
    part.values = w->values + i * w->panel_value_bytes;
    if (wide) {
      k->widen(w, i, copy);
      part.traits = weir_traits_of(0);  // F32
      part.panel_value_bytes = panel_floats * 4;
      part.values = (uint8_t *)copy;
    }
    weir_product product = *p;
    product.weights = &part;
    product.y += i * WEIR_PANEL_ROWS;
    for (int64_t tile = 0; tile < tiles; tile++)
      k->floats(
          &part, 0, part.panels, c->floats + tile * k->float_tokens * c->columns,
          tile_tokens(c, tile, k->float_tokens), &product, tile * k->float_tokens);
  }
}

static void run_integers(const multiply_call *c, const weir_product *p, int64_t first, int64_t last, int32_t thread) {
  const weir_matrix_kernels *k = c->kernels;
  int64_t tiles = (c->n + k->tile_tokens - 1) / k->tile_tokens;
  if (k->expand && tiles > 1) {
    run_expanded(c, p, first, last, tiles, thread);
    return;
  }
  for (int64_t tile = 0; tile < tiles; tile++) {
    weir_tile t = integer_tile(c, tile);
    k->direct(p->weights, first, last, &t, p, tile * k->tile_tokens);
  }
}

static void run_task(void *context, int32_t task, int32_t thread) {
  const multiply_call *c = context;
  int64_t at = task;
  for (int32_t i = 0; i < c->count; i++) {
    const weir_product *p = &c->products[i];
    int64_t tasks = (p->weights->panels + c->unit - 1) / c->unit;
    if (at < tasks) {
      int64_t first = at * c->unit, last = smaller(first + c->unit, p->weights->panels);
      bool floats = p->weights->traits->scales == WEIR_SCALES_NONE;
      (floats ? run_floats : run_integers)(c, p, first, last, thread);
      return;
    }
    at -= tasks;
  }
}

void weir_multiply(
    weir_pool *pool, const weir_matrix_kernels *kernels, const weir_product *products, int32_t count, const float *x,
    int64_t n, int64_t x_stride) {
  if (count == 0 || n == 0) return;
  multiply_call c = {
      .pool = pool, .kernels = kernels, .products = products, .count = count, .x = x, .n = n, .x_stride = x_stride,
      .columns = products[0].weights->columns};
  int64_t panels = 0;
  for (int32_t i = 0; i < count; i++) {
    bool floats = products[i].weights->traits->scales == WEIR_SCALES_NONE;
    c.floats_wanted |= floats;
    c.codes_wanted |= !floats;
    panels += products[i].weights->panels;
  }
  int32_t thread = weir_pool_enter(pool);
  pack_activations(&c, thread);
  // About sixteen tasks per thread for an even finish; an even number of panels, for kernels that take two at a time.
  int64_t threads = weir_pool_threads(pool);
  c.unit = (panels / (threads * 16) + 1) / 2 * 2;
  if (c.unit < 2) c.unit = 2;
  if (panels * WEIR_PANEL_ROWS * c.columns * n < ALONE_WORK) c.unit = panels + 1;
  int32_t tasks = 0;
  for (int32_t i = 0; i < count; i++) tasks += (int32_t)((products[i].weights->panels + c.unit - 1) / c.unit);
  if (c.unit > panels) {
    for (int32_t i = 0; i < tasks; i++) run_task(&c, i, thread);
  } else {
    weir_pool_run(pool, tasks, run_task, &c);
  }
  weir_pool_leave(pool);
}
