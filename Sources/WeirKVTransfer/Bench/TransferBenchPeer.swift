// The receiving process of a transfer bench.

import WeirBasics
import WeirKVCache

extension TransferBenchConfiguration {
  /// The configuration as one word of a command line, for the other process.
  var word: String {
    [
      path.rawValue, "\(shape.layers)", "\(shape.kvHeads)", "\(shape.headDim)", "\(shape.blockSlots)",
      shape.keyType.rawValue, shape.valueType.rawValue, "\(tokens)", pinned ? "1" : "0",
    ].joined(separator: ":")
  }

  init?(word: String) {
    let parts = word.split(separator: ":").map(String.init)
    guard parts.count == 9, let path = UCXConfiguration.Path(rawValue: parts[0]),
      let keyType = KVElementType(rawValue: parts[5]), let valueType = KVElementType(rawValue: parts[6])
    else { return nil }
    let counts = (parts[1...4] + [parts[7]]).compactMap { Int($0) }.filter { $0 > 0 && $0 < 1 << 24 }
    guard counts.count == 5 else { return nil }
    self.init(path: path)
    shape = KVShape(
      layers: counts[0], kvHeads: counts[1], headDim: counts[2], blockSlots: counts[3], keyType: keyType,
      valueType: valueType)
    tokens = counts[4]
    pinned = parts[8] == "1"
  }
}

/// The process that a bench sends to.
public enum TransferBenchPeer {
  /// Serves one sender until it disconnects.
  ///
  /// - Parameters:
  ///   - word: what `TransferBench` put on the command line.
  ///   - announce: called once with the address to connect to; must reach the sender's pipe as one line.
  /// - Throws: what the transport or the memory refuses.
  public static func run(word: String, announce: (String) -> Void) throws {
    guard let configuration = TransferBenchConfiguration(word: word) else {
      throw TransportError(.protocolFault, "\(word) is no bench configuration")
    }
    let node = try TransferBenchNode(configuration, processor: configuration.pinned ? 1 : nil)
    announce(node.transport.address)
    var lastNews = node.clock.now()
    while true {
      let events = node.transport.poll()
      for event in events {
        switch event {
        case .message(let peer, let bytes):
          let answer = answer(try TransferBenchMessage(bytes: bytes), node)
          _ = try node.transport.send(
            TransferBenchMessage.answer(answer).bytes, to: peer, deadline: node.clock.now().advanced(bySeconds: 10))
        case .lost: return
        default: break
        }
      }
      if !events.isEmpty { lastNews = node.clock.now() }
      // A short spin, so that an awaited call does not pay a wake-up; then sleep, so that an idle receiver costs nothing.
      if node.clock.now().seconds(since: lastNews) > 50e-6 { node.transport.wait(seconds: 0.5) }
      if node.clock.now().seconds(since: lastNews) > 120 { return }
    }
  }

  private static func answer(_ message: TransferBenchMessage, _ node: TransferBenchNode) -> UInt64 {
    let limit = node.arena.blockLimit
    switch message {
    case .sum(let blocks) where blocks.allSatisfy { $0.index < limit }: return node.checksum(blocks)
    case .scatter(let blocks) where blocks.allSatisfy { $0.index < limit }:
      let size = node.arena.shape.blockBytes
      for (index, block) in blocks.enumerated() where (index + 1) * size <= node.staging.count {
        node.bytes(block).copyMemory(
          from: UnsafeRawBufferPointer(rebasing: node.staging[(index * size)..<((index + 1) * size)]))
      }
      return UInt64(blocks.count)
    case .cpu: return UInt64(TransferBenchNode.cpuSeconds() * 1e6)
    default: return 0
    }
  }
}
