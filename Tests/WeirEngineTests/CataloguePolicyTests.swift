// Every policy of the catalogue, run by the engine.

import Testing
import Weir
import WeirKVCache
import WeirPolicies

@Suite struct CataloguePolicyTests {
  /// Those that evict; slack and chunk small enough that tiny prompts are cut often.
  static let policies = KVPolicyKey.allCases.filter { $0 != .full && $0 != .sentencekv }.map {
    "\($0.rawValue):slack=4,chunk=\($0 == .snapkv ? "end" : "32")"
  }

  private func engine(step: Int = 512) throws -> Engine {
    try EngineFixture.engine {
      $0.policies = KVPolicyCatalogue()
      $0.stepTokens = step
      $0.mixedPrefillTokens = step
      $0.runningLimit = min(8, step)
    }
  }

  private func outcome(_ answer: Answer) -> [String] {
    (answer.tokens[0] ?? []).map(\.description) + answer.logprobs.map { "\($0.token) \($0.logprob.bitPattern)" }
  }

  @Test(arguments: policies + ["sentencekv:sentence=8", "sentencekv:sentence=8,keep=2"])
  func anInfiniteBudgetIsTheFullCache(policy: String) async throws {
    let engine = try engine()
    let prompt = EngineFixture.prompt(90)
    let full = try await Answer.of(EngineFixture.request(prompt, policy: "full", budget: nil), engine)
    let same = try await Answer.of(EngineFixture.request(prompt, policy: policy, budget: 100_000), engine)
    #expect(outcome(full) == outcome(same) && full.logprobs.count == 40)
  }

  @Test(arguments: policies) func aBudgetShrinksTheLanesWhateverTheSteps(policy: String) async throws {
    let request = EngineFixture.request(EngineFixture.prompt(150), policy: policy, budget: 48)
    let whole = try await Answer.of(request, engine())
    let kv = try #require(whole.usage?.kv.first)
    #expect(kv.maximumSlots <= 48 + 4 && kv.minimumSlots >= 40 && kv.questions > 5, "\(kv)")
    #expect(outcome(whole) == outcome(try await Answer.of(request, engine(step: 7))))
    let full = try await Answer.of(
      EngineFixture.request(EngineFixture.prompt(150), policy: "full", budget: nil), engine())
    #expect(outcome(whole) != outcome(full))
  }
}
