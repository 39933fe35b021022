// What the retention policies share: the slots that nobody may take away, and the best of the others up to the budget.

import WeirBasics
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

  /// The same by pages of consecutive positions, which stay or go whole. The newest page and the pages that floors reach
  /// into stay if the budget has room for all of them; of what the policy keeps by itself at the end, pages that begin in
  /// it.
  ///
  /// - Parameters:
  ///   - positions: of the lane's slots, ascending.
  ///   - pageSlots: positions of a page, at least 1; pages begin at its multiples.
  init(
    positions: [Position], pageSlots: Int, budgetSlots: Int?, floors: RetentionFloors, recentSlots: Int = 0
  ) {
    let slots = positions.count
    /// The first slot at `slot` or behind it that begins a page.
    func pageStart(from slot: Int) -> Int {
      (max(0, slot)..<slots).first { $0 == 0 || positions[$0] / pageSlots != positions[$0 - 1] / pageSlots } ?? slots
    }
    /// The first slot of the page that `slot` lies in.
    func pageBegin(of slot: Int) -> Int {
      var first = slot
      while first > 0, positions[first - 1] / pageSlots == positions[slot] / pageSlots { first -= 1 }
      return first
    }
    var ranking = SlotRanking(slots: slots, budgetSlots: budgetSlots, floors: floors)
    let (sinks, recent) = (ranking.sinkSlots, ranking.recentSlots)
    let reached = slots == 0 ? 0 : slots - pageBegin(of: slots - max(1, min(recent, slots)))
    let own = slots - pageStart(from: slots - min(recentSlots, ranking.budget - sinks))
    for wider in [max(reached, own), reached, own] where wider > ranking.recentSlots && sinks + wider <= ranking.budget
    {
      ranking = SlotRanking(
        slots: slots, budgetSlots: budgetSlots, floors: floors, recentSlots: max(ranking.recentSlots, wider))
    }
    if sinks > 0 {
      let widened = pageStart(from: sinks)
      if widened + ranking.recentSlots <= ranking.budget {
        ranking = SlotRanking(
          slots: slots, budgetSlots: budgetSlots,
          floors: RetentionFloors(sinkSlots: widened, recentSlots: floors.recentSlots), recentSlots: ranking.recentSlots
        )
      }
    }
    self = ranking
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

  /// The sinks, the recent slots and whole pages of candidates: those with the largest sums first, as long as they fit
  /// whole. Up to a page less one slot of the budget stays empty; with less than a page beside the floors they alone stay.
  ///
  /// - Parameters:
  ///   - weights: one for each of `candidates`, in their order; what is not a number adds nothing.
  ///   - positions: of the lane's slots.
  ///   - pageSlots: positions of a page, at least 1.
  func kept(weights: [Float], positions: [Position], pageSlots: Int) -> SlotSet {
    if isWhole { return .all }
    precondition(weights.count == candidates.count, "\(weights.count) weights for \(candidates.count) slots")
    var pages: [(slots: Range<Int>, sum: Float)] = []
    for slot in candidates {
      let weight = weights[slot - candidates.lowerBound]
      let worth = weight.isNaN ? 0 : weight
      if let last = pages.last, positions[last.slots.lowerBound] / pageSlots == positions[slot] / pageSlots {
        pages[pages.count - 1] = (last.slots.lowerBound..<slot + 1, last.sum + worth)
      } else {
        pages.append((slot..<slot + 1, worth))
      }
    }
    var places = budget - sinkSlots - recentSlots
    var chosen: [Range<Int>] = []
    for index in pages.indices.sorted(by: { (pages[$1].sum, $0) < (pages[$0].sum, $1) })
    where pages[index].slots.count <= places {
      chosen.append(pages[index].slots)
      places -= pages[index].slots.count
    }
    chosen.sort { $0.lowerBound < $1.lowerBound }
    return .only(Array(0..<sinkSlots) + chosen.flatMap { $0 } + Array(slots - recentSlots..<slots))
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
