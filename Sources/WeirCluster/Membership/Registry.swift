// Seam: where nodes find each other. One in this process (LocalRegistry), one in etcd (EtcdRegistry).

public import WeirBasics

/// The right to be a member until the lease runs out.
public struct RegistryLease: Sendable, Hashable {
  public var node: NodeID
  public var incarnation: Int
  /// The registry's own name of the lease.
  public var id: Int64
  /// Seconds the lease lives after each keep-alive, as the registry granted it.
  public var leaseSeconds: Double

  public init(node: NodeID, incarnation: Int, id: Int64, leaseSeconds: Double) {
    self.node = node
    self.incarnation = incarnation
    self.id = id
    self.leaseSeconds = leaseSeconds
  }
}

/// The right of one holder to direct the roles of a cluster, until the lease runs out.
public struct ControlLease: Sendable, Hashable {
  public var holder: NodeID
  /// The registry's own name of the lease.
  public var id: Int64
  /// Larger than that of every earlier holder: directives of a holder that lost the right without noticing are told
  /// apart from those of its successor.
  public var term: Int
  public var leaseSeconds: Double

  public init(holder: NodeID, id: Int64, term: Int, leaseSeconds: Double) {
    self.holder = holder
    self.id = id
    self.term = term
    self.leaseSeconds = leaseSeconds
  }
}

/// One member with the latest that is known of it.
public struct Member: Sendable, Equatable {
  public var description: NodeDescription
  public var report: LoadReport?
  public var directive: RoleDirective?

  public init(description: NodeDescription, report: LoadReport? = nil, directive: RoleDirective? = nil) {
    self.description = description
    self.report = report
    self.directive = directive
  }
}

/// Why a member is gone.
public enum Departure: String, Sendable, CaseIterable {
  case withdrawn
  case leaseExpired = "lease_expired"
  /// The registry only says that the member's entry is deleted.
  case deleted
}

/// What a watcher is told, in order.
public enum MembershipEvent: Sendable, Equatable {
  /// All members; replaces everything that was known. The first event of every watch, and again after a gap.
  case snapshot([Member])
  /// A node joined, or came back as a new incarnation.
  case joined(NodeDescription)
  case left(NodeID, Departure)
  case reported(LoadReport)
  case directed(RoleDirective)
  /// An entry that cannot be read; it is left out.
  case refused(key: String, WireError)
  /// The registry cannot be reached: what is known stays as it is. A snapshot follows when it is back.
  case interrupted(RegistryError)
}

/// Membership, leases, load reports and role directives of one cluster.
public protocol Registry: Sendable {
  /// Where the members are kept, in words for the start-up message.
  var place: String { get }

  /// Joins the cluster. A later incarnation of a member takes its place.
  ///
  /// - Throws: ``RegistryError``; `.nodeTaken` if a member of this id is of the same or a later incarnation.
  func register(_ node: NodeDescription, leaseSeconds: Double) async throws(RegistryError) -> RegistryLease
  /// Lengthens the lease; to be called about three times per `leaseSeconds`.
  ///
  /// - Throws: ``RegistryError``; after `.leaseLost` the node must register again.
  func keepAlive(_ lease: RegistryLease) async throws(RegistryError)
  /// Publishes the load of the lease's node.
  ///
  /// - Throws: ``RegistryError``.
  func report(_ report: LoadReport, lease: RegistryLease) async throws(RegistryError)
  /// Publishes a role directive; it goes with its node.
  ///
  /// - Throws: ``RegistryError``; `.notAMember` if its node is gone.
  func direct(_ directive: RoleDirective) async throws(RegistryError)
  /// The latest directive to a node, nil if there is none.
  ///
  /// - Throws: ``RegistryError``.
  func directive(to node: NodeID) async throws(RegistryError) -> RoleDirective?
  /// Claims the right to direct roles; nil while somebody else holds it.
  ///
  /// - Throws: ``RegistryError``.
  func claimControl(_ holder: NodeID, leaseSeconds: Double) async throws(RegistryError) -> ControlLease?
  /// Keeps the right; to be called about three times per `leaseSeconds`.
  ///
  /// - Throws: ``RegistryError``; after `.leaseLost` the right is gone.
  func keepControl(_ lease: ControlLease) async throws(RegistryError)
  /// Gives the right up, so that a successor need not wait.
  ///
  /// - Throws: ``RegistryError``; never `.leaseLost`.
  func releaseControl(_ lease: ControlLease) async throws(RegistryError)
  /// Leaves the cluster at once.
  ///
  /// - Throws: ``RegistryError``; never `.leaseLost`, the node is gone either way.
  func withdraw(_ lease: RegistryLease) async throws(RegistryError)
  /// All members by ascending id.
  ///
  /// - Throws: ``RegistryError``.
  func members() async throws(RegistryError) -> [Member]
  /// Tells every change from now on, beginning with a snapshot. Ends when its consumer ends.
  func watch() async -> AsyncStream<MembershipEvent>
}

/// What can go wrong with a registry.
public enum RegistryError: WeirError, Equatable {
  case unreachable(String)
  case leaseLost(NodeID)
  case nodeTaken(NodeID, incarnation: Int)
  case notAMember(NodeID)
  case invalidNodeID(String)
  case invalidLeaseSeconds(Double)
  /// The registry answered with an error of its own.
  case refused(status: Int, message: String)
  /// The registry's answer is not what its protocol says.
  case malformed(String)
  /// A watcher did not take its events fast enough.
  case watcherTooSlow

  public var code: String {
    switch self {
    case .unreachable: "registry_unreachable"
    case .leaseLost: "registry_lease_lost"
    case .nodeTaken: "node_id_taken"
    case .notAMember: "not_a_member"
    case .invalidNodeID: "invalid_node_id"
    case .invalidLeaseSeconds: "invalid_lease_seconds"
    case .refused: "registry_refused"
    case .malformed: "registry_malformed_answer"
    case .watcherTooSlow: "watcher_too_slow"
    }
  }

  public var message: String {
    switch self {
    case .unreachable(let detail): "the registry cannot be reached: \(detail)"
    case .leaseLost(let node): "the lease of node \(node) has run out; register again"
    case .nodeTaken(let node, let incarnation):
      "node \(node) is a member already, as incarnation \(incarnation); choose another id or wait for its lease to end"
    case .notAMember(let node): "node \(node) is not a member"
    case .invalidNodeID(let text): "\"\(text)\" is no node id; it must be 1 to 128 of A-Z a-z 0-9 . _ -"
    case .invalidLeaseSeconds(let seconds): "a lease of \(seconds) s was asked; it must be in 1...3600"
    case .refused(let status, let message): "the registry answered \(status): \(message)"
    case .malformed(let detail): "the registry's answer cannot be read: \(detail)"
    case .watcherTooSlow: "the watcher fell behind; it must start again from a snapshot"
    }
  }
}
