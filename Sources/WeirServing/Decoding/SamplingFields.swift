// The sampler's fields, in the spellings of OpenAI, vLLM and llama.cpp.

import WeirBasics
import WeirSampling
import WeirText

enum SamplingFields {
  private static let penalties = -2.0...2.0

  static func read(_ fields: FieldReader, limits: DecodingLimits) throws(APIError) -> SamplingParameters {
    var sampling = SamplingParameters()
    if let value = try fields.number("temperature", in: 0...100) { sampling.temperature = Float(value) }
    if let value = try fields.integer("top_k", in: -1...Int.max) { sampling.topK = max(value, 0) }
    if let value = try fields.number("top_p", in: 0...1) { sampling.topP = try positive(value, fields.name("top_p")) }
    if let value = try fields.number("min_p", in: 0...1) { sampling.minP = Float(value) }
    if let value = try fields.number("typical_p", in: 0...1) {
      sampling.typicalP = try positive(value, fields.name("typical_p"))
    }
    if let value = try fields.number("top_n_sigma", in: -1...1000) { sampling.topNSigma = Float(max(value, 0)) }
    if let value = try fields.number("repetition_penalty", in: 0...100) {
      sampling.repetitionPenalty = try positive(value, fields.name("repetition_penalty"))
    } else if let value = try fields.number("repeat_penalty", in: 0...100) {
      sampling.repetitionPenalty = try positive(value, fields.name("repeat_penalty"))
    }
    if let value = try fields.number("frequency_penalty", in: penalties) { sampling.frequencyPenalty = Float(value) }
    if let value = try fields.number("presence_penalty", in: penalties) { sampling.presencePenalty = Float(value) }
    if let value = try fields.integer("repeat_last_n", in: -1...Int.max) { sampling.penaltyWindowTokens = value }
    sampling.dry = try dry(fields, limits: limits)
    if let probability = try fields.number("xtc_probability", in: 0...1), probability > 0 {
      let threshold = try fields.number("xtc_threshold", in: 0...1) ?? 0.1
      sampling.xtc = XTCParameters(probability: Float(probability), threshold: Float(threshold))
    }
    sampling.logitBias = try logitBias(fields, vocabulary: limits.vocabulary)
    if let tokens = try fields.tokens("allowed_token_ids", vocabulary: limits.vocabulary) {
      guard !tokens.isEmpty else {
        throw .invalid(fields.name("allowed_token_ids"), "allowed_token_ids must name at least one token")
      }
      sampling.allowedTokens = Set(tokens)
    }
    do {
      try sampling.validate(vocabularySize: limits.vocabulary)
    } catch {
      throw .invalid(nil, error.message, code: error.code)
    }
    return sampling
  }

  private static func positive(_ value: Double, _ name: String) throws(APIError) -> Float {
    guard value > 0 else { throw .invalid(name, "\(name) must be above 0") }
    return Float(value)
  }

  private static func dry(_ fields: FieldReader, limits: DecodingLimits) throws(APIError) -> DRYParameters? {
    guard let multiplier = try fields.number("dry_multiplier", in: 0...1000), multiplier > 0 else { return nil }
    var dry = DRYParameters()
    dry.multiplier = Float(multiplier)
    if let value = try fields.number("dry_base", in: 1...1000) { dry.base = Float(value) }
    if let value = try fields.integer("dry_allowed_length", in: 1...Int.max) { dry.allowedLength = value }
    if let value = try fields.integer("dry_penalty_last_n", in: -1...Int.max) { dry.windowTokens = value }
    let breakers = try fields.strings("dry_sequence_breakers") ?? ["\n", ":", "\"", "*"]
    for breaker in breakers.prefix(64) {
      let tokens = limits.tokenizer.encode(breaker, addSpecial: false, parseSpecial: false)
      if let last = tokens.last { dry.sequenceBreakers.insert(last) }
    }
    return dry
  }

  /// `{"50256": -100}`: keys are token numbers as strings.
  private static func logitBias(_ fields: FieldReader, vocabulary: Int) throws(APIError) -> [TokenID: Float] {
    guard let entries = try fields.reader("logit_bias") else { return [:] }
    var bias: [TokenID: Float] = [:]
    for (key, value) in entries.object {
      guard let number = Int(key), (0..<vocabulary).contains(number) else {
        throw .invalid(
          entries.name(key), "\(key) is not a token of this model; use numbers from 0 to \(vocabulary - 1)")
      }
      guard let amount = value.double, (-100.0...100.0).contains(amount) else {
        throw .invalid(entries.name(key), "the bias of token \(key) must be a number from -100 to 100")
      }
      bias[TokenID(number)] = Float(amount)
    }
    return bias
  }
}
