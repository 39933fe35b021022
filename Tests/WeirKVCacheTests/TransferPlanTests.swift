// Co-runs: every block moves once, in as few calls as both sides allow.

import Testing
import WeirBasics
import WeirKVCache

@Suite struct TransferPlanTests {
  @Test func oneRunWhenBothSidesAreContiguous() {
    let runs = TransferPlan.plan(source: [4, 5, 6], destination: [10, 11, 12])
    #expect(runs == [CoRun(source: 4, destination: 10, count: 3)])
    #expect(runs[0].sourceBytes(blockBytes: 100) == 400..<700)
    #expect(runs[0].destinationBytes(blockBytes: 100) == 1000..<1300)
  }

  @Test func contiguityOfOneSideAloneIsWorthNothing() {
    #expect(TransferPlan.plan(source: [0, 1, 2, 3], destination: [9, 7, 5, 3]).count == 4)
    #expect(TransferPlan.plan(source: [3, 2, 1], destination: [5, 6, 7]).count == 3)
    #expect(TransferPlan.plan(source: [], destination: []).isEmpty)
  }

  @Test func everyCutMovesTheSameBytes() {
    let shape = KVShape(layers: 3, kvHeads: 2, headDim: 32, blockSlots: 8, keyType: .f16, valueType: .f16)
    let (source, destination): ([BlockID], [BlockID]) = ([4, 5, 9, 2], [0, 1, 2, 3])
    let runs = TransferPlan.plan(source: source, destination: destination)
    var maps: [[Int: Int]] = []
    for (cut, calls) in [(TransferCut.coRuns, 3), (.blocks, 4), (.layers, 4 * 2 * 3), (.staged, 3)] {
      let pieces = TransferStyle(cut: cut).pieces(runs, shape: shape)
      #expect(pieces.count == calls, "\(cut)")
      maps.append(
        pieces.reduce(into: [:]) { map, piece in
          for (from, to) in zip(piece.sourceBytes, piece.destinationBytes) { map[from] = to }
        })
    }
    #expect(maps.allSatisfy { $0 == maps[0] } && maps[0].count == 4 * shape.blockBytes)
    // Gathered, all four blocks go to neighbours in one call.
    let staged = TransferPlan.stagedPieces(runs, blockBytes: shape.blockBytes, from: shape.blockBytes, pieceBytes: nil)
    #expect(
      staged == [TransferPiece(sourceOffset: shape.blockBytes, destinationOffset: 0, byteCount: 4 * shape.blockBytes)])
  }

  @Test func runLengthsDescribeTheSender() {
    #expect(TransferPlan.runLengths([1, 2, 3, 7, 8, 5]) == [3, 2, 1])
  }

  @Test(arguments: [1, 2, 3, 4, 5] as [UInt64]) func movesEveryBlockOnceInMaximalRuns(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    for _ in 0..<200 {
      // Ids that go up by one most of the time, on each side for itself.
      func ids(_ count: Int) -> [BlockID] {
        var next = 0
        return (0..<count).map { _ in
          next += random.next() % 4 == 0 ? 2 + Int(random.next() % 5) : 1
          return BlockID(next)
        }
      }
      let count = Int(random.next() % 40)
      let (source, destination) = (ids(count), ids(count))
      let runs = TransferPlan.plan(source: source, destination: destination)
      let foreseen = TransferPlan.coRunCount(
        runLengths: TransferPlan.runLengths(source), destination: destination)
      #expect(foreseen == runs.count, "seed \(seed)")
      #expect(runs.flatMap { run in (0..<run.count).map { BlockID(run.source.index + $0) } } == source, "seed \(seed)")
      #expect(
        runs.flatMap { run in (0..<run.count).map { BlockID(run.destination.index + $0) } } == destination,
        "seed \(seed)")
      let breaks = (0..<max(0, count - 1)).filter {
        source[$0 + 1].index - source[$0].index != 1 || destination[$0 + 1].index - destination[$0].index != 1
      }
      #expect(runs.count == (count == 0 ? 0 : breaks.count + 1), "seed \(seed)")
    }
  }
}
