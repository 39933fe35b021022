// POST /v1/messages and /v1/messages/count_tokens, as Anthropic's clients call them.

import HTTPTypes
import Hummingbird
import WeirBasics
import WeirEngine

struct MessageRoutes: Sendable {
  let state: ServingState

  func add(to router: Router<ServingContext>) {
    router.post("/v1/messages") { request, context in try await create(request, context) }
    router.post("/v1/messages/count_tokens") { request, context in try await count(request, context) }
  }

  private func create(_ request: Request, _ context: ServingContext) async throws -> Response {
    let fields = try await state.fields(request)
    let chat = try AnthropicRequest.chat(fields, caller: context.caller, limits: state.limits)
    let run = try state.startChat(chat, prefix: "msg_")
    let signal = await ConnectionWatch.signal(of: context.channel)
    let encoder = AnthropicEncoder(id: run.started.id.rawValue, model: state.information.modelName)
    guard chat.options.streams else {
      let result = try await whileConnected(signal) { try await run.collect() }
      return .json(encoder.answer(result, options: run.options))
    }
    try await run.started.feed.throwEarlyFailure(within: state.configuration.earlyFailureSeconds)
    let retryAfter = state.configuration.retryAfterSeconds
    return EventStream.response(keepAliveSeconds: state.configuration.keepAliveSeconds, signal: signal) { sink in
      var stream = AnthropicStream(encoder: encoder, run: run)
      await stream.write(to: sink, retryAfter: retryAfter)
    }
  }

  private func count(_ request: Request, _ context: ServingContext) async throws -> Response {
    let fields = try await state.fields(request)
    let chat = try AnthropicRequest.chat(fields, caller: context.caller, limits: state.limits, needsLimit: false)
    try state.checkModel(chat.options.model)
    return .json(["input_tokens": JSONValue(try state.renderChat(chat).tokens.count)])
  }
}
