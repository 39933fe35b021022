// What each routing policy decides, with numbers that can be checked by hand.

import Testing
import WeirBasics
import WeirCluster
import WeirPolicies

@Suite struct LoadAwareRoutingTests {
  private func route(
    _ request: RouteRequest, _ nodes: [NodeFacts], _ configuration: LoadAware.Configuration = .init(exploredShare: 0)
  ) throws -> Route {
    var generator = SeededGenerator(seed: 3)
    return try LoadAware(configuration: configuration).route(request, Samples.facts(nodes), generator: &generator)
  }

  @Test func prefillGoesWhereTheFirstTokenComesSoonest() throws {
    // a: (0 + 1000) / 1000 = 1 s. b: (3000 + 1000) / 5000 = 0.8 s. c: (0 + 1000 - 800) / 500 = 0.4 s.
    let nodes = [
      Samples.node("a", role: .prefill),
      Samples.node("b", role: .prefill, prefill: 5000) { $0.report.queues.waitingPromptTokens = 3000 },
      Samples.node("c", role: .prefill, prefill: 500), Samples.node("d", role: .decode),
    ]
    #expect(try route(Samples.request(), nodes).prefill == NodeID("b"))
    let hit = try route(Samples.request(hits: ["c": 800]), nodes)
    #expect(hit.prefill == NodeID("c"))
    #expect(hit.reasons.term("first_token_seconds", "a", .prefill) == 1)
    #expect(hit.reasons.term("first_token_seconds", "b", .prefill) == 0.8)
    #expect(hit.reasons.term("first_token_seconds", "c", .prefill) == 0.4)
    #expect(hit.reasons.term("uncached_prompt_tokens", "c", .prefill) == 200)
  }

  @Test func runningDecodesSlowThePrefillBesideThem() throws {
    // 1000 tokens in steps of 256 are 4 steps; each carries 8 rows at 400 tokens/s = 0.02 s.
    let nodes = [
      Samples.node("a", role: .mixed) { $0.report.queues.runningSequences = 8 }, Samples.node("b", role: .mixed),
    ]
    let route = try route(Samples.request(), nodes)
    #expect(route.prefill == NodeID("b"))
    let seconds = try #require(route.reasons.term("first_token_seconds", "a", .prefill))
    #expect(abs(seconds - 1.08) < 1e-9)
  }

  @Test func decodeGoesWhereTransferAndAnswerEndSoonest() throws {
    // 1000 tokens are 63 blocks of 2 layers * 2 parts * 4096 bytes; twice the bytes of K and V.
    let bytes = 63.0 * Double(Samples.shape.blockBytes)
    let source = Samples.node("p", role: .prefill) {
      $0.report.speeds.links = [
        LinkSpeed(peer: NodeID("d"), bytesPerSecond: bytes, operationSeconds: 0.01),
        LinkSpeed(peer: NodeID("e"), bytesPerSecond: bytes / 3, operationSeconds: 0.01),
      ]
    }
    // An answer of 100 tokens in steps of max(1, 8) / 400 s takes 2 s on either.
    let near = Samples.node("d", role: .decode)
    let far = Samples.node("e", role: .decode)
    let first = try route(Samples.request(), [source, near, far])
    #expect(first.decode == NodeID("d"))
    #expect(try abs(#require(first.reasons.term("transfer_seconds", "d", .decode)) - 1.04) < 1e-9)
    #expect(try abs(#require(first.reasons.term("transfer_seconds", "e", .decode)) - 3.04) < 1e-9)
    #expect(first.reasons.term("answer_seconds", "d", .decode) == 2)
    // With 15 running there the answer takes 16 / 400 * 100 = 4 s: still 5.04 against 5.04 s; with one more wait, e.
    var busy = near
    busy.report.queues.runningSequences = 16
    let second = try route(Samples.request(), [source, busy, far])
    #expect(second.decode == NodeID("e"))
    #expect(second.reasons.term("place_wait_seconds", "d", .decode) == 0.25)
    // What e holds already need not travel.
    let third = try route(Samples.request(hits: ["e": 992]), [source, near, far])
    #expect(third.decode == NodeID("e"))
  }

  @Test func queuedPrefillsDisturbTheDecodeBesideThem() throws {
    // 5120 queued tokens at 1000 tokens/s: an answer of 10 tokens meets at most 10 steps of 256.
    let nodes = [
      Samples.node("a", role: .prefill),
      Samples.node("b", role: .mixed) { $0.report.queues.waitingPromptTokens = 5120 },
      Samples.node("c", role: .decode) { $0.report.queues.runningSequences = 12 },
    ]
    let route = try route(Samples.request(1000, 10), nodes)
    #expect(route.reasons.term("disturbed_seconds", "b", .decode) == 2.56)
    #expect(route.decode == NodeID("c"))
  }

  @Test func oneNodeDoesBothWhenThatEndsSooner() throws {
    let slowLink = LinkSpeed(peer: NodeID("b"), bytesPerSecond: 1e5, operationSeconds: 0)
    let nodes = [
      Samples.node("a") { $0.report.speeds.links = [slowLink] },
      Samples.node("b") { $0.report.queues.waitingPromptTokens = 4000 },
    ]
    let together = try route(Samples.request(), nodes)
    #expect(together.isColocated && together.prefill == NodeID("a"))
    let apart = try route(Samples.request(), nodes, .init(colocation: .never, exploredShare: 0))
    #expect(apart.reasons.options.allSatisfy { $0.side != nil })
    // Roles hold even where one node would be faster.
    let strict = try route(
      Samples.request(), [Samples.node("a", role: .prefill), Samples.node("b", role: .decode)])
    #expect(strict.prefill == NodeID("a") && strict.decode == NodeID("b"))
  }

  @Test func unmeasuredNodesAreTakenForUsualOnesAndTried() throws {
    let nodes = [
      Samples.node("a", prefill: 400), Samples.node("b", prefill: 600), Samples.node("c", prefill: nil, decode: nil),
    ]
    let usual = try route(Samples.request(), nodes)
    #expect(usual.reasons.term("prefill_tokens_per_second", "c", .prefill) == 400)
    #expect(usual.reasons.term("is_measured", "c", .prefill) == 0)
    let nobody = try route(Samples.request(), [Samples.node("a", prefill: nil, decode: nil)])
    #expect(nobody.reasons.term("prefill_tokens_per_second", "a", .prefill) == 200)
    let always = try route(Samples.request(), nodes, .init(exploredShare: 1))
    #expect(always.prefill == NodeID("c") && always.decode == NodeID("c"))
    #expect(always.reasons.sentence.contains("no recent measurement"))
    // The share is kept: 5 % of 4000 requests, within four standard deviations (13.8).
    var generator = SeededGenerator(seed: 8)
    var tried = 0
    for _ in 0..<4000 {
      let route = try LoadAware().route(Samples.request(), Samples.facts(nodes), generator: &generator)
      if route.prefill == NodeID("c") { tried += 1 }
    }
    #expect((145...255).contains(tried), "seed 8: \(tried) of 4000")
  }

  @Test func configurationsStayInTheirRanges() {
    let configuration = LoadAware.Configuration(
      priorPrefillTokensPerSecond: -1, priorBytesPerSecond: 0, exploredShare: 7, staleSeconds: 0)
    #expect(configuration.priorPrefillTokensPerSecond == 0.001)
    #expect(configuration.priorBytesPerSecond == 1)
    #expect(configuration.exploredShare == 1)
    #expect(configuration.staleSeconds == 1)
  }
}

@Suite struct BaselineRoutingTests {
  @Test func roundRobinVisitsEveryNode() throws {
    var generator = SeededGenerator(seed: 1)
    let nodes = ["a", "b", "c"].map { Samples.node($0) }
    let visited = try (0..<6).map { turn in
      try RoundRobin().route(Samples.request(), Samples.facts(nodes, turn: UInt64(turn)), generator: &generator).prefill
    }
    #expect(visited == ["a", "b", "c", "a", "b", "c"].map { NodeID($0) })
  }

  @Test func leastLoadedJoinsTheShortestQueues() throws {
    var generator = SeededGenerator(seed: 1)
    let nodes = [
      Samples.node("a", role: .prefill) { $0.report.queues.waitingPromptTokens = 10 },
      Samples.node("b", role: .prefill) { $0.report.queues.waitingPromptTokens = 9 },
      Samples.node("c", role: .decode) { $0.report.queues.runningSequences = 3 },
      Samples.node("d", role: .decode) {
        $0.report.queues.runningSequences = 1
        $0.report.waitingDecodes = 1
      },
    ]
    let route = try LeastLoaded().route(Samples.request(), Samples.facts(nodes), generator: &generator)
    #expect(route.prefill == NodeID("b") && route.decode == NodeID("d"))
  }

  @Test func prefixAwareWeighsCachedBlocksAgainstBusyOnes() throws {
    // a holds 800 of 1000 tokens: 13 blocks to prefill, 63 of its own; 30 more are busy: 106. b: 63 + 63 = 126.
    let nodes = [Samples.node("a") { $0.report.queues.freeBlocks -= 30 }, Samples.node("b")]
    var generator = SeededGenerator(seed: 1)
    let request = Samples.request(hits: ["a": 800])
    let route = try PrefixAware().route(request, Samples.facts(nodes), generator: &generator)
    #expect(route.prefill == NodeID("a"))
    #expect(route.reasons.options.map(\.cost) == [106, 126])
    let balanced = try PrefixAware(overlapWeight: 0.5).route(request, Samples.facts(nodes), generator: &generator)
    #expect(balanced.prefill == NodeID("b"), "half the weight: 99.5 against 94.5")
  }

  @Test func aTemperatureSpreadsTheChoice() throws {
    let nodes = [Samples.node("a"), Samples.node("b") { $0.report.queues.freeBlocks -= 30 }]
    var generator = SeededGenerator(seed: 4)
    var counts: [NodeID: Int] = [:]
    for _ in 0..<4000 {
      let policy = PrefixAware(temperature: 1)
      let node = try policy.route(Samples.request(), Samples.facts(nodes), generator: &generator).prefill
      counts[node, default: 0] += 1
    }
    // Weights 1 and exp(-1): 73.1 % of 4000 is 2924, four standard deviations are 112.
    let share = counts[NodeID("a")] ?? 0
    #expect((2812...3036).contains(share), "seed 4: \(share)")
  }
}
