// Throughput in equal KV memory as table, JSON and bars.

public import WeirBasics

/// Everything measured of one side.
public struct ThroughputResult: Sendable {
  public var side: ThroughputSide
  /// Sequences at once.
  public var batch: Int
  /// Slots of all lanes that a token reads, from lengths alone.
  public var foreseenSlots: Double
  public var samples: [ThroughputSample] = []
  /// Most bytes of blocks that were in use at once.
  public var peakPoolBytes = 0

  public init(side: ThroughputSide, batch: Int, foreseenSlots: Double) {
    self.side = side
    self.batch = batch
    self.foreseenSlots = foreseenSlots
  }

  var outputRate: Double { Spread(samples.map(\.outputTokensPerSecond)).median }
  var decodeRate: Double? {
    let rates = samples.compactMap(\.decodeTokensPerSecond)
    return rates.isEmpty ? nil : Spread(rates).median
  }
  var decodeSlots: Double { Spread(samples.map(\.decodeSlots)).median }
}

/// All sides under the same cap, the full cache first.
public struct ThroughputReport: Sendable {
  public let results: [ThroughputResult]
  public let capBytes: Int
  private let slotBytes: Double

  /// - Parameters:
  ///   - results: the full cache first.
  ///   - capBytes: KV memory of each side.
  ///   - slotBytes: bytes of one slot's key and value in one lane.
  public init(results: [ThroughputResult], capBytes: Int, slotBytes: Int) {
    self.results = results
    self.capBytes = capBytes
    self.slotBytes = Double(slotBytes)
  }

  /// One row per side, ending in a newline.
  public var table: String {
    let full = results.first
    let rows = results.map { result in
      [
        result.side.policy, result.side.budget ?? "-", "\(result.batch)", NumberText.fixed(result.outputRate, 1),
        NumberText.fixed(result.outputRate / (full?.outputRate ?? .nan), 2),
        result.decodeRate.map { NumberText.fixed($0, 1) } ?? "-",
        ratio(result.decodeRate, full?.decodeRate), kib(result.decodeSlots), kib(result.foreseenSlots),
        NumberText.fixed(Double(result.peakPoolBytes) / 1024, 0) + " KiB",
        "\(result.samples.reduce(0) { $0 + $1.preemptions })",
      ]
    }
    let heading = [
      "policy", "budget", "batch", "output/s", "to full", "decode/s", "to full", "read a token", "foreseen", "peak KV",
      "preempted",
    ]
    return TextTable.text([heading] + rows, leftColumns: 2)
      + "KV memory of each side: \(NumberText.fixed(Double(capBytes) / 1024, 0)) KiB; output/s counts prefill too\n"
  }

  private func ratio(_ value: Double?, _ base: Double?) -> String {
    guard let value, let base else { return "-" }
    return NumberText.fixed(value / base, 2)
  }

  private func kib(_ slots: Double) -> String { NumberText.fixed(slots * slotBytes / 1024, 1) + " KiB" }

  public var figures: JSONObject {
    [
      "cap_bytes": JSONValue(capBytes),
      "sides": .array(
        results.map { result in
          var object: JSONObject = [
            "policy": .string(result.side.policy), "batch": JSONValue(result.batch),
            "output_tokens_per_second": JSONValue(result.outputRate),
            "output_samples": .array(result.samples.map { JSONValue($0.outputTokensPerSecond) }),
            "decode_read_bytes_per_token": JSONValue(result.decodeSlots * slotBytes),
            "foreseen_read_bytes_per_token": JSONValue(result.foreseenSlots * slotBytes),
            "peak_pool_bytes": JSONValue(result.peakPoolBytes),
            "sequence_peaks_bytes": JSONValue(result.samples.map(\.heldBytes).max() ?? 0),
            "preemptions": JSONValue(result.samples.reduce(0) { $0 + $1.preemptions }),
          ]
          if let budget = result.side.budget { object["budget"] = .string(budget) }
          if let rate = result.decodeRate { object["decode_tokens_per_second"] = JSONValue(rate) }
          return .object(object)
        }),
    ]
  }

  public var charts: [Chart] {
    [
      .bar(
        BarChart(
          title: "Output tokens per second in equal KV memory", yLabel: "tokens/s", categories: results.map(label),
          series: [BarChart.Series(name: "prefill included", bars: results.map { BarChart.Bar($0.outputRate) })]))
    ]
  }

  private func label(_ result: ThroughputResult) -> String {
    [result.side.policy, result.side.budget].compactMap { $0 }.joined(separator: " ")
  }
}
