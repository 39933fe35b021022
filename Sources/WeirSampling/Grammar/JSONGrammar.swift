// The rules of JSON text that schemas and "any JSON object" are built from.
//
// White space is bounded: one space or none after ':' and ',', none elsewhere, so that a model cannot fill its answer
// with blanks. Numbers are bounded: 16 digits before and after the point, two in the exponent.

/// Adds the shared rules of JSON to a grammar, each at most once.
struct JSONGrammar {
  var description = GrammarDescription()
  private var known: [String: Int] = [:]

  /// Any JSON object.
  static func anyObject() -> GrammarDescription {
    var grammar = JSONGrammar()
    let root = grammar.description.add("root")
    grammar.description.rules[root].expression = grammar.object
    return grammar.description
  }

  /// One space or nothing.
  static let gap = GrammarExpression.optional(.bytes([0x20]))
  static let comma = GrammarExpression.sequence([.bytes([0x2C]), gap])
  static let colon = GrammarExpression.sequence([.bytes([0x3A]), gap])
  static let quote = GrammarExpression.bytes([0x22])

  /// What stands in a JSON string as itself.
  static let rawScalars = ScalarSet([0x20...ScalarSet.largest]).subtracting(ScalarSet("\"\\"))

  private static let hex = GrammarExpression.scalars(ScalarSet([0x30...0x39, 0x41...0x46, 0x61...0x66]))

  /// A backslash and what may follow it. Surrogates only in pairs.
  static let escape: GrammarExpression = {
    let d = GrammarExpression.scalars(ScalarSet("dD"))
    let plain = GrammarExpression.sequence([
      .scalars(ScalarSet([0x30...0x39, 0x41...0x43, 0x45...0x46, 0x61...0x63, 0x65...0x66])), hex, hex, hex,
    ])
    let low = GrammarExpression.sequence([d, .scalars(ScalarSet([0x30...0x37])), hex, hex])
    let pair = GrammarExpression.sequence([
      d, .scalars(ScalarSet("89abAB")), hex, hex, .text("\\u"), d, .scalars(ScalarSet("cdefCDEF")), hex, hex,
    ])
    return .sequence([
      .text("\\"),
      .choice([.scalars(ScalarSet("\"\\/bfnrt")), .sequence([.text("u"), .choice([plain, low, pair])])]),
    ])
  }()

  /// One character of a string in any spelling.
  static let character = GrammarExpression.choice([.scalars(rawScalars), escape])

  private mutating func rule(_ name: String, _ make: () -> GrammarExpression) -> GrammarExpression {
    if let number = known[name] { return .rule(number) }
    let number = description.add(name)
    known[name] = number
    description.rules[number].expression = make()
    return .rule(number)
  }

  var characterRule: GrammarExpression { mutating get { rule("json-character") { Self.character } } }

  var string: GrammarExpression {
    mutating get { rule("json-string") { .sequence([Self.quote, .repeated(Self.character, 0, nil), Self.quote]) } }
  }

  static let wholeNumber = GrammarExpression.sequence([
    .optional(.text("-")),
    .choice([.text("0"), .sequence([.scalars(ScalarSet([0x31...0x39])), .repeated(digit, 0, 17)])]),
  ])

  static let digit = GrammarExpression.scalars(ScalarSet([0x30...0x39]))

  var integer: GrammarExpression { mutating get { rule("json-integer") { Self.wholeNumber } } }

  var number: GrammarExpression {
    mutating get {
      rule("json-number") {
        .sequence([
          .optional(.text("-")),
          .choice([.text("0"), .sequence([.scalars(ScalarSet([0x31...0x39])), .repeated(Self.digit, 0, 15)])]),
          .optional(.sequence([.text("."), .repeated(Self.digit, 1, 16)])),
          .optional(
            .sequence([.scalars(ScalarSet("eE")), .optional(.scalars(ScalarSet("+-"))), .repeated(Self.digit, 1, 2)])),
        ])
      }
    }
  }

  static let boolean = GrammarExpression.literals([Array("true".utf8), Array("false".utf8)])
  static let null = GrammarExpression.text("null")

  /// Any JSON value.
  var value: GrammarExpression {
    mutating get {
      if let number = known["json-value"] { return .rule(number) }
      let result = description.add("json-value")
      known["json-value"] = result
      let parts = [string, number, object, array, Self.boolean, Self.null]
      description.rules[result].expression = .choice(parts)
      return .rule(result)
    }
  }

  /// Any JSON object.
  var object: GrammarExpression {
    mutating get {
      if let number = known["json-object"] { return .rule(number) }
      let result = description.add("json-object")
      known["json-object"] = result
      let member = GrammarExpression.sequence([string, Self.colon, value])
      description.rules[result].expression = .sequence([.text("{"), .optional(Self.list(member)), .text("}")])
      return .rule(result)
    }
  }

  /// Any JSON array.
  var array: GrammarExpression {
    mutating get {
      if let number = known["json-array"] { return .rule(number) }
      let result = description.add("json-array")
      known["json-array"] = result
      let item = value
      description.rules[result].expression = .sequence([.text("["), .optional(Self.list(item)), .text("]")])
      return .rule(result)
    }
  }

  /// One or more of `item` with commas between.
  static func list(_ item: GrammarExpression) -> GrammarExpression {
    .sequence([item, .repeated(.sequence([comma, item]), 0, nil)])
  }

  /// An expression over text, turned into one over the inside of a JSON string: what must be escaped is escaped, in one
  /// spelling.
  static func escaped(_ expression: GrammarExpression) -> GrammarExpression {
    switch expression {
    case .empty, .nothing, .rule: return expression
    case .bytes(let bytes): return .bytes(bytes.flatMap(escapedByte))
    case .literals(let texts): return .literals(texts.map { $0.flatMap(escapedByte) })
    case .scalars(let set):
      let raw = rawScalars.inverted.union(set.inverted).inverted
      let special = (UInt32(0)...0x5C).filter { set.contains($0) && !rawScalars.contains($0) }
      var parts: [GrammarExpression] = raw.isEmpty ? [] : [.scalars(raw)]
      if !special.isEmpty { parts.append(.literals(special.map { escapedByte(UInt8($0)) })) }
      return parts.count == 1 ? parts[0] : .choice(parts)
    case .sequence(let parts): return .sequence(parts.map(escaped))
    case .choice(let parts): return .choice(parts.map(escaped))
    case .repeated(let body, let minimum, let maximum): return .repeated(escaped(body), minimum, maximum)
    }
  }

  /// One byte of UTF-8 as it stands in a JSON string.
  static func escapedByte(_ byte: UInt8) -> [UInt8] {
    switch byte {
    case 0x22: return Array("\\\"".utf8)
    case 0x5C: return Array("\\\\".utf8)
    case 0x08: return Array("\\b".utf8)
    case 0x09: return Array("\\t".utf8)
    case 0x0A: return Array("\\n".utf8)
    case 0x0C: return Array("\\f".utf8)
    case 0x0D: return Array("\\r".utf8)
    case 0..<0x20:
      let digits = String(byte, radix: 16)
      return Array("\\u\(String(repeating: "0", count: 4 - digits.count))\(digits)".utf8)
    default: return [byte]
    }
  }
}
