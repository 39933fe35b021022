// From sampled tokens to events: text, stop rules, usage.

import WeirBasics
import WeirKVCache
import WeirModels
import WeirSampling
import WeirScheduling
import WeirText

extension StepLoop {
  func deliver(_ work: StepWork) {
    let now = clock.now()
    for part in work.parts where part.sequence.computed >= part.sequence.promptCount {
      let request = part.request
      if request.promptDone == nil { finishPrompt(request, part.sequence, at: now) }
      for choice in request.choices {
        guard let sampled = choice.sampled else { continue }
        choice.sampled = nil
        accept(sampled, for: choice, of: request, at: now)
      }
      if request.hasEnded, live[request.ticket] != nil { complete(request) }
    }
  }

  private func finishPrompt(_ request: LiveRequest, _ sequence: Sequence, at now: Instant) {
    request.promptDone = now
    meters.prefillSeconds.observe(now.seconds(since: request.admitted ?? request.submitted))
    if request.isEmbedding {
      finishEmbedding(request)
      return
    }
    var report = PromptReport(
      promptTokens: request.request.prompt.count, cachedTokens: request.cachedTokens,
      explanation: request.request.explainsCache ? sequence.explanation : nil,
      promptLogprobs: request.request.promptLogprobs == nil ? nil : [nil] + request.promptLogprobs)
    report.arrival = request.arrival
    request.yield(.admitted(report))
    if request.maxTokens == 0 {
      for choice in request.choices { end(choice, of: request, reason: .length) }
    }
  }

  private func finishEmbedding(_ request: LiveRequest) {
    let count = Float(request.request.prompt.count)
    var mean = request.hiddenSum.map { $0 / count }
    let norm = mean.reduce(0) { $0 + $1 * $1 }.squareRoot()
    if norm > 0 { mean = mean.map { $0 / norm } }
    for choice in request.choices { end(choice, of: request, reason: .stop, notify: false) }
    live[request.ticket] = nil
    if case .embedding(let continuation) = request.outlet { continuation.resume(returning: mean) }
  }

  private func accept(_ sampled: SampledToken, for choice: Choice, of request: LiveRequest, at now: Instant) {
    guard sampled.isAllowed else {
      // Mask and bans together left nothing to choose from: the answer can only end here.
      end(choice, of: request, reason: .stop, tail: tail(of: choice))
      return
    }
    noteToken(choice, request, at: now)
    let asked = request.request
    let token = sampled.token
    choice.sampler.accept(token)
    _ = choice.constraint?.accept(token)
    let isEnd = !asked.ignoreEndTokens && tokenizer.endTokens.contains(token)
    if isEnd || asked.stopTokens.contains(token) {
      // It adds no text, but it was paid for and has a probability: clients count tokens and log-probabilities.
      yield(sampled, text: "", for: choice, of: request)
      end(choice, of: request, reason: .stop, stopToken: token, tail: tail(of: choice))
      return
    }
    let delta = choice.detokenizer.append(token)
    yield(
      sampled, text: choice.generated < asked.minTokens ? delta : choice.stops.append(delta), for: choice, of: request)
    if choice.stops.matched != nil || choice.constraint?.mustEnd == true {
      end(choice, of: request, reason: .stop, tail: choice.stops.matched == nil ? tail(of: choice) : "")
    } else if choice.generated >= request.maxTokens {
      let tail = tail(of: choice)
      end(choice, of: request, reason: choice.stops.matched == nil ? .length : .stop, tail: tail)
    } else if let id = choice.sequence {
      scheduler.append(token, to: id)
    }
  }

  private func yield(_ sampled: SampledToken, text: String, for choice: Choice, of request: LiveRequest) {
    request.yield(
      .token(
        TokenEvent(
          choice: choice.index, token: sampled.token, text: text,
          logprob: request.request.topLogprobs.map { TokenLogprob(sampled, topCount: $0) },
          index: choice.generated - 1)))
  }

  /// Text that was held back as the beginning of a character or of a stop string.
  private func tail(of choice: Choice) -> String {
    choice.stops.append(choice.detokenizer.finish()) + choice.stops.finish()
  }

  private func noteToken(_ choice: Choice, _ request: LiveRequest, at now: Instant) {
    choice.generated += 1
    request.completionTokens += 1
    meters.countGenerated()
    if request.firstToken == nil {
      request.firstToken = now
      meters.timeToFirstToken.observe(now.seconds(since: request.submitted))
    }
    if let last = choice.lastTokenAt { meters.interToken.observe(now.seconds(since: last)) }
    choice.lastTokenAt = now
  }

  private func complete(_ request: LiveRequest) {
    let now = clock.now()
    meters.countCompletion(
      promptTokens: request.request.prompt.count, generatedTokens: request.completionTokens,
      choices: request.choices.count, totalSeconds: now.seconds(since: request.submitted),
      decodeSeconds: now.seconds(since: request.promptDone ?? now))
    close(request)
  }
}
