// A node's description as a JSON document.

public import WeirBasics

extension NodeDescription {
  /// Version of the document, raised when an old reader would misread a new one.
  public static let wireVersion = 1
  static let limitBytes = 65_536

  /// The document that other nodes read.
  public var json: JSONValue {
    [
      "version": JSONValue(Self.wireVersion),
      "id": JSONValue(id.rawValue),
      "incarnation": JSONValue(incarnation),
      "protocol": JSONValue(protocolVersion),
      "role": JSONValue(homeRole.rawValue),
      "addresses": ["http": JSONValue(addresses.http), "transfer": JSONValue(addresses.transfer)],
      "model": ["name": JSONValue(modelName), "fingerprint": JSONValue(model.rawValue)],
      "kv": [
        "layers": JSONValue(kv.layers), "kv_heads": JSONValue(kv.kvHeads), "head_dim": JSONValue(kv.headDim),
        "block_slots": JSONValue(kv.blockSlots), "key_type": JSONValue(kv.keyType.rawValue),
        "value_type": JSONValue(kv.valueType.rawValue),
      ],
      "capacity": [
        "total_blocks": JSONValue(capacity.totalBlocks), "running_limit": JSONValue(capacity.runningLimit),
        "step_tokens": JSONValue(capacity.stepTokens),
        "mixed_prefill_tokens": JSONValue(capacity.mixedPrefillTokens),
        "context_length": JSONValue(capacity.contextLength),
      ],
    ]
  }

  /// Reads a description that another node wrote.
  ///
  /// - Parameter utf8: the whole document.
  /// - Returns: the description, every number in its range.
  /// - Throws: ``WireError`` that names the field.
  public static func parse(utf8: [UInt8]) throws(WireError) -> NodeDescription {
    let reader = try WireReader("node description", utf8: utf8, limitBytes: limitBytes, version: wireVersion)
    let addresses = try reader.child("addresses")
    let model = try reader.child("model")
    let capacity = try reader.child("capacity")
    return NodeDescription(
      id: try reader.node("id"), incarnation: try reader.int("incarnation", in: 0...Int.max),
      addresses: NodeAddresses(
        http: try addresses.text("http", limitBytes: 512),
        transfer: try addresses.text("transfer", limitBytes: 8192, mayBeEmpty: true)),
      modelName: try model.text("name", limitBytes: 512),
      model: ModelFingerprint(try model.text("fingerprint", limitBytes: 512)),
      kv: try shape(try reader.child("kv")),
      capacity: NodeCapacity(
        totalBlocks: try capacity.int("total_blocks", in: 1...(1 << 40)),
        runningLimit: try capacity.int("running_limit", in: 1...1_000_000),
        stepTokens: try capacity.int("step_tokens", in: 1...(1 << 30)),
        mixedPrefillTokens: try capacity.int("mixed_prefill_tokens", in: 1...(1 << 30)),
        contextLength: try capacity.int("context_length", in: 1...(1 << 30))),
      homeRole: try reader.word("role", Role.self),
      protocolVersion: try reader.int("protocol", in: 0...1_000_000))
  }

  /// A KV shape traps on counts it cannot have; here they are errors.
  private static func shape(_ reader: WireReader) throws(WireError) -> KVShape {
    let headDim = try reader.int("head_dim", in: 1...65_536)
    let keyType = try reader.word("key_type", KVElementType.self)
    let valueType = try reader.word("value_type", KVElementType.self)
    if headDim % 32 != 0, keyType.isGrouped || valueType.isGrouped {
      throw reader.wrong("head_dim", "a multiple of 32 for q8_0 and q4_0 KV")
    }
    return KVShape(
      layers: try reader.int("layers", in: 1...65_536), kvHeads: try reader.int("kv_heads", in: 1...65_536),
      headDim: headDim, blockSlots: try reader.int("block_slots", in: 1...65_536), keyType: keyType,
      valueType: valueType)
  }
}
