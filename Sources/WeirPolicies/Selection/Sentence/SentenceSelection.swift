// Which sentences a step reads (name `sentencekv`).
//
// What: a lane's slots are grouped by sentence, each with the mean of its keys; at every step the sentences whose means
// have the largest product with the query are read, best first, up to a budget, and sinks and recent slots always.
// Why: what is not read now stays and can be read later; eviction cannot bring back what it dropped.
// Paper: SentenceKV (arXiv 2504.00970). The query is the mean over the steps since the last sentence began, this one
// included; products are raw; the last sentence is cut where the budget ends. Rows of the prompt read everything.
// GQA: mean of the query rows of a KV head's group, one selection a KV head; the paper's code expands K and V to all query
// heads, so that each has its own budget. `heads=each` compares every query head, and `heads=share` compares the shares of
// their attention: raw products of one head may all lie above those of another, which then reads nothing of its own.
// Deviations: `vector` gives a sentence several means, the nearest of which counts: one mean hides the one key that
// matters. `abstract=keys` keeps no mean at all and compares every key where it lies: it costs no memory, and the reading of
// every key, but of no value that is not chosen. The code reads everything at the first step of a sentence; here it does not. Nothing is discarded by
// default; the paper's discard step is `keep`, the `snapkv` retention with a budget of r times this one, and what it drops
// is gone. A sentence that is still being generated is read only as far as it lies in the recent slots, as in the paper.
// The KV lies in one memory: what a slower tier would have to bring is counted (`KVReading`), not moved.

public import WeirBasics
public import WeirKVCache

/// SentenceKV's selection.
public struct SentenceSelection: Selection, Equatable {
  public struct Configuration: Sendable, Equatable {
    /// Longest sentence, `1...4096` tokens; longer ones are cut.
    public let sentenceTokens: Int
    /// What a sentence is found by; the paper has the mean of its keys.
    public let abstract: KeyAbstract
    /// Compare with the mean query of the running sentence, as the paper does, or with the newest.
    public let averagesQueries: Bool
    /// Compare with each query head of a group, not with their mean.
    public let comparesHeads: Bool
    /// Compare them by the share of their attention; counts only where heads are compared.
    public let sharesHeads: Bool
    /// Most tokens that one abstract stands for, `1...4096`; nil: a sentence has one, as in the paper.
    public let abstractTokens: Int?
    /// First layers that read everything.
    public let denseLayers: Int

    /// Values outside their ranges are moved to the nearest end.
    public init(
      sentenceTokens: Int = 64, abstract: KeyAbstract = .mean, averagesQueries: Bool = true,
      comparesHeads: Bool = false, sharesHeads: Bool = false, abstractTokens: Int? = nil, denseLayers: Int = 0
    ) {
      self.sentenceTokens = min(max(sentenceTokens, 1), 4096)
      self.abstract = abstract
      self.averagesQueries = averagesQueries
      self.comparesHeads = comparesHeads
      self.sharesHeads = comparesHeads && sharesHeads
      self.abstractTokens = abstractTokens.map { min(max($0, 1), 4096) }
      self.denseLayers = max(0, denseLayers)
    }
  }

  public let configuration: Configuration
  public let floors: RetentionFloors
  private let budgetSlots: Int

  /// - Parameters:
  ///   - budgetSlots: most slots that a step reads of a lane; less than 1 counts as 1.
  ///   - floors: leading and trailing slots that every step reads; the paper has 32 of each.
  public init(budgetSlots: Int, configuration: Configuration = Configuration(), floors: RetentionFloors) {
    self.budgetSlots = max(1, budgetSlots)
    self.configuration = configuration
    self.floors = floors
  }

  public var readSlots: Int? { budgetSlots }
  public var boundaries: any TextBoundaries { SentenceSplitter(tokensMax: configuration.sentenceTokens) }
  public var abstract: KeyAbstract { configuration.abstract }
  public var averagesQueries: Bool { configuration.averagesQueries }
  public var comparesHeads: Bool { configuration.comparesHeads }
  public var sharesHeads: Bool { configuration.sharesHeads }
  public var abstractTokens: Int? { configuration.abstractTokens }
  public func isAsked(inLayer layer: Int) -> Bool { layer >= configuration.denseLayers }

  /// - Complexity: O(parts x parts that fit the budget).
  public func selected(in lane: LaneParts) -> [Range<Int>] {
    let ranking = SlotRanking(slots: lane.slots, budgetSlots: budgetSlots, floors: floors)
    if ranking.isWhole { return [0..<lane.slots] }
    let places = ranking.budget - ranking.sinkSlots - ranking.recentSlots
    // Best first, as many as are needed to fill the places and no more: most parts are passed over at one comparison.
    var best: [(likeness: Float, run: Range<Int>)] = []
    var held = 0
    for part in lane.likenesses.indices {
      let likeness = lane.likenesses[part].isNaN ? -Float.infinity : lane.likenesses[part]
      if held >= places, let last = best.last, likeness <= last.likeness { continue }
      let run = (Int(lane.starts[part])..<Int(lane.starts[part + 1])).clamped(to: ranking.candidates)
      // A sentence without a slot would have a zero mean, and outrank all that the query turns away from.
      if run.isEmpty { continue }
      let place = best.firstIndex { $0.likeness < likeness } ?? best.endIndex
      best.insert((likeness, run), at: place)
      held += run.count
      while let last = best.last, held - last.run.count >= places {
        held -= last.run.count
        best.removeLast()
      }
    }
    if held > places, let last = best.popLast() {
      best.append((last.likeness, last.run.prefix(last.run.count - held + places)))
    }
    return best.map(\.run).sorted { $0.lowerBound < $1.lowerBound }
  }
}
