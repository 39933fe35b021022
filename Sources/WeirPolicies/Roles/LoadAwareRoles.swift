// Roles that follow the load (key `load-aware`).
//
// What: three regimes. Normal: roles stay. One side overloaded, the other idle: the idlest node of the idle side takes
//   the other side's work for some cycles. Both sides overloaded, or both idle, for long: a hint to change the size.
// Why: a fixed ratio of prefill and decode nodes leaves one side idle as soon as the mix of requests drifts.
// Paper: FlowKV (arXiv 2504.03775), load-aware scheduler. Weights and thresholds are unpublished; the defaults are its
//   digest's.
// Deviations: stated hysteresis, cool-down and least life of a flip; a node that flips back and is needed again soon
//   stays longer each time (doubling), so that a constant load cannot make roles swing for ever; the last node of a
//   side becomes mixed instead of changing sides, and a side without any live node is covered at once.

import WeirBasics
public import WeirCluster

/// FlowKV's three regimes as a value. One plan per model, ticked every `tickSeconds`.
public struct LoadAwareRoles: RolePlan {
  public let configuration: LoadAwareRolesConfiguration
  public var tickSeconds: Double { configuration.tickSeconds }

  /// A node that acts in another role than its own.
  private struct Flip {
    var role: Role
    var helped: Side
    /// Ticks until the flip is looked at again.
    var remaining: Int
    var life: Int
  }

  private struct Past {
    var returned: Instant
    /// Least life of the next flip, in ticks.
    var life: Int
  }

  private var epoch: Int
  private var flips: [NodeID: Flip] = [:]
  private var past: [NodeID: Past] = [:]
  private var lastChange: Instant?
  private var imbalance: (side: Side, ticks: Int)?
  private var overloadedSince: Instant?
  private var idleSince: Instant?
  private var lastHint: Instant?

  /// - Parameters:
  ///   - configuration: thresholds and times.
  ///   - firstEpoch: larger than every epoch that an earlier plan of this cluster used: nodes ignore older ones.
  public init(
    configuration: LoadAwareRolesConfiguration = LoadAwareRolesConfiguration(), firstEpoch: Int = 1
  ) {
    self.configuration = configuration
    epoch = firstEpoch
  }

  public mutating func tick(_ facts: RoleFacts) -> RoleDecision {
    let nodes = facts.nodes.filter(\.isOpen)
    let present = Set(nodes.map(\.id))
    flips = flips.filter { present.contains($0.key) }
    guard !nodes.isEmpty else {
      imbalance = nil
      overloadedSince = nil
      idleSince = nil
      return RoleDecision(regime: .normal, prefillScore: 0, decodeScore: 0, reason: "no node is alive and open")
    }
    let board = Board(
      nodes, weights: configuration.weights, held: facts.heldRequests, roles: flips.mapValues(\.role))
    var decision = RoleDecision(
      regime: .normal, prefillScore: board.score(.prefill), decodeScore: board.score(.decode),
      reason: "prefill \(shown(board.score(.prefill))), decode \(shown(board.score(.decode)))")
    if let directive = cover(board, facts.now) {
      decision.directives = [directive]
      decision.reason = directive.reason
      return decision
    }
    decision.directives = age(board, facts.now)
    judge(board, facts.now, &decision)
    decision.directives.sort { $0.node < $1.node }
    return decision
  }

  // MARK: - Flips

  /// A side that no live node takes gets the least loaded node as a mixed one, without waiting for anything.
  private mutating func cover(_ board: Board, _ now: Instant) -> RoleDirective? {
    for side in Side.allCases where board.takers(of: side).isEmpty {
      guard let helper = board.idlest(of: board.ids, side: side.other) else { continue }
      return flip(
        helper, to: .mixed, helping: side, life: configuration.leastFlipTicks, now: now,
        reason: "no live node takes \(side.rawValue): node \(helper) takes both")
    }
    return nil
  }

  /// Counts down the flips; at the end of its life one is renewed while it is needed, or ended.
  private mutating func age(_ board: Board, _ now: Instant) -> [RoleDirective] {
    var directives: [RoleDirective] = []
    // One return per tick: two at once could leave a side without anybody.
    var hasReturned = false
    for id in flips.keys.sorted() {
      guard var held = flips[id] else { continue }
      held.remaining -= 1
      flips[id] = held
      guard held.remaining <= 0, let home = board.home(id) else { continue }
      let without = board.score(held.helped, without: id)
      let ownSide = board.score(held.helped.other)
      // A side that is busy itself spares its node only for one that would be overloaded.
      let limit =
        ownSide > configuration.releaseThreshold ? configuration.highThreshold : configuration.releaseThreshold
      let isMissedAtHome = held.role != .mixed && ownSide > configuration.highThreshold && ownSide > without ?? 1
      let isNeeded = (without.map { $0 > limit } ?? true) && !isMissedAtHome
      if isNeeded {
        let reason =
          "node \(id) stays \(held.role.rawValue): without it \(held.helped.rawValue) would be at "
          + (without.map(shown) ?? "no node")
        directives.append(
          flip(id, to: held.role, helping: held.helped, life: held.life, now: now, reason: reason, isRenewal: true))
        continue
      }
      if hasReturned { continue }
      hasReturned = true
      flips[id] = nil
      past[id] = Past(returned: now, life: held.life)
      lastChange = now
      epoch += 1
      // The node's own count would end the flip a few cycles later; saying so keeps both sides' books equal.
      directives.append(
        RoleDirective(
          node: id, role: home, timeToLiveCycles: 1, epoch: epoch,
          reason:
            "node \(id) returns to \(home.rawValue): \(held.helped.rawValue) is at \(shown(without ?? 0)) without it"))
    }
    return directives
  }

  private mutating func flip(
    _ id: NodeID, to role: Role, helping side: Side, life: Int, now: Instant, reason: String, isRenewal: Bool = false
  ) -> RoleDirective {
    flips[id] = Flip(role: role, helped: side, remaining: life, life: life)
    if !isRenewal { lastChange = now }
    epoch += 1
    // Two cycles more than ours, so that a renewal on its way is not beaten by the node's own count, and one for each
    // other flip that may have to return first.
    return RoleDirective(
      node: id, role: role, timeToLiveCycles: life + 1 + flips.count, epoch: epoch, reason: reason)
  }

  // MARK: - Regimes

  private mutating func judge(_ board: Board, _ now: Instant, _ decision: inout RoleDecision) {
    let scores = (prefill: board.score(.prefill), decode: board.score(.decode))
    let high: Side = scores.prefill >= scores.decode ? .prefill : .decode
    let (highest, lowest) = (max(scores.prefill, scores.decode), min(scores.prefill, scores.decode))
    overloadedSince = lowest > configuration.overloadThreshold ? overloadedSince ?? now : nil
    idleSince = highest < configuration.idleThreshold ? idleSince ?? now : nil
    if let since = overloadedSince, now.seconds(since: since) >= configuration.overloadSeconds {
      decision.regime = .overloaded
      imbalance = nil
      hint(
        high, +1, "both sides above \(configuration.overloadThreshold) for \(shown(now.seconds(since: since))) s", now,
        &decision)
      return
    }
    if let since = idleSince, now.seconds(since: since) >= configuration.idleSeconds, board.ids.count > 1 {
      decision.regime = .idle
      imbalance = nil
      hint(
        high.other, -1, "both sides below \(configuration.idleThreshold) for \(shown(now.seconds(since: since))) s",
        now, &decision)
      return
    }
    guard highest > configuration.highThreshold, lowest < configuration.lowThreshold else {
      imbalance = nil
      return
    }
    let ticks = imbalance?.side == high ? (imbalance?.ticks ?? 0) + 1 : 1
    imbalance = (high, ticks)
    guard ticks >= configuration.imbalanceTicks else { return }
    decision.regime = high == .prefill ? .prefillOverloaded : .decodeOverloaded
    decision.reason += "; \(high.rawValue) is overloaded for \(ticks) ticks"
    if let directive = help(high, board, now) {
      decision.directives.append(directive)
      decision.reason += "; " + directive.reason
      imbalance = nil
    }
  }

  /// Turns the idlest node of the idle side towards `side`; nil if none may be turned now.
  private mutating func help(_ side: Side, _ board: Board, _ now: Instant) -> RoleDirective? {
    // The board does not know of a change of this very tick.
    if let lastChange, now <= lastChange || now.seconds(since: lastChange) < configuration.cooldownSeconds {
      return nil
    }
    let idle = board.ids.filter { id in
      !board.role(id).takes(side) && flips[id] == nil && board.score(side.other, of: id) < configuration.lowThreshold
        && (past[id].map { now.seconds(since: $0.returned) >= configuration.cooldownSeconds } ?? true)
    }
    guard let helper = board.idlest(of: idle, side: side.other) else { return nil }
    let isLast = board.takers(of: side.other) == [helper]
    let role: Role = isLast ? .mixed : side == .prefill ? .prefill : .decode
    return flip(
      helper, to: role, helping: side, life: life(of: helper, now), now: now,
      reason: "node \(helper) becomes \(role.rawValue): \(side.rawValue) at \(shown(board.score(side))), "
        + "its own \(side.other.rawValue) at \(shown(board.score(side.other, of: helper)))")
  }

  /// Least life of the next flip of a node: twice the last one if it is needed again soon.
  private func life(of id: NodeID, _ now: Instant) -> Int {
    guard let before = past[id], now.seconds(since: before.returned) < configuration.relapseSeconds else {
      return configuration.leastFlipTicks
    }
    return min(before.life * 2, configuration.longestFlipTicks)
  }

  private mutating func hint(
    _ side: Side, _ change: Int, _ reason: String, _ now: Instant, _ decision: inout RoleDecision
  ) {
    decision.reason += "; " + reason
    if let lastHint, now.seconds(since: lastHint) < configuration.hintSeconds { return }
    lastHint = now
    decision.scaling = ScaleHint(side: side, change: change, reason: reason)
  }
}
