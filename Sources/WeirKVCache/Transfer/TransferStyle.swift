// How a plan is cut into calls: FlowKV's way, and the ways that it is compared with.

public import WeirBasics

/// What one call moves.
public enum TransferCut: String, Sendable, CaseIterable {
  /// One co-run: blocks that are consecutive on both sides (FlowKV).
  case coRuns = "co_runs"
  /// One block.
  case blocks
  /// One layer's keys or values of one block, as a layer-major cache has to.
  case layers
  /// Everything, copied together at the sender and apart at the receiver.
  case staged
}

/// How the bytes of a handoff travel.
public struct TransferStyle: Hashable, Sendable {
  public var cut: TransferCut
  /// Most calls in flight, at least 1; nil: as many as the transport allows. 1: each is awaited before the next.
  public var windowCalls: Int?

  public init(cut: TransferCut = .coRuns, windowCalls: Int? = nil) {
    self.cut = cut
    self.windowCalls = windowCalls
  }

  /// The calls that move `runs` from block to block. `staged` has no such calls of its own: those of the co-runs.
  ///
  /// - Parameters:
  ///   - runs: what `TransferPlan.plan` or a `TransferStream` gave.
  ///   - shape: the blocks of both sides.
  ///   - pieceBytes: see `TransferPlan.pieces`.
  public func pieces(_ runs: [CoRun], shape: KVShape, pieceBytes: Int? = nil) -> [TransferPiece] {
    switch cut {
    case .coRuns, .staged: return TransferPlan.pieces(runs, blockBytes: shape.blockBytes, pieceBytes: pieceBytes)
    case .blocks:
      return TransferPlan.pieces(
        runs.flatMap { run in run.blocks.map { CoRun(source: $0, destination: $1, count: 1) } },
        blockBytes: shape.blockBytes, pieceBytes: pieceBytes)
    case .layers:
      let blocks = runs.flatMap(\.blocks)
      return TransferPlan.layerPieces(source: blocks.map(\.0), destination: blocks.map(\.1), shape: shape)
    }
  }
}

extension TransferPlan {
  /// How many co-runs there will be between blocks that lie in runs of these lengths and `blocks`: what a receiver can
  /// know before the sender plans. O(blocks).
  public static func coRunCount(runLengths: [Int], destination blocks: [BlockID]) -> Int {
    var ends = Set<Int>()
    var end = 0
    for length in runLengths {
      end += length
      ends.insert(end)
    }
    var count = blocks.isEmpty ? 0 : 1
    for index in blocks.indices.dropFirst()
    where ends.contains(index) || blocks[index].index != blocks[index - 1].index + 1 { count += 1 }
    return count
  }

  /// The calls that move `runs` when their sources have been copied together, in order, to `offset` of some memory.
  public static func stagedPieces(_ runs: [CoRun], blockBytes: Int, from offset: Int, pieceBytes: Int?)
    -> [TransferPiece]
  {
    precondition(offset % blockBytes == 0, "gathered blocks start at a multiple of their size")
    let first = offset / blockBytes
    let gathered = (0..<runs.reduce(0) { $0 + $1.count }).map { BlockID(first + $0) }
    let destination = runs.flatMap { $0.blocks.map(\.1) }
    return pieces(plan(source: gathered, destination: destination), blockBytes: blockBytes, pieceBytes: pieceBytes)
  }
}

extension CoRun {
  /// The pairs of blocks.
  var blocks: [(BlockID, BlockID)] {
    (0..<count).map { (BlockID(source.index + $0), BlockID(destination.index + $0)) }
  }
}
