// The evictable blocks in the order of their value.

import WeirBasics

/// A binary heap of blocks by key that can also remove from the middle. O(log members) per change.
struct EvictionQueue: Sendable {
  private struct Entry: Sendable {
    var key: EvictionKey
    var block: BlockID

    static func < (a: Entry, b: Entry) -> Bool { a.key == b.key ? a.block < b.block : a.key < b.key }
  }

  private var heap: [Entry] = []
  /// Place of a block in the heap, -1 if it is not a member.
  private var places: [Int32]

  init(blockLimit: Int) { places = Array(repeating: -1, count: blockLimit) }

  var count: Int { heap.count }
  var first: BlockID? { heap.first?.block }

  func contains(_ block: BlockID) -> Bool { places[block.index] >= 0 }

  /// Adds a block that is not a member.
  mutating func insert(_ block: BlockID, key: EvictionKey) {
    precondition(places[block.index] < 0, "block \(block) is evictable already")
    heap.append(Entry(key: key, block: block))
    places[block.index] = Int32(heap.count - 1)
    siftUp(heap.count - 1)
  }

  /// Removes a block if it is a member.
  mutating func remove(_ block: BlockID) {
    let place = Int(places[block.index])
    guard place >= 0 else { return }
    places[block.index] = -1
    let last = heap.removeLast()
    guard place < heap.count else { return }
    heap[place] = last
    places[last.block.index] = Int32(place)
    siftUp(place)
    siftDown(Int(places[last.block.index]))
  }

  private mutating func siftUp(_ start: Int) {
    var place = start
    while place > 0, heap[place] < heap[(place - 1) / 2] {
      exchange(place, (place - 1) / 2)
      place = (place - 1) / 2
    }
  }

  private mutating func siftDown(_ start: Int) {
    var place = start
    while true {
      var smallest = place
      for child in (2 * place + 1)...(2 * place + 2) where child < heap.count && heap[child] < heap[smallest] {
        smallest = child
      }
      if smallest == place { return }
      exchange(place, smallest)
      place = smallest
    }
  }

  private mutating func exchange(_ a: Int, _ b: Int) {
    heap.swapAt(a, b)
    places[heap[a].block.index] = Int32(a)
    places[heap[b].block.index] = Int32(b)
  }

  /// Heap order and places; each finding is one sentence.
  func checkInvariants() -> [String] {
    var findings: [String] = []
    for place in heap.indices {
      if place > 0, heap[place] < heap[(place - 1) / 2] { findings.append("the eviction heap is out of order") }
      if Int(places[heap[place].block.index]) != place {
        findings.append("\(heap[place].block) has a wrong heap place")
      }
    }
    let members = places.reduce(0) { $0 + ($1 >= 0 ? 1 : 0) }
    if members != heap.count { findings.append("\(members) blocks have a heap place, \(heap.count) are in the heap") }
    return findings
  }
}
