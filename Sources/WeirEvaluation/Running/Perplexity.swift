// How well a model foresees a text.

import Foundation
import WeirBasics
public import WeirEngine
import WeirSampling
import WeirText

/// The likelihood of a text.
public struct Perplexity: Sendable, Equatable {
  /// Tokens that were foreseen, each once.
  public var tokens: Int
  /// Their bytes of text.
  public var bytes: Int
  /// Sum of their negative log-likelihoods, in nats.
  public var nats: Double

  public init(tokens: Int, bytes: Int, nats: Double) {
    self.tokens = tokens
    self.bytes = bytes
    self.nats = nats
  }

  /// The exponential of the mean negative log-likelihood of a token.
  public var value: Double { tokens == 0 ? .nan : exp(nats / Double(tokens)) }
  /// Comparable between models with different vocabularies.
  public var bitsPerByte: Double { bytes == 0 ? .nan : nats / log(2) / Double(bytes) }

  /// Takes other tokens in.
  mutating func add(_ other: Perplexity) {
    tokens += other.tokens
    bytes += other.bytes
    nats += other.nats
  }
}

extension Perplexity {
  /// Windows of one text: each begins with the model's own first token where it has one; all but the first begin with
  /// half a window that was scored before, so that every token has some context and is scored once.
  struct Windows {
    /// Tokens put before every window.
    let lead: [TokenID]
    let text: [TokenID]
    /// Tokens of text in one window.
    private let length: Int

    init(text: [TokenID], lead: [TokenID], window: Int) {
      self.lead = lead
      self.text = text
      length = max(2, window - lead.count)
    }

    /// Ranges of `text`, and the part of each that is scored. Without a lead nothing foresees the first token.
    var parts: [(tokens: Range<Int>, scored: Range<Int>)] {
      var parts: [(tokens: Range<Int>, scored: Range<Int>)] = []
      var start = 0
      var scoredEnd = lead.isEmpty ? 1 : 0
      while scoredEnd < text.count {
        let end = min(start + length, text.count)
        parts.append((start..<end, scoredEnd..<end))
        scoredEnd = end
        start = end - length / 2
      }
      return parts
    }
  }

  /// Scores a text with an engine's prompt log-probabilities.
  ///
  /// - Parameters:
  ///   - text: at least two tokens.
  ///   - engine: the model with everything that is being compared.
  ///   - tokenLimit: most tokens to score, nil for all.
  ///   - window: tokens computed together, at most the engine's context.
  ///   - progress: called with the share that is done, `0...1`.
  /// - Throws: ``EvaluationError`` for a text or window that cannot be scored, `EngineError` from the engine.
  public static func measure(
    _ text: String, engine: any TextEngine, tokenLimit: Int? = nil, window: Int,
    progress: @Sendable (Double) -> Void = { _ in }
  ) async throws -> Perplexity {
    let information = engine.information
    guard (4..<information.contextLength).contains(window) else {
      throw EvaluationError(
        code: "invalid_window", message: "--window is \(window); it must be in 4..<\(information.contextLength)")
    }
    let tokenizer = information.tokenizer
    var tokens = tokenizer.encode(text, addSpecial: false, parseSpecial: false)
    let isCut = tokenLimit.map { $0 < tokens.count } ?? false
    if let tokenLimit { tokens = Array(tokens.prefix(tokenLimit)) }
    let lead = tokenizer.addBosByDefault ? tokenizer.bosToken.map { [$0] } ?? [] : []
    guard tokens.count + lead.count >= 2 else {
      throw EvaluationError(
        code: "text_too_short", message: "--text holds \(tokens.count) tokens; at least 2 are needed")
    }
    let windows = Windows(text: tokens, lead: lead, window: window)
    let parts = windows.parts
    var nats = 0.0
    for (place, part) in parts.enumerated() {
      nats += try await score(part, windows, engine)
      progress(Double(place + 1) / Double(parts.count))
    }
    // The whole text is counted as it is; a cut one by its tokens.
    var bytes = isCut ? tokens.reduce(0) { $0 + tokenizer.tokenBytes($1).count } : text.utf8.count
    if lead.isEmpty, let first = tokens.first { bytes -= tokenizer.tokenBytes(first).count }
    return Perplexity(tokens: parts.reduce(0) { $0 + $1.scored.count }, bytes: bytes, nats: nats)
  }

  private static func score(
    _ part: (tokens: Range<Int>, scored: Range<Int>), _ windows: Windows, _ engine: any TextEngine
  ) async throws -> Double {
    var request = GenerationRequest(id: RequestID("eval-text"), prompt: windows.lead + windows.text[part.tokens])
    request.maxTokens = 0
    request.promptLogprobs = 0
    request.sampling.temperature = 0
    request.storesCache = false
    var logprobs: [TokenLogprob?] = []
    for try await event in engine.generate(request) {
      if case .admitted(let report) = event { logprobs = report.promptLogprobs ?? [] }
    }
    var nats = 0.0
    for place in part.scored {
      let index = windows.lead.count + place - part.tokens.lowerBound
      guard logprobs.indices.contains(index), let logprob = logprobs[index] else {
        throw EvaluationError(code: "no_logprobs", message: "the engine gave no log-probability for token \(place)")
      }
      nats -= Double(logprob.logprob)
    }
    return nats
  }
}
