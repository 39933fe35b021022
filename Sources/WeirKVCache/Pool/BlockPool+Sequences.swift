// The life of a sequence's blocks: open, reserve, commit, fork, close.

public import WeirBasics

extension BlockPool {
  /// Makes a table that starts with the matched blocks. `filledSlots` of the table says how many tokens are really
  /// reused: fewer than matched if something was evicted since the match.
  ///
  /// - Parameters:
  ///   - match: what the prefix tree found for the prompt.
  ///   - stores: whether the sequence publishes its blocks for others.
  ///   - priority: lower is more important; stays with the blocks in the cache.
  ///   - keepsBlocks: no block of it is ever replaced by an equal one of another sequence.
  /// - Returns: nil if the copy of a partially matching block finds no room; nothing changed then.
  public func open(
    _ match: PrefixMatch, stores: Bool = true, priority: Int = 0, keepsBlocks: Bool = false
  ) -> BlockTable? {
    endExpiredLeases()
    let slots = shape.blockSlots
    let now = clock.now()
    var valid = 0
    while valid < match.blocks.count, isCurrent(match.blocks[valid], match.generations[valid]) { valid += 1 }
    var table = BlockTable(
      id: nextTableID, salt: match.salt, blocks: Array(match.blocks.prefix(valid)), filledSlots: valid * slots,
      publishedBlocks: valid, priority: priority, sharesBlocks: match.sharesBlocks && isCacheOn && !keepsBlocks,
      mayPublish: stores && isCacheOn, epoch: clearEpoch)
    for block in table.blocks { retain(block) }
    if valid == match.blocks.count, let partial = match.partial, isCurrent(partial.block, match.partialGeneration) {
      // Making room may evict the source itself, and may even hand out its block: its bytes stay until somebody writes
      // them, and nobody does before the copy. Holding it instead would refuse a prompt that needs the whole pool.
      guard let copy = takeBlocks(1, after: table.blocks.last, growth: 0)?.first else {
        for block in table.blocks.reversed() { release(block) }
        return nil
      }
      arena.copySlots(partial.slots, from: partial.block, to: copy)
      retain(copy)
      table.blocks.append(copy)
      table.filledSlots += partial.slots
      if isCurrent(partial.block, match.partialGeneration) { touch(partial.block, priority: priority, now: now) }
      counters.partialHits += 1
      counters.copyOnWriteCopies += 1
    }
    for block in table.blocks.prefix(valid) { touch(block, priority: priority, now: now) }
    nextTableID += 1
    openTableCount += 1
    tableReferences += table.blocks.count
    counters.opens += 1
    counters.promptTokens += UInt64(match.explanation.promptTokens)
    counters.hitTokens += UInt64(table.filledSlots)
    if table.filledSlots > 0 { counters.hits += 1 } else { counters.misses += 1 }
    didChange(table)
    return table
  }

  /// Makes room so that the table holds `slots` slots in total and every slot from `filledSlots` on may be written
  /// (a shared tail is copied). Evicts cached blocks by value if needed.
  ///
  /// - Parameters:
  ///   - table: the sequence's table.
  ///   - slots: slots the table must hold in total.
  ///   - growthBlocks: blocks the sequence will probably want later; the allocator leaves room for them behind the
  ///     sequence if it can. Nothing is held back for them.
  ///   - runLengths: not empty: KV will come from another node whose blocks lie in runs of these lengths; the new
  ///     blocks are chosen so that few calls move them.
  /// - Returns: false if there is no room; the table is unchanged then.
  public func reserve(
    _ table: inout BlockTable, slots: Int, growthBlocks: Int = 0, runLengths: [Int] = []
  ) -> Bool {
    endExpiredLeases()
    let wanted = max(0, shape.blockCount(tokens: slots) - table.blocks.count)
    let tail = table.filledSlots / shape.blockSlots
    let copiesTail = slots > table.filledSlots && tail < table.blocks.count && isShared(table.blocks[tail])
    guard wanted > 0 || copiesTail else { return true }
    guard wanted + (copiesTail ? 1 : 0) <= availableBlocks else {
      counters.noRoom += 1
      return false
    }
    if copiesTail, !makeWritable(&table, slot: table.filledSlots) { return false }
    guard wanted > 0 else { return true }
    guard
      let blocks = takeBlocks(wanted, after: table.blocks.last, growth: growthBlocks, runLengths: runLengths)
    else { return false }
    for block in blocks { retain(block) }
    table.blocks += blocks
    tableReferences += blocks.count
    didChange(table)
    return true
  }

  /// Says that slots `0..<filledSlots` hold the KV of `tokens[0..<filledSlots]`. Publishes newly full blocks, so that
  /// others can match them while this sequence still runs.
  ///
  /// If another sequence published the same tokens first, the table takes over that block and its own one is given
  /// back: resolve block pointers anew in each step. O(newly full blocks).
  ///
  /// - Precondition: `salt` is the table's; `filledSlots` has room in the table and does not shrink.
  public func commit(_ table: inout BlockTable, tokens: [TokenID], filledSlots: Int, salt: String = "") {
    precondition(salt == table.salt, "a sequence keeps the salt it was opened with")
    precondition(filledSlots >= table.filledSlots, "committed slots cannot shrink")
    precondition(filledSlots <= tokens.count, "\(filledSlots) filled slots need as many tokens, got \(tokens.count)")
    precondition(filledSlots <= table.blocks.count * shape.blockSlots, "the table has no room for the committed slots")
    table.filledSlots = filledSlots
    guard table.mayPublish, table.epoch == clearEpoch else { return }
    let full = filledSlots / shape.blockSlots
    guard table.publishedBlocks < full else { return }
    while table.publishedBlocks < full, publishNext(&table, tokens) {}
    didChange(table)
  }

  /// Ends a sequence. With `keep` its full blocks and its partial tail stay cached (for preemption too: they stay
  /// until their room is needed, and the sequence finds them again with `match`).
  ///
  /// `priority` replaces the table's for what stays cached. Do not use copies of the table afterwards.
  public func close(
    _ table: consuming BlockTable, tokens: [TokenID], filledSlots: Int, salt: String = "", keep: Bool,
    priority: Int? = nil
  ) {
    var table = table
    if let priority { table.priority = priority }
    if keep {
      commit(&table, tokens: tokens, filledSlots: filledSlots, salt: salt)
      publishTail(table, tokens)
    }
    let now = clock.now()
    // From the end: a block becomes evictable only when its children are gone or evictable.
    for block in table.blocks.reversed() {
      records[block.index].lastUse = now
      records[block.index].priority = min(records[block.index].priority, table.priority)
      release(block)
    }
    tableReferences -= table.blocks.count
    openTableCount -= 1
    #if WEIR_CHECKS
      tableMirror[table.id] = nil
    #endif
    didMutate()
  }

  /// A second table over the same KV, for another choice of the same prompt. Blocks with filled slots are shared;
  /// `reserve` copies the shared tail before either of them may write it.
  public func fork(_ table: BlockTable) -> BlockTable {
    var copy = table
    copy.id = nextTableID
    nextTableID += 1
    copy.blocks = Array(table.blocks.prefix(shape.blockCount(tokens: table.filledSlots)))
    for block in copy.blocks { retain(block) }
    tableReferences += copy.blocks.count
    openTableCount += 1
    didChange(copy)
    return copy
  }

  /// A table that will follow another one whose sequence is still being computed: it holds the leading blocks that are
  /// full already. Nobody writes into those any more, and the sequence goes on writing into its own last block.
  /// - Precondition: `table` was opened to keep its own blocks.
  public func follower(of table: BlockTable) -> BlockTable {
    precondition(!table.sharesBlocks, "a table that is followed keeps its blocks")
    var copy = table
    copy.id = nextTableID
    nextTableID += 1
    copy.blocks = []
    copy.filledSlots = 0
    copy.publishedBlocks = 0
    openTableCount += 1
    didChange(copy)
    _ = follow(table, with: &copy, slots: table.filledSlots / shape.blockSlots * shape.blockSlots)
    return copy
  }

  /// Lets a follower take hold of what its sequence has filled since: slots `0..<slots`. O(blocks).
  ///
  /// - Returns: false if the sequence has other blocks now than the follower took before, because it was preempted and
  ///   started over; nothing changed then.
  /// - Precondition: those slots of `table` hold KV.
  public func follow(_ table: BlockTable, with follower: inout BlockTable, slots: Int) -> Bool {
    precondition(slots <= table.filledSlots, "\(slots) slots are followed, \(table.filledSlots) are filled")
    guard slots > follower.filledSlots else { return true }
    guard table.blocks.starts(with: follower.blocks) else { return false }
    let fresh = table.blocks[follower.blocks.count..<shape.blockCount(tokens: slots)]
    for block in fresh { retain(block) }
    follower.blocks += fresh
    follower.filledSlots = slots
    tableReferences += fresh.count
    didChange(follower)
    return true
  }

  /// Makes the block of `slot` the table's own: if others refer to it, the filled slots before `slot` are copied into a
  /// fresh block. Whatever was filled from `slot` on is given up, later blocks included, because it followed from what
  /// is about to be overwritten. Returns false if there is no room; nothing changed then.
  /// - Precondition: the table has a block for `slot`.
  public func makeWritable(_ table: inout BlockTable, slot: Int) -> Bool {
    let index = slot / shape.blockSlots
    precondition(slot >= 0 && index < table.blocks.count, "the table has no block for slot \(slot)")
    let old = table.blocks[index]
    guard isShared(old) else { return true }
    guard let fresh = takeBlocks(1, after: index > 0 ? table.blocks[index - 1] : nil, growth: 0)?.first else {
      return false
    }
    arena.copySlots(slot - index * shape.blockSlots, from: old, to: fresh)
    retain(fresh)
    if slot < table.filledSlots {
      for block in table.blocks[(index + 1)...].reversed() { release(block) }
      tableReferences -= table.blocks.count - index - 1
      table.blocks.removeSubrange((index + 1)...)
    }
    release(old)
    table.blocks[index] = fresh
    table.publishedBlocks = min(table.publishedBlocks, index)
    table.filledSlots = min(table.filledSlots, slot)
    counters.copyOnWriteCopies += 1
    didChange(table)
    return true
  }

  /// Whether somebody besides one table would see a write into `block`.
  func isShared(_ block: BlockID) -> Bool { holders[block.index] > 1 || tree.contains(block) }

  private func isCurrent(_ block: BlockID, _ generation: UInt32) -> Bool {
    tree.contains(block) && records[block.index].generation == generation
  }

  private func touch(_ block: BlockID, priority: Int, now: Instant) {
    records[block.index].lastUse = now
    records[block.index].hits += 1
    records[block.index].priority = min(records[block.index].priority, priority)
  }

  /// Publishes the first unpublished full block; false if the table publishes no more.
  private func publishNext(_ table: inout BlockTable, _ tokens: [TokenID]) -> Bool {
    let index = table.publishedBlocks
    let own = table.blocks[index]
    let range = (index * shape.blockSlots)..<((index + 1) * shape.blockSlots)
    let parent = index > 0 ? table.blocks[index - 1] : nil
    if tree.contains(own) {
      // A fork of this sequence published the block that both share.
      table.publishedBlocks = index + 1
      return true
    }
    switch tree.insert(own, tokens: tokens, range: range, parent: parent, salt: table.salt) {
    case .inserted:
      didStore(own, priority: table.priority, parent: parent, salt: table.salt)
    case .exists(let other):
      guard table.sharesBlocks else {
        // A sequence that does not read the cache keeps its own block and stops publishing: what follows hangs below
        // a block that it does not hold.
        table.mayPublish = false
        return false
      }
      retain(other)
      release(own)
      table.blocks[index] = other
      counters.blocksDeduplicated += 1
    }
    table.publishedBlocks = index + 1
    return true
  }

  /// Leaves the partly filled last block of a finished sequence in the tree.
  private func publishTail(_ table: BlockTable, _ tokens: [TokenID]) {
    let full = table.filledSlots / shape.blockSlots
    let range = (full * shape.blockSlots)..<table.filledSlots
    guard table.mayPublish, table.epoch == clearEpoch, !range.isEmpty, table.publishedBlocks == full else { return }
    let tail = table.blocks[full]
    guard !isShared(tail) else { return }
    let parent = full > 0 ? table.blocks[full - 1] : nil
    if tree.insert(tail, tokens: tokens, range: range, parent: parent, salt: table.salt) == .inserted {
      didStore(tail, priority: table.priority, parent: parent, salt: table.salt)
    }
  }

  /// Book-keeping for a block that has just entered the tree.
  private func didStore(_ block: BlockID, priority: Int, parent: BlockID?, salt: String) {
    let now = clock.now()
    let generation = records[block.index].generation &+ 1
    records[block.index] = BlockRecord(generation: generation, lastUse: now, stored: now, priority: priority)
    if let parent { queue.remove(parent) }
    counters.blocksStored += 1
    if let vertex = tree.vertex(block) {
      emit(
        .blockStored(
          hash: vertex.prefixHash.rawValue, parent: parent.flatMap { tree.vertex($0)?.prefixHash.rawValue },
          tokens: Array(tree.tokens(of: block)), blockSlots: shape.blockSlots, salt: salt))
    }
    if let sibling = tree.supersededSibling(of: block), holders[sibling.index] == 0 {
      evict(sibling, cause: .superseded)
    }
  }

  /// Keeps the mirror of open tables that checked builds compare with, and runs their checks.
  func didChange(_ table: BlockTable) {
    #if WEIR_CHECKS
      tableMirror[table.id] = table.blocks
    #endif
    didMutate()
  }
}
