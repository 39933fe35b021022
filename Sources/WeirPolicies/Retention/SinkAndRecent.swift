// The first slots and the newest ones (key `sink-recent`).
//
// What: the sinks of the floors, then the newest slots up to the budget; everything between is evicted.
// Why: the baseline without signals, and what keeps a model fluent beyond its cache; it forgets every fact in between.
// Paper: StreamingLLM (arXiv 2309.17453). Without sinks it is the papers' "Local" baseline.
// GQA: positions decide, so all lanes keep the same slots.
// Deviations: kept keys keep the angles of their positions; the paper numbers them anew by place in the cache, which
// matters only beyond the trained context. Independent of how the prompt is cut into chunks.

public import WeirKVCache

/// StreamingLLM's retention.
public struct SinkAndRecent: Retention, Equatable {
  public let floors: RetentionFloors

  /// - Parameter floors: its sinks are the policy's sinks.
  public init(floors: RetentionFloors) { self.floors = floors }

  public func retained(
    in lane: LaneView, signals: LaneSignals, moment: RetentionMoment, budgetSlots: Int?
  ) -> SlotSet {
    let ranking = SlotRanking(
      slots: lane.slots, budgetSlots: budgetSlots, floors: floors, recentSlots: budgetSlots ?? lane.slots)
    return ranking.kept(scores: [Int](repeating: 0, count: ranking.candidates.count))
  }
}
