// Two schemas that must both hold, as one.

import WeirBasics

/// Conjunction of the keywords of two schema objects, where one schema object can say it.
enum SchemaMerge {
  /// Whether a keyword changes which values are legal. Unknown words are annotations, as the standard says.
  static func constrains(_ keyword: String) -> Bool { keywords.contains(keyword) }

  private static let keywords: Set<String> = [
    "$ref", "type", "enum", "const", "anyOf", "oneOf", "allOf", "properties", "required", "additionalProperties",
    "items",
    "prefixItems", "minItems", "maxItems", "minLength", "maxLength", "pattern", "format", "minimum", "maximum",
    "exclusiveMinimum", "exclusiveMaximum", "nullable",
  ]

  static func merge(_ a: JSONObject, _ b: JSONObject, _ path: String) throws(SamplingError) -> JSONObject {
    var result = a
    for (keyword, value) in b {
      guard let mine = a[keyword], mine != value, keyword != "properties" else {
        result[keyword] = try keyword == "properties" ? properties(a, b, path) : value
        continue
      }
      if let merged = try merge(keyword, mine, value, path) { result[keyword] = merged }
    }
    return result
  }

  private static func merge(
    _ keyword: String, _ a: JSONValue, _ b: JSONValue, _ path: String
  ) throws(SamplingError) -> JSONValue? {
    switch keyword {
    case "required":
      let mine = a.array ?? []
      return .array(mine + (b.array ?? []).filter { !mine.contains($0) })
    case "minItems", "minLength", "minimum", "exclusiveMinimum": return (a.double ?? 0) >= (b.double ?? 0) ? a : b
    case "maxItems", "maxLength", "maximum", "exclusiveMaximum": return (a.double ?? 0) <= (b.double ?? 0) ? a : b
    case "type":
      let mine = a.array ?? [a]
      let common = (b.array ?? [b]).filter(mine.contains)
      guard !common.isEmpty else { throw JSONSchemaCompiler.invalid(path, "it asks for two types at once") }
      return .array(common)
    case "enum":
      let common = (a.array ?? []).filter { (b.array ?? []).contains($0) }
      guard !common.isEmpty else { throw JSONSchemaCompiler.invalid(path, "no value is in both of its enumerations") }
      return .array(common)
    case "additionalProperties":
      if a == .bool(false) || b == .bool(true) { return a }
      if b == .bool(false) || a == .bool(true) { return b }
      return ["allOf": [a, b]]
    case "nullable": return .bool(a == .bool(true) && b == .bool(true))
    default:
      guard constrains(keyword) else { return nil }
      throw JSONSchemaCompiler.unsupported(path, "'allOf' or '$ref' whose parts differ in '\(keyword)'")
    }
  }

  private static func properties(
    _ a: JSONObject, _ b: JSONObject, _ path: String
  ) throws(SamplingError) -> JSONValue {
    guard let mine = a["properties"] else { return b["properties"] ?? [:] }
    guard case .object(var whole) = mine, case .object(let other) = b["properties"] else {
      throw JSONSchemaCompiler.invalid("\(path)/properties", "it must be an object")
    }
    for (name, schema) in other {
      if let known = whole[name], known != schema {
        whole[name] = ["allOf": [known, schema]]
      } else {
        whole[name] = schema
      }
    }
    return .object(whole)
  }
}
