// Random lives of compacted sequences beside ordinary ones: every lane always holds exactly what it kept.

import Testing
import WeirBasics
import WeirKVCache

private struct AlwaysAsked: LayerBudget {
  func budgetSlots(layer: Int, kvHead: Int) -> Int? { nil }
}

private struct LaneDriver {
  struct Running {
    var table: BlockTable
    var lanes: LaneTable
    var tokens: [TokenID]
  }

  let pool: BlockPool
  var random: SeededGenerator
  var running: [Running] = []
  let seed: UInt64
  var compactions = 0
  var refusals = 0

  init(seed: UInt64) throws {
    self.seed = seed
    pool = try makePool(blocks: 28)
    random = SeededGenerator(seed: seed)
  }

  mutating func pick(_ bound: Int) -> Int { Int(random.next() % UInt64(bound)) }

  mutating func step() {
    switch pick(10) {
    case 0, 1: open()
    case 2...5: if !running.isEmpty { grow(pick(running.count)) }
    case 6, 7: if !running.isEmpty { compact(pick(running.count)) }
    case 8: fork()
    default: if !running.isEmpty { close(pick(running.count)) }
    }
    let findings = pool.checkInvariants(openTables: running.map(\.table))
    #expect(findings.isEmpty, "seed \(seed): \(findings)")
    for one in running { check(one) }
  }

  /// An ordinary sequence that leaves its blocks in the tree, or one under a policy that may start with them.
  private mutating func open() {
    let count = 4 + pick(20)
    let all = tokens(UInt32(100 * pick(3))..<UInt32(100 * pick(3) + 300)).prefix(count)
    if pick(2) == 0 {
      pool.run(Array(all))
      return
    }
    let policy = KVPolicy(
      budget: AlwaysAsked(), cadence: RetentionCadence(chunkTokens: nil, slackSlots: 40, asksWithinBudget: true))
    guard
      var lanes = LaneTable(policy: policy, layers: 2, kvHeads: 2, promptTokens: count),
      let table = pool.open(pool.match(Array(all), limit: lanes.cacheableTokens), stores: false)
    else { return }
    lanes.begin(cachedTokens: table.filledSlots)
    running.append(Running(table: table, lanes: lanes, tokens: Array(all)))
    grow(running.count - 1)
  }

  private mutating func grow(_ index: Int) {
    let rows = min(1 + pick(6), running[index].lanes.rowsUntilQuestion)
    guard rows > 0 else { return }
    var one = running[index]
    let hasRoom =
      one.lanes.isCompacted
      ? pool.reserve(&one.table, lanes: one.lanes, rows: rows)
      : pool.reserve(&one.table, slots: one.lanes.computed + rows)
    guard hasRoom else { return }
    while one.tokens.count < one.lanes.computed + rows { one.tokens.append(TokenID(UInt32(900 + pick(50)))) }
    pool.writeLaneTags(one.table, one.lanes, one.tokens, rows: rows)
    one.lanes.advance(rows: rows)
    if one.lanes.isCompacted {
      pool.commit(&one.table, lanes: one.lanes)
    } else {
      pool.commit(&one.table, tokens: one.tokens, filledSlots: one.lanes.computed)
    }
    running[index] = one
  }

  private mutating func compact(_ index: Int) {
    let share = pick(4)
    let sets = running[index].lanes.counts.map { count -> SlotSet in
      share == 0 ? .all : .only((0..<Int(count)).filter { $0 < 5 && share == 1 || pick(4) < share })
    }
    var one = running[index]
    if pool.compact(&one.table, lanes: &one.lanes, keeping: sets) { compactions += 1 } else { refusals += 1 }
    running[index] = one
  }

  private mutating func fork() {
    guard !running.isEmpty, running.count < 6 else { return }
    let one = running[pick(running.count)]
    running.append(Running(table: pool.fork(one.table), lanes: one.lanes, tokens: one.tokens))
  }

  private mutating func close(_ index: Int) {
    let one = running.remove(at: index)
    pool.close(one.table, tokens: one.tokens, filledSlots: one.table.filledSlots, keep: false)
  }

  private func check(_ one: Running) {
    for lane in one.lanes.counts.indices {
      let positions = one.lanes.positions(lane: lane)
      #expect(positions.count == Int(one.lanes.counts[lane]))
      #expect(
        pool.laneTags(one.table, lane: lane, count: positions.count)
          == pool.tags(one.tokens, of: positions, lane: lane),
        "seed \(seed), lane \(lane)")
    }
  }

  mutating func finish() {
    while !running.isEmpty { close(0) }
    pool.clearCache()
    #expect(pool.freeBlocks == pool.totalBlocks, "seed \(seed)")
  }
}

@Suite struct LanePropertyTests {
  @Test(arguments: [UInt64](1...12)) func lanesHoldWhatTheyKept(seed: UInt64) throws {
    var driver = try LaneDriver(seed: seed)
    for _ in 0..<150 { driver.step() }
    #expect(driver.compactions > 5, "seed \(seed): \(driver.compactions) compactions, \(driver.refusals) refusals")
    driver.finish()
  }
}
