// Values that flow back up: what a node says of itself. No lower room knows who reads them.

/// The load of one node at one moment.
public struct NodeLoad: Sendable, Equatable {
  public var runningSequences = 0
  public var waitingRequests = 0
  public var waitingPromptTokens = 0
  public var totalBlocks = 0
  public var freeBlocks = 0
  /// Blocks held only by the prefix tree: they can be evicted at once.
  public var cachedBlocks = 0
  public var stepsCompleted: UInt64 = 0

  public init() {}

  /// Share of the pool held by running sequences, `0...1`.
  public var kvUsage: Double {
    totalBlocks == 0 ? 0 : Double(totalBlocks - freeBlocks - cachedBlocks) / Double(totalBlocks)
  }
}

/// A change of what the prefix tree holds, in the field's vocabulary.
public enum KVEvent: Sendable, Equatable {
  /// `parent` is nil at position 0; `salt` is that of the scope the block was cached under.
  case blockStored(hash: UInt64, parent: UInt64?, tokens: [TokenID], blockSlots: Int, salt: String)
  case blockRemoved(hash: UInt64)
  case allBlocksCleared
}
