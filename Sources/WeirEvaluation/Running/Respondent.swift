// The seam between an evaluation and whatever answers it: an engine in this process or a server.

public import WeirEngine

/// When a policy that compresses the KV cache sees the question.
public enum QuestionTiming: String, Sendable, CaseIterable {
  /// With the context, in one request: compression may look at what is asked.
  case known
  /// The context is submitted alone first and prefilled to its end; the question follows on the same KV. This is how a
  /// document or a conversation is cached before anybody asks.
  case unknown
}

/// One item's answer and what it took.
public struct ItemAnswer: Sendable, Equatable {
  /// The part that is judged (``AnswerRule/judged(_:)``).
  public var text = ""
  public var promptTokens = 0
  /// Prompt tokens whose KV was there already; with ``QuestionTiming/unknown`` the context is among them.
  public var cachedTokens = 0
  /// Prompt tokens that had to be computed, in both requests where the context came first.
  public var computedTokens = 0
  public var completionTokens = 0
  /// Tokens that were submitted before the question; 0 if everything came at once.
  public var contextTokens = 0
  /// From submission, context included where it came first, to the first token.
  public var firstTokenSeconds = 0.0
  public var totalSeconds = 0.0
  /// What was held of the KV; nil over HTTP.
  public var kv: KVUsage?

  public init() {}

  /// Adds what was submitted before this request for the same item.
  mutating func follow(_ context: ItemAnswer) {
    contextTokens = context.promptTokens
    computedTokens += context.computedTokens
    firstTokenSeconds += context.totalSeconds
    totalSeconds += context.totalSeconds
  }
}

/// Answers items greedily. Several may be in flight at once.
public protocol Respondent: Sendable {
  /// - Throws: whatever kept the item from being answered; the run goes on with the next one.
  func answer(_ item: TaskItem) async throws -> ItemAnswer
}
