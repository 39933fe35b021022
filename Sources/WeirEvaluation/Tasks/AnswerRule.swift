// When an answer counts as right: the one rule for `weir eval` and for training scripts.

/// The match rule.
///
/// 1. Of the answer, white space at its beginning and a `<tool_call>` there are dropped; then it is cut at its first
///    newline, so that what a model says after its answer does not count.
/// 2. Answer and values are put in lower case, runs of white space become one space, white space at both ends goes, and
///    so does punctuation (`.,;:!?"'`) at the end.
/// 3. A value appears in the answer if it stands there as whole words: the Unicode scalar before it and the one after
///    it, where there are any, are neither letters (general category L) nor numeric (Unicode numeric type), which is
///    what Python's `str.isalnum` tells of a character.
/// 4. The answer is right if any of `answers` appears (where there are any), all of `all_of` do and none of `none_of`.
public enum AnswerRule {
  /// Whether `answer` is right for `item`.
  public static func isRight(_ answer: String, for item: TaskItem) -> Bool {
    let text = normalised(judged(answer))
    func appears(_ value: String) -> Bool { Self.appears(normalised(value), in: text) }
    return (item.answers.isEmpty || item.answers.contains(where: appears)) && item.allOf.allSatisfy(appears)
      && !item.noneOf.contains(where: appears)
  }

  /// The part of an answer that is judged, without the white space around it.
  public static func judged(_ answer: String) -> String {
    var scalars = answer.unicodeScalars[...].drop(while: isSpace)
    let opening = "<tool_call>".unicodeScalars
    if scalars.starts(with: opening) { scalars = scalars.dropFirst(opening.count).drop(while: isSpace) }
    // By scalar: Swift sees "\r\n" as one character that is not "\n".
    var line = scalars.prefix { $0 != "\n" }
    while let last = line.last, isSpace(last) { line.removeLast() }
    return String(String.UnicodeScalarView(line))
  }

  /// Whether a value can appear in any answer at all: one line with more than white space and closing punctuation.
  static func isUsable(_ value: String) -> Bool {
    !normalised(value).isEmpty && !value.unicodeScalars.contains("\n")
  }

  private static let closing: Set<Unicode.Scalar> = [".", ",", ";", ":", "!", "?", "\"", "'", " "]

  private static func normalised(_ text: String) -> [Unicode.Scalar] {
    var scalars: [Unicode.Scalar] = []
    for scalar in text.lowercased().unicodeScalars {
      if !isSpace(scalar) {
        scalars.append(scalar)
      } else if let last = scalars.last, last != " " {
        scalars.append(" ")
      }
    }
    while let last = scalars.last, closing.contains(last) { scalars.removeLast() }
    return scalars
  }

  private static func isSpace(_ scalar: Unicode.Scalar) -> Bool { scalar.properties.isWhitespace }

  /// O(text x value): both are short.
  private static func appears(_ value: [Unicode.Scalar], in text: [Unicode.Scalar]) -> Bool {
    guard !value.isEmpty, value.count <= text.count else { return false }
    for start in 0...(text.count - value.count) {
      let end = start + value.count
      guard text[start..<end].elementsEqual(value) else { continue }
      let isFree = (start == 0 || !isWordPart(text[start - 1])) && (end == text.count || !isWordPart(text[end]))
      if isFree { return true }
    }
    return false
  }

  private static func isWordPart(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: true
    default: scalar.properties.numericType != nil
    }
  }
}
