// The controlled twin of SystemClock.

import Synchronization

/// A clock that stands still until it is told to move; for tests and the simulator.
public final class ManualClock: WeirClock {
  private let time: Mutex<UInt64>

  public init(startNanoseconds: UInt64 = 0) { time = Mutex(startNanoseconds) }

  public func now() -> Instant { Instant(nanoseconds: time.withLock { $0 }) }

  /// Moves the clock forward by `seconds` (at least 0).
  public func advance(bySeconds seconds: Double) {
    precondition(seconds >= 0, "a monotonic clock cannot run backwards")
    time.withLock { $0 += UInt64(seconds * 1e9) }
  }
}
