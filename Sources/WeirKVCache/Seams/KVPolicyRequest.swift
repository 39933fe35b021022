// Which policy a request wants, before anybody knows what that is.

/// A policy by name, with the budget of the request. Whoever runs an engine resolves it with a `KVPolicyResolver`; the
/// engine itself knows no concrete policy.
public struct KVPolicyRequest: Sendable, Hashable {
  /// How much of each lane may stay.
  public enum Budget: Sendable, Hashable {
    /// Slots per lane, at least 1.
    case slots(Int)
    /// Of the prompt's tokens, over 0 and at most 1.
    case ratio(Double)
  }

  /// The policy's name in the catalogue, for example `h2o`.
  public var name: String
  /// Nil: the policy's own default, or no limit.
  public var budget: Budget?

  public init(name: String, budget: Budget? = nil) {
    self.name = name
    self.budget = budget
  }

  /// Slots per lane for a prompt of `promptTokens` tokens, at least 1; nil without a budget.
  public func budgetSlots(promptTokens: Int) -> Int? {
    switch budget {
    case .slots(let slots): max(1, slots)
    case .ratio(let ratio): max(1, Int((ratio * Double(promptTokens)).rounded(.up)))
    case nil: nil
    }
  }
}

/// What a resolver may know of the request and of the model it will run on.
public struct KVPolicyFacts: Sendable, Hashable {
  public var promptTokens: Int
  public var layers: Int
  public var kvHeads: Int

  public init(promptTokens: Int, layers: Int, kvHeads: Int) {
    self.promptTokens = promptTokens
    self.layers = layers
    self.kvHeads = kvHeads
  }
}

/// Makes the policy of one request. Throws a `WeirError` that names what was wrong with name or budget and what would
/// be right; the client reads its message.
public protocol KVPolicyResolver: Sendable {
  func policy(for request: KVPolicyRequest, facts: KVPolicyFacts) throws -> KVPolicy
}
