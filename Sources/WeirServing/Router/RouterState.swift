// What all requests of a router share: the cluster as it is known, the decisions, the counts.

import Logging
import Synchronization
import WeirBasics
public import WeirCluster

/// Requests of a router since its start.
public struct RouterCounts: Sendable, Equatable {
  /// Prefilled on one node, continued on another.
  public var disaggregated: UInt64 = 0
  /// Done by one node.
  public var colocated: UInt64 = 0
  /// Prefills that failed; the request went on without them.
  public var prefillFailures: UInt64 = 0
  /// Tries of another node, because one did not answer or was busy.
  public var retries: UInt64 = 0
  /// Answers that ended with an error of the cluster.
  public var failed: UInt64 = 0
}

/// One node as people see it.
public struct RouterNodeView: Sendable {
  public var url: String
  /// Nil while the node has never answered.
  public var facts: NodeFacts?
  public var placed: UInt64
}

/// Guarded; handlers of all connections use it at once.
final class RouterState: Sendable {
  private struct Shared {
    var view: ClusterView
    var generator: SeededGenerator
    var turn: UInt64 = 0
    var counts = RouterCounts()
    var urls: [NodeID: String] = [:]
    var roles: [NodeID: Role] = [:]
    var placed: [NodeID: UInt64] = [:]
  }

  let configuration: RouterConfiguration
  let routing: any Routing
  let environment: ServingEnvironment
  let upstream: Upstream
  let logger: Logger
  private let shared: Mutex<Shared>

  init(
    configuration: RouterConfiguration, routing: any Routing, environment: ServingEnvironment, logger: Logger
  ) {
    self.configuration = configuration
    self.routing = routing
    self.environment = environment
    self.logger = logger
    upstream = Upstream(silenceSeconds: configuration.silenceSeconds)
    shared = Mutex(
      Shared(
        view: ClusterView(configuration: ClusterViewConfiguration(staleSeconds: configuration.staleSeconds)),
        generator: SeededGenerator(seed: environment.randomBits())))
  }

  // MARK: the cluster

  /// Takes what a node said of itself; its role is the one that the router was told.
  func heard(_ description: NodeDescription, _ report: LoadReport, from node: RouterNode) {
    var (description, report) = (description, report)
    if let role = node.role {
      description.homeRole = role
      report.role = role
    }
    let now = environment.clock.now()
    shared.withLock { shared in
      let isNew = shared.urls.updateValue(node.url, forKey: description.id) != node.url
      if isNew { logger.info("node joined", metadata: ["node": "\(description.id)", "url": "\(node.url)"]) }
      shared.view.apply(.joined(description), now: now)
      shared.view.apply(.reported(report), now: now)
    }
  }

  /// Takes what the registry tells.
  func take(_ event: MembershipEvent) {
    let now = environment.clock.now()
    shared.withLock { shared in
      switch event {
      case .snapshot(let members):
        for member in members { shared.urls[member.description.id] = "http://\(member.description.addresses.http)" }
      case .joined(let node): shared.urls[node.id] = "http://\(node.addresses.http)"
      case .left(let id, _): shared.urls[id] = nil
      default: break
      }
      shared.view.apply(event, now: now)
    }
  }

  /// Nobody answers at this address: whoever was there gets nothing until it is heard again.
  func silent(_ node: RouterNode) {
    shared.withLock { shared in
      for (id, url) in shared.urls where url == node.url { shared.view.suspect(id) }
    }
  }

  /// Members of which the registry has told nothing for longer than `seconds`; configured nodes are asked anyway.
  func silentMembers(longerThan seconds: Double) -> [RouterNode] {
    let now = environment.clock.now()
    let given = Set(configuration.nodes.map(\.url))
    return shared.withLock { shared in
      shared.view.silent(longerThan: seconds, now: now).compactMap { shared.urls[$0] }
    }.filter { !given.contains($0) }.map { RouterNode(url: $0) }
  }

  func suspect(_ id: NodeID) { shared.withLock { $0.view.suspect(id) } }

  func url(of id: NodeID) -> String? { shared.withLock { $0.urls[id] } }

  var facts: [NodeFacts] {
    let now = environment.clock.now()
    return shared.withLock { $0.view.facts(now: now) }
  }

  /// Members of the registry, and every configured address with what is known of the node there.
  var nodes: [RouterNodeView] {
    let facts = self.facts
    let (urls, placed) = shared.withLock { ($0.urls, $0.placed) }
    let given = Set(configuration.nodes.map(\.url))
    let joined = facts.filter { !given.contains(urls[$0.id] ?? "") }.map { node in
      RouterNodeView(url: urls[node.id] ?? "", facts: node, placed: placed[node.id] ?? 0)
    }
    return joined
      + configuration.nodes.map { node in
        // A node that was started anew under another name has left its old name behind.
        let known = facts.filter { urls[$0.id] == node.url }
        func rank(_ node: NodeFacts) -> (Int, Int) { (node.isAlive ? 1 : 0, node.description.incarnation) }
        let latest = known.max { rank($0) < rank($1) }
        return RouterNodeView(url: node.url, facts: latest, placed: latest.flatMap { placed[$0.id] } ?? 0)
      }
  }

  // MARK: decisions

  /// Places a request on nodes other than `excluded`.
  ///
  /// The router counts tokens by guess, so a refusal for length or room is not final: the node that gets it says
  /// exactly what is wrong, or lets it wait.
  func route(_ request: RouteRequest, excluding excluded: Set<NodeID>) throws(RoutingError) -> Route {
    let now = environment.clock.now()
    let result: Result<Route, RoutingError> = shared.withLock { shared in
      let nodes = shared.view.facts(now: now).filter { !excluded.contains($0.id) }
      let facts = RouteFacts(nodes: nodes, now: now, turn: shared.turn)
      shared.turn += 1
      do throws(RoutingError) {
        let route = try self.place(request, facts, &shared.generator)
        shared.view.placed(route, request, now: now)
        shared.placed[route.decode, default: 0] += 1
        if !route.isColocated { shared.placed[route.prefill, default: 0] += 1 }
        return .success(route)
      } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }

  /// A node is done with its part of a request.
  func ended(_ request: RoutedRequest, on id: NodeID) {
    shared.withLock { $0.view.ended(RequestID(request.id), on: id) }
  }

  private func place(
    _ request: RouteRequest, _ facts: RouteFacts, _ generator: inout SeededGenerator
  ) throws(RoutingError) -> Route {
    do {
      return try routing.route(request, facts, generator: &generator)
    } catch .tooLong, .noRoom {
      let least = RouteRequest(request: request.request, model: request.model, promptTokens: 1, expectedOutputTokens: 1)
      return try routing.route(least, facts, generator: &generator)
    }
  }

  // MARK: counts

  var counts: RouterCounts { shared.withLock { $0.counts } }
  func count(_ change: (inout RouterCounts) -> Void) { shared.withLock { change(&$0.counts) } }
}
