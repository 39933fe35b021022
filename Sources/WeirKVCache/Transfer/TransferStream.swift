// Sending KV while the prompt is still being computed, without falling back to small pieces.

public import WeirBasics

/// Which blocks to send now, while a prompt is prefilled chunk by chunk.
///
/// A block is sent when all its slots are filled; the last one, partly filled, at the end and as a whole: its used
/// slots are `2 * layers * heads` separate ranges, and one call for at most one block too many is cheaper than those.
/// (The unused slots hold old KV of the same node; the receiver never reads past the filled slots.)
///
/// Co-runs that cannot grow any more go at once. The one at the front of the prefill waits until it holds
/// `spanBlocks`, so a stream needs at most `maximal co-runs + blocks / spanBlocks` calls, and the last chunk leaves
/// little to wait for. A pure value; each call is O(new blocks).
public struct TransferStream: Sendable {
  public private(set) var source: [BlockID]
  public let destination: [BlockID]
  public let blockSlots: Int
  /// Blocks that an unfinished co-run must hold to be worth a call, at least 1.
  public let spanBlocks: Int
  /// Leading blocks that were handed out.
  public private(set) var sentBlocks = 0
  /// Whether the end was handed out.
  public private(set) var isFinished = false

  /// - Precondition: both sides have equally many blocks.
  public init(source: [BlockID], destination: [BlockID], blockSlots: Int, spanBlocks: Int) {
    precondition(source.count == destination.count, "\(source.count) blocks cannot go to \(destination.count)")
    precondition(blockSlots > 0 && spanBlocks > 0, "a span holds at least one block of at least one slot")
    self.source = source
    self.destination = destination
    self.blockSlots = blockSlots
    self.spanBlocks = spanBlocks
  }

  /// The sequence's blocks are others than foreseen: those that were sent stay.
  /// - Precondition: as many as before.
  public mutating func foresee(_ blocks: [BlockID]) {
    precondition(blocks.count == source.count, "\(blocks.count) blocks cannot stand for \(source.count)")
    source.replaceSubrange(sentBlocks..., with: blocks[sentBlocks...])
  }

  /// The co-runs to send now that slots `0..<filledSlots` hold KV.
  public mutating func advance(filledSlots: Int) -> [CoRun] {
    precondition(!isFinished, "the stream has ended")
    let full = min(filledSlots / blockSlots, source.count)
    guard full > sentBlocks else { return [] }
    var runs = TransferPlan.plan(
      source: Array(source[sentBlocks..<full]), destination: Array(destination[sentBlocks..<full]))
    if let last = runs.last, last.count < spanBlocks, full < source.count, continues(at: full) { runs.removeLast() }
    sentBlocks += runs.reduce(0) { $0 + $1.count }
    return runs
  }

  /// The co-runs that are left when `filledSlots` is all there will be: the block that they end in goes as a whole.
  public mutating func finish(filledSlots: Int) -> [CoRun] {
    precondition(!isFinished, "the stream has ended")
    isFinished = true
    let end = min((filledSlots + blockSlots - 1) / blockSlots, source.count)
    guard end > sentBlocks else { return [] }
    let runs = TransferPlan.plan(
      source: Array(source[sentBlocks..<end]), destination: Array(destination[sentBlocks..<end]))
    sentBlocks = end
    return runs
  }

  /// Whether block `index` belongs to the same co-run as the one before it.
  private func continues(at index: Int) -> Bool {
    source[index].index == source[index - 1].index + 1 && destination[index].index == destination[index - 1].index + 1
  }
}
