// What a router reads out of a body that it does not understand in full: enough to place it and to split it in two.

import WeirBasics
import WeirCluster

/// A generating request on its way through the router.
struct RoutedRequest: Sendable {
  let path: String
  let id: String
  let body: JSONObject
  let headers: [(String, String)]

  var model: String? { body["model"]?.string }
  var streams: Bool { body["stream"]?.bool ?? false }

  /// One prompt that one node can prefill for another. What asks for rows of the prompt itself (its log-probabilities,
  /// an echo) or brings several prompts is done by one node.
  var canBeSplit: Bool {
    if body["prompt_logprobs"]?.isNull == false || body["echo"]?.bool == true { return false }
    if body["kv_transfer_params"]?.isNull == false { return false }
    guard path == "/v1/completions" else { return true }
    guard let items = body["prompt"]?.array else { return true }
    return items.count == 1 || items.allSatisfy { $0.int != nil }
  }

  /// Tokens of the prompt, by guess: four bytes a token.
  var promptTokens: Int {
    if let prompt = body["prompt"] {
      if let items = prompt.array, items.allSatisfy({ $0.int != nil }) { return max(1, items.count) }
      return max(1, Self.bytes(of: prompt) / 4)
    }
    return max(1, (body["messages"].map(Self.bytes) ?? 0) / 4)
  }

  /// The text that decides which cached KV fits, with what keeps callers and models apart.
  var prefix: PrefixChain {
    var seed = Array(path.utf8)
    for name in ["model", "tools", "cache_salt", "chat_template"] {
      if let value = body[name] { seed += Array(name.utf8) + value.serializedBytes() }
    }
    for (name, value) in headers where ["authorization", "x-api-key", "x-tenant-id"].contains(name) {
      seed += Array("\(name)=\(value);".utf8)
    }
    return PrefixChain((body["messages"] ?? body["prompt"] ?? .null).serializedBytes(), seed: seed)
  }

  /// Tokens of the answer at most; nil: nobody said.
  var outputLimit: Int? { body["max_completion_tokens"]?.int ?? body["max_tokens"]?.int }

  func routeRequest(model: ModelFingerprint) -> RouteRequest {
    let limit = max(1, outputLimit ?? (path == "/v1/completions" ? 16 : 256))
    return RouteRequest(
      request: RequestID(id), model: model, promptTokens: promptTokens, expectedOutputTokens: min(limit, 256),
      outputTokensLimit: limit)
  }

  /// Bytes of all texts in a value.
  private static func bytes(of value: JSONValue) -> Int {
    if let text = value.string { return text.utf8.count }
    if let items = value.array { return items.reduce(0) { $0 + bytes(of: $1) } }
    if let object = value.object { return object.values.reduce(0) { $0 + bytes(of: $1) } }
    return 0
  }

  /// What the prefill node is asked.
  ///
  /// - Parameter streamsBlocks: its ticket is wanted when the prompt begins. A node that does not know this answers
  ///   when the prompt is computed, as without it.
  func prefillBody(streamsBlocks: Bool) -> [UInt8] {
    var body = self.body
    body["stream"] = false
    body["stream_options"] = nil
    body["max_tokens"] = 1
    if body["max_completion_tokens"] != nil { body["max_completion_tokens"] = 1 }
    if body["min_tokens"] != nil { body["min_tokens"] = 0 }
    body["n"] = 1
    body["best_of"] = nil
    var parameters: JSONObject = [
      "do_remote_decode": true, "do_remote_prefill": false, "remote_engine_id": .null, "remote_block_ids": .null,
      "remote_host": .null, "remote_port": .null,
    ]
    if streamsBlocks { parameters["stream_blocks"] = true }
    body["kv_transfer_params"] = .object(parameters)
    return JSONValue.object(body).serializedBytes()
  }

  /// What the decode node is asked: the client's own body and where the KV is.
  func decodeBody(_ parameters: JSONValue?) -> [UInt8] {
    var body = self.body
    if let parameters { body["kv_transfer_params"] = parameters }
    return JSONValue.object(body).serializedBytes()
  }
}
