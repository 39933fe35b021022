// Starts generations for the routes and collects their ends.

import Hummingbird
import WeirBasics
import WeirEngine

/// Hummingbird has a type of this name too; in this room the word means ours.
typealias RequestID = WeirBasics.RequestID

/// A started request with what its answer needs.
struct StartedGeneration: Sendable {
  let id: RequestID
  let feed: EventFeed
}

extension ServingState {
  /// Refuses new work while the server goes down.
  func checkAdmission() throws(APIError) {
    guard !isDraining else {
      throw .unavailable(
        "The server is shutting down; send the request to another one or try again.", code: "draining",
        retryAfter: max(configuration.retryAfterSeconds, 1))
    }
  }

  /// Starts `options` under an identifier that begins with `prefix`.
  func start(_ options: RequestOptions, prefix: String) throws(APIError) -> StartedGeneration {
    try start(options.generation, prefix: prefix)
  }

  func start(_ wanted: GenerationRequest, prefix: String) throws(APIError) -> StartedGeneration {
    try checkAdmission()
    guard let id = active.begin(prefix + wanted.id.rawValue, owner: wanted.cacheSalt) else {
      throw .unavailable(
        "The server has \(configuration.maxConcurrentRequests) requests open, its limit; try again.",
        code: "too_many_requests_open", retryAfter: configuration.retryAfterSeconds)
    }
    var generation = wanted
    generation.id = id
    let active = self.active
    let feed = EventFeed(engine, generation) { active.end(id) }
    return StartedGeneration(id: id, feed: feed)
  }
}

/// A choice that has been generated completely.
struct CollectedChoice: Sendable {
  var text = ""
  var tokens: [TokenEvent] = []
  var end = ChoiceEnd(choice: 0, reason: .cancelled)
}

/// A request that has been generated completely.
struct CollectedGeneration: Sendable {
  var prompt = PromptReport(promptTokens: 0, cachedTokens: 0)
  var choices: [CollectedChoice]
  var usage = UsageReport(promptTokens: 0, cachedTokens: 0, completionTokens: 0)
}

extension EventFeed {
  /// Reads all events of a request with `choices` choices.
  func collect(choices: Int) async throws -> CollectedGeneration {
    var result = CollectedGeneration(choices: Array(repeating: CollectedChoice(), count: choices))
    var isDone = false
    for try await event in events {
      switch event {
      case .admitted(let report): result.prompt = report
      case .token(let token):
        result.choices[token.choice].text += token.text
        result.choices[token.choice].tokens.append(token)
      case .finished(let end):
        result.choices[end.choice].text += end.text
        result.choices[end.choice].end = end
      case .done(let usage):
        result.usage = usage
        isDone = true
      }
    }
    // A cancelled task sees the stream end early; the answer would be cut without saying so.
    guard isDone else { throw CancellationError() }
    return result
  }
}
