internal import CWeirKernels
internal import Glibc
public import WeirBasics

// Weights as the products want them.

/// A weight matrix `[rows, columns]` in the packed form of the kernels: panels of 16 rows, values as they are stored (4
/// bits stay 4 bits), scales beside them. Immutable after `init`.
///
/// Invariant behind `@unchecked Sendable`: the packed memory is written only inside `init`, before the object can be
/// shared, and freed only in `deinit`.
public final class WeightMatrix: @unchecked Sendable {
  public let rows: Int
  public let columns: Int
  public let type: TensorType
  let handle: UnsafeMutablePointer<weir_weights>
  private let memory: UnsafeMutableRawPointer

  /// Packs stored weights on the context's pool.
  ///
  /// - Parameters:
  ///   - rows: Output features, at least 0.
  ///   - columns: Input features; a multiple of `type.blockElements`.
  ///   - type: How `source` is stored.
  ///   - source: Row-major blocks as in a model file, exactly `rows` times the row's bytes. It is copied.
  ///   - owner: Kept alive until the weights are packed.
  ///   - context: Where to pack.
  /// - Throws: `KernelError` with code `bad_weight_shape` or `bad_weight_bytes`.
  public init(
    rows: Int, columns: Int, type: TensorType, source: UnsafeRawBufferPointer, owner: AnyObject?,
    context: KernelContext
  ) throws(KernelError) {
    var plan = weir_weights()
    guard rows >= 0, columns >= 0, let rowBytes = type.rowBytes(elements: columns),
      weir_weights_plan(Int32(type.rawValue), Int64(rows), Int64(columns), &plan)
    else {
      throw KernelError(
        code: "bad_weight_shape",
        message: "a \(type.name) matrix of \(rows) x \(columns) cannot be packed: the number of columns must be a "
          + "multiple of \(type.blockElements)")
    }
    guard source.count == rows * rowBytes, let bytes = source.baseAddress ?? (source.isEmpty ? WeightMatrix.none : nil)
    else {
      throw KernelError(
        code: "bad_weight_bytes",
        message: "a \(type.name) matrix of \(rows) x \(columns) needs \(rows * rowBytes) bytes, got \(source.count)")
    }
    self.rows = rows
    self.columns = columns
    self.type = type
    let valueBytes = (Int(plan.panels * plan.panel_value_bytes) + 63) / 64 * 64
    let scaleBytes = Int(plan.panels * plan.panel_scale_bytes)
    memory = WeightMatrix.allocate(bytes: valueBytes + scaleBytes)
    plan.values = memory.assumingMemoryBound(to: UInt8.self)
    plan.scales = plan.values + valueBytes
    handle = .allocate(capacity: 1)
    handle.initialize(to: plan)
    pack(bytes.assumingMemoryBound(to: UInt8.self), pool: context.pool)
    withExtendedLifetime(owner) {}
  }

  deinit {
    memory.deallocate()
    handle.deallocate()
  }

  /// Bytes of memory the packed weights take: what one decoded token reads.
  public var packedBytes: Int {
    Int(handle.pointee.panels * (handle.pointee.panel_value_bytes + handle.pointee.panel_scale_bytes))
  }

  /// Writes the `columns` values of a row, exactly those of the stored format.
  ///
  /// - Precondition: `row` is in `0..<rows`.
  public func dequantizeRow(_ row: Int, into out: UnsafeMutablePointer<Float>) {
    precondition(row >= 0 && row < rows, "row \(row) is not in 0..<\(rows)")
    weir_weights_row(handle, Int64(row), out)
  }

  private func pack(_ source: UnsafePointer<UInt8>, pool: WorkerPool) {
    let panels = Int(handle.pointee.panels)
    pool.parallel(tasks: panels) { panel, _ in weir_weights_pack(handle, source, Int64(panel), 1) }
  }

  /// Large matrices start on a huge page and ask for more of them: a decoded token walks all weights once.
  private static func allocate(bytes: Int) -> UnsafeMutableRawPointer {
    let hugePage = 2 << 20
    guard bytes >= 2 * hugePage else { return .allocate(byteCount: max(64, bytes), alignment: 64) }
    let memory = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: hugePage)
    madvise(memory, bytes, MADV_HUGEPAGE)
    return memory
  }

  /// Stands for the address of no bytes.
  private static var none: UnsafeRawPointer? { UnsafeRawPointer(bitPattern: 64) }

  /// The values of stored elements, bit for bit those of the format. The specification that packing is tested against.
  ///
  /// - Precondition: `source` holds exactly `out.count` elements, a multiple of `type.blockElements`.
  public static func dequantize(
    _ type: TensorType, _ source: UnsafeRawBufferPointer, into out: UnsafeMutableBufferPointer<Float>
  ) {
    precondition(type.rowBytes(elements: out.count) == source.count, "source and output differ in length")
    guard let from = source.baseAddress, let to = out.baseAddress else { return }
    weir_dequantize(Int32(type.rawValue), from.assumingMemoryBound(to: UInt8.self), Int64(out.count), to)
  }
}
