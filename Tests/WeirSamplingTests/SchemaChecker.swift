// A plain validator of the JSON Schema keywords the compiler understands, for tests only: it judges finished values,
// and shares nothing with the compiler.

import WeirBasics

struct SchemaChecker {
  let root: JSONValue

  func allows(_ value: JSONValue, _ schema: JSONValue) -> Bool {
    if let whole = schema.bool { return whole }
    guard let s = schema.object else { return false }
    if let text = s["$ref"]?.string, !allows(value, follow(text)) { return false }
    for part in s["allOf"]?.array ?? [] where !allows(value, part) { return false }
    if let parts = s["anyOf"]?.array, !parts.contains(where: { allows(value, $0) }) { return false }
    if let parts = s["oneOf"]?.array, !parts.contains(where: { allows(value, $0) }) { return false }
    if value.isNull, s["nullable"] == .bool(true) { return true }
    if let only = s["const"], only != value { return false }
    if let list = s["enum"]?.array, !list.contains(value) { return false }
    if let type = s["type"] {
      let names = (type.array ?? [type]).compactMap(\.string)
      if !names.contains(where: { isOf($0, value) }) { return false }
    }
    switch value {
    case .string(let text): return allowsText(text, s)
    case .integer, .number: return allowsNumber(value.double ?? 0, s)
    case .array(let items): return allowsItems(items, s)
    case .object(let members): return allowsMembers(members, s)
    default: return true
    }
  }

  private func follow(_ text: String) -> JSONValue {
    var value = root
    for name in text.split(separator: "/").dropFirst() { value = value[String(name)] ?? false }
    return value
  }

  private func isOf(_ name: String, _ value: JSONValue) -> Bool {
    switch name {
    case "integer": value.double.map { $0.rounded() == $0 } ?? false
    case "number": value.double != nil
    default: value.kindName == name
    }
  }

  private func allowsText(_ text: String, _ s: JSONObject) -> Bool {
    let count = text.unicodeScalars.count
    if let least = s["minLength"]?.int, count < least { return false }
    if let most = s["maxLength"]?.int, count > most { return false }
    guard let pattern = s["pattern"]?.string else { return true }
    guard let expression = try? Regex(pattern).matchingSemantics(.unicodeScalar) else { return false }
    return text.firstMatch(of: expression) != nil
  }

  private func allowsNumber(_ number: Double, _ s: JSONObject) -> Bool {
    if let bound = s["minimum"]?.double, number < bound { return false }
    if let bound = s["maximum"]?.double, number > bound { return false }
    if let bound = s["exclusiveMinimum"]?.double, number <= bound { return false }
    if let bound = s["exclusiveMaximum"]?.double, number >= bound { return false }
    return true
  }

  private func allowsItems(_ items: [JSONValue], _ s: JSONObject) -> Bool {
    if let least = s["minItems"]?.int, items.count < least { return false }
    if let most = s["maxItems"]?.int, items.count > most { return false }
    let first = s["prefixItems"]?.array ?? []
    for (index, item) in items.enumerated() {
      if !allows(item, index < first.count ? first[index] : s["items"] ?? true) { return false }
    }
    return true
  }

  private func allowsMembers(_ members: JSONObject, _ s: JSONObject) -> Bool {
    for name in s["required"]?.array ?? [] where members[name.string ?? ""] == nil { return false }
    for (name, value) in members {
      if !allows(value, s["properties"]?[name] ?? s["additionalProperties"] ?? true) { return false }
    }
    return true
  }
}
