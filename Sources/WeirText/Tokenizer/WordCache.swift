// Words seen before and their tokens: natural text repeats its words, and a look-up costs a tenth of the merging.

/// A bounded map from words to symbols. It is emptied when full, which costs less than keeping an order of use.
struct WordCache: Sendable {
  private var keys = ByteArena()
  private var symbols: [Int32] = []
  private var symbolStarts: [Int32] = [0]
  private var slots = [Int32](repeating: -1, count: slotCount)

  private static let slotCount = 1 << 16
  private static let entryLimit = 1 << 15
  /// Longer words are rare and would fill the arena.
  static let wordBytesMax = 48

  /// Appends the cached symbols of `bytes[range]`; false when the word is not cached.
  @inline(__always)
  func append(_ bytes: [UInt8], _ range: Range<Int>, hash: UInt64, to result: inout [Int32]) -> Bool {
    var slot = Int(truncatingIfNeeded: hash) & (Self.slotCount - 1)
    while slots[slot] >= 0 {
      let entry = Int(slots[slot])
      if keys.isEqual(entry, bytes, range) {
        for k in Int(symbolStarts[entry])..<Int(symbolStarts[entry + 1]) { result.append(symbols[k]) }
        return true
      }
      slot = (slot + 1) & (Self.slotCount - 1)
    }
    return false
  }

  mutating func insert(_ bytes: [UInt8], _ range: Range<Int>, hash: UInt64, symbols new: ArraySlice<Int32>) {
    if keys.count == Self.entryLimit { self = WordCache() }
    var slot = Int(truncatingIfNeeded: hash) & (Self.slotCount - 1)
    while slots[slot] >= 0 { slot = (slot + 1) & (Self.slotCount - 1) }
    slots[slot] = Int32(keys.count)
    keys.append(bytes, range)
    symbols.append(contentsOf: new)
    symbolStarts.append(Int32(symbols.count))
  }
}

/// Byte strings back to back.
struct ByteArena: Sendable {
  private var bytes: [UInt8] = []
  private var starts: [Int32] = [0]

  var count: Int { starts.count - 1 }

  mutating func append(_ source: [UInt8], _ range: Range<Int>) {
    bytes.append(contentsOf: source[range])
    starts.append(Int32(bytes.count))
  }

  @inline(__always)
  func isEqual(_ entry: Int, _ other: [UInt8], _ range: Range<Int>) -> Bool {
    let start = Int(starts[entry])
    guard Int(starts[entry + 1]) - start == range.count else { return false }
    for i in 0..<range.count where bytes[start + i] != other[range.lowerBound + i] { return false }
    return true
  }

  subscript(_ entry: Int) -> [UInt8] { Array(bytes[Int(starts[entry])..<Int(starts[entry + 1])]) }
  func length(_ entry: Int) -> Int { Int(starts[entry + 1] - starts[entry]) }
}
