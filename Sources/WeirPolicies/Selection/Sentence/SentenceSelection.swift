// Which sentences a step reads (name `sentencekv`).
//
// What: a lane's slots are grouped by sentence, each with the mean of its keys; at every step the sentences whose vectors
// have the largest product with the query are read, best first, up to a budget, and sinks and recent slots always.
// Why: what is not read now stays and can be read later; eviction cannot bring back what it dropped.
// Paper: SentenceKV (arXiv 2504.00970). The query is the mean over the steps since the last sentence began, this one
// included; products are raw; the last sentence is cut where the budget ends.
// GQA: mean of the query rows of a KV head's group, one selection a KV head; the paper's code expands K and V to all query
// heads.
// Deviations: the code reads everything at the first step of a sentence; here it does not. Nothing is discarded here: the
// paper's discard step is the `snapkv` retention with a budget of r times this one. A sentence that is still being
// generated is read only as far as it lies in the recent slots, as in the paper.
// State: the decision and its tiers are values with tests; the engine asks no selection yet.

public import WeirBasics
public import WeirKVCache

/// SentenceKV's selection for the lanes of one sequence.
public struct SentenceSelection: Selection, Equatable {
  /// One layer's KV head.
  public struct LaneKey: Hashable, Sendable {
    public let layer: Int
    public let kvHead: Int

    public init(layer: Int, kvHead: Int) {
      self.layer = layer
      self.kvHead = kvHead
    }
  }

  /// What one lane is chosen by.
  public struct LaneState: Sendable, Equatable {
    public var buckets: SentenceBuckets
    /// Queries since the running sentence began.
    public var queries: QueryMean

    public init(buckets: SentenceBuckets) {
      self.buckets = buckets
      queries = QueryMean(headDim: buckets.headDim)
    }
  }

  /// Most slots that a step reads of a lane, at least 1.
  public let budgetSlots: Int
  /// Slots that every step reads.
  public let floors: RetentionFloors
  /// Lanes without a state are read whole.
  public var lanes: [LaneKey: LaneState] = [:]

  /// - Parameters:
  ///   - budgetSlots: most slots that a step reads of a lane; less than 1 counts as 1.
  ///   - floors: leading and trailing slots that every step reads; the paper has 32 of each.
  public init(budgetSlots: Int, floors: RetentionFloors = RetentionFloors(sinkSlots: 32, recentSlots: 32)) {
    self.budgetSlots = max(1, budgetSlots)
    self.floors = floors
  }

  public func selected(in lane: LaneView, query: [Float]) -> SlotSet {
    guard let state = lanes[LaneKey(layer: lane.layer, kvHead: lane.kvHead)] else { return .all }
    var queries = state.queries
    queries.add(query)
    return selected(in: lane, query: queries.mean, buckets: state.buckets)
  }

  /// The decision itself.
  ///
  /// - Parameters:
  ///   - lane: the resident slots to choose from.
  ///   - query: `[headDim]`, reduced over the group and the steps.
  ///   - buckets: the lane's sentences.
  /// - Returns: at most the budget; of equally good sentences the earlier one.
  /// - Complexity: O(sentences x headDim + sentences log sentences + slots).
  public func selected(in lane: LaneView, query: [Float], buckets: SentenceBuckets) -> SlotSet {
    let ranking = SlotRanking(slots: lane.slots, budgetSlots: budgetSlots, floors: floors)
    if ranking.isWhole { return .all }
    let likenesses = buckets.likenesses(to: query).map { $0.isNaN ? -Float.infinity : $0 }
    let order = likenesses.indices.sorted { a, b in
      likenesses[a] != likenesses[b] ? likenesses[a] > likenesses[b] : a < b
    }
    var places = budgetSlots - ranking.sinkSlots - ranking.recentSlots
    var chosen: [Int] = []
    for sentence in order where places > 0 {
      let slots = SentenceBuckets.slots(of: buckets.sentences[sentence], in: lane).clamped(to: ranking.candidates)
      chosen += slots.prefix(places)
      places -= min(places, slots.count)
    }
    return .only(
      Array(0..<ranking.sinkSlots) + chosen.sorted() + Array((lane.slots - ranking.recentSlots)..<lane.slots))
  }

  /// Remembers the query of a step that is done.
  ///
  /// - Parameters:
  ///   - query: `[queryHeads, headDim]`, as `selected(in:query:)` got it.
  ///   - lane: whose query it was.
  public mutating func stepDone(query: [Float], lane: LaneKey) { lanes[lane]?.queries.add(query) }

  /// Makes a generated sentence a bucket and forgets its queries.
  ///
  /// - Parameters:
  ///   - sentence: its positions.
  ///   - lane: the resident slots.
  ///   - keys: their keys, `[slots, headDim]`.
  public mutating func sentenceDone(_ sentence: Range<Position>, lane: LaneView, keys: [Float]) {
    let key = LaneKey(layer: lane.layer, kvHead: lane.kvHead)
    guard var state = lanes.removeValue(forKey: key) else { return }
    state.buckets.append(sentence, lane: lane, keys: keys)
    state.queries = QueryMean(headDim: state.buckets.headDim)
    lanes[key] = state
  }
}

/// The mean of query rows, over heads and over steps.
public struct QueryMean: Sendable, Equatable {
  private var sum: [Float]
  private var rows = 0

  /// - Parameter headDim: elements of a row, at least 1.
  public init(headDim: Int) { sum = [Float](repeating: 0, count: headDim) }

  /// Adds the rows of one step.
  ///
  /// - Parameter query: `[queryHeads, headDim]`.
  public mutating func add(_ query: [Float]) {
    precondition(query.count % sum.count == 0, "\(query.count) numbers are not rows of \(sum.count)")
    for (place, value) in query.enumerated() { sum[place % sum.count] += value }
    rows += query.count / sum.count
  }

  /// Zero before the first row.
  public var mean: [Float] { rows == 0 ? sum : sum.map { $0 / Float(rows) } }
}
