// H2O's claim on the bundled model: where early examples matter, heavy slots are nearly the full cache, the newest slots
// alone are not, and arbitrary slots are worse.

import Foundation
import Testing
import Weir
import WeirEngine
import WeirEvaluation
import WeirKVCache
import WeirPolicies
import WeirTestSupport

@Suite struct PolicyLabClaimTests {
  private func engine() throws -> Engine {
    let models = Golden.url("../../Models/weir-chat-q8_0.gguf").standardizedFileURL
    var configuration = EngineConfiguration(modelName: "weir-chat")
    configuration.kvBytes = 64 << 20
    configuration.contextLength = 2048
    configuration.policies = KVPolicyCatalogue()
    return try Engine.load(path: models.path, options: LoadOptions(threads: 2, configuration: configuration))
  }

  /// The document is the first of `fewshot_text.py --tokens 2048`; `weir bench policy-text` scores many longer ones.
  @Test func heavySlotsForeseeATextBetterThanLots() async throws {
    let engine = try engine()
    let file = try Data(contentsOf: Golden.url("policies/few_shot_text.jsonl"))
    let text = try PolicyText(
      documents: TextDocument.parse(utf8: Array(file), name: "few_shot_text.jsonl"), information: engine.information,
      window: 2046)
    func score(_ policy: String?) async throws -> PolicyText.Score {
      let request = policy.map { KVPolicyRequest(name: $0, budget: .slots(409)) }
      return try await text.score(engine: engine, policy: request, cadence: .chunks, inFlight: 1)
    }
    let full = try await score(nil)
    let heavy = try await score("h2o:chunk=16")
    let newest = try await score("sink-recent:sinks=0,chunk=16")
    #expect(full.answers.tokens > 30 && full.answers.value < 1.1)
    #expect(heavy.all.value < 1.04 * full.all.value && heavy.answers.value < 1.2, "\(heavy) of \(full)")
    #expect(newest.all.value > 1.2 * full.all.value && newest.answers.value > 20, "\(newest) of \(full)")
    for seed in 0...2 {
      let lots = try await score("random:chunk=16,seed=\(seed)")
      #expect(lots.all.value > heavy.all.value, "seed \(seed): \(lots), heavy slots \(heavy)")
    }
  }
}
