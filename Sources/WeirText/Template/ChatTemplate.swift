// Conversations to prompts.
public import WeirBasics
public import WeirModelFiles

/// One message of a conversation, as templates see it.
public struct ChatMessage: Sendable, Equatable {
  public var role: String
  /// A string, a list of parts (`{"type": "text", "text": ...}`), or null.
  public var content: JSONValue
  /// In the OpenAI form: `{"id", "type": "function", "function": {"name", "arguments"}}`.
  public var toolCalls: [JSONValue]?
  public var toolCallID: String?
  public var name: String?
  /// Further members, for example `reasoning_content`.
  public var extra: JSONObject

  public init(
    role: String, content: JSONValue, toolCalls: [JSONValue]? = nil, toolCallID: String? = nil, name: String? = nil,
    extra: JSONObject = JSONObject()
  ) {
    self.role = role
    self.content = content
    self.toolCalls = toolCalls
    self.toolCallID = toolCallID
    self.name = name
    self.extra = extra
  }

  /// What the template sees. Arguments of tool calls, a JSON text on the wire, become the object they spell, which is
  /// what templates expect.
  var value: JSONValue {
    var object = JSONObject([("role", .string(role)), ("content", content)])
    if let toolCalls { object["tool_calls"] = .array(toolCalls.map(Self.withParsedArguments)) }
    if let toolCallID { object["tool_call_id"] = .string(toolCallID) }
    if let name { object["name"] = .string(name) }
    for (key, value) in extra { object[key] = value }
    return .object(object)
  }

  private static func withParsedArguments(_ call: JSONValue) -> JSONValue {
    guard case .object(var object) = call, case .object(var function)? = object["function"],
      let text = function["arguments"]?.string, let parsed = try? JSONValue.parse(text), parsed.object != nil
    else { return call }
    function["arguments"] = parsed
    object["function"] = .object(function)
    return .object(object)
  }
}

/// A chat template: parsed once, rendered for every request.
public struct ChatTemplate: Sendable {
  /// The template's text.
  public let source: String
  public let bosToken: String
  public let eosToken: String
  public var limits = TemplateLimits()
  private let body: [TemplateStatement]

  /// - Parameters:
  ///   - source: Jinja, in the subset that chat templates use.
  ///   - bosToken: what `bos_token` stands for.
  ///   - eosToken: what `eos_token` stands for.
  /// - Throws: `template_syntax` naming the line and what was expected.
  public init(source: String, bosToken: String = "", eosToken: String = "") throws(TextError) {
    var parser = try TemplateParser(source: source)
    body = try parser.parse()
    self.source = source
    self.bosToken = bosToken
    self.eosToken = eosToken
  }

  /// The prompt for a conversation.
  /// - Parameters:
  ///   - messages: the conversation, oldest first.
  ///   - tools: tool definitions in the OpenAI form; nil: the template sees `tools` as none.
  ///   - addGenerationPrompt: end with the beginning of an answer.
  ///   - extra: further variables (`chat_template_kwargs`); they replace ours of the same name.
  ///   - unixTime: what `strftime_now` shows, in seconds since 1970; nil: the function is not there.
  /// - Throws: `template_raised` when the template refuses the conversation, `template_failed` when it uses what is not
  ///   there, `template_limit` when it takes too long or writes too much.
  public func render(
    messages: [ChatMessage], tools: [JSONValue]? = nil, addGenerationPrompt: Bool = true,
    extra: [String: JSONValue] = [:], unixTime: Int64? = nil
  ) throws(TextError) -> String {
    var variables: [String: JSONValue] = [
      "messages": .array(messages.map(\.value)), "tools": tools.map { .array($0) } ?? .null, "documents": .null,
      "add_generation_prompt": .bool(addGenerationPrompt), "bos_token": .string(bosToken),
      "eos_token": .string(eosToken),
    ]
    variables.merge(extra) { _, new in new }
    return try render(variables: variables, unixTime: unixTime)
  }

  /// The template over plain variables.
  public func render(variables: [String: JSONValue], unixTime: Int64? = nil) throws(TextError) -> String {
    let scope = TemplateScope(parent: nil)
    for (name, value) in variables { scope.set(name, TemplateValue(value)) }
    return try TemplateRun(limits: limits, unixTime: unixTime).render(body, scope: TemplateScope(parent: scope))
  }

  /// One of the templates that come with Weir: `chatml`, `llama-3` or `plain`.
  /// - Throws: `template_missing` for another name.
  public static func builtin(named name: String, bosToken: String = "", eosToken: String = "") throws(TextError)
    -> ChatTemplate
  {
    guard let source = BuiltinTemplates.sources[name] else {
      let known = BuiltinTemplates.sources.keys.sorted().joined(separator: ", ")
      throw TextError(
        code: "template_missing", message: "there is no built-in template \"\(name)\"; known are \(known)")
    }
    return try ChatTemplate(source: source, bosToken: bosToken, eosToken: eosToken)
  }

  /// The template of a model's files; without one, the built-in that fits the vocabulary, at last `plain`.
  /// - Throws: `template_syntax` when the model's template cannot be read.
  public static func of(source: ModelSource, tokenizer: Tokenizer) throws(TextError) -> ChatTemplate {
    let bos = tokenizer.bosToken.map { tokenizer.tokenText($0) } ?? ""
    let eos = tokenizer.eosToken.map { tokenizer.tokenText($0) } ?? ""
    let text: String? =
      switch source {
      case .gguf(let file): file.metadata["tokenizer.chat_template"]?.stringValue
      case .huggingFace(let folder): folder.chatTemplate
      }
    if let text, !text.isEmpty { return try ChatTemplate(source: text, bosToken: bos, eosToken: eos) }
    let name =
      tokenizer.tokenID(forText: "<|im_start|>") != nil
      ? "chatml" : tokenizer.tokenID(forText: "<|start_header_id|>") != nil ? "llama-3" : "plain"
    return try builtin(named: name, bosToken: bos, eosToken: eos)
  }
}
