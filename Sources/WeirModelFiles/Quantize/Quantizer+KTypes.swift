// The K types: 256 elements with one or two f16 scales and small integer scales per part.

extension Quantizer {
  static let superBlock = 256

  // MARK: - Scales and minima (q2_K, q4_K, q5_K): x = d * scale * level - dmin * minimum

  /// Levels and part scales of a block whose parts have a scale and a minimum.
  private struct AffineParts {
    var scale: UInt16 = 0
    var minimum: UInt16 = 0
    var scales = [UInt8](repeating: 0, count: 16)
    var minima = [UInt8](repeating: 0, count: 16)
    var levels = [UInt8](repeating: 0, count: superBlock)
  }

  private static func affine(
    _ input: UnsafePointer<Float>, partElements: Int, top: Float, scaleTop: Float, _ result: inout AffineParts
  ) {
    let parts = superBlock / partElements
    var largestScale: Float = 0
    var largestMinimum: Float = 0
    withUnsafeTemporaryAllocation(of: Float.self, capacity: 32) { own in
      for part in 0..<parts {
        // A minimum above zero cannot be stored: it is subtracted.
        var low: Float = 0
        var high = -Float.greatestFiniteMagnitude
        for place in (part * partElements)..<((part + 1) * partElements) {
          low = min(low, input[place])
          high = max(high, input[place])
        }
        own[part] = max(0, (high - low) / top)
        own[16 + part] = -low
        largestScale = max(largestScale, own[part])
        largestMinimum = max(largestMinimum, -low)
      }
      result.scale = half(largestScale / scaleTop)
      result.minimum = half(largestMinimum / scaleTop)
      let scale = float(half: result.scale)
      let minimum = float(half: result.minimum)
      let scaleFactor = inverse(scale)
      let minimumFactor = inverse(minimum)
      for part in 0..<parts {
        result.scales[part] = UInt8(min(scaleTop, (own[part] * scaleFactor).rounded()))
        result.minima[part] = UInt8(min(scaleTop, (own[16 + part] * minimumFactor).rounded()))
        let step = scale * Float(result.scales[part])
        let shift = minimum * Float(result.minima[part])
        let factor = inverse(step)
        for place in (part * partElements)..<((part + 1) * partElements) {
          result.levels[place] = UInt8(max(0, min(top, ((input[place] + shift) * factor).rounded())))
        }
      }
    }
  }

  /// `[d][dmin][12 bytes of 6-bit scales and minima]([32 bytes of high bits])[128 bytes of nibbles]`
  static func encodeQ4_KOrQ5_K(_ input: UnsafePointer<Float>, _ out: UnsafeMutableRawPointer, bits: Int) {
    var parts = AffineParts()
    affine(input, partElements: 32, top: Float(1 << bits - 1), scaleTop: 63, &parts)
    store(parts.scale, out, 0)
    store(parts.minimum, out, 2)
    let packed = (out + 4).bindMemory(to: UInt8.self, capacity: 12)
    for part in 0..<4 {
      // the upper two bits of parts 4 to 7 ride on top of the six bits of parts 0 to 3
      packed[part] = parts.scales[part] | (parts.scales[part + 4] >> 4) << 6
      packed[part + 4] = parts.minima[part] | (parts.minima[part + 4] >> 4) << 6
      packed[part + 8] = parts.scales[part + 4] & 15 | parts.minima[part + 4] << 4
    }
    let high = (out + 16).bindMemory(to: UInt8.self, capacity: 32)
    let nibbles = (out + (bits == 5 ? 48 : 16)).bindMemory(to: UInt8.self, capacity: 128)
    if bits == 5 {
      for place in 0..<32 {
        var byte: UInt8 = 0
        for part in 0..<8 { byte |= (parts.levels[part * 32 + place] >> 4) << UInt8(part) }
        high[place] = byte
      }
    }
    for pair in 0..<4 {
      for place in 0..<32 {
        let first = parts.levels[pair * 64 + place]
        let second = parts.levels[pair * 64 + 32 + place]
        nibbles[pair * 32 + place] = first & 15 | second << 4
      }
    }
  }

  /// `[16 bytes: 4-bit scale and minimum per 16 elements][64 bytes of 2-bit levels][d][dmin]`
  static func encodeQ2_K(_ input: UnsafePointer<Float>, _ out: UnsafeMutableRawPointer) {
    var parts = AffineParts()
    affine(input, partElements: 16, top: 3, scaleTop: 15, &parts)
    let bytes = out.bindMemory(to: UInt8.self, capacity: 84)
    for part in 0..<16 { bytes[part] = parts.scales[part] | parts.minima[part] << 4 }
    packPairsOfBits(parts.levels, bytes + 16)
    store(parts.scale, out, 80)
    store(parts.minimum, out, 82)
  }

  /// 2-bit levels: each byte holds the elements `i`, `i + 32`, `i + 64`, `i + 96` of its half.
  private static func packPairsOfBits(_ levels: [UInt8], _ out: UnsafeMutablePointer<UInt8>) {
    for half in 0..<2 {
      for place in 0..<32 {
        var byte: UInt8 = 0
        for quarter in 0..<4 { byte |= (levels[half * 128 + quarter * 32 + place] & 3) << UInt8(2 * quarter) }
        out[half * 32 + place] = byte
      }
    }
  }

  // MARK: - Signed scales (q3_K, q6_K): x = d * scale * (level - middle), 16 parts of 16 elements

  private struct SymmetricParts {
    var scale: UInt16 = 0
    var scales = [Int8](repeating: 0, count: 16)
    /// Shifted by `middle`, so that they start at 0.
    var levels = [UInt8](repeating: 0, count: superBlock)
  }

  private static func symmetric(
    _ input: UnsafePointer<Float>, middle: Float, scaleMiddle: Float, _ result: inout SymmetricParts
  ) {
    withUnsafeTemporaryAllocation(of: Float.self, capacity: 16) { own in
      var largest: Float = 0
      for part in 0..<16 {
        var extreme: Float = 0
        for place in (part * 16)..<(part * 16 + 16) where abs(input[place]) > abs(extreme) { extreme = input[place] }
        own[part] = extreme / -middle
        if abs(own[part]) > abs(largest) { largest = own[part] }
      }
      result.scale = half(largest / -scaleMiddle)
      let scale = float(half: result.scale)
      let scaleFactor = inverse(scale)
      for part in 0..<16 {
        let partScale = max(-scaleMiddle, min(scaleMiddle - 1, (own[part] * scaleFactor).rounded()))
        result.scales[part] = Int8(partScale)
        let factor = inverse(scale * partScale)
        for place in (part * 16)..<(part * 16 + 16) {
          let level = max(-middle, min(middle - 1, (input[place] * factor).rounded()))
          result.levels[place] = UInt8(level + middle)
        }
      }
    }
  }

  /// `[128 bytes of low nibbles][64 bytes of 2 high bits][16 signed scales][d]`
  static func encodeQ6_K(_ input: UnsafePointer<Float>, _ out: UnsafeMutableRawPointer) {
    var parts = SymmetricParts()
    symmetric(input, middle: 32, scaleMiddle: 128, &parts)
    let bytes = out.bindMemory(to: UInt8.self, capacity: 210)
    for half in 0..<2 {
      for place in 0..<32 {
        let at = half * 128 + place
        let levels = (parts.levels[at], parts.levels[at + 32], parts.levels[at + 64], parts.levels[at + 96])
        bytes[half * 64 + place] = levels.0 & 15 | levels.2 << 4
        bytes[half * 64 + 32 + place] = levels.1 & 15 | levels.3 << 4
        bytes[128 + half * 32 + place] =
          levels.0 >> 4 | (levels.1 >> 4) << 2 | (levels.2 >> 4) << 4 | (levels.3 >> 4) << 6
      }
    }
    for part in 0..<16 { bytes[192 + part] = UInt8(bitPattern: parts.scales[part]) }
    store(parts.scale, out, 208)
  }

  /// `[32 bytes of high bits][64 bytes of 2 low bits][12 bytes of 6-bit scales][d]`
  static func encodeQ3_K(_ input: UnsafePointer<Float>, _ out: UnsafeMutableRawPointer) {
    var parts = SymmetricParts()
    symmetric(input, middle: 4, scaleMiddle: 32, &parts)
    let bytes = out.bindMemory(to: UInt8.self, capacity: 110)
    for place in 0..<32 {
      var byte: UInt8 = 0
      for part in 0..<8 { byte |= (parts.levels[part * 32 + place] >> 2) << UInt8(part) }
      bytes[place] = byte
    }
    packPairsOfBits(parts.levels, bytes + 32)
    let scales = parts.scales.map { UInt8(Int($0) + 32) }
    for part in 0..<8 { bytes[96 + part] = scales[part] & 15 | scales[part + 8] << 4 }
    for part in 0..<4 {
      bytes[104 + part] =
        scales[part] >> 4 | (scales[part + 4] >> 4) << 2 | (scales[part + 8] >> 4) << 4 | (scales[part + 12] >> 4) << 6
    }
    store(parts.scale, out, 108)
  }
}
