// Figures of setups of roles as table, JSON and chart.

public import WeirBasics

/// What `weir bench roles` found: results of the same mixes in several setups, the first of each mix the baseline.
public struct RoleReport: Sendable {
  public var results: [RoleResult]

  public init(_ results: [RoleResult] = []) { self.results = results }

  /// Mixes in the order in which they first came, each with its setups' runs.
  private var groups: [(mix: String, setups: [(name: String, runs: [RoleResult])])] {
    var groups: [(mix: String, setups: [(name: String, runs: [RoleResult])])] = []
    for one in results {
      let mix = groups.firstIndex { $0.mix == one.mix } ?? groups.endIndex
      if mix == groups.endIndex { groups.append((one.mix, [])) }
      let setup = groups[mix].setups.firstIndex { $0.name == one.setup } ?? groups[mix].setups.endIndex
      if setup == groups[mix].setups.endIndex { groups[mix].setups.append((one.setup, [])) }
      groups[mix].setups[setup].runs.append(one)
    }
    return groups
  }

  /// One row per mix and setup: medians over runs.
  public var table: String {
    var rows = [
      [
        "mix", "setup", "runs", "requests/s", "of first", "first token", "99 %", "gap", "99 %", "shared", "flips",
        "recomputed", "dropped", "wrong",
      ]
    ]
    for group in groups {
      let reference = group.setups.first.map { Self.rate($0.runs) } ?? 0
      for (name, runs) in group.setups {
        let (first, gap) = (Spread(runs.flatMap(\.firstTokenSeconds)), Spread(runs.flatMap(\.gapSeconds)))
        rows.append([
          group.mix, name, "\(runs.count)", NumberText.fixed(Self.rate(runs), 3),
          NumberText.fixed(Self.rate(runs) / max(reference, 1e-9), 2) + "x", NumberText.fixed(first.median, 3) + " s",
          NumberText.fixed(first.quantile(0.99), 3) + " s", NumberText.fixed(gap.median * 1e3, 1) + " ms",
          NumberText.fixed(gap.quantile(0.99) * 1e3, 1) + " ms", "\(Self.sum(runs, \.handedOver))",
          "\(Self.sum(runs, \.flips))", "\(runs.reduce(0) { $0 + $1.recomputed.values.reduce(0, +) })",
          "\(Self.sum(runs, \.dropped))", "\(Self.sum(runs, \.wrong))",
        ])
      }
    }
    return TextTable.text(rows, leftColumns: 2)
  }

  /// Every figure.
  public var figures: JSONObject {
    var object = JSONObject()
    for group in groups {
      var setups = JSONObject()
      for (name, runs) in group.setups {
        let (first, gap) = (Spread(runs.flatMap(\.firstTokenSeconds)), Spread(runs.flatMap(\.gapSeconds)))
        var figures: JSONObject = [
          "requests_per_second": .number(Self.rate(runs)), "runs": JSONValue(runs.count),
          "rates": .array(runs.map { .number($0.requestsPerSecond) }),
          "requests": JSONValue(Self.sum(runs, \.requests)),
          "first_token_median_seconds": .number(first.median),
          "first_token_p99_seconds": .number(first.quantile(0.99)), "gap_median_seconds": .number(gap.median),
          "gap_p99_seconds": .number(gap.quantile(0.99)), "shared": JSONValue(Self.sum(runs, \.handedOver)),
          "flips": JSONValue(Self.sum(runs, \.flips)), "dropped": JSONValue(Self.sum(runs, \.dropped)),
          "wrong": JSONValue(Self.sum(runs, \.wrong)),
        ]
        for (reason, count) in runs.reduce(into: [String: Int](), { $0.merge($1.recomputed, uniquingKeysWith: +) }) {
          figures["recomputed_\(reason)"] = JSONValue(count)
        }
        setups[name] = .object(figures)
      }
      object[group.mix] = .object(setups)
    }
    return object
  }

  /// Requests per second by mix and setup.
  public var charts: [Chart] {
    let groups = self.groups
    guard let first = groups.first else { return [] }
    return [
      .bar(
        BarChart(
          title: "Two engines, a core each: times the throughput of \(first.setups.first?.name ?? "")",
          yLabel: "times", categories: groups.map(\.mix),
          series: first.setups.indices.map { place in
            BarChart.Series(
              name: first.setups[place].name,
              bars: groups.map { group in
                guard place < group.setups.count, let reference = group.setups.first else { return nil }
                return BarChart.Bar(Self.rate(group.setups[place].runs) / max(Self.rate(reference.runs), 1e-9))
              })
          }))
    ]
  }

  private static func rate(_ runs: [RoleResult]) -> Double { Spread(runs.map(\.requestsPerSecond)).median }

  private static func sum(_ runs: [RoleResult], _ part: KeyPath<RoleResult, Int>) -> Int {
    runs.reduce(0) { $0 + $1[keyPath: part] }
  }
}
