// One node of a LoopbackNetwork.

public import WeirBasics
import WeirKVCache

/// The controlled twin of a real transport: in this process, in virtual time, with faults.
public final class LoopbackTransport: Transport {
  public let address: String
  private let network: LoopbackNetwork
  private let introduction: [UInt8]
  private var regions: [TransferMemory] = []
  private(set) var links: [PeerID: LoopbackLink] = [:]
  private var operations: [OperationID: Open] = [:]
  private var events: [TransportEvent] = []
  private var nextPeer: UInt32 = 0
  private var nextOperation: UInt64 = 0
  private var isClosed = false

  /// A call on its way.
  private struct Open {
    var peer: PeerID
    var piecesLeft: Int
    var posted: Instant
    var deadline: Instant
    var operations: Int
    var bytes: Int
  }

  init(network: LoopbackNetwork, name: String, introduction: [UInt8]) {
    self.network = network
    address = name
    self.introduction = introduction
  }

  public func register(_ memory: TransferMemory) throws(TransportError) -> RegionID {
    try checkOpen()
    regions.append(memory)
    return RegionID(rawValue: UInt32(regions.count - 1))
  }

  public func connect(to address: String, deadline: Instant) throws(TransportError) -> PeerID {
    try checkOpen()
    guard let other = network.node(address), address != self.address else {
      throw TransportError(.unreachable, "there is no node \(address)")
    }
    let link = LoopbackLink(self.address, address)
    let peer = join(link, introduction: other.introduction)
    _ = other.join(link, introduction: introduction)
    return peer
  }

  public func post(_ call: TransferCall) throws(TransportError) -> OperationID {
    let link = try liveLink(call.peer)
    let its = network.node(link.other(address))?.regions ?? []
    try call.check(localRegionBytes: regions.map(\.byteCount), remoteRegionBytes: its.map(\.byteCount))
    let operation = newOperation()
    operations[operation] = Open(
      peer: call.peer, piecesLeft: call.pieces.count, posted: network.clock.now(), deadline: call.deadline,
      operations: call.pieces.count, bytes: call.pieces.reduce(0) { $0 + $1.byteCount })
    for piece in call.pieces {
      network.post(
        operation, of: address,
        LoopbackTransfer(piece: piece, isPut: call.isPut, local: call.local, remote: call.remote), over: link)
    }
    return operation
  }

  public func send(_ message: [UInt8], to peer: PeerID, deadline: Instant) throws(TransportError) -> OperationID {
    let link = try liveLink(peer)
    try checkLength(ofMessage: message)
    let operation = newOperation()
    network.post(message: message, from: address, over: link)
    // Like a socket: taken by the network, which does not mean that it arrives.
    events.append(.completed(operation, OperationReport(operations: 1, bytes: message.count, seconds: 0)))
    return operation
  }

  public func cancel(_ operation: OperationID) {
    guard operations[operation] != nil else { return }
    fail(operation, TransportError(.cancelled, "the call was cancelled"))
  }

  public func disconnect(_ peer: PeerID) {
    guard let link = links[peer] else { return }
    network.cut(link, TransportError(.peerLost, "\(address) closed the connection"))
  }

  public func poll() -> [TransportEvent] {
    guard !isClosed else { return [] }
    network.deliver()
    let now = network.clock.now()
    for (operation, open) in operations.sorted(by: { $0.key.rawValue < $1.key.rawValue }) where open.deadline <= now {
      fail(operation, TransportError(.deadlinePassed, "the call was not done by its deadline"))
    }
    defer { events.removeAll() }
    return events
  }

  public func wait(seconds: Double) {
    guard events.isEmpty else { return }
    network.wait(seconds: seconds)
  }

  public func close() {
    guard !isClosed else { return }
    for link in links.values.map(\.self) { network.cut(link, TransportError(.peerLost, "\(address) was closed")) }
    network.remove(address)
    isClosed = true
    events.removeAll()
  }

  // MARK: for the network

  func memory(_ region: RegionID) -> UnsafeMutableRawBufferPointer { regions[Int(region.rawValue)].bytes }

  func take(_ message: [UInt8], over link: LoopbackLink) {
    guard let peer = links.first(where: { $0.value === link })?.key else { return }
    events.append(.message(peer, message))
  }

  func finishPiece(_ operation: OperationID) {
    guard var open = operations[operation] else { return }
    open.piecesLeft -= 1
    operations[operation] = open
    guard open.piecesLeft == 0 else { return }
    operations[operation] = nil
    events.append(
      .completed(
        operation,
        OperationReport(
          operations: open.operations, bytes: open.bytes, seconds: network.clock.now().seconds(since: open.posted))))
  }

  func lose(_ link: LoopbackLink, _ error: TransportError) {
    guard let peer = links.first(where: { $0.value === link })?.key else { return }
    for operation in operations.keys.sorted(by: { $0.rawValue < $1.rawValue }) where operations[operation]?.peer == peer
    {
      fail(operation, error)
    }
    links[peer] = nil
    events.append(.lost(peer, error))
  }

  func die() {
    isClosed = true
    events.removeAll()
    operations.removeAll()
  }

  // MARK: parts

  private func join(_ link: LoopbackLink, introduction: [UInt8]) -> PeerID {
    let peer = PeerID(rawValue: nextPeer)
    nextPeer += 1
    links[peer] = link
    events.append(.connected(peer, introduction: introduction))
    return peer
  }

  private func fail(_ operation: OperationID, _ error: TransportError) {
    network.withdraw(operation, of: address)
    operations[operation] = nil
    events.append(.failed(operation, error))
  }

  private func newOperation() -> OperationID {
    defer { nextOperation += 1 }
    return OperationID(rawValue: nextOperation)
  }

  private func checkOpen() throws(TransportError) {
    guard !isClosed else { throw TransportError(.closed, "the transport was closed") }
  }

  private func liveLink(_ peer: PeerID) throws(TransportError) -> LoopbackLink {
    try checkOpen()
    guard let link = links[peer], link.isUp else {
      throw TransportError(.unknownPeer, "there is no connection \(peer.rawValue)")
    }
    return link
  }
}
