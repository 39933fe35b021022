// Members and their leases as a value: what a registry of one process is made of.

public import WeirBasics

/// Members of one cluster with leases that end. Time is passed in; every change returns the events it causes.
public struct Membership: Sendable {
  private struct Entry {
    var member: Member
    var lease: RegistryLease
    var deadline: Instant
  }

  private var entries: [NodeID: Entry] = [:]
  private var nextLease: Int64 = 1
  private var control: (lease: ControlLease, deadline: Instant)?

  public init() {}

  /// All members by ascending id, whether or not their leases have ended: call ``expire(now:)`` first.
  public var members: [Member] { entries.values.map(\.member).sorted { $0.description.id < $1.description.id } }

  /// Removes members whose leases have ended.
  ///
  /// - Returns: one event per removed member, by ascending id.
  public mutating func expire(now: Instant) -> [MembershipEvent] {
    let ended = entries.filter { $0.value.deadline <= now }.keys.sorted()
    for id in ended { entries[id] = nil }
    return ended.map { .left($0, .leaseExpired) }
  }

  /// Adds a member, or a later incarnation of one.
  ///
  /// - Returns: the lease and the events.
  /// - Throws: ``RegistryError``, `.nodeTaken` for the same or an earlier incarnation.
  public mutating func register(
    _ node: NodeDescription, leaseSeconds: Double, now: Instant
  ) throws(RegistryError) -> (lease: RegistryLease, events: [MembershipEvent]) {
    try Self.check(node.id, leaseSeconds: leaseSeconds)
    if let known = entries[node.id], known.member.description.incarnation >= node.incarnation {
      throw .nodeTaken(node.id, incarnation: known.member.description.incarnation)
    }
    let lease = RegistryLease(
      node: node.id, incarnation: node.incarnation, id: nextLease, leaseSeconds: leaseSeconds)
    nextLease += 1
    entries[node.id] = Entry(
      member: Member(description: node), lease: lease, deadline: now.advanced(bySeconds: leaseSeconds))
    return (lease, [.joined(node)])
  }

  /// Moves the end of the lease to `leaseSeconds` from `now`.
  ///
  /// - Throws: `.leaseLost`.
  public mutating func keepAlive(_ lease: RegistryLease, now: Instant) throws(RegistryError) {
    try checkLease(lease)
    entries[lease.node]?.deadline = now.advanced(bySeconds: lease.leaseSeconds)
  }

  /// Keeps the latest report of a member; one that is not newer is dropped.
  ///
  /// - Returns: the events.
  /// - Throws: `.leaseLost`.
  public mutating func report(
    _ report: LoadReport, lease: RegistryLease
  ) throws(RegistryError) -> [MembershipEvent] {
    try checkLease(lease)
    if let last = entries[lease.node]?.member.report, last.sequence >= report.sequence { return [] }
    entries[lease.node]?.member.report = report
    return [.reported(report)]
  }

  /// Keeps the latest directive to a member; one that is not newer is dropped.
  ///
  /// - Returns: the events.
  /// - Throws: `.notAMember`.
  public mutating func direct(_ directive: RoleDirective) throws(RegistryError) -> [MembershipEvent] {
    guard let entry = entries[directive.node] else { throw .notAMember(directive.node) }
    if let last = entry.member.directive, last.epoch >= directive.epoch { return [] }
    entries[directive.node]?.member.directive = directive
    return [.directed(directive)]
  }

  /// The latest directive to a member.
  public func directive(to node: NodeID) -> RoleDirective? { entries[node]?.member.directive }

  /// Gives `holder` the right to direct roles, unless somebody's lease on it still runs.
  ///
  /// - Throws: `.invalidNodeID`, `.invalidLeaseSeconds`.
  public mutating func claimControl(
    _ holder: NodeID, leaseSeconds: Double, now: Instant
  ) throws(RegistryError) -> ControlLease? {
    try Self.check(holder, leaseSeconds: leaseSeconds)
    if let control, control.deadline > now { return nil }
    let lease = ControlLease(holder: holder, id: nextLease, term: Int(nextLease), leaseSeconds: leaseSeconds)
    nextLease += 1
    control = (lease, now.advanced(bySeconds: leaseSeconds))
    return lease
  }

  /// Moves the end of the right to `leaseSeconds` from `now`.
  ///
  /// - Throws: `.leaseLost`.
  public mutating func keepControl(_ lease: ControlLease, now: Instant) throws(RegistryError) {
    guard let held = control, held.lease == lease, held.deadline > now else { throw .leaseLost(lease.holder) }
    control = (lease, now.advanced(bySeconds: lease.leaseSeconds))
  }

  /// Ends the right, if this lease still has it.
  public mutating func releaseControl(_ lease: ControlLease) {
    if control?.lease == lease { control = nil }
  }

  /// Removes the member of this lease, if it is still one.
  ///
  /// - Returns: the events.
  public mutating func withdraw(_ lease: RegistryLease) -> [MembershipEvent] {
    guard entries[lease.node]?.lease.id == lease.id else { return [] }
    entries[lease.node] = nil
    return [.left(lease.node, .withdrawn)]
  }

  static func check(_ node: NodeID, leaseSeconds: Double) throws(RegistryError) {
    guard NodeDescription.isValid(node) else { throw .invalidNodeID(node.rawValue) }
    guard (1...3600).contains(leaseSeconds) else { throw .invalidLeaseSeconds(leaseSeconds) }
  }

  private func checkLease(_ lease: RegistryLease) throws(RegistryError) {
    guard entries[lease.node]?.lease.id == lease.id else { throw .leaseLost(lease.node) }
  }
}
