// The sentences of one lane, each with the vector that it is found by.

public import WeirBasics
public import WeirKVCache

/// Sentences that hold at least one slot of the lane, in the order of the text. Immutable but for sentences that are added
/// at the end, so those of a shared prompt can be shared.
public struct SentenceBuckets: Sendable, Equatable {
  /// Positions of each sentence, ascending, not overlapping.
  public private(set) var sentences: [Range<Position>] = []
  /// The mean of each sentence's kept keys, after RoPE: `[sentences, headDim]`.
  public private(set) var vectors: [Float] = []
  /// Elements of a key.
  public let headDim: Int

  /// - Parameter headDim: elements of a key, at least 1.
  public init(headDim: Int) {
    precondition(headDim > 0, "keys have elements")
    self.headDim = headDim
  }

  /// The sentences of a prompt.
  ///
  /// - Parameters:
  ///   - lane: the slots that are kept.
  ///   - keys: their keys, `[slots, headDim]`.
  ///   - starts: positions at which sentences begin, ascending; what lies before the first belongs to it.
  ///   - end: position behind the last sentence.
  public init(lane: LaneView, keys: [Float], starts: [Position], end: Position) {
    self.init(headDim: max(1, keys.count / max(1, lane.slots)))
    var bounds = starts.filter { $0 < end }
    if bounds.isEmpty { bounds = [0] }
    bounds[0] = 0
    for (place, start) in bounds.enumerated() {
      append(start..<(place + 1 < bounds.count ? bounds[place + 1] : end), lane: lane, keys: keys)
    }
  }

  /// Adds a sentence behind the others. One without a kept slot is left out: its vector would be zero, and would outrank
  /// every sentence that the query turns away from.
  ///
  /// - Parameters:
  ///   - sentence: positions behind those of all sentences so far.
  ///   - lane: the slots that are kept.
  ///   - keys: their keys, `[slots, headDim]`.
  public mutating func append(_ sentence: Range<Position>, lane: LaneView, keys: [Float]) {
    precondition(sentence.lowerBound >= sentences.last?.upperBound ?? 0, "sentences ascend")
    precondition(keys.count == lane.slots * headDim, "\(keys.count) numbers are not \(lane.slots) keys of \(headDim)")
    let slots = Self.slots(of: sentence, in: lane)
    guard !slots.isEmpty else { return }
    var mean = [Float](repeating: 0, count: headDim)
    for slot in slots {
      for place in 0..<headDim { mean[place] += keys[slot * headDim + place] }
    }
    for place in 0..<headDim { mean[place] /= Float(slots.count) }
    sentences.append(sentence)
    vectors += mean
  }

  /// The raw product of a query with every sentence's vector.
  ///
  /// - Parameter query: `[headDim]`.
  public func likenesses(to query: [Float]) -> [Float] {
    precondition(query.count == headDim, "the query has \(query.count) elements, keys have \(headDim)")
    return sentences.indices.map { sentence in
      var product: Float = 0
      for place in 0..<headDim { product += vectors[sentence * headDim + place] * query[place] }
      return product
    }
  }

  /// The slots whose positions lie in a sentence.
  static func slots(of sentence: Range<Position>, in lane: LaneView) -> Range<Int> {
    let first = firstSlot(at: sentence.lowerBound, in: lane)
    return first..<max(first, firstSlot(at: sentence.upperBound, in: lane))
  }

  /// The first slot at `position` or behind it, by halving.
  private static func firstSlot(at position: Position, in lane: LaneView) -> Int {
    var (low, high) = (0, lane.slots)
    while low < high {
      let middle = (low + high) / 2
      if lane.positions[middle] < position { low = middle + 1 } else { high = middle }
    }
    return low
  }
}
