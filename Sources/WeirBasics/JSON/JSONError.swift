// What can be wrong with JSON text.

/// JSON text that is not valid (RFC 8259), or that goes past the parser's limits.
public struct JSONError: WeirError, Equatable {
  /// The rule that was broken.
  public enum Reason: String, Sendable, CaseIterable {
    case unexpectedEnd = "unexpected_end"
    case unexpectedByte = "unexpected_byte"
    case trailingBytes = "trailing_bytes"
    case tooDeep = "too_deep"
    case badNumber = "bad_number"
    case numberOutOfRange = "number_out_of_range"
    case badEscape = "bad_escape"
    case badSurrogate = "bad_surrogate"
    case controlCharacter = "control_character"
    case badUTF8 = "bad_utf8"
    case duplicateKey = "duplicate_key"
  }

  public let reason: Reason
  /// Offset of the first wrong byte from the start of the text, in bytes.
  public let offset: Int
  private let detail: String

  init(_ reason: Reason, at offset: Int, _ detail: String) {
    self.reason = reason
    self.offset = offset
    self.detail = detail
  }

  public var code: String { "invalid_json" }
  public var message: String { "JSON is not valid at byte \(offset): \(detail)" }
}
