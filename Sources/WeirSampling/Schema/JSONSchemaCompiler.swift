// JSON Schema to grammar rules: which keywords are understood, and how schemas refer to each other.

import WeirBasics

/// Compiles a JSON Schema (2020-12, the part listed in the room's documentation).
///
/// What is compiled is never wider than the schema: every text the grammar accepts is an instance. It is narrower in
/// spelling: members in the order of `properties`, bounded white space and numbers, one spelling of escapes in patterns.
struct JSONSchemaCompiler {
  let root: JSONValue
  var grammar = JSONGrammar()
  private var references: [[UInt8]: Int] = [:]

  private init(_ root: JSONValue) { self.root = root }

  /// - Throws: `SamplingError` that names the path of the schema and the keyword.
  static func compile(_ schema: JSONValue) throws(SamplingError) -> GrammarDescription {
    var compiler = JSONSchemaCompiler(schema)
    let root = compiler.grammar.description.add("root")
    let expression = try compiler.expression(schema, "#")
    compiler.grammar.description.rules[root].expression = expression
    return compiler.grammar.description
  }

  static func invalid(_ path: String, _ detail: String) -> SamplingError {
    SamplingError(.invalidSchema, "the schema at \(path) is wrong: \(detail)", parameter: path)
  }

  static func unsupported(_ path: String, _ detail: String) -> SamplingError {
    SamplingError(.unsupported, "the schema at \(path) uses \(detail), which is not supported", parameter: path)
  }

  /// Keywords that constrain and that cannot be kept by this compiler.
  private static let refused = [
    "not", "if", "then", "else", "dependentSchemas", "dependentRequired", "dependencies", "unevaluatedProperties",
    "unevaluatedItems", "contains", "minContains", "maxContains", "multipleOf", "patternProperties", "propertyNames",
    "minProperties", "maxProperties", "$dynamicRef", "$recursiveRef", "additionalItems",
  ]

  // MARK: Any schema

  /// What `schema` allows as an expression.
  mutating func expression(_ schema: JSONValue, _ path: String) throws(SamplingError) -> GrammarExpression {
    if case .bool(let allows) = schema {
      guard allows else { throw Self.unsupported(path, "'false', which nothing satisfies") }
      return grammar.value
    }
    guard case .object(let members) = schema else {
      throw Self.invalid(path, "it is \(schema.kindName); it must be an object or a boolean")
    }
    for keyword in Self.refused where members.contains(keyword) { throw Self.unsupported(path, "'\(keyword)'") }
    if members["uniqueItems"] == .bool(true) { throw Self.unsupported(path, "'uniqueItems'") }
    if let reference = members["$ref"] {
      let others = members.keys.filter { SchemaMerge.constrains($0) && $0 != "$ref" }
      if others.isEmpty { return try referenced(reference, path) }
    }
    if members.contains("$ref") || members.contains("allOf") {
      return try expression(.object(try flattened(members, path, 0)), path)
    }
    for keyword in ["anyOf", "oneOf"] where members.contains(keyword) {
      return try alternatives(keyword, members, path)
    }
    let value = try typed(members, path)
    return members["nullable"] == .bool(true) ? .choice([value, JSONGrammar.null]) : value
  }

  /// `anyOf` and `oneOf` alike: what stands beside them holds in every branch.
  private mutating func alternatives(
    _ keyword: String, _ members: JSONObject, _ path: String
  ) throws(SamplingError) -> GrammarExpression {
    guard let branches = members[keyword]?.array, !branches.isEmpty else {
      throw Self.invalid("\(path)/\(keyword)", "it must be a list of at least one schema")
    }
    var base = members
    base[keyword] = nil
    let hasBase = base.keys.contains(where: SchemaMerge.constrains)
    var parts: [GrammarExpression] = []
    for (index, branch) in branches.enumerated() {
      let place = "\(path)/\(keyword)/\(index)"
      if branch == .bool(false) { continue }
      guard hasBase, case .object(let own) = branch else {
        parts.append(try expression(branch, place))
        continue
      }
      let whole = try SchemaMerge.merge(base, try flattened(own, place, 0), place)
      parts.append(try expression(.object(whole), place))
    }
    guard !parts.isEmpty else { throw Self.invalid("\(path)/\(keyword)", "no branch can be satisfied") }
    return parts.count == 1 ? parts[0] : .choice(parts)
  }

  /// Replaces `$ref` beside other keywords and `allOf` by one object with the keywords of all.
  private func flattened(_ members: JSONObject, _ path: String, _ depth: Int) throws(SamplingError) -> JSONObject {
    guard depth < 32 else { throw Self.invalid(path, "its 'allOf' and '$ref' lead back to themselves") }
    var result = members
    result["$ref"] = nil
    result["allOf"] = nil
    var parts: [JSONValue] = []
    if let reference = members["$ref"] { parts.append(try resolve(reference, path).schema) }
    if let all = members["allOf"] {
      guard let list = all.array, !list.isEmpty else {
        throw Self.invalid("\(path)/allOf", "it must be a list of at least one schema")
      }
      parts += list
    }
    for part in parts {
      if part == .bool(true) { continue }
      guard case .object(let own) = part else { throw Self.unsupported(path, "'allOf' with 'false'") }
      result = try SchemaMerge.merge(result, try flattened(own, path, depth + 1), path)
    }
    return result
  }

  // MARK: References

  private mutating func referenced(_ reference: JSONValue, _ path: String) throws(SamplingError) -> GrammarExpression {
    let (schema, pointer) = try resolve(reference, path)
    let key = Array(pointer.utf8)
    if let rule = references[key] { return .rule(rule) }
    let rule = grammar.description.add(pointer)
    references[key] = rule
    let body = try expression(schema, pointer)
    grammar.description.rules[rule].expression = body
    return .rule(rule)
  }

  /// Follows a JSON pointer inside the document.
  private func resolve(_ reference: JSONValue, _ path: String) throws(SamplingError) -> (schema: JSONValue, String) {
    guard let text = reference.string else { throw Self.invalid("\(path)/$ref", "it must be a string") }
    guard text == "#" || text.hasPrefix("#/") else {
      throw Self.unsupported(path, "'$ref' to '\(text)', which is outside this document")
    }
    var value = root
    for part in text.dropFirst(2).split(separator: "/", omittingEmptySubsequences: false) where text != "#" {
      let name = Self.pointerPart(part)
      let member = value[name] ?? Int(name).flatMap { value[$0] }
      guard let member else { throw Self.invalid("\(path)/$ref", "'\(text)' leads nowhere") }
      value = member
    }
    return (value, text)
  }

  /// Undoes the escapes of JSON pointers and of URI fragments.
  private static func pointerPart(_ part: Substring) -> String {
    var bytes: [UInt8] = []
    var rest = Array(part.utf8)[...]
    while let byte = rest.popFirst() {
      let digits = rest.prefix(2)
      if byte == 0x25, digits.count == 2, let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 16) {
        bytes.append(value)
        rest = rest.dropFirst(2)
      } else if byte == 0x7E, let next = rest.first, next == 0x30 || next == 0x31 {
        bytes.append(next == 0x30 ? 0x7E : 0x2F)
        rest = rest.dropFirst()
      } else {
        bytes.append(byte)
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  // MARK: By type

  private mutating func typed(_ members: JSONObject, _ path: String) throws(SamplingError) -> GrammarExpression {
    let types = try typeNames(members, path)
    if let values = try enumerated(members, path) {
      let legal = values.filter { value in types.map { $0.contains { Self.isOf($0, value) } } ?? true }
      guard !legal.isEmpty else { throw Self.invalid(path, "none of its values has the type it asks for") }
      return .choice(legal.map(literal))
    }
    guard let types = types ?? Self.impliedTypes(members) else { return grammar.value }
    var parts: [GrammarExpression] = []
    for type in types { parts.append(try expression(ofType: type, members, path)) }
    return parts.count == 1 ? parts[0] : .choice(parts)
  }

  private mutating func expression(
    ofType type: String, _ members: JSONObject, _ path: String
  ) throws(SamplingError) -> GrammarExpression {
    switch type {
    case "string": return try string(members, path)
    case "integer": return try integer(members, path)
    case "number": return try number(members, path)
    case "boolean": return JSONGrammar.boolean
    case "null": return JSONGrammar.null
    case "array": return try array(members, path)
    case "object": return try object(members, path)
    default:
      throw Self.invalid(
        "\(path)/type", "'\(type)' is no type; it must be string, number, integer, boolean, array, object or null")
    }
  }

  private func typeNames(_ members: JSONObject, _ path: String) throws(SamplingError) -> [String]? {
    switch members["type"] {
    case nil: return nil
    case .string(let name): return [name]
    case .array(let list) where !list.isEmpty:
      let names = list.compactMap(\.string)
      guard names.count == list.count else { throw Self.invalid("\(path)/type", "it must hold names of types") }
      // Every integer is a number: keep the wider one only, or texts would be derived twice.
      return names.contains("number") ? names.filter { $0 != "integer" } : names
    default: throw Self.invalid("\(path)/type", "it must be the name of a type or a list of names")
    }
  }

  /// The type that keywords without a `type` speak about: the schema is read as if it asked for it.
  private static func impliedTypes(_ members: JSONObject) -> [String]? {
    let hints: [(String, [String])] = [
      ("object", ["properties", "required", "additionalProperties"]),
      ("array", ["items", "prefixItems", "minItems", "maxItems"]),
      ("string", ["pattern", "minLength", "maxLength", "format"]),
      ("number", ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"]),
    ]
    for (type, keywords) in hints where keywords.contains(where: members.contains) { return [type] }
    return nil
  }

  /// The values of `enum` or `const`, or nil.
  private func enumerated(_ members: JSONObject, _ path: String) throws(SamplingError) -> [JSONValue]? {
    guard members.contains("enum") || members.contains("const") else { return nil }
    let beside = members.keys.first {
      SchemaMerge.constrains($0) && !["enum", "const", "type", "nullable"].contains($0)
    }
    if let beside { throw Self.unsupported(path, "'\(beside)' beside 'enum' or 'const'") }
    guard let list = members["enum"] else { return members["const"].map { [$0] } }
    guard case .array(let values) = list, !values.isEmpty else {
      throw Self.invalid("\(path)/enum", "it must be a list of at least one value")
    }
    guard let only = members["const"] else { return values }
    return values.filter { $0 == only }
  }

  private static func isOf(_ type: String, _ value: JSONValue) -> Bool {
    switch (type, value) {
    case ("string", .string), ("boolean", .bool), ("null", .null), ("array", .array), ("object", .object): true
    case ("number", .integer), ("number", .number), ("integer", .integer): true
    case ("integer", .number(let number)): number.rounded() == number
    default: false
    }
  }

  /// One value as it stands, with the usual freedom of white space.
  private func literal(_ value: JSONValue) -> GrammarExpression {
    switch value {
    case .array(let items):
      return .sequence([.text("["), Self.joined(items.map(literal)), .text("]")])
    case .object(let object):
      let pairs = object.map { key, value in
        GrammarExpression.sequence([.text(JSONValue.quoted(key)), JSONGrammar.colon, literal(value)])
      }
      return .sequence([.text("{"), Self.joined(pairs), .text("}")])
    default: return .text(value.serialized())
    }
  }

  private static func joined(_ parts: [GrammarExpression]) -> GrammarExpression {
    .sequence(Array(parts.flatMap { [JSONGrammar.comma, $0] }.dropFirst()))
  }
}
