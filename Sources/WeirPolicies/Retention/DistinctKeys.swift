// The keys that are least like the others (key `keydiff`).
//
// What: the anchor is the mean of a lane's keys, each at unit length; the slots whose keys have the highest cosine with
// the anchor go.
// Why: no attention is needed, so it works with any attention kernel, and it does not depend on the question.
// Paper: KeyDiff (arXiv 2504.15364).
// GQA: keys belong to KV heads, nothing has to be reduced.
// Deviations: the central floors keep sinks and recent slots. The anchor is taken over the resident keys, as the paper
// does block by block; so the answer depends on how the prompt is cut into chunks, as the paper's does.

public import WeirKVCache

/// KeyDiff's retention.
public struct DistinctKeys: Retention, Equatable {
  public static let signals: Set<KVSignal> = [.keys]

  public let floors: RetentionFloors

  /// - Parameter floors: what stays whatever the keys are.
  public init(floors: RetentionFloors) { self.floors = floors }

  public func retained(
    in lane: LaneView, signals: LaneSignals, moment: RetentionMoment, budgetSlots: Int?
  ) -> SlotSet {
    let ranking = SlotRanking(slots: lane.slots, budgetSlots: budgetSlots, floors: floors)
    if ranking.isWhole { return .all }
    let likeness = Self.cosinesWithAnchor(signals.declared(.keys, of: lane), slots: lane.slots)
    return ranking.kept(weights: ranking.candidates.map { -likeness[$0] })
  }

  /// How much each key points where all of them point on average: its cosine with the anchor, times the anchor's length.
  ///
  /// - Parameters:
  ///   - keys: `[slots, headDim]`.
  ///   - slots: at least 1.
  /// - Returns: one number a slot, larger for keys that are more like the others.
  static func cosinesWithAnchor(_ keys: [Float], slots: Int) -> [Float] {
    let headDim = keys.count / max(1, slots)
    var inverseLengths = [Float](repeating: 0, count: slots)
    var anchor = [Float](repeating: 0, count: headDim)
    for slot in 0..<slots {
      let start = slot * headDim
      var squares: Float = 0
      for place in 0..<headDim { squares += keys[start + place] * keys[start + place] }
      // A key without length points nowhere: its cosine is 0.
      let inverse = squares > 0 ? 1 / squares.squareRoot() : 0
      inverseLengths[slot] = inverse
      for place in 0..<headDim { anchor[place] += keys[start + place] * inverse }
    }
    return (0..<slots).map { slot in
      let start = slot * headDim
      var product: Float = 0
      for place in 0..<headDim { product += keys[start + place] * anchor[place] }
      return product * inverseLengths[slot]
    }
  }
}
