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
