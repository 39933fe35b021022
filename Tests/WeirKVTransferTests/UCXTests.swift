// The real transport keeps the contract of the seam, inside one process and with a process that dies.

import Foundation
import Testing
import WeirBasics
import WeirKVCache
import WeirKVTransfer
import WeirTestSupport

/// A stand-in for HMAC: a keyed checksum. Good enough to test the rules, not to use.
func keyedChecksum(_ secret: UInt64) -> PeerAuthenticator {
  PeerAuthenticator { bytes in
    (0..<4).flatMap { lane in
      withUnsafeBytes(of: KVChecksum.value(of: bytes, seed: secret &+ lane).littleEndian, Array.init)
    }
  }
}

/// Whether this machine has UCX at all; without it there is nothing to test here.
let hasUCX: Bool = (try? UCXPair.transport(.tcp)) != nil

/// Two transports of this process, each with some memory.
final class UCXPair {
  let left: UCXTransport
  let right: UCXTransport
  let leftBytes: UnsafeMutableRawBufferPointer
  let rightBytes: UnsafeMutableRawBufferPointer
  var peer = PeerID(rawValue: 0)
  var rightPeer = PeerID(rawValue: 0)
  let region = RegionID(rawValue: 0)
  static let clock = SystemClock()

  static func transport(
    _ path: UCXConfiguration.Path, secret: UInt64 = 1, introduction: [UInt8] = []
  ) throws -> UCXTransport {
    let control = ControlConfiguration(introduction: introduction, authenticator: keyedChecksum(secret)) {
      (0..<HandshakeMessage.nonceBytes).map { _ in UInt8.random(in: 0...255) }
    }
    return try UCXTransport(configuration: UCXConfiguration(path: path, control: control), clock: clock)
  }

  init(_ path: UCXConfiguration.Path, byteCount: Int = 1 << 20) throws {
    left = try Self.transport(path, introduction: [1])
    right = try Self.transport(path, introduction: [2])
    leftBytes = .allocate(byteCount: byteCount, alignment: 4096)
    rightBytes = .allocate(byteCount: byteCount, alignment: 4096)
    for index in 0..<byteCount { leftBytes[index] = UInt8(truncatingIfNeeded: index &* 31 &+ index >> 8) }
    rightBytes.initializeMemory(as: UInt8.self, repeating: 0)
    _ = try left.register(TransferMemory(leftBytes))
    _ = try right.register(TransferMemory(rightBytes))
    peer = try left.connect(to: right.address, deadline: deadline)
    let (seen, other) = news(until: { $0.contains { if case .connected = $0 { true } else { false } } }, both: true)
    guard seen.contains(.connected(peer, introduction: [2])), case .connected(let id, [1]) = other.first else {
      throw TransportError(.unreachable, "the pair did not meet: \(seen) \(other)")
    }
    rightPeer = id
  }

  deinit {
    left.close()
    right.close()
    leftBytes.deallocate()
    rightBytes.deallocate()
  }

  var deadline: Instant { Self.clock.now().advanced(bySeconds: 10) }

  /// Polls both sides until the left one (or both) saw what was waited for.
  func news(
    until isDone: ([TransportEvent]) -> Bool, both: Bool = false, seconds: Double = 10
  ) -> ([TransportEvent], [TransportEvent]) {
    var (mine, other): ([TransportEvent], [TransportEvent]) = ([], [])
    let end = Self.clock.now().advanced(bySeconds: seconds)
    while Self.clock.now() < end {
      mine += left.poll()
      other += right.poll()
      if isDone(mine), !both || isDone(other) { break }
    }
    return (mine, other)
  }

  /// Runs one call to its end.
  func finish(_ operation: OperationID) -> TransportEvent? {
    news(until: { $0.contains { $0.operation == operation } }).0.first { $0.operation == operation }
  }
}

extension TransportEvent {
  var operation: OperationID? {
    switch self {
    case .completed(let operation, _), .failed(let operation, _): operation
    default: nil
    }
  }

  var error: TransportError? {
    switch self {
    case .failed(_, let error), .lost(_, let error): error
    default: nil
    }
  }
}

private func piece(_ from: Int, _ to: Int, _ count: Int) -> TransferPiece {
  TransferPiece(sourceOffset: from, destinationOffset: to, byteCount: count)
}

@Suite(.enabled(if: hasUCX), .serialized) struct UCXTransportTests {
  @Test(arguments: UCXConfiguration.Path.allCases) func putsGetsAndMessagesArrive(path: UCXConfiguration.Path) throws {
    let pair = try UCXPair(path)
    // Scattered pieces of all sizes, more than the window holds.
    var pieces: [TransferPiece] = []
    var place = 0
    for index in 0..<300 {
      let count = [8, 64, 1000, 4096, 9000][index % 5]
      pieces.append(piece(place, (1 << 20) - place - count, count))
      place += count
    }
    let put = try pair.left.put(
      pieces, from: pair.region, to: pair.peer, region: pair.region, deadline: pair.deadline)
    guard case .completed(_, let report) = pair.finish(put) else {
      Issue.record("the put did not complete")
      return
    }
    #expect(report.operations == 300 && report.bytes == place)
    for one in pieces {
      #expect(Array(pair.rightBytes[one.destinationBytes]) == Array(pair.leftBytes[one.sourceBytes]))
    }
    for index in 0..<5000 { pair.rightBytes[index] = 77 }
    let get = try pair.left.get(
      [piece(0, 1000, 5000)], from: pair.peer, region: pair.region, to: pair.region, deadline: pair.deadline)
    guard case .completed = pair.finish(get) else {
      Issue.record("the get did not complete")
      return
    }
    #expect(pair.leftBytes[1000..<6000].allSatisfy { $0 == 77 })
    let long = (0..<300_000).map { UInt8(truncatingIfNeeded: $0) }
    for message in [[1, 2, 3], long, []] as [[UInt8]] {
      _ = try pair.right.send(message, to: pair.rightPeer, deadline: pair.deadline)
    }
    let (mine, _) = pair.news(until: { $0.count >= 3 })
    #expect(mine == [.message(pair.peer, [1, 2, 3]), .message(pair.peer, long), .message(pair.peer, [])])
  }

  @Test(arguments: UCXConfiguration.Path.allCases) func wrongCallsAreRefused(path: UCXConfiguration.Path) throws {
    let pair = try UCXPair(path)
    for pieces in [[], [piece((1 << 20) - 10, 0, 11)], [piece(0, 1 << 20, 1)]] {
      #expect(throws: TransportError.self) {
        try pair.left.put(pieces, from: pair.region, to: pair.peer, region: pair.region, deadline: pair.deadline)
      }
    }
    #expect(throws: TransportError.self) {
      try pair.left.put(
        [piece(0, 0, 1)], from: pair.region, to: pair.peer, region: RegionID(rawValue: 1), deadline: pair.deadline)
    }
    let late = try pair.left.put(
      [piece(0, 0, 64)], from: pair.region, to: pair.peer, region: pair.region, deadline: UCXPair.clock.now())
    #expect(pair.finish(late)?.error?.kind == .deadlinePassed)
    pair.left.disconnect(pair.peer)
    let (mine, other) = pair.news(until: { $0.contains { if case .lost = $0 { true } else { false } } }, both: true)
    #expect(mine.last?.error?.kind == .peerLost && other.last?.error?.kind == .peerLost)
    #expect(throws: TransportError.self) { try pair.left.send([1], to: pair.peer, deadline: pair.deadline) }
    #expect(throws: TransportError.self) { try pair.left.connect(to: "nowhere", deadline: pair.deadline) }
    pair.left.close()
    #expect(throws: TransportError.self) { try pair.left.register(TransferMemory(pair.leftBytes)) }
  }

  @Test func anotherSecretAndAClosedPortAreRefused() throws {
    let left = try UCXPair.transport(.tcp, secret: 1)
    let right = try UCXPair.transport(.tcp, secret: 2)
    defer {
      left.close()
      right.close()
    }
    let deadline = UCXPair.clock.now().advanced(bySeconds: 5)
    let peer = try left.connect(to: right.address, deadline: deadline)
    var seen: [TransportEvent] = []
    while seen.isEmpty, UCXPair.clock.now() < deadline {
      seen += left.poll()
      #expect(right.poll().allSatisfy { $0.error != nil })
    }
    guard case .lost(peer, let error) = seen.first else {
      Issue.record("not refused: \(seen)")
      return
    }
    #expect(error.kind == .unauthenticated)
    let nobody = try? left.connect(to: "127.0.0.1:1", deadline: deadline)
    if nobody != nil {
      var events: [TransportEvent] = []
      while events.isEmpty, UCXPair.clock.now() < deadline { events += left.poll() }
      #expect(events.first?.error?.kind == .unreachable)
    }
  }

  /// The helper process beside the test program.
  static var peerExecutable: URL {
    URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
      .appendingPathComponent("WeirTransferPeer")
  }

  @Test(
    .enabled(if: FileManager.default.isExecutableFile(atPath: peerExecutable.path)),
    arguments: UCXConfiguration.Path.allCases)
  func everyModeBringsTheSameBytesToAnotherProcess(path: UCXConfiguration.Path) throws {
    var configuration = TransferBenchConfiguration(path: path)
    configuration.shape = KVShape(
      layers: 3, kvHeads: 2, headDim: 32, blockSlots: 8, keyType: .f16, valueType: .f16)
    configuration.tokens = 333
    configuration.repeats = 2
    configuration.pinned = false
    let results = try TransferBench(configuration, executable: Self.peerExecutable, arguments: []).run()
    #expect(results.map(\.mode) == TransferBenchMode.allCases && results.allSatisfy { $0.verified == 2 })
    let operations = Dictionary(uniqueKeysWithValues: results.map { ($0.mode, $0.operations) })
    #expect(operations[.layerAwaited] == 2 * 3 * 42 && operations[.blocks] == 42)
    #expect(operations[.coRuns] == 4)
  }

  @Test(
    .enabled(if: FileManager.default.isExecutableFile(atPath: peerExecutable.path)), .timeLimit(.minutes(1)),
    arguments: UCXConfiguration.Path.allCases)
  func aKilledReceiverEndsEveryCall(path: UCXConfiguration.Path) throws {
    var configuration = TransferBenchConfiguration(path: path)
    configuration.shape = KVShape(
      layers: 8, kvHeads: 4, headDim: 64, blockSlots: 16, keyType: .f16, valueType: .f16)
    configuration.tokens = 2048
    configuration.repeats = 1_000_000
    configuration.pinned = false
    configuration.modes = [.blocks, .layerAwaited]
    let bench = try TransferBench(configuration, executable: Self.peerExecutable, arguments: [])
    let process = bench.peerProcessID
    let killed = UCXPair.clock.now().advanced(bySeconds: 0.4)
    BlockingThread.run {
      while UCXPair.clock.now() < killed { usleep(1000) }
      kill(process, SIGKILL)
    }
    #expect {
      _ = try bench.run()
    } throws: { error in
      (error as? TransportError)?.kind == .peerLost
    }
    #expect(UCXPair.clock.now().seconds(since: killed) < 5)
  }

  @Test(arguments: UCXConfiguration.Path.allCases, [true, false])
  func aHandoffBringsTheKV(path: UCXConfiguration.Path, isConverted: Bool) throws {
    let shape = KVShape(layers: 2, kvHeads: 2, headDim: 32, blockSlots: 4, keyType: .f16, valueType: .f16)
    let other = KVShape(layers: 2, kvHeads: 2, headDim: 32, blockSlots: 8, keyType: .f16, valueType: .f16)
    var (pools, nodes, transports): ([BlockPool], [HandoffNode], [UCXTransport]) = ([], [], [])
    for (index, one) in [shape, isConverted ? other : shape].enumerated() {
      let pool = try BlockPool(
        configuration: KVPoolConfiguration(shape: one, blockLimit: 32), clock: UCXPair.clock)
      let transport = try UCXPair.transport(path)
      var configuration = HandoffConfiguration(
        shape: KVWireShape(shape: one, modelFingerprint: 4), incarnation: UInt64(index + 1))
      configuration.stagingBytes = 1 << 20
      pools.append(pool)
      transports.append(transport)
      nodes.append(
        try HandoffNode(transport: transport, pool: pool, configuration: configuration, clock: UCXPair.clock))
    }
    let tokens = (0..<50).map { TokenID($0) }
    var table = try #require(pools[0].open(pools[0].match([])))
    #expect(pools[0].reserve(&table, slots: 50))
    for (index, block) in table.blocks.enumerated() {
      memset(pools[0].blockPointer(block), Int32(index + 1), shape.blockBytes)
    }
    let end = UCXPair.clock.now().advanced(bySeconds: 10)
    _ = try transports[0].connect(to: transports[1].address, deadline: end)
    var receipt: HandoffReceipt?
    var outcome: HandoffOutcome?
    while outcome == nil || receipt == nil, UCXPair.clock.now() < end {
      for news in nodes[0].poll() {
        if case .connected(let peer, _) = news {
          let id = nodes[0].send(RequestID("r"), table: table, tokens: tokens, positions: 0..<50, to: peer)
          nodes[0].filled(id, slots: 30)
          nodes[0].finish(id, payload: [9])
        }
        if case .sent(_, let ended) = news { outcome = ended }
      }
      for news in nodes[1].poll() { if case .adopted(let adopted) = news { receipt = adopted } }
    }
    #expect(outcome == .adopted)
    let adopted = try #require(receipt)
    #expect(adopted.wasConverted == isConverted && adopted.payload == [9])
    #expect(adopted.firstDifference(request: RequestID("r"), tokens: tokens, salt: "") == nil)
    #expect(adopted.firstDifference(request: RequestID("r"), tokens: Array(tokens.reversed()), salt: "") == .tokens)
    let target = pools[1].shape
    for token in 0..<50 {
      let block = pools[1].blockPointer(adopted.table.blocks[token / target.blockSlots])
      let row = block + target.valueOffset(layer: 1) + target.valueHeadStride + token % target.blockSlots * 64
      #expect(row.load(as: UInt8.self) == UInt8(token / 4 + 1), "token \(token)")
    }
    pools[1].close(adopted.table, tokens: [], filledSlots: 0, keep: false)
    #expect(pools.allSatisfy { $0.freeBlocks == 32 } && nodes[0].cost.observations > 0)
    for node in nodes { node.close() }
  }
}
