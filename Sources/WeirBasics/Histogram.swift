// Distributions as plain values: the step loop adds, the doors read.

/// The state of a histogram at one moment, in the shape that Prometheus wants.
public struct HistogramSnapshot: Sendable, Equatable {
  /// Upper bounds of the buckets, ascending, without the last one (infinity).
  public var bounds: [Double]
  /// Observations per bucket, not accumulated; one longer than `bounds`, the last is everything above.
  public var counts: [UInt64]
  /// Sum of all observations.
  public var sum: Double

  /// - Precondition: `counts` is one longer than `bounds`.
  public init(bounds: [Double], counts: [UInt64], sum: Double) {
    precondition(counts.count == bounds.count + 1, "a histogram has one more count than it has bounds")
    self.bounds = bounds
    self.counts = counts
    self.sum = sum
  }

  /// Number of observations.
  public var count: UInt64 { counts.reduce(0, +) }
  /// Mean of the observations, 0 if there are none.
  public var mean: Double { count == 0 ? 0 : sum / Double(count) }

  /// The value under which the share `quantile` (0 to 1) of the observations lie, interpolated inside its bucket as
  /// Prometheus does; observations above the last bound count as that bound. Nil if there are none.
  public func quantile(_ quantile: Double) -> Double? {
    let total = count
    guard total > 0 else { return nil }
    let wanted = min(max(quantile, 0), 1) * Double(total)
    var before = 0.0
    for (index, bucket) in counts.enumerated() where bucket > 0 {
      let after = before + Double(bucket)
      if after >= wanted {
        guard index < bounds.count else { return bounds.last }
        let low = index == 0 ? min(0, bounds[0]) : bounds[index - 1]
        return low + (bounds[index] - low) * (wanted - before) / Double(bucket)
      }
      before = after
    }
    return bounds.last
  }
}

/// Counts observations in fixed buckets. Adding is a binary search and two additions.
public struct Histogram: Sendable {
  public private(set) var snapshot: HistogramSnapshot

  /// - Precondition: `bounds` ascend strictly and are not empty.
  public init(bounds: [Double]) {
    precondition(!bounds.isEmpty && zip(bounds, bounds.dropFirst()).allSatisfy { $0 < $1 }, "bounds must ascend")
    snapshot = HistogramSnapshot(bounds: bounds, counts: Array(repeating: 0, count: bounds.count + 1), sum: 0)
  }

  /// Adds `value`, `count` times; values that are not finite are not counted.
  public mutating func observe(_ value: Double, count: UInt64 = 1) {
    guard value.isFinite else { return }
    var low = 0
    var high = snapshot.bounds.count
    while low < high {
      let middle = (low + high) / 2
      if snapshot.bounds[middle] < value { low = middle + 1 } else { high = middle }
    }
    snapshot.counts[low] += count
    snapshot.sum += value * Double(count)
  }

  /// Seconds of a whole request or of a phase of it, 1 ms to 20 minutes: a long prompt on a CPU takes minutes.
  public static let requestSeconds: [Double] = [
    0.001, 0.005, 0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 240, 480, 1200,
  ]
  /// Seconds between two tokens, 0.5 ms to 40 s.
  public static let tokenSeconds: [Double] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10, 40,
  ]
  /// Lengths in tokens, in the 1-2-5 steps that vLLM's series use.
  public static let tokenCounts: [Double] = [
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 200_000,
  ]
  /// Tokens computed in one step.
  public static let stepTokens: [Double] = [1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384]
}
