internal import CWeirKernels
public import WeirBasics

// Abstracts: one vector for the keys of a part of a lane, so that the part can be judged unread.

extension KernelContext {
  /// Abstracts lie side by side in groups of so many, `[groups][length][abstractGroup]`: a lane has room for a multiple
  /// of them.
  public static var abstractGroup: Int { Int(WEIR_ATTENTION_LANES) }

  /// Writes an abstract of some keys of one KV head; zeros for no keys.
  ///
  /// - Parameters:
  ///   - kind: what is written of them. Sums are f32, in ascending order.
  ///   - slots: which keys, in `blocks`.
  ///   - part: the abstract's number.
  ///   - abstracts: those of one lane, with room for `part`.
  public func abstract(
    _ kind: KeyAbstract, of slots: Range<Int>, in blocks: [UnsafePointer<UInt8>?], layer: Int, kvHead: Int,
    shape: KVShape, part: Int, into abstracts: UnsafeMutablePointer<Float>
  ) {
    precondition(kind != .keys, "nothing is kept of keys that are read where they lie")
    precondition(shape.headDim <= 1024, "keys of \(shape.headDim) elements are too long; at most 1024")
    precondition(slots.upperBound <= blocks.count * shape.blockSlots, "\(blocks.count) blocks do not hold \(slots)")
    precondition(kvHead >= 0 && kvHead < shape.kvHeads, "KV head \(kvHead) is not in 0..<\(shape.kvHeads)")
    var layout = shape.layout(layer: layer)
    let write = kind == .mean ? weir_abstract_mean : weir_abstract_bounds
    blocks.withUnsafeBufferPointer {
      write(
        attentionKernels, &layout, $0.baseAddress, Int32(kvHead), Int64(slots.lowerBound), Int64(slots.count),
        abstracts, Int64(part))
    }
  }

  /// The raw product of a query, `[length]`, with the first `parts` abstracts of a lane.
  public func products(
    _ query: UnsafePointer<Float>, length: Int, abstracts: UnsafePointer<Float>, parts: Int
  ) -> [Float] {
    let group = Self.abstractGroup
    return Array(unsafeUninitializedCapacity: (parts + group - 1) / group * group) { buffer, filled in
      if let out = buffer.baseAddress {
        weir_abstract_products(attentionKernels, query, Int32(length), abstracts, Int64(parts), out)
      }
      filled = parts
    }
  }

  /// How near each of the first `slots` keys of a KV head is to some queries, the nearest of which counts; `[slots]`.
  ///
  /// - Parameters:
  ///   - queries: `[count, headDim]`, one after the other.
  ///   - scale: of the attention, as `softcap`.
  ///   - asShares: by the share of attention that a query would spend on a key among these; else by its score.
  ///   - thread: of the pool's that asks, inside a task.
  public func nearness(
    ofKeys slots: Int, in blocks: [UnsafePointer<UInt8>?], layer: Int, kvHead: Int, shape: KVShape, to queries: [Float],
    scale: Float, softcap: Float, asShares: Bool, thread: Int
  ) -> [Float] {
    precondition(slots <= blocks.count * shape.blockSlots, "\(blocks.count) blocks do not hold \(slots) keys")
    precondition(kvHead >= 0 && kvHead < shape.kvHeads, "KV head \(kvHead) is not in 0..<\(shape.kvHeads)")
    precondition(queries.count % shape.headDim == 0, "queries have \(shape.headDim) elements each")
    var layout = shape.layout(layer: layer)
    let count = Int32(queries.count / shape.headDim)
    let answer = weir_key_nearness(
      pool.handle, Int32(thread), attentionKernels, &layout, blocks, Int32(kvHead), queries, count, Int64(slots), scale,
      softcap, asShares)
    return Array(UnsafeBufferPointer(start: answer, count: slots))
  }
}
