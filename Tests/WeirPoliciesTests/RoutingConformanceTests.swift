// Laws that every routing policy of the catalogue keeps, over random clusters.

import Testing
import WeirBasics
import WeirCluster
import WeirPolicies

@Suite struct RoutingConformanceTests {
  /// A cluster with everything that can be wrong with nodes.
  private func randomFacts(_ generator: inout SeededGenerator) -> (RouteFacts, RouteRequest) {
    func pick(_ count: Int) -> Int { Int(generator.next() % UInt64(count)) }
    let nodes = (0..<(1 + pick(6))).map { index in
      var description = Samples.description(
        "n\(index)", role: Role.allCases[pick(3)], model: pick(6) == 0 ? ModelFingerprint("other") : Samples.model,
        blocks: [20, 100, 1000][pick(3)], context: [256, 4096][pick(2)])
      if pick(8) == 0 { description.protocolVersion = 0 }
      var node = NodeFacts(joined: description)
      node.isAlive = pick(5) != 0
      node.report.role = Role.allCases[pick(3)]
      node.report.isDraining = pick(8) == 0
      let total = description.capacity.totalBlocks
      node.report.queues.freeBlocks = pick(total + 1)
      node.report.queues.cachedBlocks = pick(total - node.report.queues.freeBlocks + 1)
      node.report.promisedBlocks = pick(40)
      node.report.queues.runningSequences = pick(20)
      node.report.queues.waitingRequests = pick(4)
      node.report.queues.waitingPromptTokens = pick(3) * 500
      node.report.waitingDecodes = pick(3)
      node.report.sendingRequests = pick(3)
      func rate() -> MeasuredRate? {
        pick(3) == 0 ? nil : MeasuredRate(perSecond: 10 + Double(pick(1000)), ageSeconds: Double(pick(200)))
      }
      node.report.speeds = MeasuredSpeeds(
        prefillTokens: rate(), decodeTokens: rate(), decodeBatch: Double(pick(16)),
        links: pick(2) == 0
          ? [] : [LinkSpeed(peer: NodeID("n0"), bytesPerSecond: 1e8, operationSeconds: 1e-4)])
      return node
    }
    var hits: [String: Int] = [:]
    for node in nodes where pick(3) == 0 { hits[node.id.rawValue] = pick(2000) }
    let request = Samples.request(1 + pick(600), 1 + pick(300), hits: hits)
    return (Samples.facts(nodes, turn: UInt64(pick(100))), request)
  }

  private func canTake(_ node: NodeFacts, _ request: RouteRequest) -> Bool {
    node.isAlive && !node.report.isDraining && node.description.model == request.model
      && node.description.protocolVersion == request.protocolVersion
      && node.description.capacity.contextLength >= request.wholeTokens
      && node.description.capacity.totalBlocks * 16 >= request.wholeTokens
  }

  private func hasRoom(_ node: NodeFacts, _ request: RouteRequest) -> Bool {
    (node.report.queues.freeBlocks + node.report.queues.cachedBlocks - node.report.promisedBlocks) * 16
      >= request.wholeTokens
  }

  @Test(arguments: RoutingKey.allCases, [1, 2, 3] as [UInt64]) func lawsHoldOnRandomClusters(
    key: RoutingKey, seed: UInt64
  ) throws {
    var generator = SeededGenerator(seed: seed)
    let policy = key.policy
    var placed = 0
    for round in 0..<2000 {
      let (facts, request) = randomFacts(&generator)
      let context = "\(key.rawValue), seed \(seed), round \(round)"
      var first = SeededGenerator(seed: UInt64(round))
      var second = first
      let route: Route
      do {
        route = try policy.route(request, facts, generator: &first)
      } catch {
        // Refused only if no node could take the request, or those that decode are full.
        let able = facts.nodes.filter { canTake($0, request) }
        let decoding = able.filter { $0.role.takes(.decode) }
        let asked = decoding.isEmpty ? able : decoding
        #expect(!asked.contains { hasRoom($0, request) }, "\(context): \(error)")
        #expect(!error.message.isEmpty && !error.code.isEmpty)
        continue
      }
      placed += 1
      let prefill = try #require(facts.nodes.first { $0.id == route.prefill })
      let decode = try #require(facts.nodes.first { $0.id == route.decode })
      #expect(canTake(prefill, request) && canTake(decode, request), "\(context)")
      #expect(hasRoom(decode, request), "\(context): decode node without room")
      for (node, side) in [(prefill, Side.prefill), (decode, Side.decode)] where !node.role.takes(side) {
        #expect(!facts.nodes.contains { canTake($0, request) && $0.role.takes(side) }, "\(context): role ignored")
      }
      let reversed = RouteFacts(nodes: facts.nodes.reversed(), now: facts.now, turn: facts.turn)
      #expect(try policy.route(request, reversed, generator: &second) == route, "\(context): not deterministic")
      #expect(route.reasons.policy == key.rawValue)
      #expect(!route.reasons.sentence.isEmpty)
      #expect(route.reasons.options.allSatisfy { $0.cost.isFinite && $0.cost >= 0 }, "\(context)")
      #expect(route.json["prefill"]?.string == route.prefill.rawValue)
    }
    #expect(placed > 500, "\(placed) of 2000 were placed: the clusters are too broken to test anything")
  }

  @Test(arguments: RoutingKey.allCases) func tiesGoToTheLowerId(key: RoutingKey) throws {
    var generator = SeededGenerator(seed: 1)
    for roles in [[Role.mixed, .mixed, .mixed, .mixed], [.decode, .prefill, .decode, .prefill]] {
      let nodes = zip(["d", "b", "a", "c"], roles).map { Samples.node($0, role: $1) }
      let route = try key.policy.route(Samples.request(), Samples.facts(nodes), generator: &generator)
      let isMixed = roles[0] == .mixed
      #expect(route.prefill == NodeID(isMixed ? "a" : "b"), "\(key.rawValue)")
      #expect(route.decode == NodeID("a"), "\(key.rawValue)")
    }
  }

  @Test(arguments: RoutingKey.allCases) func everyPolicyExplainsWhomItDidNotAsk(key: RoutingKey) throws {
    var generator = SeededGenerator(seed: 1)
    let nodes = [
      Samples.node("a"), Samples.node("b") { $0.isAlive = false }, Samples.node("c") { $0.report.isDraining = true },
      Samples.node("d") { $0.description.model = ModelFingerprint("x") },
      Samples.node("e") { $0.report.queues.freeBlocks = 1 },
      Samples.node("f") { $0.description.capacity.totalBlocks = 2 },
    ]
    let route = try key.policy.route(Samples.request(), Samples.facts(nodes), generator: &generator)
    let causes = Dictionary(uniqueKeysWithValues: route.reasons.refusals.map { ($0.node.rawValue, $0.cause) })
    #expect(causes == ["b": .dead, "c": .draining, "d": .otherModel, "e": .noRoom, "f": .tooSmall])
  }

  @Test func errorsSayWhatIsMissing() throws {
    var generator = SeededGenerator(seed: 1)
    let policy = LoadAware()
    func failure(_ nodes: [NodeFacts], _ request: RouteRequest = Samples.request()) -> RoutingError? {
      do {
        _ = try policy.route(request, Samples.facts(nodes), generator: &generator)
        return nil
      } catch { return error }
    }
    #expect(failure([]) == .noNode)
    #expect(failure([Samples.node("a") { $0.isAlive = false }]) == .noNode)
    #expect(
      failure([Samples.node("a")], Samples.request(model: ModelFingerprint("z")))
        == .modelNotServed(ModelFingerprint("z")))
    #expect(failure([Samples.node("a")], Samples.request(20_000)) == .tooLong(tokens: 20_100, limit: 16_000))
    #expect(
      failure([Samples.node("a") { $0.report.queues.freeBlocks = 60 }]) == .noRoom(tokens: 1100, roomTokens: 960))
    #expect(RoutingError.noNode.isRetryable && !RoutingError.tooLong(tokens: 2, limit: 1).isRetryable)
  }

  @Test func keysAreKebabCaseAndOnceEach() {
    let keys = RoutingKey.allCases.map(\.rawValue)
    #expect(keys == ["round-robin", "least-loaded", "prefix-aware", "load-aware"])
    for key in keys + RolesKey.allCases.map(\.rawValue) {
      #expect(key.utf8.allSatisfy { $0 == UInt8(ascii: "-") || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) })
    }
    #expect(Set(RoutingKey.allCases.map(\.summary)).count == keys.count)
    #expect(RolesKey.allCases.map { $0.plan(firstEpoch: 1).tickSeconds } == [0.25, 0.25])
  }
}
