// Which blocks? FlowKV's segment allocator: free space as maximal runs, so that KV stays in few byte ranges.

public import WeirBasics

/// A maximal run of consecutive blocks, so one contiguous byte range of the arena.
public struct Segment: Hashable, Sendable {
  public let first: BlockID
  public let count: Int

  public init(first: BlockID, count: Int) {
    self.first = first
    self.count = count
  }

  /// The first block after the run.
  public var end: BlockID { BlockID(first.index + count) }
  public var blocks: Range<BlockID> { first..<end }
}

/// What an allocation gave.
public enum SegmentAllocation: Equatable, Sendable {
  /// Exactly as many blocks as asked, in the order in which the sequence should use them.
  case allocated([BlockID])
  /// Nothing was taken; `missing` more free blocks are needed.
  case noRoom(missing: Int)
}

/// Free blocks of an arena, kept as coalesced runs that are found by start (boundary tags) and by length (bitmap tree
/// over lengths, a list of runs per length). A pure value; every operation is O(blocks given or taken back).
///
/// Placement: a sequence is extended in place after its last block if that is free. Otherwise the smallest run that
/// holds the request and its growth room, the most recently freed of equal ones (its pages are warm); the request
/// starts `growth` blocks into the run if the run is long enough, because the block before a run belongs to somebody
/// who may grow into it. Only if no run is long enough are the largest runs taken one after another.
public struct SegmentAllocator: Sendable {
  /// Blocks managed, free or not.
  public let blockLimit: Int
  public private(set) var freeBlocks: Int
  /// Number of free runs.
  public private(set) var freeSegments = 0

  private static let none = UInt32.max
  /// Valid at the first and at the last block of a run.
  private var runLength: [UInt32]
  private var isFree: [Bool]
  /// Lists of runs of equal length, linked through their first blocks.
  private var next: [UInt32]
  private var previous: [UInt32]
  private var head: [UInt32]
  private var lengths: LengthIndex

  /// - Precondition: `blockLimit` is in `1..<2^31`.
  public init(blockLimit: Int) {
    precondition(blockLimit > 0 && blockLimit < 1 << 31, "block limit out of range")
    self.blockLimit = blockLimit
    freeBlocks = 0
    runLength = Array(repeating: 0, count: blockLimit)
    isFree = Array(repeating: false, count: blockLimit)
    next = Array(repeating: SegmentAllocator.none, count: blockLimit)
    previous = next
    head = Array(repeating: SegmentAllocator.none, count: blockLimit + 1)
    lengths = LengthIndex(limit: blockLimit)
    for block in 0..<blockLimit { isFree[block] = true }
    freeBlocks = blockLimit
    link(start: 0, length: blockLimit)
  }

  /// Takes `count` blocks.
  /// - Parameters:
  ///   - count: at least 0.
  ///   - last: the sequence's last block, after which it would like to continue.
  ///   - growth: blocks that the sequence will probably want later; a wish, not a reservation.
  public mutating func allocate(count: Int, after last: BlockID? = nil, growth: Int = 0) -> SegmentAllocation {
    precondition(count >= 0 && growth >= 0, "negative block count")
    guard count <= freeBlocks else { return .noRoom(missing: count - freeBlocks) }
    var blocks: [BlockID] = []
    blocks.reserveCapacity(count)
    if let last, last.index + 1 < blockLimit, isFree[last.index + 1], count > 0 {
      let start = last.index + 1
      let taken = min(count, Int(runLength[start]))
      take(taken, at: 0, ofRunFrom: start, into: &blocks)
    }
    while blocks.count < count {
      let wanted = count - blocks.count
      if let length = lengths.first(atLeast: wanted + growth) ?? lengths.first(atLeast: wanted) {
        let start = Int(head[length])
        let skip = start > 0 && length >= wanted + 2 * growth ? growth : 0
        take(wanted, at: skip, ofRunFrom: start, into: &blocks)
      } else if let length = lengths.last {
        take(length, at: 0, ofRunFrom: Int(head[length]), into: &blocks)
      } else {
        preconditionFailure("the allocator counts \(freeBlocks) free blocks but has no run")
      }
    }
    return .allocated(blocks)
  }

  /// Takes `count` blocks in runs as long as the sender's, so that a transfer needs as few calls as the sender's own
  /// fragmentation allows: a call moves blocks that are consecutive on both sides, and nothing is gained by longer runs
  /// on this side.
  ///
  /// Long runs choose first, each the smallest free run that holds it; a run that nothing holds takes the largest free
  /// runs one after another. The hint is advice: lengths below 1 are ignored, what it leaves open is one more run, what
  /// it has too much is cut off. O(blocks + runs log runs).
  /// - Parameters:
  ///   - count: at least 0.
  ///   - runLengths: the sender's runs in the order of the sequence, see `TransferPlan.runLengths`.
  ///   - growth: blocks that the sequence will probably want after its last one; a wish, not a reservation.
  public mutating func allocate(count: Int, runLengths: [Int], growth: Int = 0) -> SegmentAllocation {
    precondition(count >= 0 && growth >= 0, "negative block count")
    guard count <= freeBlocks else { return .noRoom(missing: count - freeBlocks) }
    var wanted: [Int] = []
    var open = count
    for length in runLengths where length > 0 && open > 0 {
      wanted.append(min(length, open))
      open -= min(length, open)
    }
    if open > 0 { wanted.append(open) }
    var parts: [[BlockID]] = Array(repeating: [], count: wanted.count)
    for index in wanted.indices.sorted(by: { (wanted[$1], $0) < (wanted[$0], $1) }) {
      let behind = index == wanted.count - 1 ? growth : 0
      while parts[index].count < wanted[index] {
        let rest = wanted[index] - parts[index].count
        guard let length = lengths.first(atLeast: rest + behind) ?? lengths.first(atLeast: rest) ?? lengths.last else {
          preconditionFailure("the allocator counts \(freeBlocks) free blocks but has no run")
        }
        take(min(rest, length), at: 0, ofRunFrom: Int(head[length]), into: &parts[index])
      }
    }
    return .allocated(parts.flatMap(\.self))
  }

  /// Takes `blocks` back and merges them with their free neighbours.
  /// - Precondition: none of them is free.
  public mutating func release(_ blocks: some Sequence<BlockID>) {
    for block in blocks { release(block) }
  }

  /// Takes one block back.
  /// - Precondition: it is not free.
  public mutating func release(_ block: BlockID) {
    let index = block.index
    precondition(index < blockLimit && !isFree[index], "block \(block) is not in use")
    var start = index
    var length = 1
    if index > 0, isFree[index - 1] {
      let left = Int(runLength[index - 1])
      start = index - left
      unlink(start: start, length: left)
      length += left
    }
    if index + 1 < blockLimit, isFree[index + 1] {
      let right = Int(runLength[index + 1])
      unlink(start: index + 1, length: right)
      length += right
    }
    isFree[index] = true
    freeBlocks += 1
    link(start: start, length: length)
  }

  /// Whether `block` is free now.
  public func isFree(_ block: BlockID) -> Bool { isFree[block.index] }

  /// Blocks in the longest free run.
  public var largestSegment: Int { lengths.last ?? 0 }

  /// Share of the free blocks that lie outside the longest run, `0..<1`.
  public var fragmentation: Double {
    freeBlocks == 0 ? 0 : 1 - Double(largestSegment) / Double(freeBlocks)
  }

  /// All free runs by start. O(free segments), for reports, trimming and checks.
  public func segments() -> [Segment] {
    var result: [Segment] = []
    result.reserveCapacity(freeSegments)
    var length = lengths.first(atLeast: 0)
    while let current = length {
      var start = head[current]
      while start != SegmentAllocator.none {
        result.append(Segment(first: BlockID(Int(start)), count: current))
        start = next[Int(start)]
      }
      length = current < blockLimit ? lengths.first(atLeast: current + 1) : nil
    }
    return result.sorted { $0.first < $1.first }
  }

  private mutating func take(_ count: Int, at skip: Int, ofRunFrom start: Int, into blocks: inout [BlockID]) {
    let length = Int(runLength[start])
    unlink(start: start, length: length)
    if skip > 0 { link(start: start, length: skip) }
    let rest = length - skip - count
    if rest > 0 { link(start: start + skip + count, length: rest) }
    for index in (start + skip)..<(start + skip + count) {
      isFree[index] = false
      blocks.append(BlockID(index))
    }
    freeBlocks -= count
  }

  private mutating func link(start: Int, length: Int) {
    runLength[start] = UInt32(length)
    runLength[start + length - 1] = UInt32(length)
    let old = head[length]
    next[start] = old
    previous[start] = SegmentAllocator.none
    if old != SegmentAllocator.none {
      previous[Int(old)] = UInt32(start)
    } else {
      lengths.insert(length)
    }
    head[length] = UInt32(start)
    freeSegments += 1
  }

  private mutating func unlink(start: Int, length: Int) {
    let before = previous[start]
    let after = next[start]
    if after != SegmentAllocator.none { previous[Int(after)] = before }
    if before != SegmentAllocator.none {
      next[Int(before)] = after
    } else {
      head[length] = after
      if after == SegmentAllocator.none { lengths.remove(length) }
    }
    freeSegments -= 1
  }

  /// Everything that must hold; each finding is one sentence. O(blockLimit).
  public func checkInvariants() -> [String] {
    var findings: [String] = []
    let runs = segments()
    if runs.count != freeSegments { findings.append("\(runs.count) runs are linked, \(freeSegments) are counted") }
    var covered = 0
    var end = -1
    for run in runs {
      if run.first.index <= end { findings.append("run at \(run.first) overlaps or touches the run before it") }
      end = run.end.index
      covered += run.count
      let isWhole =
        run.blocks.lowerBound.index + run.count <= blockLimit
        && (run.first.index..<run.end.index).allSatisfy { isFree[$0] }
      if !isWhole { findings.append("run at \(run.first) of \(run.count) holds a block that is in use") }
      if Int(runLength[run.first.index]) != run.count || Int(runLength[run.end.index - 1]) != run.count {
        findings.append("run at \(run.first) of \(run.count) has wrong boundary tags")
      }
    }
    let free = isFree.reduce(0) { $0 + ($1 ? 1 : 0) }
    if covered != free || free != freeBlocks {
      findings.append("runs cover \(covered) blocks, \(free) are marked free, \(freeBlocks) are counted")
    }
    return findings
  }
}
