// Tables that follow a sequence which is still being computed.

import Testing
import WeirBasics
import WeirKVCache

@Suite struct FollowerTests {
  @Test func aFollowerHoldsFullBlocksAndTheSequenceWritesOn() throws {
    let pool = try makePool(blocks: 16)
    let all = tokens(0..<14)
    var table = try #require(pool.open(pool.match(all), keepsBlocks: true))
    #expect(pool.reserve(&table, slots: 14))
    let blocks = table.blocks
    pool.writeTags(table, all, 0..<6)
    pool.commit(&table, tokens: all, filledSlots: 6)
    var follower = pool.follower(of: table)
    #expect(follower.blocks == Array(blocks.prefix(1)))
    // Its growing copies nothing: the block that it writes is its own.
    #expect(pool.reserve(&table, slots: 14) && table.blocks == blocks)
    pool.writeTags(table, all, 6..<14)
    pool.commit(&table, tokens: all, filledSlots: 14)
    #expect(pool.follow(table, with: &follower, slots: 12) && follower.blocks.count == 3)
    #expect(pool.follow(table, with: &follower, slots: 13) && follower.blocks == blocks)
    // From here on the last block has two owners, so the sequence goes on in a copy.
    #expect(pool.reserve(&table, slots: 15) && table.blocks[3] != blocks[3])
    #expect(pool.checkInvariants(openTables: [table, follower]).isEmpty)
    pool.close(table, tokens: all, filledSlots: 14, keep: true)
    #expect(pool.wrongSlots(follower, all, count: 13).isEmpty)
    pool.clearCache()
    #expect(pool.freeBlocks == 12 && pool.wrongSlots(follower, all, count: 13).isEmpty)
    pool.close(follower, tokens: [], filledSlots: 0, keep: false)
    #expect(pool.freeBlocks == 16 && pool.checkInvariants(openTables: []).isEmpty)
  }

  @Test func aSequenceThatIsFollowedKeepsItsBlocks() throws {
    let pool = try makePool(blocks: 16)
    let all = tokens(0..<12)
    var table = try #require(pool.open(pool.match(all), keepsBlocks: true))
    #expect(pool.reserve(&table, slots: 12))
    let blocks = table.blocks
    // Another one publishes the same tokens first.
    pool.run(all)
    pool.writeTags(table, all, 0..<12)
    pool.commit(&table, tokens: all, filledSlots: 12)
    #expect(table.blocks == blocks)
    let follower = pool.follower(of: table)
    #expect(follower.blocks == blocks && pool.checkInvariants(openTables: [table, follower]).isEmpty)
    pool.close(table, tokens: all, filledSlots: 12, keep: true)
    pool.close(follower, tokens: [], filledSlots: 0, keep: false)
    #expect(pool.checkInvariants(openTables: []).isEmpty)
  }

  @Test func aSequenceThatStartedOverElsewhereIsNotFollowed() throws {
    let pool = try makePool(blocks: 16)
    let all = tokens(0..<12)
    func filled(_ slots: Int) throws -> BlockTable {
      var table = try #require(pool.open(.unread(promptTokens: 12, salt: ""), stores: false, keepsBlocks: true))
      #expect(pool.reserve(&table, slots: 12))
      pool.writeTags(table, all, 0..<slots)
      pool.commit(&table, tokens: all, filledSlots: slots)
      return table
    }
    let first = try filled(5)
    var follower = pool.follower(of: first)
    pool.close(first, tokens: [], filledSlots: 0, keep: false)
    let again = try filled(9)
    #expect(again.blocks[0] != follower.blocks[0])
    #expect(pool.follow(again, with: &follower, slots: 4), "what it has is not touched")
    #expect(!pool.follow(again, with: &follower, slots: 8) && follower.blocks.count == 1)
    #expect(pool.checkInvariants(openTables: [again, follower]).isEmpty)
    pool.close(again, tokens: [], filledSlots: 0, keep: false)
    pool.close(follower, tokens: [], filledSlots: 0, keep: false)
    #expect(pool.freeBlocks == 16)
  }
}
