// Keys of slots that a KV policy numbers anew.

public import WeirBasics
import WeirKernels

extension DecoderDescription {
  /// Whether any layer rotates its keys. What turns them is linear in the position for every kind of scaling that a
  /// description can hold.
  public var turnsKeys: Bool { layerKinds.contains { $0.rope != nil } }
}

extension DecoderModel {
  /// Turns the keys of slots that have moved, so that each stands at its new place in the lane.
  ///
  /// O(moved keys); layers without a rotation are left alone.
  /// - Parameters:
  ///   - movedFrom: per lane, `[layers][kvHeads]`, the slot in which the key of each slot was before, ascending; empty:
  ///     nothing has moved.
  ///   - blocks: the sequence's, its own where something has moved.
  ///   - shape: of the blocks.
  /// - Precondition: keys are f32 or f16.
  public func turnKeys(movedFrom lanes: [[Int]], in blocks: [UnsafeMutableRawPointer], shape: KVShape) {
    precondition(lanes.count == shape.layers * shape.kvHeads, "\(lanes.count) lanes for another shape")
    let moves = lanes.map(Self.moves)
    let distances = Set(moves.joined().map(\.by))
    let turns = ropes.map { rope in
      Dictionary(uniqueKeysWithValues: distances.map { ($0, rope.turn(by: -$0)) })
    }
    context.pool.parallel(tasks: lanes.count) { lane, _ in
      let layer = lane / shape.kvHeads
      guard let rope = description.layerKinds[layer].rope else { return }
      for move in moves[lane] {
        guard let turn = turns[rope][move.by] else { continue }
        context.turnKeys(
          move.slots, by: turn, in: blocks, layer: layer, kvHead: lane % shape.kvHeads, shape: shape)
      }
    }
  }

  /// Runs of slots that have moved to the front by the same number of slots.
  private static func moves(_ from: [Int]) -> [(slots: Range<Int>, by: Int)] {
    var moves: [(slots: Range<Int>, by: Int)] = []
    for (slot, old) in from.enumerated() where old != slot {
      if let last = moves.last, last.slots.upperBound == slot, last.by == old - slot {
        moves[moves.count - 1].slots = last.slots.lowerBound..<slot + 1
      } else {
        moves.append((slot..<slot + 1, old - slot))
      }
    }
    return moves
  }
}
