// Objects and arrays of JSON Schema.

import WeirBasics

extension JSONSchemaCompiler {
  // MARK: Objects

  /// Members in the order of `properties`, then required ones that are not declared, then additional ones.
  ///
  /// Without `additionalProperties` an object with declared properties gets no others (the schema allows them, but no
  /// reader asks for them); without declared properties it is any object.
  mutating func object(_ members: JSONObject, _ path: String) throws(SamplingError) -> GrammarExpression {
    let declared = try declaredProperties(members, path)
    let extra = members["additionalProperties"]
    if declared.isEmpty, extra == nil || extra == .bool(true) { return grammar.object }
    let names = declared.map(\.name)
    var tail: (first: GrammarExpression, more: GrammarExpression) = (.empty, .empty)
    if let extra, extra != .bool(false) {
      let value = try shared(extra, "\(path)/additionalProperties")
      let key = additionalKey(except: names, path)
      let member = GrammarExpression.sequence([key, JSONGrammar.colon, value])
      let more = GrammarExpression.repeated(.sequence([JSONGrammar.comma, member]), 0, nil)
      tail = (.optional(.sequence([member, more])), more)
    }
    // From the back: what may follow property i if a member stands before it, and if none does.
    var after = grammar.description.add("\(path)/rest", tail.more)
    var first = grammar.description.add("\(path)/first", tail.first)
    for property in declared.reversed() {
      let value = try expression(property.schema, property.path)
      let member = GrammarExpression.sequence([
        .text(JSONValue.quoted(property.name)), JSONGrammar.colon, value, .rule(after),
      ])
      let next = GrammarExpression.sequence([JSONGrammar.comma, member])
      let nextAfter = property.isRequired ? next : .choice([next, .rule(after)])
      let nextFirst = property.isRequired ? member : .choice([member, .rule(first)])
      after = grammar.description.add("\(property.path)/after", nextAfter)
      first = grammar.description.add("\(property.path)/first", nextFirst)
    }
    return .sequence([.text("{"), .rule(first), .text("}")])
  }

  private struct Property {
    var name: String
    var schema: JSONValue
    var path: String
    var isRequired: Bool
  }

  private func declaredProperties(_ members: JSONObject, _ path: String) throws(SamplingError) -> [Property] {
    var required: [String] = []
    if let list = members["required"] {
      let names = list.array?.compactMap(\.string) ?? []
      guard let all = list.array, names.count == all.count else {
        throw Self.invalid("\(path)/required", "it must be a list of names")
      }
      required = names
    }
    var result: [Property] = []
    if let properties = members["properties"] {
      guard case .object(let object) = properties else {
        throw Self.invalid("\(path)/properties", "it is \(properties.kindName); it must be an object")
      }
      for (name, schema) in object {
        let isRequired = required.contains { $0.utf8.elementsEqual(name.utf8) }
        // A property that can have no value is one that must be absent.
        if schema == .bool(false), !isRequired { continue }
        result.append(Property(name: name, schema: schema, path: "\(path)/properties/\(name)", isRequired: isRequired))
      }
    }
    for name in required where !result.contains(where: { $0.name.utf8.elementsEqual(name.utf8) }) {
      let schema = members["additionalProperties"] ?? .bool(true)
      guard schema != .bool(false) else {
        throw Self.invalid("\(path)/required", "'\(name)' is required, but neither declared nor allowed as additional")
      }
      result.append(Property(name: name, schema: schema, path: "\(path)/required/\(name)", isRequired: true))
    }
    return result
  }

  /// A rule for a schema that is used in several places.
  private mutating func shared(_ schema: JSONValue, _ path: String) throws(SamplingError) -> GrammarExpression {
    let rule = grammar.description.add(path)
    let body = try expression(schema, path)
    grammar.description.rules[rule].expression = body
    return .rule(rule)
  }

  /// Any key without escapes that is none of `names`: one rule per place in the trie of the names.
  private mutating func additionalKey(except names: [String], _ path: String) -> GrammarExpression {
    guard !names.isEmpty else { return grammar.string }
    let tail = GrammarExpression.sequence([.repeated(.scalars(JSONGrammar.rawScalars), 0, nil), JSONGrammar.quote])
    let texts = names.map { $0.unicodeScalars.map(\.value) }
    return .sequence([JSONGrammar.quote, keyRule(texts, 0, .rule(grammar.description.add("\(path)/key", tail)), path)])
  }

  private mutating func keyRule(
    _ names: [[UInt32]], _ depth: Int, _ anything: GrammarExpression, _ path: String
  ) -> GrammarExpression {
    // Longer names are compared as far as this; an additional key that begins like one is not offered.
    guard depth < 256 else { return .nothing }
    var groups: [UInt32: [[UInt32]]] = [:]
    for name in names where name.count > depth { groups[name[depth], default: []].append(name) }
    var parts: [GrammarExpression] = []
    for scalar in groups.keys.sorted() where JSONGrammar.rawScalars.contains(scalar) {
      let rest = keyRule(groups[scalar] ?? [], depth + 1, anything, path)
      parts.append(.sequence([.scalars(ScalarSet([scalar...scalar])), rest]))
    }
    let others = JSONGrammar.rawScalars.subtracting(ScalarSet(groups.keys.map { $0...$0 }))
    parts.append(.sequence([.scalars(others), anything]))
    if !names.contains(where: { $0.count == depth }) { parts.append(JSONGrammar.quote) }
    return .rule(grammar.description.add("\(path)/key", .choice(parts)))
  }

  // MARK: Arrays

  mutating func array(_ members: JSONObject, _ path: String) throws(SamplingError) -> GrammarExpression {
    let least = try count(members, "minItems", path) ?? 0
    let most = try count(members, "maxItems", path)
    if let most, most < least { throw Self.invalid(path, "'maxItems' is less than 'minItems'") }
    var first: [GrammarExpression] = []
    if let prefix = members["prefixItems"] {
      guard let schemas = prefix.array, schemas.count <= 256 else {
        throw Self.invalid("\(path)/prefixItems", "it must be a list of at most 256 schemas")
      }
      for (index, schema) in schemas.enumerated() where index < most ?? .max {
        first.append(try shared(schema, "\(path)/prefixItems/\(index)"))
      }
    }
    var rest: GrammarExpression?
    if members["items"] != .bool(false), first.count < most ?? .max {
      rest =
        try members["items"].map { items throws(SamplingError) in try shared(items, "\(path)/items") } ?? grammar.value
    }
    guard rest != nil || first.count >= least else {
      throw Self.invalid(path, "'minItems' asks for more items than it allows")
    }
    return .sequence([.text("["), items(first, rest, least, most), .text("]")])
  }

  private mutating func items(
    _ first: [GrammarExpression], _ rest: GrammarExpression?, _ least: Int, _ most: Int?
  ) -> GrammarExpression {
    var tail = GrammarExpression.empty
    if let rest {
      let before = max(first.count, 1)
      let more = GrammarExpression.repeated(
        .sequence([JSONGrammar.comma, rest]), max(0, least - before),
        most.map { max($0 - before, max(0, least - before)) })
      tail = more
      if first.isEmpty {
        tail = .sequence([rest, more])
        return least == 0 ? .optional(tail) : tail
      }
    }
    for index in first.indices.reversed() {
      let item = index == 0 ? first[index] : .sequence([JSONGrammar.comma, first[index]])
      let whole = GrammarExpression.sequence([item, tail])
      // A rule per item keeps the nesting of expressions flat.
      let rule = grammar.description.add("items-from-\(index)", index >= least ? .optional(whole) : whole)
      tail = .rule(rule)
    }
    return tail
  }

  /// A keyword that must be a whole number of 0 or more.
  func count(_ members: JSONObject, _ keyword: String, _ path: String) throws(SamplingError) -> Int? {
    guard let value = members[keyword] else { return nil }
    guard let count = value.int, count >= 0 else {
      throw Self.invalid("\(path)/\(keyword)", "it must be a whole number of 0 or more")
    }
    guard count <= GrammarLimits.repetitions else {
      throw SamplingError(
        .tooLarge, "the schema at \(path) has \(keyword) \(count); at most \(GrammarLimits.repetitions) is supported",
        parameter: path)
    }
    return count
  }
}
