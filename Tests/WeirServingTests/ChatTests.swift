// POST /v1/chat/completions over a real socket.

import Testing
import WeirBasics
import WeirEngine
import WeirKVCache
import WeirSampling
import WeirTestSupport
import WeirText

private let hello: JSONValue = ["role": "user", "content": "Hi"]

@Suite struct ChatTests {
  @Test func `a chat answer has OpenAI's shape and its usage adds up`() async throws {
    try await TestServer.with(script: { _ in EngineScript(answer: [.say("Hello")], cachedTokens: 3) }) { server in
      let response = try await server.post("/v1/chat/completions", ["model": "test-model", "messages": [hello]])
      #expect(response.status == 200)
      #expect(response.headers["content-type"] == "application/json")
      let body = response.json
      #expect(body["object"]?.string == "chat.completion")
      #expect(body["choices"]?[0]?["message"]?["content"]?.string == "Hello")
      #expect(body["choices"]?[0]?["message"]?["role"]?.string == "assistant")
      #expect(body["choices"]?[0]?["finish_reason"]?.string == "stop")
      let usage = body["usage"]
      #expect(usage?["completion_tokens"]?.int == 5)
      #expect(usage?["prompt_tokens_details"]?["cached_tokens"]?.int == 3)
      #expect(
        usage?["total_tokens"]?.int == (usage?["prompt_tokens"]?.int ?? 0) + (usage?["completion_tokens"]?.int ?? 0))
    }
  }

  @Test func `a stream starts with the role, ends with the reason, the usage and DONE`() async throws {
    try await TestServer.with { server in
      let response = try await server.post(
        "/v1/chat/completions",
        ["messages": [hello], "stream": true, "stream_options": ["include_usage": true]])
      #expect(response.headers["content-type"]?.hasPrefix("text/event-stream") == true)
      #expect(response.events.last?.data == "[DONE]")
      let chunks = response.chunks
      #expect(chunks.first?["choices"]?[0]?["delta"]?["role"]?.string == "assistant")
      #expect(chunks.allSatisfy { $0["object"]?.string == "chat.completion.chunk" })
      #expect(Set(chunks.compactMap { $0["id"]?.string }).count == 1)
      let text = chunks.compactMap { $0["choices"]?[0]?["delta"]?["content"]?.string }.joined()
      #expect(text == "Hello")
      let finish = chunks.dropLast().last
      #expect(finish?["choices"]?[0]?["finish_reason"]?.string == "stop")
      #expect(chunks.last?["choices"]?.array?.isEmpty == true)
      #expect(chunks.last?["usage"]?["completion_tokens"]?.int == 5)
      #expect(chunks.dropLast().allSatisfy { $0["usage"] == nil })
    }
  }

  @Test func `continuous usage counts in every chunk`() async throws {
    try await TestServer.with { server in
      let response = try await server.post(
        "/v1/chat/completions",
        [
          "messages": [hello], "stream": true,
          "stream_options": ["include_usage": true, "continuous_usage_stats": true],
        ])
      let counts = response.chunks.compactMap { $0["usage"]?["completion_tokens"]?.int }
      #expect(counts.count == response.chunks.count)
      #expect(counts == counts.sorted())
      #expect(counts.first == 0)
      #expect(counts.last == 5)
    }
  }

  @Test func `without include_usage no chunk carries usage`() async throws {
    try await TestServer.with { server in
      let response = try await server.post("/v1/chat/completions", ["messages": [hello], "stream": true])
      #expect(response.chunks.allSatisfy { $0["usage"] == nil && $0["choices"]?.array?.isEmpty == false })
    }
  }

  @Test func `content may come as parts, and unknown fields are ignored`() async throws {
    try await TestServer.with { server in
      let response = try await server.post(
        "/v1/chat/completions",
        [
          "messages": [
            ["role": "user", "content": [["type": "text", "text": "one"], ["type": "text", "text": "two"]]]
          ],
          "no_such_field": 17, "store": true, "metadata": ["a": "b"], "user": "u",
        ])
      #expect(response.status == 200)
      let prompt = server.engine.requests[0].prompt
      #expect(server.engine.information.tokenizer.decode(prompt).contains("one\ntwo"))
    }
  }

  @Test func `several choices come back under their indices`() async throws {
    try await TestServer.with { server in
      let whole = try await server.post("/v1/chat/completions", ["messages": [hello], "n": 3])
      #expect(whole.json["choices"]?.array?.compactMap { $0["index"]?.int } == [0, 1, 2])
      let stream = try await server.post("/v1/chat/completions", ["messages": [hello], "n": 2, "stream": true])
      let ends = stream.chunks.filter { $0["choices"]?[0]?["finish_reason"]?.string != nil }
      #expect(Set(ends.compactMap { $0["choices"]?[0]?["index"]?.int }) == [0, 1])
    }
  }

  @Test func `log-probabilities list the token, its bytes and its rivals`() async throws {
    try await TestServer.with { server in
      let response = try await server.post(
        "/v1/chat/completions", ["messages": [hello], "logprobs": true, "top_logprobs": 2])
      let content = response.json["choices"]?[0]?["logprobs"]?["content"]?.array ?? []
      #expect(content.count == 5)
      #expect(content.first?["token"]?.string == "H")
      #expect(content.first?["bytes"]?[0]?.int == 72)
      #expect(content.first?["top_logprobs"]?.array?.count == 2)
      let stream = try await server.post(
        "/v1/chat/completions", ["messages": [hello], "logprobs": true, "stream": true])
      let streamed = stream.chunks.flatMap { $0["choices"]?[0]?["logprobs"]?["content"]?.array ?? [] }
      #expect(streamed.count == 5)
    }
  }

  @Test func `the sampling fields reach the engine`() async throws {
    try await TestServer.with { server in
      _ = try await server.post(
        "/v1/chat/completions",
        [
          "messages": [hello], "temperature": 0.5, "top_p": 0.9, "top_k": 7, "min_p": 0.1, "seed": -3,
          "frequency_penalty": 0.25, "presence_penalty": -0.5, "repetition_penalty": 1.25, "logit_bias": ["5": -100],
          "max_completion_tokens": 3, "max_tokens": 99, "min_tokens": 2, "ignore_eos": true, "stop": ["x", "y"],
          "stop_token_ids": [9], "priority": 4, "cache_salt": "s", "xtc_probability": 0.5, "dry_multiplier": 0.8,
          "typical_p": 0.7,
        ])
      let request = server.engine.requests[0]
      #expect(request.sampling.temperature == 0.5)
      #expect(request.sampling.topP == 0.9)
      #expect(request.sampling.topK == 7)
      #expect(request.sampling.minP == 0.1)
      #expect(request.sampling.typicalP == 0.7)
      #expect(request.sampling.repetitionPenalty == 1.25)
      #expect(request.sampling.logitBias == [5: -100])
      #expect(request.sampling.xtc?.probability == 0.5)
      #expect(request.sampling.dry?.multiplier == 0.8)
      #expect(request.seed == UInt64(bitPattern: -3))
      #expect(request.maxTokens == 3)
      #expect(request.minTokens == 2)
      #expect(request.ignoreEndTokens)
      #expect(request.stopStrings == ["x", "y"])
      #expect(request.stopTokens == [9])
      #expect(request.priority == 4)
      #expect(request.cacheSalt == "s")
    }
  }

  @Test func `the weir object explains only when asked`() async throws {
    try await TestServer.with { server in
      let plain = try await server.post("/v1/chat/completions", ["messages": [hello]])
      #expect(plain.json["weir"] == nil)
      let explained = try await server.post(
        "/v1/chat/completions",
        ["messages": [hello], "weir": ["explain": true], "session_id": "s1", "prompt_cache_key": "k"])
      #expect(explained.json["weir"]?["timings"]?["total_seconds"]?.double != nil)
      #expect(explained.json["weir"]?["prompt_cache_key"]?.string == "k")
      #expect(explained.json["weir"]?["session_id"]?.string == "s1")
    }
  }

  @Test func `a KV policy travels with its budget and its parameters, and is reported`() async throws {
    try await TestServer.with { server in
      let answer = try await server.post(
        "/v1/chat/completions",
        ["messages": [hello], "kv_policy": ["name": "h2o", "budget": 256, "decay": 0.5, "chunk": "end"]])
      _ = try await server.post(
        "/v1/chat/completions", ["messages": [hello], "kv_policy": ["name": "tova", "ratio": 0.25]])
      _ = try await server.post("/v1/chat/completions", ["messages": [hello]])
      #expect(
        server.engine.requests.map(\.kvPolicy) == [
          KVPolicyRequest(name: "h2o:decay=0.5,chunk=end", budget: .slots(256)),
          KVPolicyRequest(name: "tova", budget: .ratio(0.25)), nil,
        ])
      #expect(answer.json["weir"]?["kv"]?.array != nil)
    }
  }

  @Test func `render returns the tokens that the engine would get`() async throws {
    try await TestServer.with { server in
      let rendered = try await server.post("/v1/chat/completions/render", ["messages": [hello]])
      _ = try await server.post("/v1/chat/completions", ["messages": [hello]])
      let tokens = rendered.json["token_ids"]?.array?.compactMap(\.int) ?? []
      #expect(tokens == server.engine.requests[0].prompt.map(\.index))
      #expect(rendered.json["text"]?.string?.contains("Hi") == true)
    }
  }

  @Test func `a structured output becomes a constraint`() async throws {
    try await TestServer.with { server in
      let schema: JSONValue = ["type": "object", "properties": ["a": ["type": "integer"]]]
      let format: JSONValue = ["type": "json_schema", "json_schema": ["name": "x", "schema": schema]]
      _ = try await server.post("/v1/chat/completions", ["messages": [hello], "response_format": format])
      _ = try await server.post("/v1/chat/completions", ["messages": [hello], "guided_choice": ["a", "b"]])
      _ = try await server.post(
        "/v1/chat/completions", ["messages": [hello], "structured_outputs": ["regex": "[0-9]+"]])
      #expect(
        server.engine.requests.map(\.constraint) == [.jsonSchema(schema), .choice(["a", "b"]), .regex("[0-9]+")])
    }
  }
}
