// Join the shortest queue (key `least-loaded`).
//
// What: prefill where the fewest prompt tokens wait, decode where the fewest sequences are.
// Why: the baseline that every smarter policy must beat.
// Paper: DistServe (OSDI'24) and Splitwise (ISCA'24): shortest prefill queue, least loaded decode node.
// Deviations: one node does both where it is the best of both sides.

public import WeirBasics
public import WeirCluster

/// Shortest queues, counted, not timed: equal on equal nodes, blind to unequal ones.
public struct LeastLoaded: Routing {
  public init() {}

  public func route(
    _ request: RouteRequest, _ facts: RouteFacts, generator: inout SeededGenerator
  ) throws(RoutingError) -> Route {
    let candidates = try Candidates(request, facts)
    let prefills = candidates.prefill.map { node in
      let tokens = Double(node.report.queues.waitingPromptTokens)
      return RouteOption(
        node: node.id, side: .prefill, cost: tokens, terms: [RouteTerm("waiting_prompt_tokens", tokens)])
    }
    let decodes = candidates.decode.map { node in
      let count = Self.sequences(on: node)
      return RouteOption(node: node.id, side: .decode, cost: count, terms: [RouteTerm("sequences", count)])
    }
    // Among equally short prefill queues the node with fewer sequences, then the lower id.
    let emptiest = prefills.map(\.cost).min() ?? 0
    let tied = candidates.prefill.filter { Double($0.report.queues.waitingPromptTokens) == emptiest }
    guard
      let source = tied.min(by: {
        (Self.sequences(on: $0), $0.id.rawValue) < (Self.sequences(on: $1), $1.id.rawValue)
      }),
      let fewest = decodes.map(\.cost).min()
    else { throw .noNode }
    let targets = decodes.filter { $0.cost == fewest }.map(\.node)
    let target = targets.contains(source.id) ? source.id : targets[0]
    return Route(
      prefill: source.id, decode: target,
      reasons: RouteReasons(
        policy: "least-loaded",
        sentence: "\(shown(emptiest)) prompt tokens wait on \(source.id), \(shown(fewest)) sequences are on \(target)",
        options: prefills + decodes, refusals: candidates.refusals))
  }

  static func sequences(on node: NodeFacts) -> Double {
    Double(node.report.queues.runningSequences + node.report.queues.waitingRequests + node.report.waitingDecodes)
  }
}
