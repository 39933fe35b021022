// Cutting a Jinja template into text and tags, and tags into tokens.

/// One token inside a tag.
enum TemplateToken: Equatable {
  case name(String)
  case string(String)
  case integer(Int)
  case float(Double)
  case symbol(String)
}

/// A stretch of a template.
enum TemplatePart {
  case text(String)
  /// `{{ ... }}`
  case output([TemplateToken], line: Int)
  /// `{% ... %}`
  case block([TemplateToken], line: Int)
}

/// Splits a template as Jinja does with `trim_blocks` and `lstrip_blocks` on, the setting chat templates are written
/// for: the newline after a block tag goes, and so does the indentation before one.
struct TemplateLexer {
  private let source: [UInt8]
  private var i = 0
  private var line = 1
  private var parts: [TemplatePart] = []
  /// The previous tag swallowed the newline after it, so that a new line begins here.
  private var startsLine = true

  init(_ text: String) {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.utf8.count)
    var previous: UInt8 = 0
    for byte in text.utf8 {
      // \r\n and \r become \n.
      if byte == 10, previous == 13 {
        previous = byte
        continue
      }
      bytes.append(byte == 13 ? 10 : byte)
      previous = byte
    }
    // One newline at the end of the template does not count.
    if bytes.last == 10 { bytes.removeLast() }
    source = bytes
  }

  mutating func cut() throws(TextError) -> [TemplatePart] {
    while i < source.count {
      let start = i
      guard let tag = nextTag() else {
        parts.append(.text(text(start..<source.count)))
        break
      }
      try readTag(after: start, at: tag)
    }
    return parts
  }

  /// Place of the next `{{`, `{%` or `{#`.
  private func nextTag() -> Int? {
    var k = i
    while k + 1 < source.count {
      if source[k] == UInt8(ascii: "{"),
        [UInt8(ascii: "{"), UInt8(ascii: "%"), UInt8(ascii: "#")].contains(source[k + 1])
      {
        return k
      }
      k += 1
    }
    return nil
  }

  private func text(_ range: Range<Int>) -> String { String(decoding: source[range], as: UTF8.self) }

  private func byte(_ k: Int) -> UInt8 { k < source.count ? source[k] : 0 }

  private mutating func readTag(after start: Int, at tag: Int) throws(TextError) {
    let kind = source[tag + 1]
    let sign = byte(tag + 2)
    var end = tag
    if sign == UInt8(ascii: "-") {
      end = trimmedEnd(start..<tag)
    } else if sign != UInt8(ascii: "+"), kind != UInt8(ascii: "{") {
      end = endWithoutIndent(start..<tag)
    }
    if end > start { parts.append(.text(text(start..<end))) }
    advance(to: tag + 2)
    if sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+") { i += 1 }
    switch kind {
    case UInt8(ascii: "#"): try skipComment()
    case UInt8(ascii: "{"):
      let line = line
      parts.append(.output(try tokens(until: "}}"), line: line))
    default:
      let line = line
      let tokens = try tokens(until: "%}")
      if tokens == [.name("raw")] { try readRaw() } else { parts.append(.block(tokens, line: line)) }
    }
  }

  /// Moves on, counting lines.
  private mutating func advance(to end: Int) {
    for k in i..<end where source[k] == 10 { line += 1 }
    i = end
  }

  private static func isSpace(_ byte: UInt8) -> Bool { byte == 32 || (byte >= 9 && byte <= 13) }

  private func trimmedEnd(_ range: Range<Int>) -> Int {
    var end = range.upperBound
    while end > range.lowerBound, Self.isSpace(source[end - 1]) { end -= 1 }
    return end
  }

  /// End without white space that stands alone on its line.
  private func endWithoutIndent(_ range: Range<Int>) -> Int {
    var k = range.upperBound
    while k > range.lowerBound, source[k - 1] != 10, Self.isSpace(source[k - 1]) { k -= 1 }
    let isLineStart = k > range.lowerBound ? source[k - 1] == 10 : startsLine
    return isLineStart ? k : range.upperBound
  }

  /// After the closing bracket: what `-`, `+` and the trimming of newlines swallow.
  private mutating func finishTag(sign: UInt8, trimsNewline: Bool) {
    let start = i
    if sign == UInt8(ascii: "-") {
      var k = i
      while k < source.count, Self.isSpace(source[k]) { k += 1 }
      advance(to: k)
    } else if trimsNewline, sign != UInt8(ascii: "+"), byte(i) == 10 {
      advance(to: i + 1)
    }
    startsLine = i > start && source[i - 1] == 10
  }

  private mutating func skipComment() throws(TextError) {
    var k = i
    while k + 1 < source.count, !(source[k] == UInt8(ascii: "#") && source[k + 1] == UInt8(ascii: "}")) { k += 1 }
    guard k + 1 < source.count else { throw failure("a comment does not end; `#}` is missing") }
    let sign = k > i ? source[k - 1] : 0
    advance(to: k + 2)
    finishTag(sign: sign, trimsNewline: true)
  }

  /// The text up to `{% endraw %}`; the parts of the raw tag's own end have been read.
  private mutating func readRaw() throws(TextError) {
    let start = i
    var k = i
    while k + 1 < source.count {
      if source[k] == UInt8(ascii: "{"), source[k + 1] == UInt8(ascii: "%"), let sign = endRawSign(at: k) {
        let end =
          sign == UInt8(ascii: "-")
          ? trimmedEnd(start..<k)
          : sign == UInt8(ascii: "+") ? k : endWithoutIndent(start..<k)
        parts.append(.text(text(start..<end)))
        advance(to: k + 2)
        if sign != 0 { i += 1 }
        _ = try tokens(until: "%}")
        return
      }
      k += 1
    }
    throw failure("a raw block does not end; `{% endraw %}` is missing")
  }

  /// The sign after `{%` if this tag is `endraw`, 0 for none.
  private func endRawSign(at tag: Int) -> UInt8? {
    var k = tag + 2
    var sign: UInt8 = 0
    if byte(k) == UInt8(ascii: "-") || byte(k) == UInt8(ascii: "+") {
      sign = source[k]
      k += 1
    }
    while k < source.count, Self.isSpace(source[k]) { k += 1 }
    return source[k...].starts(with: "endraw".utf8) ? sign : nil
  }

  func failure(_ what: String) -> TextError {
    TextError(code: "template_syntax", message: "line \(line) of the chat template: \(what)")
  }
}

// MARK: - Inside tags

extension TemplateLexer {
  private static let symbols: Set<String> = [
    "==", "!=", "<=", ">=", "//", "**", "+", "-", "*", "/", "%", "~", "<", ">", "=", ".", ",", ":", "|", "(", ")", "[",
    "]", "{", "}",
  ]

  /// Tokens up to the closing bracket, which is consumed with what follows it and is trimmed.
  private mutating func tokens(until close: String) throws(TextError) -> [TemplateToken] {
    let closing = Array(close.utf8)
    var tokens: [TemplateToken] = []
    var open: [UInt8] = []
    while true {
      var k = i
      while k < source.count, Self.isSpace(source[k]) { k += 1 }
      advance(to: k)
      guard i < source.count else { throw failure("a tag does not end; `\(close)` is missing") }
      let c = source[i]
      if open.isEmpty, let sign = closes(closing) {
        i += sign == 0 ? 2 : 3
        finishTag(sign: sign, trimsNewline: close == "%}" && tokens != [.name("raw")])
        return tokens
      }
      if c == UInt8(ascii: "'") || c == UInt8(ascii: "\"") {
        tokens.append(.string(try readString(quote: c)))
      } else if c >= UInt8(ascii: "0") && c <= UInt8(ascii: "9") {
        tokens.append(try readNumber())
      } else if Self.isNameByte(c) {
        var end = i
        while end < source.count, Self.isNameByte(source[end]) { end += 1 }
        tokens.append(.name(text(i..<end)))
        i = end
      } else {
        let symbol = try readSymbol()
        try track(symbol, &open)
        tokens.append(.symbol(symbol))
      }
      if tokens.count > 20_000 { throw failure("a tag has more than 20000 tokens") }
    }
  }

  /// The sign before the closing bracket if it stands here.
  private func closes(_ closing: [UInt8]) -> UInt8? {
    if byte(i) == closing[0], byte(i + 1) == closing[1] { return 0 }
    let mayPlus = closing[0] == UInt8(ascii: "%")
    if byte(i) == UInt8(ascii: "-") || (mayPlus && byte(i) == UInt8(ascii: "+")) {
      if byte(i + 1) == closing[0], byte(i + 2) == closing[1] { return source[i] }
    }
    return nil
  }

  private static func isNameByte(_ c: UInt8) -> Bool {
    c >= 0x80 || c == 0x5F || (c >= 0x30 && c <= 0x39) || WordScanner.isASCIILetter(UInt32(c))
  }

  private mutating func readSymbol() throws(TextError) -> String {
    for length in [2, 1] where i + length <= source.count {
      let candidate = text(i..<(i + length))
      if Self.symbols.contains(candidate) {
        i += length
        return candidate
      }
    }
    throw failure("unexpected character `\(text(i..<(i + 1)))`")
  }

  private func track(_ symbol: String, _ open: inout [UInt8]) throws(TextError) {
    let pairs: [String: UInt8] = [")": UInt8(ascii: "("), "]": UInt8(ascii: "["), "}": UInt8(ascii: "{")]
    if let byte = symbol.utf8.first, ["(", "[", "{"].contains(symbol) {
      open.append(byte)
    } else if let wanted = pairs[symbol] {
      guard open.popLast() == wanted else { throw failure("`\(symbol)` closes nothing that is open") }
    }
  }

  private mutating func readNumber() throws(TextError) -> TemplateToken {
    var end = i
    func isDigit(_ c: UInt8) -> Bool { (c >= 0x30 && c <= 0x39) || c == 0x5F }
    while isDigit(byte(end)) { end += 1 }
    var isFloat = false
    if byte(end) == UInt8(ascii: "."), isDigit(byte(end + 1)) {
      isFloat = true
      end += 1
      while isDigit(byte(end)) { end += 1 }
    }
    if byte(end) | 0x20 == UInt8(ascii: "e") {
      var k = end + 1
      if byte(k) == UInt8(ascii: "+") || byte(k) == UInt8(ascii: "-") { k += 1 }
      if isDigit(byte(k)) {
        isFloat = true
        while isDigit(byte(k)) { k += 1 }
        end = k
      }
    }
    let digits = text(i..<end).filter { $0 != "_" }
    defer { i = end }
    if isFloat, let value = Double(digits) { return .float(value) }
    if let value = Int(digits) { return .integer(value) }
    throw failure("`\(digits)` is not a number that fits 64 bits")
  }

  private mutating func readString(quote: UInt8) throws(TextError) -> String {
    var bytes: [UInt8] = []
    var k = i + 1
    while k < source.count, source[k] != quote {
      if source[k] == UInt8(ascii: "\\"), k + 1 < source.count {
        k = appendEscape(at: k + 1, to: &bytes)
      } else {
        bytes.append(source[k])
        k += 1
      }
    }
    guard k < source.count else { throw failure("a string does not end; the closing quote is missing") }
    advance(to: k + 1)
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Python's escapes; an unknown one stays as it is. Returns the place after it.
  private func appendEscape(at k: Int, to bytes: inout [UInt8]) -> Int {
    let simple: [UInt8: UInt8] = [
      UInt8(ascii: "n"): 10, UInt8(ascii: "t"): 9, UInt8(ascii: "r"): 13, UInt8(ascii: "\\"): 92, UInt8(ascii: "'"): 39,
      UInt8(ascii: "\""): 34, UInt8(ascii: "a"): 7, UInt8(ascii: "b"): 8, UInt8(ascii: "f"): 12, UInt8(ascii: "v"): 11,
    ]
    let c = source[k]
    if let value = simple[c] {
      bytes.append(value)
      return k + 1
    }
    if c == 10 { return k + 1 }
    let widths: [UInt8: Int] = [UInt8(ascii: "x"): 2, UInt8(ascii: "u"): 4, UInt8(ascii: "U"): 8]
    if let width = widths[c], k + width < source.count,
      let value = UInt32(text((k + 1)..<(k + 1 + width)), radix: 16), let scalar = Unicode.Scalar(value)
    {
      bytes.append(contentsOf: String(Character(scalar)).utf8)
      return k + 1 + width
    }
    var end = k
    while end < k + 3, byte(end) >= 0x30, byte(end) <= 0x37 { end += 1 }
    if end > k, let value = UInt32(text(k..<end), radix: 8), let scalar = Unicode.Scalar(value) {
      bytes.append(contentsOf: String(Character(scalar)).utf8)
      return end
    }
    bytes.append(contentsOf: [UInt8(ascii: "\\"), c])
    return k + 1
  }
}
