// Predicted seconds of one request on one node, from measured speeds.

import WeirBasics
import WeirCluster

/// Predicts for one request. All formulas are in the members' comments; every number goes into the reasons.
struct Predictor {
  /// A node that did nothing but prefill still decodes a row per step: nobody waits for ever.
  private static let highestShare = 0.95

  private let configuration: LoadAware.Configuration
  private let request: RouteRequest
  private let usualPrefillRate: Double
  private let usualDecodeRate: Double
  private let usualBytesPerSecond: Double
  private let usualOperationSeconds: Double

  init(_ configuration: LoadAware.Configuration, _ request: RouteRequest, _ facts: RouteFacts) {
    self.configuration = configuration
    self.request = request
    let peers = facts.nodes.filter { $0.description.model == request.model }
    usualPrefillRate =
      Self.median(peers.compactMap { $0.report.speeds.prefillTokens?.perSecond })
      ?? configuration.priorPrefillTokensPerSecond
    usualDecodeRate =
      Self.median(peers.compactMap { $0.report.speeds.decodeTokens?.perSecond })
      ?? configuration.priorDecodeTokensPerSecond
    let links = peers.flatMap(\.report.speeds.links)
    usualBytesPerSecond = Self.median(links.map(\.bytesPerSecond)) ?? configuration.priorBytesPerSecond
    usualOperationSeconds = Self.median(links.map(\.operationSeconds)) ?? configuration.priorOperationSeconds
  }

  /// The lower median: one of the values, whatever their number.
  private static func median(_ values: [Double]) -> Double? {
    values.isEmpty ? nil : values.sorted()[(values.count - 1) / 2]
  }

  private func prefillRate(_ node: NodeFacts) -> Double {
    node.report.speeds.prefillTokens?.perSecond ?? usualPrefillRate
  }

  private func decodeRate(_ node: NodeFacts) -> Double {
    node.report.speeds.decodeTokens?.perSecond ?? usualDecodeRate
  }

  /// Seconds of a step with `sequences` decode rows: rows over the measured rate, and never less than the step that
  /// was measured, because a step reads all weights however few share it.
  private func stepSeconds(_ node: NodeFacts, sequences: Double) -> Double {
    max(sequences, node.report.speeds.decodeBatch) / decodeRate(node)
  }

  /// Time to first token: `(queued + prompt - hit) / rate`, and for each step that takes the node to get there, the
  /// decode rows that ride along. Beside it, what the prompt's own computing costs those rows.
  func prefill(on node: NodeFacts) -> RouteOption {
    let queued = Double(node.report.queues.waitingPromptTokens)
    let fresh = Double(request.promptTokens - request.hitTokens(on: node.id))
    let rate = prefillRate(node)
    let running = node.report.queues.runningSequences
    let capacity = node.description.capacity
    let chunk = running == 0 ? capacity.stepTokens : capacity.mixedPrefillTokens
    let steps = ((queued + fresh) / Double(max(1, chunk))).rounded(.up)
    let besides = running == 0 ? 0 : steps * stepSeconds(node, sequences: Double(running))
    let seconds = (queued + fresh) / rate + besides
    let others = configuration.othersWeight * Double(running) * fresh / rate
    return RouteOption(
      node: node.id, side: .prefill, cost: seconds + others,
      terms: [
        RouteTerm("queued_tokens", queued), RouteTerm("uncached_prompt_tokens", fresh),
        RouteTerm("prefill_tokens_per_second", rate), RouteTerm("steps", steps),
        RouteTerm("decode_beside_seconds", besides), RouteTerm("first_token_seconds", seconds),
        RouteTerm("others_seconds", others),
        RouteTerm("is_measured", node.report.speeds.prefillTokens == nil ? 0 : 1),
      ])
  }

  /// Transfer from `source`, wait for a place in the batch, and decode.
  func decode(on node: NodeFacts, from source: NodeFacts) -> RouteOption {
    let link = transfer(from: source, to: node)
    var option = decodeTime(on: node)
    option.cost += link.seconds
    option.terms =
      [
        RouteTerm("transfer_bytes", link.bytes), RouteTerm("transfer_operations", link.operations),
        RouteTerm("transfer_seconds", link.seconds),
      ] + option.terms
    return option
  }

  /// Both sides on one node.
  func both(on node: NodeFacts) -> RouteOption {
    let first = prefill(on: node)
    let rest = decodeTime(on: node)
    return RouteOption(
      node: node.id, side: nil, cost: first.cost + rest.cost,
      terms: first.terms.filter { ["first_token_seconds", "others_seconds"].contains($0.name) } + rest.terms)
  }

  /// `bytes / bandwidth + operations * operationSeconds`, behind what the source still has to send (each taken to be
  /// as long as this one). Tokens that the target holds already stay where they are.
  private func transfer(
    from source: NodeFacts, to target: NodeFacts
  ) -> (bytes: Double, operations: Double, seconds: Double) {
    guard source.id != target.id else { return (0, 0, 0) }
    let missing = request.promptTokens - request.hitTokens(on: target.id)
    let kv = source.description.kv
    let bytes = Double(kv.blockCount(tokens: missing) * kv.blockBytes)
    let link = source.report.speeds.link(to: target.id)
    let once =
      bytes / (link?.bytesPerSecond ?? usualBytesPerSecond)
      + configuration.operationsPerTransfer * (link?.operationSeconds ?? usualOperationSeconds)
    return (bytes, configuration.operationsPerTransfer, once * Double(1 + source.report.sendingRequests))
  }

  /// Wait for a place, the expected answer at the speed of the batch it joins, and the prefills that the answer meets on
  /// its way. Of those that are queued, a step carries at most `mixedPrefillTokens`; of those still to come, the node
  /// will spend the share of its time on them that it spent lately.
  private func decodeTime(on node: NodeFacts) -> RouteOption {
    let capacity = node.description.capacity
    let queues = node.report.queues
    let ahead = queues.runningSequences + queues.waitingRequests + node.report.waitingDecodes
    let sharing = min(ahead + 1, capacity.runningLimit)
    let answer = Double(request.expectedOutputTokens)
    let rate = decodeRate(node)
    // Answers that must end first, each of the expected length, all of them served at the node's whole rate.
    let waitSeconds = Double(max(0, ahead + 1 - capacity.runningLimit)) * answer / rate
    let answerSeconds = answer * stepSeconds(node, sequences: Double(sharing))
    let met = min(Double(queues.waitingPromptTokens), answer * Double(capacity.mixedPrefillTokens))
    let prefillShare = min(max(node.average.computeUtilisation, 0), Self.highestShare)
    let disturbedSeconds = max(met / prefillRate(node), answerSeconds * prefillShare / (1 - prefillShare))
    return RouteOption(
      node: node.id, side: .decode, cost: waitSeconds + answerSeconds + disturbedSeconds,
      terms: [
        RouteTerm("place_wait_seconds", waitSeconds), RouteTerm("sequences_sharing", Double(sharing)),
        RouteTerm("decode_tokens_per_second", rate), RouteTerm("answer_seconds", answerSeconds),
        RouteTerm("prefill_share", prefillShare), RouteTerm("disturbed_seconds", disturbedSeconds),
        RouteTerm("room_blocks", Double(node.report.roomBlocks)),
        RouteTerm("is_measured", node.report.speeds.decodeTokens == nil ? 0 : 1),
      ])
  }
}
