// `/v1/chat/completions`: the whole answer and its chunks.

import WeirBasics
import WeirEngine
import WeirText

/// Writes one request's answer.
struct ChatEncoder: Sendable {
  let id: String
  let created: Int
  let model: String
  let options: RequestOptions
  let logprobs: LogprobEncoder
  /// The unfinished answer that the client asked to see again in front of the text.
  var echo = ""

  init(_ run: ChatRun, state: ServingState) {
    id = run.started.id.rawValue
    created = state.environment.unixSeconds()
    model = state.information.modelName
    options = run.options
    logprobs = LogprobEncoder(tokenizer: state.information.tokenizer, tokensAsIDs: run.options.tokensAsIDs)
    if run.request.echoes { echo = run.request.messages.last?.content.string ?? "" }
  }

  // MARK: - The whole answer

  func answer(_ result: CollectedChatGeneration) -> JSONValue {
    var body: JSONObject = [
      "id": .string(id), "object": "chat.completion", "created": JSONValue(created), "model": .string(model),
      "choices": .array(result.choices.enumerated().map { choice($1, index: $0) }),
      "usage": result.counts.openAI, "system_fingerprint": .null,
    ]
    if let prompt = result.prompt.promptLogprobs { body["prompt_logprobs"] = logprobs.prompt(prompt) }
    if options.returnsTokenIDs { body["prompt_token_ids"] = tokenList(options.generation.prompt) }
    if let extension_ = WeirReport.object(result.prompt, result.usage, options: options) { body["weir"] = extension_ }
    if options.generation.handsOver { body[HandoffFields.field] = HandoffFields.answer(result.usage.handoff) }
    return .object(body)
  }

  private func choice(_ chat: CollectedChat, index: Int) -> JSONValue {
    let content = echo + chat.content
    var message: JSONObject = ["role": "assistant"]
    message["content"] = content.isEmpty && !chat.calls.isEmpty ? .null : .string(content)
    if !chat.reasoning.isEmpty { message["reasoning_content"] = .string(chat.reasoning) }
    if !chat.calls.isEmpty {
      message["tool_calls"] = .array(
        chat.calls.map { call in
          [
            "id": .string(call.id), "type": "function",
            "function": ["name": .string(call.name), "arguments": .string(call.arguments)],
          ]
        })
    }
    var item: JSONObject = [
      "index": JSONValue(index), "message": .object(message),
      "logprobs": options.generation.topLogprobs == nil ? .null : content_logprobs(chat.tokens),
      "finish_reason": .string(chat.end.finishReason), "stop_reason": stopReason(chat.end.end),
    ]
    if options.returnsTokenIDs { item["token_ids"] = tokenList(chat.tokens.map(\.token)) }
    return .object(item)
  }

  private func content_logprobs(_ tokens: [TokenEvent]) -> JSONValue {
    ["content": .array(tokens.compactMap(\.logprob).map(logprobs.chat)), "refusal": .null]
  }

  private func stopReason(_ end: ChoiceEnd) -> JSONValue {
    if let text = end.stopString { return .string(text) }
    if let token = end.stopToken, options.generation.stopTokens.contains(token) {
      return .integer(Int64(token.rawValue))
    }
    return .null
  }

  private func tokenList(_ tokens: [TokenID]) -> JSONValue { .array(tokens.map { .integer(Int64($0.rawValue)) }) }

  // MARK: - Chunks

  func chunk(_ choices: [JSONValue], usage: UsageCounts? = nil) -> JSONObject {
    var body: JSONObject = [
      "id": .string(id), "object": "chat.completion.chunk", "created": JSONValue(created), "model": .string(model),
      "choices": .array(choices),
    ]
    if let usage { body["usage"] = usage.openAI }
    return body
  }

  /// The first chunk of a choice: the role.
  func opening(choice: Int) -> JSONValue {
    [
      "index": JSONValue(choice), "delta": ["role": "assistant", "content": .string(echo)], "logprobs": .null,
      "finish_reason": .null,
    ]
  }

  /// A chunk's choice with `delta`, and with the tokens that have come since the last one.
  func delta(_ delta: JSONObject, choice: Int, tokens: [TokenEvent], end: ChatEnd? = nil) -> JSONValue {
    var item: JSONObject = ["index": JSONValue(choice), "delta": .object(delta)]
    item["logprobs"] =
      options.generation.topLogprobs == nil || tokens.isEmpty ? .null : content_logprobs(tokens)
    item["finish_reason"] = end.map { .string($0.finishReason) } ?? .null
    if let end { item["stop_reason"] = stopReason(end.end) }
    if options.returnsTokenIDs { item["token_ids"] = tokenList(tokens.map(\.token)) }
    return .object(item)
  }

  /// What `delta` holds for one piece; nil for pieces that are no text.
  static func delta(_ piece: ChatPiece) -> JSONObject? {
    switch piece {
    case .content(_, let text): return ["content": .string(text)]
    case .reasoning(_, let text): return ["reasoning_content": .string(text)]
    case .toolStarted(_, let index, let id, let name):
      return [
        "tool_calls": [
          [
            "index": JSONValue(index), "id": .string(id), "type": "function",
            "function": ["name": .string(name), "arguments": ""],
          ]
        ]
      ]
    case .toolArguments(_, let index, let text):
      return ["tool_calls": [["index": JSONValue(index), "function": ["arguments": .string(text)]]]]
    default: return nil
    }
  }
}
