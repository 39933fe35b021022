// The registry of one machine: members live in this process and end with it.

public import WeirBasics

/// Membership for the nodes of one process. It survives nothing and is seen by nobody else; its `place` says so.
///
/// Time comes from the clock it was given. Leases end when somebody calls: the owner calls ``turn()`` a few times per
/// lease, every other call looks too.
public actor LocalRegistry: Registry {
  /// Events that may wait for one watcher; one more ends its watch with ``RegistryError/watcherTooSlow``.
  public static let watcherEvents = 4096

  public nonisolated let place = "in this process, for this machine only (give --etcd URL for several machines)"
  private let clock: any WeirClock
  private var membership = Membership()
  private var watchers: [Int: AsyncStream<MembershipEvent>.Continuation] = [:]
  private var nextWatcher = 0

  public init(clock: any WeirClock) { self.clock = clock }

  /// Ends leases whose time has come.
  public func turn() { tell(membership.expire(now: clock.now())) }

  public func register(
    _ node: NodeDescription, leaseSeconds: Double
  ) async throws(RegistryError) -> RegistryLease {
    turn()
    let (lease, events) = try membership.register(node, leaseSeconds: leaseSeconds, now: clock.now())
    tell(events)
    return lease
  }

  public func keepAlive(_ lease: RegistryLease) async throws(RegistryError) {
    turn()
    try membership.keepAlive(lease, now: clock.now())
  }

  public func report(_ report: LoadReport, lease: RegistryLease) async throws(RegistryError) {
    turn()
    tell(try membership.report(report, lease: lease))
  }

  public func direct(_ directive: RoleDirective) async throws(RegistryError) {
    turn()
    tell(try membership.direct(directive))
  }

  public func directive(to node: NodeID) async throws(RegistryError) -> RoleDirective? {
    turn()
    return membership.directive(to: node)
  }

  public func claimControl(
    _ holder: NodeID, leaseSeconds: Double
  ) async throws(RegistryError) -> ControlLease? {
    try membership.claimControl(holder, leaseSeconds: leaseSeconds, now: clock.now())
  }

  public func keepControl(_ lease: ControlLease) async throws(RegistryError) {
    try membership.keepControl(lease, now: clock.now())
  }

  public func releaseControl(_ lease: ControlLease) async throws(RegistryError) { membership.releaseControl(lease) }

  public func withdraw(_ lease: RegistryLease) async throws(RegistryError) {
    turn()
    tell(membership.withdraw(lease))
  }

  public func members() async throws(RegistryError) -> [Member] {
    turn()
    return membership.members
  }

  public func watch() async -> AsyncStream<MembershipEvent> {
    turn()
    let (stream, continuation) = AsyncStream.makeStream(
      of: MembershipEvent.self, bufferingPolicy: .bufferingOldest(Self.watcherEvents))
    let id = nextWatcher
    nextWatcher += 1
    watchers[id] = continuation
    continuation.onTermination = { _ in Task { await self.forget(id) } }
    continuation.yield(.snapshot(membership.members))
    return stream
  }

  /// Watches that are open now.
  var watcherCount: Int { watchers.count }

  private func forget(_ id: Int) { watchers[id] = nil }

  private func tell(_ events: [MembershipEvent]) {
    for event in events {
      for (id, watcher) in watchers {
        // A watcher that missed an event would believe in a wrong cluster: better none than that.
        if case .dropped = watcher.yield(event) {
          watchers[id] = nil
          watcher.finish()
        }
      }
    }
  }
}
