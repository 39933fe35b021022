// POST /tokenize, /detokenize and /v1/embeddings, GET /tokenizer_info: tokens and vectors without generation.

import HTTPTypes
import Hummingbird
import WeirBasics
import WeirEngine
import WeirText

struct TokenRoutes: Sendable {
  let state: ServingState

  func add(to router: Router<ServingContext>) {
    router.post("/tokenize") { request, context in try await tokenize(request, context) }
    router.post("/detokenize") { request, _ in try await detokenize(request) }
    router.get("/tokenizer_info") { _, _ in tokenizerInfo() }
    router.post("/v1/embeddings") { request, context in try await embed(request, context) }
  }

  private func tokenize(_ request: Request, _ context: ServingContext) async throws -> Response {
    let fields = try await state.fields(request)
    try state.checkModel(try fields.string("model"))
    let tokens: [TokenID]
    if fields["messages"] != nil {
      tokens = try state.renderChat(ChatRequest(fields, caller: context.caller, limits: state.limits)).tokens
    } else {
      let text = try fields.string("prompt") ?? fields.string("content") ?? fields.string("text")
      guard let text else { throw APIError.missing("prompt", "give the text to tokenize, or messages") }
      tokens = state.information.tokenizer.encode(
        text, addSpecial: try fields.bool("add_special_tokens") ?? true,
        parseSpecial: try fields.bool("parse_special") ?? true)
    }
    var body: JSONObject = [
      "count": JSONValue(tokens.count), "max_model_len": JSONValue(state.information.contextLength),
      "tokens": .array(tokens.map { .integer(Int64($0.rawValue)) }), "token_strs": .null,
    ]
    if try fields.bool("return_token_strs") == true {
      body["token_strs"] = .array(tokens.map { .string(state.information.tokenizer.tokenText($0)) })
    }
    return .json(.object(body))
  }

  private func detokenize(_ request: Request) async throws -> Response {
    let fields = try await state.fields(request)
    try state.checkModel(try fields.string("model"))
    guard let tokens = try fields.tokens("tokens", vocabulary: state.information.vocabularySize) else {
      throw APIError.missing("tokens", "give a list of token numbers")
    }
    let skips = try fields.bool("skip_special_tokens") ?? false
    return .json(["prompt": .string(state.information.tokenizer.decode(tokens, skipSpecial: skips))])
  }

  /// What evaluation tools ask before they use /tokenize instead of files of their own.
  private func tokenizerInfo() -> Response {
    let tokenizer = state.information.tokenizer
    func text(_ token: TokenID?) -> JSONValue { token.map { .string(tokenizer.tokenText($0)) } ?? .null }
    return .json([
      "tokenizer_class": "weir", "model_max_length": JSONValue(state.information.contextLength),
      "vocab_size": JSONValue(tokenizer.vocabularySize), "add_bos_token": .bool(tokenizer.addBosByDefault),
      "bos_token": text(tokenizer.bosToken), "eos_token": text(tokenizer.eosToken), "pad_token": .null,
      "chat_template": state.information.chatTemplate.map { .string($0.source) } ?? .null,
    ])
  }

  private func embed(_ request: Request, _ context: ServingContext) async throws -> Response {
    let fields = try await state.fields(request)
    try state.checkModel(try fields.string("model"))
    try state.checkAdmission()
    if let width = try fields.integer("dimensions", in: 1...Int.max), width != state.information.embeddingWidth {
      throw APIError.unsupported(
        "dimensions",
        "this model's embeddings have \(state.information.embeddingWidth) dimensions and cannot be shortened")
    }
    let format = try fields.string("encoding_format") ?? "float"
    guard format == "float" || format == "base64" else {
      throw APIError.invalid("encoding_format", "\(format) is not an encoding; use float or base64")
    }
    let inputs = try CompletionRequest.prompts(fields, field: "input", limits: state.limits, specials: true)
    try check(inputs)
    let signal = await ConnectionWatch.signal(of: context.channel)
    let id = context.caller.requestID
    let engine = state.engine
    let vectors = try await whileConnected(signal) {
      var vectors: [[Float]] = []
      for (index, input) in inputs.enumerated() {
        try Task.checkCancellation()
        vectors.append(try await engine.embed(input, id: RequestID("embd-\(id)-\(index)")))
      }
      return vectors
    }
    let total = JSONValue(inputs.reduce(0) { $0 + $1.count })
    return .json([
      "object": "list", "model": .string(state.information.modelName),
      "data": .array(
        vectors.enumerated().map { index, vector in
          ["object": "embedding", "index": JSONValue(index), "embedding": encoded(vector, format)]
        }),
      "usage": ["prompt_tokens": total, "total_tokens": total],
    ])
  }

  private func check(_ inputs: [[TokenID]]) throws(APIError) {
    guard inputs.count <= state.configuration.maxPromptsPerRequest else {
      throw .invalid(
        "input", "input holds \(inputs.count) texts, at most \(state.configuration.maxPromptsPerRequest) are allowed")
    }
    for (index, input) in inputs.enumerated() {
      let param = inputs.count == 1 ? "input" : "input[\(index)]"
      guard !input.isEmpty else { throw .invalid(param, "\(param) has no tokens") }
      guard input.count <= state.information.contextLength else {
        throw .contextLength(limit: state.information.contextLength, prompt: input.count, answer: nil, param: param)
      }
    }
  }

  /// Numbers, or the little-endian floats in base64.
  private func encoded(_ vector: [Float], _ format: String) -> JSONValue {
    guard format == "base64" else { return .array(vector.map { JSONValue($0) }) }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(vector.count * 4)
    for value in vector {
      let bits = value.bitPattern
      for shift in [0, 8, 16, 24] { bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(shift))) }
    }
    return .string(Base64.encoded(bytes))
  }
}

/// RFC 4648, with padding.
enum Base64 {
  private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

  static func encoded(_ bytes: [UInt8]) -> String {
    var output: [UInt8] = []
    output.reserveCapacity((bytes.count + 2) / 3 * 4)
    for start in stride(from: 0, to: bytes.count, by: 3) {
      let group = bytes[start..<min(start + 3, bytes.count)]
      var bits = 0
      for place in 0..<3 { bits = bits << 8 | (place < group.count ? Int(group[start + place]) : 0) }
      for place in 0..<4 {
        output.append(place <= group.count ? alphabet[bits >> (18 - 6 * place) & 63] : UInt8(ascii: "="))
      }
    }
    return String(decoding: output, as: UTF8.self)
  }
}
