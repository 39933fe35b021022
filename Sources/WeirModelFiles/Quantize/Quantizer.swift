// From f32 to stored blocks. Simple quantisers without a search over scales: made for test and benchmark models.

public import WeirBasics

/// Encodes f32 elements as any storage type.
///
/// q8_0, q4_0, q4_1, q5_0 and q5_1 give the bytes that ggml's reference quantisers give. The K types use plain
/// minimum/maximum scales; ggml searches for better ones, so its error on real weights is somewhat lower.
public enum Quantizer {
  /// Encodes `source` into `out`.
  ///
  /// - Parameters:
  ///   - source: finite elements, a multiple of the type's block.
  ///   - type: the storage type.
  ///   - out: exactly the bytes that many elements take.
  public static func encode(
    _ source: UnsafeBufferPointer<Float>, as type: TensorType, into out: UnsafeMutableRawBufferPointer
  ) {
    precondition(type.rowBytes(elements: source.count) == out.count, "\(type.name): sizes do not match")
    guard let input = source.baseAddress, let output = out.baseAddress else { return }
    let block = blockEncoder(type)
    for place in 0..<(source.count / max(32, type.blockElements)) {
      // types without blocks are encoded 32 elements at a time
      let elements = max(32, type.blockElements)
      block(input + place * elements, output + place * (elements / type.blockElements * type.blockBytes))
    }
    if type.blockElements == 1 {
      for place in (source.count / 32 * 32)..<source.count {
        encodeElement(input[place], type, output + place * type.blockBytes)
      }
    }
  }

  /// Encodes elements into a new array.
  ///
  /// - Parameters:
  ///   - elements: finite elements, a multiple of the type's block.
  ///   - type: the storage type.
  /// - Returns: the stored bytes.
  public static func encode(_ elements: [Float], as type: TensorType) -> [UInt8] {
    let count = elements.count / type.blockElements * type.blockBytes
    return [UInt8](unsafeUninitializedCapacity: count) { bytes, filled in
      elements.withUnsafeBufferPointer { encode($0, as: type, into: UnsafeMutableRawBufferPointer(bytes)) }
      filled = count
    }
  }

  typealias BlockEncoder = (UnsafePointer<Float>, UnsafeMutableRawPointer) -> Void

  private static func blockEncoder(_ type: TensorType) -> BlockEncoder {
    switch type {
    case .f32, .f16, .bf16:
      { input, output in
        for place in 0..<32 { encodeElement(input[place], type, output + place * type.blockBytes) }
      }
    case .q8_0: encodeQ8_0
    case .q4_0: { encodeSymmetric($0, $1, bits: 4) }
    case .q5_0: { encodeSymmetric($0, $1, bits: 5) }
    case .q4_1: { encodeAffine($0, $1, bits: 4) }
    case .q5_1: { encodeAffine($0, $1, bits: 5) }
    case .q2_K: encodeQ2_K
    case .q3_K: encodeQ3_K
    case .q4_K: { encodeQ4_KOrQ5_K($0, $1, bits: 4) }
    case .q5_K: { encodeQ4_KOrQ5_K($0, $1, bits: 5) }
    case .q6_K: encodeQ6_K
    }
  }

  @inline(__always)
  private static func encodeElement(_ value: Float, _ type: TensorType, _ out: UnsafeMutableRawPointer) {
    switch type {
    case .f32: out.storeBytes(of: value.bitPattern.littleEndian, as: UInt32.self)
    case .f16: store(half(value), out, 0)
    default:
      // bf16: the upper half of an f32, rounded to nearest even
      let bits = value.bitPattern
      store(UInt16(truncatingIfNeeded: (bits &+ 0x7FFF &+ (bits >> 16 & 1)) >> 16), out, 0)
    }
  }

  @inline(__always)
  static func store(_ bits: UInt16, _ out: UnsafeMutableRawPointer, _ offset: Int) {
    out.storeBytes(of: bits.littleEndian, toByteOffset: offset, as: UInt16.self)
  }

  /// The f16 nearest to `value`, ties to even.
  @inline(__always)
  static func half(_ value: Float) -> UInt16 { Float16(value).bitPattern }

  /// The value an f16 holds.
  @inline(__always)
  static func float(half bits: UInt16) -> Float { Float(Float16(bitPattern: bits)) }

  @inline(__always)
  static func inverse(_ scale: Float) -> Float { scale == 0 ? 0 : 1 / scale }

  /// `value` cut towards zero and limited to `0...limit`.
  @inline(__always)
  private static func level(_ value: Float, limit: Int32) -> UInt8 {
    UInt8(truncatingIfNeeded: max(0, min(limit, Int32(value))))
  }

  private static func encodeQ8_0(_ input: UnsafePointer<Float>, _ out: UnsafeMutableRawPointer) {
    var largest: Float = 0
    for place in 0..<32 { largest = max(largest, abs(input[place])) }
    let scale = largest / 127
    let factor = inverse(scale)
    store(half(scale), out, 0)
    for place in 0..<32 {
      let level = Int32((input[place] * factor).rounded(.toNearestOrAwayFromZero))
      out.storeBytes(of: Int8(truncatingIfNeeded: level), toByteOffset: 2 + place, as: Int8.self)
    }
  }

  /// q4_0, q5_0: the element of largest magnitude, with its sign, becomes the lowest level.
  @inline(__always)
  private static func encodeSymmetric(_ input: UnsafePointer<Float>, _ out: UnsafeMutableRawPointer, bits: Int) {
    var largest: Float = 0
    for place in 0..<32 where abs(input[place]) > abs(largest) { largest = input[place] }
    let middle = Float(1 << (bits - 1))
    let scale = largest / -middle
    let factor = inverse(scale)
    store(half(scale), out, 0)
    pack(out + 2, bits: bits) { level(input[$0] * factor + (middle + 0.5), limit: 1 << Int32(bits) - 1) }
  }

  /// q4_1, q5_1: levels from the smallest to the largest element.
  @inline(__always)
  private static func encodeAffine(_ input: UnsafePointer<Float>, _ out: UnsafeMutableRawPointer, bits: Int) {
    var smallest = input[0]
    var largest = input[0]
    for place in 1..<32 {
      smallest = min(smallest, input[place])
      largest = max(largest, input[place])
    }
    let top = Int32(1 << bits - 1)
    let scale = (largest - smallest) / Float(top)
    let factor = inverse(scale)
    store(half(scale), out, 0)
    store(half(smallest), out, 2)
    pack(out + 4, bits: bits) { level((input[$0] - smallest) * factor + 0.5, limit: top) }
  }

  /// 32 levels: with 5 bits first the high bits, then element `i` and `i + 16` share a byte.
  @inline(__always)
  private static func pack(_ out: UnsafeMutableRawPointer, bits: Int, _ level: (Int) -> UInt8) {
    var high: UInt32 = 0
    let nibbles = out + (bits == 5 ? 4 : 0)
    for place in 0..<16 {
      let low = level(place)
      let upper = level(place + 16)
      nibbles.storeBytes(of: low & 15 | upper << 4, toByteOffset: place, as: UInt8.self)
      high |= UInt32(low >> 4) << UInt32(place) | UInt32(upper >> 4) << UInt32(place + 16)
    }
    if bits == 5 { out.storeBytes(of: high.littleEndian, as: UInt32.self) }
  }
}
