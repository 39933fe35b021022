// Why a prompt was or was not served from the cache, in words a client can use.

public import WeirBasics

/// Why the cached part of a prompt ends where it ends.
public enum MissReason: Sendable, Equatable, Codable {
  /// Everything that may come from the cache did (the last token is always computed, for its logits).
  case wholePromptMatched
  /// Nothing that starts like this prompt is cached, and nothing like it was evicted lately.
  case neverSeen
  /// Cached tokens differ from the prompt from this index on.
  case diverged(atToken: Int)
  /// The cached run is a prefix of the prompt and ends before this index.
  case cachedRunEnds(atToken: Int)
  /// The next block was cached and has been evicted.
  case evicted(cause: EvictionCause, secondsAgo: Double)
  /// Nothing at all is cached under the request's salt. Whether the same tokens are cached under another salt is
  /// deliberately not said: it would tell one tenant what another one asked.
  case saltedScopeEmpty
  /// The pool runs without a prefix cache, or the request does not read it.
  case cacheOff
  /// The prompt is too short to reuse anything (one token).
  case promptTooShort
}

/// One request's account of its cache lookup.
public struct CacheExplanation: Sendable, Equatable, Codable {
  /// The place where the prompt and the nearest cached run part.
  public struct Difference: Sendable, Equatable, Codable {
    /// Index in the prompt.
    public let index: Int
    /// What is cached there, nil if the cached run ends.
    public let cachedToken: UInt32?
    /// What the prompt has there.
    public let askedToken: UInt32
  }

  /// Tokens of the prompt.
  public var promptTokens: Int
  /// Tokens whose KV is reused, whole blocks and partial block together.
  public var matchedTokens: Int
  /// Whole blocks reused.
  public var matchedBlocks: Int
  /// Slots copied out of a partially matching block.
  public var partialSlots: Int
  public var reason: MissReason
  public var firstDifferingToken: Difference?

  /// One sentence for people.
  public var sentence: String {
    let reused = "\(matchedTokens) of \(promptTokens) prompt tokens came from the cache"
    switch reason {
    case .wholePromptMatched: return "\(reused): everything but the last token, which is always computed."
    case .neverSeen: return "\(reused): no cached prompt starts like this one."
    case .diverged(let index):
      guard let difference = firstDifferingToken, let cached = difference.cachedToken else {
        return "\(reused): the nearest cached prompt differs from token \(index) on."
      }
      return "\(reused): the nearest cached prompt has token id \(cached) at index \(index), "
        + "this one has \(difference.askedToken)."
    case .cachedRunEnds(let index): return "\(reused): what is cached ends before index \(index)."
    case .evicted(let cause, let seconds):
      let tenths = (seconds * 10).rounded() / 10
      switch cause {
      case .room: return "\(reused): the next block was evicted \(tenths) s ago to make room."
      case .superseded: return "\(reused): the next block was replaced by a longer one \(tenths) s ago."
      case .cleared: return "\(reused): the cache was cleared \(tenths) s ago."
      }
    case .saltedScopeEmpty: return "\(reused): nothing is cached under this cache salt."
    case .cacheOff: return "\(reused): the prefix cache is off for this request."
    case .promptTooShort: return "\(reused): a prompt of one token has nothing to reuse."
    }
  }
}

/// The longest reusable prefix of a prompt. It holds no references: open a table with it before anything else changes,
/// or accept that `BlockPool.open` reuses less.
public struct PrefixMatch: Sendable {
  /// Whole blocks from position 0.
  public internal(set) var blocks: [BlockID] = []
  /// A block whose first `slots` slots also match, to be copied.
  public internal(set) var partial: (block: BlockID, slots: Int)?
  /// Reusable tokens, whole blocks and partial slots together.
  public internal(set) var tokens: Int
  public let salt: String
  public internal(set) var explanation: CacheExplanation
  /// Use of the blocks when they were matched; a block that was evicted and used again since has another.
  var generations: [UInt32] = []
  var partialGeneration: UInt32 = 0
  /// Whether the sequence may take blocks of others when it has computed the same ones.
  var sharesBlocks = true

  /// A match of nothing, for a request that does not read the cache.
  public static func unread(promptTokens: Int, salt: String) -> PrefixMatch {
    var match = PrefixMatch(promptTokens: promptTokens, salt: salt, reason: .cacheOff)
    match.sharesBlocks = false
    return match
  }

  init(promptTokens: Int, salt: String, reason: MissReason) {
    self.salt = salt
    tokens = 0
    explanation = CacheExplanation(
      promptTokens: promptTokens, matchedTokens: 0, matchedBlocks: 0, partialSlots: 0, reason: reason,
      firstDifferingToken: nil)
  }
}
