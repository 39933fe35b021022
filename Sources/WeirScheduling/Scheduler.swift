// Who computes what in the next step: continuous batching as a value. No threads and no clock in here.

public import WeirBasics
public import WeirKVCache

/// Plans steps over running and waiting sequences. Owned, with its block pool, by one step-loop thread.
///
/// A step mixes decode rows (one per decoding sequence, always all of them) with prefill chunks under a token budget.
/// Invariants: `running` and `waiting` are disjoint; a running sequence has a table that covers its computed tokens;
/// a waiting one has none; of the running ones that take a place, and of those that take none, there are at most
/// `runningLimit` each when one is let in; `waiting.count <= queueLimit` for new arrivals.
public struct Scheduler {
  public let configuration: SchedulerConfiguration
  let order: any QueueOrder
  let shape: any BatchShape
  private(set) var sequences: [SequenceID: Sequence] = [:]
  /// In queue order.
  private(set) var waiting: [(key: QueueKey, sequence: Sequence)] = []
  /// Those of `waiting` that take no place.
  private(set) var placelessWaiting = 0
  /// In queue order, so that the last is the first to be preempted.
  var running: [(key: QueueKey, sequence: Sequence)] = []
  private var nextID: UInt64 = 1
  private var nextArrival: UInt64 = 0
  /// Places among the running that are kept for sequences whose KV is on its way from another node.
  public var expectedArrivals = 0

  public init(
    configuration: SchedulerConfiguration, order: any QueueOrder = FirstCome(), shape: any BatchShape = ChunkedPrefill()
  ) {
    self.configuration = configuration
    self.order = order
    self.shape = shape
  }

  public var runningCount: Int { running.count }
  /// Running sequences that take a place. O(running).
  var placesTaken: Int { running.reduce(0) { $0 + ($1.sequence.takesPlace ? 1 : 0) } }
  public var waitingCount: Int { waiting.count }
  /// Tokens that waiting sequences have still to compute, and how many of them ran before. O(waiting).
  public var waitingNeeds: (tokens: Int, preempted: Int) {
    waiting.reduce(into: (0, 0)) { needs, entry in
      needs.0 += entry.sequence.pending
      if entry.sequence.preemptions > 0 { needs.1 += 1 }
    }
  }
  public var isIdle: Bool { running.isEmpty && waiting.isEmpty }

  /// The sequence with this id, while it is waiting or running.
  public func sequence(_ id: SequenceID) -> Sequence? { sequences[id] }

  /// Queues a new sequence.
  ///
  /// - Throws: `.queueFull`, `.emptyPrompt`, `.promptTooLong`, or `.poolTooSmall` if even an empty pool could not hold it.
  public mutating func submit(_ submission: Submission, pool: BlockPool) throws(SchedulingError) -> Sequence {
    try check(submission, pool: pool)
    guard waiting.count < configuration.queueLimit else { throw .queueFull(limit: configuration.queueLimit) }
    let sequence = takeSequence(submission)
    enqueue(sequence)
    return sequence
  }

  /// Refuses what could never run here.
  ///
  /// - Throws: `.emptyPrompt`, `.promptTooLong` or `.poolTooSmall`.
  public func check(_ submission: Submission, pool: BlockPool) throws(SchedulingError) {
    guard !submission.tokens.isEmpty else { throw .emptyPrompt }
    // One slot must remain for the first generated token.
    guard submission.tokens.count < configuration.contextLength else {
      throw .promptTooLong(tokens: submission.tokens.count, limit: configuration.contextLength - 1)
    }
    let slots = submission.lanes?.peakSlots(tokens: submission.tokens.count + 1) ?? submission.tokens.count + 1
    let needed = pool.shape.blockCount(tokens: slots)
    guard needed <= pool.totalBlocks else {
      throw .poolTooSmall(neededBlocks: needed, totalBlocks: pool.totalBlocks)
    }
  }

  /// Makes a running sibling that shares everything `id` has computed (several answers to one prompt).
  ///
  /// Returns nil if `id` is not running.
  public mutating func fork(_ id: SequenceID, pool: BlockPool) -> Sequence? {
    guard let original = sequences[id], original.state == .running, let table = original.table else { return nil }
    let copy = Sequence(forking: original, id: takeID(), table: pool.fork(table))
    sequences[copy.id] = copy
    insert((key(of: copy), copy), into: &running)
    return copy
  }

  /// Records that a step computed `rows` more tokens of a sequence, and publishes its full blocks for reuse.
  public func advance(_ id: SequenceID, rows: Int, pool: BlockPool) {
    guard let sequence = sequences[id], sequence.state == .running else { return }
    sequence.computed += rows
    precondition(sequence.computed <= sequence.tokens.count, "a step computed tokens that nobody knows")
    sequence.lanes?.advance(rows: rows)
    guard var table = sequence.table else { return }
    sequence.table = nil
    if let lanes = sequence.lanes, lanes.isCompacted {
      pool.commit(&table, lanes: lanes)
    } else {
      // Also when it publishes nothing: a fork takes over what is filled.
      pool.commit(&table, tokens: sequence.tokens, filledSlots: sequence.computed, salt: sequence.salt)
    }
    sequence.table = table
  }

  /// Sequences whose KV policy must be asked before they go on.
  public var questionsDue: [Sequence] {
    running.compactMap { $0.sequence.lanes?.isQuestionDue ?? false ? $0.sequence : nil }
  }

  /// Applies a policy's answer: see `BlockPool.compact`. False if there is no room; nothing changed then.
  public func retain(_ sets: [SlotSet], of id: SequenceID, pool: BlockPool) -> Bool {
    guard let sequence = sequences[id], sequence.state == .running, var table = sequence.table else { return false }
    sequence.table = nil
    defer { sequence.table = table }
    let blocks = table.blocks
    guard
      sequence.withLanes({ lanes in pool.compact(&table, lanes: &lanes, keeping: sets) }) == true
    else { return false }
    // Until the old blocks went, those that were copied into were held as well.
    let fresh = Set(table.blocks).subtracting(blocks).count
    sequence.peakBlocks = max(sequence.peakBlocks, blocks.count + fresh)
    return true
  }

  /// Makes a running sequence give its blocks back and start over, without blocks of the prefix tree: those cannot be
  /// compacted in place.
  public mutating func restart(_ id: SequenceID, pool: BlockPool) {
    guard let sequence = sequences[id], sequence.state == .running else { return }
    sequence.readsCache = false
    yieldBlocks(of: sequence, pool: pool)
  }

  /// Appends a generated token: the sequence then has one more token to compute.
  public func append(_ token: TokenID, to id: SequenceID) { sequences[id]?.append(token) }

  /// Ends a sequence in any state; its blocks return to the pool at once (and stay cached when it stores its cache).
  public mutating func end(_ id: SequenceID, pool: BlockPool) {
    guard let sequence = sequences.removeValue(forKey: id) else { return }
    if sequence.state == .waiting, let index = waiting.firstIndex(where: { $0.sequence.id == id }) {
      removeWaiting(at: index)
    }
    running.removeAll { $0.sequence.id == id }
    sequence.state = .ended
    closeTable(of: sequence, keep: sequence.storesCache, pool: pool)
  }

  // MARK: - Shared by planning, admission and preemption

  func key(of sequence: Sequence) -> QueueKey {
    order.key(
      QueueFacts(
        priority: sequence.priority, arrival: sequence.arrival, promptTokens: sequence.promptCount,
        request: sequence.request))
  }

  mutating func enqueue(_ sequence: Sequence) {
    sequence.state = .waiting
    if !sequence.takesPlace { placelessWaiting += 1 }
    insert((key(of: sequence), sequence), into: &waiting)
  }

  mutating func removeWaiting(at index: Int) {
    if !waiting.remove(at: index).sequence.takesPlace { placelessWaiting -= 1 }
  }

  /// Inserts behind entries of equal key. Linear in the list, which a bound keeps short.
  func insert(
    _ entry: (key: QueueKey, sequence: Sequence), into list: inout [(key: QueueKey, sequence: Sequence)]
  ) {
    let index = list.firstIndex { entry.key < $0.key } ?? list.endIndex
    list.insert(entry, at: index)
  }

  func closeTable(of sequence: Sequence, keep: Bool, pool: BlockPool) {
    guard let table = sequence.table else { return }
    sequence.table = nil
    pool.close(
      table, tokens: sequence.tokens, filledSlots: sequence.computed, salt: sequence.salt, keep: keep,
      priority: sequence.priority)
  }

  /// Puts a running sequence back into the queue. Its full blocks stay cached as long as nobody needs the room (but for
  /// those of a KV policy, which it computes again), so that it usually continues where it stopped.
  mutating func yieldBlocks(of sequence: Sequence, pool: BlockPool) {
    running.removeAll { $0.sequence === sequence }
    closeTable(of: sequence, keep: sequence.storesCache, pool: pool)
    sequence.computed = 0
    sequence.lanes = sequence.lanes?.restarted()
    sequence.preemptions += 1
    enqueue(sequence)
  }

  mutating func takeSequence(_ submission: Submission) -> Sequence {
    let sequence = Sequence(submission, id: takeID(), arrival: nextArrival)
    nextArrival += 1
    sequences[sequence.id] = sequence
    return sequence
  }

  private mutating func takeID() -> SequenceID {
    defer { nextID += 1 }
    return SequenceID(rawValue: nextID)
  }
}
