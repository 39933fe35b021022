// Prefill and decode speed of one sequence alone: what a batched run cannot tell apart.

public import WeirBasics
public import WeirEngine
public import WeirKVCache
import WeirSampling

/// One measurement of one sequence that has the engine to itself.
public struct SpeedSample: Sendable, Equatable {
  public var prefillTokensPerSecond: Double
  public var decodeTokensPerSecond: Double

  /// Computes a prompt without the prefix cache and decodes behind it.
  ///
  /// - Parameters:
  ///   - prompt: at least one token.
  ///   - decodeTokens: tokens to decode, at least 2.
  ///   - engine: idle otherwise.
  ///   - kvPolicy: what to keep of the KV; nil: what the engine does by itself.
  /// - Throws: `EngineError` from the engine.
  public static func measure(
    prompt: [TokenID], decodeTokens: Int, engine: any TextEngine, kvPolicy: KVPolicyRequest? = nil
  ) async throws -> SpeedSample {
    var request = GenerationRequest(id: RequestID("eval-speed"), prompt: prompt)
    request.maxTokens = decodeTokens
    request.sampling.temperature = 0
    request.ignoreEndTokens = true
    request.readsCache = false
    request.storesCache = false
    request.kvPolicy = kvPolicy
    var usage = UsageReport(promptTokens: 0, cachedTokens: 0, completionTokens: 0)
    for try await event in engine.generate(request) {
      if case .done(let report) = event { usage = report }
    }
    // The first token comes with the prompt.
    let decoded = Double(max(0, usage.completionTokens - 1))
    return SpeedSample(
      prefillTokensPerSecond: usage.prefillSeconds > 0 ? Double(usage.promptTokens) / usage.prefillSeconds : 0,
      decodeTokensPerSecond: usage.decodeSeconds > 0 ? decoded / usage.decodeSeconds : 0)
  }
}
