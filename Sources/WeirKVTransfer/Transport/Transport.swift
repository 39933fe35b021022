// The seam to whatever moves bytes between nodes.

public import WeirBasics
public import WeirKVCache

/// Memory that a transport may read and write. The owner keeps it mapped until the transport is closed.
public struct TransferMemory: Hashable, Sendable {
  /// First byte, as a number: the value travels between threads, the memory belongs to its owner.
  public let address: UInt
  public let byteCount: Int

  public init(address: UInt, byteCount: Int) {
    self.address = address
    self.byteCount = byteCount
  }

  public init(_ bytes: UnsafeMutableRawBufferPointer) {
    self.init(address: UInt(bitPattern: bytes.baseAddress), byteCount: bytes.count)
  }

  /// The bytes themselves.
  public var bytes: UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(start: UnsafeMutableRawPointer(bitPattern: address), count: byteCount)
  }
}

/// A region by its number on its own node: the order of registration, from 0.
public struct RegionID: RawRepresentable, Hashable, Sendable {
  public var rawValue: UInt32
  public init(rawValue: UInt32) { self.rawValue = rawValue }
}

/// A connection, named by this node.
public struct PeerID: RawRepresentable, Hashable, Sendable {
  public var rawValue: UInt32
  public init(rawValue: UInt32) { self.rawValue = rawValue }
}

/// A call that was posted and has not been reported yet.
public struct OperationID: RawRepresentable, Hashable, Sendable {
  public var rawValue: UInt64
  public init(rawValue: UInt64) { self.rawValue = rawValue }
}

/// What became of a call.
public struct OperationReport: Hashable, Sendable {
  /// Calls that went to the network stack.
  public var operations: Int
  public var bytes: Int
  /// From posting to completion.
  public var seconds: Double

  public init(operations: Int, bytes: Int, seconds: Double) {
    self.operations = operations
    self.bytes = bytes
    self.seconds = seconds
  }
}

/// News of a transport, in the order in which they happened.
public enum TransportEvent: Sendable, Equatable {
  /// The peer is there and has shown that it belongs to the cluster. `introduction` is what it says of itself.
  case connected(PeerID, introduction: [UInt8])
  /// Everything of the call has arrived: a put is visible to the peer, a get to this node, a message was taken.
  case completed(OperationID, OperationReport)
  /// The call is over and no byte of it will move any more; some may have.
  case failed(OperationID, TransportError)
  /// A message, in the order in which the peer sent them.
  case message(PeerID, [UInt8])
  /// The peer is gone. Calls to it were reported before; messages of it come no more.
  case lost(PeerID, TransportError)
}

/// Moves byte ranges between registered memory of two nodes, and short messages beside them.
///
/// Post and poll: calls return at once, and `poll` makes progress and tells what happened. A transport belongs to the
/// thread that made it, like the pool whose memory it moves; `TransportThread` gives one a thread of its own. Every
/// call has a deadline, and every call ends with exactly one `completed` or `failed`. A put that is reported is over:
/// it writes nothing afterwards, whatever the outcome. That is what lets the owner reuse the memory.
public protocol Transport: AnyObject {
  /// Where other nodes reach this one, as `connect` takes it.
  var address: String { get }

  /// Adds memory. Regions are told to peers when a connection is made, so register first.
  func register(_ memory: TransferMemory) throws(TransportError) -> RegionID

  /// Starts a connection; `connected` or `lost` follows.
  func connect(to address: String, deadline: Instant) throws(TransportError) -> PeerID

  /// Starts to move bytes; see `put` and `get`.
  func post(_ call: TransferCall) throws(TransportError) -> OperationID

  /// Sends a message of at most `messageBytesLimit` bytes.
  func send(_ message: [UInt8], to peer: PeerID, deadline: Instant) throws(TransportError) -> OperationID

  /// Stops a call: what has not been handed to the network is not sent. It still ends with an event, as failed with
  /// `cancelled`, or as completed if it was too late.
  func cancel(_ operation: OperationID)

  /// Ends a connection. Its open calls fail; `lost` is reported for it here and at the peer.
  func disconnect(_ peer: PeerID)

  /// Makes progress without waiting and returns the news since the last call.
  func poll() -> [TransportEvent]

  /// Sleeps until there may be news, at most `seconds`.
  func wait(seconds: Double)

  /// As `wait(seconds:)`; it also ends when the descriptor becomes readable, in transports that can watch one.
  func wait(seconds: Double, orReadable descriptor: Int32)

  /// Ends everything; further calls throw `closed`.
  func close()
}

extension Transport {
  public func wait(seconds: Double, orReadable descriptor: Int32) { wait(seconds: seconds) }

  /// Writes byte ranges of `region` (offsets are those of `TransferPiece.sourceOffset`) into the peer's region.
  public func put(
    _ pieces: [TransferPiece], from region: RegionID, to peer: PeerID, region remote: RegionID, deadline: Instant,
    windowCalls: Int? = nil
  ) throws(TransportError) -> OperationID {
    try post(
      TransferCall(
        pieces: pieces, isPut: true, local: region, peer: peer, remote: remote, deadline: deadline,
        windowCalls: windowCalls))
  }

  /// Reads byte ranges of the peer's region (source offsets) into `region` (destination offsets).
  public func get(
    _ pieces: [TransferPiece], from peer: PeerID, region remote: RegionID, to region: RegionID, deadline: Instant
  ) throws(TransportError) -> OperationID {
    try post(
      TransferCall(pieces: pieces, isPut: false, local: region, peer: peer, remote: remote, deadline: deadline))
  }

  func checkLength(ofMessage message: [UInt8]) throws(TransportError) {
    guard message.count <= messageBytesLimit else {
      throw TransportError(.tooLarge, "a message of \(message.count) bytes is longer than \(messageBytesLimit)")
    }
  }
}

/// Longest message in bytes: a grant of a million scattered blocks fits.
public let messageBytesLimit = 16 << 20
