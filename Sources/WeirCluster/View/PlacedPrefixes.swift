// Which node probably holds the KV of which prompt prefix: what a router remembers of its own placements.

public import WeirBasics

/// A text as the hashes of its prefixes, one per ``pieceBytes`` bytes. Texts that begin alike have chains that begin
/// alike; a chain's seed keeps what must not share KV apart (model, tenant, tools).
public struct PrefixChain: Sendable, Equatable {
  /// Bytes of text per hash: about two blocks of KV.
  public static let pieceBytes = 256
  public let hashes: [UInt64]
  /// Bytes of the whole text.
  public let bytes: Int

  /// O(bytes). Deterministic over processes, so that several routers agree.
  public init(_ text: [UInt8], seed: [UInt8]) {
    var state = Self.added(seed[...], to: 0xCBF2_9CE4_8422_2325)
    var hashes: [UInt64] = []
    var start = 0
    while start + Self.pieceBytes <= text.count {
      state = Self.added(text[start..<(start + Self.pieceBytes)], to: state)
      hashes.append(state)
      start += Self.pieceBytes
    }
    self.hashes = hashes
    bytes = text.count
  }

  /// Multiply and fold per byte: a guess of placement needs no cryptography.
  private static func added(_ bytes: ArraySlice<UInt8>, to state: UInt64) -> UInt64 {
    var state = state
    for byte in bytes {
      let product = (state ^ UInt64(byte)).multipliedFullWidth(by: 0x9E37_79B9_7F4A_7C15)
      state = product.high ^ product.low
    }
    // Two texts of which one is the other with zeros behind it must differ too.
    return state ^ UInt64(bytes.count)
  }
}

/// The prefixes that were placed on each node, the latest of them. An estimate: it does not see evictions, and forgets
/// a node's prefixes when the node starts anew.
public struct PlacedPrefixes: Sendable {
  private struct Known {
    var incarnation: Int
    /// When each prefix was placed last, in placements.
    var used: [UInt64: UInt64] = [:]
  }

  /// Hashes that are remembered per node.
  public let limit: Int
  private var nodes: [NodeID: Known] = [:]
  private var turn: UInt64 = 0

  /// - Parameter limit: at least 2 hashes per node; the default covers 16 MiB of text.
  public init(limit: Int = 65_536) { self.limit = max(2, limit) }

  /// Remembers that the text of `chain` is computed on a node.
  public mutating func note(_ chain: PrefixChain, on node: NodeID, incarnation: Int) {
    turn += 1
    if nodes[node]?.incarnation != incarnation { nodes[node] = Known(incarnation: incarnation) }
    for hash in chain.hashes { nodes[node]?.used[hash] = turn }
    guard let known = nodes[node], known.used.count > limit else { return }
    // The older half goes at once, so that the price per placement stays constant.
    let middle = known.used.values.sorted()[known.used.count / 2]
    nodes[node]?.used = known.used.filter { $0.value > middle }
  }

  /// Bytes of the text, from its start, that were placed on this node before: whole pieces.
  public func bytes(of chain: PrefixChain, on node: NodeID, incarnation: Int) -> Int {
    guard let known = nodes[node], known.incarnation == incarnation else { return 0 }
    return (chain.hashes.firstIndex { known.used[$0] == nil } ?? chain.hashes.count) * PrefixChain.pieceBytes
  }

  /// Forgets all of a node's prefixes.
  public mutating func forget(_ node: NodeID) { nodes[node] = nil }
}
