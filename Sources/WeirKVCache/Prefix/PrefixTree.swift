// Which blocks hold the KV of which tokens: the index behind prefix reuse.

public import WeirBasics

/// A vertex of the prefix tree: one block and the tokens whose KV it holds.
public struct PrefixVertex: Sendable {
  /// The vertex before, nil if this block starts at position 0.
  public internal(set) var parent: BlockID?
  /// Children in ascending order of their tokens.
  public internal(set) var children: [BlockID] = []
  /// Tokens held, `1...blockSlots`; fewer than `blockSlots` only in a leaf (the tail of a finished sequence).
  public internal(set) var count: Int
  /// Blocks before this one.
  public internal(set) var depth: Int
  public internal(set) var localHash: LocalHash
  public internal(set) var prefixHash: PrefixHash
  var scope: Int
}

/// Blocks of cached prefixes, one root per salt. A block is in the tree at most once, so its id names its vertex.
///
/// Tokens decide, hashes never do: children are kept in the order of their tokens and found by binary search over the
/// tokens themselves, so a collision cannot hand out foreign KV. The neighbours of the place where a token run would
/// stand are also the children that share most leading tokens with it, which gives the partial-block match for free.
///
/// The tree knows no memory and no reference counts; `BlockPool` does.
public struct PrefixTree: Sendable {
  /// Where a walk along a token list ended.
  public struct Walk: Sendable, Equatable {
    /// Vertices whose whole tokens match, from position 0, each a full block.
    public var blocks: [BlockID] = []
    /// The child of the last full vertex that shares the most leading tokens with what follows, and how many it shares
    /// (0 if it differs at once); nil if there is no child.
    public var nearest: (block: BlockID, commonTokens: Int)?
    /// Whether the salt's scope holds anything at all.
    public var isScopeEmpty = false

    public static func == (a: Walk, b: Walk) -> Bool {
      a.blocks == b.blocks && a.nearest?.block == b.nearest?.block
        && a.nearest?.commonTokens == b.nearest?.commonTokens && a.isScopeEmpty == b.isScopeEmpty
    }
  }

  /// What `insert` did.
  public enum Insertion: Sendable, Equatable {
    /// The block is now a vertex.
    case inserted
    /// The same tokens are there already (or more, for a partial block), in this block.
    case exists(BlockID)
  }

  public let blockSlots: Int
  /// Number of vertices.
  public private(set) var count = 0

  struct Scope: Sendable {
    var salt: String
    var hash: PrefixHash
    var children: [BlockID] = []
  }

  private(set) var vertices: [PrefixVertex?] = []
  /// Tokens of block `b` at `b * blockSlots`.
  private var tokenStore: [TokenID] = []
  private(set) var scopes: [Scope?] = []
  private var scopeOfSalt: [String: Int] = [:]
  private var emptyScopes: [Int] = []

  /// - Precondition: `blockSlots` is at least 1.
  public init(blockSlots: Int) {
    precondition(blockSlots > 0, "a block has at least one slot")
    self.blockSlots = blockSlots
  }

  /// Whether `block` is a vertex.
  public func contains(_ block: BlockID) -> Bool { block.index < vertices.count && vertices[block.index] != nil }

  /// The vertex of `block`, nil if the block is not in the tree.
  public func vertex(_ block: BlockID) -> PrefixVertex? {
    block.index < vertices.count ? vertices[block.index] : nil
  }

  /// The tokens whose KV `block` holds, in order. The block must be a vertex.
  public func tokens(of block: BlockID) -> ArraySlice<TokenID> {
    let start = block.index * blockSlots
    return tokenStore[start..<(start + (vertices[block.index]?.count ?? 0))]
  }

  /// Whether the vertex of `block` has no children; false if the block is not in the tree.
  public func isLeaf(_ block: BlockID) -> Bool {
    guard block.index < vertices.count, let isEmpty = vertices[block.index]?.children.isEmpty else { return false }
    return isEmpty
  }

  /// Follows `tokens[0..<limit]` from the root of `salt`. O(blocks walked * log children).
  public func walk(_ tokens: [TokenID], salt: String, limit: Int) -> Walk {
    var walk = Walk()
    guard let scope = scopeOfSalt[salt] else {
      walk.isScopeEmpty = true
      return walk
    }
    let end = max(0, min(limit, tokens.count))
    var position = 0
    var parent: BlockID?
    while true {
      let range = position..<min(position + blockSlots, end)
      guard let found = nearestChild(of: parent, scope: scope, to: tokens, range) else { return walk }
      guard found.common == blockSlots else {
        walk.nearest = (found.block, found.common)
        return walk
      }
      walk.blocks.append(found.block)
      parent = found.block
      position += blockSlots
    }
  }

  /// Makes `block` the vertex for `tokens[range]` after `parent`. A range shorter than a block makes a partial leaf.
  ///
  /// - Precondition: `block` is not in the tree; `parent` is a full vertex of the same salt; the range is not empty
  ///   and at most one block long.
  public mutating func insert(
    _ block: BlockID, tokens: [TokenID], range: Range<Int>, parent: BlockID?, salt: String
  ) -> Insertion {
    precondition(!range.isEmpty && range.count <= blockSlots, "a vertex holds 1...\(blockSlots) tokens")
    precondition(!contains(block), "block \(block) is in the prefix tree already")
    if let parent {
      precondition(vertices[parent.index]?.count == blockSlots, "only a full block can be continued")
    }
    let scope = scopeIndex(salt)
    let place = lowerBound(of: tokens, range, among: children(of: parent, scope: scope))
    if place < children(of: parent, scope: scope).count {
      let next = children(of: parent, scope: scope)[place]
      if commonTokens(next, tokens, range) == range.count { return .exists(next) }
    }
    let local = LocalHash(tokens: tokens[range])
    let before = parent.flatMap { vertices[$0.index]?.prefixHash } ?? PrefixHash(salt: salt)
    let depth = parent.flatMap { vertices[$0.index]?.depth }.map { $0 + 1 } ?? 0
    grow(toHold: block)
    vertices[block.index] = PrefixVertex(
      parent: parent, count: range.count, depth: depth, localHash: local,
      prefixHash: PrefixHash(parent: before, local: local), scope: scope)
    let start = block.index * blockSlots
    for (offset, index) in range.enumerated() { tokenStore[start + offset] = tokens[index] }
    if let parent {
      vertices[parent.index]?.children.insert(block, at: place)
    } else {
      scopes[scope]?.children.insert(block, at: place)
    }
    count += 1
    return .inserted
  }

  /// The sibling just before `block` in token order if its tokens are a strict prefix of those of `block`: a partial
  /// leaf that `block` makes superfluous.
  public func supersededSibling(of block: BlockID) -> BlockID? {
    guard let vertex = vertex(block) else { return nil }
    let siblings = children(of: vertex.parent, scope: vertex.scope)
    let own = tokens(of: block)
    let place = lowerBound(of: tokenStore, own.indices, among: siblings)
    guard place > 0 else { return nil }
    let before = siblings[place - 1]
    let held = vertices[before.index]?.count ?? 0
    return held < own.count && commonTokens(before, tokenStore, own.indices) == held ? before : nil
  }

  /// Takes a leaf out of the tree and returns its vertex.
  /// - Precondition: `block` is a leaf.
  @discardableResult public mutating func remove(_ block: BlockID) -> PrefixVertex {
    guard let vertex = vertex(block), vertex.children.isEmpty else {
      preconditionFailure("block \(block) is not a leaf of the prefix tree")
    }
    let own = tokens(of: block).indices
    let place = lowerBound(of: tokenStore, own, among: children(of: vertex.parent, scope: vertex.scope))
    if let parent = vertex.parent {
      precondition(vertices[parent.index]?.children[place] == block, "block \(block) is missing among the children")
      vertices[parent.index]?.children.remove(at: place)
    } else {
      precondition(scopes[vertex.scope]?.children[place] == block, "block \(block) is missing among the children")
      scopes[vertex.scope]?.children.remove(at: place)
      dropScopeIfEmpty(vertex.scope)
    }
    vertices[block.index] = nil
    count -= 1
    return vertex
  }

  /// Whether the scope of `salt` holds nothing.
  public func isScopeEmpty(_ salt: String) -> Bool { scopeOfSalt[salt] == nil }

  func children(of parent: BlockID?, scope: Int) -> [BlockID] {
    guard let parent else { return scopes[scope]?.children ?? [] }
    return vertices[parent.index]?.children ?? []
  }

  private func nearestChild(
    of parent: BlockID?, scope: Int, to tokens: [TokenID], _ range: Range<Int>
  ) -> (block: BlockID, common: Int)? {
    let siblings = children(of: parent, scope: scope)
    guard !siblings.isEmpty else { return nil }
    let place = lowerBound(of: tokens, range, among: siblings)
    var best: (block: BlockID, common: Int)?
    if place < siblings.count { best = (siblings[place], commonTokens(siblings[place], tokens, range)) }
    if place > 0 {
      let common = commonTokens(siblings[place - 1], tokens, range)
      if common > best?.common ?? -1 { best = (siblings[place - 1], common) }
    }
    return best
  }

  /// Index of the first sibling whose tokens are not less than `tokens[range]` (a prefix is less than what it starts).
  private func lowerBound(of tokens: [TokenID], _ range: Range<Int>, among siblings: [BlockID]) -> Int {
    var low = 0
    var high = siblings.count
    while low < high {
      let middle = (low + high) / 2
      if isLess(siblings[middle], than: tokens, range) { low = middle + 1 } else { high = middle }
    }
    return low
  }

  private func isLess(_ block: BlockID, than tokens: [TokenID], _ range: Range<Int>) -> Bool {
    let common = commonTokens(block, tokens, range)
    let held = vertices[block.index]?.count ?? 0
    if common == range.count { return false }
    if common == held { return true }
    return tokenStore[block.index * blockSlots + common] < tokens[range.lowerBound + common]
  }

  /// How many leading tokens the vertex of `block` shares with `tokens[range]`.
  private func commonTokens(_ block: BlockID, _ tokens: [TokenID], _ range: Range<Int>) -> Int {
    let start = block.index * blockSlots
    let limit = min(vertices[block.index]?.count ?? 0, range.count)
    var common = 0
    while common < limit, tokenStore[start + common] == tokens[range.lowerBound + common] { common += 1 }
    return common
  }

  private mutating func scopeIndex(_ salt: String) -> Int {
    if let index = scopeOfSalt[salt] { return index }
    let scope = Scope(salt: salt, hash: PrefixHash(salt: salt))
    let index: Int
    if let reused = emptyScopes.popLast() {
      index = reused
      scopes[index] = scope
    } else {
      index = scopes.count
      scopes.append(scope)
    }
    scopeOfSalt[salt] = index
    return index
  }

  private mutating func dropScopeIfEmpty(_ index: Int) {
    guard let scope = scopes[index], scope.children.isEmpty else { return }
    scopeOfSalt[scope.salt] = nil
    scopes[index] = nil
    emptyScopes.append(index)
  }

  private mutating func grow(toHold block: BlockID) {
    guard block.index >= vertices.count else { return }
    let size = max(block.index + 1, vertices.count * 2, 64)
    vertices.append(contentsOf: repeatElement(nil, count: size - vertices.count))
    tokenStore.append(contentsOf: repeatElement(0, count: size * blockSlots - tokenStore.count))
  }
}
