// The vocabulary as a byte trie, laid out in the order of a walk.

import Synchronization
public import WeirBasics

/// The bytes of every token as a trie, built once per tokenizer, and the constraints compiled for it.
///
/// Nodes stand in preorder: the walk that makes a mask runs forward through the arrays and jumps over a subtree when its
/// byte is refused.
public final class ConstraintVocabulary: Sendable {
  /// Number of tokens.
  public let count: Int
  /// Tokens that end an answer; allowed exactly where the constraint is complete.
  public let endTokens: Set<TokenID>

  /// Byte, depth (1 for first bytes), index after the subtree, of each trie node.
  let nodeBytes: [UInt8]
  let nodeDepths: [UInt16]
  let subtreeEnds: [Int32]
  /// Tokens that end at node `i`: `nodeTokens[tokenStarts[i]..<tokenStarts[i + 1]]`.
  let tokenStarts: [Int32]
  let nodeTokens: [UInt32]
  let maximumDepth: Int

  private let texts: [[UInt8]]
  private let compiled = Mutex(CompiledSources())

  /// - Parameters:
  ///   - tokenBytes: what each token appends to the output; empty for control tokens, which are never allowed.
  ///   - endTokens: end the answer; their bytes do not matter.
  public init(tokenBytes: [[UInt8]], endTokens: Set<TokenID>) {
    count = tokenBytes.count
    self.endTokens = endTokens.filter { $0.index < tokenBytes.count }
    texts = tokenBytes
    let order = tokenBytes.indices.filter {
      !tokenBytes[$0].isEmpty && tokenBytes[$0].count <= 4_096 && !endTokens.contains(TokenID($0))
    }.sorted { tokenBytes[$0].lexicographicallyPrecedes(tokenBytes[$1]) }
    var trie = TrieLayout()
    for token in order { trie.insert(tokenBytes[token], UInt32(token)) }
    trie.finish()
    nodeBytes = trie.bytes
    nodeDepths = trie.depths
    subtreeEnds = trie.ends
    tokenStarts = trie.tokenStarts
    nodeTokens = trie.tokens
    maximumDepth = Int(trie.depths.max() ?? 0)
  }

  /// What `token` appends to the output.
  func bytes(of token: TokenID) -> [UInt8]? { token.index < count ? texts[token.index] : nil }

  /// The tables of `source`; compiled once, the least recently used are forgotten.
  func tables(for source: ConstraintSource) throws(SamplingError) -> ConstraintTables {
    let key = source.key
    if let known = compiled.withLock({ $0.find(key) }) { return known }
    let tables = ConstraintTables(try CompiledGrammar(source.description()))
    compiled.withLock { $0.insert(key, tables) }
    return tables
  }

  /// Later users of `source` begin with `tables`.
  func replaceTables(_ source: ConstraintSource, _ tables: ConstraintTables) {
    compiled.withLock { $0.insert(source.key, tables) }
  }
}

/// A small cache in order of use.
private struct CompiledSources {
  private var entries: [(key: [UInt8], tables: ConstraintTables)] = []

  mutating func find(_ key: [UInt8]) -> ConstraintTables? {
    guard let place = entries.firstIndex(where: { $0.key == key }) else { return nil }
    let entry = entries.remove(at: place)
    entries.append(entry)
    return entry.tables
  }

  mutating func insert(_ key: [UInt8], _ tables: ConstraintTables) {
    entries.removeAll { $0.key == key }
    if entries.count >= GrammarLimits.compiledSources { entries.removeFirst() }
    entries.append((key, tables))
  }
}

/// Builds the preorder arrays from texts that come sorted.
private struct TrieLayout {
  var bytes: [UInt8] = []
  var depths: [UInt16] = []
  var ends: [Int32] = []
  var tokenStarts: [Int32] = []
  var tokens: [UInt32] = []
  private var path: [Int] = []

  mutating func insert(_ text: [UInt8], _ token: UInt32) {
    var common = 0
    while common < path.count, common < text.count, bytes[path[common]] == text[common] { common += 1 }
    close(to: common)
    for byte in text[common...] {
      path.append(bytes.count)
      bytes.append(byte)
      depths.append(UInt16(path.count))
      ends.append(0)
      tokenStarts.append(Int32(tokens.count))
    }
    tokens.append(token)
  }

  mutating func finish() {
    close(to: 0)
    tokenStarts.append(Int32(tokens.count))
  }

  private mutating func close(to depth: Int) {
    while path.count > depth, let node = path.popLast() { ends[node] = Int32(bytes.count) }
  }
}

extension ConstraintVocabulary {
  /// The trie's arrays without bounds checks, for the walk. `tokenStarts` has one element more than the others.
  struct NodeBuffers {
    var bytes: UnsafeBufferPointer<UInt8>
    var depths: UnsafeBufferPointer<UInt16>
    var subtreeEnds: UnsafeBufferPointer<Int32>
    var tokenStarts: UnsafeBufferPointer<Int32>
    var tokens: UnsafeBufferPointer<UInt32>
  }

  func withNodes<R>(_ body: (NodeBuffers) -> R) -> R {
    nodeBytes.withUnsafeBufferPointer { bytes in
      nodeDepths.withUnsafeBufferPointer { depths in
        subtreeEnds.withUnsafeBufferPointer { ends in
          tokenStarts.withUnsafeBufferPointer { starts in
            nodeTokens.withUnsafeBufferPointer { tokens in
              body(NodeBuffers(bytes: bytes, depths: depths, subtreeEnds: ends, tokenStarts: starts, tokens: tokens))
            }
          }
        }
      }
    }
  }
}
