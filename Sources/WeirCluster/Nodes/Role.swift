// Who prefills, who decodes: a bias held as data, never a kind of node.

public import WeirBasics

/// One half of a request's computation.
public enum Side: String, Sendable, CaseIterable, Hashable {
  case prefill, decode

  public var other: Side { self == .prefill ? .decode : .prefill }
}

/// What a node prefers to do at the moment. Every node is able to do both sides; routing follows the role as long as
/// some node of the role can take the request.
public enum Role: String, Sendable, CaseIterable, Hashable {
  case prefill, decode, mixed

  /// Whether a node of this role takes work of `side`.
  public func takes(_ side: Side) -> Bool {
    switch self {
    case .mixed: true
    case .prefill: side == .prefill
    case .decode: side == .decode
    }
  }
}

/// Tells one node to act in another role for some of its cycles (FlowKV: "switch priority for the next few scheduling
/// cycles"). Nothing is drained: what runs on the node finishes there.
public struct RoleDirective: Sendable, Hashable {
  /// Longest life a directive may have, in cycles.
  public static let longestLife = 100_000

  public var node: NodeID
  /// The start of the node that is meant (``NodeDescription/incarnation``): what was said to a predecessor is void.
  public var incarnation = 0
  public var role: Role
  /// Cycles of the node that the directive holds, `1...longestLife`; afterwards the node returns to its home role by
  /// itself, so that a dead controller leaves no wrong role behind.
  public var timeToLiveCycles: Int
  /// Grows with every directive of a cluster; a node ignores one that is not newer than the last it followed.
  public var epoch: Int
  /// One sentence with the numbers that led here.
  public var reason: String
  /// Proves to the node that somebody who knows the cluster's secret said ``statement``; empty: nobody has sealed it.
  public var seal = ""

  public init(node: NodeID, role: Role, timeToLiveCycles: Int, epoch: Int, reason: String) {
    self.node = node
    self.role = role
    self.timeToLiveCycles = min(max(1, timeToLiveCycles), Self.longestLife)
    self.epoch = epoch
    self.reason = reason
  }
}

/// The role of one node, as the node itself keeps it. A cycle is a fixed time of the node's own clock (the default of
/// FlowKV's role plan is 250 ms), counted by the owner.
public struct RoleState: Sendable, Equatable {
  /// The role the node was started with.
  public let home: Role
  public private(set) var directive: RoleDirective?
  public private(set) var remainingCycles = 0
  /// Of the last directive that was followed, whether or not it is in force.
  public private(set) var followedEpoch = Int.min

  public init(home: Role) { self.home = home }

  /// The role the node acts in now.
  public var role: Role { directive?.role ?? home }

  /// Follows `newer` unless it is for an older epoch; a directive to the home role ends the present one.
  ///
  /// - Returns: whether the directive was followed.
  public mutating func receive(_ newer: RoleDirective) -> Bool {
    guard newer.epoch > followedEpoch else { return false }
    followedEpoch = newer.epoch
    directive = newer.role == home ? nil : newer
    remainingCycles = directive == nil ? 0 : newer.timeToLiveCycles
    return true
  }

  /// Counts one cycle.
  ///
  /// - Returns: whether the node returned to its home role.
  public mutating func endCycle() -> Bool {
    guard directive != nil else { return false }
    remainingCycles -= 1
    guard remainingCycles <= 0 else { return false }
    directive = nil
    return true
  }
}
