// The latest requests of a router and the steps each of them took over the nodes.

import Synchronization
import WeirBasics
import WeirCluster

/// One request on its way through the router. Its id goes to every node that works on it.
struct RequestTrace: Sendable {
  struct Step: Sendable {
    var name: String
    var node: NodeID
    var began: Instant
    var ended: Instant?
    /// Why another step had to follow it; nil: it went well, or has not ended.
    var failure: String?
  }

  let id: String
  let path: String
  let promptTokens: Int
  let began: Instant
  var steps: [Step] = []
  var ended: Instant?
  /// The code of the error that the client got.
  var failure: String?
}

/// Guarded; handlers of all connections note their steps here.
final class RequestTraces: Sendable {
  static let limit = 64
  private let traces = Mutex<[RequestTrace]>([])

  /// All that are kept, oldest first.
  var all: [RequestTrace] { traces.withLock { $0 } }

  func begin(_ request: RoutedRequest, at now: Instant) {
    let trace = RequestTrace(id: request.id, path: request.path, promptTokens: request.promptTokens, began: now)
    traces.withLock { traces in
      if traces.count == Self.limit { traces.removeFirst() }
      traces.append(trace)
    }
  }

  func begin(step: String, on node: NodeID, of request: RoutedRequest, at now: Instant) {
    change(request) { $0.steps.append(RequestTrace.Step(name: step, node: node, began: now)) }
  }

  /// Ends the latest step of this name; two of different names may be open at once.
  func end(step: String, of request: RoutedRequest, at now: Instant, failure: String? = nil) {
    change(request) { trace in
      guard let last = trace.steps.lastIndex(where: { $0.name == step }), trace.steps[last].ended == nil else { return }
      trace.steps[last].ended = now
      trace.steps[last].failure = failure
    }
  }

  func end(_ request: RoutedRequest, at now: Instant, failure: String? = nil) {
    change(request) { trace in
      for place in trace.steps.indices where trace.steps[place].ended == nil {
        trace.steps[place].ended = now
        trace.steps[place].failure = failure
      }
      trace.ended = now
      trace.failure = failure
    }
  }

  private func change(_ request: RoutedRequest, _ change: (inout RequestTrace) -> Void) {
    traces.withLock { traces in
      // A client may use one id twice: the later one is meant.
      guard let place = traces.lastIndex(where: { $0.id == request.id }) else { return }
      change(&traces[place])
    }
  }
}

/// GET /weir/cluster/requests: the router's traces, and beside them what each node says of its part.
struct TracesPage: Sendable {
  let state: RouterState

  /// - `requests`, oldest first: `id`, `path`, `prompt_tokens` (a guess), `seconds_ago`, `seconds` (null: still open),
  ///   `failure` (null, or a code), `steps`: `name` (`prefill`, `answer`), `node`, `start_seconds` after the request's
  ///   begin, `seconds`, `failure`.
  /// - `nodes`: `id`, `transfer` (its address), and the node's own `GET /weir/requests` as `work` (null: no answer).
  func json() async -> JSONValue {
    let nodes = state.nodes.compactMap { node in node.facts.map { (url: node.url, description: $0.description) } }
    let work = await withTaskGroup(of: (Int, JSONValue).self) { group in
      for (place, node) in nodes.enumerated() { group.addTask { (place, await said(by: node.url)) } }
      var work: [Int: JSONValue] = [:]
      for await (place, value) in group { work[place] = value }
      return work
    }
    let now = state.environment.clock.now()
    return [
      "requests": .array(state.traces.all.map { Self.json($0, now) }),
      "nodes": .array(
        nodes.enumerated().map { place, node in
          [
            "id": .string(node.description.id.rawValue), "transfer": .string(node.description.addresses.transfer),
            "work": work[place] ?? .null,
          ]
        }),
    ]
  }

  private func said(by url: String) async -> JSONValue {
    guard
      let (answer, bytes) = try? await state.upstream.exchange(
        "GET", url + "/weir/requests", headers: state.credentials, timeoutSeconds: 1), answer.status == 200
    else { return .null }
    return (try? JSONValue.parse(utf8: bytes)) ?? .null
  }

  private static func json(_ trace: RequestTrace, _ now: Instant) -> JSONValue {
    [
      "id": .string(trace.id), "path": .string(trace.path), "prompt_tokens": JSONValue(trace.promptTokens),
      "seconds_ago": JSONValue(now.seconds(since: trace.began)),
      "seconds": trace.ended.map { JSONValue($0.seconds(since: trace.began)) } ?? .null,
      "failure": trace.failure.map { .string($0) } ?? .null,
      "steps": .array(
        trace.steps.map { step in
          [
            "name": .string(step.name), "node": .string(step.node.rawValue),
            "start_seconds": JSONValue(step.began.seconds(since: trace.began)),
            "seconds": step.ended.map { JSONValue($0.seconds(since: step.began)) } ?? .null,
            "failure": step.failure.map { .string($0) } ?? .null,
          ]
        }),
    ]
  }
}
