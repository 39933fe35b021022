// What another node needs to go on with a compacted sequence, beside its blocks.

/// The lanes of a sequence as plain values: which positions they hold, and what has been collected about them. Together
/// with the blocks and the policy it is a `LaneTable` again.
public struct LaneState: Sendable, Equatable {
  /// Tokens computed, and tokens computed when the last question was answered.
  public var computed: Int
  public var answeredAt: Int
  public var questions: Int
  public var droppedSlots: Int
  public var decodeTokens: Int
  public var decodeSlots: Int
  /// Positions of each lane's slots, `[layers][kvHeads]`, ascending; empty while every lane holds every position.
  public var positions: [[Int32]]
  /// What the policy's signals have collected, `[lanes][signals]`: one number for each slot of the lane.
  public var masses: [[[Float]]]

  public init(
    computed: Int, answeredAt: Int, questions: Int = 0, droppedSlots: Int = 0, decodeTokens: Int = 0,
    decodeSlots: Int = 0, positions: [[Int32]], masses: [[[Float]]]
  ) {
    self.computed = computed
    self.answeredAt = answeredAt
    self.questions = questions
    self.droppedSlots = droppedSlots
    self.decodeTokens = decodeTokens
    self.decodeSlots = decodeSlots
    self.positions = positions
    self.masses = masses
  }
}

extension LaneTable {
  /// Everything but the policy, which both sides make for themselves. What rows choose by is not in it: before the first
  /// row that chooses there is nothing, and that row makes it of the tokens and of the keys that travel, wherever it runs.
  /// Nil once one has chosen.
  public var state: LaneState? {
    guard (reading?.rows ?? 0) == 0 else { return nil }
    return LaneState(
      computed: computed, answeredAt: answeredAt, questions: questions, droppedSlots: droppedSlots,
      decodeTokens: decodeTokens, decodeSlots: decodeSlots, positions: positions,
      masses: counts.indices.map { masses.rows(lane: $0, slots: Int(counts[$0])) })
  }

  /// This table, still empty, as the lanes that `state` tells of.
  ///
  /// - Parameter state: from a table of the same policy, budget and prompt.
  /// - Returns: nil if it cannot be that of such a table.
  /// - Precondition: nothing has been computed yet.
  public func restored(from state: LaneState) -> LaneTable? {
    precondition(computed == 0, "only empty lanes can take over others")
    let isWhole = state.positions.isEmpty
    // Rows behind the prompt may have chosen, and what they chose by has not come.
    if let reading, state.computed > reading.promptTokens { return nil }
    guard state.computed > 0, (0...state.computed).contains(state.answeredAt), state.questions >= 0,
      state.droppedSlots >= 0, state.decodeTokens >= 0, state.decodeSlots >= 0,
      isWhole || state.positions.count == counts.count, state.masses.count == counts.count,
      isWhole == (state.questions == 0)
    else { return nil }
    var table = self
    for lane in counts.indices {
      let slots = isWhole ? state.computed : state.positions[lane].count
      if !isWhole {
        let held = state.positions[lane]
        guard (held.first ?? 0) >= 0, (held.last ?? 0) < state.computed,
          zip(held, held.dropFirst()).allSatisfy({ $0 < $1 })
        else { return nil }
        // A policy that is asked about layers finds the same slots in all their heads.
        guard policy.scope == .head || lane % kvHeads == 0 || held == state.positions[lane - 1] else { return nil }
      }
      guard state.masses[lane].count == masses.signalCount,
        state.masses[lane].allSatisfy({ $0.count == slots })
      else { return nil }
      table.adopt(lane: lane, slots: slots)
    }
    table.finishAdopting(state)
    // Rows have one number for all lanes.
    guard policy.numbering == .text || table.longest == table.shortest else { return nil }
    // What has to be asked first is no state to hand over.
    return table.isQuestionDue ? nil : table
  }
}
