// Blocks of compacted sequences: kept slots move to the front, emptied blocks go back to the pool.

import WeirBasics

extension BlockPool {
  /// Answers a policy's question: the kept slots of every lane move to the front of the sequence's blocks, and blocks
  /// that hold nothing any more go back to the pool. Blocks that others see too (the prefix tree, forks) are never
  /// written: what is kept of them is copied into blocks of the sequence's own, and its reference is dropped. Leading
  /// blocks of which every lane keeps every slot stay where they are.
  ///
  /// The table publishes nothing from now on: what it holds is no longer the exact KV of a prefix.
  ///
  /// - Parameters:
  ///   - table: the sequence's table.
  ///   - lanes: its lanes; updated.
  ///   - sets: per lane, `[layers][kvHeads]`, what stays.
  /// - Returns: false if there is no room for the copies; nothing changed then.
  public func compact(_ table: inout BlockTable, lanes: inout LaneTable, keeping sets: [SlotSet]) -> Bool {
    precondition(sets.count == lanes.counts.count, "every lane needs an answer")
    let kept = zip(sets, lanes.counts).map { $0.indices(slots: Int($1)) }
    let untouched = (kept.map(Self.unmovedSlots).min() ?? 0) / shape.blockSlots
    let wanted = shape.blockCount(tokens: kept.map(\.count).max() ?? 0)
    let old = table.blocks
    let foreign = (untouched..<max(untouched, wanted)).filter { isShared(old[$0]) }
    guard let fresh = takeOwned(foreign.count, after: old.last) else { return false }
    var blocks = Array(old[..<wanted])
    for (index, block) in zip(foreign, fresh) { blocks[index] = block }
    for (lane, indices) in kept.enumerated() {
      arena.moveSlots(
        indices, layer: lane / lanes.kvHeads, kvHead: lane % lanes.kvHeads, from: old, to: blocks)
    }
    // From the end: a shared block may only lose its references after the blocks that follow it.
    let replaced = Set(foreign)
    for index in old.indices.reversed() where index >= wanted || replaced.contains(index) { release(old[index]) }
    tableReferences += blocks.count - old.count
    counters.copyOnWriteCopies += UInt64(foreign.count)
    table.blocks = blocks
    lanes.keep(kept)
    table.filledSlots = lanes.longest
    table.mayPublish = false
    table.publishedBlocks = min(table.publishedBlocks, untouched)
    didChange(table)
    return true
  }

  /// Makes room for `rows` more slots at the end of every lane of a compacted sequence, in blocks that nobody else sees.
  /// - Returns: false if there is no room; the table is unchanged then.
  public func reserve(_ table: inout BlockTable, lanes: LaneTable, rows: Int) -> Bool {
    let written = lanes.shortest / shape.blockSlots
    let foreign = (written..<max(written, table.blocks.count)).filter { isShared(table.blocks[$0]) }
    let wanted = max(0, shape.blockCount(tokens: lanes.longest + rows) - table.blocks.count)
    guard foreign.count + wanted > 0 else { return true }
    endExpiredLeases()
    guard let fresh = takeOwned(foreign.count + wanted, after: table.blocks.last) else { return false }
    let old = table.blocks
    for (index, block) in zip(foreign, fresh) {
      arena.copySlots(shape.blockSlots, from: old[index], to: block)
      table.blocks[index] = block
    }
    for index in foreign.reversed() { release(old[index]) }
    table.blocks += fresh[foreign.count...]
    tableReferences += wanted
    counters.copyOnWriteCopies += UInt64(foreign.count)
    didChange(table)
    return true
  }

  /// Records how far a compacted sequence's blocks are filled.
  public func commit(_ table: inout BlockTable, lanes: LaneTable) {
    precondition(lanes.longest <= table.blocks.count * shape.blockSlots, "the table has no room for its lanes")
    table.filledSlots = lanes.longest
  }

  /// Takes and retains blocks, also none; nil without room.
  private func takeOwned(_ count: Int, after last: BlockID?) -> [BlockID]? {
    guard count > 0 else { return [] }
    guard let blocks = takeBlocks(count, after: last, growth: 0) else { return nil }
    for block in blocks { retain(block) }
    return blocks
  }

  /// Leading slots that stay where they are.
  private static func unmovedSlots(_ kept: [Int]) -> Int {
    kept.indices.first { kept[$0] != $0 } ?? kept.count
  }
}
