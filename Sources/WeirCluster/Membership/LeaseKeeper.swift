// When to register, when to keep alive: a node's side of its lease as a value.

public import WeirBasics

/// Decides a node's next step towards its registry. The owner performs the action and tells the outcome; a registry
/// that cannot be reached never stops the node from serving.
public struct LeaseKeeper: Sendable {
  public enum Action: Sendable, Equatable {
    case register
    case keepAlive(RegistryLease)
    /// Nothing before this moment.
    case wait(until: Instant)
  }

  public let leaseSeconds: Double
  public let longestWaitSeconds: Double
  private var lease: RegistryLease?
  private var due = Instant(nanoseconds: 0)
  private var failures = 0

  /// - Precondition: both times are above 0.
  public init(leaseSeconds: Double, longestWaitSeconds: Double = 5) {
    precondition(leaseSeconds > 0 && longestWaitSeconds > 0, "times of a lease must be above 0")
    self.leaseSeconds = leaseSeconds
    self.longestWaitSeconds = longestWaitSeconds
  }

  /// The lease held now, nil while the node is not registered.
  public var current: RegistryLease? { lease }

  /// What to do at `now`.
  public func next(now: Instant) -> Action {
    if now < due { return .wait(until: due) }
    return lease.map { .keepAlive($0) } ?? .register
  }

  /// Registering succeeded; the first of three keep-alives per lease is due in a third of it.
  public mutating func registered(_ lease: RegistryLease, now: Instant) {
    self.lease = lease
    keptAlive(now: now)
  }

  /// A keep-alive succeeded.
  public mutating func keptAlive(now: Instant) {
    failures = 0
    due = now.advanced(bySeconds: (lease?.leaseSeconds ?? leaseSeconds) / 3)
  }

  /// The last action failed: a lost lease is registered anew at once, everything else is tried again after a wait that
  /// doubles from 0.1 s.
  public mutating func failed(_ error: RegistryError, now: Instant) {
    if case .leaseLost = error {
      let wasHeld = lease != nil
      lease = nil
      if wasHeld {
        due = now
        return
      }
    }
    failures += 1
    due = now.advanced(bySeconds: min(longestWaitSeconds, 0.1 * Double(1 << min(failures - 1, 20))))
  }
}
