// What a request may not ask for.

import WeirBasics
import WeirSampling

extension GenerationRequest {
  /// Most answers to one prompt.
  public static let choicesMax = 128
  /// Most alternatives listed beside a token.
  public static let logprobsMax = 100

  /// - Throws: ``EngineError`` of kind `invalid_request` that names the field, or ``SamplingError``.
  func validate(vocabularySize: Int) throws {
    func check(_ name: String, _ value: Int?, _ range: ClosedRange<Int>) throws(EngineError) {
      guard let value, !range.contains(value) else { return }
      throw EngineError(
        .invalidRequest, message: "\(name) is \(value); it must be in \(range.lowerBound)...\(range.upperBound)",
        param: name)
    }
    try check("n", choices, 1...Self.choicesMax)
    try check("policy_prompt_tokens", policyPromptTokens, 1...max(1, prompt.count))
    try check("max_tokens", maxTokens, 0...Int.max)
    try check("min_tokens", minTokens, 0...Int.max)
    try check("top_logprobs", topLogprobs, 0...Self.logprobsMax)
    try check("prompt_logprobs", promptLogprobs, 0...Self.logprobsMax)
    if let foreign = prompt.first(where: { $0.index >= vocabularySize }) {
      throw EngineError(
        .invalidRequest,
        message: "prompt token \(foreign) is not in the vocabulary; ids must be in 0..<\(vocabularySize)",
        param: "prompt")
    }
    if let maxTokens, minTokens > maxTokens {
      throw EngineError(
        .invalidRequest, message: "min_tokens is \(minTokens); it must not be over max_tokens, which is \(maxTokens)",
        param: "min_tokens")
    }
    try sampling.validate(vocabularySize: vocabularySize)
  }
}
