internal import CWeirKernels
internal import Glibc
public import WeirBasics

// Turning stored keys: what takes a rotated key from one position to another.

/// A rotation by a difference of positions: `R(a) R(b) = R(a + b)`, so a key that was rotated for position `p` becomes the
/// key of `p + difference`.
public struct KeyTurn: Sendable {
  let layout: RopeTable.Layout
  /// Of each pair of elements.
  let cosines, sines: [Float]
}

extension RopeTable {
  /// The turn by `difference` positions, of any sign. Angles are computed in double precision; `attentionFactor`, which
  /// a stored key has already, is left out.
  public func turn(by difference: Int) -> KeyTurn {
    let angles = inverseFrequencies.map { Double(difference) * Double($0) }
    return KeyTurn(layout: layout, cosines: angles.map { Float(cos($0)) }, sines: angles.map { Float(sin($0)) })
  }
}

extension KernelContext {
  /// Turns stored keys of one KV head in place. Each is read as f32, turned, and rounded once as it is stored: by at most
  /// 2^-11 of an f16 element.
  ///
  /// - Parameters:
  ///   - slots: which keys, in `blocks`.
  ///   - turn: of the layer's rotation.
  ///   - shape: of the blocks.
  /// - Precondition: keys are f32 or f16.
  public func turnKeys(
    _ slots: Range<Int>, by turn: KeyTurn, in blocks: [UnsafeMutableRawPointer], layer: Int, kvHead: Int,
    shape: KVShape
  ) {
    precondition(!shape.keyType.isGrouped, "\(shape.keyType.rawValue) keys would be rounded in groups at every turn")
    precondition(slots.upperBound <= blocks.count * shape.blockSlots, "\(blocks.count) blocks do not hold \(slots)")
    precondition(kvHead >= 0 && kvHead < shape.kvHeads, "KV head \(kvHead) is not in 0..<\(shape.kvHeads)")
    precondition(2 * turn.cosines.count <= shape.headDim, "a key of \(shape.headDim) elements is too short")
    let (kernels, stored, dim) = (rowKernels, shape.keyType.stored, Int32(shape.headDim))
    let head = shape.keyOffset(layer: layer) + kvHead * shape.keyHeadStride
    var plain = [Float](repeating: 0, count: shape.blockSlots * shape.headDim)
    plain.withUnsafeMutableBytes { buffer in
      guard let bytes = buffer.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return }
      let floats = UnsafeMutableRawPointer(bytes).assumingMemoryBound(to: Float.self)
      var slot = slots.lowerBound
      while slot < slots.upperBound {
        let place = slot % shape.blockSlots
        let count = min(shape.blockSlots - place, slots.upperBound - slot)
        let keys = (blocks[slot / shape.blockSlots] + head + place * shape.keyRowBytes)
          .assumingMemoryBound(to: UInt8.self)
        weir_kv_convert_rows(stored, keys, WEIR_KV_F32, bytes, dim, Int64(count))
        // Keys of a head lie side by side, like the heads of a row.
        kernels.rope(
          floats, Int32(count), dim, Int32(turn.cosines.count), turn.layout == .interleaved, turn.cosines, turn.sines)
        weir_kv_convert_rows(WEIR_KV_F32, bytes, stored, keys, dim, Int64(count))
        slot += count
      }
    }
  }
}
