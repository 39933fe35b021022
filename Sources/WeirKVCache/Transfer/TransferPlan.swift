// How KV is cut into transfer calls: the pure half of a transfer (FlowKV, arXiv 2504.03775, section on segments).

public import WeirBasics

/// Blocks that are consecutive on both sides, so one call moves them.
public struct CoRun: Hashable, Sendable {
  public let source: BlockID
  public let destination: BlockID
  /// At least 1.
  public let count: Int

  public init(source: BlockID, destination: BlockID, count: Int) {
    precondition(count > 0, "a co-run holds at least one block")
    self.source = source
    self.destination = destination
    self.count = count
  }

  /// Where the run lies in the sender's arena.
  public func sourceBytes(blockBytes: Int) -> Range<Int> {
    (source.index * blockBytes)..<((source.index + count) * blockBytes)
  }

  /// Where the run lies in the receiver's arena.
  public func destinationBytes(blockBytes: Int) -> Range<Int> {
    (destination.index * blockBytes)..<((destination.index + count) * blockBytes)
  }
}

/// Cuts the transfer of one sequence into the fewest calls.
public enum TransferPlan {
  /// The maximal runs in which both sides are consecutive, in the order of the sequence. The i-th block of `source`
  /// goes to the i-th of `destination`. Contiguity of one side alone is worth nothing. O(blocks).
  /// - Precondition: both sides have equally many blocks.
  public static func plan(source: [BlockID], destination: [BlockID]) -> [CoRun] {
    precondition(source.count == destination.count, "\(source.count) blocks cannot go to \(destination.count)")
    var runs: [CoRun] = []
    var start = 0
    while start < source.count {
      var end = start + 1
      while end < source.count, source[end].index == source[end - 1].index + 1,
        destination[end].index == destination[end - 1].index + 1
      {
        end += 1
      }
      runs.append(CoRun(source: source[start], destination: destination[start], count: end - start))
      start = end
    }
    return runs
  }

  /// The lengths of the runs of consecutive blocks in `blocks`: what a sender tells a receiver, so that it allocates
  /// runs of the same lengths.
  public static func runLengths(_ blocks: [BlockID]) -> [Int] {
    plan(source: blocks, destination: blocks).map(\.count)
  }
}
