// The body of /v1/responses, turned into the same conversation that chat completions use.

import WeirBasics
import WeirEngine
import WeirSampling
import WeirText

/// A decoded request with the fields that the response repeats.
struct ResponsesRequest: Sendable {
  var chat: ChatRequest
  /// The tools as the client spelled them.
  var tools: JSONValue
  var stores: Bool
  var previousID: String?
  var instructions: String?
  /// Repeated in every response object.
  var echoed: JSONObject

  init(
    _ fields: FieldReader, caller: CallerContext, limits: DecodingLimits, earlier: (String) -> [ChatMessage]?
  ) throws(APIError) {
    if try fields.bool("background") == true {
      throw .unsupported("background", "background responses are not supported")
    }
    var options = try RequestOptions(fields, caller: caller, limits: limits)
    options.generation.choices = 1
    options.generation.maxTokens = try RequestOptions.maxTokens(fields, ["max_output_tokens"])
    options.generation.topLogprobs = try fields.integer("top_logprobs", in: 0...limits.maxLogprobs)
    if let format = try fields.reader("text")?.reader("format") {
      options.generation.constraint = try ResponsesRequest.constraint(format) ?? options.generation.constraint
    }
    stores = try fields.bool("store") ?? true
    instructions = try fields.string("instructions")
    previousID = try fields.string("previous_response_id")
    var messages: [ChatMessage] = []
    if let instructions { messages.append(ChatMessage(role: "system", content: .string(instructions))) }
    if let previousID {
      guard let known = earlier(previousID) else {
        throw .notFound(
          "There is no response \(previousID).", code: "response_not_found", param: "previous_response_id")
      }
      messages += known
    }
    messages += try ResponsesRequest.input(fields)
    chat = ChatRequest(options: options, messages: messages)
    tools = fields["tools"] ?? []
    chat.tools = try ResponsesRequest.tools(fields)
    if let arguments = try fields.reader("chat_template_kwargs") {
      for (key, value) in arguments.object { chat.templateArguments[key] = value }
    }
    echoed = JSONObject()
    for key in ["temperature", "top_p", "max_output_tokens", "tool_choice", "truncation", "reasoning", "text", "user"] {
      echoed[key] = fields[key] ?? .null
    }
    echoed["metadata"] = options.metadata ?? [:]
    if fields["tool_choice"] == nil { echoed["tool_choice"] = "auto" }
    if fields["temperature"] == nil { echoed["temperature"] = 1 }
    if fields["top_p"] == nil { echoed["top_p"] = 1 }
    if fields["text"] == nil { echoed["text"] = ["format": ["type": "text"]] }
    echoed["parallel_tool_calls"] = .bool(chat.tools.allowsParallel)
  }

  private static func constraint(_ format: FieldReader) throws(APIError) -> ConstraintSource? {
    switch try format.requiredString("type", hint: "give text, json_object or json_schema") {
    case "text": return nil
    case "json_object": return .jsonObject
    case "json_schema":
      guard let schema = format["schema"] else { throw .missing(format.name("schema"), "give the JSON schema") }
      return .jsonSchema(try ConstraintFields.checkedSchema(schema, path: format.name("schema")))
    case let other:
      throw .invalid(format.name("type"), "\(other) is not a text format; use text, json_object or json_schema")
    }
  }

  private static func input(_ fields: FieldReader) throws(APIError) -> [ChatMessage] {
    guard let input = fields["input"] else { throw .missing("input", "give a string or a list of items") }
    if let text = input.string { return [ChatMessage(role: "user", content: .string(text))] }
    guard let items = input.array else { throw .wrongType("input", wanted: "a string or a list of items", got: input) }
    var messages: [ChatMessage] = []
    for (index, item) in items.enumerated() {
      try add(try FieldReader(item, path: "input[\(index)]"), to: &messages)
    }
    guard !messages.isEmpty else { throw .invalid("input", "input must hold at least one message") }
    return messages
  }

  private static func add(_ item: FieldReader, to messages: inout [ChatMessage]) throws(APIError) {
    switch try item.string("type") ?? "message" {
    case "message":
      let role = try item.requiredString("role", hint: "use system, developer, user or assistant")
      guard ["system", "developer", "user", "assistant"].contains(role) else {
        throw .invalid(item.name("role"), "\(role) is not a role; use system, developer, user or assistant")
      }
      guard let content = item["content"] else { throw .missing(item.name("content"), "give text or parts") }
      let text = try MessageFields.text(content, path: item.name("content"))
      messages.append(ChatMessage(role: role == "developer" ? "system" : role, content: .string(text)))
    case "function_call":
      let call = MessageFields.call(
        id: try item.string("call_id"), name: try item.requiredString("name", hint: "the function that was called"),
        arguments: MessageFields.arguments(item["arguments"]))
      // Calls of one turn come as items side by side; they are one message.
      if let last = messages.indices.last, messages[last].role == "assistant" {
        messages[last].toolCalls = (messages[last].toolCalls ?? []) + [call]
      } else {
        var message = ChatMessage(role: "assistant", content: .string(""))
        message.toolCalls = [call]
        messages.append(message)
      }
    case "function_call_output":
      guard let output = item["output"] else { throw .missing(item.name("output"), "give what the function said") }
      var message = ChatMessage(
        role: "tool", content: .string(try MessageFields.text(output, path: item.name("output"))))
      message.toolCallID = try item.string("call_id")
      messages.append(message)
    case "reasoning": return
    case let other: throw .unsupported(item.name("type"), "\(other) items are not supported")
    }
  }

  private static func tools(_ fields: FieldReader) throws(APIError) -> ToolSet {
    // The same fields as in chat, except that a tool's function is not wrapped.
    var wrapped: [JSONValue] = []
    for (index, item) in (try fields.array("tools") ?? []).enumerated() {
      let tool = try FieldReader(item, path: "tools[\(index)]")
      let type = try tool.requiredString("type", hint: "use function")
      guard type == "function" else {
        throw .unsupported(tool.name("type"), "\(type) tools are not supported; use function tools")
      }
      wrapped.append(["type": "function", "function": item])
    }
    var object = JSONObject()
    object["tools"] = .array(wrapped)
    object["tool_choice"] = fields["tool_choice"] ?? .null
    object["parallel_tool_calls"] = fields["parallel_tool_calls"] ?? .null
    return try ToolSet(FieldReader(object))
  }
}
