// Byte-pair merging: which two neighbouring symbols become one, and in which order.

/// Pairs of symbols with the rank of their merge. A lower rank is merged first; equal ranks from left to right.
///
/// Merge lists (rank = line number) and SentencePiece scores (rank = place of the score in descending order) are both
/// expressed so, hence one merging loop serves both.
struct MergeTable: Sendable {
  private var keys: [UInt64]
  private var values: [UInt64]
  private var count = 0

  static let none: UInt64 = .max

  init(expecting pairs: Int) {
    var capacity = 64
    while capacity < pairs * 2 { capacity *= 2 }
    keys = [UInt64](repeating: .max, count: capacity)
    values = [UInt64](repeating: .max, count: capacity)
  }

  /// Keeps the first rank when a pair comes twice.
  mutating func insert(left: Int32, right: Int32, rank: UInt32, merged: Int32) {
    if count * 2 >= keys.count { grow() }
    let key = Self.key(left, right)
    let mask = keys.count - 1
    var slot = Int(truncatingIfNeeded: mixHash(key)) & mask
    while keys[slot] != .max {
      if keys[slot] == key { return }
      slot = (slot + 1) & mask
    }
    keys[slot] = key
    values[slot] = UInt64(rank) << 32 | UInt64(UInt32(bitPattern: merged))
    count += 1
  }

  /// Rank in the upper half, merged symbol in the lower half; `none` when the pair does not merge.
  @inline(__always)
  func merge(_ left: Int32, _ right: Int32) -> UInt64 {
    let key = Self.key(left, right)
    let mask = keys.count - 1
    var slot = Int(truncatingIfNeeded: mixHash(key)) & mask
    while keys[slot] != .max {
      if keys[slot] == key { return values[slot] }
      slot = (slot + 1) & mask
    }
    return Self.none
  }

  @inline(__always)
  private static func key(_ left: Int32, _ right: Int32) -> UInt64 {
    UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
  }

  private mutating func grow() {
    let oldKeys = keys
    let oldValues = values
    keys = [UInt64](repeating: .max, count: oldKeys.count * 2)
    values = [UInt64](repeating: .max, count: oldKeys.count * 2)
    let mask = keys.count - 1
    for i in oldKeys.indices where oldKeys[i] != .max {
      var slot = Int(truncatingIfNeeded: mixHash(oldKeys[i])) & mask
      while keys[slot] != .max { slot = (slot + 1) & mask }
      keys[slot] = oldKeys[i]
      values[slot] = oldValues[i]
    }
  }

  /// Merges `symbols` in place until no pair merges. Short words scan for the best pair (O(n^2), no allocation);
  /// long ones keep a heap (O(n log n)), which matters for texts without word boundaries.
  func apply(to symbols: inout [Int32]) {
    if symbols.count <= 24 { scan(&symbols) } else { heap(&symbols) }
  }

  func scan(_ symbols: inout [Int32]) {
    while symbols.count > 1 {
      var best = Self.none
      var at = 0
      for i in 0..<(symbols.count - 1) {
        let found = merge(symbols[i], symbols[i + 1])
        if found >> 32 < best >> 32 {
          best = found
          at = i
        }
      }
      if best == Self.none { return }
      symbols[at] = Int32(truncatingIfNeeded: best)
      symbols.remove(at: at + 1)
    }
  }

  /// The heap holds (rank, position); a popped entry counts only while the pair at that position still has that rank.
  func heap(_ symbols: inout [Int32]) {
    let n = symbols.count
    if n < 2 { return }
    var next = (1...n).map { Int32($0) }
    var previous = (-1..<(n - 1)).map { Int32($0) }
    var pair = [UInt64](repeating: Self.none, count: n)
    var queue = MinHeap(reserving: n)
    for i in 0..<(n - 1) {
      pair[i] = merge(symbols[i], symbols[i + 1])
      if pair[i] != Self.none { queue.push(pair[i] & 0xFFFF_FFFF_0000_0000 | UInt64(i)) }
    }
    while let top = queue.pop() {
      let i = Int(top & 0xFFFF_FFFF)
      guard pair[i] != Self.none, pair[i] >> 32 == top >> 32 else { continue }
      let right = Int(next[i])
      let after = next[right]
      symbols[i] = Int32(truncatingIfNeeded: pair[i])
      symbols[right] = -1
      pair[right] = Self.none
      next[i] = after
      if Int(after) < n { previous[Int(after)] = Int32(i) }
      pair[i] = Int(after) < n ? merge(symbols[i], symbols[Int(after)]) : Self.none
      if pair[i] != Self.none { queue.push(pair[i] & 0xFFFF_FFFF_0000_0000 | UInt64(i)) }
      let before = Int(previous[i])
      if before >= 0 {
        pair[before] = merge(symbols[before], symbols[i])
        if pair[before] != Self.none { queue.push(pair[before] & 0xFFFF_FFFF_0000_0000 | UInt64(before)) }
      }
    }
    symbols.removeAll { $0 == -1 }
  }
}

/// A binary heap of plain numbers, smallest first.
struct MinHeap {
  private var items: [UInt64] = []

  init(reserving count: Int) { items.reserveCapacity(count) }

  mutating func push(_ value: UInt64) {
    items.append(value)
    var i = items.count - 1
    while i > 0 {
      let parent = (i - 1) / 2
      if items[parent] <= value { break }
      items[i] = items[parent]
      i = parent
    }
    items[i] = value
  }

  mutating func pop() -> UInt64? {
    guard let first = items.first else { return nil }
    let last = items.removeLast()
    let n = items.count
    if n == 0 { return first }
    var i = 0
    while true {
      var child = 2 * i + 1
      if child >= n { break }
      if child + 1 < n, items[child + 1] < items[child] { child += 1 }
      if items[child] >= last { break }
      items[i] = items[child]
      i = child
    }
    items[i] = last
    return first
  }
}
