// What stands for the keys of a part of a lane, so that the part can be judged unread.

/// A small summary of some keys.
public enum KeyAbstract: String, Sendable, CaseIterable {
  /// Their mean, `[headDim]`.
  case mean
  /// The largest and then the smallest value of each element, `[2 * headDim]`. The product with `queryForm` of a query is
  /// at least that of the query with any of the keys.
  case bounds
  /// Nothing: the keys themselves are compared, where they lie.
  case keys

  /// Numbers of an abstract of keys of `headDim` elements.
  public func length(headDim: Int) -> Int {
    switch self {
    case .mean: headDim
    case .bounds: 2 * headDim
    case .keys: 0
    }
  }

  /// The query as it is multiplied with abstracts of this kind.
  public func queryForm(_ query: [Float]) -> [Float] {
    self != .bounds ? query : query.map { max($0, 0) } + query.map { min($0, 0) }
  }
}
