// One question with its context and the answers that count as right.

public import WeirBasics

/// One line of a task file.
public struct TaskItem: Sendable, Equatable {
  /// What is put to the model.
  public enum Prompt: Sendable, Equatable {
    /// A conversation; the last message is the user's question, or a tool's result.
    case messages([TaskMessage])
    /// Raw text, tokenised as it is.
    case text(String)
  }

  /// Unique within a run.
  public var id: String
  public var prompt: Prompt
  /// The question as it stands in the prompt; nil: the whole last message.
  public var question: String?
  /// Any one of them makes the answer right; may be empty if `allOf` is not.
  public var answers: [String]
  /// All of them must appear.
  public var allOf: [String]
  /// None of them may appear, for example what a fact was before it changed.
  public var noneOf: [String]
  public var tags: [TaskTag]
  /// Tokens of the prompt in which the fact stands, as the generator counted them.
  public var factSpan: Range<Position>?
  /// The same for all statements that are needed, empty if the generator told none.
  public var factSpans: [Range<Position>]

  public init(
    id: String, prompt: Prompt, question: String? = nil, answers: [String], allOf: [String] = [],
    noneOf: [String] = [], tags: [TaskTag] = [], factSpan: Range<Position>? = nil,
    factSpans: [Range<Position>] = []
  ) {
    self.id = id
    self.prompt = prompt
    self.question = question
    self.answers = answers
    self.allOf = allOf
    self.noneOf = noneOf
    self.tags = tags
    self.factSpan = factSpan
    self.factSpans = factSpans
  }

  /// The value of the tag `key`, nil if the item has none.
  public func tag(_ key: String) -> TaskTag.Value? { tags.first { $0.key == key }?.value }
}

/// One turn of a conversation.
public struct TaskMessage: Sendable, Equatable {
  /// `system`, `user`, `assistant` or `tool`.
  public var role: String
  public var content: String

  public init(role: String, content: String) {
    self.role = role
    self.content = content
  }
}

/// A property that scores are broken down by.
public struct TaskTag: Sendable, Equatable {
  /// A word or a number.
  public enum Value: Sendable, Equatable {
    case word(String)
    case number(Double)
  }

  public var key: String
  public var value: Value

  public init(key: String, value: Value) {
    self.key = key
    self.value = value
  }
}
