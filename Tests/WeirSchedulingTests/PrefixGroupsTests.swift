import Testing
import WeirBasics
import WeirScheduling

@Suite struct PrefixGroupsTests {
  private func table(_ blocks: [Int]) -> ArraySlice<BlockID> { blocks.map { BlockID($0) }[...] }

  @Test func groupsTablesWithACommonBeginning() {
    let groups = PrefixGroups.find([table([1, 2, 3]), table([9]), table([1, 2, 4]), table([])])
    #expect(groups == [PrefixGroup(members: [0, 2], blocks: 2)])
  }

  @Test func prefersTheGroupingThatSavesMore() {
    // All four share one block (saves 3); the pairs share five each (save 5 + 5).
    let groups = PrefixGroups.find([
      table([1, 2, 3, 4, 5]), table([1, 2, 3, 4, 5]), table([1, 6, 7, 8, 9]), table([1, 6, 7, 8, 9]),
    ])
    #expect(groups == [PrefixGroup(members: [0, 1], blocks: 5), PrefixGroup(members: [2, 3], blocks: 5)])
  }

  @Test func keepsOneGroupWhenBranchesSaveLess() {
    let groups = PrefixGroups.find([table([1, 2]), table([1, 3]), table([1, 3])])
    #expect(groups == [PrefixGroup(members: [0, 1, 2], blocks: 1)])
  }

  /// Against a slow twin that tries the definition itself: members share, and no member is in two groups.
  @Test(arguments: [11, 12, 13] as [UInt64]) func groupsAreSoundOnRandomTables(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    for _ in 0..<200 {
      let tables = (0..<8).map { _ in
        // A block id names its path, as in a prefix tree: equal ids mean equal prefixes.
        var path = 0
        return table(
          (0..<Int(generator.next() % 5)).map { _ in
            path = path * 3 + Int(generator.next() % 2) + 1
            return path
          })
      }
      var seen = Set<Int>()
      for group in PrefixGroups.find(tables) {
        #expect(group.members.count > 1)
        for member in group.members {
          #expect(seen.insert(member).inserted, "seed \(seed)")
          #expect(
            tables[member].prefix(group.blocks).elementsEqual(tables[group.members[0]].prefix(group.blocks))
              && tables[member].count >= group.blocks, "seed \(seed)")
        }
      }
    }
  }
}
