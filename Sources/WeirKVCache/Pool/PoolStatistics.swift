// What the pool says of itself.

public import WeirBasics

/// Counts of a pool since it was made, and its state now.
public struct PoolStatistics: Sendable, Equatable {
  public var totalBlocks = 0
  public var freeBlocks = 0
  /// Blocks that only the prefix tree holds.
  public var cachedBlocks = 0
  /// Blocks held by open tables or leases.
  public var usedBlocks = 0
  /// Most blocks ever held by tables or leases at once.
  public var peakUsedBlocks = 0
  /// Most blocks ever not free at once (used and cached).
  public var peakResidentBlocks = 0
  /// Bytes of memory that back the arena.
  public var committedBytes = 0
  public var freeSegments = 0
  public var largestFreeSegment = 0
  /// Share of the free blocks outside the longest free run.
  public var fragmentation = 0.0
  public var openTables = 0
  public var leases = 0
  public var leasedBlocks = 0

  /// Tables opened, their prompt tokens, and how many of those came from the cache.
  public var opens: UInt64 = 0
  public var promptTokens: UInt64 = 0
  public var hitTokens: UInt64 = 0
  /// Opens that reused at least one token.
  public var hits: UInt64 = 0
  /// Opens that reused nothing.
  public var misses: UInt64 = 0
  /// Opens that copied slots out of a partially matching block.
  public var partialHits: UInt64 = 0
  public var blocksStored: UInt64 = 0
  /// Computed blocks given back because the same tokens were cached meanwhile.
  public var blocksDeduplicated: UInt64 = 0
  public var copyOnWriteCopies: UInt64 = 0
  /// `reserve` and `open` calls that found no room.
  public var noRoom: UInt64 = 0
  public var evictions: [EvictionCause: UInt64] = [:]
  public var eventsDropped: UInt64 = 0
  /// Seconds that evicted blocks spent in the cache since they were stored, for evictions that made room.
  public var residencySeconds: HistogramSnapshot
  /// Seconds that evicted blocks were idle before they were evicted to make room.
  public var idleSeconds: HistogramSnapshot
}

extension Histogram {
  /// Buckets for the life of a cached block: a tenth of a second to a day.
  static var lifetime: Histogram {
    Histogram(bounds: [0.1, 0.3, 1, 3, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400])
  }
}
