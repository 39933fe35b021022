// The limits of one node's scheduler.

public import WeirBasics

/// Every bound the scheduler works within; immutable once made.
public struct SchedulerConfiguration: Sendable, Equatable {
  /// Sequences that may run at once, `1...4096`.
  public let runningLimit: Int
  /// Requests that may wait, `1...1_000_000`; one more is refused with ``SchedulingError/queueFull(limit:)``.
  public let queueLimit: Int
  /// Tokens of one step, decode rows and prefill rows together, `1...65_536`.
  public let stepTokens: Int
  /// Prefill tokens of one step while other sequences decode, `1...stepTokens`: bounds their inter-token time.
  public let mixedPrefillTokens: Int
  /// Blocks reserved beyond the next token when a sequence grows, so that its segment can be extended in place.
  public let growthBlocks: Int
  /// Tokens of the longest sequence, prompt and answer together.
  public let contextLength: Int

  public init(
    runningLimit: Int = 64, queueLimit: Int = 1024, stepTokens: Int = 512, mixedPrefillTokens: Int = 256,
    growthBlocks: Int = 1, contextLength: Int
  ) throws(SchedulingError) {
    func check(_ name: String, _ value: Int, _ range: ClosedRange<Int>) throws(SchedulingError) {
      guard range.contains(value) else { throw .outOfRange(name: name, value: value, range: range) }
    }
    try check("runningLimit", runningLimit, 1...4096)
    try check("queueLimit", queueLimit, 1...1_000_000)
    try check("stepTokens", stepTokens, 1...65_536)
    try check("mixedPrefillTokens", mixedPrefillTokens, 1...65_536)
    try check("growthBlocks", growthBlocks, 0...1024)
    try check("contextLength", contextLength, 1...100_000_000)
    self.runningLimit = runningLimit
    self.queueLimit = queueLimit
    self.stepTokens = max(stepTokens, runningLimit)
    self.mixedPrefillTokens = min(mixedPrefillTokens, stepTokens)
    self.growthBlocks = growthBlocks
    self.contextLength = contextLength
  }
}

/// What a caller can do wrong, or what this node has no room for.
public enum SchedulingError: WeirError, Equatable {
  case outOfRange(name: String, value: Int, range: ClosedRange<Int>)
  case queueFull(limit: Int)
  case emptyPrompt
  case promptTooLong(tokens: Int, limit: Int)
  case poolTooSmall(neededBlocks: Int, totalBlocks: Int)

  public var code: String {
    switch self {
    case .outOfRange: "invalid_configuration"
    case .queueFull: "queue_full"
    case .emptyPrompt: "empty_prompt"
    case .promptTooLong: "context_length_exceeded"
    case .poolTooSmall: "insufficient_kv"
    }
  }

  public var message: String {
    switch self {
    case .outOfRange(let name, let value, let range):
      "\(name) is \(value); it must be in \(range.lowerBound)...\(range.upperBound)"
    case .queueFull(let limit): "the queue already holds its limit of \(limit) requests; try again later"
    case .emptyPrompt: "the prompt has no tokens; it must have at least one"
    case .promptTooLong(let tokens, let limit):
      "the prompt has \(tokens) tokens; with room for an answer it may have at most \(limit)"
    case .poolTooSmall(let needed, let total):
      "the prompt needs \(needed) KV blocks and the whole pool has \(total); start the server with more KV memory"
    }
  }
}
