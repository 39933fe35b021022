// exp for arguments that are not positive, in eight lanes and alone, with the same arithmetic.
//
// Range reduction x = n ln 2 + r, |r| <= ln 2 / 2, a polynomial of degree six for exp(r), n added to the exponent bits.
// Relative error below 2e-7 (tested against the double-precision function). Arguments below -87 and NaN give about
// 1.6e-38: nothing beside a sum that is at least 1.

private let roundingMagic: Float = 12_582_912  // 1.5 * 2^23: adding it rounds to a whole number in the low bits
private let log2e: Float = 1.442_695_04
private let ln2High: Float = 0.693_359_375
private let ln2Low: Float = -2.121_944_4e-4
private let least: Float = -87

/// exp of each lane; lanes must not be positive.
@inline(__always)
func exponential(_ argument: SIMD8<Float>) -> SIMD8<Float> {
  var x = argument
  x.replace(with: SIMD8(repeating: least), where: .!(x .> least))
  let shifted = x * log2e + roundingMagic
  let n = shifted - roundingMagic
  let r = x - n * ln2High - n * ln2Low
  var p = r * 1.388_888_9e-3 + 8.333_333_8e-3
  p = p * r + 4.166_666_6e-2
  p = p * r + 1.666_666_7e-1
  p = p * r + 0.5
  p = p * r + 1
  p = p * r + 1
  let power = unsafeBitCast(shifted, to: SIMD8<UInt32>.self) &<< 23
  return unsafeBitCast(unsafeBitCast(p, to: SIMD8<UInt32>.self) &+ power, to: SIMD8<Float>.self)
}

/// exp of one number that is not positive.
@inline(__always)
func exponential(_ argument: Float) -> Float {
  let x = argument > least ? argument : least
  let shifted = x * log2e + roundingMagic
  let n = shifted - roundingMagic
  let r = x - n * ln2High - n * ln2Low
  var p = r * 1.388_888_9e-3 + 8.333_333_8e-3
  p = p * r + 4.166_666_6e-2
  p = p * r + 1.666_666_7e-1
  p = p * r + 0.5
  p = p * r + 1
  p = p * r + 1
  return Float(bitPattern: p.bitPattern &+ (shifted.bitPattern &<< 23))
}
