// Numbers as ranges, so that context lengths and distances make a curve.

/// Bins of whole numbers from 0 up: `0`, then `lower+1 ... bound` for every bound, then everything above the last one.
public struct NumberBins: Sendable, Equatable {
  /// One bin.
  public struct Bin: Sendable, Hashable, Comparable {
    /// Place in ascending order.
    public let index: Int
    /// For example `513-1024`, `>4096`, `0`.
    public let label: String
    public static func < (a: Bin, b: Bin) -> Bool { a.index < b.index }
  }

  /// Upper ends, inclusive, ascending. Empty: powers of two.
  private let bounds: [Int]

  /// Bins that end at the powers of two: `0`, `1`, `2`, `3-4`, `5-8`, ...
  public static let powersOfTwo = NumberBins(checked: [])

  /// Bins that end at the given numbers, each inclusive; nil unless they ascend from at least 1.
  public init?(upTo bounds: [Int]) {
    guard let first = bounds.first, first >= 1, zip(bounds, bounds.dropFirst()).allSatisfy(<) else { return nil }
    self.init(checked: bounds)
  }

  private init(checked bounds: [Int]) { self.bounds = bounds }

  /// The bin of a number; fractions are rounded to the nearest whole number, negative ones count as 0.
  public func bin(of value: Double) -> Bin {
    let whole = Int(max(0, min(value.rounded(), 1e15)))
    if whole == 0 { return Bin(index: 0, label: "0") }
    if bounds.isEmpty {
      var exponent = 0
      while 1 << exponent < whole { exponent += 1 }
      return Bin(index: exponent + 1, label: Self.label(exponent == 0 ? 1 : (1 << (exponent - 1)) + 1, 1 << exponent))
    }
    guard let place = bounds.firstIndex(where: { whole <= $0 }) else {
      return Bin(index: bounds.count + 1, label: ">\(bounds[bounds.count - 1])")
    }
    return Bin(index: place + 1, label: Self.label(place == 0 ? 1 : bounds[place - 1] + 1, bounds[place]))
  }

  private static func label(_ first: Int, _ last: Int) -> String { first == last ? "\(first)" : "\(first)-\(last)" }
}
