// Anthropic's messages and OpenAI's responses.

import Testing
import WeirBasics
import WeirEngine
import WeirServing
import WeirTestSupport
import WeirText

private let tool: JSONValue = [
  "name": "weather", "description": "says the weather",
  "input_schema": ["type": "object", "properties": ["city": ["type": "string"]]],
]

@Suite struct MessageTests {
  @Test func `a message has Anthropic's shape`() async throws {
    try await TestServer.with(script: { _ in EngineScript(answer: [.say("Hello")], cachedTokens: 2) }) { server in
      let response = try await server.post(
        "/v1/messages",
        [
          "model": "test-model", "max_tokens": 50, "system": [["type": "text", "text": "Be brief."]],
          "messages": [["role": "user", "content": [["type": "text", "text": "Hi"]]]],
        ])
      #expect(response.status == 200)
      #expect(response.headers["request-id"] != nil)
      #expect(response.json["type"]?.string == "message")
      #expect(response.json["content"]?[0]?["text"]?.string == "Hello")
      #expect(response.json["stop_reason"]?.string == "end_turn")
      #expect(response.json["usage"]?["cache_read_input_tokens"]?.int == 2)
      #expect(response.json["usage"]?["output_tokens"]?.int == 5)
      let prompt = server.engine.information.tokenizer.decode(server.engine.requests[0].prompt)
      #expect(prompt.contains("Be brief.") && prompt.contains("Hi"))
    }
  }

  @Test func `a streamed message opens and closes its block in Anthropic's order`() async throws {
    try await TestServer.with { server in
      let response = try await server.post(
        "/v1/messages", ["max_tokens": 50, "stream": true, "messages": [["role": "user", "content": "Hi"]]])
      let names = response.events.compactMap(\.name).filter { $0 != "ping" && $0 != "content_block_delta" }
      #expect(
        names == ["message_start", "content_block_start", "content_block_stop", "message_delta", "message_stop"])
      #expect(response.chunks.compactMap { $0["delta"]?["text"]?.string }.joined() == "Hello")
      let delta = response.chunks.first { $0["type"]?.string == "message_delta" }
      #expect(delta?["delta"]?["stop_reason"]?.string == "end_turn")
      #expect(delta?["usage"]?["output_tokens"]?.int == 5)
      #expect(zip(response.events, response.chunks).allSatisfy { $0.name == $1["type"]?.string })
    }
  }

  @Test func `a stop sequence and the length are named`() async throws {
    try await TestServer.with { server in
      let message: JSONValue = ["role": "user", "content": "Hi"]
      let stopped = try await server.post(
        "/v1/messages", ["max_tokens": 50, "stop_sequences": ["l"], "messages": [message]])
      #expect(stopped.json["stop_reason"]?.string == "stop_sequence")
      #expect(stopped.json["stop_sequence"]?.string == "l")
      let cut = try await server.post("/v1/messages", ["max_tokens": 2, "messages": [message]])
      #expect(cut.json["stop_reason"]?.string == "max_tokens")
    }
  }

  @Test func `tool results and calls become messages of the conversation`() async throws {
    try await TestServer.with { server in
      let response = try await server.post(
        "/v1/messages",
        [
          "max_tokens": 50, "tools": [tool],
          "messages": [
            ["role": "user", "content": "Weather?"],
            [
              "role": "assistant",
              "content": [["type": "tool_use", "id": "t1", "name": "weather", "input": ["city": "Rome"]]],
            ],
            ["role": "user", "content": [["type": "tool_result", "tool_use_id": "t1", "content": "sunny"]]],
          ],
        ])
      #expect(response.status == 200)
      let prompt = server.engine.information.tokenizer.decode(server.engine.requests[0].prompt)
      #expect(prompt.contains("sunny"))
    }
  }

  @Test func `counting tokens gives what the message would use`() async throws {
    try await TestServer.with { server in
      let message: JSONValue = ["role": "user", "content": "Hi"]
      let counted = try await server.post("/v1/messages/count_tokens", ["messages": [message]])
      _ = try await server.post("/v1/messages", ["max_tokens": 5, "messages": [message]])
      #expect(counted.json["input_tokens"]?.int == server.engine.requests[0].prompt.count)
    }
  }

  @Test func `a forced tool call is constrained and comes back as a call in all three APIs`() async throws {
    let call = "{\"name\": \"weather\", \"arguments\": {\"city\": \"Rome\"}}"
    try await TestServer.with(script: { _ in EngineScript(answer: [.say(call)]) }) { server in
      let function: JSONValue = ["name": "weather", "parameters": tool["input_schema"] ?? .null]
      let user: JSONValue = ["role": "user", "content": "Weather?"]
      let chat: JSONValue = [
        "messages": [user], "tools": [["type": "function", "function": function]], "tool_choice": "required",
      ]
      let whole = try await server.post("/v1/chat/completions", chat)
      let first = whole.json["choices"]?[0]
      #expect(first?["finish_reason"]?.string == "tool_calls")
      let made = first?["message"]?["tool_calls"]?[0]
      #expect(made?["function"]?["name"]?.string == "weather")
      let arguments = try JSONValue.parse(made?["function"]?["arguments"]?.string ?? "")
      #expect(arguments == ["city": "Rome"])
      #expect(made?["id"]?.string?.hasPrefix("call_") == true)

      let anthropic = try await server.post(
        "/v1/messages",
        ["max_tokens": 99, "messages": [user], "tools": [tool], "tool_choice": ["type": "tool", "name": "weather"]])
      #expect(anthropic.json["stop_reason"]?.string == "tool_use")
      #expect(anthropic.json["content"]?[0]?["input"]?["city"]?.string == "Rome")

      var named = function.object ?? JSONObject()
      named["type"] = "function"
      let response = try await server.post(
        "/v1/responses", ["input": "Weather?", "tools": [.object(named)], "tool_choice": "required"])
      #expect(response.json["output"]?[0]?["type"]?.string == "function_call")
      #expect(response.json["output"]?[0]?["name"]?.string == "weather")
      #expect(server.engine.requests.allSatisfy { $0.constraint != nil })
    }
  }

  @Test func `a streamed tool call opens with its name and continues with its arguments`() async throws {
    let text = "Let me look.<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Rome\"}}\n</tool_call>"
    var information = try TestServer.information()
    information.chatTemplate = try .builtin(named: "chatml")
    try await TestServer.with(information: information, script: { _ in EngineScript(answer: [.say(text)]) }) { server in
      let function: JSONValue = ["name": "weather", "parameters": tool["input_schema"] ?? .null]
      let response = try await server.post(
        "/v1/chat/completions",
        [
          "messages": [["role": "user", "content": "Weather?"]], "stream": true,
          "tools": [["type": "function", "function": function]],
        ])
      let deltas = response.chunks.compactMap { $0["choices"]?[0]?["delta"] }
      let calls = deltas.compactMap { $0["tool_calls"]?[0] }
      #expect(calls.first?["function"]?["name"]?.string == "weather")
      #expect(calls.first?["index"]?.int == 0)
      let arguments = calls.compactMap { $0["function"]?["arguments"]?.string }.joined()
      #expect(try JSONValue.parse(arguments) == ["city": "Rome"])
      let content = deltas.compactMap { $0["content"]?.string }.joined()
      #expect(content.hasPrefix("Let me look."))
      #expect(response.chunks.last?["choices"]?[0]?["finish_reason"]?.string == "tool_calls")
    }
  }

  @Test func `thinking is split off the answer`() async throws {
    try await TestServer.with(script: { _ in EngineScript(answer: [.say("<think>hm</think>yes")]) }) { server in
      let response = try await server.post(
        "/v1/chat/completions", ["messages": [["role": "user", "content": "Hi"]]])
      let message = response.json["choices"]?[0]?["message"]
      #expect(message?["reasoning_content"]?.string == "hm")
      #expect(message?["content"]?.string == "yes")
      let details = response.json["usage"]?["completion_tokens_details"]
      #expect((details?["reasoning_tokens"]?.int ?? 0) > 0)
    }
  }
}

@Suite struct ResponsesTests {
  @Test func `a response is stored, found, continued and deleted`() async throws {
    try await TestServer.with { server in
      let made = try await server.post("/v1/responses", ["input": "Hi", "instructions": "Be brief."])
      #expect(made.json["status"]?.string == "completed")
      #expect(made.json["output"]?[0]?["content"]?[0]?["text"]?.string == "Hello")
      #expect(made.json["usage"]?["output_tokens"]?.int == 5)
      let id = try #require(made.json["id"]?.string)
      #expect(try await server.get("/v1/responses/\(id)").json["id"]?.string == id)
      let next = try await server.post(
        "/v1/responses", ["input": [["role": "user", "content": "More"]], "previous_response_id": .string(id)])
      #expect(next.status == 200)
      let prompt = server.engine.information.tokenizer.decode(server.engine.requests[1].prompt)
      #expect(prompt.contains("Hi") && prompt.contains("Hello") && prompt.contains("More"))
      #expect(!prompt.contains("Be brief."))
      #expect(try await server.send("DELETE", "/v1/responses/\(id)").json["deleted"]?.bool == true)
      #expect(try await server.get("/v1/responses/\(id)").status == 404)
    }
  }

  @Test func `a response that is not to be stored is not`() async throws {
    try await TestServer.with { server in
      let made = try await server.post("/v1/responses", ["input": "Hi", "store": false])
      let id = try #require(made.json["id"]?.string)
      #expect(try await server.get("/v1/responses/\(id)").status == 404)
    }
  }

  @Test func `the oldest stored response makes room`() async throws {
    try await TestServer.with({ $0.storedResponses = 2 }) { server in
      var ids: [String] = []
      for _ in 0..<3 {
        ids.append(try await server.post("/v1/responses", ["input": "Hi"]).json["id"]?.string ?? "")
      }
      var statuses: [Int] = []
      for id in ids { statuses.append(try await server.get("/v1/responses/\(id)").status) }
      #expect(statuses == [404, 200, 200])
    }
  }

  @Test func `a streamed response numbers its events and completes`() async throws {
    try await TestServer.with { server in
      let response = try await server.post("/v1/responses", ["input": "Hi", "stream": true])
      let chunks = response.chunks
      #expect(chunks.compactMap { $0["sequence_number"]?.int } == Array(0..<chunks.count))
      let types = chunks.compactMap { $0["type"]?.string }.filter { $0 != "response.output_text.delta" }
      #expect(
        types == [
          "response.created", "response.in_progress", "response.output_item.added", "response.content_part.added",
          "response.output_text.done", "response.content_part.done", "response.output_item.done", "response.completed",
        ])
      #expect(chunks.compactMap { $0["delta"]?.string }.joined() == "Hello")
      let last = chunks.last?["response"]
      #expect(last?["status"]?.string == "completed")
      #expect(last?["output"]?[0]?["content"]?[0]?["text"]?.string == "Hello")
      let id = try #require(last?["id"]?.string)
      #expect(try await server.get("/v1/responses/\(id)").json["status"]?.string == "completed")
    }
  }

  @Test func `a stored response whose reader went away is cancelled`() async throws {
    try await TestServer.with(script: { _ in EngineScript(answer: [.say("a"), .hold]) }) { server in
      let port = server.port
      try await blocking {
        let socket = try RawSocket(port: port)
        let body = JSONValue.object(["input": "Hi", "stream": true]).serialized()
        try socket.send(
          RawSocket.request("POST", "/v1/responses", headers: ["X-Request-Id": "r2"], body: body))
        _ = try socket.read(through: "output_text.delta")
        socket.close()
      }
      let ended = await eventually {
        (try? await server.get("/v1/responses/resp_r2"))?.json["status"]?.string == "cancelled"
      }
      #expect(ended)
      #expect(server.engine.cancelled == [RequestID("resp_r2")])
    }
  }

  @Test func `a running response is cancelled by its identifier`() async throws {
    try await TestServer.with(script: { _ in EngineScript(answer: [.say("a"), .hold]) }) { server in
      async let running = server.post(
        "/v1/responses", ["input": "Hi", "stream": true], headers: ["X-Request-Id": "r1"])
      #expect(await eventually { server.engine.runningCount == 1 })
      let cancelled = try await server.send("POST", "/v1/responses/resp_r1/cancel")
      #expect(cancelled.json["status"]?.string == "cancelled")
      #expect(server.engine.cancelled.contains(RequestID("resp_r1")))
      _ = try await running
    }
  }
}
