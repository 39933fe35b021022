// From an item to the tokens of its prompt, and to where the question begins in them.

import WeirBasics
import WeirText

/// A prompt ready for the engine.
struct ItemPrompt {
  let tokens: [TokenID]
  private let text: String
  private let isChat: Bool

  /// - Throws: `TextError` if the template refuses the conversation, ``EvaluationError`` if there is no template.
  init(_ item: TaskItem, tokenizer: Tokenizer, template: ChatTemplate?) throws {
    switch item.prompt {
    case .text(let prompt):
      text = prompt
      isChat = false
    case .messages(let messages):
      guard let template else {
        throw EvaluationError(
          code: "template_missing",
          message: "item \(item.id) is a conversation, and the model has no chat template; give --chat-template")
      }
      text = try template.render(
        messages: messages.map { ChatMessage(role: $0.role, content: .string($0.content)) }, tools: nil,
        addGenerationPrompt: true, extra: [:])
      isChat = true
    }
    tokens = Self.encode(text, isChat: isChat, tokenizer)
  }

  /// A template writes the special tokens itself; raw text gets the model's own beginning and holds none.
  private static func encode(_ text: String, isChat: Bool, _ tokenizer: Tokenizer) -> [TokenID] {
    tokenizer.encode(text, addSpecial: !isChat, parseSpecial: isChat)
  }

  /// How many leading tokens are context: those that the text before the question has in common with the whole prompt.
  /// The last ones may differ, where the question's first letters join a token of the context.
  ///
  /// - Throws: ``EvaluationError`` if the question does not stand in the prompt.
  func contextCount(of item: TaskItem, tokenizer: Tokenizer) throws -> Int {
    guard let question = item.questionText else {
      throw EvaluationError(
        code: "question_missing",
        message: "item \(item.id) is raw text without \"question\"; --question unknown must know where it begins")
    }
    let prompt = Array(text.utf8)
    guard let start = Self.lastIndex(of: Array(question.utf8), in: prompt) else {
      throw EvaluationError(
        code: "question_missing",
        message: "the question of item \(item.id) does not stand in its prompt; --question unknown must find it there")
    }
    let context = Self.encode(String(decoding: prompt[..<start], as: UTF8.self), isChat: isChat, tokenizer)
    return zip(context, tokens).prefix { $0 == $1 }.count
  }

  private static func lastIndex(of needle: [UInt8], in text: [UInt8]) -> Int? {
    guard !needle.isEmpty, needle.count <= text.count else { return nil }
    return (0...(text.count - needle.count)).last { text[$0..<($0 + needle.count)].elementsEqual(needle) }
  }
}

extension TaskItem {
  /// The question without surrounding white space, which templates may strip; nil if raw text does not tell.
  var questionText: String? {
    let text: String
    switch (question, prompt) {
    case (.some(let question), _): text = question
    case (nil, .messages(let messages)): text = messages.last?.content ?? ""
    case (nil, .text): return nil
    }
    var scalars = text.unicodeScalars[...]
    while let first = scalars.first, first.properties.isWhitespace { scalars.removeFirst() }
    while let last = scalars.last, last.properties.isWhitespace { scalars.removeLast() }
    return scalars.isEmpty ? nil : String(String.UnicodeScalarView(scalars))
  }
}
