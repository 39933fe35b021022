// Reads stored blocks in the plainest way; checked against gguf-py, then used to check everything else.

public import WeirBasics

/// Dequantises element by element, following the layout tables of ggml's formats.
public enum ReferenceDequantizer {
  /// The values of stored blocks.
  ///
  /// - Parameters:
  ///   - bytes: whole blocks.
  ///   - type: their type.
  /// - Returns: one value per element.
  public static func values(_ bytes: [UInt8], type: TensorType) -> [Float] {
    let count = bytes.count / type.blockBytes
    return (0..<count).flatMap { place in
      block(Array(bytes[(place * type.blockBytes)..<((place + 1) * type.blockBytes)]), type)
    }
  }

  private static func half(_ bytes: [UInt8], _ at: Int) -> Float {
    Float(Float16(bitPattern: UInt16(bytes[at]) | UInt16(bytes[at + 1]) << 8))
  }

  private static func word(_ bytes: [UInt8], _ at: Int) -> UInt32 {
    (0..<4).reduce(0) { $0 | UInt32(bytes[at + $1]) << UInt32(8 * $1) }
  }

  private static func block(_ b: [UInt8], _ type: TensorType) -> [Float] {
    switch type {
    case .f32: return [Float(bitPattern: word(b, 0))]
    case .f16: return [half(b, 0)]
    case .bf16: return [Float(bitPattern: (UInt32(b[0]) | UInt32(b[1]) << 8) << 16)]
    case .q8_0: return (0..<32).map { Float(Int8(bitPattern: b[2 + $0])) * half(b, 0) }
    case .q4_0: return (0..<32).map { half(b, 0) * Float(nibble(b, 2, $0) - 8) }
    case .q4_1: return (0..<32).map { half(b, 0) * Float(nibble(b, 4, $0)) + half(b, 2) }
    case .q5_0: return (0..<32).map { half(b, 0) * Float(fifth(b, 2, $0) - 16) }
    case .q5_1: return (0..<32).map { half(b, 0) * Float(fifth(b, 4, $0)) + half(b, 2) }
    case .q2_K, .q4_K, .q5_K: return affineBlock(b, type)
    case .q3_K, .q6_K: return symmetricBlock(b, type)
    }
  }

  private static func nibble(_ b: [UInt8], _ at: Int, _ i: Int) -> Int {
    Int(i < 16 ? b[at + i] & 15 : b[at + i - 16] >> 4)
  }

  /// A level of five bits: four bytes of high bits at `at`, then nibbles.
  private static func fifth(_ b: [UInt8], _ at: Int, _ i: Int) -> Int {
    nibble(b, at + 4, i) | Int(word(b, at) >> UInt32(i) & 1) << 4
  }

  private static func affineBlock(_ b: [UInt8], _ type: TensorType) -> [Float] {
    let isTwoBit = type == .q2_K
    let d = half(b, isTwoBit ? 80 : 0)
    let dmin = half(b, isTwoBit ? 82 : 2)
    return (0..<256).map { i in
      let (scale, minimum) = isTwoBit ? (Int(b[i / 16] & 15), Int(b[i / 16] >> 4)) : sixBits(b, i / 32)
      let level: Int
      switch type {
      case .q2_K: level = pair(b, 16, i)
      case .q4_K: level = wideNibble(b, 16, i)
      default: level = wideNibble(b, 48, i) | Int(b[16 + i % 32] >> UInt8(i / 32) & 1) << 4
      }
      return d * Float(scale) * Float(level) - dmin * Float(minimum)
    }
  }

  private static func symmetricBlock(_ b: [UInt8], _ type: TensorType) -> [Float] {
    (0..<256).map { i in
      if type == .q6_K {
        let at = i / 128
        let low = Int(b[at * 64 + i % 64] >> UInt8(i % 128 < 64 ? 0 : 4) & 15)
        let high = Int(b[128 + at * 32 + i % 32] >> UInt8(2 * (i % 128 / 32)) & 3)
        let scale = Float(Int8(bitPattern: b[192 + i / 16]))
        return half(b, 208) * scale * Float((low | high << 4) - 32)
      }
      let part = i / 16
      let low = Int(part < 8 ? b[96 + part] & 15 : b[96 + part - 8] >> 4)
      let high = Int(b[104 + part % 4] >> UInt8(2 * (part / 4)) & 3)
      let level = pair(b, 32, i) - (b[i % 32] >> UInt8(i / 32) & 1 == 1 ? 0 : 4)
      return half(b, 108) * Float((low | high << 4) - 32) * Float(level)
    }
  }

  /// Nibbles of the K types: 64 elements share 32 bytes.
  private static func wideNibble(_ b: [UInt8], _ at: Int, _ i: Int) -> Int {
    Int(b[at + i / 64 * 32 + i % 32] >> UInt8(i % 64 < 32 ? 0 : 4) & 15)
  }

  /// Levels of two bits: 128 elements share 32 bytes.
  private static func pair(_ b: [UInt8], _ at: Int, _ i: Int) -> Int {
    Int(b[at + i / 128 * 32 + i % 32] >> UInt8(2 * (i % 128 / 32)) & 3)
  }

  private static func sixBits(_ b: [UInt8], _ part: Int) -> (Int, Int) {
    if part < 4 { return (Int(b[4 + part] & 63), Int(b[8 + part] & 63)) }
    let low = b[12 + part - 4]
    return (Int(low & 15 | (b[part] >> 6) << 4), Int(low >> 4 | (b[4 + part] >> 6) << 4))
  }
}
