internal import CWeirKernels
public import WeirBasics

// Attention over blocks, and writing into them.

/// One slot of one block: where a token's keys and values go.
public struct SlotAddress {
  /// Start of the block (layer 0).
  public var block: UnsafeMutableRawPointer
  public var slot: Int

  public init(block: UnsafeMutableRawPointer, slot: Int) {
    self.block = block
    self.slot = slot
  }
}

extension KVShape {
  /// Where the rows of one layer lie, for C.
  func layout(layer: Int) -> weir_kv_layout {
    precondition(layer >= 0 && layer < layers, "layer \(layer) is not in 0..<\(layers)")
    return weir_kv_layout(
      kv_heads: Int32(kvHeads), head_dim: Int32(headDim), block_slots: Int32(blockSlots), key_type: keyType.stored,
      value_type: valueType.stored, key_offset: Int64(keyOffset(layer: layer)),
      value_offset: Int64(valueOffset(layer: layer)), key_row_bytes: Int64(keyRowBytes),
      value_row_bytes: Int64(valueRowBytes), key_head_stride: Int64(keyHeadStride),
      value_head_stride: Int64(valueHeadStride))
  }
}

extension KVElementType {
  var stored: weir_kv_type {
    switch self {
    case .f32: WEIR_KV_F32
    case .f16: WEIR_KV_F16
    case .q8_0: WEIR_KV_Q8_0
    case .q4_0: WEIR_KV_Q4_0
    }
  }
}

extension KernelContext {
  var attentionKernels: OpaquePointer {
    guard let kernels = weir_attention_kernels_for(instructionSet.isa) else {
      preconditionFailure("this processor cannot run the \(instructionSet.rawValue) kernels")
    }
    return kernels
  }

  /// Writes rows of keys and values (keys after the rotary embedding) into their slots, in the types of `shape`.
  ///
  /// - Parameters:
  ///   - k: `[n, kvHeads * headDim]`.
  ///   - v: `[n, kvHeads * headDim]`.
  ///   - layer: the layer whose part of a block is written.
  ///   - shape: types and sizes of the stored keys and values.
  ///   - slots: One per row, all different.
  /// - Precondition: the shapes fit and every slot is in its block.
  public func storeKV(k: Rows, v: Rows, layer: Int, shape: KVShape, slots: [SlotAddress]) {
    let width = shape.kvHeads * shape.headDim
    precondition(k.columns == width && v.columns == width, "keys and values must have \(width) columns")
    precondition(k.count == slots.count && v.count == slots.count, "every row needs a slot")
    var layout = shape.layout(layer: layer)
    let kernels = attentionKernels
    withUnsafePointer(to: &layout) { layout in
      forEachRow(slots.count, work: width * 2) { row in
        let slot = slots[row].slot
        precondition(slot >= 0 && slot < shape.blockSlots, "slot \(slot) is not in 0..<\(shape.blockSlots)")
        weir_store_kv(
          kernels, layout, slots[row].block.assumingMemoryBound(to: UInt8.self), Int32(slot), k.row(row), v.row(row))
      }
    }
  }

  /// Appends rows to the lanes of one sequence, each at its own end.
  ///
  /// - Parameters:
  ///   - k: `[rows, kvHeads * headDim]`.
  ///   - v: `[rows, kvHeads * headDim]`.
  ///   - layer: the layer whose part of a block is written.
  ///   - shape: types and sizes of the stored keys and values.
  ///   - lanes: where each lane ends.
  ///   - blocks: the sequence's blocks, enough for the longest lane and the rows.
  public func storeKV(
    k: Rows, v: Rows, layer: Int, shape: KVShape, lanes: KVLanes, blocks: [UnsafeMutableRawPointer]
  ) {
    precondition(k.count == lanes.rows && v.count == lanes.rows, "the lanes were made for \(lanes.rows) rows")
    precondition(lanes.older.count == shape.layers * shape.kvHeads, "every layer and KV head needs a lane")
    var layout = shape.layout(layer: layer)
    let kernels = attentionKernels
    withUnsafePointer(to: &layout) { layout in
      forEachRow(k.count, work: shape.kvHeads * shape.headDim * 2) { row in
        for head in 0..<shape.kvHeads {
          let slot = Int(lanes.older[layer * shape.kvHeads + head]) + row
          weir_store_kv_head(
            kernels, layout, blocks[slot / shape.blockSlots].assumingMemoryBound(to: UInt8.self),
            Int32(slot % shape.blockSlots), Int32(head), k.row(row) + head * shape.headDim,
            v.row(row) + head * shape.headDim)
        }
      }
    }
  }

  /// Softmax attention of every row over the visible keys of its groups' runs, into `call.output`.
  ///
  /// Keys and values are read once per group and KV head. Scores, weights and sums are f32.
  ///
  /// - Precondition: the shapes fit, the runs lie in their blocks, rows are in range.
  public func attend(_ call: AttentionCall) {
    run(call, output: call.output, maximum: nil, weight: nil)
  }

  /// The same without the normalisation, to be merged with results over other keys. `call.output` is not written.
  ///
  /// - Returns: one state per row and head.
  public func attendPartial(_ call: AttentionCall) -> PartialRows {
    let result = PartialRows(count: call.query.count, heads: call.heads, headDim: call.shape.headDim)
    run(call, output: result.values.rows, maximum: result.maximum.rows.base, weight: result.weight.rows.base)
    return result
  }

  /// Adds what `other` has seen to `into`. Merging in one fixed order gives the same bits every time; another order
  /// differs by rounding.
  ///
  /// - Precondition: both have the same shape and have seen different keys.
  public func merge(into: PartialRows, from other: PartialRows) {
    precondition(
      into.count == other.count && into.heads == other.heads && into.headDim == other.headDim,
      "partial results must have the same shape")
    for row in 0..<into.count {
      let first = row * into.heads
      weir_attention_merge(
        attentionKernels, Int64(into.heads), Int32(into.headDim), into.maximum.rows.base + first,
        into.weight.rows.base + first, into.values.rows.row(row), Int64(into.headDim),
        other.maximum.rows.base + first, other.weight.rows.base + first, other.values.rows.row(row),
        Int64(other.headDim))
    }
  }

  /// Writes the weighted means of partial rows; zeros where no key was seen.
  ///
  /// - Parameters:
  ///   - partial: sums of weighted values with their weights.
  ///   - output: `[n, heads * headDim]`.
  public func normalise(_ partial: PartialRows, into output: Rows) {
    precondition(
      output.count == partial.count && output.columns == partial.heads * partial.headDim,
      "output must be [\(partial.count), \(partial.heads * partial.headDim)]")
    for row in 0..<partial.count {
      let from = partial.values.rows.row(row)
      let to = output.row(row)
      for head in 0..<partial.heads {
        let weight = partial.weight.rows.base[row * partial.heads + head]
        let factor = weight > 0 ? 1 / weight : 0
        for i in head * partial.headDim..<(head + 1) * partial.headDim { to[i] = from[i] * factor }
      }
    }
  }

  private func run(
    _ call: AttentionCall, output: Rows, maximum: UnsafeMutablePointer<Float>?, weight: UnsafeMutablePointer<Float>?
  ) {
    check(call, output: output)
    RunLists(call).withGroups { groups in
      call.rowPositions.withUnsafeBufferPointer { positions in
        var native = weir_attention(
          query: call.query.base, query_stride: Int64(call.query.stride), row_positions: positions.baseAddress,
          rows: Int32(call.query.count), groups: groups.baseAddress, group_count: Int32(groups.count),
          layout: call.shape.layout(layer: call.layer), heads: Int32(call.heads), scale: call.scale,
          softcap: call.softcap, window: Int32(clamping: call.window), bidirectional: call.bidirectional,
          output: output.base, output_stride: Int64(output.stride), maximum: maximum, weight: weight)
        weir_attend(pool.handle, attentionKernels, &native)
      }
    }
  }

  private func check(_ call: AttentionCall, output: Rows) {
    let width = call.heads * call.shape.headDim
    precondition(call.heads > 0 && call.heads % call.shape.kvHeads == 0, "heads must be a multiple of the KV heads")
    precondition(call.query.columns == width && output.columns == width, "query and output must have \(width) columns")
    precondition(
      call.rowPositions.count == call.query.count && output.count == call.query.count,
      "every query row needs a position and an output row")
    precondition(call.window >= 0 && call.softcap >= 0, "window and softcap must not be negative")
    for group in call.groups {
      let run = group.run
      precondition(run.count >= 0 && run.firstSlot >= 0 && run.firstPosition >= 0, "a run starts at or after 0")
      precondition(
        run.firstSlot + run.count <= run.blocks.count * call.shape.blockSlots,
        "\(run.blocks.count) blocks do not hold \(run.count) keys from slot \(run.firstSlot) on")
      precondition(run.positions.map { $0.count == run.count } ?? true, "every key needs a position")
      if let choice = run.choice {
        precondition(group.rows.count == 1 && run.firstSlot == 0 && run.firstPosition == 0, "one row makes a choice")
        let slots = run.blocks.count * call.shape.blockSlots
        precondition(
          choice.slots.count == call.shape.kvHeads
            && choice.slots.allSatisfy { ($0.first ?? -1) >= 0 && Int($0.last ?? 0) < slots },
          "every KV head reads at least one key, and keys lie in the blocks")
        precondition(
          call.window == 0 || choice.positions.map(\.count) == choice.slots.map(\.count), "windows need positions")
      }
      if let lanes = run.lanes {
        precondition(run.firstSlot == 0 && run.firstPosition == 0 && lanes.longest <= run.count, "lanes start at 0")
        precondition(lanes.older.count == call.shape.layers * call.shape.kvHeads, "every KV head needs a lane")
      }
      precondition(
        group.rows.allSatisfy { $0 >= 0 && $0 < call.query.count }, "a row is not in 0..<\(call.query.count)")
    }
  }
}
