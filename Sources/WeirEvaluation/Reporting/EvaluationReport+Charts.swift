// A run as pictures: accuracy over context length and over the distance of the fact, or by tag.

extension EvaluationReport {
  /// What the items' tags give: a curve for each of context length and fact distance; without these, bars by the first
  /// tag, or of the whole.
  public var charts: [Chart] {
    guard !items.isEmpty, let first = breakdowns.first else { return [] }
    let curves = [("context_tokens", "context, tokens"), ("fact_distance", "tokens between fact and question")]
    let lines = curves.compactMap { key, words -> Chart? in
      guard let section = first.section(key), section.isNumeric, section.groups.count > 1 else { return nil }
      return .line(curve(key, words, labels: section.groups.map(\.label)))
    }
    return lines.isEmpty ? [.bar(bars(first.sections.first { $0.groups.count > 1 }))] : lines
  }

  private func curve(_ key: String, _ words: String, labels: [String]) -> LineChart {
    LineChart(
      title: "Exact match by \(key)", xLabel: words, yLabel: "exact match, %", xScale: .categories(labels),
      yRange: 0...100,
      series: zip(results, breakdowns).map { result, breakdown in
        let groups = breakdown.section(key)?.groups ?? []
        return LineChart.Series(
          name: result.name,
          points: groups.enumerated().map { place, group in
            LineChart.Point(x: Double(place), y: group.tally.share * 100, interval: Self.percents(group.tally))
          })
      })
  }

  private func bars(_ section: Breakdown.Section?) -> BarChart {
    let labels = section?.groups.map(\.label) ?? ["all"]
    return BarChart(
      title: section.map { "Exact match by \($0.key)" } ?? "Exact match", yLabel: "exact match, %", yRange: 0...100,
      categories: labels,
      series: zip(results, breakdowns).map { result, breakdown in
        let tallies = section.flatMap { breakdown.section($0.key)?.groups.map(\.tally) } ?? [breakdown.overall]
        return BarChart.Series(
          name: result.name, bars: tallies.map { BarChart.Bar($0.share * 100, interval: Self.percents($0)) })
      })
  }

  private static func percents(_ tally: Tally) -> ClosedRange<Double> {
    (tally.interval.low * 100)...(tally.interval.high * 100)
  }
}
