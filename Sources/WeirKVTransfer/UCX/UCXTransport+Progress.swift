// How calls and connections get on.

import CWeirUCX
import WeirBasics
import WeirKVCache

extension UCXTransport {
  // MARK: connections

  func take(_ event: ControlPlane.Event) {
    switch event {
    case .ready(let stream, let introduction):
      let peer = peerOfStream[stream] ?? addPeer(stream: stream)
      peers[peer]?.introduction = introduction
      // A peer that falls silent from here on must not stay half connected for ever.
      peers[peer]?.wiringDeadline = clock.now().advanced(bySeconds: configuration.control.handshakeSeconds)
      control.send(.details, details().bytes, to: stream)
    case .frame(let stream, let kind, let payload):
      guard let peer = peerOfStream[stream] else { return }
      if kind == .message {
        if peers[peer]?.isReady == true { events.append(.message(peer, payload)) }
      } else if kind == .reached {
        guard peers[peer]?.isReached == false else { return }
        peers[peer]?.isReached = true
        tellIfConnected(peer)
      } else if peers[peer]?.endpoint == nil {
        reach(peer, payload)
      }
    case .lost(let stream, let error):
      if let peer = peerOfStream[stream] { lose(peer, error) }
    }
  }

  /// How peers reach this node's memory.
  private func details() -> TransportDetails {
    var count = 0
    let address = weir_ucx_address(worker, &count)
    return TransportDetails(
      worker: Array(UnsafeBufferPointer(start: address, count: count)),
      regions: regions.map { region in
        var keyBytes = 0
        let key = weir_ucx_region_key(region.handle, &keyBytes)
        return TransportDetails.Region(
          address: UInt64(region.memory.address), byteCount: UInt64(region.memory.byteCount),
          key: Array(UnsafeBufferPointer(start: key, count: keyBytes)))
      })
  }

  /// Makes an endpoint out of what the peer told.
  private func reach(_ peer: PeerID, _ payload: [UInt8]) {
    guard let entry = peers[peer], entry.loss == nil else { return }
    do {
      let details = try TransportDetails(bytes: payload)
      var status: Int32 = 0
      guard let endpoint = weir_ucx_connect(worker, details.worker, configuration.path == .tcp, &status) else {
        throw TransportError(.unreachable, "UCX cannot reach the peer: \(String(cString: weir_ucx_text(status)))")
      }
      peers[peer]?.endpoint = endpoint
      for region in details.regions {
        guard let key = weir_ucx_open_key(endpoint, region.key, &status) else {
          throw TransportError(.unreachable, "a key does not open: \(String(cString: weir_ucx_text(status)))")
        }
        peers[peer]?.keys.append(key)
      }
      peers[peer]?.remote = details.regions
      let counter = UnsafeMutablePointer<weir_ucx_counter>.allocate(capacity: 1)
      counter.initialize(to: weir_ucx_counter(pending: 0, status: 0))
      peers[peer]?.wiring = counter
      _ = weir_ucx_flush(endpoint, counter)
    } catch {
      let reason = (error as? TransportError) ?? TransportError(.protocolFault, "\(error)")
      control.close(entry.stream)
      lose(peer, reason)
    }
  }

  /// Waits for endpoints to connect.
  func advanceWiring() {
    for (peer, entry) in peers where !entry.isConnected && entry.loss == nil {
      if let counter = entry.wiring, counter.pointee.pending == 0 {
        let status = counter.pointee.status
        counter.deallocate()
        peers[peer]?.wiring = nil
        if status == 0 {
          peers[peer]?.isWired = true
          control.send(.reached, [], to: entry.stream)
          tellIfConnected(peer)
        } else {
          lose(peer, TransportError(.unreachable, "no data connection: \(String(cString: weir_ucx_text(status)))"))
        }
      } else if let deadline = entry.wiringDeadline, deadline <= clock.now() {
        lose(peer, TransportError(.deadlinePassed, "the data connection was not there by its deadline"))
      }
    }
  }

  private func tellIfConnected(_ peer: PeerID) {
    guard let entry = peers[peer], entry.isReady else { return }
    events.append(.connected(peer, introduction: entry.introduction))
  }

  /// Begins the end of a connection: nothing is posted any more, what is in flight ends with the endpoint.
  func lose(_ peer: PeerID, _ error: TransportError) {
    guard let entry = peers[peer], entry.loss == nil else { return }
    peers[peer]?.loss = error
    peers[peer]?.giveUp = clock.now().advanced(bySeconds: configuration.giveUpSeconds)
    control.close(entry.stream)
    for id in active where operations[id]?.peer == peer { stop(id, error) }
    guard let endpoint = entry.endpoint else { return }
    guard entry.isConnected else {
      if let wiring = entry.wiring { abandoned.append(wiring) }
      peers[peer]?.wiring = nil
      peers[peer]?.endpoint = nil
      isWorkerStuck = true
      return
    }
    let counter = UnsafeMutablePointer<weir_ucx_counter>.allocate(capacity: 1)
    counter.initialize(to: weir_ucx_counter(pending: 0, status: 0))
    peers[peer]?.closing = counter
    weir_ucx_disconnect(endpoint, configuration.path == .tcp, counter)
  }

  /// Reports connections whose calls are all over.
  func endLostPeers() {
    guard peers.values.contains(where: { $0.loss != nil }) else { return }
    let now = clock.now()
    for (peer, entry) in peers where entry.loss != nil {
      if entry.giveUp <= now { abandonCalls(to: peer, now: now) }
      let isClosing = entry.closing?.pointee.pending ?? 0 > 0
      guard !operations.values.contains(where: { $0.peer == peer }), !isClosing || entry.giveUp <= now else { continue }
      if isClosing {
        // UCX may still look at all of it: it stays.
        isWorkerStuck = true
        if let closing = entry.closing { abandoned.append(closing) }
      } else {
        for key in entry.keys { weir_ucx_close_key(key) }
        if let endpoint = entry.endpoint { weir_ucx_free_endpoint(endpoint) }
        entry.closing?.deallocate()
      }
      peers[peer] = nil
      peerOfStream[entry.stream] = nil
      if let loss = entry.loss { events.append(.lost(peer, loss)) }
    }
  }

  /// Reports calls as failed that the stack will never end.
  private func abandonCalls(to peer: PeerID, now: Instant) {
    for id in active {
      guard let operation = operations[id], operation.peer == peer, operation.counter.pointee.pending > 0 else {
        continue
      }
      operations[id] = nil
      abandoned.append(operation.counter)
      events.append(.failed(id, operation.failure ?? TransportError(.peerLost, "the peer is gone")))
    }
    active.removeAll { operations[$0] == nil }
  }

  // MARK: calls

  /// Posts no more of a call; it is over when nothing of it is in flight.
  func stop(_ id: OperationID, _ error: TransportError) {
    guard operations[id]?.failure == nil else { return }
    operations[id]?.failure = error
  }

  func advanceOperations() {
    guard !active.isEmpty else { return }
    let now = clock.now()
    for id in active { advance(id, now: now) }
    active.removeAll { operations[$0] == nil }
  }

  /// Posts what the window allows, then flushes, then reports.
  func advance(_ id: OperationID, now: Instant) {
    guard var operation = operations[id] else { return }
    let counter = operation.counter
    if operation.failure == nil, operation.deadline <= now {
      operation.failure = TransportError(.deadlinePassed, "the call was not done by its deadline")
    }
    if operation.failure == nil, let endpoint = peers[operation.peer]?.endpoint {
      let status = weir_ucx_endpoint_status(endpoint)
      if status != 0 {
        let error = TransportError(.peerLost, "the data connection broke: \(String(cString: weir_ucx_text(status)))")
        operation.failure = error
        lose(operation.peer, error)
      }
    }
    while operation.failure == nil, operation.nextPiece < operation.pieces.count,
      counter.pointee.pending < operation.window
    {
      postPiece(&operation)
      guard operation.window == 1 else { continue }
      // Awaited: it is at the peer before the next one goes, and news are looked at in between.
      if let endpoint = peers[operation.peer]?.endpoint, operation.isPut { _ = weir_ucx_flush(endpoint, counter) }
      break
    }
    if operation.failure == nil, counter.pointee.status != 0 {
      operation.failure = TransportError(
        .peerLost, "a call failed: \(String(cString: weir_ucx_text(counter.pointee.status)))")
    }
    operations[id] = operation
    guard counter.pointee.pending == 0 else { return }
    let isPosted = operation.nextPiece == operation.pieces.count
    // A put that left this node is not at the peer yet; a stopped one must be over there too before it is reported.
    if operation.isPut, !operation.isFlushing, operation.nextPiece > 0, isPosted || operation.failure != nil,
      let peer = peers[operation.peer], let endpoint = peer.endpoint, peer.loss == nil
    {
      operations[id]?.isFlushing = true
      _ = weir_ucx_flush(endpoint, counter)
      guard counter.pointee.pending == 0 else { return }
    }
    guard isPosted || operation.failure != nil else { return }
    end(id, operation, now: now)
  }

  private func postPiece(_ operation: inout Operation) {
    guard let peer = peers[operation.peer], let endpoint = peer.endpoint, peer.loss == nil,
      operation.remote < peer.keys.count, let base = regions[operation.local].memory.bytes.baseAddress
    else {
      operation.failure = TransportError(.peerLost, "the connection is gone")
      return
    }
    let piece = operation.pieces[operation.nextPiece]
    let region = regions[operation.local].handle
    let remote = peer.remote[operation.remote].address
    let key = peer.keys[operation.remote]
    let status =
      operation.isPut
      ? weir_ucx_put(
        endpoint, key, region, base + piece.sourceOffset, piece.byteCount, remote + UInt64(piece.destinationOffset),
        operation.counter)
      : weir_ucx_get(
        endpoint, key, region, base + piece.destinationOffset, piece.byteCount, remote + UInt64(piece.sourceOffset),
        operation.counter)
    if status != 0 {
      operation.failure = TransportError(.peerLost, "a call was refused: \(String(cString: weir_ucx_text(status)))")
    } else {
      operation.nextPiece += 1
    }
  }

  private func end(_ id: OperationID, _ operation: Operation, now: Instant) {
    operations[id] = nil
    let status = operation.counter.pointee.status
    operation.counter.deallocate()
    if let failure = operation.failure {
      events.append(.failed(id, failure))
    } else if status != 0 {
      events.append(.failed(id, TransportError(.peerLost, "a call failed: \(String(cString: weir_ucx_text(status)))")))
    } else {
      let bytes = operation.pieces.reduce(0) { $0 + $1.byteCount }
      events.append(
        .completed(
          id,
          OperationReport(
            operations: operation.pieces.count, bytes: bytes, seconds: clock.now().seconds(since: operation.posted))))
    }
  }
}
