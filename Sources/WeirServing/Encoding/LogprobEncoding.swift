// Log-probabilities in the shapes of chat and text completions.

import WeirBasics
import WeirEngine
import WeirText

struct LogprobEncoder: Sendable {
  let tokenizer: Tokenizer
  /// `token_id:123` instead of the token's text.
  var tokensAsIDs = false

  func name(_ token: TokenID) -> String {
    tokensAsIDs ? "token_id:\(token)" : tokenizer.tokenText(token)
  }

  /// JSON has no infinity; clients know -9999 as "impossible".
  static func number(_ logprob: Float) -> JSONValue {
    JSONValue(Swift.max(logprob.isNaN ? -9999 : logprob, -9999))
  }

  private func entry(_ token: TokenID, _ logprob: Float) -> JSONObject {
    [
      "token": .string(name(token)), "logprob": LogprobEncoder.number(logprob),
      "bytes": .array(tokenizer.tokenBytes(token).map { .integer(Int64($0)) }),
    ]
  }

  /// One element of chat's `logprobs.content`.
  func chat(_ logprob: TokenLogprob) -> JSONValue {
    var item = entry(logprob.token, logprob.logprob)
    item["top_logprobs"] = .array(logprob.top.map { .object(entry($0.token, $0.logprob)) })
    return .object(item)
  }

  /// vLLM's `prompt_logprobs`: per prompt token a map from token number to what is known of it.
  func prompt(_ logprobs: [TokenLogprob?]) -> JSONValue {
    .array(
      logprobs.map { logprob in
        guard let logprob else { return .null }
        var entries = JSONObject()
        for (place, alternative) in logprob.top.enumerated() {
          entries[String(alternative.token.rawValue)] = detail(alternative.token, alternative.logprob, rank: place + 1)
        }
        let own = String(logprob.token.rawValue)
        if entries[own] == nil { entries[own] = detail(logprob.token, logprob.logprob, rank: logprob.rank) }
        return .object(entries)
      })
  }

  private func detail(_ token: TokenID, _ logprob: Float, rank: Int?) -> JSONValue {
    [
      "logprob": LogprobEncoder.number(logprob), "rank": rank.map { JSONValue($0) } ?? .null,
      "decoded_token": .string(tokenizer.tokenText(token)),
    ]
  }
}

/// Text completions' `logprobs`: four lists side by side.
struct CompletionLogprobs: Sendable {
  let encoder: LogprobEncoder
  /// Where the next token's text begins, in characters (Unicode scalars) of the choice's text.
  private(set) var offset: Int
  private var tokens: [JSONValue] = []
  private var values: [JSONValue] = []
  private var tops: [JSONValue] = []
  private var offsets: [JSONValue] = []

  init(encoder: LogprobEncoder, offset: Int = 0) {
    self.encoder = encoder
    self.offset = offset
  }

  mutating func add(_ token: TokenID, _ logprob: TokenLogprob?, top count: Int) {
    tokens.append(.string(encoder.name(token)))
    offsets.append(JSONValue(Swift.max(offset, 0)))
    offset += width(token)
    guard let logprob else {
      values.append(.null)
      tops.append(.null)
      return
    }
    values.append(LogprobEncoder.number(logprob.logprob))
    var best = JSONObject()
    for alternative in logprob.top.prefix(count) {
      best[encoder.name(alternative.token)] = LogprobEncoder.number(alternative.logprob)
    }
    // The chosen token is always listed, as vLLM and OpenAI do.
    best[encoder.name(token)] = LogprobEncoder.number(logprob.logprob)
    tops.append(count == 0 ? .null : .object(best))
  }

  var isEmpty: Bool { tokens.isEmpty }

  /// Makes the offsets fit an echoed text: tokenizers may put a space before it that the text does not have.
  mutating func align(_ prompt: [TokenID], to text: String) {
    offset -= prompt.reduce(0) { $0 + width($1) } - text.unicodeScalars.count
  }

  /// Scalars a token adds to the text: control tokens are not part of it, and the bytes of a scalar that several
  /// tokens share count where it begins.
  private func width(_ token: TokenID) -> Int {
    let tokenizer = encoder.tokenizer
    return tokenizer.isSpecial(token) ? 0 : tokenizer.tokenBytes(token).count { $0 & 0xC0 != 0x80 }
  }

  /// The lists so far; the next call starts with what comes after.
  mutating func take() -> JSONValue {
    defer { (tokens, values, tops, offsets) = ([], [], [], []) }
    return [
      "text_offset": .array(offsets), "token_logprobs": .array(values), "tokens": .array(tokens),
      "top_logprobs": .array(tops),
    ]
  }
}
