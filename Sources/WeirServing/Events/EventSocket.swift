// The ZeroMQ sockets of an event publisher; one thread uses them.

import CWeirZMQ
public import WeirBasics

/// Events cannot be published.
public struct EventSocketError: WeirError, Equatable {
  public let message: String
  public var code: String { "kv_events_unavailable" }
}

/// A PUB socket and, if wanted, the ROUTER socket beside it. Only the thread that made it may use it, and `wake` from
/// any other; its owner closes it once.
@safe struct EventSocket {
  /// Somebody who asks for repetition.
  struct Request {
    var identity: [UInt8]
    var firstNumber: Int64
  }

  private let sockets: OpaquePointer
  let endpoint: String
  /// Empty: nothing is repeated.
  let replayEndpoint: String

  /// - Parameters:
  ///   - highWater: batches that wait for one slow subscriber.
  ///   - replayHighWater: messages of repetitions that wait for one peer.
  /// - Throws: ``EventSocketError`` if ZeroMQ is not installed or an address cannot be bound.
  init(endpoint: String, replayEndpoint: String?, highWater: Int, replayHighWater: Int) throws(EventSocketError) {
    var reason = [CChar](repeating: 0, count: 256)
    let opened = unsafe reason.withUnsafeMutableBufferPointer { reason in
      if let replayEndpoint {
        unsafe weir_zmq_open(
          endpoint, replayEndpoint, Int32(clamping: highWater), Int32(clamping: replayHighWater), reason.baseAddress,
          reason.count)
      } else {
        unsafe weir_zmq_open(endpoint, nil, Int32(clamping: highWater), 1, reason.baseAddress, reason.count)
      }
    }
    guard let opened = unsafe opened else {
      let text = String(decoding: reason.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      throw EventSocketError(message: "KV events cannot be published: \(text)")
    }
    unsafe sockets = opened
    self.endpoint = unsafe String(cString: weir_zmq_endpoint(opened, false))
    self.replayEndpoint = unsafe String(cString: weir_zmq_endpoint(opened, true))
  }

  func close() { unsafe weir_zmq_close(sockets) }

  func publish(topic: [UInt8], number: Int64, payload: [UInt8]) -> Bool {
    unsafe weir_zmq_publish(sockets, topic, topic.count, number, payload, payload.count)
  }

  func wait(milliseconds: Int32) { unsafe weir_zmq_wait(sockets, milliseconds) }

  /// Ends a wait.
  var wake: @Sendable () -> Void {
    // An address as a number: the pointer itself may not cross threads, the call may.
    let address = unsafe UInt(bitPattern: sockets)
    return {
      if let sockets = unsafe OpaquePointer(bitPattern: address) { unsafe weir_zmq_wake(sockets) }
    }
  }

  func request() -> Request? {
    var identity = [UInt8](repeating: 0, count: Int(WEIR_ZMQ_IDENTITY_BYTES))
    var number: Int64 = 0
    let bytes = unsafe weir_zmq_request(sockets, &identity, &number)
    return bytes == 0 ? nil : Request(identity: Array(identity.prefix(bytes)), firstNumber: number)
  }

  func reply(to request: Request, topic: [UInt8], number: Int64, payload: [UInt8]) -> Bool {
    unsafe weir_zmq_reply(
      sockets, request.identity, request.identity.count, topic, topic.count, number, payload, payload.count)
  }
}
