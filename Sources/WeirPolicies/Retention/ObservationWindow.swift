// What the end of the prompt attends to (key `snapkv`).
//
// What: the attention of the last rows (the observation window) over the slots before them, spread over neighbours by a
// pooling kernel; the best slots and the window itself stay.
// Why: the end of a prompt usually holds the question, and what it attends to is what the answer will need. Where the
// question is not yet known, the window knows nothing of it.
// Paper: SnapKV (arXiv 2404.14469): window 16 to 64, kernel 5 or 7, mean or maximum pooling.
// GQA: mean over the window's rows and the query heads of a KV head; the paper's code expands K and V to all query heads.
// Deviations: the paper compresses the prompt once and lets the cache grow in decode. Under a hard cap the rows since the
// last cut observe in decode as the window did in the prompt. Pooling reaches neighbours by position, so that it does not
// join what lay far apart before a compaction. With a budget under twice the window, half of the budget is the window.
// Asked at the end of the prompt only (its cadence in the catalogue), as in the paper; asked by chunks, each chunk's own
// last rows judge it.

public import WeirKVCache

/// SnapKV's retention.
public struct ObservationWindow: Retention, Equatable {
  /// How a slot's neighbours count.
  public enum Pooling: String, Sendable, CaseIterable {
    case maximum = "max"
    /// The sum over the kernel divided by its full width, also at the ends.
    case mean = "mean"
  }

  public struct Configuration: Sendable, Equatable {
    /// Rows that observe, and slots that always stay, `1...256`.
    public let windowRows: Int
    /// Slots that pooling takes together, odd, `1...63`; 1 pools nothing.
    public let kernelSlots: Int
    public let pooling: Pooling

    /// Values outside their ranges are moved to the nearest end; an even kernel loses one slot.
    public init(windowRows: Int = 32, kernelSlots: Int = 7, pooling: Pooling = .maximum) {
      self.windowRows = min(max(windowRows, 1), 256)
      self.kernelSlots = (min(max(kernelSlots, 1), 63) - 1) / 2 * 2 + 1
      self.pooling = pooling
    }
  }

  public let configuration: Configuration
  public let floors: RetentionFloors

  public init(configuration: Configuration = Configuration(), floors: RetentionFloors) {
    self.configuration = configuration
    self.floors = floors
  }

  public var windowSignal: KVSignal { .windowRows(rows: configuration.windowRows, reduction: .mean) }
  public var signals: Set<KVSignal> { [windowSignal] }

  public func retained(
    in lane: LaneView, signals: LaneSignals, moment: RetentionMoment, budgetSlots: Int?
  ) -> SlotSet {
    let window = min(configuration.windowRows, max(1, (budgetSlots ?? lane.slots) / 2))
    let ranking = SlotRanking(slots: lane.slots, budgetSlots: budgetSlots, floors: floors, recentSlots: window)
    if ranking.isWhole { return .all }
    let candidates = ranking.candidates
    let attention = Array(signals.declared(windowSignal, of: lane)[candidates])
    return ranking.kept(weights: pooled(attention, positions: Array(lane.positions[candidates])))
  }

  /// - Parameters:
  ///   - weights: attention of the window, one number a slot.
  ///   - positions: ascending, as many.
  func pooled(_ weights: [Float], positions: [Int]) -> [Float] {
    let reach = configuration.kernelSlots / 2
    if reach == 0 { return weights }
    var first = 0
    var end = 0
    return weights.indices.map { slot in
      while positions[first] < positions[slot] - reach { first += 1 }
      while end < positions.count, positions[end] <= positions[slot] + reach { end += 1 }
      let neighbours = weights[first..<end]
      switch configuration.pooling {
      case .maximum: return neighbours.max() ?? weights[slot]
      case .mean: return neighbours.reduce(0, +) / Float(configuration.kernelSlots)
      }
    }
  }
}
