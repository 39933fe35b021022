// `/v1/messages`: the whole message, and the events of a streamed one.

import WeirBasics
import WeirEngine

struct AnthropicEncoder: Sendable {
  let id: String
  let model: String

  static func stopReason(_ end: ChatEnd) -> String {
    if end.calledTools { return "tool_use" }
    switch end.end.reason {
    case .length: return "max_tokens"
    case .stop: return end.end.stopString == nil ? "end_turn" : "stop_sequence"
    case .cancelled: return "end_turn"
    }
  }

  private static func stopSequence(_ end: ChatEnd) -> JSONValue {
    end.end.stopString.map(JSONValue.string) ?? .null
  }

  func message(_ content: [JSONValue], end: ChatEnd?, usage: UsageCounts) -> JSONObject {
    [
      "id": .string(id), "type": "message", "role": "assistant", "model": .string(model),
      "content": .array(content), "stop_reason": end.map { .string(Self.stopReason($0)) } ?? .null,
      "stop_sequence": end.map(Self.stopSequence) ?? .null, "usage": usage.anthropic,
    ]
  }

  func answer(_ result: CollectedChatGeneration, options: RequestOptions) -> JSONValue {
    let chat = result.choices[0]
    var blocks: [JSONValue] = []
    if !chat.reasoning.isEmpty {
      blocks.append(["type": "thinking", "thinking": .string(chat.reasoning), "signature": ""])
    }
    if !chat.content.isEmpty || (chat.calls.isEmpty && chat.reasoning.isEmpty) {
      blocks.append(["type": "text", "text": .string(chat.content)])
    }
    for call in chat.calls {
      blocks.append([
        "type": "tool_use", "id": .string(call.id), "name": .string(call.name),
        "input": MessageFields.arguments(.string(call.arguments)),
      ])
    }
    var body = message(blocks, end: chat.end, usage: result.counts)
    if let report = WeirReport.object(result.prompt, result.usage, options: options) { body["weir"] = report }
    return .object(body)
  }

  func messageDelta(_ end: ChatEnd, usage: UsageCounts) -> JSONValue {
    [
      "type": "message_delta",
      "delta": ["stop_reason": .string(Self.stopReason(end)), "stop_sequence": Self.stopSequence(end)],
      "usage": usage.anthropic,
    ]
  }
}

/// The events of one streamed message: blocks open and close as the kind of text changes.
struct AnthropicStream {
  private enum Block: Equatable {
    case text
    case thinking
    case tool(Int)
  }

  private let encoder: AnthropicEncoder
  private let run: ChatRun
  private var assembler: ChatAssembler
  private var counts = UsageCounts()
  private var open: Block?
  private var index = -1
  private var end: ChatEnd?

  init(encoder: AnthropicEncoder, run: ChatRun) {
    self.encoder = encoder
    self.run = run
    assembler = run.assembler()
  }

  mutating func write(to sink: EventSink, retryAfter: Double) async {
    do {
      for try await event in run.started.feed.events {
        for piece in assembler.append(event) { write(piece, to: sink) }
      }
    } catch {
      sink.send(APIError.from(error, retryAfter: retryAfter).body(.anthropic, requestID: nil), event: "error")
    }
  }

  private mutating func write(_ piece: ChatPiece, to sink: EventSink) {
    switch piece {
    case .prompt(let report):
      counts.prompt = report.promptTokens
      counts.cached = report.cachedTokens
      let message = encoder.message([], end: nil, usage: counts)
      sink.send(["type": "message_start", "message": .object(message)], event: "message_start")
      sink.send(["type": "ping"], event: "ping")
    case .token: counts.completion += 1
    case .reasoning(_, let text):
      enter(.thinking, ["type": "thinking", "thinking": "", "signature": ""], sink)
      delta(["type": "thinking_delta", "thinking": .string(text)], sink)
    case .content(_, let text):
      // White space between tool calls is no block.
      if case .tool = open, text.allSatisfy(\.isWhitespace) { return }
      enter(.text, ["type": "text", "text": ""], sink)
      delta(["type": "text_delta", "text": .string(text)], sink)
    case .toolStarted(_, let call, let id, let name):
      enter(.tool(call), ["type": "tool_use", "id": .string(id), "name": .string(name), "input": [:]], sink)
    case .toolArguments(_, _, let text): delta(["type": "input_json_delta", "partial_json": .string(text)], sink)
    case .toolFinished: leave(sink)
    case .finished(let ended): end = ended
    case .done(let final, _): close(final, sink)
    }
  }

  private mutating func enter(_ block: Block, _ content: JSONValue, _ sink: EventSink) {
    guard open != block else { return }
    leave(sink)
    index += 1
    open = block
    sink.send(
      ["type": "content_block_start", "index": JSONValue(index), "content_block": content],
      event: "content_block_start")
  }

  private func delta(_ delta: JSONValue, _ sink: EventSink) {
    sink.send(
      ["type": "content_block_delta", "index": JSONValue(index), "delta": delta], event: "content_block_delta")
  }

  private mutating func leave(_ sink: EventSink) {
    guard open != nil else { return }
    open = nil
    sink.send(["type": "content_block_stop", "index": JSONValue(index)], event: "content_block_stop")
  }

  private mutating func close(_ final: UsageCounts, _ sink: EventSink) {
    if index < 0 { enter(.text, ["type": "text", "text": ""], sink) }
    leave(sink)
    if let end { sink.send(encoder.messageDelta(end, usage: final), event: "message_delta") }
    sink.send(["type": "message_stop"], event: "message_stop")
  }
}
