// The role this node acts in now, and who may change it.

import Logging
import Synchronization
import WeirBasics
import WeirCluster

/// Why a directive was not followed.
enum DirectiveRefusal: Error, Equatable {
  /// Nobody who knows the cluster's secret has said this, or this node has none to check it with.
  case unsealed
  /// Meant for another node, or for an earlier start of this one.
  case otherNode
  /// Not newer than the last one that was followed.
  case stale(followed: Int)

  var apiError: APIError {
    switch self {
    case .unsealed:
      APIError(
        status: 403, type: "permission_error", code: "unsealed_directive",
        message: "The directive is not sealed with this cluster's secret.")
    case .otherNode:
      APIError(
        status: 409, type: "invalid_request_error", code: "other_node",
        message: "The directive is for another node or for an earlier start of this one.")
    case .stale(let followed):
      APIError(
        status: 409, type: "invalid_request_error", code: "stale_epoch",
        message: "This node has followed a directive of epoch \(followed) already.", param: "epoch")
    }
  }
}

/// The node's side of role directives. A change of role drains nothing: the role is what routers are told, so it
/// changes where the next requests go, and what runs here finishes here.
final class NodeRole: Sendable {
  /// Purpose of the seal of a directive.
  static let purpose = "weir-role-1"
  /// A cycle of a directive's life.
  static let cycleSeconds = 0.25

  struct View: Sendable, Equatable {
    var role: Role
    var home: Role
    /// Of the directive in force; nil: the home role is acted in.
    var reason: String?
    var epoch: Int?
    var remainingCycles: Int
    /// Changes of the role since the start.
    var changes: UInt64
  }

  private struct State {
    var role: RoleState
    var cycleEnd = Instant(nanoseconds: 0)
    var changes: UInt64 = 0
  }

  private let identity: NodeIdentity
  private let clock: any WeirClock
  private let logger: Logger
  private let state: Mutex<State>

  init(identity: NodeIdentity, clock: any WeirClock, logger: Logger) {
    self.identity = identity
    self.clock = clock
    self.logger = logger
    state = Mutex(State(role: RoleState(home: identity.role)))
  }

  /// The role now. Cycles that have passed since the last call are counted first: nobody needs to tick.
  var view: View {
    let now = clock.now()
    return state.withLock { state in
      let before = state.role.role
      while state.role.directive != nil, now >= state.cycleEnd {
        _ = state.role.endCycle()
        state.cycleEnd = state.cycleEnd.advanced(bySeconds: Self.cycleSeconds)
      }
      note(before, &state, "the directive's time is over")
      return View(
        role: state.role.role, home: state.role.home, reason: state.role.directive?.reason,
        epoch: state.role.directive?.epoch, remainingCycles: state.role.remainingCycles, changes: state.changes)
    }
  }

  /// Follows a directive.
  ///
  /// - Throws: ``DirectiveRefusal``; nothing has changed then.
  func obey(_ directive: RoleDirective) throws(DirectiveRefusal) {
    guard directive.node == identity.id, directive.incarnation == identity.incarnation else { throw .otherNode }
    guard let secret = identity.secret,
      secret.accepts(directive.seal, of: directive.statement, purpose: Self.purpose)
    else { throw .unsealed }
    // Cycles that are over are over before the new directive begins.
    _ = view
    let now = clock.now()
    let stale: Int? = state.withLock { state in
      let before = state.role.role
      guard state.role.receive(directive) else { return state.role.followedEpoch }
      state.cycleEnd = now.advanced(bySeconds: Self.cycleSeconds)
      note(before, &state, directive.reason)
      return nil
    }
    if let stale { throw .stale(followed: stale) }
  }

  private func note(_ before: Role, _ state: inout State, _ reason: String) {
    let role = state.role.role
    guard role != before else { return }
    state.changes += 1
    logger.notice("role", metadata: ["from": "\(before.rawValue)", "to": "\(role.rawValue)", "reason": "\(reason)"])
  }
}
