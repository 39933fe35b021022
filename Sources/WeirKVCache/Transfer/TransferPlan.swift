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

  /// The calls that move `runs`, in order: one per run, or several where a run is longer than `pieceBytes`.
  ///
  /// A stream socket moves 256 KiB pieces faster than one huge one, because a piece still lies in the cache when its
  /// second copy is made; over shared memory one call per run is best.
  /// - Parameters:
  ///   - runs: what `plan` or a `TransferStream` gave.
  ///   - blockBytes: bytes of one block on both sides.
  ///   - pieceBytes: longest piece, at least 64 and rounded down to whole cache lines; nil: no limit.
  public static func pieces(_ runs: [CoRun], blockBytes: Int, pieceBytes: Int? = nil) -> [TransferPiece] {
    precondition(blockBytes > 0 && pieceBytes ?? 64 >= 64, "blocks hold bytes, and a piece at least a cache line")
    let limit = pieceBytes.map { $0 & ~63 } ?? Int.max
    var pieces: [TransferPiece] = []
    for run in runs {
      let source = run.sourceBytes(blockBytes: blockBytes)
      let destination = run.destinationBytes(blockBytes: blockBytes).lowerBound
      var offset = 0
      while offset < source.count {
        let count = min(limit, source.count - offset)
        pieces.append(
          TransferPiece(
            sourceOffset: source.lowerBound + offset, destinationOffset: destination + offset, byteCount: count))
        offset += count
      }
    }
    return pieces
  }

  /// The calls of a layer-major cache, the baseline: one per block, layer and side, `2 * layers * blocks` in all.
  public static func layerPieces(source: [BlockID], destination: [BlockID], shape: KVShape) -> [TransferPiece] {
    precondition(source.count == destination.count, "\(source.count) blocks cannot go to \(destination.count)")
    var pieces: [TransferPiece] = []
    pieces.reserveCapacity(2 * shape.layers * source.count)
    for layer in 0..<shape.layers {
      for (from, to) in zip(source, destination) {
        let (start, end) = (from.index * shape.blockBytes, to.index * shape.blockBytes)
        for (part, count) in [
          (shape.keyOffset(layer: layer), shape.keyPartBytes), (shape.valueOffset(layer: layer), shape.valuePartBytes),
        ] {
          pieces.append(
            TransferPiece(sourceOffset: start + part, destinationOffset: end + part, byteCount: count))
        }
      }
    }
    return pieces
  }
}

/// One call: a byte range of the sender's arena and where it goes in the receiver's.
public struct TransferPiece: Hashable, Sendable {
  public let sourceOffset: Int
  public let destinationOffset: Int
  /// At least 1.
  public let byteCount: Int

  public init(sourceOffset: Int, destinationOffset: Int, byteCount: Int) {
    precondition(sourceOffset >= 0 && destinationOffset >= 0 && byteCount > 0, "a piece is a byte range of both sides")
    self.sourceOffset = sourceOffset
    self.destinationOffset = destinationOffset
    self.byteCount = byteCount
  }

  public var sourceBytes: Range<Int> { sourceOffset..<(sourceOffset + byteCount) }
  public var destinationBytes: Range<Int> { destinationOffset..<(destinationOffset + byteCount) }
}
