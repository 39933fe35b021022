// Token counts and timings in the spellings of the three API families.

import WeirBasics
import WeirEngine
import WeirKVCache

/// Counts that grow while a request streams.
struct UsageCounts: Sendable {
  var prompt = 0
  var cached = 0
  var completion = 0
  var reasoning = 0

  init() {}

  init(_ report: UsageReport, reasoning: Int = 0) {
    prompt = report.promptTokens
    cached = report.cachedTokens
    completion = report.completionTokens
    self.reasoning = reasoning
  }

  mutating func add(_ other: UsageCounts) {
    prompt += other.prompt
    cached += other.cached
    completion += other.completion
    reasoning += other.reasoning
  }

  /// Chat and text completions.
  var openAI: JSONValue {
    [
      "prompt_tokens": JSONValue(prompt), "completion_tokens": JSONValue(completion),
      "total_tokens": JSONValue(prompt + completion),
      "prompt_tokens_details": [
        "cached_tokens": JSONValue(cached), "cache_write_tokens": JSONValue(max(prompt - cached, 0)),
      ],
      "completion_tokens_details": ["reasoning_tokens": JSONValue(reasoning)],
    ]
  }

  /// The responses API.
  var responses: JSONValue {
    [
      "input_tokens": JSONValue(prompt), "input_tokens_details": ["cached_tokens": JSONValue(cached)],
      "output_tokens": JSONValue(completion),
      "output_tokens_details": ["reasoning_tokens": JSONValue(reasoning)],
      "total_tokens": JSONValue(prompt + completion),
    ]
  }

  /// The messages API counts cached input apart.
  var anthropic: JSONValue {
    [
      "input_tokens": JSONValue(max(prompt - cached, 0)), "output_tokens": JSONValue(completion),
      "cache_read_input_tokens": JSONValue(cached), "cache_creation_input_tokens": 0,
    ]
  }
}
