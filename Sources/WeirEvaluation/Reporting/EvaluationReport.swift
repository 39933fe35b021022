// A run's figures for machines: JSON by configuration, gates.

public import WeirBasics

/// Several configurations over the same items.
public struct EvaluationReport: Sendable {
  public let items: [TaskItem]
  public let results: [ConfigurationResult]
  /// Scores of each result.
  public let breakdowns: [Breakdown]

  /// - Parameters:
  ///   - items: what was asked; empty if only a text was scored.
  ///   - results: outcomes of the same items, the configuration to compare with first.
  ///   - bins: how numeric tags are put together.
  public init(items: [TaskItem], results: [ConfigurationResult], bins: NumberBins = .powersOfTwo) {
    self.items = items
    self.results = results
    breakdowns = results.map { result in
      Breakdown(zip(items, result.outcomes).map { ($0, $1.isRight) }, bins: bins)
    }
  }

  /// Items whose answers are the same text as those of the first configuration.
  public func sameAnswers(as place: Int) -> Int {
    guard results.indices.contains(place), let first = results.first else { return 0 }
    return zip(first.outcomes, results[place].outcomes).reduce(0) { count, pair in
      guard let a = pair.0.answer, let b = pair.1.answer, a.text == b.text else { return count }
      return count + 1
    }
  }

  /// The gates that do not hold, one sentence each; every configuration must pass every gate.
  ///
  /// - Throws: `Gate.Failure` for a gate that speaks of what was not measured.
  public func broken(_ gates: [Gate]) throws(Gate.Failure) -> [String] {
    var sentences: [String] = []
    for (result, breakdown) in zip(results, breakdowns) {
      for gate in gates {
        let figure = try gate.figure(in: breakdown, perplexity: result.perplexity)
        guard !gate.holds(for: figure) else { continue }
        sentences.append("\(result.name): \(gate) does not hold, it is \(NumberText.fixed(figure, 4))")
      }
    }
    return sentences
  }

  // MARK: JSON

  /// Figures without the items' answers.
  public var figures: JSONObject {
    ["items": JSONValue(items.count), "configurations": .array(results.indices.map { .object(figures(of: $0)) })]
  }

  /// Figures with every item's answer.
  public var full: JSONObject {
    var object = figures
    object["configurations"] = .array(
      results.indices.map { place in
        var figures = figures(of: place)
        figures["answers"] = .array(zip(items, results[place].outcomes).map(Self.line))
        return .object(figures)
      })
    return object
  }

  private func figures(of place: Int) -> JSONObject {
    let (result, breakdown) = (results[place], breakdowns[place])
    var object: JSONObject = ["name": .string(result.name), "settings": .object(result.settings)]
    if !items.isEmpty { addScores(breakdown, result, place, to: &object) }
    if let memory = result.memory {
      object["peak_kv_bytes"] = JSONValue(memory.peakBytes)
      object["kv_token_bytes"] = JSONValue(memory.tokenBytes)
      object["kv_pool_bytes"] = JSONValue(memory.poolBytes)
      object["preemptions"] = JSONValue(memory.preemptions)
    }
    if !result.speeds.isEmpty {
      object["prefill_tokens_per_second"] = JSONValue(result.prefillTokensPerSecond)
      object["decode_tokens_per_second"] = JSONValue(result.decodeTokensPerSecond)
    }
    if let perplexity = result.perplexity {
      object["perplexity"] = JSONValue(perplexity.value)
      object["nats_per_token"] = JSONValue(perplexity.nats / Double(max(1, perplexity.tokens)))
      object["bits_per_byte"] = JSONValue(perplexity.bitsPerByte)
      object["text_tokens"] = JSONValue(perplexity.tokens)
      object["text_bytes"] = JSONValue(perplexity.bytes)
    }
    return object
  }

  private func addScores(
    _ breakdown: Breakdown, _ result: ConfigurationResult, _ place: Int, to object: inout JSONObject
  ) {
    object["exact_match"] = breakdown.overall.figures
    var tags = JSONObject()
    for section in breakdown.sections {
      tags[section.key] = .object(JSONObject(section.groups.map { ($0.label, $0.tally.figures) }))
    }
    object["by_tag"] = .object(tags)
    object["failed"] = JSONValue(result.failures.count)
    object["same_answers_as_first"] = JSONValue(sameAnswers(as: place))
    object["seconds"] = JSONValue(result.seconds)
    object["prompt_tokens"] = JSONValue(result.sum(\.promptTokens))
    object["cached_prompt_tokens"] = JSONValue(result.sum(\.cachedTokens))
    object["context_tokens_first"] = JSONValue(result.sum(\.contextTokens))
    object["lost_contexts"] = JSONValue(result.lostContexts)
    object["computed_prompt_tokens"] = JSONValue(result.sum(\.computedTokens))
    object["answer_tokens"] = JSONValue(result.sum(\.completionTokens))
    object["ttft_median_seconds"] = JSONValue(result.firstTokenMedianSeconds)
    let seconds = max(result.seconds, 1e-9)
    object["batched_prefill_tokens_per_second"] = JSONValue(Double(result.sum(\.computedTokens)) / seconds)
    object["batched_answer_tokens_per_second"] = JSONValue(Double(result.sum(\.completionTokens)) / seconds)
  }

  private static func line(_ item: TaskItem, _ outcome: ItemOutcome) -> JSONValue {
    var object: JSONObject = ["id": .string(item.id), "right": JSONValue(outcome.isRight)]
    if let answer = outcome.answer {
      object["answer"] = .string(answer.text)
      object["prompt_tokens"] = JSONValue(answer.promptTokens)
      object["cached_tokens"] = JSONValue(answer.cachedTokens)
      object["answer_tokens"] = JSONValue(answer.completionTokens)
    }
    if let failure = outcome.failure { object["failure"] = .string(failure) }
    return .object(object)
  }
}

extension Tally {
  /// Share, counts and interval, as every report writes them.
  var figures: JSONValue {
    [
      "share": JSONValue(share), "correct": JSONValue(correct), "count": JSONValue(count),
      "low": JSONValue(interval.low), "high": JSONValue(interval.high),
    ]
  }
}
