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
}
