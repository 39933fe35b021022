// The twin keeps the contract of the seam, and its faults do what they say.

import Testing
import WeirBasics
import WeirKVCache
import WeirKVTransfer

/// Two connected nodes with some memory each.
struct Pair {
  let network: LoopbackNetwork
  let left: LoopbackTransport
  let right: LoopbackTransport
  let leftBytes: UnsafeMutableRawBufferPointer
  let rightBytes: UnsafeMutableRawBufferPointer
  let peer: PeerID
  let region = RegionID(rawValue: 0)

  init(seed: UInt64 = 1, faults: LoopbackFaults = LoopbackFaults(), byteCount: Int = 4096) throws {
    network = LoopbackNetwork(clock: ManualClock(startNanoseconds: 1_000_000_000), seed: seed, faults: faults)
    left = network.transport(named: "left", introduction: [1])
    right = network.transport(named: "right", introduction: [2])
    leftBytes = .allocate(byteCount: byteCount, alignment: 64)
    rightBytes = .allocate(byteCount: byteCount, alignment: 64)
    for index in 0..<byteCount { leftBytes[index] = UInt8(truncatingIfNeeded: index &* 31 &+ 7) }
    rightBytes.initializeMemory(as: UInt8.self, repeating: 0)
    _ = try left.register(TransferMemory(leftBytes))
    _ = try right.register(TransferMemory(rightBytes))
    peer = try left.connect(to: "right", deadline: network.clock.now().advanced(bySeconds: 1))
    #expect(left.poll() == [.connected(peer, introduction: [2])])
    #expect(right.poll() == [.connected(PeerID(rawValue: 0), introduction: [1])])
  }

  func free() {
    left.close()
    right.close()
    leftBytes.deallocate()
    rightBytes.deallocate()
  }

  var deadline: Instant { network.clock.now().advanced(bySeconds: 1) }

  /// Polls both sides until the left one has news.
  func leftNews() -> [TransportEvent] {
    for _ in 0..<1000 {
      let events = left.poll()
      if !events.isEmpty { return events }
      left.wait(seconds: 0.1)
    }
    return []
  }
}

private func piece(_ from: Int, _ to: Int, _ count: Int) -> TransferPiece {
  TransferPiece(sourceOffset: from, destinationOffset: to, byteCount: count)
}

@Suite struct LoopbackTests {
  @Test func putsGetsAndMessagesArrive() throws {
    let pair = try Pair()
    defer { pair.free() }
    let put = try pair.left.put(
      [piece(0, 64, 128), piece(512, 1024, 64)], from: pair.region, to: pair.peer, region: pair.region,
      deadline: pair.deadline)
    #expect(pair.leftNews() == [.completed(put, OperationReport(operations: 2, bytes: 192, seconds: 0))])
    #expect(Array(pair.rightBytes[64..<192]) == Array(pair.leftBytes[0..<128]))
    #expect(Array(pair.rightBytes[1024..<1088]) == Array(pair.leftBytes[512..<576]))
    pair.rightBytes[2000] = 99
    _ = try pair.left.get(
      [piece(2000, 5, 1)], from: pair.peer, region: pair.region, to: pair.region, deadline: pair.deadline)
    #expect(pair.leftNews().count == 1)
    #expect(pair.leftBytes[5] == 99)
    _ = try pair.left.send([1, 2, 3], to: pair.peer, deadline: pair.deadline)
    #expect(pair.right.poll() == [.message(PeerID(rawValue: 0), [1, 2, 3])])
  }

  @Test func callsThatLeaveTheRegionAreRefused() throws {
    let pair = try Pair()
    defer { pair.free() }
    for pieces in [[], [piece(4000, 0, 97)], [piece(0, 4095, 2)]] {
      #expect(throws: TransportError.self) {
        try pair.left.put(pieces, from: pair.region, to: pair.peer, region: pair.region, deadline: pair.deadline)
      }
    }
    #expect(throws: TransportError.self) {
      try pair.left.put(
        [piece(0, 0, 1)], from: pair.region, to: pair.peer, region: RegionID(rawValue: 4), deadline: pair.deadline)
    }
    #expect(throws: TransportError.self) {
      try pair.left.send([], to: PeerID(rawValue: 9), deadline: pair.deadline)
    }
    #expect(throws: TransportError.self) { try pair.left.connect(to: "nobody", deadline: pair.deadline) }
  }

  @Test func aDroppedPieceEndsAtTheDeadlineAndNothingArrivesLater() throws {
    var faults = LoopbackFaults()
    faults.dropPiece = 0.5
    faults.delaySeconds = 0.1...3
    let pair = try Pair(seed: 4, faults: faults)
    defer { pair.free() }
    let pieces = (0..<32).map { piece($0 * 64, $0 * 64, 64) }
    let put = try pair.left.put(
      pieces, from: pair.region, to: pair.peer, region: pair.region, deadline: pair.deadline)
    guard case .failed(let operation, let error) = pair.leftNews().first else {
      Issue.record("the call did not fail")
      return
    }
    #expect(operation == put && error.kind == .deadlinePassed)
    let after = Array(pair.rightBytes)
    pair.network.clock.advance(bySeconds: 10)
    _ = (pair.left.poll(), pair.right.poll())
    #expect(Array(pair.rightBytes) == after)
  }

  @Test func cancelStopsACall() throws {
    var faults = LoopbackFaults()
    faults.delaySeconds = 0.1...0.2
    let pair = try Pair(faults: faults)
    defer { pair.free() }
    let put = try pair.left.put(
      [piece(0, 0, 64)], from: pair.region, to: pair.peer, region: pair.region, deadline: pair.deadline)
    pair.left.cancel(put)
    pair.left.cancel(put)
    guard case .failed(put, let error) = pair.left.poll().first else {
      Issue.record("the call did not fail")
      return
    }
    #expect(error.kind == .cancelled)
    pair.network.clock.advance(bySeconds: 1)
    _ = pair.left.poll()
    #expect(pair.rightBytes.allSatisfy { $0 == 0 })
  }

  @Test func aLinkBreaksInTheMiddleOfAPiece() throws {
    var faults = LoopbackFaults()
    faults.cutAfterBytes = 100
    let pair = try Pair(faults: faults)
    defer { pair.free() }
    let put = try pair.left.put(
      [piece(0, 0, 64), piece(64, 64, 64)], from: pair.region, to: pair.peer, region: pair.region,
      deadline: pair.deadline)
    let news = pair.leftNews()
    guard news.count == 2, case .failed(put, _) = news[0], case .lost(pair.peer, _) = news[1] else {
      Issue.record("unexpected news \(news)")
      return
    }
    #expect(Array(pair.rightBytes[0..<100]) == Array(pair.leftBytes[0..<100]))
    #expect(pair.rightBytes[100] == 0)
    guard case .lost = pair.right.poll().first else {
      Issue.record("the other side does not know")
      return
    }
  }

  @Test func aDeadPeerIsReportedOnce() throws {
    let pair = try Pair()
    defer { pair.free() }
    pair.network.kill("right")
    guard case .lost(_, let error) = pair.left.poll().first else {
      Issue.record("the death was not seen")
      return
    }
    #expect(error.kind == .peerLost && pair.left.poll().isEmpty)
    #expect(throws: TransportError.self) { try pair.left.send([1], to: pair.peer, deadline: pair.deadline) }
  }

  @Test func theSameSeedMakesTheSameFaults() throws {
    func run() throws -> [UInt8] {
      var faults = LoopbackFaults()
      faults.corruptPiece = 0.5
      faults.delaySeconds = 0...0.01
      let pair = try Pair(seed: 12, faults: faults)
      defer { pair.free() }
      for _ in 0..<10 {
        _ = try pair.left.put(
          (0..<16).map { piece($0 * 64, $0 * 64, 64) }, from: pair.region, to: pair.peer, region: pair.region,
          deadline: pair.deadline)
        _ = pair.leftNews()
      }
      return Array(pair.rightBytes)
    }
    let first = try run()
    #expect(try run() == first)
    #expect(first != (0..<4096).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ 7) })
  }

  @Test func messagesAreDuplicatedReorderedReplayed() throws {
    var faults = LoopbackFaults()
    faults.duplicateMessage = 0.3
    faults.reorderMessage = 0.3
    faults.replayMessage = 0.3
    faults.dropMessage = 0.2
    faults.delaySeconds = 0...0.001
    let pair = try Pair(seed: 6, faults: faults)
    defer { pair.free() }
    var received: [UInt8] = []
    for number in 0..<100 as Range<UInt8> {
      _ = try pair.left.send([number], to: pair.peer, deadline: pair.deadline)
      pair.network.clock.advance(bySeconds: 0.0005)
      for case .message(_, let bytes) in pair.right.poll() { received += bytes }
    }
    #expect(Set(received).count < 100 && received.count > Set(received).count && received != received.sorted())
  }
}
