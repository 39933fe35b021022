// What a router's controller decided about roles, for people: the latest decision of each model and the latest flips.

public import WeirBasics
public import WeirCluster

/// One order to act in another role.
public struct RoleFlip: Sendable, Equatable {
  /// What became of the order.
  public enum Outcome: String, Sendable, CaseIterable {
    /// The node has said that it follows.
    case followed
    /// Written to the registry, where the node looks.
    case published
    case refused
    case unreachable
  }

  /// Seconds since 1970.
  public var unixSeconds: Int
  public var node: NodeID
  public var from: Role
  public var to: Role
  /// One sentence with the numbers that led here.
  public var reason: String
  public var epoch: Int
  public var outcome: Outcome

  public init(
    unixSeconds: Int, node: NodeID, from: Role, to: Role, reason: String, epoch: Int, outcome: Outcome
  ) {
    self.unixSeconds = unixSeconds
    self.node = node
    self.from = from
    self.to = to
    self.reason = reason
    self.epoch = epoch
    self.outcome = outcome
  }
}

/// Guarded by the router's state.
public struct RoleBook: Sendable, Equatable {
  /// Flips that are remembered.
  public static let limit = 256
  /// Whether this router directs roles now: it has a plan, and no other router has the right.
  public var isController = false
  /// The latest decision about each model.
  public var decisions: [ModelFingerprint: RoleDecision] = [:]
  /// Oldest first; renewals of a flip are not among them.
  public private(set) var flips: [RoleFlip] = []
  /// Directives by outcome, renewals and returns too.
  public private(set) var directives: [RoleFlip.Outcome: UInt64] = [:]
  /// Orders that changed a role, by the role they lead to.
  public private(set) var changes: [Role: UInt64] = [:]
  /// Orders that led a node back to its home role, a part of `changes`.
  public private(set) var returns: UInt64 = 0
  /// Hints to start (+) or stop (-) a node.
  public private(set) var growHints: UInt64 = 0
  public private(set) var shrinkHints: UInt64 = 0

  public init() {}

  mutating func note(_ flip: RoleFlip, isReturn: Bool) {
    directives[flip.outcome, default: 0] += 1
    guard flip.from != flip.to else { return }
    if flip.outcome == .followed || flip.outcome == .published {
      changes[flip.to, default: 0] += 1
      if isReturn { returns += 1 }
    }
    flips.append(flip)
    if flips.count > Self.limit { flips.removeFirst(flips.count - Self.limit) }
  }

  mutating func note(_ decision: RoleDecision, of model: ModelFingerprint) {
    decisions[model] = decision
    if let change = decision.scaling?.change {
      if change > 0 { growHints += 1 } else { shrinkHints += 1 }
    }
  }
}
