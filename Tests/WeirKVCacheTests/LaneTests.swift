// Lanes under a policy: when it is asked, what compaction moves, and that nobody else's blocks change.

import Testing
import WeirBasics
import WeirKVCache

/// Limits per lane, and nothing else.
private struct Limits: LayerBudget {
  var slots: [Int?]
  var kvHeads = 2
  func budgetSlots(layer: Int, kvHead: Int) -> Int? { slots[(layer * kvHeads + kvHead) % slots.count] }
}

private func makeLanes(
  _ budgets: [Int?], prompt: Int, cadence: RetentionCadence = RetentionCadence(chunkTokens: 8, slackSlots: 2),
  signals: Set<KVSignal> = []
) -> LaneTable? {
  LaneTable(
    policy: KVPolicy(budget: Limits(slots: budgets), signals: signals, cadence: cadence),
    layers: smallShape.layers, kvHeads: smallShape.kvHeads, promptTokens: prompt)
}

@Suite struct LaneTests {
  /// Computes tokens until the policy must be asked.
  private func grow(_ table: inout BlockTable, _ lanes: inout LaneTable, _ pool: BlockPool, _ all: [TokenID]) {
    let rows = lanes.rowsUntilQuestion
    #expect(pool.reserve(&table, slots: lanes.computed + rows))
    pool.writeTags(table, all, lanes.computed..<lanes.computed + rows)
    lanes.prepare(rows: rows)
    lanes.advance(rows: rows)
    pool.commit(&table, tokens: all, filledSlots: lanes.computed)
  }

  @Test func withoutLimitsThereIsNothingToAsk() {
    #expect(makeLanes([nil], prompt: 100) == nil)
    #expect(makeLanes([nil, 50], prompt: 100) != nil)
    #expect(makeLanes([nil], prompt: 100, cadence: RetentionCadence(asksWithinBudget: true)) != nil)
  }

  @Test(
    arguments: [
      // Over the budget of 10 at 16, the first multiple of 8.
      (10, 8, 30, 16, .prefillChunkDone),
      // Over it only at the end of the prompt.
      (28, 8, 30, 30, .prefillDone), (10, nil, 30, 30, .prefillDone),
      // Within it during the prompt: two slots of slack and one more.
      (40, 8, 30, 43, .stepDone), (30, 8, 30, 33, .stepDone),
    ] as [(Int, Int?, Int, Int, RetentionMoment)])
  func thePolicyIsAskedWhenALaneIsOverItsBudget(
    budget: Int, chunk: Int?, prompt: Int, expected: Int, moment: RetentionMoment
  ) throws {
    var table = try #require(
      makeLanes([budget], prompt: prompt, cadence: RetentionCadence(chunkTokens: chunk, slackSlots: 2)))
    #expect(table.nextQuestion == expected)
    for _ in 0..<expected - 1 {
      table.advance(rows: 1)
      #expect(!table.isQuestionDue)
    }
    table.advance(rows: 1)
    #expect(table.isQuestionDue && table.dueMoment == moment)
    #expect(table.peakSlots(tokens: 1000) >= table.longest)
  }

  @Test func theCacheMayNotReplaceRowsWhoseAttentionIsWanted() throws {
    func cacheable(_ signals: Set<KVSignal>) throws -> Int {
      try #require(makeLanes([10], prompt: 30, signals: signals)).cacheableTokens
    }
    #expect(try cacheable([]) == 15)
    #expect(try cacheable([.keys]) == 15)
    #expect(try cacheable([.lastRow]) == 15)
    #expect(try cacheable([.windowRows(rows: 5, reduction: .mean)]) == 11)
    #expect(try cacheable([.columnSums]) == 0)
    #expect(try cacheable([.lastRow, .accumulatedMass(decay: 1)]) == 0)
  }

  @Test(arguments: [UInt64](0..<8)) func keptSlotsMoveAndEmptyBlocksAreFree(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let pool = try makePool(blocks: 16)
    let all = tokens(0..<50)
    var table = try #require(pool.open(pool.match(all), stores: false))
    var lanes = try #require(
      makeLanes(
        [3, 9, 14, 5], prompt: 41, cadence: RetentionCadence(chunkTokens: nil), signals: [.accumulatedMass(decay: 1)]))
    grow(&table, &lanes, pool, all)
    #expect(table.blocks.count == 11)
    let kept = lanes.counts.map { count -> [Int] in (0..<Int(count)).filter { _ in random.next() % 3 == 0 } }
    for layer in 0..<2 {
      lanes.withMasses(layer: layer) { start, stride in
        for head in 0..<2 {
          for slot in 0..<41 { start[head * stride + slot] = Float(1000 * (2 * layer + head) + slot) }
        }
      }
    }
    #expect(pool.compact(&table, lanes: &lanes, keeping: kept.map(SlotSet.only)))
    #expect(table.blocks.count == smallShape.blockCount(tokens: kept.map(\.count).max() ?? 0))
    #expect(pool.freeBlocks == 16 - table.blocks.count)
    #expect(pool.checkInvariants(openTables: [table]).isEmpty)
    for lane in kept.indices {
      #expect(lanes.positions(lane: lane) == kept[lane], "seed \(seed)")
      #expect(pool.laneTags(table, lane: lane, count: kept[lane].count) == pool.tags(all, of: kept[lane], lane: lane))
      #expect(
        lanes.signals(lane: lane, keys: nil)[.accumulatedMass(decay: 1)] == kept[lane].map { Float(1000 * lane + $0) })
    }
    pool.close(table, tokens: all, filledSlots: 41, keep: false)
    #expect(pool.freeBlocks == 16)
  }

  @Test func aSharedPrefixStaysAsItIs() throws {
    let pool = try makePool(blocks: 24)
    let all = tokens(0..<40)
    pool.run(Array(all[..<32]))
    let cached = pool.match(all)
    #expect(cached.tokens == 32)
    var table = try #require(pool.open(cached, stores: false))
    var lanes = try #require(makeLanes([6], prompt: 40, cadence: RetentionCadence(chunkTokens: nil)))
    lanes.begin(cachedTokens: table.filledSlots)
    grow(&table, &lanes, pool, all)
    // All lanes keep the first five slots: one whole block stays shared, the rest is copied.
    let kept = [[0, 1, 2, 3, 4, 9], [0, 1, 2, 3, 4, 39], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4, 5]]
    let first = table.blocks[0]
    #expect(pool.compact(&table, lanes: &lanes, keeping: kept.map(SlotSet.only)))
    #expect(table.blocks.count == 2 && table.blocks[0] == first)
    #expect(pool.checkInvariants(openTables: [table]).isEmpty)
    for lane in kept.indices {
      #expect(pool.laneTags(table, lane: lane, count: kept[lane].count) == pool.tags(all, of: kept[lane], lane: lane))
    }
    // Later slots of the sequence must not reach the shared block, nor the tree.
    #expect(pool.reserve(&table, lanes: lanes, rows: 3))
    lanes.advance(rows: 3)
    pool.commit(&table, lanes: lanes)
    let other = try #require(pool.open(pool.match(all)))
    #expect(other.filledSlots == 32)
    #expect(pool.wrongSlots(other, all, count: 32).isEmpty)
    pool.close(other, tokens: all, filledSlots: 32, keep: false)
    pool.close(table, tokens: all, filledSlots: 43, keep: false)
    #expect(pool.match(all).tokens == 32)
    pool.clearCache()
    #expect(pool.freeBlocks == 24)
  }

  @Test func forksWriteAndCompactApart() throws {
    let pool = try makePool(blocks: 24)
    let all = tokens(0..<40)
    var table = try #require(pool.open(pool.match(all), stores: false))
    var lanes = try #require(makeLanes([9, 5, 9, 9], prompt: 30, cadence: RetentionCadence(chunkTokens: nil)))
    grow(&table, &lanes, pool, all)
    let kept = [9, 5, 9, 7].map { count in Array(30 - count..<30) }
    #expect(pool.compact(&table, lanes: &lanes, keeping: kept.map(SlotSet.only)))
    var copy = pool.fork(table)
    var copiedLanes = lanes
    #expect(copy.blocks == table.blocks)
    // The shortest lane ends in block 1: that block and the next are the fork's own before it may write.
    #expect(pool.reserve(&copy, lanes: copiedLanes, rows: 1))
    #expect(copy.blocks[0] == table.blocks[0] && copy.blocks[1] != table.blocks[1] && copy.blocks[2] != table.blocks[2])
    copiedLanes.advance(rows: 1)
    pool.commit(&copy, lanes: copiedLanes)
    #expect(pool.compact(&copy, lanes: &copiedLanes, keeping: Array(repeating: .only([1, 2, 4]), count: 4)))
    #expect(pool.checkInvariants(openTables: [table, copy]).isEmpty)
    for lane in kept.indices {
      #expect(pool.laneTags(table, lane: lane, count: kept[lane].count) == pool.tags(all, of: kept[lane], lane: lane))
      #expect(
        pool.laneTags(copy, lane: lane, count: 3) == pool.tags(all, of: [1, 2, 4].map { kept[lane][$0] }, lane: lane))
    }
    pool.close(table, tokens: all, filledSlots: 30, keep: false)
    pool.close(copy, tokens: all, filledSlots: 31, keep: false)
    #expect(pool.freeBlocks == 24)
  }

  @Test func withoutRoomForCopiesNothingChanges() throws {
    let pool = try makePool(blocks: 8)
    let all = tokens(0..<32)
    pool.run(Array(all[..<28]))
    var table = try #require(pool.open(pool.match(all), stores: false))
    var lanes = try #require(makeLanes([6], prompt: 32, cadence: RetentionCadence(chunkTokens: nil)))
    lanes.begin(cachedTokens: table.filledSlots)
    grow(&table, &lanes, pool, all)
    #expect(pool.availableBlocks == 0)
    let blocks = table.blocks
    #expect(!pool.compact(&table, lanes: &lanes, keeping: Array(repeating: .only([1, 2, 3]), count: 4)))
    #expect(table.blocks == blocks && !lanes.isCompacted && pool.checkInvariants(openTables: [table]).isEmpty)
    pool.close(table, tokens: all, filledSlots: 32, keep: false)
  }

  /// What another node says of lanes is not trusted: heads that are asked about together hold the same slots.
  @Test(arguments: RetentionScope.allCases) func lanesOfALayerAreTakenOverOnlyIfTheyAreEqual(scope: RetentionScope)
    throws
  {
    let lanes = smallShape.layers * smallShape.kvHeads
    let empty = try #require(
      LaneTable(
        policy: KVPolicy(
          budget: Limits(slots: [6]), cadence: RetentionCadence(chunkTokens: 8, slackSlots: 4), scope: scope),
        layers: smallShape.layers, kvHeads: smallShape.kvHeads, promptTokens: 20))
    var state = LaneState(
      computed: 20, answeredAt: 20, questions: 1, droppedSlots: 15 * lanes,
      positions: Array(repeating: [0, 5, 9, 18, 19], count: lanes), masses: Array(repeating: [], count: lanes))
    #expect(empty.restored(from: state) != nil)
    state.positions[1] = [0, 4, 9, 18, 19]
    #expect((empty.restored(from: state) == nil) == (scope == .layer))
  }
}
