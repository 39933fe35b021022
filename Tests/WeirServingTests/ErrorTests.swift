// The error table: every wrong request with its status, code and field.

import Testing
import WeirBasics
import WeirEngine
import WeirServing
import WeirTestSupport

private let hello: JSONValue = ["role": "user", "content": "Hi"]

/// One wrong request.
struct WrongRequest: Sendable, CustomTestStringConvertible {
  var path = "/v1/chat/completions"
  var body: JSONValue
  var status = 400
  var code: String
  var param: String?
  var testDescription: String { "\(path) \(body.serialized())" }
}

private func chat(_ fields: JSONObject, code: String, param: String?) -> WrongRequest {
  var body: JSONObject = ["messages": [hello]]
  for (key, value) in fields { body[key] = value }
  return WrongRequest(body: .object(body), code: code, param: param)
}

@Suite struct ErrorTests {
  static let wrongChats: [WrongRequest] = [
    WrongRequest(body: [:], code: "missing_required_parameter", param: "messages"),
    WrongRequest(body: ["messages": []], code: "invalid_value", param: "messages"),
    WrongRequest(body: ["messages": "x"], code: "invalid_type", param: "messages"),
    WrongRequest(
      body: ["messages": [["role": "king", "content": "x"]]], code: "invalid_value", param: "messages[0].role"),
    WrongRequest(
      body: ["messages": [["role": "user"]]], code: "missing_required_parameter", param: "messages[0].content"),
    WrongRequest(
      body: ["messages": [["role": "user", "content": [["type": "image_url", "image_url": ["url": "x"]]]]]],
      code: "unsupported_parameter", param: "messages[0].content[0]"),
    chat(["temperature": "hot"], code: "invalid_type", param: "temperature"),
    chat(["temperature": -1], code: "invalid_value", param: "temperature"),
    chat(["top_p": 0], code: "invalid_value", param: "top_p"),
    chat(["n": 0], code: "invalid_value", param: "n"),
    chat(["n": 1.5], code: "invalid_type", param: "n"),
    chat(["max_tokens": 0], code: "invalid_value", param: "max_tokens"),
    chat(["stop": ""], code: "invalid_value", param: "stop"),
    chat(["stop": [1]], code: "invalid_type", param: "stop[0]"),
    chat(["logit_bias": ["x": 1]], code: "invalid_value", param: "logit_bias.x"),
    chat(["top_logprobs": 2], code: "invalid_value", param: "top_logprobs"),
    chat(["logprobs": true, "top_logprobs": 1000], code: "invalid_value", param: "top_logprobs"),
    chat(["stream": "yes"], code: "invalid_type", param: "stream"),
    chat(["response_format": ["type": "xml"]], code: "invalid_value", param: "response_format.type"),
    chat(["guided_regex": "a", "guided_choice": ["b"]], code: "invalid_value", param: "guided_choice"),
    chat(["tool_choice": "required"], code: "invalid_value", param: "tool_choice"),
    chat(["tools": [["type": "web_search"]]], code: "unsupported_parameter", param: "tools[0].type"),
    chat(["max_tokens": 100_000], code: "context_length_exceeded", param: "messages"),
    chat(["stop_token_ids": [999_999]], code: "invalid_value", param: "stop_token_ids[0]"),
    chat(["kv_policy": "h2o"], code: "invalid_type", param: "kv_policy"),
    chat(["kv_policy": ["budget": 64]], code: "missing_required_parameter", param: "kv_policy.name"),
    chat(["kv_policy": ["name": "h2o", "budget": 0]], code: "invalid_value", param: "kv_policy.budget"),
    chat(["kv_policy": ["name": "h2o", "ratio": 1.5]], code: "invalid_value", param: "kv_policy.ratio"),
    chat(["kv_policy": ["name": "h2o", "ratio": 0.5, "budget": 4]], code: "invalid_value", param: "kv_policy.ratio"),
    chat(["kv_policy": ["name": "h2o", "decay": []]], code: "invalid_type", param: "kv_policy.decay"),
    chat(["continue_final_message": true], code: "invalid_value", param: "continue_final_message"),
  ]

  static let others: [WrongRequest] = [
    WrongRequest(
      body: ["model": "gpt-9", "messages": [["role": "user", "content": "x"]]], status: 404, code: "model_not_found",
      param: "model"),
    WrongRequest(path: "/v1/completions", body: [:], code: "missing_required_parameter", param: "prompt"),
    WrongRequest(
      path: "/v1/completions", body: ["prompt": "a", "suffix": "b"], code: "unsupported_parameter", param: "suffix"),
    WrongRequest(
      path: "/v1/completions", body: ["prompt": [[1, "x"]]], code: "invalid_type", param: "prompt[0][1]"),
    WrongRequest(path: "/v1/completions", body: ["prompt": []], code: "invalid_value", param: "prompt"),
    WrongRequest(
      path: "/v1/completions", body: ["prompt": "a", "max_tokens": 0], code: "invalid_value", param: "max_tokens"),
    WrongRequest(
      path: "/v1/embeddings", body: ["input": "a", "dimensions": 3], code: "unsupported_parameter", param: "dimensions"),
    WrongRequest(
      path: "/v1/embeddings", body: ["input": "a", "encoding_format": "hex"], code: "invalid_value",
      param: "encoding_format"),
    WrongRequest(path: "/v1/responses", body: [:], code: "missing_required_parameter", param: "input"),
    WrongRequest(
      path: "/v1/responses", body: ["input": "a", "background": true], code: "unsupported_parameter",
      param: "background"),
    WrongRequest(
      path: "/v1/responses", body: ["input": "a", "previous_response_id": "resp_x"], status: 404,
      code: "response_not_found", param: "previous_response_id"),
    WrongRequest(path: "/tokenize", body: [:], code: "missing_required_parameter", param: "prompt"),
    WrongRequest(path: "/detokenize", body: ["tokens": [-1]], code: "invalid_value", param: "tokens[0]"),
  ]

  @Test func `every wrong request is told its field, code and status`() async throws {
    try await TestServer.with { server in
      for wrong in ErrorTests.wrongChats + ErrorTests.others {
        let response = try await server.post(wrong.path, wrong.body)
        let error = response.json["error"]
        #expect(response.status == wrong.status, "\(wrong.testDescription)")
        #expect(error?["code"]?.string == wrong.code, "\(wrong.testDescription)")
        #expect(error?["param"]?.string == wrong.param, "\(wrong.testDescription)")
        #expect(error?["message"]?.string?.isEmpty == false)
        #expect(error?["type"]?.string?.hasSuffix("_error") == true)
      }
      #expect(server.engine.requests.isEmpty)
    }
  }

  @Test func `a body that is no JSON object is refused`() async throws {
    try await TestServer.with { server in
      for raw in ["{", "[]", "nul", "{\"a\":1}x"] {
        let response = try await server.send("POST", "/v1/chat/completions", raw: raw)
        #expect(response.status == 400)
        #expect(response.json["error"]?["code"]?.string == "invalid_json")
      }
      let empty = try await server.send("POST", "/v1/chat/completions")
      #expect(empty.status == 400)
    }
  }

  @Test func `an unknown route is a JSON 404`() async throws {
    try await TestServer.with { server in
      let response = try await server.get("/v1/nothing")
      #expect(response.status == 404)
      #expect(response.json["error"]?["code"]?.string == "unknown_route")
      let model = try await server.get("/v1/models/other")
      #expect(model.status == 404)
      #expect(model.json["error"]?["code"]?.string == "model_not_found")
    }
  }

  @Test func `a body above the limit is 413, announced or not`() async throws {
    try await TestServer.with({ $0.maxBodyBytes = 1024 }) { server in
      let big = String(repeating: "x", count: 4000)
      let announced = try await server.post("/tokenize", ["prompt": .string(big)])
      #expect(announced.status == 413)
      #expect(announced.json["error"]?["code"]?.string == "request_too_large")
      let port = server.port
      let chunked = try await blocking {
        let socket = try RawSocket(port: port)
        try socket.send("POST /tokenize HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        try socket.send("FA0\r\n\(big)\r\n0\r\n\r\n")
        return try socket.readResponse()
      }
      #expect(chunked.status == 413)
    }
  }

  @Test func `what the engine refuses keeps its status also in a stream`() async throws {
    let failures: [(EngineError, Int)] = [
      (EngineError(.queueFull, message: "full", retryAfterSeconds: 3), 503),
      (EngineError(.insufficientKV, message: "too big"), 400), (EngineError(.internalError, message: "broken"), 500),
    ]
    for (failure, status) in failures {
      try await TestServer.with(
        { $0.earlyFailureSeconds = 10 }, script: { _ in EngineScript(prefill: [.fail(failure)], answer: []) }
      ) { server in
        for stream in [false, true] {
          let response = try await server.post(
            "/v1/chat/completions", ["messages": [hello], "stream": .bool(stream)])
          #expect(response.status == status)
          #expect(response.json["error"]?["code"]?.string == failure.code)
          if failure.kind == .queueFull {
            #expect(response.headers["retry-after"] == "3")
            #expect(response.headers["retry-after-ms"] == "3000")
          }
        }
      }
    }
  }

  @Test func `a failure in the middle of a stream is an event, and nothing follows it`() async throws {
    let failure = EngineError(.internalError, message: "broken")
    try await TestServer.with(script: { _ in EngineScript(answer: [.say("ab"), .fail(failure)]) }) { server in
      let response = try await server.post("/v1/chat/completions", ["messages": [hello], "stream": true])
      #expect(response.status == 200)
      #expect(response.chunks.last?["error"]?["code"]?.string == "internal_error")
      #expect(!response.text.contains("[DONE]"))
      let whole = try await server.post("/v1/chat/completions", ["messages": [hello]])
      #expect(whole.status == 500)
    }
  }

  @Test func `Anthropic's routes answer with Anthropic's error body`() async throws {
    try await TestServer.with { server in
      let missing = try await server.post("/v1/messages", ["messages": [hello]])
      #expect(missing.status == 400)
      #expect(missing.json["type"]?.string == "error")
      #expect(missing.json["error"]?["type"]?.string == "invalid_request_error")
      let image: JSONValue = ["type": "image", "source": [:]]
      let picture = try await server.post(
        "/v1/messages", ["max_tokens": 5, "messages": [["role": "user", "content": [image]]]])
      #expect(picture.status == 400)
    }
  }
}
