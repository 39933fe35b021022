// Thresholds and times of the load-aware role plan.

/// Every bound of ``LoadAwareRoles``. Values outside their ranges are moved to the nearest end.
public struct LoadAwareRolesConfiguration: Sendable, Equatable {
  /// Seconds between two ticks, `0.01...60`; a tick is also the cycle of a directive's life.
  public let tickSeconds: Double
  /// A side is overloaded above this score, `0.05...1`.
  public let highThreshold: Double
  /// A side is idle below this score, `0...highThreshold`.
  public let lowThreshold: Double
  /// Ticks in a row with one side overloaded and the other idle before a node is turned, `1...1000`.
  public let imbalanceTicks: Int
  /// Least life of a flip in ticks, `1...10_000`.
  public let leastFlipTicks: Int
  /// The life that repeated flips of one node grow to, `leastFlipTicks...100_000` ticks.
  public let longestFlipTicks: Int
  /// A flip is renewed while its side would be above this without it, `lowThreshold...highThreshold`.
  public let releaseThreshold: Double
  /// Seconds without a change of any role before the next flip, and of a node before its next, `0...3600`.
  public let cooldownSeconds: Double
  /// A node that is turned again within this many seconds of its return stays twice as long, `0...86_400`.
  public let relapseSeconds: Double
  /// Both sides above `overloadThreshold` (`0.05...1`) for `overloadSeconds` (`0...3600`): one node more.
  public let overloadThreshold: Double
  public let overloadSeconds: Double
  /// Both sides below `idleThreshold` (`0...lowThreshold`) for `idleSeconds` (`0...86_400`): one node less.
  public let idleThreshold: Double
  public let idleSeconds: Double
  /// Seconds between two scale hints, `0...86_400`: a node takes its time to start.
  public let hintSeconds: Double
  public let weights: RoleScoreWeights

  public init(
    tickSeconds: Double = 0.25, highThreshold: Double = 0.8, lowThreshold: Double = 0.4, imbalanceTicks: Int = 3,
    leastFlipTicks: Int = 8, longestFlipTicks: Int = 960, releaseThreshold: Double = 0.6,
    cooldownSeconds: Double = 2, relapseSeconds: Double = 60, overloadThreshold: Double = 0.9,
    overloadSeconds: Double = 5, idleThreshold: Double = 0.1, idleSeconds: Double = 60, hintSeconds: Double = 30,
    weights: RoleScoreWeights = RoleScoreWeights()
  ) {
    func inside<Value: Comparable>(_ value: Value, _ range: ClosedRange<Value>) -> Value {
      min(max(value, range.lowerBound), range.upperBound)
    }
    self.tickSeconds = inside(tickSeconds, 0.01...60)
    self.highThreshold = inside(highThreshold, 0.05...1)
    self.lowThreshold = inside(lowThreshold, 0...self.highThreshold)
    self.imbalanceTicks = inside(imbalanceTicks, 1...1000)
    self.leastFlipTicks = inside(leastFlipTicks, 1...10_000)
    self.longestFlipTicks = inside(longestFlipTicks, self.leastFlipTicks...100_000)
    self.releaseThreshold = inside(releaseThreshold, self.lowThreshold...self.highThreshold)
    self.cooldownSeconds = inside(cooldownSeconds, 0...3600)
    self.relapseSeconds = inside(relapseSeconds, 0...86_400)
    self.overloadThreshold = inside(overloadThreshold, 0.05...1)
    self.overloadSeconds = inside(overloadSeconds, 0...3600)
    self.idleThreshold = inside(idleThreshold, 0...self.lowThreshold)
    self.idleSeconds = inside(idleSeconds, 0...86_400)
    self.hintSeconds = inside(hintSeconds, 0...86_400)
    self.weights = weights
  }
}
