// Views of f32 rows, and the memory behind them.

/// A view of f32 rows, `[count, columns]` with `stride` floats from one row to the next. Does not own its memory: it is
/// valid while the buffer that it views lives.
public struct Rows {
  public let base: UnsafeMutablePointer<Float>
  public let count: Int
  public let columns: Int
  /// Floats from the start of one row to the start of the next; at least `columns`.
  public let stride: Int

  @inlinable public init(base: UnsafeMutablePointer<Float>, count: Int, columns: Int, stride: Int) {
    precondition(count >= 0 && columns >= 0 && (stride >= columns || count <= 1), "rows must not overlap")
    self.base = base
    self.count = count
    self.columns = columns
    self.stride = stride
  }

  /// Start of row `index`, `columns` floats long.
  @inlinable public func row(_ index: Int) -> UnsafeMutablePointer<Float> {
    precondition(index >= 0 && index < count, "row out of range")
    return base + index * stride
  }

  /// The rows of `range`.
  @inlinable public func slice(_ range: Range<Int>) -> Rows {
    precondition(range.lowerBound >= 0 && range.upperBound <= count, "row range out of range")
    return Rows(base: base + range.lowerBound * stride, count: range.count, columns: columns, stride: stride)
  }

  /// The columns of `range`, of every row.
  @inlinable public func columns(_ range: Range<Int>) -> Rows {
    precondition(range.lowerBound >= 0 && range.upperBound <= columns, "column range out of range")
    return Rows(base: base + range.lowerBound, count: count, columns: range.count, stride: stride)
  }
}

/// Owned rows of f32, zero at first; every row starts on a 64-byte boundary.
public final class FloatBuffer {
  /// All rows of the buffer.
  public let rows: Rows

  /// - Precondition: both counts are at least 0.
  public init(rows count: Int, columns: Int) {
    precondition(count >= 0 && columns >= 0, "a buffer cannot have a negative size")
    let stride = FloatBuffer.paddedStride(columns)
    let bytes = max(64, count * stride * MemoryLayout<Float>.stride)
    let memory = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
    memory.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
    rows = Rows(
      base: memory.bindMemory(to: Float.self, capacity: bytes / MemoryLayout<Float>.stride), count: count,
      columns: columns, stride: stride)
  }

  deinit { UnsafeMutableRawPointer(rows.base).deallocate() }

  /// The first `count` rows.
  public func view(rows count: Int) -> Rows { rows.slice(0..<count) }

  /// Whole cache lines, and an odd number of them from 4 KiB on: rows whose stride is a multiple of 4 KiB would all
  /// fall into the same set of the first-level cache.
  private static func paddedStride(_ columns: Int) -> Int {
    let lines = (columns + 15) / 16
    return (lines % 64 == 0 && lines > 0 ? lines + 1 : lines) * 16
  }
}
