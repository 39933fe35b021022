// The blocks of one sequence, in the order of its positions.

public import WeirBasics

/// Position `p` of a sequence lives in slot `p % blockSlots` of `blocks[p / blockSlots]`.
///
/// A table is a ticket: each of its blocks carries one reference until the table is given back with
/// `BlockPool.close`. Do not use a copy after that; `BlockPool.fork` makes a second table.
public struct BlockTable: Sendable {
  /// Unique within its pool.
  public internal(set) var id: UInt64
  /// The salt under which the sequence reads and stores.
  public let salt: String
  public internal(set) var blocks: [BlockID]
  /// Slots that hold valid KV, from position 0. After `open` this is what the cache gave.
  public internal(set) var filledSlots: Int
  /// Leading blocks that are vertices of the prefix tree; always full ones.
  public internal(set) var publishedBlocks: Int
  /// Most important wish of its owner, lower is more important; stays with the blocks in the cache.
  public var priority = 0
  /// Whether a block that another sequence published first may replace an equal one of this sequence.
  var sharesBlocks: Bool
  /// Whether this sequence publishes its blocks.
  var mayPublish: Bool
  /// The pool's clear epoch when the table was opened.
  var epoch: UInt32

  /// The block of position `position`, nil if the table has no room for it yet.
  public func block(holding position: Position, blockSlots: Int) -> BlockID? {
    let index = position / blockSlots
    return index < blocks.count ? blocks[index] : nil
  }
}
