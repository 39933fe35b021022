// Seam: who prefills, who decodes, now? Papers' answers live in WeirPolicies/Roles.

public import WeirBasics

/// What a role plan may know: the nodes of one model, and what the router could not place.
public struct RoleFacts: Sendable {
  /// By ascending id.
  public let nodes: [NodeFacts]
  public let now: Instant
  /// Requests that the router holds because no node has KV room to decode them.
  public let heldRequests: Int

  public init(nodes: [NodeFacts], now: Instant, heldRequests: Int = 0) {
    self.nodes = nodes.sorted { $0.id < $1.id }
    self.now = now
    self.heldRequests = heldRequests
  }
}

/// How the two sides are loaded (FlowKV's three regimes, with the sides told apart).
public enum Regime: String, Sendable, CaseIterable {
  case normal
  case prefillOverloaded = "prefill-overloaded"
  case decodeOverloaded = "decode-overloaded"
  /// Both sides, for long: more nodes are needed.
  case overloaded
  /// Both sides, for long: fewer nodes would do.
  case idle
}

/// A hint to whoever can start or stop nodes.
public struct ScaleHint: Sendable, Equatable {
  /// The side that needs the node more, or can spare it.
  public var side: Side
  /// +1 or -1.
  public var change: Int
  public var reason: String

  public init(side: Side, change: Int, reason: String) {
    self.side = side
    self.change = change
    self.reason = reason
  }
}

/// What one tick of a role plan says.
public struct RoleDecision: Sendable, Equatable {
  public var regime: Regime
  /// Load of each side, `0...1`.
  public var prefillScore: Double
  public var decodeScore: Double
  /// Directives to send, by ascending node.
  public var directives: [RoleDirective]
  public var scaling: ScaleHint?
  /// One sentence with the numbers.
  public var reason: String

  public init(
    regime: Regime, prefillScore: Double, decodeScore: Double, directives: [RoleDirective] = [],
    scaling: ScaleHint? = nil, reason: String
  ) {
    self.regime = regime
    self.prefillScore = prefillScore
    self.decodeScore = decodeScore
    self.directives = directives
    self.scaling = scaling
    self.reason = reason
  }
}

/// Decides roles. A value with memory: ticked at a fixed interval by its owner, one plan per model.
public protocol RolePlan: Sendable {
  /// Seconds between two ticks.
  var tickSeconds: Double { get }
  /// The decision of one tick; a function of the facts of this and earlier ticks alone.
  mutating func tick(_ facts: RoleFacts) -> RoleDecision
}

/// The default: every node keeps the role it was started with.
public struct StaticRoles: RolePlan {
  public let tickSeconds = 0.25

  public init() {}

  public mutating func tick(_ facts: RoleFacts) -> RoleDecision {
    RoleDecision(regime: .normal, prefillScore: 0, decodeScore: 0, reason: "roles are fixed")
  }
}
