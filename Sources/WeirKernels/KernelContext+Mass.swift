internal import CWeirKernels
public import WeirBasics

// What KV policies may ask about attention: probabilities per key, and keys themselves.

/// The rows of one sequence in one layer whose attention is to be told.
public struct MassCall {
  /// `[rows, heads * headDim]`, after the rotary embedding; the rows that `run.lanes` names.
  public var query: Rows
  /// The sequence's keys, these rows' own included.
  public var run: KVRun
  public var layer: Int
  public var shape: KVShape
  /// Query heads, a multiple of `shape.kvHeads`.
  public var heads: Int
  public var scale: Float
  public var softcap: Float
  public var window: Int
  public var tallies: [MassTally]

  public init(
    query: Rows, run: KVRun, layer: Int, shape: KVShape, heads: Int, scale: Float, softcap: Float, window: Int,
    tallies: [MassTally]
  ) {
    self.query = query
    self.run = run
    self.layer = layer
    self.shape = shape
    self.heads = heads
    self.scale = scale
    self.softcap = softcap
    self.window = window
    self.tallies = tallies
  }
}

extension KernelContext {
  /// Adds the attention of every row to the tallies: the exact softmax over the keys that the row sees, mean over the
  /// query heads that share a KV head. Rows are added one after the other, so cutting them into calls changes no bit.
  ///
  /// - Parameters:
  ///   - call: rows and keys.
  ///   - out: tally `t` of KV head `h` at `h * laneStride + t * tallyStride`, one number per key.
  ///   - laneStride: numbers from one head's first tally to the next head's.
  ///   - tallyStride: numbers from one tally to the next; at least the longest lane with the rows.
  public func addMass(_ call: MassCall, into out: UnsafeMutablePointer<Float>, laneStride: Int, tallyStride: Int) {
    guard let kept = call.run.lanes else { preconditionFailure("attention mass is told per lane") }
    precondition(call.query.count == kept.rows && kept.longest <= tallyStride, "the lanes do not fit the rows")
    precondition(
      kept.longest <= call.run.blocks.count * call.shape.blockSlots && call.heads % call.shape.kvHeads == 0
        && call.query.columns == call.heads * call.shape.headDim, "queries, blocks and lanes must fit the shape")
    var lists = LaneLists()
    lists.append(kept, layer: call.layer, kvHeads: call.shape.kvHeads, withPositions: call.window > 0)
    let blocks = call.run.blocks.map { Optional($0.assumingMemoryBound(to: UInt8.self)) }
    let tallies = call.tallies.map {
      weir_mass_tally(first_row: Int32($0.firstRow), decay: $0.decay, maximum: $0.isMaximum)
    }
    lists.withLanes { lanes in
      blocks.withUnsafeBufferPointer { blocks in
        tallies.withUnsafeBufferPointer { tallies in
          var native = weir_attention_mass(
            query: call.query.base, query_stride: Int64(call.query.stride), rows: Int32(call.query.count),
            first_position: Int32(kept.firstPosition), blocks: blocks.baseAddress, lanes: lanes.baseAddress,
            layout: call.shape.layout(layer: call.layer), heads: Int32(call.heads), scale: call.scale,
            softcap: call.softcap, window: Int32(clamping: call.window), tallies: tallies.baseAddress,
            tally_count: Int32(tallies.count), out: out, lane_stride: Int64(laneStride),
            tally_stride: Int64(tallyStride))
          weir_attention_mass_add(pool.handle, attentionKernels, &native)
        }
      }
    }
  }

  /// The first `count` keys of one KV head, `[count, headDim]`, as f32.
  public func keys(
    in blocks: [UnsafeRawPointer], layer: Int, kvHead: Int, count: Int, shape: KVShape
  ) -> [Float] {
    precondition(count <= blocks.count * shape.blockSlots, "\(blocks.count) blocks do not hold \(count) keys")
    precondition(kvHead >= 0 && kvHead < shape.kvHeads, "KV head \(kvHead) is not in 0..<\(shape.kvHeads)")
    var layout = shape.layout(layer: layer)
    let kernels = attentionKernels
    let starts = blocks.map { Optional($0.assumingMemoryBound(to: UInt8.self)) }
    return Array(unsafeUninitializedCapacity: count * shape.headDim) { buffer, filled in
      if let start = buffer.baseAddress {
        starts.withUnsafeBufferPointer {
          weir_read_keys(kernels, &layout, $0.baseAddress, Int32(kvHead), Int64(count), start)
        }
      }
      filled = count * shape.headDim
    }
  }
}
