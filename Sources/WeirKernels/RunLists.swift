internal import CWeirKernels
import WeirBasics

/// All lists of a call's groups in a few arrays, because C wants plain pointers.
struct RunLists {
  private var blocks: [UnsafePointer<UInt8>?] = []
  private var rows: [Int32] = []
  private var positions: [Int32] = []
  private var lanes = LaneLists()
  private let groups: [AttentionGroup]
  private let kvHeads: Int

  init(_ call: AttentionCall) {
    groups = call.groups
    kvHeads = call.shape.kvHeads
    blocks.reserveCapacity(groups.reduce(0) { $0 + $1.run.blocks.count })
    for group in groups {
      for block in group.run.blocks { blocks.append(block.assumingMemoryBound(to: UInt8.self)) }
      rows.append(contentsOf: group.rows)
      if let list = group.run.positions { positions.append(contentsOf: list) }
      if let choice = group.run.choice, let row = group.rows.first {
        lanes.append(choice, rowPosition: call.rowPositions[Int(row)], withPositions: call.window > 0)
      } else if let kept = group.run.lanes {
        lanes.append(kept, layer: call.layer, kvHeads: call.shape.kvHeads, withPositions: call.window > 0)
      }
    }
  }

  func withGroups(_ body: (UnsafeBufferPointer<weir_attention_group>) -> Void) {
    blocks.withUnsafeBufferPointer { blocks in
      rows.withUnsafeBufferPointer { rows in
        positions.withUnsafeBufferPointer { positions in
          lanes.withLanes { lanes in
            var block = blocks.baseAddress, row = rows.baseAddress, position = positions.baseAddress
            var lane = lanes.baseAddress
            let native = groups.map { group in
              let hasLanes = group.run.lanes != nil || group.run.choice != nil
              let run = weir_kv_run(
                blocks: block, first_slot: Int32(group.run.firstSlot),
                count: Int64(group.run.choice?.longest ?? group.run.count), first: Int64(group.run.firstPosition),
                positions: group.run.positions == nil ? nil : position, lanes: hasLanes ? lane : nil)
              let result = weir_attention_group(rows: row, row_count: Int32(group.rows.count), run: run)
              block = block.map { $0 + group.run.blocks.count }
              row = row.map { $0 + group.rows.count }
              if let list = group.run.positions { position = position.map { $0 + list.count } }
              if hasLanes { lane = lane.map { $0 + kvHeads } }
              return result
            }
            native.withUnsafeBufferPointer(body)
          }
        }
      }
    }
  }
}

/// One layer's lanes of some sequences, for C.
struct LaneLists {
  private var lanes: [weir_kv_lane] = []
  /// Start of each lane's positions and of its slots in `numbers`; -1: it has none.
  private var starts: [(positions: Int, slots: Int)] = []
  private var numbers: [Int32] = []

  mutating func append(_ kept: KVLanes, layer: Int, kvHeads: Int, withPositions: Bool) {
    for index in layer * kvHeads..<(layer + 1) * kvHeads {
      let older = kept.older[index]
      lanes.append(
        weir_kv_lane(
          count: older + Int32(kept.rows), older: older, shift: Int32(kept.firstPosition) - older, positions: nil,
          slots: nil))
      if withPositions, !kept.positions.isEmpty {
        precondition(kept.positions[index].count == Int(older), "every key of a lane needs a position")
        starts.append((add(kept.positions[index]), -1))
      } else {
        starts.append((-1, -1))
      }
    }
  }

  /// The keys that one row reads; it is the only one that is not older.
  mutating func append(_ choice: KVChoice, rowPosition: Int32, withPositions: Bool) {
    for (head, slots) in choice.slots.enumerated() {
      let older = Int32(slots.count) - 1
      lanes.append(
        weir_kv_lane(
          count: older + 1, older: older, shift: rowPosition - older, positions: nil, slots: nil))
      starts.append((withPositions ? add(choice.positions[head]) : -1, add(slots)))
    }
  }

  private mutating func add(_ list: [Int32]) -> Int {
    numbers.append(contentsOf: list)
    return numbers.count - list.count
  }

  func withLanes(_ body: (UnsafeBufferPointer<weir_kv_lane>) -> Void) {
    guard !numbers.isEmpty else { return lanes.withUnsafeBufferPointer(body) }
    numbers.withUnsafeBufferPointer { numbers in
      var placed = lanes
      for (index, start) in starts.enumerated() {
        if start.positions >= 0 { placed[index].positions = numbers.baseAddress.map { $0 + start.positions } }
        if start.slots >= 0 { placed[index].slots = numbers.baseAddress.map { $0 + start.slots } }
      }
      placed.withUnsafeBufferPointer(body)
    }
  }
}
