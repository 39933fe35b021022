// Cached prefixes against busy blocks (key `prefix-aware`).
//
// What: cost(node) = overlapWeight * prefill blocks + decode blocks, smallest first, or drawn with a temperature.
//   prefill blocks: blocks of the prompt that the node does not hold, and of prompts that wait there
//   decode blocks: blocks that running sequences hold, with this request's own
// Why: the cost that the field's routers use for KV-aware placement, as a baseline in its own unit.
// Source: NVIDIA Dynamo's KV router, as its documents state it (device tier only; the credit of a cached block is 1).
// Deviations: ties go to the lower id instead of at random; with separate roles the prefill node is chosen by prefill
// blocks and the decode node by decode blocks.

public import WeirBasics
public import WeirCluster

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Dynamo's router cost, in blocks.
public struct PrefixAware: Routing {
  /// Weight of a block to be prefilled against one held by decoding, `0...1000`.
  public let overlapWeight: Double
  /// 0: the smallest cost wins. Above: nodes are drawn with weight `exp(-normalised cost / temperature)`, `0...100`.
  public let temperature: Double

  /// Values outside their ranges are moved to the nearest end.
  public init(overlapWeight: Double = 1, temperature: Double = 0) {
    self.overlapWeight = min(max(overlapWeight, 0), 1000)
    self.temperature = min(max(temperature, 0), 100)
  }

  public func route(
    _ request: RouteRequest, _ facts: RouteFacts, generator: inout SeededGenerator
  ) throws(RoutingError) -> Route {
    let draws = (generator.unitDouble(), generator.unitDouble())
    let candidates = try Candidates(request, facts)
    let both = candidates.prefill.filter(candidates.areBoth)
    if !both.isEmpty {
      let options = both.map { option($0, request, side: nil) }
      let chosen = options[pick(options, draws.0)]
      return Route(
        prefill: chosen.node, decode: chosen.node,
        reasons: RouteReasons(
          policy: "prefix-aware", sentence: "cost \(shown(chosen.cost)) blocks on \(chosen.node)", options: options,
          refusals: candidates.refusals))
    }
    let prefills = candidates.prefill.map { option($0, request, side: .prefill) }
    let decodes = candidates.decode.map { option($0, request, side: .decode) }
    let source = prefills[pick(prefills, draws.0)]
    let target = decodes[pick(decodes, draws.1)]
    return Route(
      prefill: source.node, decode: target.node,
      reasons: RouteReasons(
        policy: "prefix-aware",
        sentence: "cost \(shown(source.cost)) blocks to prefill on \(source.node), \(shown(target.cost)) to decode on "
          + "\(target.node)",
        options: prefills + decodes, refusals: candidates.refusals))
  }

  private func option(_ node: NodeFacts, _ request: RouteRequest, side: Side?) -> RouteOption {
    let slots = Double(node.description.kv.blockSlots)
    let fresh = request.promptTokens - request.hitTokens(on: node.id)
    let prefillBlocks = (Double(fresh + node.report.queues.waitingPromptTokens) / slots).rounded(.up)
    let queues = node.report.queues
    let busy = max(0, queues.totalBlocks - queues.freeBlocks - queues.cachedBlocks)
    let decodeBlocks = Double(
      busy + node.report.promisedBlocks + node.description.kv.blockCount(tokens: request.promptTokens + 1))
    var terms: [RouteTerm] = []
    if side != .decode {
      terms += [RouteTerm("prefill_blocks", prefillBlocks), RouteTerm("overlap_weight", overlapWeight)]
    }
    if side != .prefill { terms.append(RouteTerm("decode_blocks", decodeBlocks)) }
    let cost = (side == .decode ? 0 : overlapWeight * prefillBlocks) + (side == .prefill ? 0 : decodeBlocks)
    return RouteOption(node: node.id, side: side, cost: cost, terms: terms)
  }

  /// Index of the chosen option. Costs are scaled to `0...1` before the temperature, so that it means the same for any
  /// number of blocks.
  private func pick(_ options: [RouteOption], _ draw: Double) -> Int {
    let costs = options.map(\.cost)
    guard let low = costs.min(), let high = costs.max() else { return 0 }
    guard temperature > 0, high > low else { return costs.firstIndex(of: low) ?? 0 }
    let weights = costs.map { exp(-($0 - low) / (high - low) / temperature) }
    var rest = draw * weights.reduce(0, +)
    for (index, weight) in weights.enumerated() {
      rest -= weight
      if rest < 0 { return index }
    }
    return weights.count - 1
  }
}
