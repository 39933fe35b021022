// Where KV of another form lands before it is converted.

/// A fixed range of memory that is given out first fit. Owned by a `HandoffNode`, used on its thread.
final class StagingArea {
  private let storage: UnsafeMutableRawBufferPointer
  /// In order of place.
  private var taken: [Range<Int>] = []
  /// Its number at the transport.
  var region = RegionID(rawValue: 0)

  init(byteCount: Int) { storage = .allocate(byteCount: byteCount, alignment: 4096) }

  deinit { storage.deallocate() }

  var memory: TransferMemory { TransferMemory(storage) }

  /// A free range that starts at a multiple of `alignment`, nil if there is none. O(ranges given out).
  func allocate(byteCount: Int, alignment: Int) -> Range<Int>? {
    var start = 0
    for (index, range) in taken.enumerated() {
      if start + byteCount <= range.lowerBound {
        taken.insert(start..<(start + byteCount), at: index)
        return start..<(start + byteCount)
      }
      start = (range.upperBound + alignment - 1) / alignment * alignment
    }
    guard byteCount > 0, start + byteCount <= storage.count else { return nil }
    taken.append(start..<(start + byteCount))
    return start..<(start + byteCount)
  }

  func release(_ range: Range<Int>) { taken.removeAll { $0 == range } }

  func bytes(_ range: Range<Int>) -> UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(rebasing: storage[range])
  }
}
