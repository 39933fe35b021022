// One node of a LoopbackNetwork.

public import WeirBasics
public import WeirKVCache

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

  public func put(
    _ pieces: [TransferPiece], from region: RegionID, to peer: PeerID, region remote: RegionID, deadline: Instant
  ) throws(TransportError) -> OperationID {
    try post(pieces, isPut: true, local: region, peer: peer, remote: remote, deadline: deadline)
  }

  public func get(
    _ pieces: [TransferPiece], from peer: PeerID, region remote: RegionID, to region: RegionID, deadline: Instant
  ) throws(TransportError) -> OperationID {
    try post(pieces, isPut: false, local: region, peer: peer, remote: remote, deadline: deadline)
  }

  public func send(_ message: [UInt8], to peer: PeerID, deadline: Instant) throws(TransportError) -> OperationID {
    let link = try liveLink(peer)
    guard message.count <= messageBytesLimit else {
      throw TransportError(.tooLarge, "a message of \(message.count) bytes is longer than \(messageBytesLimit)")
    }
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

  private func post(
    _ pieces: [TransferPiece], isPut: Bool, local: RegionID, peer: PeerID, remote: RegionID, deadline: Instant
  ) throws(TransportError) -> OperationID {
    let link = try liveLink(peer)
    guard Int(local.rawValue) < regions.count else {
      throw TransportError(.unknownRegion, "this node has no region \(local.rawValue)")
    }
    guard let target = network.node(link.other(address)), Int(remote.rawValue) < target.regions.count else {
      throw TransportError(.unknownRegion, "the peer has no region \(remote.rawValue)")
    }
    let mine = regions[Int(local.rawValue)].byteCount
    let its = target.regions[Int(remote.rawValue)].byteCount
    try checkBounds(pieces, sourceBytes: isPut ? mine : its, destinationBytes: isPut ? its : mine)
    let operation = newOperation()
    operations[operation] = Open(
      peer: peer, piecesLeft: pieces.count, posted: network.clock.now(), deadline: deadline, operations: pieces.count,
      bytes: pieces.reduce(0) { $0 + $1.byteCount })
    for piece in pieces {
      network.post(
        operation, of: address, LoopbackTransfer(piece: piece, isPut: isPut, local: local, remote: remote), over: link)
    }
    return operation
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

/// Refuses calls that leave a region: nothing is written where nobody expects it.
func checkBounds(_ pieces: [TransferPiece], sourceBytes: Int, destinationBytes: Int) throws(TransportError) {
  guard !pieces.isEmpty else { throw TransportError(.outOfBounds, "a call moves at least one piece") }
  for piece in pieces
  where piece.sourceBytes.upperBound > sourceBytes || piece.destinationBytes.upperBound > destinationBytes {
    throw TransportError(
      .outOfBounds,
      "bytes \(piece.sourceBytes) of \(sourceBytes) to \(piece.destinationBytes) of \(destinationBytes) leave a region")
  }
}
