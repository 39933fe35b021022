// Cuts a call of attention into waves and tasks: whole runs where there are tasks enough, spans where there are not.
#include "attention_plan.h"

int32_t weir_tile_keys(int32_t block_slots) {
  for (int32_t keys = WEIR_ATTENTION_LANES; keys > 1; keys--)
    if (block_slots % keys == 0) return keys;
  return 1;
}

enum { AHEAD_TILES = 2 };

void weir_score_keys(
    const weir_attention_kernels *kernels, const weir_kv_layout *layout, const uint8_t *const *blocks, int32_t head,
    weir_attention_tile *tile, const uint8_t *zeros, const float *query, int32_t vectors, int64_t keys, float *scores,
    int64_t stride) {
  int32_t tile_keys = weir_tile_keys(layout->block_slots);
  for (int64_t at = 0; at < keys; at += tile_keys) {
    const uint8_t *rows[WEIR_ATTENTION_LANES];
    int64_t lanes = keys - at < tile_keys ? keys - at : tile_keys;
    // Blocks lie anywhere: nothing but this asks for the next ones' keys in time.
    int64_t later = at + AHEAD_TILES * tile_keys;
    if (later < keys) tile->next_keys = weir_key_row(layout, blocks, head, later);
    tile->key_step = later < keys ? layout->key_row_bytes * tile_keys / layout->head_dim : 0;
    const uint8_t *row = weir_key_row(layout, blocks, head, at);
    for (int64_t lane = 0; lane < WEIR_ATTENTION_LANES; lane++)
      rows[lane] = lane < lanes ? row + lane * layout->key_row_bytes : zeros;
    tile->lanes = (int32_t)lanes;
    kernels->load_keys(tile, layout, rows);
    kernels->score(tile, query, vectors, scores + at, stride);
  }
}

int64_t weir_attention_plan_bytes(const weir_attention *call) {
  int64_t vectors = (int64_t)call->rows * call->heads;
  int32_t padded = (call->layout.head_dim + 15) / 16 * 16;
  return weir_rounded(call->group_count * (int64_t)sizeof(weir_group_plan)) +
         2 * weir_rounded(weir_state_bytes(vectors, padded)) + 3 * weir_rounded(call->rows * 8) + weir_rounded(call->layout.head_dim * 4 + 64);
}

// The range of coordinates that rows of the group may see, within the run.
static void visible_range(const weir_attention *call, const weir_attention_group *group, int64_t *begin, int64_t *end) {
  const weir_kv_run *run = &group->run;
  *begin = run->first;
  *end = run->first + run->count;
  if (run->positions || run->lanes || group->row_count == 0) return;
  int64_t lowest = INT64_MAX, highest = INT64_MIN;
  for (int32_t i = 0; i < group->row_count; i++) {
    int64_t position = call->row_positions[group->rows[i]];
    lowest = position < lowest ? position : lowest;
    highest = position > highest ? position : highest;
  }
  if (!call->bidirectional && highest + 1 < *end) *end = highest + 1;
  if (call->window > 0 && lowest - call->window + 1 > *begin) *begin = lowest - call->window + 1;
}

static void plan_group(weir_attention_plan *plan, int32_t index, int32_t *row_wave, int32_t *row_left) {
  const weir_attention_group *group = &plan->call->groups[index];
  weir_group_plan *out = &plan->groups[index];
  *out = (weir_group_plan){.starts = true, .finishes = true};
  int64_t begin, end;
  visible_range(plan->call, group, &begin, &end);
  for (int32_t i = 0; i < group->row_count; i++) {
    int32_t row = group->rows[i];
    if (row_wave[row] >= 0) out->starts = false;
    if (row_wave[row] + 1 > out->wave) out->wave = row_wave[row] + 1;
    if (--row_left[row] > 0) out->finishes = false;
  }
  for (int32_t i = 0; i < group->row_count; i++) row_wave[group->rows[i]] = out->wave;
  if (out->wave + 1 > plan->waves) plan->waves = out->wave + 1;
  out->chunks = (group->row_count + plan->chunk_rows - 1) / plan->chunk_rows;
  if (end > begin) {
    out->first_tile = begin / plan->tile_keys;
    out->end_tile = (end + plan->tile_keys - 1) / plan->tile_keys;
    out->first_span = out->first_tile / plan->span_tiles;
    out->spans = (out->end_tile - 1) / plan->span_tiles + 1 - out->first_span;
    out->work = (double)(end - begin) * (8.0 + (double)group->row_count * plan->shared_heads);
  }
}

// A group is walked span by span if its tasks would otherwise be so large that threads wait for the last one, unless
// many rows share it and its tasks fill the threads evenly: partial results of many rows cost more than they bring.
static void choose_schedule(weir_attention_plan *plan) {
  int32_t threads = weir_pool_threads(plan->pool), kv_heads = plan->call->layout.kv_heads;
  for (int32_t wave = 0; wave < plan->waves; wave++) {
    double total = 0;
    for (int32_t g = 0; g < plan->call->group_count; g++)
      if (plan->groups[g].wave == wave) total += plan->groups[g].work * kv_heads;
    for (int32_t g = 0; g < plan->call->group_count; g++) {
      weir_group_plan *group = &plan->groups[g];
      if (group->wave != wave || group->spans < 2 || threads == 1) continue;
      int32_t rows = plan->call->groups[g].row_count;
      int32_t tasks = group->chunks * kv_heads;
      double largest = group->work * kv_heads / tasks;
      bool even = rows >= 16 && tasks >= threads && (tasks % threads == 0 || tasks >= 4 * threads);
      group->by_span = largest > total / (4.0 * threads) && !even;
      int64_t parts = (int64_t)(group->work * kv_heads / total * 16.0 * threads / tasks) + 1;
      group->parts = (int32_t)(parts < group->spans ? parts : group->spans);
    }
  }
}

int64_t weir_attention_plan_make(weir_attention_plan *plan, uint8_t *memory) {
  const weir_attention *call = plan->call;
  int64_t vectors = (int64_t)call->rows * call->heads;
  plan->shared_heads = call->heads / call->layout.kv_heads;
  plan->chunk_rows = WEIR_ATTENTION_ROWS / plan->shared_heads;
  if (plan->chunk_rows < 1) plan->chunk_rows = 1;
  plan->padded = (call->layout.head_dim + 15) / 16 * 16;
  plan->tile_keys = weir_tile_keys(call->layout.block_slots);
  plan->span_tiles = WEIR_ATTENTION_SPAN / plan->tile_keys;
  plan->groups = (weir_group_plan *)memory;
  memory += weir_rounded(call->group_count * (int64_t)sizeof(weir_group_plan));
  plan->sum = weir_state_at(memory, vectors, plan->padded);
  memory += weir_rounded(weir_state_bytes(vectors, plan->padded));
  plan->open = weir_state_at(memory, vectors, plan->padded);
  memory += weir_rounded(weir_state_bytes(vectors, plan->padded));
  plan->open_span = (int64_t *)memory;
  int32_t *row_wave = (int32_t *)(memory + weir_rounded(call->rows * 8));
  int32_t *row_left = (int32_t *)(memory + 2 * weir_rounded(call->rows * 8));
  memory += 3 * weir_rounded(call->rows * 8);
  for (int64_t i = 0; i < call->layout.head_dim * 4 + 64; i++) memory[i] = 0;
  plan->zeros = memory;

  for (int32_t row = 0; row < call->rows; row++) {
    row_wave[row] = -1;
    row_left[row] = 0;
    plan->open_span[row] = -1;
  }
  for (int32_t g = 0; g < call->group_count; g++)
    for (int32_t i = 0; i < call->groups[g].row_count; i++) row_left[call->groups[g].rows[i]]++;
  plan->waves = 0;
  for (int32_t g = 0; g < call->group_count; g++) plan_group(plan, g, row_wave, row_left);
  choose_schedule(plan);

  int64_t partials = 0;
  for (int32_t g = 0; g < call->group_count; g++) {
    plan->groups[g].partial = partials;
    if (plan->groups[g].by_span) partials += plan->groups[g].spans * call->groups[g].row_count * call->heads;
  }
  // Rows that are in no group still have to be answered.
  for (int32_t row = 0; row < call->rows; row++)
    if (row_wave[row] < 0) plan->open_span[row] = -2;
  return partials;
}
