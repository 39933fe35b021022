// Forced tool calls: from the tools a request names to a constraint on the answer.

public import WeirBasics

/// Makes the constraint that forces a call of one of the given tools.
public enum ToolChoiceConstraint {
  /// One tool a model may call.
  public struct Tool: Sendable, Equatable {
    public var name: String
    /// JSON Schema of the arguments; nil: any object.
    public var parameters: JSONValue?

    public init(name: String, parameters: JSONValue? = nil) {
      self.name = name
      self.parameters = parameters
    }

    /// Reads OpenAI's form `{"type": "function", "function": {"name": ..., "parameters": ...}}`, or the inner object.
    ///
    /// - Throws: `SamplingError` if there is no name.
    public init(_ value: JSONValue) throws(SamplingError) {
      let function = value["function"] ?? value
      guard let name = function["name"]?.string, !name.isEmpty else {
        throw SamplingError(.invalidSchema, "a tool has no 'function.name'; it must be a string", parameter: "tools")
      }
      self.init(name: name, parameters: function["parameters"])
    }
  }

  /// What the model must write around the call.
  public enum Form: Sendable, Equatable {
    /// `{"name": "...", "arguments": {...}}` and nothing else.
    case plain
    /// The same between `<tool_call>` and `</tool_call>`, each on a line of its own; one call or several.
    case wrapped(several: Bool)
  }

  /// The constraint that forces a call.
  ///
  /// - Parameters:
  ///   - tools: what may be called; their schemas' `$ref` resolve inside each schema.
  ///   - name: the one tool to call (a named `tool_choice`); nil: any of them (`required`).
  ///   - form: how the call is written.
  /// - Returns: a source for `TokenConstraint`.
  /// - Throws: `SamplingError` if there is no tool, no tool of that name, or a schema cannot be compiled.
  public static func source(
    tools: [Tool], named name: String? = nil, form: Form = .plain
  ) throws(SamplingError) -> ConstraintSource {
    guard !tools.isEmpty else {
      throw SamplingError(.invalidParameter, "a tool call is required but there are no tools", parameter: "tools")
    }
    let callable = tools.filter { name == nil || $0.name == name }
    guard !callable.isEmpty else {
      throw SamplingError(
        .invalidParameter, "tool_choice names '\(name ?? "")', which is none of the tools", parameter: "tool_choice")
    }
    let source = ConstraintSource.toolCalls(callable, form)
    try source.validate()
    return source
  }

  /// The rules of one of the calls.
  static func description(_ tools: [Tool], _ form: Form) throws(SamplingError) -> GrammarDescription {
    var grammar = GrammarDescription()
    let root = grammar.add("root")
    var calls: [GrammarExpression] = []
    for tool in tools {
      let inner = try JSONSchemaCompiler.compile(tool.parameters ?? ["type": "object"])
      let arguments = grammar.append(inner)
      calls.append(
        .sequence([
          .text("{\"name\":"), JSONGrammar.gap, .text(JSONValue.quoted(tool.name)), JSONGrammar.comma,
          .text("\"arguments\":"), JSONGrammar.gap, .rule(arguments), .text("}"),
        ]))
    }
    let call = calls.count == 1 ? calls[0] : .choice(calls)
    switch form {
    case .plain: grammar.rules[root].expression = call
    case .wrapped(let several):
      let one = GrammarExpression.sequence([.text("<tool_call>\n"), call, .text("\n</tool_call>")])
      let more = GrammarExpression.repeated(.sequence([.text("\n"), one]), 0, several ? nil : 0)
      grammar.rules[root].expression = .sequence([one, more])
    }
    return grammar
  }
}

extension GrammarDescription {
  /// Adds all rules of `other` and returns the index of its root here.
  mutating func append(_ other: GrammarDescription) -> Int {
    let offset = rules.count
    for rule in other.rules {
      rules.append(Rule(name: rule.name, expression: rule.expression.shifted(by: offset)))
    }
    return other.root + offset
  }
}

extension GrammarExpression {
  /// The same with every rule number raised.
  func shifted(by offset: Int) -> GrammarExpression {
    switch self {
    case .empty, .nothing, .bytes, .scalars, .literals: self
    case .rule(let number): .rule(number + offset)
    case .sequence(let parts): .sequence(parts.map { $0.shifted(by: offset) })
    case .choice(let parts): .choice(parts.map { $0.shifted(by: offset) })
    case .repeated(let body, let minimum, let maximum): .repeated(body.shifted(by: offset), minimum, maximum)
    }
  }
}
