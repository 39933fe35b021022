// `/v1/responses`: the response object and its output items.

import WeirBasics
import WeirEngine
import WeirText

struct ResponsesEncoder: Sendable {
  let id: String
  let created: Int
  let model: String
  let request: ResponsesRequest
  let logprobs: LogprobEncoder

  /// The response object in one of its states.
  func response(status: String, output: [JSONValue], counts: UsageCounts? = nil, end: ChatEnd? = nil) -> JSONObject {
    var body: JSONObject = [
      "id": .string(id), "object": "response", "created_at": JSONValue(created), "status": .string(status),
      "background": false, "error": .null, "incomplete_details": .null,
      "instructions": request.instructions.map(JSONValue.string) ?? .null, "model": .string(model),
      "output": .array(output), "tools": request.tools,
      "previous_response_id": request.previousID.map(JSONValue.string) ?? .null, "store": .bool(request.stores),
      "usage": counts?.responses ?? .null,
    ]
    for (key, value) in request.echoed { body[key] = value }
    if end?.end.reason == .length { body["incomplete_details"] = ["reason": "max_output_tokens"] }
    return body
  }

  static func status(_ end: ChatEnd) -> String {
    switch end.end.reason {
    case .stop: "completed"
    case .length: "incomplete"
    case .cancelled: "cancelled"
    }
  }

  func itemID(_ kind: String, _ index: Int) -> String { "\(kind)_\(id.dropFirst("resp_".count))_\(index)" }

  func reasoningItem(_ text: String, index: Int, status: String) -> JSONValue {
    let content: JSONValue = text.isEmpty ? [] : [["type": "reasoning_text", "text": .string(text)]]
    return [
      "id": .string(itemID("rs", index)), "type": "reasoning", "summary": [], "content": content,
      "status": .string(status),
    ]
  }

  func textPart(_ text: String, tokens: [TokenEvent] = []) -> JSONValue {
    [
      "type": "output_text", "text": .string(text), "annotations": [],
      "logprobs": .array(tokens.compactMap(\.logprob).map(logprobs.chat)),
    ]
  }

  func messageItem(_ parts: [JSONValue], index: Int, status: String) -> JSONValue {
    [
      "id": .string(itemID("msg", index)), "type": "message", "role": "assistant", "status": .string(status),
      "content": .array(parts),
    ]
  }

  func callItem(_ call: CollectedCall, index: Int, status: String) -> JSONValue {
    [
      "id": .string(itemID("fc", index)), "type": "function_call", "call_id": .string(call.id),
      "name": .string(call.name), "arguments": .string(call.arguments), "status": .string(status),
    ]
  }

  /// All items of a complete answer: reasoning, text, calls.
  func output(_ chat: CollectedChat) -> [JSONValue] {
    var items: [JSONValue] = []
    if !chat.reasoning.isEmpty { items.append(reasoningItem(chat.reasoning, index: 0, status: "completed")) }
    if !chat.content.isEmpty || (chat.calls.isEmpty && items.isEmpty) {
      let part = textPart(chat.content, tokens: chat.tokens)
      items.append(messageItem([part], index: items.count, status: Self.status(chat.end)))
    }
    for call in chat.calls { items.append(callItem(call, index: items.count, status: "completed")) }
    return items
  }

  /// The conversation with the answer behind it.
  func conversation(_ chat: CollectedChat) -> [ChatMessage] {
    var answer = ChatMessage(role: "assistant", content: .string(chat.content))
    if !chat.calls.isEmpty {
      answer.toolCalls = chat.calls.map {
        MessageFields.call(id: $0.id, name: $0.name, arguments: MessageFields.arguments(.string($0.arguments)))
      }
    }
    // Instructions are given anew with every request.
    let earlier = request.instructions == nil ? request.chat.messages[...] : request.chat.messages.dropFirst()
    return earlier + [answer]
  }
}
