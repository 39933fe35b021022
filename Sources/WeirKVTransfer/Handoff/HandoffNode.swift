// Both halves of all handoffs of a node, over one transport and one pool.

public import WeirBasics
public import WeirKVCache

/// What happened to handoffs, for the engine.
public enum HandoffNews: Sendable {
  case connected(PeerID, introduction: [UInt8])
  case lost(PeerID, TransportError)
  /// KV arrived, checked and in this node's form: the table is the engine's now, with `filledSlots` still to be
  /// committed by it.
  case adopted(HandoffReceipt)
  /// The sender of a handoff to this node is at work on it.
  case progress(HandoffID)
  /// A handoff of this node ended.
  case sent(HandoffID, HandoffOutcome)
  /// A handoff to this node ended without KV; the room is free again.
  case notReceived(HandoffID, RequestID, HandoffRefusal)
  /// KV that was kept for another node was not fetched in time, or its receiver does not want it; it is let go.
  case dropped(HandoffID, RequestID, HandoffRefusal)
  /// A message was refused without changing a handoff: repeated, late, or of no handoff.
  case refused(HandoffID, HandoffRefusal)
  /// A peer sent what no sound node sends; it was disconnected.
  case fault(PeerID, MessageFault)
}

/// KV that was taken over.
public struct HandoffReceipt: Sendable {
  public let id: HandoffID
  public let peer: PeerID
  /// What the sender announced, which is what the commit's tag said too.
  public let offer: HandoffOffer
  /// The blocks before `offer.positions` are those the table was opened with.
  public let table: BlockTable
  public let payload: [UInt8]
  public let wasConverted: Bool

  /// Compares what came with what this node's own request asks for; nil if it is that. Call it before the table is
  /// used: tag and checksum say that the KV is what the sender meant, only this says that it is what is wanted here.
  public func firstDifference(request: RequestID, tokens: [TokenID], salt: String) -> TransferTag.Part? {
    offer.firstDifference(request: request, tokens: tokens, salt: salt)
  }

  /// Bytes that came over the wire.
  public var wireBytes: Int { offer.senderBlocks * offer.shape.shape.blockBytes + payload.count }
}

/// The switches of a `HandoffNode`.
public struct HandoffConfiguration: Sendable {
  /// This node's KV.
  public var shape: KVWireShape
  /// A number that no earlier process of this node used.
  public var incarnation: UInt64
  /// Longest lease that is granted, in seconds, and what this node asks for.
  public var leaseSeconds = 30.0
  /// Blocks that a call of a streamed prefill carries at least, see `TransferStream`; nil: as many as keep the cost of
  /// the call itself under a twentieth, as learnt.
  public var spanBlocks: Int?
  /// Where the learnt costs start.
  public var costPriors = TransferCostModel.Priors.sharedMemory
  /// Longest piece of a call in bytes; nil: whole runs.
  public var pieceBytes: Int?
  /// Asked once for every handoff, on both sides: how KV is cut into calls. The default is FlowKV's way, with gathering
  /// where the learnt costs say that it is cheaper; the others are there to be measured.
  public var style: @Sendable () -> TransferStyle = { TransferStyle() }
  /// Bytes of the area in which KV of another form is received; 0: such KV is refused.
  public var stagingBytes = 0
  /// After a peer was lost its room is kept for this long, because a call that it had begun may still be at work.
  public var quarantineSeconds = 5.0
  /// Ended handoffs that are remembered, to answer repeated messages.
  public var memoryLimit = 4096
  /// Only what this node fetches is taken; every other offer is refused as unknown.
  public var takesOnlyFetched = false

  public init(shape: KVWireShape, incarnation: UInt64) {
    self.shape = shape
    self.incarnation = incarnation
  }
}

/// Hands KV of a pool to other nodes and takes theirs.
///
/// It belongs to the thread that owns the pool. `poll` does everything: progress of the transport, protocol, checks,
/// leases. The rules are in `SenderHandoff` and `ReceiverHandoff`; this class performs what they say.
public final class HandoffNode {
  public let configuration: HandoffConfiguration
  let transport: any Transport
  let pool: BlockPool
  let clock: any WeirClock
  let digest = KVDigest()
  let arena: RegionID
  var staging: StagingArea?
  var senders: [HandoffID: Sending] = [:]
  var receivers: [HandoffID: Receiving] = [:]
  /// Ended handoffs to this node, with the order in which they are forgotten.
  var ended: [HandoffID: ReceiverHandoff] = [:]
  var endedOrder: [HandoffID] = []
  var puts: [OperationID: HandoffID] = [:]
  /// KV that waits to be fetched.
  var held: [HandoffID: Held] = [:]
  /// What this node fetches and has not been offered yet.
  var wanted: [HandoffID: Wanted] = [:]
  /// Peers that are gone, and when their room may be used again.
  var quarantine: [PeerID: Instant] = [:]
  var news: [HandoffNews] = []
  var nextNumber: UInt64 = 1
  var nextEpoch: UInt64
  /// What this node's transfers cost, learnt from those that are over.
  public internal(set) var cost: TransferCostModel
  /// What this node's handoffs have moved.
  public internal(set) var meters = TransferMeters()

  /// Makes the table that received KV goes into: filled up to `offer.positions.lowerBound`, which is a multiple of the
  /// block's slots. Nil: this node does not have what comes before. The default takes only whole sequences.
  public var openTable: (HandoffID, HandoffOffer, BlockPool) -> BlockTable? = { _, offer, pool in
    offer.positions.lowerBound == 0 ? pool.open(pool.match([])) : nil
  }

  /// Looks at an offer before any room is taken; a reason refuses it. The default takes everything.
  public var checkOffer: (HandoffID, HandoffOffer) -> HandoffRefusal? = { _, _ in nil }

  /// A handoff of this node's.
  struct Sending {
    var handoff: SenderHandoff
    var peer: PeerID
    var table: BlockTable
    var style: TransferStyle
    var operations: Set<OperationID> = []
    /// Digests of the leading blocks that are sent.
    var digests: [UInt64] = []
    /// Where blocks were copied together for a call.
    var gathered: [OperationID: Range<Int>] = [:]
  }

  /// A handoff to this node.
  struct Receiving {
    var handoff: ReceiverHandoff
    var peer: PeerID
    var offer: HandoffOffer
    var table: BlockTable?
    /// Blocks of the table that are received.
    var blocks: [BlockID] = []
    var conversion: WireConversion?
    /// Digests of the leading blocks that came.
    var digests: [UInt64] = []
    /// Where the sender's blocks are received if they must be converted.
    var stagedBytes: Range<Int>?
  }

  /// - Throws: `TransportError` if the transport takes no memory.
  public convenience init(
    transport: any Transport, pool: BlockPool, configuration: HandoffConfiguration, clock: any WeirClock
  ) throws(TransportError) {
    try self.init(pool: pool, configuration: configuration, clock: clock) { memory throws(TransportError) in
      for region in memory { _ = try transport.register(region) }
      return transport
    }
  }

  /// - Parameter makeTransport: makes the transport with these regions registered, in this order and before all others;
  ///   a transport on a thread of its own takes its memory when it starts.
  /// - Throws: what `makeTransport` throws.
  public init(
    pool: BlockPool, configuration: HandoffConfiguration, clock: any WeirClock,
    makeTransport: ([TransferMemory]) throws(TransportError) -> any Transport
  ) throws(TransportError) {
    precondition(configuration.shape.shape == pool.shape, "the node announces another shape than its pool has")
    var memory = [
      TransferMemory(
        address: UInt(bitPattern: pool.blockPointer(BlockID(0))), byteCount: pool.totalBlocks * pool.shape.blockBytes)
    ]
    if configuration.stagingBytes > 0 {
      let area = StagingArea(byteCount: configuration.stagingBytes)
      area.region = RegionID(rawValue: UInt32(memory.count))
      memory.append(area.memory)
      staging = area
    }
    transport = try makeTransport(memory)
    arena = RegionID(rawValue: 0)
    self.pool = pool
    self.configuration = configuration
    self.clock = clock
    cost = TransferCostModel(priors: configuration.costPriors)
    // Epochs of a restarted receiver must not be those of its last life either.
    nextEpoch = configuration.incarnation &* 0x9E37_79B9_7F4A_7C15 | 1
  }

  // MARK: sending

  /// Begins to hand over a sequence's KV.
  ///
  /// - Parameters:
  ///   - request: what the KV is for.
  ///   - table: the transfer's own (`BlockPool.fork`); closed when the transfer is over, whatever became of it.
  ///   - tokens: the whole prompt.
  ///   - positions: what is sent; starts at a block.
  ///   - peer: a connected node.
  public func send(
    _ request: RequestID, table: BlockTable, tokens: [TokenID], positions: Range<Position>, to peer: PeerID
  ) -> HandoffID {
    let id = takeID()
    begin(id, request, table: table, tokens: tokens, positions: positions, to: peer)
    return id
  }

  func takeID() -> HandoffID {
    defer { nextNumber += 1 }
    return HandoffID(incarnation: configuration.incarnation, number: nextNumber)
  }

  func begin(
    _ id: HandoffID, _ request: RequestID, table: BlockTable, foreseen: [BlockID]? = nil, tokens: [TokenID],
    positions: Range<Position>, lanes: LaneOffer? = nil, digests: [UInt64] = [], to peer: PeerID
  ) {
    let slots = pool.shape.blockSlots
    precondition(positions.lowerBound % slots == 0 && !positions.isEmpty, "a handoff starts at a block")
    precondition(positions.upperBound <= tokens.count, "positions without tokens")
    let first = positions.lowerBound / slots
    let blocks = Array(
      (foreseen ?? table.blocks)[
        first..<(first + pool.shape.blockCount(tokens: lanes?.slots ?? positions.count))])
    let offer = HandoffOffer(
      request: request, shape: configuration.shape, positions: positions,
      tokenHash: TransferTag.hash(of: tokens.prefix(positions.upperBound)),
      saltHash: TransferTag.hash(salt: table.salt), runLengths: TransferPlan.runLengths(blocks),
      leaseSeconds: configuration.leaseSeconds, lanes: lanes)
    let learnt = max(1, min(cost.spanBytes(overheadShare: 0.05) / pool.shape.blockBytes, blocks.count))
    let handoff = SenderHandoff(
      id: id, offer: offer, source: blocks, spanBlocks: configuration.spanBlocks ?? learnt)
    senders[id] = Sending(
      handoff: handoff, peer: peer, table: table, style: configuration.style(), digests: digests)
    handle(id, SenderHandoff.Event.start)
  }

  /// Says that the first `slots` slots of the sent positions hold KV.
  public func filled(_ id: HandoffID, slots: Int) { handle(id, SenderHandoff.Event.filled(slots: slots)) }

  /// Says that prefill is over, and what the other engine needs besides KV.
  public func finish(_ id: HandoffID, payload: [UInt8]) {
    guard let sending = senders[id] else { return }
    handle(id, SenderHandoff.Event.finished(slots: sending.handoff.offer.sentSlots, payload: payload))
  }

  /// Takes a handoff back, on either side.
  public func cancel(_ id: HandoffID) {
    if let wish = wanted.removeValue(forKey: id) { tell(.abort(id, .cancelled), wish.peer) }
    handle(id, SenderHandoff.Event.cancel)
    handle(id, ReceiverHandoff.Event.cancel)
  }

  /// Handoffs that are not over, on either side.
  public var openHandoffs: Int { senders.count + receivers.count }

  // MARK: life

  /// Makes progress without waiting.
  public func poll() -> [HandoffNews] {
    for event in transport.poll() { take(event) }
    let now = clock.now()
    for (peer, end) in quarantine where end <= now {
      quarantine[peer] = nil
      for id in handoffs(receivers, of: peer) { handle(id, ReceiverHandoff.Event.peerLost) }
    }
    for id in senders.keys.sorted(by: { $0.number < $1.number }) { handle(id, SenderHandoff.Event.tick) }
    for id in receivers.keys.sorted(by: { $0.number < $1.number }) { handle(id, ReceiverHandoff.Event.tick) }
    endLateFetches(now)
    digestAhead()
    defer { news.removeAll() }
    return news
  }

  private func take(_ event: TransportEvent) {
    switch event {
    case .connected(let peer, let introduction): news.append(.connected(peer, introduction: introduction))
    case .completed(let operation, let report):
      if puts[operation] != nil {
        cost.observe(operations: report.operations, bytes: report.bytes, seconds: report.seconds)
        meters.count(report)
      }
      endPut(operation, isComplete: true)
    case .failed(let operation, _): endPut(operation, isComplete: false)
    case .message(let peer, let bytes): receive(bytes, from: peer)
    case .lost(let peer, let error):
      news.append(.lost(peer, error))
      for id in senders.keys.sorted(by: { $0.number < $1.number }) where senders[id]?.peer == peer {
        handle(id, SenderHandoff.Event.peerLost)
      }
      loseFetches(of: peer)
      if receivers.values.contains(where: { $0.peer == peer }) {
        quarantine[peer] = clock.now().advanced(bySeconds: configuration.quarantineSeconds)
      }
    }
  }

  private func endPut(_ operation: OperationID, isComplete: Bool) {
    guard let id = puts.removeValue(forKey: operation) else { return }
    senders[id]?.operations.remove(operation)
    if let range = senders[id]?.gathered.removeValue(forKey: operation) { staging?.release(range) }
    handle(id, SenderHandoff.Event.putEnded(isComplete: isComplete))
  }

  private func receive(_ bytes: [UInt8], from peer: PeerID) {
    let message: HandoffMessage
    do {
      message = try HandoffMessage(bytes: bytes)
    } catch {
      news.append(.fault(peer, error))
      transport.disconnect(peer)
      return
    }
    let id = message.handoff
    if case .fetch(_, let wish) = message {
      serve(id, wish, to: peer)
    } else if let sending = senders[id] {
      // Only the node that it was offered to may speak of it.
      guard sending.peer == peer else { return refuse(.unknownHandoff, id) }
      handle(id, SenderHandoff.Event.received(message))
    } else if let receiving = receivers[id] {
      guard receiving.peer == peer else { return refuse(.unknownHandoff, id) }
      handle(id, ReceiverHandoff.Event.received(message))
    } else if wanted[id] != nil {
      // Also if a handoff of this name has ended here before: a ticket may be shown twice.
      receiveUnknown(message, from: peer)
    } else if var over = ended[id] {
      for action in over.handle(.received(message), now: clock.now()) { performEnded(action, id, peer) }
    } else {
      receiveUnknown(message, from: peer)
    }
  }

  private func receiveUnknown(_ message: HandoffMessage, from peer: PeerID) {
    let id = message.handoff
    switch message {
    case .reserve(_, let offer):
      guard isWelcome(id, from: peer) else {
        refuse(.unknownHandoff, id)
        return tell(.abort(id, .unknownHandoff), peer)
      }
      receivers[id] = Receiving(
        handoff: ReceiverHandoff(id: id), peer: peer, offer: offer)
      handle(id, ReceiverHandoff.Event.received(message))
    case .granted:
      // A handoff of this node that is over and forgotten, or of its last life: nothing of it is in flight.
      refuse(.unknownHandoff, id)
      tell(.abort(id, .unknownHandoff), peer)
      tell(.quiet(id), peer)
    case .commit:
      refuse(.unknownHandoff, id)
      tell(.abort(id, .unknownHandoff), peer)
    case .written, .adopted: refuse(.unknownHandoff, id)
    case .abort(_, let reason):
      if endFetch(id, reason, from: peer) { return }
      if id.incarnation == configuration.incarnation { tell(.quiet(id), peer) }
    case .quiet, .fetch: break
    }
  }

  func refuse(_ reason: HandoffRefusal, _ id: HandoffID) { news.append(.refused(id, reason)) }

  func tell(_ message: HandoffMessage, _ peer: PeerID) {
    // A connection that is gone is reported as `lost`; there is nobody to tell.
    _ = try? transport.send(
      message.bytes, to: peer, deadline: clock.now().advanced(bySeconds: configuration.leaseSeconds))
  }

  private func performEnded(_ action: ReceiverHandoff.Action, _ id: HandoffID, _ peer: PeerID) {
    switch action {
    case .send(let message): tell(message, peer)
    case .refused(let reason): refuse(reason, id)
    default: break
    }
  }

  private func handoffs(_ all: [HandoffID: Receiving], of peer: PeerID) -> [HandoffID] {
    all.filter { $0.value.peer == peer }.keys.sorted { $0.number < $1.number }
  }

  /// Ends all handoffs as far as they can be ended now, and the transport. Room that a peer may still write into is
  /// closed with it, so call this only when the pool's memory stays until the transport's calls are over.
  public func close() {
    transport.close()
    for id in Array(held.keys) { if let kept = held.removeValue(forKey: id) { closeTable(kept.table) } }
    wanted = [:]
    for id in Array(senders.keys) { if let sending = senders.removeValue(forKey: id) { closeTable(sending.table) } }
    for id in Array(receivers.keys) {
      if let table = receivers.removeValue(forKey: id)?.table { closeTable(table) }
    }
  }

  func closeTable(_ table: BlockTable) {
    pool.close(table, tokens: [], filledSlots: 0, salt: table.salt, keep: false)
  }
}
