// After the handshake nothing on a connection can be changed, repeated, left out or taken from another connection.

import Testing

@testable import WeirKVTransfer

@Suite struct FrameSealTests {
  /// Both ends of a connection after their handshake.
  private func pair(_ nonce: UInt8 = 1) throws -> (HandshakeMachine, HandshakeMachine) {
    func machine(_ isInitiator: Bool, _ byte: UInt8) -> HandshakeMachine {
      HandshakeMachine(
        isInitiator: isInitiator, nonce: Array(repeating: byte, count: HandshakeMessage.nonceBytes), introduction: [],
        authenticator: keyedChecksum(7))
    }
    var (left, right) = (machine(true, nonce), machine(false, nonce &+ 100))
    guard case .send(let challenge) = try right.receive(left.start()),
      case .send(let proof) = try left.receive(challenge),
      case .finished(.some(let welcome), _) = try right.receive(proof)
    else { throw TransportError(.protocolFault, "the machines did not meet") }
    _ = try left.receive(welcome)
    return (left, right)
  }

  @Test func whatWasSentComesThroughInItsOrder() throws {
    let (left, right) = try pair()
    var (sent, received) = (left.seals.sent, right.seals.received)
    for payload in [[], [1], Array(0...255)] as [[UInt8]] {
      #expect(received.opened(3, payload + sent.next(3, payload)) == payload)
    }
    var (back, answered) = (right.seals.sent, left.seals.received)
    #expect(answered.opened(2, [9] + back.next(2, [9])) == [9])
  }

  @Test func everyBitCounts() throws {
    let (left, right) = try pair()
    var sent = left.seals.sent
    let frame: [UInt8] = [4, 5, 6] + sent.next(3, [4, 5, 6])
    for bit in 0..<(frame.count * 8) {
      var damaged = frame
      damaged[bit / 8] ^= 1 << (bit % 8)
      var received = right.seals.received
      #expect(received.opened(3, damaged) == nil, "bit \(bit)")
    }
    for count in 0..<frame.count {
      var received = right.seals.received
      #expect(received.opened(3, Array(frame.prefix(count))) == nil, "\(count) bytes")
    }
    var received = right.seals.received
    #expect(received.opened(2, frame) == nil, "another kind")
  }

  @Test func repeatedSkippedReflectedAndForeignFramesAreRefused() throws {
    let (left, right) = try pair()
    var sent = left.seals.sent
    let first: [UInt8] = [1] + sent.next(3, [1])
    let second: [UInt8] = [1] + sent.next(3, [1])
    var received = right.seals.received
    #expect(received.opened(3, first) == [1])
    #expect(received.opened(3, first) == nil, "repeated")
    var skipping = right.seals.received
    #expect(skipping.opened(3, second) == nil, "one was left out")
    var own = left.seals.received
    #expect(own.opened(3, first) == nil, "reflected")
    var other = try pair(2).1.seals.received
    #expect(other.opened(3, first) == nil, "of another connection")
  }
}
