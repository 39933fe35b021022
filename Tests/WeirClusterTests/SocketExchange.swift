// The registry's exchange without an HTTP library, so that the protocol can be tested where none is built.

import WeirCluster
import WeirTestSupport

/// The exchange over a plain blocking socket, one connection per question.
struct SocketExchange: HTTPExchange {
  let port: Int
  var server: String { "http://127.0.0.1:\(port)" }

  func post(
    path: String, body: [UInt8], timeoutSeconds: Double
  ) async throws(HTTPExchangeError) -> HTTPAnswer {
    let result: Result<HTTPAnswer, HTTPExchangeError> = await withCheckedContinuation { continuation in
      BlockingThread.run { [port] in
        do {
          let answer = try RawSocket.exchange(
            port: port, "POST", path, headers: ["Connection": "close"], body: String(decoding: body, as: UTF8.self))
          continuation.resume(returning: .success(HTTPAnswer(status: answer.status, body: answer.body)))
        } catch {
          continuation.resume(returning: .failure(HTTPExchangeError("\(error)")))
        }
      }
    }
    return try result.get()
  }

  func lines(path: String, body: [UInt8], lineLimitBytes: Int) -> AsyncStream<HTTPLine> {
    let (stream, continuation) = AsyncStream.makeStream(of: HTTPLine.self)
    BlockingThread.run { [port] in
      do {
        let socket = try RawSocket(port: port)
        try socket.send(RawSocket.request("POST", path, body: String(decoding: body, as: UTF8.self)))
        _ = try socket.readHead()
        var rest: [UInt8] = []
        while let chunk = try socket.readChunk() {
          rest += chunk
          while let end = rest.firstIndex(of: 0x0A) {
            if case .terminated = continuation.yield(.line(Array(rest[..<end]))) { return }
            rest.removeFirst(end + 1)
          }
        }
        continuation.yield(.ended(nil))
      } catch {
        continuation.yield(.ended(HTTPExchangeError("\(error)")))
      }
      continuation.finish()
    }
    return stream
  }
}
