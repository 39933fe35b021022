// Random lives of random sequences: whatever happens, reused KV belongs to exactly the asked tokens.

import Testing
import WeirBasics
import WeirKVCache

/// Drives a pool with random operations and knows, from the token lists alone, what may be found.
private struct PoolDriver {
  struct Running {
    var table: BlockTable
    var tokens: [TokenID]
    var isStored: Bool
  }

  var pool: BlockPool
  let clock: ManualClock
  var random: SeededGenerator
  var running: [Running] = []
  /// Everything ever made findable, per salt; eviction may have taken any of it.
  var stored: [String: Set<[TokenID]>] = [:]
  var leases: [LeaseID] = []
  /// In a pool that never evicts, everything stored must be found.
  let isLossless: Bool
  let seed: UInt64
  var reusedTokens = 0

  init(seed: UInt64, blocks: Int, isLossless: Bool) throws {
    clock = ManualClock(startNanoseconds: 1_000_000_000)
    pool = try makePool(blocks: blocks, clock: clock) { $0.ghostLimit = 20 }
    random = SeededGenerator(seed: seed)
    self.isLossless = isLossless
    self.seed = seed
  }

  mutating func pick(_ bound: Int) -> Int { Int(random.next() % UInt64(bound)) }

  /// Few different tokens, so that prefixes meet often.
  mutating func someTokens(_ count: Int) -> [TokenID] {
    (0..<count).map { _ in TokenID(pick(8) == 0 ? 1 : 0) }
  }

  mutating func step() {
    clock.advance(bySeconds: Double(pick(3)) * 0.5)
    switch pick(isLossless ? 12 : 20) {
    case 0..<4: open()
    case 4..<8: grow()
    case 8..<12: close()
    case 12..<14: fork()
    case 14: pin()
    case 15: if !leases.isEmpty { pool.release(leases.remove(at: pick(leases.count))) }
    case 16: rewrite()
    case 17: if pick(20) == 0 { clear() }
    case 18: pool.trim()
    default: _ = pool.drainEvents()
    }
    let findings = pool.checkInvariants(openTables: running.map(\.table))
    #expect(findings.isEmpty, "seed \(seed): \(findings)")
  }

  /// The most tokens of `tokens` that could be cached: the longest common prefix with anything stored.
  func longestStored(_ tokens: [TokenID], _ salt: String) -> Int {
    (stored[salt] ?? []).reduce(0) { best, list in
      max(best, zip(list, tokens).prefix { $0.0 == $0.1 }.count)
    }
  }

  mutating func open() {
    guard running.count < 8 else { return }
    let salt = pick(4) == 0 ? "other" : ""
    let prompt = someTokens(1 + pick(30))
    let reads = isLossless || pick(8) > 0
    let stores = isLossless || pick(8) > 0
    let match = reads ? pool.match(prompt, salt: salt) : .unread(promptTokens: prompt.count, salt: salt)
    let bound = reads ? min(prompt.count - 1, longestStored(prompt, salt)) : 0
    #expect(isLossless ? match.tokens == bound : match.tokens <= bound, "seed \(seed): \(match) against \(bound)")
    checkExplanation(match)
    guard var table = pool.open(match, stores: stores, priority: pick(3) - 1) else { return }
    #expect(table.filledSlots == match.tokens, "seed \(seed)")
    #expect(pool.wrongSlots(table, prompt, count: table.filledSlots).isEmpty, "seed \(seed): foreign KV")
    reusedTokens += table.filledSlots
    guard pool.reserve(&table, slots: prompt.count, growthBlocks: pick(3)) else {
      pool.close(table, tokens: prompt, filledSlots: table.filledSlots, salt: salt, keep: false)
      return
    }
    running.append(Running(table: table, tokens: prompt, isStored: stores))
  }

  func checkExplanation(_ match: PrefixMatch) {
    let explanation = match.explanation
    #expect(explanation.matchedTokens == match.tokens)
    #expect(explanation.matchedBlocks * 4 + explanation.partialSlots == match.tokens)
    if case .diverged(let index) = explanation.reason {
      #expect(explanation.firstDifferingToken?.index == index && index == match.tokens)
      #expect(explanation.firstDifferingToken?.cachedToken != explanation.firstDifferingToken?.askedToken)
    }
  }

  /// Computes some more of a sequence.
  mutating func grow() {
    guard !running.isEmpty else { return }
    let index = pick(running.count)
    let filled = running[index].table.filledSlots
    let more = 1 + pick(6)
    if filled + more > running[index].tokens.count { running[index].tokens += someTokens(pick(4)) }
    let target = min(filled + more, running[index].tokens.count)
    let before = running[index].table
    guard pool.reserve(&running[index].table, slots: target, growthBlocks: pick(3)) else {
      #expect(running[index].table.blocks == before.blocks, "seed \(seed): reserve changed a table it refused")
      return
    }
    pool.writeTags(running[index].table, running[index].tokens, filled..<target)
    pool.commit(
      &running[index].table, tokens: running[index].tokens, filledSlots: target, salt: running[index].table.salt)
    note(running[index], upTo: target / 4 * 4)
  }

  mutating func note(_ sequence: Running, upTo count: Int) {
    guard count > 0, sequence.isStored else { return }
    stored[sequence.table.salt, default: []].insert(Array(sequence.tokens.prefix(count)))
  }

  mutating func close() {
    guard !running.isEmpty else { return }
    let sequence = running.remove(at: pick(running.count))
    let filled = sequence.table.filledSlots
    let wrong = pool.wrongSlots(sequence.table, sequence.tokens, count: filled)
    #expect(wrong.isEmpty, "seed \(seed): a running sequence lost its KV in slots \(wrong)")
    let keeps = pick(3) > 0
    pool.close(
      sequence.table, tokens: sequence.tokens, filledSlots: filled, salt: sequence.table.salt, keep: keeps)
    if keeps { note(sequence, upTo: filled) }
  }

  mutating func fork() {
    guard !running.isEmpty, running.count < 10 else { return }
    var copy = running[pick(running.count)]
    copy.table = pool.fork(copy.table)
    copy.tokens = Array(copy.tokens.prefix(copy.table.filledSlots)) + someTokens(1 + pick(6))
    running.append(copy)
  }

  mutating func pin() {
    let salt = pick(4) == 0 ? "other" : ""
    let deadline = clock.now().advanced(bySeconds: Double(pick(20)))
    if let pin = pool.pin(someTokens(1 + pick(30)), salt: salt, until: deadline) { leases.append(pin.lease) }
  }

  mutating func rewrite() {
    guard !running.isEmpty else { return }
    let index = pick(running.count)
    let filled = running[index].table.filledSlots
    guard filled > 0 else { return }
    let slot = pick(filled)
    let before = running[index].table.blocks
    guard pool.makeWritable(&running[index].table, slot: slot), running[index].table.blocks != before else { return }
    #expect(running[index].table.filledSlots == slot, "seed \(seed)")
    running[index].tokens = Array(running[index].tokens.prefix(slot)) + someTokens(1 + pick(6))
  }

  mutating func clear() {
    pool.clearCache()
    stored = [:]
    for index in running.indices { running[index].isStored = false }
    leases = []
  }

  mutating func finish() {
    while !running.isEmpty { close() }
    clear()
    #expect(pool.freeBlocks == pool.totalBlocks, "seed \(seed): blocks leaked")
    #expect(pool.trim() > 0)
    #expect(pool.statistics.committedBytes == 0)
  }
}

@Suite struct BlockPoolPropertyTests {
  @Test(arguments: [1, 2, 3] as [UInt64]) func survivesTwentyThousandRandomOperations(seed: UInt64) throws {
    var driver = try PoolDriver(seed: seed, blocks: 26, isLossless: false)
    for _ in 0..<20_000 { driver.step() }
    let statistics = driver.pool.statistics
    // The run must really have met what it is about.
    #expect(driver.reusedTokens > 1000, "seed \(seed)")
    #expect(statistics.evictions[.room, default: 0] > 100, "seed \(seed)")
    #expect(statistics.copyOnWriteCopies > 100 && statistics.blocksDeduplicated > 10, "seed \(seed)")
    #expect(statistics.noRoom > 10, "seed \(seed)")
    driver.finish()
  }

  @Test(arguments: [11, 12] as [UInt64]) func findsEverythingStoredWhileNothingIsEvicted(seed: UInt64) throws {
    var driver = try PoolDriver(seed: seed, blocks: 20_000, isLossless: true)
    for _ in 0..<400 { driver.step() }
    #expect(driver.pool.statistics.evictions[.room] == nil)
    #expect(driver.reusedTokens > 200, "seed \(seed)")
    driver.finish()
  }
}
