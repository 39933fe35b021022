internal import CWeirKernels

// Products of activations with stored weights.

extension KernelContext {
  /// Sets `outputs[i][token][r]` to the sum over c of `weights[i][r][c] * x[token][c]`, for all weights in one loop.
  ///
  /// For quantised weights the activations are rounded to 8 bits per 32 columns, once for all weights; float weights
  /// are multiplied in f32. A row of a result does not depend on how many other rows are computed with it.
  ///
  /// - Parameters:
  ///   - weights: Matrices with as many columns as `x`.
  ///   - x: Activations `[n, columns]`.
  ///   - outputs: One `[n, rows]` per matrix; must not overlap `x` nor each other.
  /// - Precondition: the shapes fit.
  public func multiply(_ weights: [WeightMatrix], _ x: Rows, into outputs: [Rows]) {
    precondition(weights.count == outputs.count, "\(weights.count) weights need as many outputs, got \(outputs.count)")
    let products = zip(weights, outputs).map { weight, output in
      product(weight, x, into: output, accumulate: false)
    }
    products.withUnsafeBufferPointer { run($0, x) }
    withExtendedLifetime(weights) {}
  }

  /// Sets `y[token][r]` to the sum over c of `w[r][c] * x[token][c]`, or adds it to `y` with `accumulate`.
  ///
  /// - Precondition: `x` is `[n, w.columns]`, `y` is `[n, w.rows]`, and they do not overlap.
  public func multiply(_ w: WeightMatrix, _ x: Rows, into y: Rows, accumulate: Bool = false) {
    var one = product(w, x, into: y, accumulate: accumulate)
    withUnsafePointer(to: &one) { run(UnsafeBufferPointer(start: $0, count: 1), x) }
    withExtendedLifetime(w) {}
  }

  private func product(_ w: WeightMatrix, _ x: Rows, into y: Rows, accumulate: Bool) -> weir_product {
    precondition(x.columns == w.columns, "x has \(x.columns) columns, the weights \(w.columns)")
    precondition(
      y.columns == w.rows && y.count == x.count,
      "y is [\(y.count), \(y.columns)], must be [\(x.count), \(w.rows)]")
    return weir_product(weights: w.handle, y: y.base, y_stride: Int64(y.stride), accumulate: accumulate)
  }

  private func run(_ products: UnsafeBufferPointer<weir_product>, _ x: Rows) {
    guard let kernels = weir_matrix_kernels_for(instructionSet.isa) else {
      preconditionFailure("this processor cannot run the \(instructionSet.rawValue) kernels")
    }
    weir_multiply(
      pool.handle, kernels, products.baseAddress, Int32(products.count), x.base, Int64(x.count), Int64(x.stride))
  }
}
