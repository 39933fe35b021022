// The block pool: who holds which block, and what becomes of it afterwards.

public import WeirBasics

/// All KV memory of a node: arena, allocator, references, prefix tree, leases and eviction.
///
/// Not `Sendable`: the step loop owns it and nobody else calls it. Every block is in exactly one of three states:
/// free (in the allocator), used (at least one table or lease refers to it), or cached (only the prefix tree refers to
/// it). A used or cached block may be a vertex of the prefix tree; a vertex that is used has used ancestors only, so
/// every cached block can be evicted, children before parents.
///
/// Costs: `match`, `open`, `reserve`, `commit` and `close` are O(blocks touched), times a logarithm of the siblings or
/// of the evictable blocks; none looks at the whole pool.
public final class BlockPool {
  public let shape: KVShape
  public let configuration: KVPoolConfiguration
  let clock: any WeirClock
  let arena: BlockArena
  var allocator: SegmentAllocator
  var tree: PrefixTree
  var queue: EvictionQueue
  var ghosts: GhostList
  /// References by tables and leases, per block.
  var holders: [UInt32]
  /// References by leases alone.
  var leaseHolders: [UInt32]
  var records: [BlockRecord]
  var leases: [LeaseID: Lease] = [:]
  var leaseDeadlines: [(deadline: Instant, lease: LeaseID)] = []
  var leasedBlockCount = 0
  var usedBlockCount = 0
  var tableReferences = 0
  var openTableCount = 0
  var nextTableID: UInt64 = 1
  var nextLeaseID: UInt64 = 1
  var events: [KVEvent] = []
  /// Counts `clearCache` calls: tables opened before the last one publish no more.
  var clearEpoch: UInt32 = 0
  var counters: PoolStatistics
  var residency = Histogram.lifetime
  var idleness = Histogram.lifetime
  #if WEIR_CHECKS
    var tableMirror: [UInt64: [BlockID]] = [:]
  #endif

  /// What the pool knows of one block besides its tokens.
  struct BlockRecord: Sendable {
    /// Counts how often the block entered the tree, so that an old match is recognised.
    var generation: UInt32 = 0
    var lastUse = Instant(nanoseconds: 0)
    var stored = Instant(nanoseconds: 0)
    var hits = 0
    var priority = 0
    var leaseDeadline: Instant?
  }

  /// Reserves the arena's address space; commits no memory.
  /// - Throws: `KVCacheError` if the configuration is out of range or the system refuses the reservation.
  public init(configuration: KVPoolConfiguration, clock: any WeirClock) throws(KVCacheError) {
    try configuration.validate()
    arena = try BlockArena(shape: configuration.shape, blockLimit: configuration.blockLimit)
    self.configuration = configuration
    self.clock = clock
    shape = configuration.shape
    let limit = configuration.blockLimit
    allocator = SegmentAllocator(blockLimit: limit)
    tree = PrefixTree(blockSlots: configuration.shape.blockSlots)
    queue = EvictionQueue(blockLimit: limit)
    ghosts = GhostList(limit: configuration.ghostLimit ?? min(4 * limit, 65_536))
    holders = Array(repeating: 0, count: limit)
    leaseHolders = holders
    records = Array(repeating: BlockRecord(), count: limit)
    counters = PoolStatistics(residencySeconds: residency.snapshot, idleSeconds: idleness.snapshot)
  }

  public var totalBlocks: Int { configuration.blockLimit }
  /// Blocks that hold nothing.
  public var freeBlocks: Int { allocator.freeBlocks }
  /// Blocks that only the prefix tree holds; all of them can be evicted now.
  public var cachedBlocks: Int { totalBlocks - freeBlocks - usedBlockCount }
  /// Blocks that a new sequence could get now, by eviction if need be.
  public var availableBlocks: Int { totalBlocks - usedBlockCount }
  /// Tables that were opened or forked and not closed yet.
  public var openTables: Int { openTableCount }
  /// Whether cached prefixes are kept and found.
  public var isCacheOn: Bool { configuration.prefixCache }

  /// The first byte of `block`, which must belong to an open table. Its layout is `shape`.
  public func blockPointer(_ block: BlockID) -> UnsafeMutableRawPointer { arena.pointer(block) }

  /// Descriptor of the memory file behind all blocks, for a second mapping; block `b` is at `b * shape.blockBytes`.
  public var memoryFileDescriptor: Int32 { arena.fileDescriptor }

  /// Counts so far and the state now. O(1).
  public var statistics: PoolStatistics {
    var result = counters
    result.totalBlocks = totalBlocks
    result.freeBlocks = freeBlocks
    result.cachedBlocks = cachedBlocks
    result.usedBlocks = usedBlockCount
    result.committedBytes = arena.committedBytes
    result.freeSegments = allocator.freeSegments
    result.largestFreeSegment = allocator.largestSegment
    result.fragmentation = allocator.fragmentation
    result.openTables = openTableCount
    result.leases = leases.count
    result.leasedBlocks = leasedBlockCount
    result.residencySeconds = residency.snapshot
    result.idleSeconds = idleness.snapshot
    return result
  }

  /// The changes of the prefix tree since the last call, oldest first.
  public func drainEvents() -> [KVEvent] {
    let result = events
    events.removeAll(keepingCapacity: true)
    return result
  }

  func emit(_ event: @autoclosure () -> KVEvent) {
    guard configuration.eventLimit > 0 else { return }
    if events.count >= configuration.eventLimit {
      // Dropping half at a time keeps this O(1) per event.
      let dropped = max(1, events.count / 2)
      events.removeFirst(dropped)
      counters.eventsDropped += UInt64(dropped)
    }
    events.append(event())
  }

  // MARK: references

  /// Adds a reference by a table or lease.
  func retain(_ block: BlockID) {
    if holders[block.index] == 0 {
      usedBlockCount += 1
      counters.peakUsedBlocks = max(counters.peakUsedBlocks, usedBlockCount)
      queue.remove(block)
    }
    holders[block.index] += 1
  }

  /// Drops a reference; without any left the block becomes evictable or free.
  func release(_ block: BlockID) {
    precondition(holders[block.index] > 0, "block \(block) has no reference to drop")
    holders[block.index] -= 1
    guard holders[block.index] == 0 else { return }
    usedBlockCount -= 1
    if tree.contains(block) {
      offerIfEvictable(block)
    } else {
      allocator.release(block)
    }
  }

  /// Puts an unreferenced leaf into the eviction queue.
  func offerIfEvictable(_ block: BlockID) {
    guard holders[block.index] == 0, tree.isLeaf(block), !queue.contains(block) else { return }
    guard let vertex = tree.vertex(block) else { return }
    let record = records[block.index]
    let facts = BlockFacts(
      lastUse: record.lastUse, stored: record.stored, hits: record.hits, depth: vertex.depth, tokens: vertex.count,
      priority: record.priority, leaseDeadline: record.leaseDeadline)
    queue.insert(block, key: configuration.evictionValue.key(of: facts))
  }

  /// Takes `count` blocks for a table, evicting cached blocks by value if needed; nil if there is no room, and then
  /// nothing was evicted either (unless memory itself ran out).
  func takeBlocks(_ count: Int, after last: BlockID?, growth: Int, runLengths: [Int] = []) -> [BlockID]? {
    guard count <= availableBlocks else {
      counters.noRoom += 1
      return nil
    }
    makeRoom(count)
    let allocation =
      runLengths.isEmpty
      ? allocator.allocate(count: count, after: last, growth: growth)
      : allocator.allocate(count: count, runLengths: runLengths, growth: growth)
    guard case .allocated(let blocks) = allocation else {
      preconditionFailure("room was made for \(count) blocks, but the allocator has \(allocator.freeBlocks)")
    }
    var start = 0
    while start < blocks.count {
      var end = start + 1
      while end < blocks.count, blocks[end].index == blocks[end - 1].index + 1 { end += 1 }
      do {
        try arena.commit(blocks[start]..<BlockID(blocks[end - 1].index + 1))
      } catch {
        allocator.release(blocks)
        counters.noRoom += 1
        return nil
      }
      start = end
    }
    counters.peakResidentBlocks = max(counters.peakResidentBlocks, totalBlocks - freeBlocks)
    return blocks
  }

  /// Runs the full checks in builds that ask for them.
  func didMutate() {
    #if WEIR_CHECKS
      let findings = checkInvariants()
      precondition(findings.isEmpty, findings.joined(separator: "; "))
    #endif
  }
}
