// Hashes, ghosts and explanations.

import Testing
import WeirBasics
import WeirKVCache

@Suite struct PrefixTests {
  @Test func hashesDependOnOrderLengthAndParent() {
    let a = LocalHash(tokens: tokens(0..<4))
    #expect(a == LocalHash(tokens: tokens(0..<4)[...]))
    #expect(a != LocalHash(tokens: tokens(0..<4).reversed()))
    #expect(LocalHash(tokens: [0]) != LocalHash(tokens: [0, 0]))
    let root = PrefixHash(salt: "")
    #expect(root != PrefixHash(salt: "x"))
    let b = LocalHash(tokens: tokens(4..<8))
    #expect(
      PrefixHash(parent: PrefixHash(parent: root, local: a), local: b)
        != PrefixHash(parent: PrefixHash(parent: root, local: b), local: a))
  }

  @Test func hashesFitSignedIntegersAndDoNotMeetEarly() {
    var random = SeededGenerator(seed: 5)
    var seen: Set<UInt64> = []
    for _ in 0..<50_000 {
      let list = (0..<4).map { _ in TokenID(UInt32(random.next() % 1000)) }
      let hash = PrefixHash(parent: PrefixHash(salt: ""), local: LocalHash(tokens: list)).rawValue
      #expect(hash <= UInt64(Int64.max))
      seen.insert(hash)
    }
    // 50,000 draws of 1000^4 lists meet about 0.001 times; of 2^63 hashes practically never.
    #expect(seen.count == 50_000)
  }

  @Test func theGhostListForgetsItsOldest() {
    var ghosts = GhostList(limit: 2)
    let hashes = (0..<3).map { PrefixHash(salt: "\($0)") }
    let time = Instant(nanoseconds: 5)
    ghosts.insert(hashes[0], cause: .room, time: time)
    ghosts.insert(hashes[1], cause: .room, time: time)
    ghosts.insert(hashes[0], cause: .cleared, time: time)
    #expect(ghosts.find(hashes[0])?.cause == .cleared)
    ghosts.insert(hashes[2], cause: .room, time: time)
    #expect(ghosts.find(hashes[1]) == nil)
    #expect(ghosts.count == 2)
  }

  @Test func explanationsAreSentences() throws {
    let clock = ManualClock(startNanoseconds: 1_000_000_000)
    let pool = try makePool(blocks: 3, clock: clock)
    pool.run(tokens(0..<12))
    var asked = tokens(0..<12)
    asked[5] = 77
    #expect(
      pool.match(asked).explanation.sentence
        == "5 of 12 prompt tokens came from the cache: the nearest cached prompt has token id 5 at index 5, "
        + "this one has 77.")
    pool.run(tokens(50..<58), keep: false)
    clock.advance(bySeconds: 2.5)
    #expect(
      pool.match(tokens(0..<12)).explanation.sentence
        == "4 of 12 prompt tokens came from the cache: the next block was evicted 2.5 s ago to make room.")
    #expect(
      pool.match(tokens(90..<99)).explanation.sentence
        == "0 of 9 prompt tokens came from the cache: no cached prompt starts like this one.")
  }
}
