// What was evicted lately and why: the memory behind "why did I miss?".

public import WeirBasics

/// Why a cached block left the prefix tree.
public enum EvictionCause: String, Sendable, CaseIterable, Codable {
  /// A running sequence needed the block.
  case room
  /// A longer cached run made this partial tail superfluous.
  case superseded
  /// Somebody cleared the cache.
  case cleared
}

/// A bounded list of evicted prefixes: the oldest entry leaves when a new one comes. O(1) per operation.
public struct GhostList: Sendable {
  /// One evicted prefix.
  public struct Ghost: Sendable, Equatable {
    public let cause: EvictionCause
    public let time: Instant
  }

  private var ring: [PrefixHash] = []
  private var position = 0
  private var ghosts: [PrefixHash: (ghost: Ghost, place: Int)] = [:]
  /// Most entries kept.
  public let limit: Int

  /// - Precondition: `limit` is at least 1.
  public init(limit: Int) {
    precondition(limit > 0, "a ghost list holds at least one entry")
    self.limit = limit
  }

  public var count: Int { ghosts.count }

  /// Remembers that `hash` was evicted.
  public mutating func insert(_ hash: PrefixHash, cause: EvictionCause, time: Instant) {
    if ring.count < limit {
      position = ring.count
      ring.append(hash)
    } else {
      position = position + 1 == limit ? 0 : position + 1
      let old = ring[position]
      // The same prefix may have been evicted again since: then its entry belongs to a younger place.
      if ghosts[old]?.place == position { ghosts[old] = nil }
      ring[position] = hash
    }
    ghosts[hash] = (Ghost(cause: cause, time: time), position)
  }

  /// The last eviction of `hash`, if it is recent enough to be remembered.
  public func find(_ hash: PrefixHash) -> Ghost? { ghosts[hash]?.ghost }
}
