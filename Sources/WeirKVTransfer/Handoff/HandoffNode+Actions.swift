// What the handoff rules ask for, done.

import WeirBasics
import WeirKVCache

extension HandoffNode {
  func handle(_ id: HandoffID, _ event: SenderHandoff.Event) {
    guard let actions = senders[id]?.handoff.handle(event, now: clock.now()) else { return }
    for action in actions { perform(action, id) }
  }

  private func perform(_ action: SenderHandoff.Action, _ id: HandoffID) {
    guard let sending = senders[id] else { return }
    switch action {
    case .send(let message): tell(message, sending.peer)
    case .put(let runs, let region): put(runs, RegionID(rawValue: region), id, sending)
    case .cancelPuts:
      for operation in sending.operations.sorted(by: { $0.rawValue < $1.rawValue }) { transport.cancel(operation) }
    case .computeChecksum(let tag, let blocks):
      digestSent(id, blocks: blocks)
      let digests = (senders[id]?.digests ?? []).prefix(blocks)
      handle(id, SenderHandoff.Event.checksum(KVChecksum.value(tag: tag, digests: digests)))
    case .release: closeTable(sending.table)
    case .ended(let outcome):
      senders[id] = nil
      news.append(.sent(id, outcome))
    }
  }

  private func put(_ runs: [CoRun], _ region: RegionID, _ id: HandoffID, _ sending: Sending) {
    let gathered = gather(runs, sending.style)
    let pieces =
      gathered.map {
        TransferPlan.stagedPieces(
          runs, blockBytes: pool.shape.blockBytes, from: $0.lowerBound, pieceBytes: configuration.pieceBytes)
      }
      ?? sending.style.pieces(runs, shape: pool.shape, pieceBytes: configuration.pieceBytes)
    do {
      let operation = try transport.put(
        pieces, from: gathered == nil ? arena : staging?.region ?? arena, to: sending.peer, region: region,
        deadline: sending.handoff.leaseEnd, windowCalls: sending.style.windowCalls)
      puts[operation] = id
      senders[id]?.operations.insert(operation)
      senders[id]?.gathered[operation] = gathered
      // What was not digested before: while the bytes travel.
      digestSent(id, blocks: sending.handoff.sentBlocks)
    } catch {
      if let gathered { staging?.release(gathered) }
      handle(id, SenderHandoff.Event.putEnded(isComplete: false))
    }
  }

  /// Digests the first `blocks` blocks that are sent; those that were digested before are not read again.
  private func digestSent(_ id: HandoffID, blocks: Int) {
    guard let sending = senders[id], sending.digests.count < blocks else { return }
    let first = sending.handoff.offer.positions.lowerBound / pool.shape.blockSlots
    let new = sending.table.blocks[(first + sending.digests.count)..<(first + blocks)]
    let found = digests(of: new.map { bytes(of: $0) })
    senders[id]?.digests += found
  }

  /// Digests one prompt's KV that waits to be fetched: then, when it is, only bytes have to go.
  func digestAhead() {
    let next = held.filter { $0.value.deadline != nil && $0.value.digests.isEmpty }.keys.min { $0.number < $1.number }
    guard let id = next, let kept = held[id] else { return }
    let count = pool.shape.blockCount(tokens: kept.lanes?.slots ?? kept.positions.count)
    let found = digests(of: kept.table.blocks.prefix(count).map { bytes(of: $0) })
    held[id]?.digests = found
  }

  /// Digests the first `blocks` blocks that came, where they lie as they were sent.
  private func digestReceived(_ id: HandoffID, blocks: Int) {
    guard let receiving = receivers[id] else { return }
    let size = receiving.offer.shape.shape.blockBytes
    let new = receiving.digests.count..<max(receiving.digests.count, min(blocks, receiving.offer.senderBlocks))
    let found = digests(
      of: new.map { index in
        guard let range = receiving.stagedBytes, let staging else { return bytes(of: receiving.blocks[index]) }
        let start = range.lowerBound + index * size
        return UnsafeRawBufferPointer(staging.bytes(start..<(start + size)))
      })
    receivers[id]?.digests += found
  }

  private func digests(of blocks: [UnsafeRawBufferPointer]) -> [UInt64] {
    let start = clock.now()
    defer { meters.digestSeconds += clock.now().seconds(since: start) }
    return blocks.map { digest.value(of: $0) }
  }

  /// Copies the blocks of `runs` together if that is asked for or cheaper; nil: they go from where they are.
  private func gather(_ runs: [CoRun], _ style: TransferStyle) -> Range<Int>? {
    let size = pool.shape.blockBytes
    let bytes = runs.reduce(0) { $0 + $1.count } * size
    let joined = TransferPlan.stagedPieces(runs, blockBytes: size, from: 0, pieceBytes: nil).count
    guard stages(style, operations: runs.count, stagedOperations: joined, bytes: bytes), let staging,
      let range = staging.allocate(byteCount: bytes, alignment: size)
    else { return nil }
    let start = clock.now()
    var goal = staging.bytes(range)
    for run in runs {
      let count = run.count * size
      goal.copyMemory(from: UnsafeRawBufferPointer(start: pool.blockPointer(run.source), count: count))
      goal = UnsafeMutableRawBufferPointer(rebasing: goal[count...])
    }
    noteCopy(bytes: bytes, since: start)
    return range
  }

  private func stages(_ style: TransferStyle, operations: Int, stagedOperations: Int, bytes: Int) -> Bool {
    switch style.cut {
    case .staged: true
    case .coRuns: cost.mode(operations: operations, stagedOperations: stagedOperations, bytes: bytes) == .staged
    case .blocks, .layers: false
    }
  }

  private func noteCopy(bytes: Int, since start: Instant) {
    let seconds = clock.now().seconds(since: start)
    cost.observeCopy(bytes: bytes, seconds: seconds)
    meters.copySeconds += seconds
  }

  func handle(_ id: HandoffID, _ event: ReceiverHandoff.Event) {
    guard let actions = receivers[id]?.handoff.handle(event, now: clock.now()) else { return }
    for action in actions { perform(action, id) }
  }

  private func perform(_ action: ReceiverHandoff.Action, _ id: HandoffID) {
    guard let receiving = receivers[id] else { return }
    switch action {
    case .send(let message): tell(message, receiving.peer)
    case .allocate(let offer): handle(id, findRoom(for: offer, id))
    case .written(let blocks):
      if receiving.handoff.tag != nil { digestReceived(id, blocks: blocks) }
      news.append(.progress(id))
    case .verify(let commit):
      digestReceived(id, blocks: receiving.offer.senderBlocks)
      handle(id, ReceiverHandoff.Event.verified(check(commit, receiving, receivers[id]?.digests ?? [])))
    case .adopt(let payload): adopt(id, receiving, payload)
    case .release:
      if let table = receiving.table { closeTable(table) }
      receivers[id]?.table = nil
      freeStaging(id)
    case .refused(let reason): refuse(reason, id)
    case .disconnect: transport.disconnect(receiving.peer)
    case .ended(let outcome):
      if case .refused(let reason) = outcome { news.append(.notReceived(id, receiving.offer.request, reason)) }
      remember(id)
    }
  }

  /// Room in the pool, and in the staging area if the KV must be converted.
  private func findRoom(for offer: HandoffOffer, _ id: HandoffID) -> ReceiverHandoff.Event {
    if let refusal = checkOffer(id, offer) { return .refuse(refusal) }
    let agreement: WireAgreement
    do {
      agreement = try WireAgreement.negotiate(sender: offer.shape, receiver: configuration.shape)
    } catch {
      return .refuse(.shape(error.field))
    }
    var staged: Range<Int>?
    if case .convert(let conversion, _) = agreement {
      // Heads from several senders would have to be joined first.
      guard conversion.isComplete else { return .refuse(.shape(.heads)) }
      let size = offer.shape.shape.blockBytes
      guard let range = staging?.allocate(byteCount: offer.senderBlocks * size, alignment: size) else {
        return .refuse(.noRoom)
      }
      staged = range
      receivers[id]?.conversion = conversion
      receivers[id]?.stagedBytes = range
    }
    guard var table = openTable(id, offer, pool) else {
      freeStaging(id)
      return .refuse(.noRoom)
    }
    let before = table.blocks.count
    let slots = pool.shape.blockSlots
    let fits = table.filledSlots == offer.positions.lowerBound && table.filledSlots == before * slots
    guard fits,
      pool.reserve(
        &table, slots: offer.positions.lowerBound + offer.sentSlots, runLengths: offer.runLengths)
    else {
      closeTable(table)
      freeStaging(id)
      return .refuse(.noRoom)
    }
    receivers[id]?.table = table
    receivers[id]?.blocks = Array(table.blocks[before...])
    if staged == nil { staged = roomToScatter(offer, Array(table.blocks[before...]), id) }
    nextEpoch &+= 1
    let lease = min(offer.leaseSeconds, configuration.leaseSeconds)
    guard let staged, let staging else {
      return .allocated(
        HandoffGrant(
          epoch: nextEpoch, region: arena.rawValue, blocks: Array(table.blocks[before...]), leaseSeconds: lease))
    }
    let first = staged.lowerBound / offer.shape.shape.blockBytes
    return .allocated(
      HandoffGrant(
        epoch: nextEpoch, region: staging.region.rawValue,
        blocks: (first..<(first + offer.senderBlocks)).map { BlockID($0) }, leaseSeconds: lease))
  }

  /// One place for everything, from where it is copied to its blocks; nil: the sender writes into the blocks.
  private func roomToScatter(_ offer: HandoffOffer, _ blocks: [BlockID], _ id: HandoffID) -> Range<Int>? {
    let size = pool.shape.blockBytes
    let runs = TransferPlan.coRunCount(runLengths: offer.runLengths, destination: blocks)
    guard stages(configuration.style(), operations: runs, stagedOperations: 1, bytes: blocks.count * size) else {
      return nil
    }
    let range = staging?.allocate(byteCount: blocks.count * size, alignment: size)
    receivers[id]?.stagedBytes = range
    return range
  }

  /// Compares what arrived with what was sent, and converts it if it is right.
  private func check(_ commit: HandoffCommit, _ receiving: Receiving, _ digests: [UInt64]) -> HandoffRefusal? {
    guard KVChecksum.value(tag: commit.tag, digests: digests) == commit.checksum else { return .checksum }
    guard let range = receiving.stagedBytes, let staging else { return nil }
    guard let base = staging.bytes(range).baseAddress else { return .checksum }
    guard let conversion = receiving.conversion else {
      let start = clock.now()
      let size = pool.shape.blockBytes
      for (index, block) in receiving.blocks.enumerated() {
        pool.blockPointer(block).copyMemory(from: base + index * size, byteCount: size)
      }
      noteCopy(bytes: range.count, since: start)
      return nil
    }
    let size = conversion.source.blockBytes
    conversion.convert(
      tokens: 0..<receiving.offer.sentSlots,
      from: (0..<(range.count / size)).map { UnsafeRawPointer(base + $0 * size) },
      to: receiving.blocks.map { pool.blockPointer($0) })
    return nil
  }

  private func adopt(_ id: HandoffID, _ receiving: Receiving, _ payload: [UInt8]) {
    freeStaging(id)
    guard let table = receiving.table else { return }
    receivers[id]?.table = nil
    news.append(
      .adopted(
        HandoffReceipt(
          id: id, peer: receiving.peer, offer: receiving.offer, table: table, payload: payload,
          wasConverted: receiving.conversion != nil)))
  }

  private func freeStaging(_ id: HandoffID) {
    if let range = receivers[id]?.stagedBytes { staging?.release(range) }
    receivers[id]?.stagedBytes = nil
  }

  private func remember(_ id: HandoffID) {
    guard let receiving = receivers.removeValue(forKey: id) else { return }
    ended[id] = receiving.handoff
    endedOrder.append(id)
    if endedOrder.count > configuration.memoryLimit { ended[endedOrder.removeFirst()] = nil }
  }

  private func bytes(of block: BlockID) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: pool.blockPointer(block), count: pool.shape.blockBytes)
  }
}
