// KV events in vLLM's words: blocks get the names that vLLM would give them, and batches its MessagePack form.

import Crypto
import WeirBasics

/// Turns changes of a prefix tree into batches. A value that remembers which blocks it has named.
///
/// Left out, because no consumer of this format could use them rightly: blocks that are not full, and everything that is
/// cached under a salt. The tokens of one tenant are nobody else's to read, and who routes by tokens alone would send
/// another tenant's prompt after them.
struct EventWriter {
  /// Events of one batch; consumers refuse more than 4096.
  static let batchEvents = 1024

  private let blockSlots: Int
  /// vLLM's name of every published block, by ours.
  private var names: [UInt64: [UInt8]] = [:]

  init(blockSlots: Int) { self.blockSlots = blockSlots }

  /// Blocks that consumers believe to be here.
  var publishedBlocks: Int { names.count }

  /// The name before the first block: vLLM's for `PYTHONHASHSEED=0` and `sha256_cbor`.
  static let root = digest([0x61, UInt8(ascii: "0")])

  private static func digest(_ bytes: [UInt8]) -> [UInt8] { Array(SHA256.hash(data: bytes)) }

  /// The SHA-256 of the canonical CBOR of `(parent, tokens, None)`, 32 bytes.
  /// Source: the observable contract of vLLM's `sha256_cbor` prefix hashing; RFC 8949 for the encoding.
  static func name(after parent: [UInt8], tokens: [TokenID]) -> [UInt8] {
    var bytes: [UInt8] = [0x83]
    head(2, parent.count, &bytes)
    bytes += parent
    head(4, tokens.count, &bytes)
    for token in tokens { head(0, Int(token.rawValue), &bytes) }
    bytes.append(0xF6)
    return digest(bytes)
  }

  /// A CBOR head: the major type and the shortest form of its number.
  private static func head(_ major: UInt8, _ value: Int, _ bytes: inout [UInt8]) {
    let kind = major << 5
    func big(_ count: Int) {
      for place in (0..<count).reversed() { bytes.append(UInt8(truncatingIfNeeded: value >> (8 * place))) }
    }
    switch value {
    case 0..<24: bytes.append(kind | UInt8(value))
    case 24..<0x100:
      bytes.append(kind | 24)
      big(1)
    case 0x100..<0x1_0000:
      bytes.append(kind | 25)
      big(2)
    default:
      bytes.append(kind | 26)
      big(4)
    }
  }

  private enum Item {
    case stored(names: [[UInt8]], parent: [UInt8]?, tokens: [TokenID])
    case removed([[UInt8]])
    case cleared
  }

  /// The payloads that say `events`, in order; none if nothing of it is published.
  ///
  /// - Parameter unixSeconds: the time of the batches.
  mutating func payloads(_ events: [KVEvent], unixSeconds: Double) -> [[UInt8]] {
    var items: [Item] = []
    for event in events { add(event, to: &items) }
    return stride(from: 0, to: items.count, by: Self.batchEvents).map { start in
      encoded(items[start..<min(start + Self.batchEvents, items.count)], unixSeconds)
    }
  }

  /// Adds an event; one that continues the last item joins it.
  private mutating func add(_ event: KVEvent, to items: inout [Item]) {
    switch event {
    case .blockStored(let hash, let parent, let tokens, _, let salt):
      guard salt.isEmpty, tokens.count == blockSlots, names[hash] == nil else { return }
      let before = parent.map { names[$0] } ?? Self.root
      guard let before else { return }
      let name = Self.name(after: before, tokens: tokens)
      names[hash] = name
      if case .stored(let known, let first, let held)? = items.last, known.last == before {
        items[items.count - 1] = .stored(names: known + [name], parent: first, tokens: held + tokens)
      } else {
        items.append(.stored(names: [name], parent: parent == nil ? nil : before, tokens: tokens))
      }
    case .blockRemoved(let hash):
      guard let name = names.removeValue(forKey: hash) else { return }
      if case .removed(let known)? = items.last {
        items[items.count - 1] = .removed(known + [name])
      } else {
        items.append(.removed([name]))
      }
    case .allBlocksCleared:
      names = [:]
      items.append(.cleared)
    }
  }

  /// `[time, events, rank]`.
  private func encoded(_ items: ArraySlice<Item>, _ unixSeconds: Double) -> [UInt8] {
    var out = MessagePack()
    out.array(3)
    out.double(unixSeconds)
    out.array(items.count)
    for item in items {
      switch item {
      case .stored(let names, let parent, let tokens): stored(names, parent, tokens, &out)
      case .removed(let names):
        out.map(3)
        out.text("type")
        out.text("BlockRemoved")
        hashes(names, &out)
        medium(&out)
      case .cleared:
        out.map(1)
        out.text("type")
        out.text("AllBlocksCleared")
      }
    }
    out.unsigned(0)
    return out.bytes
  }

  private func stored(_ names: [[UInt8]], _ parent: [UInt8]?, _ tokens: [TokenID], _ out: inout MessagePack) {
    out.map(8)
    out.text("type")
    out.text("BlockStored")
    hashes(names, &out)
    out.text("parent_block_hash")
    if let parent { out.binary(parent) } else { out.null() }
    out.text("token_ids")
    out.array(tokens.count)
    for token in tokens { out.unsigned(UInt64(token.rawValue)) }
    out.text("block_size")
    out.unsigned(UInt64(blockSlots))
    out.text("lora_id")
    out.null()
    medium(&out)
    out.text("lora_name")
    out.null()
  }

  private func hashes(_ names: [[UInt8]], _ out: inout MessagePack) {
    out.text("block_hashes")
    out.array(names.count)
    for name in names { out.binary(name) }
  }

  /// Routers credit tiers by this word; the pool that attention reads is what vLLM calls its GPU's.
  private func medium(_ out: inout MessagePack) {
    out.text("medium")
    out.text("GPU")
  }
}
