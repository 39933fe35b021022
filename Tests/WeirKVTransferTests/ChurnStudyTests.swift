// The study of calls per request after churn: the claim it is there for, small.

import Testing
import WeirKVTransfer

@Suite struct ChurnStudyTests {
  @Test func segmentsAndHintsNeedFewCallsWhereAFreeListNeedsMany() {
    var study = ChurnStudy()
    study.blockLimit = 2048
    study.requests = 400
    study.promptTokens.range = 16...1024
    for seed in 1...3 as ClosedRange<UInt64> {
      let results = Dictionary(
        uniqueKeysWithValues: ChurnStudy.Allocator.allCases.map { ($0, study.run($0, occupancy: 0.7, seed: seed)) })
      guard let list = results[.freeList], let plain = results[.segments], let hints = results[.segmentsWithHints]
      else {
        Issue.record("an allocator is missing")
        return
      }
      #expect(hints.medianRuns <= 2 && hints.meanRuns <= plain.meanRuns * 1.05, "seed \(seed): \(hints) \(plain)")
      #expect(plain.meanRuns * 3 < list.meanRuns, "seed \(seed): \(list)")
      #expect(hints.requests > 300 && list.meanRuns <= list.meanBlocks && list.mostRuns >= list.p99Runs)
    }
  }

  @Test func theSameSeedGivesTheSameStudy() {
    var study = ChurnStudy()
    study.blockLimit = 512
    study.requests = 100
    study.promptTokens.range = 16...512
    #expect(
      study.run(.segmentsWithHints, occupancy: 0.9, seed: 5) == study.run(.segmentsWithHints, occupancy: 0.9, seed: 5))
  }
}
