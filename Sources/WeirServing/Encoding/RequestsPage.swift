// GET /weir/requests of a node: its latest requests and handoffs, behind the cluster page of its router.

import WeirBasics
import WeirEngine
import WeirKVTransfer

struct RequestsPage {
  let status: EngineStatus
  /// By the engine's clock; the status of an engine that rests may be a second old.
  let now: Instant

  /// - `requests`, oldest first: `id`, `seconds_ago` (since it came), `queue_seconds`, `prefill_seconds`,
  ///   `decode_seconds`, `prompt_tokens`, `cached_tokens`, `completion_tokens`, `hands_over`, and with a ticket
  ///   `transfer`: `received_tokens`, `seconds`, `recomputed_because` (null: taken over).
  /// - `handoffs` to this node, oldest first: `id`, `sender` (its transfer address), `seconds_ago` (since it ended),
  ///   `seconds`, `tokens`, `bytes`, `runs`, `refused_because` (null: verified and taken over).
  /// - `received_bytes`, `sent_bytes`, `sent_operations`, `sent_handoffs` since the node's start.
  var json: JSONValue {
    let handoffs = status.handoffs
    func number(_ value: UInt64) -> JSONValue { .integer(Int64(clamping: value)) }
    return [
      "requests": .array(status.recent.requests.map(request)), "handoffs": .array(status.recent.handoffs.map(handoff)),
      "received_bytes": number(handoffs.receivedBytes), "sent_bytes": number(handoffs.transfer.bytes),
      "sent_operations": number(handoffs.transfer.operations), "sent_handoffs": number(handoffs.sent),
    ]
  }

  private func request(_ record: RequestRecord) -> JSONValue {
    var body: JSONObject = [
      "id": .string(record.request.rawValue), "seconds_ago": JSONValue(now.seconds(since: record.submitted)),
      "queue_seconds": JSONValue(record.queueSeconds), "prefill_seconds": JSONValue(record.prefillSeconds),
      "decode_seconds": JSONValue(record.decodeSeconds), "prompt_tokens": JSONValue(record.promptTokens),
      "cached_tokens": JSONValue(record.cachedTokens), "completion_tokens": JSONValue(record.completionTokens),
      "hands_over": .bool(record.handsOver),
    ]
    if let arrival = record.arrival { body["transfer"] = WeirReport.transfer(arrival) }
    return .object(body)
  }

  private func handoff(_ record: HandoffRecord) -> JSONValue {
    [
      "id": .string(record.request.rawValue), "sender": .string(record.sender),
      "seconds_ago": JSONValue(now.seconds(since: record.ended)), "seconds": JSONValue(record.seconds),
      "tokens": JSONValue(record.tokens), "bytes": JSONValue(record.bytes), "runs": JSONValue(record.runs),
      "refused_because": record.refusal.map { .string($0) } ?? .null,
    ]
  }
}
