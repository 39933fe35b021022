// A cluster inside one process: engines as nodes, the router's view and decisions as values, roles that change.

import WeirBasics
import WeirCluster
import WeirEngine

/// Routes requests to engines and lets their roles follow a plan, with the code that a router runs and without its wires.
actor LocalCluster {
  /// What happened to roles.
  struct Change: Sendable {
    var node: NodeID
    var role: Role
    var reason: String
  }

  private let engines: [any TextEngine]
  private let descriptions: [NodeDescription]
  private let routing: any Routing
  private var plan: any RolePlan
  private let clock: any WeirClock
  private var view = ClusterView()
  private var states: [RoleState]
  private var sequence = 0
  private var turn: UInt64 = 0
  private var generator: SeededGenerator
  private var held = 0
  private(set) var changes: [Change] = []

  /// - Throws: `EngineError` if an engine takes no part in handoffs.
  init(
    _ engines: [any TextEngine], homes: [Role], routing: any Routing, plan: any RolePlan, clock: any WeirClock,
    seed: UInt64
  ) throws(EngineError) {
    self.engines = engines
    self.routing = routing
    self.plan = plan
    self.clock = clock
    generator = SeededGenerator(seed: seed)
    states = homes.map { RoleState(home: $0) }
    var descriptions: [NodeDescription] = []
    for (index, engine) in engines.enumerated() {
      guard
        let description = engine.information.nodeDescription(
          NodeID("node\(index)"), incarnation: 1, addresses: NodeAddresses(http: "in-process"), homeRole: homes[index])
      else {
        throw EngineError(.invalidConfiguration, message: "engine \(index) has no KV of its own to hand over")
      }
      descriptions.append(description)
    }
    self.descriptions = descriptions
    let members = descriptions.map { MembershipEvent.joined($0) }
    let now = clock.now()
    for member in members { view.apply(member, now: now) }
  }

  var tickSeconds: Double { plan.tickSeconds }

  /// Where a request goes: places in the list of engines. Waits while no node has room.
  func route(_ request: RouteRequest) async throws -> (prefill: Int, decode: Int) {
    while true {
      await refresh()
      let now = clock.now()
      do {
        let route = try routing.route(
          request, RouteFacts(nodes: view.facts(now: now), now: now, turn: turn), generator: &generator)
        turn += 1
        view.placed(route, request, now: now)
        return (place(route.prefill), place(route.decode))
      } catch {
        guard error.isRetryable else { throw error }
        held += 1
        defer { held -= 1 }
        try await Task.sleep(for: .milliseconds(5))
      }
    }
  }

  /// An answer, or the prefill of one, has ended: the next report tells of it no more, and neither does its placement.
  func ended(_ request: RequestID, on place: Int) { view.ended(request, on: descriptions[place].id) }

  /// One tick of the plan; nodes follow what it says, and count down what they were told.
  func tick() async {
    await refresh()
    let now = clock.now()
    for index in states.indices {
      let before = states[index].role
      if states[index].endCycle() { note(index, before, "its directive ended") }
    }
    let decision = plan.tick(RoleFacts(nodes: view.facts(now: now), now: now, heldRequests: held))
    for directive in decision.directives {
      let index = place(directive.node)
      let before = states[index].role
      _ = states[index].receive(directive)
      note(index, before, directive.reason)
    }
  }

  private func note(_ index: Int, _ before: Role, _ reason: String) {
    guard states[index].role != before else { return }
    changes.append(Change(node: descriptions[index].id, role: states[index].role, reason: reason))
  }

  private func refresh() async {
    var statuses: [EngineStatus] = []
    for engine in engines { statuses.append(await engine.status()) }
    // All at once: a tick in between would make one report of before and one of after it.
    for (index, status) in statuses.enumerated() {
      sequence += 1
      view.apply(
        .reported(
          status.loadReport(of: descriptions[index].id, incarnation: 1, sequence: sequence, role: states[index].role)),
        now: clock.now())
    }
  }

  private func place(_ id: NodeID) -> Int { descriptions.firstIndex { $0.id == id } ?? 0 }
}
