// Everything that was measured of one configuration.

public import WeirBasics

/// What the KV cache took while the items ran.
public struct KVMemory: Sendable, Equatable {
  /// Most bytes ever held by running sequences at once.
  public var peakBytes: Int
  /// Bytes of one token's K and V over all layers.
  public var tokenBytes: Int
  /// Bytes that the pool may grow to.
  public var poolBytes: Int
  public var preemptions: Int

  public init(peakBytes: Int, tokenBytes: Int, poolBytes: Int, preemptions: Int) {
    self.peakBytes = peakBytes
    self.tokenBytes = tokenBytes
    self.poolBytes = poolBytes
    self.preemptions = preemptions
  }
}

/// One configuration's outcomes and figures.
public struct ConfigurationResult: Sendable {
  public var name: String
  /// What it was set to, for the record.
  public var settings: JSONObject
  /// One per item, in the order of the items.
  public var outcomes: [ItemOutcome]
  /// Wall time of all items together.
  public var seconds: Double
  /// Nil over HTTP.
  public var memory: KVMemory?
  public var perplexity: Perplexity?
  /// Repetitions of the measurement alone; empty if there was none.
  public var speeds: [SpeedSample] = []

  public init(name: String, settings: JSONObject, outcomes: [ItemOutcome] = [], seconds: Double = 0) {
    self.name = name
    self.settings = settings
    self.outcomes = outcomes
    self.seconds = seconds
  }

  /// Items that could not be answered.
  public var failures: [String] { outcomes.compactMap(\.failure) }

  /// Contexts that the pool had evicted, whole or in part, before their question came: those questions were answered
  /// over KV that was computed with the question in sight. 0 over HTTP, where contexts and prompts differ at their end.
  public var lostContexts: Int {
    guard memory != nil else { return 0 }
    return outcomes.count { ($0.answer?.cachedTokens ?? 0) < ($0.answer?.contextTokens ?? 0) }
  }

  func sum(_ count: KeyPath<ItemAnswer, Int>) -> Int {
    outcomes.reduce(0) { $0 + ($1.answer?[keyPath: count] ?? 0) }
  }

  var firstTokenMedianSeconds: Double { Self.median(outcomes.compactMap { $0.answer?.firstTokenSeconds }) }
  var prefillTokensPerSecond: Double { Self.median(speeds.map(\.prefillTokensPerSecond)) }
  var decodeTokensPerSecond: Double { Self.median(speeds.map(\.decodeTokensPerSecond)) }

  private static func median(_ values: [Double]) -> Double {
    values.isEmpty ? 0 : values.sorted()[values.count / 2]
  }
}
