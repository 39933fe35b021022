// Strings: escapes, surrogate pairs, UTF-8 validity.

extension JSONParser {
  /// Parses a string; `offset` is at its opening quote.
  mutating func parseString() throws(JSONError) -> String {
    let start = offset
    offset += 1
    let first = offset
    while offset < bytes.count {
      let byte = bytes[offset]
      if byte == UInt8(ascii: "\"") {
        guard let text = String(validating: bytes[first..<offset], as: UTF8.self) else {
          throw JSONError(.badUTF8, at: start, "the string is not valid UTF-8")
        }
        offset += 1
        return text
      }
      if byte == UInt8(ascii: "\\") { return try parseEscapedString(start: start) }
      if byte < 0x20 { throw controlCharacter(byte) }
      offset += 1
    }
    throw JSONError(.unexpectedEnd, at: offset, "the string that starts at byte \(start) does not end")
  }

  private func controlCharacter(_ byte: UInt8) -> JSONError {
    JSONError(.controlCharacter, at: offset, "control character \(byte) must be escaped inside a string")
  }

  /// Continues a string from its first backslash.
  private mutating func parseEscapedString(start: Int) throws(JSONError) -> String {
    var text = Array(bytes[(start + 1)..<offset])
    while offset < bytes.count {
      let byte = bytes[offset]
      switch byte {
      case UInt8(ascii: "\""):
        guard let result = String(validating: text, as: UTF8.self) else {
          throw JSONError(.badUTF8, at: start, "the string is not valid UTF-8")
        }
        offset += 1
        return result
      case UInt8(ascii: "\\"): try parseEscape(into: &text)
      case 0..<0x20: throw controlCharacter(byte)
      default:
        text.append(byte)
        offset += 1
      }
    }
    throw JSONError(.unexpectedEnd, at: offset, "the string that starts at byte \(start) does not end")
  }

  private mutating func parseEscape(into text: inout [UInt8]) throws(JSONError) {
    guard offset + 1 < bytes.count else {
      throw JSONError(.unexpectedEnd, at: bytes.count, "the text ends inside an escape")
    }
    let letter = bytes[offset + 1]
    switch letter {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(letter)
    case UInt8(ascii: "b"): text.append(0x08)
    case UInt8(ascii: "f"): text.append(0x0C)
    case UInt8(ascii: "n"): text.append(0x0A)
    case UInt8(ascii: "r"): text.append(0x0D)
    case UInt8(ascii: "t"): text.append(0x09)
    case UInt8(ascii: "u"): return try parseUnicodeEscape(into: &text)
    default: throw JSONError(.badEscape, at: offset, "`\\` must be followed by one of \"\\/bfnrtu")
    }
    offset += 2
  }

  private mutating func parseUnicodeEscape(into text: inout [UInt8]) throws(JSONError) {
    let start = offset
    var code = UInt32(try parseHex())
    if code & 0xFC00 == 0xD800 {
      guard offset + 1 < bytes.count, bytes[offset] == UInt8(ascii: "\\"), bytes[offset + 1] == UInt8(ascii: "u") else {
        throw JSONError(.badSurrogate, at: start, "a high surrogate must be followed by a low one")
      }
      let low = UInt32(try parseHex())
      guard low & 0xFC00 == 0xDC00 else {
        throw JSONError(.badSurrogate, at: start, "a high surrogate must be followed by a low one")
      }
      code = 0x10000 + ((code & 0x3FF) << 10 | (low & 0x3FF))
    }
    guard let scalar = UnicodeScalar(code) else {
      throw JSONError(.badSurrogate, at: start, "a low surrogate must follow a high one")
    }
    text.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
  }

  /// Reads `\uXXXX` at `offset`.
  private mutating func parseHex() throws(JSONError) -> UInt16 {
    var value: UInt16 = 0
    for place in (offset + 2)..<(offset + 6) {
      guard place < bytes.count else {
        throw JSONError(.unexpectedEnd, at: bytes.count, "the text ends inside an escape")
      }
      let byte = bytes[place]
      let digit: UInt8
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - 0x30
      case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
      case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - UInt8(ascii: "A") + 10
      default: throw JSONError(.badEscape, at: offset, "`\\u` must be followed by four hexadecimal digits")
      }
      value = value << 4 | UInt16(digit)
    }
    offset += 6
    return value
  }
}
