// Policies that select, inside the engine: what must not change, and what a row reads.

import Testing
import Weir
import WeirBasics
import WeirKVCache
import WeirPolicies

@Suite struct SelectionTests {
  /// Reads nothing but what the floors demand, or parts that a hash of their place prefers.
  private struct Picking: Selection {
    let readSlots: Int?
    var isHashed = false
    var boundaries: any TextBoundaries { SentenceSplitter(tokensMax: 9) }
    let averagesQueries = true
    let abstract = KeyAbstract.mean
    let comparesHeads = false
    func isAsked(inLayer layer: Int) -> Bool { true }
    func selected(in lane: LaneParts) -> [Range<Int>] {
      guard isHashed else { return [] }
      return lane.likenesses.indices.filter { ($0 * 7 + lane.slots) % 3 == 0 }
        .map { Int(lane.starts[$0])..<Int(lane.starts[$0 + 1]) }
    }
  }

  private struct KeepNothing: Retention {
    func retained(
      in lane: LaneView, signals: LaneSignals, moment: RetentionMoment, budgetSlots: Int?
    ) -> SlotSet { .only([]) }
  }

  /// `read` and `kept` with the same budget attend to the same keys: the first sink and the newest.
  private struct Resolver: KVPolicyResolver {
    func policy(for request: KVPolicyRequest, facts: KVPolicyFacts) throws -> KVPolicy {
      let slots = request.budgetSlots(promptTokens: facts.promptTokens) ?? 1
      switch request.name {
      case "read":
        return KVPolicy(
          selection: Picking(readSlots: slots + 1), floors: RetentionFloors(sinkSlots: 1, recentSlots: slots))
      case "kept":
        return KVPolicy(
          retention: KeepNothing(), budget: UniformBudget(slots: slots),
          floors: RetentionFloors(sinkSlots: 1, recentSlots: slots - 1),
          cadence: RetentionCadence(chunkTokens: nil, slackSlots: 0))
      case "hashed":
        return KVPolicy(
          selection: Picking(readSlots: slots, isHashed: true), floors: RetentionFloors(sinkSlots: 1, recentSlots: 3))
      default: return try KVPolicyCatalogue().policy(for: request, facts: facts)
      }
    }
  }

  static let catalogue = [
    "sentencekv:sentence=9", "sentencekv:sentence=9,keep=2", "sentencekv:query=newest,abstract=bounds,sentence=9",
    "sentencekv:heads=each,dense_layers=1,sentence=9", "sentencekv:heads=share,vector=2,sentence=9",
    "sentencekv:query=newest,heads=share,abstract=keys,sentence=4", "sentencekv:abstract=keys,sentence=9,keep=2",
  ]
  static let policies = catalogue + ["hashed"]

  private func engine(_ change: (inout EngineConfiguration) -> Void = { _ in }) throws -> Engine {
    try EngineFixture.engine {
      $0.policies = Resolver()
      change(&$0)
    }
  }

  private func expectAllFree(_ engine: Engine) async {
    await engine.clearPrefixCache()
    let load = await engine.status().load
    #expect(load.freeBlocks == load.totalBlocks)
  }

  /// Reading some keys where they lie and holding only those give the same bits.
  @Test(arguments: [12, 45]) func readingIsWhatKeepingWouldBe(budget: Int) async throws {
    let prompt = EngineFixture.prompt(100)
    let engine = try engine()
    let kept = try await Answer.of(EngineFixture.request(prompt, policy: "kept", budget: budget), engine)
    let read = try await Answer.of(EngineFixture.request(prompt, policy: "read", budget: budget), engine)
    let full = try await Answer.of(EngineFixture.request(prompt, policy: "full", budget: nil), engine)
    #expect(read.outcome == kept.outcome && read.outcome != full.outcome)
    let kv = try #require(read.usage?.kv.first)
    // 39 rows chose; the last token of the answer is never computed.
    #expect(kv.minimumSlots == 139 && kv.droppedSlots == 0)
    #expect(kv.reading?.rows == 39 && kv.reading?.meanSlots == Double(budget + 1))
    // After the first row one slot is new in each lane.
    let lanes = (kv.reading?.readBytes ?? 0) / 39 / (budget + 1)
    #expect(kv.reading?.newBytes == lanes * (budget + 1 + 38), "\(kv)")
    await expectAllFree(engine)
  }

  @Test(arguments: policies) func stepsBatchesAndThePrefixCacheChangeNothing(policy: String) async throws {
    let request = EngineFixture.request(EngineFixture.prompt(150), policy: policy, budget: 32)
    let alone = try await Answer.of(request, engine { $0.prefixCache = false })
    let expected = alone.outcome
    let kv = try #require(alone.usage?.kv.first)
    #expect(kv.reading?.rows == 39 && kv.reading?.meanSlots == 32, "\(kv)")
    #expect((kv.reading?.stateBytes ?? 0) > 0 && (kv.reading?.parts ?? 0) > 8)
    #expect(policy.contains("keep") ? kv.maximumSlots == 64 + 39 : kv.minimumSlots == 189, "\(kv)")
    let engine = try engine {
      $0.stepTokens = 16
      $0.mixedPrefillTokens = 16
      $0.runningLimit = 8
    }
    // The first fills the prefix cache for the second.
    let full = EngineFixture.request(EngineFixture.prompt(150), policy: "full", budget: nil)
    let whole = try await Answer.of(full, engine).outcome
    let again = try await Answer.of(request, engine)
    #expect(again.outcome == expected && whole != expected)
    #expect(policy.contains("keep") || again.usage?.cachedTokens == 149)
    var others = [request, full]
    others += ["kept", "hashed", "h2o"].enumerated().map { index, name in
      EngineFixture.request(EngineFixture.prompt(70 + 9 * index, seed: 5), policy: name, budget: 24)
    }
    let together = try await Answer.outcomes(others, engine)
    #expect(together[0] == expected && together[1] == whole)
    await expectAllFree(engine)
  }

  /// The mean of one key is that key: comparing copies and comparing keys where they lie choose the same, for nothing.
  @Test func keysComparedWhereTheyLieAreTheirCopies() async throws {
    let engine = try engine()
    func answer(_ parameters: String) async throws -> Answer {
      let policy = "sentencekv:query=newest,heads=each,sentence=4,\(parameters)"
      return try await Answer.of(
        EngineFixture.request(EngineFixture.prompt(150), policy: policy, budget: 24), engine)
    }
    let (copied, kept) = (try await answer("vector=1"), try await answer("abstract=keys"))
    #expect(copied.outcome == kept.outcome)
    let (many, few) = (copied.usage?.kv.first?.reading, kept.usage?.kv.first?.reading)
    #expect(many?.readBytes == few?.readBytes && many?.newBytes == few?.newBytes)
    #expect((many?.stateBytes ?? 0) > 4 * (few?.stateBytes ?? .max), "\(many as Any) \(few as Any)")
  }

  @Test(arguments: policies) func preemptionChangesNothing(policy: String) async throws {
    let requests = (0..<6).map { index in
      var request = EngineFixture.request(
        EngineFixture.prompt(index % 2 == 0 ? 10 : 110, seed: UInt64(index + 1)), policy: policy, budget: 24,
        maxTokens: 90)
      request.priority = index
      return request
    }
    let roomy = try engine { $0.contextLength = 224 }
    var expected: [[String]] = []
    for request in requests { expected.append(try await Answer.of(request, roomy).outcome) }
    let tight = try engine {
      $0.kvBytes = 9 * roomy.memoryPlan.blockBytes
      $0.contextLength = 224
    }
    let found = try await Answer.outcomes(requests, tight)
    for index in requests.indices { #expect(found[index] == expected[index], "request \(index)") }
    #expect(await tight.status().counters.preemptions > 0, "nothing was preempted, so this test shows nothing")
    await expectAllFree(tight)
  }

  @Test(arguments: policies) func answersOfOnePromptChooseForThemselves(policy: String) async throws {
    var request = EngineFixture.request(EngineFixture.prompt(100), policy: policy, budget: 24)
    request.sampling.temperature = 1
    request.seed = 5
    let engine = try engine()
    let one = try await Answer.of(request, engine)
    request.choices = 3
    let three = try await Answer.of(request, engine)
    #expect(three.tokens[0] == one.tokens[0])
    #expect(three.tokens[1] != three.tokens[0] && three.tokens.values.allSatisfy { $0.count == 40 })
    let small = try self.engine {
      $0.stepTokens = 16
      $0.mixedPrefillTokens = 16
      $0.runningLimit = 4
    }
    #expect(try await Answer.of(request, small).tokens == three.tokens)
    await expectAllFree(engine)
  }
}
