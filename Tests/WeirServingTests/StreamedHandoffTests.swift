// Blocks that travel while their prompt is computed, over HTTP: the ticket as an event, and a router that uses it.

import NIOCore
import Testing
import Weir
import WeirBasics
import WeirCluster
import WeirTestSupport

@testable import WeirServing

private let streamParameters: JSONValue = ["do_remote_decode": true, "stream_blocks": true]

@Suite struct StreamedTicketTests {
  @Test(arguments: ["/v1/completions", "/v1/chat/completions"])
  func aNodeThatKeepsNothingSaysSoAtTheEnd(path: String) async throws {
    try await TestServer.with { server in
      var body: JSONObject = ["kv_transfer_params": streamParameters]
      if path == "/v1/completions" {
        body["prompt"] = "abc"
      } else {
        body["messages"] = [["role": "user", "content": "abc"]]
      }
      let response = try await server.post(path, .object(body))
      #expect(response.status == 200 && response.events.last?.data == "[DONE]", "\(response.text)")
      #expect(response.chunks.count == 1 && response.chunks.first?["kv_transfer_params"]?.isNull == true)
      #expect(response.chunks.first?["choices"]?.array?.count == 1)
      #expect(server.engine.requests.first?.onHandoff != nil)
    }
  }

  @Test func refusalsAreStatusesAndNameTheField() async throws {
    try await TestServer.with { server in
      let alone = try await server.post(
        "/v1/completions", ["prompt": "a", "kv_transfer_params": ["stream_blocks": true]])
      #expect(alone.status == 400)
      #expect(alone.json["error"]?["param"]?.string == "kv_transfer_params.stream_blocks", "\(alone.text)")
      let long = try await server.post(
        "/v1/completions",
        ["prompt": .array((0..<5000).map { _ in 5 }), "kv_transfer_params": streamParameters])
      #expect(long.status == 400 && long.json["error"]?["param"]?.string == "prompt", "\(long.text)")
    }
  }

  @Test func eventsAreFoundInPartsOfAnySize() throws {
    let text = ": keep-alive\n\ndata: {\"a\": 1}\n\nevent: x\ndata: two\n\ndata: [DONE]\n\n"
    for size in 1...text.utf8.count {
      var lines = EventLines()
      var found: [String] = []
      let bytes = Array(text.utf8)
      for start in stride(from: 0, to: bytes.count, by: size) {
        let part = bytes[start..<min(start + size, bytes.count)]
        found += try lines.append(ByteBuffer(bytes: part)).map { String(decoding: $0, as: UTF8.self) }
      }
      #expect(found == ["{\"a\": 1}", "two", "[DONE]"], "parts of \(size) bytes")
    }
  }
}

@Suite(.enabled(if: Node.hasUCX), .serialized) struct StreamedHandoffTests {
  /// Four rows a step: a hundred steps.
  private static func long(_ number: Int) -> JSONObject {
    let prompt = JSONValue.array((0..<400).map { JSONValue(300 + ($0 * 7 + number * 31) % 100) })
    return [
      "prompt": prompt, "max_tokens": 6, "ignore_eos": true, "return_token_ids": true,
      "temperature": number % 2 == 0 ? 0 : 1, "seed": JSONValue(number),
    ]
  }

  /// Runs `body` behind a router that streams blocks over a slow prefill node and a decode node.
  private static func streaming(
    decodeSecret: ClusterSecret? = Node.secret, holdSeconds: Double = 30,
    _ body: @escaping @Sendable (_ port: Int, RouterService, [Engine]) async throws -> Void
  ) async throws {
    let engines = [
      try Node.engine(transport: true, holdSeconds: holdSeconds, node: "p", stepTokens: 4),
      try Node.engine(transport: true, node: "d", secret: decodeSecret),
    ]
    try await TestServer.listening(Node.configuration("p", .prefill), engine: engines[0]) { prefill, _ in
      try await TestServer.listening(Node.configuration("d", .decode), engine: engines[1]) { decode, _ in
        try await DisaggregationTests.routed([(prefill, .prefill), (decode, .decode)], streamsBlocks: true) {
          try await body($0, $1, engines)
        }
      }
    }
  }

  /// Traces whose answer was asked for before the prefill was over.
  private static func overlapping(_ port: Int) async throws -> Int {
    let traces = try await get(port, "/weir/cluster/requests").json["requests"]?.array ?? []
    return traces.count { trace in
      guard let steps = trace["steps"]?.array, steps.count == 2, let prefill = steps[0]["seconds"]?.double,
        let begin = steps[0]["start_seconds"]?.double, let answer = steps[1]["start_seconds"]?.double
      else { return false }
      return answer < begin + prefill
    }
  }

  @Test(.timeLimit(.minutes(3))) func aRouterThatStreamsAnswersAsOneServerDoes() async throws {
    let bodies = DisaggregationTests.bodies + (0..<8).map { ("/v1/completions", Self.long($0)) }
    let expected = try await DisaggregationTests.alone(bodies)
    try await Self.streaming { port, service, engines in
      for (index, item) in bodies.enumerated() {
        let answer = try await post(port, item.path, .object(item.body))
        #expect(DisaggregationTests.tokens(answer) == expected[index], "request \(index): \(answer.text)")
        #expect(answer.headers["x-weir-prefill-node"] == "p" && answer.headers["x-weir-decode-node"] == "d")
        let transfer = answer.json["weir"]?["transfer"]
        #expect(transfer?["received_tokens"]?.int ?? 0 > 0, "request \(index): \(answer.text)")
        #expect(transfer?["recomputed_because"]?.isNull == true, "request \(index): \(answer.text)")
      }
      #expect(try await Self.overlapping(port) > 0, "no answer was asked for before its prefill was over")
      var streamed = Self.long(20)
      let whole = try await DisaggregationTests.alone([("/v1/completions", streamed)])
      streamed["stream"] = true
      let events = try await post(port, "/v1/completions", .object(streamed))
      let tokens = events.chunks.flatMap { $0["choices"]?[0]?["token_ids"]?.array?.compactMap(\.int) ?? [] }
      #expect(tokens == whole[0] && events.events.last?.data == "[DONE]", "\(events.text)")
      let wrong = try await post(port, "/v1/completions", ["prompt": "a", "temperature": -1])
      #expect(wrong.status == 400 && wrong.json["error"]?["param"]?.string == "temperature")
      #expect(service.counts.disaggregated == UInt64(bodies.count + 1) && service.counts.failed == 0)
      #expect(service.counts.prefillFailures == 0, "\(service.counts)")
      #expect(await Node.leaksNothing(engines))
    }
  }

  /// The decode node does not believe the ticket: it computes the prompt, and nothing is kept for it.
  @Test(.timeLimit(.minutes(3))) func aRefusedTicketIsComputedAgain() async throws {
    let body = Self.long(3)
    let expected = try await DisaggregationTests.alone([("/v1/completions", body)])
    let other = try ClusterSecret(bytes: Array("another secret of the tests".utf8))
    try await Self.streaming(decodeSecret: other, holdSeconds: 3) { port, _, engines in
      let answer = try await post(port, "/v1/completions", .object(body))
      #expect(DisaggregationTests.tokens(answer) == expected[0], "\(answer.text)")
      #expect(answer.json["weir"]?["transfer"]?["recomputed_because"]?.string == "unsealed_ticket", "\(answer.text)")
      #expect(await Node.leaksNothing(engines))
    }
  }

  /// Its client goes while the prompt is computed: both nodes stop.
  @Test(.timeLimit(.minutes(3)), arguments: [false, true]) func aClientThatGoesStopsBothHalves(streams: Bool)
    async throws
  {
    try await Self.streaming { port, service, engines in
      var body = Self.long(5)
      body["max_tokens"] = 100
      body["stream"] = .bool(streams)
      let text = JSONValue.object(body).serialized()
      for _ in 0..<4 {
        try await blocking {
          let socket = try RawSocket(port: port)
          try socket.send(RawSocket.request("POST", "/v1/completions", body: text))
          // Both halves are open: the prompt is being computed, and the decode node waits for its blocks.
          for _ in 0..<10_000 {
            let traces = try RawSocket.exchange(port: port, "GET", "/weir/cluster/requests", headers: [:], body: nil)
            guard let last = traces.json["requests"]?.array?.last, last["seconds"]?.isNull == true else { continue }
            let steps = last["steps"]?.array ?? []
            if steps.count == 2, steps.allSatisfy({ $0["seconds"]?.isNull == true }) { break }
          }
          socket.close()
        }
      }
      #expect(
        await eventually {
          for engine in engines {
            let status = await engine.status()
            if status.load.runningSequences > 0 || status.load.waitingRequests > 0 || status.handoffs.arriving > 0 {
              return false
            }
          }
          return true
        })
      #expect(await Node.leaksNothing(engines))
      let traces = try await get(port, "/weir/cluster/requests").json["requests"]?.array ?? []
      #expect(traces.allSatisfy { $0["failure"]?.string == "request_cancelled" }, "\(traces)")
      #expect(traces.contains { $0["steps"]?[0]?["failure"]?.string == "not_needed" }, "\(traces)")
      #expect(service.counts.prefillFailures == 0, "\(service.counts)")
    }
  }
}
