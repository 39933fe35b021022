// How much of a node's time its two kinds of work take.

public import WeirBasics

/// Shares of the time spent in steps that prefill and in steps that only decode, over a sliding window; what is left of
/// the time the node had nothing to do.
///
/// First-order filters in their implicit form, as ``LoadWindow``: time `d` moves a share by `d / (window + d)` of the
/// way to 1 (a step of its kind) or 0 (anything else).
public struct UsageMeter: Sendable, Equatable {
  public let windowSeconds: Double
  private var prefill = 0.0
  private var decode = 0.0
  private var updated: Instant?

  /// - Precondition: `windowSeconds` is above 0.
  public init(windowSeconds: Double = 2) {
    precondition(windowSeconds > 0, "a window must be above 0")
    self.windowSeconds = windowSeconds
  }

  /// Adds a step that took `seconds` and ended at `now`.
  public mutating func add(prefills: Bool, seconds: Double, now: Instant) {
    guard seconds > 0, seconds.isFinite else { return }
    let idle = max(0, updated.map { now.seconds(since: $0) - seconds } ?? 0)
    let rested = windowSeconds / (windowSeconds + idle)
    let share = seconds / (windowSeconds + seconds)
    prefill = prefill * rested
    decode = decode * rested
    prefill += ((prefills ? 1 : 0) - prefill) * share
    decode += ((prefills ? 0 : 1) - decode) * share
    updated = now
  }

  /// Both shares as of `now`, `0...1` each.
  public func shares(now: Instant) -> (prefill: Double, decode: Double) {
    guard let updated else { return (0, 0) }
    let rested = windowSeconds / (windowSeconds + max(0, now.seconds(since: updated)))
    return (prefill * rested, decode * rested)
  }
}
