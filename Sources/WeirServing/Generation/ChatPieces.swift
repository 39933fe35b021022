// What a chat answer is made of, between the engine's events and the three API families' shapes.

import WeirBasics
import WeirEngine
import WeirText

/// One piece of a chat answer, in order.
enum ChatPiece: Sendable {
  case prompt(PromptReport)
  /// Every token once, before the pieces of text it completes; text may lag behind.
  case token(TokenEvent)
  case reasoning(choice: Int, String)
  case content(choice: Int, String)
  case toolStarted(choice: Int, index: Int, id: String, name: String)
  case toolArguments(choice: Int, index: Int, String)
  case toolFinished(choice: Int, index: Int)
  case finished(ChatEnd)
  case done(UsageCounts, UsageReport)
}

/// How one choice ended.
struct ChatEnd: Sendable {
  var end: ChoiceEnd
  var calledTools: Bool

  /// OpenAI's `finish_reason`.
  var finishReason: String { calledTools && end.reason == .stop ? "tool_calls" : end.reason.rawValue }
}

/// How the text of an answer is taken apart.
struct ChatParsing: Sendable {
  var toolFormat: ToolCallFormat?
  var splitsReasoning = false
  /// The prompt has opened the reasoning already.
  var startsInReasoning = false
  var allowsParallelCalls = true
}

/// Takes the events of one request apart into pieces.
struct ChatAssembler: Sendable {
  private struct Choice: Sendable {
    var reasoning: ReasoningParser?
    var tools: ToolCallParser?
    var startedCalls = 0
    /// Index of the parser's call that is being dropped because parallel calls are not allowed.
    var isInReasoning = false
  }

  private var choices: [Choice]
  private let parsing: ChatParsing
  private let makeID: @Sendable () -> String
  private var reasoningTokens = 0

  init(choices count: Int, parsing: ChatParsing, makeID: @escaping @Sendable () -> String) {
    self.parsing = parsing
    self.makeID = makeID
    let choice = Choice(
      reasoning: parsing.splitsReasoning ? ReasoningParser(startsInside: parsing.startsInReasoning) : nil,
      tools: parsing.toolFormat.map { ToolCallParser(format: $0) })
    choices = Array(repeating: choice, count: count)
  }

  mutating func append(_ event: GenerationEvent) -> [ChatPiece] {
    switch event {
    case .admitted(let report): return [.prompt(report)]
    case .token(let token):
      let pieces = split(token.text, choice: token.choice, isEnd: false)
      if choices[token.choice].isInReasoning { reasoningTokens += 1 }
      return [.token(token)] + pieces
    case .finished(let end):
      let pieces = split(end.text, choice: end.choice, isEnd: true)
      return pieces + [.finished(ChatEnd(end: end, calledTools: choices[end.choice].startedCalls > 0))]
    case .done(let report): return [.done(UsageCounts(report, reasoning: reasoningTokens), report)]
    }
  }

  private mutating func split(_ text: String, choice: Int, isEnd: Bool) -> [ChatPiece] {
    guard choices[choice].reasoning != nil else { return tools(text, choice: choice, isEnd: isEnd) }
    var pieces: [ChatPiece] = []
    var found = choices[choice].reasoning?.append(text) ?? []
    if isEnd { found += choices[choice].reasoning?.finish() ?? [] }
    for piece in found {
      switch piece {
      case .reasoning(let words):
        choices[choice].isInReasoning = true
        pieces.append(.reasoning(choice: choice, words))
      case .content(let words):
        choices[choice].isInReasoning = false
        pieces += tools(words, choice: choice, isEnd: false)
      }
    }
    if isEnd { pieces += tools("", choice: choice, isEnd: true) }
    return pieces
  }

  private mutating func tools(_ text: String, choice: Int, isEnd: Bool) -> [ChatPiece] {
    guard choices[choice].tools != nil else { return text.isEmpty ? [] : [.content(choice: choice, text)] }
    var found = text.isEmpty ? [] : choices[choice].tools?.append(text) ?? []
    if isEnd { found += choices[choice].tools?.finish() ?? [] }
    var pieces: [ChatPiece] = []
    for piece in found {
      switch piece {
      case .content(let words):
        if !words.isEmpty { pieces.append(.content(choice: choice, words)) }
      case .callStarted(let index, let id, let name):
        guard allows(index) else { continue }
        choices[choice].startedCalls += 1
        pieces.append(.toolStarted(choice: choice, index: index, id: id ?? "call_" + makeID(), name: name))
      case .argumentsDelta(let index, let words):
        if allows(index) { pieces.append(.toolArguments(choice: choice, index: index, words)) }
      case .callFinished(let index):
        if allows(index) { pieces.append(.toolFinished(choice: choice, index: index)) }
      }
    }
    return pieces
  }

  /// Without parallel calls only the first one counts.
  private func allows(_ index: Int) -> Bool { parsing.allowsParallelCalls || index == 0 }
}

/// A complete tool call.
struct CollectedCall: Sendable {
  var id: String
  var name: String
  var arguments = ""
}

/// A complete choice of a chat answer.
struct CollectedChat: Sendable {
  var content = ""
  var reasoning = ""
  var calls: [CollectedCall] = []
  var tokens: [TokenEvent] = []
  var end = ChatEnd(end: ChoiceEnd(choice: 0, reason: .cancelled), calledTools: false)

  mutating func add(_ piece: ChatPiece) {
    switch piece {
    case .token(let token): tokens.append(token)
    case .reasoning(_, let text): reasoning += text
    case .content(_, let text): content += text
    case .toolStarted(_, _, let id, let name): calls.append(CollectedCall(id: id, name: name))
    case .toolArguments(_, _, let text):
      if !calls.isEmpty { calls[calls.count - 1].arguments += text }
    case .finished(let ended): end = ended
    case .toolFinished, .prompt, .done: break
    }
  }
}

extension ChatPiece {
  /// The choice a piece belongs to; nil for pieces of the whole request.
  var choice: Int? {
    switch self {
    case .token(let token): token.choice
    case .reasoning(let choice, _), .content(let choice, _), .toolStarted(let choice, _, _, _),
      .toolArguments(let choice, _, _), .toolFinished(let choice, _):
      choice
    case .finished(let ended): ended.end.choice
    case .prompt, .done: nil
    }
  }
}
