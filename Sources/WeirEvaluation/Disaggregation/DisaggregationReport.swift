// Figures of handoffs between engines as table, JSON and charts.

public import WeirBasics
import WeirKVTransfer

/// What `weir bench disagg` found. Every part may be empty.
public struct DisaggregationReport: Sendable {
  public var transfers: [TransferStudyResult] = []
  /// By block size, smallest first.
  public var curve: [[TransferStudyResult]] = []
  public var curveTokens = 0
  public var streaming: [StreamingResult] = []
  /// By the way a request went, in the order of the table.
  public var endToEnd: [(name: String, samples: [EndToEndSample])] = []

  public init() {}

  // MARK: for people

  /// One row per mode, then one per way of a request.
  public var table: String {
    var text = transfers.isEmpty ? "" : rows(transfers)
    for results in curve {
      text += "\n\(curveTokens) tokens in pieces of \(results.first?.pieceBytes ?? 0) bytes\n" + rows(results)
    }
    text += streamingTable
    guard !endToEnd.isEmpty else { return text }
    var rows = [["request", "n", "first token", "per token", "total", "handoff", "of the total", "right"]]
    for (name, samples) in endToEnd {
      rows.append([
        name, "\(samples.count)", middle(samples, \.firstTokenSeconds, 1, 3) + " s",
        middle(samples, \.tokenSeconds, 1e3, 2) + " ms", middle(samples, \.totalSeconds, 1, 3) + " s",
        middle(samples, \.handoffSeconds, 1e3, 2) + " ms", NumberText.fixed(share(samples) * 100, 3) + " %",
        "\(samples.count { $0.isRight })",
      ])
    }
    return text + "\n" + TextTable.text(rows, leftColumns: 1)
  }

  private var streamingTable: String {
    guard !streaming.isEmpty else { return "" }
    var rows = [["mode", "n", "prefill", "then first token after", "most", "calls", "right"]]
    for one in streaming {
      let gap = Spread(one.gapSeconds)
      rows.append([
        one.mode.name, "\(one.gapSeconds.count)", NumberText.fixed(Spread(one.prefillSeconds).median, 3) + " s",
        NumberText.fixed(gap.median * 1e3, 2) + " ms", NumberText.fixed(gap.quantile(1) * 1e3, 2) + " ms",
        NumberText.fixed(Spread(one.operations.map(Double.init)).median, 0), "\(one.right)",
      ])
    }
    return "\n" + TextTable.text(rows, leftColumns: 1)
  }

  private func rows(_ results: [TransferStudyResult]) -> String {
    let reference = results.first { $0.mode == .coRuns }.map { Spread($0.seconds).median } ?? 0
    let raw = results.first { $0.mode == .raw }?.bandwidth ?? 0
    var rows = [
      ["mode", "calls", "p99", "MB", "transfer", "handoff", "digests", "times f", "GB/s", "of raw", "right"]
    ]
    for one in results {
      let (calls, times) = (Spread(one.operations.map(Double.init)), Spread(one.seconds))
      rows.append([
        one.mode.rawValue, NumberText.fixed(calls.median, 0), NumberText.fixed(calls.quantile(0.99), 0),
        NumberText.fixed(Double(one.bytes) / 1e6, 1), NumberText.fixed(times.median * 1e3, 3) + " ms",
        NumberText.fixed(Spread(one.handoffSeconds).median * 1e3, 3) + " ms",
        NumberText.fixed(Spread(one.senderDigestSeconds).median * 1e3, 1) + " + "
          + NumberText.fixed(Spread(one.receiverDigestSeconds).median * 1e3, 1) + " ms",
        reference > 0 ? NumberText.fixed(times.median / reference, 2) : "-",
        NumberText.fixed(one.bandwidth / 1e9, 2), raw > 0 ? NumberText.percent(one.bandwidth / raw) : "-",
        "\(one.verified)/\(one.operations.count)",
      ])
    }
    return TextTable.text(rows, leftColumns: 1)
  }

  // MARK: for machines

  /// Every figure.
  public var figures: JSONObject {
    var object = JSONObject()
    object["transfers"] = .object(figures(of: transfers))
    object["curve_tokens"] = JSONValue(curveTokens)
    object["curve"] = .array(
      curve.map { results in
        .object([
          "piece_bytes": JSONValue(results.first?.pieceBytes ?? 0), "modes": .object(figures(of: results)),
        ])
      })
    object["streaming"] = .array(
      streaming.map { one in
        .object([
          "mode": .string(one.mode.name), "prompt_tokens": JSONValue(one.promptTokens),
          "prompts": JSONValue(one.gapSeconds.count), "bytes": JSONValue(one.bytes),
          "prefill_seconds": .number(Spread(one.prefillSeconds).median),
          "gap_seconds": .number(Spread(one.gapSeconds).median),
          "gap_most_seconds": .number(Spread(one.gapSeconds).quantile(1)),
          "operations": .number(Spread(one.operations.map(Double.init)).median), "right": JSONValue(one.right),
        ])
      })
    var ways = JSONObject()
    for (name, samples) in endToEnd {
      ways[name] = .object([
        "requests": JSONValue(samples.count),
        "first_token_seconds": .number(Spread(samples.map(\.firstTokenSeconds)).median),
        "token_seconds": .number(Spread(samples.map(\.tokenSeconds)).median),
        "total_seconds": .number(Spread(samples.map(\.totalSeconds)).median),
        "handoff_seconds": .number(Spread(samples.map(\.handoffSeconds)).median),
        "transfer_seconds": .number(Spread(samples.map(\.transferSeconds)).median),
        "operations": .number(Spread(samples.map { Double($0.operations) }).median),
        "handoff_share": .number(share(samples)), "right": JSONValue(samples.count { $0.isRight }),
      ])
    }
    object["end_to_end"] = .object(ways)
    return object
  }

  private func figures(of results: [TransferStudyResult]) -> JSONObject {
    var figures = JSONObject()
    let raw = results.first { $0.mode == .raw }?.bandwidth
    for one in results {
      let (calls, times) = (Spread(one.operations.map(Double.init)), Spread(one.seconds))
      var mode: JSONObject = [
        "operations_median": .number(calls.median), "operations_p99": .number(calls.quantile(0.99)),
        "bytes": JSONValue(one.bytes), "piece_bytes": JSONValue(one.pieceBytes),
        "median_seconds": .number(times.median), "p99_seconds": .number(times.quantile(0.99)),
        "best_seconds": .number(times.best),
        "median_handoff_seconds": .number(Spread(one.handoffSeconds).median),
        "median_sender_digest_seconds": .number(Spread(one.senderDigestSeconds).median),
        "median_receiver_digest_seconds": .number(Spread(one.receiverDigestSeconds).median),
        "handoffs": JSONValue(one.operations.count), "verified": JSONValue(one.verified),
      ]
      if let raw { mode["share_of_raw_rate"] = .number(one.bandwidth / max(raw, 1e-9)) }
      for (reason, count) in one.refusals { mode["refused_\(reason)"] = JSONValue(count) }
      figures[one.mode.rawValue] = .object(mode)
    }
    return figures
  }

  private func share(_ samples: [EndToEndSample]) -> Double {
    Spread(samples.map { $0.handoffSeconds / max($0.totalSeconds, 1e-9) }).median
  }

  private func middle(
    _ samples: [EndToEndSample], _ part: KeyPath<EndToEndSample, Double>, _ scale: Double, _ digits: Int
  ) -> String {
    NumberText.fixed(Spread(samples.map { $0[keyPath: part] }).median * scale, digits)
  }

  // MARK: charts

  /// Times by mode, and by piece size.
  public var charts: [Chart] {
    var charts: [Chart] = []
    if !transfers.isEmpty {
      charts.append(
        .bar(
          BarChart(
            title: "KV of \(transfers.first?.bytes ?? 0) bytes from engine to engine", yLabel: "milliseconds, median",
            categories: transfers.map(\.mode.rawValue),
            series: [
              BarChart.Series(
                name: "transfer", bars: transfers.map { BarChart.Bar(Spread($0.seconds).median * 1e3) })
            ])))
    }
    guard !curve.isEmpty else { return charts }
    let modes = curve[0].map(\.mode)
    let series = modes.indices.map { place in
      LineChart.Series(
        name: modes[place].rawValue,
        points: curve.map {
          LineChart.Point(x: Double($0[place].pieceBytes), y: Spread($0[place].seconds).median * 1e3)
        })
    }
    charts.append(
      .line(
        LineChart(
          title: "KV of \(curveTokens) tokens from engine to engine", xLabel: "bytes of a block, layer and side",
          yLabel: "milliseconds, median", xScale: .powersOfTwo, series: series)))
    return charts
  }
}
