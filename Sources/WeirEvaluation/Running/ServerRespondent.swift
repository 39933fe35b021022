// Answers by an OpenAI server: what is sent and how its events are read. Sockets belong to the caller.

public import WeirBasics

/// Puts items to a server through a transport that it is given.
public struct ServerRespondent: Respondent {
  /// The data of one server-sent event.
  public struct Event: Sendable {
    public let at: Instant
    public let data: String

    public init(at: Instant, data: String) {
      self.at = at
      self.data = data
    }
  }

  /// Posts a JSON body to a path and returns all events of the answer; throws if the status is not 200.
  public typealias Transport = @Sendable (_ path: String, _ body: JSONValue) async throws -> [Event]

  private let model: String?
  private let timing: QuestionTiming
  private let maxTokens: Int
  private let clock: any WeirClock
  private let transport: Transport

  /// - Parameters:
  ///   - model: the name to ask for; nil leaves it to the server.
  ///   - timing: whether the context is sent alone first; the server's prefix cache then holds it for the question.
  ///   - maxTokens: most tokens of an answer, at least 1.
  ///   - clock: the one that stamps the transport's events.
  ///   - transport: sends a request and reads its events.
  public init(
    model: String?, timing: QuestionTiming, maxTokens: Int, clock: any WeirClock, transport: @escaping Transport
  ) {
    self.model = model
    self.timing = timing
    self.maxTokens = maxTokens
    self.clock = clock
    self.transport = transport
  }

  public func answer(_ item: TaskItem) async throws -> ItemAnswer {
    var before = ItemAnswer()
    if timing == .unknown, let context = try context(of: item) {
      // One token: servers refuse to make none.
      before = try await ask(context, maxTokens: 1)
    }
    var answer = try await ask(item.prompt, maxTokens: maxTokens)
    answer.follow(before)
    return answer
  }

  /// The prompt without its question; nil if nothing is left.
  private func context(of item: TaskItem) throws -> TaskItem.Prompt? {
    guard let question = item.questionText else {
      throw EvaluationError(
        code: "question_missing",
        message: "item \(item.id) is raw text without \"question\"; --question unknown must know where it begins")
    }
    switch item.prompt {
    case .text(let text):
      let rest = Self.text(text, before: question)
      return rest.isEmpty ? nil : .text(rest)
    case .messages(var messages):
      guard let last = messages.popLast() else { return nil }
      let rest = Self.text(last.content, before: question)
      if !rest.isEmpty { messages.append(TaskMessage(role: last.role, content: rest)) }
      return messages.isEmpty ? nil : .messages(messages)
    }
  }

  private static func text(_ text: String, before question: String) -> String {
    guard let range = text.ranges(of: question).last else { return "" }
    return String(text[..<range.lowerBound])
  }

  private func ask(_ prompt: TaskItem.Prompt, maxTokens: Int) async throws -> ItemAnswer {
    var body: JSONObject = [
      "max_tokens": JSONValue(maxTokens), "temperature": 0, "stream": true,
      "stream_options": ["include_usage": true],
    ]
    if let model { body["model"] = .string(model) }
    let path: String
    switch prompt {
    case .text(let text):
      path = "/v1/completions"
      body["prompt"] = .string(text)
    case .messages(let messages):
      path = "/v1/chat/completions"
      body["messages"] = .array(
        messages.map { ["role": .string($0.role), "content": .string($0.content)] })
    }
    let start = clock.now()
    return try Self.read(try await transport(path, .object(body)), since: start)
  }

  /// - Throws: ``EvaluationError`` if the stream holds an error, or nothing that belongs to an answer.
  static func read(_ events: [Event], since start: Instant) throws(EvaluationError) -> ItemAnswer {
    var answer = ItemAnswer()
    var hasChoice = false
    for event in events where event.data != "[DONE]" {
      guard let value = try? JSONValue.parse(event.data) else { continue }
      if let error = value["error"], !error.isNull {
        throw EvaluationError(
          code: "server_error", message: "the server broke off: \(error["message"]?.string ?? error.serialized())")
      }
      if let usage = value["usage"], !usage.isNull {
        answer.promptTokens = usage["prompt_tokens"]?.int ?? 0
        answer.completionTokens = usage["completion_tokens"]?.int ?? 0
        answer.cachedTokens = usage["prompt_tokens_details"]?["cached_tokens"]?.int ?? 0
      }
      guard let choice = value["choices"]?[0] else { continue }
      let piece = choice["delta"]?["content"]?.string ?? choice["text"]?.string ?? ""
      if !piece.isEmpty, answer.text.isEmpty { answer.firstTokenSeconds = event.at.seconds(since: start) }
      answer.text += piece
      answer.totalSeconds = event.at.seconds(since: start)
      hasChoice = true
    }
    guard hasChoice else {
      throw EvaluationError(code: "server_error", message: "the server's stream held no answer")
    }
    answer.text = AnswerRule.judged(answer.text)
    answer.computedTokens = answer.promptTokens - answer.cachedTokens
    return answer
  }
}
