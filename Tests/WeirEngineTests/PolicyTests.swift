// KV policies inside the engine: what must not change, what must shrink, and what must come back.

import Testing
import Weir
import WeirKVCache

@Suite struct PolicyTests {
  /// No block is in use; nothing but cached prefixes may hold any.
  private func expectAllFree(_ engine: Engine, _ comment: Comment? = nil) async {
    await engine.clearPrefixCache()
    let load = await engine.status().load
    #expect(load.freeBlocks == load.totalBlocks, comment)
  }

  @Test(arguments: TestPolicies.names) func anInfiniteBudgetIsTheFullCache(policy: String) async throws {
    let prompt = EngineFixture.prompt(90)
    let engine = try EngineFixture.policyEngine { $0.prefixCache = false }
    let full = try await Answer.of(EngineFixture.request(prompt, policy: nil, budget: nil), engine)
    let same = try await Answer.of(EngineFixture.request(prompt, policy: policy, budget: 100_000), engine)
    #expect(full.logprobs.count == 40)
    #expect(full.outcome == same.outcome)
    #expect(same.usage?.kv.first?.questions == 0 && same.usage?.kv.first?.maximumSlots == 129)
  }

  @Test func askingAndKeepingEverythingIsTheFullCache() async throws {
    let prompt = EngineFixture.prompt(90)
    let engine = try EngineFixture.policyEngine { $0.prefixCache = false }
    let full = try await Answer.of(EngineFixture.request(prompt, policy: nil, budget: nil), engine)
    let same = try await Answer.of(EngineFixture.request(prompt, policy: "identity", budget: nil), engine)
    #expect(full.outcome == same.outcome)
    // At 32, 64 and 90 tokens of the prompt, then after each of the 39 tokens that were computed.
    #expect(same.usage?.kv.first?.questions == 3 + 39 && same.usage?.kv.first?.droppedSlots == 0)
    await expectAllFree(engine)
  }

  @Test(arguments: TestPolicies.names) func stepSizesChangeNothing(policy: String) async throws {
    let prompt = EngineFixture.prompt(150)
    let request = EngineFixture.request(prompt, policy: policy, budget: 40)
    var outcomes: [[String]] = []
    for step in [512, 16, 1] {
      let engine = try EngineFixture.policyEngine {
        $0.stepTokens = step
        $0.mixedPrefillTokens = step
        $0.runningLimit = 1
      }
      let answer = try await Answer.of(request, engine)
      outcomes.append(answer.outcome)
      let kv = try #require(answer.usage?.kv.first)
      #expect(kv.questions > 4 && kv.droppedSlots > 0)
      #expect(kv.maximumSlots <= 40 + TestPolicies.slackSlots)
      await expectAllFree(engine)
    }
    #expect(outcomes[0] == outcomes[1], "512 and 16 tokens a step differ")
    #expect(outcomes[0] == outcomes[2], "512 and 1 tokens a step differ")
  }

  @Test func aPolicyMayBeAskedBeforeTheQuestion() async throws {
    let prompt = EngineFixture.prompt(150)
    var outcomes: [[String]] = []
    for (step, context) in [(512, 100), (16, 100), (512, 150), (512, nil)] as [(Int, Int?)] {
      let engine = try EngineFixture.policyEngine {
        $0.stepTokens = step
        $0.mixedPrefillTokens = step
        $0.runningLimit = 1
      }
      var request = EngineFixture.request(prompt, policy: "heavy", budget: 40)
      request.policyPromptTokens = context
      outcomes.append(try await Answer.of(request, engine).outcome)
    }
    #expect(outcomes[0] == outcomes[1] && outcomes[2] == outcomes[3] && outcomes[0] != outcomes[2])
    var wrong = EngineFixture.request(prompt, policy: "heavy", budget: 40)
    wrong.policyPromptTokens = 151
    await #expect(throws: EngineError.self) { try await Answer.of(wrong, EngineFixture.policyEngine()) }
  }

  @Test func aBatchOfDifferentPoliciesIsEachAlone() async throws {
    var policies: [String?] = TestPolicies.names.map { $0 }
    policies += [nil, nil]
    let requests = policies.enumerated().map { index, policy in
      EngineFixture.request(
        EngineFixture.prompt(60 + 13 * index, seed: UInt64(index + 1)), policy: policy,
        budget: policy == nil ? nil : 24 + index)
    }
    let engine = try EngineFixture.policyEngine()
    var alone: [[String]] = []
    for request in requests { alone.append(try await Answer.of(request, engine).outcome) }
    await expectAllFree(engine)
    let together = try await Answer.outcomes(requests, engine)
    for index in requests.indices { #expect(together[index] == alone[index], "\(policies[index] ?? "full")") }
    await expectAllFree(engine)
  }

  @Test(arguments: ["last", "ragged", "heavy"]) func neverAboveTheCap(policy: String) async throws {
    let budget = 40
    let engine = try EngineFixture.policyEngine { $0.blockSlots = 8 }
    let answer = try await Answer.of(
      EngineFixture.request(EngineFixture.prompt(400), policy: policy, budget: budget, maxTokens: 60), engine)
    let status = await engine.status()
    let capSlots = budget + max(TestPolicies.chunkTokens, TestPolicies.slackSlots + 1)
    let capBlocks = (capSlots + 7) / 8
    #expect(status.pool.peakUsedBlocks <= capBlocks, "\(status.pool.peakUsedBlocks) blocks, cap \(capBlocks)")
    let kv = try #require(answer.usage?.kv.first)
    #expect(kv.peakBytes >= status.pool.peakUsedBlocks * status.pool.blockBytes && kv.policy == policy)
    #expect(kv.minimumSlots <= Int(kv.meanSlots.rounded(.up)) && Int(kv.meanSlots) <= kv.maximumSlots)
    #expect(kv.maximumSlots <= budget + TestPolicies.slackSlots)
    #expect(status.counters.policyQuestions == UInt64(kv.questions) && status.counters.policyDroppedSlots > 0)
    #expect(status.counters.prefixHits == 0 && status.load.cachedBlocks == 0)
  }

  @Test func moreRequestsRunAtOnceThanFullCachesWouldFit() async throws {
    // 14 blocks of 8 slots: a full cache of 100 tokens needs 13, a budget of 16 with its chunk 6.
    let probe = try EngineFixture.policyEngine { $0.blockSlots = 8 }
    let engine = try EngineFixture.policyEngine {
      $0.blockSlots = 8
      $0.kvBytes = 14 * probe.memoryPlan.blockBytes
    }
    let requests = (0..<2).map {
      EngineFixture.request(EngineFixture.prompt(80, seed: UInt64($0 + 3)), policy: "hash", budget: 16, maxTokens: 20)
    }
    var alone: [[String]] = []
    for request in requests { alone.append(try await Answer.of(request, probe).outcome) }
    #expect(try await Answer.outcomes(requests, engine) == alone)
    let status = await engine.status()
    #expect(status.counters.preemptions == 0 && status.pool.peakUsedBlocks > 6)
    await expectAllFree(engine)
  }

  @Test func preemptionChangesNothing() async throws {
    let policies = ["hash", "heavy", "ragged", "window", "keys", "faded"]
    // A short prompt and a long one alternate. The long ones are compacted early and then take turns of three and four
    // blocks of 32; the short ones grow into their room.
    let requests = policies.enumerated().map { index, policy in
      var request = EngineFixture.request(
        EngineFixture.prompt(index % 2 == 0 ? 10 : 120, seed: UInt64(index + 1)), policy: policy, budget: 94,
        maxTokens: 100)
      request.priority = index
      return request
    }
    let roomy = try EngineFixture.policyEngine { $0.contextLength = 224 }
    var expected: [[String]] = []
    for request in requests { expected.append(try await Answer.of(request, roomy).outcome) }
    let tight = try EngineFixture.policyEngine {
      $0.kvBytes = 7 * roomy.memoryPlan.blockBytes
      $0.contextLength = 224
    }
    let found = try await Answer.outcomes(requests, tight)
    for index in requests.indices { #expect(found[index] == expected[index], "\(policies[index])") }
    #expect(await tight.status().counters.preemptions > 0, "nothing was preempted, so this test shows nothing")
    await expectAllFree(tight)
  }

  @Test(arguments: ["hash", "heavy", nil] as [String?]) func answersOfOnePromptGoTheirOwnWays(policy: String?)
    async throws
  {
    let prompt = EngineFixture.prompt(100)
    var request = EngineFixture.request(prompt, policy: policy, budget: 40)
    request.sampling.temperature = 1
    request.seed = 5
    let engine = try EngineFixture.policyEngine()
    request.storesCache = false
    let one = try await Answer.of(request, engine)
    request.choices = 3
    let three = try await Answer.of(request, engine)
    #expect(three.tokens[0] == one.tokens[0])
    #expect(three.tokens[1] != three.tokens[0] && three.tokens.values.allSatisfy { $0.count == 40 })
    let small = try EngineFixture.policyEngine {
      $0.stepTokens = 16
      $0.mixedPrefillTokens = 16
      $0.runningLimit = 4
    }
    #expect(try await Answer.of(request, small).tokens == three.tokens)
    await expectAllFree(engine)
  }

  @Test func cancellingReleasesEverything() async throws {
    // Long enough that it still runs when the cancellation arrives, however busy the machine is: a context is cut to the
    // pool, so the pool is large too.
    let engine = try EngineFixture.policyEngine {
      $0.contextLength = 60_000
      $0.kvBytes = 512 << 20
    }
    var request = EngineFixture.request(EngineFixture.prompt(120), policy: "ragged", budget: 30, maxTokens: nil)
    request.choices = 2
    var seen = 0
    for try await event in engine.generate(request) {
      guard case .token = event else { continue }
      seen += 1
      if seen == 40 { #expect(await engine.cancel(request.id)) }
    }
    #expect(seen >= 40)
    await expectAllFree(engine)
  }

  @Test func aSharedPrefixSurvivesEviction() async throws {
    let shared = EngineFixture.prompt(128)
    let engine = try EngineFixture.policyEngine()
    let cold = try await Answer.of(EngineFixture.request(shared, policy: nil, budget: nil), engine)
    let prompt = shared + EngineFixture.prompt(40, seed: 8)
    let alone = try await Answer.of(
      EngineFixture.request(prompt, policy: "hash", budget: 30),
      try EngineFixture.policyEngine { $0.prefixCache = false })
    let evicting = try await Answer.of(EngineFixture.request(prompt, policy: "hash", budget: 30), engine)
    // Up to the first question, and a policy asks for the first time at 32.
    #expect(evicting.usage?.cachedTokens == 31)
    #expect(evicting.outcome == alone.outcome)
    let again = try await Answer.of(EngineFixture.request(shared, policy: nil, budget: nil), engine)
    #expect(again.usage?.cachedTokens == 127)
    #expect(again.outcome == cold.outcome)
    await expectAllFree(engine)
  }

  @Test func sharedBlocksThatLeaveNoRoomForCopiesAreGivenUp() async throws {
    // 7 blocks of 32: the cached prompt holds 5, and asking at its end keeps 150 slots of each lane, 5 blocks.
    let probe = try EngineFixture.policyEngine()
    let engine = try EngineFixture.policyEngine { $0.kvBytes = 7 * probe.memoryPlan.blockBytes }
    let prompt = EngineFixture.prompt(160)
    let request = EngineFixture.request(prompt, policy: "hash", budget: 150, maxTokens: 30)
    let expected = try await Answer.of(request, probe).outcome
    _ = try await Answer.of(EngineFixture.request(prompt, policy: nil, budget: nil, maxTokens: 2), engine)
    let answer = try await Answer.of(request, engine)
    #expect(answer.outcome == expected)
    #expect(answer.usage?.preemptions == 1)
    await expectAllFree(engine)
  }

  @Test func anUnknownPolicyIsTheClientsMistake() async throws {
    let request = EngineFixture.request(EngineFixture.prompt(10), policy: "nonsense", budget: 4)
    for engine in [try EngineFixture.policyEngine(), try EngineFixture.engine()] {
      let error = await #expect(throws: EngineError.self) { try await Answer.of(request, engine) }
      #expect(error?.kind == .invalidRequest && error?.param == "kv_policy")
      #expect(error?.message.contains("nonsense") ?? false)
    }
  }
}
