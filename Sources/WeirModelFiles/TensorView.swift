// One tensor of a file: a name, a shape and a place in mapped memory.

public import WeirBasics

/// A tensor's bytes as they are stored.
///
/// `@unchecked Sendable`: the bytes are never written and stay valid while `owner` lives, which this value holds.
public struct TensorView: @unchecked Sendable {
  public let name: String
  public let type: TensorType
  /// Slowest axis first: a weight matrix is `[rows (outputs), columns (inputs)]`. Every axis is at least 1; the last
  /// one is a multiple of the type's block.
  public let shape: [Int]
  /// The stored bytes, row-major; the start is aligned to the type's element (4 bytes for f32, 2 otherwise).
  public let bytes: UnsafeRawBufferPointer
  public let owner: MappedFile

  /// Number of elements.
  public var elementCount: Int { shape.reduce(1, *) }
  /// Length of the fastest axis; 1 for a scalar.
  public var columns: Int { shape.last ?? 1 }
  /// Product of all other axes.
  public var rows: Int { shape.dropLast().reduce(1, *) }

  /// A copy of the stored bytes. Code that reads `bytes` itself must keep this value (or `owner`) alive meanwhile, for
  /// example with `withExtendedLifetime`.
  ///
  /// - Returns: the tensor's bytes.
  public func contents() -> [UInt8] { withExtendedLifetime(owner) { Array(bytes) } }

  init(name: String, type: TensorType, shape: [Int], bytes: UnsafeRawBufferPointer, owner: MappedFile) {
    self.name = name
    self.type = type
    self.shape = shape
    self.bytes = bytes
    self.owner = owner
  }

  /// Bytes that a tensor of this shape takes; nil if an axis is below 1, not a multiple of the block, or the product
  /// overflows.
  static func byteCount(type: TensorType, shape: [Int]) -> Int? {
    let columns = shape.last ?? 1
    // no block is larger than 256 bytes: rowBytes cannot overflow below this
    guard shape.allSatisfy({ $0 >= 1 }), columns <= Int.max / 256,
      let rowBytes = type.rowBytes(elements: columns)
    else { return nil }
    var total = rowBytes
    for axis in shape.dropLast() {
      let (product, overflow) = total.multipliedReportingOverflow(by: axis)
      if overflow { return nil }
      total = product
    }
    // elementCount must not overflow either, also for types of less than a byte per element
    return total < Int.max / 8 ? total : nil
  }
}

/// Byte ranges of one file must not overlap: two names for one range are a sign of a hostile or damaged file.
func checkOverlaps(_ ranges: [(name: String, range: Range<Int>)], path: String) throws(ModelFileError) {
  let ordered = ranges.sorted { $0.range.lowerBound < $1.range.lowerBound }
  for (earlier, later) in zip(ordered, ordered.dropFirst()) where later.range.lowerBound < earlier.range.upperBound {
    throw ModelFileError(
      .overlap, path: path, field: "tensor \(later.name) offset",
      "its bytes \(later.range) overlap those of tensor \(earlier.name), \(earlier.range)")
  }
}
