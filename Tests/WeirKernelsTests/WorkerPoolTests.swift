import Glibc
import Synchronization
import Testing
import WeirKernels

/// The pool runs each task once, whatever the number of threads and callers.
struct WorkerPoolTests {
  @Test(arguments: [1, 2, 3, 8], [0, 1, 2, 7, 1000])
  func runsEveryTaskOnce(threads: Int, tasks: Int) {
    let pool = WorkerPool(threads: threads)
    let counts = UnsafeMutableBufferPointer<Int>.allocate(capacity: max(1, tasks))
    defer { counts.deallocate() }
    counts.initialize(repeating: 0)
    let strayThreads = Atomic<Int>(0)
    for _ in 0..<50 {
      pool.parallel(tasks: tasks) { task, thread in
        counts[task] += 1
        if thread < 0 || thread >= pool.threads { strayThreads.add(1, ordering: .relaxed) }
      }
    }
    #expect(counts.prefix(tasks).allSatisfy { $0 == 50 })
    #expect(strayThreads.load(ordering: .relaxed) == 0)
  }

  @Test func wakesSleepingWorkers() {
    let pool = WorkerPool(threads: 4)
    let sum = Atomic<Int>(0)
    for round in 0..<20 {
      if round % 5 == 0 { usleep(2000) }
      pool.parallel(tasks: 16) { task, _ in
        if task % 4 == 0 { usleep(100) }
        sum.add(task, ordering: .relaxed)
      }
    }
    #expect(sum.load(ordering: .relaxed) == 20 * 120)
  }

  @Test func runsALoopInsideATaskOnThatTasksThread() {
    let pool = WorkerPool(threads: 3)
    let inner = Atomic<Int>(0)
    let strays = Atomic<Int>(0)
    pool.parallel(tasks: 6) { _, thread in
      pool.parallel(tasks: 10) { _, innerThread in
        inner.add(1, ordering: .relaxed)
        if innerThread != thread { strays.add(1, ordering: .relaxed) }
      }
    }
    #expect(inner.load(ordering: .relaxed) == 60)
    #expect(strays.load(ordering: .relaxed) == 0)
  }

  @Test func runsLoopsOfSeveralCallersOneAfterTheOther() async {
    let meter = OverlapMeter()
    let pool = WorkerPool(threads: 3)
    await withTaskGroup(of: Void.self) { group in
      for caller in 0..<4 { group.addTask { meter.use(pool, caller: caller) } }
    }
    #expect(meter.tasks.load(ordering: .relaxed) == 4 * 200 * 5)
    #expect(meter.overlaps.load(ordering: .relaxed) == 0)
  }
}

/// Counts tasks that ran while a loop of another caller was running.
private final class OverlapMeter: Sendable {
  let running = Atomic<Int>(0)
  let tasks = Atomic<Int>(0)
  let overlaps = Atomic<Int>(0)

  func use(_ pool: WorkerPool, caller: Int) {
    let mine = 1 << (caller * 8)
    for _ in 0..<200 {
      pool.parallel(tasks: 5) { _, _ in
        let now = running.add(mine, ordering: .relaxed).newValue
        if now & ~(0xff << (caller * 8)) != 0 { overlaps.add(1, ordering: .relaxed) }
        tasks.add(1, ordering: .relaxed)
        running.subtract(mine, ordering: .relaxed)
      }
    }
  }
}
