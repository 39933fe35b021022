// Runs a call of attention: walks tiles, keeps open and summed states, merges them in span order.
#include <math.h>
#include <string.h>

#include "attention_plan.h"


// One task: some rows of a group, with the query heads of one KV head, over a part of the group's run.
typedef struct weir_attention_task {
  const weir_attention_plan *plan;
  const weir_attention_group *group;
  const weir_group_plan *group_plan;
  int32_t kv_head;
  int32_t first_row, rows;  // of the group
  int32_t vectors;          // rows * heads per KV head
  weir_attention_tile tile;
  float *query;             // [vectors][head_dim], scaled
  uint32_t *visible;        // [vectors]
  weir_attention_state open, sum;
} weir_attention_task;

// ---- States ----

static void state_clear(const weir_attention_state *state, int64_t count, int32_t padded) {
  for (int64_t i = 0; i < count; i++) {
    state->maximum[i] = WEIR_ATTENTION_EMPTY;
    state->weight[i] = 0;
  }
  memset(state->values, 0, (size_t)(count * padded) * sizeof(float));
}

static void state_copy(
    const weir_attention_state *to, const weir_attention_state *from, int64_t count, int32_t padded) {
  memcpy(to->maximum, from->maximum, (size_t)count * sizeof(float));
  memcpy(to->weight, from->weight, (size_t)count * sizeof(float));
  memcpy(to->values, from->values, (size_t)(count * padded) * sizeof(float));
}

static int64_t vector_of(const weir_attention_task *task, int32_t row) {
  return (int64_t)row * task->plan->call->heads + (int64_t)task->kv_head * task->plan->shared_heads;
}

// The part of the between-waves state `all` that belongs to row `index` of the task.
static weir_attention_state outside(const weir_attention_task *task, const weir_attention_state *all, int32_t index) {
  return weir_state_from(all, vector_of(task, task->group->rows[task->first_row + index]), task->plan->padded);
}

static weir_attention_state inside(const weir_attention_task *task, const weir_attention_state *state, int32_t index) {
  return weir_state_from(state, (int64_t)index * task->plan->shared_heads, task->plan->padded);
}

static void close_span(const weir_attention_task *task, const weir_attention_state *from, int32_t index, int32_t rows) {
  int32_t padded = task->plan->padded;
  weir_attention_state sum = inside(task, &task->sum, index);
  task->plan->kernels->merge((int64_t)rows * task->plan->shared_heads, padded, &sum, padded, from, padded);
}

// Brings in what earlier waves left: the sums, and the open state if it belongs to the first span of this group.
static void begin_states(const weir_attention_task *task, bool with_sum) {
  const weir_attention_plan *plan = task->plan;
  int32_t heads = plan->shared_heads, padded = plan->padded;
  state_clear(&task->open, task->vectors, padded);
  if (with_sum) state_clear(&task->sum, task->vectors, padded);
  if (task->group_plan->starts) return;
  for (int32_t i = 0; i < task->rows; i++) {
    int64_t span = plan->open_span[task->group->rows[task->first_row + i]];
    if (span < 0) continue;
    weir_attention_state old_open = outside(task, &plan->open, i);
    if (with_sum) {
      weir_attention_state old_sum = outside(task, &plan->sum, i), sum = inside(task, &task->sum, i);
      state_copy(&sum, &old_sum, heads, padded);
    }
    if (span == task->group_plan->first_span || task->group_plan->spans == 0) {
      weir_attention_state open = inside(task, &task->open, i);
      state_copy(&open, &old_open, heads, padded);
    } else if (with_sum) {
      close_span(task, &old_open, i, 1);
    }
  }
}

static void write_output(const weir_attention_task *task) {
  const weir_attention *call = task->plan->call;
  int32_t heads = task->plan->shared_heads, padded = task->plan->padded, size = call->layout.head_dim;
  for (int32_t i = 0; i < task->vectors; i++) {
    int64_t row = task->group->rows[task->first_row + i / heads], head = (int64_t)task->kv_head * heads + i % heads;
    float *out = call->output + row * call->output_stride + head * size;
    const float *values = task->sum.values + (int64_t)i * padded;
    float factor = 1;
    if (call->maximum) {
      call->maximum[row * call->heads + head] = task->sum.maximum[i];
      call->weight[row * call->heads + head] = task->sum.weight[i];
    } else {
      factor = task->sum.weight[i] > 0 ? 1.0f / task->sum.weight[i] : 0;
    }
    for (int32_t d = 0; d < size; d++) out[d] = values[d] * factor;
  }
}

// Hands the states on to the next wave, or answers the rows if there is none. `open_span` is updated after the wave.
static void end_states(const weir_attention_task *task) {
  const weir_attention_plan *plan = task->plan;
  if (task->group_plan->finishes) {
    close_span(task, &task->open, 0, task->rows);
    write_output(task);
    return;
  }
  for (int32_t i = 0; i < task->rows; i++) {
    weir_attention_state open = inside(task, &task->open, i), sum = inside(task, &task->sum, i);
    weir_attention_state to_open = outside(task, &plan->open, i), to_sum = outside(task, &plan->sum, i);
    state_copy(&to_open, &open, plan->shared_heads, plan->padded);
    state_copy(&to_sum, &sum, plan->shared_heads, plan->padded);
  }
}

// ---- Tiles ----

typedef struct weir_tile_rows {
  const uint8_t *keys[WEIR_ATTENTION_LANES], *values[WEIR_ATTENTION_LANES];
  int32_t lanes;
  uint32_t present;
} weir_tile_rows;

// Lanes [low, high) as bits; both may be out of range.
static uint32_t lane_bits(int64_t low, int64_t high) {
  if (low < 0) low = 0;
  if (high > 32) high = 32;
  if (low >= high) return 0;
  return (uint32_t)(((uint64_t)1 << high) - ((uint64_t)1 << low));
}

// The rows of keys whose slots are listed: `slots[lane]` for lanes [begin, end).
static void find_chosen(
    const weir_attention_task *task, const int32_t *slots, int64_t begin, int64_t end, weir_tile_rows *out) {
  const weir_kv_layout *layout = &task->plan->call->layout;
  int64_t key_part = layout->key_offset + task->kv_head * layout->key_head_stride;
  int64_t value_part = layout->value_offset + task->kv_head * layout->value_head_stride;
  for (int64_t lane = begin; lane < end; lane++) {
    const uint8_t *block = task->group->run.blocks[slots[lane] / layout->block_slots];
    int64_t slot = slots[lane] % layout->block_slots;
    out->keys[lane] = block + key_part + slot * layout->key_row_bytes;
    out->values[lane] = block + value_part + slot * layout->value_row_bytes;
  }
}

static void find_rows(const weir_attention_task *task, int64_t tile, weir_tile_rows *out) {
  const weir_kv_layout *layout = &task->plan->call->layout;
  const weir_kv_run *run = &task->group->run;
  int32_t keys = task->plan->tile_keys;
  int64_t index = tile * keys - run->first;  // of lane 0 in the run
  int64_t count = run->lanes ? run->lanes[task->kv_head].count : run->count;
  int64_t begin = index < 0 ? -index : 0, end = count - index < keys ? count - index : keys;
  for (int32_t lane = 0; lane < WEIR_ATTENTION_LANES; lane++)
    out->keys[lane] = out->values[lane] = task->plan->zeros;
  out->lanes = end > begin ? (int32_t)end : 0;
  out->present = lane_bits(begin, end);
  int64_t slots = layout->block_slots, at = index + begin + run->first_slot, block = at / slots, slot = at % slots;
  const int32_t *chosen = run->lanes ? run->lanes[task->kv_head].slots : NULL;
  if (chosen) {
    find_chosen(task, chosen + index, begin, end, out);
    return;
  }
  for (int64_t lane = begin; lane < end; lane++) {
    out->keys[lane] = run->blocks[block] + layout->key_offset + task->kv_head * layout->key_head_stride +
                      slot * layout->key_row_bytes;
    out->values[lane] = run->blocks[block] + layout->value_offset + task->kv_head * layout->value_head_stride +
                        slot * layout->value_row_bytes;
    if (++slot == slots) {
      slot = 0;
      block++;
    }
  }
}

static uint32_t visible_lanes(const weir_attention_task *task, int64_t tile, int64_t position, uint32_t present) {
  const weir_attention *call = task->plan->call;
  const weir_kv_run *run = &task->group->run;
  int64_t last = call->bidirectional ? INT64_MAX - 64 : position;
  int64_t first = call->window > 0 ? position - call->window + 1 : INT64_MIN + ((int64_t)1 << 40);
  int64_t base = tile * task->plan->tile_keys;
  if (run->lanes) {
    const weir_kv_lane *lane = &run->lanes[task->kv_head];
    int64_t begin = call->window > 0 ? weir_lane_first(lane, first) : 0;
    return present & lane_bits(begin - base, last - lane->shift - base + 1);
  }
  if (!run->positions) return present & lane_bits(first - base, last - base + 1);
  uint32_t bits = 0;
  for (int32_t lane = 0; lane < task->plan->tile_keys; lane++) {
    if (!(present >> lane & 1)) continue;
    int64_t key = run->positions[base + lane - run->first];
    if (key >= first && key <= last) bits |= 1u << lane;
  }
  return bits;
}

// Fills in which lanes each vector sees; false if none sees any.
static bool find_visible(const weir_attention_task *task, int64_t tile, uint32_t present) {
  uint32_t any = 0;
  int32_t heads = task->plan->shared_heads;
  for (int32_t i = 0; i < task->rows; i++) {
    int32_t row = task->group->rows[task->first_row + i];
    uint32_t bits = visible_lanes(task, tile, task->plan->call->row_positions[row], present);
    any |= bits;
    for (int32_t h = 0; h < heads; h++) task->visible[i * heads + h] = bits;
  }
  return any != 0;
}

// Names the memory of a later tile, or none.
static void announce(const weir_attention_task *task, weir_attention_tile *tile, const weir_tile_rows *later) {
  const weir_kv_layout *layout = &task->plan->call->layout;
  bool any = later && later->present != 0;
  int32_t first = any ? __builtin_ctz(later->present) : 0;
  tile->next_keys = any ? later->keys[first] : task->plan->zeros;
  tile->next_values = any ? later->values[first] : task->plan->zeros;
  tile->key_step = any ? layout->key_row_bytes * WEIR_ATTENTION_LANES / layout->head_dim : 0;
  tile->value_row = any ? layout->value_row_bytes : 0;
  tile->value_step = any ? layout->value_row_bytes / layout->head_dim : 0;
}

// Adds the tiles [first, end) to the open states.
static void walk_tiles(weir_attention_task *task, int64_t first, int64_t end) {
  enum { AHEAD = 1 };
  weir_tile_rows ring[AHEAD + 1];
  for (int64_t tile = first; tile < end && tile < first + AHEAD; tile++)
    find_rows(task, tile, &ring[tile % (AHEAD + 1)]);
  for (int64_t tile = first; tile < end; tile++) {
    weir_tile_rows *now = &ring[tile % (AHEAD + 1)], *later = &ring[(tile + AHEAD) % (AHEAD + 1)];
    find_rows(task, tile + AHEAD, later);  // past the run: no lanes
    if (!find_visible(task, tile, now->present)) continue;
    task->tile.lanes = now->lanes;
    announce(task, &task->tile, later);
    task->plan->kernels->load(&task->tile, &task->plan->call->layout, now->keys, now->values);
    task->plan->kernels->update(&task->tile, task->query, task->visible, task->vectors, &task->open);
  }
}

// ---- Tasks ----

static void take_scratch(weir_attention_task *task, int32_t thread) {
  const weir_attention_plan *plan = task->plan;
  int64_t most = (int64_t)plan->chunk_rows * plan->shared_heads;
  int32_t size = plan->call->layout.head_dim, padded = plan->padded;
  int64_t state = weir_rounded(weir_state_bytes(most, padded)), query = weir_rounded(most * size * 4);
  int64_t keys = weir_rounded((int64_t)size * WEIR_ATTENTION_LANES * 4), values = (int64_t)padded * WEIR_ATTENTION_LANES * 4;
  uint8_t *memory = weir_pool_scratch(
      plan->pool, thread, WEIR_SCRATCH_TASK, 2 * state + query + keys + values + weir_rounded(most * 4));
  task->tile = (weir_attention_tile){
      .keys = (float *)memory, .values = (float *)(memory + keys), .head_dim = size, .padded = padded,
      .softcap = plan->call->softcap};
  memory += keys + values;
  task->query = (float *)memory;
  memory += query;
  task->open = weir_state_at(memory, most, padded);
  memory += state;
  task->sum = weir_state_at(memory, most, padded);
  memory += state;
  task->visible = (uint32_t *)memory;
}

static weir_attention_task make_task(
    const weir_attention_plan *plan, int32_t group, int32_t chunk, int32_t kv_head, int32_t thread) {
  weir_attention_task task = {.plan = plan, .group = &plan->call->groups[group], .group_plan = &plan->groups[group]};
  task.kv_head = kv_head;
  task.first_row = chunk * plan->chunk_rows;
  int32_t left = task.group->row_count - task.first_row;
  task.rows = left < plan->chunk_rows ? left : plan->chunk_rows;
  task.vectors = task.rows * plan->shared_heads;
  take_scratch(&task, thread);
  return task;
}

static void take_query(const weir_attention_task *task) {
  const weir_attention *call = task->plan->call;
  int32_t width = task->plan->shared_heads * call->layout.head_dim;
  for (int32_t i = 0; i < task->rows; i++) {
    int64_t row = task->group->rows[task->first_row + i];
    const float *from = call->query + row * call->query_stride + (int64_t)task->kv_head * width;
    float *to = task->query + (int64_t)i * width;
    for (int32_t d = 0; d < width; d++) to[d] = from[d] * call->scale;
  }
}

// The states of the task's vectors for span number `span` of the group, in the partial memory.
static weir_attention_state partial_of(const weir_attention_task *task, int64_t span) {
  const weir_attention_plan *plan = task->plan;
  int64_t per_span = (int64_t)task->group->row_count * plan->call->heads;
  int64_t in_span = ((int64_t)task->kv_head * task->group->row_count + task->first_row) * plan->shared_heads;
  return weir_state_from(&plan->partial, task->group_plan->partial + span * per_span + in_span, plan->padded);
}

static int64_t span_begin(const weir_attention_task *task, int64_t span) {
  int64_t tile = (task->group_plan->first_span + span) * task->plan->span_tiles;
  return tile > task->group_plan->first_tile ? tile : task->group_plan->first_tile;
}

static int64_t span_end(const weir_attention_task *task, int64_t span) {
  int64_t tile = (task->group_plan->first_span + span + 1) * task->plan->span_tiles;
  return tile < task->group_plan->end_tile ? tile : task->group_plan->end_tile;
}

// Walks the whole run, span after span.
static void run_whole(weir_attention_task *task) {
  take_query(task);
  begin_states(task, true);
  for (int64_t span = 0; span < task->group_plan->spans; span++) {
    if (span > 0) {
      close_span(task, &task->open, 0, task->rows);
      state_clear(&task->open, task->vectors, task->plan->padded);
    }
    walk_tiles(task, span_begin(task, span), span_end(task, span));
  }
  end_states(task);
}

// Walks some spans and leaves a partial for each.
static void run_part(weir_attention_task *task, int32_t part) {
  int64_t spans = task->group_plan->spans, parts = task->group_plan->parts;
  take_query(task);
  int64_t end = (part + 1) * spans / parts;
  for (int64_t span = part * spans / parts; span < end; span++) {
    if (span == 0)
      begin_states(task, false);
    else
      state_clear(&task->open, task->vectors, task->plan->padded);
    walk_tiles(task, span_begin(task, span), span_end(task, span));
    weir_attention_state partial = partial_of(task, span);
    state_copy(&partial, &task->open, task->vectors, task->plan->padded);
  }
}

// Takes up the partials in span order. The last one stays open: the next group may continue it.
static void join_parts(weir_attention_task *task) {
  begin_states(task, true);
  for (int64_t span = 0; span < task->group_plan->spans; span++) {
    weir_attention_state partial = partial_of(task, span);
    if (span + 1 < task->group_plan->spans)
      close_span(task, &partial, 0, task->rows);
    else
      state_copy(&task->open, &partial, task->vectors, task->plan->padded);
  }
  end_states(task);
}

static int32_t tasks_of(const weir_attention_plan *plan, const weir_group_plan *group, bool joining) {
  if (group->wave != plan->wave) return 0;
  int32_t tasks = group->chunks * plan->call->layout.kv_heads;
  if (joining) return group->by_span ? tasks : 0;
  return group->by_span ? tasks * group->parts : tasks;
}

// Finds the group of a task; later rows see more keys, so they come first.
static void run_task(const weir_attention_plan *plan, int32_t index, int32_t thread, bool joining) {
  for (int32_t g = 0; g < plan->call->group_count; g++) {
    const weir_group_plan *group = &plan->groups[g];
    int32_t tasks = tasks_of(plan, group, joining), kv_heads = plan->call->layout.kv_heads;
    if (index >= tasks) {
      index -= tasks;
      continue;
    }
    int32_t parts = joining || !group->by_span ? 1 : group->parts;
    int32_t chunk = group->chunks - 1 - index / (kv_heads * parts);
    weir_attention_task task = make_task(plan, g, chunk, index / parts % kv_heads, thread);
    if (joining)
      join_parts(&task);
    else if (group->by_span)
      run_part(&task, index % parts);
    else
      run_whole(&task);
    return;
  }
}

static void compute_body(void *context, int32_t task, int32_t thread) { run_task(context, task, thread, false); }
static void join_body(void *context, int32_t task, int32_t thread) { run_task(context, task, thread, true); }

static void run_wave(weir_attention_plan *plan) {
  int32_t tasks = 0, joins = 0;
  for (int32_t g = 0; g < plan->call->group_count; g++) {
    tasks += tasks_of(plan, &plan->groups[g], false);
    joins += tasks_of(plan, &plan->groups[g], true);
  }
  weir_pool_run(plan->pool, tasks, compute_body, plan);
  weir_pool_run(plan->pool, joins, join_body, plan);
  for (int32_t g = 0; g < plan->call->group_count; g++) {
    const weir_group_plan *group = &plan->groups[g];
    if (group->wave != plan->wave) continue;
    for (int32_t i = 0; i < plan->call->groups[g].row_count; i++) {
      int64_t *open_span = &plan->open_span[plan->call->groups[g].rows[i]];
      if (group->spans > 0) *open_span = group->first_span + group->spans - 1;
      if (*open_span < 0) *open_span = 0;  // nothing seen, but the states are there now
    }
  }
}

// Rows that no group names see nothing.
static void answer_empty(const weir_attention_plan *plan) {
  const weir_attention *call = plan->call;
  for (int32_t row = 0; row < call->rows; row++) {
    if (plan->open_span[row] != -2) continue;
    memset(call->output + row * call->output_stride, 0, (size_t)(call->heads * call->layout.head_dim) * sizeof(float));
    for (int32_t h = 0; call->maximum && h < call->heads; h++) {
      call->maximum[(int64_t)row * call->heads + h] = WEIR_ATTENTION_EMPTY;
      call->weight[(int64_t)row * call->heads + h] = 0;
    }
  }
}

void weir_attend(weir_pool *pool, const weir_attention_kernels *kernels, const weir_attention *call) {
  if (call->rows == 0) return;
  int32_t thread = weir_pool_enter(pool);
  weir_attention_plan plan = {.call = call, .kernels = kernels, .pool = pool};
  int64_t plan_bytes = weir_rounded(weir_attention_plan_bytes(call));
  int64_t partials = weir_attention_plan_make(&plan, weir_pool_scratch(pool, thread, WEIR_SCRATCH_CALL, plan_bytes));
  if (partials > 0) {
    // The memory may move when it grows, so the plan is made again in it.
    int64_t bytes = plan_bytes + weir_state_bytes(partials, plan.padded);
    uint8_t *memory = weir_pool_scratch(pool, thread, WEIR_SCRATCH_CALL, bytes);
    weir_attention_plan_make(&plan, memory);
    plan.partial = weir_state_at(memory + plan_bytes, partials, plan.padded);
  }
  answer_empty(&plan);
  for (plan.wave = 0; plan.wave < plan.waves; plan.wave++) run_wave(&plan);
  weir_pool_leave(pool);
}

// ---- The rest of the interface ----

void weir_attention_merge(
    const weir_attention_kernels *kernels, int64_t count, int32_t head_dim, float *maximum, float *weight,
    float *values, int64_t stride, const float *from_maximum, const float *from_weight, const float *from_values,
    int64_t from_stride) {
  weir_attention_state into = {maximum, weight, values};
  weir_attention_state from = {(float *)from_maximum, (float *)from_weight, (float *)from_values};
  kernels->merge(count, head_dim, &into, stride, &from, from_stride);
}

void weir_store_kv_head(
    const weir_attention_kernels *kernels, const weir_kv_layout *layout, uint8_t *block, int32_t slot, int32_t head,
    const float *key, const float *value) {
  kernels->store(
      layout->key_type, key, layout->head_dim,
      block + layout->key_offset + head * layout->key_head_stride + slot * layout->key_row_bytes);
  kernels->store(
      layout->value_type, value, layout->head_dim,
      block + layout->value_offset + head * layout->value_head_stride + slot * layout->value_row_bytes);
}

void weir_store_kv(
    const weir_attention_kernels *kernels, const weir_kv_layout *layout, uint8_t *block, int32_t slot, const float *key,
    const float *value) {
  for (int32_t h = 0; h < layout->kv_heads; h++) {
    int64_t at = (int64_t)h * layout->head_dim;
    weir_store_kv_head(kernels, layout, block, slot, h, key + at, value + at);
  }
}

void weir_exp_row(const weir_attention_kernels *kernels, const float *x, int64_t count, float *y) {
  kernels->exponential(x, count, y);
}
