// Where sentences begin, told from the text of one token after the other.

public import WeirKVCache

/// Cuts a stream of detokenised tokens into sentences. A value: the text so far is all it knows.
///
/// A sentence ends behind `.`, `!`, `?` or `…`, closing quotes and brackets included, if white space follows; behind the
/// CJK marks `。！？` whatever follows; and at a blank line. A full stop behind a single letter or a known abbreviation
/// ends nothing, nor does one inside a number or a name such as `3.14`. Text and not token ids decide, because merges
/// hide marks in longer tokens (`."`, `.\n`). A token that holds the end of one sentence and the beginning of the next
/// belongs to the first. Text without marks is cut after `tokensMax` tokens.
public struct SentenceSplitter: TextBoundaries, Equatable {
  private enum State { case inside, afterStop, afterMark, afterWideMark, ended }

  /// Longest sentence, at least 1 token.
  public let tokensMax: Int
  private var state = State.ended
  private var tokens = 0
  private var newlines = 0
  private var nextTokenBegins = false
  /// Letters and stops since the last white space.
  private var word = ""

  /// - Parameter tokensMax: longest sentence, `1...`.
  public init(tokensMax: Int = 64) { self.tokensMax = max(1, tokensMax) }

  private static let abbreviations: Set<String> = [
    "mr", "mrs", "ms", "dr", "prof", "st", "jr", "sr", "vs", "fig", "cf", "al", "approx", "dept", "est", "inc", "ltd",
    "e.g", "i.e", "a.m", "p.m",
  ]
  private static let closers: Set<Unicode.Scalar> = ["\"", "'", ")", "]", "}", "”", "’", "»", "」", "』", "）"]

  /// Reads the next token.
  ///
  /// - Parameter text: what it adds to the text, possibly nothing.
  /// - Returns: whether a sentence begins with it.
  public mutating func begins(with text: String) -> Bool {
    var isFirst = tokens >= tokensMax || nextTokenBegins
    nextTokenBegins = false
    var hasText = false
    for scalar in text.unicodeScalars {
      if scalar.properties.isWhitespace {
        readSpace(scalar)
        continue
      }
      newlines = 0
      let isCloser = Self.closers.contains(scalar)
      if state == .ended || (state == .afterWideMark && !isCloser && !Self.isMark(scalar)) {
        if hasText { nextTokenBegins = true } else { isFirst = true }
        state = .inside
      }
      hasText = true
      read(scalar, isCloser: isCloser)
    }
    tokens = isFirst ? 1 : tokens + 1
    return isFirst
  }

  private mutating func readSpace(_ scalar: Unicode.Scalar) {
    if scalar == "\n" { newlines += 1 }
    switch state {
    case .afterStop: state = isAbbreviation ? .inside : .ended
    case .afterMark, .afterWideMark: state = .ended
    case .inside, .ended: break
    }
    if newlines >= 2 { state = .ended }
    word = ""
  }

  private mutating func read(_ scalar: Unicode.Scalar, isCloser: Bool) {
    switch scalar {
    case ".": state = state == .afterMark ? .afterMark : .afterStop
    case "!", "?", "…": state = .afterMark
    case "。", "！", "？": state = .afterWideMark
    default: if !isCloser { state = .inside }
    }
    // Longer than any abbreviation need not be remembered.
    if scalar.properties.isAlphabetic || scalar == ".", word.unicodeScalars.count < 12 {
      word.unicodeScalars.append(scalar)
    }
  }

  private var isAbbreviation: Bool {
    var letters = word.lowercased()
    while letters.hasSuffix(".") { letters.removeLast() }
    return letters.unicodeScalars.count == 1 && letters != "i" || Self.abbreviations.contains(letters)
  }

  private static func isMark(_ scalar: Unicode.Scalar) -> Bool {
    [".", "!", "?", "…", "。", "！", "？"].contains(scalar)
  }
}
