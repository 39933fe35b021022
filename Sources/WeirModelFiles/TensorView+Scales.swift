// Finds NaN and infinities before they reach a kernel.

import WeirBasics

extension TensorView {
  /// Checks that every stored scale (quantised types) or element (float types) is finite. Reads the whole tensor once,
  /// O(blocks).
  ///
  /// - Throws: `ModelFileError` naming the tensor and the block.
  public func validateScales() throws(ModelFileError) {
    let bad: Int?
    switch type {
    case .f32: bad = firstBadFloat()
    case .f16: bad = firstBad(stride: 2, offsets: [0], exponent: 0x7C00)
    case .bf16: bad = firstBad(stride: 2, offsets: [0], exponent: 0x7F80)
    default: bad = firstBad(stride: type.blockBytes, offsets: type.scaleOffsets, exponent: 0x7C00)
    }
    guard let bad else { return }
    let unit = type.blockElements == 1 ? "element" : "scale of block"
    throw ModelFileError(
      .badValue, path: owner.path, field: "tensor \(name)", "\(unit) \(bad) is NaN or infinite; it must be finite")
  }

  /// Index of the first 32-bit float whose exponent is all ones.
  private func firstBadFloat() -> Int? {
    for place in 0..<(bytes.count / 4)
    where bytes.loadUnaligned(fromByteOffset: place * 4, as: UInt32.self) & 0x7F80_0000 == 0x7F80_0000 {
      return place
    }
    return nil
  }

  /// Index of the first block of `stride` bytes with a 16-bit float at one of `offsets` whose exponent is all ones.
  private func firstBad(stride: Int, offsets: [Int], exponent: UInt16) -> Int? {
    for offset in offsets {
      var place = offset
      while place < bytes.count {
        let bits = bytes.loadUnaligned(fromByteOffset: place, as: UInt16.self)
        if bits & exponent == exponent { return place / stride }
        place += stride
      }
    }
    return nil
  }
}

extension TensorType {
  /// Where the f16 scales and minima lie inside a block, in bytes; empty for types without blocks.
  var scaleOffsets: [Int] {
    switch self {
    case .f32, .f16, .bf16: []
    case .q4_0, .q5_0, .q8_0: [0]
    case .q4_1, .q5_1, .q4_K, .q5_K: [0, 2]
    case .q2_K: [80, 82]
    case .q3_K: [108]
    case .q6_K: [208]
    }
  }
}
