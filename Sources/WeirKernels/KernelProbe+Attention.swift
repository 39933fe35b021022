public import WeirBasics

// How fast attention runs here: what `weir bench kernels` prints next to the read bandwidth.

extension KernelProbe {
  /// The geometry that attention is measured with.
  public struct AttentionGeometry: Sendable, Hashable {
    public var heads: Int
    public var kvHeads: Int
    public var headDim: Int
    public var keyType: KVElementType
    public var valueType: KVElementType

    /// The default is that of a 1.1 B model: 32 heads on 4 KV heads of 64 elements, f16.
    public init(
      heads: Int = 32, kvHeads: Int = 4, headDim: Int = 64, keyType: KVElementType = .f16,
      valueType: KVElementType = .f16
    ) {
      self.heads = heads
      self.kvHeads = kvHeads
      self.headDim = headDim
      self.keyType = keyType
      self.valueType = valueType
    }
  }

  /// How fast one call ran.
  public struct AttentionRate: Sendable {
    /// Keys before the first row.
    public let depth: Int
    /// Rows of the call: 1 for decoding, a chunk for a prompt.
    public let rows: Int
    public let secondsPerLayer: Double
    /// Keys and values read once, in 10^9 bytes per second: what bounds a single row.
    public let gigabytesPerSecond: Double
    /// Multiplications and additions of visible pairs of row and key, in 10^9 per second: what bounds a prompt.
    public let gigaoperationsPerSecond: Double
  }

  /// The rate of one call of `rows` rows after `depth` keys.
  ///
  /// A single row walks through layers that together exceed 256 MiB, so that keys come from memory as they do in a
  /// model; blocks hold 32 slots and all layers, so one head's slots lie apart by as much as they do in a model.
  ///
  /// - Precondition: `depth` is at least 0, `rows` at least 1.
  public static func attentionRate(
    depth: Int, rows: Int, geometry: AttentionGeometry = AttentionGeometry(), context: KernelContext,
    clock: any WeirClock = SystemClock()
  ) -> AttentionRate {
    precondition(depth >= 0 && rows >= 1, "attention needs rows")
    let bench = AttentionBench(depth: depth, rows: rows, geometry: geometry, context: context)
    var shortest = Double.infinity
    for _ in 0..<6 {
      let start = clock.now()
      bench.run()
      shortest = min(shortest, clock.now().seconds(since: start) / Double(bench.shape.layers))
    }
    let seconds = max(shortest, 1e-9)
    let keys = depth + rows
    let bytes = Double(keys * (bench.shape.keyRowBytes + bench.shape.valueRowBytes) * geometry.kvHeads)
    let pairs = Double(rows) * (Double(depth) + Double(rows + 1) / 2)
    return AttentionRate(
      depth: depth, rows: rows, secondsPerLayer: seconds, gigabytesPerSecond: bytes / seconds / 1e9,
      gigaoperationsPerSecond: 4 * pairs * Double(geometry.heads * geometry.headDim) / seconds / 1e9)
  }
}

/// Blocks of random keys and values, and queries over them.
private final class AttentionBench {
  let context: KernelContext
  let shape: KVShape
  private let memory: UnsafeMutableRawPointer
  private let query: FloatBuffer
  private let output: FloatBuffer
  private var call: AttentionCall

  init(depth: Int, rows: Int, geometry: KernelProbe.AttentionGeometry, context: KernelContext) {
    self.context = context
    let one = KVShape(
      layers: 1, kvHeads: geometry.kvHeads, headDim: geometry.headDim, blockSlots: 32, keyType: geometry.keyType,
      valueType: geometry.valueType)
    let keys = depth + rows
    let count = one.blockCount(tokens: keys)
    let layers = rows > 1 ? 1 : min(64, (256 << 20) / (one.blockBytes * count) + 1)
    shape = KVShape(
      layers: layers, kvHeads: one.kvHeads, headDim: one.headDim, blockSlots: one.blockSlots, keyType: one.keyType,
      valueType: one.valueType)
    memory = .allocate(byteCount: shape.blockBytes * count, alignment: 4096)
    query = FloatBuffer(rows: rows, columns: geometry.heads * geometry.headDim)
    output = FloatBuffer(rows: rows, columns: geometry.heads * geometry.headDim)
    var blocks: [UnsafeRawPointer] = []
    for block in 0..<count { blocks.append(UnsafeRawPointer(memory + block * shape.blockBytes)) }
    let run = KVRun(blocks: blocks, count: keys, firstPosition: 0)
    call = AttentionCall(
      query: query.rows, rowPositions: (0..<rows).map { Int32(depth + $0) },
      groups: [AttentionGroup(rows: (0..<rows).map { Int32($0) }, run: run)], layer: 0, shape: shape,
      heads: geometry.heads, scale: 1 / Float(geometry.headDim).squareRoot(), output: output.rows)
    fill(blocks: count)
  }

  deinit { memory.deallocate() }

  func run() {
    for layer in 0..<shape.layers {
      call.layer = layer
      context.attend(call)
    }
  }

  /// One block of random rows, copied to all others.
  private func fill(blocks: Int) {
    var generator = SeededGenerator(seed: 11, stream: 0)
    let rows = FloatBuffer(rows: shape.blockSlots, columns: shape.kvHeads * shape.headDim)
    for buffer in [rows.rows, query.rows] {
      for row in 0..<buffer.count {
        for column in 0..<buffer.columns { buffer.row(row)[column] = generator.unitFloat() * 2 - 1 }
      }
    }
    let slots = (0..<shape.blockSlots).map { SlotAddress(block: memory, slot: $0) }
    for layer in 0..<shape.layers {
      context.storeKV(k: rows.rows, v: rows.rows, layer: layer, shape: shape, slots: slots)
    }
    for block in 1..<max(1, blocks) {
      (memory + block * shape.blockBytes).copyMemory(from: memory, byteCount: shape.blockBytes)
    }
  }
}
