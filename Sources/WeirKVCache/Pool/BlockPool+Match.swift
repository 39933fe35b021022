// What of a prompt is cached already, and why not more.

public import WeirBasics

extension BlockPool {
  /// The longest usable cached prefix of `tokens` under `salt`: whole blocks, then the leading slots of a block that
  /// differs later. Takes no references.
  ///
  /// At most `tokens.count - 1` tokens are matched, because the last one must be computed for its logits; `limit`
  /// lowers this further. O(matched blocks).
  public func match(_ tokens: [TokenID], salt: String = "", limit: Int = .max) -> PrefixMatch {
    endExpiredLeases()
    var match = PrefixMatch(promptTokens: tokens.count, salt: salt, reason: .cacheOff)
    guard isCacheOn else { return match }
    let usable = min(limit, tokens.count - 1)
    guard usable > 0 else {
      match.explanation.reason = .promptTooShort
      return match
    }
    let walk = tree.walk(tokens, salt: salt, limit: usable)
    match.blocks = walk.blocks
    match.generations = walk.blocks.map { records[$0.index].generation }
    match.tokens = walk.blocks.count * shape.blockSlots
    if let nearest = walk.nearest, nearest.commonTokens > 0 {
      match.partial = (nearest.block, nearest.commonTokens)
      match.partialGeneration = records[nearest.block.index].generation
      match.tokens += nearest.commonTokens
    }
    explain(&match, walk, tokens, usable: usable)
    return match
  }

  private func explain(_ match: inout PrefixMatch, _ walk: PrefixTree.Walk, _ tokens: [TokenID], usable: Int) {
    let matched = match.tokens
    match.explanation.matchedTokens = matched
    match.explanation.matchedBlocks = match.blocks.count
    match.explanation.partialSlots = match.partial?.slots ?? 0
    guard matched < usable else {
      match.explanation.reason = .wholePromptMatched
      return
    }
    if let nearest = walk.nearest {
      let held = tree.tokens(of: nearest.block)
      let cached = nearest.commonTokens < held.count ? held[held.startIndex + nearest.commonTokens] : nil
      match.explanation.firstDifferingToken = CacheExplanation.Difference(
        index: matched, cachedToken: cached?.rawValue, askedToken: tokens[matched].rawValue)
    }
    if let ghost = ghostOfNextBlock(match, tokens) {
      match.explanation.reason = .evicted(
        cause: ghost.cause, secondsAgo: max(0, clock.now().seconds(since: ghost.time)))
    } else if matched == 0 {
      match.explanation.firstDifferingToken = nil
      match.explanation.reason = walk.isScopeEmpty && !match.salt.isEmpty ? .saltedScopeEmpty : .neverSeen
    } else if match.explanation.firstDifferingToken?.cachedToken != nil {
      match.explanation.reason = .diverged(atToken: matched)
    } else {
      match.explanation.reason = .cachedRunEnds(atToken: matched)
    }
  }

  /// What the ghost list knows of the block after the matched ones.
  private func ghostOfNextBlock(_ match: PrefixMatch, _ tokens: [TokenID]) -> GhostList.Ghost? {
    let start = match.blocks.count * shape.blockSlots
    guard ghosts.count > 0, start + shape.blockSlots <= tokens.count else { return nil }
    let parent =
      match.blocks.last.flatMap { tree.vertex($0)?.prefixHash } ?? PrefixHash(salt: match.salt)
    let local = LocalHash(tokens: tokens[start..<(start + shape.blockSlots)])
    return ghosts.find(PrefixHash(parent: parent, local: local))
  }
}
