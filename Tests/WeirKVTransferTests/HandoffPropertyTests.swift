// Two nodes with real pools, random events and faults: nothing leaks, nothing wrong is adopted.

import Testing
import WeirBasics
import WeirKVCache
import WeirKVTransfer

/// Two nodes that hand KV to each other in virtual time.
final class Cluster {
  struct Sent {
    var tokens: [TokenID]
    var salt: String
    /// First byte of every row.
    var mark: UInt64
  }

  let network: LoopbackNetwork
  let clock = ManualClock(startNanoseconds: 1_000_000_000)
  var pools: [BlockPool] = []
  var nodes: [HandoffNode] = []
  var transports: [LoopbackTransport] = []
  var peers: [PeerID?] = [nil, nil]
  var sent: [RequestID: Sent] = [:]
  var outcomes: [HandoffID: HandoffOutcome] = [:]
  var adopted: [RequestID] = []
  var refusals: [HandoffRefusal] = []
  var problems: [String] = []

  /// - Parameter shapes: of the left and the right node.
  init(
    seed: UInt64, faults: LoopbackFaults, shapes: [KVShape], blocks: Int = 40, style: TransferStyle = TransferStyle()
  ) throws {
    network = LoopbackNetwork(clock: clock, seed: seed, faults: faults)
    for (index, shape) in shapes.enumerated() {
      let pool = try BlockPool(configuration: KVPoolConfiguration(shape: shape, blockLimit: blocks), clock: clock)
      let transport = network.transport(named: "node\(index)")
      var configuration = HandoffConfiguration(
        shape: KVWireShape(shape: shape, modelFingerprint: 5), incarnation: UInt64(index + 1))
      configuration.leaseSeconds = 2
      configuration.spanBlocks = 2
      configuration.pieceBytes = 512
      configuration.stagingBytes = 1 << 18
      configuration.quarantineSeconds = 0.1
      configuration.style = { style }
      pools.append(pool)
      transports.append(transport)
      nodes.append(try HandoffNode(transport: transport, pool: pool, configuration: configuration, clock: clock))
    }
    try reconnect()
  }

  func reconnect() throws {
    guard peers[0] == nil, peers[1] == nil else { return }
    _ = try transports[0].connect(to: "node1", deadline: clock.now().advanced(bySeconds: 1))
    poll()
  }

  func poll() {
    for index in nodes.indices {
      for news in nodes[index].poll() { take(news, index) }
    }
  }

  private func take(_ news: HandoffNews, _ index: Int) {
    switch news {
    case .connected(let peer, _): peers[index] = peer
    case .lost: peers[index] = nil
    case .adopted(let receipt): adopt(receipt, index)
    case .sent(let id, let outcome):
      if outcomes[id] != nil { problems.append("\(id) ended twice") }
      outcomes[id] = outcome
    case .notReceived(_, _, let reason), .refused(_, let reason): refusals.append(reason)
    case .dropped, .fault, .progress: break
    }
  }

  private func adopt(_ receipt: HandoffReceipt, _ index: Int) {
    let request = receipt.offer.request
    if adopted.contains(request) { problems.append("\(request) was adopted twice") }
    adopted.append(request)
    guard let expected = sent[request] else {
      problems.append("\(request) was never sent")
      return
    }
    if let part = receipt.firstDifference(request: request, tokens: expected.tokens, salt: expected.salt) {
      problems.append("\(request) differs in \(part)")
    }
    let wrong = rows(pools[index], receipt.table, count: expected.tokens.count).filter { place, bytes in
      bytes
        != pattern(expected.mark, place, type: place.isKey ? pools[index].shape.keyType : pools[index].shape.valueType)
    }
    if !wrong.isEmpty { problems.append("\(request) has \(wrong.count) wrong rows") }
    pools[index].close(receipt.table, tokens: [], filledSlots: 0, salt: receipt.table.salt, keep: false)
  }

  /// Begins a handoff from node `index`; nil without room or peer.
  func begin(_ index: Int, tokens count: Int, name: Int) -> HandoffID? {
    guard let peer = peers[index], let (request, tokens, table) = compute(index, tokens: count, name: name) else {
      return nil
    }
    return nodes[index].send(request, table: table, tokens: tokens, positions: 0..<count, to: peer)
  }

  /// KV of a sequence at node `index`; nil without room.
  func compute(_ index: Int, tokens count: Int, name: Int) -> (RequestID, [TokenID], BlockTable)? {
    let pool = pools[index]
    let salt = "tenant \(name % 3)"
    let tokens = (0..<count).map { TokenID(name * 1000 + $0) }
    guard var table = pool.open(pool.match([], salt: salt)) else { return nil }
    guard pool.reserve(&table, slots: count) else {
      pool.close(table, tokens: [], filledSlots: 0, salt: salt, keep: false)
      return nil
    }
    let request = RequestID("r\(name)")
    sent[request] = Sent(tokens: tokens, salt: salt, mark: UInt64(name))
    for (place, _) in rows(pool, table, count: count) {
      let type = place.isKey ? pool.shape.keyType : pool.shape.valueType
      let bytes = pattern(UInt64(name), place, type: type)
      let start = pool.blockPointer(table.blocks[place.token / pool.shape.blockSlots]) + place.offset
      for (index, byte) in bytes.enumerated() { start.storeBytes(of: byte, toByteOffset: index, as: UInt8.self) }
    }
    return (request, tokens, table)
  }

  struct Place {
    var token: Int
    var layer: Int
    var head: Int
    var isKey: Bool
    /// In its block.
    var offset: Int
  }

  private func rows(_ pool: BlockPool, _ table: BlockTable, count: Int) -> [(Place, [UInt8])] {
    let shape = pool.shape
    var result: [(Place, [UInt8])] = []
    for token in 0..<count {
      let block = pool.blockPointer(table.blocks[token / shape.blockSlots])
      for layer in 0..<shape.layers {
        for head in 0..<shape.kvHeads {
          for isKey in [true, false] {
            let size = isKey ? shape.keyRowBytes : shape.valueRowBytes
            let part = isKey ? shape.keyOffset(layer: layer) : shape.valueOffset(layer: layer)
            let offset = part + head * size * shape.blockSlots + token % shape.blockSlots * size
            let bytes = Array(UnsafeRawBufferPointer(start: block + offset, count: size))
            result.append((Place(token: token, layer: layer, head: head, isKey: isKey, offset: offset), bytes))
          }
        }
      }
    }
    return result
  }

  /// Values that f16 and f32 hold exactly, so that conversion changes nothing.
  private func pattern(_ mark: UInt64, _ place: Place, type: KVElementType) -> [UInt8] {
    let start = mark &* 7919 &+ UInt64(place.token * 31 + place.layer * 7 + place.head * 3 + (place.isKey ? 1 : 0))
    return SlowKV.stored(type, (0..<4).map { Float((start &+ UInt64($0) &* 37) % 2048) })
  }

  /// Lets time pass until nothing is open.
  func settle() {
    for _ in 0..<6000 where nodes.contains(where: { $0.openHandoffs > 0 }) {
      poll()
      clock.advance(bySeconds: 0.02)
    }
    poll()
  }

  func finish() {
    settle()
    for (index, pool) in pools.enumerated() {
      if nodes[index].openHandoffs > 0 {
        problems.append("node \(index) has \(nodes[index].openHandoffs) open handoffs")
      }
      if pool.freeBlocks != pool.totalBlocks {
        problems.append("node \(index) leaks \(pool.totalBlocks - pool.freeBlocks) blocks")
      }
      problems += pool.checkInvariants(openTables: [])
    }
    for transport in transports { transport.close() }
  }
}

private let plain = KVShape(layers: 2, kvHeads: 2, headDim: 4, blockSlots: 4, keyType: .f32, valueType: .f16)
private let other = KVShape(layers: 2, kvHeads: 2, headDim: 4, blockSlots: 6, keyType: .f16, valueType: .f32)

@Suite struct HandoffPropertyTests {
  @Test(arguments: [[plain, plain], [plain, other]]) func everythingArrivesOnASoundNetwork(shapes: [KVShape]) throws {
    let cluster = try Cluster(seed: 1, faults: LoopbackFaults(), shapes: shapes)
    for name in 0..<6 {
      let id = try #require(cluster.begin(name % 2, tokens: 5 + name * 4, name: name))
      cluster.nodes[name % 2].filled(id, slots: 4 + name)
      cluster.poll()
      cluster.nodes[name % 2].finish(id, payload: [UInt8(name)])
      cluster.settle()
    }
    cluster.finish()
    #expect(cluster.problems.isEmpty)
    #expect(cluster.adopted.count == 6 && cluster.outcomes.values.allSatisfy { $0 == .adopted })
  }

  /// However it is cut, the same KV arrives, in as many calls as the cut says.
  @Test(arguments: TransferCut.allCases) func everyStyleBringsTheSame(cut: TransferCut) throws {
    let cluster = try Cluster(
      seed: 2, faults: LoopbackFaults(), shapes: [plain, plain], style: TransferStyle(cut: cut))
    // Leaves holes, so that the next sequence does not lie in one run.
    let first = try (0..<3).map { try #require(cluster.begin(0, tokens: 9, name: $0)) }
    cluster.nodes[0].cancel(first[1])
    cluster.poll()
    let id = try #require(cluster.begin(0, tokens: 30, name: 7))
    for one in [first[0], first[2], id] { cluster.nodes[0].finish(one, payload: []) }
    cluster.finish()
    #expect(cluster.problems.isEmpty && cluster.outcomes[id] == .adopted && cluster.adopted.count == 3)
    let meters = cluster.nodes[0].meters
    #expect(meters.bytes == UInt64((3 + 3 + 8) * plain.blockBytes), "\(cut)")
    if cut == .layers { #expect(meters.operations == UInt64((3 + 3 + 8) * 2 * plain.layers)) }
    if cut == .staged { #expect(cluster.nodes[1].meters.copySeconds >= 0 && cluster.nodes[1].cost.observations == 0) }
  }

  @Test func damageIsRefusedByName() throws {
    var faults = LoopbackFaults()
    faults.corruptPiece = 1
    let cluster = try Cluster(seed: 3, faults: faults, shapes: [plain, plain])
    let id = try #require(cluster.begin(0, tokens: 20, name: 1))
    cluster.nodes[0].finish(id, payload: [])
    cluster.finish()
    #expect(cluster.outcomes[id] == .refused(.checksum) && cluster.adopted.isEmpty)
    #expect(cluster.problems.isEmpty)
  }

  /// KV that waits to be fetched is digested then, so what happens to it afterwards shows.
  @Test(arguments: [false, true]) func whatWaitsIsDigestedAhead(isDamaged: Bool) throws {
    let cluster = try Cluster(seed: 4, faults: LoopbackFaults(), shapes: [plain, plain])
    let (request, tokens, table) = try #require(cluster.compute(0, tokens: 18, name: 1))
    let deadline = cluster.clock.now().advanced(bySeconds: 60)
    let id = cluster.nodes[0].hold(request, table: table, tokens: tokens, positions: 0..<18, until: deadline)
    cluster.poll()
    if isDamaged {
      let block = cluster.pools[0].blockPointer(table.blocks[2])
      block.storeBytes(of: ~block.load(as: UInt8.self), as: UInt8.self)
    }
    let peer = try #require(cluster.peers[1])
    cluster.nodes[1].fetch(id, request: request, firstPosition: 0, from: peer, deadline: deadline)
    for _ in 0..<20 {
      cluster.poll()
      cluster.clock.advance(bySeconds: 0.01)
    }
    cluster.finish()
    #expect(cluster.problems.isEmpty)
    #expect(cluster.adopted == (isDamaged ? [] : [request]))
    #expect(cluster.refusals == [] || isDamaged)
    #expect(cluster.outcomes[id] == (isDamaged ? .refused(.checksum) : .adopted))
  }

  @Test func anotherModelIsRefusedByName() throws {
    let cluster = try Cluster(
      seed: 3, faults: LoopbackFaults(),
      shapes: [
        plain, KVShape(layers: 3, kvHeads: 2, headDim: 4, blockSlots: 4, keyType: .f32, valueType: .f16),
      ])
    let id = try #require(cluster.begin(0, tokens: 20, name: 1))
    cluster.finish()
    #expect(cluster.outcomes[id] == .refused(.shape(.layers)) && cluster.problems.isEmpty)
  }

  @Test(arguments: 1...40 as ClosedRange<UInt64>) func nothingLeaksAndNothingWrongIsAdopted(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    var faults = LoopbackFaults()
    func chance() -> Double { random.next() % 3 == 0 ? random.unitDouble() * 0.15 : 0 }
    faults.delaySeconds = 0...(random.unitDouble() * 0.3)
    faults.dropPiece = chance() / 4
    faults.corruptPiece = chance() / 4
    faults.dropMessage = chance()
    faults.duplicateMessage = chance()
    faults.corruptMessage = chance() / 4
    faults.reorderMessage = chance()
    faults.replayMessage = chance()
    if random.next() % 3 == 0 { faults.cutAfterBytes = 2000 + Int(random.next() % 60_000) }
    let cuts = TransferCut.allCases
    let style = TransferStyle(cut: cuts[Int(seed / 2) % cuts.count], windowCalls: seed % 3 == 0 ? 1 : nil)
    let cluster = try Cluster(
      seed: seed, faults: faults, shapes: seed % 2 == 0 ? [plain, plain] : [plain, other], style: style)
    var open: [(index: Int, id: HandoffID, tokens: Int)] = []
    for name in 0..<120 {
      let draw = random.next() % 12
      switch draw {
      case 0...3:
        let (index, tokens) = (Int(random.next() % 2), 1 + Int(random.next() % 40))
        if let id = cluster.begin(index, tokens: tokens, name: name) { open.append((index, id, tokens)) }
      case 4, 5:
        if let one = open.randomElement(using: &random) {
          cluster.nodes[one.index].filled(one.id, slots: Int(random.next() % UInt64(one.tokens + 1)))
        }
      case 6...8:
        if let one = open.randomElement(using: &random) { cluster.nodes[one.index].finish(one.id, payload: [7]) }
      case 9:
        if let one = open.randomElement(using: &random), random.next() % 3 == 0 {
          cluster.nodes[Int(random.next() % 2)].cancel(one.id)
        }
      case 10: cluster.clock.advance(bySeconds: random.unitDouble())
      default:
        if random.next() % 8 == 0 { cluster.network.cut(between: "node0", and: "node1") }
        try cluster.reconnect()
      }
      cluster.clock.advance(bySeconds: random.unitDouble() * 0.05)
      if random.next() % 4 != 0 { cluster.poll() }
    }
    for one in open { cluster.nodes[one.index].finish(one.id, payload: []) }
    cluster.finish()
    #expect(cluster.problems.isEmpty, "seed \(seed): \(cluster.problems.joined(separator: "; "))")
    for (id, outcome) in cluster.outcomes where outcome == .adopted {
      #expect(cluster.outcomes[id] == .adopted, "seed \(seed)")
    }
    let senderAdopted = cluster.outcomes.values.filter { $0 == .adopted }.count
    #expect(cluster.adopted.count >= senderAdopted, "seed \(seed): a sender believes in more than was adopted")
  }
}
