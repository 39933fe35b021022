// One request alone: prefill on one engine and decode on the other, against one engine that does both.

public import WeirBasics
public import WeirEngine
import WeirKVTransfer

/// The times of one request, in seconds.
public struct EndToEndSample: Sendable {
  public var firstTokenSeconds: Double
  /// Mean gap between tokens.
  public var tokenSeconds: Double
  public var totalSeconds: Double
  /// From the request's arrival at the decoding engine until it owns the KV; 0 where one engine does both.
  public var handoffSeconds = 0.0
  /// Calls and copies alone.
  public var transferSeconds = 0.0
  public var operations = 0
  /// The tokens were those of the first colocated answer.
  public var isRight = true
}

/// A request through two engines and through one.
public struct EndToEndStudy: Sendable {
  private let pair: EnginePair
  private let clock: any WeirClock

  /// - Parameters:
  ///   - pair: engines made with `HandoffOptions.local`, otherwise idle.
  ///   - clock: real time.
  public init(pair: EnginePair, clock: any WeirClock) {
    self.pair = pair
    self.clock = clock
  }

  /// Prefill on one engine, the rest on the other. The first token that counts is the second engine's.
  public func disaggregated(_ prompt: [TokenID], answer tokens: Int) async throws -> (EndToEndSample, [TokenID]) {
    let request = GenerationRequest.greedy("two", prompt, maxTokens: tokens, cache: false)
    let before = (await pair.prefill.status().handoffs.transfer, await pair.decode.status().handoffs.transfer)
    let first = try await TimedAnswer.of(request.prefillHalf(), pair.prefill, clock: clock)
    var second = request
    second.arrival = first.usage.handoff
    let answer = try await TimedAnswer.of(second, pair.decode, clock: clock)
    let sent = await pair.prefill.status().handoffs.transfer.since(before.0)
    let copied = await pair.decode.status().handoffs.transfer.since(before.1)
    var sample = Self.sample(answer, since: first.start)
    sample.handoffSeconds = answer.arrival?.seconds ?? 0
    sample.transferSeconds = sent.seconds + sent.copySeconds + copied.copySeconds
    sample.operations = Int(sent.operations)
    sample.isRight = answer.arrival?.tokens ?? 0 > 0
    return (sample, answer.tokens)
  }

  /// One engine does both.
  public func colocated(
    _ prompt: [TokenID], answer tokens: Int, on engine: any TextEngine
  ) async throws -> (EndToEndSample, [TokenID]) {
    let request = GenerationRequest.greedy("one", prompt, maxTokens: tokens, cache: false)
    let answer = try await TimedAnswer.of(request, engine, clock: clock)
    return (Self.sample(answer, since: answer.start), answer.tokens)
  }

  private static func sample(_ answer: TimedAnswer, since start: Instant) -> EndToEndSample {
    EndToEndSample(
      firstTokenSeconds: answer.times.first?.seconds(since: start) ?? 0, tokenSeconds: Spread(answer.gaps).mean,
      totalSeconds: answer.end.seconds(since: start))
  }
}
