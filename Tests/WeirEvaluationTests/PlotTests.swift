// SVG: well-formed, with the marks that the values ask for, the same bytes every time.

import Foundation
import Testing
import WeirEvaluation

#if canImport(FoundationXML)
  import FoundationXML
#endif

@Suite struct PlotTests {
  /// Counts elements by name and class; nil if the text is not well-formed.
  private final class Marks: NSObject, XMLParserDelegate {
    var counts: [String: Int] = [:]
    var texts: [String] = []
    private var current = ""

    static func of(_ text: String) -> Marks? {
      let marks = Marks()
      let parser = XMLParser(data: Data(text.utf8))
      parser.delegate = marks
      return parser.parse() ? marks : nil
    }

    func parser(
      _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?,
      attributes: [String: String] = [:]
    ) {
      counts[name, default: 0] += 1
      if let style = attributes["class"] { counts["\(name).\(style)", default: 0] += 1 }
      current = ""
    }

    func parser(_ parser: XMLParser, foundCharacters text: String) { current += text }

    func parser(_ parser: XMLParser, didEndElement name: String, namespaceURI: String?, qualifiedName: String?) {
      if name == "text" { texts.append(current) }
    }
  }

  private static let line = LineChart(
    title: "A < B & \"C\"", xLabel: "x", yLabel: "y", xScale: .categories(["1-2", "3-4", "5-8"]), yRange: 0...100,
    series: [
      LineChart.Series(
        name: "full",
        points: [
          LineChart.Point(x: 0, y: 100, interval: 90...100), LineChart.Point(x: 1, y: 50, interval: 40...60),
          LineChart.Point(x: 2, y: 0),
        ]),
      LineChart.Series(name: "q8 <b>", points: [LineChart.Point(x: 0, y: 10)]),
    ])
  private static let bar = BarChart(
    title: "Bars", yLabel: "y", categories: ["a", "b"],
    series: [
      BarChart.Series(name: "one", bars: [BarChart.Bar(3, interval: 2...4), nil]),
      BarChart.Series(name: "two", bars: [BarChart.Bar(1), BarChart.Bar(2)]),
    ])

  @Test func `a document is well-formed and has its marks`() throws {
    let text = SVGDocument(charts: [.line(Self.line), .bar(Self.bar)]).text
    let marks = try #require(Marks.of(text), "not well-formed: \(text)")
    // A line of one point has no stroke.
    #expect(marks.counts["polyline"] == 1)
    #expect(marks.counts["circle"] == 4)
    #expect(marks.counts["line.whisker l0"] == 2)
    // The page and three bars.
    #expect(marks.counts["rect"] == 4)
    for words in ["A < B & \"C\"", "q8 <b>", "full", "1-2", "5-8", "one", "two", "100", "Bars"] {
      #expect(marks.texts.contains(words), "\(words) is missing in \(marks.texts)")
    }
    #expect(text.contains("@media(prefers-color-scheme:dark)"))
    #expect(SVGDocument(charts: [.line(Self.line), .bar(Self.bar)]).text == text)
  }

  @Test func `values have their place`() {
    // The plot is 250 pixels high and starts 40 pixels down: 0, 50 and 100 % lie at its bottom, middle and top. The
    // first of two series stands 3 pixels left of its category.
    let text = SVGDocument(charts: [.line(Self.line)]).text
    for (x, y) in [("177.8", "40.0"), ("399.5", "165.0"), ("621.2", "290.0")] {
      #expect(text.contains("cx=\"\(x)\" cy=\"\(y)\""), "no circle at \(x), \(y): \(text)")
    }
  }

  @Test(arguments: [LineChart.XScale.linear, .powersOfTwo])
  func `any finite values can be drawn`(scale: LineChart.XScale) {
    let values: [[Double]] = [[], [1], [0.001, 0.002], [1, 4096], [1e9, 3e12], [512, 512]]
    for xs in values {
      for sign in [1.0, -1] {
        let points = xs.map { LineChart.Point(x: $0, y: sign * $0) }
        let chart = LineChart(
          title: "t", xLabel: "x", yLabel: "y", xScale: scale, series: [LineChart.Series(name: "s", points: points)])
        let text = SVGDocument(charts: [.line(chart)]).text
        #expect(Marks.of(text)?.counts["circle"] ?? 0 == xs.count, "\(xs)")
        #expect(!text.contains("nan") && !text.contains("inf"), "\(xs)")
      }
    }
    #expect(Marks.of(SVGDocument(charts: []).text) != nil)
  }

  @Test func `more series than colours stay apart`() {
    let series = (0..<10).map { place in
      LineChart.Series(
        name: "s\(place)", points: [LineChart.Point(x: 0, y: 1), LineChart.Point(x: 1, y: Double(place))])
    }
    let text = SVGDocument(charts: [.line(LineChart(title: "t", xLabel: "", yLabel: "", series: series))]).text
    let styles = text.split(separator: "\n").filter { $0.hasPrefix("<polyline") }.map { $0.prefix { $0 != "p" } }
    #expect(text.contains("stroke-dasharray"))
    #expect(styles.count == 10)
  }
}
