// The receiver's half of one handoff: event in, actions out.

public import WeirBasics

/// Keeps room for the KV of one sequence, and takes it only if it is exactly what was announced.
///
/// ```
/// allocating -> granted -> verifying -> ended(adopted)
///     |           |            |
///     |           +-> draining +--> ended(refused)
///     +---------------------------> ended(refused)
/// ```
/// The room has two owners, the request and the transfer. It goes back to the pool (`release`) only when the sender
/// cannot write into it any more: after its commit, its `quiet`, or the certain end of its connection.
public struct ReceiverHandoff: Sendable {
  public enum Event: Sendable {
    case received(HandoffMessage)
    /// Room was found.
    case allocated(HandoffGrant)
    /// There will be no room.
    case refuse(HandoffRefusal)
    /// What the asked check found: nil if the bytes are right.
    case verified(HandoffRefusal?)
    /// The request does not want the KV any more.
    case cancel
    /// The sender is gone and can write no more.
    case peerLost
    case tick
  }

  public enum Action: Sendable, Equatable {
    case send(HandoffMessage)
    /// Find room and answer with `allocated` or `refuse`.
    case allocate(HandoffOffer)
    /// The first blocks are there; they may be converted or summed already.
    case written(blocks: Int)
    /// Compute the checksum of the blocks under the commit's tag, convert, and answer with `verified`.
    case verify(HandoffCommit)
    /// The KV belongs to the request.
    case adopt(payload: [UInt8])
    /// The room goes back to the pool.
    case release
    /// Something was refused without changing what is going on: a repeated or late message.
    case refused(HandoffRefusal)
    /// The sender does not answer although its connection lives: end the connection.
    case disconnect
    case ended(HandoffOutcome)
  }

  enum State: Hashable, Sendable {
    case new
    case allocating
    case granted(HandoffGrant)
    case verifying(HandoffGrant)
    case draining(HandoffGrant, HandoffRefusal)
    case ended(HandoffOutcome, epoch: UInt64?)
  }

  /// How long a sender may take to say `quiet`, in seconds, before its connection is ended.
  public static let quietSeconds = 30.0

  public let id: HandoffID
  private(set) var state = State.new
  private var offer: HandoffOffer?
  private var leaseEnd = Instant(nanoseconds: 0)
  private var drainEnd = Instant(nanoseconds: 0)
  private var isDisconnecting = false
  /// An end that was asked for while room was being looked for or bytes were being checked.
  private var pendingEnd: HandoffRefusal?

  public init(id: HandoffID) { self.id = id }

  /// The outcome, once there is one.
  public var outcome: HandoffOutcome? {
    if case .ended(let outcome, _) = state { outcome } else { nil }
  }

  /// Takes an event and says what to do.
  public mutating func handle(_ event: Event, now: Instant) -> [Action] {
    switch (event, state) {
    case (.received(let message), _): return receive(message, now)
    case (.allocated(let grant), .allocating):
      if let pendingEnd { return [.release] + end(.refused(pendingEnd), epoch: grant.epoch) }
      state = .granted(grant)
      leaseEnd = now.advanced(bySeconds: grant.leaseSeconds)
      return [.send(.granted(id, grant))]
    case (.refuse(let reason), .allocating):
      return [.send(.abort(id, reason))] + end(.refused(pendingEnd ?? reason), epoch: nil)
    case (.verified(let finding), .verifying(let grant)):
      if let reason = pendingEnd ?? finding {
        return [.send(.abort(id, reason)), .release] + end(.refused(reason), epoch: grant.epoch)
      }
      return [.send(.adopted(id, epoch: grant.epoch))] + end(.adopted, epoch: grant.epoch)
    case (.cancel, .granted(let grant)): return drain(grant, .cancelled, tell: true, now)
    case (.cancel, .allocating), (.cancel, .verifying):
      pendingEnd = .cancelled
      return []
    case (.peerLost, .granted(let grant)):
      return [.release] + end(.refused(.peerLost), epoch: grant.epoch)
    case (.peerLost, .draining(let grant, let reason)):
      return [.release] + end(.refused(reason), epoch: grant.epoch)
    case (.peerLost, .allocating):
      pendingEnd = .peerLost
      return []
    case (.tick, .granted(let grant)) where now >= leaseEnd: return drain(grant, .leaseEnded, tell: true, now)
    case (.tick, .draining) where now >= drainEnd && !isDisconnecting:
      isDisconnecting = true
      return [.disconnect]
    default: return []
    }
  }

  private mutating func receive(_ message: HandoffMessage, _ now: Instant) -> [Action] {
    switch (message, state) {
    case (.reserve(_, let offer), .new):
      self.offer = offer
      state = .allocating
      return [.allocate(offer)]
    case (.written(_, let epoch, let blocks), .granted(let grant)):
      guard epoch == grant.epoch else { return [.refused(.staleEpoch)] }
      leaseEnd = now.advanced(bySeconds: grant.leaseSeconds)
      return [.written(blocks: blocks)]
    case (.written, .draining), (.written, .ended): return [.refused(.aborted)]
    case (.commit(_, let commit), .granted(let grant)): return take(commit, grant, now)
    case (.commit(_, let commit), .draining(let grant, let reason)):
      guard commit.tag.epoch == grant.epoch else { return [.refused(.staleEpoch)] }
      // Its last call was over before it committed, so the room is quiet.
      return [.refused(.aborted), .release] + end(.refused(reason), epoch: grant.epoch)
    case (.commit(_, let commit), .ended(let outcome, let epoch)):
      let reason: HandoffRefusal =
        commit.tag.epoch != epoch ? .staleEpoch : outcome == .adopted ? .duplicateCommit : .aborted
      return [.refused(reason), .send(.abort(id, reason))]
    case (.commit, .verifying): return [.refused(.duplicateCommit)]
    case (.abort(_, let reason), .granted(let grant)): return drain(grant, reason, tell: false, now)
    case (.abort(_, let reason), .allocating), (.abort(_, let reason), .verifying):
      pendingEnd = pendingEnd ?? reason
      return []
    case (.quiet, .granted(let grant)):
      return [.release] + end(.refused(.protocolFault), epoch: grant.epoch)
    case (.quiet, .draining(let grant, let reason)):
      return [.release] + end(.refused(reason), epoch: grant.epoch)
    default: return []
    }
  }

  private mutating func take(_ commit: HandoffCommit, _ grant: HandoffGrant, _ now: Instant) -> [Action] {
    guard let expected = tag else { return [] }
    guard commit.tag.epoch == grant.epoch else {
      // It does not speak of this grant, so it does not say that this room is quiet.
      return [.refused(.staleEpoch)] + drain(grant, .staleEpoch, tell: true, now)
    }
    let refusal: HandoffRefusal? =
      now >= leaseEnd ? .leaseEnded : commit.tag.firstDifference(from: expected).map { .tag($0) }
    if let refusal {
      return [.send(.abort(id, refusal)), .release] + end(.refused(refusal), epoch: grant.epoch)
    }
    state = .verifying(grant)
    payload = commit.payload
    return [.verify(commit)]
  }

  /// What the commit must say; nil where nothing is granted.
  var tag: TransferTag? {
    guard let offer, case .granted(let grant) = state else { return nil }
    return TransferTag(
      request: offer.request, epoch: grant.epoch, positions: offer.positions, tokenHash: offer.tokenHash,
      modelFingerprint: offer.shape.modelFingerprint, saltHash: offer.saltHash)
  }

  private var payload: [UInt8] = []

  private mutating func drain(
    _ grant: HandoffGrant, _ reason: HandoffRefusal, tell: Bool, _ now: Instant
  ) -> [Action] {
    state = .draining(grant, reason)
    drainEnd = now.advanced(bySeconds: Self.quietSeconds)
    return tell ? [.send(.abort(id, reason))] : []
  }

  private mutating func end(_ outcome: HandoffOutcome, epoch: UInt64?) -> [Action] {
    state = .ended(outcome, epoch: epoch)
    return outcome == .adopted ? [.adopt(payload: payload), .ended(outcome)] : [.ended(outcome)]
  }
}
