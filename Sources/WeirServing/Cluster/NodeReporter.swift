// What this node tells the cluster: who it is, and how busy.

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

  public init(id: NodeID, role: Role, incarnation: Int, httpAddress: String? = nil) {
    self.id = id
    self.role = role
    self.incarnation = incarnation
    self.httpAddress = httpAddress
  }
}

/// Makes descriptions and reports out of an engine's numbers.
final class NodeReporter: Sendable {
  private let identity: NodeIdentity
  private let sequence = Atomic<Int>(0)

  init(identity: NodeIdentity) { self.identity = identity }

  /// Nil for an engine that has no KV of its own to hand over.
  func description(
    _ information: EngineInformation, _ status: EngineStatus, boundAddress: String
  ) -> NodeDescription? {
    guard let shape = information.kvShape, let fingerprint = information.modelFingerprint else { return nil }
    return NodeDescription(
      id: identity.id, incarnation: identity.incarnation,
      addresses: NodeAddresses(http: identity.httpAddress ?? boundAddress, transfer: status.handoffs.address),
      modelName: information.modelName, model: ModelFingerprint(fingerprint), kv: shape,
      capacity: NodeCapacity(
        totalBlocks: max(1, information.totalBlocks), runningLimit: max(1, information.maxSequences),
        stepTokens: max(1, information.stepTokens), mixedPrefillTokens: max(1, information.mixedPrefillTokens),
        contextLength: information.contextLength),
      homeRole: identity.role)
  }

  /// The next report; its sequence number grows with every call.
  func report(_ status: EngineStatus, isDraining: Bool) -> LoadReport {
    let number = sequence.wrappingAdd(1, ordering: .relaxed).oldValue
    var report = LoadReport(
      node: identity.id, incarnation: identity.incarnation, sequence: number, role: identity.role)
    report.isDraining = isDraining || status.isDraining
    report.queues = status.load
    report.waitingDecodes = status.handoffs.arriving
    report.sendingRequests = status.handoffs.held
    report.speeds = status.speeds
    return report
  }
}
