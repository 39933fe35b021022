// The first slots and the newest ones (key `sink-recent`).
//
// What: the sinks of the floors, then the newest slots up to the budget; everything between is evicted.
// Why: the baseline without signals, and what keeps a model fluent beyond its cache; it forgets every fact in between.
// Paper: StreamingLLM (arXiv 2309.17453). Without sinks it is the papers' "Local" baseline.
// GQA: positions decide, so all lanes keep the same slots.
// Deviations: by default kept keys keep the angles of their places in the text. `positions=slots` is the paper's way: a key
// is rotated by its place in the cache, so that no distance is longer than the cache; it differs in how far away the
// sinks seem, and matters beyond the trained context. The paper stores keys without rotation and rotates all of them at
// every step; here they are stored rotated, and every cut turns what has moved by as many slots as it moved
// (R(a)R(b) = R(a+b)), once in `slack + 1` tokens. Each turn of an f16 key rounds once, by at most 2^-11 of the element,
// and a key is turned budget / (slack + 1) times before it goes; sinks never move. f16 and f32 keys only, and in layers with
// a sliding window lanes that fit it: sinks would leave it (the engine refuses both, for a default policy at its start).
// Independent of how the prompt is cut into chunks, but with `positions=slots` and f16 keys for that rounding.

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
