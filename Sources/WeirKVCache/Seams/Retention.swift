// Which slots of a lane stay?

public import WeirBasics

/// The ordered slots of one (sequence, layer, KV head), as a policy sees them.
public struct LaneView: Sendable, Equatable {
  public let sequence: SequenceID
  public let layer: Int
  public let kvHead: Int
  /// Absolute position of each slot, ascending.
  public let positions: [Position]

  public init(sequence: SequenceID, layer: Int, kvHead: Int, positions: [Position]) {
    self.sequence = sequence
    self.layer = layer
    self.kvHead = kvHead
    self.positions = positions
  }

  public var slots: Int { positions.count }
}

/// Slots of a lane that a policy wants.
public enum SlotSet: Sendable, Equatable {
  case all
  /// Indices into the lane, ascending, without repetition.
  case only([Int])

  /// The indices for a lane of `slots` slots.
  public func indices(slots: Int) -> [Int] {
    switch self {
    case .all: Array(0..<slots)
    case .only(let indices): indices
    }
  }
}

/// When a retention policy is asked.
public enum RetentionMoment: String, Sendable, CaseIterable {
  case prefillChunkDone, prefillDone, stepDone
}

/// Decides which slots of a lane keep their KV. A pure function of its arguments; ties go to the lower position.
public protocol Retention: Sendable {
  /// - Parameters:
  ///   - lane: the resident slots, one KV head's of one layer.
  ///   - signals: what attention has told of them.
  ///   - moment: where in the request's life the question is asked.
  ///   - budgetSlots: most slots the lane may keep, nil for no limit. The engine enforces it afterwards with
  ///     `RetentionFloors`, so a policy cannot exceed it.
  func retained(
    in lane: LaneView, signals: LaneSignals, moment: RetentionMoment, budgetSlots: Int?
  ) -> SlotSet
}

/// The first and the last slots that no policy may take away, and the cap that none may exceed: applied centrally to
/// every answer of every policy.
public struct RetentionFloors: Sendable, Equatable {
  /// Leading slots that always stay (attention sinks).
  public var sinkSlots: Int
  /// Trailing slots that always stay.
  public var recentSlots: Int

  /// - Precondition: neither count is negative.
  public init(sinkSlots: Int, recentSlots: Int) {
    precondition(sinkSlots >= 0 && recentSlots >= 0, "floors cannot be negative")
    self.sinkSlots = sinkSlots
    self.recentSlots = recentSlots
  }

  /// The policy's answer with the floors added and cut to the budget. If the budget is too small, sinks stay before
  /// recent slots, newer recent slots before older ones, and of the policy's own slots the lower positions.
  ///
  /// - Parameters:
  ///   - wanted: the policy's answer; indices outside the lane are ignored.
  ///   - slots: slots in the lane.
  ///   - budgetSlots: most slots to keep, nil for no limit.
  public func apply(to wanted: SlotSet, slots: Int, budgetSlots: Int?) -> SlotSet {
    let budget = min(slots, max(0, budgetSlots ?? slots))
    if wanted == .all, budget == slots { return .all }
    var isKept = Array(repeating: false, count: slots)
    var kept = 0
    func keep(_ index: Int) {
      guard kept < budget, index >= 0, index < slots, !isKept[index] else { return }
      isKept[index] = true
      kept += 1
    }
    for index in 0..<min(sinkSlots, slots) { keep(index) }
    for index in (max(0, slots - recentSlots)..<slots).reversed() { keep(index) }
    for index in wanted.indices(slots: slots) { keep(index) }
    return kept == slots ? .all : .only(isKept.indices.filter { isKept[$0] })
  }
}
