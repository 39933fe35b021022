// The fields that every generating route shares, read once.

import WeirBasics
import WeirEngine
import WeirSampling
import WeirText

/// What the caller's headers and key say, next to the body.
struct CallerContext: Sendable {
  /// The validated `X-Request-Id`, or one we made.
  var requestID: String
  var sessionID: String?
  var priority: Int?
  /// `x-tenant-id`: stands in for `cache_salt`.
  var tenantID: String?
  /// Derived from the API key; empty if there are no keys.
  var keySalt = ""

  /// The engine's salt: the key's part can not be chosen by the client, so tenants never share blocks.
  func cacheSalt(client: String?) -> String {
    let own = client ?? tenantID ?? ""
    return keySalt.isEmpty ? own : "\(keySalt):\(own)"
  }
}

/// Limits that decoding needs.
struct DecodingLimits: Sendable {
  var vocabulary: Int
  var contextLength: Int
  var maxChoices: Int
  var maxLogprobs: Int
  var tokenizer: Tokenizer
}

/// Everything of a request that does not depend on the API family.
struct RequestOptions: Sendable {
  /// The prompt is filled in later.
  var generation: GenerationRequest
  var model: String?
  var streams = false
  var includesUsage = false
  /// Usage in every chunk.
  var continuousUsage = false
  var returnsTokenIDs = false
  var tokensAsIDs = false
  var sessionID: String?
  var promptCacheKey: String?
  var metadata: JSONValue?
  /// The answer is events, the ticket first; nil: the answer comes as it was asked for.
  var earlyTicket: EarlyTicket?

  init(_ fields: FieldReader, caller: CallerContext, limits: DecodingLimits) throws(APIError) {
    let requestID = try fields.string("request_id").flatMap(RequestIdentifier.validated) ?? caller.requestID
    generation = GenerationRequest(id: RequestID(requestID), prompt: [])
    model = try fields.string("model")
    streams = try fields.bool("stream") ?? false
    if let stream = try fields.reader("stream_options") {
      includesUsage = try stream.bool("include_usage") ?? false
      continuousUsage = try stream.bool("continuous_usage_stats") ?? false
    }
    returnsTokenIDs = try fields.bool("return_token_ids") ?? false
    tokensAsIDs = try fields.bool("return_tokens_as_token_ids") ?? false
    sessionID = try fields.string("session_id") ?? caller.sessionID
    promptCacheKey = try fields.string("prompt_cache_key")
    metadata = fields["metadata"]
    _ = try fields.string("user")
    try readGeneration(fields, caller: caller, limits: limits)
  }

  private mutating func readGeneration(
    _ fields: FieldReader, caller: CallerContext, limits: DecodingLimits
  ) throws(APIError) {
    generation.choices = try fields.integer("n", in: 1...limits.maxChoices) ?? 1
    if let best = try fields.integer("best_of", in: 1...limits.maxChoices), best != generation.choices {
      throw .unsupported(fields.name("best_of"), "best_of must equal n: answers are not ranked here")
    }
    if fields["use_beam_search"]?.bool == true {
      throw .unsupported(fields.name("use_beam_search"), "beam search is not supported")
    }
    generation.seed = try fields.integer("seed").map { UInt64(bitPattern: Int64($0)) }
    generation.minTokens = try fields.integer("min_tokens", in: 0...limits.contextLength) ?? 0
    generation.ignoreEndTokens = try fields.bool("ignore_eos") ?? false
    generation.includeStopString = try fields.bool("include_stop_str_in_output") ?? false
    generation.skipSpecialTokens = try fields.bool("skip_special_tokens") ?? true
    generation.stopStrings = try RequestOptions.stopStrings(fields)
    let stopTokens = try fields.tokens("stop_token_ids", vocabulary: limits.vocabulary) ?? []
    generation.stopTokens = Set(stopTokens)
    generation.promptLogprobs = try fields.integer("prompt_logprobs", in: 0...limits.maxLogprobs)
    generation.priority = try fields.integer("priority", in: -1_000_000...1_000_000) ?? caller.priority ?? 0
    generation.cacheSalt = caller.cacheSalt(client: try fields.string("cache_salt"))
    if let cache = try fields.reader("cache") {
      generation.readsCache = try cache.bool("read") ?? true
      generation.storesCache = try cache.bool("store") ?? true
    }
    generation.kvPolicy = try PolicyFields.read(fields)
    earlyTicket = try HandoffFields.read(fields, into: &generation)
    generation.explainsCache = try fields.reader("weir")?.bool("explain") ?? false
    generation.sampling = try SamplingFields.read(fields, limits: limits)
    generation.constraint = try ConstraintFields.read(fields)
  }

  /// Empty stop strings would stop everything at once; they are refused.
  static func stopStrings(_ fields: FieldReader, field: String = "stop") throws(APIError) -> [String] {
    let stops = try fields.strings(field) ?? []
    guard stops.count <= 64 else {
      throw .invalid(fields.name(field), "\(fields.name(field)) has \(stops.count) strings, at most 64 are allowed")
    }
    guard !stops.contains("") else { throw .invalid(fields.name(field), "a stop string must not be empty") }
    return stops
  }

  /// The answer's length limit under any of `names`, the first given one wins.
  static func maxTokens(_ fields: FieldReader, _ names: [String], least: Int = 1) throws(APIError) -> Int? {
    for name in names {
      if let limit = try fields.integer(name, in: least...Int.max) { return limit }
    }
    return nil
  }

  /// Puts the prompt in and checks that it fits the context; `param` names the field the prompt came from.
  mutating func setPrompt(_ tokens: [TokenID], limits: DecodingLimits, param: String) throws(APIError) {
    guard !tokens.isEmpty else { throw .invalid(param, "\(param) has no tokens; the prompt must not be empty") }
    if generation.handsOver {
      // Who only prefills makes one token, whatever the client's own limits say: another node makes the answer.
      generation.maxTokens = 1
      generation.minTokens = min(generation.minTokens, 1)
    }
    let limit = limits.contextLength
    guard tokens.count < limit else {
      throw .contextLength(limit: limit, prompt: tokens.count, answer: generation.maxTokens, param: param)
    }
    if let asked = generation.maxTokens, tokens.count + asked > limit {
      throw .contextLength(limit: limit, prompt: tokens.count, answer: asked, param: param)
    }
    if let asked = generation.maxTokens, generation.minTokens > asked {
      throw .invalid("min_tokens", "min_tokens is \(generation.minTokens), more than the \(asked) tokens asked for")
    }
    generation.prompt = tokens
  }
}

/// The rule for identifiers that come from outside and go into headers and logs.
enum RequestIdentifier {
  /// `text` if it is 1 to 128 letters, digits, `-`, `_`, `.`, `:` or `/`; otherwise nil.
  static func validated(_ text: String) -> String? {
    let allowed = text.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."),
        UInt8(ascii: ":"), UInt8(ascii: "/"):
        true
      default: false
      }
    }
    return allowed && (1...128).contains(text.utf8.count) ? text : nil
  }
}
