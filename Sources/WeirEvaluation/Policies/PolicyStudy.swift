// Runs the same items under one KV policy and budget after the other, in one engine.

public import WeirBasics
public import WeirEngine

/// A study of KV policies.
public struct PolicyStudy: Sendable {
  private let engine: any TextEngine
  private let clock: any WeirClock
  private let maxTokens: Int
  private let inFlight: Int

  /// - Parameters:
  ///   - engine: knows the policies that the points name.
  ///   - clock: for the seconds of the report.
  ///   - maxTokens: most tokens of an answer, at least 1.
  ///   - inFlight: most items at once, at least 1.
  public init(engine: any TextEngine, clock: any WeirClock, maxTokens: Int, inFlight: Int) {
    self.engine = engine
    self.clock = clock
    self.maxTokens = maxTokens
    self.inFlight = inFlight
  }

  /// Asks all items at one point.
  ///
  /// - Parameters:
  ///   - point: policy, budget and timing.
  ///   - items: what to ask.
  ///   - progress: called with the number of items done.
  /// - Throws: ``EvaluationError`` if the point asks for what the engine was told not to keep.
  public func result(
    at point: PolicyPoint, _ items: [TaskItem], progress: @Sendable (Int) -> Void = { _ in }
  ) async throws -> PolicyResult {
    let respondent = try EngineRespondent(
      engine: engine, timing: point.timing, maxTokens: maxTokens, policy: point.request)
    let before = await engine.status().counters
    let start = clock.now()
    let outcomes = await EvaluationRun.outcomes(of: items, from: respondent, inFlight: inFlight, progress: progress)
    let seconds = clock.now().seconds(since: start)
    let after = await engine.status().counters
    return PolicyResult(
      point: point, outcomes: outcomes, seconds: seconds,
      questions: Int(after.policyQuestions - before.policyQuestions),
      policySeconds: after.policySeconds - before.policySeconds)
  }

  /// Speed of one item alone at every point with the question known. Points take turns, because a machine's speed drifts; the first round warms up.
  ///
  /// - Parameters:
  ///   - item: the one to ask.
  ///   - results: get one sample for each repetition.
  ///   - repetitions: at least 1.
  ///   - decodeTokens: tokens to decode, at least 2.
  /// - Throws: `EngineError` from the engine.
  public func measureSpeeds(
    of item: TaskItem, _ results: inout [PolicyResult], repetitions: Int, decodeTokens: Int
  ) async throws {
    for repetition in 0...repetitions {
      for place in results.indices where results[place].point.timing == .known {
        let point = results[place].point
        let respondent = try EngineRespondent(
          engine: engine, timing: point.timing, maxTokens: decodeTokens, policy: point.request)
        let prompt = try respondent.promptTokens(of: item)
        let room = engine.information.contextLength - prompt.count
        guard room > 1 else { continue }
        let sample = try await SpeedSample.measure(
          prompt: prompt, decodeTokens: min(decodeTokens, room), engine: engine,
          kvPolicy: point.request(item))
        if repetition > 0 { results[place].speeds.append(sample) }
      }
    }
  }
}
