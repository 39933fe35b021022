// Prometheus' text format, version 0.0.4.

import WeirBasics
import WeirCluster
import WeirEngine

/// Collects series and writes them with their HELP and TYPE lines.
struct MetricsText {
  private(set) var text = ""
  /// Labels of every series, already escaped, without braces.
  let labels: String

  init(labels: [(String, String)]) {
    self.labels = Self.joined(labels)
  }

  private static func joined(_ labels: [(String, String)]) -> String {
    labels.map { "\($0)=\"\(escaped($1))\"" }.joined(separator: ",")
  }

  static func escaped(_ value: String) -> String {
    var result = ""
    for character in value {
      switch character {
      case "\\": result += "\\\\"
      case "\"": result += "\\\""
      case "\n": result += "\\n"
      default: result.append(character)
      }
    }
    return result
  }

  private static func number(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value > 0 ? "+Inf" : "-Inf" }
    return value == value.rounded() && abs(value) < 1e15 ? String(Int64(value)) : "\(value)"
  }

  private mutating func head(_ name: String, _ type: String, _ help: String) {
    text += "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n"
  }

  private mutating func line(_ name: String, _ extra: String, _ value: Double) {
    let all = extra.isEmpty ? labels : labels.isEmpty ? extra : labels + "," + extra
    text += all.isEmpty ? "\(name) \(Self.number(value))\n" : "\(name){\(all)} \(Self.number(value))\n"
  }

  mutating func gauge(_ name: String, _ help: String, _ value: Double, extra: String = "") {
    head(name, "gauge", help)
    line(name, extra, value)
  }

  /// Several series of one gauge, each with labels of its own.
  mutating func gauges(_ name: String, _ help: String, _ values: [(labels: [(String, String)], value: Double)]) {
    guard !values.isEmpty else { return }
    head(name, "gauge", help)
    for (labels, value) in values {
      line(name, Self.joined(labels), value)
    }
  }

  mutating func counter(_ name: String, _ help: String, _ value: UInt64) {
    head(name + "_total", "counter", help)
    line(name + "_total", "", Double(value))
  }

  /// One counter per value of `label`.
  mutating func counters(_ name: String, _ help: String, label: String, _ values: [(String, UInt64)]) {
    head(name + "_total", "counter", help)
    for (key, value) in values { line(name + "_total", "\(label)=\"\(Self.escaped(key))\"", Double(value)) }
  }

  mutating func histogram(_ name: String, _ help: String, _ snapshot: HistogramSnapshot) {
    head(name, "histogram", help)
    var total: UInt64 = 0
    for (bound, count) in zip(snapshot.bounds, snapshot.counts) {
      total += count
      line(name + "_bucket", "le=\"\(Self.bound(bound))\"", Double(total))
    }
    line(name + "_bucket", "le=\"+Inf\"", Double(snapshot.count))
    line(name + "_sum", "", snapshot.sum)
    line(name + "_count", "", Double(snapshot.count))
  }

  /// Prometheus' own clients write whole bounds with a decimal.
  private static func bound(_ value: Double) -> String { "\(value)" }
}

/// All series of the server.
struct ServerMetrics {
  let state: ServingState
  let status: EngineStatus

  func text() -> String {
    var metrics = MetricsText(labels: [("model_name", state.information.modelName), ("engine", "0")])
    if state.configuration.vllmMetricNames {
      gauges(&metrics)
      counters(&metrics)
      distributions(&metrics)
    }
    own(&metrics)
    handoffs(&metrics)
    return metrics.text
  }

  private func handoffs(_ metrics: inout MetricsText) {
    let report = status.handoffs
    guard !report.address.isEmpty || !report.recomputed.isEmpty else { return }
    func reasons(_ counts: [String: UInt64]) -> [(String, UInt64)] {
      counts.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }
    let failed = report.sendFailures.values.reduce(0, +) + report.recomputed.values.reduce(0, +)
    if state.configuration.vllmMetricNames {
      metrics.counter("vllm:nixl_bytes_transferred", "Bytes of KV taken over from other nodes.", report.receivedBytes)
      metrics.counter("vllm:nixl_num_failed_transfers", "KV handoffs that ended without KV.", failed)
      metrics.counter("vllm:nixl_num_kv_expired_reqs", "Kept KV that nobody fetched in time.", report.expired)
      metrics.histogram(
        "vllm:nixl_xfer_time_seconds", "Seconds from a request's arrival to its KV's.", report.arrivalSeconds)
    }
    metrics.gauge("weir_handoffs_held", "Finished prefills that wait to be fetched.", Double(report.held))
    metrics.gauge("weir_handoffs_arriving", "Requests whose KV is on its way here.", Double(report.arriving))
    metrics.counter("weir_handoffs_sent", "Handoffs that another node took over.", report.sent)
    metrics.counter("weir_handoffs_received", "Handoffs that this node took over.", report.received)
    metrics.counter("weir_handoff_tokens", "Prompt tokens whose KV came from another node.", report.receivedTokens)
    metrics.counter("weir_handoffs_expired", "Kept KV that nobody fetched in time.", report.expired)
    metrics.counters(
      "weir_handoffs_not_taken", "Handoffs of this node that were not taken over, by reason.", label: "reason",
      reasons(report.sendFailures))
    metrics.counters(
      "weir_handoffs_recomputed", "Requests with a ticket whose prompt was computed here, by reason.", label: "reason",
      reasons(report.recomputed))
    metrics.counters(
      "weir_handoff_messages_refused", "Messages of peers that were refused, by reason.", label: "reason",
      reasons(report.refusedMessages))
  }

  private func gauges(_ metrics: inout MetricsText) {
    metrics.gauge(
      "vllm:num_requests_running", "Sequences in the running batch.", Double(status.load.runningSequences))
    metrics.gauge("vllm:num_requests_waiting", "Requests waiting for admission.", Double(status.load.waitingRequests))
    metrics.gauge("vllm:kv_cache_usage_perc", "Share of the KV blocks in use, 0 to 1.", status.load.kvUsage)
    let information = state.information
    let config = [
      ("block_size", "\(information.blockSlots)"), ("num_gpu_blocks", "\(information.totalBlocks)"),
      ("enable_prefix_caching", information.prefixCaching ? "True" : "False"),
      ("cache_dtype", information.keyType.rawValue),
    ].map { "\($0)=\"\($1)\"" }.joined(separator: ",")
    metrics.gauge("vllm:cache_config_info", "The block pool's configuration.", 1, extra: config)
  }

  private func counters(_ metrics: inout MetricsText) {
    let counters = status.counters
    metrics.counter("vllm:prefix_cache_queries", "Tokens looked up in the prefix cache.", counters.prefixQueries)
    metrics.counter("vllm:prefix_cache_hits", "Tokens found in the prefix cache.", counters.prefixHits)
    metrics.counter("vllm:prompt_tokens", "Prompt tokens processed.", counters.promptTokens)
    metrics.counter("vllm:prompt_tokens_cached", "Prompt tokens taken from the cache.", counters.cachedTokens)
    metrics.counter("vllm:generation_tokens", "Generated tokens.", counters.generatedTokens)
    metrics.counter("vllm:num_preemptions", "Sequences that gave their place back.", counters.preemptions)
    metrics.counters(
      "vllm:request_success", "Finished choices by reason.", label: "finished_reason",
      FinishReason.allCases.map { ($0.rawValue, counters.finished[$0] ?? 0) })
    metrics.counter(
      "vllm:admission_rejections", "Requests refused because too many were open.", state.active.totals.rejected)
  }

  private func distributions(_ metrics: inout MetricsText) {
    let all = status.distributions
    metrics.histogram(
      "vllm:time_to_first_token_seconds", "Seconds to the first token.", all.timeToFirstTokenSeconds)
    metrics.histogram("vllm:inter_token_latency_seconds", "Seconds between tokens.", all.interTokenSeconds)
    metrics.histogram(
      "vllm:request_time_per_output_token_seconds", "Mean seconds per output token of a request.",
      all.timePerOutputTokenSeconds)
    metrics.histogram("vllm:e2e_request_latency_seconds", "Seconds of whole requests.", all.requestSeconds)
    metrics.histogram("vllm:request_queue_time_seconds", "Seconds in the queue.", all.queueSeconds)
    metrics.histogram("vllm:request_prefill_time_seconds", "Seconds in prefill.", all.prefillSeconds)
    metrics.histogram("vllm:request_decode_time_seconds", "Seconds in decode.", all.decodeSeconds)
    metrics.histogram("vllm:request_prompt_tokens", "Prompt lengths.", all.promptTokens)
    metrics.histogram("vllm:request_generation_tokens", "Answer lengths.", all.generatedTokens)
    metrics.histogram("vllm:iteration_tokens_total", "Tokens per step.", all.stepTokens)
  }

  private func own(_ metrics: inout MetricsText) {
    let load = status.load
    let pool = status.pool
    metrics.gauge("weir_kv_blocks", "KV blocks of the pool.", Double(load.totalBlocks))
    metrics.gauge("weir_kv_blocks_free", "KV blocks that hold nothing.", Double(load.freeBlocks))
    metrics.gauge("weir_kv_blocks_cached", "KV blocks held only by the prefix tree.", Double(load.cachedBlocks))
    metrics.gauge("weir_kv_blocks_pinned", "KV blocks under a lease.", Double(pool.pinnedBlocks))
    metrics.gauge("weir_kv_blocks_peak", "Most KV blocks ever in use at once.", Double(pool.peakUsedBlocks))
    metrics.gauge("weir_kv_committed_bytes", "Bytes of memory behind the pool.", Double(pool.committedBytes))
    metrics.gauge("weir_kv_fragmentation", "Fragmentation of the free blocks, 0 to 1.", pool.fragmentation)
    metrics.counter("weir_kv_evicted_blocks", "Cached blocks evicted.", pool.evictedBlocks)
    metrics.counter("weir_kv_copied_blocks", "Shared blocks copied before a write.", pool.copiedBlocks)
    metrics.counter("weir_kv_policy_questions", "Questions to KV policies.", status.counters.policyQuestions)
    metrics.counter(
      "weir_kv_policy_dropped_slots", "Slots that KV policies dropped, over all lanes.",
      status.counters.policyDroppedSlots)
    metrics.gauge(
      "weir_kv_policy_seconds", "Seconds spent on KV policies: signals, questions, compaction.",
      status.counters.policySeconds)
    metrics.gauge(
      "weir_waiting_prompt_tokens", "Prompt tokens of the waiting requests.", Double(load.waitingPromptTokens))
    metrics.counter("weir_steps", "Completed steps.", load.stepsCompleted)
    metrics.gauge("weir_http_open_requests", "Generating requests that are open.", Double(state.active.count))
    metrics.counters(
      "weir_http_responses", "HTTP responses by status.", label: "status",
      state.statuses.all.sorted { $0.key < $1.key }.map { ("\($0.key)", $0.value) })
    metrics.counters(
      "weir_request_failures", "Requests that failed in the engine, by code.", label: "code",
      status.counters.failed.sorted { $0.key < $1.key }.map { ($0.key, $0.value) })
    metrics.gauge("weir_prefill_share", "Share of the time spent in steps that prefill, 0 to 1.", status.prefillShare)
    metrics.gauge("weir_decode_share", "Share of the time in steps that only decode, 0 to 1.", status.decodeShare)
    if let role = state.reporter?.role.view {
      metrics.gauges(
        "weir_node_role", "1 for the role this node acts in.",
        Role.allCases.map { ([("role", $0.rawValue), ("home", role.home.rawValue)], $0 == role.role ? 1 : 0) })
      metrics.counter("weir_node_role_changes", "Changes of this node's role.", role.changes)
    }
    if let events = state.configuration.events {
      metrics.counter("weir_kv_event_batches", "Batches of KV events published.", events.batches)
      metrics.counter(
        "weir_kv_event_overflows", "Times the publisher fell behind and declared the cache cleared.",
        events.clearedBehind)
    }
    metrics.gauge("weir_draining", "1 while the server shuts down.", state.isDraining ? 1 : 0)
    metrics.gauge("weir_paused", "1 while admission is paused.", status.isPaused ? 1 : 0)
  }
}
