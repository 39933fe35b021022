// Where an axis has its marks.

/// Round numbers that cover a range.
struct Ticks: Equatable {
  let values: [Double]
  private let digits: Int

  /// Ticks at multiples of 1, 2 or 5 times a power of ten, about `count` of them, the first at or below `range` and the
  /// last at or above it.
  init(covering range: ClosedRange<Double>, count: Int = 5) {
    let span = range.upperBound > range.lowerBound ? range.upperBound - range.lowerBound : 1
    let rough = span / Double(max(1, count))
    var power = 1.0
    var digits = 0
    while power > rough {
      power /= 10
      digits += 1
    }
    while power * 10 <= rough { power *= 10 }
    let step = [1.0, 2, 5, 10].first { $0 * power >= rough * 0.999 }.map { $0 * power } ?? power
    // A step of 10 x 0.1 needs one decimal fewer, but one too many does no harm and keeps all labels alike.
    self.digits = step >= 1 ? 0 : digits
    let first = Int((range.lowerBound / step + 1e-9).rounded(.down))
    let last = max(first + 1, Int((range.upperBound / step - 1e-9).rounded(.up)))
    values = (first...last).map { Double($0) * step }
  }

  func label(_ value: Double) -> String { NumberText.fixed(value, digits) }

  var range: ClosedRange<Double> { (values.first ?? 0)...(values.last ?? 1) }
}
