// GET /weir/node and POST /weir/role: what routers ask a node, and tell it.

import HTTPTypes
import Hummingbird
import WeirBasics
import WeirCluster
import WeirEngine

struct NodeRoutes: Sendable {
  let state: ServingState

  func add(to router: Router<ServingContext>) {
    guard let reporter = state.reporter else { return }
    router.get("/weir/node") { _, _ in try await node(reporter) }
    router.post("/weir/role") { request, _ in try await direct(request, reporter) }
  }

  /// What a router asks several times a second.
  private func node(_ reporter: NodeReporter) async throws -> Response {
    let status = await state.engine.status()
    guard let description = reporter.description(state.information, status, boundAddress: state.boundAddress) else {
      throw APIError.notFound("This node cannot hand KV over.", code: "no_transfer_plane")
    }
    return .json([
      "description": description.json, "report": reporter.report(status, isDraining: state.isDraining).json,
      "role": reporter.role.view.json,
    ])
  }

  /// The body is a role directive; its seal says who may send it.
  private func direct(_ request: Request, _ reporter: NodeReporter) async throws -> Response {
    let bytes = try await state.body(request, limitBytes: RoleDirective.limitBytes)
    let directive = try RoleDirective.parse(utf8: bytes)
    do throws(DirectiveRefusal) {
      try reporter.role.obey(directive)
    } catch {
      throw error.apiError
    }
    return .json(reporter.role.view.json)
  }
}

extension NodeRole.View {
  /// `role`, `home`, `reason`, `epoch` (null without a directive), `remaining_cycles`, `changes`.
  var json: JSONValue {
    [
      "role": .string(role.rawValue), "home": .string(home.rawValue),
      "reason": reason.map { .string($0) } ?? .null, "epoch": epoch.map { JSONValue($0) } ?? .null,
      "remaining_cycles": JSONValue(remainingCycles), "changes": JSONValue(Int(clamping: changes)),
    ]
  }
}
