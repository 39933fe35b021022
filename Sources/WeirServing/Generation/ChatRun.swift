// From a decoded conversation to a running generation.

import Hummingbird
import WeirBasics
import WeirEngine
import WeirSampling
import WeirText

/// A chat request whose generation runs.
struct ChatRun: Sendable {
  let request: ChatRequest
  let started: StartedGeneration
  let parsing: ChatParsing
  let environment: ServingEnvironment
  var options: RequestOptions { request.options }

  func assembler() -> ChatAssembler {
    let environment = self.environment
    return ChatAssembler(choices: options.generation.choices, parsing: parsing) {
      String(environment.identifier().prefix(24))
    }
  }

  /// Reads everything.
  func collect() async throws -> CollectedChatGeneration {
    var assembler = assembler()
    var result = CollectedChatGeneration(
      choices: Array(repeating: CollectedChat(), count: options.generation.choices))
    var isDone = false
    for try await event in started.feed.events {
      for piece in assembler.append(event) {
        if let choice = piece.choice { result.choices[choice].add(piece) }
        if case .prompt(let report) = piece { result.prompt = report }
        if case .done(let counts, let report) = piece {
          result.counts = counts
          result.usage = report
          isDone = true
        }
      }
    }
    // A cancelled request ends early; its answer would be cut without saying so.
    guard isDone else { throw CancellationError() }
    return result
  }
}

/// A chat answer, complete.
struct CollectedChatGeneration: Sendable {
  var choices: [CollectedChat]
  var prompt = PromptReport(promptTokens: 0, cachedTokens: 0)
  var counts = UsageCounts()
  var usage = UsageReport(promptTokens: 0, cachedTokens: 0, completionTokens: 0)
}

extension ServingState {
  /// Renders the conversation and starts the generation.
  func startChat(_ wanted: ChatRequest, prefix: String) throws(APIError) -> ChatRun {
    try checkModel(wanted.options.model)
    var request = wanted
    let prompt = try renderChat(request)
    request.options.generation.prompt = []
    try request.options.setPrompt(prompt.tokens, limits: limits, param: "messages")
    var parsing = ChatParsing(allowsParallelCalls: request.tools.allowsParallel)
    parsing.splitsReasoning = request.splitsReasoning
    parsing.startsInReasoning = prompt.startsInReasoning
    switch request.tools.choice {
    case .none: break
    case .auto:
      parsing.toolFormat = ToolCallParser.format(for: prompt.template)
      // Some models mark calls with control tokens, which the parser must see.
      request.options.generation.skipSpecialTokens = false
    case .required, .named:
      guard request.options.generation.constraint == nil else {
        throw .invalid("tool_choice", "a forced tool call and a structured output exclude each other")
      }
      request.options.generation.constraint = try forcedCall(request.tools)
      parsing.toolFormat = .plain
      parsing.splitsReasoning = false
    }
    let started = try start(request.options, prefix: prefix)
    return ChatRun(request: request, started: started, parsing: parsing, environment: environment)
  }

  private func forcedCall(_ tools: ToolSet) throws(APIError) -> ConstraintSource {
    var name: String?
    if case .named(let wanted) = tools.choice { name = wanted }
    do {
      return try ToolChoiceConstraint.source(tools: tools.tools.map(ToolChoiceConstraint.Tool.init), named: name)
    } catch {
      throw .invalid("tools", error.message, code: error.code)
    }
  }
}

/// A rendered conversation.
struct RenderedChat: Sendable {
  var text: String
  var tokens: [TokenID]
  var template: ChatTemplate
  var startsInReasoning: Bool
}

extension ServingState {
  /// Text and tokens of the prompt that a conversation becomes.
  func renderChat(_ request: ChatRequest) throws(APIError) -> RenderedChat {
    do {
      guard let template = try chatTemplate(request) else {
        throw APIError.invalid(
          "messages", "This model has no chat template; use /v1/completions or send chat_template.",
          code: "no_chat_template")
      }
      var messages = request.messages
      var tail = ""
      if request.continuesFinalMessage, let last = messages.popLast() { tail = last.content.string ?? "" }
      // The template opens the assistant's turn; the unfinished answer follows it literally.
      var text = try template.render(
        messages: messages, tools: request.tools.shown,
        addGenerationPrompt: request.addsGenerationPrompt || request.continuesFinalMessage,
        extra: request.templateArguments, unixTime: Int64(environment.unixSeconds()))
      text += tail
      let tokenizer = information.tokenizer
      var tokens = tokenizer.encode(text, addSpecial: false, parseSpecial: true)
      // Most templates write the begin token themselves; where they do not, the model still expects it.
      if tokenizer.addBosByDefault, let bos = tokenizer.bosToken, tokens.first != bos { tokens.insert(bos, at: 0) }
      return RenderedChat(
        text: text, tokens: tokens, template: template, startsInReasoning: ReasoningParser.startsInside(prompt: text))
    } catch let error as APIError {
      throw error
    } catch let error as TextError {
      throw .invalid("messages", error.message, code: error.code)
    } catch {
      throw .internalFailure
    }
  }

  private func chatTemplate(_ request: ChatRequest) throws -> ChatTemplate? {
    guard let source = request.template else { return information.chatTemplate }
    do {
      let tokenizer = information.tokenizer
      return try ChatTemplate(
        source: source, bosToken: tokenizer.bosToken.map { tokenizer.tokenText($0) } ?? "",
        eosToken: tokenizer.eosToken.map { tokenizer.tokenText($0) } ?? "")
    } catch {
      throw APIError.invalid("chat_template", error.message, code: error.code)
    }
  }
}
