// From block tables to attention runs and write addresses.

import WeirBasics
import WeirKernels

extension RowPlan {
  /// Where each row's K and V go.
  func slotAddresses(blockSlots: Int) -> [SlotAddress] {
    var addresses: [SlotAddress] = []
    addresses.reserveCapacity(positions.count)
    for sequence in sequences {
      precondition(sequence.rows.lowerBound == addresses.count, "sequences must cover the rows in order")
      if let lanes = sequence.lanes, let block = sequence.blocks.first {
        // Their rows go to the ends of the lanes; the entries only keep the list in step with the rows.
        precondition(lanes.rows == sequence.rows.count, "the lanes were made for \(lanes.rows) rows")
        addresses += sequence.rows.map { _ in SlotAddress(block: block, slot: 0) }
        continue
      }
      for row in sequence.rows {
        let position = Int(positions[row])
        precondition(row == sequence.rows.lowerBound || positions[row - 1] < positions[row], "positions must ascend")
        precondition(position / blockSlots < sequence.blocks.count, "no block for position \(position)")
        addresses.append(SlotAddress(block: sequence.blocks[position / blockSlots], slot: position % blockSlots))
      }
    }
    precondition(addresses.count == positions.count, "every row must belong to a sequence")
    return addresses
  }

  /// The attention of this plan; layer and window are set per layer.
  func attentionCall(_ d: DecoderDescription, shape: KVShape, query: Rows, output: Rows) -> AttentionCall {
    // A row at position p sees keys up to p; a limit of n keys is the same as standing at n - 1.
    let limits = keyLimits.map { $0.map { $0 - 1 } } ?? positions
    var groups: [AttentionGroup] = []
    groups.reserveCapacity(sequences.count)
    var sharedPlaces: [Int: Int] = [:]
    // A group shares what all of its members have.
    var sharedBlocks: [Int: Int] = [:]
    for sequence in sequences where sequence.sharedGroup >= 0 && !sequence.rows.isEmpty {
      sharedBlocks[sequence.sharedGroup, default: .max] = min(
        sharedBlocks[sequence.sharedGroup, default: .max], sequence.sharedBlocks)
    }
    for (index, sequence) in sequences.enumerated() where !sequence.rows.isEmpty {
      if let lanes = sequence.lanes {
        precondition(keyLimits == nil && !isBidirectional, "retained lanes are read causally and whole")
        var run = Self.run(sequence, lanes, shape)
        run.isChosenFrom = sequence.choosesKeys
        groups.append(AttentionGroup(rows: sequence.rows.map(Int32.init), run: run))
        continue
      }
      if sequence.choosesKeys {
        precondition(keyLimits == nil && sequence.rows.count == 1, "one row of an ordinary step chooses keys")
        var run = Self.run(sequence, 0..<sequence.firstPosition + 1, shape)
        run.isChosenFrom = true
        groups.append(AttentionGroup(rows: [Int32(sequence.rows.lowerBound)], run: run))
        continue
      }
      let needed = Int((limits[sequence.rows].max() ?? -1) + 1)
      let keys = keyCounts?[index] ?? needed
      let shared = (sharedBlocks[sequence.sharedGroup] ?? 0) * shape.blockSlots
      precondition(shared <= keys, "shared blocks must be full and older than this step")
      let rows = sequence.rows.map(Int32.init)
      if shared > 0 {
        if let place = sharedPlaces[sequence.sharedGroup] {
          groups[place].rows += rows
        } else {
          sharedPlaces[sequence.sharedGroup] = groups.count
          groups.append(AttentionGroup(rows: rows, run: Self.run(sequence, 0..<shared, shape)))
        }
      }
      if shared < keys { groups.append(AttentionGroup(rows: rows, run: Self.run(sequence, shared..<keys, shape))) }
    }
    return AttentionCall(
      query: query, rowPositions: limits, groups: groups, layer: layers.lowerBound, shape: shape, heads: d.heads,
      scale: d.attentionScale, softcap: d.attentionSoftcap, window: 0, bidirectional: isBidirectional, output: output)
  }

  /// All lanes of a compacted sequence, this step's rows included.
  static func run(_ sequence: BatchSequence, _ lanes: KVLanes, _ shape: KVShape) -> KVRun {
    let blocks = shape.blockCount(tokens: lanes.longest)
    precondition(blocks <= sequence.blocks.count, "\(lanes.longest) keys do not fit \(sequence.blocks.count) blocks")
    return KVRun(
      blocks: sequence.blocks[..<blocks].map { UnsafeRawPointer($0) }, count: lanes.longest, firstPosition: 0,
      lanes: lanes)
  }

  private static func run(_ sequence: BatchSequence, _ keys: Range<Int>, _ shape: KVShape) -> KVRun {
    let first = keys.lowerBound / shape.blockSlots
    let end = shape.blockCount(tokens: keys.upperBound)
    precondition(end <= sequence.blocks.count, "\(keys.upperBound) keys do not fit \(sequence.blocks.count) blocks")
    return KVRun(
      blocks: sequence.blocks[first..<end].map { UnsafeRawPointer($0) }, firstSlot: 0, count: keys.count,
      firstPosition: keys.lowerBound, positions: nil)
  }
}
