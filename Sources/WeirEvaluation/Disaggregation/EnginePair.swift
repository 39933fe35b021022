// Two engines that hand KV to each other, and requests whose tokens have times.

public import WeirBasics
public import WeirEngine
public import WeirKVTransfer
import WeirSampling
import WeirText

/// Engines of one model on one machine; each can prefill and decode.
public struct EnginePair: Sendable {
  public let prefill: any TextEngine
  public let decode: any TextEngine

  public init(prefill: any TextEngine, decode: any TextEngine) {
    self.prefill = prefill
    self.decode = decode
  }
}

extension HandoffOptions {
  /// How an engine of a bench takes part in handoffs.
  ///
  /// - Parameters:
  ///   - path: how the bytes go.
  ///   - processor: the step-loop thread and the transport's stay on it; nil: wherever the system puts them.
  ///   - incarnation: another one for each engine.
  ///   - style: turned by the bench between two requests.
  public static func local(
    _ path: UCXConfiguration.Path, processor: Int?, incarnation: UInt64, style: TransferStyleSwitch
  ) -> HandoffOptions {
    var options = HandoffOptions(incarnation: incarnation, authenticator: LocalTransport.authenticator) {
      memory, onNews throws(TransportError) in
      // This runs on the step-loop thread, which is the one that computes where the pool has one thread.
      if let processor { LocalTransport.runOnProcessor(processor) }
      return try LocalTransport.make(path, processor: processor, memory: memory, onNews: onNews)
    }
    options.style = { style.style }
    // A prompt of a large model takes a minute on one core.
    options.holdSeconds = 600
    options.arrivalSeconds = 600
    return options
  }
}

extension EngineInformation {
  /// Random tokens of the vocabulary, without special ones.
  public func randomPrompt(_ count: Int, seed: UInt64) -> [TokenID] {
    var generator = SeededGenerator(seed: seed)
    var tokens: [TokenID] = []
    while tokens.count < count {
      let token = TokenID(Int(generator.next() % UInt64(vocabularySize)))
      if !tokenizer.isSpecial(token) { tokens.append(token) }
    }
    return tokens
  }
}

/// An answer with the times at which its tokens came.
public struct TimedAnswer: Sendable {
  public var start: Instant
  public var tokens: [TokenID] = []
  public var times: [Instant] = []
  public var end: Instant
  public var arrival: ArrivalReport?
  public var usage = UsageReport(promptTokens: 0, cachedTokens: 0, completionTokens: 0)

  /// Runs a request to its end.
  /// - Throws: `EngineError` from the engine.
  public static func of(
    _ request: GenerationRequest, _ engine: any TextEngine, clock: any WeirClock
  ) async throws -> TimedAnswer {
    let now = clock.now()
    var answer = TimedAnswer(start: now, end: now)
    for try await event in engine.generate(request) {
      switch event {
      case .admitted(let report): answer.arrival = report.arrival
      case .token(let token):
        answer.tokens.append(token.token)
        answer.times.append(clock.now())
      case .finished: break
      case .done(let usage): answer.usage = usage
      }
    }
    answer.end = clock.now()
    return answer
  }

  private init(start: Instant, end: Instant) {
    self.start = start
    self.end = end
  }

  /// Gaps between neighbouring tokens, in seconds.
  public var gaps: [Double] { zip(times, times.dropFirst()).map { $1.seconds(since: $0) } }
}

extension GenerationRequest {
  /// A greedy request of exactly `maxTokens` tokens.
  static func greedy(_ name: String, _ prompt: [TokenID], maxTokens: Int, cache: Bool) -> GenerationRequest {
    var request = GenerationRequest(id: RequestID(name), prompt: prompt)
    request.maxTokens = maxTokens
    request.sampling.temperature = 0
    request.ignoreEndTokens = true
    request.readsCache = cache
    request.storesCache = cache
    return request
  }

  /// The half of this request that computes the prompt and keeps its KV.
  func prefillHalf() -> GenerationRequest {
    var half = self
    half.id = RequestID("prefill-\(id)")
    half.maxTokens = 1
    half.handsOver = true
    return half
  }
}
