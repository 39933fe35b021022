// A run's figures for people: one row per figure, one column per configuration.

extension EvaluationReport {
  /// The table, ending in a newline.
  public var table: String {
    var rows: [Row] = [Row("", "items", results.map(\.name))]
    if !items.isEmpty {
      rows.append(scores("exact match", at: nil))
      for section in sections {
        rows.append(Row(section.key))
        guard section.labels.count <= Self.rowsMax else {
          rows.append(Row("  \(section.labels.count) values, see the JSON"))
          continue
        }
        for label in section.labels { rows.append(scores("  " + label, at: (section.key, label))) }
      }
      rows.append(Row(""))
    }
    rows += figureRows
    return Self.aligned(rows)
  }

  /// Tags with more values than this are left to the JSON.
  private static let rowsMax = 24

  struct Row {
    let name: String
    let count: String
    let cells: [String]

    init(_ name: String, _ count: String = "", _ cells: [String] = []) {
      self.name = name
      self.count = count
      self.cells = cells
    }
  }

  /// Keys and labels are the same for every configuration: they come from the items.
  private var sections: [(key: String, labels: [String])] {
    breakdowns.first?.sections.map { ($0.key, $0.groups.map(\.label)) } ?? []
  }

  private func scores(_ name: String, at place: (key: String, label: String)?) -> Row {
    let tallies = breakdowns.map { breakdown -> Tally in
      guard let place else { return breakdown.overall }
      return breakdown.section(place.key)?.groups.first { $0.label == place.label }?.tally ?? Tally()
    }
    return Row(
      name, String(tallies.first?.count ?? 0),
      tallies.map { tally in
        let (low, high) = (
          NumberText.fixed(tally.interval.low * 100, 1), NumberText.fixed(tally.interval.high * 100, 1)
        )
        return "\(NumberText.percent(tally.share)) (\(low)-\(high))"
      })
  }

  private var figureRows: [Row] {
    var rows: [Row] = []
    func add(_ name: String, _ cell: (Int) -> String?) {
      let cells = results.indices.map { cell($0) ?? "-" }
      if cells.contains(where: { $0 != "-" }) { rows.append(Row(name, "", cells)) }
    }
    if !items.isEmpty {
      add("could not be answered") { results[$0].failures.isEmpty ? nil : String(results[$0].failures.count) }
      if results.count > 1 {
        add("same answers as \(results[0].name)") { "\(sameAnswers(as: $0)) of \(items.count)" }
      }
      add("prompt tokens") { String(results[$0].sum(\.promptTokens)) }
      add("  submitted before the question") {
        let count = results[$0].sum(\.contextTokens)
        return count == 0 ? nil : String(count)
      }
      add("  contexts lost before the question") {
        results[$0].lostContexts == 0 ? nil : String(results[$0].lostContexts)
      }
      add("  found in the prefix cache") { String(results[$0].sum(\.cachedTokens)) }
      add("  computed") { String(results[$0].sum(\.computedTokens)) }
      add("answer tokens") { String(results[$0].sum(\.completionTokens)) }
      add("seconds for all items") { NumberText.fixed(results[$0].seconds, 2) }
      add("prompt tokens/s, batched") {
        NumberText.fixed(Double(results[$0].sum(\.computedTokens)) / max(results[$0].seconds, 1e-9), 1)
      }
      add("time to first token, median") { NumberText.fixed(results[$0].firstTokenMedianSeconds, 3) + " s" }
    }
    add("prefill tokens/s, alone") {
      results[$0].speeds.isEmpty ? nil : NumberText.fixed(results[$0].prefillTokensPerSecond, 1)
    }
    add("decode tokens/s, alone") {
      results[$0].speeds.isEmpty ? nil : NumberText.fixed(results[$0].decodeTokensPerSecond, 1)
    }
    add("peak KV") { items.isEmpty ? nil : results[$0].memory.map { Self.mebibytes($0.peakBytes) } }
    add("KV per token") { results[$0].memory.map { "\($0.tokenBytes) B" } }
    add("perplexity") { results[$0].perplexity.map { NumberText.fixed($0.value, 4) } }
    add("  bits per byte") { results[$0].perplexity.map { NumberText.fixed($0.bitsPerByte, 4) } }
    add("  tokens scored") { results[$0].perplexity.map { String($0.tokens) } }
    return rows
  }

  private static func mebibytes(_ bytes: Int) -> String { NumberText.fixed(Double(bytes) / 1_048_576, 2) + " MiB" }

  private static func aligned(_ rows: [Row]) -> String {
    let columns = rows.map(\.cells.count).max() ?? 0
    return TextTable.text(
      rows.map { [$0.name, $0.count] + $0.cells + Array(repeating: "", count: columns - $0.cells.count) },
      leftColumns: 1)
  }
}
