// Hash index from byte strings to small numbers: one arena of bytes, no allocation per look-up.

/// FNV-1a with a final mix; the tables below index with the low bits.
@inline(__always)
func hashBytes(_ bytes: [UInt8], _ range: Range<Int>) -> UInt64 {
  var hash: UInt64 = 0xCBF2_9CE4_8422_2325
  for i in range { hash = (hash ^ UInt64(bytes[i])) &* 0x0000_0100_0000_01B3 }
  return mixHash(hash)
}

@inline(__always)
func mixHash(_ value: UInt64) -> UInt64 {
  let z = (value ^ (value >> 32)) &* 0x9E37_79B9_7F4A_7C15
  return z ^ (z >> 29)
}

/// Every distinct byte string gets the number it was first inserted with.
struct PieceTable: Sendable {
  private var arena: [UInt8] = []
  private var starts: [Int32] = [0]
  private var values: [Int32] = []
  /// Open addressing over entry indices, -1 = free; the capacity is a power of two.
  private var slots: [Int32]

  init(expecting count: Int) {
    var capacity = 64
    while capacity < count * 2 { capacity *= 2 }
    slots = [Int32](repeating: -1, count: capacity)
  }

  /// The number stored for `bytes[range]`, or nil.
  @inline(__always)
  func value(_ bytes: [UInt8], _ range: Range<Int>) -> Int32? {
    let mask = slots.count - 1
    var slot = Int(truncatingIfNeeded: hashBytes(bytes, range)) & mask
    while slots[slot] >= 0 {
      let entry = Int(slots[slot])
      if isEqual(entry, bytes, range) { return values[entry] }
      slot = (slot + 1) & mask
    }
    return nil
  }

  func value(_ bytes: [UInt8]) -> Int32? { value(bytes, 0..<bytes.count) }

  /// Keeps the first number when the same bytes come twice.
  mutating func insert(_ bytes: [UInt8], value: Int32) {
    if values.count * 2 >= slots.count { grow() }
    let mask = slots.count - 1
    var slot = Int(truncatingIfNeeded: hashBytes(bytes, 0..<bytes.count)) & mask
    while slots[slot] >= 0 {
      if isEqual(Int(slots[slot]), bytes, 0..<bytes.count) { return }
      slot = (slot + 1) & mask
    }
    slots[slot] = Int32(values.count)
    values.append(value)
    arena.append(contentsOf: bytes)
    starts.append(Int32(arena.count))
  }

  @inline(__always)
  private func isEqual(_ entry: Int, _ bytes: [UInt8], _ range: Range<Int>) -> Bool {
    let start = Int(starts[entry])
    guard Int(starts[entry + 1]) - start == range.count else { return false }
    for i in 0..<range.count where arena[start + i] != bytes[range.lowerBound + i] { return false }
    return true
  }

  private mutating func grow() {
    var larger = [Int32](repeating: -1, count: slots.count * 2)
    let mask = larger.count - 1
    for entry in values.indices {
      let range = Int(starts[entry])..<Int(starts[entry + 1])
      var slot = Int(truncatingIfNeeded: hashBytes(arena, range)) & mask
      while larger[slot] >= 0 { slot = (slot + 1) & mask }
      larger[slot] = Int32(entry)
    }
    slots = larger
  }
}
