// One answer that is being generated: its sequence, sampler, constraint, text.

import WeirBasics
import WeirKVTransfer
import WeirSampling
import WeirText

/// The mutable state of one choice of a request; lives on the step-loop thread.
final class Choice {
  let index: Int
  var sequence: SequenceID?
  var sampler: Sampler
  var constraint: TokenConstraint?
  var detokenizer: StreamingDetokenizer
  var stops: StopMatcher
  var generated = 0
  var hasEnded = false
  var lastTokenAt: Instant?
  /// What it held of the KV cache, known at its end.
  var kv: KVUsage?
  /// Set by the parallel sampling pass, consumed by the delivery pass of the same step.
  var sampled: SampledToken?

  init(
    index: Int, sampler: Sampler, constraint: TokenConstraint?, detokenizer: StreamingDetokenizer, stops: StopMatcher
  ) {
    self.index = index
    self.sampler = sampler
    self.constraint = constraint
    self.detokenizer = detokenizer
    self.stops = stops
  }
}

/// One call of `generate` or `embed` that is inside the engine.
final class LiveRequest {
  enum Outlet {
    case generation(AsyncThrowingStream<GenerationEvent, any Error>.Continuation)
    case embedding(CheckedContinuation<[Float], any Error>)
  }

  let ticket: Ticket
  let request: GenerationRequest
  let outlet: Outlet
  /// The first entry's sequence computes the prompt; the others fork from it.
  let choices: [Choice]
  let maxTokens: Int
  let submitted: Instant
  var admitted: Instant?
  var promptDone: Instant?
  var firstToken: Instant?
  var cachedTokens = 0
  var completionTokens = 0
  var preemptions = 0
  /// What became of its ticket.
  var arrival: ArrivalReport?
  /// Where its KV is kept for another node.
  var handoff: HandoffTicket?
  var promptLogprobs: [TokenLogprob?] = []
  /// The last prompt row's state after the final norm, if its lanes are to be handed over.
  var promptState: [Float] = []
  /// Sum of final hidden states, for embeddings.
  var hiddenSum: [Float] = []

  init(
    ticket: Ticket, request: GenerationRequest, outlet: Outlet, choices: [Choice], maxTokens: Int, submitted: Instant
  ) {
    self.ticket = ticket
    self.request = request
    self.outlet = outlet
    self.choices = choices
    self.maxTokens = maxTokens
    self.submitted = submitted
  }

  var isEmbedding: Bool {
    if case .embedding = outlet { return true }
    return false
  }

  var hasEnded: Bool { choices.allSatisfy(\.hasEnded) }

  func yield(_ event: GenerationEvent) {
    if case .generation(let stream) = outlet { stream.yield(event) }
  }

  func fail(_ error: EngineError) {
    switch outlet {
    case .generation(let stream): stream.finish(throwing: error)
    case .embedding(let continuation): continuation.resume(throwing: error)
    }
  }
}
