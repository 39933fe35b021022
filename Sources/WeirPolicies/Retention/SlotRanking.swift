// What the retention policies share: the slots that nobody may take away, and the best of the others up to the budget.

import WeirKVCache

/// Ranks the slots of a lane between its sinks and its recent slots. A policy answers within the budget by itself, because
/// what the central floors cut of a longer answer is cut by position, not by score.
struct SlotRanking {
  /// Leading slots that stay.
  let sinkSlots: Int
  /// Trailing slots that stay.
  let recentSlots: Int
  let slots: Int
  /// `0...slots`.
  let budget: Int

  /// - Parameters:
  ///   - slots: slots of the lane.
  ///   - budgetSlots: most slots to keep, nil for no limit.
  ///   - floors: what stays whatever the policy says.
  ///   - recentSlots: trailing slots that the policy keeps by itself, if more than the floor.
  init(slots: Int, budgetSlots: Int?, floors: RetentionFloors, recentSlots: Int = 0) {
    self.slots = slots
    budget = min(slots, max(0, budgetSlots ?? slots))
    sinkSlots = min(floors.sinkSlots, budget)
    self.recentSlots = min(max(floors.recentSlots, recentSlots), budget - sinkSlots)
  }

  /// Nothing has to go.
  var isWhole: Bool { budget == slots }

  /// The slots that scores decide about.
  var candidates: Range<Int> { sinkSlots..<max(sinkSlots, slots - recentSlots) }

  /// The sinks, the recent slots and the best candidates.
  ///
  /// - Parameter scores: one for each of `candidates`, in their order; equal ones go to the lower position.
  /// - Complexity: O(n) on average if few slots have to go, else O(n log n), in the number of candidates.
  func kept<Score: Comparable>(scores: [Score]) -> SlotSet {
    if isWhole { return .all }
    precondition(scores.count == candidates.count, "\(scores.count) scores for \(candidates.count) slots")
    let places = budget - sinkSlots - recentSlots
    let chosen = Self.best(places, of: scores)
    var indices: [Int] = []
    indices.reserveCapacity(budget)
    indices.append(contentsOf: 0..<sinkSlots)
    for index in chosen { indices.append(sinkSlots + index) }
    indices.append(contentsOf: (slots - recentSlots)..<slots)
    return .only(indices)
  }

  /// The same with numbers that may have gone wrong: what is not a number is worth nothing.
  func kept(weights: [Float]) -> SlotSet {
    isWhole ? .all : kept(scores: weights.map { $0.isNaN ? -Float.infinity : $0 })
  }

  /// Most slots to go that are searched for instead of sorted.
  private static let searchMax = 64

  /// Indices of the `places` highest scores, ascending.
  private static func best<Score: Comparable>(_ places: Int, of scores: [Score]) -> [Int] {
    let surplus = scores.count - places
    if surplus <= 0 { return Array(scores.indices) }
    if surplus <= searchMax {
      var stays = Array(repeating: true, count: scores.count)
      for index in worst(surplus, of: scores) { stays[index] = false }
      return scores.indices.filter { stays[$0] }
    }
    let ranked = scores.indices.sorted { a, b in
      scores[a] != scores[b] ? scores[a] > scores[b] : a < b
    }
    return ranked.prefix(places).sorted()
  }

  /// The `count` lowest scores, the worst first; of equals the higher index is worse. What decode asks: of many slots a
  /// few have to go.
  private static func worst<Score: Comparable>(_ count: Int, of scores: [Score]) -> [Int] {
    var worst: [Int] = []
    worst.reserveCapacity(count + 1)
    for index in scores.indices {
      if worst.count == count, let last = worst.last, scores[index] > scores[last] { continue }
      var (low, high) = (0, worst.count)
      while low < high {
        let middle = (low + high) / 2
        if scores[worst[middle]] < scores[index] { low = middle + 1 } else { high = middle }
      }
      worst.insert(index, at: low)
      if worst.count > count { worst.removeLast() }
    }
    return worst
  }
}

extension LaneSignals {
  /// A signal that the policy declared.
  ///
  /// - Precondition: the engine measured it; going on without would keep arbitrary slots.
  func declared(_ signal: KVSignal, of lane: LaneView) -> [Float] {
    guard let values = self[signal] else {
      preconditionFailure("the policy declared \(signal), the engine brings none")
    }
    precondition(
      signal == .keys ? values.count % max(1, lane.slots) == 0 : values.count == lane.slots,
      "\(values.count) numbers of \(signal) for \(lane.slots) slots")
    return values
  }
}
