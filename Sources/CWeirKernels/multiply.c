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
  int64_t tile, float_tile;  // tokens of a tile: as many in each as possible, not more than the kernels take
  int64_t tiles, float_tiles;
  int64_t unit;  // panels of one task
} multiply_call;

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

static int32_t tokens_left(const multiply_call *c, int64_t tile, int64_t most) {
  return (int32_t)smaller(most, c->n - tile * most);
}

static int64_t tile_bytes(const multiply_call *c) {
  return (weir_tile_bytes(c->columns, (int32_t)c->tile, c->kernels->code_bytes) + 63) / 64 * 64;
}

static weir_tile integer_tile(const multiply_call *c, int64_t tile) {
  return weir_tile_at(
      c->codes + tile * tile_bytes(c), c->columns, tokens_left(c, tile, c->tile), c->kernels->code_bytes);
}

static void pack_codes(void *context, int32_t tile, int32_t thread) {
  (void)thread;
  const multiply_call *c = context;
  weir_tile t = integer_tile(c, tile);
  c->kernels->quantize(c->x + tile * c->tile * c->x_stride, c->x_stride, &t);
}

static void pack_floats(void *context, int32_t tile, int32_t thread) {
  (void)thread;
  const multiply_call *c = context;
  int32_t tokens = tokens_left(c, tile, c->float_tile);
  float *out = c->floats + tile * c->float_tile * c->columns;
  const float *x = c->x + tile * c->float_tile * c->x_stride;
  if (tokens == 1) {
    memcpy(out, x, (size_t)c->columns * sizeof(float));
    return;
  }
  for (int64_t k0 = 0; k0 < c->columns; k0 += 64)
    for (int32_t token = 0; token < tokens; token++)
      for (int64_t k = k0; k < smaller(k0 + 64, c->columns); k++) out[k * tokens + token] = x[token * c->x_stride + k];
}

static void pack_activations(multiply_call *c, int32_t thread) {
  bool alone = c->n * c->columns < ALONE_PACK;
  if (c->codes_wanted) {
    c->codes = weir_pool_scratch(c->pool, thread, SLOT_CODES, c->tiles * tile_bytes(c));
    for (int32_t i = 0; alone && i < c->tiles; i++) pack_codes(c, i, thread);
    if (!alone) weir_pool_run(c->pool, (int32_t)c->tiles, pack_codes, c);
  }
  if (c->floats_wanted) {
    c->floats = weir_pool_scratch(c->pool, thread, SLOT_FLOATS, c->float_tiles * c->float_tile * c->columns * 4);
    for (int32_t i = 0; alone && i < c->float_tiles; i++) pack_floats(c, i, thread);
    if (!alone) weir_pool_run(c->pool, (int32_t)c->float_tiles, pack_floats, c);
  }
}

// Lets the kernel fetch this tile's share of the next two panels' values.
static void set_ahead(const multiply_call *c, const weir_weights *w, int64_t next, int64_t tile, weir_panel *panel) {
  int64_t count = smaller(2, w->panels - next), share = (count * w->panel_value_bytes / c->tiles + 63) / 64 * 64;
  int64_t blocks = w->columns / WEIR_BLOCK;
  panel->ahead = panel->ahead_end = w->values;
  if (count <= 0 || blocks == 0) return;
  panel->ahead = w->values + next * w->panel_value_bytes + tile * share;
  panel->ahead_end = panel->ahead + share;
  panel->ahead_step = (share / blocks + 63) / 64 * 64;
}

// Panels [first, last) of one product, from an unpacked copy of two panels at a time.
static void run_expanded(const multiply_call *c, const weir_product *p, int64_t first, int64_t last, int32_t thread) {
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
    for (int64_t tile = 0; tile < c->tiles; tile++) {
      weir_tile t = integer_tile(c, tile);
      set_ahead(c, w, i + 2, tile, &panel);
      c->kernels->expanded(w, i, &panel, &t, p, tile * c->tile);
    }
  }
}

// Panels [first, last) of float weights, two at a time so that they stay in the cache for all tokens.
static void run_floats(const multiply_call *c, const weir_product *p, int64_t first, int64_t last, int32_t thread) {
  const weir_matrix_kernels *k = c->kernels;
  const weir_weights *w = p->weights;
  bool wide = c->float_tiles > k->direct_tiles && k->widen && w->traits->form != WEIR_FORM_F32;
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
    for (int64_t tile = 0; tile < c->float_tiles; tile++)
      k->floats(
          &part, 0, part.panels, c->floats + tile * c->float_tile * c->columns, tokens_left(c, tile, c->float_tile),
          &product, tile * c->float_tile);
  }
}

static void run_integers(const multiply_call *c, const weir_product *p, int64_t first, int64_t last, int32_t thread) {
  const weir_matrix_kernels *k = c->kernels;
  if (k->expand && c->tiles > k->direct_tiles) {
    run_expanded(c, p, first, last, thread);
    return;
  }
  for (int64_t panel = first; panel < last; panel++) {  // a panel stays in the cache for all tiles
    for (int64_t tile = 0; tile < c->tiles; tile++) {
      weir_tile t = integer_tile(c, tile);
      k->direct(p->weights, panel, panel + 1, &t, p, tile * c->tile);
    }
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
  c.tiles = (n + kernels->tile_tokens - 1) / kernels->tile_tokens;
  c.tile = (n + c.tiles - 1) / c.tiles;
  c.tiles = (n + c.tile - 1) / c.tile;
  c.float_tiles = (n + kernels->float_tokens - 1) / kernels->float_tokens;
  c.float_tile = (n + c.float_tiles - 1) / c.float_tiles;
  c.float_tiles = (n + c.float_tile - 1) / c.float_tile;
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
