// Turns a script into the events of one request: lengths, stop strings and log-probabilities as the engine gives them.

import WeirBasics
import WeirText

/// The state of one scripted answer.
struct ScriptPlayer {
  enum Action {
    case events([GenerationEvent])
    case wait(Double)
    case hold
    case fail(EngineError)
  }

  private let request: GenerationRequest
  private let tokenizer: Tokenizer
  private let script: EngineScript
  /// Steps that are still to come, the next one last.
  private var pending: [EngineScript.Step] = []
  private var choice = -1
  private var index = 0
  private var text = ""
  private var held: StreamingDetokenizer
  private(set) var usage: UsageReport
  private(set) var reasons: [FinishReason] = []

  init(request: GenerationRequest, tokenizer: Tokenizer, script: EngineScript) {
    self.request = request
    self.tokenizer = tokenizer
    self.script = script
    held = StreamingDetokenizer(tokenizer: tokenizer)
    pending = script.prefill.reversed()
    usage = UsageReport(
      promptTokens: request.prompt.count, cachedTokens: min(script.cachedTokens, request.prompt.count),
      completionTokens: 0)
  }

  /// What happens next; nil when all choices have ended.
  mutating func next() -> Action? {
    while true {
      guard let step = pending.popLast() else {
        if choice < 0 {
          beginChoice()
          return .events([.admitted(promptReport)])
        }
        if choice < request.choices { return .events(end(.stop, token: tokenizer.eosToken)) }
        return nil
      }
      switch step {
      case .wait(let seconds): return .wait(seconds)
      case .hold: return .hold
      case .fail(let error): return .fail(error)
      case .say(let words):
        let tokens = tokenizer.encode(words, addSpecial: false, parseSpecial: true)
        pending += tokens.reversed().map { .token($0) }
      case .token(let token): return .events(emit(token))
      }
    }
  }

  private var promptReport: PromptReport {
    var report = PromptReport(promptTokens: usage.promptTokens, cachedTokens: usage.cachedTokens)
    if let count = request.promptLogprobs {
      report.promptLogprobs = request.prompt.enumerated().map { place, token in
        place == 0 ? nil : logprob(of: token, top: count)
      }
    }
    return report
  }

  private mutating func beginChoice() {
    choice += 1
    index = 0
    text = ""
    held = StreamingDetokenizer(tokenizer: tokenizer)
    if choice < request.choices { pending = script.answer.reversed() }
  }

  private mutating func emit(_ token: TokenID) -> [GenerationEvent] {
    let words = held.append(token)
    text += words
    usage.completionTokens += 1
    index += 1
    if let stop = request.stopStrings.first(where: { text.contains($0) }) {
      return [event(token, "")] + end(.stop, stopString: stop)
    }
    if request.stopTokens.contains(token) { return [event(token, "")] + end(.stop, token: token) }
    let events: [GenerationEvent] = [event(token, words)]
    if let limit = request.maxTokens, index >= limit { return events + end(.length) }
    if request.ignoreEndTokens, pending.isEmpty, request.maxTokens != nil { pending = script.answer.reversed() }
    return events
  }

  private func event(_ token: TokenID, _ words: String) -> GenerationEvent {
    let logprob = request.topLogprobs.map { self.logprob(of: token, top: $0) }
    return .token(TokenEvent(choice: choice, token: token, text: words, logprob: logprob, index: index - 1))
  }

  /// Made up, but a function of the token: -(1 + token mod 4); every alternative is half as likely as the one before.
  private func logprob(of token: TokenID, top: Int) -> TokenLogprob {
    let value = -Float(1 + token.index % 4)
    let alternatives = (0..<top).map { place in
      TokenLogprob.Alternative(
        token: TokenID((token.index + place) % tokenizer.vocabularySize), logprob: value - Float(place) * 0.7)
    }
    return TokenLogprob(token: token, logprob: value, rank: 1, top: alternatives)
  }

  private mutating func end(_ reason: FinishReason, stopString: String? = nil, token: TokenID? = nil)
    -> [GenerationEvent]
  {
    let tail = stopString == nil ? held.finish() : ""
    let ended = ChoiceEnd(choice: choice, reason: reason, text: tail, stopString: stopString, stopToken: token)
    reasons.append(reason)
    pending = []
    beginChoice()
    return [.finished(ended)]
  }
}
