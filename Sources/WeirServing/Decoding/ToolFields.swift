// Tools and the choice among them.

import WeirBasics

/// Whether and which tool the model must call.
enum ToolChoice: Sendable, Equatable {
  case none
  case auto
  case required
  case named(String)
}

/// The tools of one request, in OpenAI's chat shape, which templates know.
struct ToolSet: Sendable {
  var tools: [JSONValue] = []
  var choice = ToolChoice.none
  var allowsParallel = true

  init() {}

  /// Reads `tools`, `tool_choice` and `parallel_tool_calls` of a chat request.
  init(_ fields: FieldReader) throws(APIError) {
    for (index, item) in (try fields.array("tools") ?? []).enumerated() {
      let tool = try FieldReader(item, path: "\(fields.name("tools"))[\(index)]")
      let type = try tool.string("type") ?? "function"
      guard type == "function" else {
        throw .unsupported(tool.name("type"), "\(type) tools are not supported; use function tools")
      }
      guard let function = try tool.reader("function") else {
        throw .missing(tool.name("function"), "give an object with name and parameters")
      }
      tools.append(
        try ToolSet.tool(function, parameters: "parameters", description: try function.string("description")))
    }
    choice = try ToolSet.choice(fields, hasTools: !tools.isEmpty)
    allowsParallel = try fields.bool("parallel_tool_calls") ?? true
    try checkChoice(fields.name("tool_choice"))
  }

  /// One tool in the chat shape, from an object that holds its name and, under `parameters`, its schema.
  static func tool(_ fields: FieldReader, parameters: String, description: String?) throws(APIError) -> JSONValue {
    let name = try fields.requiredString("name", hint: "the function's name")
    guard !name.isEmpty, name.utf8.count <= 256 else {
      throw .invalid(fields.name("name"), "a function's name must have 1 to 256 bytes")
    }
    var function: JSONObject = ["name": .string(name)]
    if let description { function["description"] = .string(description) }
    if let schema = fields[parameters] {
      function["parameters"] = try ConstraintFields.checkedSchema(schema, path: fields.name(parameters))
    } else {
      function["parameters"] = ["type": "object", "properties": [:]]
    }
    return ["type": "function", "function": .object(function)]
  }

  private static func choice(_ fields: FieldReader, hasTools: Bool) throws(APIError) -> ToolChoice {
    guard let value = fields["tool_choice"] else { return hasTools ? .auto : .none }
    if let word = value.string {
      switch word {
      case "none": return .none
      case "auto": return hasTools ? .auto : .none
      case "required": return .required
      default:
        throw .invalid(
          fields.name("tool_choice"), "\(word) is not a tool choice; use none, auto, required or a named function")
      }
    }
    let named = try FieldReader(value, path: fields.name("tool_choice"))
    // Chat wraps the name in "function"; the responses API does not.
    let holder = try named.reader("function") ?? named
    return .named(try holder.requiredString("name", hint: "the function to call"))
  }

  func checkChoice(_ path: String) throws(APIError) {
    switch choice {
    case .none, .auto: return
    case .required:
      guard tools.isEmpty else { return }
      throw .invalid(path, "a tool call is required, but there are no tools")
    case .named(let name):
      guard !names.contains(name) else { return }
      throw .invalid(path, "the function \(name) is not among the tools: \(names.joined(separator: ", "))")
    }
  }

  var names: [String] { tools.compactMap { $0["function"]?["name"]?.string } }

  /// Tools that the prompt shows: none if the model may not call any.
  var shown: [JSONValue]? { tools.isEmpty || choice == .none ? nil : tools }
}
