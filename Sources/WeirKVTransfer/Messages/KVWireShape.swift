// How a node's KV looks, in words that another node can check.

public import WeirBasics

/// What two nodes compare before KV moves between them.
public struct KVWireShape: Hashable, Sendable {
  /// Wire formats that this build reads and writes. Format 2: whole blocks in the sender's layout, parts padded to 64
  /// bytes, tag and checksum of the blocks' digests with the commit. (Format 1 had one checksum of all bytes.)
  public static let supportedVersions = 2...2

  /// Formats that the node understands.
  public var versions: ClosedRange<Int>
  /// Hash of everything that makes K and V of equal tokens equal: weights, RoPE settings, adapters.
  public var modelFingerprint: UInt64
  public var layers: Int
  /// KV heads of the model.
  public var kvHeads: Int
  /// KV heads that this node holds; all of them unless the model is split.
  public var heads: Range<Int>
  public var headDim: Int
  public var blockSlots: Int
  public var keyType: KVElementType
  public var valueType: KVElementType

  /// A node that holds all heads of `shape`.
  public init(shape: KVShape, modelFingerprint: UInt64, versions: ClosedRange<Int> = supportedVersions) {
    self.init(
      shape: shape, heads: 0..<shape.kvHeads, of: shape.kvHeads, modelFingerprint: modelFingerprint,
      versions: versions)
  }

  /// A node that holds `heads` of a model with `kvHeads`.
  /// - Precondition: `shape.kvHeads` is the number of `heads`, which are heads of the model.
  public init(
    shape: KVShape, heads: Range<Int>, of kvHeads: Int, modelFingerprint: UInt64,
    versions: ClosedRange<Int> = supportedVersions
  ) {
    precondition(
      heads.count == shape.kvHeads && heads.lowerBound >= 0 && heads.upperBound <= kvHeads,
      "the shape holds other heads than are named")
    self.versions = versions
    self.modelFingerprint = modelFingerprint
    layers = shape.layers
    self.kvHeads = kvHeads
    self.heads = heads
    headDim = shape.headDim
    blockSlots = shape.blockSlots
    keyType = shape.keyType
    valueType = shape.valueType
  }

  /// The shape of this node's blocks.
  public var shape: KVShape {
    KVShape(
      layers: layers, kvHeads: heads.count, headDim: headDim, blockSlots: blockSlots, keyType: keyType,
      valueType: valueType)
  }
}

extension KVWireShape {
  private static let typeCodes: [KVElementType] = [.f32, .f16, .q8_0, .q4_0]

  func write(to writer: inout ByteWriter) {
    writer.put(UInt16(versions.lowerBound))
    writer.put(UInt16(versions.upperBound))
    writer.put(modelFingerprint)
    for count in [layers, kvHeads, heads.lowerBound, heads.upperBound, headDim, blockSlots] { writer.put(count: count) }
    for type in [keyType, valueType] { writer.put(UInt8(Self.typeCodes.firstIndex(of: type) ?? 0)) }
  }

  init(from reader: inout ByteReader) throws(MessageFault) {
    let lowest = Int(try reader.integer(UInt16.self))
    let highest = Int(try reader.integer(UInt16.self))
    guard lowest <= highest else { throw .invalid("versions") }
    versions = lowest...highest
    modelFingerprint = try reader.integer()
    layers = try reader.count("layers", limit: 4096)
    kvHeads = try reader.count("kv_heads", limit: 4096)
    let first = try reader.count("heads", limit: 4096)
    let end = try reader.count("heads", limit: 4096)
    guard first < end, end <= kvHeads else { throw .invalid("heads") }
    heads = first..<end
    headDim = try reader.count("head_dim", limit: 65_536)
    blockSlots = try reader.count("block_slots", limit: 65_536)
    guard layers > 0, headDim > 0, blockSlots > 0 else { throw .invalid("shape") }
    var types: [KVElementType] = []
    for field in ["key_type", "value_type"] {
      let code = Int(try reader.byte())
      guard code < Self.typeCodes.count else { throw .invalid(field) }
      types.append(Self.typeCodes[code])
    }
    (keyType, valueType) = (types[0], types[1])
    guard headDim % 32 == 0 || !types.contains(where: \.isGrouped) else { throw .invalid("head_dim") }
    // A block must fit an address range; the product of the limits alone would not.
    let rows = Double(layers) * Double(end - first) * Double(blockSlots) * Double(headDim) * 8
    guard rows < 0x1p40 else { throw .tooLarge("block_bytes") }
  }
}
