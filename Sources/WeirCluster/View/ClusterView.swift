// The cluster as one router knows it: events in, facts for decisions out. A value; its owner passes the time.

public import WeirBasics

/// Times that a view works with, in seconds.
public struct ClusterViewConfiguration: Sendable, Equatable {
  /// Window of the smoothed load, `0...600`. The default is the 2 s that FlowKV's digest found to work.
  public let windowSeconds: Double
  /// A node silent for longer is not alive, `0.1...3600`.
  public let staleSeconds: Double
  /// A placement counts until the first report that comes at least this long after it, `0...60`: reports on their way
  /// do not know of it yet.
  public let settleSeconds: Double

  /// Values outside their ranges are moved to the nearest end.
  public init(windowSeconds: Double = 2, staleSeconds: Double = 3, settleSeconds: Double = 0.3) {
    self.windowSeconds = min(max(windowSeconds, 0), 600)
    self.staleSeconds = min(max(staleSeconds, 0.1), 3600)
    self.settleSeconds = min(max(settleSeconds, 0), 60)
  }
}

/// Members, their loads smoothed, and what this router placed since their last reports.
///
/// Without the placements a router would send a burst of requests to the one node that looked best in the last report
/// (the herd effect).
public struct ClusterView: Sendable {
  private struct Placement {
    var request: RequestID
    var tokens: Int
    var blocks: Int
    var side: Side
    var time: Instant
  }

  private struct Known {
    var description: NodeDescription
    var report: LoadReport
    var window: LoadWindow
    var seen: Instant
    var isSuspect = false
    var placements: [Placement] = []
  }

  public let configuration: ClusterViewConfiguration
  private var nodes: [NodeID: Known] = [:]
  /// Since when the registry is silent: until it is back, silence of nodes proves nothing.
  private var interrupted: Instant?
  /// Entries that could not be read, since the last snapshot.
  public private(set) var refusedEntries = 0

  public init(configuration: ClusterViewConfiguration = ClusterViewConfiguration()) {
    self.configuration = configuration
  }

  /// Whether the registry can be reached, as far as its watch has told.
  public var isConnected: Bool { interrupted == nil }

  /// Takes one event of a registry's watch.
  public mutating func apply(_ event: MembershipEvent, now: Instant) {
    switch event {
    case .snapshot(let members):
      let before = nodes
      nodes = [:]
      interrupted = nil
      refusedEntries = 0
      for member in members {
        if let known = before[member.description.id],
          known.description.incarnation == member.description.incarnation
        {
          nodes[member.description.id] = known
        }
        join(member.description, now: now)
        if let report = member.report { take(report, now: now) }
      }
    case .joined(let description): join(description, now: now)
    case .left(let id, _): nodes[id] = nil
    case .reported(let report): take(report, now: now)
    case .directed: break  // the node says in its reports what it made of it
    case .refused: refusedEntries += 1
    case .interrupted: interrupted = interrupted ?? now
    }
  }

  private mutating func join(_ description: NodeDescription, now: Instant) {
    if let known = nodes[description.id], known.description.incarnation == description.incarnation {
      nodes[description.id]?.description = description
      nodes[description.id]?.seen = now
      return
    }
    nodes[description.id] = Known(
      description: description, report: NodeFacts.emptyReport(of: description),
      window: LoadWindow(windowSeconds: configuration.windowSeconds), seen: now)
  }

  private mutating func take(_ report: LoadReport, now: Instant) {
    // A report of an earlier start of the node, or one that was overtaken, says nothing about now.
    guard var known = nodes[report.node], known.description.incarnation == report.incarnation,
      known.report.sequence < report.sequence
    else { return }
    known.report = report
    known.window.add(LoadVector(report), now: now)
    known.seen = now
    known.isSuspect = false
    known.placements.removeAll { now.seconds(since: $0.time) >= configuration.settleSeconds }
    nodes[report.node] = known
  }

  /// Remembers where a request was sent.
  public mutating func placed(_ route: Route, _ request: RouteRequest, now: Instant) {
    let fresh = max(1, request.promptTokens - request.hitTokens(on: route.prefill))
    if let node = nodes[route.prefill] {
      let tokens = route.isColocated ? request.wholeTokens : request.promptTokens + 1
      nodes[route.prefill]?.placements.append(
        Placement(
          request: request.request, tokens: fresh, blocks: node.description.kv.blockCount(tokens: tokens),
          side: .prefill, time: now))
    }
    if !route.isColocated, let node = nodes[route.decode] {
      let blocks = node.description.kv.blockCount(tokens: request.wholeTokens)
      nodes[route.decode]?.placements.append(
        Placement(request: request.request, tokens: 0, blocks: blocks, side: .decode, time: now))
    }
  }

  /// The node is done with its part of a request, however that ended. Without it a node that finishes many requests
  /// between two reports would be taken for full.
  public mutating func ended(_ request: RequestID, on id: NodeID) {
    guard let place = nodes[id]?.placements.firstIndex(where: { $0.request == request }) else { return }
    nodes[id]?.placements.remove(at: place)
  }

  /// The node has said that it acts in another role; its next report says so too.
  public mutating func acts(_ id: NodeID, as role: Role) { nodes[id]?.report.role = role }

  /// Somebody could not reach the node: it takes nothing until its next report.
  public mutating func suspect(_ id: NodeID) { nodes[id]?.isSuspect = true }

  /// Members of which nothing was heard for longer than `seconds`, whoever is to blame for it, by ascending id.
  public func silent(longerThan seconds: Double, now: Instant) -> [NodeID] {
    nodes.filter { now.seconds(since: $0.value.seen) > seconds }.keys.sorted()
  }

  /// All members at `now`, by ascending id.
  public func facts(now: Instant) -> [NodeFacts] {
    let judged = interrupted ?? now
    return nodes.values.map { known in
      var report = known.report
      for placement in known.placements {
        report.promisedBlocks += placement.blocks
        switch placement.side {
        case .prefill:
          report.queues.waitingRequests += 1
          report.queues.waitingPromptTokens += placement.tokens
        case .decode: report.waitingDecodes += 1
        }
      }
      let isFresh = judged.seconds(since: known.seen) <= configuration.staleSeconds
      return NodeFacts(
        description: known.description, isAlive: isFresh && !known.isSuspect, report: report,
        average: known.window.average ?? LoadVector(report))
    }.sorted { $0.id < $1.id }
  }
}
