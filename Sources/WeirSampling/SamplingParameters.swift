// How the next token is chosen: all knobs of the sampler, with neutral defaults.

public import WeirBasics

/// The knobs of one choice's sampler. A fresh value changes nothing: plain sampling at temperature 1.
public struct SamplingParameters: Sendable, Equatable {
  /// Divides the logits; 0 is greedy. Range: finite, 0 or more.
  public var temperature: Float = 1
  /// Keeps the k most probable tokens; 0 or -1 is off, 1 is greedy.
  public var topK: Int = 0
  /// Keeps the smallest set of most probable tokens whose mass reaches this. Range: above 0, at most 1 (off).
  public var topP: Float = 1
  /// Keeps tokens at least this fraction as probable as the best. Range: 0 (off) to 1.
  public var minP: Float = 0
  /// Locally typical sampling (Meister et al. 2022). Range: above 0, at most 1 (off).
  public var typicalP: Float = 1
  /// Keeps tokens whose logit is within this many standard deviations of the best. Range: 0 (off) or more.
  public var topNSigma: Float = 0
  /// Divides positive and multiplies negative logits of tokens seen in prompt or answer. Range: above 0; 1 is off.
  public var repetitionPenalty: Float = 1
  /// Subtracted per occurrence in the answer. Range: -2 to 2.
  public var frequencyPenalty: Float = 0
  /// Subtracted once if the token occurs in the answer. Range: -2 to 2.
  public var presencePenalty: Float = 0
  /// How many of the last tokens (prompt and answer) the three penalties see; -1: all, 0: none.
  public var penaltyWindowTokens: Int = -1
  /// Penalty on continuing repeated sequences; nil is off.
  public var dry: DRYParameters?
  /// Exclusion of top choices; nil is off.
  public var xtc: XTCParameters?
  /// Added to the logit of a token. Range: -100 to 100.
  public var logitBias: [TokenID: Float] = [:]
  /// Never chosen.
  public var bannedTokens: Set<TokenID> = []
  /// If present, only these are chosen; not empty.
  public var allowedTokens: Set<TokenID>?

  public init() {}

  /// Whether the highest logit wins without any draw.
  public var isGreedy: Bool { temperature == 0 || topK == 1 }
}

/// "Don't repeat yourself": a token that would lengthen a repetition of `n >= allowedLength` tokens loses
/// `multiplier * base^(n - allowedLength)`.
public struct DRYParameters: Sendable, Equatable {
  /// Strength; 0 is off. Range: 0 or more.
  public var multiplier: Float = 0.8
  /// Growth per token. Range: 1 or more.
  public var base: Float = 1.75
  /// Longest repetition that costs nothing extra. Range: 1 or more.
  public var allowedLength: Int = 2
  /// How many of the last tokens are searched; -1: all, 0: none. A step costs time linear in it.
  public var windowTokens: Int = -1
  /// A repetition is not followed across one of these; the caller resolves its breaker strings to tokens.
  public var sequenceBreakers: Set<TokenID> = []

  public init() {}
}

/// With `probability`, removes every token at least as probable as `threshold` except the least probable of them.
public struct XTCParameters: Sendable, Equatable {
  /// Chance per token that the filter acts. Range: 0 to 1.
  public var probability: Float
  /// Range: 0 to 1; above 0.5 it can never act.
  public var threshold: Float

  public init(probability: Float, threshold: Float) {
    self.probability = probability
    self.threshold = threshold
  }
}

// MARK: - Ranges

extension SamplingParameters {
  /// Checks every range.
  ///
  /// - Parameter vocabularySize: tokens named in biases and sets must be below it.
  /// - Throws: `SamplingError` that names the parameter and its legal range.
  public func validate(vocabularySize: Int) throws(SamplingError) {
    try Self.check("temperature", temperature, temperature >= 0 && temperature.isFinite, "a finite number, 0 or more")
    try Self.check("top_k", topK, topK >= -1, "-1 or 0 (off) or a positive number")
    try Self.check("top_p", topP, topP > 0 && topP <= 1, "above 0 and at most 1")
    try Self.check("min_p", minP, minP >= 0 && minP <= 1, "from 0 to 1")
    try Self.check("typical_p", typicalP, typicalP > 0 && typicalP <= 1, "above 0 and at most 1")
    try Self.check("top_n_sigma", topNSigma, topNSigma >= 0 && topNSigma.isFinite, "a finite number, 0 (off) or more")
    try Self.check(
      "repetition_penalty", repetitionPenalty, repetitionPenalty > 0 && repetitionPenalty.isFinite,
      "a finite number above 0")
    try Self.check("frequency_penalty", frequencyPenalty, abs(frequencyPenalty) <= 2, "from -2 to 2")
    try Self.check("presence_penalty", presencePenalty, abs(presencePenalty) <= 2, "from -2 to 2")
    try Self.check("penalty_window", penaltyWindowTokens, penaltyWindowTokens >= -1, "-1 (all), 0 (none) or more")
    try dry?.validate()
    try xtc?.validate()
    try validateTokens(vocabularySize: vocabularySize)
  }

  private func validateTokens(vocabularySize: Int) throws(SamplingError) {
    let limit = "a token below the vocabulary size \(vocabularySize)"
    for (token, bias) in logitBias.sorted(by: { $0.key < $1.key }) {
      try Self.check("logit_bias", token, token.index < vocabularySize, limit)
      try Self.check("logit_bias", bias, abs(bias) <= 100, "a bias from -100 to 100")
    }
    for token in bannedTokens.sorted() {
      try Self.check("banned_tokens", token, token.index < vocabularySize, limit)
    }
    guard let allowedTokens else { return }
    try Self.check("allowed_token_ids", "[]", !allowedTokens.isEmpty, "at least one token")
    for token in allowedTokens.sorted() {
      try Self.check("allowed_token_ids", token, token.index < vocabularySize, limit)
    }
  }

  static func check(_ name: String, _ value: some Any, _ holds: Bool, _ range: String) throws(SamplingError) {
    guard !holds else { return }
    throw SamplingError(.invalidParameter, "\(name) is \(value); it must be \(range)", parameter: name)
  }
}

extension DRYParameters {
  func validate() throws(SamplingError) {
    try SamplingParameters.check(
      "dry_multiplier", multiplier, multiplier >= 0 && multiplier.isFinite, "a finite number, 0 (off) or more")
    try SamplingParameters.check("dry_base", base, base >= 1 && base.isFinite, "a finite number, 1 or more")
    try SamplingParameters.check("dry_allowed_length", allowedLength, allowedLength >= 1, "1 or more")
    try SamplingParameters.check("dry_penalty_last_n", windowTokens, windowTokens >= -1, "-1 (all), 0 (none) or more")
  }
}

extension XTCParameters {
  func validate() throws(SamplingError) {
    try SamplingParameters.check("xtc_probability", probability, probability >= 0 && probability <= 1, "from 0 to 1")
    try SamplingParameters.check("xtc_threshold", threshold, threshold >= 0 && threshold <= 1, "from 0 to 1")
  }
}
