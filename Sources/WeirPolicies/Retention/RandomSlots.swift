// Arbitrary slots (key `random`): a control.
//
// What: every (seed, layer, KV head, position) has a fixed random number; the slots with the highest stay.
// Why: what any policy must beat at the same budget.
// GQA: each KV head draws for itself.
// The numbers depend on nothing else, so the answer does not depend on chunks, batches or the order of steps.

import WeirBasics
public import WeirKVCache

/// Keeps slots by lot.
public struct RandomSlots: Retention, Equatable {
  public let seed: UInt64
  public let floors: RetentionFloors

  public init(seed: UInt64, floors: RetentionFloors) {
    self.seed = seed
    self.floors = floors
  }

  public func retained(
    in lane: LaneView, signals: LaneSignals, moment: RetentionMoment, budgetSlots: Int?
  ) -> SlotSet {
    let ranking = SlotRanking(slots: lane.slots, budgetSlots: budgetSlots, floors: floors)
    if ranking.isWhole { return .all }
    var lanes = SeededGenerator(seed: seed, stream: UInt64(lane.layer) << 32 | UInt64(lane.kvHead))
    let laneSeed = lanes.next()
    return ranking.kept(
      scores: lane.positions[ranking.candidates].map { position in
        var lot = SeededGenerator(seed: laneSeed, stream: UInt64(position))
        return lot.next()
      })
  }
}
