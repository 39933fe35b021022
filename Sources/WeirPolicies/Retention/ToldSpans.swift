// The slots that somebody said would be needed (key `oracle`): a control.
//
// What: told spans of positions stay, then the newest slots up to the budget.
// Why: the bound: what a policy could reach at this budget if it knew the future. If the model fails with it, it does not
// use those tokens, and no policy can be judged by that task.
// GQA: positions decide, so all lanes keep the same slots. Independent of how the prompt is cut into chunks.

public import WeirBasics
public import WeirKVCache

/// Keeps what it was told to.
public struct ToldSpans: Retention, Equatable {
  /// Ranges of positions.
  public let spans: [Range<Position>]
  public let floors: RetentionFloors

  public init(spans: [Range<Position>], floors: RetentionFloors) {
    self.spans = spans
    self.floors = floors
  }

  public func retained(
    in lane: LaneView, signals: LaneSignals, moment: RetentionMoment, budgetSlots: Int?
  ) -> SlotSet {
    let ranking = SlotRanking(slots: lane.slots, budgetSlots: budgetSlots, floors: floors)
    if ranking.isWhole { return .all }
    return ranking.kept(
      scores: lane.positions[ranking.candidates].map { position in
        spans.contains { $0.contains(position) } ? Int.max : position
      })
  }
}
