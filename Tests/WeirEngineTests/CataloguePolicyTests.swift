// Every policy of the catalogue, run by the engine.

import Testing
import Weir
import WeirKVCache
import WeirPolicies

@Suite struct CataloguePolicyTests {
  /// Those that evict; slack and chunk small enough that tiny prompts are cut often.
  static let policies =
    KVPolicyKey.allCases.filter { $0 != .full && $0 != .sentencekv }.map {
      "\($0.rawValue):slack=4,chunk=\($0 == .snapkv ? "end" : "32")"
    } + ["sink-recent:positions=slots,slack=4,chunk=32"]

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

  /// Numbering slots anew changes what is said as soon as something was dropped, and nothing before.
  @Test func placesInTheLaneAreOtherPositions() async throws {
    func answer(_ positions: String) async throws -> Answer {
      let request = EngineFixture.request(
        EngineFixture.prompt(40), policy: "sink-recent:positions=\(positions),slack=4,chunk=32", budget: 48)
      return try await Answer.of(request, engine())
    }
    let (text, slots) = (try await answer("text"), try await answer("slots"))
    #expect(outcome(text) != outcome(slots))
    // 40 of the prompt and 12 generated ones fit; the row of the next one comes after the first cut.
    #expect(text.logprobs.prefix(13).map(\.logprob) == slots.logprobs.prefix(13).map(\.logprob))
  }

  /// Blocks that the prefix tree or other answers see too are not turned with the sequence's own.
  @Test func turningLeavesOthersAlone() async throws {
    let prompt = EngineFixture.prompt(150)
    let full = EngineFixture.request(prompt, policy: "full", budget: nil)
    var request = EngineFixture.request(
      prompt, policy: "sink-recent:positions=slots,sinks=40,slack=4,chunk=32", budget: 80)
    request.sampling.temperature = 1
    request.seed = 5
    let alone = outcome(try await Answer.of(request, engine()))
    let engine = try engine()
    let whole = outcome(try await Answer.of(full, engine))
    let reused = try await Answer.of(request, engine)
    #expect(outcome(reused) == alone && (reused.usage?.cachedTokens ?? 0) > 32)
    #expect(outcome(try await Answer.of(full, engine)) == whole)
    request.choices = 3
    let three = try await Answer.of(request, engine)
    #expect(three.tokens[0] == reused.tokens[0] && three.tokens[1] != three.tokens[0])
    #expect(outcome(try await Answer.of(full, engine)) == whole)
  }

  @Test func keysThatCannotBeTurnedAreRefused() async throws {
    let engine = try EngineFixture.engine {
      $0.policies = KVPolicyCatalogue()
      $0.keyType = .q8_0
    }
    let request = EngineFixture.request(EngineFixture.prompt(40), policy: "sink-recent:positions=slots", budget: 48)
    let error = await #expect(throws: EngineError.self) { try await Answer.of(request, engine) }
    #expect(error?.kind == .invalidRequest && error?.param == "kv_policy")
    #expect(error?.message.contains("q8_0") == true && error?.message.contains("f16") == true)
    // The same engine takes the text's positions.
    let text = EngineFixture.request(EngineFixture.prompt(40), policy: "sink-recent", budget: 48)
    #expect(try await Answer.of(text, engine).logprobs.count == 40)
  }
}
