// The scheduler over a real block pool, without a model: a step is "computed" by saying so.

import Testing
import WeirBasics
import WeirKVCache
import WeirScheduling

/// A scheduler with its pool, and the loop's part of a step.
struct Bench {
  var scheduler: Scheduler
  let pool: BlockPool

  init(blocks: Int, running: Int = 8, stepTokens: Int = 64, mixed: Int = 32, context: Int = 4096) throws {
    let shape = KVShape(layers: 1, kvHeads: 1, headDim: 32, blockSlots: 16, keyType: .f16, valueType: .f16)
    pool = try BlockPool(
      configuration: KVPoolConfiguration(shape: shape, blockLimit: blocks), clock: ManualClock())
    scheduler = Scheduler(
      configuration: try SchedulerConfiguration(
        runningLimit: running, queueLimit: 64, stepTokens: stepTokens, mixedPrefillTokens: mixed,
        contextLength: context))
  }

  mutating func submit(_ tokens: [TokenID], priority: Int = 0, takesPlace: Bool = true, name: String = "r") throws
    -> Sequence
  {
    var submission = Submission(request: RequestID(name), tokens: tokens)
    submission.priority = priority
    submission.takesPlace = takesPlace
    return try scheduler.submit(submission, pool: pool)
  }

  /// Plans and "computes" a step; sequences that completed their tokens get one more token.
  mutating func step(token: TokenID = 7) -> StepPlan {
    let plan = scheduler.nextStep(pool: pool)
    for entry in plan.entries {
      scheduler.advance(entry.sequence, rows: entry.tokens.count, pool: pool)
      if entry.completesTokens { scheduler.append(token, to: entry.sequence) }
    }
    #expect(pool.checkInvariants().isEmpty)
    return plan
  }

  static func prompt(_ count: Int, seed: UInt32 = 0) -> [TokenID] {
    (0..<count).map { TokenID(UInt32($0) &+ seed &* 100_000) }
  }
}

@Suite struct SchedulerTests {
  @Test func computesAPromptInChunksThenDecodes() throws {
    var bench = try Bench(blocks: 64)
    let sequence = try bench.submit(Bench.prompt(150))
    #expect(bench.step().entries.map(\.tokens) == [0..<64])
    #expect(bench.step().entries.map(\.tokens) == [64..<128])
    let last = bench.step()
    #expect(last.entries.map(\.tokens) == [128..<150])
    #expect(last.entries.map(\.completesTokens) == [true])
    #expect(bench.step().entries.map(\.tokens) == [150..<151])
    #expect(sequence.isDecoding)
  }

  @Test func mixesDecodesWithSmallerPrefillChunks() throws {
    var bench = try Bench(blocks: 64)
    let first = try bench.submit(Bench.prompt(20))
    _ = bench.step()
    let second = try bench.submit(Bench.prompt(100, seed: 1))
    let plan = bench.step()
    #expect(plan.entries.count == 2)
    #expect(plan.entries.first { $0.sequence == first.id }?.tokens.count == 1)
    #expect(plan.entries.first { $0.sequence == second.id }?.tokens == 0..<32)
  }

  @Test func aPromptThatIsHandedOverWaitsForNoAnswer() throws {
    var bench = try Bench(blocks: 64, running: 1)
    let running = try bench.submit(Bench.prompt(20))
    _ = bench.step()
    let waiting = try bench.submit(Bench.prompt(20, seed: 1))
    let half = try bench.submit(Bench.prompt(40, seed: 2), takesPlace: false)
    let second = try bench.submit(Bench.prompt(40, seed: 3), takesPlace: false)
    #expect(bench.step().admitted == [half.id], "it passes whoever lacks a place, and there is one place for its kind")
    #expect(!bench.scheduler.hasPlaceForArrival(tokens: 20, pool: bench.pool))
    _ = bench.step()
    bench.scheduler.end(half.id, pool: bench.pool)
    #expect(bench.step().admitted == [second.id])
    #expect(waiting.state == .waiting)
    bench.scheduler.end(running.id, pool: bench.pool)
    #expect(bench.step().admitted == [waiting.id])
  }

  @Test func runsLowerPriorityNumbersFirst() throws {
    var bench = try Bench(blocks: 64, running: 1)
    _ = try bench.submit(Bench.prompt(16, seed: 1), priority: 5)
    let urgent = try bench.submit(Bench.prompt(16, seed: 2), priority: -1)
    #expect(bench.step().admitted == [urgent.id])
  }

  @Test func waitsForAPrefixInFlightInsteadOfComputingItAgain() throws {
    var bench = try Bench(blocks: 256, stepTokens: 32)
    let shared = Bench.prompt(128)
    for index in 0..<4 { _ = try bench.submit(shared + Bench.prompt(8, seed: UInt32(index + 1)), name: "r\(index)") }
    var computed = 0
    for _ in 0..<32 {
      let plan = bench.scheduler.nextStep(pool: bench.pool)
      computed += plan.entries.reduce(0) { $0 + min($1.tokens.upperBound, 136) - min($1.tokens.lowerBound, 136) }
      for entry in plan.entries {
        bench.scheduler.advance(entry.sequence, rows: entry.tokens.count, pool: bench.pool)
        if entry.completesTokens { bench.scheduler.append(7, to: entry.sequence) }
      }
    }
    #expect(computed == 128 + 4 * 8)
  }

  @Test func preemptsTheLastInOrderAndFindsItsBlocksAgain() throws {
    var bench = try Bench(blocks: 8)
    let first = try bench.submit(Bench.prompt(48))
    let second = try bench.submit(Bench.prompt(40, seed: 1))
    var preempted: [SequenceID] = []
    for _ in 0..<60 where preempted.isEmpty { preempted += bench.step().preempted }
    #expect(preempted == [second.id])
    #expect(second.state == .waiting && second.table == nil)
    bench.scheduler.end(first.id, pool: bench.pool)
    let plan = bench.step()
    // Its full blocks were still cached, so only the tail is computed again.
    #expect(plan.entries.first?.tokens.lowerBound ?? 0 > 0)
    #expect(second.preemptions == 1)
  }

  @Test func refusesWhatCanNeverFit() throws {
    var bench = try Bench(blocks: 4, context: 1000)
    #expect(throws: SchedulingError.poolTooSmall(neededBlocks: 7, totalBlocks: 4)) {
      _ = try bench.submit(Bench.prompt(100))
    }
    #expect(throws: SchedulingError.promptTooLong(tokens: 1000, limit: 999)) {
      _ = try bench.submit(Bench.prompt(1000))
    }
    #expect(throws: SchedulingError.emptyPrompt) { _ = try bench.submit([]) }
  }

  @Test func refusesWhenTheQueueIsFull() throws {
    var bench = try Bench(blocks: 64)
    for index in 0..<64 { _ = try bench.submit(Bench.prompt(8, seed: UInt32(index))) }
    #expect(throws: SchedulingError.queueFull(limit: 64)) { _ = try bench.submit(Bench.prompt(8)) }
  }

  @Test func endingASequenceReturnsItsBlocksAtOnce() throws {
    var bench = try Bench(blocks: 16)
    let sequence = try bench.submit(Bench.prompt(100))
    _ = bench.step()
    bench.scheduler.end(sequence.id, pool: bench.pool)
    #expect(bench.pool.freeBlocks + bench.pool.cachedBlocks == 16)
    #expect(bench.scheduler.isIdle)
  }

  @Test func forksShareWhatIsComputed() throws {
    var bench = try Bench(blocks: 16)
    let sequence = try bench.submit(Bench.prompt(40))
    let plan = bench.scheduler.nextStep(pool: bench.pool)
    for entry in plan.entries { bench.scheduler.advance(entry.sequence, rows: entry.tokens.count, pool: bench.pool) }
    let fork = bench.scheduler.fork(sequence.id, pool: bench.pool)
    let copy = try #require(fork)
    bench.scheduler.append(1, to: sequence.id)
    bench.scheduler.append(2, to: copy.id)
    let next = bench.step()
    #expect(next.entries.count == 2)
    #expect(sequence.table?.blocks.prefix(2) == copy.table?.blocks.prefix(2))
    #expect(sequence.table?.blocks[2] != copy.table?.blocks[2])
  }

  /// Random arrivals, cancellations and steps on a small pool: everybody finishes, nothing leaks.
  @Test(arguments: [1, 2, 3, 4, 5] as [UInt64]) func losesNothingUnderRandomLoad(seed: UInt64) throws {
    var generator = SeededGenerator(seed: seed)
    var bench = try Bench(blocks: 24, running: 6, stepTokens: 48, mixed: 16)
    var open: [Sequence] = []
    var finished = 0
    var submitted = 0
    for _ in 0..<3000 {
      if open.count < 12 && generator.next() % 4 == 0 && submitted < 120 {
        let length = Int(generator.next() % 150) + 1
        let family = UInt32(generator.next() % 3)
        let isHalf = generator.next() % 3 == 0
        open.append(
          try bench.submit(
            Bench.prompt(length, seed: family), priority: Int(generator.next() % 3), takesPlace: !isHalf,
            name: isHalf ? "half" : "whole"))
        submitted += 1
      }
      if !open.isEmpty && generator.next() % 50 == 0 {
        bench.scheduler.end(open.remove(at: Int(generator.next() % UInt64(open.count))).id, pool: bench.pool)
        finished += 1
      }
      _ = bench.step(token: TokenID(UInt32(generator.next() % 50)))
      for sequence in open where sequence.generatedCount >= (sequence.request.rawValue == "half" ? 1 : 20) {
        bench.scheduler.end(sequence.id, pool: bench.pool)
        finished += 1
      }
      open.removeAll { $0.state == .ended }
      if submitted == 120 && open.isEmpty { break }
    }
    #expect(finished == 120, "seed \(seed)")
    #expect(bench.pool.freeBlocks + bench.pool.cachedBlocks == 24, "seed \(seed)")
  }
}
