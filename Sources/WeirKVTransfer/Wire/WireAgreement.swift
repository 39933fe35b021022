// May this KV go there, and what has to be changed on the way?

public import WeirBasics

/// What two nodes agreed on.
public enum WireAgreement: Hashable, Sendable {
  /// The receiver's blocks look like the sender's: bytes are copied.
  case direct(version: Int)
  /// The receiver takes the sender's blocks into a staging area and converts them.
  case convert(WireConversion, version: Int)

  /// The negotiated format.
  public var version: Int {
    switch self {
    case .direct(let version), .convert(_, let version): version
    }
  }
}

extension WireAgreement {
  /// Compares two nodes.
  ///
  /// Slots per block, element types and the split of heads may differ: they are converted. Format, model, layers, heads
  /// of the model and head size may not.
  /// - Throws: the field that forbids a transfer.
  public static func negotiate(sender: KVWireShape, receiver: KVWireShape) throws(WireRefusal) -> WireAgreement {
    func refusal(_ field: WireField, _ mine: some Any, _ other: some Any) -> WireRefusal {
      WireRefusal(field: field, sender: "\(mine)", receiver: "\(other)")
    }
    let lowest = max(sender.versions.lowerBound, receiver.versions.lowerBound)
    let highest = min(sender.versions.upperBound, receiver.versions.upperBound)
    guard lowest <= highest else { throw refusal(.version, sender.versions, receiver.versions) }
    guard sender.modelFingerprint == receiver.modelFingerprint else {
      throw refusal(
        .model, String(sender.modelFingerprint, radix: 16), String(receiver.modelFingerprint, radix: 16))
    }
    guard sender.layers == receiver.layers else { throw refusal(.layers, sender.layers, receiver.layers) }
    guard sender.kvHeads == receiver.kvHeads else { throw refusal(.kvHeads, sender.kvHeads, receiver.kvHeads) }
    guard sender.headDim == receiver.headDim else { throw refusal(.headDim, sender.headDim, receiver.headDim) }
    guard sender.heads.overlaps(receiver.heads) else { throw refusal(.heads, sender.heads, receiver.heads) }
    for side in [sender, receiver] where side.headDim % 32 != 0 {
      // Groups of 32 do not fit: such a node cannot exist, but its message can.
      if side.keyType.isGrouped { throw refusal(.keyType, sender.keyType, receiver.keyType) }
      if side.valueType.isGrouped { throw refusal(.valueType, sender.valueType, receiver.valueType) }
    }
    if sender.shape == receiver.shape, sender.heads == receiver.heads { return .direct(version: highest) }
    return .convert(
      WireConversion(
        source: sender.shape, sourceHeads: sender.heads, destination: receiver.shape, destinationHeads: receiver.heads),
      version: highest)
  }
}

/// Why two nodes cannot hand KV to each other.
public struct WireRefusal: WeirError, Hashable {
  public let field: WireField
  public let sender: String
  public let receiver: String

  public var code: String { "kv_shape_refused" }
  public var message: String {
    "KV cannot be handed over: \(field.word) is \(sender) at the sender and \(receiver) at the receiver"
  }
}
