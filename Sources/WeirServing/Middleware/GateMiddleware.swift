// Who may use which route.

import HTTPTypes
import Hummingbird

/// What a route asks of its caller.
enum RouteClass: Sendable {
  /// Health, version and the page's files: always open.
  case open
  /// Numbers about the server.
  case metrics
  /// The same for other members of the cluster, who may show its secret instead of a key.
  case peer
  case client
  case admin

  private static let openPaths: Set<String> = ["/", "/health", "/ping", "/ready", "/v1/health", "/version"]
  private static let metricPaths: Set<String> = [
    "/metrics", "/load", "/weir/state", "/get_server_info", "/kv_event_sources",
  ]
  private static let adminPaths: Set<String> = [
    "/reset_prefix_cache", "/pause", "/resume", "/abort_requests", "/is_paused",
  ]
  private static let clientPaths: Set<String> = ["/tokenize", "/detokenize", "/tokenizer_info"]

  init(path: String) {
    if RouteClass.openPaths.contains(path) {
      self = .open
    } else if path == "/weir/node" || path == "/weir/requests" {
      self = .peer
    } else if RouteClass.metricPaths.contains(path) {
      self = .metrics
    } else if RouteClass.adminPaths.contains(path) || path.hasPrefix("/admin/") {
      self = .admin
    } else if path.hasPrefix("/v1/") || RouteClass.clientPaths.contains(path) {
      self = .client
    } else {
      // Files of the page, /weir/role (whose body is sealed), or nothing.
      self = .open
    }
  }
}

struct GateMiddleware: RouterMiddleware {
  let state: ServingState

  func handle(
    _ request: Request, context: ServingContext,
    next: (Request, ServingContext) async throws -> Response
  ) async throws -> Response {
    var context = context
    let key = GateMiddleware.key(request.headers)
    switch RouteClass(path: request.uri.path) {
    case .open: break
    case .metrics:
      if state.configuration.protectsMetrics { try checkClient(key) }
    case .peer:
      if state.configuration.protectsMetrics, !isPeer(request.headers) { try checkClient(key) }
    case .client:
      try checkClient(key)
      if state.keys.asksForKeys, let key { context.caller.keySalt = state.keys.salt(for: key) }
    case .admin:
      if state.keys.hasAdminKey {
        guard let key else { throw APIError.unauthorised }
        guard state.keys.isAdmin(key) else { throw APIError.forbidden }
      } else {
        try checkClient(key)
      }
    }
    return try await next(request, context)
  }

  private func isPeer(_ headers: HTTPFields) -> Bool {
    guard let token = headers[.weirPeer], let secret = state.configuration.node?.secret else { return false }
    return secret.isPeer(token)
  }

  private func checkClient(_ key: String?) throws(APIError) {
    guard state.keys.asksForKeys else { return }
    guard let key, state.keys.isClient(key) else { throw .unauthorised }
  }

  /// `Authorization: Bearer KEY` or `x-api-key: KEY`.
  private static func key(_ headers: HTTPFields) -> String? {
    if let key = headers[.apiKey] { return key }
    guard let value = headers[.authorization] else { return nil }
    let parts = value.split(separator: " ", maxSplits: 1)
    guard parts.count == 2, parts[0].lowercased() == "bearer" else { return nil }
    return String(parts[1])
  }
}
