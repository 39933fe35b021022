// The strict parser: RFC 8259, nothing more, with a depth limit and byte offsets in errors.

extension JSONValue {
  /// Nesting deeper than this is refused, so that hostile text cannot overflow the stack.
  public static let depthLimit = 128

  /// Parses one JSON text; only white space may surround it.
  ///
  /// - Parameters:
  ///   - utf8: the whole text as UTF-8, without a byte order mark.
  ///   - allowsDuplicateKeys: whether a repeated key replaces the earlier one; otherwise it is an error.
  /// - Returns: the value.
  /// - Throws: `JSONError` with the offset of the first wrong byte.
  public static func parse(utf8: [UInt8], allowsDuplicateKeys: Bool = true) throws(JSONError) -> JSONValue {
    var parser = JSONParser(bytes: utf8, allowsDuplicateKeys: allowsDuplicateKeys)
    return try parser.parseText()
  }

  /// Parses one JSON text given as a string.
  ///
  /// - Parameter text: the whole text.
  /// - Returns: the value.
  /// - Throws: `JSONError` with the offset of the first wrong byte.
  public static func parse(_ text: String) throws(JSONError) -> JSONValue {
    try parse(utf8: Array(text.utf8))
  }
}

struct JSONParser {
  let bytes: [UInt8]
  let allowsDuplicateKeys: Bool
  var offset = 0
  private var depth = 0

  init(bytes: [UInt8], allowsDuplicateKeys: Bool) {
    self.bytes = bytes
    self.allowsDuplicateKeys = allowsDuplicateKeys
  }

  mutating func parseText() throws(JSONError) -> JSONValue {
    skipSpace()
    let value = try parseValue()
    skipSpace()
    guard offset == bytes.count else {
      throw JSONError(.trailingBytes, at: offset, "the text must end after one value")
    }
    return value
  }

  private mutating func skipSpace() {
    while offset < bytes.count {
      switch bytes[offset] {
      case 0x20, 0x09, 0x0A, 0x0D: offset += 1
      default: return
      }
    }
  }

  private func ended(_ wanted: String) -> JSONError {
    JSONError(.unexpectedEnd, at: offset, "the text ends where \(wanted) was expected")
  }

  private mutating func parseValue() throws(JSONError) -> JSONValue {
    guard offset < bytes.count else { throw ended("a value") }
    switch bytes[offset] {
    case UInt8(ascii: "{"): return try parseObject()
    case UInt8(ascii: "["): return try parseArray()
    case UInt8(ascii: "\""): return .string(try parseString())
    case UInt8(ascii: "t"): return try parseWord("true", .bool(true))
    case UInt8(ascii: "f"): return try parseWord("false", .bool(false))
    case UInt8(ascii: "n"): return try parseWord("null", .null)
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try parseNumber()
    case let other: throw JSONError(.unexpectedByte, at: offset, "byte \(other) cannot start a value")
    }
  }

  private mutating func parseWord(_ word: StaticString, _ value: JSONValue) throws(JSONError) -> JSONValue {
    let start = offset
    for byte in word.description.utf8 {
      guard offset < bytes.count else { throw ended("`\(word)`") }
      guard bytes[offset] == byte else { throw JSONError(.unexpectedByte, at: start, "expected `\(word)`") }
      offset += 1
    }
    return value
  }

  // MARK: - Containers

  private mutating func enter() throws(JSONError) {
    depth += 1
    if depth > JSONValue.depthLimit {
      throw JSONError(.tooDeep, at: offset, "nesting may be at most \(JSONValue.depthLimit) deep")
    }
    offset += 1
    skipSpace()
  }

  /// Consumes `,` (true) or `close` (false).
  private mutating func separator(close: UInt8) throws(JSONError) -> Bool {
    skipSpace()
    let name = Character(UnicodeScalar(close))
    guard offset < bytes.count else { throw ended("`,` or `\(name)`") }
    let byte = bytes[offset]
    guard byte == close || byte == UInt8(ascii: ",") else {
      throw JSONError(.unexpectedByte, at: offset, "expected `,` or `\(name)`, found byte \(byte)")
    }
    offset += 1
    skipSpace()
    return byte != close
  }

  private mutating func parseArray() throws(JSONError) -> JSONValue {
    try enter()
    defer { depth -= 1 }
    var items: [JSONValue] = []
    if offset < bytes.count, bytes[offset] == UInt8(ascii: "]") {
      offset += 1
      return .array(items)
    }
    repeat { items.append(try parseValue()) } while try separator(close: UInt8(ascii: "]"))
    return .array(items)
  }

  private mutating func parseObject() throws(JSONError) -> JSONValue {
    try enter()
    defer { depth -= 1 }
    var object = JSONObject()
    if offset < bytes.count, bytes[offset] == UInt8(ascii: "}") {
      offset += 1
      return .object(object)
    }
    repeat {
      guard offset < bytes.count else { throw ended("a key") }
      guard bytes[offset] == UInt8(ascii: "\"") else {
        throw JSONError(.unexpectedByte, at: offset, "a key must be a string, found byte \(bytes[offset])")
      }
      let keyOffset = offset
      let key = try parseString()
      skipSpace()
      guard offset < bytes.count else { throw ended("`:`") }
      guard bytes[offset] == UInt8(ascii: ":") else {
        throw JSONError(.unexpectedByte, at: offset, "expected `:` after a key, found byte \(bytes[offset])")
      }
      offset += 1
      skipSpace()
      if !allowsDuplicateKeys, object.contains(key) {
        throw JSONError(.duplicateKey, at: keyOffset, "the key \"\(key)\" occurs twice in one object")
      }
      object[key] = try parseValue()
    } while try separator(close: UInt8(ascii: "}"))
    return .object(object)
  }

  // MARK: - Numbers

  private mutating func skipDigits() -> Int {
    let start = offset
    while offset < bytes.count, bytes[offset] &- 0x30 < 10 { offset += 1 }
    return offset - start
  }

  private mutating func parseNumber() throws(JSONError) -> JSONValue {
    let start = offset
    if bytes[offset] == UInt8(ascii: "-") { offset += 1 }
    let firstDigit = offset
    let whole = skipDigits()
    guard whole > 0 else {
      throw offset == bytes.count ? ended("a digit") : JSONError(.badNumber, at: offset, "expected a digit")
    }
    if whole > 1, bytes[firstDigit] == UInt8(ascii: "0") {
      throw JSONError(.badNumber, at: firstDigit, "a number may not have leading zeros")
    }
    var isWhole = true
    if offset < bytes.count, bytes[offset] == UInt8(ascii: ".") {
      isWhole = false
      offset += 1
      if skipDigits() == 0 { throw JSONError(.badNumber, at: offset, "expected a digit after `.`") }
    }
    if offset < bytes.count, bytes[offset] | 0x20 == UInt8(ascii: "e") {
      isWhole = false
      offset += 1
      if offset < bytes.count, bytes[offset] == UInt8(ascii: "+") || bytes[offset] == UInt8(ascii: "-") { offset += 1 }
      if skipDigits() == 0 { throw JSONError(.badNumber, at: offset, "expected a digit in the exponent") }
    }
    if isWhole, let exact = wholeNumber(start..<offset) { return .integer(exact) }
    let text = String(decoding: bytes[start..<offset], as: UTF8.self)
    guard let value = Double(text), value.isFinite else {
      throw JSONError(.numberOutOfRange, at: start, "the number is beyond the range of a double")
    }
    return .number(value)
  }

  /// The digits of `range` as `Int64`; nil if they do not fit or say `-0`, which only a double can hold.
  private func wholeNumber(_ range: Range<Int>) -> Int64? {
    let isNegative = bytes[range.lowerBound] == UInt8(ascii: "-")
    var value: Int64 = 0
    for byte in bytes[(range.lowerBound + (isNegative ? 1 : 0))..<range.upperBound] {
      let digit = Int64(byte &- 0x30)
      let (scaled, overflow) = value.multipliedReportingOverflow(by: 10)
      let (next, carry) =
        isNegative
        ? scaled.subtractingReportingOverflow(digit) : scaled.addingReportingOverflow(digit)
      if overflow || carry { return nil }
      value = next
    }
    return isNegative && value == 0 ? nil : value
  }
}
