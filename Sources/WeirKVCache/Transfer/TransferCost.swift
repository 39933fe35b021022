// What a transfer costs, learnt while transferring, and what follows from it: direct calls or gather and scatter.

/// How the bytes of a plan travel.
public enum TransferMode: Hashable, Sendable {
  /// One call per co-run, from block to block.
  case direct
  /// Copied together at the sender, sent in one piece, copied apart at the receiver.
  case staged
}

/// Seconds of a transfer as `operationSeconds * operations + byteSeconds * bytes`, both constants fitted online.
///
/// The fit is least squares of the relative error over observations that fade by `memory` each, drawn towards the
/// priors with the weight of `priorObservations` observations: the priors rule at the start, and a direction that the
/// observations never move in (all transfers of one shape) stays where it was. Neither constant becomes negative.
/// A pure value; every call is O(1).
public struct TransferCostModel: Sendable, Equatable {
  /// Where the constants start.
  public struct Priors: Sendable, Equatable {
    /// Seconds per call.
    public var operationSeconds: Double
    /// Seconds per byte on the wire.
    public var byteSeconds: Double
    /// Seconds per byte of one copy in memory.
    public var copyByteSeconds: Double

    public init(operationSeconds: Double, byteSeconds: Double, copyByteSeconds: Double) {
      precondition(
        operationSeconds >= 0 && byteSeconds > 0 && copyByteSeconds > 0, "costs are positive numbers of seconds")
      self.operationSeconds = operationSeconds
      self.byteSeconds = byteSeconds
      self.copyByteSeconds = copyByteSeconds
    }

    /// One-sided calls over shared memory: about a microsecond and 5 GB/s.
    public static let sharedMemory = Priors(operationSeconds: 1e-6, byteSeconds: 2e-10, copyByteSeconds: 2e-10)
    /// Calls over a loopback or fast TCP link: about 20 microseconds and 2 GB/s.
    public static let stream = Priors(operationSeconds: 20e-6, byteSeconds: 5e-10, copyByteSeconds: 2e-10)
  }

  public let priors: Priors
  /// Weight that an observation keeps when the next one comes, `0..<1` away from 1.
  public let memory: Double
  public let priorObservations: Double
  public private(set) var operationSeconds: Double
  public private(set) var byteSeconds: Double
  public private(set) var copyByteSeconds: Double
  public private(set) var observations = 0

  // Normal equations of the relative fit, in units of the priors so that they are well scaled.
  private var operationSquare = 0.0
  private var mixed = 0.0
  private var byteSquare = 0.0
  private var operationTarget = 0.0
  private var byteTarget = 0.0

  /// - Precondition: `memory` in `0.5..<1`, `priorObservations` over 0.
  public init(priors: Priors, memory: Double = 0.98, priorObservations: Double = 0.001) {
    precondition((0.5..<1).contains(memory) && priorObservations > 0, "the fit needs a memory and a prior")
    self.priors = priors
    self.memory = memory
    self.priorObservations = priorObservations
    operationSeconds = priors.operationSeconds
    byteSeconds = priors.byteSeconds
    copyByteSeconds = priors.copyByteSeconds
  }

  /// Learns from one finished transfer. Times that are not positive finite numbers are ignored.
  public mutating func observe(operations: Int, bytes: Int, seconds: Double) {
    guard operations > 0, bytes > 0, seconds > 0, seconds.isFinite else { return }
    observations += 1
    let unit = operationUnit
    let x = Double(operations) * unit / seconds
    let y = Double(bytes) * priors.byteSeconds / seconds
    operationSquare = operationSquare * memory + x * x
    mixed = mixed * memory + x * y
    byteSquare = byteSquare * memory + y * y
    operationTarget = operationTarget * memory + x
    byteTarget = byteTarget * memory + y
    solve()
  }

  /// Learns from one copy in memory: an exponential mean of its speed.
  public mutating func observeCopy(bytes: Int, seconds: Double) {
    guard bytes > 0, seconds > 0, seconds.isFinite else { return }
    copyByteSeconds += (seconds / Double(bytes) - copyByteSeconds) * 0.1
  }

  /// Expected seconds of a transfer.
  public func seconds(operations: Int, bytes: Int) -> Double {
    operationSeconds * Double(operations) + byteSeconds * Double(bytes)
  }

  /// Whether to send `operations` direct calls, or to gather into `stagedOperations` calls at the price of one copy at
  /// each end. Equal costs go the direct way.
  public func mode(operations: Int, stagedOperations: Int = 1, bytes: Int) -> TransferMode {
    let direct = operationSeconds * Double(operations)
    let staged = operationSeconds * Double(stagedOperations) + 2 * copyByteSeconds * Double(bytes)
    return staged < direct ? .staged : .direct
  }

  /// Bytes that one call must carry so that at most `share` of its time is the call itself.
  /// - Precondition: `share` in `0..<1`, not 0.
  public func spanBytes(overheadShare share: Double) -> Int {
    precondition(share > 0 && share < 1, "a share lies between 0 and 1")
    let bytes = operationSeconds * (1 - share) / (share * byteSeconds)
    return Int(min(max(bytes.rounded(.up), 1), 1e12))
  }

  /// Operations are counted in this many seconds each; not 0 even where the prior is.
  private var operationUnit: Double { max(priors.operationSeconds, 1e-9) }

  private mutating func solve() {
    let unit = operationUnit
    let ridge = priorObservations
    // (A + ridge) p = t + ridge * prior, with p in units of the priors, so that the prior is (start, 1).
    let start = priors.operationSeconds / unit
    let (a, b, d) = (operationSquare + ridge, mixed, byteSquare + ridge)
    let (s, t) = (operationTarget + ridge * start, byteTarget + ridge)
    let determinant = a * d - b * b
    var operation = determinant > 0 ? (s * d - b * t) / determinant : start
    var byte = determinant > 0 ? (a * t - b * s) / determinant : 1
    // The best fit on the border, where the other constant is nothing.
    if operation < 0 { (operation, byte) = (0, t / d) }
    if byte <= 0 { (operation, byte) = (s / a, 1e-6) }
    operationSeconds = operation * unit
    byteSeconds = byte * priors.byteSeconds
  }
}
