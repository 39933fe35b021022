// Server-sent events: framing, keep-alive comments, and stopping when the reader has gone.

import HTTPTypes
import Hummingbird
import Synchronization
import WeirBasics

/// Where a route writes its events; values cross to the connection's writer in order.
struct EventSink: Sendable {
  fileprivate let frames: AsyncStream<ByteBuffer>.Continuation
  fileprivate let activity: EventActivity

  /// `data: {json}` and a blank line; with `event: name` before it if there is a name.
  func send(_ value: JSONValue, event: String? = nil) { send(raw: value.serialized(), event: event) }

  func send(raw text: String, event: String? = nil) {
    var buffer = ByteBuffer()
    if let event { buffer.writeString("event: \(event)\n") }
    buffer.writeString("data: ")
    buffer.writeString(text)
    buffer.writeString("\n\n")
    activity.note()
    frames.yield(buffer)
  }
}

/// Counts frames, so that comments go out only on a silent stream.
final class EventActivity: Sendable {
  private let frames = Mutex<UInt64>(0)
  func note() { frames.withLock { $0 += 1 } }
  var count: UInt64 { frames.withLock { $0 } }
}

enum EventStream {
  /// A response whose body is what `produce` sends. `produce` is cancelled as soon as the client has gone.
  static func response(
    keepAliveSeconds: Double, signal: ConnectionSignal, produce: @escaping @Sendable (EventSink) async -> Void
  ) -> Response {
    let body = ResponseBody { writer in
      let (frames, continuation) = AsyncStream<ByteBuffer>.makeStream()
      let sink = EventSink(frames: continuation, activity: EventActivity())
      await withTaskGroup(of: Void.self) { group in
        group.addTask {
          await produce(sink)
          continuation.finish()
        }
        group.addTask { await keepAlive(every: keepAliveSeconds, sink) }
        group.addTask {
          await signal.wait()
          continuation.finish()
        }
        for await frame in frames {
          do { try await writer.write(frame) } catch { break }
        }
        group.cancelAll()
      }
      try await writer.finish(nil)
    }
    return Response(
      status: .ok,
      headers: [.contentType: "text/event-stream; charset=utf-8", .cacheControl: "no-cache", .accelBuffering: "no"],
      body: body)
  }

  private static func keepAlive(every seconds: Double, _ sink: EventSink) async {
    var seen = sink.activity.count
    while !Task.isCancelled {
      guard (try? await Task.sleep(nanoseconds: UInt64(seconds * 1e9))) != nil else { return }
      let now = sink.activity.count
      if now == seen { sink.frames.yield(ByteBuffer(string: ": keep-alive\n\n")) }
      seen = now
    }
  }
}
