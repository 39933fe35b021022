// How far a share of few items can be trusted.

/// Wilson's score interval of a share (Wilson 1927): sensible at 0, at 1 and for few items, where the normal
/// approximation is not.
public struct WilsonInterval: Sendable, Equatable {
  /// In `0...1`.
  public let low: Double
  /// In `0...1`.
  public let high: Double

  /// The standard normal quantile of a two-sided 95 % interval.
  public static let z95 = 1.959963984540054

  /// - Parameters:
  ///   - correct: successes, in `0...count`.
  ///   - count: trials; 0 gives `0...1`.
  ///   - z: the normal quantile, 95 % by default.
  public init(correct: Int, count: Int, z: Double = z95) {
    guard count > 0 else {
      (low, high) = (0, 1)
      return
    }
    let trials = Double(count)
    let share = Double(correct) / trials
    let scale = 1 + z * z / trials
    let centre = (share + z * z / (2 * trials)) / scale
    let half = z * (share * (1 - share) / trials + z * z / (4 * trials * trials)).squareRoot() / scale
    // The formula gives exactly 0 and 1 at the ends; rounding must not move them.
    low = correct == 0 ? 0 : max(0, centre - half)
    high = correct == count ? 1 : min(1, centre + half)
  }
}

/// How many of some items were answered rightly.
public struct Tally: Sendable, Equatable {
  public var correct = 0
  public var count = 0

  public init(correct: Int = 0, count: Int = 0) {
    self.correct = correct
    self.count = count
  }

  public mutating func add(_ isRight: Bool) {
    count += 1
    if isRight { correct += 1 }
  }

  /// In `0...1`; 0 without items.
  public var share: Double { count == 0 ? 0 : Double(correct) / Double(count) }
  /// The 95 % interval of ``share``.
  public var interval: WilsonInterval { WilsonInterval(correct: correct, count: count) }
}
