// Chance as an argument: every random choice comes from a seed that can be printed.

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// SplitMix64 (Steele, Lea, Flood 2014): small, fast, equidistributed over its period of 2^64.
public struct SeededGenerator: RandomNumberGenerator, Sendable {
  public private(set) var state: UInt64

  public init(seed: UInt64) { state = seed }

  /// A generator for one (seed, stream) pair: streams of one seed are independent for our purposes, so that a draw
  /// for token 17 of a request does not depend on what else was in the batch.
  public init(seed: UInt64, stream: UInt64) {
    state = seed
    let mixed = next()
    state = mixed ^ (stream &* 0x9E37_79B9_7F4A_7C15)
    _ = next()
  }

  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// Uniform in `0..<1`, 24 bits.
  public mutating func unitFloat() -> Float { Float(next() >> 40) * 0x1p-24 }

  /// Uniform in `0..<1`, 53 bits.
  public mutating func unitDouble() -> Double { Double(next() >> 11) * 0x1p-53 }

  /// Standard normal by Box and Muller.
  public mutating func normalDouble() -> Double {
    let u = max(unitDouble(), 0x1p-53)
    let v = unitDouble()
    return (-2 * log(u)).squareRoot() * cos(2 * Double.pi * v)
  }
}
