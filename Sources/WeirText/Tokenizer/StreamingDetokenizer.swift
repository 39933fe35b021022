// Tokens to text, one at a time: never half a character.
public import WeirBasics

/// Turns a stream of tokens into a stream of text deltas whose concatenation is `Tokenizer.decode` of all tokens.
///
/// Bytes that may still become a character are held back, at most three.
public struct StreamingDetokenizer: Sendable {
  private let tokenizer: Tokenizer
  private let skipSpecial: Bool
  private var isFirst: Bool
  private var held: [UInt8] = []

  /// - Parameters:
  ///   - tokenizer: the tokens' vocabulary.
  ///   - continues: the tokens continue a text (a prompt), so that a leading space of the first one is kept.
  ///   - skipSpecial: leave out control tokens instead of spelling them.
  public init(tokenizer: Tokenizer, continues: Bool = false, skipSpecial: Bool = true) {
    self.tokenizer = tokenizer
    self.skipSpecial = skipSpecial
    isFirst = !continues
  }

  /// Text that became certain with this token, often "".
  public mutating func append(_ token: TokenID) -> String {
    tokenizer.appendBytes(of: token, skipSpecial: skipSpecial, isFirst: &isFirst, to: &held)
    let ready = held.count - Self.incompleteTail(held)
    if ready == 0 { return "" }
    let text = String(decoding: held[..<ready], as: UTF8.self)
    held.removeSubrange(..<ready)
    return text
  }

  /// What is left when no more tokens come; an unfinished character becomes U+FFFD.
  public mutating func finish() -> String {
    let text = String(decoding: held, as: UTF8.self)
    held = []
    return text
  }

  /// Number of bytes at the end that are the beginning of a valid character, 0...3.
  ///
  /// Only prefixes that can still become valid count: `E0 80` cannot, and holding it back would delay text for ever.
  static func incompleteTail(_ bytes: [UInt8]) -> Int {
    for length in 1...3 where bytes.count >= length {
      let start = bytes.count - length
      let lead = bytes[start]
      if lead < 0x80 { return 0 }
      if lead < 0xC0 { continue }
      let wanted = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2
      if lead < 0xC2 || lead > 0xF4 || length >= wanted { return 0 }
      if length >= 2, !isSecond(bytes[start + 1], after: lead) { return 0 }
      return length
    }
    return 0
  }

  private static func isSecond(_ byte: UInt8, after lead: UInt8) -> Bool {
    switch lead {
    case 0xE0: byte >= 0xA0
    case 0xED: byte < 0xA0
    case 0xF0: byte >= 0x90
    case 0xF4: byte < 0x90
    default: true
    }
  }
}
