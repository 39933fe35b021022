// The happy paths of every other route.

import Testing
import WeirBasics
import WeirEngine
import WeirServing
import WeirTestSupport

@Suite struct RouteTests {
  @Test func `completions take a string, strings, tokens and lists of tokens`() async throws {
    try await TestServer.with { server in
      for (prompt, count) in [("a", 1), (["a", "b"], 2), ([5, 6], 1), ([[5], [6, 7]], 2)] as [(JSONValue, Int)] {
        let response = try await server.post("/v1/completions", ["prompt": prompt])
        #expect(response.status == 200)
        #expect(response.json["object"]?.string == "text_completion")
        #expect(response.json["choices"]?.array?.count == count)
        #expect(response.json["usage"]?["completion_tokens"]?.int == 5 * count)
      }
    }
  }

  @Test func `echo with log-probabilities covers prompt and answer`() async throws {
    try await TestServer.with { server in
      let response = try await server.post(
        "/v1/completions", ["prompt": "ab", "echo": true, "logprobs": 1, "max_tokens": 2])
      let choice = response.json["choices"]?[0]
      #expect(choice?["text"]?.string == "abHe")
      let lists = choice?["logprobs"]
      let count = server.engine.requests[0].prompt.count + 2
      #expect(lists?["tokens"]?.array?.count == count)
      #expect(lists?["token_logprobs"]?.array?.count == count)
      #expect(lists?["token_logprobs"]?[0]?.isNull == true)
      #expect(lists?["text_offset"]?.array?.count == count)
      #expect(choice?["finish_reason"]?.string == "length")
    }
  }

  @Test func `max_tokens 0 with echo gives the prompt back alone`() async throws {
    try await TestServer.with { server in
      let response = try await server.post(
        "/v1/completions", ["prompt": "ab", "echo": true, "logprobs": 0, "max_tokens": 0])
      #expect(response.json["choices"]?[0]?["text"]?.string == "ab")
      #expect(response.json["usage"]?["completion_tokens"]?.int == 0)
    }
  }

  @Test func `a completion stream of several prompts keeps their indices and ends once`() async throws {
    try await TestServer.with { server in
      let response = try await server.post(
        "/v1/completions", ["prompt": ["a", "b"], "stream": true, "stream_options": ["include_usage": true]])
      var texts = ["", ""]
      for chunk in response.chunks {
        guard let choice = chunk["choices"]?[0], let index = choice["index"]?.int else { continue }
        texts[index] += choice["text"]?.string ?? ""
      }
      #expect(texts == ["Hello", "Hello"])
      #expect(response.events.filter { $0.data == "[DONE]" }.count == 1)
      #expect(response.chunks.last?["usage"]?["completion_tokens"]?.int == 10)
    }
  }

  @Test func `tokenize and detokenize are inverse`() async throws {
    try await TestServer.with { server in
      let split = try await server.post("/tokenize", ["prompt": "Grüße", "add_special_tokens": false])
      #expect(split.json["count"]?.int == split.json["tokens"]?.array?.count)
      #expect(split.json["max_model_len"]?.int == 4096)
      let joined = try await server.post("/detokenize", ["tokens": split.json["tokens"] ?? .null])
      #expect(joined.json["prompt"]?.string == "Grüße")
    }
  }

  @Test func `embeddings come as numbers and as base64 of the same floats`() async throws {
    try await TestServer.with { server in
      let plain = try await server.post("/v1/embeddings", ["input": ["ab", "c"]])
      #expect(plain.json["data"]?.array?.count == 2)
      let vector = plain.json["data"]?[0]?["embedding"]?.array?.compactMap(\.double) ?? []
      #expect(vector.count == 8)
      #expect(abs(vector.reduce(0) { $0 + $1 * $1 } - 1) < 1e-5)
      let packed = try await server.post("/v1/embeddings", ["input": "ab", "encoding_format": "base64"])
      // 8 floats are 32 bytes: 44 characters with one sign of padding.
      let text = packed.json["data"]?[0]?["embedding"]?.string ?? ""
      #expect(text.utf8.count == 44)
      #expect(text.hasSuffix("=") && !text.hasSuffix("=="))
    }
  }

  @Test func `models are listed and found by name`() async throws {
    var information = try TestServer.information()
    information.modelAliases = ["org/alias"]
    try await TestServer.with(information: information) { server in
      let list = try await server.get("/v1/models")
      #expect(list.json["data"]?.array?.compactMap { $0["id"]?.string } == ["test-model", "org/alias"])
      #expect(try await server.get("/v1/models/test-model").json["max_model_len"]?.int == 4096)
      #expect(try await server.get("/v1/models/org/alias").status == 200)
      #expect(try await server.get("/v1/models/org%2Falias").status == 200)
    }
  }

  @Test func `health, version, load and server info answer`() async throws {
    try await TestServer.with { server in
      for path in ["/health", "/ping", "/ready", "/v1/health", "/version", "/load", "/get_server_info", "/weir/state"] {
        #expect(try await server.get(path).status == 200, "\(path)")
      }
      #expect(try await server.get("/health").body.isEmpty)
      #expect(try await server.send("HEAD", "/health").status == 200)
      let state = try await server.get("/weir/state").json
      #expect(state["model"]?["name"]?.string == "test-model")
      #expect(state["is_paused"]?.bool == false)
    }
  }

  @Test func `metrics use vLLM's names and Prometheus' format`() async throws {
    try await TestServer.with { server in
      _ = try await server.post("/v1/completions", ["prompt": "a"])
      _ = await eventually { server.engine.runningCount == 0 }
      let response = try await server.get("/metrics")
      #expect(response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8")
      let labels = "{model_name=\"test-model\",engine=\"0\""
      let lines = response.text.split(separator: "\n").map(String.init)
      #expect(lines.contains("vllm:generation_tokens_total\(labels)} 5"))
      #expect(lines.contains("vllm:request_success_total\(labels),finished_reason=\"stop\"} 1"))
      #expect(lines.contains("vllm:num_requests_waiting\(labels)} 0"))
      #expect(lines.contains("vllm:time_to_first_token_seconds_bucket\(labels),le=\"+Inf\"} 0"))
      #expect(lines.contains { $0.hasPrefix("weir_kv_blocks_free{") })
      // Every series has a type, and no type is given twice.
      let types = lines.filter { $0.hasPrefix("# TYPE ") }
      #expect(Set(types).count == types.count)
      let port = server.port
      let statuses = try await blocking { () -> [Int] in
        // A body after HEAD would be taken for the second response's head.
        let socket = try RawSocket(port: port)
        try socket.send(RawSocket.request("HEAD", "/metrics"))
        let head = try socket.readResponse(hasBody: false)
        try socket.send(RawSocket.request("GET", "/health"))
        return [head.status, try socket.readResponse().status]
      }
      #expect(statuses == [200, 200])
    }
  }

  @Test func `administration works with an empty body`() async throws {
    try await TestServer.with { server in
      #expect(try await server.send("POST", "/reset_prefix_cache").status == 200)
      #expect(server.engine.cacheClears == 1)
      #expect(try await server.send("POST", "/admin/pause").json["is_paused"]?.bool == true)
      #expect(try await server.get("/is_paused").json["is_paused"]?.bool == true)
      _ = try await server.send("POST", "/resume")
      #expect(try await server.get("/is_paused").json["is_paused"]?.bool == false)
    }
  }

  @Test func `a running request is aborted by its client's identifier`() async throws {
    try await TestServer.with(script: { _ in EngineScript(answer: [.say("a"), .hold]) }) { server in
      async let response = server.post(
        "/v1/completions", ["prompt": "a"], headers: ["X-Request-Id": "my-request"])
      #expect(await eventually { server.engine.runningCount == 1 })
      let aborted = try await server.post("/abort_requests", ["request_ids": ["my-request"]])
      #expect(aborted.json["aborted"]?[0]?.string == "cmpl-my-request")
      #expect(server.engine.cancelled.contains(RequestID("cmpl-my-request")))
      #expect(try await response.status != 200)
    }
  }

  @Test func `request identifiers are echoed if they are clean and replaced if not`() async throws {
    try await TestServer.with { server in
      let given = try await server.get("/health", headers: ["X-Request-Id": "abc-1"])
      #expect(given.headers["x-request-id"] == "abc-1")
      let wild = try await server.get("/health", headers: ["X-Request-Id": "a b\"c"])
      #expect(wild.headers["x-request-id"]?.count == 32)
      let long = try await server.get("/health", headers: ["X-Request-Id": String(repeating: "a", count: 129)])
      #expect(long.headers["x-request-id"]?.count == 32)
    }
  }

  @Test func `the page is served with a tag and not sent twice`() async throws {
    try await TestServer.with { server in
      let page = try await server.get("/")
      #expect(page.status == 200)
      #expect(page.headers["content-type"] == "text/html; charset=utf-8")
      #expect(page.headers["cache-control"] == "no-cache")
      let tag = try #require(page.headers["etag"])
      let again = try await server.get("/", headers: ["If-None-Match": tag])
      #expect(again.status == 304)
    }
  }

  @Test func `CORS headers appear only for allowed origins`() async throws {
    try await TestServer.with { server in
      let response = try await server.get("/health", headers: ["Origin": "http://a.example"])
      #expect(response.headers["access-control-allow-origin"] == nil)
    }
    try await TestServer.with({ $0.allowedOrigins = ["http://a.example"] }) { server in
      let good = try await server.get("/health", headers: ["Origin": "http://a.example"])
      #expect(good.headers["access-control-allow-origin"] == "http://a.example")
      let bad = try await server.get("/health", headers: ["Origin": "http://b.example"])
      #expect(bad.headers["access-control-allow-origin"] == nil)
      let preflight = try await server.send(
        "OPTIONS", "/v1/models", headers: ["Origin": "http://a.example", "Access-Control-Request-Method": "GET"])
      #expect(preflight.status == 204)
    }
  }
}
