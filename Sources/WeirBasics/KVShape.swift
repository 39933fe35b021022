// The one layout of a block: FlowKV's block-major order, head-major inside.

/// How K or V elements are stored in a block.
public enum KVElementType: String, Sendable, CaseIterable, Hashable {
  case f32
  case f16
  /// Rows of 32-element groups, each a little-endian f16 scale followed by 32 signed bytes (ggml's Q8_0 block).
  case q8_0
  /// Rows of 32-element groups, each a little-endian f16 scale followed by 16 bytes of two four-bit codes (ggml's Q4_0
  /// block): element `i` in the low half of byte `i`, element `i + 16` in the high half.
  case q4_0

  /// Whether rows are made of groups of 32 elements.
  public var isGrouped: Bool { self == .q8_0 || self == .q4_0 }

  /// Bytes of one row of `headDim` elements; for types with groups `headDim` must be a multiple of 32.
  public func rowBytes(headDim: Int) -> Int {
    switch self {
    case .f32: return headDim * 4
    case .f16: return headDim * 2
    case .q8_0, .q4_0:
      precondition(headDim % 32 == 0, "\(rawValue) KV needs a head size that is a multiple of 32, got \(headDim)")
      return headDim / 32 * (self == .q8_0 ? 34 : 18)
    }
  }
}

/// The shape of one KV block: `[layers][K,V][kvHeads][slots][headDim]`, one contiguous byte range.
///
/// ```
/// block b of the arena
/// | layer 0                                       | layer 1 ...
/// | K                     | V                     |
/// | head 0    | head 1 .. | head 0    | head 1 .. |
/// | slot 0..S | slot 0..S | slot 0..S | slot 0..S |
/// ```
/// Each (layer, K or V) part is padded to a multiple of 64 bytes, so that every part starts on a cache line.
public struct KVShape: Hashable, Sendable {
  public let layers: Int
  public let kvHeads: Int
  public let headDim: Int
  /// Token slots in one block.
  public let blockSlots: Int
  public let keyType: KVElementType
  public let valueType: KVElementType

  /// - Precondition: every count is at least 1; a side with groups needs `headDim` to be a multiple of 32.
  public init(
    layers: Int, kvHeads: Int, headDim: Int, blockSlots: Int, keyType: KVElementType, valueType: KVElementType
  ) {
    precondition(layers > 0 && kvHeads > 0 && headDim > 0 && blockSlots > 0, "KV shape counts must be at least 1")
    self.layers = layers
    self.kvHeads = kvHeads
    self.headDim = headDim
    self.blockSlots = blockSlots
    self.keyType = keyType
    self.valueType = valueType
  }

  public var keyRowBytes: Int { keyType.rowBytes(headDim: headDim) }
  public var valueRowBytes: Int { valueType.rowBytes(headDim: headDim) }
  /// Bytes from one KV head's slots to the next head's, inside the K part of a layer.
  public var keyHeadStride: Int { keyRowBytes * blockSlots }
  public var valueHeadStride: Int { valueRowBytes * blockSlots }
  /// Bytes of the K part of one layer, padded to 64.
  public var keyPartBytes: Int { KVShape.padded(keyHeadStride * kvHeads) }
  public var valuePartBytes: Int { KVShape.padded(valueHeadStride * kvHeads) }
  public var layerBytes: Int { keyPartBytes + valuePartBytes }
  /// Bytes of a whole block, all layers.
  public var blockBytes: Int { layerBytes * layers }
  /// Bytes from the start of a block to the K part of `layer`.
  public func keyOffset(layer: Int) -> Int { layer * layerBytes }
  /// Bytes from the start of a block to the V part of `layer`.
  public func valueOffset(layer: Int) -> Int { layer * layerBytes + keyPartBytes }
  /// Bytes that one token's K and V take over all layers (without padding).
  public var tokenBytes: Int { (keyRowBytes + valueRowBytes) * kvHeads * layers }
  /// Blocks that hold `tokens` tokens.
  public func blockCount(tokens: Int) -> Int { (tokens + blockSlots - 1) / blockSlots }

  private static func padded(_ bytes: Int) -> Int { (bytes + 63) & ~63 }
}
