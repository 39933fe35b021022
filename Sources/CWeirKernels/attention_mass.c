// Attention mass: probabilities of whole rows, a block of rows at a time, added to tallies row by row.
#include "weir_attention_mass.h"

#include <string.h>

#include "attention_plan.h"

enum { ROWS_MOST = 16, SCORE_BYTES = 256 << 10 };

typedef struct weir_mass_task {
  const weir_attention_mass *call;
  const weir_attention_kernels *kernels;
  int32_t head, shared_heads;
  const weir_kv_lane *lane;
  weir_attention_tile tile;
  float *query;    // [rows * shared heads][head_dim], scaled
  float *scores;   // [rows * shared heads][stride]
  int64_t stride;
  const uint8_t *zeros;
} weir_mass_task;

typedef struct weir_mass_loop {
  weir_pool *pool;
  const weir_attention_kernels *kernels;
  const weir_attention_mass *call;
} weir_mass_loop;

// Scores of `rows` rows from `first` on against keys [0, keys).
static void score_rows(weir_mass_task *task, int32_t first, int32_t rows, int64_t keys) {
  const weir_attention_mass *call = task->call;
  const weir_kv_layout *layout = &call->layout;
  int32_t width = task->shared_heads * layout->head_dim;
  for (int32_t r = 0; r < rows; r++) {
    const float *from = call->query + (first + r) * call->query_stride + (int64_t)task->head * width;
    for (int32_t d = 0; d < width; d++) task->query[(int64_t)r * width + d] = from[d] * call->scale;
  }
  weir_score_keys(
      task->kernels, layout, call->blocks, task->head, &task->tile, task->zeros, task->query, rows * task->shared_heads,
      keys, task->scores, task->stride);
}

// First key that a row sees.
static int64_t first_seen(const weir_mass_task *task, int32_t row) {
  if (task->call->window <= 0) return 0;
  int64_t first = weir_lane_first(task->lane, (int64_t)task->call->first_position + row - task->call->window + 1);
  return first > 0 ? first : 0;
}

// Adds one row's probabilities to the tallies; its scores are those of its heads, one after the other.
static void tally_row(const weir_mass_task *task, int32_t row, float *scores) {
  const weir_attention_mass *call = task->call;
  int64_t begin = first_seen(task, row), end = (int64_t)task->lane->older + row + 1;
  for (int32_t h = 0; h < task->shared_heads; h++) task->kernels->softmax(scores + h * task->stride + begin, end - begin);
  float share = 1.0f / (float)task->shared_heads;
  for (int64_t i = begin; i < end; i++) {
    float sum = 0;
    for (int32_t h = 0; h < task->shared_heads; h++) sum += scores[h * task->stride + i];
    scores[i] = sum * share;
  }
  for (int32_t t = 0; t < call->tally_count; t++) {
    const weir_mass_tally *tally = &call->tallies[t];
    float *out = call->out + task->head * call->lane_stride + t * call->tally_stride;
    if (row < tally->first_row) continue;
    if (tally->maximum) {
      for (int64_t i = begin; i < end; i++) out[i] = scores[i] > out[i] ? scores[i] : out[i];
      continue;
    }
    if (tally->decay != 1)
      for (int64_t i = 0; i < end; i++) out[i] *= tally->decay;
    for (int64_t i = begin; i < end; i++) out[i] += scores[i];
  }
}

static void run_head(void *context, int32_t head, int32_t thread) {
  const weir_mass_loop *loop = context;
  const weir_attention_mass *call = loop->call;
  const weir_kv_layout *layout = &call->layout;
  int32_t first = call->rows;  // rows that no tally counts are left out
  for (int32_t t = 0; t < call->tally_count; t++)
    if (call->tallies[t].first_row < first) first = call->tallies[t].first_row;
  weir_mass_task task = {.call = call, .kernels = loop->kernels, .head = head, .lane = &call->lanes[head]};
  task.shared_heads = call->heads / layout->kv_heads;
  task.stride = ((int64_t)task.lane->count + 63) / 32 * 32;
  int64_t most = SCORE_BYTES / (task.stride * 4 * task.shared_heads);
  most = most < 1 ? 1 : most > ROWS_MOST ? ROWS_MOST : most;
  int64_t vectors = most * task.shared_heads, size = layout->head_dim, padded = (size + 15) / 16 * 16;
  int64_t keys = weir_rounded(size * WEIR_ATTENTION_LANES * 4), query = weir_rounded(vectors * size * 4);
  int64_t scores = weir_rounded(vectors * task.stride * 4), zeros = weir_rounded(size * 4 + 64);
  uint8_t *memory = weir_pool_scratch(loop->pool, thread, WEIR_SCRATCH_TASK, keys + query + scores + zeros);
  task.tile = (weir_attention_tile){
      .keys = (float *)memory, .head_dim = (int32_t)size, .padded = (int32_t)padded, .softcap = call->softcap,
      .next_keys = memory, .next_values = memory};
  task.query = (float *)(memory + keys);
  task.scores = (float *)(memory + keys + query);
  memset(memory + keys + query + scores, 0, (size_t)zeros);
  task.zeros = memory + keys + query + scores;
  for (int32_t row = first; row < call->rows; row += (int32_t)most) {
    int32_t rows = call->rows - row < most ? call->rows - row : (int32_t)most;
    score_rows(&task, row, rows, (int64_t)task.lane->older + row + rows);
    for (int32_t r = 0; r < rows; r++) tally_row(&task, row + r, task.scores + (int64_t)r * task.shared_heads * task.stride);
  }
}

void weir_attention_mass_add(
    weir_pool *pool, const weir_attention_kernels *kernels, const weir_attention_mass *call) {
  if (call->rows == 0 || call->tally_count == 0) return;
  weir_mass_loop loop = {pool, kernels, call};
  weir_pool_run(pool, call->layout.kv_heads, run_head, &loop);
}

void weir_read_keys(
    const weir_attention_kernels *kernels, const weir_kv_layout *layout, const uint8_t *const *blocks, int32_t head,
    int64_t count, float *out) {
  for (int64_t i = 0; i < count; i++, out += layout->head_dim)
    kernels->read(layout->key_type, weir_key_row(layout, blocks, head, i), layout->head_dim, out);
}
