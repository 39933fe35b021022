// Single decisions of the retention policies, small enough to be worked out by hand.

import Testing
import WeirBasics
import WeirKVCache
import WeirPolicies

@Suite struct RetentionTests {
  private let floors = RetentionFloors(sinkSlots: 1, recentSlots: 2)

  private func lane(_ positions: [Position], layer: Int = 0, kvHead: Int = 0) -> LaneView {
    LaneView(sequence: SequenceID(rawValue: 1), layer: layer, kvHead: kvHead, positions: positions)
  }

  private func kept(
    _ retention: some Retention, _ lane: LaneView, _ signals: [KVSignal: [Float]] = [:], budget: Int
  ) -> SlotSet {
    retention.retained(in: lane, signals: LaneSignals(signals), moment: .prefillDone, budgetSlots: budget)
  }

  @Test func sinksAndTheNewestStay() {
    #expect(kept(SinkAndRecent(floors: floors), lane(Array(0..<10)), budget: 5) == .only([0, 6, 7, 8, 9]))
    #expect(kept(SinkAndRecent(floors: floors), lane(Array(0..<5)), budget: 5) == .all)
    #expect(kept(SinkAndRecent(floors: floors), lane(Array(0..<5)), budget: 0) == .only([]))
  }

  @Test func theNewestRowDecides() {
    let row: [Float] = [0, 0.1, 0.3, 0.2, 0.05, 0.25, 0.06, 0.04]
    #expect(
      kept(NewestRow(floors: floors), lane(Array(0..<8)), [.lastRow: row], budget: 5) == .only([0, 2, 5, 6, 7]))
  }

  @Test func oneSlotTooManyMeansTheWorstGoes() {
    let row: [Float] = [0, 0.1, 0.02, 0.02, 0.3, 0.2, 0.06]
    #expect(
      kept(NewestRow(floors: floors), lane(Array(0..<7)), [.lastRow: row], budget: 6) == .only([0, 1, 2, 4, 5, 6]),
      "of equals the higher position goes")
  }

  /// Few slots are searched for, many are sorted out: both must agree with the definition, ties included.
  @Test func theRankingIsItsDefinition() {
    for seed in 1...40 as ClosedRange<UInt64> {
      var generator = SeededGenerator(seed: seed)
      let slots = 4 + Int(generator.next() % 150)
      let budget = 3 + Int(generator.next() % UInt64(slots - 3))
      // Few different values, so that there are many ties.
      let row = (0..<slots).map { _ in Float(generator.next() % 7) }
      let ranked = (1..<slots - 2).sorted { (-row[$0], $0) < (-row[$1], $1) }.prefix(budget - 3)
      let expected = [0] + ranked.sorted() + [slots - 2, slots - 1]
      #expect(
        kept(NewestRow(floors: floors), lane(Array(0..<slots)), [.lastRow: row], budget: budget) == .only(expected),
        "seed \(seed): \(budget) of \(slots)")
    }
  }

  @Test func keysLikeTheOthersGo() {
    // Three keys to the east, of any length, one to the north, one to the west.
    let keys: [Float] = [1, 0, 5, 0, 0, 2, 9, 0, -1, 0, 1, 0, 1, 0]
    #expect(kept(DistinctKeys(floors: floors), lane(Array(0..<7)), [.keys: keys], budget: 5) == .only([0, 2, 4, 5, 6]))
  }

  @Test func theWindowSpreadsItsAttentionOverNeighbours() {
    let signal = KVSignal.windowRows(rows: 2, reduction: .mean)
    // Positions 11 and 30 stand alone; 20, 21, 22 are neighbours.
    let lane = lane([0, 11, 20, 21, 22, 30, 31, 32])
    let attention: [Float] = [0.9, 0.3, 0, 0.4, 0.1, 0.2, 0.5, 0.5]
    func kept(_ pooling: ObservationWindow.Pooling, kernel: Int, budget: Int) -> SlotSet {
      self.kept(
        ObservationWindow(
          configuration: ObservationWindow.Configuration(windowRows: 2, kernelSlots: kernel, pooling: pooling),
          floors: floors), lane, [signal: attention], budget: budget)
    }
    #expect(kept(.maximum, kernel: 1, budget: 5) == .only([0, 1, 3, 6, 7]))
    #expect(kept(.maximum, kernel: 3, budget: 6) == .only([0, 2, 3, 4, 6, 7]))
    // Means of three: 11 has 0.1, 20 has 0.4 / 3, 21 has 0.5 / 3, 22 has 0.5 / 3, 30 has 0.2 / 3.
    #expect(kept(.mean, kernel: 3, budget: 5) == .only([0, 3, 4, 6, 7]))
  }

  @Test func heavyAndRecentShareTheBudget() {
    let hitter = HeavyHitter(floors: floors)
    let mass: [Float] = [1, 9, 2, 8, 3, 7, 4, 0, 0, 0, 0, 0]
    #expect(
      kept(hitter, lane(Array(0..<12)), [hitter.massSignal: mass], budget: 8) == .only([0, 1, 3, 5, 8, 9, 10, 11]))
    let heavy = HeavyHitter(
      configuration: HeavyHitter.Configuration(recentShare: 0, decay: 0.5), floors: floors)
    #expect(heavy.signals == [.accumulatedMass(decay: 0.5)])
    #expect(
      kept(heavy, lane(Array(0..<12)), [heavy.massSignal: mass], budget: 8) == .only([0, 1, 3, 4, 5, 6, 10, 11]))
  }

  @Test func lotsDifferByLaneAndSeedAndAreFair() {
    let positions = Array(0..<400)
    func answer(_ seed: UInt64, _ layer: Int, _ head: Int) -> SlotSet {
      kept(RandomSlots(seed: seed, floors: floors), lane(positions, layer: layer, kvHead: head), budget: 100)
    }
    let answers = [answer(1, 0, 0), answer(2, 0, 0), answer(1, 1, 0), answer(1, 0, 1)]
    for (place, one) in answers.enumerated() {
      for other in answers[(place + 1)...] { #expect(one != other) }
    }
    // A quarter of 400: each half of the lane gets about 50, with a deviation of about 5.
    for one in answers { #expect((30...70).contains(one.indices(slots: 400).count { $0 < 200 })) }
  }

  @Test func toldSpansStayAndTheNewestFillTheRest() {
    let told = ToldSpans(spans: [3..<5, 7..<8], floors: floors)
    #expect(kept(told, lane(Array(0..<20)), budget: 7) == .only([0, 3, 4, 7, 17, 18, 19]))
    // Told too much: the lower positions.
    let most = ToldSpans(spans: [1..<20], floors: floors)
    #expect(kept(most, lane(Array(0..<20)), budget: 5) == .only([0, 1, 2, 18, 19]))
    // Positions, not slots: after a compaction they are different things.
    #expect(kept(told, lane([0, 3, 5, 6, 9, 12, 14, 15]), budget: 5) == .only([0, 1, 5, 6, 7]))
  }

  @Test func signalsThatAreNotNumbersAreWorthNothing() {
    let row: [Float] = [0, .nan, 0.1, .nan, 0.2, 0.3, 0]
    #expect(kept(NewestRow(floors: floors), lane(Array(0..<7)), [.lastRow: row], budget: 5) == .only([0, 2, 4, 5, 6]))
  }
}
