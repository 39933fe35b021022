// How two nodes meet: each proves that it knows the cluster secret, and says what it is.
//
//   initiator                                   responder
//   hello(nonce, introduction)           ->
//                                        <-     challenge(nonce, introduction, proof "responder")
//   proof "initiator"                    ->
//                                        <-     welcome

/// What both sides have said, and what the proofs are computed over.
public struct HandshakeTranscript: Hashable, Sendable {
  public var initiatorNonce: [UInt8] = []
  public var responderNonce: [UInt8] = []
  public var initiatorIntroduction: [UInt8] = []
  public var responderIntroduction: [UInt8] = []
}

/// One message of the handshake.
public enum HandshakeMessage: Hashable, Sendable {
  case hello(nonce: [UInt8], introduction: [UInt8])
  case challenge(nonce: [UInt8], introduction: [UInt8], proof: [UInt8])
  case proof([UInt8])
  case welcome

  /// Bytes of a nonce.
  public static let nonceBytes = 32
  /// Most bytes that a node says of itself.
  public static let introductionBytesLimit = 1 << 16
  private static let magic: UInt32 = 0x5249_4557  // "WEIR"
  private static let proofBytesLimit = 128

  /// The message as bytes.
  public var bytes: [UInt8] {
    var writer = ByteWriter()
    writer.put(Self.magic)
    switch self {
    case .hello(let nonce, let introduction):
      writer.put(UInt8(1))
      writer.put(nonce)
      writer.put(introduction)
    case .challenge(let nonce, let introduction, let proof):
      writer.put(UInt8(2))
      writer.put(nonce)
      writer.put(introduction)
      writer.put(proof)
    case .proof(let proof):
      writer.put(UInt8(3))
      writer.put(proof)
    case .welcome:
      writer.put(UInt8(4))
    }
    return writer.bytes
  }

  /// Reads a message.
  /// - Throws: `MessageFault` for anything that `bytes` of a sound node cannot be.
  public init(bytes: [UInt8]) throws(MessageFault) {
    var reader = ByteReader(bytes)
    guard try reader.integer(UInt32.self) == Self.magic else { throw .invalid("magic") }
    let kind = try reader.byte()
    switch kind {
    case 1:
      self = .hello(nonce: try Self.nonce(&reader), introduction: try Self.introduction(&reader))
    case 2:
      self = .challenge(
        nonce: try Self.nonce(&reader), introduction: try Self.introduction(&reader),
        proof: try reader.array("proof", limit: Self.proofBytesLimit))
    case 3: self = .proof(try reader.array("proof", limit: Self.proofBytesLimit))
    case 4: self = .welcome
    default: throw .unknownKind(kind)
    }
    try reader.finish()
  }

  private static func nonce(_ reader: inout ByteReader) throws(MessageFault) -> [UInt8] {
    let nonce = try reader.array("nonce", limit: nonceBytes)
    guard nonce.count == nonceBytes else { throw .invalid("nonce") }
    return nonce
  }

  private static func introduction(_ reader: inout ByteReader) throws(MessageFault) -> [UInt8] {
    try reader.array("introduction", limit: introductionBytesLimit)
  }
}
