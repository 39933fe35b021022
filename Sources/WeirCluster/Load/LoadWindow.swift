// Smoothing of reports over a window.

public import WeirBasics

/// An exponential average of load vectors over unevenly spaced reports.
///
/// The filter is first order with time constant `windowSeconds`, in its implicit form: a report `d` seconds after the
/// last one moves the average by `d / (window + d)` of the way. It needs no exponential, so that it gives the same bits
/// everywhere, and it stays stable for any gap.
public struct LoadWindow: Sendable, Equatable {
  public let windowSeconds: Double
  public private(set) var average: LoadVector?
  private var updated = Instant(nanoseconds: 0)

  /// - Precondition: `windowSeconds` is at least 0 (0 smooths nothing).
  public init(windowSeconds: Double) {
    precondition(windowSeconds >= 0, "a window cannot be negative")
    self.windowSeconds = windowSeconds
  }

  /// Adds a vector seen at `now`; the first one is taken as it is.
  public mutating func add(_ vector: LoadVector, now: Instant) {
    let gap = max(0, now.seconds(since: updated))
    updated = now
    guard let before = average else {
      average = vector
      return
    }
    average = before.moved(towards: vector, share: windowSeconds == 0 ? 1 : gap / (windowSeconds + gap))
  }
}
