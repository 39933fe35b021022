// A study of KV policies as table, JSON and curves of accuracy over the share that was kept.

public import WeirBasics

/// All points over the same items, the full cache first.
public struct PolicyReport: Sendable {
  public let items: [TaskItem]
  public let results: [PolicyResult]
  /// Bytes of one slot's key and value in one lane.
  private let slotBytes: Double
  private let breakdowns: [Breakdown]

  /// - Parameters:
  ///   - items: what was asked.
  ///   - results: outcomes of the same items.
  ///   - slotBytes: bytes of one slot's key and value in one lane.
  public init(items: [TaskItem], results: [PolicyResult], slotBytes: Int) {
    self.items = items
    self.slotBytes = Double(slotBytes)
    self.results = results
    breakdowns = results.map { result in Breakdown(zip(items, result.outcomes).map { ($0, $1.isRight) }) }
  }

  // MARK: for people

  /// One row per point, ending in a newline.
  public var table: String {
    var rows = [
      [
        "policy", "budget", "question", "kept", "mass", "exact match", "95 %", "peak KV", "read a token", "policy",
        "decode alone",
      ]
    ]
    for (result, breakdown) in zip(results, breakdowns) {
      let interval = breakdown.overall.interval
      rows.append([
        result.point.policy, result.point.budget ?? "-", result.point.timing.rawValue,
        NumberText.percent(result.keptShare), result.retainedMass.map(NumberText.percent) ?? "-",
        NumberText.percent(breakdown.overall.share),
        "\(NumberText.fixed(interval.low * 100, 1))-\(NumberText.fixed(interval.high * 100, 1))",
        NumberText.fixed(result.peakBytes / 1024, 0) + " KiB",
        result.decodeSlots.map { NumberText.fixed($0 * slotBytes / 1024, 0) + " KiB" } ?? "-",
        NumberText.percent(result.policySeconds / max(result.seconds, 1e-9)),
        result.decodeTokensPerSecond.map { NumberText.fixed($0, 1) + "/s" } ?? "-",
      ])
    }
    return TextTable.text(rows, leftColumns: 3)
      + "\(items.count) items; policy: share of the time that asking and compacting took\n"
  }

  // MARK: for machines

  /// Every point's figures, counts by tag included.
  public var figures: JSONObject {
    ["items": JSONValue(items.count), "points": .array(results.indices.map { .object(figures(of: $0)) })]
  }

  private func figures(of place: Int) -> JSONObject {
    let (result, breakdown) = (results[place], breakdowns[place])
    var object: JSONObject = [
      "policy": .string(result.point.policy), "question": .string(result.point.timing.rawValue),
      "kept_share": JSONValue(result.keptShare), "exact_match": breakdown.overall.figures,
      "failed": JSONValue(result.failures.count), "mean_peak_kv_bytes": JSONValue(result.peakBytes),
      "seconds": JSONValue(result.seconds), "policy_seconds": JSONValue(result.policySeconds),
      "policy_questions": JSONValue(result.questions),
      "answer_tokens": JSONValue(result.outcomes.reduce(0) { $0 + ($1.answer?.completionTokens ?? 0) }),
    ]
    if let slots = result.decodeSlots { object["decode_read_bytes_per_token"] = JSONValue(slots * slotBytes) }
    if let budget = result.point.budget { object["budget"] = .string(budget) }
    if let mass = result.retainedMass { object["retained_mass"] = JSONValue(mass) }
    if let rate = result.decodeTokensPerSecond { object["decode_tokens_per_second"] = JSONValue(rate) }
    var tags = JSONObject()
    // Words only: there is a point for every policy, budget and timing, and lines are kept in the repository.
    for section in breakdown.sections where !section.isNumeric && section.groups.count <= 24 {
      tags[section.key] = .object(
        JSONObject(
          section.groups.map { group -> (String, JSONValue) in
            (group.label, ["correct": JSONValue(group.tally.correct), "count": JSONValue(group.tally.count)])
          }))
    }
    object["by_tag"] = .object(tags)
    return object
  }

  // MARK: as pictures

  /// For each timing of the question a curve per policy; the full cache is the right end of each.
  public var charts: [Chart] {
    QuestionTiming.allCases.compactMap { timing in
      let series = seriesNames(timing).map { name in
        LineChart.Series(name: name, points: points(of: name, timing).sorted { $0.x < $1.x })
      }
      guard !series.isEmpty else { return nil }
      return .line(
        LineChart(
          title: "Exact match, question \(timing.rawValue) when slots are dropped",
          xLabel: "part of the KV slots kept, %",
          yLabel: "exact match, %", yRange: 0...100, series: series))
    }
  }

  private func seriesNames(_ timing: QuestionTiming) -> [String] {
    var names: [String] = []
    for result in results where result.point.timing == timing && result.point.budget != nil {
      if !names.contains(result.point.policy) { names.append(result.point.policy) }
    }
    return names
  }

  private func points(of policy: String, _ timing: QuestionTiming) -> [LineChart.Point] {
    zip(results, breakdowns).compactMap { result, breakdown in
      let isWhole = result.point.budget == nil
      guard isWhole || (result.point.policy == policy && result.point.timing == timing) else { return nil }
      let tally = breakdown.overall
      return LineChart.Point(
        x: result.keptShare * 100, y: tally.share * 100,
        interval: isWhole ? nil : (tally.interval.low * 100)...(tally.interval.high * 100))
    }
  }
}
