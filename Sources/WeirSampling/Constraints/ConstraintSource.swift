// What a client may ask the output to look like.

public import WeirBasics

/// A description of the legal outputs. All kinds are compiled to one form of automaton.
public enum ConstraintSource: Sendable, Equatable {
  /// JSON that satisfies a schema (the subset in the room's documentation); members in the schema's order.
  case jsonSchema(JSONValue)
  /// Any JSON object.
  case jsonObject
  /// The whole output matches a regular expression.
  case regex(String)
  /// The whole output is derived from the rule `root` of a GBNF grammar (llama.cpp's notation).
  case grammar(String)
  /// The output is exactly one of these.
  case choice([String])
  /// A forced tool call; made by `ToolChoiceConstraint.source`.
  case toolCalls([ToolChoiceConstraint.Tool], ToolChoiceConstraint.Form)
}

extension ConstraintSource {
  /// Distinguishes sources in the cache. Schemas that differ in the order of members differ: so do their outputs.
  /// Bytes, since Swift's strings compare equal across canonically equivalent spellings.
  var key: [UInt8] {
    switch self {
    case .jsonSchema(let schema): Array("s".utf8) + schema.serializedBytes()
    case .jsonObject: Array("o".utf8)
    case .regex(let text): Array("r".utf8) + Array(text.utf8)
    case .grammar(let text): Array("g".utf8) + Array(text.utf8)
    case .choice(let texts): Array("c".utf8) + texts.flatMap { Array("\($0.utf8.count):\($0)".utf8) }
    case .toolCalls(let tools, let form):
      Array("t\(form)".utf8)
        + tools.flatMap { Array("\($0.name.utf8.count):\($0.name)\($0.parameters?.serialized() ?? "-")".utf8) }
    }
  }

  /// The rules to compile.
  func description() throws(SamplingError) -> GrammarDescription {
    var result = GrammarDescription()
    switch self {
    case .choice(let texts): _ = result.add("root", try Self.literals(texts))
    case .regex(let text): _ = result.add("root", try RegexParser.parse(text))
    case .grammar(let text): return try GBNFParser.parse(text)
    case .jsonObject: return JSONGrammar.anyObject()
    case .toolCalls(let tools, let form): return try ToolChoiceConstraint.description(tools, form)
    case .jsonSchema(let schema): return try JSONSchemaCompiler.compile(schema)
    }
    return result
  }

  private static func literals(_ texts: [String]) throws(SamplingError) -> GrammarExpression {
    guard !texts.isEmpty else {
      throw SamplingError(
        .invalidGrammar, "the list of choices is empty; it must name at least one text", parameter: "choice")
    }
    let bytes = texts.reduce(0) { $0 + $1.utf8.count }
    guard bytes <= GrammarLimits.sourceBytes else {
      throw SamplingError(
        .tooLarge, "the choices have \(bytes) bytes together; at most \(GrammarLimits.sourceBytes) are allowed",
        parameter: "choice")
    }
    return .literals(texts.map { Array($0.utf8) })
  }
}
