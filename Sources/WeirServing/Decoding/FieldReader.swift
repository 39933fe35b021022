// Reads typed fields out of a JSON object; every failure names the field.

import WeirBasics

/// A JSON object with the path that leads to it, so that errors can say `messages[2].content`.
struct FieldReader: Sendable {
  let object: JSONObject
  let path: String

  init(_ object: JSONObject, path: String = "") {
    self.object = object
    self.path = path
  }

  /// Reads `value` as an object, or says that it is none.
  init(_ value: JSONValue, path: String) throws(APIError) {
    guard let object = value.object else { throw .wrongType(path, wanted: "an object", got: value) }
    self.init(object, path: path)
  }

  func name(_ field: String) -> String { path.isEmpty ? field : "\(path).\(field)" }

  /// The field's value; nil if it is absent or null, which clients use alike.
  subscript(field: String) -> JSONValue? {
    guard let value = object[field], !value.isNull else { return nil }
    return value
  }

  func string(_ field: String) throws(APIError) -> String? {
    guard let value = self[field] else { return nil }
    guard let text = value.string else { throw .wrongType(name(field), wanted: "a string", got: value) }
    return text
  }

  func requiredString(_ field: String, hint: String) throws(APIError) -> String {
    guard let text = try string(field) else { throw .missing(name(field), hint) }
    return text
  }

  func bool(_ field: String) throws(APIError) -> Bool? {
    guard let value = self[field] else { return nil }
    guard let flag = value.bool else { throw .wrongType(name(field), wanted: "true or false", got: value) }
    return flag
  }

  func integer(_ field: String, in range: ClosedRange<Int> = Int.min...Int.max) throws(APIError) -> Int? {
    guard let value = self[field] else { return nil }
    guard let number = value.int else { throw .wrongType(name(field), wanted: "a whole number", got: value) }
    guard range.contains(number) else {
      throw .invalid(name(field), "\(name(field)) is \(number), it must be \(FieldReader.words(range))")
    }
    return number
  }

  func number(_ field: String, in range: ClosedRange<Double>) throws(APIError) -> Double? {
    guard let value = self[field] else { return nil }
    guard let number = value.double, number.isFinite else {
      throw .wrongType(name(field), wanted: "a number", got: value)
    }
    guard range.contains(number) else {
      throw .invalid(
        name(field), "\(name(field)) is \(number), it must be from \(range.lowerBound) to \(range.upperBound)")
    }
    return number
  }

  func array(_ field: String) throws(APIError) -> [JSONValue]? {
    guard let value = self[field] else { return nil }
    guard let items = value.array else { throw .wrongType(name(field), wanted: "a list", got: value) }
    return items
  }

  func reader(_ field: String) throws(APIError) -> FieldReader? {
    guard let value = self[field] else { return nil }
    return try FieldReader(value, path: name(field))
  }

  /// A list of strings; one string stands for a list of one.
  func strings(_ field: String) throws(APIError) -> [String]? {
    guard let value = self[field] else { return nil }
    if let text = value.string { return [text] }
    guard let items = value.array else {
      throw .wrongType(name(field), wanted: "a string or a list of strings", got: value)
    }
    var texts: [String] = []
    for (index, item) in items.enumerated() {
      guard let text = item.string else {
        throw .wrongType("\(name(field))[\(index)]", wanted: "a string", got: item)
      }
      texts.append(text)
    }
    return texts
  }

  /// A list of token numbers below `vocabulary`.
  func tokens(_ field: String, vocabulary: Int) throws(APIError) -> [TokenID]? {
    guard let items = try array(field) else { return nil }
    return try FieldReader.tokens(items, path: name(field), vocabulary: vocabulary)
  }

  static func tokens(_ items: [JSONValue], path: String, vocabulary: Int) throws(APIError) -> [TokenID] {
    var tokens: [TokenID] = []
    tokens.reserveCapacity(items.count)
    for (index, item) in items.enumerated() {
      guard let number = item.int else {
        throw .wrongType("\(path)[\(index)]", wanted: "a token number", got: item)
      }
      guard (0..<vocabulary).contains(number) else {
        throw .invalid(
          "\(path)[\(index)]", "\(path)[\(index)] is \(number), tokens of this model are 0 to \(vocabulary - 1)")
      }
      tokens.append(TokenID(number))
    }
    return tokens
  }

  private static func words(_ range: ClosedRange<Int>) -> String {
    switch (range.lowerBound == .min, range.upperBound == .max) {
    case (false, false): "from \(range.lowerBound) to \(range.upperBound)"
    case (false, true): "at least \(range.lowerBound)"
    case (true, false): "at most \(range.upperBound)"
    case (true, true): "a whole number"
    }
  }
}
