// POST /v1/responses, GET and DELETE /v1/responses/{id}, POST /v1/responses/{id}/cancel.

import HTTPTypes
import Hummingbird
import WeirBasics
import WeirEngine

struct ResponseRoutes: Sendable {
  let state: ServingState

  func add(to router: Router<ServingContext>) {
    router.post("/v1/responses") { request, context in try await create(request, context) }
    router.get("/v1/responses/:id") { _, context in
      Response.json(.object(try find(context).1.body))
    }
    router.delete("/v1/responses/:id") { _, context in
      let (id, _) = try find(context)
      state.responses.remove(id)
      return Response.json(["id": .string(id), "object": "response", "deleted": true])
    }
    router.post("/v1/responses/:id/cancel") { _, context in try await cancel(context) }
  }

  private func find(_ context: ServingContext) throws -> (String, StoredResponse) {
    let id = try context.parameters.require("id")
    guard let stored = state.responses.get(id, owner: context.caller.keySalt) else {
      throw APIError.notFound("There is no response \(id).", code: "response_not_found", param: "id")
    }
    return (id, stored)
  }

  private func cancel(_ context: ServingContext) async throws -> Response {
    var (id, stored) = try find(context)
    if let running = stored.running, await state.engine.cancel(running) {
      stored.body["status"] = "cancelled"
      stored.running = nil
      state.responses.put(id, stored)
    }
    return .json(.object(stored.body))
  }

  private func create(_ request: Request, _ context: ServingContext) async throws -> Response {
    let fields = try await state.fields(request)
    let owner = context.caller.keySalt
    let decoded = try ResponsesRequest(fields, caller: context.caller, limits: state.limits) { id in
      state.responses.get(id, owner: owner)?.messages
    }
    let run = try state.startChat(decoded.chat, prefix: "resp_")
    let signal = await ConnectionWatch.signal(of: context.channel)
    let encoder = ResponsesEncoder(
      id: run.started.id.rawValue, created: state.environment.unixSeconds(), model: state.information.modelName,
      request: decoded,
      logprobs: LogprobEncoder(tokenizer: state.information.tokenizer, tokensAsIDs: run.options.tokensAsIDs))
    let store = keeper(encoder, owner: owner)
    store(encoder.response(status: "in_progress", output: []), nil)
    guard decoded.chat.options.streams else {
      let result: CollectedChatGeneration
      do {
        result = try await whileConnected(signal) { try await run.collect() }
      } catch {
        store(encoder.response(status: error is APIError ? "cancelled" : "failed", output: []), nil)
        throw error
      }
      let chat = result.choices[0]
      var body = encoder.response(
        status: ResponsesEncoder.status(chat.end), output: encoder.output(chat), counts: result.counts, end: chat.end)
      store(body, chat)
      if let report = WeirReport.object(result.prompt, result.usage, options: run.options) { body["weir"] = report }
      return .json(.object(body))
    }
    do {
      try await run.started.feed.throwEarlyFailure(within: state.configuration.earlyFailureSeconds)
    } catch {
      state.responses.remove(encoder.id)
      throw error
    }
    let retryAfter = state.configuration.retryAfterSeconds
    return EventStream.response(keepAliveSeconds: state.configuration.keepAliveSeconds, signal: signal) { sink in
      var stream = ResponsesStream(encoder: encoder, run: run)
      await stream.write(to: sink, retryAfter: retryAfter, finish: store)
    }
  }

  /// Keeps a response's newest state, if the client wants it kept.
  private func keeper(_ encoder: ResponsesEncoder, owner: String) -> @Sendable (JSONObject, CollectedChat?) -> Void {
    let responses = state.responses
    guard encoder.request.stores else { return { _, _ in } }
    return { body, chat in
      let isRunning = body["status"]?.string == "in_progress"
      // A cancellation by name has the last word.
      if !isRunning, chat == nil, responses.get(encoder.id, owner: owner)?.body["status"]?.string == "cancelled" {
        return
      }
      responses.put(
        encoder.id,
        StoredResponse(
          body: body, owner: owner, messages: chat.map(encoder.conversation) ?? [],
          running: isRunning ? RequestID(encoder.id) : nil))
    }
  }
}
