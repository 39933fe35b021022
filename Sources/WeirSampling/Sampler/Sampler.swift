// Chooses the next token of one choice: from a row of logits to a token and its log probability.

public import WeirBasics

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The sampler of one generated choice; owns its history and its scratch memory.
///
/// The chain, in order: logit bias; banned tokens, allowed set, mask; repetition, frequency, presence penalty; DRY;
/// temperature; top-n-sigma; top-k; typical; top-p; min-p; XTC; draw. Each filter sees the distribution renormalised
/// over what the earlier ones kept. Log probabilities are of the row as it came.
///
/// The draw for the n-th generated token comes from `SeededGenerator(seed:, stream: n)`: it depends on the seed and the
/// row only, never on what else is computed at the same time.
public struct Sampler: Sendable {
  public let parameters: SamplingParameters
  public let seed: UInt64
  public let vocabularySize: Int
  /// Number of tokens accepted so far: the stream of the next draw.
  public private(set) var generatedCount = 0

  private(set) var history: TokenHistory
  private var search = RepetitionSearch()
  private var chooser: TokenChooser
  // Scratch memory, reused from token to token.
  private var adjusted: [Float] = []
  private var rawScan = LogitScan()
  private var adjustedScan = LogitScan()
  private var sums: [Double] = []

  /// - Parameters:
  ///   - parameters: valid knobs (see `SamplingParameters.validate`).
  ///   - seed: of every draw of this choice.
  ///   - vocabularySize: length of the rows of logits.
  ///   - promptTokens: what repetition penalty and DRY have seen already.
  public init(parameters: SamplingParameters, seed: UInt64, vocabularySize: Int, promptTokens: [TokenID]) {
    self.parameters = parameters
    self.seed = seed
    self.vocabularySize = vocabularySize
    chooser = TokenChooser(parameters: parameters)
    let counts =
      parameters.repetitionPenalty != 1 || parameters.frequencyPenalty != 0 || parameters.presencePenalty != 0
    let keeps = (counts && parameters.penaltyWindowTokens != 0) || parameters.dry != nil
    history = TokenHistory(
      prompt: keeps ? promptTokens : [], window: parameters.penaltyWindowTokens, keepsCounts: counts)
  }

  /// Chooses a token. Does not count it as generated: `accept` does.
  ///
  /// - Parameters:
  ///   - logits: one row, `[vocabularySize]`; it is not changed. NaN counts as -inf.
  ///   - mask: tokens a constraint allows; nil allows all.
  ///   - bannedNow: tokens that may not come at this place, for example end tokens before the minimum length.
  ///   - topCount: alternatives wanted with their log probabilities; -1: no log probabilities at all, which saves a
  ///     pass over the row (two if the choice is greedy).
  public mutating func sample(
    _ logits: UnsafeMutableBufferPointer<Float>, mask: TokenMask? = nil, bannedNow: Set<TokenID> = [],
    topCount: Int = -1
  ) -> SampledToken {
    let row = UnsafeBufferPointer(logits)
    precondition(row.count == vocabularySize, "a row of \(row.count) logits for a vocabulary of \(vocabularySize)")
    rawScan.scan(row)
    let stream = UInt64(generatedCount)
    let choice = withAdjusted(row, mask, bannedNow) { [seed] chooser, row, scan in
      chooser.choose(row, scan, seed: seed, stream: stream)
    }
    let token = TokenID(choice ?? fallback(mask))
    guard topCount >= 0 else {
      return SampledToken(token: token, logprob: .nan, rank: nil, top: [], isAllowed: choice != nil)
    }
    let logprobs = RowLogprobs(row, scan: rawScan, isScanned: true, sums: &sums)
    return SampledToken(
      token: token, logprob: logprobs.logprob(of: token), rank: logprobs.rank(of: token), top: logprobs.top(topCount),
      isAllowed: choice != nil)
  }

  /// The distribution the next draw is made from, after every knob: tokens with a probability above 0, best first,
  /// lowest id first among equals. Sums to 1. For inspection and tests: it sorts what `sample` does not.
  public mutating func distribution(
    _ logits: UnsafeMutableBufferPointer<Float>, mask: TokenMask? = nil, bannedNow: Set<TokenID> = []
  ) -> [(token: TokenID, probability: Double)] {
    let row = UnsafeBufferPointer(logits)
    precondition(row.count == vocabularySize, "a row of \(row.count) logits for a vocabulary of \(vocabularySize)")
    rawScan.scan(row)
    let stream = UInt64(generatedCount)
    return withAdjusted(row, mask, bannedNow) { [seed] chooser, row, scan in
      chooser.distribution(row, scan, seed: seed, stream: stream)
    }
  }

  /// Gives `body` the row as bias, mask and penalties leave it.
  private mutating func withAdjusted<R>(
    _ row: UnsafeBufferPointer<Float>, _ mask: TokenMask?, _ bannedNow: Set<TokenID>,
    _ body: (inout TokenChooser, UnsafeBufferPointer<Float>, LogitScan) -> R
  ) -> R {
    guard changesRow(mask: mask, bannedNow: bannedNow) else { return body(&chooser, row, rawScan) }
    // Taken out of self, so that the closure does not hold self while its parts change.
    var buffer = adjusted
    var scan = adjustedScan
    (adjusted, adjustedScan) = ([], LogitScan())
    adjust(row, mask: mask, bannedNow: bannedNow, into: &buffer)
    let result = buffer.withUnsafeBufferPointer { changed -> R in
      scan.scan(changed)
      return body(&chooser, changed, scan)
    }
    (adjusted, adjustedScan) = (buffer, scan)
    return result
  }

  /// Counts `token` as generated; it need not be the one `sample` chose.
  public mutating func accept(_ token: TokenID) {
    generatedCount += 1
    if changesByHistory { history.append(token) }
  }

  private var changesByHistory: Bool {
    parameters.dry != nil
      || (parameters.penaltyWindowTokens != 0
        && (parameters.repetitionPenalty != 1 || parameters.frequencyPenalty != 0 || parameters.presencePenalty != 0))
  }

  private func changesRow(mask: TokenMask?, bannedNow: Set<TokenID>) -> Bool {
    mask != nil || !bannedNow.isEmpty || !parameters.logitBias.isEmpty || !parameters.bannedTokens.isEmpty
      || parameters.allowedTokens != nil || changesByHistory
  }

  /// What to name when nothing is allowed.
  private func fallback(_ mask: TokenMask?) -> Int {
    if let first = mask?.first, first.index < vocabularySize { return first.index }
    return rawScan.maxima.firstIndex(of: rawScan.maximum).map { min($0 * LogitScan.blockSize, vocabularySize - 1) } ?? 0
  }
}

// MARK: - The row before temperature

extension Sampler {
  private mutating func adjust(
    _ row: UnsafeBufferPointer<Float>, mask: TokenMask?, bannedNow: Set<TokenID>, into adjusted: inout [Float]
  ) {
    if adjusted.count != row.count { adjusted = [Float](repeating: 0, count: row.count) }
    let repetitions = parameters.dry.map { search.repetitions(in: history.tokens, $0) } ?? []
    adjusted.withUnsafeMutableBufferPointer { out in
      _ = out.update(fromContentsOf: row)
      for (token, bias) in parameters.logitBias { out[token.index] += bias }
      if let allowed = parameters.allowedTokens { Self.keep(allowed, out) }
      if let mask { Self.apply(mask, out) }
      for token in parameters.bannedTokens { out[token.index] = -.infinity }
      for token in bannedNow where token.index < out.count { out[token.index] = -.infinity }
      for entry in history.entries where entry.token.index < out.count { penalise(entry, &out[entry.token.index]) }
      for repetition in repetitions where repetition.token.index < out.count {
        out[repetition.token.index] -= dryPenalty(repetition.length)
      }
    }
  }

  private func penalise(_ entry: TokenHistory.Entry, _ logit: inout Float) {
    logit = logit > 0 ? logit / parameters.repetitionPenalty : logit * parameters.repetitionPenalty
    guard entry.generated > 0 else { return }
    logit -= parameters.frequencyPenalty * Float(entry.generated) + parameters.presencePenalty
  }

  private func dryPenalty(_ length: Int) -> Float {
    guard let dry = parameters.dry else { return 0 }
    let power = pow(Double(dry.base), Double(length - dry.allowedLength))
    return Float(min(Double(dry.multiplier) * power, 1e30))
  }

  /// Everything outside `allowed` becomes -inf.
  private static func keep(_ allowed: Set<TokenID>, _ row: UnsafeMutableBufferPointer<Float>) {
    let kept = allowed.filter { $0.index < row.count }.map { ($0, row[$0.index]) }
    row.update(repeating: -.infinity)
    for (token, value) in kept { row[token.index] = value }
  }

  private static func apply(_ mask: TokenMask, _ row: UnsafeMutableBufferPointer<Float>) {
    for start in stride(from: 0, to: row.count, by: 64) {
      let word = start / 64 < mask.words.count ? mask.words[start / 64] : 0
      if word == .max { continue }
      let end = min(start + 64, row.count)
      if word == 0 {
        for i in start..<end { row[i] = -.infinity }
      } else {
        for i in start..<end where word & (1 << UInt64(i - start)) == 0 { row[i] = -.infinity }
      }
    }
  }
}
