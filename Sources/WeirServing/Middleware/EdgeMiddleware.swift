// The outermost layer: request identifiers, errors as JSON, CORS, the access log.

import HTTPTypes
import Hummingbird
import Logging
import WeirBasics

struct EdgeMiddleware: RouterMiddleware {
  let state: ServingState

  func handle(
    _ request: Request, context: ServingContext,
    next: (Request, ServingContext) async throws -> Response
  ) async throws -> Response {
    let start = state.environment.clock.now()
    var context = context
    let given = request.headers[.requestID].flatMap(RequestIdentifier.validated)
    let id = given ?? state.environment.identifier()
    context.caller = CallerContext(
      requestID: id,
      sessionID: EdgeMiddleware.session(request.headers),
      priority: request.headers[.vllmPriority].flatMap { Int($0) },
      tenantID: request.headers[.tenantID].flatMap(RequestIdentifier.validated))
    let family = APIFamily(path: request.uri.path)
    var response: Response
    if request.method == .options, let preflight = CrossOrigin.preflight(request, state.configuration) {
      response = preflight
    } else {
      do {
        response = try await next(request, context)
      } catch {
        let failure = apiError(error, path: request.uri.path, method: request.method.rawValue)
        if failure.status >= 500 && failure.status != 503 {
          state.logger.error("request failed", metadata: ["id": "\(id)", "error": "\(error)"])
        }
        response = failure.response(family, requestID: id)
      }
    }
    if request.method == .head {
      // The length is told, the bytes are not sent: they would be read as the next response.
      response.body = ResponseBody(contentLength: response.body.contentLength) { try await $0.finish(nil) }
    }
    let seconds = state.environment.clock.now().seconds(since: start)
    response.headers[.requestID] = id
    if family == .anthropic { response.headers[.anthropicRequestID] = id }
    CrossOrigin.mark(&response, request, state.configuration)
    state.statuses.count(response.status.code)
    log(request, response, id: id, seconds: seconds)
    return response
  }

  /// Hummingbird answers unknown routes with an HTTPError; everything else is ours.
  private func apiError(_ error: any Error, path: String, method: String) -> APIError {
    guard let error = error as? HTTPError else {
      return .from(error, retryAfter: state.configuration.retryAfterSeconds)
    }
    if error.status == .notFound {
      return .notFound("There is no route \(method) \(path) here.", code: "unknown_route")
    }
    if error.status == .contentTooLarge { return .bodyTooLarge(limit: state.configuration.maxBodyBytes) }
    return APIError(
      status: error.status.code, type: error.status.code < 500 ? "invalid_request_error" : "server_error",
      code: "http_error", message: error.body ?? error.status.reasonPhrase)
  }

  private func log(_ request: Request, _ response: Response, id: String, seconds: Double) {
    guard state.configuration.accessLog else { return }
    state.logger.info(
      "\(request.method.rawValue) \(request.uri.path) \(response.status.code)",
      metadata: ["id": "\(id)", "seconds": "\((seconds * 1e4).rounded() / 1e4)"])
  }

  /// The session under whichever of the field's names the client sends it.
  private static func session(_ headers: HTTPFields) -> String? {
    for name in [HTTPField.Name.sessionID, .dynamoSessionID, .sessionAffinity, .correlationID] {
      if let value = headers[name].flatMap(RequestIdentifier.validated) { return value }
    }
    return nil
  }
}

/// Cross-origin headers; none unless origins are configured.
enum CrossOrigin {
  static func allowed(_ request: Request, _ configuration: ServingConfiguration) -> String? {
    guard let origin = request.headers[.origin] else { return nil }
    if configuration.allowedOrigins.contains("*") { return "*" }
    return configuration.allowedOrigins.contains(origin) ? origin : nil
  }

  static func preflight(_ request: Request, _ configuration: ServingConfiguration) -> Response? {
    guard allowed(request, configuration) != nil else { return nil }
    return Response(
      status: .noContent,
      headers: [
        .accessControlAllowMethods: "GET, POST, DELETE, HEAD, OPTIONS",
        .accessControlAllowHeaders: request.headers[.accessControlRequestHeaders] ?? "authorization, content-type",
        .accessControlMaxAge: "86400",
      ])
  }

  static func mark(_ response: inout Response, _ request: Request, _ configuration: ServingConfiguration) {
    guard let origin = allowed(request, configuration) else { return }
    response.headers[.accessControlAllowOrigin] = origin
    response.headers[.accessControlExposeHeaders] = "X-Request-Id, retry-after, retry-after-ms"
    if origin != "*" { response.headers[.vary] = "Origin" }
  }
}
