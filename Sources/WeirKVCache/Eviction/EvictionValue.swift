// Which cached block is worth least? The seam and its default.

public import WeirBasics

/// What is known of a cached block that nobody uses at the moment it becomes evictable.
public struct BlockFacts: Sendable, Equatable {
  /// When a sequence last opened or closed over it.
  public var lastUse: Instant
  /// When its KV was computed.
  public var stored: Instant
  /// How many sequences were opened on it.
  public var hits: Int
  /// Blocks before it in its prefix.
  public var depth: Int
  /// Tokens it holds.
  public var tokens: Int
  /// The best priority (lowest number) of the sequences that used it.
  public var priority: Int
  /// Deadline of the last lease that ended on it, nil if it never had one.
  public var leaseDeadline: Instant?
}

/// An ordered key: the smallest is evicted first. Equal keys are ordered by block id, so that eviction is repeatable.
public struct EvictionKey: Sendable, Comparable, Hashable {
  /// Compared first.
  public var value: Double
  /// Compared when the values are equal: deeper blocks (larger `depth`) go first.
  public var depth: Int

  public init(value: Double, depth: Int) {
    self.value = value
    self.depth = depth
  }

  public static func < (a: EvictionKey, b: EvictionKey) -> Bool {
    a.value != b.value ? a.value < b.value : a.depth > b.depth
  }
}

/// Orders cached blocks for eviction. A pure function: the same facts give the same key, whatever the time.
///
/// The pool asks once, when a block becomes an unreferenced leaf, and again whenever it becomes one anew. Parents come
/// after their children by construction, whatever the keys say.
public protocol EvictionValue: Sendable {
  func key(of facts: BlockFacts) -> EvictionKey
}

/// Least recently used first, where every step of priority counts as so many seconds of freshness. Priority therefore
/// protects the cache (an important request's blocks outlive equally old ones) but fades: nothing stays for ever.
public struct Recency: EvictionValue {
  /// How much fresher one step of priority (one lower number) makes a block, in seconds; at least 0.
  public var secondsPerPriorityStep: Double

  public init(secondsPerPriorityStep: Double = 60) { self.secondsPerPriorityStep = secondsPerPriorityStep }

  public func key(of facts: BlockFacts) -> EvictionKey {
    let seconds = Double(facts.lastUse.nanoseconds) / 1e9 - Double(facts.priority) * secondsPerPriorityStep
    return EvictionKey(value: seconds, depth: facts.depth)
  }
}
