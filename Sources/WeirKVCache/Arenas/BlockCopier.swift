// Copy on write: the only place besides the arena that touches the bytes of blocks.

public import WeirBasics

extension BlockArena {
  /// Copies the K and V of slots `0..<slots` of all layers and heads from one committed block to another.
  ///
  /// A block is head-major, so this is one run per (layer, side, head); a whole block is one run.
  public func copySlots(_ slots: Int, from source: BlockID, to destination: BlockID) {
    precondition(slots >= 0 && slots <= shape.blockSlots, "a block has \(shape.blockSlots) slots, not \(slots)")
    guard slots > 0, source != destination else { return }
    let from = pointer(source)
    let to = pointer(destination)
    if slots == shape.blockSlots {
      to.copyMemory(from: from, byteCount: shape.blockBytes)
      return
    }
    for layer in 0..<shape.layers {
      for head in 0..<shape.kvHeads {
        let key = shape.keyOffset(layer: layer) + head * shape.keyHeadStride
        (to + key).copyMemory(from: from + key, byteCount: slots * shape.keyRowBytes)
        let value = shape.valueOffset(layer: layer) + head * shape.valueHeadStride
        (to + value).copyMemory(from: from + value, byteCount: slots * shape.valueRowBytes)
      }
    }
  }

  /// Moves slots of one lane to its front: slot `kept[i]` of the blocks `source` becomes slot `i` of `destination`.
  /// Both lists may share blocks at the same place; then slots only move towards the front, so none is overwritten
  /// before it has been read.
  ///
  /// - Precondition: `kept` ascends without repetition; blocks suffice and are committed.
  func moveSlots(_ kept: [Int], layer: Int, kvHead: Int, from source: [BlockID], to destination: [BlockID]) {
    let key = shape.keyOffset(layer: layer) + kvHead * shape.keyHeadStride
    let value = shape.valueOffset(layer: layer) + kvHead * shape.valueHeadStride
    let slots = shape.blockSlots
    var at = 0
    while at < kept.count {
      // A run of neighbours that crosses no block, neither where it is nor where it goes.
      let from = kept[at]
      let limit = min(kept.count - at, slots - from % slots, slots - at % slots)
      var run = 1
      while run < limit, kept[at + run] == from + run { run += 1 }
      let (old, new) = (source[from / slots], destination[at / slots])
      if old != new || from != at {
        let (read, write) = (pointer(old), pointer(new))
        // Source and goal may overlap, which `copyMemory` allows.
        (write + key + at % slots * shape.keyRowBytes).copyMemory(
          from: read + key + from % slots * shape.keyRowBytes, byteCount: run * shape.keyRowBytes)
        (write + value + at % slots * shape.valueRowBytes).copyMemory(
          from: read + value + from % slots * shape.valueRowBytes, byteCount: run * shape.valueRowBytes)
      }
      at += run
    }
  }
}
