internal import CWeirKernels

// Threads for the loops of one engine.

/// A fixed pool of threads that runs loops with dynamic task pick-up; the caller takes part.
///
/// Workers spin for about 40 microseconds after a loop and then sleep, so loops that follow each other cost less than a
/// microsecond to start. Invariant behind `@unchecked Sendable`: `handle` never changes and the C pool is itself safe
/// to call from any thread (loops of different callers run one after the other).
public final class WorkerPool: @unchecked Sendable {
  /// Number of threads that take part in a loop, the caller included; at least 1.
  public let threads: Int
  let handle: OpaquePointer

  /// Starts the workers.
  ///
  /// - Parameters:
  ///   - threads: Threads in all, the caller included; values below 1 mean 1.
  ///   - pinned: Whether worker i stays on processor i (the caller is never pinned).
  public init(threads: Int, pinned: Bool = false) {
    guard let pool = weir_pool_create(Int32(clamping: max(1, threads)), pinned) else {
      preconditionFailure("no memory for a pool of \(threads) threads")
    }
    handle = pool
    self.threads = Int(weir_pool_threads(pool))
  }

  deinit { weir_pool_destroy(handle) }

  /// Runs `body` for every task in `0..<tasks` and returns when all have ended.
  ///
  /// `thread` is in `0..<threads`; two tasks given the same `thread` never overlap, so it may index scratch memory.
  /// Tasks start in ascending order. A loop started inside a task runs on that task's thread alone.
  public func parallel(tasks: Int, _ body: (_ task: Int, _ thread: Int) -> Void) {
    withoutActuallyEscaping(body) { escaping in
      var box = LoopBody(run: escaping)
      withUnsafeMutablePointer(to: &box) { context in
        weir_pool_run(
          handle, Int32(tasks),
          { context, task, thread in
            guard let context else { return }
            context.assumingMemoryBound(to: LoopBody.self).pointee.run(Int(task), Int(thread))
          }, context)
      }
    }
  }
}

private struct LoopBody {
  let run: (_ task: Int, _ thread: Int) -> Void
}
