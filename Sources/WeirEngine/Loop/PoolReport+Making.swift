// The pool's own figures in the words of the doors.

import WeirBasics
import WeirKVCache

extension PoolReport {
  init(_ statistics: PoolStatistics, shape: KVShape) {
    self.init()
    blockSlots = shape.blockSlots
    blockBytes = shape.blockBytes
    committedBytes = statistics.committedBytes
    peakUsedBlocks = statistics.peakUsedBlocks
    largestFreeRun = statistics.largestFreeSegment
    fragmentation = statistics.fragmentation
    evictedBlocks = statistics.evictions.values.reduce(0, +)
    copiedBlocks = statistics.copyOnWriteCopies
    pinnedBlocks = statistics.leasedBlocks
  }
}
