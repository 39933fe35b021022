// What happens on the wire: disconnects, silence, slow clients, shutdown.

import ServiceLifecycle
import Testing
import WeirBasics
import WeirEngine
import WeirServing
import WeirTestSupport

private let chat = "/v1/chat/completions"

private func body(stream: Bool) -> String {
  JSONValue.object(["messages": [["role": "user", "content": "Hi"]], "stream": .bool(stream)]).serialized()
}

@Suite struct ConnectionTests {
  @Test func `a client that goes away cancels its generation at once, streaming or not`() async throws {
    for stream in [true, false] {
      try await TestServer.with(script: { _ in EngineScript(answer: [.say("a"), .hold]) }) { server in
        let port = server.port
        let socket = try await blocking { () -> UncheckedSocket in
          let socket = try RawSocket(port: port)
          try socket.send(RawSocket.request("POST", chat, body: body(stream: stream)))
          if stream { _ = try socket.read(through: "\"a\"") }
          return UncheckedSocket(socket)
        }
        #expect(await eventually { server.engine.runningCount == 1 })
        #expect(server.engine.cancelled.isEmpty)
        socket.socket.close()
        #expect(await eventually { server.engine.cancelled.count == 1 }, "stream: \(stream)")
        #expect(server.engine.runningCount == 0)
      }
    }
  }

  @Test func `a client that goes away during a long prefill cancels it`() async throws {
    try await TestServer.with(script: { _ in EngineScript(prefill: [.hold], answer: [.say("a")]) }) { server in
      let port = server.port
      try await blocking {
        let socket = try RawSocket(port: port)
        try socket.send(RawSocket.request("POST", chat, body: body(stream: true)))
        _ = try socket.readHead()
        socket.close()
      }
      #expect(await eventually { server.engine.cancelled.count == 1 })
    }
  }

  @Test func `a half-closed client still gets answers that need no generation`() async throws {
    try await TestServer.with { server in
      let port = server.port
      let response = try await blocking {
        let socket = try RawSocket(port: port)
        try socket.send(RawSocket.request("GET", "/v1/models"))
        socket.halfClose()
        return try socket.readResponse()
      }
      #expect(response.status == 200)
    }
  }

  @Test func `a connection is kept for further requests, also after a generation`() async throws {
    try await TestServer.with { server in
      let port = server.port
      let statuses = try await blocking { () -> [Int] in
        let socket = try RawSocket(port: port)
        return try [body(stream: false), body(stream: true), body(stream: false)].map { text in
          try socket.send(RawSocket.request("POST", chat, body: text))
          return try socket.readResponse().status
        }
      }
      #expect(statuses == [200, 200, 200])
    }
  }

  @Test func `a silent stream carries comments, also during prefill`() async throws {
    try await TestServer.with(
      { $0.keepAliveSeconds = 0.05 }, script: { _ in EngineScript(prefill: [.hold], answer: [.say("a")]) }
    ) { server in
      let port = server.port
      let socket = try await blocking { () -> UncheckedSocket in
        let socket = try RawSocket(port: port)
        try socket.send(RawSocket.request("POST", chat, body: body(stream: true)))
        _ = try socket.readHead()
        for _ in 0..<3 { _ = try socket.read(through: ": keep-alive\n\n") }
        return UncheckedSocket(socket)
      }
      server.engine.release()
      try await blocking { _ = try socket.socket.read(through: "[DONE]") }
    }
  }

  @Test func `a body that does not arrive in time is 408`() async throws {
    try await TestServer.with({ $0.bodyTimeoutSeconds = 0.1 }) { server in
      let port = server.port
      let response = try await blocking {
        let socket = try RawSocket(port: port)
        try socket.send("POST \(chat) HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        return try socket.readResponse()
      }
      #expect(response.status == 408)
    }
  }

  @Test func `headers that do not arrive in time end the connection`() async throws {
    try await TestServer.with({ $0.idleTimeoutSeconds = 0.2 }) { server in
      let port = server.port
      let rest = try await blocking {
        let socket = try RawSocket(port: port)
        try socket.send("GET /health HTTP/1.1\r\nHost:")
        return try socket.readToEnd()
      }
      #expect(rest.isEmpty || rest.hasPrefix("HTTP/1.1 4"))
    }
  }

  @Test func `bytes that are no HTTP are answered with 400 and hurt nobody`() async throws {
    try await TestServer.with { server in
      let port = server.port
      for garbage in ["\u{1}\u{2}\u{3}\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9 x\r\n\r\n"] {
        let answer = try await blocking {
          let socket = try RawSocket(port: port)
          try socket.send(garbage)
          socket.halfClose()
          return try socket.readToEnd()
        }
        #expect(answer.isEmpty || answer.hasPrefix("HTTP/1.1 400"))
      }
      #expect(try await server.get("/health").status == 200)
    }
  }

  @Test func `above the limit of open requests the answer is 503 with a time to retry`() async throws {
    try await TestServer.with(
      { $0.maxConcurrentRequests = 1 }, script: { _ in EngineScript(answer: [.hold, .say("a")]) }
    ) { server in
      async let first = server.send("POST", chat, raw: body(stream: false))
      #expect(await eventually { server.engine.runningCount == 1 })
      let second = try await server.send("POST", chat, raw: body(stream: false))
      #expect(second.status == 503)
      #expect(second.headers["retry-after"] == "1")
      server.engine.release()
      #expect(try await first.status == 200)
    }
  }

  @Test func `while draining, running requests end and new ones get 503`() async throws {
    try await TestServer.with(script: { _ in EngineScript(answer: [.say("a"), .hold, .say("b")]) }) { server in
      async let running = server.send("POST", chat, raw: body(stream: true))
      #expect(await eventually { server.engine.runningCount == 1 })
      await server.group.triggerGracefulShutdown()
      #expect(await eventually { (try? await server.get("/ready").status) == 503 })
      let refused = try await server.send("POST", chat, raw: body(stream: false))
      #expect(refused.status == 503)
      #expect(refused.headers["retry-after"] != nil)
      #expect(refused.json["error"]?["code"]?.string == "draining")
      server.engine.release()
      let finished = try await running
      #expect(finished.chunks.compactMap { $0["choices"]?[0]?["delta"]?["content"]?.string }.joined() == "ab")
      #expect(finished.events.last?.data == "[DONE]")
    }
  }
}

/// Hands a socket from one blocking closure to the next; they never overlap.
struct UncheckedSocket: @unchecked Sendable {
  let socket: RawSocket
  init(_ socket: RawSocket) { self.socket = socket }
}
