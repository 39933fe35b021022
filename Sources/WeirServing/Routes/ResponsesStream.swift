// The events of one streamed response.

import WeirBasics
import WeirEngine

struct ResponsesStream {
  private enum Item: Equatable {
    case reasoning
    case message
    case call
  }

  private let encoder: ResponsesEncoder
  private let run: ChatRun
  private var assembler: ChatAssembler
  private var number = 0
  private var output: [JSONValue] = []
  private var open: Item?
  private var text = ""
  private var call = CollectedCall(id: "", name: "")
  private var collected = CollectedChat()

  init(encoder: ResponsesEncoder, run: ChatRun) {
    self.encoder = encoder
    self.run = run
    assembler = run.assembler()
  }

  /// Writes everything; `finish` gets the final response object and the whole answer.
  mutating func write(
    to sink: EventSink, retryAfter: Double, finish: @Sendable (JSONObject, CollectedChat?) -> Void
  ) async {
    let initial = JSONValue.object(encoder.response(status: "in_progress", output: []))
    send("response.created", ["response": initial], sink)
    send("response.in_progress", ["response": initial], sink)
    var isDone = false
    do {
      for try await event in run.started.feed.events {
        for piece in assembler.append(event) {
          collected.add(piece)
          if case .done(let counts, let usage) = piece {
            isDone = true
            finish(close(counts, usage, sink), collected)
          } else {
            write(piece, sink)
          }
        }
      }
      // The reader has gone: nobody hears of it, but the stored response must not look alive.
      if !isDone { finish(encoder.response(status: "cancelled", output: output), nil) }
    } catch {
      let failure = APIError.from(error, retryAfter: retryAfter)
      var body = encoder.response(status: "failed", output: output)
      body["error"] = ["code": .string(failure.code), "message": .string(failure.message)]
      finish(body, nil)
      send("response.failed", ["response": .object(body)], sink)
    }
  }

  private mutating func send(_ type: String, _ fields: JSONObject, _ sink: EventSink) {
    var body: JSONObject = ["type": .string(type), "sequence_number": JSONValue(number)]
    for (key, value) in fields { body[key] = value }
    number += 1
    sink.send(.object(body), event: type)
  }

  private mutating func write(_ piece: ChatPiece, _ sink: EventSink) {
    switch piece {
    case .reasoning(_, let words):
      enter(.reasoning, sink)
      text += words
      delta("response.reasoning_text.delta", words, part: true, sink)
    case .content(_, let words):
      if open == .call, words.allSatisfy(\.isWhitespace) { return }
      enter(.message, sink)
      text += words
      delta("response.output_text.delta", words, part: true, sink)
    case .toolStarted(_, _, let id, let name):
      leave(sink)
      call = CollectedCall(id: id, name: name)
      enter(.call, sink)
    case .toolArguments(_, _, let words):
      call.arguments += words
      delta("response.function_call_arguments.delta", words, part: false, sink)
    case .toolFinished: leave(sink)
    case .prompt, .token, .finished, .done: break
    }
  }

  private var itemID: String {
    switch open {
    case .reasoning: encoder.itemID("rs", output.count)
    case .call: encoder.itemID("fc", output.count)
    default: encoder.itemID("msg", output.count)
    }
  }

  private func place(part: Bool) -> JSONObject {
    var fields: JSONObject = ["item_id": .string(itemID), "output_index": JSONValue(output.count)]
    if part { fields["content_index"] = 0 }
    return fields
  }

  private mutating func delta(_ type: String, _ words: String, part: Bool, _ sink: EventSink) {
    var fields = place(part: part)
    fields["delta"] = .string(words)
    if type == "response.output_text.delta" { fields["logprobs"] = [] }
    send(type, fields, sink)
  }

  private func item(status: String) -> JSONValue {
    switch open {
    case .reasoning: encoder.reasoningItem(text, index: output.count, status: status)
    case .call: encoder.callItem(call, index: output.count, status: status)
    default:
      encoder.messageItem(
        status == "in_progress" ? [] : [encoder.textPart(text, tokens: collected.tokens)], index: output.count,
        status: status)
    }
  }

  private mutating func enter(_ item: Item, _ sink: EventSink) {
    guard open != item else { return }
    leave(sink)
    open = item
    text = ""
    send(
      "response.output_item.added",
      ["output_index": JSONValue(output.count), "item": self.item(status: "in_progress")], sink)
    if item == .message {
      var fields = place(part: true)
      fields["part"] = encoder.textPart("")
      send("response.content_part.added", fields, sink)
    }
  }

  private mutating func leave(_ sink: EventSink) {
    guard let item = open else { return }
    var fields = place(part: item != .call)
    switch item {
    case .reasoning:
      fields["text"] = .string(text)
      send("response.reasoning_text.done", fields, sink)
    case .call:
      fields["name"] = .string(call.name)
      fields["arguments"] = .string(call.arguments)
      send("response.function_call_arguments.done", fields, sink)
    case .message:
      var done = fields
      done["text"] = .string(text)
      done["logprobs"] = []
      send("response.output_text.done", done, sink)
      fields["part"] = encoder.textPart(text, tokens: collected.tokens)
      send("response.content_part.done", fields, sink)
    }
    let finished = self.item(status: "completed")
    send("response.output_item.done", ["output_index": JSONValue(output.count), "item": finished], sink)
    output.append(finished)
    open = nil
  }

  private mutating func close(_ counts: UsageCounts, _ usage: UsageReport, _ sink: EventSink) -> JSONObject {
    if output.isEmpty, open == nil { enter(.message, sink) }
    leave(sink)
    let status = ResponsesEncoder.status(collected.end)
    let body = encoder.response(status: status, output: output, counts: counts, end: collected.end)
    send(status == "incomplete" ? "response.incomplete" : "response.completed", ["response": .object(body)], sink)
    return body
  }
}
