// POST /v1/chat/completions and its render twin.

import HTTPTypes
import Hummingbird
import WeirBasics
import WeirEngine

struct ChatRoutes: Sendable {
  let state: ServingState

  func add(to router: Router<ServingContext>) {
    router.post("/v1/chat/completions") { request, context in try await complete(request, context) }
    router.post("/v1/chat/completions/render") { request, context in try await render(request, context) }
  }

  private func complete(_ request: Request, _ context: ServingContext) async throws -> Response {
    let fields = try await state.fields(request)
    let chat = try ChatRequest(fields, caller: context.caller, limits: state.limits)
    let run = try state.startChat(chat, prefix: "chatcmpl-")
    let signal = await ConnectionWatch.signal(of: context.channel)
    let encoder = ChatEncoder(run, state: state)
    if let early = chat.options.earlyTicket {
      return try await PrefillStream.response(early, feed: run.started.feed, state: state, signal: signal) {
        encoder.answer(try await run.collect())
      }
    }
    guard chat.options.streams else {
      let result = try await whileConnected(signal) { try await run.collect() }
      return .json(encoder.answer(result))
    }
    try await run.started.feed.throwEarlyFailure(within: state.configuration.earlyFailureSeconds)
    let retryAfter = state.configuration.retryAfterSeconds
    return EventStream.response(keepAliveSeconds: state.configuration.keepAliveSeconds, signal: signal) { sink in
      var stream = ChatStream(encoder: encoder, run: run)
      await stream.write(to: sink, retryAfter: retryAfter)
    }
  }

  private func render(_ request: Request, _ context: ServingContext) async throws -> Response {
    let fields = try await state.fields(request)
    let chat = try ChatRequest(fields, caller: context.caller, limits: state.limits)
    try state.checkModel(chat.options.model)
    let rendered = try state.renderChat(chat)
    return .json([
      "model": .string(state.information.modelName), "text": .string(rendered.text),
      "token_ids": .array(rendered.tokens.map { .integer(Int64($0.rawValue)) }),
      "count": JSONValue(rendered.tokens.count), "max_model_len": JSONValue(state.information.contextLength),
    ])
  }
}

/// The chunks of one streamed chat answer.
struct ChatStream {
  private let encoder: ChatEncoder
  private let run: ChatRun
  private var assembler: ChatAssembler
  private var counts = UsageCounts()
  /// Tokens of each choice that no chunk has carried yet.
  private var waiting: [[TokenEvent]]
  private var isOpen = false
  private var prompt = PromptReport(promptTokens: 0, cachedTokens: 0)

  init(encoder: ChatEncoder, run: ChatRun) {
    self.encoder = encoder
    self.run = run
    assembler = run.assembler()
    waiting = Array(repeating: [], count: run.options.generation.choices)
    counts.prompt = run.options.generation.prompt.count
  }

  mutating func write(to sink: EventSink, retryAfter: Double) async {
    do {
      for try await event in run.started.feed.events {
        for piece in assembler.append(event) { write(piece, to: sink) }
      }
    } catch {
      // The status has gone out already: the error travels as an event, and nothing follows it.
      sink.send(APIError.from(error, retryAfter: retryAfter).body(.openAI, requestID: nil))
    }
  }

  private mutating func write(_ piece: ChatPiece, to sink: EventSink) {
    if case .prompt(let report) = piece {
      prompt = report
      counts.cached = report.cachedTokens
      counts.prompt = report.promptTokens
      open(sink)
      return
    }
    open(sink)
    switch piece {
    case .token(let token):
      counts.completion += 1
      waiting[token.choice].append(token)
    case .finished(let ended):
      send(encoder.delta([:], choice: ended.end.choice, tokens: take(ended.end.choice), end: ended), sink)
    case .done(let final, let report):
      close(final, report, sink)
    default:
      guard let choice = piece.choice, let delta = ChatEncoder.delta(piece) else { return }
      send(encoder.delta(delta, choice: choice, tokens: take(choice)), sink)
    }
  }

  /// One chunk with the role for every choice, before anything else.
  private mutating func open(_ sink: EventSink) {
    guard !isOpen else { return }
    isOpen = true
    for choice in 0..<run.options.generation.choices {
      var body = encoder.chunk([encoder.opening(choice: choice)], usage: run.options.continuousUsage ? counts : nil)
      if choice == 0, run.options.returnsTokenIDs {
        body["prompt_token_ids"] = .array(run.options.generation.prompt.map { .integer(Int64($0.rawValue)) })
      }
      if choice == 0, let logprobs = prompt.promptLogprobs {
        body["prompt_logprobs"] = encoder.logprobs.prompt(logprobs)
      }
      sink.send(.object(body))
    }
  }

  private mutating func take(_ choice: Int) -> [TokenEvent] {
    defer { waiting[choice] = [] }
    return waiting[choice]
  }

  private func send(_ choice: JSONValue, _ sink: EventSink) {
    sink.send(.object(encoder.chunk([choice], usage: run.options.continuousUsage ? counts : nil)))
  }

  private func close(_ final: UsageCounts, _ report: UsageReport, _ sink: EventSink) {
    let extension_ = WeirReport.object(prompt, report, options: run.options)
    if run.options.includesUsage || extension_ != nil {
      var body = encoder.chunk([], usage: run.options.includesUsage ? final : nil)
      if let extension_ { body["weir"] = extension_ }
      sink.send(.object(body))
    }
    sink.send(raw: "[DONE]")
  }
}
