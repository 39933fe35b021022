// The first step of a request that two nodes share: it runs by itself, so that the second can begin before it is over.

import AsyncHTTPClient
import Logging
import NIOCore
import WeirBasics
import WeirCluster

/// A prefill on its node. Whoever starts it ends it with `cancel` or `stop`, or lets it come to its end.
struct PrefillHalf: Sendable {
  static let step = "prefill"

  enum Outcome: Sendable {
    /// The node's `kv_transfer_params`; nil: it keeps nothing. With streamed blocks the prompt may still be computed.
    case ticket(JSONValue?)
    /// The client's own mistake.
    case refused(APIError)
    /// The request goes on without it: every node can prefill.
    case failed
  }

  private let outcomes: AsyncStream<Outcome>
  private let task: Task<Void, Never>

  init(_ request: RoutedRequest, on node: NodeID, state: RouterState) {
    let (outcomes, outlet) = AsyncStream<Outcome>.makeStream(bufferingPolicy: .bufferingOldest(1))
    self.outcomes = outcomes
    let work = PrefillWork(request: request, node: node, state: state, outlet: outlet)
    state.traces.begin(step: Self.step, on: node, of: request, at: state.environment.clock.now())
    task = Task { await work.run() }
  }

  /// What it leads to; asked once. A caller that is cancelled cancels it.
  func outcome() async -> Outcome {
    await withTaskCancellationHandler {
      for await outcome in outcomes { return outcome }
      return .failed
    } onCancel: {
      task.cancel()
    }
  }

  /// Nobody needs it any more; nothing happens if it is over.
  func cancel() { task.cancel() }

  /// Cancels it and waits until the node has been let go.
  func stop() async {
    task.cancel()
    await task.value
  }
}

private struct PrefillWork: Sendable {
  /// A prefill that did not come to its end.
  private struct Failure: Error {
    let detail: String
    /// Whether the node itself seems to be away.
    var isSilent = false
  }

  let request: RoutedRequest
  let node: NodeID
  let state: RouterState
  let outlet: AsyncStream<PrefillHalf.Outcome>.Continuation

  func run() async {
    var failure: String?
    var last = PrefillHalf.Outcome.failed
    do {
      last = try await withThrowingTaskGroup(of: PrefillHalf.Outcome.self) { group in
        group.addTask { try await ask() }
        group.addTask {
          // The client's own limit ends with the head of an answer.
          try await Task.sleep(nanoseconds: UInt64(state.configuration.prefillTimeoutSeconds * 1e9))
          throw Failure(detail: "no end within \(state.configuration.prefillTimeoutSeconds) s")
        }
        defer { group.cancelAll() }
        return try await group.next() ?? .failed
      }
    } catch {
      failure = Task.isCancelled ? "not_needed" : "prefill_failed"
      let known = error as? Failure ?? Failure(detail: "\(error)", isSilent: true)
      if !Task.isCancelled {
        if known.isSilent { state.suspect(node) }
        state.count { $0.prefillFailures += 1 }
        state.logger.warning("prefill failed", metadata: ["node": "\(node)", "error": "\(known.detail)"])
      }
    }
    state.traces.end(step: PrefillHalf.step, of: request, at: state.environment.clock.now(), failure: failure)
    state.ended(request, on: node)
    // Unless a ticket was told before.
    outlet.yield(last)
    outlet.finish()
  }

  private func ask() async throws -> PrefillHalf.Outcome {
    guard let url = state.url(of: node) else { throw Failure(detail: "it has left") }
    let answer = try await state.upstream.send(
      "POST", url + request.path, headers: request.headers,
      body: request.prefillBody(streamsBlocks: state.configuration.streamsBlocks),
      timeoutSeconds: state.configuration.prefillTimeoutSeconds)
    if answer.status == 200, answer.type.hasPrefix("text/event-stream") { return try await follow(answer) }
    let bytes = Array(buffer: try await answer.body.collect(upTo: Upstream.answerLimitBytes))
    if answer.status == 200 {
      return .ticket(Self.ticket(try? JSONValue.parse(utf8: bytes)))
    }
    if (400..<500).contains(answer.status), answer.status != 408, answer.status != 429 {
      return .refused(APIError(status: answer.status, upstream: bytes))
    }
    throw Failure(detail: "status \(answer.status)")
  }

  /// Reads events to the end: the first one with a ticket lets the answer begin.
  private func follow(_ answer: UpstreamAnswer) async throws -> PrefillHalf.Outcome {
    var lines = EventLines()
    var isWhole = false
    for try await part in answer.body {
      for data in try lines.append(part) {
        if data.elementsEqual("[DONE]".utf8) {
          isWhole = true
          continue
        }
        guard let event = try? JSONValue.parse(utf8: data), let object = event.object else { continue }
        if let error = object["error"] { throw Failure(detail: error.serialized()) }
        // Of several the first counts.
        if object["kv_transfer_params"] != nil { outlet.yield(.ticket(Self.ticket(event))) }
      }
    }
    guard isWhole else { throw Failure(detail: "it broke off in the middle of a prefill", isSilent: true) }
    return .ticket(nil)
  }

  private static func ticket(_ body: JSONValue?) -> JSONValue? {
    let parameters = body?.object?["kv_transfer_params"]
    return parameters?.isNull == false ? parameters : nil
  }
}

/// Finds the `data:` lines of server-sent events in parts of any size.
struct EventLines: Sendable {
  /// Longest line in bytes.
  static let limit = 16 << 20
  private var lines = LineSplitter(limitBytes: limit)

  /// - Returns: what stands behind `data: ` in every line that is complete now.
  /// - Throws: ``HTTPExchangeError`` if a line is longer than `limit`.
  mutating func append(_ part: ByteBuffer) throws(HTTPExchangeError) -> [[UInt8]] {
    try lines.add(part.readableBytesView).filter { $0.starts(with: "data: ".utf8) }.map { Array($0.dropFirst(6)) }
  }
}
