// One configuration of a study of KV policies, and what came of it.

import WeirEngine
public import WeirKVCache

/// One policy under one budget, and when it may see the question.
public struct PolicyPoint: Sendable {
  /// The policy as it is called in tables and legends.
  public var policy: String
  /// The budget as it is called in tables, nil for none.
  public var budget: String?
  public var timing: QuestionTiming
  /// The policy for an item, nil for the full cache. The evaluation itself knows no policy.
  public var request: @Sendable (TaskItem) -> KVPolicyRequest?

  public init(
    policy: String, budget: String?, timing: QuestionTiming,
    request: @escaping @Sendable (TaskItem) -> KVPolicyRequest?
  ) {
    self.policy = policy
    self.budget = budget
    self.timing = timing
    self.request = request
  }
}

/// What was measured at one point.
public struct PolicyResult: Sendable {
  public var point: PolicyPoint
  /// One per item, in the order of the items.
  public var outcomes: [ItemOutcome]
  /// Wall time of all items together.
  public var seconds: Double
  /// Questions to the policy while the items ran, and the seconds that asking and compacting took.
  public var questions: Int
  public var policySeconds: Double
  /// Speed of the longest prompt alone; empty if it was not measured.
  public var speeds: [SpeedSample] = []
  /// Share of the full cache's attention that fell on slots which the policy would have kept, see ``MassLog``; nil if it
  /// was not measured.
  public var retainedMass: Double?

  public init(
    point: PolicyPoint, outcomes: [ItemOutcome], seconds: Double, questions: Int = 0, policySeconds: Double = 0
  ) {
    self.point = point
    self.outcomes = outcomes
    self.seconds = seconds
    self.questions = questions
    self.policySeconds = policySeconds
  }

  private var held: [(kv: KVUsage, tokens: Int)] {
    outcomes.compactMap { outcome in
      guard let answer = outcome.answer, let kv = answer.kv else { return nil }
      return (kv, answer.promptTokens + answer.completionTokens)
    }
  }

  /// Slots of a lane at the end of an answer over the tokens of prompt and answer, mean over the items.
  public var keptShare: Double {
    let shares = held.map { min(1, $0.kv.meanSlots / Double(max(1, $0.tokens))) }
    return shares.isEmpty ? 1 : shares.reduce(0, +) / Double(shares.count)
  }

  /// Most bytes that an item held, mean over the items; policy state and running chunk are in it.
  public var peakBytes: Double {
    held.isEmpty ? 0 : held.reduce(0) { $0 + Double($1.kv.peakBytes) } / Double(held.count)
  }

  /// Slots of all lanes that a generated token's attention read, mean over the tokens of all items; nil where none was
  /// computed.
  public var decodeSlots: Double? {
    let tokens = held.reduce(0) { $0 + $1.kv.decodeTokens }
    return tokens == 0 ? nil : Double(held.reduce(0) { $0 + $1.kv.decodeSlots }) / Double(tokens)
  }

  /// Items that could not be answered.
  public var failures: [String] { outcomes.compactMap(\.failure) }

  public var decodeTokensPerSecond: Double? {
    let rates = speeds.map(\.decodeTokensPerSecond).sorted()
    return rates.isEmpty ? nil : rates[rates.count / 2]
  }
}
