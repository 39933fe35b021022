// The sender's blocks as the receiver's: other slots per block, other element types, other heads.

import CWeirKernels
public import WeirBasics

/// How blocks of one shape become blocks of another.
///
/// ```
/// sender, 4 slots a block      | h0: 0 1 2 3 | h1: 0 1 2 3 |   | h0: 4 5 . . | h1: 4 5 . . |
/// receiver, 8 slots, only h1   | h1: 0 1 2 3 4 5 . . |
/// ```
/// Rows that lie side by side on both sides are converted in one loop. Equal types keep every bit; f16 to f32 is exact;
/// f32 to f16 rounds to nearest even; q8_0 is read exactly and written as the engine stores it.
public struct WireConversion: Hashable, Sendable {
  public let source: KVShape
  /// The model's heads that the source holds.
  public let sourceHeads: Range<Int>
  public let destination: KVShape
  public let destinationHeads: Range<Int>

  /// - Precondition: equal layers and head size, heads as many as the shapes hold, at least one head in common.
  public init(source: KVShape, sourceHeads: Range<Int>, destination: KVShape, destinationHeads: Range<Int>) {
    precondition(source.layers == destination.layers && source.headDim == destination.headDim, "another model's KV")
    precondition(
      source.kvHeads == sourceHeads.count && destination.kvHeads == destinationHeads.count
        && sourceHeads.overlaps(destinationHeads), "the heads do not fit the shapes")
    self.source = source
    self.sourceHeads = sourceHeads
    self.destination = destination
    self.destinationHeads = destinationHeads
  }

  /// Heads that are moved.
  public var commonHeads: Range<Int> { sourceHeads.clamped(to: destinationHeads) }
  /// Whether the source has every head of the destination; otherwise another sender must bring the rest.
  public var isComplete: Bool { commonHeads == destinationHeads }
  /// Whether values may change by rounding.
  public var isExact: Bool {
    Self.isExact(source.keyType, destination.keyType) && Self.isExact(source.valueType, destination.valueType)
  }

  private static func isExact(_ from: KVElementType, _ to: KVElementType) -> Bool {
    from == to || to == .f32
  }

  /// Converts the KV of `tokens`, counted from the first slot of both lists of blocks.
  ///
  /// Slots outside `tokens` are left as they are. O(tokens).
  /// - Parameters:
  ///   - tokens: positions relative to the start of both lists.
  ///   - from: first bytes of the source's blocks, in the order of the sequence.
  ///   - to: first bytes of the destination's blocks.
  /// - Precondition: both lists have a block for every token; no block is in both.
  public func convert(tokens: Range<Int>, from: [UnsafeRawPointer], to: [UnsafeMutableRawPointer]) {
    precondition(tokens.lowerBound >= 0, "tokens are counted from 0")
    guard !tokens.isEmpty else { return }
    precondition(
      tokens.upperBound <= from.count * source.blockSlots && tokens.upperBound <= to.count * destination.blockSlots,
      "both sides need a block for each of \(tokens.upperBound) tokens")
    var token = tokens.lowerBound
    while token < tokens.upperBound {
      let (sourceSlot, destinationSlot) = (token % source.blockSlots, token % destination.blockSlots)
      let count = min(
        source.blockSlots - sourceSlot, destination.blockSlots - destinationSlot, tokens.upperBound - token)
      convertRun(
        from[token / source.blockSlots], sourceSlot, to[token / destination.blockSlots], destinationSlot, count)
      token += count
    }
  }

  /// Slots side by side in one block of each side.
  private func convertRun(
    _ from: UnsafeRawPointer, _ sourceSlot: Int, _ to: UnsafeMutableRawPointer, _ destinationSlot: Int, _ count: Int
  ) {
    for layer in 0..<source.layers {
      for head in commonHeads {
        let (sourceHead, destinationHead) = (head - sourceHeads.lowerBound, head - destinationHeads.lowerBound)
        rows(
          source.keyType,
          from + source.keyOffset(layer: layer) + sourceHead * source.keyHeadStride
            + sourceSlot * source.keyRowBytes,
          destination.keyType,
          to + destination.keyOffset(layer: layer) + destinationHead * destination.keyHeadStride
            + destinationSlot * destination.keyRowBytes, count)
        rows(
          source.valueType,
          from + source.valueOffset(layer: layer) + sourceHead * source.valueHeadStride
            + sourceSlot * source.valueRowBytes,
          destination.valueType,
          to + destination.valueOffset(layer: layer) + destinationHead * destination.valueHeadStride
            + destinationSlot * destination.valueRowBytes, count)
      }
    }
  }

  private func rows(
    _ fromType: KVElementType, _ from: UnsafeRawPointer, _ toType: KVElementType, _ to: UnsafeMutableRawPointer,
    _ count: Int
  ) {
    weir_kv_convert_rows(
      fromType.stored, from.assumingMemoryBound(to: UInt8.self), toType.stored, to.assumingMemoryBound(to: UInt8.self),
      Int32(source.headDim), Int64(count))
  }
}

extension KVElementType {
  var stored: weir_kv_type {
    switch self {
    case .f32: WEIR_KV_F32
    case .f16: WEIR_KV_F16
    case .q8_0: WEIR_KV_Q8_0
    case .q4_0: WEIR_KV_Q4_0
    }
  }
}
