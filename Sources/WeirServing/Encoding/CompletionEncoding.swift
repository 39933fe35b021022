// `/v1/completions`: the whole answer and its chunks.

import WeirBasics
import WeirEngine
import WeirText

struct CompletionEncoder: Sendable {
  let id: String
  let created: Int
  let model: String
  let request: CompletionRequest
  let logprobs: LogprobEncoder

  var options: RequestOptions { request.options }
  var choicesPerPrompt: Int { options.generation.choices }

  /// A body with `choices`.
  func body(_ choices: [JSONValue]) -> JSONObject {
    [
      "id": .string(id), "object": "text_completion", "created": JSONValue(created), "model": .string(model),
      "choices": .array(choices),
    ]
  }

  func choice(
    index: Int, text: String, logprobs: JSONValue, reason: ChatEnd?, tokens: [TokenEvent]
  ) -> JSONObject {
    var item: JSONObject = [
      "index": JSONValue(index), "text": .string(text), "logprobs": logprobs,
      "finish_reason": reason.map { .string($0.end.reason.rawValue) } ?? .null,
    ]
    if let end = reason?.end {
      item["stop_reason"] = end.stopString.map(JSONValue.string) ?? .null
      if let token = end.stopToken, options.generation.stopTokens.contains(token) {
        item["stop_reason"] = .integer(Int64(token.rawValue))
      }
    }
    if options.returnsTokenIDs {
      item["token_ids"] = .array(tokens.map { .integer(Int64($0.token.rawValue)) })
    }
    return item
  }

  /// The prompt's part of `logprobs`, for `echo`.
  func echoed(_ report: PromptReport, prompt: Int, into lists: inout CompletionLogprobs) {
    guard request.echoes, let count = request.logprobs else { return }
    lists.align(request.prompts[prompt], to: request.texts[prompt])
    for (place, token) in request.prompts[prompt].enumerated() {
      let known = report.promptLogprobs.flatMap { place < $0.count ? $0[place] : nil }
      lists.add(token, known, top: count)
    }
  }

  /// All choices of one prompt.
  func choices(_ result: CollectedGeneration, prompt: Int) -> [JSONValue] {
    result.choices.enumerated().map { place, choice in
      var lists = CompletionLogprobs(encoder: logprobs)
      echoed(result.prompt, prompt: prompt, into: &lists)
      let tokens = request.hidesAnswer ? [] : choice.tokens
      for token in tokens { lists.add(token.token, token.logprob, top: request.logprobs ?? 0) }
      let text = (request.echoes ? request.texts[prompt] : "") + (request.hidesAnswer ? "" : choice.text)
      var item = self.choice(
        index: prompt * choicesPerPrompt + place, text: text,
        logprobs: request.logprobs == nil ? .null : lists.take(),
        reason: ChatEnd(end: choice.end, calledTools: false), tokens: tokens)
      if let known = result.prompt.promptLogprobs, options.generation.promptLogprobs != nil {
        item["prompt_logprobs"] = logprobs.prompt(known)
      }
      if options.returnsTokenIDs {
        item["prompt_token_ids"] = .array(request.prompts[prompt].map { .integer(Int64($0.rawValue)) })
      }
      return .object(item)
    }
  }
}
