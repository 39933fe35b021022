// The two-step flow: prefill on one node, hand the ticket to another, pass its answer on.
//
// Until the first byte of an answer has gone to the client everything can be tried again elsewhere, and is. With
// `streamsBlocks` the second step begins as soon as the first one's node names its ticket.

import AsyncHTTPClient
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import WeirBasics
import WeirCluster

struct RouterRoutes: Sendable {
  let state: RouterState

  /// Headers of the client that a node needs; everything else is between the client and the router.
  private static let passed = [
    "authorization", "x-api-key", "x-session-id", "x-tenant-id", "x-vllm-priority", "traceparent", "content-type",
    "anthropic-version",
  ]

  func add(to router: Router<ServingContext>) {
    router.get("/health") { _, _ in Response(status: .ok) }
    router.head("/health") { _, _ in Response(status: .ok) }
    router.get("/ready") { _, _ in try ready() }
    router.get("/metrics") { _, _ in
      Response.text(ClusterPage(state: state).metrics, type: "text/plain; version=0.0.4; charset=utf-8")
    }
    router.get("/weir/cluster") { _, _ in Response.json(ClusterPage(state: state).json) }
    router.get("/weir/cluster/requests") { _, _ in Response.json(await TracesPage(state: state).json()) }
    for path in ["/v1/completions", "/v1/chat/completions"] {
      router.post(RouterPath(path)) { request, context in try await generate(request, context, path: path) }
    }
    for method in [HTTPRequest.Method.get, .post, .delete] {
      router.on("/v1/**", method: method) { request, context in try await pass(request, context) }
      router.on("/tokenize", method: method) { request, context in try await pass(request, context) }
      router.on("/detokenize", method: method) { request, context in try await pass(request, context) }
    }
  }

  // MARK: generating

  private var now: Instant { state.environment.clock.now() }

  private func generate(_ request: Request, _ context: ServingContext, path: String) async throws -> Response {
    let bytes = try await body(request)
    guard let object = try JSONValue.parse(utf8: bytes).object else {
      throw APIError.invalid(nil, "The body must be a JSON object.", code: "invalid_json")
    }
    let routed = RoutedRequest(
      path: path, id: context.caller.requestID, body: object, headers: headers(request, context))
    let signal = await ConnectionWatch.signal(of: context.channel)
    state.traces.begin(routed, at: now)
    do {
      return try await whileConnected(signal) { try await answer(routed, signal) }
    } catch {
      state.traces.end(routed, at: now, failure: (error as? APIError)?.code ?? APIError.clientGone.code)
      throw error
    }
  }

  private func answer(_ request: RoutedRequest, _ signal: ConnectionSignal) async throws -> Response {
    let wanted = request.routeRequest(model: try fingerprint(request.model))
    let prefix = request.prefix
    var excluded: Set<NodeID> = []
    var last = APIError.unavailable(
      "No node of the cluster could answer; try again.", code: "no_node_available",
      retryAfter: state.configuration.retryAfterSeconds)
    for attempt in 0..<state.configuration.attempts {
      let route: Route
      do throws(RoutingError) {
        route = try state.route(wanted, prefix: prefix, excluding: excluded)
      } catch {
        // Everybody has been tried: the last node's own words say more than "nobody".
        if attempt == 0 { last = apiError(error) }
        break
      }
      if attempt > 0 { state.count { $0.retries += 1 } }
      switch await attemptOnce(request, route, signal) {
      case .answer(let response): return response
      case .refused(let error): throw error
      case .failed(let node, let error):
        if Task.isCancelled { throw APIError.clientGone }
        excluded.insert(node)
        last = error
      }
    }
    state.count { $0.failed += 1 }
    throw last
  }

  private enum Outcome {
    case answer(Response)
    /// The client's own mistake: no other node would think otherwise.
    case refused(APIError)
    /// This node cannot; another may.
    case failed(NodeID, APIError)
  }

  private func attemptOnce(_ request: RoutedRequest, _ route: Route, _ signal: ConnectionSignal) async -> Outcome {
    var parameters: JSONValue?
    var half: PrefillHalf?
    let splits =
      !route.isColocated && request.canBeSplit && request.promptTokens >= state.configuration.leastPrefillTokens
    if splits {
      let started = PrefillHalf(request, on: route.prefill, state: state)
      half = started
      switch await started.outcome() {
      case .ticket(let ticket): parameters = ticket
      case .refused(let error):
        await started.stop()
        state.ended(request, on: route.decode)
        return .refused(error)
      case .failed: await started.stop()
      }
    } else if !route.isColocated {
      state.ended(request, on: route.prefill)
    }
    state.traces.begin(step: "answer", on: route.decode, of: request, at: now)
    let outcome = await finish(request, route.decode, parameters, half, signal)
    guard case .answer(var response) = outcome else {
      // Its ticket is spent.
      await half?.stop()
      if case .failed(_, let error) = outcome {
        state.traces.end(step: "answer", of: request, at: now, failure: error.code)
      }
      state.ended(request, on: route.decode)
      return outcome
    }
    response.headers[.weirDecodeNode] = route.decode.rawValue
    if parameters != nil { response.headers[.weirPrefillNode] = route.prefill.rawValue }
    state.count { if parameters == nil { $0.colocated += 1 } else { $0.disaggregated += 1 } }
    return .answer(response)
  }

  /// The second step: the answer itself, whole or as a stream. When it is there, the first step has nothing more to do.
  private func finish(
    _ request: RoutedRequest, _ node: NodeID, _ parameters: JSONValue?, _ half: PrefillHalf?,
    _ signal: ConnectionSignal
  ) async -> Outcome {
    guard let url = state.url(of: node) else { return .failed(node, gone(node, "it has left")) }
    let answer: UpstreamAnswer
    do {
      answer = try await state.upstream.send(
        "POST", url + request.path, headers: request.headers, body: request.decodeBody(parameters),
        timeoutSeconds: 86_400)
    } catch {
      state.suspect(node)
      return .failed(node, gone(node, error.message))
    }
    if answer.status >= 500 || answer.status == 429 { return .failed(node, await nodeError(answer, node)) }
    if answer.type.hasPrefix("text/event-stream") {
      guard let half, state.configuration.streamsBlocks else {
        return .answer(stream(answer.body, type: answer.type, from: node, of: request))
      }
      let parts = Self.parts(of: answer.body, until: signal)
      return .answer(stream(parts, type: answer.type, from: node, of: request, half))
    }
    do {
      let bytes = try await answer.body.collect(upTo: Upstream.answerLimitBytes)
      await half?.stop()
      state.ended(request, on: node)
      state.traces.end(request, at: now)
      return .answer(
        Response(
          status: HTTPResponse.Status(code: answer.status), headers: [.contentType: answer.type],
          body: ResponseBody(byteBuffer: bytes)))
    } catch {
      // Nothing of it has gone to the client yet.
      state.suspect(node)
      return .failed(node, gone(node, "it broke off in the middle of an answer"))
    }
  }

  /// Passes events on as they come. A node that breaks off leaves an error event, as every server of this API does.
  private func stream<Parts: AsyncSequence & Sendable>(
    _ parts: Parts, type: String, from node: NodeID, of request: RoutedRequest? = nil, _ half: PrefillHalf? = nil
  ) -> Response where Parts.Element == ByteBuffer {
    let state = self.state
    let failure = gone(node, "it broke off in the middle of an answer")
    let body = ResponseBody { writer in
      var isWhole = false
      var isReaderThere = true
      do {
        for try await part in parts {
          do {
            try await writer.write(part)
          } catch {
            isReaderThere = false
            break
          }
        }
        isWhole = true
      } catch is CancellationError {
        isReaderThere = false
      } catch {
        // A node that breaks off leaves its chunked body without an end, which the client library throws.
      }
      await half?.stop()
      if let request {
        state.ended(request, on: node)
        state.traces.end(
          request, at: state.environment.clock.now(),
          failure: !isReaderThere ? APIError.clientGone.code : isWhole ? nil : failure.code)
      }
      if !isWhole, isReaderThere {
        state.suspect(node)
        state.count { $0.failed += 1 }
        let text = failure.body(.openAI, requestID: nil).serialized()
        try? await writer.write(ByteBuffer(string: "data: \(text)\n\n"))
      }
      try await writer.finish(nil)
    }
    return Response(
      status: .ok,
      headers: [.contentType: type, .cacheControl: "no-cache", .accelBuffering: "no"], body: body)
  }

  /// The parts of an answer until its client goes. While a prompt is computed nothing is written, which else would tell.
  ///
  /// What a slow client has not taken is kept here: the rest of one answer at most.
  private static func parts(
    of body: HTTPClientResponse.Body, until signal: ConnectionSignal
  ) -> AsyncThrowingStream<ByteBuffer, any Error> {
    AsyncThrowingStream { continuation in
      let reading = Task {
        do {
          for try await part in body { continuation.yield(part) }
          continuation.finish()
        } catch {
          continuation.finish(throwing: error)
        }
      }
      let watching = Task {
        await signal.wait()
        if !Task.isCancelled { continuation.finish(throwing: CancellationError()) }
      }
      continuation.onTermination = { _ in
        reading.cancel()
        watching.cancel()
      }
    }
  }

  // MARK: everything else

  /// One decode node answers, always the same one as long as it lives: answers that are stored lie there.
  private func pass(_ request: Request, _ context: ServingContext) async throws -> Response {
    let bytes = try await body(request)
    let alive = state.facts.filter(\.isOpen)
    let ordered = alive.filter { $0.role.takes(.decode) } + alive.filter { !$0.role.takes(.decode) }
    guard let node = ordered.first, let url = state.url(of: node.id) else { throw apiError(RoutingError.noNode) }
    do throws(UpstreamError) {
      let answer = try await state.upstream.send(
        request.method.rawValue, url + request.uri.string, headers: headers(request, context),
        body: bytes.isEmpty ? nil : bytes, timeoutSeconds: 86_400)
      if answer.type.hasPrefix("text/event-stream") { return stream(answer.body, type: answer.type, from: node.id) }
      let body = ResponseBody { writer in
        for try await part in answer.body { try await writer.write(part) }
        try await writer.finish(nil)
      }
      return Response(
        status: HTTPResponse.Status(code: answer.status), headers: [.contentType: answer.type], body: body)
    } catch {
      state.suspect(node.id)
      throw gone(node.id, error.message)
    }
  }

  private func ready() throws -> Response {
    guard state.facts.contains(where: \.isOpen) else { throw apiError(RoutingError.noNode) }
    return .json(["status": "ok"])
  }
}

extension RouterRoutes {
  /// The model that is asked for, as the nodes call it.
  private func fingerprint(_ name: String?) throws(APIError) -> ModelFingerprint {
    let nodes = state.facts.filter(\.isAlive)
    guard let first = nodes.first else { throw apiError(.noNode) }
    guard let name else { return first.description.model }
    guard let node = nodes.first(where: { $0.description.modelName == name }) else {
      throw .modelNotFound(name, serving: first.description.modelName)
    }
    return node.description.model
  }

  private func apiError(_ error: RoutingError) -> APIError {
    if error.isRetryable {
      return .unavailable(error.message, code: error.code, retryAfter: state.configuration.retryAfterSeconds)
    }
    return .invalid(nil, error.message, code: error.code)
  }

  private func gone(_ node: NodeID, _ detail: String) -> APIError {
    state.logger.warning("node failed", metadata: ["node": "\(node)", "error": "\(detail)"])
    return .unavailable(
      "Node \(node) could not finish this request; try again.", code: "node_unavailable",
      retryAfter: state.configuration.retryAfterSeconds)
  }

  /// A node's own refusal, in its own words.
  private func nodeError(_ answer: UpstreamAnswer, _ node: NodeID) async -> APIError {
    guard let bytes = try? await answer.body.collect(upTo: 1 << 20) else { return gone(node, "no body") }
    var error = APIError(status: answer.status, upstream: Array(bytes.readableBytesView))
    error.retryAfterSeconds = answer.retryAfter.flatMap { Double($0) } ?? state.configuration.retryAfterSeconds
    return error
  }

  private func body(_ request: Request) async throws -> [UInt8] {
    do {
      return Array(buffer: try await request.body.collect(upTo: state.configuration.maxBodyBytes))
    } catch is NIOTooManyBytesError {
      throw APIError.bodyTooLarge(limit: state.configuration.maxBodyBytes)
    }
  }

  private func headers(_ request: Request, _ context: ServingContext) -> [(String, String)] {
    var headers = [("x-request-id", context.caller.requestID)]
    for field in request.headers where Self.passed.contains(field.name.canonicalName) {
      headers.append((field.name.canonicalName, field.value))
    }
    return headers
  }
}

extension APIError {
  /// A node's refusal, in its own words.
  init(status: Int, upstream bytes: [UInt8]) {
    let error = (try? JSONValue.parse(utf8: bytes))?.object?["error"]?.object
    self.init(
      status: status, type: error?["type"]?.string ?? "server_error", code: error?["code"]?.string ?? "node_error",
      message: error?["message"]?.string ?? "a node of the cluster answered \(status)",
      param: error?["param"]?.string)
  }
}
