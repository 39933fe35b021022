// The same task with its context in another form: what a policy that lives by sentences does without them.

/// A form of the text before the question. Facts and answers stay; places that were counted in tokens are forgotten.
public enum ContextForm: String, Sendable, CaseIterable {
  /// As it is.
  case plain
  /// Without the marks that end sentences.
  case unpunctuated
  /// One long sentence: commas in their place.
  case oneSentence = "one-sentence"
  /// Every sentence a line of code.
  case code

  /// The item in this form. The question, and an item that is raw text, stay as they are.
  public func applied(to item: TaskItem) -> TaskItem {
    guard self != .plain, case .messages(let messages) = item.prompt else { return item }
    var changed = item
    changed.prompt = .messages(
      messages.dropLast().map { TaskMessage(role: $0.role, content: text($0.content)) } + messages.suffix(1))
    changed.factSpan = nil
    changed.factSpans = []
    return changed
  }

  private func text(_ content: String) -> String {
    let sentences = Self.sentences(of: content)
    return switch self {
    case .plain: content
    case .unpunctuated: sentences.joined(separator: " ")
    case .oneSentence: sentences.joined(separator: ", ")
    case .code: sentences.map { "log(\"\($0)\")\n" }.joined()
    }
  }

  /// Sentences without the marks and the white space at their ends.
  private static func sentences(of content: String) -> [String] {
    var sentences: [String] = []
    var words: [Substring] = []
    for word in content.split(whereSeparator: \.isWhitespace) {
      let bare = word.reversed().drop { ".!?".contains($0) }
      if bare.count == word.count {
        words.append(word)
        continue
      }
      words.append(word.dropLast(word.count - bare.count))
      sentences.append(words.joined(separator: " "))
      words = []
    }
    if !words.isEmpty { sentences.append(words.joined(separator: " ")) }
    return sentences.filter { !$0.isEmpty }
  }
}
