internal import CWeirKernels
internal import Glibc
public import WeirBasics

// What this machine can do: the figures that `weir bench kernels` prints and that decode speed is judged by.

/// Measurements of memory and of the matrix products. Each call takes a fraction of a second and uses the whole pool.
public enum KernelProbe {
  /// How fast one product ran.
  public struct ProductRate: Sendable {
    public let type: TensorType
    public let rows: Int
    public let columns: Int
    public let tokens: Int
    /// Multiplications and additions, in 10^9 per second.
    public let gigaoperationsPerSecond: Double
    /// Packed weights read, in 10^9 bytes per second; what bounds a single token.
    public let gigabytesPerSecond: Double
  }

  /// Memory read bandwidth in 10^9 bytes per second: the best of several passes over `bytes` bytes (at least 64 MiB;
  /// should be several times the last-level cache).
  public static func readBandwidth(bytes: Int, pool: WorkerPool, clock: any WeirClock = SystemClock()) -> Double {
    let size = (max(bytes, 64 << 20) + 4095) / 4096 * 4096
    let memory = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 2 << 20)
    defer { memory.deallocate() }
    madvise(memory, size, MADV_HUGEPAGE)
    memory.initializeMemory(as: UInt8.self, repeating: 1, count: size)
    let data = memory.assumingMemoryBound(to: UInt8.self)
    var sums: UInt64 = 0
    let seconds = best(of: 5, clock: clock) { sums &+= weir_read_all(pool.handle, data, Int64(size)) }
    precondition(sums == 5 &* (UInt64(size / 8) &* 0x0101_0101_0101_0101), "memory changed while it was read")
    return Double(size) / seconds / 1e9
  }

  /// The rate of `tokens` tokens times a `[rows, columns]` matrix of `type`. One token walks through copies of the
  /// matrix that together exceed 256 MiB, so that weights come from memory as they do in a model.
  ///
  /// - Throws: `KernelError` if `columns` does not fit `type`.
  public static func productRate(
    type: TensorType, rows: Int, columns: Int, tokens: Int, context: KernelContext, clock: any WeirClock = SystemClock()
  ) throws(KernelError) -> ProductRate {
    let bytes = rows * (type.rowBytes(elements: columns) ?? 0)
    // Bytes whose 16- and 32-bit groups are ordinary numbers in every float format.
    var generator = SeededGenerator(seed: 7, stream: 0)
    let stored = (0..<bytes).map { _ in UInt8(0x20 + generator.next() % 0x1c) }
    let copies = tokens == 1 ? max(1, (256 << 20) / max(1, bytes)) : 1
    var matrices: [WeightMatrix] = []
    for _ in 0..<copies { matrices.append(try matrix(type, rows, columns, stored, context)) }
    let x = FloatBuffer(rows: tokens, columns: columns)
    for row in 0..<tokens {
      for column in 0..<columns { x.rows.row(row)[column] = Float(generator.next() % 2001) / 1000 - 1 }
    }
    let y = FloatBuffer(rows: tokens, columns: rows)
    let seconds = best(of: 4, clock: clock) {
      for matrix in matrices { context.multiply(matrix, x.rows, into: y.rows) }
    }
    let operations = 2.0 * Double(rows) * Double(columns) * Double(tokens) * Double(copies)
    let read = matrices.reduce(0) { $0 + $1.packedBytes }
    return ProductRate(
      type: type, rows: rows, columns: columns, tokens: tokens, gigaoperationsPerSecond: operations / seconds / 1e9,
      gigabytesPerSecond: Double(read) / seconds / 1e9)
  }

  private static func matrix(
    _ type: TensorType, _ rows: Int, _ columns: Int, _ stored: [UInt8], _ context: KernelContext
  ) throws(KernelError) -> WeightMatrix {
    let result = stored.withUnsafeBytes { source in
      Result { () throws(KernelError) -> WeightMatrix in
        try WeightMatrix(rows: rows, columns: columns, type: type, source: source, owner: nil, context: context)
      }
    }
    return try result.get()
  }

  private static func best(of rounds: Int, clock: any WeirClock, _ body: () -> Void) -> Double {
    var shortest = Double.infinity
    for _ in 0..<rounds {
      let start = clock.now()
      body()
      shortest = min(shortest, clock.now().seconds(since: start))
    }
    return max(shortest, 1e-9)
  }
}
