// The seams' defaults and the floors that bind every policy.

import Testing
import WeirBasics
import WeirKVCache

@Suite struct SeamTests {
  /// A policy that wants to drop all.
  private struct KeepNothing: Retention, LayerBudget {
    var limit: Int?
    func retained(
      in lane: LaneView, signals: LaneSignals, moment: RetentionMoment, budgetSlots: Int?
    ) -> SlotSet { .only([]) }
    func budgetSlots(layer: Int, kvHead: Int) -> Int? { limit }
  }

  private func lane(_ slots: Int) -> LaneView {
    LaneView(sequence: SequenceID(rawValue: 1), layer: 2, kvHead: 0, positions: Array(0..<slots))
  }

  @Test(arguments: RetentionMoment.allCases) func theDefaultKeepsAndReadsEverything(moment: RetentionMoment) {
    let policy = KVPolicy.keepEverything
    for slots in [0, 1, 5, 1000] {
      #expect(policy.retained(in: lane(slots), signals: LaneSignals(), moment: moment) == .all)
    }
    #expect(policy.signals.isEmpty && policy.selection.readSlots == nil)
    #expect(policy.budget.budgetSlots(layer: 0, kvHead: 0) == nil)
  }

  @Test func floorsSurviveAPolicyThatDropsAll() {
    let policy = KVPolicy(
      retention: KeepNothing(), budget: KeepNothing(), floors: RetentionFloors(sinkSlots: 2, recentSlots: 3))
    #expect(policy.retained(in: lane(10), signals: LaneSignals(), moment: .stepDone) == .only([0, 1, 7, 8, 9]))
    #expect(policy.retained(in: lane(4), signals: LaneSignals(), moment: .stepDone) == .all)
  }

  @Test func theBudgetBindsEvenTheFloors() {
    let policy = KVPolicy(
      retention: KeepEverything(), budget: KeepNothing(limit: 4),
      floors: RetentionFloors(sinkSlots: 2, recentSlots: 3))
    #expect(policy.retained(in: lane(10), signals: LaneSignals(), moment: .stepDone) == .only([0, 1, 8, 9]))
  }

  @Test func lowerPositionsWinWhenThePolicyWantsTooMuch() {
    let floors = RetentionFloors(sinkSlots: 1, recentSlots: 1)
    #expect(floors.apply(to: .only([3, 5, 6]), slots: 10, budgetSlots: 4) == .only([0, 3, 5, 9]))
    #expect(floors.apply(to: .only([-1, 99]), slots: 10, budgetSlots: nil) == .only([0, 9]))
    #expect(floors.apply(to: .all, slots: 10, budgetSlots: 0) == .only([]))
    #expect(floors.apply(to: .all, slots: 3, budgetSlots: 7) == .all)
  }

  /// Floors, budget and the row's own slot, on random runs.
  @Test func aRowReadsItsFloorsAndWhatFitsBetween() {
    for seed in 1...200 as ClosedRange<UInt64> {
      var generator = SeededGenerator(seed: seed)
      func pick(_ range: ClosedRange<Int>) -> Int { range.lowerBound + Int(generator.next() % UInt64(range.count)) }
      let slots = pick(1...60)
      let budget = pick(0...70)
      let floors = RetentionFloors(sinkSlots: pick(0...9), recentSlots: pick(0...9))
      var wanted: [Range<Int>] = []
      var at = 0
      while at < slots {
        let run = at..<min(slots, at + pick(1...9))
        if pick(0...1) == 0 { wanted.append(run) }
        at = run.upperBound
      }
      let runs = floors.apply(to: wanted, slots: slots, readSlots: budget)
      let read = runs.flatMap { $0 }
      let context = "seed \(seed): \(wanted) of \(slots), budget \(budget), \(floors) give \(runs)"
      #expect(read == Array(Set(read)).sorted() && read.last == slots - 1, "\(context)")
      #expect(read.count <= max(1, min(budget, slots)), "\(context)")
      #expect(zip(runs, runs.dropFirst()).allSatisfy { $0.upperBound < $1.lowerBound }, "\(context)")
      let sinks = min(floors.sinkSlots, max(1, min(budget, slots)) - 1)
      #expect(Set(read).isSuperset(of: 0..<sinks), "\(context)")
      let asked = Set(wanted.flatMap { $0 })
      let own = read.filter { $0 >= sinks && $0 < slots - max(1, floors.recentSlots) }
      #expect(read.count == slots || asked.isSuperset(of: own), "\(context)")
      let missing = asked.subtracting(read)
      #expect(missing.isEmpty || read.count == min(budget, slots) || budget == 0, "\(context)")
    }
  }

  @Test func signalsThatWereNotDeclaredAreAbsent() {
    let signals = LaneSignals([.lastRow: [0.25, 0.75]])
    #expect(signals[.lastRow] == [0.25, 0.75])
    #expect(signals[.columnSums] == nil)
  }
}
