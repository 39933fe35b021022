// What a node's handoffs have cost so far.

/// Counts since the node's start, of the calls that it made itself.
public struct TransferMeters: Hashable, Sendable {
  /// Calls that went to the network stack.
  public var operations: UInt64 = 0
  public var bytes: UInt64 = 0
  /// From posting to visibility at the receiver, summed over puts.
  public var seconds = 0.0
  /// Copying together here what is sent, and apart what was received.
  public var copySeconds = 0.0
  /// Digesting what is sent and what was received.
  public var digestSeconds = 0.0

  public init() {}

  mutating func count(_ report: OperationReport) {
    operations += UInt64(report.operations)
    bytes += UInt64(report.bytes)
    seconds += report.seconds
  }

  /// What came after `earlier`.
  public func since(_ earlier: TransferMeters) -> TransferMeters {
    var difference = self
    difference.operations -= earlier.operations
    difference.bytes -= earlier.bytes
    difference.seconds -= earlier.seconds
    difference.copySeconds -= earlier.copySeconds
    difference.digestSeconds -= earlier.digestSeconds
    return difference
  }
}
