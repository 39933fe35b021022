// The switches of the block pool.

public import WeirBasics

/// How a block pool is set up.
public struct KVPoolConfiguration: Sendable {
  public var shape: KVShape
  /// Blocks in the pool, at least 1.
  public var blockLimit: Int
  /// Whether blocks of finished and running sequences can be found by others.
  public var prefixCache = true
  /// Share of the pool that leases may hold, `0...1`.
  public var leaseShareLimit = 0.25
  /// Longest lease in seconds; longer wishes are cut. Leases end by themselves, so they never block for ever.
  public var leaseSecondsLimit = 3600.0
  /// Evicted prefixes that are remembered for explanations; nil: four per block, at most 65,536.
  public var ghostLimit: Int?
  /// Events kept for `drainEvents`; when nobody drains, the oldest are dropped and counted. 0: none
  /// are made.
  public var eventLimit = 65_536
  /// What a cached block is worth.
  public var evictionValue: any EvictionValue = Recency()

  public init(shape: KVShape, blockLimit: Int) {
    self.shape = shape
    self.blockLimit = blockLimit
  }

  func validate() throws(KVCacheError) {
    guard blockLimit > 0 else { throw .invalid("the block limit must be at least 1, got \(blockLimit)") }
    guard (0...1).contains(leaseShareLimit) else {
      throw .invalid("the lease share must be between 0 and 1, got \(leaseShareLimit)")
    }
    guard leaseSecondsLimit >= 0, leaseSecondsLimit.isFinite else {
      throw .invalid("the longest lease must be a finite number of seconds, at least 0, got \(leaseSecondsLimit)")
    }
    guard ghostLimit ?? 1 > 0, eventLimit >= 0 else {
      throw .invalid("the ghost limit must be at least 1 and the event limit at least 0")
    }
  }
}
