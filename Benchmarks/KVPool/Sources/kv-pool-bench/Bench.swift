// Nanoseconds per block of match, open, reserve, commit and close, and fragmentation under churn.

import WeirBasics
import WeirKVCache

@main struct Bench {
  static let clock = SystemClock()
  /// Blocks of 256 bytes: the costs are those of the book-keeping, not of memory.
  static let shape = KVShape(
    layers: 1, kvHeads: 1, headDim: 4, blockSlots: 16, keyType: .f16, valueType: .f16)

  static func main() throws {
    try sequences(blocks: 65_536, promptBlocks: 32)
    try sequences(blocks: 65_536, promptBlocks: 512)
    try decode(running: 64)
    for isSegmented in [false, true] { churn(isSegmented: isSegmented) }
  }

  /// Seconds spent in `body`.
  static func time<T>(_ total: inout Double, _ body: () throws -> T) rethrows -> T {
    let start = clock.now()
    defer { total += clock.now().seconds(since: start) }
    return try body()
  }

  static func prompt(_ random: inout SeededGenerator, _ count: Int) -> [TokenID] {
    (0..<count).map { _ in TokenID(UInt32(random.next() % 32_000)) }
  }

  static func line(_ name: String, _ seconds: Double, per count: Int, _ unit: String) {
    print("  \(name): \(Int((seconds * 1e9 / Double(count)).rounded())) ns per \(unit)")
  }

  /// Cold prompts in a full pool (every block must be evicted first), then the same prompts warm.
  static func sequences(blocks: Int, promptBlocks: Int) throws {
    let pool = try BlockPool(configuration: KVPoolConfiguration(shape: shape, blockLimit: blocks), clock: clock)
    var random = SeededGenerator(seed: 1)
    let rounds = blocks / promptBlocks
    var seconds = (match: 0.0, open: 0.0, reserve: 0.0, commit: 0.0, close: 0.0)
    func run(_ tokens: [TokenID]) -> Int {
      let match = time(&seconds.match) { pool.match(tokens) }
      guard var table = time(&seconds.open, { pool.open(match) }) else { return 0 }
      _ = time(&seconds.reserve) { pool.reserve(&table, slots: tokens.count, growthBlocks: 2) }
      time(&seconds.commit) { pool.commit(&table, tokens: tokens, filledSlots: tokens.count) }
      time(&seconds.close) { pool.close(table, tokens: tokens, filledSlots: tokens.count, keep: true) }
      _ = pool.drainEvents()
      return match.tokens
    }
    for _ in 0..<(rounds + 1) { _ = run(prompt(&random, promptBlocks * 16)) }
    seconds = (0, 0, 0, 0, 0)
    var kept: [[TokenID]] = []
    for _ in 0..<rounds {
      let tokens = prompt(&random, promptBlocks * 16)
      kept.append(tokens)
      _ = run(tokens)
    }
    let count = rounds * promptBlocks
    print("cold prompts of \(promptBlocks) blocks, \(blocks) blocks, all cached: one eviction per block")
    line("match", seconds.match, per: rounds, "prompt")
    line("reserve (evicts)", seconds.reserve, per: count, "block")
    line("commit (publishes)", seconds.commit, per: count, "block")
    line("close", seconds.close, per: count, "block")
    seconds = (0, 0, 0, 0, 0)
    var reused = 0
    for tokens in kept.suffix(rounds / 2) { reused += run(tokens) }
    print("the same prompts warm, \(reused / max(1, rounds / 2)) tokens reused each")
    line("match", seconds.match, per: count / 2, "block")
    line("open", seconds.open, per: count / 2, "block")
    line("close", seconds.close, per: count / 2, "block")
  }

  /// Sequences that grow by one token per step.
  static func decode(running: Int) throws {
    let pool = try BlockPool(configuration: KVPoolConfiguration(shape: shape, blockLimit: 65_536), clock: clock)
    var random = SeededGenerator(seed: 2)
    var tables: [BlockTable] = []
    let lists = (0..<running).map { _ in prompt(&random, 4096) }
    for tokens in lists { if let table = pool.open(pool.match(tokens)) { tables.append(table) } }
    var seconds = (reserve: 0.0, commit: 0.0)
    for position in 1...4096 {
      time(&seconds.reserve) {
        for index in tables.indices { _ = pool.reserve(&tables[index], slots: position, growthBlocks: 8) }
      }
      time(&seconds.commit) {
        for index in tables.indices { pool.commit(&tables[index], tokens: lists[index], filledSlots: position) }
      }
    }
    let runs = tables.reduce(0) { $0 + TransferPlan.runLengths($1.blocks).count }
    print("\(running) sequences decode 4096 tokens each")
    line("reserve", seconds.reserve, per: 4096 * running, "token")
    line("commit", seconds.commit, per: 4096 * running, "token")
    print("  runs per sequence of 256 blocks: \(Double(runs) / Double(running))")
  }

  /// A serving-like churn of the allocator alone: about nine tenths full, lengths of 4 to 131 blocks, each sequence
  /// grows block by block to up to twice its prompt. The baseline is the usual free list (last given back first).
  static func churn(isSegmented: Bool) {
    let limit = 8192
    var random = SeededGenerator(seed: 3)
    var segments = SegmentAllocator(blockLimit: limit)
    var list = (0..<limit).reversed().map { BlockID($0) }
    var free: Int { isSegmented ? segments.freeBlocks : list.count }
    func take(_ count: Int, after last: BlockID?, growth: Int) -> [BlockID] {
      guard isSegmented else { return (0..<count).compactMap { _ in list.popLast() } }
      guard case .allocated(let blocks) = segments.allocate(count: count, after: last, growth: growth) else { return [] }
      return blocks
    }
    var live: [(blocks: [BlockID], target: Int)] = []
    var (finished, runs, held, fragmentation, samples) = (0, 0, 0, 0.0, 0)
    while finished < 20_000 {
      let want = 4 + Int(random.next() % 128)
      if free > limit / 10 + want {
        let growth = Int(random.next() % UInt64(want))
        live.append((take(want, after: nil, growth: 8), want + growth))
      }
      for index in live.indices where live[index].blocks.count < live[index].target && free > 0 {
        live[index].blocks += take(1, after: live[index].blocks.last, growth: 8)
      }
      live.removeAll { sequence in
        guard sequence.blocks.count >= sequence.target || (free == 0 && random.next() % 8 == 0) else { return false }
        finished += 1
        runs += TransferPlan.runLengths(sequence.blocks).count
        held += sequence.blocks.count
        if isSegmented { segments.release(sequence.blocks) } else { list += sequence.blocks }
        return true
      }
      fragmentation += segments.fragmentation
      samples += 1
    }
    let name = isSegmented ? "segment allocator" : "free list"
    let mean = Double(runs) / Double(finished)
    print("churn, \(name): \((mean * 100).rounded() / 100) runs per finished sequence of \(held / finished) blocks")
    if isSegmented { print("  fragmentation of the free blocks, mean: \((fragmentation / Double(samples) * 100).rounded() / 100)") }
  }
}
