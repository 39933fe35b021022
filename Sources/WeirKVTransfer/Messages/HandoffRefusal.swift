// Why KV was not taken. Every reason has a name, travels to the other side and reaches the client's answer.

/// A reason not to grant, commit or adopt a handoff. Both sides free what they hold, and the receiver recomputes.
public enum HandoffRefusal: Hashable, Sendable {
  /// The two nodes' KV cannot be converted; the field that forbids it.
  case shape(WireField)
  /// The receiver has no blocks.
  case noRoom
  /// The tag names something else than was reserved.
  case tag(TransferTag.Part)
  /// The bytes are not those that the sender hashed.
  case checksum
  /// The lease had ended.
  case leaseEnded
  /// The handoff had been committed before.
  case duplicateCommit
  /// A grant of this receiver's, but not of this handoff's.
  case staleEpoch
  /// Never seen, or forgotten long ago.
  case unknownHandoff
  /// It had been aborted already.
  case aborted
  /// The client or the engine took the request back.
  case cancelled
  /// A transfer call failed, or its deadline passed.
  case transport
  /// The other node is gone.
  case peerLost
  /// A message that does not fit the state.
  case protocolFault
  /// The two nodes do not mean the same KV policy, or its state cannot be that of this request.
  case policy

  /// A stable word for machines, for example `tag_tokens`.
  public var code: String {
    switch self {
    case .shape(let field): "shape_\(field.word)"
    case .noRoom: "no_room"
    case .tag(let part): "tag_\(part)"
    case .checksum: "checksum"
    case .leaseEnded: "lease_ended"
    case .duplicateCommit: "duplicate_commit"
    case .staleEpoch: "stale_epoch"
    case .unknownHandoff: "unknown_handoff"
    case .aborted: "aborted"
    case .cancelled: "cancelled"
    case .transport: "transport"
    case .peerLost: "peer_lost"
    case .protocolFault: "protocol_fault"
    case .policy: "kv_policy"
    }
  }
}

/// A field of `KVWireShape` that can forbid a transfer.
public enum WireField: UInt8, Sendable, Hashable, CaseIterable {
  case version, model, layers, kvHeads, heads, headDim, keyType, valueType

  /// In snake case, as on the wire.
  public var word: String {
    switch self {
    case .version: "version"
    case .model: "model"
    case .layers: "layers"
    case .kvHeads: "kv_heads"
    case .heads: "heads"
    case .headDim: "head_dim"
    case .keyType: "key_type"
    case .valueType: "value_type"
    }
  }
}

extension HandoffRefusal {
  private static let plain: [HandoffRefusal] = [
    .noRoom, .checksum, .leaseEnded, .duplicateCommit, .staleEpoch, .unknownHandoff, .aborted, .cancelled, .transport,
    .peerLost, .protocolFault, .policy,
  ]

  func write(to writer: inout ByteWriter) {
    switch self {
    case .shape(let field):
      writer.put(UInt8(100))
      writer.put(field.rawValue)
    case .tag(let part):
      writer.put(UInt8(101))
      writer.put(part.rawValue)
    default:
      writer.put(UInt8(Self.plain.firstIndex(of: self) ?? 0))
    }
  }

  init(from reader: inout ByteReader) throws(MessageFault) {
    let code = Int(try reader.byte())
    switch code {
    case 100:
      guard let field = WireField(rawValue: try reader.byte()) else { throw .invalid("refusal") }
      self = .shape(field)
    case 101:
      guard let part = TransferTag.Part(rawValue: try reader.byte()) else { throw .invalid("refusal") }
      self = .tag(part)
    case Self.plain.indices: self = Self.plain[code]
    default: throw .invalid("refusal")
    }
  }
}
