// What ties every frame of a connection to its handshake: nothing is changed, repeated, left out or put in between.

/// The seals of one direction of one connection, in the order of its frames.
///
/// A handoff's words say where a sender may write: one turned bit in a grant would put KV over another sequence's, which
/// no checksum of the receiver's own blocks could show. TCP's checksum lets one damaged segment in about 65 000 through.
struct FrameSeal {
  private let authenticator: PeerAuthenticator
  private let session: [UInt8]
  private var number: UInt64 = 0
  /// Bytes that a seal adds to a frame.
  let byteCount: Int

  /// - Parameters:
  ///   - role: who sends, "initiator" or "responder".
  ///   - transcript: of the handshake that is over; its nonces are of this connection alone.
  init(role: String, transcript: HandshakeTranscript, authenticator: PeerAuthenticator) {
    self.authenticator = authenticator
    var writer = ByteWriter()
    writer.put(role)
    writer.put(transcript.initiatorNonce)
    writer.put(transcript.responderNonce)
    session = writer.bytes
    byteCount = authenticator.code(of: [], purpose: Self.purpose).count
  }

  /// The seal of the next frame that is sent.
  mutating func next(_ kind: UInt8, _ payload: [UInt8]) -> [UInt8] {
    defer { number += 1 }
    return authenticator.code(of: bytes(kind, payload), purpose: Self.purpose)
  }

  /// Takes the seal off the next frame that was received; nil: it is not what the peer sent next.
  mutating func opened(_ kind: UInt8, _ sealed: [UInt8]) -> [UInt8]? {
    guard sealed.count >= byteCount else { return nil }
    let payload = Array(sealed.dropLast(byteCount))
    defer { number += 1 }
    let isRight = authenticator.accepts(
      Array(sealed.suffix(byteCount)), of: bytes(kind, payload), purpose: Self.purpose)
    return isRight ? payload : nil
  }

  private static let purpose = "weir-frame-1"

  private func bytes(_ kind: UInt8, _ payload: [UInt8]) -> [UInt8] {
    var writer = ByteWriter()
    writer.put(number)
    writer.put(kind)
    return session + writer.bytes + payload
  }
}
