// Perplexities under KV policies as table, JSON and curves.

public import WeirBasics

/// A text's likelihood under one policy and budget.
public struct PolicyTextResult: Sendable {
  public var policy: String
  /// Nil: the full cache.
  public var budget: String?
  public var cadence: TextCadence?
  public var perplexity: Perplexity
  /// Of the answers among it; nil: the text knows none.
  public var answers: Perplexity?
  /// Most slots that a lane held at the end of a window.
  public var slots: Int

  public init(
    policy: String, budget: String? = nil, cadence: TextCadence? = nil, perplexity: Perplexity,
    answers: Perplexity? = nil, slots: Int
  ) {
    self.policy = policy
    self.budget = budget
    self.cadence = cadence
    self.perplexity = perplexity
    self.answers = answers
    self.slots = slots
  }
}

/// All results over the same tokens, the full cache first.
public struct PolicyTextReport: Sendable {
  public let results: [PolicyTextResult]
  public let window: Int

  public init(results: [PolicyTextResult], window: Int) {
    self.results = results
    self.window = window
  }

  /// Perplexity over that of the full cache; 1 is as good.
  func ratio(_ result: PolicyTextResult) -> Double {
    result.perplexity.value / (results.first?.perplexity.value ?? .nan)
  }

  /// One row per result, ending in a newline.
  public var table: String {
    let rows = results.map { result in
      [
        result.policy, result.budget ?? "-", result.cadence?.rawValue ?? "-", "\(result.slots)",
        NumberText.fixed(result.perplexity.value, 3), NumberText.fixed(ratio(result), 4),
        NumberText.fixed(result.perplexity.bitsPerByte, 4),
      ] + (result.answers.map { [NumberText.fixed($0.value, 3)] } ?? [])
    }
    let heading =
      ["policy", "budget", "cadence", "slots", "perplexity", "to full", "bits a byte"]
      + (results.first?.answers == nil ? [] : ["answers"])
    let answers = results.first?.answers.map { ", \($0.tokens) of them in answers" } ?? ""
    return TextTable.text([heading] + rows, leftColumns: 3)
      + "\(results.first?.perplexity.tokens ?? 0) tokens scored in windows of \(window)\(answers)\n"
  }

  public var figures: JSONObject {
    var object: JSONObject = [
      "tokens": JSONValue(results.first?.perplexity.tokens ?? 0),
      "points": .array(
        results.map { result in
          var object: JSONObject = [
            "policy": .string(result.policy), "slots": JSONValue(result.slots),
            "perplexity": JSONValue(result.perplexity.value), "to_full": JSONValue(ratio(result)),
            "bits_per_byte": JSONValue(result.perplexity.bitsPerByte),
          ]
          if let answers = result.answers { object["answer_perplexity"] = JSONValue(answers.value) }
          if let budget = result.budget { object["budget"] = .string(budget) }
          if let cadence = result.cadence { object["cadence"] = .string(cadence.rawValue) }
          return .object(object)
        }),
    ]
    if let answers = results.first?.answers { object["answer_tokens"] = JSONValue(answers.tokens) }
    return object
  }

  /// For each cadence a curve per policy, over the slots that it may keep; the full cache is the right end of each.
  public var charts: [Chart] {
    TextCadence.allCases.compactMap { cadence in
      var names: [String] = []
      for result in results where result.cadence == cadence && !names.contains(result.policy) {
        names.append(result.policy)
      }
      guard !names.isEmpty else { return nil }
      let series = names.map { name in
        LineChart.Series(
          name: name,
          points: results.filter { $0.cadence == nil || ($0.cadence == cadence && $0.policy == name) }
            .map { LineChart.Point(x: Double($0.slots), y: $0.perplexity.value) }.sorted { $0.x < $1.x })
      }
      return .line(
        LineChart(
          title: "Perplexity, policy asked at \(cadence.rawValue)", xLabel: "slots of a lane at the end of a window",
          yLabel: "perplexity", series: series))
    }
  }
}
