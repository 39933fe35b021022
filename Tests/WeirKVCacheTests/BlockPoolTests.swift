// The pool's behaviour, one promise per test.

import Testing
import WeirBasics
import WeirKVCache

@Suite struct BlockPoolTests {
  @Test func reusesWholeBlocksAndTheStartOfADifferingOne() throws {
    let pool = try makePool(blocks: 32)
    pool.run(tokens(0..<18))
    var asked = tokens(0..<18)
    asked[10] = 99
    let match = pool.match(asked)
    #expect(match.blocks.count == 2)
    #expect(match.partial?.slots == 2)
    #expect(match.tokens == 10)
    #expect(match.explanation.reason == .diverged(atToken: 10))
    #expect(match.explanation.firstDifferingToken?.cachedToken == 10)
    #expect(match.explanation.firstDifferingToken?.askedToken == 99)
    let table = try #require(pool.open(match))
    #expect(table.filledSlots == 10)
    #expect(pool.wrongSlots(table, asked, count: 10).isEmpty)
    #expect(pool.statistics.copyOnWriteCopies == 1)
    #expect(pool.checkInvariants(openTables: [table]).isEmpty)
  }

  @Test func aPromptThatNeedsTheWholePoolMayConsumeTheBlockItCopiesFrom() throws {
    let pool = try makePool(blocks: 3)
    pool.run(tokens(0..<12))
    let asked = tokens(0..<10) + tokens(90..<92)
    let table = try #require(pool.open(pool.match(asked)))
    #expect(table.filledSlots == 10 && table.blocks.count == 3)
    #expect(pool.wrongSlots(table, asked, count: 10).isEmpty)
    #expect(pool.checkInvariants(openTables: [table]).isEmpty)
  }

  @Test func countsPeaksAndDropsOldEventsWhenNobodyDrains() throws {
    let pool = try makePool(blocks: 16) { $0.eventLimit = 4 }
    pool.run(tokens(0..<40))
    pool.run(tokens(100..<104))
    let statistics = pool.statistics
    #expect(statistics.peakUsedBlocks == 10 && statistics.peakResidentBlocks == 11)
    #expect(statistics.usedBlocks == 0 && statistics.cachedBlocks == 11 && statistics.freeBlocks == 5)
    #expect(statistics.blocksStored == 11 && statistics.opens == 2 && statistics.misses == 2)
    #expect(statistics.promptTokens == 44 && statistics.hitTokens == 0)
    #expect(statistics.committedBytes >= BlockArena.pieceBytes)
    let events = pool.drainEvents()
    #expect(events.count <= 4 && UInt64(events.count) + statistics.eventsDropped == 11)
  }

  @Test func aPreemptedSequenceFindsItsKVAgain() throws {
    let clock = ManualClock(startNanoseconds: 1_000_000_000)
    let pool = try makePool(blocks: 6, clock: clock)
    let prompt = tokens(0..<14)
    var table = try #require(pool.open(pool.match(prompt)))
    #expect(pool.reserve(&table, slots: 14))
    pool.writeTags(table, prompt, 0..<14)
    pool.commit(&table, tokens: prompt, filledSlots: 14)
    pool.close(table, tokens: prompt, filledSlots: 14, keep: true, priority: -1)
    clock.advance(bySeconds: 1)
    pool.run(tokens(50..<54))
    pool.run(tokens(60..<68), keep: false)
    // The younger but less important block went first.
    #expect(pool.match(prompt + [14]).tokens == 14)
    #expect(pool.match(tokens(50..<55)).tokens == 0)
  }

  @Test func neverMatchesTheLastToken() throws {
    let pool = try makePool(blocks: 32)
    pool.run(tokens(0..<16))
    let match = pool.match(tokens(0..<16))
    #expect(match.tokens == 15)
    #expect(match.explanation.reason == .wholePromptMatched)
    #expect(pool.match(tokens(0..<1)).explanation.reason == .promptTooShort)
    #expect(pool.match(tokens(0..<16), limit: 7).tokens == 7)
  }

  @Test func reusesThePartialTailOfAFinishedSequence() throws {
    let pool = try makePool(blocks: 32)
    pool.run(tokens(0..<7))
    #expect(pool.cachedBlocks == 2)
    #expect(pool.match(tokens(0..<12)).tokens == 7)
    #expect(pool.match(tokens(0..<12)).explanation.reason == .cachedRunEnds(atToken: 7))
    #expect(pool.run(tokens(0..<12)) == 7)
    // The tail of the first sequence is a prefix of a full block now, so it is gone.
    #expect(pool.cachedBlocks == 3)
    #expect(pool.statistics.evictions[.superseded] == 1)
    #expect(pool.checkInvariants(openTables: []).isEmpty)
  }

  @Test func findsBlocksOfASequenceThatStillRuns() throws {
    let pool = try makePool(blocks: 32)
    let prompt = tokens(0..<12)
    var running = try #require(pool.open(pool.match(prompt)))
    #expect(pool.reserve(&running, slots: 12, growthBlocks: 1))
    pool.writeTags(running, prompt, 0..<8)
    pool.commit(&running, tokens: prompt, filledSlots: 8)
    let second = try #require(pool.open(pool.match(prompt)))
    #expect(second.blocks == Array(running.blocks.prefix(2)))
    #expect(pool.wrongSlots(second, prompt, count: 8).isEmpty)
    #expect(pool.checkInvariants(openTables: [running, second]).isEmpty)
    pool.close(running, tokens: prompt, filledSlots: 8, keep: false)
    pool.close(second, tokens: prompt, filledSlots: 8, keep: true)
    #expect(pool.cachedBlocks == 2)
    #expect(pool.checkInvariants(openTables: []).isEmpty)
  }

  @Test func twoSequencesThatComputeTheSameBlockEndUpSharingIt() throws {
    let pool = try makePool(blocks: 32)
    let prompt = tokens(0..<8)
    var first = try #require(pool.open(pool.match(prompt)))
    var second = try #require(pool.open(pool.match(prompt)))
    var third = try #require(pool.open(.unread(promptTokens: 8, salt: "")))
    #expect(pool.reserve(&first, slots: 8) && pool.reserve(&second, slots: 8) && pool.reserve(&third, slots: 8))
    for table in [first, second, third] { pool.writeTags(table, prompt, 0..<8) }
    pool.commit(&first, tokens: prompt, filledSlots: 8)
    pool.commit(&second, tokens: prompt, filledSlots: 8)
    pool.commit(&third, tokens: prompt, filledSlots: 8)
    #expect(second.blocks == first.blocks)
    #expect(Set(third.blocks).isDisjoint(with: first.blocks))
    #expect(pool.statistics.blocksDeduplicated == 2)
    #expect(pool.statistics.usedBlocks == 4)
    #expect(pool.checkInvariants(openTables: [first, second, third]).isEmpty)
  }

  @Test func evictsLeavesBeforeParentsAndOldBeforeNew() throws {
    let clock = ManualClock(startNanoseconds: 1_000_000_000)
    let pool = try makePool(blocks: 6, clock: clock)
    pool.run(tokens(0..<12))
    clock.advance(bySeconds: 5)
    pool.run(tokens(100..<112))
    clock.advance(bySeconds: 5)
    #expect(pool.freeBlocks == 0)
    pool.run(tokens(200..<204), keep: false)
    // One block of the older prefix went, its deepest.
    #expect(pool.match(tokens(0..<13)).tokens == 8)
    #expect(pool.match(tokens(100..<113)).tokens == 12)
    guard case .evicted(cause: .room, let seconds) = pool.match(tokens(0..<13)).explanation.reason else {
      Issue.record("the eviction is not explained: \(pool.match(tokens(0..<13)).explanation)")
      return
    }
    #expect(seconds == 0)
    #expect(pool.statistics.evictions[.room] == 1)
    #expect(pool.statistics.residencySeconds.sum == 10)
  }

  @Test func priorityProtectsCachedBlocksButFades() throws {
    let clock = ManualClock(startNanoseconds: 1_000_000_000_000)
    let pool = try makePool(blocks: 2, clock: clock)
    pool.run(tokens(0..<4), priority: -1)
    clock.advance(bySeconds: 30)
    pool.run(tokens(10..<14))
    pool.run(tokens(20..<24), keep: false)
    #expect(pool.match(tokens(0..<5)).tokens == 4)
    #expect(pool.match(tokens(10..<15)).tokens == 0)
    clock.advance(bySeconds: 60)
    pool.run(tokens(10..<14))
    pool.run(tokens(20..<24), keep: false)
    #expect(pool.match(tokens(0..<5)).tokens == 0)
    #expect(pool.match(tokens(10..<15)).tokens == 4)
  }

  @Test func reserveChangesNothingWhenThereIsNoRoom() throws {
    let pool = try makePool(blocks: 4)
    pool.run(tokens(0..<8))
    let long = tokens(50..<80)
    var table = try #require(pool.open(pool.match(long)))
    #expect(!pool.reserve(&table, slots: 20))
    #expect(table.blocks.isEmpty)
    #expect(pool.cachedBlocks == 2)
    #expect(pool.reserve(&table, slots: 16))
    #expect(pool.cachedBlocks == 0)
    #expect(pool.checkInvariants(openTables: [table]).isEmpty)
  }

  @Test func forksShareUntilOneWrites() throws {
    let pool = try makePool(blocks: 32)
    let prompt = tokens(0..<6)
    var a = try #require(pool.open(pool.match(prompt)))
    #expect(pool.reserve(&a, slots: 6))
    pool.writeTags(a, prompt, 0..<6)
    pool.commit(&a, tokens: prompt, filledSlots: 6)
    var b = pool.fork(a)
    #expect(b.blocks == a.blocks && b.id != a.id)
    let tokensA = prompt + [1000, 1001]
    let tokensB = prompt + [2000, 2001]
    #expect(pool.reserve(&a, slots: 8) && pool.reserve(&b, slots: 8))
    #expect(a.blocks[0] == b.blocks[0] && a.blocks[1] != b.blocks[1])
    #expect(pool.statistics.copyOnWriteCopies == 1)
    pool.writeTags(a, tokensA, 6..<8)
    pool.writeTags(b, tokensB, 6..<8)
    pool.commit(&a, tokens: tokensA, filledSlots: 8)
    pool.commit(&b, tokens: tokensB, filledSlots: 8)
    #expect(pool.wrongSlots(a, tokensA, count: 8).isEmpty && pool.wrongSlots(b, tokensB, count: 8).isEmpty)
    #expect(pool.checkInvariants(openTables: [a, b]).isEmpty)
    pool.close(a, tokens: tokensA, filledSlots: 8, keep: true)
    pool.close(b, tokens: tokensB, filledSlots: 8, keep: true)
    #expect(pool.cachedBlocks == 3)
    #expect(pool.checkInvariants(openTables: []).isEmpty)
  }

  @Test func overwritingAPublishedSlotCopiesAndGivesUpWhatFollowed() throws {
    let pool = try makePool(blocks: 32)
    let prompt = tokens(0..<12)
    pool.run(prompt)
    var table = try #require(pool.open(pool.match(prompt + [12])))
    #expect(table.filledSlots == 12)
    #expect(pool.makeWritable(&table, slot: 5))
    #expect(table.blocks.count == 2 && table.filledSlots == 5)
    #expect(pool.wrongSlots(table, prompt, count: 5).isEmpty)
    #expect(pool.match(prompt).tokens == 11)
    #expect(pool.checkInvariants(openTables: [table]).isEmpty)
  }

  @Test func saltsNeverShareAndNeverTell() throws {
    let pool = try makePool(blocks: 32)
    pool.run(tokens(0..<12), salt: "tenant-a")
    let other = pool.match(tokens(0..<12), salt: "tenant-b")
    let unsalted = pool.match(tokens(0..<12))
    #expect(other.tokens == 0 && unsalted.tokens == 0)
    #expect(other.explanation.reason == .saltedScopeEmpty)
    #expect(unsalted.explanation.reason == .neverSeen)
    // The same answer as for tokens that nobody ever asked: nothing leaks.
    #expect(pool.match(tokens(70..<82), salt: "tenant-b").explanation.reason == other.explanation.reason)
    #expect(pool.match(tokens(0..<12), salt: "tenant-a").tokens == 11)
  }

  @Test func leasesHoldUntilTheirDeadlineAndWithinTheirBudget() throws {
    let clock = ManualClock(startNanoseconds: 1_000_000_000)
    let pool = try makePool(blocks: 8, clock: clock) { $0.leaseShareLimit = 0.5 }
    pool.run(tokens(0..<24))
    let deadline = clock.now().advanced(bySeconds: 10)
    let pin = try #require(pool.pin(tokens(0..<24), until: deadline))
    #expect(pin.tokens == 16)
    #expect(pool.availableBlocks == 4)
    #expect(pool.pin(tokens(0..<24), until: deadline)?.tokens == 16)
    pool.run(tokens(100..<116), keep: false)
    #expect(pool.match(tokens(0..<25)).tokens == 16)
    #expect(pool.run(tokens(200..<220)) == nil)
    clock.advance(bySeconds: 10)
    #expect(pool.run(tokens(200..<232)) == 0)
    #expect(pool.statistics.leases == 0)
    #expect(pool.match(tokens(0..<25)).tokens == 0)
    #expect(pool.checkInvariants(openTables: []).isEmpty)
  }

  @Test func clearingForgetsRunningPrefixesToo() throws {
    let pool = try makePool(blocks: 16)
    let prompt = tokens(0..<10)
    var running = try #require(pool.open(pool.match(prompt)))
    #expect(pool.reserve(&running, slots: 16))
    pool.commit(&running, tokens: prompt, filledSlots: 8)
    pool.run(tokens(40..<48))
    _ = pool.drainEvents()
    pool.clearCache()
    #expect(pool.drainEvents().last == .allBlocksCleared)
    #expect(pool.cachedBlocks == 0)
    #expect(pool.match(prompt).tokens == 0)
    let longer = tokens(0..<16)
    pool.commit(&running, tokens: longer, filledSlots: 16)
    #expect(pool.match(longer).tokens == 0)
    pool.close(running, tokens: longer, filledSlots: 16, keep: true)
    #expect(pool.freeBlocks == 16)
    #expect(pool.checkInvariants(openTables: []).isEmpty)
  }

  @Test func aStaleMatchIsReusedOnlyAsFarAsItIsStillTrue() throws {
    let pool = try makePool(blocks: 4)
    pool.run(tokens(0..<16))
    let match = pool.match(tokens(0..<17))
    #expect(match.tokens == 16)
    pool.run(tokens(50..<58), keep: true)
    let table = try #require(pool.open(match))
    #expect(table.filledSlots == 8)
    #expect(pool.wrongSlots(table, tokens(0..<17), count: 8).isEmpty)
    pool.close(table, tokens: tokens(0..<8), filledSlots: 8, keep: true)
    pool.clearCache()
    pool.run(tokens(0..<16))
    #expect(try #require(pool.open(match)).filledSlots == 0)
  }

  @Test func eventsTellStoredAndRemovedBlocksWithTheirParents() throws {
    let pool = try makePool(blocks: 4)
    pool.run(tokens(0..<8))
    let stored = pool.drainEvents()
    guard case .blockStored(let first, nil, let firstTokens, 4, "") = stored.first,
      case .blockStored(let second, let parent, _, 4, "") = stored.last
    else {
      Issue.record("unexpected events \(stored)")
      return
    }
    #expect(stored.count == 2 && parent == first && firstTokens == tokens(0..<4))
    pool.run(tokens(10..<22), keep: false)
    #expect(pool.drainEvents().contains(.blockRemoved(hash: second)))
  }

  @Test func withoutThePrefixCacheNothingIsKept() throws {
    let pool = try makePool(blocks: 8) { $0.prefixCache = false }
    pool.run(tokens(0..<16))
    #expect(pool.freeBlocks == 8)
    #expect(pool.match(tokens(0..<16)).explanation.reason == .cacheOff)
    #expect(pool.drainEvents().isEmpty)
  }

  @Test func wrongConfigurationsAreErrors() {
    #expect(throws: KVCacheError.self) { _ = try makePool(blocks: 0) }
    #expect(throws: KVCacheError.self) { _ = try makePool(blocks: 4) { $0.leaseShareLimit = 2 } }
    #expect(throws: KVCacheError.self) { _ = try makePool(blocks: .max) }
  }
}
