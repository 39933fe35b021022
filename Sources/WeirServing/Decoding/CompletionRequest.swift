// The body of /v1/completions.

import WeirBasics
import WeirEngine
import WeirText

/// A text completion request: one or more prompts that share everything else.
struct CompletionRequest: Sendable {
  var options: RequestOptions
  var prompts: [[TokenID]]
  /// The prompts' texts, for `echo`.
  var texts: [String]
  var echoes: Bool
  /// `max_tokens: 0`: only the prompt is wanted back. The engine makes one token that nobody sees.
  var hidesAnswer = false
  /// Alternatives per token; nil: no log-probabilities.
  var logprobs: Int?

  init(_ fields: FieldReader, caller: CallerContext, limits: DecodingLimits, maxPrompts: Int) throws(APIError) {
    options = try RequestOptions(fields, caller: caller, limits: limits)
    if let suffix = try fields.string("suffix"), !suffix.isEmpty {
      throw .unsupported("suffix", "suffix is not supported: this server does not fill in the middle")
    }
    echoes = try fields.bool("echo") ?? false
    logprobs = try fields.integer("logprobs", in: 0...limits.maxLogprobs)
    options.generation.topLogprobs = logprobs
    if echoes, let logprobs, options.generation.promptLogprobs == nil {
      options.generation.promptLogprobs = logprobs
    }
    let limit = try RequestOptions.maxTokens(fields, ["max_tokens", "max_completion_tokens"], least: 0) ?? 16
    if limit == 0 {
      guard echoes else {
        throw .invalid("max_tokens", "max_tokens is 0, which needs echo to be true; otherwise give at least 1")
      }
      hidesAnswer = true
    }
    options.generation.maxTokens = max(limit, 1)
    let specials = try fields.bool("add_special_tokens") ?? true
    prompts = try CompletionRequest.prompts(fields, limits: limits, specials: specials)
    guard prompts.count <= maxPrompts else {
      throw .invalid("prompt", "prompt holds \(prompts.count) prompts, at most \(maxPrompts) are allowed")
    }
    if prompts.count > 1, options.generation.handsOver || options.generation.arrival != nil {
      throw .unsupported(HandoffFields.field, "kv_transfer_params stands for one prompt; send one prompt per request")
    }
    texts = prompts.map { limits.tokenizer.decode($0) }
    if let given = fields["prompt"]?.string { texts = [given] }
  }

  /// A string, a list of strings, a list of tokens or a list of lists of tokens.
  static func prompts(
    _ fields: FieldReader, field: String = "prompt", limits: DecodingLimits, specials: Bool
  ) throws(APIError) -> [[TokenID]] {
    let path = fields.name(field)
    guard let value = fields[field] else { throw .missing(path, "give a string or a list") }
    if let text = value.string { return [limits.tokenizer.encode(text, addSpecial: specials)] }
    guard let items = value.array else {
      throw .wrongType(path, wanted: "a string, a list of strings or lists of tokens", got: value)
    }
    guard let first = items.first else { throw .invalid(path, "\(path) must not be empty") }
    if first.int != nil { return [try FieldReader.tokens(items, path: path, vocabulary: limits.vocabulary)] }
    var prompts: [[TokenID]] = []
    for (index, item) in items.enumerated() {
      let place = "\(path)[\(index)]"
      if let text = item.string {
        prompts.append(limits.tokenizer.encode(text, addSpecial: specials))
      } else if let list = item.array {
        prompts.append(try FieldReader.tokens(list, path: place, vocabulary: limits.vocabulary))
      } else {
        throw .wrongType(place, wanted: "a string or a list of tokens", got: item)
      }
    }
    return prompts
  }
}
