// Our own object in a response: what the cache did and where the time went.

import WeirBasics
import WeirEngine
import WeirKVCache

enum WeirReport {
  /// The `weir` object; nil unless the request asked for it, named a KV policy or came with a ticket.
  static func object(_ prompt: PromptReport, _ usage: UsageReport, options: RequestOptions) -> JSONValue? {
    let namesPolicy = options.generation.kvPolicy != nil
    guard options.generation.explainsCache || namesPolicy || prompt.arrival != nil else { return nil }
    var body = JSONObject()
    if let arrival = prompt.arrival { body["transfer"] = transfer(arrival) }
    guard options.generation.explainsCache || namesPolicy else { return .object(body) }
    body["timings"] = timings(usage)
    body["preemptions"] = JSONValue(usage.preemptions)
    body["kv"] = .array(usage.kv.map(kv))
    var cache: JSONObject = [
      "prompt_tokens": JSONValue(prompt.promptTokens), "cached_tokens": JSONValue(prompt.cachedTokens),
    ]
    if let explanation = prompt.explanation { add(explanation, to: &cache) }
    body["cache"] = .object(cache)
    if let session = options.sessionID { body["session_id"] = .string(session) }
    if let key = options.promptCacheKey { body["prompt_cache_key"] = .string(key) }
    return .object(body)
  }

  /// What became of the KV that another node kept: taken over, or computed here for a reason.
  static func transfer(_ arrival: ArrivalReport) -> JSONValue {
    [
      "received_tokens": JSONValue(arrival.tokens), "seconds": JSONValue(arrival.seconds),
      "recomputed_because": arrival.refusal.map(JSONValue.string) ?? .null,
    ]
  }

  static func timings(_ usage: UsageReport) -> JSONValue {
    [
      "queue_seconds": JSONValue(usage.queueSeconds), "prefill_seconds": JSONValue(usage.prefillSeconds),
      "decode_seconds": JSONValue(usage.decodeSeconds),
      "time_to_first_token_seconds": JSONValue(usage.timeToFirstTokenSeconds),
      "total_seconds": JSONValue(usage.totalSeconds),
    ]
  }

  /// What one choice kept: slots per lane (one KV head of one layer), and its peak.
  private static func kv(_ usage: KVUsage) -> JSONValue {
    var body: JSONObject = [
      "policy": usage.policy.map { .string($0) } ?? .null, "min_slots": JSONValue(usage.minimumSlots),
      "mean_slots": JSONValue(usage.meanSlots), "max_slots": JSONValue(usage.maximumSlots),
      "peak_bytes": JSONValue(usage.peakBytes), "questions": JSONValue(usage.questions),
      "dropped_slots": JSONValue(usage.droppedSlots),
    ]
    if let reading = usage.reading { body["reading"] = self.reading(reading) }
    return .object(body)
  }

  /// What the rows of a choice chose to read of what it kept.
  private static func reading(_ reading: KVReading) -> JSONValue {
    [
      "rows": JSONValue(reading.rows), "mean_slots": JSONValue(reading.meanSlots), "parts": JSONValue(reading.parts),
      "read_bytes": JSONValue(reading.readBytes), "new_bytes": JSONValue(reading.newBytes),
      "state_bytes": JSONValue(reading.stateBytes),
    ]
  }

  private static func add(_ explanation: CacheExplanation, to cache: inout JSONObject) {
    cache["matched_tokens"] = JSONValue(explanation.matchedTokens)
    cache["matched_blocks"] = JSONValue(explanation.matchedBlocks)
    cache["partial_slots"] = JSONValue(explanation.partialSlots)
    cache["explanation"] = .string(explanation.sentence)
    let (reason, details) = words(explanation.reason)
    cache["reason"] = .string(reason)
    for (key, value) in details { cache[key] = value }
    if let difference = explanation.firstDifferingToken {
      cache["first_differing_token"] = [
        "index": JSONValue(difference.index), "asked": .integer(Int64(difference.askedToken)),
        "cached": difference.cachedToken.map { .integer(Int64($0)) } ?? .null,
      ]
    }
  }

  private static func words(_ reason: MissReason) -> (String, JSONObject) {
    switch reason {
    case .wholePromptMatched: ("whole_prompt_matched", [:])
    case .neverSeen: ("never_seen", [:])
    case .diverged(let index): ("diverged", ["at_token": JSONValue(index)])
    case .cachedRunEnds(let index): ("cached_run_ends", ["at_token": JSONValue(index)])
    case .evicted(let cause, let seconds):
      ("evicted", ["evicted_by": .string("\(cause)"), "seconds_ago": JSONValue(seconds)])
    case .saltedScopeEmpty: ("salted_scope_empty", [:])
    case .cacheOff: ("cache_off", [:])
    case .promptTooShort: ("prompt_too_short", [:])
    }
  }
}
