// A set of small integers with "the next one at or above": how the allocator finds the best fitting length.

/// Which numbers of `0...limit` are present, as a tree of 64-way bitmaps. All operations are O(log64 limit).
struct LengthIndex: Sendable {
  private var levels: [[UInt64]] = []

  init(limit: Int) {
    var count = limit + 1
    repeat {
      count = (count + 63) / 64
      levels.append(Array(repeating: 0, count: count))
    } while count > 1
  }

  mutating func insert(_ value: Int) {
    var index = value
    for level in levels.indices {
      let before = levels[level][index >> 6]
      levels[level][index >> 6] = before | (1 << UInt64(index & 63))
      if before != 0 { return }
      index >>= 6
    }
  }

  mutating func remove(_ value: Int) {
    var index = value
    for level in levels.indices {
      levels[level][index >> 6] &= ~(1 << UInt64(index & 63))
      if levels[level][index >> 6] != 0 { return }
      index >>= 6
    }
  }

  func contains(_ value: Int) -> Bool { levels[0][value >> 6] & (1 << UInt64(value & 63)) != 0 }

  /// The smallest member that is at least `value`.
  func first(atLeast value: Int) -> Int? {
    var index = value
    var level = 0
    while level < levels.count {
      guard index >> 6 < levels[level].count else { return nil }
      let rest = levels[level][index >> 6] & (~0 << UInt64(index & 63))
      if rest != 0 {
        var found = (index & ~63) + rest.trailingZeroBitCount
        while level > 0 {
          level -= 1
          found = found << 6 + levels[level][found].trailingZeroBitCount
        }
        return found
      }
      index = index >> 6 + 1
      level += 1
    }
    return nil
  }

  /// The largest member.
  var last: Int? {
    guard let top = levels.last?[0], top != 0 else { return nil }
    var found = 0
    for level in levels.indices.reversed() {
      found = found << 6 + (63 - levels[level][found].leadingZeroBitCount)
    }
    return found
  }
}
