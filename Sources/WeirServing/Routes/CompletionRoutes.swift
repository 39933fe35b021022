// POST /v1/completions and its render twin.

import HTTPTypes
import Hummingbird
import WeirBasics
import WeirEngine

struct CompletionRoutes: Sendable {
  let state: ServingState

  func add(to router: Router<ServingContext>) {
    router.post("/v1/completions") { request, context in try await complete(request, context) }
    router.post("/v1/completions/render") { request, context in try await render(request, context) }
  }

  private func decode(_ request: Request, _ context: ServingContext) async throws -> CompletionRequest {
    let fields = try await state.fields(request)
    let completion = try CompletionRequest(
      fields, caller: context.caller, limits: state.limits, maxPrompts: state.configuration.maxPromptsPerRequest)
    try state.checkModel(completion.options.model)
    return completion
  }

  private func complete(_ request: Request, _ context: ServingContext) async throws -> Response {
    let completion = try await decode(request, context)
    // Every prompt is checked before the first one starts.
    var generations: [GenerationRequest] = []
    for (index, prompt) in completion.prompts.enumerated() {
      var options = completion.options
      let param = completion.prompts.count == 1 ? "prompt" : "prompt[\(index)]"
      try options.setPrompt(prompt, limits: state.limits, param: param)
      if completion.prompts.count > 1 {
        options.generation.id = RequestID("\(options.generation.id)-p\(index)")
      }
      generations.append(options.generation)
    }
    let started = try generations.map { try state.start($0, prefix: "cmpl-") }
    let encoder = CompletionEncoder(
      id: started.count == 1 ? started[0].id.rawValue : "cmpl-\(completion.options.generation.id)",
      created: state.environment.unixSeconds(), model: state.information.modelName, request: completion,
      logprobs: LogprobEncoder(
        tokenizer: state.information.tokenizer, tokensAsIDs: completion.options.tokensAsIDs))
    let signal = await ConnectionWatch.signal(of: context.channel)
    if let early = completion.options.earlyTicket, let feed = started.first?.feed {
      return try await PrefillStream.response(early, feed: feed, state: state, signal: signal) {
        try await collect(started, encoder)
      }
    }
    if completion.options.streams { return try await stream(started, encoder, signal) }
    return .json(try await whileConnected(signal) { try await collect(started, encoder) })
  }

  /// The whole answer.
  private func collect(_ started: [StartedGeneration], _ encoder: CompletionEncoder) async throws -> JSONValue {
    let results = try await withThrowingTaskGroup(of: (Int, CollectedGeneration).self) { group in
      for (index, generation) in started.enumerated() {
        group.addTask { (index, try await generation.feed.collect(choices: encoder.choicesPerPrompt)) }
      }
      var results: [Int: CollectedGeneration] = [:]
      for try await (index, result) in group { results[index] = result }
      return results
    }
    var choices: [JSONValue] = []
    var counts = UsageCounts()
    for index in started.indices {
      guard let result = results[index] else { continue }
      choices += encoder.choices(result, prompt: index)
      counts.add(UsageCounts(result.usage))
    }
    if encoder.request.hidesAnswer { counts.completion = 0 }
    var body = encoder.body(choices)
    body["usage"] = counts.openAI
    if let first = results[0], let report = WeirReport.object(first.prompt, first.usage, options: encoder.options) {
      body["weir"] = report
    }
    if let first = results[0], encoder.options.generation.handsOver {
      body[HandoffFields.field] = HandoffFields.answer(first.usage.handoff)
    }
    return .object(body)
  }

  private func stream(
    _ started: [StartedGeneration], _ encoder: CompletionEncoder, _ signal: ConnectionSignal
  ) async throws -> Response {
    for generation in started {
      try await generation.feed.throwEarlyFailure(
        within: state.configuration.earlyFailureSeconds / Double(started.count))
    }
    let retryAfter = state.configuration.retryAfterSeconds
    return EventStream.response(keepAliveSeconds: state.configuration.keepAliveSeconds, signal: signal) { sink in
      let totals = CompletionTotals()
      let failed = await withTaskGroup(of: Bool.self) { group in
        for (index, generation) in started.enumerated() {
          group.addTask {
            var stream = CompletionStream(encoder: encoder, prompt: index, totals: totals)
            return await stream.write(generation.feed, to: sink, retryAfter: retryAfter)
          }
        }
        for await succeeded in group where !succeeded {
          group.cancelAll()
          return true
        }
        return false
      }
      guard !failed else { return }
      if encoder.options.includesUsage {
        var body = encoder.body([])
        body["usage"] = totals.counts.openAI
        sink.send(.object(body))
      }
      sink.send(raw: "[DONE]")
    }
  }

  private func render(_ request: Request, _ context: ServingContext) async throws -> Response {
    let completion = try await decode(request, context)
    let items: [JSONValue] = completion.prompts.enumerated().map { index, prompt in
      [
        "model": .string(state.information.modelName), "text": .string(completion.texts[index]),
        "token_ids": .array(prompt.map { .integer(Int64($0.rawValue)) }), "count": JSONValue(prompt.count),
        "max_model_len": JSONValue(state.information.contextLength),
      ]
    }
    return .json(items.count == 1 ? items[0] : .array(items))
  }
}
