// Figures as a picture beside the JSON.

import ArgumentParser
import Foundation
import WeirEvaluation

struct PlotOptions: ParsableArguments {
  @Option(help: "Also draw the figures into this SVG file.") var svg: String?

  /// Writes the charts where asked.
  func write(_ charts: @autoclosure () -> [Chart]) throws {
    guard let svg else { return }
    do {
      try Data(SVGDocument(charts: charts()).text.utf8).write(to: URL(fileURLWithPath: svg))
    } catch {
      throw ValidationError("--svg \(svg): the file cannot be written")
    }
  }
}

extension Samples {
  /// How the samples are spread: their value by the share of samples that lie below it.
  func spread(title: String, unit: String, scale: Double = 1) -> Chart {
    let points = stride(from: 0, through: 100, by: 2).map { percent in
      LineChart.Point(x: Double(percent), y: quantile(Double(percent) / 100) * scale)
    }
    return .line(
      LineChart(
        title: title, xLabel: "percentile", yLabel: unit,
        series: [LineChart.Series(name: title, points: values.isEmpty ? [] : points)]))
  }
}
