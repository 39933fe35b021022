// How cached blocks leave.

import WeirBasics

extension BlockPool {
  /// Evicts the least valuable cached blocks until `count` blocks are free. The caller has checked that there are
  /// enough evictable ones.
  func makeRoom(_ count: Int) {
    while allocator.freeBlocks < count {
      guard let block = queue.first else {
        preconditionFailure("\(cachedBlocks) blocks are counted as cached, but none is evictable")
      }
      evict(block, cause: .room)
    }
  }

  /// Takes an unreferenced leaf out of the tree and frees its block.
  func evict(_ block: BlockID, cause: EvictionCause) {
    queue.remove(block)
    let now = clock.now()
    let vertex = tree.remove(block)
    counters.evictions[cause, default: 0] += 1
    if cause == .room {
      residency.observe(now.seconds(since: records[block.index].stored))
      idleness.observe(now.seconds(since: records[block.index].lastUse))
    }
    ghosts.insert(vertex.prefixHash, cause: cause, time: now)
    records[block.index].leaseDeadline = nil
    emit(.blockRemoved(hash: vertex.prefixHash.rawValue))
    allocator.release(block)
    if let parent = vertex.parent { offerIfEvictable(parent) }
  }

  /// Forgets every cached prefix. Blocks of open tables and leases stay with them, but nobody finds them any more;
  /// leases end.
  public func clearCache() {
    for lease in Array(leases.keys) { endLease(lease) }
    while let block = queue.first { evict(block, cause: .cleared) }
    forgetUsedVertices()
    if isCacheOn { emit(.allBlocksCleared) }
    didMutate()
  }

  /// Takes the vertices that tables still use out of the tree, leaves first. Their tables notice by
  /// the epoch and publish no more: who clears the cache wants no KV computed before to be found again.
  private func forgetUsedVertices() {
    let now = clock.now()
    var pending = (0..<totalBlocks).map { BlockID($0) }.filter { tree.isLeaf($0) }
    while let block = pending.popLast() {
      let vertex = tree.remove(block)
      counters.evictions[.cleared, default: 0] += 1
      ghosts.insert(vertex.prefixHash, cause: .cleared, time: now)
      emit(.blockRemoved(hash: vertex.prefixHash.rawValue))
      if let parent = vertex.parent, tree.isLeaf(parent) { pending.append(parent) }
    }
    clearEpoch += 1
  }

  /// Gives the memory of free blocks back to the system. Returns the bytes given back.
  @discardableResult public func trim() -> Int {
    allocator.segments().reduce(0) { $0 + arena.decommit($1.blocks) }
  }
}
