// The body of /v1/messages, turned into the same conversation that chat completions use.

import WeirBasics
import WeirEngine
import WeirText

enum AnthropicRequest {
  /// Decodes a messages request. `needsLimit` is false for counting tokens, which has no `max_tokens`.
  static func chat(
    _ fields: FieldReader, caller: CallerContext, limits: DecodingLimits, needsLimit: Bool = true
  ) throws(APIError) -> ChatRequest {
    var options = try RequestOptions(fields, caller: caller, limits: limits)
    if needsLimit {
      guard let limit = try fields.integer("max_tokens", in: 1...Int.max) else {
        throw .missing("max_tokens", "give the most tokens the answer may have")
      }
      options.generation.maxTokens = limit
    }
    options.generation.stopStrings = try RequestOptions.stopStrings(fields, field: "stop_sequences")
    var messages: [ChatMessage] = []
    if let system = fields["system"] {
      let text = try MessageFields.text(system, path: "system")
      if !text.isEmpty { messages.append(ChatMessage(role: "system", content: .string(text))) }
    }
    messages += try self.messages(fields)
    var chat = ChatRequest(options: options, messages: messages)
    chat.tools = try tools(fields)
    if let thinking = try fields.reader("thinking") {
      let type = try thinking.requiredString("type", hint: "use enabled, adaptive or disabled")
      chat.templateArguments["enable_thinking"] = .bool(type != "disabled")
    }
    // An unfinished answer at the end is continued.
    if messages.last?.role == "assistant" {
      chat.continuesFinalMessage = true
      chat.addsGenerationPrompt = false
    }
    return chat
  }

  private static func messages(_ fields: FieldReader) throws(APIError) -> [ChatMessage] {
    guard let items = try fields.array("messages"), !items.isEmpty else {
      throw .missing("messages", "give a list of at least one message")
    }
    var messages: [ChatMessage] = []
    for (index, item) in items.enumerated() {
      let message = try FieldReader(item, path: "messages[\(index)]")
      let role = try message.requiredString("role", hint: "use user or assistant")
      guard role == "user" || role == "assistant" || role == "system" else {
        throw .invalid(message.name("role"), "\(role) is not a role; use user or assistant")
      }
      guard let content = message["content"] else {
        throw .missing(message.name("content"), "give a string or a list of blocks")
      }
      messages += try self.message(role: role, content: content, path: message.name("content"))
    }
    return messages
  }

  /// One message of blocks can be several of ours: every tool result is a message of its own.
  private static func message(
    role: String, content: JSONValue, path: String
  ) throws(APIError) -> [ChatMessage] {
    if let text = content.string { return [ChatMessage(role: role, content: .string(text))] }
    guard let blocks = content.array else {
      throw .wrongType(path, wanted: "a string or a list of blocks", got: content)
    }
    var results: [ChatMessage] = []
    var texts: [String] = []
    var calls: [JSONValue] = []
    for (index, item) in blocks.enumerated() {
      let block = try FieldReader(item, path: "\(path)[\(index)]")
      switch try block.requiredString("type", hint: "use text, tool_use or tool_result") {
      case "text": texts.append(try block.requiredString("text", hint: "a text block needs its text"))
      case "tool_use":
        calls.append(
          MessageFields.call(
            id: try block.string("id"), name: try block.requiredString("name", hint: "the tool that was used"),
            arguments: block["input"] ?? [:]))
      case "tool_result": results.append(try toolResult(block))
      case "thinking", "redacted_thinking": continue
      case "image", "document":
        throw .unsupported(block.path, "images and documents are not supported: this server has a text model")
      case let other: throw .unsupported(block.name("type"), "\(other) blocks are not supported")
      }
    }
    if texts.isEmpty && calls.isEmpty && !results.isEmpty { return results }
    var message = ChatMessage(role: role, content: .string(texts.joined(separator: "\n")))
    if !calls.isEmpty { message.toolCalls = calls }
    return results + [message]
  }

  private static func toolResult(_ block: FieldReader) throws(APIError) -> ChatMessage {
    let text = try block["content"].map { value throws(APIError) in
      try MessageFields.text(value, path: block.name("content"))
    }
    var message = ChatMessage(role: "tool", content: .string(text ?? ""))
    message.toolCallID = try block.requiredString("tool_use_id", hint: "the call that this answers")
    return message
  }

  private static func tools(_ fields: FieldReader) throws(APIError) -> ToolSet {
    var set = ToolSet()
    for (index, item) in (try fields.array("tools") ?? []).enumerated() {
      let tool = try FieldReader(item, path: "tools[\(index)]")
      if let type = try tool.string("type"), type != "custom" {
        throw .unsupported(tool.name("type"), "\(type) is a server tool, which is not supported; give input_schema")
      }
      set.tools.append(
        try ToolSet.tool(tool, parameters: "input_schema", description: try tool.string("description")))
    }
    set.choice = set.tools.isEmpty ? .none : .auto
    if let choice = try fields.reader("tool_choice") {
      switch try choice.requiredString("type", hint: "use auto, any, tool or none") {
      case "auto": break
      case "none": set.choice = .none
      case "any": set.choice = .required
      case "tool": set.choice = .named(try choice.requiredString("name", hint: "the tool to use"))
      case let other:
        throw .invalid(choice.name("type"), "\(other) is not a tool choice; use auto, any, tool or none")
      }
      set.allowsParallel = !(try choice.bool("disable_parallel_tool_use") ?? false)
    }
    try set.checkChoice("tool_choice")
    return set
  }
}
