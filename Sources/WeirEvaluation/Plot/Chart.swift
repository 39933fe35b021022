// What a chart shows, as values; SVGDocument draws them.

/// Points joined by lines, one line per series.
public struct LineChart: Sendable {
  /// One measured point.
  public struct Point: Sendable, Equatable {
    public var x: Double
    public var y: Double
    /// The interval that the value is known within, drawn as a whisker.
    public var interval: ClosedRange<Double>?

    public init(x: Double, y: Double, interval: ClosedRange<Double>? = nil) {
      self.x = x
      self.y = y
      self.interval = interval
    }
  }

  /// One line with its name in the legend.
  public struct Series: Sendable, Equatable {
    public var name: String
    public var points: [Point]

    public init(name: String, points: [Point]) {
      self.name = name
      self.points = points
    }
  }

  public var title: String
  public var xLabel: String
  public var yLabel: String
  public var xScale: XScale
  /// Nil: from 0, or from the lowest value if that is negative, to the highest value.
  public var yRange: ClosedRange<Double>?
  public var series: [Series]

  /// How x becomes a place.
  public enum XScale: Sendable, Equatable {
    case linear
    /// Powers of two are equally far apart. Every x must be over 0.
    case powersOfTwo
    /// x is an index into these labels, which are equally far apart.
    case categories([String])
  }

  public init(
    title: String, xLabel: String, yLabel: String, xScale: XScale = .linear, yRange: ClosedRange<Double>? = nil,
    series: [Series]
  ) {
    self.title = title
    self.xLabel = xLabel
    self.yLabel = yLabel
    self.xScale = xScale
    self.yRange = yRange
    self.series = series
  }
}

/// Bars in groups, one bar per series in every group.
public struct BarChart: Sendable {
  /// One bar.
  public struct Bar: Sendable, Equatable {
    public var value: Double
    /// The interval that the value is known within, drawn as a whisker.
    public var interval: ClosedRange<Double>?

    public init(_ value: Double, interval: ClosedRange<Double>? = nil) {
      self.value = value
      self.interval = interval
    }
  }

  /// The bars of one colour: one for every category, nil where there is none.
  public struct Series: Sendable, Equatable {
    public var name: String
    public var bars: [Bar?]

    public init(name: String, bars: [Bar?]) {
      self.name = name
      self.bars = bars
    }
  }

  public var title: String
  public var yLabel: String
  /// Nil: from 0 to the highest value.
  public var yRange: ClosedRange<Double>?
  public var categories: [String]
  public var series: [Series]

  public init(
    title: String, yLabel: String, yRange: ClosedRange<Double>? = nil, categories: [String], series: [Series]
  ) {
    self.title = title
    self.yLabel = yLabel
    self.yRange = yRange
    self.categories = categories
    self.series = series
  }
}

/// One picture of a document.
public enum Chart: Sendable {
  case line(LineChart)
  case bar(BarChart)
}
