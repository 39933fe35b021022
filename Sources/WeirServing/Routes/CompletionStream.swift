// The chunks of one prompt of a streamed text completion.

import Synchronization
import WeirBasics
import WeirEngine

/// Usage over all prompts of a request.
final class CompletionTotals: Sendable {
  private let total = Mutex(UsageCounts())
  var counts: UsageCounts { total.withLock { $0 } }
  func add(_ counts: UsageCounts) { total.withLock { $0.add(counts) } }
}

struct CompletionStream {
  private let encoder: CompletionEncoder
  private let prompt: Int
  private let totals: CompletionTotals
  private var counts = UsageCounts()
  private var lists: [CompletionLogprobs]
  private var waiting: [[TokenEvent]]

  init(encoder: CompletionEncoder, prompt: Int, totals: CompletionTotals) {
    self.encoder = encoder
    self.prompt = prompt
    self.totals = totals
    lists = Array(repeating: CompletionLogprobs(encoder: encoder.logprobs), count: encoder.choicesPerPrompt)
    waiting = Array(repeating: [], count: encoder.choicesPerPrompt)
  }

  /// False after an error, which has been written.
  mutating func write(_ feed: EventFeed, to sink: EventSink, retryAfter: Double) async -> Bool {
    do {
      for try await event in feed.events { write(event, sink) }
      return true
    } catch {
      sink.send(APIError.from(error, retryAfter: retryAfter).body(.openAI, requestID: nil))
      return false
    }
  }

  private mutating func write(_ event: GenerationEvent, _ sink: EventSink) {
    switch event {
    case .admitted(let report):
      counts.prompt = report.promptTokens
      counts.cached = report.cachedTokens
      guard encoder.request.echoes else { return }
      for choice in lists.indices {
        encoder.echoed(report, prompt: prompt, into: &lists[choice])
        send(choice, encoder.request.texts[prompt], nil, sink)
      }
    case .token(let token):
      guard !encoder.request.hidesAnswer else { return }
      counts.completion += 1
      lists[token.choice].add(token.token, token.logprob, top: encoder.request.logprobs ?? 0)
      waiting[token.choice].append(token)
      if !token.text.isEmpty { send(token.choice, token.text, nil, sink) }
    case .finished(let end):
      send(end.choice, encoder.request.hidesAnswer ? "" : end.text, ChatEnd(end: end, calledTools: false), sink)
    case .done(let usage):
      var final = UsageCounts(usage)
      if encoder.request.hidesAnswer { final.completion = 0 }
      totals.add(final)
    }
  }

  private mutating func send(_ choice: Int, _ text: String, _ end: ChatEnd?, _ sink: EventSink) {
    let logprobs = encoder.request.logprobs == nil || lists[choice].isEmpty ? .null : lists[choice].take()
    let item = encoder.choice(
      index: prompt * encoder.choicesPerPrompt + choice, text: text, logprobs: logprobs, reason: end,
      tokens: waiting[choice])
    waiting[choice] = []
    var body = encoder.body([.object(item)])
    if encoder.options.continuousUsage { body["usage"] = counts.openAI }
    sink.send(.object(body))
  }
}
