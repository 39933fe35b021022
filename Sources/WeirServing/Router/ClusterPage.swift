// The cluster as its router knows it: GET /weir/cluster and GET /metrics.

import WeirBasics
import WeirCluster

struct ClusterPage: Sendable {
  let state: RouterState

  private func number(_ value: UInt64) -> JSONValue { JSONValue(Int(clamping: value)) }

  /// The answer of `GET /weir/cluster`:
  ///
  /// - `version`, `router` (this router's name).
  /// - `nodes`, a list; an address that never answered has only `url` and `state: "unknown"`. Otherwise:
  ///   - `url`, `id`, `incarnation`, `model`, `state` (`up`, `draining`, `down`);
  ///   - `role` now and `home_role` (`prefill`, `decode`, `mixed`);
  ///   - counts now: `running`, `waiting`, `waiting_prompt_tokens`, `arriving` (KV on its way here), `held` (KV waiting
  ///     to be fetched), `preempted`, `free_blocks`, `cached_blocks`, `total_blocks`; `placed` since the router's start;
  ///   - `prefill_share`, `decode_share`: shares of the node's time, 0 to 1;
  ///   - `speeds`: `prefill_tokens_per_second`, `decode_tokens_per_second` (null until measured), and `links`, a list
  ///     of `peer`, `bytes_per_second`, `operation_seconds`;
  ///   - `transfer`: the transport's address.
  /// - `counts` since the start: `disaggregated`, `colocated`, `prefill_failures`, `retries`, `failed`.
  /// - `roles`: `plan` (`static` or the plan's key), `is_controller`, and since the start `changes` (by role),
  ///   `returns`, `directives` (by outcome), `grow_hints`, `shrink_hints`;
  ///   - `models`, a list of the latest decisions: `model` (fingerprint), `regime` (`normal`, `prefill-overloaded`,
  ///     `decode-overloaded`, `overloaded`, `idle`), `prefill_score` and `decode_score` (0 to 1), `reason` (one
  ///     sentence), `scaling` (null or `side`, `change` +1 or -1, `reason`);
  ///   - `flips`, the latest 256, oldest first: `unix_seconds`, `node`, `from`, `to`, `reason`, `epoch`, `outcome`
  ///     (`followed`, `published`, `refused`, `unreachable`).
  var json: JSONValue {
    let counts = state.counts
    return [
      "version": .string(state.configuration.version), "router": .string(state.id.rawValue),
      "nodes": .array(state.nodes.map(node)),
      "counts": [
        "disaggregated": number(counts.disaggregated), "colocated": number(counts.colocated),
        "prefill_failures": number(counts.prefillFailures), "retries": number(counts.retries),
        "failed": number(counts.failed),
      ],
      "roles": roles,
    ]
  }

  private func node(_ node: RouterNodeView) -> JSONValue {
    guard let facts = node.facts else { return ["url": .string(node.url), "state": "unknown"] }
    let (report, queues, speeds) = (facts.report, facts.report.queues, facts.report.speeds)
    func rate(_ rate: MeasuredRate?) -> JSONValue { rate.map { JSONValue($0.perSecond) } ?? .null }
    return [
      "url": .string(node.url), "id": .string(facts.id.rawValue),
      "incarnation": JSONValue(facts.description.incarnation),
      "model": .string(facts.description.modelName), "role": .string(facts.role.rawValue),
      "home_role": .string(facts.description.homeRole.rawValue),
      "state": .string(facts.isAlive ? facts.isOpen ? "up" : "draining" : "down"),
      "running": JSONValue(queues.runningSequences), "waiting": JSONValue(queues.waitingRequests),
      "waiting_prompt_tokens": JSONValue(queues.waitingPromptTokens), "arriving": JSONValue(report.waitingDecodes),
      "held": JSONValue(report.sendingRequests), "preempted": JSONValue(report.preemptedSequences),
      "free_blocks": JSONValue(queues.freeBlocks), "cached_blocks": JSONValue(queues.cachedBlocks),
      "total_blocks": JSONValue(queues.totalBlocks), "placed": number(node.placed),
      "prefill_share": JSONValue(report.computeUtilisation),
      "decode_share": JSONValue(report.memoryBandwidthUtilisation),
      "speeds": [
        "prefill_tokens_per_second": rate(speeds.prefillTokens), "decode_tokens_per_second": rate(speeds.decodeTokens),
        "links": .array(
          speeds.links.map { link in
            [
              "peer": .string(link.peer.rawValue), "bytes_per_second": JSONValue(link.bytesPerSecond),
              "operation_seconds": JSONValue(link.operationSeconds),
            ]
          }),
      ],
      "transfer": .string(facts.description.addresses.transfer),
    ]
  }

  private var roles: JSONValue {
    let book = state.roles
    let models: [JSONValue] = book.decisions.sorted { $0.key.rawValue < $1.key.rawValue }.map { model, decision in
      [
        "model": .string(model.rawValue), "regime": .string(decision.regime.rawValue),
        "prefill_score": JSONValue(decision.prefillScore), "decode_score": JSONValue(decision.decodeScore),
        "reason": .string(decision.reason), "scaling": decision.scaling.map(Self.json) ?? .null,
      ]
    }
    let flips: [JSONValue] = book.flips.map { flip in
      [
        "unix_seconds": JSONValue(flip.unixSeconds), "node": .string(flip.node.rawValue),
        "from": .string(flip.from.rawValue), "to": .string(flip.to.rawValue), "reason": .string(flip.reason),
        "epoch": JSONValue(flip.epoch), "outcome": .string(flip.outcome.rawValue),
      ]
    }
    return [
      "plan": .string(state.configuration.roles?.name ?? "static"), "is_controller": .bool(book.isController),
      "changes": .object(JSONObject(Role.allCases.map { ($0.rawValue, number(book.changes[$0] ?? 0)) })),
      "returns": number(book.returns),
      "directives": .object(
        JSONObject(RoleFlip.Outcome.allCases.map { ($0.rawValue, number(book.directives[$0] ?? 0)) })),
      "grow_hints": number(book.growHints), "shrink_hints": number(book.shrinkHints),
      "models": .array(models), "flips": .array(flips),
    ]
  }

  private static func json(_ hint: ScaleHint) -> JSONValue {
    ["side": .string(hint.side.rawValue), "change": JSONValue(hint.change), "reason": .string(hint.reason)]
  }

  /// The router's series in Prometheus' text format.
  var metrics: String {
    var text = MetricsText(labels: [])
    let counts = state.counts
    text.counters(
      "weir_router_requests", "Requests by the way they took.", label: "way",
      [("disaggregated", counts.disaggregated), ("colocated", counts.colocated)])
    text.counter("weir_router_prefill_failures", "Prefills that failed; decode nodes computed.", counts.prefillFailures)
    text.counter("weir_router_retries", "Tries of another node.", counts.retries)
    text.counter("weir_router_failures", "Answers that ended with an error of the cluster.", counts.failed)
    text.gauge("weir_router_nodes_up", "Nodes that take requests.", Double(state.facts.count(where: \.isOpen)))
    text.counters(
      "weir_http_responses", "HTTP responses by status.", label: "status",
      state.statuses.all.sorted { $0.key < $1.key }.map { ("\($0.key)", $0.value) })
    roles(&text)
    return text.text
  }

  private func roles(_ text: inout MetricsText) {
    let book = state.roles
    text.gauge("weir_router_directs_roles", "1 while this router directs roles.", book.isController ? 1 : 0)
    text.counters(
      "weir_router_role_changes", "Orders that changed a node's role, by the new role.", label: "role",
      Role.allCases.map { ($0.rawValue, book.changes[$0] ?? 0) })
    text.counter("weir_router_role_returns", "Orders that led a node back to its home role.", book.returns)
    text.counters(
      "weir_router_role_directives", "Role directives by what became of them.", label: "outcome",
      RoleFlip.Outcome.allCases.map { ($0.rawValue, book.directives[$0] ?? 0) })
    text.counters(
      "weir_router_scale_hints", "Hints that the cluster should grow or shrink.", label: "direction",
      [("grow", book.growHints), ("shrink", book.shrinkHints)])
    let decisions = book.decisions.sorted { $0.key.rawValue < $1.key.rawValue }
    text.gauges(
      "weir_router_load_score", "Load of each side, 0 to 1.",
      decisions.flatMap { model, decision in
        [
          ([("model", model.rawValue), ("side", "prefill")], decision.prefillScore),
          ([("model", model.rawValue), ("side", "decode")], decision.decodeScore),
        ]
      })
    text.gauges(
      "weir_router_regime", "1 for the regime of each model.",
      decisions.flatMap { model, decision in
        Regime.allCases.map {
          ([("model", model.rawValue), ("regime", $0.rawValue)], $0 == decision.regime ? 1.0 : 0.0)
        }
      })
    text.gauges(
      "weir_router_node_role", "1 for the role each node acts in.",
      state.facts.map { ([("node", $0.id.rawValue), ("role", $0.role.rawValue)], 1) })
  }
}
