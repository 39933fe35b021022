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

/// Windows of tokens, of each of which the second half is scored. Those of a text start half a window after each other,
/// so that every token but the first half window's is scored once; documents are a window each.
public struct PolicyText: Sendable {
  /// Likelihood of what was scored.
  public struct Score: Sendable {
    public var all: Perplexity
    /// Of the answers among it; documents alone have some.
    public var answers: Perplexity
    /// Most slots that a lane held at the end of a window.
    public var slots: Int
  }

  public let window: Int
  /// Tokens before every window: the model's own beginning, where it has one.
  let lead: [TokenID]
  let tokens: [TokenID]
  /// Which of `tokens` are answers; empty: none.
  let isAnswer: [Bool]
  /// From one window to the next.
  let stride: Int
  private let tokenizer: Tokenizer

  /// - Parameters:
  ///   - text: at least one window.
  ///   - information: of the engine that will score it.
  ///   - window: tokens of a window, even, at least 16, less than the engine's context.
  ///   - tokenLimit: most tokens to score; nil: all.
  /// - Throws: ``EvaluationError`` for a window or a text that cannot be scored.
  public init(
    _ text: String, information: EngineInformation, window: Int, tokenLimit: Int? = nil
  ) throws(EvaluationError) {
    (lead, self.window) = try Self.window(window, information)
    tokenizer = information.tokenizer
    let half = self.window / 2
    let all = tokenizer.encode(text, addSpecial: false, parseSpecial: false)
    let scored = min(all.count - half, tokenLimit ?? .max) / half * half
    guard scored > 0 else {
      throw EvaluationError(
        code: "text_too_short", message: "--text holds \(all.count) tokens; a window needs \(window)")
    }
    tokens = Array(all.prefix(half + scored))
    isAnswer = []
    stride = half
  }

  /// - Parameters:
  ///   - documents: each at least one window long; what is behind the window is left out.
  ///   - information: of the engine that will score them.
  ///   - window: tokens of a window, even, at least 16, less than the engine's context.
  /// - Throws: ``EvaluationError`` for a window or a document that cannot be scored.
  public init(
    documents: [TextDocument], information: EngineInformation, window: Int
  ) throws(EvaluationError) {
    (lead, self.window) = try Self.window(window, information)
    tokenizer = information.tokenizer
    stride = self.window
    var (tokens, isAnswer): ([TokenID], [Bool]) = ([], [])
    for (place, document) in documents.enumerated() {
      for part in document.parts {
        let own = tokenizer.encode(part.text, addSpecial: false)
        tokens += own
        isAnswer += Array(repeating: part.isAnswer, count: own.count)
      }
      let end = (place + 1) * stride
      guard tokens.count >= end else {
        throw EvaluationError(
          code: "text_too_short",
          message: "the document \(document.id) holds \(tokens.count - end + stride) tokens; a window needs \(window)")
      }
      tokens.removeLast(tokens.count - end)
      isAnswer.removeLast(isAnswer.count - end)
    }
    (self.tokens, self.isAnswer) = (tokens, isAnswer)
  }

  /// What stands before every window, and its tokens without that.
  private static func window(
    _ window: Int, _ information: EngineInformation
  ) throws(EvaluationError) -> (lead: [TokenID], window: Int) {
    guard window % 2 == 0, window >= 16, window < information.contextLength else {
      throw EvaluationError(
        code: "invalid_window",
        message: "--window is \(window); it must be even and in 16..<\(information.contextLength)")
    }
    let tokenizer = information.tokenizer
    let lead = tokenizer.addBosByDefault ? tokenizer.bosToken.map { [$0] } ?? [] : []
    // With its beginning a window stays within what was asked for.
    return (lead, lead.isEmpty ? window : window - 2)
  }

  var half: Int { window / 2 }
  /// First tokens of the windows.
  var starts: [Int] { Array(Swift.stride(from: 0, through: tokens.count - window, by: stride)) }

  /// Scores the windows.
  ///
  /// - Parameters:
  ///   - engine: the model.
  ///   - policy: what to keep; nil: everything.
  ///   - cadence: how the text meets the policy.
  ///   - inFlight: windows at once, at least 1.
  /// - Returns: likelihood of all that is scored, and of the answers among it.
  /// - Throws: `EngineError` from the engine.
  public func score(
    engine: any TextEngine, policy: KVPolicyRequest?, cadence: TextCadence, inFlight: Int
  ) async throws -> Score {
    var score = Score(
      all: Perplexity(tokens: 0, bytes: 0, nats: 0), answers: Perplexity(tokens: 0, bytes: 0, nats: 0), slots: 0)
    var waiting = starts[...]
    try await withThrowingTaskGroup(of: Score.self) { group in
      func start() {
        guard let first = waiting.popFirst() else { return }
        group.addTask { try await scoreWindow(first, engine, policy, cadence) }
      }
      for _ in 0..<max(1, inFlight) { start() }
      while let part = try await group.next() {
        score.all.add(part.all)
        score.answers.add(part.answers)
        score.slots = max(score.slots, part.slots)
        start()
      }
    }
    return score
  }

  private func scoreWindow(
    _ first: Int, _ engine: any TextEngine, _ policy: KVPolicyRequest?, _ cadence: TextCadence
  ) async throws -> Score {
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
    var (all, answers) = (Perplexity(tokens: 0, bytes: 0, nats: 0), Perplexity(tokens: 0, bytes: 0, nats: 0))
    for place in half..<window {
      guard logprobs.indices.contains(lead.count + place), let logprob = logprobs[lead.count + place] else {
        throw EvaluationError(code: "no_logprobs", message: "the engine gave no log-probability for token \(place)")
      }
      let token = Perplexity(
        tokens: 1, bytes: tokenizer.tokenBytes(tokens[first + place]).count, nats: -Double(logprob.logprob))
      all.add(token)
      if !isAnswer.isEmpty, isAnswer[first + place] { answers.add(token) }
    }
    return Score(all: all, answers: answers, slots: slots)
  }
}
