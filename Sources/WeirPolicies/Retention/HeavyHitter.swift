// What has been attended to so far (key `h2o`).
//
// What: every slot carries the attention that it has got from all rows since it came; the newest slots stay (half of the
// budget), and of the others those that got the most.
// Why: attention mass gathers on few tokens, and those that had it tend to get it again.
// Paper: H2O (arXiv 2306.14048): accumulated sums in float32, half heavy and half recent, not averaged by age.
// GQA: mean over the query heads of a KV head, which ranks as their sum does (the paper knows multi-head attention only).
// Deviations: the central floors keep sinks, which count among the heavy half. The paper cuts the prompt once, at its end
// (cadence without chunks); cut back chunk by chunk the peak is budget and chunk, sums survive the cuts, and the answer
// depends on the chunks. Sums favour old slots, as in the paper; `decay` below 1 forgets, which the paper does not.
// `page` above 1 keeps or drops pages: runs of so many positions, by the sum of their slots' masses. The newest page and
// those that floors reach into stay whole where the budget allows, and up to a page of the budget stays empty.
// `recent_share=0` leaves all but the floors to heavy slots: better where examples come first (docs/MEASURING.md).

public import WeirKVCache

/// H2O's retention.
public struct HeavyHitter: Retention, Equatable {
  public struct Configuration: Sendable, Equatable {
    /// Part of the budget that goes to the newest slots, `0...1`.
    public let recentShare: Double
    /// Factor of all sums at each new row, over 0 and at most 1; 1 is the paper's.
    public let decay: Float
    /// Consecutive positions that stay or go together, `1...64`; 1 is the paper's.
    public let pageSlots: Int

    /// Values outside their ranges are moved to the nearest end.
    public init(recentShare: Double = 0.5, decay: Float = 1, pageSlots: Int = 1) {
      self.recentShare = min(max(recentShare, 0), 1)
      self.decay = min(max(decay, 0x1p-20), 1)
      self.pageSlots = min(max(pageSlots, 1), 64)
    }
  }

  public let configuration: Configuration
  public let floors: RetentionFloors

  public init(configuration: Configuration = Configuration(), floors: RetentionFloors) {
    self.configuration = configuration
    self.floors = floors
  }

  public var massSignal: KVSignal { .accumulatedMass(decay: configuration.decay) }
  public var signals: Set<KVSignal> { [massSignal] }

  public func retained(
    in lane: LaneView, signals: LaneSignals, moment: RetentionMoment, budgetSlots: Int?
  ) -> SlotSet {
    let recent = Int(Double(budgetSlots ?? lane.slots) * configuration.recentShare)
    let pageSlots = configuration.pageSlots
    if pageSlots == 1 {
      let ranking = SlotRanking(slots: lane.slots, budgetSlots: budgetSlots, floors: floors, recentSlots: recent)
      if ranking.isWhole { return .all }
      return ranking.kept(weights: Array(signals.declared(massSignal, of: lane)[ranking.candidates]))
    }
    if budgetSlots ?? lane.slots >= lane.slots { return .all }
    let ranking = SlotRanking(
      positions: lane.positions, pageSlots: pageSlots, budgetSlots: budgetSlots, floors: floors, recentSlots: recent)
    return ranking.kept(
      weights: Array(signals.declared(massSignal, of: lane)[ranking.candidates]), positions: lane.positions,
      pageSlots: pageSlots)
  }
}
