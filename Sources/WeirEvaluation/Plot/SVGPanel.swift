// Draws one chart into its part of the page.

import Foundation

/// The marks of one chart. Coordinates are in pixels of the document, y downwards.
struct SVGPanel {
  private let top: Double
  private(set) var text = ""
  private(set) var height = 0.0

  private static let left = 70.0
  private static let right = SVGDocument.width - 25
  private static let plotHeight = 250.0
  private static let titleHeight = 40.0

  private var plotTop: Double { top + Self.titleHeight }
  private var plotBottom: Double { plotTop + Self.plotHeight }

  init(top: Double) { self.top = top }

  // MARK: charts

  mutating func draw(_ chart: LineChart) {
    let points = chart.series.flatMap(\.points)
    let ticks = Ticks(covering: chart.yRange ?? Self.range(points.flatMap { [$0.y] + Self.ends($0.interval) }))
    title(chart.title)
    let place = xAxis(chart.xScale, values: points.map(\.x))
    yAxis(ticks, label: chart.yLabel)
    label(chart.xLabel)
    for (index, series) in chart.series.enumerated() {
      let shift = Self.shift(index, of: chart.series.count, chart.xScale)
      let corners = series.points.map { "\(Self.number(place($0.x) + shift)),\(Self.number(y($0.y, ticks)))" }
      if corners.count > 1 {
        let path = corners.joined(separator: " ")
        text += "<polyline class=\"line l\(colour(index))\"\(dash(index)) points=\"\(path)\"/>\n"
      }
      for point in series.points {
        let x = Self.number(place(point.x) + shift)
        whisker(point.interval, x: place(point.x) + shift, ticks, index)
        text += "<circle class=\"f\(colour(index))\" cx=\"\(x)\" cy=\"\(Self.number(y(point.y, ticks)))\" r=\"3.5\">"
        text += "<title>\(hover(series.name, chart.xScale, point))</title></circle>\n"
      }
    }
    legend(chart.series.map(\.name), below: 62)
  }

  mutating func draw(_ chart: BarChart) {
    let bars = chart.series.flatMap { $0.bars.compactMap { $0 } }
    let ticks = Ticks(covering: chart.yRange ?? Self.range(bars.flatMap { [$0.value] + Self.ends($0.interval) }))
    title(chart.title)
    let place = xAxis(.categories(chart.categories), values: [])
    yAxis(ticks, label: chart.yLabel)
    let room = (Self.right - Self.left) / Double(max(1, chart.categories.count)) * 0.8
    let width = min(60, room / Double(max(1, chart.series.count)))
    for (index, series) in chart.series.enumerated() {
      for (category, bar) in series.bars.enumerated() where category < chart.categories.count {
        guard let bar else { continue }
        let shift = (Double(index) - Double(chart.series.count) / 2) * width
        let x = place(Double(category)) + shift
        let (high, low) = (y(max(bar.value, 0), ticks), y(min(bar.value, 0), ticks))
        text += "<rect class=\"f\(colour(index))\" x=\"\(Self.number(x + 1))\" y=\"\(Self.number(high))\" "
        text += "width=\"\(Self.number(max(1, width - 2)))\" height=\"\(Self.number(low - high))\"><title>"
        text += SVGDocument.escaped("\(series.name), \(chart.categories[category]): \(NumberText.fixed(bar.value, 2))")
        text += "</title></rect>\n"
        if let interval = bar.interval { axisWhisker(interval, x: x + width / 2, ticks) }
      }
    }
    legend(chart.series.map(\.name), below: 44)
  }

  // MARK: axes

  /// Draws the horizontal axis; the function gives the place of an x.
  private mutating func xAxis(_ scale: LineChart.XScale, values: [Double]) -> (Double) -> Double {
    let (left, right) = (Self.left, Self.right)
    let marks: [(x: Double, label: String)]
    let share: (Double) -> Double
    switch scale {
    case .categories(let labels):
      let count = Double(max(1, labels.count))
      share = { ($0 + 0.5) / count }
      marks = labels.enumerated().map { (Double($0.offset), $0.element) }
    case .linear:
      let ticks = Ticks(covering: (values.min() ?? 0)...(values.max() ?? 1), count: 6)
      let range = ticks.range
      share = { ($0 - range.lowerBound) / (range.upperBound - range.lowerBound) }
      marks = ticks.values.map { ($0, ticks.label($0)) }
    case .powersOfTwo:
      let exponents = values.filter { $0 > 0 }.map { log2($0) }
      let first = Int((exponents.min() ?? 0).rounded(.down))
      let last = max(first + 1, Int((exponents.max() ?? 1).rounded(.up)))
      share = { (log2(max($0, 1e-9)) - Double(first)) / Double(last - first) }
      marks = (first...last).map { (exp2(Double($0)), NumberText.plain(exp2(Double($0)))) }
    }
    let place = { left + min(max(share($0), 0), 1) * (right - left) }
    line("axis", left, plotBottom, right, plotBottom)
    // Labels that would touch each other are left out; about seven pixels a letter.
    let letters = marks.map(\.label.count).max() ?? 1
    let every = max(1, Int((Double(marks.count * (letters + 1) * 7) / (right - left)).rounded(.up)))
    for (index, mark) in marks.enumerated() where index % every == 0 {
      line("axis", place(mark.x), plotBottom, place(mark.x), plotBottom + 5)
      words(mark.label, place(mark.x), plotBottom + 19, anchor: "middle")
    }
    return place
  }

  private mutating func yAxis(_ ticks: Ticks, label: String) {
    for value in ticks.values {
      let place = y(value, ticks)
      line("grid", Self.left, place, Self.right, place)
      words(ticks.label(value), Self.left - 7, place + 4, anchor: "end")
    }
    line("axis", Self.left, plotTop, Self.left, plotBottom)
    let (x, middle) = (16.0, (plotTop + plotBottom) / 2)
    text += "<text x=\"\(Self.number(x))\" y=\"\(Self.number(middle))\" text-anchor=\"middle\" "
    text += "transform=\"rotate(-90 \(Self.number(x)) \(Self.number(middle)))\">\(SVGDocument.escaped(label))</text>\n"
  }

  private func y(_ value: Double, _ ticks: Ticks) -> Double {
    let range = ticks.range
    let share = (value - range.lowerBound) / (range.upperBound - range.lowerBound)
    return plotBottom - min(max(share, 0), 1) * Self.plotHeight
  }

  // MARK: words and marks

  private mutating func title(_ title: String) {
    text += "<text class=\"title\" x=\"\(Self.number(Self.left))\" y=\"\(Self.number(top + 25))\">"
    text += "\(SVGDocument.escaped(title))</text>\n"
  }

  private mutating func label(_ label: String) {
    words(label, (Self.left + Self.right) / 2, plotBottom + 40, anchor: "middle")
  }

  /// One line per series, under the plot; a single series needs none.
  private mutating func legend(_ names: [String], below: Double) {
    var line = plotBottom + below
    if names.count > 1 {
      for (index, name) in names.enumerated() {
        text += "<line class=\"line l\(colour(index))\"\(dash(index)) x1=\"\(Self.number(Self.left))\" "
        text +=
          "x2=\"\(Self.number(Self.left + 24))\" y1=\"\(Self.number(line - 4))\" y2=\"\(Self.number(line - 4))\"/>\n"
        words(name, Self.left + 32, line, anchor: "start")
        line += 18
      }
    }
    height = line - top
  }

  private mutating func whisker(_ interval: ClosedRange<Double>?, x: Double, _ ticks: Ticks, _ index: Int) {
    guard let interval else { return }
    let (high, low) = (y(interval.upperBound, ticks), y(interval.lowerBound, ticks))
    line("whisker l\(colour(index))", x, high, x, low)
  }

  private mutating func axisWhisker(_ interval: ClosedRange<Double>, x: Double, _ ticks: Ticks) {
    line("axis", x, y(interval.upperBound, ticks), x, y(interval.lowerBound, ticks))
  }

  private func hover(_ name: String, _ scale: LineChart.XScale, _ point: LineChart.Point) -> String {
    var x = NumberText.plain(point.x)
    if case .categories(let labels) = scale, let place = Int(exactly: point.x), labels.indices.contains(place) {
      x = labels[place]
    }
    return SVGDocument.escaped("\(name), \(x): \(NumberText.fixed(point.y, 2))")
  }

  private mutating func line(_ style: String, _ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double) {
    text += "<line class=\"\(style)\" x1=\"\(Self.number(x1))\" y1=\"\(Self.number(y1))\" "
    text += "x2=\"\(Self.number(x2))\" y2=\"\(Self.number(y2))\"/>\n"
  }

  private mutating func words(_ words: String, _ x: Double, _ y: Double, anchor: String) {
    text += "<text x=\"\(Self.number(x))\" y=\"\(Self.number(y))\" text-anchor=\"\(anchor)\">"
    text += "\(SVGDocument.escaped(words))</text>\n"
  }

  private func colour(_ index: Int) -> Int { index % SVGDocument.colourCount }

  /// Colours repeat after a while; dashes then tell the lines apart.
  private func dash(_ index: Int) -> String {
    let round = index / SVGDocument.colourCount
    return round == 0 ? "" : " stroke-dasharray=\"\(3 + 3 * round) 4\""
  }

  /// Series stand a little beside each other over a category, or the last one's marks would hide the others'.
  private static func shift(_ index: Int, of count: Int, _ scale: LineChart.XScale) -> Double {
    guard case .categories = scale else { return 0 }
    return (Double(index) - Double(count - 1) / 2) * min(6, 30 / Double(count))
  }

  private static func number(_ value: Double) -> String { NumberText.fixed(value, 1) }

  private static func ends(_ interval: ClosedRange<Double>?) -> [Double] {
    interval.map { [$0.lowerBound, $0.upperBound] } ?? []
  }

  private static func range(_ values: [Double]) -> ClosedRange<Double> {
    let finite = values.filter(\.isFinite)
    return min(0, finite.min() ?? 0)...max(finite.max() ?? 1, 1e-9)
  }
}
