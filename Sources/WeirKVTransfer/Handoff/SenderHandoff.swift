// The sender's half of one handoff: event in, actions out.

public import WeirBasics
public import WeirKVCache

/// How a handoff ended.
public enum HandoffOutcome: Hashable, Sendable {
  /// The receiver owns the KV now.
  case adopted
  /// It does not, and nothing of it is left there.
  case refused(HandoffRefusal)
}

/// Sends the KV of one sequence to a reserved place.
///
/// ```
/// reserving -> writing -> committing -> ended(adopted)
///     |           |            |
///     +-----------+--> draining+--> ended(refused)
/// ```
/// The blocks have two owners, the request and the transfer. The transfer lets go (`release`) only when no call of it
/// is in flight, whatever happened: a call that is on its way reads them, and writes memory of the receiver. The
/// receiver keeps its room for the same reason until it hears `quiet` (or the commit, which is sent after the last
/// call). Time is passed in; nothing here waits.
public struct SenderHandoff: Sendable {
  public enum Event: Sendable {
    case start
    /// Slots `0..<slots` of the transferred blocks hold KV. `source`: the blocks as they are known now; nil: as before.
    case filled(slots: Int, source: [BlockID]? = nil)
    /// Prefill is over: the transfer ends with slot `slots`.
    case finished(slots: Int, payload: [UInt8], source: [BlockID]? = nil)
    /// The checksum that was asked for.
    case checksum(UInt64)
    case received(HandoffMessage)
    /// A `put` action ended; after it, nothing of it is in flight.
    case putEnded(isComplete: Bool)
    /// The request does not want the handoff any more.
    case cancel
    case peerLost
    case tick
  }

  public enum Action: Sendable, Equatable {
    case send(HandoffMessage)
    /// Write these blocks; report one `putEnded`.
    case put([CoRun], region: UInt32)
    /// Stop all puts; each still reports `putEnded`.
    case cancelPuts
    /// Compute the checksum of all blocks under this tag.
    case computeChecksum(TransferTag, blocks: Int)
    /// The transfer does not need its blocks any more.
    case release
    case ended(HandoffOutcome)
  }

  enum State: Hashable, Sendable {
    case new
    case reserving
    case writing(epoch: UInt64)
    case committing(epoch: UInt64)
    /// Waits for calls in flight, then tells the receiver if it is still there.
    case draining(HandoffRefusal)
    case ended(HandoffOutcome)
  }

  public let id: HandoffID
  public let offer: HandoffOffer
  private var source: [BlockID]
  private let spanBlocks: Int
  private(set) var state = State.new
  private var stream: TransferStream?
  private var region: UInt32 = 0
  private var filledSlots = 0
  private var finish: (slots: Int, payload: [UInt8])?
  private var checksum: UInt64?
  private var putsInFlight = 0
  private var isPeerThere = true
  /// How long the receiver keeps its room after a word of progress, in seconds.
  private var leaseSeconds: Double
  /// After this the receiver may use its room again. Counted from before the offer left, or the last word of progress,
  /// so it is never later than the receiver's own end of the lease.
  public private(set) var leaseEnd = Instant(nanoseconds: 0)

  /// - Parameters:
  ///   - id: never used before.
  ///   - offer: what the receiver is asked.
  ///   - source: the blocks of `offer.positions`.
  ///   - spanBlocks: see `TransferStream`.
  public init(id: HandoffID, offer: HandoffOffer, source: [BlockID], spanBlocks: Int) {
    precondition(source.count == offer.senderBlocks, "the offer speaks of \(offer.senderBlocks) blocks")
    self.id = id
    self.offer = offer
    self.source = source
    self.spanBlocks = spanBlocks
    leaseSeconds = offer.leaseSeconds
  }

  /// The outcome, once there is one.
  public var outcome: HandoffOutcome? {
    if case .ended(let outcome) = state { outcome } else { nil }
  }

  /// Takes an event and says what to do.
  public mutating func handle(_ event: Event, now: Instant) -> [Action] {
    switch event {
    case .start:
      precondition(state == .new, "a handoff starts once")
      state = .reserving
      leaseEnd = now.advanced(bySeconds: offer.leaseSeconds)
      return [.send(.reserve(id, offer))]
    case .filled(let slots, let source):
      filledSlots = max(filledSlots, slots)
      foresee(source)
      // Also when nothing is worth a call yet: the receiver must hear that the prefill goes on.
      return advance() + tellProgress(now)
    case .finished(let slots, let payload, let source):
      guard finish == nil else { return [] }
      foresee(source)
      finish = (slots, payload)
      filledSlots = max(filledSlots, slots)
      return advance()
    case .checksum(let value):
      checksum = value
      return commitIfReady()
    case .received(let message): return receive(message)
    case .putEnded(let isComplete):
      putsInFlight -= 1
      precondition(putsInFlight >= 0, "a put ended that was not begun")
      if case .draining = state { return endIfQuiet() }
      return isComplete ? tellProgress(now) + commitIfReady() : abort(.transport)
    case .cancel: return abort(.cancelled)
    case .peerLost:
      isPeerThere = false
      return abort(.peerLost)
    case .tick:
      switch state {
      case .reserving, .writing, .committing: return now >= leaseEnd ? abort(.leaseEnded) : []
      default: return []
      }
    }
  }

  private mutating func receive(_ message: HandoffMessage) -> [Action] {
    switch (message, state) {
    case (.granted(_, let grant), .reserving):
      guard grant.blocks.count == source.count, Set(grant.blocks).count == source.count else {
        return abort(.protocolFault)
      }
      stream = TransferStream(
        source: source, destination: grant.blocks, blockSlots: offer.shape.blockSlots, spanBlocks: spanBlocks)
      region = grant.region
      leaseSeconds = min(leaseSeconds, grant.leaseSeconds)
      state = .writing(epoch: grant.epoch)
      return advance()
    case (.granted, .ended):
      // The receiver granted what was over already: it may have the room back.
      return [.send(.abort(id, .aborted)), .send(.quiet(id))]
    case (.adopted(_, let epoch), .committing(let mine)) where epoch == mine: return end(.adopted)
    // Only this side commits, so "committed before" means that the first commit was taken.
    case (.abort(_, .duplicateCommit), .committing): return end(.adopted)
    case (.abort(_, let reason), .reserving), (.abort(_, let reason), .writing), (.abort(_, let reason), .committing):
      return drain(reason)
    // The answer to this may have been lost.
    case (.abort, .ended): return [.send(.quiet(id))]
    default: return []
    }
  }

  private mutating func foresee(_ blocks: [BlockID]?) {
    guard let blocks else { return }
    source = blocks
    stream?.foresee(blocks)
  }

  /// Puts what became full.
  private mutating func advance() -> [Action] {
    guard case .writing(let epoch) = state, var stream, !stream.isFinished else { return [] }
    var actions: [Action] = []
    let runs = finish.map { stream.finish(filledSlots: $0.slots) } ?? stream.advance(filledSlots: filledSlots)
    self.stream = stream
    if !runs.isEmpty {
      putsInFlight += 1
      actions.append(.put(runs, region: region))
    }
    if finish != nil { actions.append(.computeChecksum(tag(epoch: epoch), blocks: stream.sentBlocks)) }
    return actions + commitIfReady()
  }

  /// Lets the receiver show how far it is, and renews the lease: a prefill may take longer than one.
  private mutating func tellProgress(_ now: Instant) -> [Action] {
    guard case .writing(let epoch) = state, putsInFlight == 0, finish == nil, let stream else { return [] }
    leaseEnd = now.advanced(bySeconds: leaseSeconds)
    return [.send(.written(id, epoch: epoch, blocks: stream.sentBlocks))]
  }

  private mutating func commitIfReady() -> [Action] {
    guard case .writing(let epoch) = state, putsInFlight == 0, let finish, let checksum, stream?.isFinished == true
    else { return [] }
    state = .committing(epoch: epoch)
    let commit = HandoffCommit(tag: tag(epoch: epoch), checksum: checksum, payload: finish.payload)
    return [.send(.commit(id, commit))]
  }

  /// Leading blocks that were put or are on their way.
  var sentBlocks: Int { stream?.sentBlocks ?? 0 }

  /// What the commit will say; nil before room was granted and after the end.
  var tag: TransferTag? {
    switch state {
    case .writing(let epoch), .committing(let epoch): tag(epoch: epoch)
    default: nil
    }
  }

  private func tag(epoch: UInt64) -> TransferTag {
    TransferTag(
      request: offer.request, epoch: epoch, positions: offer.positions, tokenHash: offer.tokenHash,
      modelFingerprint: offer.shape.modelFingerprint, saltHash: offer.saltHash)
  }

  /// Ends it from this side.
  private mutating func abort(_ reason: HandoffRefusal) -> [Action] {
    switch state {
    case .new: return end(.refused(reason))
    case .reserving, .writing, .committing:
      return (isPeerThere ? [.send(.abort(id, reason))] : []) + drain(reason)
    case .draining, .ended: return []
    }
  }

  private mutating func drain(_ reason: HandoffRefusal) -> [Action] {
    state = .draining(reason)
    return (putsInFlight > 0 ? [.cancelPuts] : []) + endIfQuiet()
  }

  private mutating func endIfQuiet() -> [Action] {
    guard case .draining(let reason) = state, putsInFlight == 0 else { return [] }
    return (isPeerThere ? [.send(.quiet(id))] : []) + end(.refused(reason))
  }

  private mutating func end(_ outcome: HandoffOutcome) -> [Action] {
    state = .ended(outcome)
    return [.release, .ended(outcome)]
  }
}
