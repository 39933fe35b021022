// Which tokens may come next: one bit per vocabulary entry.

public import WeirBasics

/// A set of tokens as bits, `words[t / 64] & (1 << t % 64)`. Bits past `count` are zero.
public struct TokenMask: Sendable, Equatable {
  /// Number of vocabulary entries.
  public let count: Int
  /// `ceil(count / 64)` words, lowest token first.
  public internal(set) var words: [UInt64]

  /// Makes a mask of `count` tokens that allows all or none.
  public init(count: Int, allowing all: Bool = false) {
    self.count = count
    words = [UInt64](repeating: all ? .max : 0, count: (count + 63) / 64)
    if all, count % 64 != 0 { words[words.count - 1] = (1 << UInt64(count % 64)) - 1 }
  }

  /// Whether `token` may come next; false past the end.
  public func allows(_ token: TokenID) -> Bool {
    token.index < count && words[token.index >> 6] & (1 << UInt64(token.index & 63)) != 0
  }

  /// Allows `token`, which must be below `count`.
  public mutating func insert(_ token: TokenID) {
    precondition(token.index < count, "token past the end of the mask")
    words[token.index >> 6] |= 1 << UInt64(token.index & 63)
  }

  /// Forbids `token`; nothing happens past the end.
  public mutating func remove(_ token: TokenID) {
    guard token.index < count else { return }
    words[token.index >> 6] &= ~(1 << UInt64(token.index & 63))
  }

  /// Keeps only tokens that `other` allows too.
  public mutating func formIntersection(_ other: TokenMask) {
    for i in words.indices { words[i] &= i < other.words.count ? other.words[i] : 0 }
  }

  /// Number of allowed tokens. O(count / 64).
  public var allowedCount: Int { words.reduce(0) { $0 + $1.nonzeroBitCount } }

  /// Whether nothing is allowed. O(count / 64).
  public var isEmpty: Bool { words.allSatisfy { $0 == 0 } }

  /// The lowest allowed token.
  public var first: TokenID? {
    guard let word = words.firstIndex(where: { $0 != 0 }) else { return nil }
    return TokenID(word * 64 + words[word].trailingZeroBitCount)
  }

  /// The allowed tokens, lowest first. O(count / 64 + result).
  public var tokens: [TokenID] {
    var result: [TokenID] = []
    for (i, word) in words.enumerated() {
      var rest = word
      while rest != 0 {
        result.append(TokenID(i * 64 + rest.trailingZeroBitCount))
        rest &= rest - 1
      }
    }
    return result
  }
}
