// A set of Unicode scalars, and how it looks as UTF-8 bytes.

/// Sorted, disjoint, non-touching ranges of Unicode scalars; surrogates are never in it.
struct ScalarSet: Sendable, Equatable {
  private(set) var ranges: [ClosedRange<UInt32>]

  static let largest: UInt32 = 0x10FFFF
  static let all = ScalarSet([0...largest])

  init(_ ranges: [ClosedRange<UInt32>]) {
    var whole: [ClosedRange<UInt32>] = []
    for range in ranges {
      // Surrogates have no UTF-8.
      if range.lowerBound < 0xD800 { whole.append(range.lowerBound...min(range.upperBound, 0xD7FF)) }
      if range.upperBound > 0xDFFF {
        whole.append(max(range.lowerBound, 0xE000)...min(range.upperBound, Self.largest))
      }
    }
    self.ranges = []
    for range in whole.sorted(by: { $0.lowerBound < $1.lowerBound }) {
      if let last = self.ranges.last, range.lowerBound <= last.upperBound &+ 1 {
        self.ranges[self.ranges.count - 1] = last.lowerBound...max(last.upperBound, range.upperBound)
      } else {
        self.ranges.append(range)
      }
    }
  }

  init(_ scalars: String) { self.init(scalars.unicodeScalars.map { $0.value...$0.value }) }

  var isEmpty: Bool { ranges.isEmpty }

  func union(_ other: ScalarSet) -> ScalarSet { ScalarSet(ranges + other.ranges) }

  var inverted: ScalarSet {
    var result: [ClosedRange<UInt32>] = []
    var next: UInt32 = 0
    for range in ranges {
      if range.lowerBound > next { result.append(next...range.lowerBound - 1) }
      next = range.upperBound + 1
    }
    if next <= Self.largest { result.append(next...Self.largest) }
    return ScalarSet(result)
  }

  func subtracting(_ other: ScalarSet) -> ScalarSet { inverted.union(other).inverted }

  func contains(_ scalar: UInt32) -> Bool { ranges.contains { $0.contains(scalar) } }

  /// With the other case of every ASCII letter.
  var ignoringASCIICase: ScalarSet {
    var more = ranges
    for range in ranges {
      for (low, high, shift) in [(UInt32(0x41), UInt32(0x5A), 32), (0x61, 0x7A, -32)] {
        let from = max(range.lowerBound, low)
        let to = min(range.upperBound, high)
        if from <= to { more.append(UInt32(Int(from) + shift)...UInt32(Int(to) + shift)) }
      }
    }
    return ScalarSet(more)
  }

  /// The UTF-8 forms as sequences of byte ranges: a byte string encodes a member exactly if it matches one sequence.
  var byteSequences: [[ClosedRange<UInt8>]] {
    var result: [[ClosedRange<UInt8>]] = []
    for range in ranges {
      for (low, high, length) in [
        (UInt32(0), UInt32(0x7F), 1), (0x80, 0x7FF, 2), (0x800, 0xFFFF, 3), (0x10000, Self.largest, 4),
      ] {
        let from = max(range.lowerBound, low)
        let to = min(range.upperBound, high)
        if from <= to { Self.split(Self.encode(from, length), Self.encode(to, length), [], &result) }
      }
    }
    return result
  }

  private static func encode(_ scalar: UInt32, _ length: Int) -> [UInt8] {
    if length == 1 { return [UInt8(scalar)] }
    let heads: [UInt8] = [0xC0, 0xE0, 0xF0]
    return (0..<length).map { i in
      let bits = UInt8(truncatingIfNeeded: scalar >> UInt32(6 * (length - 1 - i)))
      return i == 0 ? heads[length - 2] | (bits & 0x1F) : 0x80 | (bits & 0x3F)
    }
  }

  /// Splits the byte strings between `low` and `high` (same length) into products of ranges.
  private static func split(
    _ low: [UInt8], _ high: [UInt8], _ prefix: [ClosedRange<UInt8>], _ result: inout [[ClosedRange<UInt8>]]
  ) {
    guard let first = low.first, let last = high.first else {
      result.append(prefix)
      return
    }
    let lowRest = Array(low.dropFirst())
    let highRest = Array(high.dropFirst())
    if first == last {
      split(lowRest, highRest, prefix + [first...first], &result)
      return
    }
    let bottom = [UInt8](repeating: 0x80, count: lowRest.count)
    let top = [UInt8](repeating: 0xBF, count: lowRest.count)
    var from = first
    var to = last
    if lowRest != bottom {
      split(lowRest, top, prefix + [first...first], &result)
      from += 1
    }
    if highRest != top { to -= 1 }
    if from <= to { result.append(prefix + [from...to] + bottom.map { _ in 0x80...0xBF }) }
    if highRest != top { split(bottom, highRest, prefix + [last...last], &result) }
  }
}
