// Roles on the wire: who may direct, what a node obeys, which router has the right, and what people see of it.

import Logging
import Testing
import WeirBasics
import WeirCluster
import WeirEngine
import WeirTestSupport

@testable import WeirServing

private let secretBytes = Array("a secret of the tests".utf8)

private func secret() throws -> ClusterSecret { try ClusterSecret(bytes: secretBytes) }

private func information() throws -> EngineInformation {
  var information = try TestServer.information()
  information.kvShape = KVShape(layers: 1, kvHeads: 1, headDim: 32, blockSlots: 16, keyType: .f16, valueType: .f16)
  information.modelFingerprint = 7
  return information
}

/// A node over a scripted engine.
private func node(
  _ name: String, _ role: Role, _ change: @escaping @Sendable (inout ServingConfiguration) -> Void = { _ in },
  _ body: @escaping @Sendable (TestServer) async throws -> Void
) async throws {
  let identity = NodeIdentity(id: NodeID(name), role: role, incarnation: 3, secret: try secret())
  try await TestServer.with(
    { configuration in
      configuration.node = identity
      change(&configuration)
    }, information: information(), body)
}

private func directive(_ node: String, _ role: Role, epoch: Int, incarnation: Int = 3, cycles: Int = 100)
  -> RoleDirective
{
  var directive = RoleDirective(
    node: NodeID(node), role: role, timeToLiveCycles: cycles, epoch: epoch, reason: "prefill at 0.93")
  directive.incarnation = incarnation
  return directive
}

extension RoleDirective {
  fileprivate func sealed(by secret: ClusterSecret) -> RoleDirective {
    var copy = self
    copy.seal = secret.seal(statement, purpose: NodeRole.purpose)
    return copy
  }
}

private func cluster(_ port: Int) async throws -> JSONValue {
  try await blocking { try RawSocket.exchange(port: port, "GET", "/weir/cluster", headers: [:], body: nil) }.json
}

@Suite struct NodeRoleTests {
  private func role(_ clock: ManualClock) throws -> NodeRole {
    NodeRole(
      identity: NodeIdentity(id: NodeID("a"), role: .prefill, incarnation: 3, secret: try secret()), clock: clock,
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
  }

  @Test func aDirectiveEndsByItself() throws {
    let clock = ManualClock()
    clock.advance(bySeconds: 1)
    let role = try role(clock)
    try role.obey(directive("a", .mixed, epoch: 5, cycles: 4).sealed(by: try secret()))
    #expect(role.view.role == .mixed && role.view.reason == "prefill at 0.93" && role.view.changes == 1)
    clock.advance(bySeconds: 0.8)
    #expect(role.view.role == .mixed && role.view.remainingCycles == 1)
    clock.advance(bySeconds: 0.3)
    #expect(role.view.role == .prefill && role.view.epoch == nil && role.view.changes == 2)
  }

  @Test func whatWasNotMeantForThisNodeIsRefused() throws {
    let role = try role(ManualClock())
    let known = try secret()
    let other = try ClusterSecret(bytes: Array("another secret of the tests".utf8))
    func refusal(_ directive: RoleDirective) -> DirectiveRefusal? {
      do throws(DirectiveRefusal) {
        try role.obey(directive)
        return nil
      } catch {
        return error
      }
    }
    #expect(refusal(directive("a", .mixed, epoch: 5)) == .unsealed)
    #expect(refusal(directive("a", .mixed, epoch: 5).sealed(by: other)) == .unsealed)
    // Whoever changes what was sealed breaks the seal.
    var changed = directive("a", .mixed, epoch: 5).sealed(by: known)
    changed.epoch = 6
    #expect(refusal(changed) == .unsealed)
    #expect(refusal(directive("b", .mixed, epoch: 5).sealed(by: known)) == .otherNode)
    #expect(refusal(directive("a", .mixed, epoch: 5, incarnation: 2).sealed(by: known)) == .otherNode)
    #expect(role.view.changes == 0)
    #expect(refusal(directive("a", .mixed, epoch: 5).sealed(by: known)) == nil)
    #expect(refusal(directive("a", .decode, epoch: 5).sealed(by: known)) == .stale(followed: 5))
    #expect(role.view.role == .mixed)
  }

  @Test func aSealStandsForOnePurpose() throws {
    let secret = try secret()
    let seal = secret.seal([1, 2], purpose: "p")
    #expect(seal.count == 64 && secret.accepts(seal, of: [1, 2], purpose: "p"))
    #expect(!secret.accepts(seal, of: [1, 3], purpose: "p") && !secret.accepts(seal, of: [1, 2], purpose: "q"))
    #expect(secret.isPeer(secret.peerToken) && !secret.isPeer(seal) && !secret.isPeer(""))
  }
}

@Suite struct RoleWireTests {
  @Test func aNodeIsDirectedOverItsDoor() async throws {
    try await node("a", .prefill) { server in
      let good = directive("a", .mixed, epoch: 9).sealed(by: try secret())
      let followed = try await server.post("/weir/role", good.json)
      #expect(followed.status == 200 && followed.json["role"]?.string == "mixed", "\(followed.text)")
      let again = try await server.post("/weir/role", good.json)
      #expect(again.status == 409 && again.json["error"]?["code"]?.string == "stale_epoch")
      let forged = try await server.post("/weir/role", directive("a", .decode, epoch: 10).json)
      #expect(forged.status == 403 && forged.json["error"]?["code"]?.string == "unsealed_directive")
      let broken = try await server.post("/weir/role", ["version": 1, "node": "a"])
      #expect(broken.status == 400 && broken.text.contains("role"), "\(broken.text)")
      let seen = try await server.get("/weir/node").json
      #expect(seen["report"]?["role"]?.string == "mixed" && seen["description"]?["role"]?.string == "prefill")
      #expect(seen["role"]?["reason"]?.string == "prefill at 0.93")
      let metrics = try await server.get("/metrics").text
      #expect(
        metrics.contains("role=\"mixed\",home=\"prefill\"} 1") && metrics.contains("weir_node_role_changes_total"))
    }
  }

  @Test func protectedNumbersAreShownToTheCluster() async throws {
    try await node(
      "a", .prefill,
      { configuration in
        configuration.protectsMetrics = true
        configuration.apiKeys = ["k"]
      }
    ) { server in
      let secret = try secret()
      #expect(try await server.get("/weir/node").status == 401)
      let wrong = try await server.send("GET", "/weir/node", headers: ["x-weir-peer": secret.seal([], purpose: "p")])
      #expect(wrong.status == 401)
      #expect(try await server.send("GET", "/weir/node", headers: ["x-weir-peer": secret.peerToken]).status == 200)
      #expect(try await server.send("GET", "/weir/node", headers: ["authorization": "Bearer k"]).status == 200)
      #expect(try await server.send("GET", "/metrics", headers: ["x-weir-peer": secret.peerToken]).status == 401)
      // Both kinds of router see it.
      for (known, key) in [(secret, nil), (nil, "k")] as [(ClusterSecret?, String?)] {
        var configuration = RouterConfiguration()
        configuration.pollSeconds = 0.05
        configuration.nodes = [RouterNode(url: "http://127.0.0.1:\(server.port)")]
        configuration.secret = known
        configuration.nodeKey = key
        try await TestRouter.listening(configuration) { _, service in
          #expect(await eventually { service.nodes.first?.facts?.isOpen == true })
        }
      }
    }
  }

  @Test func ordersAndTheirReasonsAreSeen() async throws {
    try await node("a", .prefill) { server in
      var configuration = RouterConfiguration()
      configuration.pollSeconds = 0.02
      configuration.secret = try secret()
      configuration.nodes = [RouterNode(url: "http://127.0.0.1:\(server.port)")]
      configuration.roles = RouterRoles(name: "ordered") { epoch in
        OrderedRoles([("a", .decode), ("a", .prefill)], firstEpoch: epoch)
      }
      try await TestRouter.listening(configuration) { port, service in
        #expect(await eventually { service.roles.flips.count == 2 })
        let page = try await cluster(port)
        let flips = page["roles"]?["flips"]
        #expect(flips?[0]?["from"]?.string == "prefill" && flips?[0]?["to"]?.string == "decode", "\(page)")
        #expect(flips?[0]?["reason"]?.string?.hasPrefix("order ") == true)
        #expect(flips?[0]?["outcome"]?.string == "followed" && flips?[1]?["to"]?.string == "prefill", "\(page)")
        #expect(page["roles"]?["is_controller"]?.bool == true && page["roles"]?["returns"]?.int == 1)
        #expect(page["roles"]?["models"]?[0]?["decode_score"]?.double == 0.5)
        #expect(page["nodes"]?[0]?["home_role"]?.string == "prefill")
        let metrics = try await blocking {
          try RawSocket.exchange(port: port, "GET", "/metrics", headers: [:], body: nil)
        }.text
        #expect(metrics.contains("weir_router_role_changes_total{role=\"decode\"} 1"), "\(metrics)")
        #expect(metrics.contains("weir_router_role_directives_total{outcome=\"followed\"} 2"), "\(metrics)")
      }
    }
  }

  @Test func theRouterThatBeganLastDirects() async throws {
    try await node("a", .prefill) { server in
      @Sendable func settings(_ orders: [(node: String, role: Role)]) throws -> RouterConfiguration {
        var configuration = RouterConfiguration()
        configuration.pollSeconds = 0.02
        configuration.secret = try secret()
        configuration.nodes = [RouterNode(url: "http://127.0.0.1:\(server.port)")]
        configuration.roles = RouterRoles(name: "ordered") { OrderedRoles(orders, firstEpoch: $0) }
        return configuration
      }
      var (early, late) = (ServingEnvironment(), ServingEnvironment())
      early.unixSeconds = { 100 }
      late.unixSeconds = { 200 }
      let environments = (early, late)
      try await TestRouter.listening(try settings([("a", .mixed)]), environment: environments.1) { _, second in
        #expect(await eventually { second.roles.directives[.followed] == 1 })
        try await TestRouter.listening(try settings([("a", .decode)]), environment: environments.0) { _, first in
          #expect(await eventually { first.roles.directives[.refused] == 1 && !first.roles.isController })
          #expect(second.roles.isController)
          #expect(await eventually { first.nodes.first?.facts?.role == .mixed })
        }
      }
    }
  }

  @Test func oneRouterOfARegistryDirectsAndAnotherTakesOver() async throws {
    let registry = LocalRegistry(clock: SystemClock())
    try await node("a", .prefill, { $0.registry = registry }) { _ in
      @Sendable func settings(_ role: Role) throws -> RouterConfiguration {
        var configuration = RouterConfiguration()
        configuration.secret = try secret()
        configuration.registry = registry
        configuration.roles = RouterRoles(name: "ordered") { OrderedRoles([("a", role)], firstEpoch: $0) }
        return configuration
      }
      try await TestRouter.listening(try settings(.decode)) { _, first in
        #expect(await eventually { first.nodes.first?.facts?.role == .decode }, "the node did not follow")
        #expect(first.roles.isController && first.roles.directives[.published] == 1)
        try await TestRouter.listening(try settings(.mixed)) { _, second in
          #expect(await eventually { second.nodes.first?.facts?.role == .decode })
          #expect(!second.roles.isController && second.roles.directives.isEmpty)
        }
      }
      try await TestRouter.listening(try settings(.mixed)) { _, third in
        #expect(await eventually { third.nodes.first?.facts?.role == .mixed }, "the successor's order is newer")
      }
    }
  }
}
