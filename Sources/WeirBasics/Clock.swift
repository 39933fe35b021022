// Time as an argument: rooms below the doors never read a clock of their own.

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A point on a monotonic time line, in nanoseconds from an arbitrary start.
public struct Instant: Hashable, Comparable, Sendable {
  public var nanoseconds: UInt64
  @inlinable public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }
  @inlinable public static func < (a: Instant, b: Instant) -> Bool { a.nanoseconds < b.nanoseconds }
  /// Seconds from `earlier` to this instant; negative if `earlier` is later.
  @inlinable public func seconds(since earlier: Instant) -> Double {
    (Double(nanoseconds) - Double(earlier.nanoseconds)) / 1e9
  }
  @inlinable public func advanced(bySeconds seconds: Double) -> Instant {
    Instant(nanoseconds: UInt64(Double(nanoseconds) + seconds * 1e9))
  }
}

/// Where a room gets its time from.
public protocol WeirClock: Sendable {
  func now() -> Instant
}

/// The machine's monotonic clock.
public struct SystemClock: WeirClock {
  public init() {}
  public func now() -> Instant {
    var time = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return Instant(nanoseconds: UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec))
  }
}
