// The allocator against a slow twin that looks at every block.

import Testing
import WeirBasics
import WeirKVCache

/// Free space as one flag per block.
private struct SlowAllocator {
  var isFree: [Bool]

  var runs: [Range<Int>] {
    var runs: [Range<Int>] = []
    for (index, free) in isFree.enumerated() where free {
      if let last = runs.last, last.upperBound == index {
        runs[runs.count - 1] = last.lowerBound..<(index + 1)
      } else {
        runs.append(index..<(index + 1))
      }
    }
    return runs
  }

  /// Whether `blocks` is an answer that the placement rule allows.
  func allows(_ blocks: [BlockID], after last: BlockID?, growth: Int) -> Bool {
    var twin = self
    var rest = blocks.map(\.index)[...]
    if let last, let run = runs.first(where: { $0.lowerBound == last.index + 1 }) {
      let taken = min(run.count, rest.count)
      guard Array(rest.prefix(taken)) == Array(run.prefix(taken)) else { return false }
      for index in rest.prefix(taken) { twin.isFree[index] = false }
      rest = rest.dropFirst(taken)
    }
    while let first = rest.first {
      let lengths = twin.runs.map(\.count)
      guard let run = twin.runs.first(where: { $0.contains(first) }) else { return false }
      let fitting = lengths.filter { $0 >= rest.count + growth }.min() ?? lengths.filter { $0 >= rest.count }.min()
      guard run.count == (fitting ?? lengths.max()) else { return false }
      let taken = fitting == nil ? run.count : rest.count
      let skip = fitting != nil && run.lowerBound > 0 && run.count >= rest.count + 2 * growth ? growth : 0
      guard Array(rest.prefix(taken)) == Array(run.dropFirst(skip).prefix(taken)) else { return false }
      for index in rest.prefix(taken) { twin.isFree[index] = false }
      rest = rest.dropFirst(taken)
    }
    return true
  }
}

@Suite struct SegmentAllocatorTests {
  @Test(arguments: [1, 2, 3, 4] as [UInt64]) func agreesWithTheSlowTwin(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    let limit = [5, 64, 130, 300][Int(seed % 4)]
    var allocator = SegmentAllocator(blockLimit: limit)
    var slow = SlowAllocator(isFree: Array(repeating: true, count: limit))
    var held: [[BlockID]] = []
    for _ in 0..<3000 {
      if random.next() % 2 == 0 {
        let count = Int(random.next() % UInt64(max(2, limit / 6)))
        let growth = Int(random.next() % 4)
        let owner = held.isEmpty || random.next() % 2 == 0 ? nil : Int(random.next() % UInt64(held.count))
        let last = owner.flatMap { held[$0].last }
        switch allocator.allocate(count: count, after: last, growth: growth) {
        case .allocated(let blocks):
          #expect(blocks.count == count, "seed \(seed)")
          #expect(
            slow.allows(blocks, after: last, growth: growth),
            "seed \(seed): \(blocks) after \(String(describing: last))")
          for block in blocks { slow.isFree[block.index] = false }
          if let owner { held[owner] += blocks } else if count > 0 { held.append(blocks) }
        case .noRoom(let missing):
          #expect(missing == count - slow.isFree.filter { $0 }.count && missing > 0, "seed \(seed)")
        }
      } else if !held.isEmpty {
        let index = Int(random.next() % UInt64(held.count))
        // Part of a sequence may be given back: prefixes are shared, tails are not.
        let kept = random.next() % 3 == 0 ? Int(random.next() % UInt64(held[index].count + 1)) : 0
        let given = held[index].dropFirst(kept)
        allocator.release(given)
        for block in given { slow.isFree[block.index] = true }
        held[index].removeLast(given.count)
        if held[index].isEmpty { held.remove(at: index) }
      }
      let runs = allocator.segments().map { $0.first.index..<$0.end.index }
      #expect(runs == slow.runs, "seed \(seed)")
      #expect(allocator.largestSegment == slow.runs.map(\.count).max() ?? 0, "seed \(seed)")
      #expect(allocator.checkInvariants().isEmpty, "seed \(seed): \(allocator.checkInvariants())")
    }
  }

  @Test func growsInPlaceBesideANeighbour() {
    var allocator = SegmentAllocator(blockLimit: 100)
    guard case .allocated(let first) = allocator.allocate(count: 10, growth: 5),
      case .allocated(let second) = allocator.allocate(count: 10, growth: 5),
      case .allocated(let more) = allocator.allocate(count: 5, after: first.last, growth: 0)
    else {
      Issue.record("no room in an empty pool")
      return
    }
    #expect(first.last.map { $0.index + 1 } == more.first?.index)
    #expect(second.first?.index == 15)
    #expect(allocator.freeSegments == 1)
  }

  @Test func saysHowManyBlocksAreMissing() {
    var allocator = SegmentAllocator(blockLimit: 4)
    #expect(allocator.allocate(count: 6) == .noRoom(missing: 2))
    #expect(allocator.freeBlocks == 4)
    #expect(allocator.allocate(count: 0) == .allocated([]))
  }

  @Test func fragmentationIsTheShareOutsideTheLongestRun() {
    var allocator = SegmentAllocator(blockLimit: 10)
    #expect(allocator.fragmentation == 0)
    _ = allocator.allocate(count: 10)
    #expect(allocator.fragmentation == 0)
    allocator.release([0, 1, 2, 8] as [BlockID])
    #expect(allocator.largestSegment == 3)
    #expect(allocator.fragmentation == 0.25)
  }

  @Test func givingABlockBackTwiceTraps() async {
    await #expect(processExitsWith: .failure) {
      var allocator = SegmentAllocator(blockLimit: 4)
      allocator.release(2 as BlockID)
    }
  }
}
