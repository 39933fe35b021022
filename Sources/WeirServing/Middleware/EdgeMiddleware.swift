// The outermost layer: request identifiers, errors as JSON, CORS, the access log.

import HTTPTypes
import Hummingbird
import Logging
import WeirBasics

/// What the outermost layer has to know of the server it belongs to: a node's or a router's.
struct EdgeSettings: Sendable {
  var environment: ServingEnvironment
  var logger: Logger
  var accessLog = false
  /// Origins that browsers may call from.
  var allowedOrigins: [String] = []
  var maxBodyBytes: Int
  var retryAfterSeconds: Double
  var statuses: StatusCounters
}

struct EdgeMiddleware: RouterMiddleware {
  let settings: EdgeSettings

  func handle(
    _ request: Request, context: ServingContext,
    next: (Request, ServingContext) async throws -> Response
  ) async throws -> Response {
    let start = settings.environment.clock.now()
    var context = context
    let given = request.headers[.requestID].flatMap(RequestIdentifier.validated)
    let id = given ?? settings.environment.identifier()
    context.caller = CallerContext(
      requestID: id,
      sessionID: EdgeMiddleware.session(request.headers),
      priority: request.headers[.vllmPriority].flatMap { Int($0) },
      tenantID: request.headers[.tenantID].flatMap(RequestIdentifier.validated))
    let family = APIFamily(path: request.uri.path)
    var response: Response
    if request.method == .options, let preflight = CrossOrigin.preflight(request, settings.allowedOrigins) {
      response = preflight
    } else {
      do {
        response = try await next(request, context)
      } catch {
        let failure = apiError(error, path: request.uri.path, method: request.method.rawValue)
        if failure.status >= 500 && failure.status != 503 {
          settings.logger.error("request failed", metadata: ["id": "\(id)", "error": "\(error)"])
        }
        response = failure.response(family, requestID: id)
      }
    }
    if request.method == .head {
      // The length is told, the bytes are not sent: they would be read as the next response.
      response.body = ResponseBody(contentLength: response.body.contentLength) { try await $0.finish(nil) }
    }
    let seconds = settings.environment.clock.now().seconds(since: start)
    response.headers[.requestID] = id
    if family == .anthropic { response.headers[.anthropicRequestID] = id }
    CrossOrigin.mark(&response, request, settings.allowedOrigins)
    settings.statuses.count(response.status.code)
    log(request, response, id: id, seconds: seconds)
    return response
  }

  /// Hummingbird answers unknown routes with an HTTPError; everything else is ours.
  private func apiError(_ error: any Error, path: String, method: String) -> APIError {
    guard let error = error as? HTTPError else {
      return .from(error, retryAfter: settings.retryAfterSeconds)
    }
    if error.status == .notFound {
      return .notFound("There is no route \(method) \(path) here.", code: "unknown_route")
    }
    if error.status == .contentTooLarge { return .bodyTooLarge(limit: settings.maxBodyBytes) }
    return APIError(
      status: error.status.code, type: error.status.code < 500 ? "invalid_request_error" : "server_error",
      code: "http_error", message: error.body ?? error.status.reasonPhrase)
  }

  private func log(_ request: Request, _ response: Response, id: String, seconds: Double) {
    guard settings.accessLog else { return }
    settings.logger.info(
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
  static func allowed(_ request: Request, _ origins: [String]) -> String? {
    guard let origin = request.headers[.origin] else { return nil }
    if origins.contains("*") { return "*" }
    return origins.contains(origin) ? origin : nil
  }

  static func preflight(_ request: Request, _ origins: [String]) -> Response? {
    guard allowed(request, origins) != nil else { return nil }
    return Response(
      status: .noContent,
      headers: [
        .accessControlAllowMethods: "GET, POST, DELETE, HEAD, OPTIONS",
        .accessControlAllowHeaders: request.headers[.accessControlRequestHeaders] ?? "authorization, content-type",
        .accessControlMaxAge: "86400",
      ])
  }

  static func mark(_ response: inout Response, _ request: Request, _ origins: [String]) {
    guard let origin = allowed(request, origins) else { return }
    response.headers[.accessControlAllowOrigin] = origin
    response.headers[.accessControlExposeHeaders] = "X-Request-Id, retry-after, retry-after-ms"
    if origin != "*" { response.headers[.vary] = "Origin" }
  }
}
