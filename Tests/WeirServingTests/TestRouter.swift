// A router on a free port, for the tests of clusters.

import Logging
import ServiceLifecycle
import Testing
import WeirBasics
import WeirCluster

@testable import WeirServing

enum TestRouter {
  /// Runs `body` behind a router, which stops behind it.
  static func listening<Value: Sendable>(
    _ configuration: RouterConfiguration, environment: ServingEnvironment = ServingEnvironment(),
    _ body: @escaping @Sendable (_ port: Int, RouterService) async throws -> Value
  ) async throws -> Value {
    var configuration = configuration
    configuration.port = 0
    // All suites run at once: whoever waits for a processor is not away.
    configuration.directiveSeconds = 60
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    let (ports, ready) = AsyncStream<Int>.makeStream()
    let service = try RouterService(
      configuration: configuration, routing: RoundRobin(), logger: logger, environment: environment
    ) { port in ready.yield(port) }
    let group = ServiceGroup(configuration: ServiceGroupConfiguration(services: [service], logger: logger))
    let running = Task {
      defer { ready.finish() }
      try await group.run()
    }
    var iterator = ports.makeAsyncIterator()
    let port = try #require(await iterator.next())
    let result: Result<Value, any Error>
    do {
      result = .success(try await body(port, service))
    } catch {
      result = .failure(error)
    }
    await group.triggerGracefulShutdown()
    _ = try? await running.value
    return try result.get()
  }
}

/// Orders one role after another, one order per tick, for as long as there are any.
struct OrderedRoles: RolePlan {
  let tickSeconds: Double
  private var orders: [(node: String, role: Role)]
  private var epoch: Int

  init(_ orders: [(node: String, role: Role)], firstEpoch: Int, tickSeconds: Double = 0.02) {
    self.orders = orders
    self.tickSeconds = tickSeconds
    epoch = firstEpoch
  }

  mutating func tick(_ facts: RoleFacts) -> RoleDecision {
    var decision = RoleDecision(regime: .normal, prefillScore: 0.25, decodeScore: 0.5, reason: "as ordered")
    guard let next = orders.first, facts.nodes.contains(where: { $0.id == NodeID(next.node) && $0.isOpen }) else {
      return decision
    }
    orders.removeFirst()
    epoch += 1
    decision.directives = [
      RoleDirective(
        node: NodeID(next.node), role: next.role, timeToLiveCycles: 1000,
        epoch: epoch, reason: "order \(epoch)")
    ]
    return decision
  }
}
