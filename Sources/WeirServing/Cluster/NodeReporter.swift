// What this node tells the cluster: who it is, and how busy.

import Logging
import Synchronization
public import WeirBasics
public import WeirCluster
import WeirEngine

/// How the server takes part in a cluster; part of its configuration.
public struct NodeIdentity: Sendable {
  public var id: NodeID
  public var role: Role
  /// Larger than that of every earlier start of this id.
  public var incarnation: Int
  /// `host:port` of the HTTP server, as others reach it; nil: the address it is bound to.
  public var httpAddress: String?
  /// Tells who may direct this node's role and see its numbers; nil: its role never changes.
  public var secret: ClusterSecret?

  public init(
    id: NodeID, role: Role, incarnation: Int, httpAddress: String? = nil, secret: ClusterSecret? = nil
  ) {
    self.id = id
    self.role = role
    self.incarnation = incarnation
    self.httpAddress = httpAddress
    self.secret = secret
  }
}

/// Makes descriptions and reports out of an engine's numbers.
final class NodeReporter: Sendable {
  let identity: NodeIdentity
  let role: NodeRole
  private let sequence = Atomic<Int>(0)

  init(identity: NodeIdentity, clock: any WeirClock, logger: Logger) {
    self.identity = identity
    role = NodeRole(identity: identity, clock: clock, logger: logger)
  }

  /// Nil for an engine that has no KV of its own to hand over.
  func description(
    _ information: EngineInformation, _ status: EngineStatus, boundAddress: String
  ) -> NodeDescription? {
    information.nodeDescription(
      identity.id, incarnation: identity.incarnation,
      addresses: NodeAddresses(http: identity.httpAddress ?? boundAddress, transfer: status.handoffs.address),
      homeRole: identity.role)
  }

  /// The next report; its sequence number grows with every call.
  func report(_ status: EngineStatus, isDraining: Bool) -> LoadReport {
    let number = sequence.wrappingAdd(1, ordering: .relaxed).oldValue
    var report = status.loadReport(
      of: identity.id, incarnation: identity.incarnation, sequence: number, role: role.view.role)
    if isDraining { report.isDraining = true }
    return report
  }
}
