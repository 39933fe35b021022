// Values while a template runs: Python's, as far as templates use them.
import WeirBasics

/// A value of the template language. Lists and dictionaries are values: nothing in a template can change one in place,
/// except the attributes of a `namespace`.
indirect enum TemplateValue: Sendable {
  /// The name that was not there, for the error message when it is used.
  case undefined(String)
  case none
  case bool(Bool)
  case integer(Int)
  case double(Double)
  case string(String)
  case list([TemplateValue])
  case tuple([TemplateValue])
  case dictionary(TemplateDictionary)
  case namespace(TemplateNamespace)
  case macro(TemplateClosure)
  /// A global function.
  case function(String)
  /// A method with its object, before it is called.
  case method(TemplateBox, String)

  var isUndefined: Bool { if case .undefined = self { true } else { false } }
  var isNone: Bool { if case .none = self { true } else { false } }

  /// Python's truth.
  var isTrue: Bool {
    switch self {
    case .undefined, .none: false
    case .bool(let value): value
    case .integer(let value): value != 0
    case .double(let value): value != 0
    case .string(let value): !value.isEmpty
    case .list(let items), .tuple(let items): !items.isEmpty
    case .dictionary(let value): value.count > 0
    case .namespace, .macro, .function, .method: true
    }
  }

  /// Name of the kind, for error messages.
  var kindName: String {
    switch self {
    case .undefined: "undefined"
    case .none: "none"
    case .bool: "boolean"
    case .integer: "integer"
    case .double: "float"
    case .string: "string"
    case .list: "list"
    case .tuple: "tuple"
    case .dictionary: "mapping"
    case .namespace: "namespace"
    case .macro: "macro"
    case .function, .method: "function"
    }
  }

  /// Booleans count as 0 and 1.
  var number: Double? {
    switch self {
    case .bool(let value): value ? 1 : 0
    case .integer(let value): Double(value)
    case .double(let value): value
    default: nil
    }
  }

  var integerValue: Int? {
    switch self {
    case .bool(let value): value ? 1 : 0
    case .integer(let value): value
    default: nil
    }
  }
}

/// Keeps `TemplateValue.method` small.
final class TemplateBox: Sendable {
  let value: TemplateValue
  init(_ value: TemplateValue) { self.value = value }
}

/// An ordered dictionary; look-ups are linear, which the small objects of conversations allow.
struct TemplateDictionary: Sendable {
  private(set) var keys: [TemplateValue] = []
  private(set) var values: [TemplateValue] = []

  var count: Int { keys.count }

  subscript(key: TemplateValue) -> TemplateValue? { keys.firstIndex { $0.equals(key) }.map { values[$0] } }
  subscript(name: String) -> TemplateValue? { self[.string(name)] }

  mutating func set(_ key: TemplateValue, _ value: TemplateValue) {
    if let place = keys.firstIndex(where: { $0.equals(key) }) {
      values[place] = value
    } else {
      append(key, value)
    }
  }

  /// For keys known to be new.
  mutating func append(_ key: TemplateValue, _ value: TemplateValue) {
    keys.append(key)
    values.append(value)
  }

  var pairs: [TemplateValue] { zip(keys, values).map { .tuple([$0, $1]) } }
}

extension TemplateValue {
  /// Python's `==`.
  func equals(_ other: TemplateValue) -> Bool {
    switch (self, other) {
    case (.undefined, .undefined), (.none, .none): return true
    case (.string(let a), .string(let b)): return a.utf8.elementsEqual(b.utf8)
    case (.integer(let a), .integer(let b)): return a == b
    case (.list(let a), .list(let b)), (.tuple(let a), .tuple(let b)):
      return a.count == b.count && zip(a, b).allSatisfy { $0.equals($1) }
    case (.dictionary(let a), .dictionary(let b)):
      return a.count == b.count && zip(a.keys, a.values).allSatisfy { key, value in b[key]?.equals(value) ?? false }
    case (.namespace(let a), .namespace(let b)): return a === b
    case (.function(let a), .function(let b)): return a == b
    default:
      guard let a = number, let b = other.number else { return false }
      return a == b
    }
  }

  /// Python's `<`; nil when the kinds have no order.
  func isLess(than other: TemplateValue) -> Bool? {
    switch (self, other) {
    case (.string(let a), .string(let b)): return a.utf8.lexicographicallyPrecedes(b.utf8)
    case (.integer(let a), .integer(let b)): return a < b
    case (.list(let a), .list(let b)), (.tuple(let a), .tuple(let b)):
      for (x, y) in zip(a, b) where !x.equals(y) { return x.isLess(than: y) }
      return a.count < b.count
    default:
      guard let a = number, let b = other.number else { return nil }
      return a < b
    }
  }
}

// MARK: - Text

extension TemplateValue {
  /// What `{{ value }}` prints: Python's `str`.
  var text: String {
    switch self {
    case .undefined: ""
    case .string(let value): value
    default: representation
    }
  }

  /// Python's `repr`.
  var representation: String {
    switch self {
    case .undefined: return "Undefined"
    case .none: return "None"
    case .bool(let value): return value ? "True" : "False"
    case .integer(let value): return String(value)
    case .double(let value): return Self.text(of: value)
    case .string(let value): return Self.quoted(value)
    case .list(let items): return "[" + items.map(\.representation).joined(separator: ", ") + "]"
    case .tuple(let items):
      return "(" + items.map(\.representation).joined(separator: ", ") + (items.count == 1 ? ",)" : ")")
    case .dictionary(let value):
      let members = zip(value.keys, value.values).map { "\($0.representation): \($1.representation)" }
      return "{" + members.joined(separator: ", ") + "}"
    case .namespace: return "<Namespace>"
    case .macro(let closure): return "<Macro '\(closure.macro.name)'>"
    case .function(let name): return "<function \(name)>"
    case .method(_, let name): return "<method \(name)>"
    }
  }

  /// Shortest decimal; an exponent below 1e-4 and from 1e16.
  static func text(of value: Double) -> String {
    if value.isNaN { return "nan" }
    if value.isInfinite { return value < 0 ? "-inf" : "inf" }
    let magnitude = value.magnitude
    let shortest = magnitude.description
    let isPlain = !shortest.contains("e")
    if value == 0 || (isPlain && magnitude >= 1e-4 && magnitude < 1e16) { return value.description }
    let parts = shortest.split(separator: "e")
    let mantissa = parts[0].split(separator: ".", omittingEmptySubsequences: false)
    var whole = String(mantissa[0])
    var fraction = mantissa.count > 1 && mantissa[1] != "0" ? String(mantissa[1]) : ""
    var exponent = parts.count > 1 ? Int(parts[1]) ?? 0 : 0
    // Normal form: one digit before the point.
    exponent += whole.count - 1
    fraction = String(whole.dropFirst()) + fraction
    whole = String(whole.prefix(1))
    while fraction.hasSuffix("0") { fraction.removeLast() }
    let sign = value < 0 ? "-" : ""
    if exponent >= -4, exponent < 16 {
      if exponent < 0 { return sign + "0." + String(repeating: "0", count: -exponent - 1) + whole + fraction }
      let digits = fraction + String(repeating: "0", count: max(0, exponent - fraction.count))
      let rest = digits.dropFirst(exponent)
      return sign + whole + digits.prefix(exponent) + "." + (rest.isEmpty ? "0" : rest)
    }
    let power = (exponent < 0 ? "-" : "+") + (exponent.magnitude < 10 ? "0" : "") + String(exponent.magnitude)
    return sign + whole + (fraction.isEmpty ? "" : "." + fraction) + "e" + power
  }

  private static func quoted(_ value: String) -> String {
    let usesDouble = value.utf8.contains(39) && !value.utf8.contains(34)
    var result = usesDouble ? "\"" : "'"
    for scalar in value.unicodeScalars {
      switch scalar {
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\r": result += "\\r"
      case "\t": result += "\\t"
      case "'" where !usesDouble: result += "\\'"
      default:
        if scalar.value < 32 || scalar.value == 127 {
          result += "\\x" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
        } else {
          result.unicodeScalars.append(scalar)
        }
      }
    }
    return result + (usesDouble ? "\"" : "'")
  }
}

// MARK: - JSON

extension TemplateValue {
  init(_ json: JSONValue) {
    switch json {
    case .null: self = .none
    case .bool(let value): self = .bool(value)
    case .integer(let value): self = .integer(Int(value))
    case .number(let value): self = .double(value)
    case .string(let value): self = .string(value)
    case .array(let items): self = .list(items.map { TemplateValue($0) })
    case .object(let object):
      var result = TemplateDictionary()
      for (key, value) in object { result.append(.string(key), TemplateValue(value)) }
      self = .dictionary(result)
    }
  }

  /// Python's `json.dumps(value, ensure_ascii=False, indent=..., sort_keys=...)`.
  func json(indent: Int?, sortsKeys: Bool, separators: (item: String, key: String)?) throws(TextError) -> String {
    var writer = TemplateJSONWriter(
      indent: indent, sortsKeys: sortsKeys, item: separators?.item ?? (indent == nil ? ", " : ","),
      key: separators?.key ?? ": ")
    try writer.write(self, level: 0)
    return String(decoding: writer.bytes, as: UTF8.self)
  }
}

/// Numbers and separators as Python writes them, which differs from `JSONValue.serialized`.
private struct TemplateJSONWriter {
  let indent: Int?
  let sortsKeys: Bool
  let item: String
  let key: String
  var bytes: [UInt8] = []

  mutating func write(_ value: TemplateValue, level: Int) throws(TextError) {
    switch value {
    case .none: append("null")
    case .bool(let flag): append(flag ? "true" : "false")
    case .integer(let number): append(String(number))
    case .double(let number):
      append(number.isNaN ? "NaN" : number.isInfinite ? (number < 0 ? "-Infinity" : "Infinity") : value.text)
    case .string(let text): append(JSONValue.quoted(text))
    case .list(let items), .tuple(let items):
      try writeList("[", "]", count: items.count, level: level) { (writer, i) throws(TextError) in
        try writer.write(items[i], level: level + 1)
      }
    case .dictionary(let object):
      var order = Array(0..<object.count)
      if sortsKeys { order.sort { object.keys[$0].isLess(than: object.keys[$1]) ?? false } }
      try writeList("{", "}", count: order.count, level: level) { (writer, i) throws(TextError) in
        try writer.writeKey(object.keys[order[i]])
        try writer.write(object.values[order[i]], level: level + 1)
      }
    case .undefined, .namespace, .macro, .function, .method:
      throw TextError(
        code: "template_failed", message: "tojson: a value of kind \(value.kindName) cannot be written as JSON")
    }
  }

  private mutating func append(_ text: String) { bytes.append(contentsOf: text.utf8) }

  private mutating func writeKey(_ value: TemplateValue) throws(TextError) {
    switch value {
    case .string(let text): append(JSONValue.quoted(text))
    case .integer, .double: append("\"" + value.text + "\"")
    case .bool(let flag): append(flag ? "\"true\"" : "\"false\"")
    case .none: append("\"null\"")
    default:
      throw TextError(code: "template_failed", message: "tojson: a key must be a string, not \(value.kindName)")
    }
    append(key)
  }

  private mutating func writeList(
    _ open: String, _ close: String, count: Int, level: Int,
    _ write: (inout TemplateJSONWriter, Int) throws(TextError) -> Void
  ) throws(TextError) {
    append(open)
    for i in 0..<count {
      if i > 0 { append(item) }
      breakLine(level + 1)
      try write(&self, i)
    }
    if count > 0 { breakLine(level) }
    append(close)
  }

  private mutating func breakLine(_ level: Int) {
    guard let indent else { return }
    append("\n" + String(repeating: " ", count: indent * level))
  }
}
