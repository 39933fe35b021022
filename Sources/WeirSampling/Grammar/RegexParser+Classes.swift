// Character classes and escapes of regular expressions.

extension RegexParser {
  static let digits = ScalarSet([0x30...0x39])
  static let word = ScalarSet([0x30...0x39, 0x41...0x5A, 0x5F...0x5F, 0x61...0x7A])
  static let space = ScalarSet(" \t\n\r\u{0B}\u{0C}")

  static func shorthand(_ scalar: Unicode.Scalar) -> ScalarSet? {
    switch scalar {
    case "d": digits
    case "D": digits.inverted
    case "w": word
    case "W": word.inverted
    case "s": space
    case "S": space.inverted
    default: nil
    }
  }
}

extension RegexParser {
  /// `[...]` with ranges, escapes, `^` and POSIX-free content.
  mutating func parseClass() throws(SamplingError) -> ScalarSet {
    let start = index
    index += 1
    let inverts = take("^")
    var set = ScalarSet([])
    var isFirst = true
    while let scalar = peek, scalar != "]" || isFirst {
      isFirst = false
      if follows("[:") { throw unsupported("a POSIX class", at: index) }
      let item = index
      let low = try parseClassItem()
      guard peek == "-", index + 1 < scalars.count, scalars[index + 1] != "]" else {
        set = set.union(low.set)
        continue
      }
      index += 1
      let high = try parseClassItem()
      guard let from = low.scalar, let to = high.scalar else {
        throw error("a range whose end is a class like \\d", at: item)
      }
      guard from <= to else { throw error("a range that runs backwards", at: item) }
      set = set.union(ScalarSet([from...to]))
    }
    guard take("]") else { throw error("the class opened here is never closed", at: start) }
    if ignoresCase { set = set.ignoringASCIICase }
    return inverts ? set.inverted : set
  }

  /// One scalar or one shorthand inside a class.
  private mutating func parseClassItem() throws(SamplingError) -> (set: ScalarSet, scalar: UInt32?) {
    let start = index
    guard let scalar = peek else { throw error("the text ends inside a class", at: start) }
    index += 1
    guard scalar == "\\" else { return (ScalarSet([scalar.value...scalar.value]), scalar.value) }
    guard let escaped = peek else { throw error("the text ends after a backslash", at: start) }
    if let set = Self.shorthand(escaped) {
      index += 1
      return (set, nil)
    }
    if escaped == "b" {
      index += 1
      return (ScalarSet([8...8]), 8)
    }
    let value = try parseEscapedScalar(start).value
    return (ScalarSet([value...value]), value)
  }

  /// What stands after a backslash, as one scalar.
  mutating func parseEscapedScalar(_ start: Int) throws(SamplingError) -> Unicode.Scalar {
    guard let scalar = peek else { throw error("the text ends after a backslash", at: start) }
    index += 1
    switch scalar {
    case "n": return "\n"
    case "r": return "\r"
    case "t": return "\t"
    case "f": return "\u{0C}"
    case "v": return "\u{0B}"
    case "a": return "\u{07}"
    case "0": return "\u{00}"
    case "x": return try take("{") ? parseBraced(start) : parseHex(2, start)
    case "u": return try take("{") ? parseBraced(start) : parseHex(4, start)
    case "U": return try parseHex(8, start)
    case "p", "P": throw unsupported("a Unicode property", at: start)
    default:
      let isWord = ("a"..."z").contains(scalar) || ("A"..."Z").contains(scalar) || ("0"..."9").contains(scalar)
      if isWord { throw error("the unknown escape '\\\(scalar)'", at: start) }
      return scalar
    }
  }

  private mutating func parseHex(_ count: Int, _ start: Int) throws(SamplingError) -> Unicode.Scalar {
    guard index + count <= scalars.count else {
      throw error("an escape with fewer than \(count) hex digits", at: start)
    }
    let digits = String(String.UnicodeScalarView(scalars[index..<index + count]))
    index += count
    return try scalar(digits, start)
  }

  private mutating func parseBraced(_ start: Int) throws(SamplingError) -> Unicode.Scalar {
    guard let close = scalars[index...].firstIndex(of: "}") else { throw error("an escape without '}'", at: start) }
    let digits = String(String.UnicodeScalarView(scalars[index..<close]))
    index = close + 1
    return try scalar(digits, start)
  }

  private func scalar(_ digits: String, _ start: Int) throws(SamplingError) -> Unicode.Scalar {
    guard !digits.hasPrefix("+"), !digits.hasPrefix("-"), let value = UInt32(digits, radix: 16),
      let scalar = Unicode.Scalar(value)
    else { throw error("the escape '\(digits)' is no Unicode scalar in hexadecimal", at: start) }
    return scalar
  }
}
