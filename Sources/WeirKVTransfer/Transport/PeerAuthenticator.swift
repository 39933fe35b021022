// Who may hand KV to whom: whoever knows the cluster secret.

/// Computes the authentication code of a message under the cluster secret. The room above implements it with
/// HMAC-SHA256; this room carries no cryptography of its own.
public struct PeerAuthenticator: Sendable {
  private let code: @Sendable ([UInt8]) -> [UInt8]

  /// - Parameter code: a message authentication code of at least 16 bytes, equal on both sides for equal secrets.
  public init(code: @escaping @Sendable ([UInt8]) -> [UInt8]) { self.code = code }

  /// The code of some bytes, said for one purpose: a code for one is none for another.
  func code(of bytes: [UInt8], purpose: String) -> [UInt8] {
    var writer = ByteWriter()
    writer.put(purpose)
    return code(writer.bytes + bytes)
  }

  /// The proof that this node knows the secret, bound to who says it, both nonces and both names.
  func proof(role: String, transcript: HandshakeTranscript) -> [UInt8] {
    code(of: Self.bytes(of: transcript), purpose: "weir-kv-2 \(role)")
  }

  func accepts(_ proof: [UInt8], role: String, transcript: HandshakeTranscript) -> Bool {
    accepts(proof, of: Self.bytes(of: transcript), purpose: "weir-kv-2 \(role)")
  }

  private static func bytes(of transcript: HandshakeTranscript) -> [UInt8] {
    var writer = ByteWriter()
    writer.put(transcript.initiatorNonce)
    writer.put(transcript.responderNonce)
    writer.put(transcript.initiatorIntroduction)
    writer.put(transcript.responderIntroduction)
    return writer.bytes
  }

  func accepts(_ proof: [UInt8], of bytes: [UInt8], purpose: String) -> Bool {
    let expected = code(of: bytes, purpose: purpose)
    guard expected.count >= 16, proof.count == expected.count else { return false }
    // Looks at every byte whatever the first difference, so that time tells nothing.
    var difference: UInt8 = 0
    for (a, b) in zip(proof, expected) { difference |= a ^ b }
    return difference == 0
  }
}
