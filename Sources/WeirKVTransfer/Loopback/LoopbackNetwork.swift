// A network inside the process, in virtual time, that misbehaves on request and the same way for the same seed.

public import WeirBasics
import WeirKVCache

/// The twin of a real network. All its transports live on one thread; `wait` moves the clock.
public final class LoopbackNetwork {
  public let clock: ManualClock
  public var faults: LoopbackFaults
  private var random: SeededGenerator
  private var nodes: [String: LoopbackTransport] = [:]
  /// In order of time, then of posting.
  private var queue: [Delivery] = []
  private var sequence: UInt64 = 0

  public init(clock: ManualClock, seed: UInt64, faults: LoopbackFaults = LoopbackFaults()) {
    self.clock = clock
    self.faults = faults
    random = SeededGenerator(seed: seed)
  }

  /// Whether something is on its way.
  public var isBusy: Bool { !queue.isEmpty }

  /// A new node.
  /// - Parameters:
  ///   - name: its address.
  ///   - introduction: what it tells its peers.
  public func transport(named name: String, introduction: [UInt8] = []) -> LoopbackTransport {
    let transport = LoopbackTransport(network: self, name: name, introduction: introduction)
    nodes[name] = transport
    return transport
  }

  /// Ends a node as `kill -9` does: what it had in flight never arrives, its peers see the connection break.
  public func kill(_ name: String) {
    guard let node = nodes.removeValue(forKey: name) else { return }
    node.die()
    for link in node.links.values { cut(link, TransportError(.peerLost, "\(name) died")) }
  }

  /// Breaks all connections between two nodes.
  public func cut(between a: String, and b: String) {
    for link in nodes[a]?.links.values.map(\.self) ?? [] where link.connects(a, b) {
      cut(link, TransportError(.peerLost, "the link between \(a) and \(b) was cut"))
    }
  }

  // MARK: for the transports

  func node(_ name: String) -> LoopbackTransport? { nodes[name] }

  func remove(_ name: String) { nodes[name] = nil }

  /// Posts one piece of a call.
  func post(_ operation: OperationID, of name: String, _ transfer: LoopbackTransfer, over link: LoopbackLink) {
    guard !happens(faults.dropPiece) else { return }
    let damage = happens(faults.corruptPiece) ? random.next() : nil
    enqueue(
      Delivery(time: arrival(), from: name, link: link, content: .piece(operation, transfer, damage: damage)))
  }

  /// Posts a message.
  func post(message: [UInt8], from name: String, over link: LoopbackLink) {
    var bytes = message
    if happens(faults.corruptMessage), !bytes.isEmpty {
      let bit = random.next()
      bytes[Int(bit % UInt64(bytes.count))] ^= 1 << UInt8(bit >> 32 & 7)
    }
    if !happens(faults.dropMessage) { enqueueMessage(bytes, from: name, link) }
    if happens(faults.duplicateMessage) { enqueueMessage(bytes, from: name, link) }
    if happens(faults.replayMessage), let old = link.history[name], !old.isEmpty {
      enqueueMessage(old[Int(random.next() % UInt64(old.count))], from: name, link)
    }
    link.history[name, default: []].append(message)
  }

  /// Forgets what is left of a call: nothing of it arrives afterwards.
  func withdraw(_ operation: OperationID, of name: String) {
    queue.removeAll {
      guard $0.from == name, case .piece(operation, _, _) = $0.content else { return false }
      return true
    }
  }

  /// Delivers everything that is due.
  func deliver() {
    while let next = queue.first, next.time <= clock.now() {
      queue.removeFirst()
      deliver(next)
    }
  }

  /// Moves the clock to the next delivery, at most by `seconds`.
  func wait(seconds: Double) {
    let next = queue.first.map { max(0, $0.time.seconds(since: clock.now())) } ?? seconds
    // One nanosecond more, so that rounding does not stop short of the delivery.
    clock.advance(bySeconds: min(seconds, next + 1e-9))
  }

  func cut(_ link: LoopbackLink, _ error: TransportError) {
    guard link.isUp else { return }
    link.isUp = false
    queue.removeAll { $0.link === link }
    for name in [link.first, link.second] { nodes[name]?.lose(link, error) }
  }

  private func enqueueMessage(_ bytes: [UInt8], from name: String, _ link: LoopbackLink) {
    var time = arrival()
    if happens(faults.reorderMessage) {
      time = time.advanced(bySeconds: faults.delaySeconds.upperBound + 1e-6)
    } else {
      time = max(time, link.lastMessage[name] ?? time)
      link.lastMessage[name] = time
    }
    enqueue(Delivery(time: time, from: name, link: link, content: .message(bytes)))
  }

  private func enqueue(_ delivery: Delivery) {
    var delivery = delivery
    delivery.sequence = sequence
    sequence += 1
    let place =
      queue.lastIndex { ($0.time, $0.sequence) <= (delivery.time, delivery.sequence) }.map { $0 + 1 } ?? 0
    queue.insert(delivery, at: place)
  }

  private func deliver(_ delivery: Delivery) {
    guard delivery.link.isUp else { return }
    let receiver = delivery.link.other(delivery.from)
    switch delivery.content {
    case .message(let bytes):
      nodes[receiver]?.take(bytes, over: delivery.link)
    case .piece(let operation, let transfer, let damage):
      guard let initiator = nodes[delivery.from], let target = nodes[receiver] else { return }
      var count = transfer.piece.byteCount
      let limit = faults.cutAfterBytes.map { max(0, $0 - delivery.link.movedBytes) }
      if let limit { count = min(count, limit) }
      move(transfer, count: count, damage: damage, initiator: initiator, target: target)
      delivery.link.movedBytes += count
      if count < transfer.piece.byteCount || limit == count {
        cut(delivery.link, TransportError(.peerLost, "the link broke after \(delivery.link.movedBytes) bytes"))
      } else {
        initiator.finishPiece(operation)
      }
    }
  }

  private func move(
    _ transfer: LoopbackTransfer, count: Int, damage: UInt64?, initiator: LoopbackTransport, target: LoopbackTransport
  ) {
    guard count > 0 else { return }
    let local = initiator.memory(transfer.local)
    let remote = target.memory(transfer.remote)
    let (from, to) = transfer.isPut ? (local, remote) : (remote, local)
    let piece = transfer.piece
    let goal = UnsafeMutableRawBufferPointer(rebasing: to[piece.destinationOffset..<(piece.destinationOffset + count)])
    goal.copyMemory(from: UnsafeRawBufferPointer(rebasing: from[piece.sourceOffset..<(piece.sourceOffset + count)]))
    if let damage { goal[Int(damage % UInt64(count))] ^= 1 << UInt8(damage >> 32 & 7) }
  }

  private func arrival() -> Instant {
    let range = faults.delaySeconds
    let delay = range.lowerBound + random.unitDouble() * (range.upperBound - range.lowerBound)
    return clock.now().advanced(bySeconds: delay)
  }

  private func happens(_ chance: Double) -> Bool { chance > 0 && random.unitDouble() < chance }

  private struct Delivery {
    var time: Instant
    var sequence: UInt64 = 0
    var from: String
    var link: LoopbackLink
    var content: Content

    init(time: Instant, from: String, link: LoopbackLink, content: Content) {
      self.time = time
      self.from = from
      self.link = link
      self.content = content
    }
  }

  private enum Content {
    case message([UInt8])
    case piece(OperationID, LoopbackTransfer, damage: UInt64?)
  }
}

/// One piece of a call.
struct LoopbackTransfer {
  var piece: TransferPiece
  var isPut: Bool
  /// Region of the initiator.
  var local: RegionID
  var remote: RegionID
}

/// A connection between two nodes.
final class LoopbackLink {
  let first: String
  let second: String
  var isUp = true
  /// Bytes of pieces that went over it, both ways.
  var movedBytes = 0
  var lastMessage: [String: Instant] = [:]
  var history: [String: [[UInt8]]] = [:]

  init(_ first: String, _ second: String) {
    self.first = first
    self.second = second
  }

  func other(_ name: String) -> String { name == first ? second : first }
  func connects(_ a: String, _ b: String) -> Bool { (first, second) == (a, b) || (first, second) == (b, a) }
}
