// The ways a client can ask for structured output, all leading to one ConstraintSource.

import WeirBasics
import WeirSampling

enum ConstraintFields {
  /// Reads `response_format`, `structured_outputs` and the `guided_*` fields; nil if none is given.
  static func read(_ fields: FieldReader) throws(APIError) -> ConstraintSource? {
    var found: [(String, ConstraintSource)] = []
    if let source = try responseFormat(fields) { found.append(("response_format", source)) }
    if let group = try fields.reader("structured_outputs") {
      found += try named(
        group, json: "json", object: "json_object", regex: "regex", choice: "choice", grammar: "grammar")
      if group["structural_tag"] != nil {
        throw .unsupported(group.name("structural_tag"), "structural tags are not supported")
      }
    }
    found += try named(
      fields, json: "guided_json", object: "guided_json_object", regex: "guided_regex", choice: "guided_choice",
      grammar: "guided_grammar")
    guard found.count <= 1 else {
      throw .invalid(
        fields.name(found[1].0),
        "only one kind of structured output may be asked for, got "
          + found.map(\.0).joined(separator: " and "))
    }
    return found.first?.1
  }

  private static func responseFormat(_ fields: FieldReader) throws(APIError) -> ConstraintSource? {
    guard let format = try fields.reader("response_format") else { return nil }
    switch try format.requiredString("type", hint: "give text, json_object or json_schema") {
    case "text": return nil
    case "json_object": return .jsonObject
    case "json_schema":
      guard let wrapper = try format.reader("json_schema") else {
        throw .missing(format.name("json_schema"), "give an object with name and schema")
      }
      guard let schema = wrapper["schema"] else {
        throw .missing(wrapper.name("schema"), "give the JSON schema of the answer")
      }
      return .jsonSchema(try checkedSchema(schema, path: wrapper.name("schema")))
    case let other:
      throw .invalid(format.name("type"), "\(other) is not a response format; use text, json_object or json_schema")
    }
  }

  private static func named(
    _ fields: FieldReader, json: String, object: String, regex: String, choice: String, grammar: String
  ) throws(APIError) -> [(String, ConstraintSource)] {
    var found: [(String, ConstraintSource)] = []
    if let value = fields[json] {
      found.append((json, .jsonSchema(try parsedSchema(value, path: fields.name(json)))))
    }
    if try fields.bool(object) == true { found.append((object, .jsonObject)) }
    if let text = try fields.string(regex) { found.append((regex, .regex(text))) }
    if let texts = try fields.strings(choice) {
      guard !texts.isEmpty else { throw .invalid(fields.name(choice), "\(fields.name(choice)) must not be empty") }
      found.append((choice, .choice(texts)))
    }
    if let text = try fields.string(grammar) { found.append((grammar, .grammar(text))) }
    return found
  }

  /// A schema may also be given as a string that holds it.
  private static func parsedSchema(_ value: JSONValue, path: String) throws(APIError) -> JSONValue {
    guard let text = value.string else { return try checkedSchema(value, path: path) }
    do {
      return try checkedSchema(try JSONValue.parse(text), path: path)
    } catch let error as APIError {
      throw error
    } catch {
      throw .invalid(path, "\(path) is not a JSON schema: \(error)")
    }
  }

  static func checkedSchema(_ value: JSONValue, path: String) throws(APIError) -> JSONValue {
    guard value.object != nil || value.bool != nil else {
      throw .wrongType(path, wanted: "a JSON schema (an object)", got: value)
    }
    return value
  }
}
