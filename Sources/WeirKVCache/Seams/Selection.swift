// What does this step read?

/// Chooses which resident slots of a lane the next attention reads. Nothing is lost: what is not selected stays.
public protocol Selection: Sendable {
  /// - Parameters:
  ///   - lane: the resident slots to choose from.
  ///   - query: the query rows of the KV head's group for this step, `[queryHeads, headDim]` after RoPE.
  func selected(in lane: LaneView, query: [Float]) -> SlotSet
}
