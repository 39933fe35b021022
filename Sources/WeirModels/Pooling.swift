// From hidden states to one vector for a text.

public import WeirKernels

/// How the hidden states of a text become one vector.
public enum Pooling: String, Sendable, CaseIterable {
  case mean
  case last
}

/// Pools the hidden states of a text, computed in one chunk or several. States are those after the final norm
/// (`ForwardWorkspace.finalHidden`).
public struct EmbeddingAccumulator: Sendable {
  public let pooling: Pooling
  private var sums: [Double]

  /// - Parameters:
  ///   - pooling: how states are combined.
  ///   - width: length of a hidden state.
  public init(pooling: Pooling, width: Int) {
    self.pooling = pooling
    sums = Array(repeating: 0, count: width)
  }

  /// Takes the next chunk's states, in order.
  public mutating func append(_ hidden: Rows) {
    precondition(hidden.columns == sums.count, "states must have the accumulator's width")
    guard hidden.count > 0 else { return }
    if pooling == .last { for column in sums.indices { sums[column] = 0 } }
    for row in (pooling == .last ? hidden.count - 1 : 0)..<hidden.count {
      let values = hidden.row(row)
      for column in sums.indices { sums[column] += Double(values[column]) }
    }
  }

  /// The pooled vector, scaled to length 1 (so the mean's divisor does not matter); all zero if nothing was taken.
  public var embedding: [Float] {
    let length = sums.reduce(0) { $0 + $1 * $1 }.squareRoot()
    return sums.map { length > 0 ? Float($0 / length) : 0 }
  }
}
