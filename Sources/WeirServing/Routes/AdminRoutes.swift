// Administration: GET and HEAD /metrics, and the POST routes that change the server's state.

import HTTPTypes
import Hummingbird
import WeirBasics
import WeirEngine

struct AdminRoutes: Sendable {
  let state: ServingState

  func add(to router: Router<ServingContext>) {
    router.get("/metrics") { _, _ in await metrics() }
    router.head("/metrics") { _, _ in await metrics() }
    // Each route exists under its common name and below /admin.
    for prefix in ["", "/admin"] {
      router.post("\(prefix)/reset_prefix_cache") { _, _ in
        await state.engine.clearPrefixCache()
        return Response.json(["success": true])
      }
      router.post("\(prefix)/pause") { _, _ in
        await state.engine.pause()
        return Response.json(["is_paused": true])
      }
      router.post("\(prefix)/resume") { _, _ in
        await state.engine.resume()
        return Response.json(["is_paused": false])
      }
      router.get("\(prefix)/is_paused") { _, _ in
        Response.json(["is_paused": .bool(await state.engine.status().isPaused)])
      }
      router.post("\(prefix)/abort_requests") { request, _ in try await abort(request) }
    }
  }

  private func metrics() async -> Response {
    let status = await state.engine.status()
    return .text(
      ServerMetrics(state: state, status: status).text(), type: "text/plain; version=0.0.4; charset=utf-8")
  }

  /// `{"request_ids": [...]}`, `{"request_id": "..."}` or `{"abort_all": true}`.
  private func abort(_ request: Request) async throws -> Response {
    let fields = try await state.fields(request, allowsEmpty: true)
    var ids: [RequestID] = []
    if try fields.bool("abort_all") == true {
      ids = state.active.all
    } else {
      let names = try fields.strings("request_ids") ?? fields.strings("request_id") ?? []
      guard !names.isEmpty else {
        throw APIError.missing("request_ids", "give the identifiers to abort, or abort_all: true")
      }
      ids = names.flatMap(state.active.matching)
    }
    var aborted: [JSONValue] = []
    for id in ids where await state.engine.cancel(id) { aborted.append(.string(id.rawValue)) }
    return .json(["aborted": .array(aborted)])
  }
}
