// Log probabilities of the raw distribution: what the model said, before any knob.

public import WeirBasics

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A token with the natural log of its probability.
public struct TokenAlternative: Sendable, Equatable {
  public var token: TokenID
  public var logprob: Float

  public init(token: TokenID, logprob: Float) {
    self.token = token
    self.logprob = logprob
  }
}

/// What the sampler chose.
public struct SampledToken: Sendable, Equatable {
  public var token: TokenID
  /// Natural log of the token's probability under the raw distribution (before bias, mask, penalties, temperature).
  /// NaN if no log probabilities were asked for.
  public var logprob: Float
  /// 1 for the most probable token of the raw distribution; nil if no log probabilities were asked for.
  public var rank: Int?
  /// The most probable tokens of the raw distribution, best first, lowest id first among equals.
  public var top: [TokenAlternative]
  /// False if mask, bans and allowed set left no token at all: then `token` is only the lowest masked-in token (or the
  /// model's favourite) and the caller should end the answer.
  public var isAllowed: Bool
}

/// Log probabilities of one row of logits. Making it costs two passes; each question at most one more.
public struct RowLogprobs {
  private var scan = LogitScan()
  private let logits: UnsafeBufferPointer<Float>
  /// log of the sum of exp(logit); -inf if no logit is a number above -inf.
  public let logSumExp: Float

  /// - Parameter logits: one row; must stay valid and unchanged while this value is used.
  public init(_ logits: UnsafeBufferPointer<Float>) {
    var sums: [Double] = []
    self.init(logits, scan: LogitScan(), isScanned: false, sums: &sums)
  }

  init(_ logits: UnsafeBufferPointer<Float>, scan given: LogitScan, isScanned: Bool, sums: inout [Double]) {
    self.logits = logits
    scan = given
    if !isScanned { scan.scan(logits) }
    let sum = scan.maximum.isFinite ? scan.sumOfExponentials(logits, inverseTemperature: 1, blockSums: &sums) : 0
    logSumExp = scan.maximum.isFinite ? scan.maximum + Float(log(sum)) : scan.maximum
  }

  /// Natural log of the probability of `token`; -inf for logits that are not a number.
  public func logprob(of token: TokenID) -> Float {
    let value = logits[token.index] - logSumExp
    return value.isNaN ? -.infinity : min(value, 0)
  }

  /// 1 + the number of tokens with a greater logit.
  public func rank(of token: TokenID) -> Int {
    let value = logits[token.index]
    return 1 + scan.count(in: logits, above: value.isNaN ? -.infinity : value)
  }

  /// The `count` most probable tokens, best first; lowest id first among equals.
  public func top(_ count: Int) -> [TokenAlternative] {
    guard count > 0 else { return [] }
    var found: [Candidate] = []
    let threshold = scan.lowerBoundOfLargest(count)
    scan.forEach(in: logits, atLeast: threshold) { found.append(Candidate(token: UInt32($0), logit: $1)) }
    Candidate.keepLargest(count, &found)
    return found.map { TokenAlternative(token: TokenID($0.token), logprob: logprob(of: TokenID($0.token))) }
  }
}
