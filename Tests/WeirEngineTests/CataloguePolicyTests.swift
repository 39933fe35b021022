// Every policy of the catalogue, run by the engine.

import Testing
import Weir
import WeirKVCache
import WeirModels
import WeirPolicies

@testable import WeirEngine

@Suite struct CataloguePolicyTests {
  /// Those that evict; slack and chunk small enough that tiny prompts are cut often.
  static let policies =
    KVPolicyKey.allCases.filter { $0 != .full && $0 != .sentencekv }.map {
      "\($0.rawValue):slack=4,chunk=\($0 == .snapkv ? "end" : "32")"
    } + ["sink-recent:positions=slots,slack=4,chunk=32", "h2o:page=8,slack=4,chunk=32"]
  /// Those that rank by attention or keys, cut once at the prompt's end as their papers do.
  static let uncut = ["tova", "keydiff", "h2o", "h2o:page=8"].map {
    $0 + ($0.contains(":") ? "," : ":") + "slack=4,chunk=end"
  }
  static let choosing = ["sentencekv:sentence=8", "sentencekv:sentence=8,keep=2"]

  private func engine(step: Int = 512, _ change: (inout EngineConfiguration) -> Void = { _ in }) throws -> Engine {
    try EngineFixture.engine {
      $0.policies = KVPolicyCatalogue()
      $0.stepTokens = step
      $0.mixedPrefillTokens = step
      $0.runningLimit = min(8, step)
      change(&$0)
    }
  }

  @Test(arguments: policies + choosing)
  func anInfiniteBudgetIsTheFullCache(policy: String) async throws {
    let engine = try engine()
    let prompt = EngineFixture.prompt(90)
    let full = try await Answer.of(EngineFixture.request(prompt, policy: "full", budget: nil), engine)
    let same = try await Answer.of(EngineFixture.request(prompt, policy: policy, budget: 100_000), engine)
    #expect(full.outcome == same.outcome && full.logprobs.count == 40)
  }

  @Test(arguments: policies + uncut) func aBudgetShrinksTheLanesWhateverTheSteps(policy: String) async throws {
    let request = EngineFixture.request(EngineFixture.prompt(150), policy: policy, budget: 48)
    let whole = try await Answer.of(request, engine())
    let kv = try #require(whole.usage?.kv.first)
    #expect(kv.maximumSlots <= 48 + 4 && kv.minimumSlots >= 40 && kv.questions > 5, "\(kv)")
    #expect(try await Answer.of(request, engine(step: 7)).outcome == whole.outcome)
    let full = try await Answer.of(
      EngineFixture.request(EngineFixture.prompt(150), policy: "full", budget: nil), engine())
    #expect(whole.outcome != full.outcome)
  }

  /// Preempted sequences are computed again from their tokens, cuts included: nothing of a lane is saved and restored on
  /// one node. (Between nodes lanes travel: LaneHandoffTests.)
  @Test(arguments: policies + choosing) func preemptionChangesNothing(policy: String) async throws {
    let requests = (0..<6).map { index in
      var request = EngineFixture.request(
        EngineFixture.prompt(index % 2 == 0 ? 10 : 120, seed: UInt64(index + 1)), policy: policy, budget: 94,
        maxTokens: 100)
      request.priority = index
      return request
    }
    let roomy = try engine { $0.contextLength = 224 }
    let tight = try engine {
      $0.contextLength = 224
      $0.kvBytes = 8 * roomy.memoryPlan.blockBytes
    }
    let found = try await Answer.outcomes(requests, tight)
    for (index, request) in requests.enumerated() {
      #expect(try await Answer.of(request, roomy).outcome == found[index], "request \(index)")
    }
    #expect(await tight.status().counters.preemptions > 0, "nothing was preempted, so this test shows nothing")
    await tight.clearPrefixCache()
    let load = await tight.status().load
    #expect(load.freeBlocks == load.totalBlocks)
  }

  /// Blocks in use at once, the prompt and the running chunk included.
  @Test(arguments: policies + uncut + choosing + ["full"]) func neverAboveTheCap(policy: String) async throws {
    let (prompt, answer, budget) = (400, 60, 40)
    let engine = try engine { $0.blockSlots = 8 }
    let kv = try #require(
      try await Answer.of(
        EngineFixture.request(EngineFixture.prompt(prompt), policy: policy, budget: budget, maxTokens: answer), engine
      ).usage?.kv.first)
    // The last token is never computed. Who looks at a whole prompt before the first cut holds it; who chooses what to
    // read holds everything, or twice the budget and the answer.
    let most =
      if policy.contains("chunk=32") {
        budget + 32
      } else if policy.contains("chunk=end") || policy.contains("keep=2") {
        prompt
      } else {
        prompt + answer - 1
      }
    let status = await engine.status()
    #expect(status.pool.peakUsedBlocks == (most + 7) / 8, "\(status.pool.peakUsedBlocks) blocks of 8 for \(most) slots")
    #expect(kv.peakBytes >= status.pool.peakUsedBlocks * status.pool.blockBytes)
    let end = policy == "full" || chooses(policy) ? prompt + answer - 1 : budget + 4
    #expect(kv.maximumSlots <= (policy.contains("keep=2") ? 2 * budget + answer - 1 : end), "\(kv)")
  }

  private func chooses(_ policy: String) -> Bool { policy.hasPrefix("sentencekv") }

  /// Slots move to other places of other blocks, and nothing but the order of sums may tell.
  @Test(arguments: policies + ["sentencekv:sentence=8,keep=2"])
  func compactionIntoOtherBlocksChangesNothing(policy: String) async throws {
    let request = EngineFixture.request(EngineFixture.prompt(150), policy: policy, budget: 48)
    let wanted = try await Answer.of(request, engine())
    for slots in [8, 128] {
      let found = try await Answer.of(request, engine { $0.blockSlots = slots })
      let far = zip(found.logprobs, wanted.logprobs).filter { abs($0.logprob - $1.logprob) > 1e-4 }
      #expect(found.tokens == wanted.tokens && far.isEmpty && found.logprobs.count == 40, "blocks of \(slots)")
    }
  }

  /// Numbering slots anew changes what is said as soon as something was dropped, and nothing before.
  @Test func placesInTheLaneAreOtherPositions() async throws {
    func answer(_ positions: String) async throws -> Answer {
      let request = EngineFixture.request(
        EngineFixture.prompt(40), policy: "sink-recent:positions=\(positions),slack=4,chunk=32", budget: 48)
      return try await Answer.of(request, engine())
    }
    let (text, slots) = (try await answer("text"), try await answer("slots"))
    #expect(text.outcome != slots.outcome)
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
    let alone = try await Answer.of(request, engine()).outcome
    let engine = try engine()
    let whole = try await Answer.of(full, engine).outcome
    let reused = try await Answer.of(request, engine)
    #expect(reused.outcome == alone && (reused.usage?.cachedTokens ?? 0) > 32)
    #expect(try await Answer.of(full, engine).outcome == whole)
    request.choices = 3
    let three = try await Answer.of(request, engine)
    #expect(three.tokens[0] == reused.tokens[0] && three.tokens[1] != three.tokens[0])
    #expect(try await Answer.of(full, engine).outcome == whole)
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

  /// A default that no request could follow, or no long one, stops the engine at its start.
  @Test func aDefaultThatCannotWorkIsRefusedAtTheStart() throws {
    func error(
      _ policy: String?, budget: Int? = 48, keys: KVElementType = .f16, knowsPolicies: Bool = true
    ) throws -> EngineError? {
      do {
        _ = try EngineFixture.engine {
          $0.policies = knowsPolicies ? KVPolicyCatalogue() : nil
          $0.keyType = keys
          $0.kvPolicy = policy.map { KVPolicyRequest(name: $0, budget: budget.map { .slots($0) }) }
        }
        return nil
      } catch let error as EngineError {
        return error
      }
    }
    let turned = try #require(try error("sink-recent:positions=slots", keys: .q8_0))
    #expect(turned.kind == .invalidConfiguration)
    #expect(turned.message.contains("--kv-policy sink-recent:positions=slots"), "\(turned.message)")
    #expect(turned.message.contains("--kv-key-dtype") && turned.message.contains("q8_0"), "\(turned.message)")
    #expect(try error("sink-recent:positions=slots") == nil)
    #expect(try error("sink-recent", keys: .q8_0) == nil && error(nil, knowsPolicies: false) == nil)
    #expect(try error("sink-recent:positions=slots", budget: nil)?.kind == .invalidConfiguration)
    #expect(try error("h20")?.message.contains("h2o") == true)
    #expect(try error("h2o", knowsPolicies: false)?.message.contains("without KV policies") == true)
  }

  /// A model of which one layer sees 64 keys.
  @Test func sinksMayNotLeaveAWindow() throws {
    var model = try HandoffCluster.description()
    let shape = KVShape(
      layers: model.layers, kvHeads: model.kvHeads, headDim: model.headDim, blockSlots: 16, keyType: .f16,
      valueType: .f16)
    func refusal(_ parameters: String, budget: Int, tokens: Int) throws -> NumberingRefusal? {
      let policy = try KVPolicyCatalogue().policy(
        for: KVPolicyRequest(name: "sink-recent:\(parameters)", budget: .slots(budget)),
        facts: KVPolicyFacts(promptTokens: tokens, layers: model.layers, kvHeads: model.kvHeads))
      return NumberingRefusal(policy: policy, model: model, shape: shape, tokens: tokens)
    }
    #expect(try refusal("positions=slots,chunk=32,slack=4", budget: 48, tokens: 1000) == nil, "no window")
    model.layerKinds[model.layers - 1].window = 64
    let refused = try #require(try refusal("positions=slots,chunk=32,slack=4", budget: 48, tokens: 1000))
    #expect(refused.flag == "--budget" && refused.reason.contains("window of 64"), "\(refused.reason)")
    #expect(refused.reason.contains("at most 32 slots"), "\(refused.reason)")
    // Short enough, never cut, or so that a lane stays in the window.
    #expect(try refusal("positions=slots,chunk=32,slack=4", budget: 48, tokens: 64) == nil)
    #expect(try refusal("positions=slots,chunk=32,slack=4", budget: 100, tokens: 100) == nil)
    #expect(try refusal("positions=slots,chunk=32,slack=4", budget: 32, tokens: 1000) == nil)
    #expect(try refusal("positions=slots,chunk=end,slack=4", budget: 48, tokens: 1000) == nil)
    #expect(try refusal("chunk=32,slack=4", budget: 48, tokens: 1000) == nil, "places in the text")
  }
}
