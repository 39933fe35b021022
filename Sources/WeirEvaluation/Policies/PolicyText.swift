// How well a model foresees a text whose KV a policy keeps: every token is scored by what was resident when it came.
//
// Nothing later than a row ever decides what the row may see: a policy is asked after the rows that it judges by, and
// what it drops is gone for those that follow. (Scoring a whole sequence at once with the sums of all its rows, as some
// published code does, lets the future choose.)

import WeirBasics
public import WeirEngine
public import WeirKVCache
import WeirSampling
import WeirText

/// How a text meets a policy.
public enum TextCadence: String, Sendable, CaseIterable {
  /// The first half of a window is the prompt; what follows is computed as if it had been generated, and the policy is
  /// asked as between generated tokens.
  case steps
  /// The whole window is a prompt, and the policy is asked at its chunks.
  case chunks
}

/// A text cut into windows of tokens. Each window starts half a window after the last, and its second half is scored.
public struct PolicyText: Sendable {
  public let window: Int
  /// Tokens before every window: the model's own beginning, where it has one.
  let lead: [TokenID]
  let tokens: [TokenID]
  /// Bytes of text that are scored.
  let bytes: Int

  /// - Parameters:
  ///   - text: at least one window.
  ///   - information: of the engine that will score it.
  ///   - window: tokens of a window, even, at least 16, less than the engine's context.
  ///   - tokenLimit: most tokens to score; nil: all.
  /// - Throws: ``EvaluationError`` for a window or a text that cannot be scored.
  public init(
    _ text: String, information: EngineInformation, window: Int, tokenLimit: Int? = nil
  ) throws(EvaluationError) {
    guard window % 2 == 0, window >= 16, window < information.contextLength else {
      throw EvaluationError(
        code: "invalid_window",
        message: "--window is \(window); it must be even and in 16..<\(information.contextLength)")
    }
    let tokenizer = information.tokenizer
    lead = tokenizer.addBosByDefault ? tokenizer.bosToken.map { [$0] } ?? [] : []
    // With its beginning a window stays within what was asked for.
    self.window = lead.isEmpty ? window : window - 2
    let half = self.window / 2
    let all = tokenizer.encode(text, addSpecial: false, parseSpecial: false)
    let scored = min(all.count - half, tokenLimit ?? .max) / half * half
    guard scored > 0 else {
      throw EvaluationError(
        code: "text_too_short", message: "--text holds \(all.count) tokens; a window needs \(window)")
    }
    tokens = Array(all.prefix(half + scored))
    bytes = tokens.dropFirst(half).reduce(0) { $0 + tokenizer.tokenBytes($1).count }
  }

  var half: Int { window / 2 }
  /// First tokens of the windows.
  var starts: [Int] { Array(stride(from: 0, through: tokens.count - window, by: half)) }

  /// Scores the text.
  ///
  /// - Parameters:
  ///   - engine: the model.
  ///   - policy: what to keep; nil: everything.
  ///   - cadence: how the text meets the policy.
  ///   - inFlight: windows at once, at least 1.
  /// - Returns: likelihood, and the most slots that a lane held at the end of a window.
  /// - Throws: `EngineError` from the engine.
  public func score(
    engine: any TextEngine, policy: KVPolicyRequest?, cadence: TextCadence, inFlight: Int
  ) async throws -> (perplexity: Perplexity, slots: Int) {
    var (nats, scored, slots) = (0.0, 0, 0)
    var waiting = starts[...]
    try await withThrowingTaskGroup(of: (nats: Double, slots: Int).self) { group in
      func start() {
        guard let first = waiting.popFirst() else { return }
        group.addTask { try await scoreWindow(first, engine, policy, cadence) }
      }
      for _ in 0..<max(1, inFlight) { start() }
      while let part = try await group.next() {
        nats += part.nats
        scored += half
        slots = max(slots, part.slots)
        start()
      }
    }
    return (Perplexity(tokens: scored, bytes: bytes, nats: nats), slots)
  }

  private func scoreWindow(
    _ first: Int, _ engine: any TextEngine, _ policy: KVPolicyRequest?, _ cadence: TextCadence
  ) async throws -> (nats: Double, slots: Int) {
    var request = GenerationRequest(
      id: RequestID("policy-text-\(first)"), prompt: lead + tokens[first..<first + window])
    request.maxTokens = 0
    request.promptLogprobs = 0
    request.sampling.temperature = 0
    request.storesCache = false
    request.kvPolicy = policy
    if cadence == .steps, policy != nil { request.policyPromptTokens = lead.count + half }
    var logprobs: [TokenLogprob?] = []
    var slots = 0
    for try await event in engine.generate(request) {
      switch event {
      case .admitted(let report): logprobs = report.promptLogprobs ?? []
      case .done(let usage): slots = usage.kv.first?.maximumSlots ?? 0
      default: break
      }
    }
    var nats = 0.0
    for place in half..<window {
      guard logprobs.indices.contains(lead.count + place), let logprob = logprobs[lead.count + place] else {
        throw EvaluationError(code: "no_logprobs", message: "the engine gave no log-probability for token \(place)")
      }
      nats -= Double(logprob.logprob)
    }
    return (nats, slots)
  }
}
