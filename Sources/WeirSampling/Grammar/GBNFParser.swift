// GBNF, llama.cpp's grammar notation, to the common form.

/// A recursive-descent parser of GBNF.
///
/// Line ends do not matter: a rule ends where the next `name ::=` begins. Names are of letters, digits, `-` and `_`. A
/// character is a Unicode scalar, in classes and in escapes (`\xNN`, `\uNNNN`, `\UNNNNNNNN`, `\n \r \t \\ \" \[ \]`).
struct GBNFParser {
  private let scalars: [Unicode.Scalar]
  private var index = 0
  private var depth = 0
  private var grammar = GrammarDescription()
  private var numbers: [String: Int] = [:]
  private var defined: Set<Int> = []
  private var firstUse: [Int: Int] = [:]

  private init(_ text: String) { scalars = Array(text.unicodeScalars) }

  /// - Throws: `SamplingError` that names the position in Unicode scalars, or the rule.
  static func parse(_ text: String) throws(SamplingError) -> GrammarDescription {
    guard text.utf8.count <= GrammarLimits.sourceBytes else {
      throw SamplingError(
        .tooLarge, "the grammar has \(text.utf8.count) bytes; at most \(GrammarLimits.sourceBytes) are allowed")
    }
    var parser = GBNFParser(text)
    parser.skipSpace()
    while parser.peek != nil { try parser.parseRule() }
    return try parser.finish()
  }

  private func finish() throws(SamplingError) -> GrammarDescription {
    for (name, number) in numbers.sorted(by: { $0.value < $1.value }) where !defined.contains(number) {
      throw SamplingError(
        .invalidGrammar,
        "the grammar uses the rule '\(name)' at character \(firstUse[number] ?? 0) but does not define it",
        parameter: name, position: firstUse[number])
    }
    guard let root = numbers["root"] else {
      throw SamplingError(.invalidGrammar, "the grammar does not define the rule 'root'", parameter: "root")
    }
    var result = grammar
    result.root = root
    return result
  }

  private func error(_ detail: String, at position: Int? = nil) -> SamplingError {
    let position = position ?? index
    return SamplingError(
      .invalidGrammar, "the grammar is wrong at character \(position): \(detail)", position: position)
  }

  private var peek: Unicode.Scalar? { index < scalars.count ? scalars[index] : nil }

  private mutating func skipSpace() {
    while let scalar = peek {
      if scalar == "#" {
        while let inside = peek, inside != "\n", inside != "\r" { index += 1 }
      } else if scalar == " " || scalar == "\t" || scalar == "\n" || scalar == "\r" {
        index += 1
      } else {
        return
      }
    }
  }

  private mutating func take(_ text: String) -> Bool {
    let wanted = Array(text.unicodeScalars)
    guard index + wanted.count <= scalars.count, Array(scalars[index..<index + wanted.count]) == wanted else {
      return false
    }
    index += wanted.count
    return true
  }

  private static func isName(_ scalar: Unicode.Scalar) -> Bool {
    ("a"..."z").contains(scalar) || ("A"..."Z").contains(scalar) || ("0"..."9").contains(scalar) || scalar == "-"
      || scalar == "_"
  }

  private mutating func parseName() -> String? {
    let start = index
    while let scalar = peek, Self.isName(scalar) { index += 1 }
    return start == index ? nil : String(String.UnicodeScalarView(scalars[start..<index]))
  }

  private mutating func number(of name: String, at position: Int) -> Int {
    if let known = numbers[name] { return known }
    let number = grammar.add(name)
    numbers[name] = number
    firstUse[number] = position
    return number
  }

  // MARK: Structure

  private mutating func parseRule() throws(SamplingError) {
    let start = index
    guard let name = parseName() else { throw error("a rule must begin with its name") }
    skipSpace()
    guard take("::=") else { throw error("'::=' must follow the rule's name '\(name)'") }
    let rule = number(of: name, at: start)
    guard defined.insert(rule).inserted else { throw error("the rule '\(name)' is defined twice", at: start) }
    grammar.rules[rule].expression = try parseAlternatives()
    guard peek == nil || isAtRule() else { throw error("a ')' that was never opened") }
  }

  /// Whether `name ::=` stands here.
  private func isAtRule() -> Bool {
    var copy = self
    guard copy.parseName() != nil else { return false }
    copy.skipSpace()
    return copy.take("::=")
  }

  private mutating func parseAlternatives() throws(SamplingError) -> GrammarExpression {
    depth += 1
    defer { depth -= 1 }
    guard depth <= GrammarLimits.expressionDepth else {
      throw SamplingError(
        .tooLarge, "the grammar nests groups deeper than \(GrammarLimits.expressionDepth)", position: index)
    }
    var parts = [try parseSequence()]
    while take("|") { parts.append(try parseSequence()) }
    return parts.count == 1 ? parts[0] : .choice(parts)
  }

  private mutating func parseSequence() throws(SamplingError) -> GrammarExpression {
    var parts: [GrammarExpression] = []
    skipSpace()
    while let next = peek, next != "|", next != ")", !(Self.isName(next) && isAtRule()) {
      let atom = try parseAtom(next)
      skipSpace()
      parts.append(try parseQuantifiers(atom))
    }
    return parts.count == 1 ? parts[0] : .sequence(parts)
  }

  private mutating func parseAtom(_ next: Unicode.Scalar) throws(SamplingError) -> GrammarExpression {
    let start = index
    switch next {
    case "\"": return try parseLiteral()
    case "[": return .scalars(try parseClass())
    case ".":
      index += 1
      return .scalars(.all)
    case "(":
      index += 1
      let body = try parseAlternatives()
      guard take(")") else { throw error("the group opened here is never closed", at: start) }
      return body
    case "*", "+", "?", "{": throw error("nothing to repeat before '\(next)'")
    case "<", "!":
      throw SamplingError(
        .unsupported, "the grammar names a token at character \(start); only text is supported", position: start)
    default:
      guard let name = parseName() else { throw error("'\(next)' cannot begin an item") }
      return .rule(number(of: name, at: start))
    }
  }

  private mutating func parseQuantifiers(_ atom: GrammarExpression) throws(SamplingError) -> GrammarExpression {
    var result = atom
    var count = 0
    while let next = peek, "*+?{".unicodeScalars.contains(next) {
      let start = index
      index += 1
      count += 1
      guard count <= GrammarLimits.expressionDepth else { throw error("too many quantifiers in a row") }
      switch next {
      case "*": result = .repeated(result, 0, nil)
      case "+": result = .repeated(result, 1, nil)
      case "?": result = .repeated(result, 0, 1)
      default:
        let (minimum, maximum) = try parseCounts(start)
        result = .repeated(result, minimum, maximum)
      }
      skipSpace()
    }
    return result
  }

  /// After `{`: `m}`, `m,}`, `m,n}` or `,n}`.
  private mutating func parseCounts(_ start: Int) throws(SamplingError) -> (Int, Int?) {
    skipSpace()
    let minimum = try parseCount()
    skipSpace()
    var maximum = minimum
    if take(",") {
      skipSpace()
      maximum = try parseCount()
      skipSpace()
    }
    guard take("}"), minimum != nil || maximum != nil else {
      throw error("a repetition must be {m}, {m,}, {m,n} or {,n}", at: start)
    }
    if let maximum, maximum < minimum ?? 0 {
      throw error("a repetition with its bounds the wrong way round", at: start)
    }
    return (minimum ?? 0, maximum)
  }

  private mutating func parseCount() throws(SamplingError) -> Int? {
    let start = index
    var value = 0
    while let digit = peek, ("0"..."9").contains(digit) {
      value = value * 10 + Int(digit.value - 48)
      index += 1
      guard value <= GrammarLimits.repetitions else {
        throw SamplingError(
          .tooLarge, "a repetition at character \(start) counts past \(GrammarLimits.repetitions)", position: start)
      }
    }
    return index == start ? nil : value
  }

  // MARK: Characters

  private mutating func parseLiteral() throws(SamplingError) -> GrammarExpression {
    let start = index
    index += 1
    var text = String.UnicodeScalarView()
    while let scalar = peek, scalar != "\"" {
      guard scalar != "\n", scalar != "\r" else { throw error("a literal must end on its line", at: start) }
      text.append(try parseCharacter())
    }
    guard take("\"") else { throw error("the literal opened here is never closed", at: start) }
    return text.isEmpty ? .empty : .text(String(text))
  }

  private mutating func parseClass() throws(SamplingError) -> ScalarSet {
    let start = index
    index += 1
    let inverts = take("^")
    var ranges: [ClosedRange<UInt32>] = []
    while let scalar = peek, scalar != "]" {
      let item = index
      let low = try parseCharacter().value
      var high = low
      if peek == "-", index + 1 < scalars.count, scalars[index + 1] != "]" {
        index += 1
        high = try parseCharacter().value
      }
      guard low <= high else { throw error("a range that runs backwards", at: item) }
      ranges.append(low...high)
    }
    guard take("]") else { throw error("the class opened here is never closed", at: start) }
    let set = ScalarSet(ranges)
    return inverts ? set.inverted : set
  }

  private mutating func parseCharacter() throws(SamplingError) -> Unicode.Scalar {
    let start = index
    guard let scalar = peek else { throw error("the text ends here") }
    index += 1
    guard scalar == "\\" else { return scalar }
    guard let escaped = peek else { throw error("the text ends after a backslash", at: start) }
    index += 1
    switch escaped {
    case "n": return "\n"
    case "r": return "\r"
    case "t": return "\t"
    case "x": return try parseHex(2, start)
    case "u": return try parseHex(4, start)
    case "U": return try parseHex(8, start)
    case "\\", "\"", "[", "]", "-", "^": return escaped
    default: throw error("the unknown escape '\\\(escaped)'", at: start)
    }
  }

  private mutating func parseHex(_ count: Int, _ start: Int) throws(SamplingError) -> Unicode.Scalar {
    guard index + count <= scalars.count else {
      throw error("an escape with fewer than \(count) hex digits", at: start)
    }
    let digits = scalars[index..<index + count]
    index += count
    guard digits.allSatisfy({ $0.properties.isASCIIHexDigit }),
      let value = UInt32(String(String.UnicodeScalarView(digits)), radix: 16), let scalar = Unicode.Scalar(value)
    else { throw error("an escape that is no Unicode scalar in hexadecimal", at: start) }
    return scalar
  }
}
