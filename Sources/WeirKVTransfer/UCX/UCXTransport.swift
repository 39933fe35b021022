// Bytes between processes and machines: UCX for the data, a TCP connection for words and for noticing a death.

import CWeirUCX
public import WeirBasics
import WeirKVCache

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// How a UCX transport works.
public struct UCXConfiguration: Sendable {
  /// Which way data takes.
  public enum Path: String, Sendable, CaseIterable {
    /// Between processes of one machine: shared memory for small things, and one copy by the kernel from address space
    /// to address space (CMA) for KV. The target's processor does nothing.
    case sharedMemory = "shm"
    /// Between machines. The target must poll for data to arrive.
    case tcp
  }

  public var path: Path
  public var control: ControlConfiguration
  /// Calls of one operation that are in flight at once.
  public var windowCalls = 64
  /// How long calls to a lost peer may still be in flight, in seconds.
  public var giveUpSeconds = 1.0

  public init(path: Path, control: ControlConfiguration) {
    self.path = path
    self.control = control
  }
}

/// A node of a real network.
///
/// Shared-memory lanes of UCX never report that the peer died; its TCP lanes do. So peers are watched over a control
/// connection of our own, and when that breaks the endpoint is given up, which ends every call in flight. (Over shared
/// memory UCX 1.13 leaves calls to a dead process pending for ever; they are abandoned after `giveUpSeconds`. Nothing can
/// move then: this process makes the copies, and the other address space is gone.) Peers prove
/// the cluster secret on the control connection before they are told how to reach this node's memory; the data itself
/// is neither authenticated nor encrypted, so it belongs on a network that only the cluster reaches.
///
/// Not `Sendable`: everything happens on the thread that polls.
public final class UCXTransport: Transport {
  public let address: String
  let worker: OpaquePointer
  let configuration: UCXConfiguration
  let clock: any WeirClock
  let control: ControlPlane
  var regions: [(memory: TransferMemory, handle: OpaquePointer)] = []
  var peers: [PeerID: Peer] = [:]
  var peerOfStream: [Int: PeerID] = [:]
  var operations: [OperationID: Operation] = [:]
  /// Operations that are not over, in order.
  var active: [OperationID] = []
  var events: [TransportEvent] = []
  private var nextPeer: UInt32 = 0
  private var nextOperation: UInt64 = 0
  var isClosed = false
  /// Counters of calls that were given up; UCX may still touch them.
  var abandoned: [UnsafeMutablePointer<weir_ucx_counter>] = []
  /// An endpoint could not be closed, so the worker cannot be either: it is left to the end of the process.
  var isWorkerStuck = false
  private var lastControl = Instant(nanoseconds: 0)

  /// A connection.
  struct Peer {
    let stream: Int
    var introduction: [UInt8] = []
    var endpoint: OpaquePointer?
    var keys: [OpaquePointer] = []
    var remote: [TransportDetails.Region] = []
    /// Why it is going away; it is gone when its calls are over.
    var loss: TransportError?
    /// When what is still in flight is given up.
    var giveUp = Instant(nanoseconds: 0)
    /// Counts the end of the endpoint.
    var closing: UnsafeMutablePointer<weir_ucx_counter>?
    /// Counts the flush that ends when this side's endpoint is connected.
    var wiring: UnsafeMutablePointer<weir_ucx_counter>?
    /// When both endpoints must be connected; nil before the peer has shown that it belongs to the cluster.
    var wiringDeadline: Instant?
    var isWired = false
    /// The peer's endpoint is connected too.
    var isReached = false
    /// Both are; closing earlier would make UCX abort the program.
    var isConnected: Bool { isWired && isReached }
    var isReady: Bool { isConnected && loss == nil }
  }

  /// A call that is not over.
  struct Operation {
    let peer: PeerID
    let isPut: Bool
    let pieces: [TransferPiece]
    let local: Int
    let remote: Int
    let posted: Instant
    let deadline: Instant
    let window: Int
    /// Counts the calls in flight; freed when the operation is over.
    let counter: UnsafeMutablePointer<weir_ucx_counter>
    var nextPiece = 0
    var isFlushing = false
    /// Why no more is posted.
    var failure: TransportError?
  }

  /// Opens a worker and listens for peers.
  ///
  /// - Parameters:
  ///   - configuration: where and how.
  ///   - clock: for deadlines.
  /// - Throws: `TransportError` if UCX or the socket is not to be had.
  public init(configuration: UCXConfiguration, clock: any WeirClock) throws(TransportError) {
    control = try ControlPlane(configuration: configuration.control, clock: clock)
    var reason = [CChar](repeating: 0, count: 256)
    let lanes = configuration.path == .sharedMemory ? "posix,sysv,cma" : "tcp"
    guard let worker = weir_ucx_open(lanes, configuration.path == .tcp, &reason, reason.count) else {
      throw TransportError(
        .unavailable, String(decoding: reason.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
    }
    self.worker = worker
    self.configuration = configuration
    self.clock = clock
    address = "\(configuration.control.host):\(control.port)"
  }

  deinit { close() }

  public func register(_ memory: TransferMemory) throws(TransportError) -> RegionID {
    try checkOpen()
    var status: Int32 = 0
    guard let handle = weir_ucx_register(worker, memory.bytes.baseAddress, memory.byteCount, &status) else {
      throw TransportError(.unavailable, "UCX does not take the memory: \(String(cString: weir_ucx_text(status)))")
    }
    regions.append((memory, handle))
    return RegionID(rawValue: UInt32(regions.count - 1))
  }

  public func connect(to address: String, deadline: Instant) throws(TransportError) -> PeerID {
    try checkOpen()
    return addPeer(stream: try control.connect(to: address, deadline: deadline))
  }

  public func send(_ message: [UInt8], to peer: PeerID, deadline: Instant) throws(TransportError) -> OperationID {
    let entry = try readyPeer(peer)
    try checkLength(ofMessage: message)
    control.send(.message, message, to: entry.stream)
    let operation = newOperation()
    // The socket has it; whether the peer reads it shows in its answer.
    events.append(.completed(operation, OperationReport(operations: 1, bytes: message.count, seconds: 0)))
    return operation
  }

  public func cancel(_ operation: OperationID) {
    stop(operation, TransportError(.cancelled, "the call was cancelled"))
  }

  public func disconnect(_ peer: PeerID) {
    guard let entry = peers[peer] else { return }
    control.close(entry.stream)
  }

  public func poll() -> [TransportEvent] {
    guard !isClosed else { return [] }
    pollControl()
    advanceWiring()
    advanceOperations()
    // Bounded, so that a flood of small completions cannot keep the caller here.
    for _ in 0..<256 where weir_ucx_progress(worker) == 0 { break }
    advanceOperations()
    endLostPeers()
    defer { events.removeAll(keepingCapacity: true) }
    return events
  }

  public func wait(seconds: Double) { wait(seconds: seconds, orReadable: -1) }

  public func wait(seconds: Double, orReadable descriptor: Int32) {
    // A call of which nothing is in flight goes on at the next poll: there would be no news of it.
    let isStopped = active.contains { operations[$0]?.counter.pointee.pending == 0 }
    guard !isClosed, events.isEmpty, !isStopped, weir_ucx_arm(worker) else { return }
    var descriptors = control.descriptors()
    for one in [weir_ucx_event_descriptor(worker), descriptor] {
      descriptors.append(pollfd(fd: one, events: Int16(POLLIN), revents: 0))
    }
    let deadline = operations.values.map(\.deadline).min().map { $0.seconds(since: clock.now()) } ?? seconds
    let milliseconds = max(0, min(seconds, deadline) * 1000)
    Glibc.poll(&descriptors, nfds_t(descriptors.count), Int32(min(milliseconds.rounded(.up), 1e6)))
  }

  public func close() {
    guard !isClosed else { return }
    for peer in peers.keys { lose(peer, TransportError(.closed, "the transport was closed")) }
    // Calls in flight read and write the owner's memory: they end before it may go away.
    let end = clock.now().advanced(bySeconds: 2)
    while !active.isEmpty || !peers.isEmpty, clock.now() < end {
      _ = weir_ucx_progress(worker)
      advanceOperations()
      endLostPeers()
    }
    isClosed = true
    control.closeAll()
    if !isWorkerStuck {
      for region in regions { weir_ucx_deregister(worker, region.handle) }
      weir_ucx_close(worker)
      for counter in abandoned { counter.deallocate() }
    }
    events.removeAll()
  }

  // MARK: parts

  /// Looks at the sockets; while calls are in flight only now and then, because two system calls cost more than a call
  /// over shared memory.
  private func pollControl() {
    if !active.isEmpty {
      let now = clock.now()
      guard now.seconds(since: lastControl) > 50e-6 else { return }
      lastControl = now
    }
    for event in control.poll() { take(event) }
  }

  func addPeer(stream: Int) -> PeerID {
    let peer = PeerID(rawValue: nextPeer)
    nextPeer += 1
    peers[peer] = Peer(stream: stream)
    peerOfStream[stream] = peer
    return peer
  }

  func newOperation() -> OperationID {
    defer { nextOperation += 1 }
    return OperationID(rawValue: nextOperation)
  }

  func checkOpen() throws(TransportError) {
    guard !isClosed else { throw TransportError(.closed, "the transport was closed") }
  }

  private func readyPeer(_ peer: PeerID) throws(TransportError) -> Peer {
    try checkOpen()
    guard let entry = peers[peer], entry.isReady else {
      throw TransportError(.unknownPeer, "there is no connection \(peer.rawValue)")
    }
    return entry
  }

  public func post(_ call: TransferCall) throws(TransportError) -> OperationID {
    let entry = try readyPeer(call.peer)
    try call.check(
      localRegionBytes: regions.map(\.memory.byteCount), remoteRegionBytes: entry.remote.map { Int($0.byteCount) })
    let counter = UnsafeMutablePointer<weir_ucx_counter>.allocate(capacity: 1)
    counter.initialize(to: weir_ucx_counter(pending: 0, status: 0))
    let id = newOperation()
    operations[id] = Operation(
      peer: call.peer, isPut: call.isPut, pieces: call.pieces, local: Int(call.local.rawValue),
      remote: Int(call.remote.rawValue), posted: clock.now(), deadline: call.deadline,
      window: max(1, min(call.windowCalls ?? configuration.windowCalls, configuration.windowCalls)), counter: counter)
    active.append(id)
    advance(id, now: clock.now())
    return id
  }
}
