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
    /// Roles that this router has ordered, other than those it was told.
    var ordered: [NodeID: Role] = [:]
    var members: Set<NodeID> = []
    var placed: [NodeID: UInt64] = [:]
    var prefixes = PlacedPrefixes()
    var roles = RoleBook()
    /// Requests that were placed although no node had room for them, since they were last counted.
    var unroomed: [ModelFingerprint: Int] = [:]
  }

  let configuration: RouterConfiguration
  let routing: any Routing
  let environment: ServingEnvironment
  let upstream: Upstream
  let logger: Logger
  let statuses = StatusCounters()
  let traces = RequestTraces()
  /// This router's name among routers.
  let id: NodeID
  private let shared: Mutex<Shared>

  init(
    configuration: RouterConfiguration, routing: any Routing, environment: ServingEnvironment, logger: Logger
  ) {
    self.configuration = configuration
    self.routing = routing
    self.environment = environment
    self.logger = logger
    id = NodeID("router-" + environment.identifier().prefix(12))
    upstream = Upstream(
      silenceSeconds: configuration.silenceSeconds, trustRootsPath: configuration.trustRootsPath)
    shared = Mutex(
      Shared(
        view: ClusterView(configuration: ClusterViewConfiguration(staleSeconds: configuration.staleSeconds)),
        generator: SeededGenerator(seed: environment.randomBits())))
  }

  var edge: EdgeSettings {
    EdgeSettings(
      environment: environment, logger: logger, maxBodyBytes: configuration.maxBodyBytes,
      retryAfterSeconds: configuration.retryAfterSeconds, statuses: statuses)
  }

  /// Headers of the router's own questions to nodes.
  var credentials: [(String, String)] {
    var headers: [(String, String)] = []
    if let secret = configuration.secret { headers.append(("x-weir-peer", secret.peerToken)) }
    if let key = configuration.nodeKey { headers.append(("authorization", "Bearer \(key)")) }
    return headers
  }

  // MARK: the cluster

  /// Takes what a node said of itself; the role at home is the one that the router was told.
  func heard(_ description: NodeDescription, _ report: LoadReport, from node: RouterNode) {
    var (description, report) = (description, report)
    let now = environment.clock.now()
    shared.withLock { shared in
      if let told = node.role {
        // A node that acts in its own home role may have been ordered to.
        if report.role == description.homeRole, shared.ordered[description.id] != report.role { report.role = told }
        description.homeRole = told
      }
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
        shared.members = Set(members.map(\.description.id))
        for member in members { shared.urls[member.description.id] = Self.url(member.description) }
      case .joined(let node):
        shared.members.insert(node.id)
        shared.urls[node.id] = Self.url(node)
      case .left(let id, _):
        shared.members.remove(id)
        shared.urls[id] = nil
        shared.ordered[id] = nil
        shared.placed[id] = nil
        shared.prefixes.forget(id)
      default: break
      }
      shared.view.apply(event, now: now)
    }
  }

  /// Addresses without a scheme are those of nodes without TLS.
  private static func url(_ node: NodeDescription) -> String {
    node.addresses.http.contains("://") ? node.addresses.http : "http://\(node.addresses.http)"
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

  /// A call that was cancelled for its client says nothing about the node.
  func suspect(_ id: NodeID) {
    if !Task.isCancelled { shared.withLock { $0.view.suspect(id) } }
  }

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
  ///
  /// - Parameter prefix: the request's text, for what nodes may hold of it already.
  func route(
    _ request: RouteRequest, prefix: PrefixChain, excluding excluded: Set<NodeID>
  ) throws(RoutingError) -> Route {
    let now = environment.clock.now()
    let result: Result<Route, RoutingError> = shared.withLock { shared in
      let nodes = shared.view.facts(now: now).filter { !excluded.contains($0.id) }
      let facts = RouteFacts(nodes: nodes, now: now, turn: shared.turn)
      let request = Self.knowing(request, prefix, nodes, shared.prefixes)
      shared.turn += 1
      do throws(RoutingError) {
        let route = try self.place(request, facts, &shared)
        shared.view.placed(route, request, now: now)
        for id in Set([route.prefill, route.decode]) {
          shared.placed[id, default: 0] += 1
          guard let node = nodes.first(where: { $0.id == id }) else { continue }
          shared.prefixes.note(prefix, on: id, incarnation: node.description.incarnation)
        }
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

  /// The request with what each node probably holds of its prompt. A node cannot hold more than its used blocks.
  private static func knowing(
    _ request: RouteRequest, _ prefix: PrefixChain, _ nodes: [NodeFacts], _ prefixes: PlacedPrefixes
  ) -> RouteRequest {
    var hits: [NodeID: Int] = [:]
    for node in nodes {
      let bytes = prefixes.bytes(of: prefix, on: node.id, incarnation: node.description.incarnation)
      guard bytes > 0 else { continue }
      let queues = node.report.queues
      let held = (queues.totalBlocks - queues.freeBlocks) * node.description.kv.blockSlots
      hits[node.id] = min(held, request.promptTokens * bytes / max(1, prefix.bytes))
    }
    return request.knowing(hitTokens: hits)
  }

  private func place(
    _ request: RouteRequest, _ facts: RouteFacts, _ shared: inout Shared
  ) throws(RoutingError) -> Route {
    do {
      return try routing.route(request, facts, generator: &shared.generator)
    } catch {
      switch error {
      case .noRoom: shared.unroomed[request.model, default: 0] += 1
      case .tooLong: break  // by the router's guess; nothing about the load
      case .noNode, .modelNotServed: throw error
      }
    }
    var least = request
    least.promptTokens = 1
    least.expectedOutputTokens = 1
    least.outputTokensLimit = 1
    let roomy = facts.nodes.map { node in
      var node = node
      node.report.promisedBlocks = 0
      node.report.queues.freeBlocks = node.report.queues.totalBlocks
      node.report.queues.cachedBlocks = 0
      return node
    }
    return try routing.route(
      least, RouteFacts(nodes: roomy, now: facts.now, turn: facts.turn), generator: &shared.generator)
  }

  // MARK: roles

  var roles: RoleBook { shared.withLock { $0.roles } }
  func keep(_ change: (inout RoleBook) -> Void) { shared.withLock { change(&$0.roles) } }

  /// Requests of each model that found no room since the last call.
  func takeUnroomed() -> [ModelFingerprint: Int] {
    shared.withLock { shared in
      defer { shared.unroomed = [:] }
      return shared.unroomed
    }
  }

  /// Whether the node is a member of the registry, and not one of the addresses that the router was told.
  func isMember(_ id: NodeID) -> Bool { shared.withLock { $0.members.contains(id) } }

  /// Takes note of an order.
  ///
  /// - Parameter isFollowed: the node has said so; otherwise its next report does.
  func ordered(_ role: Role, of node: NodeFacts, isFollowed: Bool) {
    shared.withLock { shared in
      shared.ordered[node.id] = role == node.description.homeRole ? nil : role
      if isFollowed { shared.view.acts(node.id, as: role) }
    }
  }

  // MARK: counts

  var counts: RouterCounts { shared.withLock { $0.counts } }
  func count(_ change: (inout RouterCounts) -> Void) { shared.withLock { change(&$0.counts) } }
}
