// Which sequences of a batch physically share leading blocks, so that attention reads those once (P2).

public import WeirBasics

/// A set of batch members that share their first `blocks` blocks.
public struct PrefixGroup: Sendable, Equatable {
  /// Indices into the list given to ``PrefixGroups/find(_:)``, ascending.
  public var members: [Int]
  /// Leading blocks shared by all members, at least 1.
  public var blocks: Int

  public init(members: [Int], blocks: Int) {
    self.members = members
    self.blocks = blocks
  }
}

/// Finds the grouping that saves the most block reads.
public enum PrefixGroups {
  /// One batch member: its block ids, cut to those that every row of the step lies behind.
  public typealias Leading = ArraySlice<BlockID>

  /// Groups of at least two members, disjoint, ordered by their first member.
  ///
  /// A group of `g` members sharing `p` blocks saves `(g - 1) * p` block reads; at every branching of the tree of
  /// tables the better of "all here" and "each branch for itself" is taken.
  /// Complexity: O(total leading blocks) plus sorting.
  public static func find(_ tables: [Leading]) -> [PrefixGroup] {
    let indices = tables.indices.filter { !tables[$0].isEmpty }
    let roots = Dictionary(grouping: indices) { tables[$0].first ?? BlockID(rawValue: .max) }
    var found: [PrefixGroup] = []
    for members in roots.values where members.count > 1 { found += best(members, tables, depth: 1).groups }
    return found.sorted { ($0.members.first ?? 0) < ($1.members.first ?? 0) }
  }

  private static func best(
    _ members: [Int], _ tables: [Leading], depth: Int
  ) -> (saved: Int, groups: [PrefixGroup]) {
    guard members.count > 1, let first = members.first else { return (0, []) }
    var shared = depth
    let leader = tables[first]
    while shared < leader.count,
      members.allSatisfy({
        tables[$0].count > shared
          && tables[$0][tables[$0].startIndex + shared] == leader[leader.startIndex + shared]
      })
    { shared += 1 }
    let together = (saved: (members.count - 1) * shared, groups: [PrefixGroup(members: members, blocks: shared)])
    let longer = members.filter { tables[$0].count > shared }
    let branches = Dictionary(grouping: longer) { tables[$0][tables[$0].startIndex + shared] }
    var apart = (saved: 0, groups: [PrefixGroup]())
    for branch in branches.values where branch.count > 1 {
      let inner = best(branch, tables, depth: shared + 1)
      apart.saved += inner.saved
      apart.groups += inner.groups
    }
    return apart.saved > together.saved ? apart : together
  }
}
