// A peer that shakes hands and then says nothing more: it must not stay half connected for ever.

import Testing
import WeirBasics
import WeirTestSupport

@testable import WeirKVTransfer

@Suite(.enabled(if: hasUCX)) struct SilentPeerTests {
  @Test(.timeLimit(.minutes(1))) func aPeerThatFallsSilentAfterItsHandshakeIsLost() throws {
    let clock = ManualClock(startNanoseconds: 1_000_000_000)
    let control = ControlConfiguration(authenticator: keyedChecksum(1)) {
      (0..<HandshakeMessage.nonceBytes).map { _ in UInt8.random(in: 0...255) }
    }
    let silent = try ControlPlane(configuration: control, clock: clock)
    let node = try UCXTransport(configuration: UCXConfiguration(path: .tcp, control: control), clock: clock)
    defer {
      node.close()
      silent.closeAll()
    }
    let peer = try node.connect(
      to: "127.0.0.1:\(silent.port)", deadline: clock.now().advanced(bySeconds: 1000))
    var news: [TransportEvent] = []
    // What the node tells after the handshake shows that it is through at both ends.
    var isThrough = false
    let end = SystemClock().now().advanced(bySeconds: 20)
    while !isThrough, SystemClock().now() < end {
      for event in silent.poll() { if case .frame = event { isThrough = true } }
      news += node.poll()
    }
    #expect(isThrough && news.isEmpty, "\(news)")
    clock.advance(bySeconds: control.handshakeSeconds * 0.9)
    #expect(node.poll().isEmpty, "its time is not over")
    clock.advance(bySeconds: control.handshakeSeconds * 0.2)
    while news.isEmpty, SystemClock().now() < end { news += node.poll() }
    guard case .lost(let lost, let error) = news.first else {
      Issue.record("the silent peer is still there: \(news)")
      return
    }
    #expect(lost == peer && error.kind == .deadlinePassed, "\(error)")
  }
}
