internal import CWeirKernels

// Operations that treat every row by itself: norms, sums, activations, rotary embedding.

/// The function between the two halves of a gated layer.
public enum Activation: String, Sendable, CaseIterable {
  /// x / (1 + e^-x)
  case silu
  /// GELU by its tanh formula.
  case geluTanh
  /// GELU by the error function.
  case gelu
  case relu

  var native: weir_activation {
    switch self {
    case .silu: WEIR_SILU
    case .geluTanh: WEIR_GELU_TANH
    case .gelu: WEIR_GELU
    case .relu: WEIR_RELU
    }
  }
}

extension KernelContext {
  var rowKernels: weir_row_kernels {
    guard let kernels = weir_row_kernels_for(instructionSet.isa) else {
      preconditionFailure("this processor cannot run the \(instructionSet.rawValue) kernels")
    }
    return kernels.pointee
  }

  /// Runs `body` for every row; on the pool if there is enough work (`work`: elements touched per row).
  func forEachRow(_ count: Int, work: Int, _ body: (Int) -> Void) {
    let elementsPerTask = 16384
    guard count * work > 2 * elementsPerTask, count > 1 else {
      for row in 0..<count { body(row) }
      return
    }
    let rowsPerTask = max(1, elementsPerTask / max(1, work))
    pool.parallel(tasks: (count + rowsPerTask - 1) / rowsPerTask) { task, _ in
      for row in task * rowsPerTask..<min(count, (task + 1) * rowsPerTask) { body(row) }
    }
  }

  /// `y = x / sqrt(mean(x^2) + epsilon) * weight`, row by row; with `addOne` the factor is `weight + 1` (Gemma).
  ///
  /// - Parameters:
  ///   - x: `[n, columns]`.
  ///   - weight: As many as `x` has columns.
  ///   - epsilon: keeps the root away from 0.
  ///   - addOne: whether the factor is `weight + 1`.
  ///   - y: Same shape as `x`; may be `x`.
  public func rmsNorm(_ x: Rows, weight: UnsafePointer<Float>, epsilon: Float, addOne: Bool, into y: Rows) {
    checkSameShape(x, y)
    let kernels = rowKernels
    forEachRow(x.count, work: x.columns) { row in
      kernels.rms_norm(x.row(row), Int64(x.columns), weight, epsilon, addOne, y.row(row))
    }
  }

  /// `y = (x - mean) / sqrt(variance + epsilon) * weight + bias`, row by row.
  public func layerNorm(
    _ x: Rows, weight: UnsafePointer<Float>, bias: UnsafePointer<Float>?, epsilon: Float, into y: Rows
  ) {
    checkSameShape(x, y)
    let kernels = rowKernels
    forEachRow(x.count, work: x.columns) { row in
      kernels.layer_norm(x.row(row), Int64(x.columns), weight, bias, epsilon, y.row(row))
    }
  }

  /// The norm of every head by itself, in place (QK norm).
  ///
  /// - Parameters:
  ///   - x: `[n, heads * headDim]`.
  ///   - heads: heads in a row.
  ///   - headDim: elements of a head.
  ///   - weight: `headDim` factors, the same for every head.
  ///   - epsilon: keeps the root away from 0.
  ///   - addOne: whether the factor is `weight + 1`.
  public func headNorm(
    _ x: Rows, heads: Int, headDim: Int, weight: UnsafePointer<Float>, epsilon: Float, addOne: Bool
  ) {
    precondition(x.columns == heads * headDim, "x must have \(heads * headDim) columns")
    let kernels = rowKernels
    forEachRow(x.count, work: x.columns) { row in
      for head in 0..<heads {
        let start = x.row(row) + head * headDim
        kernels.rms_norm(start, Int64(headDim), weight, epsilon, addOne, start)
      }
    }
  }

  /// Adds `bias` (as many as `x` has columns) to every row.
  public func addBias(_ x: Rows, bias: UnsafePointer<Float>) {
    let kernels = rowKernels
    forEachRow(x.count, work: x.columns) { row in kernels.add(bias, Int64(x.columns), x.row(row)) }
  }

  /// `y += x`
  public func add(_ x: Rows, into y: Rows) {
    checkSameShape(x, y)
    let kernels = rowKernels
    forEachRow(x.count, work: x.columns) { row in kernels.add(x.row(row), Int64(x.columns), y.row(row)) }
  }

  /// `x *= factor`
  public func scale(_ x: Rows, by factor: Float) {
    let kernels = rowKernels
    forEachRow(x.count, work: x.columns) { row in kernels.scale(x.row(row), Int64(x.columns), factor) }
  }

  /// `y = activation(g) * u`; `y` may be `g` or `u`.
  public func gate(_ g: Rows, _ u: Rows, activation: Activation, into y: Rows) {
    checkSameShape(g, u)
    checkSameShape(g, y)
    let kernels = rowKernels
    forEachRow(g.count, work: 4 * g.columns) { row in
      kernels.gate(g.row(row), u.row(row), Int64(g.columns), activation.native, y.row(row))
    }
  }

  /// `x = cap * tanh(x / cap)`
  ///
  /// - Precondition: `cap` is greater than 0.
  public func softcap(_ x: Rows, cap: Float) {
    precondition(cap > 0, "a cap must be greater than 0")
    let kernels = rowKernels
    forEachRow(x.count, work: 4 * x.columns) { row in kernels.softcap(x.row(row), Int64(x.columns), cap) }
  }

  /// Rotates the first `table.rotaryDim` elements of every head by the row's position, in place.
  ///
  /// - Parameters:
  ///   - x: `[n, heads * headDim]`.
  ///   - heads: heads in a row.
  ///   - headDim: elements of a head.
  ///   - positions: One per row, at least 0.
  ///   - table: sines and cosines of every position.
  public func rope(_ x: Rows, heads: Int, headDim: Int, positions: [Int32], table: RopeTable) {
    precondition(x.columns == heads * headDim, "x must have \(heads * headDim) columns")
    precondition(positions.count == x.count, "every row needs a position")
    precondition(table.rotaryDim <= headDim, "a head of \(headDim) cannot be rotated in \(table.rotaryDim) dimensions")
    let kernels = rowKernels
    let pairs = table.rotaryDim / 2
    let rotations = table.rotations(positions)
    forEachRow(x.count, work: x.columns) { row in
      rotations[row].withValues { cosines in
        kernels.rope(
          x.row(row), Int32(heads), Int32(headDim), Int32(pairs), table.layout == .interleaved, cosines,
          cosines + pairs)
      }
    }
  }

  private func checkSameShape(_ a: Rows, _ b: Rows) {
    precondition(
      a.count == b.count && a.columns == b.columns,
      "shapes differ: [\(a.count), \(a.columns)] and [\(b.count), \(b.columns)]")
  }
}
