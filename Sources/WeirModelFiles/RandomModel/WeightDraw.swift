// Cheap normal draws, a piece at a time.

import WeirBasics

/// The weights of one tensor: element `i` depends on seed, stream and `i` only.
struct WeightDraw {
  private let start: UInt64
  private let mean: Float
  private let factor: Float
  /// Elements drawn and encoded at a time; a multiple of every block.
  private static let pieceElements = 1 << 16
  /// Deviation of the sum of four independent integers, uniform in `0..<65536`: 65536 * sqrt(4 / 12).
  private static let sumDeviation: Float = 37837.23

  init(seed: UInt64, stream: UInt64, mean: Float, deviation: Float) {
    start = Self.mix(seed &+ (stream &+ 1) &* 0xD1B5_4A32_D192_ED03)
    self.mean = mean
    factor = deviation / Self.sumDeviation
  }

  /// SplitMix64's finaliser.
  @inline(__always)
  private static func mix(_ value: UInt64) -> UInt64 {
    var z = value
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// Fills `out` with elements `first...`. The sum of four uniforms is close enough to normal here and takes one draw.
  func fill(_ out: UnsafeMutableBufferPointer<Float>, first: Int) {
    for place in 0..<out.count {
      let bits = Self.mix(start &+ UInt64(truncatingIfNeeded: first + place) &* 0x9E37_79B9_7F4A_7C15)
      let sum = (bits & 0xFFFF) &+ (bits >> 16 & 0xFFFF) &+ (bits >> 32 & 0xFFFF) &+ (bits >> 48)
      out[place] = mean + factor * (Float(truncatingSum: sum) - 131070)
    }
  }

  /// Draws, encodes and hands over the whole tensor.
  func write(_ tensor: GGUFWriter.Declaration, _ sink: GGUFWriter.Sink) throws(ModelFileError) {
    let count = tensor.shape.reduce(1, *)
    let blockElements = tensor.type.blockElements
    let elements = UnsafeMutableBufferPointer<Float>.allocate(capacity: min(count, Self.pieceElements))
    let bytes = UnsafeMutableRawBufferPointer.allocate(
      byteCount: elements.count / blockElements * tensor.type.blockBytes, alignment: 64)
    defer {
      elements.deallocate()
      bytes.deallocate()
    }
    var first = 0
    while first < count {
      let size = min(Self.pieceElements, count - first)
      let piece = UnsafeMutableBufferPointer(rebasing: elements[..<size])
      let stored = UnsafeMutableRawBufferPointer(rebasing: bytes[..<(size / blockElements * tensor.type.blockBytes)])
      fill(piece, first: first)
      Quantizer.encode(UnsafeBufferPointer(piece), as: tensor.type, into: stored)
      try sink(UnsafeRawBufferPointer(stored))
      first += size
    }
  }
}

extension Float {
  /// A sum below 2^18 as a float: a signed 32-bit conversion is one vector instruction, an unsigned 64-bit one is not.
  fileprivate init(truncatingSum sum: UInt64) { self = Float(Int32(truncatingIfNeeded: sum)) }
}
