// Answers by an engine in this process.

public import WeirBasics
public import WeirEngine
public import WeirKVCache
import WeirSampling

/// Puts items to an engine, greedily.
public struct EngineRespondent: Respondent {
  private let engine: any TextEngine
  private let timing: QuestionTiming
  private let maxTokens: Int
  private let policy: (@Sendable (TaskItem) -> KVPolicyRequest?)?

  /// - Parameters:
  ///   - engine: the model with everything that is being compared.
  ///   - timing: whether the question comes with its context or after it.
  ///   - maxTokens: most tokens of an answer, at least 1.
  ///   - policy: what to keep of an item's KV; nil: what the engine does by itself.
  /// - Throws: ``EvaluationError`` if `timing` asks for what the engine was told not to keep.
  public init(
    engine: any TextEngine, timing: QuestionTiming, maxTokens: Int,
    policy: (@Sendable (TaskItem) -> KVPolicyRequest?)? = nil
  ) throws(EvaluationError) {
    guard
      timing == .known || engine.information.prefixCaching || engine.information.kvPolicy != nil
        || policy != nil
    else {
      throw EvaluationError(
        code: "cache_off",
        message: "--question unknown needs the prefix cache, which holds the context's KV until the question comes")
    }
    self.engine = engine
    self.timing = timing
    self.maxTokens = maxTokens
    self.policy = policy
  }

  public func answer(_ item: TaskItem) async throws -> ItemAnswer {
    let information = engine.information
    let prompt = try ItemPrompt(item, tokenizer: information.tokenizer, template: information.chatTemplate)
    var context = ItemAnswer()
    if timing == .unknown {
      let count = try prompt.contextCount(of: item, tokenizer: information.tokenizer)
      if count > 0, information.kvPolicy != nil || policy?(item) != nil {
        return try await answer(item, prompt.tokens, context: count)
      }
      if count > 0 {
        context = try await read(request(Array(prompt.tokens[..<count]), item, part: "context", maxTokens: 0))
      }
    }
    var answer = try await read(request(prompt.tokens, item, part: "question", maxTokens: maxTokens))
    answer.follow(context)
    return answer
  }

  /// Under a KV policy nothing is left in the prefix cache, so context and question come in one request; the policy is
  /// asked at the context's end, before any token of the question has been computed.
  private func answer(_ item: TaskItem, _ tokens: [TokenID], context: Int) async throws -> ItemAnswer {
    var whole = request(tokens, item, part: "question", maxTokens: maxTokens)
    whole.policyPromptTokens = context
    var answer = try await read(whole)
    answer.contextTokens = context
    answer.cachedTokens = max(answer.cachedTokens, context)
    return answer
  }

  /// The tokens of an item's prompt, for measurements of speed.
  ///
  /// - Throws: as `answer(_:)` does before it asks the engine.
  public func promptTokens(of item: TaskItem) throws -> [TokenID] {
    let information = engine.information
    return try ItemPrompt(item, tokenizer: information.tokenizer, template: information.chatTemplate).tokens
  }

  private func request(_ tokens: [TokenID], _ item: TaskItem, part: String, maxTokens: Int) -> GenerationRequest {
    var request = GenerationRequest(id: RequestID("eval-\(item.id)-\(part)"), prompt: tokens)
    request.maxTokens = maxTokens
    request.sampling.temperature = 0
    request.kvPolicy = policy?(item)
    return request
  }

  private func read(_ request: GenerationRequest) async throws -> ItemAnswer {
    var answer = ItemAnswer()
    for try await event in engine.generate(request) {
      switch event {
      case .admitted: break
      case .token(let token): answer.text += token.text
      case .finished(let end): answer.text += end.text
      case .done(let usage):
        answer.promptTokens = usage.promptTokens
        answer.cachedTokens = usage.cachedTokens
        answer.computedTokens = usage.promptTokens - usage.cachedTokens
        answer.completionTokens = usage.completionTokens
        answer.firstTokenSeconds = usage.timeToFirstTokenSeconds
        answer.totalSeconds = usage.totalSeconds
        answer.kv = usage.kv.first
      }
    }
    answer.text = AnswerRule.judged(answer.text)
    return answer
  }
}
