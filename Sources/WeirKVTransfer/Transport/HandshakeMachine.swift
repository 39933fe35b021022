// The rules of the handshake as a value: message in, message out.

/// One side of a handshake.
public struct HandshakeMachine: Sendable {
  /// What to do after a message.
  public enum Step: Sendable, Equatable {
    /// Send this and wait for more.
    case send(HandshakeMessage)
    /// Send this if there is something; the peer is known now and says this of itself.
    case finished(HandshakeMessage?, introduction: [UInt8])
  }

  private enum State { case starting, waitingForChallenge, waitingForWelcome, waitingForHello, waitingForProof, over }

  private let isInitiator: Bool
  private let authenticator: PeerAuthenticator
  private let nonce: [UInt8]
  private let introduction: [UInt8]
  private var transcript = HandshakeTranscript()
  private var state: State

  /// - Parameters:
  ///   - isInitiator: whether this side made the connection.
  ///   - nonce: fresh random bytes, `HandshakeMessage.nonceBytes` of them, never used before.
  ///   - introduction: what to tell the peer of this node.
  ///   - authenticator: proves and checks knowledge of the cluster secret.
  public init(isInitiator: Bool, nonce: [UInt8], introduction: [UInt8], authenticator: PeerAuthenticator) {
    precondition(nonce.count == HandshakeMessage.nonceBytes, "a nonce has \(HandshakeMessage.nonceBytes) bytes")
    precondition(introduction.count <= HandshakeMessage.introductionBytesLimit, "the introduction is too long")
    self.isInitiator = isInitiator
    self.authenticator = authenticator
    self.nonce = nonce
    self.introduction = introduction
    state = isInitiator ? .starting : .waitingForHello
  }

  /// The initiator's first message.
  public mutating func start() -> HandshakeMessage {
    precondition(state == .starting, "only an initiator starts, and once")
    state = .waitingForChallenge
    transcript.initiatorNonce = nonce
    transcript.initiatorIntroduction = introduction
    return .hello(nonce: nonce, introduction: introduction)
  }

  /// The seals of everything that follows the handshake.
  var seals: (sent: FrameSeal, received: FrameSeal) {
    let seals = ["initiator", "responder"].map {
      FrameSeal(role: $0, transcript: transcript, authenticator: authenticator)
    }
    return isInitiator ? (seals[0], seals[1]) : (seals[1], seals[0])
  }

  /// Takes the peer's message.
  /// - Throws: `TransportError` if the peer does not know the secret or does not keep to the order.
  public mutating func receive(_ message: HandshakeMessage) throws(TransportError) -> Step {
    switch (state, message) {
    case (.waitingForHello, .hello(let peerNonce, let peerIntroduction)):
      // A peer that sends our own nonce back would make us prove for it.
      guard peerNonce != nonce else { throw refuse("the peer repeats this node's nonce") }
      transcript.initiatorNonce = peerNonce
      transcript.initiatorIntroduction = peerIntroduction
      transcript.responderNonce = nonce
      transcript.responderIntroduction = introduction
      state = .waitingForProof
      return .send(
        .challenge(
          nonce: nonce, introduction: introduction,
          proof: authenticator.proof(role: "responder", transcript: transcript)))
    case (.waitingForChallenge, .challenge(let peerNonce, let peerIntroduction, let proof)):
      transcript.responderNonce = peerNonce
      transcript.responderIntroduction = peerIntroduction
      guard authenticator.accepts(proof, role: "responder", transcript: transcript) else {
        throw refuse("the responder does not know the cluster secret")
      }
      state = .waitingForWelcome
      return .send(.proof(authenticator.proof(role: "initiator", transcript: transcript)))
    case (.waitingForProof, .proof(let proof)):
      guard authenticator.accepts(proof, role: "initiator", transcript: transcript) else {
        throw refuse("the initiator does not know the cluster secret")
      }
      state = .over
      return .finished(.welcome, introduction: transcript.initiatorIntroduction)
    case (.waitingForWelcome, .welcome):
      state = .over
      return .finished(nil, introduction: transcript.responderIntroduction)
    default:
      state = .over
      throw TransportError(.protocolFault, "a handshake message came out of order")
    }
  }

  private mutating func refuse(_ reason: String) -> TransportError {
    state = .over
    return TransportError(.unauthenticated, reason)
  }
}
