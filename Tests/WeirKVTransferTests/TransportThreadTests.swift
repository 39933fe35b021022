// A transport on a thread of its own: the same contract, and progress while the owner does something else.

import Foundation
import Testing
import WeirBasics
import WeirKVCache
import WeirKVTransfer

@Suite(.enabled(if: hasUCX), .serialized) struct TransportThreadTests {
  private func node(_ bytes: UnsafeMutableRawBufferPointer, introduction: UInt8) throws -> TransportThread {
    try TransportThread(memory: [TransferMemory(bytes)]) { () throws(TransportError) in
      let control = ControlConfiguration(introduction: [introduction], authenticator: keyedChecksum(1)) {
        (0..<HandshakeMessage.nonceBytes).map { _ in UInt8.random(in: 0...255) }
      }
      return try UCXTransport(configuration: UCXConfiguration(path: .tcp, control: control), clock: SystemClock())
    }
  }

  private func next(_ transport: TransportThread, seconds: Double = 10) -> TransportEvent? {
    let end = UCXPair.clock.now().advanced(bySeconds: seconds)
    while UCXPair.clock.now() < end {
      if let event = transport.poll().first { return event }
      transport.wait(seconds: 0.1)
    }
    return nil
  }

  @Test func dataArrivesWhileTheReceiverIsBusy() throws {
    let count = 4 << 20
    let from = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 4096)
    let to = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 4096)
    defer {
      from.deallocate()
      to.deallocate()
    }
    from.initializeMemory(as: UInt8.self, repeating: 7)
    to.initializeMemory(as: UInt8.self, repeating: 0)
    let (left, right) = (try node(from, introduction: 1), try node(to, introduction: 2))
    defer {
      left.close()
      right.close()
    }
    let deadline = UCXPair.clock.now().advanced(bySeconds: 10)
    let peer = try left.connect(to: right.address, deadline: deadline)
    #expect(next(left) == .connected(peer, introduction: [2]))
    let region = RegionID(rawValue: 0)
    let put = try left.put(
      [TransferPiece(sourceOffset: 0, destinationOffset: 0, byteCount: count)], from: region, to: peer, region: region,
      deadline: deadline)
    // Nobody polls the right side.
    guard case .completed(put, let report) = next(left) else {
      Issue.record("the put did not complete")
      return
    }
    #expect(report.bytes == count && to.allSatisfy { $0 == 7 })
    let wrong = try left.put(
      [TransferPiece(sourceOffset: count, destinationOffset: 0, byteCount: 1)], from: region, to: peer, region: region,
      deadline: deadline)
    guard case .failed(wrong, let error) = next(left) else {
      Issue.record("a call outside the region was not refused")
      return
    }
    #expect(error.kind == .outOfBounds)
    #expect(throws: TransportError.self) { try left.register(TransferMemory(from)) }
    left.close()
    #expect(throws: TransportError.self) { try left.send([], to: peer, deadline: deadline) }
    // Both may come in one poll.
    var seen: [TransportEvent] = []
    while seen.count < 2, UCXPair.clock.now() < deadline {
      right.wait(seconds: 0.1)
      seen += right.poll()
    }
    guard seen.count == 2, case .connected = seen[0], case .lost = seen[1] else {
      Issue.record("the right side did not see the end: \(seen)")
      return
    }
  }

  @Test func aTransportThatCannotStartSaysWhy() {
    #expect(throws: TransportError(.unavailable, "none")) {
      try TransportThread(memory: []) { () throws(TransportError) in throw TransportError(.unavailable, "none") }
    }
  }
}
