// Handoffs that the receiver begins: KV is kept under a name until its receiver fetches it.

public import WeirBasics
public import WeirKVCache

/// KV of a finished prefill that waits for its receiver. The table is the transfer's own; it is closed when it was
/// handed over, when nobody came in time, or when the receiver says that it does not need it.
struct Held {
  var request: RequestID
  var table: BlockTable
  var tokens: [TokenID]
  var positions: Range<Position>
  var lanes: LaneOffer?
  var payload: [UInt8]
  /// Nil: the prompt is still being computed; its engine says when that is over, one way or the other.
  var deadline: Instant?
  /// Of all blocks of the positions, once they are computed and digested.
  var digests: [UInt64] = []
  /// All blocks of the positions, as far as they are foreseen; nil: those of the table.
  var foreseen: [BlockID]?
}

/// Something that was asked for.
struct Wanted {
  var peer: PeerID
  var request: RequestID
  var deadline: Instant
}

extension HandoffNode {
  /// Where other nodes reach this one.
  public var address: String { transport.address }
  /// Handoffs that wait to be fetched.
  public var heldHandoffs: Int { held.count }
  /// Blocks of those, shared ones counted once for each.
  public var heldBlocks: Int { held.values.reduce(0) { $0 + ($1.foreseen ?? $1.table.blocks).count } }
  /// Fetches that were not answered yet.
  public var wantedHandoffs: Int { wanted.count }

  /// Starts a connection to another node; `connected` or `lost` follows.
  ///
  /// - Throws: `TransportError` for an address that cannot be one.
  public func connect(to address: String, deadline: Instant) throws(TransportError) -> PeerID {
    try transport.connect(to: address, deadline: deadline)
  }

  /// Sleeps until there may be news, at most `seconds`.
  public func wait(seconds: Double) { transport.wait(seconds: seconds) }

  /// Keeps a sequence's KV until its receiver fetches it.
  ///
  /// - Parameters:
  ///   - request: what the KV is for.
  ///   - table: the transfer's own (`BlockPool.fork`); closed when it is over, whatever became of it.
  ///   - tokens: the whole prompt.
  ///   - positions: what may be fetched, from 0; all of it holds KV.
  ///   - lanes: what a KV policy has kept; nil: everything. Then it is fetched whole.
  ///   - payload: what the receiver needs besides KV, at most `HandoffMessage.payloadBytesLimit` bytes.
  ///   - deadline: when it is let go.
  /// - Returns: the name that the receiver must give.
  public func hold(
    _ request: RequestID, table: BlockTable, tokens: [TokenID], positions: Range<Position>, lanes: LaneOffer? = nil,
    payload: [UInt8] = [], until deadline: Instant
  ) -> HandoffID {
    precondition(positions.lowerBound == 0 && !positions.isEmpty, "what is kept starts at position 0")
    let id = takeID()
    held[id] = Held(
      request: request, table: table, tokens: tokens, positions: positions, lanes: lanes, payload: payload,
      deadline: deadline)
    return id
  }

  /// Asks a connected node for what it keeps under `id`. `adopted` or `notReceived` follows; `cancel` takes it back.
  ///
  /// - Parameters:
  ///   - id: the name that `hold` gave at the other node.
  ///   - request: what the KV was computed for there.
  ///   - firstPosition: positions before it are here already.
  ///   - peer: the node that keeps it.
  ///   - deadline: when its offer must have come.
  public func fetch(
    _ id: HandoffID, request: RequestID, firstPosition: Position, from peer: PeerID, deadline: Instant
  ) {
    wanted[id] = Wanted(peer: peer, request: request, deadline: deadline)
    tell(.fetch(id, HandoffWish(request: request, firstPosition: firstPosition)), peer)
  }

  /// Tells a connected node that what it keeps under `id` is not needed.
  public func decline(_ id: HandoffID, at peer: PeerID) { tell(.abort(id, .cancelled), peer) }

  // MARK: the sender's side

  /// Starts the handoff that was asked for. What is asked for twice, under a wrong name or too late is not there.
  func serve(_ id: HandoffID, _ wish: HandoffWish, to peer: PeerID) {
    guard let kept = held[id], kept.request == wish.request else {
      refuse(.unknownHandoff, id)
      return tell(.abort(id, .unknownHandoff), peer)
    }
    held[id] = nil
    let slots = pool.shape.blockSlots
    let first = kept.lanes == nil ? min(wish.firstPosition, kept.positions.upperBound - 1) / slots * slots : 0
    begin(
      id, kept.request, table: kept.table, foreseen: kept.foreseen, tokens: kept.tokens,
      positions: first..<kept.positions.upperBound, lanes: kept.lanes,
      digests: Array(kept.digests.dropFirst(first / slots)), to: peer)
    if kept.deadline == nil {
      filled(id, slots: max(0, kept.table.filledSlots - first))
    } else {
      finish(id, payload: kept.payload)
    }
  }

  func drop(_ id: HandoffID, _ reason: HandoffRefusal) -> Bool {
    guard let kept = held.removeValue(forKey: id) else { return false }
    closeTable(kept.table)
    news.append(.dropped(id, kept.request, reason))
    return true
  }

  // MARK: the receiver's side

  /// Whether an offer was asked for; without the switch every offer is welcome.
  func isWelcome(_ id: HandoffID, from peer: PeerID) -> Bool {
    guard let wish = wanted[id] else { return !configuration.takesOnlyFetched }
    guard wish.peer == peer else { return false }
    wanted[id] = nil
    return true
  }

  /// The other side ends what has not begun: a fetch of this node's, or something that it keeps for the peer.
  func endFetch(_ id: HandoffID, _ reason: HandoffRefusal, from peer: PeerID) -> Bool {
    if let wish = wanted[id], wish.peer == peer {
      wanted[id] = nil
      news.append(.notReceived(id, wish.request, reason))
      return true
    }
    return drop(id, reason)
  }

  func endLateFetches(_ now: Instant) {
    for (id, wish) in wanted.filter({ $0.value.deadline <= now }).sorted(by: { $0.key.number < $1.key.number }) {
      wanted[id] = nil
      tell(.abort(id, .leaseEnded), wish.peer)
      news.append(.notReceived(id, wish.request, .leaseEnded))
    }
    for id in held.filter({ $0.value.deadline.map { $0 <= now } ?? false }).keys.sorted(by: { $0.number < $1.number }) {
      _ = drop(id, .leaseEnded)
    }
  }

  func loseFetches(of peer: PeerID) {
    for (id, wish) in wanted.filter({ $0.value.peer == peer }).sorted(by: { $0.key.number < $1.key.number }) {
      wanted[id] = nil
      news.append(.notReceived(id, wish.request, .peerLost))
    }
  }
}
