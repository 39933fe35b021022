// Tells a running request that its client has gone.
//
// Hummingbird keeps a half-closed connection open, and its own helper ends keep-alive after every use. So a handler in
// the pipeline watches for the end of the client's side, and requests wait on its signal while they generate.

import NIOCore
import NIOHTTPTypes
import Synchronization

/// Fires once, when the client has closed its side of the connection or the connection is gone.
final class ConnectionSignal: Sendable {
  private struct State {
    var hasFired = false
    var nextWaiter = 0
    var waiters: [Int: AsyncStream<Void>.Continuation] = [:]
  }
  private let state = Mutex(State())

  var hasFired: Bool { state.withLock { $0.hasFired } }

  func fire() {
    let waiters = state.withLock { state in
      state.hasFired = true
      defer { state.waiters = [:] }
      return state.waiters
    }
    for waiter in waiters.values { waiter.finish() }
  }

  /// Returns when the signal has fired or the task is cancelled.
  func wait() async {
    let stream = AsyncStream<Void> { continuation in
      let waiter: Int? = state.withLock { state in
        if state.hasFired { return nil }
        state.nextWaiter += 1
        state.waiters[state.nextWaiter] = continuation
        return state.nextWaiter
      }
      guard let waiter else { return continuation.finish() }
      continuation.onTermination = { [weak self] _ in
        self?.forget(waiter)
      }
    }
    for await _ in stream {}
  }

  private func forget(_ waiter: Int) { state.withLock { _ = $0.waiters.removeValue(forKey: waiter) } }
}

/// Watches one connection; every other event passes through.
final class ConnectionWatch: ChannelInboundHandler, RemovableChannelHandler {
  typealias InboundIn = HTTPRequestPart
  let signal = ConnectionSignal()

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if let event = event as? ChannelEvent, event == .inputClosed { signal.fire() }
    context.fireUserInboundEventTriggered(event)
  }

  func channelInactive(context: ChannelHandlerContext) {
    signal.fire()
    context.fireChannelInactive()
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    // A parser error ends the connection; anything that was running for it has no reader any more.
    signal.fire()
    context.fireErrorCaught(error)
  }

  func handlerRemoved(context: ChannelHandlerContext) { signal.fire() }

  /// The signal of `channel`, or a fired one if the channel has gone already.
  static func signal(of channel: any Channel) async -> ConnectionSignal {
    let found = try? await channel.eventLoop.submit {
      try channel.pipeline.syncOperations.handler(type: ConnectionWatch.self).signal
    }.get()
    if let found { return found }
    let gone = ConnectionSignal()
    gone.fire()
    return gone
  }
}
