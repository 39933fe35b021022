// Conversations in OpenAI's shape, as chat templates want them.

import WeirBasics
import WeirText

enum MessageFields {
  static func read(_ fields: FieldReader, field: String = "messages") throws(APIError) -> [ChatMessage] {
    guard let items = try fields.array(field) else {
      throw .missing(fields.name(field), "give a list of messages with role and content")
    }
    guard !items.isEmpty else { throw .invalid(fields.name(field), "\(fields.name(field)) must not be empty") }
    var messages: [ChatMessage] = []
    for (index, item) in items.enumerated() {
      messages.append(try message(try FieldReader(item, path: "\(fields.name(field))[\(index)]")))
    }
    return messages
  }

  private static func message(_ fields: FieldReader) throws(APIError) -> ChatMessage {
    let role = try role(fields)
    var message = ChatMessage(role: role, content: .null)
    if let content = fields["content"] {
      message.content = .string(try text(content, path: fields.name("content")))
    } else if role != "assistant" {
      throw .missing(fields.name("content"), "give a string or a list of parts")
    }
    message.name = try fields.string("name")
    message.toolCallID = try fields.string("tool_call_id")
    var reasoning = try fields.string("reasoning_content")
    if reasoning == nil { reasoning = try fields.string("reasoning") }
    if let reasoning {
      message.extra["reasoning_content"] = .string(reasoning)
    }
    if let calls = try fields.array("tool_calls"), !calls.isEmpty {
      var list: [JSONValue] = []
      for (index, call) in calls.enumerated() {
        list.append(try toolCall(try FieldReader(call, path: "\(fields.name("tool_calls"))[\(index)]")))
      }
      message.toolCalls = list
    }
    if role == "assistant", message.content.isNull, message.toolCalls == nil {
      throw .missing(fields.name("content"), "an assistant message needs content or tool_calls")
    }
    return message
  }

  private static func role(_ fields: FieldReader) throws(APIError) -> String {
    switch try fields.requiredString("role", hint: "use system, user, assistant or tool") {
    case "system", "developer": return "system"
    case "user": return "user"
    case "assistant": return "assistant"
    case "tool", "function": return "tool"
    case let other:
      throw .invalid(
        fields.name("role"), "\(other) is not a role; use system, developer, user, assistant or tool")
    }
  }

  /// A string, or the text parts of a list joined by line breaks.
  static func text(_ content: JSONValue, path: String) throws(APIError) -> String {
    if let text = content.string { return text }
    guard let parts = content.array else {
      throw .wrongType(path, wanted: "a string or a list of parts", got: content)
    }
    var texts: [String] = []
    for (index, part) in parts.enumerated() {
      let place = "\(path)[\(index)]"
      if let text = part.string {
        texts.append(text)
        continue
      }
      let fields = try FieldReader(part, path: place)
      switch try fields.string("type") ?? "text" {
      case "text", "input_text", "output_text":
        texts.append(try fields.requiredString("text", hint: "a text part needs its text"))
      case "refusal": texts.append(try fields.requiredString("refusal", hint: "a refusal part needs its text"))
      case "image_url", "input_image", "image":
        throw .unsupported(place, "images are not supported: this server has a text model")
      case let other:
        throw .unsupported(fields.name("type"), "\(other) parts are not supported; use text parts")
      }
    }
    return texts.joined(separator: "\n")
  }

  /// Templates read the arguments as an object; clients send them as a string.
  private static func toolCall(_ fields: FieldReader) throws(APIError) -> JSONValue {
    guard let function = try fields.reader("function") else {
      throw .missing(fields.name("function"), "give an object with name and arguments")
    }
    let name = try function.requiredString("name", hint: "the function that was called")
    return call(id: try fields.string("id"), name: name, arguments: arguments(function["arguments"]))
  }

  static func call(id: String?, name: String, arguments: JSONValue) -> JSONValue {
    var call: JSONObject = ["type": "function", "function": ["name": .string(name), "arguments": arguments]]
    if let id { call["id"] = .string(id) }
    return .object(call)
  }

  static func arguments(_ value: JSONValue?) -> JSONValue {
    guard let value else { return [:] }
    guard let text = value.string else { return value }
    if let parsed = try? JSONValue.parse(text), parsed.object != nil { return parsed }
    return text.isEmpty ? [:] : value
  }
}
