// Regimes, hysteresis, and that roles never swing.

import Testing
import WeirBasics
import WeirCluster
import WeirPolicies

/// Nodes that follow directives as real ones do, ticked by hand.
struct RoleBench {
  var plan: any RolePlan
  var states: [NodeID: RoleState] = [:]
  var nodes: [NodeFacts]
  let clock = ManualClock()
  /// Every change of a role that was ordered: time, node, and whether it leads home.
  var changes: [(seconds: Double, node: NodeID, isReturn: Bool)] = []

  init(_ plan: any RolePlan, homes: [(String, Role)], limit: Int = 16) {
    self.plan = plan
    nodes = homes.map { id, role in NodeFacts(joined: Samples.description(id, role: role, limit: limit)) }
    for (id, role) in homes { states[NodeID(id)] = RoleState(home: role) }
    clock.advance(bySeconds: 1)
  }

  func role(_ id: NodeID) -> Role { states[id]?.role ?? .mixed }

  var open: [NodeFacts] { nodes.filter(\.isOpen) }

  func takers(_ side: Side) -> Int { open.count { role($0.id).takes(side) } }

  /// Sets the loads of one node so that both scores are known: prefill by its queue, decode by its batch.
  mutating func load(_ index: Int, prefill: Double, decode: Double) {
    let capacity = nodes[index].description.capacity
    var load = LoadVector()
    load.computeUtilisation = prefill
    load.kvUsage = max(prefill, decode)
    load.waitingPromptTokens = prefill * Double(capacity.stepTokens) * 4
    load.sendingRequests = prefill * 8
    load.runningSequences = decode * Double(capacity.runningLimit)
    load.memoryBandwidthUtilisation = decode
    load.preemptedSequences = decode * 8
    nodes[index].average = load
  }

  mutating func tick(held: Int = 0) -> RoleDecision {
    clock.advance(bySeconds: plan.tickSeconds)
    for id in states.keys where states[id]?.endCycle() == true { note(id) }
    for index in nodes.indices { nodes[index].report.role = role(nodes[index].id) }
    let decision = plan.tick(RoleFacts(nodes: nodes, now: clock.now(), heldRequests: held))
    for directive in decision.directives {
      let before = role(directive.node)
      let isFollowed = states[directive.node]?.receive(directive)
      #expect(isFollowed == true, "a directive must be newer than all before")
      if role(directive.node) != before { note(directive.node) }
    }
    return decision
  }

  private mutating func note(_ id: NodeID) {
    changes.append((Double(clock.now().nanoseconds) / 1e9, id, role(id) == states[id]?.home))
  }
}

@Suite struct RegimeTests {
  private func bench(_ homes: [(String, Role)] = [("d", .decode), ("p", .prefill)]) -> RoleBench {
    RoleBench(LoadAwareRoles(), homes: homes)
  }

  @Test func anIdleNodeHelpsTheOverloadedSideAfterThreeTicks() throws {
    var bench = bench([("d1", .decode), ("d2", .decode), ("p", .prefill)])
    bench.load(0, prefill: 0, decode: 0.3)
    bench.load(1, prefill: 0, decode: 0.1)
    bench.load(2, prefill: 1, decode: 0)
    let first = bench.tick()
    #expect(first.directives.isEmpty)
    let second = bench.tick()
    #expect(second.directives.isEmpty)
    let decision = bench.tick()
    #expect(decision.regime == .prefillOverloaded)
    let directive = try #require(decision.directives.first)
    #expect(directive.node == NodeID("d2") && directive.role == .prefill)
    #expect(directive.timeToLiveCycles == 10)
    #expect(directive.reason.contains("prefill at 1.0"))
    #expect(decision.reason.contains("prefill"))
    // The last node of the idle side may help too, but keeps its own work.
    bench.load(1, prefill: 1, decode: 0)
    for _ in 0..<11 { _ = bench.tick() }
    #expect(bench.role(NodeID("d1")) == .mixed)
  }

  @Test func aShortPeakTurnsNobody() {
    var bench = bench()
    for round in 0..<100 {
      bench.load(1, prefill: round % 3 == 0 ? 0.5 : 1, decode: 0)
      let decision = bench.tick()
      #expect(decision.directives.isEmpty, "two ticks in a row are no imbalance")
    }
  }

  @Test func aFlipLivesEightCyclesAndGoesHomeWhenItIsNotNeeded() {
    var bench = bench()
    bench.load(1, prefill: 1, decode: 0)
    for _ in 0..<3 { _ = bench.tick() }
    #expect(bench.role(NodeID("d")) == .mixed)
    bench.load(1, prefill: 0, decode: 0)
    for _ in 0..<7 {
      _ = bench.tick()
      #expect(bench.role(NodeID("d")) == .mixed)
    }
    let decision = bench.tick()
    #expect(decision.directives.map(\.role) == [.decode])
    #expect(bench.role(NodeID("d")) == .decode)
  }

  @Test func aFlipStaysWhileItsSideWouldNotDoWithoutIt() {
    var bench = bench()
    bench.load(1, prefill: 1, decode: 0)
    for _ in 0..<3 { _ = bench.tick() }
    // Both at 0.4 of prefill: p alone would be at 0.8.
    bench.load(0, prefill: 0.4, decode: 0.2)
    bench.load(1, prefill: 0.4, decode: 0)
    for _ in 0..<400 {
      _ = bench.tick()
      #expect(bench.role(NodeID("d")) == .mixed)
    }
    #expect(bench.changes.count == 1)
  }

  @Test func aDeadControllerLeavesNoWrongRole() {
    var bench = bench()
    bench.load(1, prefill: 1, decode: 0)
    for _ in 0..<3 { _ = bench.tick() }
    #expect(bench.role(NodeID("d")) == .mixed)
    bench.plan = StaticRoles()
    for _ in 0..<10 { _ = bench.tick() }
    #expect(bench.role(NodeID("d")) == .decode)
  }

  @Test func aSideWithoutALiveNodeIsCoveredAtOnce() {
    var bench = bench()
    bench.nodes[1].isAlive = false
    let decision = bench.tick()
    #expect(decision.directives.map(\.role) == [.mixed])
    #expect(decision.reason.contains("no live node takes prefill"))
    for _ in 0..<200 {
      _ = bench.tick()
      #expect(bench.takers(.prefill) == 1 && bench.takers(.decode) == 1)
    }
    bench.nodes[1].isAlive = true
    for _ in 0..<20 { _ = bench.tick() }
    #expect(bench.role(NodeID("d")) == .decode)
    // Nobody at all is no reason to trap.
    for index in bench.nodes.indices { bench.nodes[index].isAlive = false }
    let none = bench.tick()
    #expect(none.directives.isEmpty)
  }

  @Test func bothSidesOverloadedForLongAskForANode() {
    var bench = bench()
    var hints: [(seconds: Double, hint: ScaleHint)] = []
    for round in 0..<400 {
      bench.load(0, prefill: 0, decode: 1)
      bench.load(1, prefill: 0.95, decode: 0)
      let decision = bench.tick()
      #expect(decision.directives.isEmpty, "no node is idle")
      if let hint = decision.scaling { hints.append((Double(round) / 4, hint)) }
      if round == 30 { #expect(decision.regime == .overloaded) }
    }
    #expect(hints.map(\.hint.change) == [1, 1, 1, 1])
    #expect(hints.map(\.hint.side) == [.decode, .decode, .decode, .decode])
    #expect(hints.first?.seconds == 5)
    #expect(zip(hints, hints.dropFirst()).allSatisfy { $1.seconds - $0.seconds >= 30 })
  }

  @Test func bothSidesIdleForLongCanSpareANode() {
    var bench = bench()
    var hints: [ScaleHint] = []
    for _ in 0..<300 { if let hint = bench.tick().scaling { hints.append(hint) } }
    #expect(hints.map(\.change) == [-1])
    // The last node is never spared.
    var single = RoleBench(LoadAwareRoles(), homes: [("a", .mixed)])
    for _ in 0..<300 {
      let decision = single.tick()
      #expect(decision.scaling == nil)
    }
  }

  @Test func requestsThatFindNoRoomSayThatDecodeIsFull() {
    var bench = bench()
    for _ in 0..<2 { _ = bench.tick(held: 5) }
    let decision = bench.tick(held: 5)
    #expect(decision.regime == .decodeOverloaded)
    #expect(bench.role(NodeID("p")) == .mixed)
  }

  @Test func theDigestsScoreAloneMissesALongQueueBesideARoomyPool() {
    var node = Samples.node("p", role: .prefill) { $0.report.queues.waitingPromptTokens = 50_000 }
    node.average.computeUtilisation = 1
    func score(_ weights: RoleScoreWeights) -> Double {
      var plan = LoadAwareRoles(configuration: LoadAwareRolesConfiguration(weights: weights))
      return plan.tick(RoleFacts(nodes: [node], now: Instant(nanoseconds: 1))).prefillScore
    }
    var plain = RoleScoreWeights()
    plain.fullQueueSeconds = 0
    #expect(abs(score(plain) - 0.7) < 1e-9, "0.5 for the queue, 0.2 for compute; never above 0.8")
    #expect(score(RoleScoreWeights()) == 1)
  }

  @Test func configurationsStayInTheirRanges() {
    let configuration = LoadAwareRolesConfiguration(
      tickSeconds: 0, highThreshold: 2, lowThreshold: 3, imbalanceTicks: 0, leastFlipTicks: 50, longestFlipTicks: 1,
      releaseThreshold: 0, idleThreshold: 5)
    #expect(configuration.tickSeconds == 0.01 && configuration.highThreshold == 1 && configuration.lowThreshold == 1)
    #expect(configuration.imbalanceTicks == 1 && configuration.longestFlipTicks == 50)
    #expect(configuration.releaseThreshold == 1 && configuration.idleThreshold == 1)
  }
}

/// Properties over traces that nobody chose to be kind.
@Suite struct RoleStabilityTests {
  enum Trace: String, CaseIterable, Sendable {
    case noise, squareWave, reactive, walk
  }

  /// One tick of loads; the reactive trace knows the roles and always overloads whatever side has fewer takers.
  private func drive(
    _ trace: Trace, _ round: Int, period: Int, _ bench: inout RoleBench, _ generator: inout SeededGenerator,
    _ walk: inout (Double, Double)
  ) {
    for index in bench.nodes.indices {
      switch trace {
      case .noise: bench.load(index, prefill: generator.unitDouble(), decode: generator.unitDouble())
      case .squareWave:
        let isHigh = round / period % 2 == 0
        bench.load(index, prefill: isHigh ? 1 : 0, decode: isHigh ? 0 : 1)
      case .reactive:
        let isPrefill = bench.takers(.prefill) < bench.takers(.decode)
        bench.load(index, prefill: isPrefill ? 1 : 0, decode: isPrefill ? 0 : 1)
      case .walk:
        walk.0 = min(1, max(0, walk.0 + (generator.unitDouble() - 0.5) * 0.1))
        walk.1 = min(1, max(0, walk.1 + (generator.unitDouble() - 0.5) * 0.1))
        bench.load(index, prefill: walk.0, decode: walk.1)
      }
    }
  }

  @Test(arguments: Trace.allCases, [11, 12, 13, 14, 15] as [UInt64]) func rolesAreBoundByLifeAndCooldown(
    trace: Trace, seed: UInt64
  ) {
    var generator = SeededGenerator(seed: seed)
    let configuration = LoadAwareRolesConfiguration()
    for run in 0..<8 {
      let context = "\(trace.rawValue), seed \(seed), run \(run)"
      let count = 1 + Int(generator.next() % 5)
      let homes = (0..<count).map { ("n\($0)", Role.allCases[Int(generator.next() % 3)]) }
      var bench = RoleBench(LoadAwareRoles(configuration: configuration), homes: homes)
      // A cluster may start without anybody for a side; the first tick covers that.
      _ = bench.tick()
      let covered = bench.changes.count
      let period = 1 + Int(generator.next() % 40)
      var walk = (0.5, 0.5)
      let rounds = 1200
      for round in 0..<rounds {
        drive(trace, round, period: period, &bench, &generator, &walk)
        _ = bench.tick(held: trace == .noise && generator.next() % 10 == 0 ? 3 : 0)
        for side in Side.allCases { #expect(bench.takers(side) > 0, "\(context): nobody for \(side)") }
      }
      let changes = bench.changes.dropFirst(covered)
      let seconds = Double(rounds) * configuration.tickSeconds
      let flips = changes.count { !$0.isReturn }
      #expect(Double(flips) <= seconds / configuration.cooldownSeconds + 1, "\(context): \(flips) flips")
      let leastLife = Double(configuration.leastFlipTicks) * configuration.tickSeconds
      for (id, own) in Dictionary(grouping: changes, by: \.node) {
        for (earlier, later) in zip(own, own.dropFirst()) {
          let least = later.isReturn ? leastLife : configuration.cooldownSeconds
          #expect(later.seconds - earlier.seconds > least - 1e-6, "\(context): node \(id) swings")
        }
      }
    }
  }

  @Test(arguments: [21, 22, 23, 24] as [UInt64]) func membersMayComeAndGo(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    var bench = RoleBench(
      LoadAwareRoles(), homes: [("a", .prefill), ("b", .decode), ("c", .decode), ("d", .mixed), ("e", .prefill)])
    for round in 0..<4000 {
      if generator.next() % 20 == 0 {
        bench.nodes[Int(generator.next() % 5)].isAlive.toggle()
      }
      for index in bench.nodes.indices {
        bench.load(index, prefill: generator.unitDouble(), decode: generator.unitDouble())
      }
      _ = bench.tick()
      guard !bench.open.isEmpty else { continue }
      for side in Side.allCases { #expect(bench.takers(side) > 0, "seed \(seed), round \(round): nobody for \(side)") }
    }
  }

  /// A constant demand, spread over whoever takes the side: roles must come to rest, or move ever more rarely.
  @Test func aConstantLoadConverges() {
    var worst = 0
    for (homes, name) in [
      ([Role.prefill, .decode], "1P1D"), ([.prefill, .decode, .decode], "1P2D"),
      ([.prefill, .prefill, .decode, .decode], "2P2D"), ([.prefill, .decode, .decode, .decode, .mixed], "1P3D1M"),
    ] {
      for step in 0..<36 {
        let demand = (Double(step % 6) * 0.45, Double(step / 6) * 0.45)
        var bench = RoleBench(
          LoadAwareRoles(), homes: homes.enumerated().map { ("n\($0.offset)", $0.element) })
        for _ in 0..<2400 {  // 10 minutes
          let prefill = min(1, demand.0 / Double(max(1, bench.takers(.prefill))))
          let decode = min(1, demand.1 / Double(max(1, bench.takers(.decode))))
          for index in bench.nodes.indices {
            let role = bench.role(bench.nodes[index].id)
            bench.load(index, prefill: role.takes(.prefill) ? prefill : 0, decode: role.takes(.decode) ? decode : 0)
          }
          _ = bench.tick()
        }
        let late = bench.changes.count { $0.seconds > 300 }
        worst = max(worst, late)
        #expect(late <= 2 * homes.count, "\(name), demand \(demand): \(late) changes in the second five minutes")
      }
    }
    print("constant load: at most \(worst) role changes in the second five minutes of 144 clusters")
  }
}
