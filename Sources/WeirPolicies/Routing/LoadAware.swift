// Load-aware placement in predicted seconds (key `load-aware`).
//
// What: the prefill node with the smallest predicted time to first token, then the decode node with the smallest
// transfer and decode time; one node for both where that is predicted to end sooner.
// Why: blocks or requests have no common unit across unequal nodes; seconds have.
// Paper: FlowKV (arXiv 2504.03775), load-aware scheduler, normal regime; the idea of predicting queues in seconds also
// stands in Mooncake (FAST'25, Algorithm 1).
// Deviations: the paper's weights are unpublished, so the prediction is built from measured speeds alone; it adds the
// granularity of steps, decode time and the disturbance by queued prefills, what a prefill costs the sequences that decode
// beside it, KV room for the whole request, the same-node shortcut, and a try now and then of nodes that nobody has
// measured lately.

public import WeirBasics
public import WeirCluster

/// FlowKV's routing, in predicted seconds.
public struct LoadAware: Routing {
  /// When one node may do both sides of a request.
  public enum Colocation: String, Sendable, CaseIterable {
    case never
    /// Where it is predicted to end sooner, on nodes whose role takes both sides.
    case mixedNodes = "mixed-nodes"
  }

  /// Bounds and priors; values outside their ranges are moved to the nearest end.
  public struct Configuration: Sendable, Equatable {
    public let colocation: Colocation
    /// Speed assumed for a node while neither it nor any peer has measured one, tokens/s, `0.001...1e9`.
    public let priorPrefillTokensPerSecond: Double
    /// The same for generated tokens, all sequences together.
    public let priorDecodeTokensPerSecond: Double
    /// The same for a link, bytes/s, `1...1e15`. Default: TCP over loopback with large messages.
    public let priorBytesPerSecond: Double
    /// The same for one transfer call, seconds, `0...10`. Default: one awaited call over loopback.
    public let priorOperationSeconds: Double
    /// Calls that a transfer is expected to take, `1...1e6`: co-runs of an allocator that keeps segments together.
    public let operationsPerTransfer: Double
    /// Weight of the time that a prefill costs the sequences which decode beside it, `0...10`; 1 counts everybody's
    /// seconds alike, 0 only the request's own.
    public let othersWeight: Double
    /// Share of the requests that go to a node that is unmeasured, or was not measured for `staleSeconds`, `0...1`.
    public let exploredShare: Double
    /// A node whose measurement is old is only tried with requests that it is predicted to cost at most this many
    /// seconds more than the best, `0...3600`: a short prompt measures as well as a long one.
    public let exploredExtraSeconds: Double
    /// `1...1e6`.
    public let staleSeconds: Double

    public init(
      colocation: Colocation = .mixedNodes, priorPrefillTokensPerSecond: Double = 200,
      priorDecodeTokensPerSecond: Double = 20, priorBytesPerSecond: Double = 1e9,
      priorOperationSeconds: Double = 20e-6, operationsPerTransfer: Double = 4, othersWeight: Double = 1,
      exploredShare: Double = 0.05, exploredExtraSeconds: Double = 1,
      staleSeconds: Double = 60
    ) {
      func inside(_ value: Double, _ range: ClosedRange<Double>) -> Double {
        min(max(value, range.lowerBound), range.upperBound)
      }
      self.colocation = colocation
      self.priorPrefillTokensPerSecond = inside(priorPrefillTokensPerSecond, 0.001...1e9)
      self.priorDecodeTokensPerSecond = inside(priorDecodeTokensPerSecond, 0.001...1e9)
      self.priorBytesPerSecond = inside(priorBytesPerSecond, 1...1e15)
      self.priorOperationSeconds = inside(priorOperationSeconds, 0...10)
      self.operationsPerTransfer = inside(operationsPerTransfer, 1...1e6)
      self.othersWeight = inside(othersWeight, 0...10)
      self.exploredShare = inside(exploredShare, 0...1)
      self.exploredExtraSeconds = inside(exploredExtraSeconds, 0...3600)
      self.staleSeconds = inside(staleSeconds, 1...1e6)
    }
  }

  public let configuration: Configuration

  public init(configuration: Configuration = Configuration()) { self.configuration = configuration }

  public func route(
    _ request: RouteRequest, _ facts: RouteFacts, generator: inout SeededGenerator
  ) throws(RoutingError) -> Route {
    // Drawn always, so that a node's becoming measured does not shift the draws of later requests.
    let draws = (prefill: generator.unitDouble(), decode: generator.unitDouble())
    let candidates = try Candidates(request, facts)
    let predictor = Predictor(configuration, request, facts)
    let prefills = candidates.prefill.map { (node: $0, option: predictor.prefill(on: $0)) }
    let exploredPrefill = explored(prefills, draws.prefill) { $0.report.speeds.prefillTokens }
    guard let source = exploredPrefill ?? best(prefills)?.node else { throw .noNode }
    let decodes = candidates.decode.map { (node: $0, option: predictor.decode(on: $0, from: source)) }
    let exploredDecode = explored(decodes, draws.decode) { $0.report.speeds.decodeTokens }
    guard let target = exploredDecode ?? best(decodes)?.node else {
      throw .noRoom(tokens: request.wholeTokens, roomTokens: 0)
    }
    let shared = (configuration.colocation == .never ? [] : candidates.prefill.filter(candidates.areBoth))
      .map { (node: $0, option: predictor.both(on: $0)) }
    func reasons(_ sentence: String) -> RouteReasons {
      RouteReasons(
        policy: "load-aware", sentence: sentence, options: (prefills + decodes + shared).map(\.option),
        refusals: candidates.refusals)
    }
    if let node = exploredPrefill ?? exploredDecode {
      return Route(
        prefill: source.id, decode: target.id,
        reasons: reasons("node \(node.id) has no recent measurement and is tried"))
    }
    let apartSeconds =
      (prefills.first { $0.node.id == source.id }?.option.cost ?? 0)
      + (decodes.first { $0.node.id == target.id }?.option.cost ?? 0)
    // Equal predictions go to one node: no bytes travel.
    if let together = best(shared), together.option.cost <= apartSeconds {
      return Route(
        prefill: together.node.id, decode: together.node.id,
        reasons: reasons(
          "predicted end in \(shown(together.option.cost)) s on \(together.node.id) alone, "
            + "\(shown(apartSeconds)) s on \(source.id) and \(target.id)"))
    }
    return Route(
      prefill: source.id, decode: target.id,
      reasons: reasons(
        "predicted end in \(shown(apartSeconds)) s: first token from \(source.id), decode on \(target.id)"))
  }

  /// The cheapest entry; of equals the first, which has the lower id.
  private func best(
    _ entries: [(node: NodeFacts, option: RouteOption)]
  ) -> (node: NodeFacts, option: RouteOption)? {
    entries.dropFirst().reduce(entries.first) { best, next in
      guard let best else { return next }
      return next.option.cost < best.option.cost ? next : best
    }
  }

  /// The node to try this time: unmeasured before stale, then the emptier, then the lower id.
  private func explored(
    _ entries: [(node: NodeFacts, option: RouteOption)], _ draw: Double, _ rate: (NodeFacts) -> MeasuredRate?
  ) -> NodeFacts? {
    guard entries.count > 1, draw < configuration.exploredShare else { return nil }
    let least = entries.map(\.option.cost).min() ?? 0
    let unsure = entries.filter { entry in
      guard let rate = rate(entry.node) else { return true }
      return rate.ageSeconds > configuration.staleSeconds
        && entry.option.cost <= least + configuration.exploredExtraSeconds
    }
    return unsure.map(\.node).min { a, b in
      let (ageA, ageB) = (rate(a)?.ageSeconds ?? .infinity, rate(b)?.ageSeconds ?? .infinity)
      let (queueA, queueB) = (a.report.queues.waitingPromptTokens, b.report.queues.waitingPromptTokens)
      return (-ageA, Double(queueA), a.id.rawValue) < (-ageB, Double(queueB), b.id.rawValue)
    }
  }
}

/// Three significant places are enough for a sentence; the options hold the exact numbers.
func shown(_ value: Double) -> String {
  guard value.isFinite, abs(value) < 1e12 else { return "\(value)" }
  return "\((value * 1000).rounded() / 1000)"
}
