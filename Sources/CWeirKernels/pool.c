// The worker pool: one 64-bit ticket (epoch, tasks left) that threads take tasks from, a bounded spin, then a futex.
//
// Why a ticket: a worker that wakes late must not delay the caller nor run a task of a later loop with this loop's
// function. It reads the ticket, then the loop's fields, then takes a task by compare-and-swap on the ticket; success
// proves that the loop was still open, so the fields belong to it. The caller waits for finished tasks, never for
// workers.
#define _GNU_SOURCE
#include "weir_pool.h"

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

// How long a thread spins before it sleeps. Longer than the gap between two loops of a layer, shorter than anything a
// user of the other core would notice (an unbounded spin costs a whole scheduler slice when cores are shared).
enum { WEIR_SPIN_NANOSECONDS = 40000 };

typedef struct scratch_slots {
  void *memory[WEIR_POOL_SCRATCH_SLOTS];
  int64_t bytes[WEIR_POOL_SCRATCH_SLOTS];
} scratch_slots;

// What this thread is doing: which pool it belongs to now, as which thread, inside a task or between two loops, and how
// many enters are open.
typedef struct membership {
  weir_pool *pool;
  int32_t thread;
  int32_t depth;
  bool in_task;
} membership;

struct weir_pool {
  _Alignas(64) _Atomic uint64_t ticket;  // epoch << 32 | tasks not yet taken
  _Alignas(64) _Atomic uint32_t wake;    // futex word: changes with every loop and at the end
  _Atomic int32_t sleepers;
  _Alignas(64) _Atomic uint32_t finished;  // tasks done in this loop; futex word of the caller
  _Atomic bool caller_sleeps;
  _Alignas(64) _Atomic(weir_pool_body) body;
  _Atomic(void *) context;
  _Atomic uint32_t tasks;
  _Atomic bool ending;
  pthread_mutex_t callers;
  int32_t threads;
  pthread_t *handles;
  scratch_slots *scratch;  // one per thread
  membership outer;        // what the caller was doing before it entered; guarded by `callers`
};

typedef struct worker_start {
  weir_pool *pool;
  int32_t index;
  bool pinned;
} worker_start;

static _Thread_local membership current;

static void futex_wait(_Atomic uint32_t *word, uint32_t seen) {
  syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word) { syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0); }

static void relax(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

static uint64_t nanoseconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

// Takes and runs tasks until the open loop has none left.
static void take_tasks(weir_pool *pool, int32_t thread) {
  uint64_t seen = atomic_load_explicit(&pool->ticket, memory_order_acquire);
  while ((uint32_t)seen != 0) {
    weir_pool_body body = atomic_load_explicit(&pool->body, memory_order_relaxed);
    void *context = atomic_load_explicit(&pool->context, memory_order_relaxed);
    uint32_t tasks = atomic_load_explicit(&pool->tasks, memory_order_relaxed);
    if (!atomic_compare_exchange_weak_explicit(
            &pool->ticket, &seen, seen - 1, memory_order_acq_rel, memory_order_acquire))
      continue;
    body(context, (int32_t)(tasks - (uint32_t)seen), thread);
    uint32_t done = atomic_fetch_add_explicit(&pool->finished, 1, memory_order_seq_cst) + 1;
    if (done == tasks && atomic_load_explicit(&pool->caller_sleeps, memory_order_seq_cst)) futex_wake(&pool->finished);
    seen = atomic_load_explicit(&pool->ticket, memory_order_acquire);
  }
}

// Waits until `wake` differs from `seen`: spins, then sleeps.
static void await_loop(weir_pool *pool, uint32_t seen) {
  uint64_t start = nanoseconds();
  for (;;) {
    for (int i = 0; i < 32; i++) {
      if (atomic_load_explicit(&pool->wake, memory_order_acquire) != seen) return;
      relax();
    }
    if (nanoseconds() - start > WEIR_SPIN_NANOSECONDS) break;
  }
  atomic_fetch_add(&pool->sleepers, 1);
  while (atomic_load(&pool->wake) == seen) futex_wait(&pool->wake, seen);
  atomic_fetch_sub(&pool->sleepers, 1);
}

static void *worker_main(void *argument) {
  worker_start start = *(worker_start *)argument;
  free(argument);
  weir_pool *pool = start.pool;
  if (start.pinned) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(start.index, &set);
    pthread_setaffinity_np(pthread_self(), sizeof set, &set);
  }
  current = (membership){.pool = pool, .thread = start.index, .in_task = true};
  uint32_t seen = 0;
  while (!atomic_load_explicit(&pool->ending, memory_order_acquire)) {
    await_loop(pool, seen);
    seen = atomic_load_explicit(&pool->wake, memory_order_acquire);
    take_tasks(pool, start.index);
  }
  return NULL;
}

weir_pool *weir_pool_create(int32_t threads, bool pinned) {
  weir_pool *pool = aligned_alloc(64, sizeof(weir_pool));
  if (!pool) return NULL;
  *pool = (weir_pool){.threads = 1};
  pthread_mutex_init(&pool->callers, NULL);
  size_t count = (size_t)(threads < 1 ? 1 : threads);
  pool->handles = calloc(count, sizeof(pthread_t));
  pool->scratch = calloc(count, sizeof(scratch_slots));
  if (!pool->handles || !pool->scratch) {
    free(pool->handles);
    free(pool->scratch);
    free(pool);
    return NULL;
  }
  for (int32_t i = 1; i < threads; i++) {
    worker_start *start = malloc(sizeof *start);
    if (!start) break;
    *start = (worker_start){pool, i, pinned};
    if (pthread_create(&pool->handles[i], NULL, worker_main, start) != 0) {
      free(start);
      break;
    }
    pool->threads = i + 1;
  }
  return pool;
}

void weir_pool_destroy(weir_pool *pool) {
  atomic_store(&pool->ending, true);
  atomic_fetch_add(&pool->wake, 1);
  futex_wake(&pool->wake);
  for (int32_t i = 1; i < pool->threads; i++) pthread_join(pool->handles[i], NULL);
  for (int32_t i = 0; i < pool->threads; i++)
    for (int slot = 0; slot < WEIR_POOL_SCRATCH_SLOTS; slot++) free(pool->scratch[i].memory[slot]);
  free(pool->scratch);
  pthread_mutex_destroy(&pool->callers);
  free(pool->handles);
  free(pool);
}

int32_t weir_pool_threads(const weir_pool *pool) { return pool->threads; }

// Waits until every task of the loop has ended: spins, then sleeps.
static void await_finish(weir_pool *pool, uint32_t tasks) {
  uint64_t start = nanoseconds();
  for (;;) {
    for (int i = 0; i < 32; i++) {
      if (atomic_load_explicit(&pool->finished, memory_order_acquire) == tasks) return;
      relax();
    }
    if (nanoseconds() - start > WEIR_SPIN_NANOSECONDS) break;
  }
  atomic_store(&pool->caller_sleeps, true);
  uint32_t done;
  while ((done = atomic_load(&pool->finished)) != tasks) futex_wait(&pool->finished, done);
  atomic_store(&pool->caller_sleeps, false);
}

static void run_alone(int32_t tasks, weir_pool_body body, void *context, int32_t thread) {
  for (int32_t i = 0; i < tasks; i++) body(context, i, thread);
}

int32_t weir_pool_enter(weir_pool *pool) {
  if (current.pool != pool) {
    pthread_mutex_lock(&pool->callers);
    pool->outer = current;
    current = (membership){.pool = pool};
  }
  current.depth++;
  return current.thread;
}

void weir_pool_leave(weir_pool *pool) {
  current.depth--;
  if (current.depth > 0 || current.in_task) return;
  current = pool->outer;
  pthread_mutex_unlock(&pool->callers);
}

void *weir_pool_scratch(weir_pool *pool, int32_t thread, int32_t slot, int64_t bytes) {
  scratch_slots *slots = &pool->scratch[thread];
  if (slots->bytes[slot] < bytes) {
    free(slots->memory[slot]);
    int64_t size = (bytes + bytes / 4 + 4095) / 4096 * 4096;
    slots->memory[slot] = aligned_alloc(64, (size_t)size);
    if (!slots->memory[slot]) abort();  // a loop cannot go on without its scratch memory
    slots->bytes[slot] = size;
  }
  return slots->memory[slot];
}

static void run_shared(weir_pool *pool, uint32_t tasks, weir_pool_body body, void *context) {
  atomic_store_explicit(&pool->body, body, memory_order_relaxed);
  atomic_store_explicit(&pool->context, context, memory_order_relaxed);
  atomic_store_explicit(&pool->tasks, tasks, memory_order_relaxed);
  atomic_store_explicit(&pool->finished, 0, memory_order_relaxed);
  uint64_t epoch = (atomic_load_explicit(&pool->ticket, memory_order_relaxed) >> 32) + 1;
  atomic_store_explicit(&pool->ticket, epoch << 32 | tasks, memory_order_release);
  atomic_fetch_add(&pool->wake, 1);
  if (atomic_load(&pool->sleepers) > 0) futex_wake(&pool->wake);
  take_tasks(pool, 0);
  await_finish(pool, tasks);
}

void weir_pool_run(weir_pool *pool, int32_t tasks, weir_pool_body body, void *context) {
  if (tasks <= 0) return;
  int32_t thread = weir_pool_enter(pool);
  bool was_in_task = current.in_task;
  current.in_task = true;
  if (was_in_task || tasks == 1 || pool->threads == 1)
    run_alone(tasks, body, context, thread);
  else
    run_shared(pool, (uint32_t)tasks, body, context);
  current.in_task = was_in_task;
  weir_pool_leave(pool);
}
