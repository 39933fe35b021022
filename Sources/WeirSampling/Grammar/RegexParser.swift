// Regular expressions to the common form. The whole output must match: anchors at the ends are implied.

/// A recursive-descent parser of the usual subset of regular expressions over Unicode scalars.
///
/// `\d`, `\w`, `\s` and `.` mean ASCII digits, ASCII word characters, ASCII white space, and anything but a line feed.
/// Lazy and possessive-free: `*?` is read as `*`, since a set of strings has no preference.
struct RegexParser {
  let scalars: [Unicode.Scalar]
  var index = 0
  private var depth = 0
  var ignoresCase = false
  private var dotMatchesLineFeed = false
  /// Whether a match may stand anywhere in the text, as in a schema's `pattern`.
  private let searches: Bool
  /// Where '^' may stand: at the beginning of a top-level alternative.
  private var anchorPlace = 0
  private var isAnchoredAtStart = false
  private var isAnchoredAtEnd = false

  private init(_ text: String, searches: Bool) {
    scalars = Array(text.unicodeScalars)
    self.searches = searches
  }

  /// - Parameter searches: whether text may stand before and after the match where no anchor forbids it.
  /// - Throws: `SamplingError` that names the position in Unicode scalars.
  static func parse(_ text: String, searches: Bool = false) throws(SamplingError) -> GrammarExpression {
    guard text.utf8.count <= GrammarLimits.sourceBytes else {
      throw SamplingError(
        .tooLarge,
        "the regular expression has \(text.utf8.count) bytes; at most \(GrammarLimits.sourceBytes) are allowed")
    }
    var parser = RegexParser(text, searches: searches)
    let result = try parser.parseAlternatives()
    guard parser.index == parser.scalars.count else { throw parser.error("a ')' that was never opened") }
    return result
  }

  func error(_ detail: String, at position: Int? = nil) -> SamplingError {
    let position = position ?? index
    return SamplingError(
      .invalidRegex, "the regular expression is wrong at character \(position): \(detail)", position: position)
  }

  func unsupported(_ detail: String, at position: Int) -> SamplingError {
    SamplingError(
      .unsupported, "the regular expression uses \(detail) at character \(position), which is not supported",
      position: position)
  }

  var peek: Unicode.Scalar? { index < scalars.count ? scalars[index] : nil }

  mutating func take(_ scalar: Unicode.Scalar) -> Bool {
    guard peek == scalar else { return false }
    index += 1
    return true
  }

  func follows(_ text: String) -> Bool {
    let wanted = Array(text.unicodeScalars)
    return index + wanted.count <= scalars.count && Array(scalars[index..<index + wanted.count]) == wanted
  }

  // MARK: Structure

  private mutating func parseAlternatives() throws(SamplingError) -> GrammarExpression {
    depth += 1
    defer { depth -= 1 }
    guard depth <= GrammarLimits.expressionDepth else {
      throw SamplingError(
        .tooLarge, "the regular expression nests groups deeper than \(GrammarLimits.expressionDepth)", position: index)
    }
    let flags = (ignoresCase, dotMatchesLineFeed)
    var parts = [try parseSequence()]
    while take("|") { parts.append(try parseSequence()) }
    (ignoresCase, dotMatchesLineFeed) = flags
    return parts.count == 1 ? parts[0] : .choice(parts)
  }

  private mutating func parseSequence() throws(SamplingError) -> GrammarExpression {
    var parts: [GrammarExpression] = []
    if depth == 1 { (anchorPlace, isAnchoredAtStart, isAnchoredAtEnd) = (index, false, false) }
    while let next = peek, next != "|", next != ")" {
      guard let atom = try parseAtom() else { continue }
      parts.append(try parseQuantifier(atom))
    }
    if searches, depth == 1 {
      let anything = GrammarExpression.repeated(.scalars(.all), 0, nil)
      if !isAnchoredAtStart { parts.insert(anything, at: 0) }
      if !isAnchoredAtEnd { parts.append(anything) }
    }
    return parts.count == 1 ? parts[0] : .sequence(parts)
  }

  private mutating func parseQuantifier(_ atom: GrammarExpression) throws(SamplingError) -> GrammarExpression {
    let start = index
    var result = atom
    switch peek {
    case "*": (index, result) = (index + 1, .repeated(atom, 0, nil))
    case "+": (index, result) = (index + 1, .repeated(atom, 1, nil))
    case "?": (index, result) = (index + 1, .repeated(atom, 0, 1))
    case "{":
      guard let (minimum, maximum) = try parseCounts() else { return atom }
      result = .repeated(atom, minimum, maximum)
    default: return atom
    }
    _ = take("?")
    if peek == "+" { throw unsupported("a possessive quantifier", at: start) }
    if let next = peek, next == "*" || next == "?" || (next == "{" && looksLikeCounts()) {
      throw error("two quantifiers in a row; put the first in a group")
    }
    return result
  }

  private func looksLikeCounts() -> Bool {
    var copy = self
    return ((try? copy.parseCounts()) ?? nil) != nil
  }

  /// `{m}`, `{m,}`, `{m,n}`, `{,n}`; nil (and nothing read) if the brace does not begin counts.
  private mutating func parseCounts() throws(SamplingError) -> (Int, Int?)? {
    let start = index
    index += 1
    let minimum = try parseNumber()
    var maximum = minimum
    if take(",") { maximum = try parseNumber() } else if minimum == nil { return giveUp(start) }
    let hasComma = scalars[start..<index].contains(",")
    guard take("}"), minimum != nil || maximum != nil else { return giveUp(start) }
    if hasComma, let minimum, let maximum, maximum < minimum {
      throw error("the repetition {\(minimum),\(maximum)} has its bounds the wrong way round", at: start)
    }
    return (minimum ?? 0, maximum)
  }

  private mutating func giveUp(_ start: Int) -> (Int, Int?)? {
    index = start
    return nil
  }

  private mutating func parseNumber() throws(SamplingError) -> Int? {
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

  // MARK: Atoms

  /// nil for something that matches the empty text and takes no quantifier: anchors and flags.
  private mutating func parseAtom() throws(SamplingError) -> GrammarExpression? {
    guard let scalar = peek else { return nil }
    switch scalar {
    case "(": return try parseGroup()
    case "[": return .scalars(try parseClass())
    case ".":
      index += 1
      return .scalars(dotMatchesLineFeed ? .all : ScalarSet("\n").inverted)
    case "\\": return try parseEscape()
    case "^":
      guard depth == 1, index == anchorPlace else { throw unsupported("an anchor '^' inside", at: index) }
      isAnchoredAtStart = true
      index += 1
      return nil
    case "$":
      index += 1
      guard depth == 1, peek == nil || peek == "|" else { throw unsupported("an anchor '$' inside", at: index - 1) }
      isAnchoredAtEnd = true
      return nil
    case "*", "+", "?": throw error("nothing to repeat before '\(scalar)'")
    case "{" where looksLikeCounts(): throw error("nothing to repeat before '{'")
    default:
      index += 1
      return literal(scalar)
    }
  }

  private func literal(_ scalar: Unicode.Scalar) -> GrammarExpression {
    if ignoresCase { return .scalars(ScalarSet([scalar.value...scalar.value]).ignoringASCIICase) }
    return .text(String(Character(scalar)))
  }

  private mutating func parseGroup() throws(SamplingError) -> GrammarExpression? {
    let start = index
    index += 1
    if take("?") {
      for form in ["=", "!", "<=", "<!"] where follows(form) {
        throw unsupported(form.count == 2 ? "lookbehind" : "lookahead", at: start)
      }
      if follows(">") { throw unsupported("an atomic group", at: start) }
      if follows("P=") || follows("P>") || follows("R") || follows("(") {
        throw unsupported("a reference to another group", at: start)
      }
      if follows("P<") || follows("<") || follows("'") {
        try skipGroupName(start)
      } else if !take(":") {
        return try parseFlags(start)
      }
    }
    return try finishGroup(start)
  }

  private mutating func finishGroup(_ start: Int) throws(SamplingError) -> GrammarExpression {
    let flags = (ignoresCase, dotMatchesLineFeed)
    let body = try parseAlternatives()
    guard take(")") else { throw error("the group opened here is never closed", at: start) }
    (ignoresCase, dotMatchesLineFeed) = flags
    return body
  }

  private mutating func skipGroupName(_ start: Int) throws(SamplingError) {
    _ = take("P")
    let close: Unicode.Scalar = peek == "'" ? "'" : ">"
    index += 1
    while let scalar = peek, scalar != close {
      guard scalar == "_" || scalar.properties.isAlphabetic || ("0"..."9").contains(scalar) else { break }
      index += 1
    }
    guard take(close) else { throw error("a group name that is not closed by '\(close)'", at: start) }
  }

  /// `(?i)`, `(?s)` and `(?i:...)`; m and x are refused.
  private mutating func parseFlags(_ start: Int) throws(SamplingError) -> GrammarExpression? {
    let outer = (ignoresCase, dotMatchesLineFeed)
    var any = false
    while let flag = peek, flag == "i" || flag == "s" {
      any = true
      index += 1
      if flag == "i" { ignoresCase = true } else { dotMatchesLineFeed = true }
    }
    guard any else {
      throw unsupported("a group of the kind '(?\(peek.map { String(Character($0)) } ?? "")'", at: start)
    }
    if take(")") {
      guard start == 0 else { throw unsupported("flags that do not stand at the very beginning", at: start) }
      anchorPlace = index
      return nil
    }
    guard take(":") else { throw unsupported("flags other than i and s", at: start) }
    let body = try finishGroup(start)
    (ignoresCase, dotMatchesLineFeed) = outer
    return body
  }

  private mutating func parseEscape() throws(SamplingError) -> GrammarExpression {
    let start = index
    index += 1
    guard let scalar = peek else { throw error("the text ends after a backslash", at: start) }
    if ("1"..."9").contains(scalar) || scalar == "k" || scalar == "g" {
      throw unsupported("a back-reference", at: start)
    }
    if "bBAzZG".unicodeScalars.contains(scalar) { throw unsupported("the anchor '\\\(scalar)'", at: start) }
    if let set = Self.shorthand(scalar) {
      index += 1
      return .scalars(set)
    }
    return literal(try parseEscapedScalar(start))
  }
}
