// StreamingLLM's claim: with sinks and places in the cache as positions, a model goes on where its trained context ends.

import Foundation
import Testing
import Weir
import WeirEngine
import WeirEvaluation
import WeirKVCache
import WeirPolicies
import WeirTestSupport

@Suite(.enabled(if: SharedData.exists("derived/tiny1m-f16.gguf"), "needs ../shared/data/derived"))
struct BeyondContextTests {
  /// A model that was trained on 256 tokens.
  private func engine() throws -> Engine {
    var configuration = EngineConfiguration(modelName: "tiny1m")
    configuration.contextLength = 4096
    configuration.kvBytes = 64 << 20
    configuration.policies = KVPolicyCatalogue()
    let path = try #require(SharedData.url("derived/tiny1m-f16.gguf")).path
    return try Engine.load(path: path, options: LoadOptions(threads: 2, configuration: configuration))
  }

  /// A story that the model tells itself.
  private func story(seed: UInt64, _ engine: Engine) async throws -> String {
    let beginning = try #require(engine.information.tokenizer.bosToken)
    var request = GenerationRequest(id: RequestID("story \(seed)"), prompt: [beginning])
    request.maxTokens = 220
    request.sampling.temperature = 0.9
    request.seed = seed
    var text = ""
    for try await event in engine.generate(request) {
      if case .token(let token) = event { text += token.text }
    }
    return text
  }

  @Test func placesInTheCacheOutliveTheTrainedContext() async throws {
    let engine = try engine()
    var stories: [String] = []
    for seed in 1...12 as ClosedRange<UInt64> { stories.append(try await story(seed: seed, engine)) }
    let text = try PolicyText(
      stories.joined(separator: "\n\n"), information: engine.information, window: 1200, tokenLimit: 600)
    func perplexity(_ policy: String?) async throws -> Double {
      let request = policy.map { KVPolicyRequest(name: $0, budget: .slots(128)) }
      return try await text.score(engine: engine, policy: request, cadence: .steps, inFlight: 1).all.value
    }
    let full = try await perplexity(nil)
    let newest = try await perplexity("sink-recent:sinks=0,chunk=end")
    let byText = try await perplexity("sink-recent:chunk=end")
    let bySlots = try await perplexity("sink-recent:positions=slots,chunk=end")
    #expect(
      bySlots < newest && bySlots * 1.5 < byText && bySlots * 10 < full,
      "full \(full), newest \(newest), sinks by places in the text \(byText), in the cache \(bySlots)")
  }
}
