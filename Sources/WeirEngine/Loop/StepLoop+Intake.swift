// From a request to a queued sequence: every refusal happens here, before anything is held.

import WeirBasics
import WeirKVCache
import WeirSampling
import WeirScheduling
import WeirText

extension StepLoop {
  /// Rows of one step of a prompt whose log-probabilities are wanted: each row then needs a row of logits.
  static let promptLogprobRows = 64

  func submit(_ ticket: Ticket, _ request: GenerationRequest, _ outlet: LiveRequest.Outlet) {
    let now = clock.now()
    do {
      let live = try makeLive(ticket, request, outlet, at: now)
      var submission = Submission(request: request.id, tokens: request.prompt)
      submission.priority = request.priority
      submission.salt = request.cacheSalt
      submission.storesCache = request.storesCache && configuration.prefixCache
      // A cached prompt token has no hidden state and no logits any more, so these requests compute all of them.
      let needsEveryRow = live.isEmbedding || request.promptLogprobs != nil
      submission.readsCache = request.readsCache && configuration.prefixCache && !needsEveryRow
      if request.promptLogprobs != nil { submission.stepRowsLimit = Self.promptLogprobRows }
      if !live.isEmbedding { submission.lanes = try lanes(for: request) }
      submission.takesPlace = !(request.handsOver && request.maxTokens == 1 && live.choices.count == 1)
      submission.reservesPrompt = submission.lanes == nil && streams(request)
      if let kept = request.arrival, try expect(live, submission, kept) {
        self.live[ticket] = live
      } else {
        try enqueue(live, submission)
      }
    } catch {
      refuse(outlet, EngineError(wrapping: error))
    }
  }

  /// Puts a request in line for its prompt to be computed here.
  func enqueue(_ live: LiveRequest, _ submission: Submission) throws {
    let sequence = try scheduler.submit(submission, pool: pool)
    guard let leader = live.choices.first else { return }
    leader.sequence = sequence.id
    owners[sequence.id] = (live, leader)
    self.live[live.ticket] = live
  }

  private func refuse(_ outlet: LiveRequest.Outlet, _ error: EngineError) {
    meters.countFailure(error.code)
    switch outlet {
    case .generation(let stream): stream.finish(throwing: error)
    case .embedding(let continuation): continuation.resume(throwing: error)
    }
  }

  private func makeLive(
    _ ticket: Ticket, _ request: GenerationRequest, _ outlet: LiveRequest.Outlet, at now: Instant
  ) throws -> LiveRequest {
    try request.validate(vocabularySize: tokenizer.vocabularySize)
    let room = scheduler.configuration.contextLength - request.prompt.count
    let maxTokens = min(request.maxTokens ?? room, room)
    let seed = request.seed ?? seeds.next()
    var choices: [Choice] = []
    for index in 0..<request.choices {
      let constraint = try request.constraint.map { try TokenConstraint($0, vocabulary: vocabulary) }
      choices.append(
        Choice(
          index: index,
          sampler: Sampler(
            parameters: request.sampling, seed: SeededGenerator(seed: seed, stream: UInt64(index)).state,
            vocabularySize: tokenizer.vocabularySize, promptTokens: request.prompt),
          constraint: constraint,
          detokenizer: StreamingDetokenizer(
            tokenizer: tokenizer, continues: true, skipSpecial: request.skipSpecialTokens),
          stops: StopMatcher(stopStrings: request.stopStrings, includesStop: request.includeStopString)))
    }
    return LiveRequest(
      ticket: ticket, request: request, outlet: outlet, choices: choices, maxTokens: maxTokens, submitted: now)
  }

  func embeddingRequest(id: RequestID, tokens: [TokenID]) -> GenerationRequest {
    var request = GenerationRequest(id: id, prompt: tokens)
    request.maxTokens = 0
    request.storesCache = false
    return request
  }

  func noteAdmission(_ id: SequenceID, at now: Instant) {
    guard let owner = owners[id], let sequence = scheduler.sequence(id) else { return }
    let request = owner.request
    request.admitted = now
    request.cachedTokens = sequence.cachedTokens
    meters.countAdmission(
      promptTokens: sequence.promptCount, cachedTokens: sequence.cachedTokens,
      queueSeconds: now.seconds(since: request.submitted))
  }

  func notePreemptions(_ ids: [SequenceID]) {
    meters.countPreemptions(ids.count)
    for id in ids {
      // It may wait for the very blocks that its stream holds, and starts over in others.
      endStream(id)
      guard let request = owners[id]?.request else { continue }
      request.preemptions += 1
      // The prompt starts again from row 0, so what its rows told so far is collected again as well.
      if request.promptDone == nil {
        request.promptLogprobs = []
        request.hiddenSum = []
      }
    }
  }
}
