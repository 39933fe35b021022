// DRY: which tokens would lengthen a repetition, and how long the repetition already is.

import WeirBasics

/// Finds, for every token that followed an earlier copy of the text's end, the length of the longest such copy.
struct RepetitionSearch: Sendable {
  private var lengths: [Int] = []

  /// The repetitions of at least `allowedLength` tokens that each next token would lengthen.
  ///
  /// The text is read backwards; the Z function of the reversed text gives, for every earlier place, how many tokens
  /// before it agree with the end of the text. O(window).
  ///
  /// - Returns: (next token, length of the longest agreeing run), each token once, in no meaningful order.
  mutating func repetitions(in tokens: [TokenID], _ rules: DRYParameters) -> [(token: TokenID, length: Int)] {
    let count = rules.windowTokens < 0 ? tokens.count : min(rules.windowTokens, tokens.count)
    guard count > 1 else { return [] }
    let last = tokens.count - 1
    // A run may not reach back across a breaker.
    var longest = 0
    while longest < count, !rules.sequenceBreakers.contains(tokens[last - longest]) { longest += 1 }
    guard longest >= rules.allowedLength else { return [] }
    fillLengths(tokens, count)
    var best: [TokenID: Int] = [:]
    for i in 1..<count {
      let length = min(lengths[i], longest)
      guard length >= rules.allowedLength else { continue }
      best[tokens[last - i + 1], default: 0] = max(best[tokens[last - i + 1], default: 0], length)
    }
    return best.map { (token: $0.key, length: $0.value) }
  }

  private mutating func fillLengths(_ tokens: [TokenID], _ count: Int) {
    let last = tokens.count - 1
    if lengths.count < count { lengths = [Int](repeating: 0, count: count) }
    lengths[0] = count
    var left = 0
    var right = 0
    for i in 1..<count {
      var length = i < right ? min(right - i, lengths[i - left]) : 0
      while i + length < count, tokens[last - length] == tokens[last - i - length] { length += 1 }
      if i + length > right {
        left = i
        right = i + length
      }
      lengths[i] = length
    }
  }
}
