// What the newest token attends to (key `tova`).
//
// What: the slots with the least attention of the newest query row go.
// Why: the cheapest attention-based rule: the row exists in decode anyway, and nothing is remembered between steps.
// Paper: TOVA (arXiv 2401.06104). The rule that H2O's Algorithm 1 prints (its text and code accumulate) is this one.
// GQA: mean over all query heads of a layer, one set for the layer (`RetentionScope.layer`), as in the paper.
// Deviations: the central floors keep sinks and recent slots, the paper keeps neither. The paper evicts after every token;
// here one row judges a whole prefill chunk, and in decode all slots of the cadence's slack. So the answer depends on the
// cadence.

public import WeirKVCache

/// TOVA's retention.
public struct NewestRow: Retention, Equatable {
  public static let signals: Set<KVSignal> = [.lastRow]

  public let floors: RetentionFloors

  /// - Parameter floors: what stays whatever the row says.
  public init(floors: RetentionFloors) { self.floors = floors }

  public func retained(
    in lane: LaneView, signals: LaneSignals, moment: RetentionMoment, budgetSlots: Int?
  ) -> SlotSet {
    let ranking = SlotRanking(slots: lane.slots, budgetSlots: budgetSlots, floors: floors)
    if ranking.isWhole { return .all }
    return ranking.kept(weights: Array(signals.declared(.lastRow, of: lane)[ranking.candidates]))
  }
}
