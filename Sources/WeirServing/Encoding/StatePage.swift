// The JSON behind the web page: model, load, pool, counters and latencies at one moment.

import WeirBasics
import WeirEngine

struct StatePage {
  let state: ServingState
  let status: EngineStatus

  func body(model: JSONValue) -> JSONValue {
    [
      "version": .string(state.configuration.version),
      "now_seconds": JSONValue(Double(status.now.nanoseconds) / 1e9),
      "uptime_seconds": JSONValue(max(status.now.seconds(since: state.information.startedAt), 0)),
      "model": model, "load": load, "pool": pool, "counters": counters, "latency": latency,
      "handoffs": handoffs, "role": state.reporter?.role.view.json ?? .null,
      "is_paused": .bool(status.isPaused), "is_draining": .bool(state.isDraining || status.isDraining),
      "server": [
        "open_requests": JSONValue(state.active.count), "requests_started": number(state.active.totals.served),
        "requests_rejected": number(state.active.totals.rejected),
      ],
    ]
  }

  private var handoffs: JSONValue {
    let report = status.handoffs
    func counts(_ some: [String: UInt64]) -> JSONValue {
      .object(JSONObject(some.sorted { $0.key < $1.key }.map { ($0.key, number($0.value)) }))
    }
    return [
      "address": .string(report.address), "held": JSONValue(report.held), "arriving": JSONValue(report.arriving),
      "sent": number(report.sent), "not_taken": counts(report.sendFailures), "expired": number(report.expired),
      "received": number(report.received), "received_tokens": number(report.receivedTokens),
      "received_bytes": number(report.receivedBytes), "recomputed": counts(report.recomputed),
    ]
  }

  private func number(_ value: UInt64) -> JSONValue { .integer(Int64(clamping: value)) }

  private var load: JSONValue {
    [
      "running": JSONValue(status.load.runningSequences), "waiting": JSONValue(status.load.waitingRequests),
      "waiting_prompt_tokens": JSONValue(status.load.waitingPromptTokens),
      "kv_usage": JSONValue(status.load.kvUsage), "total_blocks": JSONValue(status.load.totalBlocks),
      "free_blocks": JSONValue(status.load.freeBlocks), "cached_blocks": JSONValue(status.load.cachedBlocks),
      "steps": number(status.load.stepsCompleted),
    ]
  }

  private var pool: JSONValue {
    let pool = status.pool
    return [
      "block_slots": JSONValue(pool.blockSlots), "block_bytes": JSONValue(pool.blockBytes),
      "committed_bytes": JSONValue(pool.committedBytes), "peak_used_blocks": JSONValue(pool.peakUsedBlocks),
      "largest_free_run": JSONValue(pool.largestFreeRun), "fragmentation": JSONValue(pool.fragmentation),
      "evicted_blocks": number(pool.evictedBlocks), "copied_blocks": number(pool.copiedBlocks),
      "pinned_blocks": JSONValue(pool.pinnedBlocks),
    ]
  }

  private var counters: JSONValue {
    let counters = status.counters
    var finished = JSONObject()
    for reason in FinishReason.allCases { finished[reason.rawValue] = number(counters.finished[reason] ?? 0) }
    var failed = JSONObject()
    for (code, count) in counters.failed.sorted(by: { $0.key < $1.key }) { failed[code] = number(count) }
    let hits = counters.prefixQueries == 0 ? 0 : Double(counters.prefixHits) / Double(counters.prefixQueries)
    return [
      "finished": .object(finished), "failed": .object(failed), "prompt_tokens": number(counters.promptTokens),
      "cached_tokens": number(counters.cachedTokens), "generated_tokens": number(counters.generatedTokens),
      "preemptions": number(counters.preemptions), "prefix_queries": number(counters.prefixQueries),
      "prefix_hits": number(counters.prefixHits), "prefix_hit_rate": JSONValue(hits),
    ]
  }

  private var latency: JSONValue {
    let distributions = status.distributions
    return [
      "time_to_first_token": summary(distributions.timeToFirstTokenSeconds),
      "inter_token": summary(distributions.interTokenSeconds), "request": summary(distributions.requestSeconds),
      "queue": summary(distributions.queueSeconds), "prefill": summary(distributions.prefillSeconds),
      "decode": summary(distributions.decodeSeconds),
    ]
  }

  private func summary(_ histogram: HistogramSnapshot) -> JSONValue {
    func at(_ quantile: Double) -> JSONValue { histogram.quantile(quantile).map { JSONValue($0) } ?? .null }
    return [
      "count": number(histogram.count), "mean": JSONValue(histogram.mean), "p50": at(0.5), "p90": at(0.9),
      "p99": at(0.99),
    ]
  }
}
