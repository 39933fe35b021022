// The router's part in FlowKV's role flips: it ticks the role plans and tells nodes what they decided.
//
// One router of a cluster directs. With a registry that is whoever holds its control lease, and the lease's term is the
// upper part of every epoch; without one it is the router that claimed last, because its epochs begin with the
// time; one that is refused waits `yieldSeconds` and claims again, so two of them take turns.

import Logging
import WeirBasics
import WeirCluster

struct RoleController: Sendable {
  static let leaseSeconds = 3.0
  /// An order is on its way for some time, and so is its renewal: a directive lives so many cycles longer.
  static let slackCycles = 4
  /// After a node has followed a newer router, this one directs nobody for so long.
  static let yieldSeconds = 10.0
  /// Epochs of one term.
  private static let termShift = 20

  let state: RouterState
  let roles: RouterRoles
  let secret: ClusterSecret

  /// What is kept from tick to tick.
  private struct Term {
    var lease: ControlLease?
    var renewal = Instant(nanoseconds: 0)
    /// Nil: somebody else directs.
    var firstEpoch: Int?
    var notBefore = Instant(nanoseconds: 0)
    var plans: [ModelFingerprint: any RolePlan] = [:]
  }

  /// Directs until it is cancelled; then its right is given up.
  func run() async {
    var term = Term()
    var tickSeconds = 0.25
    await waitForNodes()
    while !Task.isCancelled {
      let start = state.environment.clock.now()
      await claim(&term)
      state.keep { $0.isController = term.firstEpoch != nil }
      if let firstEpoch = term.firstEpoch {
        tickSeconds = await tick(&term, firstEpoch)
      } else {
        // What was held while another router directed is that one's matter.
        _ = state.takeUnroomed()
      }
      let rest = tickSeconds - state.environment.clock.now().seconds(since: start)
      if rest > 0 { try? await Task.sleep(nanoseconds: UInt64(rest * 1e9)) }
    }
    guard let lease = term.lease, let registry = state.configuration.registry else { return }
    // A call of a cancelled task would be cancelled too.
    await Task.detached { try? await registry.releaseControl(lease) }.value
  }

  /// Waits until every configured node has been heard, or has had its time: whoever has not answered yet is not missing,
  /// and a side must not be covered for it.
  private func waitForNodes() async {
    let clock = state.environment.clock
    let end = clock.now().advanced(bySeconds: state.configuration.staleSeconds)
    while !Task.isCancelled, state.nodes.contains(where: { $0.facts == nil }), clock.now() < end {
      try? await Task.sleep(nanoseconds: UInt64(min(0.05, state.configuration.pollSeconds) * 1e9))
    }
  }

  // MARK: the right to direct

  private func claim(_ term: inout Term) async {
    let now = state.environment.clock.now()
    guard let registry = state.configuration.registry else {
      if term.firstEpoch == nil, now >= term.notBefore {
        term.firstEpoch = state.environment.unixSeconds() << Self.termShift
      }
      return
    }
    guard now >= term.renewal else { return }
    term.renewal = now.advanced(bySeconds: Self.leaseSeconds / 3)
    do throws(RegistryError) {
      if let lease = term.lease {
        try await registry.keepControl(lease)
      } else if let lease = try await registry.claimControl(state.id, leaseSeconds: Self.leaseSeconds) {
        term.lease = lease
        term.firstEpoch = lease.term << Self.termShift
        state.logger.notice("this router directs roles", metadata: ["term": "\(lease.term)"])
      }
    } catch {
      // Whether the lease still runs is not known: whoever is not sure does not direct.
      if term.lease != nil { state.logger.warning("the right to direct is lost", metadata: ["error": "\(error)"]) }
      term = Term(renewal: term.renewal)
    }
  }

  // MARK: a tick

  /// Decides for every model, and sends what was decided. Returns the seconds until the next tick.
  private func tick(_ term: inout Term, _ firstEpoch: Int) async -> Double {
    let facts = state.facts
    let held = state.takeUnroomed()
    let models = Dictionary(grouping: facts) { $0.description.model }
    term.plans = term.plans.filter { models[$0.key] != nil }
    state.keep { $0.decisions = $0.decisions.filter { models[$0.key] != nil } }
    var orders: [(directive: RoleDirective, node: NodeFacts)] = []
    for (model, nodes) in models {
      var plan = term.plans[model] ?? roles.plan(firstEpoch)
      let decision = plan.tick(
        RoleFacts(nodes: nodes, now: state.environment.clock.now(), heldRequests: held[model] ?? 0))
      term.plans[model] = plan
      state.keep { $0.note(decision, of: model) }
      if let hint = decision.scaling {
        state.logger.notice(
          "scale hint", metadata: ["side": "\(hint.side)", "change": "\(hint.change)", "reason": "\(hint.reason)"])
      }
      for directive in decision.directives {
        guard let node = nodes.first(where: { $0.id == directive.node }) else { continue }
        orders.append((directive, node))
      }
    }
    if await send(orders) {
      state.logger.warning("another router directs this cluster's roles; this one waits")
      term = Term(notBefore: state.environment.clock.now().advanced(bySeconds: Self.yieldSeconds))
    }
    return term.plans.values.map(\.tickSeconds).min() ?? 0.25
  }

  /// Sends orders, all at once; true if a node follows a newer router.
  private func send(_ orders: [(directive: RoleDirective, node: NodeFacts)]) async -> Bool {
    guard !orders.isEmpty else { return false }
    return await withTaskGroup(of: Bool.self) { group in
      for (directive, node) in orders { group.addTask { await send(directive, to: node) } }
      return await group.reduce(false) { $0 || $1 }
    }
  }

  private func send(_ given: RoleDirective, to node: NodeFacts) async -> Bool {
    var directive = given
    directive.incarnation = node.description.incarnation
    directive.timeToLiveCycles = min(directive.timeToLiveCycles + Self.slackCycles, RoleDirective.longestLife)
    directive.seal = secret.seal(directive.statement, purpose: NodeRole.purpose)
    var isStale = false
    let outcome: RoleFlip.Outcome
    if let registry = state.configuration.registry, state.isMember(directive.node) {
      outcome = await publish(directive, registry)
    } else {
      (outcome, isStale) = await post(directive)
    }
    let flip = RoleFlip(
      unixSeconds: state.environment.unixSeconds(), node: directive.node, from: node.role, to: directive.role,
      reason: directive.reason, epoch: directive.epoch, outcome: outcome)
    state.keep { $0.note(flip, isReturn: directive.role == node.description.homeRole) }
    if outcome == .followed || outcome == .published {
      state.ordered(directive.role, of: node, isFollowed: outcome == .followed)
    }
    if flip.from != flip.to {
      state.logger.notice(
        "role",
        metadata: [
          "node": "\(flip.node)", "from": "\(flip.from.rawValue)", "to": "\(flip.to.rawValue)",
          "reason": "\(flip.reason)", "outcome": "\(outcome.rawValue)",
        ])
    }
    return isStale
  }

  private func publish(_ directive: RoleDirective, _ registry: any Registry) async -> RoleFlip.Outcome {
    do throws(RegistryError) {
      try await registry.direct(directive)
      return .published
    } catch {
      return .unreachable
    }
  }

  private func post(_ directive: RoleDirective) async -> (RoleFlip.Outcome, isStale: Bool) {
    guard let url = state.url(of: directive.node) else { return (.unreachable, false) }
    do throws(UpstreamError) {
      let (answer, bytes) = try await state.upstream.exchange(
        "POST", url + "/weir/role", headers: [("content-type", "application/json")],
        body: directive.json.serializedBytes(), timeoutSeconds: state.configuration.directiveSeconds)
      if answer.status == 200 { return (.followed, false) }
      let code = (try? JSONValue.parse(utf8: bytes))?["error"]?["code"]?.string ?? "\(answer.status)"
      state.logger.warning("a node refused its role", metadata: ["node": "\(directive.node)", "code": "\(code)"])
      return (.refused, code == "stale_epoch")
    } catch {
      return (.unreachable, false)
    }
  }
}
