// Seam: how many prefill tokens may this step compute? Papers' answers live in WeirPolicies/Batching.

/// What a shape may know of the step to be planned.
public struct StepFacts: Sendable {
  public var decodingSequences: Int
  public var prefillingSequences: Int
  public var waitingSequences: Int

  public init(decodingSequences: Int, prefillingSequences: Int, waitingSequences: Int) {
    self.decodingSequences = decodingSequences
    self.prefillingSequences = prefillingSequences
    self.waitingSequences = waitingSequences
  }
}

/// Decides how many prefill tokens join the decode rows of a step.
public protocol BatchShape: Sendable {
  /// Prefill tokens of this step, at least 1; the scheduler caps the sum at `stepTokens`.
  func prefillTokens(_ facts: StepFacts, configuration: SchedulerConfiguration) -> Int
}

/// The default: whole steps of prefill while nobody decodes, smaller chunks beside running decodes.
public struct ChunkedPrefill: BatchShape {
  public init() {}
  public func prefillTokens(_ facts: StepFacts, configuration: SchedulerConfiguration) -> Int {
    facts.decodingSequences == 0 ? configuration.stepTokens : configuration.mixedPrefillTokens
  }
}
