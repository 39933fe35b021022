// A fixed pool of threads that runs loops: fork, take tasks one by one, join. Nothing is queued.
#ifndef WEIR_POOL_H
#define WEIR_POOL_H
#include <stdbool.h>
#include <stdint.h>

typedef struct weir_pool weir_pool;
/// One task of a loop. `task` is in 0..<tasks, `thread` in 0..<threads; two tasks with the same `thread` never overlap.
typedef void (*weir_pool_body)(void *context, int32_t task, int32_t thread);

/// Makes a pool of `threads` (at least 1) threads, the caller of `weir_pool_run` counted as one of them. Threads that
/// the operating system refuses are left out. With `pinned`, worker i stays on processor i. NULL if memory ran out.
weir_pool *weir_pool_create(int32_t threads, bool pinned);
/// Ends the workers and frees the pool. No loop may be running.
void weir_pool_destroy(weir_pool *pool);
/// Number of threads that take part, the caller included.
int32_t weir_pool_threads(const weir_pool *pool);
/// Runs `body` for every task and returns when all have ended. Loops of different callers run one after the other;
/// a loop started inside a task of the same pool runs on that task's thread alone.
void weir_pool_run(weir_pool *pool, int32_t tasks, weir_pool_body body, void *context);

/// Begins a sequence of loops that no other caller's loops may come between, and returns the caller's thread index.
/// Calls nest. Every call needs a `weir_pool_leave`.
int32_t weir_pool_enter(weir_pool *pool);
void weir_pool_leave(weir_pool *pool);

enum { WEIR_POOL_SCRATCH_SLOTS = 8 };
/// Scratch memory of thread `thread` and purpose `slot`: at least `bytes` bytes, 64-byte aligned, kept between calls with
/// undefined contents. Only that thread may ask for it, inside a task or between enter and leave.
void *weir_pool_scratch(weir_pool *pool, int32_t thread, int32_t slot, int64_t bytes);

#endif
